"""LightGBM's rounds: which of them count, and where they end."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import log_loss

from kit.models.base import FoldRows, Problem
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
