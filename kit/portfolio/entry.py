"""One configuration of the portfolio."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kit.settings import Kind, ModelSpec


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One configuration.

    Attributes:
        name: as in `kit cv NAME`.
        use: registered name of the model.
        why: what it is there for, in a few words.
        params: hyper-parameters.
        recipe: how columns are prepared; empty: as the model's family asks for.
        min_rows, max_rows: on fewer or more training rows it is left out.
        max_cells: the same for rows x features, where there are ten minutes; in an hour six times.
        min_seconds: with less time for it, it is not started; of tables up to a million cells.
        row_seconds: with less time per training row it is not started; of networks on images.
        side: pixels per side for which `row_seconds` holds; smaller images take less. 0: any.
        tasks: types of task it is for; empty: all.
        levels: only for data with categories whose levels other models do not see.
        kinds: only for data with a column of one of these kinds; empty: any data.
        series: only where `kit.toml` has a `[series]` table.
        package: the optional package it needs, to be had with the extra of kit named `extra`.
        seeded: whether another seed gives another model.
        weight: how many fair shares of the time it may have.
        asked: named by the user, in the command or in `kit.toml`: no size of the data is too large
            or too small for it.
    """

    name: str
    use: str
    why: str
    params: Mapping[str, Any] = field(default_factory=dict)
    recipe: str = ""
    min_rows: int = 0
    max_rows: float = float("inf")
    max_cells: float = float("inf")
    min_seconds: float = 2.0
    row_seconds: float = 0.0
    side: int = 0
    tasks: tuple[str, ...] = ()
    levels: bool = False
    kinds: tuple[Kind, ...] = ()
    series: bool = False
    package: str = ""
    extra: str = "boost"
    seeded: bool = True
    weight: float = 1.0
    asked: bool = False

    @property
    def spec(self) -> ModelSpec:
        """The same as `[models.<name>]` of `kit.toml` says it."""
        return ModelSpec(use=self.use, params=dict(self.params), recipe=self.recipe)
