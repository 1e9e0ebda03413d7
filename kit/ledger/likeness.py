"""How alike two submissions are: the rank correlation of what they predict for the test rows.

Spearman's correlation, because most metrics of probabilities look at the order, and because two
models on different scales may still say the same. With several columns: the mean over them. Near 1
the second submission tells nothing new, and two of them as final choices hedge nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from kit.atomic import sha256
from kit.errors import KitError
from kit.ledger.book import Row
from kit.runs import Run, list_runs
from kit.tables import read_table

if TYPE_CHECKING:
    import pandas as pd

    from kit.competition import Competition

COPY = 0.99
"""From this rank correlation on two submissions count as near-duplicates."""


class Predictions:
    """Test predictions of runs and submitted files, each read once.

    Args:
        competition: whose runs and files these are.
    """

    def __init__(self, competition: Competition) -> None:
        self.competition = competition
        self._runs = {run.id: run for run in list_runs(competition.runs)[0]}
        self._frames: dict[str, pd.DataFrame | None] = {}

    def of_run(self, run: Run) -> pd.DataFrame | None:
        """Predictions by id, float columns; None where they cannot be read."""
        if run.id not in self._frames:
            self._frames[run.id] = _indexed(run)
        return self._frames[run.id]

    def of_row(self, row: Row) -> pd.DataFrame | None:
        """Those of the run a submission was made from, else those of its file."""
        run = self._runs.get(row.run or "")
        frame = None if run is None else self.of_run(run)
        if frame is not None or row.source == "elsewhere":  # its file is not here
            return frame
        path = self.competition.root / row.file
        if row.sha256 not in self._frames:
            same = path.is_file() and sha256(path) == row.sha256  # not written anew since
            self._frames[row.sha256] = _submitted(path, self.competition) if same else None
        return self._frames[row.sha256]

    def run(self, row: Row) -> Run | None:
        """The run a submission was made from, where it is still there."""
        return self._runs.get(row.run or "")


def likeness(a: pd.DataFrame | None, b: pd.DataFrame | None) -> float | None:
    """Spearman's correlation over the shared ids, mean over the columns; None where there is none.

    Args:
        a: predictions by id. A single column is compared whatever it is called; several must have
            the same names.
        b: the other ones.
    """
    if a is None or b is None:
        return None
    if a.shape[1] != b.shape[1] or (a.shape[1] > 1 and set(a.columns) != set(b.columns)):
        return None
    shared = a.index.intersection(b.index)
    if len(shared) < 3 or len(shared) < min(len(a), len(b)) / 2:
        return None
    first, second = a.loc[shared], b.loc[shared]
    if first.shape[1] > 1:
        second = second[first.columns]
    ranks = zip(first.rank().to_numpy().T, second.rank().to_numpy().T, strict=True)
    found = [value for value in (_pearson(x, y) for x, y in ranks) if value is not None]
    return sum(found) / len(found) if found else None


def _pearson(x: object, y: object) -> float | None:
    import numpy as np

    a, b = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    a, b = a - a.mean(), b - b.mean()
    size = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / size if size > 0.0 else None  # a constant has no ranks


def _indexed(run: Run) -> pd.DataFrame | None:
    try:
        frame = run.test()
        frame.index = frame["id"].astype("str").str.strip()
        frame = frame.drop(columns="id").astype("float64")
    except (KitError, KeyError, ValueError, TypeError):
        return None
    return frame if frame.index.is_unique else None


def _submitted(path: Path, competition: Competition) -> pd.DataFrame | None:
    """The numbers of a submission file by id; None for labels, and for what is no such file."""
    submission = competition.settings.submission
    key = submission.id
    try:
        frame = read_table(path, as_text=[key])
        frame.index = frame.pop(key).str.strip() if key else frame.index.astype("str")
        frame = frame.drop(columns=[*submission.copied]).astype("float64")
    except (KitError, OSError, ValueError, KeyError, TypeError):
        return None
    return frame if frame.index.is_unique else None
