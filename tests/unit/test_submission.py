"""A submission is spelled as the sample spells it, refused with reasons, and handed in once."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Barrier
from typing import Any

import numpy as np
import pandas as pd
import pytest
from filelock import FileLock, Timeout

from kit.cli.ledger import _cells
from kit.competition import Competition
from kit.decision import Decision
from kit.errors import (
    AuthError,
    ConfigError,
    DataError,
    ProviderError,
    QuotaError,
    RunError,
    SubmissionError,
)
from kit.ledger import ledger
from kit.providers.base import Limits, Submitted
from kit.runs import Run, prediction_columns, publish
from kit.settings import ProviderSpec
from kit.submission import build, claiming, read_receipts, refresh, submit, validate

IDS = ("a", "b", "c")


def competition(
    root: Path,
    task: str,
    sample: str | None,
    *,
    target: str = '["y"]',
    columns: str = "",
    files: str = "",
) -> Competition:
    raw = root / "data" / "raw"
    raw.mkdir(parents=True)
    (raw / "test.csv").write_text("key,x\nb,1\na,2\nc,3\n")
    if sample is not None:
        (raw / "sample_submission.csv").write_text(sample)
    (root / "kit.toml").write_text(
        f'schema = 1\n[competition]\nslug = "toy"\n[files]\n{files}\n'
        f'[columns]\nid = "key"\ntarget = {target}\n{columns}\n{task}'
    )
    return Competition.load(root)


def run_of(
    where: Competition,
    values: Any,
    *,
    outputs: Sequence[str] = ("",),
    ids: Sequence[str] = IDS,
    decision: dict[str, Any] | None = None,
) -> Run:
    frame = pd.DataFrame(np.asarray(values, dtype=float), columns=prediction_columns(outputs))
    frame.insert(0, "id", list(ids))
    record = {
        "hash": "0123456789abcdef",
        "kind": "cv",
        "model": "linear",
        "score": {
            "value": 0.8,
            "oof": 0.8,
            "folds": [0.7, 0.9, float("nan")],
            "mean": 0.8,
            "std": 0.1,
        },
        "digests": {"folds": "f"},
        "metric": {"name": where.settings.task.metric, "greater_is_better": True},
        "decision": decision or Decision("none").to_json(),
    }
    return publish(where.runs, record, config={}, frames={"test": frame}, code={})


BINARY = """
[task]
type = "binary"
metric = "accuracy"
classes = ["no", "yes"]
[submission]
id = "key"
wants = "label"
columns = ["y"]
"""
PROBABILITY = BINARY.replace("accuracy", "roc_auc").replace('"label"', '"probability"')
MULTI = """
[task]
type = "multiclass"
metric = "log_loss"
classes = ["b1", "a1", "c1"]
[submission]
id = "key"
wants = "probability"
columns = ["c1", "a1", "b1"]
classes = ["c1", "a1", "b1"]
"""
VALUE = """
[task]
type = "regression"
metric = "rmse"
[submission]
id = "key"
wants = "value"
columns = ["y"]
"""
MULTILABEL = """
[task]
type = "multilabel"
metric = "f1_macro"
[submission]
id = "key"
wants = "label"
columns = ["v", "u"]
"""

# ------------------------------------------------------------------------------------- building


def test_header_ids_and_order_are_the_samples(tmp_path: Path) -> None:
    sample = "y , key\n0, c \n0,a\n0, b\n"
    where = competition(tmp_path, VALUE, sample)
    run = run_of(where, [[1.5], [2.25], [1e-17]], ids=("a", "b", "c"))
    path = build(run, where)
    assert path == tmp_path / "submissions" / f"{run.id}.csv"
    assert path.read_text() == "y , key\n1e-17, c \n1.5,a\n2.25, b\n"
    assert validate(path, where) == []


def test_a_sample_without_ids_goes_by_the_order_of_test_and_keeps_what_it_repeats(
    tmp_path: Path,
) -> None:
    task = VALUE.replace('"key"', '""') + 'copied = ["when", "said"]\n'
    sample = 'y,when, said\n0,,"a, b\\n"\n0,NA," c"\n0,2,""\n'
    where = competition(tmp_path, task, sample, columns='test_id = ""')
    path = build(run_of(where, [[1.5], [2.5], [3.5]], ids=("0", "1", "2")), where)
    assert path.read_text() == sample.replace('""', "").replace('" c"', " c").replace(
        "\n0,", "\n{},"
    ).format(1.5, 2.5, 3.5)
    assert validate(path, where) == []
    path.write_text(path.read_text() + "4,,\n")
    with pytest.raises(SubmissionError, match=r"3 rows are expected\. Received: 4"):
        validate(path, where)


def test_a_local_solution_without_ids_is_graded_row_by_row(tmp_path: Path) -> None:
    from kit.providers.base import load_provider

    task = VALUE.replace('"key"', '""')
    where = competition(tmp_path, task, "y\n0\n0\n0\n", columns='test_id = ""')
    (tmp_path / "answers.csv").write_text("y\n1\n2\n5\n")
    provider = load_provider("toy", ProviderSpec(name="local", solution="answers.csv"), tmp_path)
    run = run_of(where, [[1], [2], [3]], ids=("0", "1", "2"))
    assert submit(where, run, provider).public == pytest.approx((4 / 3) ** 0.5)


def test_floats_keep_every_digit(tmp_path: Path) -> None:
    where = competition(tmp_path, VALUE, "key,y\na,0\nb,0\nc,0\n")
    values = [0.1 + 0.2, 1 / 3, 123456789.123456789]
    path = build(run_of(where, [[v] for v in values]), where)
    assert [float(line.split(",")[1]) for line in path.read_text().splitlines()[1:]] == values


def test_ids_such_as_none_or_007_keep_their_spelling(tmp_path: Path) -> None:
    where = competition(tmp_path, VALUE, "key,y\nNone,0\n007,0\nNA,0\n")
    path = build(run_of(where, [[1], [2], [3]], ids=("007", "NA", "None")), where)
    assert path.read_text() == "key,y\nNone,3.0\n007,1.0\nNA,2.0\n"
    assert validate(path, where) == []


@pytest.mark.parametrize(
    ("labels", "expected"),
    [("", ["no", "yes", "yes"]), ('labels = ["0", "1"]', ["0", "1", "1"])],
)
def test_labels_follow_the_recorded_decision_and_the_wanted_spelling(
    labels: str, expected: list[str], tmp_path: Path
) -> None:
    where = competition(tmp_path, BINARY + labels, "key,y\na,0\nb,0\nc,0\n")
    decision = Decision("threshold", (0.3,)).to_json()
    run = run_of(where, [[0.1], [0.35], [0.9]], decision=decision)
    path = build(run, where)
    assert pd.read_csv(path, dtype=str)["y"].tolist() == expected
    assert validate(path, where) == []
    other = build(run, where, Decision("threshold", (0.95,)))
    assert pd.read_csv(other, dtype=str)["y"].nunique() == 1


def test_class_columns_are_mapped_by_name_and_rows_sum_to_one(tmp_path: Path) -> None:
    where = competition(tmp_path, MULTI, "key,c1,a1,b1\na,0,0,0\nb,0,0,0\nc,0,0,0\n")
    values = [[0.25, 0.5, 0.25], [2.0, 1.0, 1.0], [0.2, 0.2, 0.2]]
    path = build(run_of(where, values, outputs=("b1", "a1", "c1")), where)
    frame = pd.read_csv(path, index_col="key")
    assert list(frame.columns) == ["c1", "a1", "b1"]
    assert frame.loc["a"].tolist() == [0.25, 0.5, 0.25]
    assert frame.loc["b"].tolist() == [0.25, 0.25, 0.5]
    assert frame.sum(axis=1).to_numpy() == pytest.approx(1.0)
    assert validate(path, where) == []


def test_a_column_of_a_class_that_no_training_row_has_is_zero(tmp_path: Path) -> None:
    facts = MULTI.replace('"a1", "b1"]\nclasses', '"a1", "b1", "d1"]\nclasses')
    facts = facts.replace('classes = ["c1", "a1", "b1"]', 'classes = ["c1", "a1", "b1", ""]')
    where = competition(tmp_path, facts, "key,c1,a1,b1,d1\na,0,0,0,1\nb,0,0,0,1\nc,0,0,0,1\n")
    path = build(run_of(where, np.ones((3, 3)) / 3, outputs=("b1", "a1", "c1")), where)
    assert pd.read_csv(path)["d1"].tolist() == [0, 0, 0]
    assert validate(path, where) == []


LISTS = (
    '[task]\ntype = "multiclass"\nmetric = "map_at_3"\nclasses = ["a1", "b1", "c1"]\n'
    '[submission]\nid = "key"\nwants = "label"\ncolumns = ["y"]\ntop = 2\n'
)


def test_the_most_probable_labels_stand_in_one_cell(tmp_path: Path) -> None:
    where = competition(tmp_path, LISTS, "key,y\na,a1 b1\nb,a1 b1\nc,a1 b1\n")
    values = [[0.2, 0.5, 0.3], [0.6, 0.1, 0.3], [0.2, 0.4, 0.4]]
    path = build(run_of(where, values, outputs=("a1", "b1", "c1")), where)
    assert path.read_text() == "key,y\na,b1 c1\nb,a1 c1\nc,b1 c1\n"
    assert validate(path, where) == []
    for cells in (["a1 b1 c1", "b1", "a1"], ["a1 a1", "b1", "a1"], ["", "b1", "a1"], ["d1"] * 3):
        rows = zip("abc", cells, strict=True)
        path.write_text("key,y\n" + "".join(f"{key},{cell}\n" for key, cell in rows))
        with pytest.raises(SubmissionError, match="up to 2 different labels"):
            validate(path, where)


def test_labels_with_blanks_cannot_stand_in_one_cell(tmp_path: Path) -> None:
    facts = LISTS.replace('"a1"', '"a 1"')
    where = competition(tmp_path, facts, "key,y\na,b1\nb,b1\nc,b1\n")
    run = run_of(where, np.ones((3, 3)) / 3, outputs=("a 1", "b1", "c1"))
    with pytest.raises(ConfigError, match="Received: the label 'a 1'"):
        build(run, where)


def test_one_probability_column_is_the_positive_class_unless_it_names_the_other(
    tmp_path: Path,
) -> None:
    sample = "key,y\na,0\nb,0\nc,0\n"
    plain = competition(tmp_path / "1", PROBABILITY, sample)
    turned = competition(tmp_path / "2", PROBABILITY + 'classes = ["no"]\n', sample)
    for where, expected in ((plain, [0.25, 0.5, 1.0]), (turned, [0.75, 0.5, 0.0])):
        path = build(run_of(where, [[0.25], [0.5], [1.0]]), where)
        assert pd.read_csv(path)["y"].tolist() == expected


def test_binary_with_a_column_per_class_gets_both_probabilities(tmp_path: Path) -> None:
    task = PROBABILITY.replace('columns = ["y"]', 'columns = ["yes", "no"]')
    where = competition(tmp_path, task, "key,yes,no\na,0,0\nb,0,0\nc,0,0\n")
    frame = pd.read_csv(build(run_of(where, [[0.25], [0.5], [1.0]]), where))
    assert frame["yes"].tolist() == [0.25, 0.5, 1.0]
    assert frame["no"].tolist() == [0.75, 0.5, 0.0]


@pytest.mark.parametrize(("no", "yes"), [("False", "True"), ("no", "yes"), ("NO", "YES")])
def test_multilabel_is_decided_per_column_and_spelled_as_the_sample(
    tmp_path: Path, no: str, yes: str
) -> None:
    sample = f"key,v,u\na,{no},{no}\nb,{yes},{no}\nc,{no},{no}\n"
    where = competition(tmp_path, MULTILABEL, sample, target='["u", "v"]')
    decision = Decision("thresholds", (0.5, 0.9)).to_json()
    values = [[0.6, 0.8], [0.4, 0.95], [0.5, 0.1]]
    path = build(run_of(where, values, outputs=("u", "v"), decision=decision), where)
    assert path.read_text() == f"key,v,u\na,{no},{yes}\nb,{yes},{no}\nc,{no},{yes}\n"
    assert validate(path, where) == []


def test_rmsle_gets_no_negative_values_and_rmse_does(tmp_path: Path) -> None:
    sample = "key,y\na,0\nb,0\nc,0\n"
    for metric, expected in (("rmsle", 0.0), ("rmse", -1.0)):
        where = competition(tmp_path / metric, VALUE.replace("rmse", metric), sample)
        path = build(run_of(where, [[-1], [2], [3]]), where)
        assert pd.read_csv(path)["y"][0] == expected
        assert validate(path, where) == []  # 0 is no negative value


def test_without_a_sample_the_order_is_that_of_the_test_file(tmp_path: Path) -> None:
    where = competition(tmp_path, VALUE, None, files='sample_submission = ""')
    path = build(run_of(where, [[1], [2], [3]]), where)
    assert path.read_text() == "key,y\nb,2.0\na,1.0\nc,3.0\n"
    assert validate(path, where) == []


def test_without_any_ids_the_runs_order_is_kept_and_it_is_said(tmp_path: Path) -> None:
    where = competition(
        tmp_path, VALUE, None, columns='test_id = ""', files='sample_submission = ""'
    )
    path = build(run_of(where, [[1], [2], [3]], ids=("0", "1", "2")), where)
    assert path.read_text() == "key,y\n0,1.0\n1,2.0\n2,3.0\n"
    assert "ids are not checked" in validate(path, where)[0]


def test_a_sample_that_is_lost_is_missed(tmp_path: Path) -> None:
    """Without it nothing would be checked, and the file handed in all the same."""
    where = competition(tmp_path, VALUE, None)
    with pytest.raises(DataError, match=r"(?s)sample_submission\.csv does not exist.*kit data"):
        build(run_of(where, [[1], [2], [3]]), where)


def test_an_id_without_a_prediction_is_named(tmp_path: Path) -> None:
    where = competition(tmp_path, VALUE, "key,y\na,0\nb,0\nz,0\n")
    run = run_of(where, [[1], [2], [3]])
    (where.raw / "test.csv").write_text("key,x\nb,1\na,2\nz,3\n")  # changed since
    with pytest.raises(SubmissionError, match=r"not 1 of the 3 ids .* first: 'z'(.|\n)*kit cv"):
        build(run, where)


def test_an_id_of_the_sample_that_test_lacks_is_named(tmp_path: Path) -> None:
    where = competition(tmp_path, VALUE, "key,y\na,0\nb,0\nc,0\n9999,0\n")
    with pytest.raises(SubmissionError, match=r"1 of the 4 ids of .*sample.* is not in test.csv"):
        build(run_of(where, [[1], [2], [3]]), where)


def test_predictions_of_other_classes_are_refused(tmp_path: Path) -> None:
    where = competition(tmp_path, MULTI, "key,c1,a1,b1\na,0,0,0\nb,0,0,0\nc,0,0,0\n")
    run = run_of(where, np.ones((3, 2)), outputs=("a1", "other"))
    with pytest.raises(RunError, match=r"lacks the predictions \['pred_b1', 'pred_c1'\]"):
        build(run, where)


@pytest.mark.parametrize("task", [BINARY, PROBABILITY])
def test_a_run_made_before_the_classes_changed_places_is_refused(tmp_path: Path, task: str) -> None:
    """Its one column would be taken for the probability of the other class."""
    where = competition(tmp_path, task, "key,y\na,0\nb,0\nc,0\n")
    run = run_of(where, [[1], [0.2], [0.7]])
    made = Run(run.path, {**run.record, "task": "binary", "classes": ["yes", "no"]})
    with pytest.raises(RunError, match=r"the classes \['yes', 'no'\], however .* this order"):
        build(made, where)
    other = Run(run.path, {**run.record, "task": "regression", "classes": []})
    with pytest.raises(RunError, match=r"the task regression, however kit\.toml has binary"):
        build(other, where)
    same = Run(run.path, {**run.record, "task": "binary", "classes": ["no", "yes"]})
    assert build(same, where).is_file()


def test_run_without_a_decision_cannot_become_labels(tmp_path: Path) -> None:
    where = competition(tmp_path, BINARY, "key,y\na,0\nb,0\nc,0\n")
    run = run_of(where, [[1], [0], [1]])
    bare = Run(run.path, {key: v for key, v in run.record.items() if key != "decision"})
    with pytest.raises(RunError, match="does not say how its probabilities become labels"):
        build(bare, where)


def test_sample_that_contradicts_kit_toml_is_a_configuration_error(tmp_path: Path) -> None:
    where = competition(tmp_path, VALUE, "Id,y\na,0\n")
    with pytest.raises(ConfigError, match=r"must be those of sample_submission\.csv"):
        build(run_of(where, [[1], [2], [3]]), where)


def test_sample_that_repeats_an_id_is_refused(tmp_path: Path) -> None:
    where = competition(tmp_path, VALUE, "key,y\na,0\na ,0\n")
    with pytest.raises(DataError, match="repeats ids in 'key', first: 'a '"):
        build(run_of(where, [[1], [2], [3]]), where)


# ------------------------------------------------------------------------------------- checking

SAMPLE = "key,y\na,0\nb,0\nc,0\n"


@pytest.mark.parametrize(
    ("task", "file", "reason"),
    [
        (VALUE, "", "the file is empty"),
        (VALUE, "key,y\n", "a header without rows"),
        (VALUE, "key\na\nb\nc\n", r"columns are missing: \['y'\]"),
        (VALUE, "key,y,z\na,0,1\nb,0,1\nc,0,1\n", r"do not belong there: \['z'\]"),
        (VALUE, "key,y,y\na,0,1\nb,0,1\nc,0,1\n", r"columns appear twice: \['y'\]"),
        (VALUE, "y,key\n0,a\n0,b\n0,c\n", r"order \['key', 'y'\]\. Received: \['y', 'key'\]"),
        (VALUE, "key,y\na,0\nb,0\n", r"3 rows are expected\. Received: 2"),
        (VALUE, "key,y\na,0\nb,0\nd,0\n", r"1 of 3 ids are missing, first: 'c'"),
        (VALUE, "key,y\na,0\nb,0\nd,0\n", r"1 id is not in sample_submission.csv, first: 'd'"),
        (VALUE, "key,y\na,0\nb,0\nb,0\nc,0\n", r"1 id is repeated, first: 'b'"),
        (VALUE, "key,y\na,0\nb,\nc,nan\n", r"empty or NaN; 2 .* line 3 \(id 'b'\): ''; line 4"),
        (VALUE, "key,y\na,0\nb\nc,1\n", r"empty or NaN; 1 .* line 3 \(id 'b'\)"),
        (VALUE, "key,y\na,inf\nb,-inf\nc,0\n", r"finite; 2 .* line 2 \(id 'a'\): 'inf'"),
        (VALUE, "key,y\na,0\nb,0\nc,x1\n", r"must be numbers; 1 .* line 4 \(id 'c'\): 'x1'"),
        (VALUE, "key,y\na,0\nb,0,7\nc,1\n", r"cannot be read as CSV.*line 3"),
        (VALUE.replace("rmse", "rmsle"), "key,y\na,0\nb,-1\nc,1\n", r"no negative .*'b'\): '-1'"),
        (PROBABILITY, "key,y\na,0\nb,1.5\nc,-0.1\n", r"between 0 and 1; 2 .* line 3"),
        (BINARY, "key,y\na,no\nb,1\nc,\n", r"one of \['no', 'yes'\]; 2 .*\(id 'b'\): '1'; line 4"),
    ],
)
def test_file_that_would_be_rejected_is_refused_with_the_reason(
    task: str, file: str, reason: str, tmp_path: Path
) -> None:
    where = competition(tmp_path, task, SAMPLE)
    path = tmp_path / "s.csv"
    path.write_text(file)
    with pytest.raises(SubmissionError, match=reason) as caught:
        validate(path, where)
    assert str(path) in str(caught.value)
    assert len(str(caught.value).splitlines()) <= 7


@pytest.mark.parametrize(
    ("task", "file", "notes"),
    [
        (VALUE, "key,y\na,0\nb,1e-3\nc,-3\n", []),
        (VALUE, '\ufeff"key","y"\r\n"a",0\r\nb,1\r\nc,2\r\n', []),
        (VALUE, "key,y\nc,0\nb,0\na,0\n", ["another order"]),
        (VALUE, "key,y\na,0\n b,0\nc,0\n", ["blanks around"]),
        (PROBABILITY, "key,y\na,0\nb,1\nc,0.5\n", []),
        (BINARY, "key,y\na,no\nb,yes\nc,no\n", []),
    ],
)
def test_acceptable_file_passes_with_a_note_where_it_is_unusual(
    task: str, file: str, notes: list[str], tmp_path: Path
) -> None:
    where = competition(tmp_path, task, SAMPLE)
    path = tmp_path / "s.csv"
    path.write_text(file, encoding="utf-8")
    found = validate(path, where)
    assert len(found) == len(notes)
    assert all(expected in note for expected, note in zip(notes, found, strict=True))


def test_class_probabilities_that_do_not_sum_to_one_are_noted(tmp_path: Path) -> None:
    where = competition(tmp_path, MULTI, "key,c1,a1,b1\na,0,0,0\nb,0,0,0\nc,0,0,0\n")
    path = tmp_path / "s.csv"
    path.write_text("key,c1,a1,b1\na,1,0,0\nb,0.5,0,0\nc,0,0,0.9\n")
    assert validate(path, where) == ["the probabilities of 2 rows do not sum to 1"]
    path.write_text("key,c1,a1,b1\na,1,0,0\nb,0.5,0,2\nc,0,0,0.9\n")
    with pytest.raises(SubmissionError, match=r"line 3 \(id 'b', 'b1'\): '2'"):
        validate(path, where)


def test_missing_file_says_how_to_make_one(tmp_path: Path) -> None:
    where = competition(tmp_path, VALUE, SAMPLE)
    with pytest.raises(SubmissionError, match=r"no file .*kit submit --dry-run"):
        validate(tmp_path / "none.csv", where)


# -------------------------------------------------------------------------------------- sending


class Server:
    """A provider that counts what it is sent; `answer` may raise instead of answering."""

    def __init__(self, left: int | None = None) -> None:
        self.left = left
        self.received: list[Submitted] = []
        self.answer: Callable[[Submitted], Submitted] = lambda submitted: submitted

    def submit(self, path: Path, message: str) -> Submitted:
        submitted = Submitted(
            ref=f"r{len(self.received)}",
            status="complete",
            created=pd.Timestamp.now("UTC").isoformat(),
            file_name=path.name,
            message=message,
            public=0.75,
            private=0.5,
        )
        self.received.append(submitted)
        return self.answer(submitted)

    def submissions(self) -> list[Submitted]:
        return self.received[::-1]

    def limits(self) -> Limits:
        return Limits(left_today=self.left, resets="at midnight UTC")

    def describe(self) -> Any:
        raise AssertionError

    fetch = leaderboard = describe


def raising(error: BaseException) -> Callable[[Submitted], Submitted]:
    def answer(submitted: Submitted) -> Submitted:
        raise error

    return answer


@pytest.fixture
def where(tmp_path: Path) -> Competition:
    return competition(tmp_path, VALUE, SAMPLE)


def test_receipt_holds_run_cv_and_score(where: Competition) -> None:
    run = run_of(where, [[1], [2], [3]])
    receipt = submit(where, run, Server(), message="first try")
    stored = json.loads((where.submissions / f"{run.id}.json").read_text())
    assert stored["schema"] == 1
    assert (stored["run"], stored["run_hash"]) == (run.id, run.hash)
    assert stored["file"] == f"submissions/{run.id}.csv"
    assert stored["cv"] == {
        "value": 0.8,
        "oof": 0.8,
        "mean": 0.8,
        "std": 0.1,
        "folds": [0.7, 0.9, None],
    }
    assert (stored["public"], stored["private"], stored["ref"]) == (0.75, 0.5, "r0")
    assert (stored["message"], stored["status"]) == ("first try", "complete")
    assert (stored["metric"], stored["greater_is_better"]) == ("rmse", True)
    assert read_receipts(where.submissions) == ([receipt], [])


def test_trace_is_there_before_the_server_is_called(where: Competition) -> None:
    server, seen = Server(), []

    def answer(submitted: Submitted) -> Submitted:
        seen.extend(read_receipts(where.submissions)[0])
        return submitted

    server.answer = answer
    submit(where, run_of(where, [[1], [2], [3]]), server)
    assert [receipt.status for receipt in seen] == ["sent"]


def test_same_content_is_refused_naming_the_earlier_one_and_sent_again_when_told(
    where: Competition,
) -> None:
    server, run = Server(), run_of(where, [[1], [2], [3]])
    submit(where, run, server)
    copy = where.root / "copy.csv"
    copy.write_bytes((where.submissions / f"{run.id}.csv").read_bytes())
    for same in (run, copy):
        with pytest.raises(SubmissionError, match=rf"before: {run.id} .*ref 'r0'.*\n.*--again"):
            submit(where, same, server)
    assert len(server.received) == 1
    submit(where, run, server, again=True)
    assert len(server.received) == 2
    names = sorted(path.name for path in where.submissions.glob("*.json"))
    assert names == [f"{run.id}-2.json", f"{run.id}.json"]


def test_dry_run_asks_the_server_nothing_and_leaves_no_receipt(where: Competition) -> None:
    server, run = Server(left=0), run_of(where, [[1], [2], [3]])
    receipt = submit(where, run, server, dry_run=True)
    assert (receipt.status, server.received) == ("dry-run", [])
    assert [p.name for p in where.submissions.iterdir()] == [f"{run.id}.csv"]
    server.left = None
    submit(where, run, server)
    assert "handed in before" in submit(where, run, server, dry_run=True).notes[0]


def test_invalid_file_and_used_up_quota_never_reach_the_server(where: Competition) -> None:
    server, bad = Server(left=0), where.root / "bad.csv"
    bad.write_text("key,y\na,1\n")
    with pytest.raises(SubmissionError, match="would be rejected"):
        submit(where, bad, server)
    with pytest.raises(QuotaError, match=r"next is possible at midnight UTC"):
        submit(where, run_of(where, [[1], [2], [3]]), server)
    assert server.received == []
    assert not list(where.submissions.glob("*.json"))


def test_file_from_elsewhere_has_a_receipt_without_cv(where: Competition) -> None:
    path = where.root.parent / "mine.csv"
    path.write_text("key,y\na,1\nb,2\nc,3\n")
    receipt = submit(where, path, Server())
    assert (receipt.run, receipt.cv, receipt.greater_is_better) == (None, None, False)
    assert receipt.message == "mine.csv"
    assert receipt.path == where.submissions / "mine.json"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ProviderError("connection lost")])
def test_submission_that_arrived_without_an_answer_is_found_not_resent(
    error: BaseException, where: Competition
) -> None:
    server, run = Server(), run_of(where, [[1], [2], [3]])
    server.answer = raising(error)
    with pytest.raises(type(error)):
        submit(where, run, server)
    (trace,), _ = read_receipts(where.submissions)
    assert trace.status == "sent"
    server.answer = lambda submitted: submitted
    with pytest.raises(SubmissionError, match=r"no answer came.*\n.*did arrive, as 'r0'"):
        submit(where, run, server)
    (found,), _ = read_receipts(where.submissions)
    assert (found.status, found.ref, found.public) == ("complete", "r0", 0.75)
    assert len(server.received) == 1


def test_submission_that_never_arrived_is_said_and_needs_a_word(where: Competition) -> None:
    server, run = Server(), run_of(where, [[1], [2], [3]])
    server.answer = raising(ProviderError("connection lost"))
    with pytest.raises(ProviderError):
        submit(where, run, server)
    server.received.clear()
    server.answer = lambda submitted: submitted
    with pytest.raises(SubmissionError, match=r"connection lost.*\n.*lists no such submission"):
        submit(where, run, server)
    assert server.received == []
    assert submit(where, run, server, again=True).status == "complete"


def test_an_earlier_submission_of_the_same_file_name_is_not_taken_for_the_lost_one(
    where: Competition,
) -> None:
    server, path = Server(), where.root / "s.csv"
    path.write_text("key,y\na,1\nb,2\nc,3\n")
    submit(where, path, server, message="m")
    path.write_text("key,y\na,1\nb,2\nc,4\n")
    server.answer = raising(ProviderError("connection lost"))
    with pytest.raises(ProviderError):
        submit(where, path, server, message="m")
    server.received.pop()
    with pytest.raises(SubmissionError, match="lists no such submission"):
        submit(where, path, server, message="m")


@pytest.mark.parametrize("odd", ["", "yesterday"])
def test_a_list_with_an_odd_date_is_read_and_counts_as_arrived(
    odd: str, where: Competition
) -> None:
    """What cannot be told counts as sent; an entry with a date goes before one without."""
    server, path = Server(), where.root / "s.csv"
    path.write_text("key,y\na,1\nb,2\nc,3\n")
    server.answer = raising(ProviderError("connection lost"))
    with pytest.raises(ProviderError):
        submit(where, path, server, message="m")
    (known,) = server.received
    server.received[:] = [replace(known, ref="odd", created=odd), known]
    receipts, _ = read_receipts(where.submissions)
    found = claiming.find(receipts[0], server.submissions(), receipts, server)
    assert found is not None
    assert found.ref == "r0"
    server.received.pop()
    with pytest.raises(SubmissionError, match="did arrive, as 'odd'"):
        submit(where, path, server, message="m")


def test_a_lost_one_that_was_sent_again_is_called_so(where: Competition) -> None:
    server, run = Server(), run_of(where, [[1], [2], [3]])
    server.answer = raising(ProviderError("connection lost"))
    with pytest.raises(ProviderError):
        submit(where, run, server)
    server.received.clear()
    (lost,) = ledger(where).rows
    assert not ledger(where).sent_again(lost)
    server.answer = lambda submitted: submitted
    submit(where, run, server, again=True)
    book = ledger(where, server.submissions())
    assert sorted((row.status, book.sent_again(row)) for row in book.rows) == [
        ("complete", False), ("sent", True)
    ]  # fmt: skip
    (note,) = [_cells(row, book, verbose=False, asked=True)[-1] for row in book.rows
               if row.status == "sent"]  # fmt: skip
    assert note == "not on the server's list, sent again since"


@pytest.mark.parametrize("error", [AuthError("log in"), QuotaError("tomorrow")])
def test_refusal_at_the_door_leaves_no_trace(error: ProviderError, where: Competition) -> None:
    server, run = Server(), run_of(where, [[1], [2], [3]])
    server.answer = raising(error)
    with pytest.raises(type(error)):
        submit(where, run, server)
    server.answer = lambda submitted: submitted
    assert submit(where, run, server).status == "complete"


def test_a_refusal_is_told_though_somebody_took_the_receipt_away(where: Competition) -> None:
    server = Server()

    def answer(submitted: Submitted) -> Submitted:
        for path in where.submissions.glob("*.json"):
            path.unlink()
        raise AuthError("log in")

    server.answer = answer
    with pytest.raises(AuthError, match="log in"):
        submit(where, run_of(where, [[1], [2], [3]]), server)


def test_file_the_server_rejected_may_be_sent_again(where: Competition) -> None:
    server, run = Server(), run_of(where, [[1], [2], [3]])
    server.answer = lambda s: replace(s, status="error", public=None, error="bad header")
    receipt = submit(where, run, server)
    assert (receipt.status, receipt.error, receipt.public) == ("error", "bad header", None)
    server.answer = lambda submitted: submitted
    assert submit(where, run, server).status == "complete"


def test_refresh_fills_in_scores_that_came_later(where: Competition) -> None:
    server, run = Server(), run_of(where, [[1], [2], [3]])
    server.answer = lambda s: replace(s, status="pending", public=None, private=None)
    assert submit(where, run, server).status == "pending"
    (changed,) = refresh(where, server)
    assert (changed.status, changed.public, changed.run) == ("complete", 0.75, run.id)
    assert read_receipts(where.submissions)[0] == [changed]
    assert refresh(where, server) == []


def test_of_two_submits_at_once_one_sends(
    where: Competition, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slowly(folder: Path) -> Any:
        found = read_receipts(folder)
        time.sleep(0.2)
        return found

    monkeypatch.setattr(claiming, "read_receipts", slowly)
    server, run = Server(), run_of(where, [[1], [2], [3]])
    both = Barrier(2, timeout=30)

    def hand_in(_: int) -> str:
        both.wait()
        try:
            return submit(where, run, server).status
        except SubmissionError:
            return "refused"

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(hand_in, range(2))) == ["complete", "refused"]
    assert len(server.received) == 1


@pytest.mark.parametrize("content", ["", '{"schema": 1', '{"schema": 99}'])
def test_a_receipt_that_cannot_be_read_may_be_of_the_same_content(
    where: Competition, content: str
) -> None:
    where.submissions.mkdir()
    (where.submissions / "old.json").write_text(content)
    server, run = Server(), run_of(where, [[1], [2], [3]])
    with pytest.raises(SubmissionError, match=r"cannot be told: old\.json is damaged") as caught:
        submit(where, run, server)
    assert f"mend or delete {where.submissions / 'old.json'}" in str(caught.value)
    assert server.received == []
    receipt = submit(where, run, server, again=True)
    assert "old.json is damaged" in receipt.notes[0]
    (where.submissions / "old.json").unlink()
    with pytest.raises(SubmissionError, match="handed in before"):
        submit(where, run, server)


def test_a_lock_is_taken_and_removed_behind_another(
    where: Competition, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else one that was opened before and locked after its removal would shut nobody out."""
    seen = []

    def behind(real: Callable[..., Any]) -> Callable[..., Any]:
        def checked(*args: Any) -> Any:
            with pytest.raises(Timeout):
                FileLock(where.submissions / ".lock").acquire(timeout=0)
            seen.append(real.__name__)
            return real(*args)

        return checked

    for name in ("_acquired", "_free"):
        monkeypatch.setattr(claiming, name, behind(getattr(claiming, name)))
    submit(where, run_of(where, [[1], [2], [3]]), Server())
    with claiming.exclusive(where.submissions / ".0123456789ab.lock", SubmissionError("busy")):
        pass
    assert seen == ["_acquired", "_free"] * 2


