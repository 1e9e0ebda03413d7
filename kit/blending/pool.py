"""A second level that is linear: logits (or values) weighted freely, held near the greedy weights.

Weights may be negative and need not sum to 1, so that the pool also sharpens or dampens. What keeps
it from overfitting is where it starts: the penalty pulls to the greedy weights, not to 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kit.blending.calibration import logits, probabilities
from kit.blending.level import Level, Scale, sample
from kit.blending.weighted import Combination
from kit.settings import TaskType

Array = NDArray[np.float64]

_PENALTY = 100.0
_MAX_ROWS = 200_000


@dataclass(frozen=True)
class Pool:
    """Ridge regression on values, logistic regression on logits, one weight per member.

    Source:
        the logarithmic opinion pool: Genest and Zidek,
        "Combining probability distributions" (1986).
    """

    name: str = "stack (linear)"
    noise: float = 1.0
    penalty: float = _PENALTY

    def fits(self, level: Level) -> bool:
        """Whether the loss it minimises is near the metric."""
        return level.metric.needs != "value" or level.metric.name in ("rmse", "mse", "rmsle", "r2")

    def refine(self, level: Level, base: Combination) -> Pooled:
        """Fit on all rows, at most 200,000 of them, starting from the weights of `base`."""
        level = level.rows(sample(len(level.y), _MAX_ROWS))
        if level.task in ("regression", "multitarget"):
            return self._fit_values(level, base.weights)
        return Pooled(self._logistic(level, base.weights), level.scale, 0.0)

    def _fit_values(self, level: Level, start: Array) -> Pooled:
        target = level.scale.link(level.y.reshape(len(level.y), -1))  # (n, k)
        center, spread = target.mean(axis=0), target.std(axis=0)
        spread = np.where(spread > 0, spread, 1.0)
        members = (level.scale.link(level.oof) - center) / spread  # (m, n, k)
        flat = members.reshape(len(members), -1)
        residual = ((target - center) / spread).ravel() - start @ flat
        curvature = flat @ flat.T + self.penalty * np.eye(len(flat))
        weights = start + np.linalg.solve(curvature, flat @ residual)
        return Pooled(weights, level.scale, center)

    def _logistic(self, level: Level, start: Array) -> Array:
        from scipy.optimize import minimize

        values, y, n = logits(_apart(level.oof, level.task)), level.y, len(level.y)
        classes = level.task == "multiclass"
        truth = np.eye(values.shape[2])[y] if classes else np.asarray(y).reshape(-1, 1)

        def loss(weights: Array) -> tuple[float, Array]:
            shares = probabilities(np.tensordot(weights, values, axes=1))
            right = np.where(truth == 1, shares, 1.0 if classes else 1.0 - shares)
            away = weights - start
            wrong = np.tensordot(values, shares - truth, axes=((1, 2), (0, 1)))  # (m,)
            total = -np.log(np.maximum(right, 1e-15)).sum() + 0.5 * self.penalty * away @ away
            return float(total / n), (wrong + self.penalty * away) / n

        found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 100})
        return np.asarray(found.x)


@dataclass(frozen=True, eq=False)
class Pooled:
    """A fitted pool.

    Attributes:
        raw: weights as fitted. ``(m,)``
        scale: how values are averaged.
        center: mean of the target on that scale, which the weights are relative to.
    """

    raw: Array
    scale: Scale
    center: Any

    @property
    def weights(self) -> Array:
        """The fitted weights, divided by their sum."""
        total = self.raw.sum()
        return np.asarray(self.raw / (total if abs(total) > 0.1 else np.abs(self.raw).sum()))

    def predict(self, members: Array, fold: NDArray[Any] | None = None) -> Array:
        """Weighted sum of logits or centred values."""
        if self.scale.task in ("regression", "multitarget"):
            values = self.scale.link(members) - self.center
            mixed = np.tensordot(self.raw, values, axes=1) + self.center
            return self.scale.back(np.asarray(mixed))
        mixed = np.tensordot(self.raw, logits(_apart(members, self.scale.task)), axes=1)
        return probabilities(mixed).reshape(members.shape[1:])


def _apart(members: Array, task: TaskType) -> Array:
    """Labels of one row do not exclude one another, as classes do: each is a row of its own.

    Shape:
        ``(m, n, k)`` -> the same, multilabel ``(m, n * k, 1)``.
    """
    return members.reshape(len(members), -1, 1) if task == "multilabel" else members
