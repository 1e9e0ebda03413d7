"""Metrics of regression. With several targets every one is the mean over the columns.

Owns: the formulas where scikit-learn and SciPy have none, and what happens on constant columns and
negative values.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import ConstantInputWarning, NearConstantInputWarning, pearsonr, rankdata
from sklearn.metrics import (
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    median_absolute_error,
    r2_score,
    root_mean_squared_error,
    root_mean_squared_log_error,
)

from kit.errors import DataError
from kit.metrics.base import Metric, UndefinedMetric
from kit.settings import TaskType

Array = NDArray[Any]
Weight = NDArray[np.float64] | None
"""How much each row counts ``(n,)``; None: all the same."""

_TASKS: tuple[TaskType, ...] = ("regression", "multitarget")


def _rmse(y_true: Array, pred: Array, weight: Weight = None) -> float:
    return float(root_mean_squared_error(y_true, pred, sample_weight=weight))


def _mse(y_true: Array, pred: Array, weight: Weight = None) -> float:
    return float(mean_squared_error(y_true, pred, sample_weight=weight))


def _mae(y_true: Array, pred: Array, weight: Weight = None) -> float:
    return float(mean_absolute_error(y_true, pred, sample_weight=weight))


def _medae(y_true: Array, pred: Array, weight: Weight = None) -> float:
    return float(median_absolute_error(y_true, pred, sample_weight=weight))


def _rmsle(y_true: Array, pred: Array, weight: Weight = None) -> float:
    """Predictions below 0 count as 0; kit writes them as 0 too."""
    if y_true.min() < 0:
        raise DataError(
            f"rmsle needs a target of 0 or more; {int((y_true < 0).sum())} rows are negative, "
            f"down to {y_true.min():.6g}.\n  Is it the right metric? rmse takes any target."
        )
    known = np.clip(pred, 0.0, None)
    return float(root_mean_squared_log_error(y_true, known, sample_weight=weight))


def _mape(y_true: Array, pred: Array, weight: Weight = None) -> float:
    if not y_true.all():
        raise DataError(
            f"mape is not defined where the target is 0; {int((y_true == 0).sum())} rows are.\n"
            "  Use smape or mae."
        )
    return float(mean_absolute_percentage_error(y_true, pred, sample_weight=weight))


def _not_zero(y_true: Array) -> NDArray[np.bool_]:
    return np.asarray(y_true != 0)


def _rmspe(y_true: Array, pred: Array, weight: Weight = None) -> float:
    known = _not_zero(y_true)
    if not known.any():
        raise UndefinedMetric(f"rmspe has no value: all {len(y_true)} rows of the target are 0")
    error = (pred[known] - y_true[known]) / y_true[known]
    counts = None if weight is None else weight[known]
    return float(np.sqrt(np.average(error**2, weights=counts)))


def _smape(y_true: Array, pred: Array, weight: Weight = None) -> float:
    """Mean of 200 |y - p| / (|y| + |p|), with 0 where both are 0."""
    size = np.abs(y_true) + np.abs(pred)
    ratio = np.divide(np.abs(y_true - pred), size, out=np.zeros(len(size)), where=size > 0)
    return float(200.0 * np.average(ratio, weights=weight))


def _varies(name: str, y_true: Array) -> None:
    if y_true.min() == y_true.max():
        raise UndefinedMetric(
            f"{name} needs a target that varies; all {len(y_true)} rows are {y_true[0]:.6g}"
        )


def _r2(y_true: Array, pred: Array, weight: Weight = None) -> float:
    _varies("r2", y_true)
    return float(r2_score(y_true, pred, sample_weight=weight))


def _correlation(y_true: Array, pred: Array) -> float:
    if pred.min() == pred.max():
        return 0.0  # says nothing about the target; nan would let a constant column off the mean
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NearConstantInputWarning)
        warnings.simplefilter("ignore", ConstantInputWarning)
        return float(pearsonr(y_true, pred).statistic)


def _pearson(y_true: Array, pred: Array) -> float:
    _varies("pearson", y_true)
    return _correlation(y_true, pred)


def _spearman(y_true: Array, pred: Array) -> float:
    _varies("spearman", y_true)
    return _correlation(rankdata(y_true), rankdata(pred))


RMSE = Metric(
    name="rmse",
    function=_rmse,
    greater_is_better=False,
    needs="value",
    tasks=_TASKS,
    description="Root mean squared error; several targets: MCRMSE.",
)
MSE = Metric(
    name="mse",
    function=_mse,
    greater_is_better=False,
    needs="value",
    tasks=_TASKS,
    description="Mean squared error.",
)
RMSLE = Metric(
    name="rmsle",
    function=_rmsle,
    greater_is_better=False,
    needs="value",
    tasks=_TASKS,
    transform="log1p",
    description="RMSE of log(1 + value); negative predictions count as 0.",
)
MAE = Metric(
    name="mae",
    function=_mae,
    greater_is_better=False,
    needs="value",
    tasks=_TASKS,
    deviation="absolute",
    description="Mean absolute error.",
)
MEDAE = Metric(
    name="medae",
    function=_medae,
    greater_is_better=False,
    needs="value",
    tasks=_TASKS,
    deviation="absolute",
    description="Median absolute error.",
)
MAPE = Metric(
    name="mape",
    function=_mape,
    greater_is_better=False,
    needs="value",
    tasks=_TASKS,
    transform="signed_log",
    deviation="absolute",
    description="Mean absolute error relative to the target, as a fraction (0.05 = 5 %).",
)
RMSPE = Metric(
    name="rmspe",
    function=_rmspe,
    greater_is_better=False,
    needs="value",
    tasks=_TASKS,
    transform="signed_log",
    counts=_not_zero,
    description="Root mean squared relative error; rows whose target is 0 do not count "
    "(Rossmann, 2015).",
)
SMAPE = Metric(
    name="smape",
    function=_smape,
    greater_is_better=False,
    needs="value",
    tasks=_TASKS,
    transform="signed_log",
    deviation="absolute",
    description="Symmetric relative error in percent, 0..200, as Kaggle computes it.",
)
R2 = Metric(
    name="r2",
    function=_r2,
    greater_is_better=True,
    needs="value",
    tasks=_TASKS,
    description="Coefficient of determination.",
)
PEARSON = Metric(
    name="pearson",
    function=_pearson,
    greater_is_better=True,
    needs="value",
    tasks=_TASKS,
    description="Pearson correlation; a constant prediction scores 0.",
)
SPEARMAN = Metric(
    name="spearman",
    function=_spearman,
    greater_is_better=True,
    needs="rank",
    tasks=_TASKS,
    description="Spearman rank correlation; a constant prediction scores 0.",
)
