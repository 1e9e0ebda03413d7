"""Permutation importance on out-of-fold rows: what a column is worth to the fold's own model.

A fold's validated rows are predicted by the model that has not seen them, once as they are and once
with one column shuffled; how much the metric loses is the column's importance (Breiman, "Random
Forests", 2001; on held-out rows: Fisher, Rudin and Dominici, 2019). Columns that say the same share
it: shuffled one at a time, each looks as if it were not needed.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kit.competition import Competition
from kit.dataset import Dataset
from kit.errors import KitError, RunError
from kit.execution.context import FoldContext, load_context
from kit.execution.task import FoldTask, run_folds
from kit.refit.members import refuse_changed, spec_of
from kit.refit.saved import fitted_folders, load_fitted, refuse_foreign
from kit.report.material import Truth
from kit.runs import Run

ROWS = 2_000
"""Of a fold so many rows are predicted at most."""
COLUMNS = 300
"""So many columns are shuffled at most, the first ones."""
SECONDS = 30.0
"""No further fold or repetition is begun after that."""
_REPEATS = 3

Predict = Callable[[Any], NDArray[np.float64]]


@dataclass(frozen=True, kw_only=True)
class Importance:
    """How much the metric loses without a column.

    Attributes:
        names: of the columns, the most important first.
        losses: mean over folds and repetitions, in units of the metric, positive: worse without.
        errors: their standard errors: over folds; of one fold over repetitions, which is what the
            shuffling alone makes them differ; nan for one repetition.
        folds: how many folds were looked at, of how many.
        rows: validated rows of these that were predicted.
        left_out: columns that were not looked at.
        refitted: whether a fold was fitted again for it.
    """

    names: tuple[str, ...]
    losses: NDArray[np.float64]
    errors: NDArray[np.float64]
    folds: tuple[int, int]
    rows: int
    left_out: int
    refitted: bool


def importance(
    competition: Competition, run: Run, dataset: Dataset, truth: Truth, *, refit: bool = False
) -> Importance | None:
    """Shuffle every column in the validated rows of a run's folds.

    Args:
        competition: whose run it is.
        run: a run of kind "cv".
        dataset: the data.
        truth: its out-of-fold predictions.
        refit: fit its first fold again where it kept no models.

    Returns:
        None where it kept no models and `refit` is off, or where the metric is not there.

    Raises:
        KitError: data or code have changed since, or the models cannot be read.
    """
    if run.kind != "cv" or truth.metric is None:
        return None
    folders = fitted_folders(run.path / "models")
    if not folders and not refit:
        return None
    spec = spec_of(run)
    refuse_changed(run, competition, dataset.digests, [spec.use])
    context = load_context(competition) if not folders else None
    with tempfile.TemporaryDirectory() as scratch:
        if context is not None:
            folders = _refitted(run, context, Path(scratch))
        else:
            refuse_foreign(run, competition)
        return _of_folders(folders, run, competition, dataset, truth, refitted=context is not None)


def _refitted(run: Run, context: FoldContext, scratch: Path) -> list[Path]:
    """The first fold's model, fitted again as `kit cv` would."""
    if run.folds != context.folds.digest:
        raise RunError(f"{run.id} was validated on other folds than kit.toml makes now")
    stopping = str(run.record["early_stopping"])
    task = FoldTask(
        model=run.model,
        spec=spec_of(run),
        folds=(0,),
        seed=int(run.record["seed"]),
        threads=1,
        early_stopping="inner" if stopping == "cross" else stopping,  # of one fold alone
        results=scratch,
        models=scratch / "models",
    )
    run_folds(task, context)
    return fitted_folders(scratch / "models")


def _of_folders(
    folders: list[Path],
    run: Run,
    competition: Competition,
    dataset: Dataset,
    truth: Truth,
    *,
    refitted: bool,
) -> Importance:
    names = [str(name) for name in dataset.X.columns][:COLUMNS]
    started, rng = time.monotonic(), np.random.default_rng(0)
    found: list[NDArray[np.float64]] = []  # per fold (repetitions, columns)
    rows, seen = 0, 0
    for folder in folders:
        if found and time.monotonic() - started > SECONDS:
            break
        at = np.flatnonzero(truth.fold == int(folder.name.rpartition("-")[2]))
        if len(at) > ROWS:
            at = np.sort(rng.choice(at, ROWS, replace=False))
        fitted = load_fitted(folder, run, competition)
        losses = _of_fold(fitted, dataset.X.iloc[truth.rows[at]], truth, at, names, rng, started)
        if losses:
            found.append(np.stack(losses))
            rows, seen = rows + len(at), seen + 1
    if not found:
        raise RunError("the metric has no value on the rows of any one fold")
    table = np.stack([losses.mean(axis=0) for losses in found])
    mean = table.mean(axis=0)
    # repetitions on the same rows with the same model are no further evidence
    draws = table if len(table) > 1 else found[0]
    error = draws.std(axis=0, ddof=1) / np.sqrt(len(draws)) if len(draws) > 1 else mean * np.nan
    order = np.argsort(-mean, kind="stable")
    return Importance(
        names=tuple(names[k] for k in order),
        losses=mean[order],
        errors=error[order],
        folds=(seen, len(run.record["score"]["folds"])),
        rows=rows,
        left_out=len(dataset.X.columns) - len(names),
        refitted=refitted,
    )


def _of_fold(
    predict: Predict,
    X: Any,
    truth: Truth,
    at: NDArray[np.int64],
    names: list[str],
    rng: np.random.Generator,
    started: float,
) -> list[NDArray[np.float64]]:
    """One array of losses per repetition; none where the metric has no value."""
    metric = truth.metric
    if metric is None or not len(at):
        return []

    def loss(rows: Any) -> float:
        pred = predict(rows)
        labels = truth.decision.apply(pred) if metric.needs == "label" else pred
        return metric.loss(truth.target[at], labels)

    try:
        base = loss(X)
        found = []
        for repeat in range(_REPEATS):
            if repeat and time.monotonic() - started > SECONDS:
                break
            found.append(np.array([loss(_shuffled(X, name, rng)) - base for name in names]))
    except KitError:
        return []
    return found


def _shuffled(X: Any, name: str, rng: np.random.Generator) -> Any:
    order = rng.permutation(len(X))
    shuffled = X.copy(deep=False)  # `assign` takes no column called "self"
    shuffled[name] = X[name].array.take(order)
    return shuffled
