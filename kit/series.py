"""The `[series]` table of `kit.toml`: many series over time, and how far ahead they are predicted.

Owns: the schema and what contradicts it. What is computed of it: `kit.preprocessing.series`.
Standard library only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from kit.config import Within
from kit.errors import ConfigError

_Steps = Annotated[int, Within(1)]


@dataclass(frozen=True, kw_only=True)
class SeriesSpec:
    """Series, their step, and what is made of their past. All lengths are numbers of steps.

    The target is `columns.target`, the time `columns.time`. `id` names the columns that tell one
    series from another; empty: there is one series. `step` is the distance of two values as pandas
    reads durations ("1D"), "month", "quarter" or "year", or a number where the time is one; empty:
    as the training rows have it. `horizon` is how far the last test row lies after the last
    training row.

    With `ahead` "horizon" every feature is made of values at least `horizon` steps old, for any
    row; shorter lags are refused. With "step" the test row s steps ahead may use what is s steps
    old: training rows are then taken as if they were s = 1, 2, ..., horizon steps ahead in turns,
    and a lag is missing in rows that lie further ahead.

    `lags`, `windows` (mean and deviation of so many steps) and `seasons` (periods, in steps) are of
    the target, `windows` also of the `covariates`, number columns that both files have. `expanding`
    adds mean and deviation of the whole past. `pooled` names columns whose series share a season
    (the stores of a region, a product in all stores): beside a series' own season there is that of
    its group, and wherever `id` tells series apart that of all of them. `history` is how many steps
    a sequence model sees; 0: four seasons.
    """

    horizon: _Steps
    id: tuple[str, ...] = ()
    step: str = ""
    ahead: Literal["horizon", "step"] = "horizon"
    lags: tuple[_Steps, ...] = ()
    windows: tuple[_Steps, ...] = ()
    seasons: tuple[_Steps, ...] = ()
    covariates: tuple[str, ...] = ()
    pooled: tuple[str, ...] = ()
    expanding: bool = True
    history: Annotated[int, Within(0, 1000)] = 0

    @property
    def pools(self) -> tuple[str, ...]:
        """Groups whose seasons are pooled: "" is all series, other names are columns."""
        return ("", *self.pooled) if self.id and self.seasons else ()

    @property
    def shown(self) -> int:
        """Steps that a sequence model sees."""
        longest = max(self.seasons, default=0)
        return self.history or max(16, min(4 * longest, 96))


def check_series(
    spec: SeriesSpec, *, time: str | None, target: Sequence[str], task: str, unused: Sequence[str]
) -> None:
    """Raise `ConfigError` where the table contradicts itself or the others.

    Args:
        spec: the table.
        time: `columns.time`.
        target: `columns.target`.
        task: `task.type`.
        unused: `columns.drop`.
    """
    if time is None:
        raise ConfigError("[series] needs columns.time, the column that says when a row happened")
    if task not in ("regression", "binary"):
        raise ConfigError(
            f"[series] works on one number per row (regression, binary), however task.type is "
            f"{task!r}. Take the table out"
        )
    early = [lag for lag in spec.lags if lag < spec.horizon]
    if early and spec.ahead == "horizon":
        raise ConfigError(
            f"series.lags holds {early[0]}, which is shorter than series.horizon = {spec.horizon}: "
            f"for the last test rows the value {early[0]} steps before is in the test period "
            f'itself. Use lags of {spec.horizon} or more, or series.ahead = "step"'
        )
    for key in ("lags", "windows", "seasons"):
        values = getattr(spec, key)
        if len(set(values)) < len(values):
            raise ConfigError(f"series.{key} holds a number twice: {list(values)}")
    for key in ("id", "covariates", "pooled"):
        for name in getattr(spec, key):
            if name in target:
                raise ConfigError(f"series.{key} names the target {name!r}")
            if name in unused:
                raise ConfigError(
                    f"series.{key} names {name!r}, which columns.drop lists. Take it out of one"
                )