@pytest.mark.parametrize("name", [".answer.csv", "..csv", f"{'ä' * 123}.csv"])
def test_the_receipt_of_a_file_with_an_odd_name_is_found_again(
    where: Competition, name: str
) -> None:
    file = build(run_of(where, [[1], [2], [3]]), where).rename(where.root / name)
    server = Server()
    submit(where, file, server)
    with pytest.raises(SubmissionError, match="handed in before"):
        submit(where, file, server)
    (path,) = where.submissions.glob("[!.]*.json")
    path.rename(path.with_name(f".{path.name}"))  # where an earlier kit put it
    with pytest.raises(SubmissionError, match="handed in before"):
        submit(where, file, server)
    assert len(server.received) == 1


def test_local_provider_takes_a_run_from_predictions_to_score(where: Competition) -> None:
    from kit.providers.base import load_provider

    (where.root / "answers.csv").write_text("key,y\na,1\nb,2\nc,5\n")
    spec = ProviderSpec(name="local", solution="answers.csv")
    provider = load_provider("toy", spec, where.root)
    receipt = submit(where, run_of(where, [[1], [2], [3]]), provider)
    assert receipt.public == pytest.approx((4 / 3) ** 0.5)


# ------------------------------------------------------------------- at the edges of the rules


def test_no_more_than_five_reasons_are_told_and_the_rest_counted(tmp_path: Path) -> None:
    where = competition(tmp_path, PROBABILITY, SAMPLE)
    path = tmp_path / "s.csv"
    path.write_text("key,y\na,\na,x\nd,inf\ne,2\nf,3\n")
    with pytest.raises(SubmissionError) as caught:
        validate(path, where)
    reasons = str(caught.value).splitlines()[1:-1]
    assert len(reasons) == 5
    assert reasons[0] == "  3 rows are expected. Received: 5."
    assert reasons[1] == "  1 id is repeated, first: 'a'."
    assert reasons[2] == "  2 of 3 ids are missing, first: 'b', 'c'."
    assert reasons[3] == "  3 ids are not in sample_submission.csv, first: 'd', 'e', 'f'."
    assert reasons[4].endswith("(and 3 more reasons)")


