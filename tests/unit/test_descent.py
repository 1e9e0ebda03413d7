"""Optimizers and schedules by name: steps that can be computed by hand, and a network with each."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
import pytest

from kit.errors import ConfigError
from kit.execution.task import build_model
from kit.models.base import Problem
from kit.models.checking import prepared
from kit.models.neural.cnn import CNN
from kit.models.neural.descent import Optimizer, Schedule, optimizer, schedule
from kit.models.neural.mlp import MLP
from kit.models.neural.training import forward, start
from kit.settings import ModelSpec
from kit.usercode import UserCode

pytestmark = [pytest.mark.neural, pytest.mark.filterwarnings("ignore")]  # tensorflow's own warnings


@pytest.fixture(scope="module")
def keras() -> Any:
    return start(Problem(task="binary", n_outputs=1))


def rates(keras: Any, name: Any, steps: int = 100) -> np.ndarray:
    made = schedule(keras, name, 0.5, steps)
    if isinstance(made, float):
        return np.full(steps, made)
    return np.array([float(made(k)) for k in range(steps)])


def test_schedules_move_as_their_names_say(keras: Any) -> None:
    cosine, warm = rates(keras, "cosine"), rates(keras, "warmup_cosine")
    assert cosine[0] == pytest.approx(0.5)
    assert cosine[50] == pytest.approx(0.25)
    assert (np.diff(cosine) < 0).all()
    assert warm.argmax() == 10
    assert warm.max() == pytest.approx(0.5)
    assert warm[0] < 0.1
    step = rates(keras, "step")
    assert np.unique(step.round(6)).tolist() == [0.005, 0.05, 0.5]
    assert (step[40], step[60], step[90]) == pytest.approx((0.5, 0.05, 0.005))
    assert rates(keras, "exponential")[99] == pytest.approx(0.5 * 0.01**0.99, rel=1e-3)
    assert (np.diff(rates(keras, "restarts")) > 0).sum() == 3 - 1 + 1  # a wave begins anew
    assert (rates(keras, "constant") == 0.5).all()


def steps_of(keras: Any, made: Any, gradients: list[float]) -> list[float]:
    """Where a weight that starts at 1 is after each gradient."""
    weight = keras.Variable(1.0)
    made.build([weight])
    places = []
    for slope in gradients:
        made.apply([keras.ops.convert_to_tensor(slope)])
        places.append(float(weight))
    return places


def test_sgd_is_gradient_descent_with_nesterov_momentum_and_decay(keras: Any) -> None:
    plain = optimizer(keras, "sgd", 0.1, momentum=0.0, weight_decay=0.0)
    assert steps_of(keras, plain, [1.0, 1.0]) == pytest.approx([0.9, 0.8])
    heavy = optimizer(keras, "sgd", 0.1, momentum=0.5, weight_decay=0.0)
    # v = 0.5 v - 0.1 g; w += 0.5 v - 0.1 g
    assert steps_of(keras, heavy, [1.0, 1.0]) == pytest.approx([0.85, 0.675])
    shrinking = optimizer(keras, "sgd", 0.1, momentum=0.0, weight_decay=0.5)
    assert steps_of(keras, shrinking, [0.0, 0.0]) == pytest.approx([0.95, 0.9025])


@pytest.mark.parametrize("name", ["adamw", "adam", "nadam", "rmsprop", "lion"])
def test_the_others_go_downhill_and_decay(name: Any, keras: Any) -> None:
    made = optimizer(keras, name, 0.01, momentum=0.9, weight_decay=0.0)
    assert steps_of(keras, made, [1.0, 1.0])[-1] < 1.0
    shrinking = optimizer(keras, name, 0.1, momentum=0.9, weight_decay=0.5)
    assert steps_of(keras, shrinking, [0.0])[-1] == pytest.approx(0.95)


@pytest.mark.parametrize(("descent", "moving"), [("sgd", "step"), ("nadam", "warmup_cosine")])
@pytest.mark.slow
def test_a_network_learns_with_each_and_is_the_same_when_loaded(
    descent: Any, moving: Any, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"a": rng.normal(size=300), "b": rng.normal(size=300)})
    y = (X["a"] > 0).astype(int).to_numpy()
    model = MLP(
        layers=(16,), epochs=5, batch=32, learning_rate=0.02, optimizer=descent, schedule=moving
    )
    valid = (X[:60], y[:60])
    model.fit(X[60:], y[60:], problem=Problem(task="binary", n_outputs=1), valid=valid)
    assert model.curve_["valid"][-1] < model.curve_["valid"][0]
    predicted = model.predict(X)
    assert ((predicted[:, 0] > 0.5) == y).mean() > 0.85
    model.save(tmp_path)
    np.testing.assert_allclose(MLP.load(tmp_path).predict(X), predicted, atol=1e-6)


@pytest.mark.parametrize("key", ["optimizer", "schedule"])
def test_an_unknown_name_in_kit_toml_is_refused_with_those_there_are(
    key: str, tmp_path: Path
) -> None:
    known = get_args({"optimizer": Optimizer, "schedule": Schedule}[key])
    with pytest.raises(ConfigError) as caught:
        build_model(ModelSpec(use="mlp", params={key: "magic"}), "mlp", UserCode(tmp_path))
    assert f"models.mlp.params.{key}" in str(caught.value)
    assert all(name in str(caught.value) for name in known)


@pytest.mark.parametrize(
    "use", ["mlp", "autoencoder", "text", "sequence", "cnn", "resnet", "finetune"]
)
def test_all_networks_take_optimizer_schedule_and_momentum(use: str, tmp_path: Path) -> None:
    told = {"optimizer": "sgd", "schedule": "step", "momentum": 0.5}
    model: Any = build_model(ModelSpec(use=use, params=told), use, UserCode(tmp_path))
    assert (model.optimizer, model.schedule, model.momentum) == ("sgd", "step", 0.5)


@pytest.mark.parametrize(("moving", "last"), [("constant", 0.01), ("step", 0.0001)])
def test_a_network_on_images_follows_its_schedule(moving: Any, last: float) -> None:
    X, y, *_ = prepared("image", "binary")
    model = CNN(
        filters=(2,), dense=2, epochs=2, learning_rate=0.01, optimizer="sgd", schedule=moving
    ).fit(X, y, problem=Problem(task="binary", n_outputs=1))
    descent = model.network_.optimizer
    assert type(descent).__name__ == "SGD"
    assert float(descent.learning_rate) == pytest.approx(last)


def test_a_deadline_ends_training_and_the_best_epoch_is_kept() -> None:
    X, y, _, _ = prepared("neural", "regression")
    valid = (X[:60], y[:60])
    hurried = Problem(task="regression", n_outputs=1, seed=1, deadline=time.monotonic() + 1.0)
    # 20,000 epochs are some minutes for each of the two
    model = MLP((8,), epochs=20_000, patience=100_000, batch=64, members=2)
    model.fit(X[60:], y[60:], problem=hurried, valid=valid)
    assert model.cut_
    assert len(model.networks_) == 2
    assert 0 < len(model.curve_["train"]) < 10_000
    alone = forward(model.networks_[0], model._inputs(X[:60]))
    error = alone - (y[:60, None] - model.center_) / model.scale_
    assert np.mean(error**2) == pytest.approx(min(model.curve_["valid"]), rel=1e-3)
