"""Spaces: what is searched on which data, what `kit.toml` changes, how Optuna sees it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest

from kit.competition import Competition
from kit.dataset import Dataset
from kit.errors import KitError
from kit.execution.task import build_model
from kit.registry import MODELS
from kit.settings import ModelSpec
from kit.spaces import SOURCES, SPACES, Choice, Range
from kit.tune.space import Searched, searched, space_of
from kit.usercode import UserCode

Small = Callable[..., Competition]


def space(competition: Competition, *models: str) -> list[Searched]:
    data = Dataset.read(competition)
    return searched(competition, UserCode(competition.root), models, data)


def asked(model: Searched, *, enqueued: Any = None, seed: int = 0, prefix: str = "") -> Any:
    """One trial's values, and its parameters as Optuna has them."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    if enqueued is not None:
        study.enqueue_trial(enqueued)
    trial = study.ask()
    return model.suggest(trial, prefix), trial.params


def test_every_model_has_a_space_and_a_source() -> None:
    assert set(SPACES) == set(MODELS.table) - {"naive"} == set(SOURCES)


@pytest.mark.parametrize("use", [use for use in SPACES if use != "xgboost"])
def test_what_is_suggested_is_what_the_model_takes(use: str, small: Small) -> None:
    (model,) = space(small(models={}), use)
    for seed in range(5):
        values, params = asked(model, seed=seed)
        json.dumps(params)  # the journal can hold it
        spec = model.spec(values)
        build_model(spec, use, UserCode(Path()))
        again, _ = asked(model, enqueued=model.nearest(spec, ""), seed=seed + 100)
        assert again == pytest.approx(values) if use == "linear" else again == values


def test_parameters_that_the_data_make_idle_are_not_searched(
    small: Small, make_competition: Any, rows: Any
) -> None:
    (mixed,) = space(small(), "lightgbm")
    plain = make_competition(rows, rows.drop(columns="y"), name="plain")
    (numbers,) = space(plain, "lightgbm")
    assert set(mixed.axes) - set(numbers.axes) == {
        "min_data_per_group", "cat_l2", "cat_smooth", "max_cat_to_onehot",
    }  # fmt: skip
    (net,) = space(plain, "realmlp")
    assert "label_smoothing" in net.axes
    assert net.fixed == {"epochs": 64}
    regression = {"task": {"type": "regression", "metric": "rmse", "classes": []}}
    regression["submission"] = {"wants": "value"}
    other = make_competition(rows, rows.drop(columns="y"), name="numbers", **regression)
    assert "label_smoothing" not in space(other, "realmlp")[0].axes


def test_kit_toml_changes_a_space(small: Small) -> None:
    table = {
        "lightgbm": {
            "learning_rate": {"low": 0.005},
            "num_leaves": {"choices": [7, 15]},
            "min_data_in_leaf": {"choices": [9]},
            "max_bin": {"low": 15, "high": 255, "log": True},
        }
    }
    (model,) = space(small(tune=table), "lightgbm")
    assert model.axes["learning_rate"] == Range(0.005, 0.1, log=True)
    assert model.axes["num_leaves"] == Choice((7, 15))
    assert model.fixed["min_data_in_leaf"] == 9
    assert model.axes["max_bin"] == Range(15, 255, log=True, whole=True)
    values, _ = asked(model)
    assert isinstance(values["max_bin"], int)
    assert model.spec(values).params["min_data_in_leaf"] == 9


def test_conditions_decide_whether_a_parameter_is_asked_for(small: Small) -> None:
    table = {"lightgbm": {"feature_fraction": {"when": {"extra_trees": True}}}}
    (model,) = space(small(tune=table), "lightgbm")
    seen = set()
    for seed in range(12):
        values, params = asked(model, seed=seed)
        assert ("feature_fraction" in values) == values["extra_trees"]
        assert set(params) == set(values)
        seen.add(values["extra_trees"])
    assert seen == {False, True}


def test_conditions_know_fixed_values_and_hold_for_them(small: Small) -> None:
    always = {"extra_trees": {"choices": [True]}, "lambda_l1": {"when": {"extra_trees": True}}}
    (model,) = space(small(tune={"lightgbm": always}), "lightgbm")
    assert "lambda_l1" in asked(model)[0]
    fixed = {"feature_fraction": {"choices": [0.5], "when": {"extra_trees": True}}}
    (model,) = space(small(name="fixed", tune={"lightgbm": fixed}), "lightgbm")
    seen = set()
    for seed in range(12):
        params = model.spec(asked(model, seed=seed)[0]).params
        assert ("feature_fraction" in params) == params["extra_trees"]
        seen.add(params["extra_trees"])
    assert seen == {False, True}


def test_a_range_may_be_off(small: Small) -> None:
    (model,) = space(small(), "mlp")
    for seed in range(12):
        values, params = asked(model, seed=seed)
        assert params["dropout?"] == ("dropout" in params) == (values["dropout"] > 0)
    assert model.nearest(ModelSpec(use="mlp", params={"dropout": 0.0}), "m.")["m.dropout?"] is False


def test_lists_are_choices_and_come_back_as_lists(small: Small) -> None:
    (model,) = space(small(), "realmlp")
    values, params = asked(model, enqueued={"layers": "[384, 384]"})
    assert values["layers"] == (384, 384)
    assert params["layers"] == "[384, 384]"
    assert model.nearest(model.spec(values), "")["layers"] == "[384, 384]"


