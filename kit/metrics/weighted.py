"""A metric with a weight per row.

The truth of a weighted metric has two columns, value and weight (`Dataset.truth`), so that whatever
takes some of the rows, folds, blends and nested scores, takes their weights along.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from inspect import signature
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import (
    average_precision_score,
    brier_score_loss,
    log_loss,
    mean_absolute_error,
    mean_absolute_percentage_error,
    r2_score,
    roc_auc_score,
    root_mean_squared_error,
    root_mean_squared_log_error,
)

from kit.errors import ConfigError
from kit.metrics.base import Metric
from kit.settings import TaskType

Array = NDArray[Any]
Weighted = Callable[[Array, Array, Array], float]


def _smape(y: Array, pred: Array, weight: Array) -> float:
    size = np.abs(y) + np.abs(pred)
    ratio = np.divide(np.abs(y - pred), size, out=np.zeros(len(size)), where=size > 0)
    return float(200.0 * np.average(ratio, weights=weight))


def _rmsle(y: Array, pred: Array, weight: Array) -> float:
    error = root_mean_squared_log_error(y, np.clip(pred, 0.0, None), sample_weight=weight)
    return float(error)


def _sklearn(function: Any, y: Array, pred: Array, weight: Array) -> float:
    return float(function(y, pred, sample_weight=weight))


_FUNCTIONS: dict[str, Weighted] = {
    "rmse": partial(_sklearn, root_mean_squared_error),
    "rmsle": _rmsle,
    "mae": partial(_sklearn, mean_absolute_error),
    "mape": partial(_sklearn, mean_absolute_percentage_error),
    "smape": _smape,
    "r2": partial(_sklearn, r2_score),
    "roc_auc": partial(_sklearn, roc_auc_score),
    "average_precision": partial(_sklearn, average_precision_score),
    "log_loss": partial(_sklearn, log_loss),
    "brier": partial(_sklearn, brier_score_loss),
}


def weighted(metric: Metric, column: str, task: TaskType) -> Metric:
    """The same metric over rows that count differently.

    Args:
        metric: kit's own, or a competition's function with a third parameter for the weights.
        column: `columns.weight`; part of what tells scores apart.
        task: regression or binary: one number per row.

    Raises:
        ConfigError: the metric knows no weights, or the task has several numbers per row.
    """
    if task not in ("regression", "binary") or metric.needs == "label":
        raise ConfigError(
            f"columns.weight works with one number per row that is scored as it is (regression, or "
            f"probabilities of a binary task), however task.type is {task!r} and {metric.name!r} "
            f"needs a {metric.needs}"
        )
    function: Any = _FUNCTIONS.get(metric.name) if ":" not in metric.name else metric.function
    if function is None or (":" in metric.name and not _takes_weights(function)):
        known = ", ".join(_FUNCTIONS)
        raise ConfigError(
            f"columns.weight: the metric {metric.name!r} takes no weights. Known with weights: "
            f"{known}, and a function of metric.py with three parameters (y_true, y_pred, weight)"
        )
    code = " ".join(part for part in (metric.code, f"weight {column}") if part)
    return replace(metric, function=function, weighted=True, averaged=False, code=code)


def _takes_weights(function: Any) -> bool:
    return len(signature(function).parameters) >= 3