@pytest.mark.parametrize(("sums", "notes"), [(0.9995, 0), (1.0005, 0), (0.998, 1), (1.002, 1)])
def test_sums_of_probabilities_may_be_rounded(tmp_path: Path, sums: float, notes: int) -> None:
    where = competition(tmp_path, MULTI, "key,c1,a1,b1\na,0,0,0\n")
    path = tmp_path / "s.csv"
    path.write_text(f"key,c1,a1,b1\na,{sums - 0.5:.6f},0.25,0.25\n")
    assert len(validate(path, where)) == notes


def test_a_probability_may_be_off_by_what_floats_are_off(tmp_path: Path) -> None:
    where = competition(tmp_path, PROBABILITY, SAMPLE)
    path = tmp_path / "s.csv"
    path.write_text("key,y\na,-0.0000000001\nb,1.0000000001\nc,0.5\n")
    assert validate(path, where) == []
    path.write_text("key,y\na,-0.00000001\nb,1.00000001\nc,0.5\n")
    with pytest.raises(SubmissionError, match="2 cells are not"):
        validate(path, where)


def test_the_first_three_bad_cells_are_shown(tmp_path: Path) -> None:
    where = competition(tmp_path, VALUE, "key,y\na,0\nb,0\nc,0\nd,0\ne,0\n")
    path = tmp_path / "s.csv"
    path.write_text("key,y\na,1\nb,p\nc,q\nd,r\ne,s\n")
    with pytest.raises(SubmissionError, match=r"4 are not so.*'p'; line 4.*'q'; line 5 .*'r'\."):
        validate(path, where)


