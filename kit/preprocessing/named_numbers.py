"""Whole numbers that name things: shops, planes, roles. Which columns hold such is learned.

A table often numbers what it names. To a tree such a number is a scale, and neighbours on it are
strangers: of a few rows per value it can learn little. Columns whose values say more than their
places on the scale get what categories of many levels get, share and cross-fitted mean; the number
stays.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin

from kit.preprocessing.categories import Counts, CrossFittedTarget
from kit.preprocessing.shape import MANY_LEVELS

_ROWS, _FEWEST_ROWS = 100_000, 2_000  # that choose
_CELLS = 4_000_000  # rows x columns that choose: wide tables get fewer rows, and keep to the time
_ROWS_PER_VALUE = 2.0  # on average, at least: else there is nothing to learn of a value
_WINDOW = 10  # values on either side that tell what the scale says
_SURE = 4.0  # standard errors
_SHARE = 0.05  # of what varies that the values must explain beyond the scale: of less, means of
# few rows are noise that models learn from (flights: the number of a flight, .04, cost .5 %)
_CUT = 0.01  # of a target's values at either end count as the next ones: few rows decide nothing

Array = NDArray[np.float64]


class NamedNumbers(TransformerMixin, BaseEstimator):
    """Share and cross-fitted mean of the target per value, of numbers that are rather names.

    Args:
        classification: whether `y` holds class codes.
        seed: of the rows that choose and of the inner parts.

    Shape:
        Frame ``(n, d)`` of numbers in; float32 ``(n, 2 c)`` out for c columns chosen, more for
        several classes, none where no column is chosen.
    """

    def __init__(self, classification: bool = False, seed: int = 0) -> None:
        self.classification = classification
        self.seed = seed

    def fit(self, X: pd.DataFrame, y: NDArray[Any]) -> NamedNumbers:
        """Choose the columns and learn shares and means of all training rows."""
        self._choose(X, y)
        if self.levels_:
            levels = self._leveled(X)
            self.shares_.fit(levels)
            self.means_.fit(levels, y)
        return self

    def fit_transform(self, X: pd.DataFrame, y: NDArray[Any], **_: Any) -> pd.DataFrame:
        """Choose and learn; training rows get means made without their own target."""
        self._choose(X, y)
        if not self.levels_:
            return X[[]]
        levels = self._leveled(X)
        shares = self.shares_.fit(levels).transform(levels)
        return pd.concat([shares, self.means_.fit_transform(levels, y)], axis=1)

    def transform(self, X: pd.DataFrame) -> pd.DataFrame:
        """Look the values up; one that was not trained on is like a missing one."""
        if not self.levels_:
            return X[[]]
        levels = self._leveled(X)
        return pd.concat([self.shares_.transform(levels), self.means_.transform(levels)], axis=1)

    def get_feature_names_out(self, input_features: object = None) -> list[str]:
        """Names of the columns made."""
        if not self.levels_:
            return []
        return [*self.shares_.get_feature_names_out(), *self.means_.get_feature_names_out()]

    def _choose(self, X: pd.DataFrame, y: NDArray[Any]) -> None:
        """Set the values of each column that is chosen."""
        rows, most = np.arange(len(X)), min(_ROWS, max(_FEWEST_ROWS, _CELLS // max(1, X.shape[1])))
        if len(X) > most:
            rows = np.sort(np.random.default_rng(self.seed).choice(rows, most, replace=False))
        target = _centred(np.asarray(y)[rows], self.classification)
        self.levels_: dict[str, pd.Index[Any]] = {}
        for name in X.columns:
            if not _whole(X[name].iloc[rows], len(rows)):
                continue
            if _says_more(X[name].iloc[rows].to_numpy(dtype=np.float64), target):
                self.levels_[name] = pd.Index(np.sort(X[name].dropna().unique()))
        self.shares_ = Counts()
        self.means_ = CrossFittedTarget(self.classification, self.seed)

    def _leveled(self, X: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame(
            {
                name: pd.Categorical.from_codes(levels.get_indexer(pd.Index(X[name])), levels)
                for name, levels in self.levels_.items()
            },
            index=X.index,
        )


def _whole(values: pd.Series, n: int) -> bool:
    """Whether these are whole numbers, of so many values that a tree cannot tell them apart."""
    known = values.dropna()
    if pd.api.types.is_float_dtype(known) and not (known == known.round()).all():
        return False
    return MANY_LEVELS < known.nunique() <= n / _ROWS_PER_VALUE


def _centred(y: NDArray[Any], classification: bool) -> Array:
    """The target as columns: one per class, or numbers without their extremes. ``(n, k)``."""
    if classification:
        return np.asarray(y[:, None] == np.unique(y)[1:], dtype=np.float64)
    values = np.asarray(y, dtype=np.float64)
    return np.clip(values, *np.quantile(values, [_CUT, 1 - _CUT]))[:, None]


def _says_more(values: Array, target: Array) -> bool:
    """Whether rows of a value are alike beyond what the values next to it are.

    What the scale says is the mean of the values around. Of what is left, rows of one value are
    compared with each other and with those of the two values next to it: where the scale is all,
    both are alike to the same degree, however crooked the curve is; of names only the first are.

    Args:
        values: whole numbers, missing ones apart from all others. ``(n,)``
        target: a column per class or one of numbers. ``(n, k)``
    """
    known = ~np.isnan(values)
    place = np.unique(values[known], return_inverse=True)[1]
    rest = target[known]
    varies = ((rest - rest.mean(axis=0)) ** 2).sum()
    counts = np.bincount(place).astype(np.float64)
    sums = _per_value(place, rest, len(counts))
    # without the next values: else these would be compared with a mean they are part of
    rest = rest - (_further(sums) / _further(counts[:, None]))[place]
    sums = _per_value(place, rest, len(counts))
    squares = _per_value(place, rest**2, len(counts)).sum(axis=1)
    several = counts > 1
    own = ((sums**2).sum(axis=1) - squares)[several] / (counts[several] - 1)
    beside = (sums * _around(sums / counts[:, None], 1)).sum(axis=1)[several]
    sides = _around(np.ones((len(counts), 1)), 1)[several, 0]
    more = own - beside / sides
    error = np.sqrt((more**2).sum())
    return bool(more.sum() > max(_SURE * error, _SHARE * varies))


def _further(of: Array) -> Array:
    return _around(of, _WINDOW) - _around(of, 1)


def _per_value(place: NDArray[np.int64], columns: Array, n: int) -> Array:
    return np.column_stack([np.bincount(place, column, minlength=n) for column in columns.T])


def _around(of: Array, window: int) -> Array:
    """Sums over the values next to each, `window` on either side, its own left out. ``(m, k)``."""
    total = np.vstack([np.zeros((1, of.shape[1])), of.cumsum(axis=0)])
    at = np.arange(len(of))
    low, high = np.maximum(at - window, 0), np.minimum(at + window + 1, len(of))
    return np.asarray(total[high] - total[low] - of)
