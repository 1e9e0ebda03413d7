"""A blend of values times one number, where errors are relative.

By the same ratio, too high costs more than too low: (2 - 1) / 1 against (2 - 1) / 2. So the best
prediction lies below the middle of what is possible, the further the less is known. Models that
learn logarithms aim at the middle.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kit.blending.level import Level, sample
from kit.blending.weighted import Combination

Array = NDArray[np.float64]

_BOUND = 2.0
"""The number lies between 1/2 and 2."""
_MAX_ROWS = 200_000


@dataclass(frozen=True)
class Scaling:
    """The base combination, then one factor per column.

    Source:
        the factor 0.995 of the winning model of Kaggle's Rossmann Store Sales (2015).
    """

    name: str = "scaled"
    noise: float = 1.0

    def fits(self, level: Level) -> bool:
        """Whether the metric is one of relative errors (`mape`, `rmspe`, `smape`)."""
        return level.metric.needs == "value" and level.metric.transform == "signed_log"

    def refine(self, level: Level, base: Combination) -> Scaled:
        """Search on the metric itself, on all rows, at most 200,000 of them."""
        from scipy.optimize import minimize_scalar

        level = level.rows(sample(len(level.y), _MAX_ROWS))
        blended = base.predict(level.oof, level.fold)
        bound, factors = math.log(_BOUND), []
        for truth, values in zip(level.y.reshape(len(blended), -1).T, blended.T, strict=True):

            def loss(power: float, truth: Array = truth, values: Array = values) -> float:
                return level.metric.loss(truth, math.exp(power) * values)

            found = minimize_scalar(loss, bounds=(-bound, bound), method="bounded")
            factors.append(math.exp(float(found.x)))
        return Scaled(base, np.array(factors))


@dataclass(frozen=True, eq=False)
class Scaled:
    """A combination and what its predictions are multiplied by.

    Attributes:
        base: what is scaled.
        factors: one per column. ``(k,)``
    """

    base: Combination
    factors: Array

    @property
    def weights(self) -> Array:
        """Those of the base."""
        return self.base.weights

    def predict(self, members: Array, fold: NDArray[np.int64] | None = None) -> Array:
        """Combine, then scale."""
        return np.asarray(self.base.predict(members, fold) * self.factors)