def test_rows_that_are_not_asked_for_are_mentioned(tmp_path: Path) -> None:
    fewer = competition(tmp_path / "1", VALUE, "key,y\na,0\nc,0\n")
    receipt = submit(fewer, run_of(fewer, [[1], [2], [3]]), Server())
    assert "2 rows, as in sample_submission.csv; test has 3, the others" in receipt.notes[0]
    same = competition(tmp_path / "2", VALUE, SAMPLE)
    assert submit(same, run_of(same, [[1], [2], [3]]), Server()).notes == ()


def test_a_run_that_repeats_ids_is_refused(where: Competition) -> None:
    run = run_of(where, [[1], [2], [3]], ids=("a", "b", "b"))
    with pytest.raises(RunError, match=r"test\.parquet is damaged.*an id is in it twice"):
        build(run, where)


def test_ids_that_differ_by_a_blank_alone_are_refused(where: Competition) -> None:
    run = run_of(where, [[1], [2], [3]], ids=("a", "b", " b"))
    with pytest.raises(RunError, match=r"test\.parquet repeats ids, first: 'b'"):
        build(run, where)


def test_ids_that_no_file_has_are_counted(tmp_path: Path) -> None:
    where = competition(tmp_path, VALUE, "key,y\na,0\np,0\nq,0\nr,0\ns,0\n")
    with pytest.raises(SubmissionError, match=r"4 of the 5 ids of .* are not in test.csv, first: "
                                              r"'p', 'q', 'r'\.") :  # fmt: skip
        build(run_of(where, [[1], [2], [3]]), where)


