"""One generated column each: what it is, what it learns from training rows, how it is computed.

Every feature has `learn`, which returns the column for the training rows themselves, and `values`
for any other rows. The two differ for means of the target only: a training row's code is made from
the other inner parts of the training rows and never contains its own label.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kit.preprocessing.keys import Columns, Key

Floats = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Target:
    """The target as columns to be averaged, and the inner parts for cross-fitting.

    Attributes:
        values: 0/1 per class (one column for two classes), or the numbers. ``(n, k)``
        part: inner part of every row. ``(n,)``
        n_parts: how many there are.
    """

    values: NDArray[np.float64]
    part: NDArray[np.int64]
    n_parts: int


@dataclass(kw_only=True)
class Feature:
    """A generated column."""

    @property
    def name(self) -> str:
        """Name of the column, unique among features."""
        raise NotImplementedError

    @property
    def keys(self) -> tuple[Key, ...]:
        """Keys it looks up."""
        return ()

    def learn(self, columns: Columns, target: Target | None) -> NDArray[Any]:
        """Learn from training rows and return their values."""
        return self.values(columns)

    def values(self, columns: Columns) -> NDArray[Any]:
        """Values of rows that were not learnt from. ``(n,)``."""
        raise NotImplementedError


@dataclass(kw_only=True)
class Keyed(Feature):
    """A column that is looked up by the level of a key."""

    key: Key

    @property
    def keys(self) -> tuple[Key, ...]:
        """The one key."""
        return (self.key,)


@dataclass(kw_only=True)
class TargetMean(Keyed):
    """Smoothed mean of the target per level, cross-fitted.

    (sum + alpha · prior) / (count + alpha), the prior being the mean of all training rows: the same
    for every row, so that a level of one row says nothing.

    Source:
        Micci-Barreca (2001); alpha = 10 and five parts as in TabPrep (TabArena, 2026).
    """

    output: int
    alpha: float = 10.0
    table: Floats = field(default_factory=lambda: np.empty(0, dtype=np.float32), repr=False)

    @property
    def name(self) -> str:
        """Says what it is made of."""
        return f"mean_{'*'.join(self.key)}_{self.output}"

    def learn(self, columns: Columns, target: Target | None) -> Floats:
        """Fill the table; every training row gets the mean of the other parts' rows."""
        if target is None:
            raise ValueError("means of the target need the target")
        y, size = target.values[:, self.output], columns.levels.size(self.key)
        codes, prior = columns.codes(self.key), y.mean()
        cells = target.part * size + codes
        shape = (target.n_parts, size)
        counts = np.bincount(cells, minlength=target.n_parts * size).reshape(shape)
        sums = np.bincount(cells, y - prior, minlength=target.n_parts * size).reshape(shape)
        all_counts, all_sums = counts.sum(axis=0), sums.sum(axis=0)
        self.table = (prior + all_sums / (all_counts + self.alpha)).astype(np.float32)
        without = prior + (all_sums - sums) / (all_counts - counts + self.alpha)
        return without.astype(np.float32).ravel()[cells]

    def values(self, columns: Columns) -> Floats:
        """Values of new rows. ``(n,)``."""
        return self.table[columns.codes(self.key)]


