"""Every registered model keeps the contract, for every task."""

from __future__ import annotations

from pathlib import Path

import pytest

from kit.models.base import check_model
from kit.registry import MODELS

OPTIONAL = ("xgboost",)
TASKS = ("binary", "multiclass", "multilabel", "regression", "multitarget")
SMALL = {
    "lightgbm": {"n_estimators": 30},
    "random_forest": {"n_estimators": 20},
    "extra_trees": {"n_estimators": 20},
    "linear": {"strengths": (1.0, 10.0)},
    "knn": {"k": 9},
    "catboost": {"n_estimators": 30, "depth": 4},
    "xgboost": {"n_estimators": 30, "max_depth": 4},
    "mlp": {"epochs": 4, "layers": (16,)},
    "realmlp": {"epochs": 4, "layers": (16, 16)},
    "tabm": {"epochs": 4, "heads": 3, "width": 16},
}
NETWORKS = ("mlp", "realmlp", "tabm")


def test_every_registered_model_is_in_this_battery() -> None:
    assert set(SMALL) == set(MODELS.table)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("name", [n for n in SMALL if n not in NETWORKS])
def test_model_keeps_the_contract(name: str, task: str, tmp_path: Path) -> None:
    if name in OPTIONAL:
        pytest.importorskip(name)
    check_model(MODELS.load(name)(**SMALL[name]), task=task, folder=tmp_path)


@pytest.mark.neural
@pytest.mark.filterwarnings("ignore")  # tensorflow's and keras' own
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("name", NETWORKS)
def test_network_keeps_the_contract(name: str, task: str, tmp_path: Path) -> None:
    check_model(MODELS.load(name)(**SMALL[name]), task=task, folder=tmp_path)
