"""Categories, numbers of few values, and pairs of both, as integer codes of the training rows.

A `Key` names one or two columns. Every row has a code of every key: the levels of the training rows
first, then one last code for all that is missing or was not seen. What features keep per level is
an array indexed by that code, so a new row needs a look-up and nothing from its neighbours.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Key = tuple[str, ...]


class Levels:
    """The levels of columns and of pairs of columns in the training rows.

    Args:
        X: training rows.
        few: a number with so many different values at most may be part of a key.

    Attributes:
        few_values: columns that may be part of a key; categories, and numbers of few values.
    """

    def __init__(self, X: pd.DataFrame, few: int) -> None:
        self._values: dict[str, pd.Index] = {}
        self._pairs: dict[Key, NDArray[np.int64]] = {}
        for name in X.columns:
            if isinstance(X[name].dtype, pd.CategoricalDtype):
                self._values[name] = X[name].cat.categories
            else:
                values = np.unique(X[name].to_numpy(dtype=np.float64))
                values = values[~np.isnan(values)]
                if len(values) <= few:
                    self._values[name] = pd.Index(values)
        self.few_values = list(self._values)

    def learn(self, key: Key, columns: Columns) -> None:
        """Remember which pairs of levels occur; single columns are known already."""
        if len(key) == 2 and key not in self._pairs:
            self._pairs[key] = np.unique(self._joint(key, columns))

    def size(self, key: Key) -> int:
        """Number of codes, the last for what is missing or unseen."""
        known = self._pairs[key] if len(key) == 2 else self._values[key[0]]
        return len(known) + 1

    def codes(self, key: Key, columns: Columns) -> NDArray[np.int64]:
        """The code of every row. ``(n,)``."""
        if len(key) == 1:
            return self._single(key[0], columns.frame[key[0]])
        known, joint = self._pairs[key], self._joint(key, columns)
        place = np.minimum(np.searchsorted(known, joint), len(known) - 1)
        return np.where(known[place] == joint, place, len(known))

    def _single(self, name: str, column: pd.Series) -> NDArray[np.int64]:
        known = self._values[name]
        if isinstance(column.dtype, pd.CategoricalDtype):
            same = column.cat.categories.equals(known)
            codes = (column if same else column.cat.set_categories(known)).cat.codes.to_numpy()
        else:
            codes = known.get_indexer(pd.Index(column.to_numpy(dtype=np.float64)))
        return np.where(codes < 0, len(known), codes).astype(np.int64)

    def _joint(self, key: Key, columns: Columns) -> NDArray[np.int64]:
        first, second = key
        width = len(self._values[second]) + 1
        return columns.codes((first,)) * width + columns.codes((second,))


class Columns:
    """The columns of some rows; numbers and codes of single columns are worked out once.

    Args:
        frame: rows with numeric and categorical columns.
        levels: learnt from training rows.
    """

    def __init__(self, frame: pd.DataFrame, levels: Levels) -> None:
        self.frame = frame
        self.levels = levels
        self._numbers: dict[str, NDArray[np.float64]] = {}
        self._codes: dict[str, NDArray[np.int64]] = {}

    def __len__(self) -> int:
        return len(self.frame)

    def number(self, name: str) -> NDArray[np.float64]:
        """A numeric column. ``(n,)``."""
        if name not in self._numbers:
            self._numbers[name] = self.frame[name].to_numpy(dtype=np.float64)
        return self._numbers[name]

    def codes(self, key: Key) -> NDArray[np.int64]:
        """The codes of a key. ``(n,)``."""
        if len(key) > 1:  # not kept: on a million rows they would be the larger part of the memory
            return self.levels.codes(key, self)
        if key[0] not in self._codes:
            self._codes[key[0]] = self.levels.codes(key, self)
        return self._codes[key[0]]
