"""Folds as a recipe prepared them, kept for the next model that wants the same.

A portfolio asks for the same recipe again and again; generating features takes longer than some of
the models. What is kept is bounded, and nothing of it depends on the model.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

from kit.models.base import FoldRows

LIMIT = 400_000_000
"""Bytes that are kept per process."""

Key = tuple[str, int, int, bool, str]
"""Recipe, seed, fold, whether rows are learned from that count nothing, and the models' task."""


@dataclass
class Prepared:
    """One fold: the fitted recipe and what it made.

    Attributes:
        steps: the fitted recipe.
        rows: training and validated rows.
        X_test: the test rows; None where they are too many to be kept.
    """

    steps: Any
    rows: FoldRows
    X_test: Any

    @property
    def bytes(self) -> int:
        """Size of the tables."""
        return sum(_size(each) for each in (self.rows.X, self.rows.X_valid, self.X_test))


@dataclass
class PreparedFolds:
    """The most recently used folds, up to `LIMIT` bytes."""

    _kept: OrderedDict[Key, Prepared] = field(default_factory=OrderedDict)

    def get(self, key: Key) -> Prepared | None:
        """What is kept under a key."""
        if key in self._kept:
            self._kept.move_to_end(key)
        return self._kept.get(key)

    def keep(self, key: Key, prepared: Prepared) -> None:
        """Keep one more; the longest unused ones go."""
        if prepared.bytes > LIMIT / 4:
            return
        self._kept[key] = prepared
        while sum(each.bytes for each in self._kept.values()) > LIMIT:
            self._kept.popitem(last=False)


def _size(table: Any) -> int:
    if hasattr(table, "memory_usage"):
        return int(table.memory_usage(deep=False).sum())
    if hasattr(table, "data") and hasattr(table, "indices"):  # sparse
        return int(table.data.nbytes + table.indices.nbytes)
    return int(getattr(table, "nbytes", 0))
