"""Nearest neighbours: k is chosen, noise is shrunk, probabilities stay off 0 and 1."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pandas as pd
import pytest

from kit.models.base import Problem
from kit.models.neighbors import KNN

BINARY = Problem(task="binary", n_outputs=1, seed=0)
NUMBER = Problem(task="regression", n_outputs=1, seed=0)


def frame(n: int, noise: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    return pd.DataFrame(
        rng.normal(size=(n, 1 + noise)), columns=[f"x{k}" for k in range(1 + noise)]
    )


def test_a_curve_without_noise_wants_few_neighbours_and_noise_many() -> None:
    X = frame(600)
    curve = np.sin(3 * X["x0"].to_numpy())
    few = KNN().fit(X, curve, problem=NUMBER)
    many = KNN().fit(X, np.random.default_rng(2).normal(size=600), problem=NUMBER)
    assert few.k_ <= 12
    assert many.k_ >= 50


def test_columns_of_noise_do_not_drown_the_others() -> None:
    X = frame(800, noise=20)
    y = np.sin(2 * X["x0"].to_numpy())
    model = KNN().fit(X[:600], y[:600], problem=NUMBER)
    assert model.stretch_[0] == 1
    assert model.stretch_[1:].max() < 0.3
    error = np.mean((model.predict(X[600:])[:, 0] - y[600:]) ** 2)
    assert error < 0.25 * y.var()


def test_probabilities_are_never_0_or_1() -> None:
    X = frame(300)
    y = (X["x0"] > 0).to_numpy().astype(np.int64)
    proba = KNN(k=5).fit(X, y, problem=BINARY).predict(X)
    assert 0 < proba.min() < 0.3
    assert 0.7 < proba.max() < 1


def test_equal_rows_do_not_vote_for_themselves() -> None:
    X = pd.DataFrame({"x0": np.repeat(np.arange(100.0), 4)})
    y = np.random.default_rng(0).integers(0, 2, 400)
    model = KNN().fit(X, y, problem=BINARY)
    assert model.k_ >= 20  # with itself among its neighbours the nearest alone would look perfect


@pytest.mark.parametrize("n", [2, 3, 7])
def test_few_rows_are_enough(n: int) -> None:
    X = frame(n)
    y = np.arange(n) % 2
    model = KNN().fit(X, y, problem=BINARY)
    assert model.predict(X).shape == (n, 1)


def test_a_category_of_many_levels_is_left_to_its_mean() -> None:
    levels = pd.Categorical([f"l{k % 60}" for k in range(300)])
    X = frame(300).assign(c=levels)
    y = (X["x0"] > 0).to_numpy().astype(np.int64)
    assert KNN(k=5).fit(X, y, problem=BINARY).index_.n_features_in_ == 1


def test_many_classes_need_no_room_for_all_neighbours_of_all_rows() -> None:
    """1,500 rows x 120 neighbours x 200 classes are 288 MB."""
    X, y = frame(1500), np.arange(1500) % 200
    problem = Problem(task="multiclass", n_outputs=200, seed=0)
    tracemalloc.start()
    found = KNN().fit(X, y, problem=problem).predict(X)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 60e6
    assert found.sum(axis=1) == pytest.approx(1)
