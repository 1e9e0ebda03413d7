"""Boosted trees end near their deadline, with a usable model, and say that they were cut."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import log_loss

from kit.errors import MissingDependency
from kit.models.base import FoldRows, Problem
from kit.models.boosters import Clock, library
from kit.registry import MODELS

BOOSTERS = ("lightgbm", "xgboost", "catboost")
PROBLEM = Problem(task="binary", n_outputs=1, seed=1)


def rows(n: int = 3000, seed: int = 0) -> tuple[pd.DataFrame, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(rng.normal(size=(n, 12)), columns=[f"x{k}" for k in range(12)])
    X["c"] = pd.Categorical(rng.choice(list("uvw"), n), categories=list("uvw"))
    signal = X["x0"] + X["x1"] * X["x2"] + (X["c"] == "u")
    return X, (signal + rng.normal(size=n) > 0).to_numpy().astype(np.int64)


def two_folds() -> list[FoldRows]:
    X, y = rows()
    half = np.arange(len(y)) < len(y) // 2
    parts = [(half, ~half), (~half, half)]
    return [FoldRows(X=X[a], y=y[a], X_valid=X[b], y_valid=y[b]) for a, b in parts]


@pytest.mark.parametrize("name", BOOSTERS)
def test_fit_ends_near_the_deadline_and_says_so(name: str) -> None:
    pytest.importorskip(name)
    X, y = rows()
    model = MODELS.load(name)(n_estimators=20_000, learning_rate=0.001)
    model.fit(X[:50], y[:50], problem=replace(PROBLEM, deadline=time.monotonic() + 0.2))  # warm
    started = time.monotonic()
    model.fit(X, y, problem=replace(PROBLEM, deadline=started + 1.5))
    assert time.monotonic() - started < 3.0
    assert model.cut_
    assert log_loss(y, model.predict(X)[:, 0]) < 0.5  # few rounds, but larger steps


@pytest.mark.parametrize("name", BOOSTERS)
def test_folds_end_near_the_deadline_and_say_so(name: str) -> None:
    pytest.importorskip(name)
    folds = two_folds()
    model = MODELS.load(name)(n_estimators=20_000, patience=20_000, learning_rate=0.001)
    started = time.monotonic()
    fitted = model.fit_folds(folds, problem=replace(PROBLEM, deadline=started + 2.0))
    assert time.monotonic() - started < 4.0
    assert all(one.cut_ for one in fitted)
    for one, fold in zip(fitted, folds, strict=True):
        assert log_loss(fold.y_valid, one.predict(fold.X_valid)[:, 0]) < 0.6


@pytest.mark.parametrize("name", BOOSTERS)
def test_a_fold_stops_where_the_other_fold_is_best(name: str) -> None:
    pytest.importorskip(name)
    model = MODELS.load(name)(n_estimators=150, patience=30)
    first, second = model.fit_folds(two_folds(), problem=PROBLEM)
    curves = [np.array(one.curve_["valid"]) for one in (first, second)]
    assert first.best_iteration_ == int(curves[1].argmin()) + 1
    assert second.best_iteration_ == int(curves[0].argmin()) + 1


@pytest.mark.parametrize("name", BOOSTERS)
def test_threads_do_not_change_the_predictions(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip(name)
    monkeypatch.setattr("kit.models.boosters._SMALL", 0)
    folds = two_folds()
    model = MODELS.load(name)(n_estimators=20)
    one, two = (model.fit_folds(folds, problem=replace(PROBLEM, threads=n)) for n in (1, 2))
    for a, b in zip(one, two, strict=True):
        assert np.array_equal(a.predict(folds[0].X), b.predict(folds[0].X))


@pytest.mark.parametrize("name", BOOSTERS)
def test_a_target_with_one_value_in_the_fold_is_learned(name: str) -> None:
    pytest.importorskip(name)
    X, y = rows(200)
    model = MODELS.load(name)(n_estimators=5).fit(X, np.zeros_like(y), problem=PROBLEM)
    assert model.predict(X).max() < 0.5


def test_a_failing_fold_ends_the_others_and_is_reported() -> None:
    pytest.importorskip("catboost")
    folds = two_folds()
    folds[1] = replace(folds[1], y=folds[1].y + 5)  # a class the others do not have
    with pytest.raises(Exception, match=r"(?i)class|label|target"):
        MODELS.load("catboost")(n_estimators=500).fit_folds(folds, problem=PROBLEM)


def test_a_missing_library_says_how_to_get_it() -> None:
    with pytest.raises(MissingDependency, match=r'pip install "kit-competitions\[boost\]"'):
        library("no_such_booster")


def test_clock_takes_larger_steps_where_few_rounds_are_possible() -> None:
    clock = Clock(time.monotonic() + 0.2, rate=0.01, rounds=5000)
    time.sleep(0.1)  # ten rounds took it: ten more are possible, 1200 are wanted
    assert clock.faster(9) is None
    rate = clock.faster(10)
    assert rate is not None
    assert 0.1 < rate <= 0.3
    assert clock.cut
    assert Clock(None, 0.01, 5000).faster(10) is None