def test_columns_without_a_threshold_are_cut_at_a_half(tmp_path: Path) -> None:
    where = competition(tmp_path, MULTILABEL, "key,v,u\na,0,0\nb,0,0\nc,0,0\n", target='["u", "v"]')
    values = [[0.5, 0.49], [0.9, 0.1], [0.2, 0.5]]
    path = build(run_of(where, values, outputs=("u", "v")), where)
    assert path.read_text() == "key,v,u\na,0,1\nb,0,1\nc,1,0\n"


def test_several_columns_for_one_label_are_a_configuration_error(tmp_path: Path) -> None:
    where = competition(
        tmp_path, BINARY.replace('["y"]', '["no", "yes"]'), "key,no,yes\na,0,0\nb,0,0\nc,0,0\n"
    )
    with pytest.raises(ConfigError, match="one submission column is expected"):
        build(run_of(where, [[0.1], [0.2], [0.9]]), where)


def receipt_file(folder: Path, name: str, **changes: Any) -> Path:
    """A whole receipt as JSON, with changes."""
    document = {
        "schema": 1, "file": "s.csv", "sha256": "0" * 64, "message": "m",
        "created": "2026-01-01T00:00:00Z", "provider": "local", "status": "complete",
        "public": 1, "notes": ["n"], "from_a_later_kit": 7,
    }  # fmt: skip
    path = folder / name
    path.write_text(json.dumps({**document, **changes}))
    return path


