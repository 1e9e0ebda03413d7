"""What a search for weights minimises: the metric, for one step towards every member at once.

A step goes from a blend to ``(1 - share) * blend + share * member``. For the metrics that matter
most the loss of a step is had without calling the metric: squared errors from one matrix of
products, log loss from the probabilities of the truth alone, ROC AUC from one sort of integers,
labels from confusion counts. Any other metric is called once per member.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from kit.decision import (
    Decision,
    confusion_counts,
    default_decision,
    fit_decision,
    thresholds_between,
)
from kit.metrics.base import Metric, UndefinedMetric
from kit.ordinal import positions
from kit.settings import TaskType

Array = NDArray[np.float64]
Back = Callable[[Array], Array]

_CLIP = 1e-15
_SQUARES = ("rmse", "mse", "rmsle", "r2", "brier")
_LOG_LOSSES = ("log_loss", "balanced_log_loss")
_PAIRS = ("roc_auc", "gini")
_MAX_ROWS = 1_000_000
"""Rows a search looks at. Source: AutoGluon evaluates its ensemble selection on so many."""
_SLOW_ROWS = 100_000
"""The same for metrics that sort the rows or have to be called for every step."""
_MAX_VALUES = 100_000_000
"""Predictions a search looks at (800 MB)."""
_CUTS = 100
"""Thresholds that a step of a search tries."""


class Objective(Protocol):
    """Losses of blends of given members; smaller is better."""

    def along(self, weights: Array, share: float) -> Array:
        """Losses of ``(1 - share) * blend + share * member``, one per member.

        Args:
            weights: of the blend to start from, sum 1 (or all 0 with a share of 1).
            share: of the step.
        """
        ...


def make_objective(
    metric: Metric,
    task: TaskType,
    oof: Array,
    y: NDArray[Any],
    back: Back,
    fold: NDArray[Any] | None = None,
) -> Objective:
    """The quickest objective for a metric.

    Args:
        metric: what is scored.
        task: the task.
        oof: predictions on the scale on which they are averaged. ``(m, n, k)``
        y: truth. ``(n,)`` or ``(n, k)``; of a weighted metric beside the weights
        back: from that scale to the predictions the metric wants.
        fold: fold per row, by which is judged whether a metric of labels wants another rule than
            the default; None: the default. ``(n,)``
    """
    known = metric.name if _ours(metric) else ""
    truth, weight = metric.parts(y)
    if weight is not None and not weight.any():
        raise UndefinedMetric(f"{metric.name} has no value: all {len(weight)} weights are 0")
    if known in _SQUARES:
        return _Squares(known, oof, _target(known, task, truth, oof.shape[2]), weight)
    if known in _LOG_LOSSES:
        return _LogLoss(truth_probability(task, oof, truth), weight)
    if counts_pairs(metric):
        return _Auc(oof, _target(known, task, truth, oof.shape[2]) > 0.5)
    if known == "mae":
        return _Absolute(oof, _target(known, task, truth, oof.shape[2]), weight)
    if metric.ordinal and task == "multiclass":  # cuts come later; a close position is half of it
        target = np.asarray(truth, dtype=np.float64)[:, None]
        return _Squares("rmse", positions(oof)[:, :, None], target, weight)
    if metric.needs == "label":
        return _of_labels(metric, task, oof, y, fold)
    return _Called(metric, oof, y, back)


def most_rows(metric: Metric, per_row: int) -> int:
    """How many rows a search looks at, where every row has `per_row` predictions."""
    rows = _MAX_ROWS if _ours(metric) and metric.name in (*_SQUARES, *_LOG_LOSSES) else _SLOW_ROWS
    return min(rows, max(_SLOW_ROWS, _MAX_VALUES // per_row))


def counts_pairs(metric: Metric) -> bool:
    """Whether only pairs of rows of different classes count, so that the classes' shares do not."""
    return _ours(metric) and metric.name in _PAIRS and not metric.counts_rows


def _ours(metric: Metric) -> bool:
    """Whether the function is kit's own, so that its name says what it computes."""
    return str(getattr(metric.function, "__module__", "")).startswith("kit.metrics.")


def _target(name: str, task: TaskType, y: NDArray[Any], width: int) -> Array:
    """Truth as columns ``(n, k)`` on the scale of the predictions."""
    if task == "multiclass":
        return np.eye(width)[y]
    columns = np.asarray(y, dtype=np.float64).reshape(len(y), -1)
    return np.log1p(columns) if name == "rmsle" else columns


def truth_probability(task: TaskType, oof: Array, y: NDArray[Any]) -> Array:
    """Probability every member gives to what happened; mixing members mixes them alike.

    Shape:
        ``(m, n, k)`` -> ``(m, n)``, multilabel ``(m, n * k)``.
    """
    if task == "multiclass":
        total = oof.sum(axis=2)
        right = np.take_along_axis(oof, np.asarray(y)[None, :, None], axis=2)[:, :, 0]
        return np.asarray(right / np.where(total > 0, total, 1.0))
    happened = np.asarray(y).reshape(1, len(y), -1) == 1
    return np.where(happened, oof, 1.0 - oof).reshape(len(oof), -1)


