"""What `kit new` makes of files: every trap that real competitions set, in small."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from kit.errors import ConfigError, DataError, UnknownName
from kit.scaffold.facts import FLAGS
from kit.scaffold.infer import Inference, infer

N = 60
IDS = np.arange(1, N + 1)
TEST_IDS = np.arange(N + 1, N + 21)
RNG = np.random.default_rng(0)
X = RNG.normal(size=N)
X_TEST = RNG.normal(size=20)


def run(tmp_path: Path, flags: dict[str, Any] | None = None, **tables: Any) -> Inference:
    """Write the tables as CSV and infer; `hints` is passed on."""
    hints = tables.pop("hints", {})
    for name, columns in tables.items():
        pd.DataFrame(columns).to_csv(tmp_path / f"{name}.csv", index=False)
    return infer(tmp_path, hints=hints, flags=flags or {})


def plain(target: Any, sample: Any, **extra: Any) -> dict[str, Any]:
    """An ordinary competition: id, x, y; `extra` are more columns of train."""
    return {
        "train": {"id": IDS, "x": X, "y": target, **extra},
        "test": {"id": TEST_IDS, "x": X_TEST},
        "sample_submission": {"id": TEST_IDS, "y": sample},
    }


def because(inference: Inference, key: str) -> str:
    return next(item.because for item in inference.values if item.key == key)


def asks(inference: Inference, word: str) -> bool:
    return any(word in question for question in inference.questions)


ZERO_ONE = np.arange(N) % 2


# --- samples without an id ---------------------------------------------------------------------


SAID = [f"what number {i} says to all" for i in range(N + 20)]


def said(sample: dict[str, Any]) -> dict[str, Any]:
    """Texts without an id, a date here and there, and what the sample submission makes of them."""
    when = ["", "d1", "d2", "d3", "d4"] * 16
    return {
        "train": {"y": ZERO_ONE, "when": when[:N], "said": SAID[:N]},
        "test": {"when": when[N:], "said": SAID[N:]},
        "sample_submission": sample,
    }


@pytest.mark.parametrize("texts", [SAID[N:], ["they all say the same"] * 2 + SAID[N + 2 :]])
def test_what_a_sample_repeats_of_test_is_handed_in_and_is_no_id(
    tmp_path: Path, texts: list[str]
) -> None:
    tables = said({"y": 0, "when": ["", "d1", "d2", "d3", "d4"] * 4, "said": texts})
    tables["test"]["said"] = texts
    found = run(tmp_path, {"metric": "roc_auc"}, **tables)
    assert (found.get("columns.id"), found.get("columns.test_id")) == ("", "")
    assert (found.get("columns.target"), found.get("submission.columns")) == ("y", ["y"])
    assert (found.get("submission.id"), found.get("submission.copied")) == ("", ["when", "said"])
    assert found.get("columns.kinds.said") == "text"
    assert not asks(found, "no id column")


def test_a_column_that_repeats_tests_beside_an_id_is_handed_in(tmp_path: Path) -> None:
    tables = plain(ZERO_ONE, 0)
    tables["sample_submission"] = {"y": 0, "id": TEST_IDS[::-1], "x": X_TEST[::-1]}
    found = run(tmp_path, {"metric": "roc_auc"}, **tables)
    assert (found.get("submission.id"), found.get("submission.copied")) == ("id", ["x"])
    assert (found.get("columns.target"), found.get("submission.columns")) == ("y", ["y"])


def test_a_sample_of_answers_only_has_no_id(tmp_path: Path) -> None:
    found = run(tmp_path, {"metric": "roc_auc"}, **said({"y": [0] * 20}))
    assert (found.get("submission.id"), found.get("submission.columns")) == ("", ["y"])
    with pytest.raises(ConfigError, match="one column only"):
        run(tmp_path, **said({"y": range(20)}))


@pytest.mark.parametrize("by", [["shop", "day"], ["dept", "shop", "day"]])
def test_ids_made_of_columns_of_test_prove_the_order_or_refute_it(
    tmp_path: Path, by: list[str]
) -> None:
    both = {
        "shop": [1, 2] * 40,
        "dept": [2, 1] * 40,
        "day": [f"2020-01-{i}" for i in range(10, 90)],
    }
    frame = pd.DataFrame(both)
    test = frame[N:].reset_index(drop=True)
    ids = ["_".join(map(str, row)) for row in test[by].to_numpy()]
    sample = pd.DataFrame({"Id": ids, "y": 0})
    tables = {"train": frame[:N].assign(y=X), "test": test, "sample_submission": sample}
    found = run(tmp_path, **tables)
    assert f"made of {', '.join(map(repr, by))}, row by row" in because(found, "columns.test_id")
    assert not asks(found, "order of the sample submission")
    tables["sample_submission"] = sample[::-1]
    with pytest.raises(ConfigError, match="in another order"):
        run(tmp_path, **tables)


@pytest.mark.parametrize(("answer", "asked"), [("sold_month", True), ("sold", False)])
def test_an_answer_that_is_a_sum_over_rows_of_train_is_asked_about(
    tmp_path: Path, answer: str, asked: bool
) -> None:
    train = {"shop": [1, 2, 3] * 20, "item": [5] * 30 + [6] * 30, "day": IDS, "sold": X}
    test = {"ID": [0, 1, 2], "shop": [1, 2, 3], "item": [5, 6, 6]}
    found = run(tmp_path, train=train, test=test, sample_submission={"ID": range(3), answer: 0.5})
    assert found.get("columns.target") == "sold"
    assert asks(found, "'sold_month' may be a sum or mean of 'sold'") == asked
    assert asks(found, "one row per 'shop', 'item', train 10.0 on average") == asked


# --- columns ------------------------------------------------------------------------------------


def test_ordinary_files_give_id_target_and_binary_task(tmp_path: Path) -> None:
    found = run(tmp_path, **plain(ZERO_ONE, [0, 1] * 10))
    assert found.get("columns.id") == "id"
    assert found.get("columns.target") == "y"
    assert found.get("task.type") == "binary"
    assert found.get("task.classes") == ["0", "1"]
    assert found.get("submission.wants") == "label"
    assert found.get("cv.splitter") == "stratified_kfold"


def test_sample_columns_named_like_the_classes_are_probabilities(tmp_path: Path) -> None:
    sample = {f"Status_{c}": [1 / 3] * 20 for c in ("D", "C", "CL")}
    tables = plain(["C", "CL", "D"] * 20, 0)
    tables["sample_submission"] = {"id": TEST_IDS, **sample}
    found = run(tmp_path, **tables)
    assert found.get("columns.target") == "y"
    assert found.get("task.type") == "multiclass"
    assert found.get("submission.columns") == ["Status_D", "Status_C", "Status_CL"]
    assert found.get("submission.classes") == ["D", "C", "CL"]
    assert found.get("task.classes") == ["C", "CL", "D"]
    assert found.get("task.metric") == "log_loss"


def test_class_columns_match_numbers_in_another_spelling(tmp_path: Path) -> None:
    tables = plain([1.0, 2.0, 10.0] * 20, 0)
    tables["sample_submission"] = {"id": TEST_IDS, **{f"Class_{c}": 0 for c in (1, 2, 10)}}
    found = run(tmp_path, **tables)
    assert found.get("task.classes") == ["1.0", "2.0", "10.0"]
    assert found.get("submission.classes") == ["1.0", "2.0", "10.0"]


def test_id_named_differently_in_train_and_test_is_found_by_its_values(tmp_path: Path) -> None:
    tables = plain(ZERO_ONE, 0)
    tables["test"] = {"customer": TEST_IDS, "x": X_TEST}
    found = run(tmp_path, **tables)
    assert found.get("columns.id") == "id"
    assert found.get("columns.test_id") == "customer"
    assert found.get("submission.id") == "id"


def test_id_names_are_compared_without_case_and_punctuation(tmp_path: Path) -> None:
    tables = plain(ZERO_ONE, 0)
    tables["train"] = {"Passenger_Id": IDS, "x": X, "y": ZERO_ONE}
    tables["test"] = {"PassengerID": TEST_IDS, "x": X_TEST}
    tables["sample_submission"] = {"passengerid": TEST_IDS, "y": 0}
    found = run(tmp_path, **tables)
    assert found.get("columns.id") == "Passenger_Id"
    assert found.get("columns.test_id") == "PassengerID"


def test_ids_with_blanks_and_decimals_are_the_same_ids(tmp_path: Path) -> None:
    tables = plain(ZERO_ONE, 0)
    tables["test"]["id"] = [f" {i} " for i in TEST_IDS]
    tables["sample_submission"]["id"] = [f"{i}.0" for i in TEST_IDS]
    found = run(tmp_path, **tables)
    assert found.get("columns.id") == "id"
    assert not asks(found, "not in test")


def test_sample_ids_that_test_lacks_are_a_question(tmp_path: Path) -> None:
    tables = plain(ZERO_ONE, 0)
    tables["sample_submission"]["id"] = [*TEST_IDS[:17], 901, 902, 903]
    assert asks(run(tmp_path, **tables), "3 of the sample submission's 20 ids")


def test_test_without_an_id_is_taken_in_the_order_of_the_sample(tmp_path: Path) -> None:
    pixels = {f"pixel{i}": RNG.integers(0, 255, N) for i in range(3)}
    found = run(
        tmp_path,
        train={"label": np.arange(N) % 5, **pixels},
        test={name: values[:20] for name, values in pixels.items()},
        sample_submission={"ImageId": np.arange(1, 21), "Label": 0},
    )
    assert found.get("columns.id") == ""
    assert found.get("columns.test_id") == ""
    assert found.get("submission.id") == "ImageId"
    assert found.get("columns.target") == "label"
    assert found.get("task.type") == "multiclass"
    assert asks(found, "--task regression")


def test_test_without_an_id_and_another_row_count_is_an_error(tmp_path: Path) -> None:
    tables = plain(ZERO_ONE, 0)
    tables["test"] = {"x": X_TEST[:15]}
    with pytest.raises(ConfigError, match=r"(?s)15 rows.*--id"):
        run(tmp_path, **{**tables, "sample_submission": {"k": np.arange(20), "y": 0}})


def test_train_ids_that_repeat_number_the_rows_and_propose_groups(tmp_path: Path) -> None:
    tables = plain(ZERO_ONE, 0)
    tables["train"]["id"] = np.arange(N) // 3
    found = run(tmp_path, **tables)
    assert found.get("columns.id") == ""
    assert found.get("columns.test_id") == "id"
    assert asks(found, "--group id")


def test_train_columns_that_test_lacks_are_dropped_with_the_reason(tmp_path: Path) -> None:
    found = run(tmp_path, **plain(ZERO_ONE, 0, casual=IDS, registered=IDS))
    assert found.get("columns.drop") == ["casual", "registered"]
    assert "test lacks them" in because(found, "columns.drop")


def test_test_columns_that_train_lacks_are_noted_and_not_dropped(tmp_path: Path) -> None:
    tables = plain(ZERO_ONE, 0)
    tables["test"]["only_here"] = 1
    found = run(tmp_path, **tables)
    assert found.get("columns.drop") == []
    assert "'only_here'" in because(found, "columns.drop")


def test_blanks_around_column_names_do_not_matter(tmp_path: Path) -> None:
    tables = plain(ZERO_ONE, 0)
    tables["train"] = {" id": IDS, "x ": X, "y  ": ZERO_ONE, "z ": ["a", "b"] * 30}
    tables["test"] = {"id": TEST_IDS, "x": X_TEST, "z": "a"}
    found = run(tmp_path, **tables)
    assert (found.get("columns.id"), found.get("columns.target")) == ("id", "y")
    assert found.get("columns.kinds.z") == "category"
    assert found.get("columns.drop") == []


def test_a_target_named_otherwise_in_the_sample_is_the_column_test_lacks(tmp_path: Path) -> None:
    tables = plain(ZERO_ONE, 0)
    tables["sample_submission"] = {"id": TEST_IDS, "prediction": 0.5}
    found = run(tmp_path, **tables)
    assert found.get("columns.target") == "y"
    assert found.get("submission.columns") == ["prediction"]
    assert asks(found, "--target")


def test_of_several_columns_that_test_lacks_the_similar_name_is_the_target(tmp_path: Path) -> None:
    tables = plain(ZERO_ONE, 0, loss=X, noise=X)
    tables["sample_submission"] = {"id": TEST_IDS, "predicted_loss": 0.5}
    found = run(tmp_path, **tables)
    assert found.get("columns.target") == "loss"
    assert found.get("columns.drop") == ["y", "noise"]


def test_of_several_columns_that_test_lacks_the_one_called_target_is_it(tmp_path: Path) -> None:
    tables = plain(ZERO_ONE, 0, noise=X)
    tables["train"]["target"] = X
    tables["sample_submission"] = {"id": TEST_IDS, "prediction": 0.5}
    found = run(tmp_path, **tables)
    assert found.get("columns.target") == "target"
    assert asks(found, "taken to be 'target', although the sample submission calls")


def test_an_ambiguous_target_is_an_error_that_lists_the_columns_and_the_flag(
    tmp_path: Path,
) -> None:
    tables = plain(ZERO_ONE, 0, other=X)
    tables["sample_submission"] = {"id": TEST_IDS, "prediction": 0.5}
    with pytest.raises(ConfigError, match=r"(?s)y, other.*--target"):
        run(tmp_path, **tables)
    assert infer(tmp_path, hints={}, flags={"target": "other"}).get("columns.target") == "other"


def test_a_sample_that_repeats_columns_of_test_is_an_error(tmp_path: Path) -> None:
    tables = plain(ZERO_ONE, 0)
    tables["sample_submission"] = {"id": TEST_IDS, "x": X_TEST + 1, "y": 0}
    with pytest.raises(ConfigError, match=r"(?s)repeats columns of test \('x'\).*--sample"):
        run(tmp_path, **tables)


def test_an_empty_target_column_in_test_does_not_confuse(tmp_path: Path) -> None:
    tables = plain(ZERO_ONE, 0)
    tables["test"]["y"] = np.nan
    assert run(tmp_path, **tables).get("columns.target") == "y"


def test_without_a_sample_the_one_column_that_test_lacks_is_the_target(tmp_path: Path) -> None:
    tables = plain(X, 0)
    del tables["sample_submission"]
    found = run(tmp_path, **tables)
    assert found.get("columns.target") == "y"
    assert found.get("files.sample_submission") == ""
    assert asks(found, "--sample")


# --- task and submission ------------------------------------------------------------------------


def test_true_and_false_are_a_binary_target_with_false_first(tmp_path: Path) -> None:
    found = run(tmp_path, **plain([True, False] * 30, [False] * 20))
    assert found.get("task.classes") == ["False", "True"]
    assert found.get("submission.wants") == "label"
    assert found.get("submission.labels") is None


@pytest.mark.parametrize(
    ("target", "sample", "labels"),
    [
        ([True, False], 1, ["0", "1"]),
        ([0.0, 1.0], 1, ["0", "1"]),
        (["no", "yes"], "NO", ["NO", "YES"]),
        ([0, 1], "True", ["False", "True"]),
    ],
)
def test_labels_that_the_sample_spells_otherwise_are_mapped(
    tmp_path: Path, target: list[Any], sample: Any, labels: list[str]
) -> None:
    found = run(tmp_path, **plain(target * 30, sample))
    assert found.get("submission.labels") == labels


def test_labels_foreign_to_the_target_are_a_question(tmp_path: Path) -> None:
    assert asks(run(tmp_path, **plain(["a", "b"] * 30, "c")), "never takes")


@pytest.mark.parametrize(("sample", "wants"), [(0.5, "probability"), (0.31, "probability")])
def test_fractions_in_the_sample_of_a_binary_task_are_probabilities(
    tmp_path: Path, sample: float, wants: str
) -> None:
    found = run(tmp_path, **plain(ZERO_ONE, sample))
    assert found.get("submission.wants") == wants
    assert found.get("task.metric") == "roc_auc"


def test_a_sample_of_zeros_means_labels_with_a_question(tmp_path: Path) -> None:
    found = run(tmp_path, **plain(ZERO_ONE, 0))
    assert found.get("submission.wants") == "label"
    assert found.get("task.metric") == "accuracy"
    assert asks(found, "--submission probability")


def test_zeros_with_decimals_for_whole_labels_mean_probability(tmp_path: Path) -> None:
    found = run(tmp_path, **plain(ZERO_ONE, 0.0))
    assert found.get("submission.wants") == "probability"
    assert asks(found, "--submission label")


def test_a_metric_decides_what_the_submission_wants(tmp_path: Path) -> None:
    found = run(tmp_path, {"metric": "roc_auc"}, **plain(ZERO_ONE, 0))
    assert found.get("submission.wants") == "probability"
    assert because(found, "task.metric") == "--metric"
    assert not asks(found, "metric")


def test_a_metric_for_numbers_makes_whole_numbers_a_regression(tmp_path: Path) -> None:
    tables = plain(np.arange(N) % 5, 0)
    assert run(tmp_path, **tables).get("task.type") == "multiclass"
    assert infer(tmp_path, hints={}, flags={"metric": "mae"}).get("task.type") == "regression"


def test_whole_numbers_are_classes_only_with_whole_numbers_in_the_sample(tmp_path: Path) -> None:
    found = run(tmp_path, **plain(np.arange(N) % 5, 2.5))
    assert found.get("task.type") == "regression"


def test_columns_of_zero_and_one_are_multilabel(tmp_path: Path) -> None:
    tables = plain(ZERO_ONE, 0.5, z=1 - ZERO_ONE)
    tables["sample_submission"]["z"] = 0.5
    found = run(tmp_path, **tables)
    assert found.get("task.type") == "multilabel"
    assert found.get("columns.target") == ["y", "z"]
    assert found.get("task.metric") == "roc_auc"
    assert found.get("submission.wants") == "probability"


def test_columns_of_which_one_is_1_in_every_row_are_told_to_be_classes(tmp_path: Path) -> None:
    tables = plain(ZERO_ONE, 0.5, z=1 - ZERO_ONE)
    tables["sample_submission"]["z"] = 0.5
    assert asks(run(tmp_path, **tables), "exactly one of y, z is 1 in every row")
    tables["train"]["z"][0] = 1 - tables["train"]["z"][0]
    assert not asks(run(tmp_path, **tables), "exactly one")


def test_columns_of_numbers_are_multitarget_in_the_order_of_the_sample(tmp_path: Path) -> None:
    tables = plain(X, 0, z=X**2)
    tables["sample_submission"] = {"id": TEST_IDS, "z": 0, "y": 0}
    found = run(tmp_path, **tables)
    assert found.get("task.type") == "multitarget"
    assert found.get("columns.target") == ["z", "y"]
    assert found.get("task.metric") == "rmse"


def test_a_right_skewed_amount_is_scored_on_its_logarithm(tmp_path: Path) -> None:
    prices = np.exp(np.linspace(8, 13, N))
    assert run(tmp_path, **plain(prices, 1.5)).get("task.metric") == "rmsle"


def test_a_target_with_one_value_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"one value only: '1'"):
        run(tmp_path, **plain(1, 0))


def test_missing_targets_are_a_question_and_no_class(tmp_path: Path) -> None:
    found = run(tmp_path, **plain([np.nan, *ZERO_ONE[1:]], 1))
    assert found.get("task.classes") == ["0.0", "1.0"]
    assert asks(found, "missing in 1 row of train")


def test_flags_that_contradict_the_target_are_errors(tmp_path: Path) -> None:
    tables = plain(["a", "b"] * 30, "a")
    with pytest.raises(ConfigError, match="must be numeric"):
        run(tmp_path, {"task": "regression"}, **tables)
    with pytest.raises(ConfigError, match="rmse scores"):
        infer(tmp_path, hints={}, flags={"metric": "rmse"})
    with pytest.raises(UnknownName, match="roc_auc"):
        infer(tmp_path, hints={}, flags={"metric": "rocauc"})
    with pytest.raises(ConfigError, match="no flag 'tagret'"):
        infer(tmp_path, hints={}, flags={"tagret": "y"})


def test_flags_beat_the_provider_and_the_provider_beats_the_files(tmp_path: Path) -> None:
    tables = plain(ZERO_ONE, 0)
    found = run(tmp_path, hints={"metric": "f1", "folds": 3}, flags={"folds": 7}, **tables)
    assert found.get("task.metric") == "f1"
    assert because(found, "task.metric") == "the provider says so"
    assert found.get("cv.n_splits") == 7
    assert because(found, "cv.n_splits") == "--folds"


# --- validation ---------------------------------------------------------------------------------


def times(periods: int) -> pd.Series:
    return pd.Series(pd.date_range("2020-01-01", periods=periods, freq="D").astype(str))


def dated(in_test: np.ndarray, **options: Any) -> dict[str, Any]:
    """Days as ids, those of `in_test` in the test file."""
    days = times(len(in_test))
    n, m = (~in_test).sum(), in_test.sum()
    return {
        "train": {"when": days[~in_test].to_numpy(), "x": np.linspace(0, 1, n), "y": np.arange(n)},
        "test": {"when": days[in_test].to_numpy(), "x": np.linspace(0, 1, m)},
        "sample_submission": {"when": days[in_test].to_numpy(), "y": 0.5},
        **options,
    }


def test_alternating_blocks_of_a_datetime_id_are_validated_in_such_blocks(tmp_path: Path) -> None:
    found = run(tmp_path, **dated(np.arange(300) % 30 >= 19))
    assert found.get("columns.id") == "when"
    assert found.get("columns.kinds.when") == "datetime"
    assert found.get("cv.splitter") == "time_blocks"
    assert found.get("cv.block") == "11D"
    assert found.get("columns.time") == "when"


def test_a_test_set_later_than_train_is_validated_forwards(tmp_path: Path) -> None:
    found = run(tmp_path, **dated(np.arange(120) >= 90))
    assert found.get("cv.splitter") == "time_windows"
    assert (found.get("cv.horizon"), found.get("cv.n_splits")) == ("30D", 2)
    assert found.get("columns.time") == "when"
    assert "later" in because(found, "cv.splitter")


def test_a_test_period_as_long_as_train_is_validated_by_time_series(tmp_path: Path) -> None:
    found = run(tmp_path, **dated(np.arange(120) >= 60))
    assert found.get("cv.splitter") == "time_series"
    assert found.get("series.horizon") is None


def test_days_drawn_at_random_are_validated_at_random(tmp_path: Path) -> None:
    found = run(tmp_path, **dated(np.random.default_rng(1).random(200) < 0.3))
    assert found.get("cv.splitter") == "kfold"
    assert found.get("cv.block") is None


def test_a_group_flag_keeps_groups_together(tmp_path: Path) -> None:
    tables = plain(ZERO_ONE, 0, house=np.arange(N) // 4)
    found = run(tmp_path, {"group": "house"}, **tables)
    assert found.get("cv.splitter") == "stratified_group_kfold"
    assert found.get("columns.group") == "house"
    assert found.get("columns.drop") == []
    with pytest.raises(ConfigError, match="'house'"):
        infer(tmp_path, hints={}, flags={"group": "hause"})


def test_a_time_flag_splits_by_time(tmp_path: Path) -> None:
    tables = plain(X, 0.5, week=np.arange(N))
    tables["test"]["week"] = 5
    found = run(tmp_path, {"time": "week"}, **tables)
    assert (found.get("cv.splitter"), found.get("columns.time")) == ("time_series", "week")


def test_numbers_that_are_all_new_in_test_are_proposed_as_groups(tmp_path: Path) -> None:
    tables = plain(ZERO_ONE, 0, patient=np.arange(N) // 3)
    tables["test"]["patient"] = 100 + np.arange(20) // 3
    found = run(tmp_path, **tables)
    assert asks(found, "--group patient")
    assert found.get("cv.splitter") == "stratified_kfold"


def test_numbers_that_are_larger_in_test_than_in_train_may_be_a_time(tmp_path: Path) -> None:
    tables = plain(ZERO_ONE, 0, seconds=86_400 + 37 * np.random.default_rng(0).permutation(N))
    tables["test"]["seconds"] = 86_400 + 37 * (N + np.arange(20))
    assert asks(run(tmp_path, **tables), "--time seconds")
    assert not asks(infer(tmp_path, hints={}, flags={"time": "seconds"}), "--time seconds")
    tables["test"]["seconds"] = 86_400 + 37 * np.arange(20)
    assert not asks(run(tmp_path, **tables), "--time")


def test_names_that_are_all_new_in_test_are_groups(tmp_path: Path) -> None:
    tables = plain(ZERO_ONE, 0, patient=[f"p{k // 3}" for k in range(N)])
    tables["test"]["patient"] = [f"q{k // 3}" for k in range(20)]
    found = run(tmp_path, **tables)
    assert found.get("columns.group") == "patient"
    assert found.get("cv.splitter") == "stratified_group_kfold"
    assert "unseen groups" in because(found, "cv.splitter")
    found = infer(tmp_path, hints={}, flags={"splitter": "kfold"})
    assert found.get("cv.splitter") == "kfold"


def shops(n_shops: int, days: pd.DatetimeIndex, horizon: int, **columns: Any) -> dict[str, Any]:
    """Sales per shop and day; the last `horizon` days are the test file."""
    frame = pd.DataFrame([(d, f"shop {s}") for s in range(n_shops) for d in days])
    frame.columns = pd.Index(["day", "shop"])
    frame = frame.assign(**columns)
    frame.insert(0, "id", np.arange(len(frame)) * 7 % 100_003)
    frame["sales"] = np.random.default_rng(0).gamma(2, 9, len(frame)).round(3)
    late = frame["day"] >= days[-horizon]
    test = frame[late].drop(columns="sales")
    sample = test[["id"]].assign(sales=0.5)
    return {"train": frame[~late], "test": test, "sample_submission": sample}


def test_series_that_go_on_in_test_get_their_table(tmp_path: Path) -> None:
    found = run(tmp_path, **shops(6, pd.date_range("2023-01-01", periods=120), 14))
    assert found.get("cv.splitter") == "time_windows"
    assert (found.get("cv.horizon"), found.get("cv.n_splits")) == ("14D", 5)
    assert "6 series go on" in because(found, "cv.splitter")
    assert found.get("series.id") == ["shop"]
    assert (found.get("series.step"), found.get("series.horizon")) == ("1D", 14)
    assert found.get("series.lags") == [14, 15, 21]
    assert found.get("series.seasons") == [7]
    assert found.get("cv.models")[:3] == ["naive", "seasonal_naive", "seasonal_mean"]


def test_series_of_one_region_are_pooled(tmp_path: Path) -> None:
    tables = shops(12, pd.date_range("2023-01-01", periods=120), 14)
    for name in ("train", "test"):
        shop = tables[name]["shop"]
        number = pd.factorize(shop)[0]
        tables[name] = tables[name].assign(
            region=np.array(["north", "south"])[number % 2],
            two=np.array([f"pair {k}" for k in range(6)])[number // 2],  # too few series each
            mood=np.resize(["good", "bad"], len(shop)),  # not the same in all rows of a shop
        )
    found = run(tmp_path, **tables)
    assert (found.get("series.id"), found.get("series.pooled")) == (["shop"], ["region"])


def test_months_are_counted_not_measured(tmp_path: Path) -> None:
    found = run(tmp_path, **shops(5, pd.date_range("2015-01-01", periods=72, freq="MS"), 12))
    assert (found.get("series.step"), found.get("series.horizon")) == ("month", 12)
    assert found.get("cv.horizon") == "12"
    assert found.get("series.seasons") == [12]


@pytest.mark.parametrize(
    ("times", "gap", "told"),
    [
        (pd.date_range("2024-01-01", periods=200), 7, ("14D", "7D")),
        (pd.date_range("2024-01-01", periods=200), 1, ("15D", None)),
        (pd.date_range("2024-01-01", periods=200), 0, ("14D", None)),
        (pd.date_range("2015-01-01", periods=100, freq="MS"), 3, ("14", "3")),
        (pd.bdate_range("2024-01-01", periods=204), 0, ("20D", None)),  # over a weekend
    ],
)
def test_folds_keep_the_distance_that_test_has_to_train(
    tmp_path: Path, times: Any, gap: int, told: tuple[str, str | None]
) -> None:
    tables = shops(12, times, 14 + gap)
    first = str(times[-14].date())
    tables["test"] = tables["test"][tables["test"]["day"].astype(str) >= first]
    tables["sample_submission"] = tables["test"][["id"]].assign(sales=0.5)
    found = run(tmp_path, **tables)
    assert (found.get("cv.horizon"), found.get("cv.gap")) == told
    # the past that a row may look at is as old for the last row of test as ever
    if told[0].endswith("D") and gap:
        assert found.get("series.horizon") == 14 + gap


@pytest.mark.parametrize(
    ("times", "horizon", "windows"),
    [
        (pd.date_range("2010-02-05", periods=182, freq="7D"), 39, 2),  # three leave half a year
        (pd.date_range("2010-02-05", periods=260, freq="7D"), 39, 3),
        (pd.date_range("2010-01-01", periods=78, freq="MS"), 18, 2),
        (pd.date_range("2010-01-01", periods=130, freq="MS"), 18, 4),
        (pd.date_range("2023-01-01", periods=200), 14, 5),
        (pd.date_range("2023-01-01", periods=100, freq="3h"), 15, 4),  # no usual season
    ],
)
def test_the_first_window_has_a_season_and_a_horizon_before_it(
    tmp_path: Path, times: Any, horizon: int, windows: int
) -> None:
    found = run(tmp_path, **shops(12, times, horizon))
    assert (found.get("series.horizon"), found.get("cv.n_splits")) == (horizon, windows)
    reason = because(found, "cv.n_splits")
    assert ("leave enough to learn from" in reason) == (windows < 5)


def test_one_series_needs_no_column(tmp_path: Path) -> None:
    tables = shops(1, pd.date_range("2023-01-01", periods=200), 10)
    for name in ("train", "test"):
        tables[name] = tables[name].drop(columns="shop")
    found = run(tmp_path, **tables)
    assert found.get("series.id") == []
    assert found.get("series.horizon") == 10


def test_rows_that_are_no_series_get_no_table(tmp_path: Path) -> None:
    """Many rows per day, and nothing that tells them apart."""
    tables = shops(6, pd.date_range("2023-01-01", periods=120), 14)
    for name in ("train", "test"):
        tables[name]["shop"] = "shop 1"
    found = run(tmp_path, **tables)
    assert found.get("cv.splitter") == "time_windows"
    assert found.get("series.horizon") is None
    assert "naive" not in found.get("cv.models")


def test_unseen_groups_in_later_time_are_validated_so(tmp_path: Path) -> None:
    tables = shops(60, pd.date_range("2023-01-01", periods=60), 10)
    tables["test"]["shop"] = "new " + tables["test"]["shop"]
    found = run(tmp_path, **tables)
    assert found.get("cv.splitter") == "group_time"
    assert (found.get("columns.group"), found.get("columns.time")) == ("shop", "day")
    assert "unseen groups" in because(found, "cv.splitter")


def test_a_series_and_time_twice_are_a_question(tmp_path: Path) -> None:
    tables = shops(30, pd.date_range("2023-01-01", periods=120), 14)
    twice = tables["train"].iloc[:2].assign(id=[200_001, 200_002])
    tables["train"] = pd.concat([tables["train"], twice])
    found = run(tmp_path, **tables)
    assert found.get("series.id") == ["shop"]
    assert asks(found, "2 rows of train repeat a series and time")


def test_ids_that_share_a_part_are_a_question(tmp_path: Path) -> None:
    tables = plain(ZERO_ONE, 0)
    tables["train"]["id"] = [f"{i // 2:04d}_{i % 2:02d}" for i in range(N)]
    assert asks(run(tmp_path, **tables), "'0000_00'")
    tables["train"]["pair_id"] = np.arange(N) // 2
    found = run(tmp_path, **tables)
    assert found.get("columns.group") == "pair_id"
    assert not asks(found, "'0000_00'"), "they are in one fold"


def test_a_rare_class_reduces_the_folds(tmp_path: Path) -> None:
    target = ["a"] * (N - 3) + ["b"] * 3
    found = run(tmp_path, **plain(target, "a"))
    assert found.get("cv.n_splits") == 3
    assert "3 rows" in because(found, "cv.n_splits")


def test_a_class_of_one_row_among_many_leaves_the_folds_as_they_are(tmp_path: Path) -> None:
    target = ["a", "b"] * (N // 2 - 1) + ["c", "b"]
    found = run(tmp_path, **plain(target, "a"))
    assert found.get("cv.n_splits") == 8
    assert not asks(found, "two folds are not possible")


def test_classes_of_one_row_leave_the_usual_folds(tmp_path: Path) -> None:
    target = ["a"] * 30 + ["b"] * 26 + ["c", "d", "e", "e"]
    found = run(tmp_path, **plain(target, "a"))
    assert found.get("cv.splitter") == "stratified_kfold"
    assert found.get("cv.n_splits") == 8
    assert asks(found, "2 classes have one row only")
    assert not asks(found, "two folds are not possible")


def test_a_class_of_one_row_beside_one_other_is_still_asked_about(tmp_path: Path) -> None:
    found = run(tmp_path, **plain(["a"] * (N - 1) + ["b"], "a"))
    assert asks(found, "the rarest class has 1 row.")


@pytest.mark.parametrize("name", ["PatientID", "patient_id", "subject", "Speaker", "imaging site"])
def test_groups_that_only_train_names_stay_together(tmp_path: Path, name: str) -> None:
    patients = [f"p{k // 2}" for k in RNG.permutation(N)]
    found = run(tmp_path, **plain(ZERO_ONE, 0.5, **{name: patients}))
    assert found.get("columns.group") == name
    assert found.get("columns.drop") == []
    assert found.get("cv.splitter") == "stratified_group_kfold"
    assert asks(found, "--splitter stratified_kfold")


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("patient_id", [f"p{k}" for k in range(N)]),  # never twice
        ("site_id", [f"s{k % 5}" for k in range(N)]),  # a handful
        ("finding", [f"p{k // 2}" for k in range(N)]),  # no id by its name
        ("subjective", [f"p{k // 2}" for k in range(N)]),
        ("person_id", [f"p{k // 2}" if k < N - 1 else None for k in range(N)]),
    ],
)
def test_other_columns_of_train_alone_are_no_groups(
    tmp_path: Path, name: str, values: list[str]
) -> None:
    found = run(tmp_path, **plain(ZERO_ONE, 0.5, **{name: values}))
    assert found.get("columns.group") is None
    assert found.get("columns.drop") == [name]


def test_the_target_spelled_as_a_number_is_no_group(tmp_path: Path) -> None:
    target = [f"class {k % 20}" for k in range(N)]
    found = run(tmp_path, **plain(target, "class 1", label_id=[k % 20 for k in range(N)]))
    assert found.get("columns.target") == "y"
    assert found.get("columns.group") is None


def test_a_sample_of_one_row_per_value_is_told_with_its_lookup_table(tmp_path: Path) -> None:
    tables = plain(X, 0.0)
    pairs = [(int(i), side) for i in TEST_IDS for side in ("x", "y")]
    rows = list(range(1, len(pairs) + 1))
    tables["sample_submission"] = {"RowId": rows, "Location": 0.0}
    tables["lookup"] = {"RowId": rows, "id": [i for i, _ in pairs], "side": [s for _, s in pairs]}
    with pytest.raises(
        ConfigError, match=r"By lookup\.csv an id belongs to a row of test \('id'\)"
    ):
        run(tmp_path, **tables)


def test_large_files_get_the_quick_models(tmp_path: Path) -> None:
    n = 100_001
    tables = plain(ZERO_ONE, 0)
    tables["train"] = {"id": np.arange(n), "y": np.arange(n) % 2, "x": 1}
    tables["test"]["id"] = tables["sample_submission"]["id"] = n + TEST_IDS
    assert run(tmp_path, **tables).get("cv.models") == ["lightgbm", "linear"]


def test_many_texts_get_the_quick_model_of_texts(tmp_path: Path) -> None:
    n = 100_001
    tables = plain(ZERO_ONE, 0)
    said = [f"what number {k} says in so many words, and more" for k in range(n)]
    tables["train"] = {"id": np.arange(n), "y": np.arange(n) % 2, "x": said}
    tables["test"]["x"] = said[: len(TEST_IDS)]
    tables["test"]["id"] = tables["sample_submission"]["id"] = n + TEST_IDS
    assert run(tmp_path, **tables).get("cv.models") == ["words-only", "lightgbm"]


# --- files --------------------------------------------------------------------------------------


def test_json_records_with_lists_and_a_csv_sample_are_read(tmp_path: Path) -> None:
    words = ["salt", "red pepper", "olive oil", "garlic"]
    rows = [
        {
            "id": int(i),
            "ingredients": words[: 1 + i % 4],
            "cuisine": ["thai", "greek", "irish"][i % 3],
        }
        for i in range(N)
    ]
    (tmp_path / "train.json").write_text(json.dumps(rows))
    test = [{"id": int(i), "ingredients": words} for i in TEST_IDS]
    (tmp_path / "test.json").write_text(json.dumps(test))
    found = run(tmp_path, sample_submission={"id": TEST_IDS, "cuisine": "thai"})
    assert found.get("files.train") == "train.json"
    assert found.get("task.classes") == ["greek", "irish", "thai"]
    assert found.get("columns.kinds.ingredients") == "category"


@pytest.mark.parametrize("suffix", [".csv.zip", ".zip"])
def test_a_zip_around_each_csv_is_looked_into(tmp_path: Path, suffix: str) -> None:
    for name, columns in plain(ZERO_ONE, 0).items():
        with zipfile.ZipFile(tmp_path / f"{name}{suffix}", "w") as archive:
            archive.writestr(f"{name}.csv", pd.DataFrame(columns).to_csv(index=False))
    found = infer(tmp_path, hints={}, flags={})
    assert found.get("files.train") == f"train{suffix}"
    assert found.get("columns.target") == "y"


def test_other_names_and_one_folder_down_are_found(tmp_path: Path) -> None:
    tables = plain(ZERO_ONE, 0)
    (tmp_path / "Data").mkdir()
    names = {"train": "Train_V2.csv", "test": "TEST_set.csv", "sample_submission": "sampleSub.csv"}
    for name, columns in tables.items():
        pd.DataFrame(columns).to_csv(tmp_path / "Data" / names[name], index=False)
    found = infer(tmp_path, hints={}, flags={})
    assert found.get("files.train") == "Data/Train_V2.csv"
    assert found.get("files.sample_submission") == "Data/sampleSub.csv"


def test_several_train_files_are_an_error_that_names_them_and_the_flag(tmp_path: Path) -> None:
    tables = plain(ZERO_ONE, 0)
    tables["train_a"] = tables["train_b"] = tables.pop("train")
    with pytest.raises(ConfigError, match=r"(?s)train_a.csv, train_b.csv.*--train.*--test"):
        run(tmp_path, **tables)
    found = infer(tmp_path, hints={}, flags={"train": "train_b.csv"})
    assert (found.get("files.train"), because(found, "files.train")) == ("train_b.csv", "--train")


def test_a_missing_test_file_is_an_error_that_names_what_is_there(tmp_path: Path) -> None:
    tables = plain(ZERO_ONE, 0)
    del tables["test"]
    tables["holdout"] = {"id": TEST_IDS, "town": 1}  # its columns are not those of train
    with pytest.raises(ConfigError, match=r"(?s)holdout.csv.*--test.*Where one file holds both"):
        run(tmp_path, **tables)


@pytest.mark.parametrize("text", ["", "id,x,y\n"])
def test_an_empty_csv_is_a_clear_error(tmp_path: Path, text: str) -> None:
    tables = plain(ZERO_ONE, 0)
    run(tmp_path, **tables)
    (tmp_path / "train.csv").write_text(text)
    with pytest.raises(DataError, match=r"train\.csv (is empty|has a header and no rows)"):
        infer(tmp_path, hints={}, flags={})


PNG = b"\x89PNG\r\n\x1a\n"


@pytest.mark.parametrize(
    "members",
    [
        {"train/1.png": PNG, "train/2.png": PNG},
        {"train.csv": b"id,y\n1,0\n", "test.csv": b"id\n2\n"},
        None,
    ],
    ids=["images", "whole download", "torn"],
)
@pytest.mark.parametrize("name", ["train.zip", "other.zip"])
def test_an_archive_that_is_no_table_may_lie_beside_the_tables(
    tmp_path: Path, name: str, members: dict[str, bytes] | None
) -> None:
    if members is None:
        (tmp_path / name).write_bytes(b"PK\x03\x04torn")
    else:
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            for member, content in members.items():
                archive.writestr(member, content)
    found = run(tmp_path, **plain(ZERO_ONE, 0))
    roles = ("train", "test", "sample_submission")
    assert [found.get(f"files.{role}") for role in roles] == [f"{role}.csv" for role in roles]


# --- flags --------------------------------------------------------------------------------------

ASKED: dict[str, tuple[Any, str]] = {
    "train": ("train_more.csv", "files.train"),
    "test": ("test_more.csv", "files.test"),
    "sample": ("second.csv", "files.sample_submission"),
    "target": ("z", "columns.target"),
    "id": ("key", "columns.id"),
    "group": ("house", "columns.group"),
    "time": ("week", "columns.time"),
    "metric": ("f1", "task.metric"),
    "task": ("regression", "task.type"),
    "submission": ("probability", "submission.wants"),
    "splitter": ("kfold", "cv.splitter"),
    "folds": (3, "cv.n_splits"),
}


def many() -> dict[str, Any]:
    """Files in which each of `ASKED` could be meant and none is taken unasked."""
    tables = plain(ZERO_ONE, 0, key=IDS, house=IDS // 4, week=IDS % 10)
    tables["test"] |= {"key": TEST_IDS, "house": TEST_IDS // 4, "week": TEST_IDS % 10}
    tables["train"]["z"] = 1 - ZERO_ONE
    more = {"train_more": tables["train"], "test_more": tables["test"]}
    return {**tables, **more, "second": tables["sample_submission"]}


def test_every_flag_has_a_case() -> None:
    assert set(ASKED) == set(FLAGS)


@pytest.mark.parametrize("flag", ASKED)
def test_a_flag_is_taken_and_named(tmp_path: Path, flag: str) -> None:
    value, key = ASKED[flag]
    assert run(tmp_path, **many()).get(key) != value
    found = infer(tmp_path, hints={}, flags={flag: value})
    assert (found.get(key), because(found, key)) == (value, f"--{flag}")


# --- files under other names ----------------------------------------------------------------------


def as_files(tmp_path: Path, renamed: dict[str, str], **tables: Any) -> Inference:
    """Infer from the tables of `plain` under other names."""
    for name, columns in tables.items():
        pd.DataFrame(columns).to_csv(tmp_path / renamed.get(name, f"{name}.csv"), index=False)
    return infer(tmp_path, hints={}, flags={})


@pytest.mark.parametrize("name", ["labels.csv", "answers.csv", "labeledTrainData.csv"])
def test_the_train_table_may_have_a_name_of_its_own(name: str, tmp_path: Path) -> None:
    found = as_files(tmp_path, {"train": name, "test": "testData.csv"}, **plain(ZERO_ONE, 0))
    assert (found.get("files.train"), found.get("files.test")) == (name, "testData.csv")


def test_the_table_with_the_target_is_train_and_its_partner_test(tmp_path: Path) -> None:
    for part in ("train", "test"):
        frame = pd.DataFrame({"id": IDS, "device": "phone"})
        frame.to_csv(tmp_path / f"{part}_identity.csv", index=False)
    names = {part: f"{part}_transaction.csv" for part in ("train", "test")}
    found = as_files(tmp_path, names, **plain(ZERO_ONE, 0))
    assert found.get("files.train") == names["train"]
    assert found.get("files.test") == names["test"]
    assert asks(found, "test_identity.csv, train_identity.csv shares")
    (tmp_path / "plain").mkdir()
    assert not asks(run(tmp_path / "plain", **plain(ZERO_ONE, 0)), "joined")


def test_tables_that_no_model_sees_are_named(tmp_path: Path) -> None:
    pd.DataFrame({"town": ["a"], "size": [1]}).to_csv(tmp_path / "towns.csv", index=False)
    assert asks(run(tmp_path, **plain(ZERO_ONE, 0)), "Not used: towns.csv")


def test_two_tables_with_the_target_are_a_question(tmp_path: Path) -> None:
    tables = plain(ZERO_ONE, 0)
    pd.DataFrame(tables["train"]).to_csv(tmp_path / "train_b.csv", index=False)
    with pytest.raises(ConfigError, match=r"(?s)several files could be the train table.*sums up"):
        as_files(tmp_path, {"train": "train_a.csv"}, **tables)


def test_numbers_named_like_ids_that_are_all_new_in_test_are_groups(tmp_path: Path) -> None:
    tables = plain(X, 0.5, breath_id=np.arange(N) // 3)
    tables["test"]["breath_id"] = 100 + np.arange(20) // 3
    found = run(tmp_path, **tables)
    assert found.get("columns.group") == "breath_id"
    assert found.get("cv.splitter") == "group_kfold"
    assert not asks(found, "--group")


def test_a_class_that_only_the_sample_submission_has(tmp_path: Path) -> None:
    tables = plain(["cat", "dog"] * (N // 2), 0)
    tables["sample_submission"] = {"id": TEST_IDS, "cat": 0.5, "dog": 0.5, "fox": 0}
    found = run(tmp_path, **tables)
    assert found.get("task.classes") == ["cat", "dog"]
    assert found.get("submission.classes") == ["cat", "dog", ""]
    assert asks(found, "no row of train is of the class of 'fox'")


def test_a_stray_word_among_decimals_is_refused_rather_than_made_a_class(tmp_path: Path) -> None:
    target = X.astype("str").astype("object")
    target[3] = "inf"
    with pytest.raises(ConfigError, match=r"in 1 row 'inf'"):
        run(tmp_path, **plain(target, 0.5))


def test_numbers_in_train_and_words_in_test_are_marked(tmp_path: Path) -> None:
    tables = plain(ZERO_ONE, 0, weight=X)
    tables["test"]["weight"] = [f"{x:.3f} kg" for x in X_TEST]
    found = run(tmp_path, **tables)
    item = next(item for item in found.values if item.key == "columns.kinds.weight")
    assert "in test not" in item.because
    assert item.value == "numeric"  # models get the number, and the user a mark: another unit?
    assert not item.sure


def test_a_splitter_without_its_column_and_test_ids_that_repeat_are_questions(
    tmp_path: Path,
) -> None:
    tables = plain(ZERO_ONE, 0)
    tables["test"]["id"] = [*TEST_IDS[:-1], TEST_IDS[0]]
    tables["sample_submission"]["id"] = TEST_IDS
    found = run(tmp_path, {"splitter": "group_kfold"}, **tables)
    assert asks(found, "needs a column: --group") or asks(found, "needs --group COLUMN")
    assert asks(found, "test's 'id' repeats in 1 row")


# --- lists of labels, and texts -----------------------------------------------------------------


def test_lists_of_labels_in_the_sample_are_ranked_answers(tmp_path: Path) -> None:
    names = np.array(["ant", "bee", "cow", "dog"])[np.arange(N) % 4]
    found = run(tmp_path, **plain(names, ["ant bee cow"] * 20))
    assert found.get("submission.top") == 3
    assert found.get("submission.wants") == "label"
    assert found.get("task.metric") == "map_at_3"
    other = run(tmp_path, {"metric": "map_at_5"}, **plain(names, ["ant bee cow"] * 20))
    assert other.get("task.metric") == "map_at_5"
    one = run(tmp_path, **plain(names, ["ant bee wolf"] * 20))
    assert one.get("submission.top") is None
    assert asks(one, "which train's target never takes")


def test_a_target_of_texts_is_refused(tmp_path: Path) -> None:
    texts = [f"so happy about {number}" for number in range(N)]
    with pytest.raises(ConfigError, match=rf"{N} different texts in {N} rows") as caught:
        run(tmp_path, **plain(texts, [""] * 20))
    assert "--task multiclass" in str(caught.value)


@pytest.mark.parametrize(
    ("labels", "asked", "separator"),
    [
        (["clear", "haze", "clear road", "road clear water", "haze water", "haze road"], True, " "),
        (["a|b", "a", "b", "a|b|c", "c"], True, "|"),
        (["10, 9", "10", "9", "9, 10, 11", "11"], True, ", "),
        (["clear", "haze", "clear road", "clear water", "haze water", "haze road"], True, None),
        (["red", "dark red", "blue", "dark blue", "light blue", "light red"], True, None),
        (["Black-grass", "Common wheat", "Maize", "Sugar beet", "Wheat"], False, None),
        (["light red", "dark red", "light blue", "dark blue", "lime"], False, None),
    ],
)
def test_several_labels_in_a_cell_are_told_of(
    tmp_path: Path, labels: list[str], asked: bool, separator: str | None
) -> None:
    """Each label is predicted where the cells can hardly be names of several words."""
    target = np.resize(labels, N)
    found = run(tmp_path, **plain(target, np.resize(labels[1:2], 20)))
    told = [text for text in found.questions if "several labels, such as" in text]
    assert bool(told) == asked
    assert found.get("task.type") == ("multilabel" if separator else "multiclass")
    assert found.get("task.separator") == separator
    if separator == ", ":
        assert found.get("task.classes") == ["9", "10", "11"]


def test_texts_of_few_words_are_no_lists_of_labels(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    words = [f"w{k}" for k in range(N // 4)]
    target = [" ".join(rng.choice(words, size)) for size in np.resize([1, 2, 3], N)]
    with pytest.raises(ConfigError, match="no texts"):
        run(tmp_path, **plain(target, np.resize(target[:1], 20)))


def test_a_missing_target_is_told_of_where_a_cell_is_one_class(tmp_path: Path) -> None:
    target = np.resize(["red", "dark red", "blue", "dark blue", "light blue", "light red"], N)
    target = np.where(np.arange(N) == 3, "", target)
    files = plain(target, np.resize(["red"], 20))
    assert asks(run(tmp_path, **files), "is missing in 1 row")
    assert not asks(run(tmp_path, {"task": "multilabel"}, **files), "is missing in 1 row")
    with pytest.raises(ConfigError, match="several labels here, no probabilities"):
        run(tmp_path, {"task": "multilabel", "submission": "probability"}, **files)


def test_several_labels_in_a_cell_as_it_is_asked_for(tmp_path: Path) -> None:
    target = np.resize(["clear", "haze", "clear road", "clear water", "haze water", "haze road"], N)
    files = plain(target, np.resize(["clear"], 20))
    for flags in ({"task": "multilabel"}, {"metric": "f2_samples"}):
        found = run(tmp_path, flags, **files)
        assert found.get("task.type") == "multilabel"
        assert found.get("task.classes") == ["clear", "haze", "road", "water"]
        assert found.get("submission.wants") == "label"
    target[::3] = "clear road water"
    found = run(tmp_path, {"task": "multiclass"}, **plain(target, np.resize(["clear"], 20)))
    assert found.get("task.type") == "multiclass"
