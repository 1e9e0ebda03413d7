"""What a network is trained on for each task, and what its outputs mean.

| task | outputs | trained on | loss |
|---|---|---|---|
| binary | 2 scores | both classes, one-hot | cross-entropy |
| multiclass | a score per class | one-hot | cross-entropy |
| multilabel | a score per label | 0 or 1 | binary cross-entropy |
| regression, multitarget | a value per target | standardised | squared or absolute error |
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kit.models.base import Problem

_TINY = 1e-7


@dataclass(frozen=True, kw_only=True)
class Targets:
    """The scale of one fold's target; classes have none.

    Attributes:
        center, scale: of each target in the training rows.
        low, high: predictions are kept within; infinite where nothing is clamped.
    """

    center: NDArray[np.float64]
    scale: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]

    @classmethod
    def of(cls, y: NDArray[Any], problem: Problem, *, clamp: bool) -> Targets:
        """Learned from the training rows' target."""
        if problem.classification:
            zero = np.zeros(1)
            return cls(center=zero, scale=zero + 1, low=zero, high=zero + 1)
        values = np.asarray(y, dtype=np.float64).reshape(len(y), -1)
        low, high = values.min(axis=0), values.max(axis=0)
        if not clamp:
            low, high = np.full_like(low, -np.inf), np.full_like(high, np.inf)
        spread = values.std(axis=0)
        return cls(
            center=values.mean(axis=0),
            scale=np.where(spread > 0, spread, 1.0),
            low=low,
            high=high,
        )

    def encode(self, y: NDArray[Any], problem: Problem, smoothing: float) -> NDArray[np.float32]:
        """What the network is trained on: ``(n, n_scores(problem))``."""
        if problem.task in ("binary", "multiclass"):
            classes = n_scores(problem)
            hard = np.asarray(y, dtype=np.int64)[:, None] == np.arange(classes)
            return (hard * (1 - smoothing) + smoothing / classes).astype(np.float32)
        values = np.asarray(y, dtype=np.float64).reshape(len(y), -1)
        if problem.task == "multilabel":
            return (values * (1 - smoothing) + smoothing / 2).astype(np.float32)
        return ((values - self.center) / self.scale).astype(np.float32)

    def decode(self, outputs: NDArray[Any], problem: Problem) -> NDArray[np.float64]:
        """Predictions ``(n, n_outputs)`` from `activated` outputs ``(n, n_scores)``."""
        values = np.asarray(outputs, dtype=np.float64)
        if problem.task == "binary":
            return np.clip(values[:, 1:], 0.0, 1.0)
        if problem.classification:
            return np.clip(values, 0.0, 1.0)
        return np.clip(values * self.scale + self.center, self.low, self.high)


def n_scores(problem: Problem) -> int:
    """Outputs of the network."""
    return 2 if problem.task == "binary" else problem.n_outputs


def loss(outputs: Any, target: Any, problem: Problem, weight: Any = 1.0) -> Any:
    """Weighted mean loss of raw outputs over rows and heads, per network.

    Args:
        outputs: ``(networks, heads, rows, n_scores)``.
        target: ``(networks, 1, rows, n_scores)``.
        problem: decides the loss.
        weight: ``(networks, 1, rows)``, 1 on average.

    Returns:
        ``(networks,)``: every head's own loss, not the loss of their mean.
    """
    from keras import ops

    if problem.task in ("binary", "multiclass"):
        losses = -ops.sum(target * ops.log_softmax(outputs, axis=-1), axis=-1)
    elif problem.task == "multilabel":
        losses = ops.mean(
            ops.relu(outputs) - outputs * target + ops.softplus(-ops.abs(outputs)), axis=-1
        )
    elif problem.deviation == "absolute":
        losses = ops.mean(ops.abs(outputs - target), axis=-1)
    else:
        losses = ops.mean(ops.square(outputs - target), axis=-1)
    return ops.mean(losses * weight, axis=(1, 2))


def activated(outputs: Any, problem: Problem) -> Any:
    """Probabilities from scores; values stay as they are."""
    from keras import ops

    if problem.task in ("binary", "multiclass"):
        return ops.softmax(outputs, axis=-1)
    return ops.sigmoid(outputs) if problem.task == "multilabel" else outputs


def validation_loss(
    y: NDArray[Any],
    predicted: NDArray[np.float64],
    problem: Problem,
    weight: NDArray[np.float64] | None = None,
    scale: NDArray[np.float64] | float = 1.0,
) -> float:
    """What the best epoch is chosen by: errors for metrics of labels, else the loss.

    Args:
        y: the truth. ``(n,)`` or ``(n, k)``
        predicted: ``(n, n_outputs)``.
        problem: decides the loss.
        weight: how much rows count.
        scale: of each target in the rows that were learned from, which errors are told in: that of
            these rows may be 0, and what a fold tells the others would be all that counts.
    """
    if not problem.classification:
        values = np.asarray(y, dtype=np.float64).reshape(len(y), -1)
        errors = (predicted - values) / scale
        if problem.deviation == "absolute":
            return _mean(np.abs(errors), weight)
        return float(np.sqrt(_mean(errors**2, weight)))
    if problem.task == "multiclass":
        right = predicted[np.arange(len(y)), np.asarray(y, dtype=np.int64)]
        wrong = predicted.argmax(axis=1) != y
    else:
        truth = np.asarray(y, dtype=np.float64).reshape(len(y), -1)
        right = np.where(truth > 0.5, predicted, 1 - predicted)
        wrong = right < 0.5
    logarithmic = _mean(-np.log(np.clip(right, _TINY, 1.0)), weight)
    if problem.needs == "label":  # the log loss breaks ties
        return _mean(wrong, weight) + 1e-4 * logarithmic
    return logarithmic


def _mean(values: NDArray[Any], weight: NDArray[np.float64] | None) -> float:
    """Over rows and, where there are several, outputs."""
    return float(np.average(values.reshape(len(values), -1).mean(axis=1), weights=weight))
