"""What a recipe is told of the data before it sees a fold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from kit.competition import Kind, TaskType

MANY_LEVELS = 12  # above it a category is also given as share and cross-fitted mean ...
ROWS_PER_LEVEL = 1000  # ... unless its levels have so many rows that any model knows their means


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What a recipe needs to know of the data before it sees a fold.

    Attributes:
        kinds: kind per feature column.
        levels: number of levels per category column.
        n_rows: training rows in all.
        task: decides whether means of the target exist (not for several targets).
        seed: for everything random inside the recipe.
    """

    kinds: Mapping[str, Kind]
    levels: Mapping[str, int]
    n_rows: int
    task: TaskType
    seed: int

    def of(self, *kinds: Kind) -> list[str]:
        """The columns of these kinds."""
        return [name for name, kind in self.kinds.items() if kind in kinds]

    @property
    def many(self) -> list[str]:
        """Categories with many levels of few rows."""
        return [
            name
            for name in self.of("category")
            if MANY_LEVELS < self.levels.get(name, 0) > self.n_rows / ROWS_PER_LEVEL
        ]
