"""Every registered model keeps the contract, for every task."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from kit.errors import ConfigError
from kit.images.backbones import Backbone
from kit.keras import load_keras
from kit.models.base import Problem, check_model
from kit.models.checking import prepared
from kit.preprocessing.columns import Shape, recipe
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
    "autoencoder": {"epochs": 4, "encoder": (16, 16), "passes": 4, "layers": (16,)},
    "realmlp": {"epochs": 4, "layers": (16, 16)},
    "tabm": {"epochs": 4, "heads": 3, "width": 16},
    "naive": {},
    "seasonal_naive": {"seasons": 2},
    "lightgbm_change": {"n_estimators": 30},
    "catboost_change": {"n_estimators": 30, "depth": 4},
    "sequence": {"epochs": 3, "units": 8, "blocks": 2, "layers": (16,)},
    "text": {"epochs": 2, "width": 8, "units": 16, "layers": (8,)},
    "cnn": {"epochs": 2, "filters": (4, 4), "dense": 8, "size": 12, "mirror": False},
    "resnet": {"epochs": 2, "filters": 4, "stages": 2, "blocks": 1},
    "finetune": {"epochs": 2, "top": 1},
}
ON_TABLES = ("mlp", "autoencoder", "realmlp", "tabm", "text")
ON_IMAGES = ("cnn", "resnet", "finetune")
NETWORKS = (*ON_TABLES, "sequence", *ON_IMAGES)
QUICK = {("mlp", "binary")}
OF_SERIES = (
    "naive",
    "seasonal_naive",
    "lightgbm_change",
    "catboost_change",
    "sequence",
)  # one number per row


def test_every_registered_model_is_in_this_battery() -> None:
    elsewhere = {"finetune_text"}  # it needs an encoder: see tests/unit/test_pretrained.py
    assert set(SMALL) == set(MODELS.table) - elsewhere


def pairs(names: Iterable[str]) -> list[tuple[str, str]]:
    """Models and the tasks they are for."""
    one = ("regression", "binary")
    return [(n, t) for n in names for t in TASKS if t in one or n not in OF_SERIES]


@pytest.mark.parametrize(("name", "task"), pairs(n for n in SMALL if n not in NETWORKS))
def test_model_keeps_the_contract(name: str, task: str, tmp_path: Path) -> None:
    if name in OPTIONAL:
        pytest.importorskip(name)
    check_model(MODELS.load(name)(**SMALL[name]), task=task, folder=tmp_path)


@pytest.mark.neural
@pytest.mark.filterwarnings("ignore")  # tensorflow's and keras' own
@pytest.mark.parametrize(
    ("name", "task"),
    [  # the head of a task is the same for all of them
        (name, task) if (name, task) in QUICK else pytest.param(name, task, marks=pytest.mark.slow)
        for name, task in pairs([*ON_TABLES, "sequence"])
    ],
)
def test_network_keeps_the_contract(name: str, task: str, tmp_path: Path) -> None:
    check_model(MODELS.load(name)(**SMALL[name]), task=task, folder=tmp_path)


@pytest.mark.neural
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("name", "task"),
    [
        *(pytest.param("cnn", task, marks=pytest.mark.slow) for task in TASKS),
        pytest.param("resnet", "multiclass", marks=pytest.mark.slow),
        pytest.param("finetune", "regression", marks=pytest.mark.slow),
    ],
)
def test_network_on_images_keeps_the_contract(
    name: str, task: str, tmp_path: Path, small_backbone: Backbone
) -> None:
    """Head and training are the same for all three."""
    check_model(MODELS.load(name)(**SMALL[name]), task=task, folder=tmp_path)


@pytest.mark.slow
@pytest.mark.neural
@pytest.mark.filterwarnings("ignore")
def test_a_recurrent_network_of_series_keeps_the_contract(tmp_path: Path) -> None:
    params = {**SMALL["sequence"], "cell": "gru"}
    check_model(MODELS.load("sequence")(**params), task="regression", folder=tmp_path)
    (network,) = small_fit("sequence", small_data("sequence"), cell="gru", epochs=1).networks_
    kinds = [type(layer).__name__ for layer in network.layers]
    assert (kinds.count("GRU"), kinds.count("Conv1D")) == (SMALL["sequence"]["blocks"], 0)


FORMATS = {
    "lightgbm": ".txt",
    "catboost": ".cbm",
    "xgboost": ".ubj",
    "random_forest": ".joblib",
    "extra_trees": ".joblib",
    "linear": ".joblib",
    "knn": ".joblib",
    "mlp": ".keras",
    "autoencoder": ".keras",
    "realmlp": ".npz",
    "tabm": ".npz",
    "naive": ".json",
    "seasonal_naive": ".json",
    "lightgbm_change": ".txt",
    "catboost_change": ".cbm",
    "sequence": ".keras",
    "text": ".keras",
    "cnn": ".keras",
    "resnet": ".keras",
    "finetune": ".keras",
}


@pytest.mark.neural
@pytest.mark.filterwarnings("ignore")  # tensorflow's and keras' own
@pytest.mark.parametrize("name", SMALL)
def test_model_is_saved_in_its_own_format(
    name: str, tmp_path: Path, small_backbone: Backbone
) -> None:
    if name in OPTIONAL:
        pytest.importorskip(name)
    family = MODELS.load(name)().family
    data = Small(*prepared("image", "binary")[:2]) if family == "image" else small_data(family)
    small_fit(name, data).save(tmp_path)
    suffixes = {path.suffix for path in tmp_path.rglob("*") if path.is_file()}
    assert (suffixes - {".json"} or suffixes) == {FORMATS[name]}


@pytest.mark.neural
@pytest.mark.filterwarnings("ignore")  # tensorflow's and keras' own
@pytest.mark.parametrize(
    "name",
    [
        name if name in ("mlp", "realmlp") else pytest.param(name, marks=pytest.mark.slow)
        for name in ON_TABLES
    ],
)
def test_network_learns_from_a_category_alone(name: str) -> None:
    """A level of ten decides; its code is no number to be read along a line."""
    data = small_data("neural")
    model = small_fit(name, data, epochs=30)
    assert roc_auc_score(data.y, model.predict(data.X)[:, 0]) > 0.95


@pytest.fixture
def small_backbone(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Backbone:
    """A saved network of one convolution, which the pictures of `check_model` then name."""
    keras = load_keras(1)
    pixels = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, activation="relu")(keras.layers.Rescaling(1 / 255)(pixels))
    path = tmp_path_factory.mktemp("weights") / "small.keras"
    keras.Model(pixels, x).save(path)
    backbone = Backbone("small.keras", path, "0" * 32)
    monkeypatch.setattr("kit.models.checking.BACKBONE", backbone)
    return backbone


class Small(NamedTuple):
    X: Any
    y: NDArray[np.int64]


def test_a_model_of_series_says_what_it_lacks() -> None:
    shape = Shape(kinds={"c": "numeric"}, levels={}, n_rows=9, task="regression", seed=0)
    for family in ("history", "sequence", "series"):
        with pytest.raises(ConfigError, match=r"no \[series\] table"):
            recipe(family, shape)


def small_data(family: str) -> Small:
    """One column of ten levels, through the recipe of the family, and labels it decides."""
    if family in ("history", "sequence", "series"):
        X, y, *_ = prepared(family, "binary")
        return Small(X, y)
    level = np.random.default_rng(0).integers(10, size=400)
    y = np.isin(level, [1, 4, 6, 9]).astype(np.int64)
    frame = pd.DataFrame({"c": pd.Categorical([f"level {k}" for k in level])})
    shape = Shape(kinds={"c": "category"}, levels={"c": 10}, n_rows=400, task="binary", seed=0)
    return Small(recipe(family, shape).fit_transform(frame, y), y)


def small_fit(name: str, data: Small, **params: Any) -> Any:
    model = MODELS.load(name)(**{**SMALL[name], **params})
    return model.fit(data.X, data.y, problem=Problem(task="binary", n_outputs=1, seed=0))
