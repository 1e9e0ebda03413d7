"""A fold's rows may lack a class or a label, or have nothing else: it is learned, not refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

from kit.models.adapter import SklearnModel
from kit.models.base import FoldRows, Model, Problem, RowWeights
from kit.models.forests import ExtraTrees, RandomForest
from kit.models.lightgbm import LightGBM
from kit.models.linear import Linear
from kit.models.neighbors import KNN

N = 120
MODELS: dict[str, Callable[[], Model]] = {
    "lightgbm": lambda: LightGBM(n_estimators=5),
    "linear": Linear,
    "ratios": lambda: Linear(ratios=True),
    "random_forest": lambda: RandomForest(20),
    "extra_trees": lambda: ExtraTrees(20),
    "knn": KNN,
    "own, strict": lambda: SklearnModel(LogisticRegression()),
    "own, lenient": lambda: SklearnModel(RandomForestClassifier(10)),
}


def rows(name: str) -> Any:
    values = np.random.default_rng(0).normal(size=(N, 2))
    matrix = MODELS[name]().family == "linear"
    return values if matrix else pd.DataFrame(values, columns=["a", "b"])


def problem(task: Any, n_outputs: int) -> Problem:
    return Problem(task=task, n_outputs=n_outputs, seed=1)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", MODELS)
def test_labels_that_no_row_or_every_row_has(name: str, weighted: bool) -> None:
    X, rng = rows(name), np.random.default_rng(1)
    y = np.column_stack([rng.integers(0, 2, N), np.zeros(N), np.ones(N)]).astype(float)
    weight = RowWeights(rng.uniform(0.5, 1.5, N)) if weighted else None
    model = MODELS[name]().fit(X, y, problem=problem("multilabel", 3), weight=weight)
    found = model.predict(X)
    assert found.shape == (N, 3)
    assert found[:, 1].max() < 0.1
    assert found[:, 2].min() > 0.9


@pytest.mark.parametrize("only", [0, 1])
@pytest.mark.parametrize("name", MODELS)
def test_one_class_of_two(name: str, only: int) -> None:
    X = rows(name)
    found = MODELS[name]().fit(X, np.full(N, only), problem=problem("binary", 1)).predict(X)
    assert found.shape == (N, 1)
    assert np.abs(found - only).max() < 0.1


@pytest.mark.parametrize("name", MODELS)
def test_a_class_that_no_row_has(name: str) -> None:
    X = rows(name)
    y = np.random.default_rng(1).integers(1, 4, N)
    found = MODELS[name]().fit(X, y, problem=problem("multiclass", 5)).predict(X)
    assert found.shape == (N, 5)
    assert found[:, [0, 4]].max() < 0.01
    assert found.sum(axis=1) == pytest.approx(1)


def test_rare_classes_do_not_end_the_choice_of_a_penalty() -> None:
    """Noise wants the strongest one, however rare a class is."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(N, 20)), rng.integers(0, 3, N)
    y[0] = 3
    model = Linear((0.001, 1.0, 1e4)).fit(X, y, problem=problem("multiclass", 5))
    assert pytest.approx(1e-4) == model.fitted_[0].C
    assert list(model.fitted_[0].classes_) == [0, 1, 2, 3]


def test_catboost_says_nothing_of_classes_that_a_fold_lacks(
    capfd: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("catboost")
    from kit.models.catboost import CatBoost

    X = pd.DataFrame(np.random.default_rng(0).normal(size=(N, 2)), columns=["a", "b"])
    y, y_valid = np.arange(N) % 3, np.arange(N) % 5
    fold = FoldRows(X=X, y=y, X_valid=X, y_valid=y_valid)
    model, asked = CatBoost(n_estimators=3), problem("multiclass", 5)
    model.fit(X, y, problem=asked, valid=(X, y_valid))
    together = model.fit_folds([fold, fold, fold], problem=asked)
    assert capfd.readouterr() == ("", "")
    for each in (model, *together):
        assert each.predict(X)[:, 3:].max() < 0.34