def test_receipts_are_read_newest_first_and_what_is_none_is_passed_over(tmp_path: Path) -> None:
    for name, created in (("a", "2026-01-02"), ("b", "2026-01-03"), ("c", "2026-01-01")):
        receipt_file(tmp_path, f"{name}.json", created=f"{created}T00:00:00Z")
    receipt_file(tmp_path, "d.json", created="2026-01-02T00:00:00Z")
    (tmp_path / "._a.json").write_text("macOS")
    (tmp_path / "notes.json").write_text('{"my": "own"}')
    found, problems = read_receipts(tmp_path)
    assert [each.path.stem for each in found if each.path] == ["b", "d", "a", "c"]
    assert problems == []
    assert found[0].public == 1.0
    assert isinstance(found[0].public, float)
    assert (found[0].private, found[0].notes) == (None, ("n",))


@pytest.mark.parametrize(
    "changes",
    [
        {"schema": 2},
        {"sha256": "0" * 63},
        {"sha256": "Z" * 64},
        {"created": "yesterday"},
        {"message": None},
        {"kernel": 3},
        {"public": "high"},
        {"private": []},
        {"cv": {"value": None}},
        {"cv": {}},
        {"notes": 5},
    ],
)
def test_a_receipt_that_contradicts_itself_is_damaged(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    receipt_file(tmp_path, "whole.json", cv={"value": 0.5})
    receipt_file(tmp_path, "torn.json", **changes)
    found, problems = read_receipts(tmp_path)
    assert [each.path.name for each in found if each.path] == ["whole.json"]
    assert len(problems) == 1
    assert problems[0].startswith("torn.json is damaged (")


def test_a_third_submission_of_a_name_has_the_number_three(where: Competition) -> None:
    server, run = Server(), run_of(where, [[1], [2], [3]])
    for _ in range(3):
        submit(where, run, server, again=True)
    names = sorted(path.name for path in where.submissions.glob("*.json"))
    assert names == [f"{run.id}-2.json", f"{run.id}-3.json", f"{run.id}.json"]


@pytest.mark.parametrize(
    ("left", "told"),
    [
        (1, ["1 submission is left today, this one included; new ones at midnight UTC"]),
        (2, ["2 submissions are left today, this one included; new ones at midnight UTC"]),
        (None, []),
    ],
)
def test_what_is_left_today_is_told(where: Competition, left: int | None, told: list[str]) -> None:
    heard: list[str] = []
    submit(where, run_of(where, [[1], [2], [3]]), Server(left), tell=heard.append)
    assert heard == told


def test_a_copy_of_a_runs_file_has_the_runs_receipt(where: Competition) -> None:
    """Wherever it lies; another file of the same size is not one."""
    run = run_of(where, [[1], [2], [3]])
    copy = where.root.parent / "copy.csv"
    copy.write_bytes(build(run, where).read_bytes())
    receipt = submit(where, copy, Server())
    assert (receipt.run, receipt.file) == (run.id, copy.resolve().as_posix())
    other = where.root / "other.csv"
    other.write_bytes(copy.read_bytes().replace(b"1.0", b"9.0"))
    receipt = submit(where, other, Server())
    assert (receipt.run, receipt.file) == (None, "other.csv")