class _Squares:
    """Squared errors: quadratic in the weights, so rows are looked at once."""

    def __init__(self, name: str, oof: Array, target: Array, weight: Array | None = None) -> None:
        errors = oof - target  # (m, n, k)
        if weight is not None:
            errors *= np.sqrt(weight / weight.mean())[:, None]
        self.products = np.einsum("ank,bnk->kab", errors, errors, optimize=True) / len(target)
        middle = np.average(target, axis=0, weights=weight)
        spread = np.average((target - middle) ** 2, axis=0, weights=weight)
        self.scale = 1.0 / np.where(spread > 0, spread, np.inf) if name == "r2" else None
        self.root = name in ("rmse", "rmsle")

    def along(self, weights: Array, share: float) -> Array:
        base = (1.0 - share) * weights
        crossed = self.products @ base  # (k, m)
        own = np.diagonal(self.products, axis1=1, axis2=2)
        squares = (crossed @ base)[:, None] + 2.0 * share * crossed + share**2 * own
        squares = np.maximum(squares, 0.0)
        if self.root:
            squares = np.sqrt(squares)
        elif self.scale is not None:
            squares = squares * self.scale[:, None]
        return np.asarray(squares.mean(axis=0))


class _Absolute:
    def __init__(self, oof: Array, target: Array, weight: Array | None = None) -> None:
        errors = oof - target
        if weight is not None:
            errors *= (weight / weight.mean())[:, None]
        self.errors = errors.reshape(len(oof), -1)

    def along(self, weights: Array, share: float) -> Array:
        base = (1.0 - share) * weights @ self.errors
        return np.array([np.abs(base + share * error).mean() for error in self.errors])


class _LogLoss:
    def __init__(self, right: Array, weight: Array | None = None) -> None:
        self.right, self.weight = right, weight

    def along(self, weights: Array, share: float) -> Array:
        base = (1.0 - share) * weights @ self.right
        losses = np.empty(len(self.right))
        for index, member in enumerate(self.right):
            mixed = base + share * member
            np.clip(mixed, _CLIP, 1.0, out=mixed)
            losses[index] = -np.average(np.log(mixed, out=mixed), weights=self.weight)
        return losses


class _Auc:
    """Mean area over the columns whose truth varies."""

    def __init__(self, oof: Array, positive: NDArray[np.bool_]) -> None:
        varies = positive.any(axis=0) & ~positive.all(axis=0)
        if not varies.any():
            raise UndefinedMetric("roc_auc needs rows of two classes; all rows are of one")
        self.columns = [
            (np.ascontiguousarray(oof[:, :, j], dtype=np.float32), positive[:, j].astype(np.int32))
            for j in np.flatnonzero(varies)
        ]

    def along(self, weights: Array, share: float) -> Array:
        losses = np.zeros(len(self.columns[0][0]))
        step = np.float32(share)
        for members, positive in self.columns:
            base = ((1.0 - share) * weights).astype(np.float32) @ members
            losses -= [area(base + step * member, positive) for member in members]
        return losses / len(self.columns)


