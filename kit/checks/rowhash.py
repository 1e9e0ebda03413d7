"""Equal rows, found by hashing; and how many pairs of equal rows are mere chance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

_SAMPLE = 20_000


@dataclass(frozen=True, kw_only=True)
class RowHashes:
    """Hashes of both files, comparable with one another.

    Attributes:
        train: ``(n_train,)`` uint64.
        test: ``(n_test,)`` uint64.
        chance: probability that two rows of train are equal if the columns were independent.
    """

    train: NDArray[np.uint64]
    test: NDArray[np.uint64]
    chance: float


def hash_rows(X: pd.DataFrame, X_test: pd.DataFrame) -> RowHashes:
    """Hash the rows of two frames with the same columns; missing equals missing."""
    rows = np.zeros(len(X), dtype=np.uint64)
    test_rows = np.zeros(len(X_test), dtype=np.uint64)
    chance = 1.0
    factor = np.uint64(0x9E3779B97F4A7C15)
    for name in X.columns:
        hashes, test_hashes = hashed(X[name]), hashed(X_test[name])
        chance *= _collision(hashes)
        with np.errstate(over="ignore"):  # arithmetic modulo 2^64 is what is wanted
            rows = (rows ^ hashes) * factor
            test_rows = (test_rows ^ test_hashes) * factor
            rows ^= rows >> np.uint64(29)
            test_rows ^= test_rows >> np.uint64(29)
    return RowHashes(train=rows, test=test_rows, chance=chance)


def hashed(column: pd.Series) -> NDArray[np.uint64]:
    """A number per value, equal for equal values, int or float; missing equals missing."""
    if pd.api.types.is_numeric_dtype(column):
        column = column.astype("float64") + 0.0  # -0.0 equals 0.0
    hashes = pd.util.hash_pandas_object(column, index=False).to_numpy(dtype=np.uint64)
    return np.where(column.isna().to_numpy(), np.uint64(1), hashes)


def _collision(hashes: NDArray[np.uint64]) -> float:
    """Probability that two rows have the same value, estimated without bias from a sample."""
    if len(hashes) > _SAMPLE:
        hashes = np.random.default_rng(0).choice(hashes, _SAMPLE, replace=False)
    counts = np.unique(hashes, return_counts=True)[1].astype(np.float64)
    n = len(hashes)
    return float((counts * (counts - 1)).sum() / (n * (n - 1))) if n > 1 else 1.0
