"""Combinations fitted without some of the folds, and what they predict for those."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from kit.blending.level import Level
from kit.blending.search import late
from kit.blending.weighted import Combination, Method, Refinement

Array = NDArray[np.float64]
Left = frozenset[int]

MOST_BLOCKS = 5
"""Folds are left out in at most so many blocks."""


class Late(Exception):
    """The time for fitting is over."""


def block_of(fold: NDArray[np.int64]) -> NDArray[np.int64]:
    """The block a row's fold belongs to: at most five, of neighbouring folds. ``(n,)``.

    Of a single fold every fifth row is a block: no member has seen any of the rows, so it is the
    weights alone that must not.
    """
    present, position = np.unique(fold, return_inverse=True)
    if len(present) == 1:
        return np.arange(len(fold)) % MOST_BLOCKS
    return np.asarray(position * min(MOST_BLOCKS, len(present)) // len(present))


@dataclass(eq=False)
class Nested:
    """A method and its fits, each made once, when asked for.

    Attributes:
        method: what is fitted.
        level: all rows.
        block: block per row.
        until: moment of `time.monotonic` at which to be done.
    """

    method: Method
    level: Level
    block: NDArray[np.int64]
    until: float
    _fits: dict[Left, Combination] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """That of the method."""
        return self.method.name

    def without(self, *blocks: int) -> Combination:
        """The method fitted on all rows but those of `blocks`."""
        left = frozenset(blocks)
        if left not in self._fits:
            self._fits[left] = self._fit(left)
        return self._fits[left]

    def _fit(self, left: Left) -> Combination:
        return self.method.fit(self.kept(left), self._turn())

    def kept(self, left: Left) -> Level:
        """The rows of all blocks but `left`."""
        return self.level.rows(~np.isin(self.block, list(left))) if left else self.level

    def _turn(self) -> float:
        """When this fit ends: the time is shared among those that a score needs."""
        now = time.monotonic()
        to_come = max(1, len(np.unique(self.block)) + 1 - len(self._fits))
        return now + (self.until - now) / to_come

    def honest(self, *blocks: int) -> Array:
        """Predictions for all rows but those of `blocks`; none is of a fit that saw its block.

        Returns:
            ``(n, k)``; rows of `blocks` are nan. With one block only, of a single row, there is
            nothing to leave out: that of the fit on all rows.
        """
        found = np.full(self.level.oof.shape[1:], np.nan)
        present = np.unique(self.block)
        for block in present:
            if block not in blocks:
                rows = self.block == block
                left = (*blocks, int(block)) if len(present) > 1 else ()
                found[rows] = self.predict(rows, *left)
        return found

    def predict(self, rows: NDArray[np.bool_], *blocks: int) -> Array:
        """Predictions for `rows` of the method fitted without `blocks`."""
        fitted = self.without(*blocks)
        return fitted.predict(self.level.oof[:, rows], self.level.fold[rows])


class NestedRefinement(Nested):
    """A refinement and its fits; each starts from the default fitted on the same rows.

    Args:
        refinement: what is fitted.
        base: the default.
    """

    def __init__(self, refinement: Refinement, base: Nested) -> None:
        super().__init__(base.method, base.level, base.block, base.until)
        self.refinement, self.base = refinement, base
        self._longest = 0.0  # seconds of a fit

    @property
    def name(self) -> str:
        """That of the refinement."""
        return self.refinement.name

    def _fit(self, left: Left) -> Combination:
        blocks = len(np.unique(self.block))
        to_come = 1 + blocks + blocks * (blocks - 1) // 2 - len(self._fits)
        if late(self.until - max(to_come, 1) * self._longest):
            raise Late  # better at once than when most of the fits are done
        base, started = self.base.without(*left), time.monotonic()
        fitted = self.refinement.refine(self.kept(left), base)
        self._longest = max(self._longest, time.monotonic() - started)
        return fitted
