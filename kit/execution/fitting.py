"""One fold's fit: where to stop, and how much rows count."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from kit.errors import ConfigError
from kit.inner import InnerSplit
from kit.mapped import is_on_disk, rows_on_disk
from kit.models.base import FoldRows, Model, Problem, RowWeights

REFIT_ROWS = 50_000
"""Up to so many training rows an early-stopped model is fitted again on all of them; of series on
any number, for the rows that were held out are the newest ones."""


def fit_fold(
    unfitted: Model,
    rows: FoldRows,
    inner: InnerSplit,
    problem: Problem,
    early_stopping: str,
    folder: Path | None = None,
    series: bool = False,
) -> Model:
    """Fit one fold, with early stopping where the model knows it.

    "inner" stops on the training rows that belong to the next fold: they keep groups, blocks of
    time and classes together exactly as validation does; rows too near to them are left out. A
    model that can be told where to stop is then fitted once more on all training rows.

    Args:
        unfitted: the model.
        rows: the fold.
        inner: which training rows to stop on, and which to learn from meanwhile.
        problem: what is learned.
        early_stopping: "inner" or "fold", see `CVSpec`.
        folder: on whose disk parts of a table on the disk are put.
        series: whether rows are series over time.
    """
    X, y, weight = rows.X, rows.y, None if rows.weight is None else rows.weight.train
    if not unfitted.stops_early:
        return fit_rows(unfitted, X, y, problem, weight)
    if early_stopping == "fold":
        valid = (rows.X_valid, rows.y_valid)
        return clone(unfitted).fit(X, y, problem=problem, valid=valid, **_counting(rows.weight))
    budget = unfitted.refit_parameter
    again = budget is not None and (series or len(y) <= REFIT_ROWS)
    first = fit_stopping(unfitted, X, y, half(problem) if again else problem, inner, weight, folder)
    if not again or not first.best_iteration_:
        return first
    told = clone(unfitted).set_params(**{str(budget): first.best_iteration_})
    refitted = fit_rows(told, X, y, problem, weight)
    refitted.best_iteration_, refitted.curve_ = first.best_iteration_, first.curve_
    refitted.cut_ |= first.cut_
    return refitted


def fit_rows(
    unfitted: Model,
    X: Any,
    y: NDArray[Any],
    problem: Problem,
    weight: NDArray[np.float64] | None = None,
) -> Model:
    """Fit to the end."""
    return clone(unfitted).fit(X, y, problem=problem, **_counting(row_weights(weight)))


def fit_stopping(
    unfitted: Model,
    X: Any,
    y: NDArray[Any],
    problem: Problem,
    inner: InnerSplit,
    weight: NDArray[np.float64] | None = None,
    folder: Path | None = None,
) -> Model:
    """Fit on some rows, stop where others are predicted best."""
    learned, stops = inner
    valid = (chosen(X, stops, folder), y[stops])
    given = None if weight is None else row_weights(weight[learned], weight[stops])
    kept = chosen(X, learned, folder)
    return clone(unfitted).fit(kept, y[learned], problem=problem, valid=valid, **_counting(given))


def row_weights(
    train: NDArray[np.float64] | None, valid: NDArray[np.float64] | None = None
) -> RowWeights | None:
    """Weights on the scale that models are given: 1 on average; None stays None.

    Penalties, leaf sizes and step sizes then mean what they mean without weights. Rows to stop on
    that count nothing at all count the same.
    """
    if train is None:
        return None
    if valid is not None:
        valid = valid / valid.mean() if valid.any() else np.ones(len(valid))
    return RowWeights(train / train.mean(), valid)


def check_weights(model: Model, name: str) -> None:
    """Raise `ConfigError` where rows count differently and a model cannot be told of it."""
    if not model.takes_weights:
        own = getattr(model, "estimator", model)
        raise ConfigError(
            f"rows count differently (columns.weight, or a metric that balances classes), however "
            f"the model {name!r} ({type(own).__name__}) cannot be fitted with weights.\n"
            f"  Set models.{name}.weighted = false to fit it as if all rows counted the same; they "
            "still count in the score."
        )


def half(problem: Problem) -> Problem:
    """The same with half of the time: the second fit needs the other half."""
    return part(problem, 1 / 2)


def part(problem: Problem, share: float) -> Problem:
    """The same with a share of the time; other fits need the rest."""
    if problem.deadline is None:
        return problem
    now = time.monotonic()
    return replace(problem, deadline=now + share * (problem.deadline - now))


def chosen(X: Any, mask: NDArray[np.bool_], folder: Path | None = None) -> Any:
    """Some rows of a frame or a matrix; of a table on the disk they are on the disk, too."""
    if folder is not None and is_on_disk(X):
        return rows_on_disk(X, mask, folder)
    return X.loc[mask] if hasattr(X, "loc") else X[mask]


def _counting(weight: RowWeights | None) -> dict[str, Any]:
    """The argument, where there is one: models of `model.py` need not know of it."""
    return {} if weight is None else {"weight": weight}
