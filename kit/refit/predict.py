"""Predictions for the rows of a file, chunk by chunk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kit.atomic import atomic_path
from kit.competition import Competition
from kit.errors import ConfigError
from kit.refit.members import Mixed, Single, refuse_changed, resolve, singles
from kit.refit.rows import NewRows
from kit.refit.saved import load_predictor, transform_of, uses_of
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
        out: where to write; None: `predictions/<file>-<run>.csv` of the competition's folder.
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
    done = 0
    columns: tuple[str, ...] = ()
    with atomic_path(path) as temporary:
        for ids, X in reader.read(file, rows):
            values = predictor.predict(X)
            table = (
                _raw(values, ids, run, shape.header[shape.key])
                if proba
                else written(values, ids, competition, run, shape)
            )
            table.to_csv(
                temporary,
                mode="a" if done else "w",
                header=not done,
                index=False,
                lineterminator="\n",
            )
            done, columns = done + len(table), tuple(table.columns)
    return Predicted(
        path=path,
        rows=done,
        columns=columns,
        notes=(*notes, *reader.notes.sentences(), *reader.images.notes),
    )


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
