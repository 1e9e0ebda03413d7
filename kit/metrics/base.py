"""A metric: a function, its direction, and what it needs to be given.

Owns: the shapes below, averaging over columns, and finding a metric by name. Must not import
scikit-learn; the modules beside this one do.

Shapes (``n`` rows, ``K`` classes, ``t`` target columns):

=============  =====================  =============================  ===========================
task           y_true                 pred, value / proba / rank     pred, label
=============  =====================  =============================  ===========================
binary         (n,) codes 0 and 1     (n, 1) P(classes[1])           (n,) codes
multiclass     (n,) codes 0..K-1      (n, K) probabilities           (n,) codes
multilabel     (n, t) of 0 and 1      (n, t) probabilities           (n, t) of 0 and 1
regression     (n,) floats            (n, 1) values                  -
multitarget    (n, t) floats          (n, t) values                  -
=============  =====================  =============================  ===========================
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kit.errors import ConfigError, DataError, UnknownName
from kit.registry import METRICS
from kit.settings import TaskType

Needs = Literal["value", "label", "proba", "rank"]
Transform = Literal["none", "log1p", "signed_log"]
Deviation = Literal["squared", "absolute"]

# A sum of float32 probabilities may leave 0..1 by this much without being wrong.
_TOLERANCE = 1e-5


class UndefinedMetric(DataError):
    """The truth of these rows leaves the metric without a value, e.g. one class only."""


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A metric in the units of the leaderboard.

    Attributes:
        name: registered name.
        function: ``(y_true, pred) -> float``. Gets 1-D arrays, except for the probabilities of
            a multiclass task (n, K), and except for 2-D truth when `averaged` is false.
        greater_is_better: direction.
        needs: "value", "label" (codes made by a `kit.decision.Decision`), "proba" (probabilities)
            or "rank" (only the order of the predictions counts).
        tasks: the tasks it is defined for.
        transform: the scale on which models are trained and predictions are averaged.
        deviation: what models make small on that scale: squared or absolute errors.
        averaged: with several target columns, score each and take the mean, without those where
            the metric is undefined by their truth alone; otherwise `function` gets 2-D arrays.
        from_counts: the same score from confusion counts ``(..., K, K)`` [true, predicted], for
            label metrics; makes the search for a decision quick.
        ordinal: the classes are steps of a scale: labels may be cut from the expected step.
        code: digest of the competition's own code it comes from; "" for kit's metrics. Scores of
            different code are different metrics.
        column: for a label metric with `averaged` false, the metric whose best threshold in each
            column is also the best for the whole.
        weighted: `function` takes a third array, and the truth has a second column: the weight of
            each row (`kit.metrics.weighted`). `tasks` is then one task.
        balanced: every class of the truth counts the same, however many rows it has. `function`
            takes weights; models are fitted with weights, too.
        counts: of a truth of one column, which rows count at all; None: all of them. Models do not
            learn from the others: on another scale than the metric's they may weigh the most.
        description: one line, with the source where there is one.
    """

    name: str
    function: Callable[[NDArray[Any], NDArray[Any]], float]
    greater_is_better: bool
    needs: Needs
    tasks: tuple[TaskType, ...]
    transform: Transform = "none"
    deviation: Deviation = "squared"
    averaged: bool = True
    from_counts: Callable[[NDArray[Any]], NDArray[Any]] | None = None
    ordinal: bool = False
    column: Metric | None = None
    code: str = ""
    weighted: bool = False
    balanced: bool = False
    counts: Callable[[NDArray[Any]], NDArray[np.bool_]] | None = None
    description: str = ""

    @property
    def counts_rows(self) -> bool:
        """Whether rows count differently, by their weight or by their class."""
        return self.weighted or self.balanced

    @property
    def identity(self) -> tuple[str, str]:
        """Name and code: what two scores must share to be compared."""
        return self.name, self.code

    def score(self, y_true: ArrayLike, pred: ArrayLike) -> float:
        """What the leaderboard shows.

        Args:
            y_true: truth, see the table at the top of this module.
            pred: predictions in their richest form, or labels when `needs` is "label".

        Raises:
            UndefinedMetric: the metric has no value on these rows.
            DataError: predictions are not finite, or the shapes do not fit.
        """
        truth, weight = self.parts(np.asarray(y_true))
        truth, prediction = self._checked(truth, np.asarray(pred))
        if weight is not None:
            counts = weight > 0
            if not counts.any():
                raise UndefinedMetric(f"{self.name} has no value: all {len(weight)} weights are 0")
            return self._value(truth[counts], prediction[counts], weight[counts])
        if truth.ndim == 2 and self.averaged:
            return self._mean_over_columns(truth, prediction)
        return self._value(truth, prediction)

    def parts(self, y_true: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.float64] | None]:
        """The truth proper, and the weight of each row; None where all rows count the same.

        Shape:
            ``(n, 2)`` -> ``(n,)`` int64 codes or float64 values, ``(n,)`` float64; without weights
            the truth as it is.
        """
        truth, weight = y_true, None
        if self.weighted:
            truth, weight = np.asarray(y_true, dtype=np.float64).T
            truth = truth if "regression" in self.tasks else truth.astype(np.int64)
        if self.balanced:
            weight = balanced_weights(truth, weight)
        return truth, weight

    def refuse(self, y_true: NDArray[Any], weight: NDArray[np.float64] | None = None) -> None:
        """Refuse a target that the metric cannot score, before anything is trained on it.

        Args:
            y_true: truth ``(n,)`` or ``(n, t)`` of a task of numbers; others are left alone.
            weight: how much each row counts ``(n,)``; what counts nothing may be anything.

        Raises:
            DataError: what is wrong with it, e.g. negative values for `rmsle`.
        """
        if self.needs != "value" or self.code or self.weighted:
            return
        y_true = y_true if weight is None else y_true[weight > 0]
        with suppress(UndefinedMetric):  # a fold or a constant column: said where it is met
            self.score(y_true, y_true.reshape(len(y_true), -1))

    def loss(self, y_true: ArrayLike, pred: ArrayLike) -> float:
        """The score, turned so that less is better."""
        score = self.score(y_true, pred)
        return -score if self.greater_is_better else score

    def better(self, a: float, b: float) -> bool:
        """True when score `a` is better than score `b`; nan is worse than any number."""
        if math.isnan(a) or math.isnan(b):
            return math.isnan(b) and not math.isnan(a)
        return a > b if self.greater_is_better else a < b

    def _value(self, *arrays: NDArray[Any]) -> float:
        function: Callable[..., float] = self.function  # with weights it takes three
        value = float(function(*arrays))
        if not math.isfinite(value):
            raise UndefinedMetric(f"{self.name} gives {value} on these {len(arrays[0])} rows")
        return value

    def _mean_over_columns(self, truth: NDArray[Any], pred: NDArray[Any]) -> float:
        scores = []
        reason: UndefinedMetric | None = None
        for column in range(truth.shape[1]):
            try:
                scores.append(self._value(truth[:, column], pred[:, column]))
            except UndefinedMetric as error:
                if self._defined(truth[:, column]):
                    raise
                reason = error
        if reason is not None and not scores:
            raise UndefinedMetric(f"in all {truth.shape[1]} columns: {reason}") from reason
        return float(np.mean(scores))

    def _defined(self, truth: NDArray[Any]) -> bool:  # for a perfect prediction
        with suppress(UndefinedMetric):
            return math.isfinite(self._value(truth, truth))
        return False

    def _checked(
        self, truth: NDArray[Any], pred: NDArray[Any]
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        if len(truth) == 0:
            raise UndefinedMetric(f"{self.name} has no value on 0 rows")
        if len(truth) != len(pred) or (truth.ndim == 2 and truth.shape != pred.shape):
            raise DataError(
                f"{self.name}: truth and predictions must have the same rows and columns. "
                f"Received: {truth.shape} and {pred.shape}"
            )
        for what, values in (("the truth", truth), ("predictions", pred)):
            if not np.isfinite(values).all():
                bad = int((~np.isfinite(values)).sum())
                raise DataError(f"{self.name}: {what} must be finite; {bad} values are not")
        if self.needs == "label":
            return truth, _labels(self.name, truth, pred)
        if self.needs == "proba" and (pred.min() < -_TOLERANCE or pred.max() > 1 + _TOLERANCE):
            raise DataError(
                f"{self.name}: predictions must be probabilities, between 0 and 1. "
                f"Received: {pred.min():.6g} to {pred.max():.6g}"
            )
        one_column = truth.ndim == 1 and pred.ndim == 2 and pred.shape[1] == 1
        return truth, pred[:, 0] if one_column else pred


def _labels(name: str, truth: NDArray[Any], pred: NDArray[Any]) -> NDArray[Any]:
    whole = pred.dtype.kind in "iub" or bool((pred == np.floor(pred)).all())
    if pred.ndim != truth.ndim or not whole:
        raise DataError(
            f"{name}: predictions must be labels (codes of shape {truth.shape}), not "
            f"probabilities. Received: {pred.dtype} of shape {pred.shape}.\n"
            "  A Decision of kit.decision turns probabilities into labels."
        )
    return pred.astype(np.int64)


def balanced_weights(
    codes: NDArray[Any],
    weight: NDArray[np.float64] | None = None,
    counted: NDArray[Any] | slice = slice(None),
) -> NDArray[np.float64]:
    """Weights by which every class counts the same, 1 on average over the rows that are counted.

    Args:
        codes: class per row ``(n,)``.
        weight: how much rows count within their class; None: all the same.
        counted: the rows whose classes are counted: in a fold the training rows. A class that none
            of them has gets the weight of a class of average size.
    """
    rows = np.ones(len(codes)) if weight is None else weight
    size = np.bincount(codes[counted], rows[counted], minlength=int(codes.max()) + 1)
    present = size > 0
    if not present.any():
        return rows
    factor = np.ones(len(size))
    factor[present] = size.sum() / (present.sum() * size[present])
    return np.asarray(rows * factor[codes])


def load_metric(name: str, task: TaskType, local: Callable[[str], Any] | None = None) -> Metric:
    """Find a metric and see that it fits the task.

    A competition's own metric (``metric:attribute``) is a `Metric`, or a plain function
    ``f(y_true, y_pred) -> float`` with the attribute `greater_is_better` and, optionally, `needs`
    ("value" for regression and "proba" for classification otherwise), `transform`, `deviation` and
    `averaged`.

    Args:
        name: registered name or ``module:attribute``.
        task: the competition's task.
        local: resolves ``module:attribute`` in the competition's folder.

    Raises:
        UnknownName: nothing of that name is known.
        ConfigError: the metric does not fit the task, or is not complete.
    """
    found = METRICS.load(name, local)
    metric = found if isinstance(found, Metric) else _wrapped(name, found, task)
    if task not in metric.tasks:
        raise ConfigError(
            f"task.metric {name!r} is not defined for task.type {task!r}, only for "
            f"{', '.join(metric.tasks)}.\n  For {task!r}: {', '.join(_fitting(task))}."
        )
    return metric


def _wrapped(name: str, function: Any, task: TaskType) -> Metric:
    if not callable(function):
        raise ConfigError(
            f"metric {name!r} must be a Metric or a function f(y_true, y_pred) -> float. "
            f"Received: {type(function).__name__}"
        )
    short = getattr(function, "__name__", name.rpartition(":")[2])
    if not isinstance(getattr(function, "greater_is_better", None), bool):
        raise ConfigError(
            f"metric {name!r} does not say which direction is better. Below the function, add:\n"
            f"  {short}.greater_is_better = True   # or False\n"
            f'  {short}.needs = "value"            # or "label", "proba", "rank"'
        )
    continuous = task in ("regression", "multitarget")
    needs = _option(name, function, "needs", "value" if continuous else "proba", Needs)
    return Metric(
        name=name,
        function=function,
        greater_is_better=function.greater_is_better,
        needs=needs,
        tasks=(task,),
        transform=_option(name, function, "transform", "none", Transform),
        deviation=_option(name, function, "deviation", "squared", Deviation),
        averaged=bool(getattr(function, "averaged", True)),
        description=(function.__doc__ or "").strip().partition("\n")[0],
    )


def _option(name: str, function: Any, attribute: str, default: str, choices: Any) -> Any:
    value = getattr(function, attribute, default)
    if value not in get_args(choices):
        raise ConfigError(
            f"metric {name!r}: {attribute} must be one of {', '.join(get_args(choices))}. "
            f"Received: {value!r}"
        )
    return value


def _fitting(task: TaskType) -> list[str]:
    """The registered metrics for `task`."""
    names = []
    for entry in METRICS.entries():
        try:
            metric = METRICS.load(entry.name)
        except UnknownName:  # a broken plugin must not hide the message it would be part of
            continue
        if isinstance(metric, Metric) and task in metric.tasks:
            names.append(entry.name)
    return names
