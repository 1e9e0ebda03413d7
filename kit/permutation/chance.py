"""Permutations that keep what belongs together, and the scores that chance explains."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kit.decision import Fitted
from kit.errors import ConfigError
from kit.metrics.base import Metric, UndefinedMetric

Array = NDArray[Any]

_DRAWS = 200  # permutations behind a band; their spread is known to 5 %
_TWO_SIDED_99 = 2.576  # standard deviations; a score is a mean over rows, so nearly normal


def shuffled(n: int, groups: Array | None, rng: np.random.Generator) -> NDArray[np.int64]:
    """A permutation of ``0..n-1``; with groups (codes) the rows of a group stay together.

    Groups of one size change places as they are. Otherwise the labels are laid out group by group
    in another order of the groups, so that some are cut.
    """
    if groups is None:
        return rng.permutation(n)
    places = np.argsort(groups, kind="stable")
    turn = rng.permutation(int(groups.max()) + 1)[groups]
    order = np.empty(n, dtype=np.int64)
    order[places] = np.argsort(turn, kind="stable")
    return order


def chance_band(
    metric: Metric, fitted: Fitted, y: Array, fold: Array, groups: Array | None = None
) -> tuple[float, float]:
    """Where 99 % of the scores lie if labels and predictions have nothing to do with each other.

    Args:
        metric: what is scored.
        fitted: the decision that was scored, with what it was scored on.
        y: truth of the validated rows.
        fold: fold per row; labels change places within folds, as a fold's share of every class is
            known to the models of the others.
        groups: codes; labels of one group stay together.
    """
    rng = np.random.default_rng(0)
    parts = [np.flatnonzero(fold == k) for k in np.unique(fold)]
    codes = [None if groups is None else pd.factorize(groups[part])[0] for part in parts]
    values = []
    for _ in range(_DRAWS):
        order = np.arange(len(y))
        for part, code in zip(parts, codes, strict=True):
            order[part] = part[shuffled(len(part), code, rng)]
        try:
            values.append(_value(metric, y[order], fitted.scored, parts))
        except UndefinedMetric:
            continue
    if len(values) < _DRAWS // 2:
        raise ConfigError(f"{metric.name} has no value on permuted labels; nothing can be proven")
    middle, half = float(np.mean(values)), _TWO_SIDED_99 * float(np.std(values, ddof=1))
    return middle - half, middle + half


def _value(metric: Metric, y: Array, pred: Array, parts: Sequence[Array]) -> float:
    """As `kit.scoring.score_record` computes `value`."""
    if metric.needs != "rank":
        return metric.score(y, pred)
    scores = []
    for part in parts:
        try:
            scores.append(metric.score(y[part], pred[part]))
        except UndefinedMetric:
            continue
    return float(np.mean(scores)) if scores else metric.score(y, pred)
