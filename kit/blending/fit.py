"""The ways to blend by name, for runs and for bare arrays."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kit.blending.boosted import Boosting
from kit.blending.calibration import Calibration
from kit.blending.choice import Chosen, choose
from kit.blending.level import Level
from kit.blending.pool import Pool
from kit.blending.scaling import Scaling
from kit.blending.weighted import Greedy, Hill, Mean, Method, Rank, Refinement
from kit.errors import ConfigError, DataError, nearest
from kit.metrics.base import Metric
from kit.settings import TaskType

Array = NDArray[np.float64]

METHODS = ("auto", "greedy", "hill", "rank", "stack", "mean")
_NOUNS = {"value": "values", "label": "labels", "proba": "probabilities"}
_STACKS: tuple[Refinement, ...] = (Pool(), Boosting())
_CALIBRATIONS: tuple[Refinement, ...] = (
    Scaling(),
    Calibration("temperature"),
    Calibration("platt"),
    Calibration("isotonic"),
)


def check_method(method: str, metric: Metric, *, negative: bool = False) -> None:
    """Refuse a way to blend that is not known or does not fit.

    Raises:
        ConfigError: with the way out.
    """
    if method not in METHODS:
        raise ConfigError(f"unknown blend method {method!r}. {nearest(method, METHODS)}")
    if method == "rank" and metric.needs != "rank":
        raise ConfigError(
            f"the method 'rank' keeps only the order of the predictions, however {metric.name} "
            f"needs {_NOUNS[metric.needs]}. Use auto, greedy or mean."
        )
    if negative and method != "hill":
        raise ConfigError(
            f"negative weights are for the method 'hill' only. Received: {method!r}.\n"
            "  Use --method hill --negative."
        )


def combine(
    level: Level, method: str = "auto", *, negative: bool = False, seconds: float | None = None
) -> Chosen:
    """Fit a combination of several members, and predict honestly what it was fitted on.

    Args:
        level: members, truth and folds.
        method: "greedy", "hill" (climbing), "rank" (greedy on ranks), "mean"; "stack": greedy, or
            a second level where that wins on rows it never saw; "auto": the same with calibration
            of probabilities, or of the size of values, beside.
        negative: let the hill climb away from members too.
        seconds: time for all of it. The weights found until then are used; a choice that is not
            finished is not made.

    Raises:
        ConfigError: the method is unknown or does not fit the metric.
        DataError: shapes do not fit, or predictions are not finite.
    """
    check_method(method, level.metric, negative=negative)
    _check(level)
    until = math.inf if seconds is None else time.monotonic() + seconds
    simple: dict[str, Method] = {
        "greedy": Greedy(),
        "hill": Hill(negative=negative),
        "rank": Rank(),
        "mean": Mean(),
    }
    others: tuple[Refinement, ...] = {"auto": (*_CALIBRATIONS, *_STACKS), "stack": _STACKS}.get(
        method, ()
    )
    if (len(level.oof) == 1 and method == "stack") or level.metric.counts_rows:
        others = ()  # second levels and calibration count all rows alike
    return choose(level, simple.get(method, Greedy()), others, until)


def greedy_search(
    oof: Array,
    y: NDArray[Any],
    fold: NDArray[Any],
    metric: Metric,
    task: TaskType,
    *,
    seconds: float | None = None,
) -> Chosen:
    """Greedy weights for arrays, and the honest predictions of those weights.

    Args:
        oof: predictions of every member for every row. ``(m, n, k)``
        y: truth. ``(n,)`` or ``(n, k)``
        fold: fold per row; rows below 0 are left out of `honest` too. ``(n,)``
        metric: what is maximised.
        task: the task.
        seconds: time for all of it.

    Returns:
        `combination.weights` ``(m,)``; `honest` ``(rows of fold 0 or more, k)``.
    """
    used = np.asarray(fold) >= 0
    level = Level(metric=metric, task=task, oof=oof[:, used], y=y[used], fold=fold[used])
    return combine(level, "greedy", seconds=seconds)


def _check(level: Level) -> None:
    shape = level.oof.shape
    rows = {len(level.y), len(level.fold)}
    if level.oof.ndim != 3 or 0 in shape or rows != {shape[1]}:
        raise DataError(
            f"a blend needs predictions of shape (members, rows, outputs), none of them 0, and as "
            f"many rows of truth and folds. Received: {shape}, {len(level.y)}, {len(level.fold)}"
        )
    broken = [index for index, member in enumerate(level.oof) if not np.isfinite(member).all()]
    if broken:
        raise DataError(
            f"predictions must be finite; those of member {broken[0]} (counted from 0) are not"
        )
