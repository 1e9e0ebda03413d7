"""Random configurations: what a draw is, that models take it, which ones follow the portfolio."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from kit.errors import KitError
from kit.execution.task import build_model
from kit.models.base import Problem, make_model
from kit.portfolio import DRAWS, PORTFOLIO, draws, find_model
from kit.registry import MODELS
from kit.settings import ModelSpec
from kit.spaces import SPACES, Choice, Range, draw
from kit.usercode import UserCode


@pytest.mark.parametrize("use", SPACES)
def test_draws_stay_in_their_space_differ_and_come_again(use: str) -> None:
    found = [draw(use, number) for number in range(1, 21)]
    assert found == [draw(use, number) for number in range(1, 21)]
    assert len({repr(each) for each in found}) > (10 if len(SPACES[use]) > 1 else 3)
    for name, space in SPACES[use].items():
        for params in found:
            if isinstance(space, Choice):
                assert params[name] in space.values
            elif not (space.or_zero and params[name] == 0):
                assert space.low <= params[name] <= space.high
                assert isinstance(params[name], int) == space.whole


def test_a_range_that_may_be_off_is_off_half_of_the_time() -> None:
    rng = random.Random(0)
    drawn = [Range(0.1, 0.5, or_zero=True).draw(rng) for _ in range(2000)]
    assert drawn.count(0) == pytest.approx(1000, abs=100)


@pytest.mark.parametrize("use", [use for use in SPACES if use != "xgboost"])
def test_models_take_what_is_drawn(use: str) -> None:
    params = draw(use, 3)
    params.pop("recipe", None)  # a key of the model's table, no parameter
    make_model(MODELS.load(use), params, use)


@pytest.mark.parametrize("task", ["binary", "regression"])
@pytest.mark.parametrize("use", ["lightgbm", "lightgbm_change"])
def test_what_is_usual_is_what_the_model_takes(use: str, task: Any) -> None:
    """Else Optuna learns the score of the model as it is for values that it does not have."""
    taken = MODELS.load(use)()._native(Problem(task=task, n_outputs=1), 10_000)
    axes = {name: axis for name, axis in SPACES[use].items() if isinstance(axis, Range)}
    usual = {name: axis.usual for name, axis in axes.items() if axis.usual is not None}
    assert {name: both[task == "regression"] for name, both in usual.items()} == {
        name: taken[name] for name in ("num_leaves", "min_data_in_leaf")
    }


def test_a_logarithmic_range_is_even_in_orders_of_magnitude() -> None:
    rng = random.Random(0)
    drawn = [Range(0.001, 1.0, log=True).draw(rng) for _ in range(3000)]
    assert sum(value < 0.01 for value in drawn) == pytest.approx(1000, abs=100)
    whole = [Range(1, 4, whole=True).draw(rng) for _ in range(4000)]
    assert [whole.count(value) for value in (1, 2, 3, 4)] == pytest.approx([1000] * 4, abs=120)


def test_draws_follow_what_was_tried_and_have_names_of_their_own() -> None:
    tried = [entry for entry in PORTFOLIO if entry.use in ("lightgbm", "catboost", "linear")]
    found = list(draws(tried))
    assert len(found) == len({entry.name for entry in found}) == DRAWS
    assert {entry.use for entry in found} == {"lightgbm", "catboost"}
    assert found[0].name == "lightgbm-r1"
    assert found[0].params == draw("lightgbm", 1)
    numbers = [int(e.name.split("-r")[1]) for e in found if e.use == "lightgbm"]
    assert numbers == list(range(1, len(numbers) + 1))
    assert list(draws([entry for entry in PORTFOLIO if entry.use == "knn"])) == []
    few = [entry for entry in draws(tried, 80) if entry.use == "lightgbm"]
    assert max(entry.params["min_data_in_leaf"] for entry in few) <= 20
    assert len({entry.name for entry in few}) == sum(e.use == "lightgbm" for e in found)
    assert all(entry.params == draw("lightgbm", int(entry.name[10:])) for entry in few)
    assert list(draws(tried, 3))


def test_of_series_changes_are_drawn_too(make_competition: Any) -> None:
    changes = [entry for entry in PORTFOLIO if entry.use in ("lightgbm_change", "catboost")]
    drawn = list(draws(changes))
    assert {entry.use for entry in drawn} == {"lightgbm_change", "catboost"}
    assert all(entry.series for entry in drawn if entry.use == "lightgbm_change")
    train = pd.DataFrame({"id": range(40), "x": range(40), "y": [0, 1] * 20})
    competition = make_competition(train, train.drop(columns="y"))
    assert find_model(competition, "lightgbm_change-r2").use == "lightgbm_change"


def test_the_name_of_a_draw_is_a_model(make_competition: Any) -> None:
    train = pd.DataFrame({"id": range(40), "x": range(40), "y": [0, 1] * 20})
    competition = make_competition(train, train.drop(columns="y"))
    spec = find_model(competition, "lightgbm-r7")
    assert (spec.use, spec.params) == ("lightgbm", draw("lightgbm", 7))
    with pytest.raises(KitError, match="lightgbm-rx"):
        MODELS.check(find_model(competition, "lightgbm-rx").use)


@pytest.mark.parametrize("use", [use for use in SPACES if use != "xgboost"])
def test_a_draw_is_typed_as_the_model_asks(use: str) -> None:
    """As `kit cv` builds it, which reads lists of `kit.toml`, too."""
    code = UserCode(Path())
    for number in (1, 2, 3):
        params = draw(use, number)
        recipe = params.pop("recipe", "")
        build_model(ModelSpec(use=use, recipe=recipe, params=params), use, code)
    if use == "realmlp":
        model = build_model(ModelSpec(use=use, params={"layers": [32, 16]}), use, code)
        assert model.get_params()["layers"] == (32, 16)