def test_a_list_of_penalties_is_seen_as_the_one_that_is_taken_unasked(small: Small) -> None:
    """Else Optuna draws one, and learns its score from a configuration that has another."""
    (model,) = space(small(), "linear")
    assert model.nearest(model.base, "")["strengths"] == 10.0
    weak = ModelSpec(use="linear", params={"strengths": (0.3, 0.1, 3.0, 1.0, 10.0)})
    assert model.nearest(weak, "")["strengths"] == 0.3


def test_known_configurations_outside_a_space_are_seen_at_its_edge(small: Small) -> None:
    (model,) = space(small(), "lightgbm")
    far = ModelSpec(use="lightgbm", params={"learning_rate": 0.5, "num_leaves": 2, "lambda_l1": 0})
    seen = model.nearest(far, "")
    assert (seen["learning_rate"], seen["num_leaves"], seen["lambda_l1"]) == (0.1, 4, 1e-4)
    assert seen["min_data_in_leaf"] == 20  # what its default of None comes to for classes


OWN = "from sklearn.dummy import DummyClassifier\ndef constant(k: int = 3, strategy='prior'):\n"
OWN += "    return DummyClassifier(strategy=strategy)\n"


def test_an_own_model_is_searched_where_kit_toml_gives_its_space(small: Small) -> None:
    table = {"own": {"k": {"low": 1, "high": 50}, "strategy": {"choices": ["prior", "uniform"]}}}
    models = {"own": {"use": "model:constant"}}
    (model,) = space(small(code={"model.py": OWN}, models=models, tune=table), "own")
    assert model.axes["k"] == Range(1, 50, whole=True)
    with pytest.raises(KitError, match=r"no search space. Give one in kit.toml:\n  \[tune.own"):
        space(small(name="none", code={"model.py": OWN}, models=models), "own")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"num_leafs": {"low": 1, "high": 3}}, "tune.lightgbm.num_leafs: lightgbm has no such"),
        ({"num_leaves": {"low": 90, "high": 9}}, "tune.lightgbm.num_leaves is empty"),
        ({"num_leaves": {"low": 2.5}}, "low and high must be whole numbers. Received: 2.5"),
        ({"num_leaves": {"low": 1}}, "tune.lightgbm.num_leaves must be between 2"),
        ({"bagging_fraction": {"high": 1.5}}, "tune.lightgbm.bagging_fraction must be"),
        ({"num_leaves": {"choices": [7, "many"]}}, "tune.lightgbm.num_leaves: must be a whole"),
        ({"num_leaves": {"choices": [7], "low": 3}}, "has choices and a range"),
        ({"lambda_l1": {"low": 0, "log": True}}, "on a logarithmic scale low must be above 0"),
        ({"max_bin": {"low": 15}}, "needs low and high, or choices. Missing: high"),
        ({"recipe": {"choices": ["", "tre"]}}, "tune.lightgbm.recipe: unknown recipe 'tre'"),
        ({"num_leaves": {"when": {"extratrees": True}}}, "'extratrees' is not searched. Did you"),
        ({"num_leaves": {"choices": []}}, "tune.lightgbm.num_leaves is empty: choices needs"),
        ({"lambda_l1": {"when": {"extra_trees": 5}}}, "extra_trees is never 5"),
        ({"lambda_l1": {"when": {"num_leaves": 500}}}, "num_leaves is never 500"),
    ],
)
def test_a_space_that_cannot_be_is_refused(table: Any, message: str, small: Small) -> None:
    with pytest.raises(KitError) as caught:
        space(small(tune={"lightgbm": table}), "lightgbm")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"lightgbm": {"num_leaves": {"lo": 3}}}, "unknown key 'lo'. Did you mean 'low'?"),
        ({"lightgbm": {"num_leaves": {"low": "3"}}}, "tune.lightgbm.num_leaves.low: must be a num"),
        ({"lightgbm": {"num_leaves": 3}}, "tune.lightgbm.num_leaves: must be a table"),
    ],
)
def test_kit_toml_is_typed(table: Any, message: str, small: Small) -> None:
    with pytest.raises(KitError) as caught:
        small(tune=table)
    assert message in str(caught.value)


@pytest.mark.parametrize("end", ["num_leaves.high=inf", "lambda_l1.high=inf", "lambda_l1.low=nan"])
def test_a_range_ends_somewhere(end: str, small: Small) -> None:
    endless = Competition.load(small().root, (f"tune.lightgbm.{end}",))
    with pytest.raises(KitError, match="low and high must be finite"):
        space_of(endless, "lightgbm", UserCode(endless.root))


def test_tables_of_models_that_are_none_are_refused(small: Small) -> None:
    with pytest.raises(KitError, match=r"unknown model 'lightgmb'. Did you mean 'lightgbm'"):
        space(small(tune={"lightgmb": {"num_leaves": {"low": 3}}}), "lightgbm")


def test_a_space_of_fixed_values_is_no_space(small: Small) -> None:
    with pytest.raises(KitError, match="nothing to search"):
        space(small(tune={"knn": {"k": {"choices": [3]}}}), "knn")


def test_spaces_are_shown_without_a_competition() -> None:
    assert space_of(None, "knn", UserCode(Path()))["k"].whole  # type: ignore[union-attr]
