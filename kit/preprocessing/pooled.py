"""Seasons that series have in common: what many of them do at a step says it better than one.

A step of a series is measured from the mean of its own last season, in its own usual size. The mean
of that over the series of a group is the group's profile; a row gets its own level, moved by what
the profile was a season before it.

Source:
    Pooled seasonal indices: Dalhart, "Class seasonality - a new approach", American Production and
    Inventory Control Society (1974); stores of a department pooled in the winning solution of
    "Walmart Recruiting - Store Sales Forecasting" (Kaggle, 2014), there by singular vectors.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from kit.preprocessing.history import Floats, running_sums

_BLOCK = 2_000  # series at a time

Ints = NDArray[np.int64]


def profiles(grid: Floats, groups: Mapping[str, Ints], season: int) -> dict[str, Floats]:
    """How far the series of each group lay above their own last season, by step.

    Of a step only values up to it are used. Series count by the root of their size: sums would
    leave it to the largest, plain means to the noise of the smallest.

    Args:
        grid: values by series and step, nan where there is none. ``(n_series, n_steps)``
        groups: per name the group of each series, 0, 1, ... ``(n_series,)``
        season: steps.

    Returns:
        Per name ``(n_groups, n_steps)``, in usual sizes; nan where no series is known.
    """
    n_steps = grid.shape[1]
    shapes = {name: (int(group.max(initial=-1)) + 1, n_steps) for name, group in groups.items()}
    total = {name: np.zeros(shape) for name, shape in shapes.items()}
    count = {name: np.zeros(shape) for name, shape in shapes.items()}
    for start in range(0, len(grid), _BLOCK):
        part = grid[start : start + _BLOCK]
        above, weight = _above(part, season)
        for name, group in groups.items():
            np.add.at(total[name], group[start : start + _BLOCK], above * weight)
            np.add.at(count[name], group[start : start + _BLOCK], weight)
    return {
        name: np.divide(total[name], count[name], out=np.full(shape, np.nan), where=count[name] > 0)
        for name, shape in shapes.items()
    }


def adjusted(grid: Floats, profile: Floats, season: int) -> Floats:
    """The values without what the profile explains: what is left is level and noise.

    Args:
        grid: values by series and step. ``(n_series, n_steps)``
        profile: that of each series' group. ``(n_series, n_steps)``
        season: steps.
    """
    known = ~np.isnan(grid)
    count = _last(known, season)
    size = _last(np.abs(np.where(known, grid, 0.0)), season)
    usual = np.divide(size, count, out=np.zeros_like(size), where=count > 0)
    return np.asarray(grid - usual * profile)


def _above(part: Floats, season: int) -> tuple[Floats, Floats]:
    """Distance from the mean of the season that ends here, in usual sizes, and its weight."""
    known = ~np.isnan(part)
    filled = np.where(known, part, 0.0)
    count, total, size = (_last(each, season) for each in (known, filled, np.abs(filled)))
    usual = np.divide(size, count, out=np.zeros_like(size), where=count > 0)
    good = known & (count >= max(2, season // 2)) & (usual > 0)
    mean = np.divide(total, count, out=np.zeros_like(total), where=count > 0)
    above = np.divide(filled - mean, usual, out=np.zeros_like(total), where=good)
    return above, np.where(good, np.sqrt(usual), 0.0)


def _last(values: NDArray[np.float64] | NDArray[np.bool_], length: int) -> Floats:
    """Sums of the last `length` steps up to and with each."""
    sums = running_sums(values)
    start = np.maximum(np.arange(1, sums.shape[1]) - length, 0)
    return np.asarray(sums[:, 1:] - sums[:, start])
