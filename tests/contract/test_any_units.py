"""What is learned does not depend on the units that a target or a column is written in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from kit.execution.fold import family_of
from kit.models.base import FoldRows, Model, Problem
from kit.models.catboost import CatBoost
from kit.models.forests import ExtraTrees, RandomForest
from kit.models.lightgbm import LightGBM
from kit.models.linear import Linear
from kit.models.neighbors import KNN
from kit.models.neural.mlp import MLP
from kit.models.xgboost import XGBoost
from kit.preprocessing.columns import recipe
from kit.preprocessing.shape import Shape

TRAIN, N = 200, 300
PROBLEM = Problem(task="regression", n_outputs=1, seed=1)
MODELS: dict[str, Callable[[], Model]] = {
    "lightgbm": lambda: LightGBM(n_estimators=60, learning_rate=0.1),
    "penalised": lambda: LightGBM(n_estimators=60, learning_rate=0.1, lambda_l1=0.9),
    "catboost": lambda: CatBoost(n_estimators=60, learning_rate=0.1),
    "xgboost": lambda: XGBoost(n_estimators=60, learning_rate=0.1),
    "random_forest": lambda: RandomForest(30),
    "extra_trees": lambda: ExtraTrees(30),
    "linear": Linear,
    "knn": KNN,
}
_OPTIONAL = ("catboost", "xgboost")


def table() -> tuple[pd.DataFrame, np.ndarray]:
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"a": rng.normal(size=N), "b": rng.uniform(size=N)})
    return X, 2 * np.sin(X["a"].to_numpy()) - 4 * X["b"].to_numpy() + 0.1 * rng.normal(size=N)


def told(name: str, X: pd.DataFrame, y: np.ndarray, folder: Path | None = None) -> float:
    """The share of the target's variance that a model tells of new rows, saved before if asked."""
    if name in _OPTIONAL:
        pytest.importorskip(name)
    model = MODELS[name]()
    shape = Shape(
        kinds=dict.fromkeys(X.columns, "numeric"),
        levels={},
        n_rows=TRAIN,
        task="regression",
        seed=1,
    )
    steps = recipe(family_of(model), shape)
    rows = steps.fit_transform(X[:TRAIN], y[:TRAIN])
    model.fit(rows, y[:TRAIN], problem=PROBLEM)
    if folder is not None:
        model.save(folder)
        model = type(model).load(folder)
    found = model.predict(steps.transform(X[TRAIN:]))[:, 0]
    assert np.isfinite(found).all()
    return float(1 - ((found - y[TRAIN:]) ** 2).mean() / y[TRAIN:].var())


@pytest.mark.parametrize("name", MODELS)
def test_units_of_the_target_do_not_matter(name: str, tmp_path: Path) -> None:
    X, y = table()
    usual = told(name, X, y)
    assert usual > 0.8
    for number, other in enumerate((1e-9 * y, 1e-2 * y, 1e25 * y, 1e9 + 10 * y)):
        folder = tmp_path / str(number)
        folder.mkdir()
        assert told(name, X, other, folder) == pytest.approx(usual, abs=0.02), number


@pytest.mark.parametrize("name", MODELS)
def test_units_of_a_column_do_not_matter(name: str) -> None:
    X, y = table()
    usual = told(name, X, y)
    outlier = X["b"].mask(X.index == 3, -1e37)
    seconds = 1.6e9 + 60 * X["b"]  # of a minute since 1970: one number in float32
    for b in (1e-9 * X["b"], 1e-30 * X["b"], 1e30 * X["b"], seconds, outlier):
        assert told(name, X.assign(b=b), y) > usual - 0.06, b[:2].tolist()


@pytest.mark.parametrize("name", ["random_forest", "extra_trees"])
def test_forests_predict_nothing_that_no_row_had(name: str) -> None:
    X, y = table()
    y = np.where(y > 1.5, np.exp(3 * y), 0.0)
    found = MODELS[name]().fit(X, y, problem=PROBLEM).predict(X)
    assert found.min() == 0.0


def test_a_network_learns_a_target_of_large_numbers() -> None:
    X, y = table()
    frame = X.astype(np.float32)

    def predicted(target: np.ndarray) -> np.ndarray:
        model = MLP(layers=(32,), epochs=8)
        return model.fit(frame, target, problem=PROBLEM).predict(frame)[:, 0]

    usual = predicted(y)
    assert (predicted(1e9 + 10 * y) - 1e9) / 10 == pytest.approx(usual, abs=1e-4)
    assert predicted(1e25 * y) / 1e25 == pytest.approx(usual, abs=1e-4)


@pytest.mark.parametrize("name", ["lightgbm", "catboost", "xgboost"])
def test_losses_are_told_in_the_units_of_the_target(name: str) -> None:
    """Of folds side by side and of one alone: the first fold varies ten times as much."""
    if name in _OPTIONAL:
        pytest.importorskip(name)
    X, y = table()
    y = 1000 * np.where(np.arange(N) < N // 2, 10 * y, y)
    parts = [slice(0, N // 2), slice(N // 2, N)]
    folds = [FoldRows(X=X[part], y=y[part], X_valid=X[part], y_valid=y[part]) for part in parts]
    first, second = (_curve(each) for each in MODELS[name]().fit_folds(folds, problem=PROBLEM))
    assert first[0] == pytest.approx(y[parts[0]].std(), rel=0.2)
    assert second[0] == pytest.approx(y[parts[1]].std(), rel=0.2)
    valid = (X[parts[0]], y[parts[0]])
    alone = MODELS[name]().fit(X[parts[0]], y[parts[0]], problem=PROBLEM, valid=valid)
    assert _curve(alone)[0] == pytest.approx(first[0], rel=0.2)


def _curve(model: Any) -> list[float]:
    return list(model.curve_["valid"])
