"""Tables too large to be looked at as a whole: rows at random, and counts over all rows."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from kit.tables import count_cells, read_chunks, read_header, read_table

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

LARGE_CELLS = 50_000_000
"""Tables of more cells than this (rows x columns) are not read into memory as a whole."""

ROWS = 300_000
"""So many rows of a large table are looked at, about."""

_PIECE = 250_000


@dataclass(frozen=True, kw_only=True)
class Counts:
    """What was counted over all rows of a column.

    Attributes:
        rows: of the file.
        known: rows with a value that is more than blanks.
        distinct: different values, blanks around them aside.
    """

    rows: int
    known: int
    distinct: int


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Rows of a table.

    Attributes:
        frame: the rows, in the order of the file.
        positions: where they stand in the file; None: these are all rows.
        rows: of the file.
        counts: of its columns of strings, where these are not all rows.
    """

    frame: pd.DataFrame
    positions: pd.Index | None
    rows: int
    counts: Mapping[str, Counts] = field(default_factory=dict)


def read_sample(
    path: Path, *, as_text: Collection[str] = (), rows: int = ROWS, count: bool = False
) -> Sample:
    """The whole of a table, or rows at random of a large one; always the same ones.

    Args:
        path: the file.
        as_text: see `kit.tables.read_table`.
        rows: how many of a large one, about.
        count: whether values are counted, which takes as long again.

    Raises:
        DataError: see `kit.tables.read_table`.
    """
    cells = count_cells(path)
    if cells <= LARGE_CELLS:
        frame = read_table(path, as_text=as_text)
        return Sample(frame=frame, positions=None, rows=len(frame))
    import numpy as np
    import pandas as pd

    share = min(1.0, rows * len(read_header(path)) / cells)
    rng = np.random.default_rng(0)
    taken, total = [], 0
    seen: dict[str, _Seen] = {}
    for piece in read_chunks(path, _PIECE, as_text=as_text):
        total += len(piece)
        for name in piece.columns if count else ():
            if isinstance(piece[name].dtype, pd.StringDtype):
                seen.setdefault(name, _Seen()).look(piece[name])
        taken.append(piece[rng.random(len(piece)) < share])
    frame = pd.concat(taken)
    counts = {
        name: Counts(rows=total, known=column.known, distinct=column.distinct)
        for name, column in seen.items()
    }
    return Sample(
        frame=frame.reset_index(drop=True), positions=frame.index, rows=total, counts=counts
    )


def read_columns(
    path: Path, names: Collection[str], as_text: Collection[str] | None = None
) -> pd.DataFrame:
    """Some columns of a table, all rows.

    Args:
        path: the file.
        names: of the columns.
        as_text: those that are kept as they are spelled; None: all.

    Raises:
        DataError: see `kit.tables.read_table`.
    """
    text = names if as_text is None else as_text
    return together(list(read_chunks(path, _PIECE, as_text=text, columns=names)))


def together(pieces: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Pieces of a table one below the other.

    A column that is numbers in some and words in others ("999", "1,050") is words: pandas reads the
    whole so, and only words can be stored.
    """
    import pandas as pd

    frame = pd.concat(list(pieces))
    for name in frame.columns:
        types = {pd.api.types.is_numeric_dtype(piece[name]) for piece in pieces}
        if len(types) > 1:
            frame[name] = frame[name].astype("str").where(frame[name].notna())
    return frame


def of_the_same_rows(sample: pd.DataFrame, key: str, test: Sample, ids: pd.Series) -> pd.DataFrame:
    """Rows of a sample submission that go with the sampled rows of test.

    Its rows whose id is that of a sampled row, and of those with an id that test does not have as
    large a share as was sampled: what is told of the one in relation to the other stays true.

    Args:
        sample: the whole sample submission.
        key: its id column.
        test: the sampled rows.
        ids: the ids of all test rows, in their order.
    """
    import numpy as np

    named, ids = sample[key].str.strip(), ids.str.strip()
    drawn = ids.iloc[test.positions] if test.positions is not None else ids
    few = np.random.default_rng(0).random(len(named)) < len(drawn) / max(1, len(ids))
    kept = among(named, drawn) | (~among(named, ids) & few)
    return sample[kept].reset_index(drop=True)


def among(values: pd.Series, known: pd.Series) -> NDArray[np.bool_]:
    """Which strings are among others; pandas makes Python objects of them all for that."""
    import pyarrow as pa
    import pyarrow.compute as pc

    texts = [pa.array(each, pa.large_string()) for each in (values, known)]
    found: NDArray[np.bool_] = pc.is_in(texts[0], value_set=texts[1]).to_numpy(zero_copy_only=False)
    return found


class _Seen:
    """Different values of a column, by their hashes."""

    def __init__(self) -> None:
        self.known = 0
        self._hashes: list[NDArray[np.uint64]] = []
        self._merged = 0

    @property
    def distinct(self) -> int:
        """How many so far."""
        self._merge()
        return self._merged

    def look(self, column: pd.Series) -> None:
        """Take a piece."""
        import numpy as np
        import pandas as pd

        counts = column.dropna().value_counts(sort=False)
        levels = counts.index.astype("str").str.strip()
        self.known += int(counts.to_numpy()[levels != ""].sum())
        self._hashes.append(pd.util.hash_array(np.asarray(levels[levels != ""], dtype=object)))
        if sum(map(len, self._hashes)) > 2 * self._merged + _PIECE:
            self._merge()

    def _merge(self) -> None:
        import numpy as np
        import pandas as pd

        self._hashes = [np.asarray(pd.unique(np.concatenate(self._hashes)))]
        self._merged = len(self._hashes[0])
