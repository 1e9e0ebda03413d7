"""A second level of a few small trees that correct the greedy blend."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kit.blending.calibration import logits, probabilities
from kit.blending.level import Level, Scale, sample
from kit.blending.weighted import Combination

Array = NDArray[np.float64]

_TREES = 60
_MAX_ROWS = 200_000
_FEWEST = 1000
_PARAMS: dict[str, Any] = {
    "learning_rate": 0.05,
    "num_leaves": 7,
    "min_data_in_leaf": 20,
    "feature_fraction": 0.5,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "lambda_l2": 1.0,
    "extra_trees": True,
    "num_threads": 1,
    "deterministic": True,
    "force_row_wise": True,
    "seed": 0,
    "verbosity": -1,
}


@dataclass(frozen=True)
class Boosting:
    """LightGBM on the members' predictions, started at the base combination.

    Boosting from the blend instead of from nothing makes the trees a correction: with few rows they
    have little to say, where plain trees would have to learn the mean of the members first.

    They are the freest of the ways, and beat others by a standard error of five folds when there is
    nothing to find, so they have to win by more.
    """

    name: str = "stack (trees)"
    noise: float = 2.0

    def fits(self, level: Level) -> bool:
        """One column, or classes; and rows enough for leaves of twenty."""
        return level.task in ("binary", "multiclass", "regression") and len(level.y) >= _FEWEST

    def refine(self, level: Level, base: Combination) -> Boosted:
        """Fit on all rows, at most 200,000 of them (divided by the number of classes)."""
        import lightgbm

        if level.metric.counts is not None and level.y.ndim == 1:
            level = level.rows(np.flatnonzero(level.metric.counts(level.y)))
        level = level.rows(sample(len(level.y), _MAX_ROWS // level.oof.shape[2]))
        start, features = _start(level.scale, base, level.oof, level.fold)
        params: dict[str, Any] = dict(_PARAMS)
        unit, truth = 1.0, level.y
        if level.task == "regression":
            truth = level.scale.link(level.y)
            unit = float(truth.std()) or 1.0
            params["objective"] = "l1" if level.metric.deviation == "absolute" else "l2"
        elif level.task == "binary":
            params["objective"] = "binary"
        else:
            params |= {"objective": "multiclass", "num_class": level.oof.shape[2]}
        data = lightgbm.Dataset(
            features,
            truth / unit if level.task == "regression" else truth,
            init_score=(start / unit).ravel(order="F"),
        )
        fitted = lightgbm.train(params, data, _TREES)
        return Boosted(base, level.scale, unit, fitted.model_to_string(), fitted)


@dataclass(frozen=True, eq=False)
class Boosted:
    """The base combination and the trees that correct it.

    Attributes:
        base: where the trees start.
        scale: how values are averaged.
        unit: standard deviation of the target, which the trees are relative to.
        text: the trees in LightGBM's own format.
        trees: the same, ready to predict.
    """

    base: Combination
    scale: Scale
    unit: float
    text: str
    trees: Any

    @property
    def weights(self) -> Array:
        """Half the base's weights, half the members' shares of the trees' gain."""
        gain = self.trees.feature_importance("gain").reshape(len(self.base.weights), -1).sum(axis=1)
        if gain.sum() <= 0:
            return self.base.weights
        return np.asarray((self.base.weights + gain / gain.sum()) / 2.0)

    def predict(self, members: Array, fold: NDArray[Any] | None = None) -> Array:
        """The base's prediction, corrected."""
        start, features = _start(self.scale, self.base, members, fold)
        raw = np.asarray(self.trees.predict(features, raw_score=True, num_threads=1)).reshape(
            len(features), -1
        )
        values = start + self.unit * raw
        if self.scale.task == "regression":
            return self.scale.back(values)
        return probabilities(values)


def _start(
    scale: Scale, base: Combination, members: Array, fold: NDArray[Any] | None
) -> tuple[Array, Array]:
    """Where boosting starts ``(n, k)``, and the features ``(n, m * k)``."""
    to_scale = scale.link if scale.task == "regression" else logits
    features = np.moveaxis(to_scale(members), 0, 1).reshape(members.shape[1], -1)
    return to_scale(base.predict(members, fold)), features
