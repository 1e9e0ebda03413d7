"""The portfolio: names that exist, and what is chosen for data of which size."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from kit.competition import Competition
from kit.models.base import make_model
from kit.portfolio import (
    PORTFOLIO,
    SHORT,
    Entry,
    choose,
    entries_of,
    find_model,
    network_first,
    scales_last,
    texts_last,
)
from kit.preprocessing.columns import RECIPES
from kit.preprocessing.tokens import texts_lead
from kit.registry import MODELS


def test_names_differ_and_the_short_list_is_part_of_them() -> None:
    names = [entry.name for entry in PORTFOLIO]
    assert len(set(names)) == len(names)
    assert set(SHORT) <= set(names)


@pytest.mark.parametrize("entry", PORTFOLIO, ids=lambda entry: entry.name)
def test_an_entry_names_a_model_parameters_and_a_recipe_that_exist(entry: Entry) -> None:
    MODELS.check(entry.use)
    make_model(MODELS.load(entry.use), entry.params, entry.name)
    assert not entry.recipe or entry.recipe in RECIPES


def test_every_entry_says_why_and_what_time_it_needs() -> None:
    assert all(entry.why and entry.min_seconds > 0 for entry in PORTFOLIO)


def test_baselines_come_first_where_there_are_series_and_cost_no_place() -> None:
    chosen, _ = choose(60, 5, "regression", series=True)
    assert names(chosen)[:3] == ["naive", "seasonal_naive", "seasonal_mean"]
    assert names(chosen)[3] == "lightgbm-change"
    assert len(chosen) == 3 + 8
    chosen, left = choose(20_000, 5, "regression")
    assert not {"naive", "seasonal_naive", "sequence"} & set(names(chosen))
    reasons = {entry.name: reason for entry, reason in left}
    assert reasons["sequence"] == "there is no [series] table"


def names(chosen: list[Entry]) -> list[str]:
    return [entry.name for entry in chosen]


A = Entry(name="a", use="lightgbm", why="x")
SMALL = Entry(name="small", use="linear", why="x", max_rows=1000)
NARROW = Entry(name="narrow", use="linear", why="x", max_cells=1000)
BINARY = Entry(name="binary", use="linear", why="x", tasks=("binary",))
WORDS = Entry(name="words", use="linear", why="x", kinds=("text",))
MISSING = Entry(name="missing", use="linear", why="x", package="no_such_package_anywhere")


def test_what_does_not_fit_the_data_is_left_out_with_the_reason() -> None:
    entries = [A, SMALL, NARROW, BINARY, MISSING]
    chosen, left = choose(5000, 10, "regression", entries)
    assert names(chosen) == ["a"]
    reasons = {entry.name: reason for entry, reason in left}
    assert reasons["small"] == "too slow for 5000 rows"
    assert reasons["narrow"] == "too slow for 5000 x 10 cells"
    assert reasons["binary"] == "not for regression"
    assert "pip install" in reasons["missing"]
    assert names(choose(100, 2, "binary", entries)[0]) == ["a", "small", "narrow", "binary"]


def test_with_more_time_larger_tables_are_not_too_slow() -> None:
    assert names(choose(5000, 1, "binary", [NARROW], seconds=3000)[0]) == ["narrow"]
    for seconds in (120, 600, 2990):
        assert choose(5000, 1, "binary", [NARROW], seconds=seconds)[0] == []


@pytest.mark.parametrize(("rows", "count"), [(60, 8), (400, 8), (2000, 15), (3000, 20)])
def test_few_rows_get_few_models(rows: int, count: int) -> None:
    entries = [Entry(name=str(number), use="linear", why="x") for number in range(20)]
    chosen, left = choose(rows, 5, "binary", entries)
    assert len(chosen) == count
    assert len(left) == 20 - count
    assert all("rows carry a choice among" in reason for _, reason in left)


def test_what_the_user_names_is_tried_whatever_the_size_of_the_data() -> None:
    named = [Entry(name=str(number), use="linear", why="x", asked=True) for number in range(9)]
    slow, kept = replace(NARROW, asked=True), [A, SMALL, BINARY, NARROW]
    chosen, left = choose(60, 50, "binary", [*named, slow, *kept])
    assert names(chosen) == [*map(str, range(9)), "narrow", "a", "small", "binary"]
    assert [entry.name for entry, _ in left] == ["narrow"]
    impossible = [replace(entry, asked=True) for entry in (MISSING, WORDS)]
    assert choose(60, 50, "binary", impossible)[0] == []


def test_names_of_a_command_and_of_kit_toml_are_asked_for(make_competition: Any) -> None:
    train = pd.DataFrame({"id": range(40), "x": range(40), "y": [0, 1] * 20})
    made = make_competition(train, train.drop(columns="y"), models={"mine": {"use": "linear"}})
    assert [entry.asked for entry in entries_of(made, ["knn", "lightgbm-r3"])] == [True, True]
    assert [entry.name for entry in entries_of(made) if entry.asked] == ["mine"]


def test_of_few_rows_not_only_boosters_are_tried() -> None:
    for task in ("binary", "multiclass", "regression"):
        chosen, _ = choose(60, 10, task)
        assert {"linear", "extra_trees", "tabm", "lightgbm"} <= {entry.use for entry in chosen}


def test_kit_toml_comes_before_the_portfolio(make_competition: Any, tmp_path: Path) -> None:
    import pandas as pd

    train = pd.DataFrame({"id": range(40), "x": range(40), "y": [0, 1] * 20})
    competition: Competition = make_competition(
        train,
        train.drop(columns="y"),
        models={"lightgbm-deep": {"use": "linear"}},
    )
    assert find_model(competition, "lightgbm-deep").use == "linear"
    assert find_model(competition, "lightgbm-wide").params["num_leaves"] == 180
    assert find_model(competition, "extra_trees").use == "extra_trees"
    assert find_model(competition, "model:mine").use == "model:mine"


def test_an_entry_for_large_categories_is_left_out_where_there_are_none() -> None:
    plain, every = (choose(5000, 10, "binary", levels=levels) for levels in (False, True))
    assert "catboost-levels" not in names(plain[0])
    assert ("catboost-levels", "no category has many levels") in [
        (entry.name, reason) for entry, reason in plain[1]
    ]
    assert "catboost-levels" in names(every[0])


def test_names_and_titles_are_tried_after_the_table() -> None:
    titles = pd.DataFrame({"name": ["Smith, Mr. John"] * 9, "age": 1.0})
    tales = titles.assign(name="a tale of many words that someone wrote")
    kinds = {"name": "text", "age": "numeric"}
    assert not texts_lead(titles, kinds)
    assert texts_lead(tales, kinds)
    assert names(texts_last([WORDS, A, SMALL])) == ["a", "small", "words"]


def test_of_series_of_many_sizes_networks_and_linear_models_come_last() -> None:
    found = names(scales_last(PORTFOLIO))
    order = ["lightgbm-change", "lightgbm", "sequence", "linear", "realmlp"]
    assert sorted(order, key=found.index) == order
    assert sorted(found) == sorted(names(PORTFOLIO))


def test_of_many_classes_a_network_comes_before_the_boosters() -> None:
    found = names(network_first(PORTFOLIO))
    order = ["words", "finetune", "realmlp", "lightgbm-loose", "lightgbm", "tabm"]
    assert sorted(order, key=found.index) == order
    assert sorted(found) == sorted(names(PORTFOLIO))
    assert names(network_first([A, SMALL])) == ["a", "small"]


def test_an_entry_for_a_kind_of_column_needs_one() -> None:
    assert names(choose(5000, 4, "binary", [A, WORDS], kinds={"numeric", "text"})[0]) == [
        "a",
        "words",
    ]
    chosen, left = choose(5000, 4, "binary", [A, WORDS], kinds={"numeric"})
    assert names(chosen) == ["a"]
    assert left == [(WORDS, "no column is text")]