@dataclass(kw_only=True)
class Group(Keyed):
    """A number compared with the training rows of the same level: their mean, spread, order.

    Attributes:
        number: the column.
        statistic: "mean", "std", "deviation" (in standard deviations), "ratio" (to the mean) or
            "rank" (share of the level's training rows that are not larger).
    """

    number: str
    statistic: str
    table: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 2)), repr=False)
    order: tuple[NDArray[Any], ...] = field(default=(), repr=False)

    @property
    def name(self) -> str:
        """Says what it is made of."""
        return f"{self.statistic}_{self.number}_by_{'*'.join(self.key)}"

    def learn(self, columns: Columns, target: Target | None) -> Floats:
        """Fill the tables; values of the training rows."""
        codes, x = columns.codes(self.key), columns.number(self.number)
        size, known = columns.levels.size(self.key), ~np.isnan(x)
        codes, x = codes[known], x[known]
        if self.statistic == "rank":
            self._learn_order(codes, x, size)
        else:
            self._learn_table(codes, x, size)
        return self.values(columns)

    def values(self, columns: Columns) -> Floats:
        """Values of new rows. ``(n,)``."""
        codes, x = columns.codes(self.key), columns.number(self.number)
        if self.statistic == "rank":
            return self._ranks(codes, x)
        mean, std = self.table[codes].T
        with np.errstate(divide="ignore", invalid="ignore"):
            made = {
                "mean": lambda: mean,
                "std": lambda: std,
                "deviation": lambda: (x - mean) / std,
                "ratio": lambda: x / mean,
            }[self.statistic]()
        return finite(made)

    def _learn_table(self, codes: NDArray[np.int64], x: NDArray[np.float64], size: int) -> None:
        counts = np.bincount(codes, minlength=size)
        with np.errstate(divide="ignore", invalid="ignore"):
            mean = np.bincount(codes, x, minlength=size) / counts
            spread = np.bincount(codes, (x - mean[codes]) ** 2, minlength=size) / (counts - 1)
        table = np.column_stack([mean, np.sqrt(spread)])
        table[counts < 2] = np.nan  # a row on its own has nothing to be compared with
        self.table = table

    def _learn_order(self, codes: NDArray[np.int64], x: NDArray[np.float64], size: int) -> None:
        values = np.unique(x)
        cells = np.sort(codes * (len(values) + 1) + np.searchsorted(values, x, side="right"))
        counts = np.bincount(codes, minlength=size)
        self.order = (values, cells, np.cumsum(counts) - counts, counts)

    def _ranks(self, codes: NDArray[np.int64], x: NDArray[np.float64]) -> Floats:
        values, cells, starts, counts = self.order
        at = np.searchsorted(values, x, side="right")  # how many values are not larger
        below = np.searchsorted(cells, codes * (len(values) + 1) + at, side="right")
        with np.errstate(divide="ignore", invalid="ignore"):
            shares = (below - starts[codes]) / counts[codes]
        shares[np.isnan(x)] = np.nan
        return finite(shares)


@dataclass(kw_only=True)
class Arithmetic(Feature):
    """Two numbers combined: "+", "-", "*" or "/"."""

    left: str
    sign: str
    right: str

    @property
    def name(self) -> str:
        """Says what it is made of."""
        return f"{self.left}{self.sign}{self.right}"

    def values(self, columns: Columns) -> Floats:
        """Values of new rows. ``(n,)``."""
        operation = {"+": np.add, "-": np.subtract, "*": np.multiply, "/": np.divide}[self.sign]
        with np.errstate(all="ignore"):
            return finite(operation(columns.number(self.left), columns.number(self.right)))


_AT_ONCE = 5_000_000  # cells of which the numbers of a row are worked out at once


@dataclass(kw_only=True)
class Across(Feature):
    """A number of a row as a whole: of many columns a tree sees but a few at a time.

    Attributes:
        numbers: the columns.
        statistic: "missing" or "zero" (how many are), "mean", "std", "min", "max" of what is
            there, or "size" (mean of log(1 + |x|) of what is not zero).
    """

    numbers: tuple[str, ...] = field(repr=False)
    statistic: str

    @property
    def name(self) -> str:
        """Says what it is made of."""
        return f"{self.statistic}_of_{len(self.numbers)}"

    def values(self, columns: Columns) -> Floats:
        """Values of the rows. ``(n,)``."""
        names, rows = [*self.numbers], max(1, _AT_ONCE // len(self.numbers))
        parts = (columns.frame.iloc[k : k + rows][names] for k in range(0, len(columns), rows))
        blocks = [_across(part.to_numpy(dtype=np.float64), self.statistic) for part in parts]
        return finite(np.concatenate(blocks)) if blocks else np.empty(0, dtype=np.float32)


def _across(X: NDArray[np.float64], statistic: str) -> NDArray[np.float64]:
    if statistic == "missing":
        return np.isnan(X).sum(axis=1).astype(np.float64)
    if statistic == "zero":
        return (X == 0).sum(axis=1).astype(np.float64)
    if statistic == "size":
        X, statistic = np.where(X == 0, np.nan, np.log1p(np.abs(X))), "mean"
    with warnings.catch_warnings():  # a row of which nothing is there has none
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.asarray(getattr(np, f"nan{statistic}")(X, axis=1))


def finite(values: NDArray[np.float64]) -> Floats:
    """As float32; what is infinite, there or already before, becomes missing."""
    with warnings.catch_warnings(), np.errstate(over="ignore"):
        made = values.astype(np.float32)
    made[np.isinf(made)] = np.nan
    return made
