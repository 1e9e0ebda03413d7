"""Rows that count more are learned from more, by every registered model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline

from kit.errors import ConfigError
from kit.execution.fitting import check_weights, fit_fold, row_weights
from kit.execution.pseudo import stacked
from kit.inner import InnerSplit
from kit.models.adapter import SklearnModel
from kit.models.base import FoldRows, Model, Problem, RowWeights
from kit.models.checking import prepared
from kit.models.naive import Naive, SeasonalNaive
from kit.models.neural.targets import validation_loss
from kit.registry import MODELS

OPTIONAL = ("xgboost",)
BASELINES = ("naive", "seasonal_naive")  # they learn one number, see below
SMALL: dict[str, dict[str, Any]] = {
    "lightgbm": {"n_estimators": 30},
    "lightgbm_change": {"n_estimators": 30},
    "catboost_change": {"n_estimators": 30, "depth": 4},
    "xgboost": {"n_estimators": 30},
    "catboost": {"n_estimators": 30, "depth": 4},
    "random_forest": {"n_estimators": 20},
    "extra_trees": {"n_estimators": 20},
    "linear": {"strengths": (1.0, 10.0)},
    "knn": {},
    "mlp": {"epochs": 8, "layers": (16,)},
    "realmlp": {"epochs": 4, "layers": (16, 16)},
    "sequence": {"epochs": 8, "units": 8, "blocks": 2, "layers": (16,)},
    "text": {"epochs": 8, "width": 8, "units": 16, "layers": (8,)},
    "cnn": {"epochs": 4, "filters": (4, 4), "dense": 8, "size": 12, "mirror": False},
}
KERAS = ("mlp", "realmlp", "text", "sequence", "cnn")
QUICK: tuple[str, ...] = ()
LITTLE = 1e-3

Fit = Callable[[FoldRows, Problem, Model], Model]


def contradiction(family: str, *, first: bool) -> tuple[FoldRows, Any, NDArray[Any]]:
    """Every row twice, with both labels; those of one half count, the others hardly.

    The labels of the rows to stop on are half wrong, too, and those count hardly.
    """
    X, y, *_ = prepared(family, "binary")
    n = len(y)
    counts = np.repeat([1.0, LITTLE] if first else [LITTLE, 1.0], n)
    both, labels = stacked(X, X), np.concatenate([y, 1 - y])
    rows = FoldRows(
        X=both, y=labels, X_valid=both, y_valid=labels, weight=row_weights(counts, counts)
    )
    return rows, X, y


def told(name: str, fit: Fit, params: dict[str, Any] | None = None) -> float:
    """How far the labels that count move predictions towards themselves; 0: not at all."""
    model = MODELS.load(name)(**{**SMALL[name], **(params or {})})
    found = []
    for first in (True, False):
        rows, X, y = contradiction(model.family, first=first)
        found.append(fit(rows, Problem(task="binary", n_outputs=1, seed=1), model).predict(X))
    moved = (found[0] - found[1])[:, 0]
    return float(moved[y == 1].mean() - moved[y == 0].mean())


def alone(rows: FoldRows, problem: Problem, model: Model) -> Model:
    stops = np.arange(len(rows.y)) % 2 == 0
    return fit_fold(model, rows, InnerSplit(~stops, stops), problem, "fold")


def side_by_side(rows: FoldRows, problem: Problem, model: Model) -> Model:
    return model.fit_folds([rows, rows], problem=problem)[1]


def marked(names: Any) -> list[Any]:
    neural = [pytest.mark.neural, pytest.mark.filterwarnings("ignore")]
    slow = [*neural, pytest.mark.slow]
    return [
        pytest.param(name, marks=(neural if name in QUICK else slow) if name in KERAS else [])
        for name in names
    ]


def test_every_registered_model_is_here_or_learns_as_one_that_is() -> None:
    alike = {"autoencoder": "mlp", "tabm": "realmlp", "resnet": "cnn", "finetune": "cnn"}
    for name, other in alike.items():
        assert MODELS.load(name).fit is MODELS.load(other).fit
    elsewhere = {"finetune_text"}  # see tests/unit/test_pretrained.py
    assert {*SMALL, *BASELINES, *alike, *elsewhere} == set(MODELS.table)


@pytest.mark.parametrize("name", marked(SMALL))
def test_the_rows_that_count_are_learned(name: str) -> None:
    if name in OPTIONAL:
        pytest.importorskip(name)
    assert MODELS.load(name)(**SMALL[name]).takes_weights
    assert told(name, alone) > (0.01 if name in KERAS else 0.3)


@pytest.mark.parametrize("name", marked(["lightgbm", "xgboost", "catboost", "realmlp"]))
def test_the_rows_that_count_are_learned_side_by_side(name: str) -> None:
    if name in OPTIONAL:
        pytest.importorskip(name)
    assert told(name, side_by_side) > (0.01 if name in KERAS else 0.3)


def test_ratios_of_words_and_regression_count_rows() -> None:
    assert told("linear", alone, {"ratios": True}) > 0.3
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 2))
    y = np.where(np.arange(200) < 100, X[:, 0], -X[:, 0])
    weight = RowWeights(np.where(np.arange(200) < 100, 1.99, 0.01))
    problem = Problem(task="regression", n_outputs=1)
    fitted = MODELS.load("linear")().fit(X, y, problem=problem, weight=weight)
    assert np.corrcoef(fitted.predict(X)[:, 0], X[:, 0])[0, 1] > 0.9


@pytest.mark.parametrize("model", [Naive(), SeasonalNaive()])
def test_the_mean_of_a_baseline_counts_rows(model: Naive) -> None:
    X, *_ = prepared("history", "regression")
    y, weight = np.zeros(len(X)), np.full(len(X), 0.5)
    y[:10], weight[:10] = 100.0, (len(X) - 0.5 * (len(X) - 10)) / 10
    problem = Problem(task="regression", n_outputs=1)
    fitted = model.fit(X, y, problem=problem, weight=RowWeights(weight))
    assert fitted.mean_ == pytest.approx(np.average(y, weights=weight))


def test_an_estimator_of_ones_own_counts_rows_or_is_refused() -> None:
    own = SklearnModel(LogisticRegression())
    assert own.takes_weights
    check_weights(own, "own")
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(100, 1)))
    y = np.concatenate([X[0][:50] > 0, X[0][50:] < 0]).astype(np.int64)
    weight = row_weights(np.where(np.arange(100) < 50, 1.0, 1e-6))
    fitted = own.fit(X, y, problem=Problem(task="binary", n_outputs=1), weight=weight)
    assert np.corrcoef(fitted.predict(X)[:, 0], X[0])[0, 1] > 0.8
    for other in (KNeighborsClassifier(), make_pipeline(LogisticRegression())):
        with pytest.raises(
            ConfigError, match=r"(?s)'own' \((KNe|Pipe).*models.own.weighted = false"
        ):
            check_weights(SklearnModel(other), "own")


def test_weights_are_one_on_average_and_rows_to_stop_on_are_never_all_nothing() -> None:
    weight = row_weights(np.array([1.0, 3.0]), np.array([0.0, 0.0]))
    assert weight is not None
    assert weight.valid is not None
    assert weight.train.tolist() == [0.5, 1.5]
    assert weight.valid.tolist() == [1.0, 1.0]
    assert row_weights(None) is None


def test_a_loss_to_stop_by_counts_rows() -> None:
    y, predicted = np.array([1, 0]), np.array([[0.9], [0.9]])
    for needs in ("proba", "label"):
        problem = Problem(task="binary", n_outputs=1, needs=needs)
        right = validation_loss(y, predicted, problem, np.array([2.0, 0.0]))
        wrong = validation_loss(y, predicted, problem, np.array([0.0, 2.0]))
        assert right < 0.2 < 0.9 < wrong
