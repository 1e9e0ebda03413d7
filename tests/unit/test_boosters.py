"""What boosting libraries have in common: threads."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from kit.models.base import Model, Problem
from kit.models.boosters import useful_threads
from kit.registry import MODELS

PROBLEM = Problem(task="regression", n_outputs=1, seed=1, threads=2)


def threads_of(model: Model, name: str) -> int:
    (booster,) = model.boosters_  # type: ignore[attr-defined]
    if name == "lightgbm":
        return int(booster.params["num_threads"])
    if name == "catboost":
        return int(booster.get_param("thread_count"))
    return int(json.loads(booster.save_config())["learner"]["generic_param"]["nthread"])


@pytest.mark.parametrize("name", ["lightgbm", "xgboost", "catboost"])
def test_a_small_table_gets_one_thread(name: str) -> None:
    pytest.importorskip(name)
    values = np.random.default_rng(0).normal(size=(6000, 20))
    X = pd.DataFrame(values, columns=[f"x{k}" for k in range(20)])
    small, large = (
        MODELS.load(name)(n_estimators=2).fit(X[:n], values[:n, 0], problem=PROBLEM)
        for n in (4000, 6000)
    )
    assert threads_of(small, name) == 1
    assert threads_of(large, name) == 2
    assert small.problem_.threads == 2  # a long table of new rows is predicted with all


def test_threads_are_not_made_up() -> None:
    assert useful_threads(10**6, 4) == 4
    assert useful_threads(10**6, 1) == useful_threads(10**4, 4) == 1


@pytest.mark.parametrize(("rows", "given", "bins"), [(300, 254, 37), (100, 254, 32), (300, 9, 9)])
def test_catboost_cuts_columns_of_few_rows_into_few_bins(rows: int, given: int, bins: int) -> None:
    values = np.random.default_rng(0).normal(size=(rows, 2))
    X = pd.DataFrame(values, columns=["a", "b"])
    model = MODELS.load("catboost")(n_estimators=2, border_count=given)
    (booster,) = model.fit(X, values[:, 0], problem=PROBLEM).boosters_
    assert booster.get_param("border_count") == bins
    assert max(map(len, booster.get_borders().values())) <= bins
    assert model.get_params()["border_count"] == given
