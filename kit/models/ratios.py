"""Naive-Bayes log-count ratios: how much more often a column is there in one class than elsewhere.

A linear model on columns multiplied by their ratios starts from what a naive Bayes classifier
believes and corrects it; rare words that only one class uses weigh more than their penalty lets
them otherwise.

Source: Wang and Manning, "Baselines and bigrams: simple, good sentiment and topic classification"
(ACL 2012).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse


def log_count_ratios(
    X: Any,
    of_class: NDArray[np.bool_],
    weight: NDArray[np.float64] | None = None,
    alpha: float = 1.0,
) -> NDArray[Any]:
    """The ratios of the columns.

    Args:
        X: ``(n, d)`` counts or weights, dense or sparse.
        of_class: whether a row is of the class, ``(n,)``.
        weight: how much rows count, ``(n,)``; None: all the same.
        alpha: added to both sums; larger trusts rare columns less.

    Returns:
        ``(d,)`` float32; 1 where a column has negative values, which count nothing.
    """
    lowest = X.min(axis=0)
    if weight is not None:
        X = sparse.diags(weight).tocsr() @ X if sparse.issparse(X) else X * weight[:, None]
    inside, outside = (np.asarray(X[rows].sum(axis=0)).ravel() for rows in (of_class, ~of_class))
    counts = (lowest.toarray() if sparse.issparse(lowest) else np.asarray(lowest)).ravel() >= 0
    inside, outside = np.where(counts, inside, 0) + alpha, np.where(counts, outside, 0) + alpha
    ratios = np.log(inside / inside.sum()) - np.log(outside / outside.sum())
    return np.where(counts, ratios, 1.0).astype(np.float32)


def multiplied(X: Any, ratios: NDArray[Any]) -> Any:
    """Every column times its ratio."""
    return X @ sparse.diags(ratios, dtype=np.float32) if sparse.issparse(X) else X * ratios
