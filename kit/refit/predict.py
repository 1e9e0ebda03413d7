"""Predictions for the rows of a file, chunk by chunk."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from kit.atomic import atomic_path
from kit.competition import Competition
from kit.errors import ConfigError, counted
from kit.preprocessing.series import looked_up
from kit.refit.members import Mixed, Single, refuse_changed, resolve, singles
from kit.refit.rows import NewRows
from kit.refit.saved import Averaged, Mixture, load_predictor, transform_of, uses_of
from kit.runs import Run, prediction_columns
from kit.submission.building import written
from kit.submission.shape import expected

CHUNK = 50_000
"""Rows in memory at a time."""


@dataclass(frozen=True, kw_only=True)
class Predicted:
    """What came out.

    Attributes:
        path: the file written.
        rows: how many.
        columns: its header.
        notes: what was unusual.
    """

    path: Path
    rows: int
    columns: tuple[str, ...]
    notes: tuple[str, ...]


def predict_file(
    competition: Competition,
    run: Run,
    file: Path,
    out: Path | None = None,
    *,
    proba: bool = False,
    rows: int = CHUNK,
) -> Predicted:
    """Predict every row of a file that looks like the test file.

    Args:
        competition: the competition.
        run: a run of kind "fit", one made with --keep-models, or a blend of such.
        file: the rows.
        out: where to write, parquet or CSV by its ending; None: `predictions/<file>-<run>.csv` of
            the competition's folder.
        proba: write the predictions themselves (probabilities of classes) instead of what the
            submission wants.
        rows: how many are in memory at a time.

    Raises:
        RunError: the run kept no models, or was made with other data or code.
        DataError: the file lacks a column or cannot be read; nothing is written.
    """
    if out is not None and out.resolve() == file.resolve():
        raise ConfigError(f"--out names the file itself: {out}")
    transform = transform_of(run, competition)
    member = None if run.kind == "fit" else resolve(run, competition, transform)
    reader = NewRows(competition)
    notes = _checked(run, member, competition, reader.digests)
    predictor = load_predictor(run, member, competition)
    shape = expected(competition)
    path = out or competition.root / "predictions" / f"{_stem(file)}-{run.short}.csv"
    horizon = _Horizon(predictor)
    done = 0
    columns: tuple[str, ...] = ()
    with atomic_path(path) as temporary, _writer(temporary, path.suffix) as write:
        for ids, X in reader.read(file, rows):
            values = predictor.predict(X)
            horizon.look(X)
            table = (
                _raw(values, ids, run, shape.id or "id")
                if proba
                else written(values, ids, competition, run, shape)
            )
            write(table)
            done, columns = done + len(table), tuple(table.columns)
    return Predicted(
        path=path,
        rows=done,
        columns=columns,
        notes=(*notes, *reader.notes.sentences(), *horizon.sentences(), *reader.images.notes),
    )


class _Horizon:
    """Counts rows of series that lie further ahead than the models were made and validated for.

    Args:
        predictor: as it is loaded; of several pasts in it the one that reaches furthest counts.
    """

    def __init__(self, predictor: Any) -> None:
        pasts = [past for steps in _recipes(predictor) if (past := looked_up(steps)) is not None]
        self._past = max(pasts, key=lambda past: past.history_.last, default=None)
        self._beyond, self._furthest = 0, 0

    def look(self, X: pd.DataFrame) -> None:
        """Count those of a piece of the rows."""
        if self._past is None:
            return
        ahead = self._past.history_.place(X)[1] - (self._past.history_.n_steps - 1)
        self._beyond += int((ahead > self._past.spec.horizon).sum())
        self._furthest = max(self._furthest, int(ahead.max(initial=0)))

    def sentences(self) -> list[str]:
        """One, where there are such rows."""
        if self._past is None or not self._beyond:
            return []
        return [
            f"{counted(self._beyond, 'row is', 'rows are')} more than series.horizon = "
            f"{self._past.spec.horizon} steps after the last training row, up to "
            f"{self._furthest}: their nearest lags are not known, and no fold was so far ahead"
        ]


def _recipes(predictor: Any) -> Iterator[Any]:
    """The fitted recipes of a predictor."""
    for part in predictor.parts if isinstance(predictor, Mixture) else ():
        yield from _recipes(part)
    if isinstance(predictor, Averaged):
        yield from (steps for steps, _ in predictor.fitted)


@contextmanager
def _writer(path: Path, suffix: str) -> Iterator[Callable[[pd.DataFrame], None]]:
    """What appends tables to a file: row groups where it is to be parquet, else lines of CSV."""
    with ExitStack() as stack:
        open_: list[pq.ParquetWriter] = []

        def row_group(table: pd.DataFrame) -> None:
            group = pa.Table.from_pandas(table, preserve_index=False)
            if not open_:
                writer = pq.ParquetWriter(path, group.schema, compression="zstd")
                open_.append(stack.enter_context(writer))
            open_[0].write_table(group.cast(open_[0].schema), row_group_size=len(table))

        def lines(table: pd.DataFrame) -> None:
            with path.open("a", encoding="utf-8", newline="") as file:
                table.to_csv(file, header=not file.tell(), index=False, lineterminator="\n")

        yield row_group if suffix == ".parquet" else lines


def _checked(
    run: Run, member: Single | Mixed | None, competition: Competition, digests: Mapping[str, str]
) -> list[str]:
    """Refuse models of other data or code; remarks about other versions."""
    if member is None:
        behind = [(run, uses_of(run))]
    else:
        behind = [(single.run, [single.spec.use]) for single in singles(member)]
    notes = [
        note for one, uses in behind for note in refuse_changed(one, competition, digests, uses)
    ]
    return list(dict.fromkeys(notes))


def _raw(values: NDArray[np.float64], ids: Any, run: Run, key: str) -> pd.DataFrame:
    """Ids and predictions, named as in `oof.parquet`."""
    names = prediction_columns(run.record["outputs"])
    return pd.DataFrame({key.strip(): ids, **dict(zip(names, values.T, strict=True))})


def _stem(file: Path) -> str:
    return file.name.split(".")[0] or "rows"
