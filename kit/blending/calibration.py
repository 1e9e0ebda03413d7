"""Probabilities of a blend bent to their frequencies, within bounds.

Every map here is monotone and bounded: an unbounded temperature runs away where a blend is already
right (AutoGluon's issue 4396 has one of -1242). Whether it is used at all is decided on folds it
was not fitted on (`kit.blending.choice`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from kit.blending.level import Level, distribution
from kit.blending.weighted import Combination
from kit.settings import TaskType

Array = NDArray[np.float64]
Kind = Literal["temperature", "platt", "isotonic"]
Map = Callable[[Array], Array]

_BOUND = 4.0
"""Temperatures and slopes lie between 1/4 and 4; shifts of Platt's logits within ±4."""
_EDGE = 1e-6
_FEWEST = 1000
"""Isotonic steps need rows."""


@dataclass(frozen=True)
class Calibration:
    """The base combination, then a map of its probabilities.

    Attributes:
        name: "temperature" (logits divided by one number), "platt" (logits scaled and shifted;
            binary) or "isotonic" (monotone steps; binary).
    """

    name: Kind
    noise: float = 1.0

    def fits(self, level: Level) -> bool:
        """Whether there is anything to calibrate, and enough rows to do it."""
        if level.metric.needs != "proba" or level.task not in ("binary", "multiclass"):
            return False
        if self.name == "isotonic" and len(level.y) < _FEWEST:
            return False
        return self.name == "temperature" or level.task == "binary"

    def refine(self, level: Level, base: Combination) -> Calibrated:
        """Fit the map on the predictions of `base` for the rows it was fitted on."""
        blended = base.predict(level.oof, level.fold)
        if self.name == "isotonic":
            return Calibrated(base, level.task, (), _steps(level.y, blended[:, 0]))
        numbers = _temperature if self.name == "temperature" else _platt
        return Calibrated(base, level.task, numbers(logits(blended), level.y))


@dataclass(frozen=True, eq=False)
class Calibrated:
    """A combination and the map of its probabilities.

    Attributes:
        base: what is calibrated.
        task: the task.
        numbers: slope (and shift) of the logits; empty for steps.
        steps: where the isotonic steps are and how high. ``(2, s)``
    """

    base: Combination
    task: TaskType
    numbers: tuple[float, ...]
    steps: Array | None = None

    @property
    def weights(self) -> Array:
        """Those of the base."""
        return self.base.weights

    def predict(self, members: Array, fold: NDArray[Any] | None = None) -> Array:
        """Combine, then map."""
        blended = self.base.predict(members, fold)
        if self.steps is not None:
            return np.interp(blended, self.steps[0], self.steps[1])
        slope, shift = (*self.numbers, 0.0)[:2]
        return probabilities(slope * logits(blended) + shift)


def logits(predictions: Array) -> Array:
    """Log odds of one column, logarithms of several; finite. ``(..., k)`` -> ``(..., k)``."""
    clipped = np.clip(predictions, _EDGE, 1.0 - _EDGE)
    one = clipped.shape[-1] == 1
    return np.asarray(np.log(clipped / (1.0 - clipped)) if one else np.log(clipped))


def probabilities(values: Array) -> Array:
    """The way back from `logits`. ``(n, k)`` -> ``(n, k)``."""
    if values.shape[1] == 1:
        return np.asarray(0.5 * (1.0 + np.tanh(0.5 * values)))
    return distribution(np.exp(values - values.max(axis=1, keepdims=True)))


def _temperature(values: Array, y: NDArray[Any]) -> tuple[float, ...]:
    """The slope of least log loss. Source: Guo et al., "On calibration …" (2017)."""
    from scipy.optimize import minimize_scalar

    def loss(exponent: float) -> float:
        return _log_loss(math.exp(exponent) * values, y)

    bound = math.log(_BOUND)
    found = minimize_scalar(loss, bounds=(-bound, bound), method="bounded")
    return (math.exp(float(found.x)),)


def _platt(values: Array, y: NDArray[Any]) -> tuple[float, ...]:
    """Slope and shift of least log loss. Source: Platt (1999)."""
    from scipy.optimize import minimize

    found = minimize(
        lambda numbers: _log_loss(numbers[0] * values + numbers[1], y),
        np.array([1.0, 0.0]),
        bounds=[(1.0 / _BOUND, _BOUND), (-_BOUND, _BOUND)],
        method="L-BFGS-B",
    )
    return float(found.x[0]), float(found.x[1])


def _log_loss(values: Array, y: NDArray[Any]) -> float:
    shares = probabilities(values)
    if shares.shape[1] == 1:
        right = np.where(y == 1, shares[:, 0], 1.0 - shares[:, 0])
    else:
        right = shares[np.arange(len(y)), y]
    return float(-np.log(np.clip(right, _EDGE, 1.0)).mean())


def _steps(y: NDArray[Any], p: Array) -> Array:
    """Isotonic frequencies, kept off 0 and 1 by half a row."""
    from sklearn.isotonic import isotonic_regression

    order = np.argsort(p, kind="stable")
    heights = isotonic_regression(np.asarray(y, dtype=np.float64)[order])
    least = 0.5 / len(y)
    positions, first = np.unique(p[order], return_index=True)
    counts = np.diff(first, append=len(p))
    means = np.add.reduceat(heights, first) / counts  # one height where predictions are equal
    return np.stack([positions, np.clip(means, least, 1.0 - least)])
