"""Fit on all rows, where no row is left to stop on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.base import clone

from kit.execution.fitting import fit_rows, fit_stopping, half
from kit.folds import Folds
from kit.inner import InnerSplit
from kit.models.base import FoldRows, Model, Problem

FOLDER = "all-rows"
"""The folder of such a model, beside those of the folds."""


@dataclass(frozen=True)
class Stopped:
    """Where fits on a part of the rows stopped.

    Attributes:
        found: rounds or epochs; empty: not known.
        growth: all rows as a multiple of those of such a fit.
    """

    found: tuple[int, ...]
    growth: float


def growth(folds: Folds) -> float:
    """All rows, sealed ones too, as a multiple of those that a fold trains on, on average.

    Where folds go forward it is the last fold: the early ones say little of a fit on all rows.
    """
    counted = range(folds.n_splits - 1 if folds.forward else 0, folds.n_splits)
    parts = [len(folds.train(k)) for k in counted]
    return len(folds.fold) / max(1.0, float(np.mean(parts)))


def fit_all(
    unfitted: Model,
    rows: FoldRows,
    problem: Problem,
    stopped: Stopped,
    inner: InnerSplit,
    folder: Path | None = None,
) -> Model:
    """Fit on all rows; a model that stops early goes on to where fits on a part of them stopped.

    Where that is not known (a time limit cut them, or the model cannot be told) some rows tell
    where to stop; a model that can be told is then fitted again on all rows.

    Args:
        unfitted: the model.
        rows: as its recipe prepared them; none is validated.
        problem: what is learned.
        stopped: where the fits that were validated stopped.
        inner: which rows to stop on, and which to learn from meanwhile; pseudo-labels beyond them
            are learned from.
        folder: on whose disk parts of a table on the disk are put.
    """
    X, y, weight = rows.X, rows.y, None if rows.weight is None else rows.weight.train
    if not unfitted.stops_early:
        return fit_rows(unfitted, X, y, problem, weight)
    can_be_told = unfitted.refit_parameter is not None
    if not (stopped.found and can_be_told):
        inner = inner.longer(len(y))
        share = half(problem) if can_be_told else problem
        first = fit_stopping(unfitted, X, y, share, inner, weight, folder)
        if not (can_be_told and first.best_iteration_):
            return first
        grown = len(y) / max(1, int(inner.learned.sum()))
        stopped = Stopped((int(first.best_iteration_),), grown)
    steps = stopping_point(unfitted, stopped)
    told = clone(unfitted).set_params(**{str(unfitted.refit_parameter): steps})
    fitted = fit_rows(told, X, y, problem, weight)
    fitted.best_iteration_ = steps
    return fitted


def stopping_point(unfitted: Model, stopped: Stopped) -> int:
    """Rounds or epochs for all rows, from those found on a part of them.

    A booster needs a little longer on more rows. In proportion to the rows, n / (n - 1), was too
    far on small data and right on larger; not at all was the reverse; the root of it was never
    the worst and on average the best.

    Measured: hold-out log loss and RMSE on diabetes, breast cancer, wine, Titanic, Spaceship
    Titanic and house prices, three splits each, LightGBM and XGBoost.
    """
    mean = float(np.mean(stopped.found))
    if unfitted.refit_parameter != "n_estimators":
        return max(1, round(mean))
    return max(1, round(mean * stopped.growth**0.5))
