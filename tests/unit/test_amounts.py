"""Targets that are numbers written as text: "$1,050.00" is learned as 1050."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import kit.large as large
import kit.sampled as sampled
from kit.checks import check
from kit.competition import Competition
from kit.cv import cross_validate
from kit.dataset import Dataset
from kit.errors import ConfigError, DataError, ProviderError
from kit.providers.grading import numbers
from kit.scaffold.infer import Inference, infer
from kit.session import open_session
from kit.submission import build, validate
from kit.tables import read_table

Make = Callable[..., Competition]
N, N_TEST = 60, 20
REGRESSION = {
    "task": {"type": "regression", "metric": "rmse", "classes": []},
    "submission": {"wants": "value"},
    "cv": {"splitter": "kfold"},
    "models": {"lightgbm": {"params": {"n_estimators": 4, "min_data_in_leaf": 5}}},
}
VALUES = np.random.default_rng(0).lognormal(6, 2, N).round(2)
WRITTEN: dict[str, Callable[[float], str]] = {
    "dollars": lambda v: f"${v:,.2f}",
    "euros": lambda v: f"{v:,.2f} €",
    "commas": lambda v: f"{v:,.2f}",  # "999.00" in some pieces only: numbers there
    "percent": lambda v: f"{v:.2f}%",
}


def frames(target: Any) -> tuple[pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"id": [f"r{k}" for k in range(N + N_TEST)]})
    frame["a"] = rng.normal(size=len(frame))
    return frame[:N].assign(y=target), frame[N:].reset_index(drop=True)


def amounts(how: str) -> list[str]:
    return [WRITTEN[how](value) for value in VALUES]


def made(make: Make, target: Any, on_disk: str = "never", **tables: Any) -> Competition:
    found = make(*frames(target), **{**REGRESSION, **tables})
    return Competition.load(found.root, [f"execution.on_disk={on_disk}"])


def told(tmp_path: Path, target: Any, sample: Any = 0.5, **flags: Any) -> Inference:
    train, test = frames(target)
    asked = pd.DataFrame({"id": test["id"], "y": sample})
    for name, frame in (("train", train), ("test", test), ("sample_submission", asked)):
        frame.to_csv(tmp_path / f"{name}.csv", index=False)
    return infer(tmp_path, hints={}, flags=flags)


@pytest.mark.parametrize("on_disk", ["never", "always"])
@pytest.mark.parametrize("how", WRITTEN)
def test_they_are_read_as_numbers(
    make_competition: Make, monkeypatch: pytest.MonkeyPatch, how: str, on_disk: str
) -> None:
    monkeypatch.setattr(large, "PIECE", 4)
    data = Dataset.read(made(make_competition, amounts(how), on_disk))
    np.testing.assert_array_equal(data.y, VALUES)


def test_large_files_are_checked_all_the_same(
    make_competition: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A piece of numbers beside one of amounts."""
    target = [f"{value:.0f}" for value in range(1, N)] + ["1,050"]
    competition = made(make_competition, target, "always")
    monkeypatch.setattr(sampled, "LARGE_CELLS", 10)
    monkeypatch.setattr(sampled, "_PIECE", 7)
    monkeypatch.setattr(large, "PIECE", 7)
    assert not {"KIT021", "KIT022", "KIT024"} & {each.code for each in check(competition).findings}
    assert Dataset.read(competition).y.tolist() == [*range(1, N), 1050]


@pytest.mark.parametrize("value", ["low", "14:30", "12:00 PM"])
def test_what_is_no_amount_is_refused(make_competition: Make, value: str) -> None:
    """A submission of hours would not be spelled as train is."""
    competition = made(make_competition, [*amounts("dollars")[1:], value])
    with pytest.raises(DataError, match=f"'y' is not a number everywhere: '{value}'"):
        Dataset.read(competition)


def test_plain_numbers_are_handed_in(make_competition: Make) -> None:
    sample = pd.DataFrame({"id": frames(0)[1]["id"], "y": "$0.00"})
    competition = made(make_competition, amounts("dollars"), sample=sample)
    with open_session(competition) as session:
        run = cross_validate(session, "lightgbm")
    assert run is not None
    path = build(run, competition)
    assert validate(path, competition) == []
    np.testing.assert_array_equal(read_table(path)["y"], run.test()["pred"])


@pytest.mark.parametrize("how", WRITTEN)
def test_kit_new_sees_a_regression(tmp_path: Path, how: str) -> None:
    found = told(tmp_path, amounts(how))
    assert found.get("task.type") == "regression"
    assert found.get("task.metric") == "rmsle"  # lognormal: the numbers are looked at
    assert found.get("task.classes") is None
    (value,) = [each for each in found.values if each.key == "submission.wants"]
    assert value.because == "a number per row"


def test_a_sample_that_spells_them_otherwise_is_told_of(tmp_path: Path) -> None:
    found = told(tmp_path, amounts("dollars"), "$0.00")
    (value,) = [each for each in found.values if each.key == "submission.wants"]
    assert value.because == "a number per row, without units and commas; the sample holds '$0.00'"
    assert not value.sure


def test_missing_ones_are_left_out(tmp_path: Path, make_competition: Make) -> None:
    target = [*amounts("dollars")[:-2], "NA", ""]
    found = told(tmp_path, target)
    assert found.get("task.type") == "regression"
    assert any("is missing in 2 rows of train (of 60)" in text for text in found.questions)
    assert len(Dataset.read(made(make_competition, target)).y) == N - 2


@pytest.mark.parametrize(
    ("target", "sample"),
    [
        (np.resize(["5 kg", "10 kg", "25 kg"], N), "5 kg"),
        (np.resize(["1st", "2nd", "3rd", "4th"], N), "1st"),
        (np.resize(["12A", "12B", "7A", "3C"], N), "12A"),
        (np.resize(["0-10", "10-20", "20-30"], N), "0-10"),
        (np.resize(["09:30", "10:00", "17:15"], N), "09:30"),
    ],
)
def test_names_with_numbers_are_classes(tmp_path: Path, target: Any, sample: str) -> None:
    found = told(tmp_path, target, sample)
    assert found.get("task.type") == "multiclass"
    asked = any("if they are amounts, say --task regression" in text for text in found.questions)
    assert asked == (sample == "5 kg")


def test_amounts_of_few_values_are_a_regression_where_that_is_asked(tmp_path: Path) -> None:
    target = np.resize(["5 kg", "10 kg", "25 kg"], N)
    assert told(tmp_path, target, task="regression").get("task.type") == "regression"


def test_lists_of_numbers_are_labels_where_that_is_asked(tmp_path: Path) -> None:
    target = np.resize(["101", "202", "101,202", "303", "101,303", "202,303"], N)
    assert told(tmp_path, target, "101", task="multilabel").get("task.separator") == ","


def test_commas_are_no_thousands_where_they_are_decimals(tmp_path: Path) -> None:
    train, test = frames([f"{value:.3f} kg".replace(".", ",") for value in np.arange(N) + 0.25])
    asked = pd.DataFrame({"id": test["id"], "y": 0.5})
    for name, frame in (("train", train), ("test", test), ("sample_submission", asked)):
        frame.to_csv(tmp_path / f"{name}.csv", sep=";", decimal=",", index=False)
    with pytest.raises(ConfigError, match="different texts"):
        infer(tmp_path, hints={}, flags={})


def test_answers_may_be_spelled_as_train_is() -> None:
    cells = pd.DataFrame({"y": ["$1,050.00", "7"]})
    assert numbers(cells, ["y"], ProviderError).tolist() == [[1050.0], [7.0]]
