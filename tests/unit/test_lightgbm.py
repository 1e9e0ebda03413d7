"""LightGBM's rounds: which of them count, and where they end."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest
from sklearn.metrics import log_loss

from kit.models import lightgbm
from kit.models.base import FoldRows, Problem
from kit.models.batches import numbers
from kit.models.lightgbm import LightGBM

PROBLEM = Problem(task="binary", n_outputs=1, seed=1)
# random thresholds, two of five columns and 15 rows per leaf: many rounds find no split
UNLUCKY = {
    "n_estimators": 400,
    "learning_rate": 0.05,
    "num_leaves": 8,
    "min_data_in_leaf": 15,
    "feature_fraction": 0.43,
    "bagging_fraction": 0.72,
    "extra_trees": True,
}


def parts(n: int = 200) -> list[tuple[pd.DataFrame, np.ndarray]]:
    """Three quarters and the rest."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(n, 5)), columns=list("abcde"))
    y = (X["a"] + X["e"] + 0.5 * rng.normal(size=n) > 0).to_numpy().astype(np.int64)
    cut = 3 * n // 4
    return [(X[:cut], y[:cut]), (X[cut:], y[cut:])]


def test_a_round_without_a_split_is_not_the_last() -> None:
    (X, y), (X_valid, y_valid) = parts()
    model = LightGBM(**UNLUCKY).fit(X, y, problem=PROBLEM, valid=(X_valid, y_valid))
    (booster,) = model.boosters_
    assert booster.current_iteration() < len(model.curve_["valid"])  # there were some
    assert model.best_iteration_ is not None
    assert model.best_iteration_ > 100
    assert min(model.curve_["valid"]) < 0.5


@pytest.mark.parametrize("together", [False, True])
def test_predictions_are_those_of_the_best_round(together: bool) -> None:
    """Also where rounds that found no split come before it."""
    (X, y), (X_valid, y_valid) = parts()
    if together:
        fold = FoldRows(X=X, y=y, X_valid=X_valid, y_valid=y_valid)
        model = LightGBM(**UNLUCKY).fit_folds([fold, fold], problem=PROBLEM)[0]
    else:
        model = LightGBM(**UNLUCKY).fit(X, y, problem=PROBLEM, valid=(X_valid, y_valid))
    assert model.best_iteration_ is not None
    (booster,) = model.boosters_
    assert booster.best_iteration < model.best_iteration_
    loss = log_loss(y_valid, model.predict(X_valid)[:, 0])
    assert loss == pytest.approx(model.curve_["valid"][model.best_iteration_ - 1])


def test_a_second_fit_takes_so_many_rounds() -> None:
    (X, y), _ = parts()
    once = LightGBM(**{**UNLUCKY, "n_estimators": 150}).fit(X, y, problem=PROBLEM)
    assert once.boosters_[0].current_iteration() > 75


@pytest.mark.parametrize("loaded", [False, True])
@pytest.mark.parametrize("rounds", [1, 7, 400])
@pytest.mark.parametrize(
    "task", ["binary", "multiclass", "multilabel", "regression", "multitarget"]
)
def test_trees_in_blocks_predict_what_all_of_them_do(
    task: str, rounds: int, loaded: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LightGBM itself reads the frame and takes all trees at once: levels it did not know, too."""
    monkeypatch.setattr(lightgbm, "_LEAVES", 8 * 3 * rounds)
    rng = np.random.default_rng(0)
    level = pd.Categorical(rng.choice(["a", "b", "c"], 300), categories=["c", "b", "a"])
    whole = pd.Series(rng.integers(0, 9, 300), dtype="Int64").mask(rng.random(300) < 0.1)
    X = pd.DataFrame({"x": rng.normal(size=300), "level": level, "whole": whole})
    y = X["x"].to_numpy() + level.codes + 0.3 * rng.normal(size=300)
    targets = {
        "binary": (y > 1).astype(int),
        "multiclass": np.digitize(y, [0.5, 1.5]),
        "multilabel": np.column_stack([y > 0, y > 1]).astype(int),
        "regression": y,
        "multitarget": np.column_stack([y, -2 * y]),
    }
    outputs = {"multiclass": 3, "multilabel": 2, "multitarget": 2}.get(task, 1)
    problem = Problem(task=task, n_outputs=outputs, seed=1)
    model = LightGBM(n_estimators=30, num_leaves=8).fit(X, targets[task], problem=problem)
    if loaded:
        model.save(tmp_path)
        model = LightGBM.load(tmp_path)
    asked = X.assign(level=pd.Categorical(["b", "d", None, "a"] * 75))
    plain = asked.set_axis(["f0", "f1", "f2"], axis=1)
    whole_trees = [booster.predict(plain).reshape(300, -1) for booster in model.boosters_]
    expected = model.units_.restored(np.hstack(whole_trees))
    np.testing.assert_allclose(model.predict(asked), expected, rtol=1e-12, atol=1e-12)


def test_a_frame_of_short_numbers_stays_short() -> None:
    X = pd.DataFrame({"x": np.float32([1, 2]), "level": pd.Categorical(["b", "z"])})
    found = numbers(X, [["a", "b"]])
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, np.float32([[1, 1], [2, np.nan]]))


def test_boosters_that_are_grown_keep_no_histograms() -> None:
    """Of 400 columns they are 50 MB per target and fold: many targets took all memory there was."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(1200, 400)), columns=[f"x{k}" for k in range(400)])
    y = (X.to_numpy()[:, :12] > 0).astype(np.int64)
    model = LightGBM(n_estimators=2, min_data_in_leaf=5)
    problem = Problem(task="multilabel", n_outputs=12, seed=1)
    before = psutil.Process().memory_info().rss
    model.fit(X, y, problem=problem, valid=(X[:200], y[:200]))
    assert psutil.Process().memory_info().rss - before < 300e6
    assert model.predict(X).shape == (1200, 12)
