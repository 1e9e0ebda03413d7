"""Combinations that are one weight per member: equal, greedy, climbed, of values or of ranks."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from kit.blending.level import Level, Scale
from kit.blending.search import greedy_weights, hill_weights

Array = NDArray[np.float64]


class Combination(Protocol):
    """A fitted way to make one prediction of several."""

    @property
    def weights(self) -> Array:
        """Share of each member, sum 1; a member of weight 0 is not needed. ``(m,)``."""
        ...

    def predict(self, members: Array, fold: NDArray[Any] | None = None) -> Array:
        """Combine predictions.

        Args:
            members: predictions in their richest form. ``(m, n, k)``
            fold: fold per row where several models made a member's rows; None: one did.

        Returns:
            ``(n, k)``
        """
        ...


class Method(Protocol):
    """A way to fit a combination; it sees nothing but the level it is given."""

    @property
    def name(self) -> str:
        """As the record shows it."""
        ...

    def fit(self, level: Level, until: float) -> Combination:
        """Fit on all rows of a level; a search stops at the moment `until`."""
        ...


class Refinement(Protocol):
    """A way to improve on a combination that was fitted on the same rows."""

    @property
    def name(self) -> str:
        """As the record shows it."""
        ...

    @property
    def noise(self) -> float:
        """Standard errors of the paired fold differences by which it has to win."""
        ...

    def fits(self, level: Level) -> bool:
        """Whether it makes sense for this metric, task and number of rows."""
        ...

    def refine(self, level: Level, base: Combination) -> Combination:
        """Fit on all rows of a level, starting from `base`."""
        ...


@dataclass(frozen=True, eq=False)
class Weighted:
    """The weighted mean of the members on their scale."""

    weights: Array
    scale: Scale

    def predict(self, members: Array, fold: NDArray[Any] | None = None) -> Array:
        """Weighted mean."""
        used = np.flatnonzero(self.weights)
        mixed = np.tensordot(self.weights[used], self.scale.link(members[used]), axes=1)
        return self.scale.back(np.asarray(mixed))


@dataclass(frozen=True, eq=False)
class RankWeighted:
    """The weighted mean of ranks within each fold, in (0, 1]."""

    weights: Array

    def predict(self, members: Array, fold: NDArray[Any] | None = None) -> Array:
        """Weighted mean of ranks."""
        used = np.flatnonzero(self.weights)
        return np.asarray(np.tensordot(self.weights[used], ranks(members[used], fold), axes=1))


@dataclass(frozen=True)
class Mean:
    """Equal weights."""

    name: str = "mean"

    def fit(self, level: Level, until: float = math.inf) -> Weighted:
        """Nothing is fitted."""
        return Weighted(np.full(len(level.oof), 1.0 / len(level.oof)), level.scale)


@dataclass(frozen=True)
class Greedy:
    """Greedy selection with replacement."""

    name: str = "greedy"

    def fit(self, level: Level, until: float = math.inf) -> Weighted:
        """Search on the metric itself."""
        weights = greedy_weights(level.objective(), len(level.oof), until=until)
        return Weighted(weights, level.scale)


@dataclass(frozen=True)
class Hill:
    """Hill climbing, with weights below 0 only where asked for."""

    negative: bool = False
    name: str = "hill"

    def fit(self, level: Level, until: float = math.inf) -> Weighted:
        """Search on the metric itself."""
        objective, size = level.objective(), len(level.oof)
        weights = hill_weights(objective, size, negative=self.negative, until=until)
        return Weighted(weights, level.scale)


@dataclass(frozen=True)
class Rank:
    """Greedy selection on ranks, for metrics that see only the order."""

    name: str = "rank"

    def fit(self, level: Level, until: float = math.inf) -> RankWeighted:
        """Rank within the folds, then search on the metric itself."""
        ranked = replace(level, oof=ranks(level.oof, level.fold))
        return RankWeighted(greedy_weights(ranked.objective(), len(level.oof), until=until))


def ranks(members: Array, fold: NDArray[Any] | None = None) -> Array:
    """Ranks in (0, 1] within every member, fold and column; ties share their mean.

    Within the fold, because each fold's model has a scale of its own.

    Shape:
        ``(m, n, k)`` -> ``(m, n, k)``
    """
    from scipy.stats import rankdata  # a second to import, seldom needed

    if fold is None:
        return np.asarray(rankdata(members, axis=1) / members.shape[1])
    ranked = np.empty_like(members)
    for k in np.unique(fold):
        rows = fold == k
        ranked[:, rows] = rankdata(members[:, rows], axis=1) / rows.sum()
    return ranked
