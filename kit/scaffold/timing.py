"""How the test rows lie to the training rows in time.

Owns: reading a split off the times of both files. Decides nothing about validation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kit.moments import as_datetimes, datetime_format
from kit.time_splitters import block_of

_USUAL = 0.99  # of the distances between training times are no longer
_LEAST_GAP = 0.1  # of the test period
_BLOCK_TIMES = 5  # distinct times in a typical block; runs of a random split are shorter


@dataclass(frozen=True, kw_only=True)
class TimeSplit:
    """What the times say.

    Attributes:
        relation: test comes "after" train, takes turns with it in "blocks", or is "mixed" in.
        block: typical length of the test blocks, as pandas reads durations.
        blocks: how many test blocks there are.
        periods: how many pieces of train could be folds: distinct times, or blocks.
        horizon: how far test reaches after train (after the gap), as pandas reads durations.
        gap: how long nothing is known between train and test; empty: no longer than it usually is.
        windows: how often that fits into train, with something left to train on.
    """

    relation: Literal["after", "blocks", "mixed"]
    block: str = ""
    blocks: int = 0
    periods: int = 0
    horizon: str = ""
    gap: str = ""
    windows: int = 0


MIXED = TimeSplit(relation="mixed")


def column_split(train: pd.Series, test: pd.Series) -> TimeSplit:
    """Compare two columns of dates; what does not parse everywhere in train is "mixed"."""
    if not pd.api.types.is_datetime64_any_dtype(train):
        format_ = datetime_format(train)
        if format_ is None:
            return MIXED
        train, test = as_datetimes(train, format_), as_datetimes(test, format_)
    return MIXED if train.isna().any() else time_split(train, test)


def time_split(train: pd.Series, test: pd.Series) -> TimeSplit:
    """Compare the times of train and test, in any order.

    Test is "after" train when no test time is earlier than the last one of train. It takes turns
    when hardly a time is in both and both come in runs: a typical run of at least five times.
    """
    a, b = np.unique(train.to_numpy()), np.unique(test.dropna().to_numpy())
    if len(a) < 2 or len(b) < 1:
        return MIXED
    if b[0] >= a[-1]:
        return _after(a, b)
    if np.isin(b, a).sum() > 0.01 * len(b):
        return MIXED
    times = np.concatenate([a, b])
    owner = np.repeat([0, 1], [len(a), len(b)])
    order = np.argsort(times, kind="stable")
    times, owner = times[order], owner[order]
    starts = np.flatnonzero(np.r_[True, owner[1:] != owner[:-1]])
    ends = np.r_[starts[1:], len(owner)]  # segment s is times[starts[s]:ends[s]]
    of_test = owner[starts] == 1
    if (~of_test).sum() < 2:
        return MIXED  # test before train: no turns are taken
    if any(np.median((ends - starts)[side]) < _BLOCK_TIMES for side in (of_test, ~of_test)):
        return MIXED
    step = np.median(np.diff(times))
    length = pd.Timedelta(np.median((times[ends - 1] - times[starts])[of_test] + step))
    block = duration(length)
    periods = int(block_of(a, pd.Timedelta(block).to_timedelta64())[-1]) + 1
    return TimeSplit(relation="blocks", block=block, blocks=int(of_test.sum()), periods=periods)


def _after(a: NDArray[Any], b: NDArray[Any]) -> TimeSplit:
    """What distinct times of train and later ones of test say."""
    steps, distance = np.diff(a), b[0] - a[-1]
    gap = pd.Timedelta(distance - np.median(steps))
    if distance <= np.quantile(steps, _USUAL) or gap < _LEAST_GAP * pd.Timedelta(b[-1] - b[0]):
        gap = pd.Timedelta(0)  # a night, a weekend, or too short to matter
    ahead, span = pd.Timedelta(b[-1] - a[-1]) - gap, pd.Timedelta(a[-1] - a[0]) - gap
    horizon = duration(max(ahead, pd.Timedelta(seconds=1)))
    return TimeSplit(
        relation="after",
        periods=len(a),
        horizon=horizon,
        gap=duration(gap) if gap > pd.Timedelta(0) else "",
        windows=int(span // pd.Timedelta(horizon)),
    )


def duration(length: pd.Timedelta) -> str:
    """A length of time in the largest unit of which it has two, as pandas reads it.

    >>> duration(pd.Timedelta(hours=36)), duration(pd.Timedelta(days=11, hours=2))
    ('36h', '11D')
    """
    for unit, seconds in (("D", 86_400), ("h", 3_600), ("min", 60)):
        if length.total_seconds() >= 2 * seconds:
            return f"{round(length.total_seconds() / seconds)}{unit}"
    return f"{max(1, round(length.total_seconds()))}s"
