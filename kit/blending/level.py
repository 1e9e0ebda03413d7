"""What blends are fitted on, and the scale on which predictions are averaged."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kit.blending.objective import Objective, counts_pairs, make_objective, most_rows
from kit.metrics.base import Metric
from kit.metrics.transforms import transform_pair
from kit.settings import TaskType

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Scale:
    """The scale on which predictions are averaged, and the way back.

    Attributes:
        transform: that of the metric (`rmsle`: log1p).
        task: the task.
    """

    transform: str
    task: TaskType

    def link(self, predictions: Array) -> Array:
        """From predictions to the scale."""
        return np.asarray(transform_pair(self.transform, self.task)[0](predictions))

    def back(self, values: Array) -> Array:
        """From the scale to predictions; probabilities stay probabilities.

        Weights below 0 can push probabilities out of 0..1: they are cut, and rows of classes are
        divided by their sum.

        Shape:
            ``(n, k)`` -> ``(n, k)``
        """
        if self.task in ("regression", "multitarget"):
            return np.asarray(transform_pair(self.transform, self.task)[1](values))
        return distribution(values) if self.task == "multiclass" else np.clip(values, 0.0, 1.0)


@dataclass(frozen=True, kw_only=True)
class Level:
    """Out-of-fold predictions of several members, with truth and folds, in one row order.

    Attributes:
        metric: what is scored.
        task: the task.
        oof: predictions in their richest form. ``(m, n, k)``
        y: truth. ``(n,)`` or ``(n, k)``
        fold: fold per row, 0 or more. ``(n,)``
        fold_weights: how much each fold counts in a search, 1 at most; None: all alike.
            ``(n_splits,)``
    """

    metric: Metric
    task: TaskType
    oof: Array
    y: NDArray[Any]
    fold: NDArray[Any]
    fold_weights: Array | None = None

    @property
    def scale(self) -> Scale:
        """The scale on which predictions are averaged."""
        return Scale(self.metric.transform, self.task)

    def rows(self, chosen: NDArray[Any]) -> Level:
        """The same with some of the rows."""
        return replace(self, oof=self.oof[:, chosen], y=self.y[chosen], fold=self.fold[chosen])

    def objective(self) -> Objective:
        """What a search for weights minimises, on a subsample where there are many rows."""
        level = self.searched()
        scale = level.scale
        oof = scale.link(level.oof)
        return make_objective(level.metric, level.task, oof, level.y, scale.back, level.fold)

    def searched(self) -> Level:
        """The rows that a search for weights looks at."""
        level = self._thinned()
        limit = most_rows(self.metric, len(self.oof) * self.oof.shape[2])
        if len(level.y) <= limit:
            return level
        if level.task == "binary" and counts_pairs(level.metric):
            return level.rows(_sample_of_pairs(level.y, limit))
        return level.rows(sample(len(level.y), limit))

    def _thinned(self) -> Level:
        """Fewer rows of the folds that count less: that works with any metric."""
        if self.fold_weights is None:
            return self
        share = self.fold_weights[self.fold]
        drawn = np.random.default_rng(0).random(len(share)) < share / share.max(initial=1e-9)
        return self.rows(np.flatnonzero(drawn))


def sample(n: int, limit: int) -> NDArray[np.int64]:
    """Ascending positions of at most `limit` of `n` rows; the same ones every time."""
    if n <= limit:
        return np.arange(n)
    return np.sort(np.random.default_rng(0).choice(n, size=limit, replace=False))


def _sample_of_pairs(y: NDArray[Any], limit: int) -> NDArray[np.int64]:
    """As many rows of both classes, or all of a rare one: only pairs of different classes count."""
    few, many = sorted((np.flatnonzero(y == 0), np.flatnonzero(y != 0)), key=len)
    few = few[sample(len(few), limit // 2)]
    return np.sort(np.concatenate([few, many[sample(len(many), limit - len(few))]]))


def distribution(values: Array) -> Array:
    """Rows cut at 0 that sum to 1; a row with nothing left says nothing. ``(n, K)``."""
    values = np.clip(values, 0.0, None)
    total = values.sum(axis=1, keepdims=True)
    even = np.full_like(values, 1.0 / values.shape[1])
    return np.asarray(np.divide(values, total, out=even, where=total > 0))