def area(scores: NDArray[np.float32], positive: NDArray[np.int32]) -> float:
    """ROC AUC by one sort of integers whose last bit is the truth; ties count half.

    float32 scores of 0 or more keep their order as integers; the bit that the truth takes leaves
    23 bits, so scores closer than 1e-7 of their size are ties.
    """
    keys = scores.view(np.int32)
    if scores.min() < 0:  # the larger a negative float, the smaller it is as an integer
        keys = np.where(keys < 0, np.int32(-(2**31)) - keys, keys)
    keys = np.sort((keys & np.int32(-2)) | positive)
    at = np.flatnonzero(keys & 1)  # (positives,)
    pairs = float(at.sum() - len(at) * (len(at) - 1) // 2)
    tied = np.flatnonzero((keys[1:] ^ keys[:-1]) == 1)  # a negative, then a positive like it
    if len(tied):
        high = keys[tied + 1]
        first, middle = np.searchsorted(keys, high & -2), np.searchsorted(keys, high)
        pairs -= 0.5 * ((middle - first) * (np.searchsorted(keys, high, "right") - middle)).sum()
    return pairs / (len(at) * (len(keys) - len(at)))


def _of_labels(
    metric: Metric, task: TaskType, oof: Array, y: NDArray[Any], fold: NDArray[Any] | None
) -> Objective:
    """Labels as they will be made: by the default rule, or by another where that pays.

    At 0.5 the F1 of a rare class is high for what is falsely sure, not for what ranks well. So the
    rule is the one that the mean of the members would get. Two classes are cut anew for each blend
    where the mean or the best member would be cut elsewhere.
    """
    truth = metric.parts(np.asarray(y))[0]
    some = task == "multilabel" and bool(truth.any(axis=1).all())
    default = default_decision(task, oof.shape[2], some=some)
    if fold is None:
        return _Labels(metric, task, oof, y, default)
    rule = fit_decision(metric, task, y, oof.mean(axis=0), fold).decision
    if task == "binary" and metric.from_counts is not None:
        cut = _Cut(metric, task, oof, y, default)
        best = oof[int(cut.along(np.zeros(len(oof)), 1.0).argmin())]
        if rule != default or fit_decision(metric, task, y, best, fold).decision != default:
            return cut
    return _Labels(metric, task, oof, y, rule)


class _Labels:
    """Labels, and a little log loss: counting labels is coarse, so many steps tie.

    A search on log loss alone would be smooth, but it drops models that rank well and are unsure
    (measured: extra trees on handwritten digits).
    """

    def __init__(
        self,
        metric: Metric,
        task: TaskType,
        oof: Array,
        y: NDArray[Any],
        rule: Decision,
        smooth: float = 1e-4,
    ) -> None:
        self.metric, self.oof, self.y, self.smooth = metric, oof, np.asarray(y), smooth
        self.truth, self.weight = metric.parts(self.y)
        self.rule = rule
        self.log_loss = _LogLoss(truth_probability(task, oof, self.truth), self.weight)
        self.size = max(2, oof.shape[2]) if self.truth.ndim == 1 else 0
        # a class a row: comparing long rows is many times quicker than argmax over few columns
        classes = np.moveaxis(oof, 2, 1).astype(np.float32) if task == "multiclass" else None
        if classes is not None and rule.kind == "prior":
            classes /= np.asarray(rule.values, dtype=np.float32)[:, None]
        self.columns = None if classes is None else np.ascontiguousarray(classes)  # (m, K, n)

    def along(self, weights: Array, share: float) -> Array:
        losses = self.smooth * self.log_loss.along(weights, share)
        if self.columns is not None:
            shares = ((1.0 - share) * weights).astype(np.float32)
            mixed = np.tensordot(shares, self.columns, axes=1)  # (K, n)
            labels = (_largest(mixed + np.float32(share) * each) for each in self.columns)
        else:
            base = np.tensordot((1.0 - share) * weights, self.oof, axes=1)
            labels = (self.rule.apply(base + share * each) for each in self.oof)
        return losses + np.array([self._loss(each) for each in labels])

    def _loss(self, labels: NDArray[np.int64]) -> float:
        if self.metric.from_counts is None or not self.size:
            return self.metric.loss(self.y, labels)
        size = self.size
        counts = np.bincount(self.truth * size + labels, self.weight, size**2).reshape(size, size)
        score = float(self.metric.from_counts(counts))
        return -score if self.metric.greater_is_better else score


class _Cut(_Labels):
    """Labels of two classes, each blend cut where it is best."""

    def __init__(
        self, metric: Metric, task: TaskType, oof: Array, y: NDArray[Any], rule: Decision
    ) -> None:
        super().__init__(metric, task, oof, y, rule)
        flat = oof.ravel()
        self.thresholds = thresholds_between(flat[:: 1 + len(flat) // _MAX_ROWS], _CUTS)
        self.one_fold = np.zeros(len(self.y), dtype=np.int64)

    def along(self, weights: Array, share: float) -> Array:
        losses = self.smooth * self.log_loss.along(weights, share)
        base = (1.0 - share) * weights @ self.oof[:, :, 0]
        best = [self._best(base + share * each) for each in self.oof[:, :, 0]]
        return losses - best if self.metric.greater_is_better else losses + best

    def _best(self, p: Array) -> float:
        counts = confusion_counts(self.truth, self.weight, p, self.one_fold, self.thresholds)
        scores = cast(Any, self.metric.from_counts)(counts[:, 0])
        return float(np.nanmax(scores) if self.metric.greater_is_better else np.nanmin(scores))


def _largest(rows: NDArray[np.float32]) -> NDArray[np.int64]:
    """The row of the largest value of each column, the first of equal ones. ``(K, n)``."""
    best, found = rows[0].copy(), np.zeros(rows.shape[1], dtype=np.int64)
    for index in range(1, len(rows)):
        np.putmask(found, rows[index] > best, index)
        np.maximum(best, rows[index], out=best)
    return found


class _Called:
    def __init__(self, metric: Metric, oof: Array, y: NDArray[Any], back: Back) -> None:
        self.metric, self.oof, self.y, self.back = metric, oof, y, back

    def along(self, weights: Array, share: float) -> Array:
        base = np.tensordot((1.0 - share) * weights, self.oof, axes=1)
        return np.array(
            [self.metric.loss(self.y, self.back(base + share * member)) for member in self.oof]
        )
