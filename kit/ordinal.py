"""Labels on a scale: the expected position of a row, cut where the metric is best.

The most probable class throws away how far the others are; on a metric of distances, such as the
quadratic kappa, the mean position with well-placed cuts is better (the "optimised rounder" of
Kaggle's crowd-flower and PetFinder competitions, 2015 and 2019).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Counts = NDArray[np.int64]
Confusion = NDArray[np.int64] | NDArray[np.float64]
"""Rows, or the sums of their weights."""
FromCounts = Callable[[Confusion], Array]

_BINS = 400  # places where a cut may lie
_SWEEPS = 5


def positions(proba: Array) -> Array:
    """Expected class number of each row, ``(..., K)`` -> ``(...)``."""
    total = proba.sum(axis=-1)
    return np.asarray(proba @ np.arange(proba.shape[-1]) / np.where(total > 0, total, 1.0))


def between(position: Array, size: int) -> Array:
    """Probabilities whose expected class number is a position: of the two classes around it.

    Positions beyond the scale count as its ends.

    Shape:
        ``(n,)`` -> ``(n, size)``; `positions` is the way back.
    """
    inside = np.clip(position, 0.0, size - 1.0)
    low = np.minimum(inside.astype(np.int64), size - 2)
    share, rows = inside - low, np.arange(len(inside))
    found = np.zeros((len(inside), size))
    found[rows, low], found[rows, low + 1] = 1.0 - share, share
    return found


def labels(position: Array, cuts: Array) -> NDArray[np.int64]:
    """Class numbers: how many cuts a position reaches."""
    return np.searchsorted(cuts, position, side="right").astype(np.int64)


class Histogram:
    """Confusion counts of any cuts, had from one pass over the rows.

    Args:
        y: class numbers. ``(n,)``
        position: expected positions. ``(n,)``
        fold: fold per row, 0 or more. ``(n,)``
        size: number of classes.
        weight: how much each row counts; None: all the same. ``(n,)``
    """

    def __init__(
        self,
        y: NDArray[np.int64],
        position: Array,
        fold: Counts,
        size: int,
        weight: Array | None = None,
    ) -> None:
        even = np.linspace(0.0, size - 1.0, 2 * size - 1)[1::2]  # 0.5, 1.5, ...: plain rounding
        spread = np.quantile(position, np.linspace(0.0, 1.0, _BINS + 1)[1:-1])
        self.edges = np.unique(np.concatenate([even, spread]))
        self.even = np.searchsorted(self.edges, even)
        self.size = size
        bins = np.searchsorted(self.edges, position, side="right")
        shape = (int(fold.max()) + 1, size, len(self.edges) + 1)
        cells = (fold.astype(np.int64) * size + y) * shape[2] + bins
        self.counts = np.bincount(cells, weight, int(np.prod(shape))).reshape(shape)

    def best(self, from_counts: FromCounts, sign: float, left: int | None = None) -> Array:
        """The best cuts on all rows but those of the fold `left`; ascending, ``(size - 1,)``.

        One cut after the other goes where the metric is best, until none moves.

        Args:
            from_counts: the metric of confusion counts ``(..., K, K)``.
            sign: 1 where more is better, else -1.
            left: a fold whose labels must not be seen; None: all rows are used.
        """
        seen = self.counts.sum(axis=0)  # (K, bins)
        if left is not None:
            seen = seen - self.counts[left]
        below = np.concatenate([np.zeros((self.size, 1), dtype=np.int64), seen.cumsum(axis=1)], 1)

        def score(at: Counts) -> Array:
            """Of cuts at these edges, ``(c, size - 1)`` -> ``(c,)``."""
            last = np.full((len(at), 1), below.shape[1] - 1)
            ends = np.concatenate([np.zeros_like(last), at + 1, last], axis=1)  # (c, K + 1)
            confusion = np.diff(below[:, ends], axis=2)  # (K, c, K)
            return np.nan_to_num(sign * from_counts(np.moveaxis(confusion, 0, 1)), nan=-np.inf)

        starts = np.stack([self.even, self._as_often(seen)])
        found = starts[int(np.argmax(score(starts)))].copy()
        best = float(score(found[None])[0])
        for _ in range(_SWEEPS):
            before = best
            for cut in range(self.size - 1):
                low = found[cut - 1] if cut else 0
                high = found[cut + 1] if cut + 2 < self.size else len(self.edges) - 1
                tried = np.repeat(found[None], high - low + 1, axis=0)
                tried[:, cut] = np.arange(low, high + 1)
                scores = score(tried)
                if scores.max() > best + 1e-12:
                    best, found = float(scores.max()), tried[int(scores.argmax())]
            if best <= before + 1e-9:
                break
        return np.asarray(self.edges[found])

    def _as_often(self, seen: Counts) -> Counts:
        """Cuts that give every class as many rows as it has."""
        wanted = seen.sum(axis=1).cumsum()[:-1]
        reached = seen.sum(axis=0).cumsum()
        return np.minimum(np.searchsorted(reached, wanted), len(self.edges) - 1)
