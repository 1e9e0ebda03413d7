"""Whether the rows are series over time that go on in test, and what is made of their past.

Owns: finding the columns that tell one series from another, the step, the horizon, and the first
choice of lags, windows and seasons.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from kit.kinds import as_moments
from kit.scaffold.facts import Inference
from kit.scaffold.files import Tables
from kit.steps import infer_step, step_numbers

_SEASONS = {"1h": (24, 168), "1D": (7, 365), "7D": (52,), "month": (12,), "quarter": (4,)}
_MOST_COLUMNS = 3  # that tell the series apart
_CANDIDATES = 8
_MOST_POOLED = 3
_POOL = 3  # a group is of so many series on average
_REPEATED = 0.001  # share of rows that may repeat a series and time
_STEPS = 10  # the usual series has at least so many


@dataclass(frozen=True, kw_only=True)
class SeriesLook:
    """Series that go on in test.

    Attributes:
        id: columns that tell them apart; empty: one series.
        n_series: how many there are.
        step: distance of two values.
        horizon: steps from the last training row to the last test row.
        gap: steps between them of which neither has a row.
        n_steps: steps of the training rows, from first to last.
        repeated: rows that repeat a series and time.
        pooled: columns that put whole series into groups.
    """

    id: tuple[str, ...]
    n_series: int
    step: str
    horizon: int
    gap: int
    n_steps: int
    repeated: int
    pooled: tuple[str, ...] = ()

    @property
    def seasons(self) -> list[int]:
        """Usual periods that the training rows can show."""
        return [s for s in _SEASONS.get(self.step, ()) if s < self.n_steps - self.horizon]

    @property
    def windows(self) -> int:
        """How many windows of the horizon leave enough to learn from before the first; 2 at least.

        A row learns from what is a horizon old, and of a season from a whole one: the first window
        has both before it. With two windows there is no choice left; the first may have less.
        """
        horizon = self.horizon
        learned = max(min(self.seasons, default=0), horizon // 2)
        return min((self.n_steps - 1) // horizon, max(2, (self.n_steps - learned) // horizon - 1))

    def length(self, steps: int) -> str:
        """So many steps as `cv.horizon` and `cv.gap` take them."""
        if self.step in ("month", "quarter", "year"):
            return str(steps)
        number = self.step.rstrip("Dhmins")
        if number == self.step:
            return f"{float(number) * steps:g}"
        return f"{int(number) * steps}{self.step[len(number) :]}"


def find_series(
    tables: Tables, time: str, in_test: str, kinds: Mapping[str, str], targets: Sequence[str]
) -> SeriesLook | None:
    """Series along `time`, where the test rows come after the training rows.

    Args:
        tables: the files.
        time: the column of times in train.
        in_test: its name in test.
        kinds: kind per feature.
        targets: columns to predict.
    """
    train, test = tables.train, tables.test
    times, later = _times(train[time]), _times(test[in_test])
    if times is None or later is None or len(targets) != 1:
        return None
    candidates = _candidates(tables, time, kinds)
    found = _keys(train, times, [name for name in candidates if name not in tables.joined])
    if found is None:
        return None
    columns, repeated = found
    step = infer_step(times)
    numbers, ahead = step_numbers(times, step), step_numbers(later, step)
    horizon = int(ahead.max() - numbers.max())
    n_steps = int(numbers.max() - numbers.min()) + 1
    if horizon < 1 or n_steps < 2 * horizon + 1:
        return None  # no lag of a training row would be known
    n_series = len(train[list(columns)].drop_duplicates()) if columns else 1
    if len(train) < _STEPS * n_series:
        return None
    return SeriesLook(
        id=columns,
        n_series=n_series,
        step=step,
        horizon=horizon,
        gap=int(ahead.min() - numbers.max()) - 1,
        n_steps=n_steps,
        repeated=repeated,
        pooled=_pooled(train, columns, candidates, n_series),
    )


def note_series(look: SeriesLook, inference: Inference) -> None:
    """Note the `[series]` table."""
    horizon, room = look.horizon, look.n_steps - look.horizon
    seasons = look.seasons
    first = [-(-horizon // s) * s for s in seasons]  # whole seasons back to what is known
    more = [lag + s for lag, s in zip(first[:1], seasons, strict=False)]
    lags = sorted({horizon, horizon + 1, *first, *more})
    short = seasons[0] if seasons else 4
    windows = [w for w in (short, 4 * short) if w <= room]
    apart = f"{look.n_series} series" if look.id else "one series: each time occurs once"
    inference.add("series.id", list(look.id), apart)
    inference.add("series.step", look.step, "the usual distance of two values")
    why = "steps from the last training row to the last test row"
    inference.add("series.horizon", horizon, why)
    why = "values so many steps old; shorter than the horizon is refused"
    inference.add("series.lags", [lag for lag in lags if lag <= room], why)
    inference.add("series.windows", windows, "mean and deviation of so many known steps")
    inference.add("series.seasons", seasons, f"usual periods of a step of {look.step}")
    if seasons and look.id:
        why = "series of one value share a season, besides that of all series"
        inference.add("series.pooled", list(look.pooled), why)
    if look.repeated:
        inference.ask(
            f"{look.repeated} rows of train repeat a series and time ({', '.join(look.id)}): their "
            "targets are averaged where the past is looked up"
        )


def _times(column: pd.Series) -> np.ndarray | None:
    """Dates or whole numbers; None where some are missing."""
    if pd.api.types.is_numeric_dtype(column):
        return None if column.isna().any() else column.to_numpy()
    moments = as_moments(column)
    return None if moments.isna().any() else moments.to_numpy()


def _candidates(tables: Tables, time: str, kinds: Mapping[str, str]) -> list[str]:
    """Columns that may name a series: few values, each many times, the same ones in test."""
    found = []
    for name, kind in kinds.items():
        if name == time or kind not in ("category", "code", "numeric", "text"):
            continue
        column = tables.train[name]
        if column.isna().any() or pd.api.types.is_float_dtype(column):
            continue
        different = int(column.nunique())
        if not 1 < different <= len(column) / _STEPS:
            continue
        if tables.test[name].isin(set(column.unique())).mean() > 0.5:
            found.append((kind == "numeric", -different, name))
    return [name for _, _, name in sorted(found)][:_CANDIDATES]


def _keys(
    train: pd.DataFrame, times: np.ndarray, candidates: Sequence[str]
) -> tuple[tuple[str, ...], int] | None:
    """The fewest columns that, with the time, tell every row from the others."""
    stamps = pd.factorize(times)[0]
    codes = {name: pd.factorize(train[name])[0] for name in candidates}
    for columns in _subsets(candidates):
        frame = pd.DataFrame({"time": stamps, **{name: codes[name] for name in columns}})
        repeated = int(frame.duplicated().sum())
        if repeated <= _REPEATED * len(train):
            return columns, repeated
    return None


def _pooled(
    train: pd.DataFrame, columns: Sequence[str], candidates: Sequence[str], n_series: int
) -> tuple[str, ...]:
    """Columns that are the same in all rows of a series, for at least three series each."""
    found = []
    for name in candidates:
        different = int(train[name].nunique())
        if different * _POOL > n_series:
            continue
        if name in columns or len(train[[*columns, name]].drop_duplicates()) == n_series:
            found.append((-different, name))
    return tuple(name for _, name in sorted(found)[:_MOST_POOLED])


def _subsets(candidates: Sequence[str]) -> Iterator[tuple[str, ...]]:
    for size in range(_MOST_COLUMNS + 1):
        yield from combinations(candidates, size)
