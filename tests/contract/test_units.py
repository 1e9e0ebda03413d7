"""Several targets in units of their own: what a large one cannot be told takes nothing off others.

The first target is noise, a million times as large as the second, which is a plain line.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from kit.models import linear
from kit.models.base import Model, Problem
from kit.models.forests import ExtraTrees, RandomForest
from kit.models.linear import Linear

N = 300
PROBLEM = Problem(task="multitarget", n_outputs=2, seed=1)


def rows() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N, 10))
    return X, np.column_stack([1e6 * rng.normal(size=N), X[:, 0]])


def told(model: Model, X: Any, y: np.ndarray) -> float:
    """The share of the second target's variance that new rows keep unexplained."""
    first = slice(0, 2 * N // 3)
    last = slice(2 * N // 3, N)
    found = model.fit(X[first], y[first], problem=PROBLEM).predict(X[last])
    assert found.shape == (N // 3, 2)
    return float(np.mean((found[:, 1] - y[last, 1]) ** 2) / y[last, 1].var())


@pytest.mark.parametrize(
    "make",
    [
        lambda: RandomForest(50, max_features=1.0),
        lambda: ExtraTrees(50, max_features=1.0),
    ],
)
def test_trees_split_for_all_targets(make: Callable[[], Model]) -> None:
    X, y = rows()
    assert told(make(), pd.DataFrame(X, columns=list("abcdefghij")), y) < 0.15


@pytest.mark.parametrize("held_out", [False, True])
def test_every_target_has_a_penalty_that_suits_it(
    monkeypatch: pytest.MonkeyPatch, held_out: bool
) -> None:
    X, y = rows()
    if held_out:  # one penalty for both, chosen where the closed form would not end
        monkeypatch.setattr(linear, "_CLOSED_FORM", 10)
        X = sparse.csr_matrix(np.hstack([X, np.zeros((N, 2000))]))
    assert told(Linear((1e-3, 1e5)), X, y) < 0.05
