"""A fitted combination as JSON, so that it can be applied to new predictions later."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from kit.blending.boosted import Boosted
from kit.blending.calibration import Calibrated
from kit.blending.level import Scale
from kit.blending.pool import Pooled
from kit.blending.scaling import Scaled
from kit.blending.weighted import Combination, RankWeighted, Weighted
from kit.errors import DataError

FILE = "combination.json"
"""Its name in the run's folder `models`."""


def to_json(combination: Combination) -> dict[str, Any]:
    """Plain types; `from_json` makes the same combination of them.

    Raises:
        DataError: a combination of another kind.
    """
    if isinstance(combination, Weighted):
        return {"kind": "weighted", "weights": combination.weights.tolist(), **_of(combination)}
    if isinstance(combination, RankWeighted):
        return {"kind": "ranks", "weights": combination.weights.tolist()}
    if isinstance(combination, Pooled):
        center = np.atleast_1d(combination.center).tolist()
        return {
            "kind": "pool",
            "weights": combination.raw.tolist(),
            "center": center,
            **_of(combination),
        }
    if isinstance(combination, Boosted):
        return {
            "kind": "trees",
            "base": to_json(combination.base),
            "unit": combination.unit,
            "trees": combination.text,
            **_of(combination),
        }
    if isinstance(combination, Calibrated):
        return {
            "kind": "calibrated",
            "base": to_json(combination.base),
            "task": combination.task,
            "numbers": list(combination.numbers),
            "steps": None if combination.steps is None else combination.steps.tolist(),
        }
    if isinstance(combination, Scaled):
        base, factors = to_json(combination.base), combination.factors.tolist()
        return {"kind": "scaled", "base": base, "factors": factors}
    raise DataError(f"a combination of the kind {type(combination).__name__} cannot be saved")


def from_json(document: Mapping[str, Any]) -> Combination:
    """What `to_json` wrote; members come in the order of the run's `parents`.

    Raises:
        DataError: the kind is not known.
    """
    kind = document.get("kind")
    if kind == "ranks":
        return RankWeighted(np.array(document["weights"]))
    if kind == "scaled":
        return Scaled(from_json(document["base"]), np.array(document["factors"]))
    if kind == "calibrated":
        steps = document["steps"]
        return Calibrated(
            from_json(document["base"]),
            document["task"],
            tuple(document["numbers"]),
            None if steps is None else np.array(steps),
        )
    if kind not in ("weighted", "pool", "trees"):
        raise DataError(f"a combination of the kind {kind!r} is not known to this kit; update it")
    scale = Scale(document["transform"], document["task"])
    if kind == "weighted":
        return Weighted(np.array(document["weights"]), scale)
    if kind == "pool":
        return Pooled(np.array(document["weights"]), scale, np.array(document["center"]))
    import lightgbm

    text = document["trees"]
    trees = lightgbm.Booster(model_str=text)
    return Boosted(from_json(document["base"]), scale, document["unit"], text, trees)


def _of(combination: Weighted | Pooled | Boosted) -> dict[str, Any]:
    return {"transform": combination.scale.transform, "task": combination.scale.task}
