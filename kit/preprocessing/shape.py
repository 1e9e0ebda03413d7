"""What a recipe is told of the data before it sees a fold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kit.series import SeriesSpec
from kit.settings import Kind, TaskType

MANY_LEVELS = 12  # above it a category is also given as share and cross-fitted mean ...
ROWS_PER_LEVEL = 1000  # ... unless its levels have so many rows that any model knows their means
MOST_LEVELS = 50
"""Above it such a category is given as share and mean only.

Trees and networks that see the levels themselves learn the few rows of each by heart. 100,000
flights with 3,700 aeroplanes, log loss on rows held back: LightGBM .450 instead of .477, XGBoost
.455 / .488, CatBoost .457 / .467, TabM .453 / .479, RealMLP .463 / .493. Ratings by 3,000 students
of 1,100 lecturers: TabM 1.202 / 1.210, CatBoost 1.201 / 1.208, LightGBM 1.201 / 1.202. Thresholds
of 8 to 50 are equally good there; with 16 and fewer LightGBM lost .2 to 1.9 % on house prices.
"""
SCALE = "scale"
"""Last step of recipes for networks: it looks at no label and makes float32 and levels."""


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What a recipe needs to know of the data before it sees a fold.

    Attributes:
        kinds: kind per feature column.
        levels: number of levels per category column.
        n_rows: training rows in all.
        task: decides whether means of the target exist (not for several targets).
        seed: for everything random inside the recipe.
        series: the `[series]` table, where there is one.
        time: the column of times, where there are series.
        encoder: folder of the sentence encoder; empty: the installed package's.
        cache: folder of what can be made again; None: nothing is kept.
    """

    kinds: Mapping[str, Kind]
    levels: Mapping[str, int]
    n_rows: int
    task: TaskType
    seed: int
    series: SeriesSpec | None = None
    time: str = ""
    encoder: str = ""
    cache: Path | None = None

    def of(self, *kinds: Kind) -> list[str]:
        """The columns of these kinds."""
        return [name for name, kind in self.kinds.items() if kind in kinds]

    @property
    def one_target(self) -> bool:
        """Whether means of the target exist."""
        return self.task not in ("multilabel", "multitarget")

    @property
    def plain(self) -> list[str]:
        """Categories whose levels models see as they are."""
        apart = self.many if self.one_target else []
        return [
            name
            for name in self.of("category")
            if name not in apart or self.levels[name] <= MOST_LEVELS
        ]

    @property
    def many(self) -> list[str]:
        """Categories with many levels of few rows."""
        return [
            name
            for name in self.of("category")
            if MANY_LEVELS < self.levels.get(name, 0) > self.n_rows / ROWS_PER_LEVEL
        ]
