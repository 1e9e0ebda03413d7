"""The past of many series: training values by series and step.

What is looked up is a value of the training rows the history was fitted with, never another row's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kit.errors import DataError
from kit.spelling import plain
from kit.steps import infer_step, step_numbers

Floats = NDArray[np.float64]
_CELLS = 60_000_000  # series x steps; half a gigabyte with what is made of them


class History:
    """Values per series and step; equal series and times are averaged.

    Args:
        X: training rows.
        ids: columns that tell the series apart; none: one series.
        time: the column of times, datetime64 or numbers.
        step: see `kit.steps.step_numbers`; empty: inferred.

    Attributes:
        step: of the series.
        first, last: numbers of the first and the last step.
        repeated: rows whose series and step an earlier row has.

    Raises:
        DataError: a time is missing, or there are too many steps to be kept.
    """

    def __init__(self, X: pd.DataFrame, ids: Sequence[str], time: str, step: str) -> None:
        self._ids, self._time = list(ids), time
        times = _times(X, time)
        self.step = step or infer_step(times)
        numbers = step_numbers(times, self.step)
        self.first, self.last = int(numbers.min()), int(numbers.max())
        self._keys = pd.Index(np.unique(self._spelled(X)))
        self.n_steps = self.last - self.first + 1
        if len(self._keys) * self.n_steps > _CELLS:
            raise DataError(
                f"[series]: {len(self._keys)} series x {self.n_steps} steps of {self.step!r} are "
                f"more than {_CELLS:.0e} values.\n  Is series.step right? Times that follow no "
                'step, such as seconds of events, need a coarser one, e.g. step = "1D".'
            )
        self._cells = self._cell(*self.place(X))
        self.repeated = len(X) - len(np.unique(self._cells))

    def place(self, X: pd.DataFrame) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Series (-1: not among the training rows) and step, 0 at `first`, of any rows."""
        series = self._keys.get_indexer(pd.Index(self._spelled(X)))
        return series.astype(np.int64), step_numbers(_times(X, self._time), self.step) - self.first

    def grid(self, values: Floats) -> Floats:
        """Values of the training rows by series and step, nan where there is none.

        Args:
            values: of the training rows, in their order. ``(n,)``

        Returns:
            ``(n_series, n_steps)``
        """
        size = len(self._keys) * self.n_steps
        known = ~np.isnan(values)
        cells = self._cells[known]
        counts = np.bincount(cells, minlength=size)
        sums = np.bincount(cells, values[known], minlength=size)
        grid = np.divide(sums, counts, out=np.full(size, np.nan), where=counts > 0)
        return grid.reshape(len(self._keys), self.n_steps)

    def forget_rows(self) -> None:
        """Drop what only `grid` needs; a fitted recipe is stored without it."""
        self._cells = np.empty(0, dtype=np.int64)

    def _cell(self, series: NDArray[np.int64], step: NDArray[np.int64]) -> NDArray[np.int64]:
        return series * self.n_steps + step

    def _spelled(self, X: pd.DataFrame) -> NDArray[Any]:
        """The series of every row as one string; a number that has gaps elsewhere is 1.0 there."""
        if not self._ids:
            return np.full(len(X), "", dtype=object)
        parts = X[self._ids].astype("object")
        codes, groups = pd.factorize(pd.MultiIndex.from_frame(parts))
        levels = [plain(groups.get_level_values(k).to_series()) for k in range(len(self._ids))]
        names = np.array(["\x1f".join(map(str, row)) for row in zip(*levels, strict=True)], object)
        return names[codes] if len(names) else np.full(len(X), "", dtype=object)


def at(grid: Floats, series: NDArray[np.int64], step: NDArray[np.int64]) -> Floats:
    """Values at a step; nan outside the history and for unknown series. ``(n,)``."""
    inside = (series >= 0) & (step >= 0) & (step < grid.shape[1])
    found = np.full(len(series), np.nan)
    found[inside] = grid[series[inside], step[inside]]
    return found


class Sums:
    """Means and deviations of any stretch of a grid, each in two look-ups.

    Args:
        grid: values, nan where there is none. ``(n_series, n_steps)``
    """

    def __init__(self, grid: Floats) -> None:
        known = ~np.isnan(grid)
        count = known.sum(axis=1, keepdims=True)
        filled = np.where(known, grid, 0.0)
        # around the series' mean, or the squares would drown the deviation
        self._center = filled.sum(axis=1, keepdims=True) / np.maximum(count, 1)
        filled = np.where(known, grid - self._center, 0.0)
        self._sums = [running_sums(each) for each in (known, filled, filled**2)]
        self._n_steps = grid.shape[1]

    def stretch(
        self, series: NDArray[np.int64], end: NDArray[np.int64], length: int | None
    ) -> tuple[Floats, Floats, Floats]:
        """Number of values, mean and deviation of the `length` steps up to and with `end`.

        Args:
            series: -1: unknown.
            end: last step of each stretch; may lie outside the grid.
            length: steps; None: from the beginning.

        Returns:
            Three arrays ``(n,)``; nan where there is no value (deviation: fewer than two).
        """
        stop = np.clip(end + 1, 0, self._n_steps)
        start = np.zeros_like(stop) if length is None else np.clip(end + 1 - length, 0, None)
        start = np.minimum(start, stop)
        rows = np.maximum(series, 0)
        count, total, squares = (each[rows, stop] - each[rows, start] for each in self._sums)
        count = np.where(series < 0, 0, count)
        with np.errstate(divide="ignore", invalid="ignore"):
            mean = total / count
            variance = np.maximum(squares / count - mean**2, 0.0)
            deviation = np.where(count > 1, np.sqrt(variance), np.nan)
        mean = np.where(count > 0, mean + self._center[rows, 0], np.nan)
        return count.astype(np.float64), mean, deviation


def running_sums(values: NDArray[Any]) -> Floats:
    """Sums of the first 0, 1, 2, ... columns."""
    sums = np.zeros((values.shape[0], values.shape[1] + 1))
    np.cumsum(values, axis=1, out=sums[:, 1:])
    return sums


def _times(X: pd.DataFrame, name: str) -> NDArray[Any]:
    times = X[name]
    if times.isna().any():
        raise DataError(
            f"[series]: columns.time {name!r} must be known in every row; "
            f"{int(times.isna().sum())} are missing"
        )
    return times.to_numpy()
