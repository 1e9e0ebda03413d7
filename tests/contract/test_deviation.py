"""A metric of absolute errors is trained for as such: predictions are medians, not means."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from kit.metrics import load_metric
from kit.metrics.transforms import transform_pair
from kit.models.base import Problem
from kit.registry import MODELS

SMALL: dict[str, dict[str, Any]] = {
    "lightgbm": {"n_estimators": 200},
    "catboost": {"n_estimators": 200, "depth": 3},
    "xgboost": {"n_estimators": 200, "max_depth": 3},
    "mlp": {"epochs": 5, "layers": (16,), "learning_rate": 1e-2, "batch": 64},
    "realmlp": {"epochs": 20, "layers": (16, 16)},
    "tabm": {"epochs": 30, "heads": 3, "width": 16},
}


@pytest.mark.neural
@pytest.mark.filterwarnings("ignore")  # tensorflow's and keras' own
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow) if name in ("realmlp", "tabm") else name
        for name in SMALL
    ],
)
def test_model_predicts_the_median_or_the_mean(name: str) -> None:
    if name == "xgboost":
        pytest.importorskip(name)
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"a": rng.normal(size=1500), "b": rng.normal(size=1500)})
    y = np.exp(rng.normal(0.0, 1.2, 1500))  # median 1, mean 2.05, whatever X is
    center = {}
    for deviation in ("absolute", "squared"):
        problem = Problem(task="regression", n_outputs=1, seed=1, deviation=deviation)
        model = MODELS.load(name)(**SMALL[name]).fit(X, y, problem=problem)
        center[deviation] = float(np.median(model.predict(X)))
    assert center["absolute"] < 1.6
    assert center["absolute"] < 0.8 * center["squared"]


@pytest.mark.parametrize(
    ("metric", "transform", "deviation"),
    [
        ("rmse", "none", "squared"),
        ("rmsle", "log1p", "squared"),
        ("mae", "none", "absolute"),
        ("mape", "signed_log", "absolute"),
        ("smape", "signed_log", "absolute"),
    ],
)
def test_metric_says_what_is_trained_for_it(metric: str, transform: str, deviation: str) -> None:
    found = load_metric(metric, "regression")
    assert (found.transform, found.deviation) == (transform, deviation)


def test_signed_log_goes_there_and_back() -> None:
    link, unlink = transform_pair("signed_log", "regression")
    values = np.array([-1e6, -0.5, 0.0, 3.0, 1e9])
    assert np.allclose(unlink(link(values)), values)
    assert link(values)[0] == pytest.approx(-np.log1p(1e6))
    assert transform_pair("signed_log", "binary")[0](values) is values
