"""Rows as LightGBM reads them: a frame at once, or a table on the disk in batches to be binned.

The bins are those of the same table in memory: LightGBM draws the same rows to find them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import lightgbm as lgb
import numpy as np
import pandas as pd
from numpy.typing import NDArray

BATCH = 100_000
"""Rows that are float64 numbers at a time."""


def numbers(X: pd.DataFrame, spelled: Sequence[Sequence[Any]] | None) -> NDArray[Any]:
    """What LightGBM makes of a frame whenever it predicts; levels it did not know are NaN.

    Args:
        X: ``(n, d)`` numbers and categories, names differ.
        spelled: the levels of each category while it learned (`Booster.pandas_categorical`).

    Returns:
        ``(n, d)``, float32 where that holds all numbers of the frame.
    """
    X = X.copy(deep=False)
    names = [name for name, kind in X.dtypes.items() if isinstance(kind, pd.CategoricalDtype)]
    for name, levels in zip(names, spelled or [], strict=True):
        codes = X[name].cat.set_categories(levels).cat.codes.astype(np.float32)
        X[name] = codes.where(codes >= 0)
    kind = np.result_type(np.float32, *(kind.type for kind in X.dtypes))
    return np.ascontiguousarray(X.to_numpy(dtype=kind, na_value=np.nan))


class Batches(lgb.Sequence):
    """The rows of a frame as numbers; levels as their codes, missing ones NaN.

    Args:
        X: ``(n, d)`` numbers and categories.
    """

    batch_size = BATCH

    def __init__(self, X: pd.DataFrame) -> None:
        self._n = len(X)
        columns = [X.iloc[:, k].array for k in range(X.shape[1])]
        self.levels = [k for k, each in enumerate(columns) if isinstance(each, pd.Categorical)]
        self.spelled = [list(columns[k].categories) for k in self.levels]
        self._columns = [np.asarray(getattr(each, "codes", each)) for each in columns]

    def __len__(self) -> int:
        return self._n

    def __getitem__(self, rows: int | slice | list[int]) -> NDArray[np.float64]:
        """One row ``(d,)``, or several ``(n, d)``."""
        values = np.array([column[rows] for column in self._columns], dtype=np.float64)
        codes = values[self.levels]
        values[self.levels] = np.where(codes < 0, np.nan, codes)
        return np.ascontiguousarray(values.T)


class _Binned(lgb.Dataset):
    """Rows to be binned; all parameters count, as they do for a table in memory.

    LightGBM itself leaves some of them out for sequences, and draws other rows without the seed.
    """

    def get_params(self) -> dict[str, Any]:
        """All of them."""
        return dict(self.params or {})


def from_batches(
    X: pd.DataFrame, X_valid: pd.DataFrame | None, params: dict[str, Any]
) -> tuple[lgb.Dataset, lgb.Dataset | None]:
    """Binned training rows, and validation rows in the same bins.

    Args:
        X: training rows.
        X_valid: validation rows, or None.
        params: LightGBM's.
    """
    rows = Batches(X)
    train = _Binned(
        rows,
        params=params,
        feature_name=[f"f{number}" for number in range(X.shape[1])],
        categorical_feature=rows.levels,
    ).construct()
    # what LightGBM notes itself of a frame in memory: rows to predict are coded by it
    train.pandas_categorical = rows.spelled
    if X_valid is None:
        return train, None
    return train, _Binned(Batches(X_valid), reference=train, params=dict(train.params)).construct()
