"""The choice between ways to blend, and a score that the choice does not flatter.

The default stays unless another way is better on rows it never saw, by more than the noise of the
folds. The choice itself is nested: to score a block of folds, the ways are compared on the other
blocks alone, and the one that wins there is fitted there. So the score shown is that of "choose,
then fit", never the best of several.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from kit.blending.level import Level
from kit.blending.nested import Late, Nested, NestedRefinement, block_of
from kit.blending.search import late
from kit.blending.weighted import Combination, Method, Refinement
from kit.decision import fit_decision

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Chosen:
    """A combination, and honest predictions of the way it came about.

    Attributes:
        combination: fitted on all rows.
        method: the name of the way that was chosen.
        honest: predictions whose weights, and whose choice, never saw the row's block. ``(n, k)``
        compared: nested score of every way, on all rows; the best of them flatters.
        complete: False when time ran out before the search or the comparison was done.
    """

    combination: Combination
    method: str
    honest: Array
    compared: dict[str, float]
    complete: bool = True


def choose(
    level: Level, default: Method, others: Sequence[Refinement] = (), until: float = math.inf
) -> Chosen:
    """Fit `default`, or another way where that is clearly better.

    Args:
        level: members, truth and folds.
        default: taken unless another wins.
        others: ways that refine the default; of equal ones the first is taken.
        until: moment of `time.monotonic` by which to be done. The default is always fitted and
            scored; other ways are left out, all of them, when the time is not enough to compare.
    """
    block = block_of(level.fold)
    base = Nested(default, level, block, until)
    found = Chosen(
        combination=base.without(),
        method=default.name,
        honest=base.honest(),
        compared={},
        complete=not late(until),
    )
    ways = [base, *(NestedRefinement(each, base) for each in others if each.fits(level))]
    if len(ways) == 1 or len(np.unique(level.fold)) < 3:
        return found
    try:
        return _chosen(ways, block)
    except Late:
        return replace(found, complete=False)


def _chosen(ways: list[Nested], block: NDArray[np.int64]) -> Chosen:
    honest = np.empty(ways[0].level.oof.shape[1:])
    for left in np.unique(block):
        scores = [_fold_scores(way, int(left)) for way in ways]
        rows = block == left
        honest[rows] = ways[_winner(ways, scores)].predict(rows, int(left))
    final = [_fold_scores(way) for way in ways]
    chosen = ways[_winner(ways, final)]
    sign = 1.0 if chosen.level.metric.greater_is_better else -1.0
    return Chosen(
        combination=chosen.without(),
        method=chosen.name,
        honest=honest,
        compared={
            way.name: sign * float(np.nanmean(scores))
            for way, scores in zip(ways, final, strict=True)
        },
    )


def _fold_scores(way: Nested, *left: int) -> Array:
    """Scores of the honest predictions, a fold each, turned so that more is better."""
    level = way.level
    rows = ~np.isin(way.block, left)
    seen, honest = level.rows(rows), way.honest(*left)[rows]
    fitted = fit_decision(level.metric, level.task, seen.y, honest, seen.fold)
    sign = 1.0 if level.metric.greater_is_better else -1.0
    scores = sign * np.array(fitted.fold_scores)
    return np.asarray(scores[np.unique(seen.fold)])


def _winner(ways: list[Nested], scores: list[Array]) -> int:
    """The first way, unless others beat it beyond the noise of the folds; then the best of them."""
    beaten = [
        index
        for index, (way, each) in enumerate(zip(ways, scores, strict=True))
        if isinstance(way, NestedRefinement) and wins(each - scores[0], way.refinement.noise)
    ]
    return max(beaten, key=lambda index: float(np.nanmean(scores[index])), default=0)


def wins(gains: Array, noise: float) -> bool:
    """Whether the mean of paired differences is above `noise` of its standard errors."""
    gains = gains[~np.isnan(gains)]
    if len(gains) < 2:
        return False
    error = float(gains.std(ddof=1)) / math.sqrt(len(gains))
    return bool(gains.mean() > noise * error + 1e-12)
