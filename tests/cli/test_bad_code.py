"""features.py, metric.py or model.py fail: file, line, reason, no traceback."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from kit.competition import Competition

FAST = {"lightgbm": {"params": {"n_estimators": 5}}}


@pytest.fixture
def competition(make_competition: Callable[..., Competition]) -> Competition:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"id": range(80), "a": rng.normal(size=80), "b": rng.normal(size=80)})
    frame["y"] = (frame["a"] > 0).astype(int)
    return make_competition(frame[:60], frame[60:].drop(columns="y"), models=FAST)


def refused(outcome: Any, *phrases: str) -> None:
    assert outcome.code == 1, outcome.err
    assert outcome.err.count("kit: ") == 1, outcome.err
    for phrase in phrases:
        assert phrase in outcome.err
    assert "Traceback" not in outcome.err
    assert "bug in kit" not in outcome.err


@pytest.mark.parametrize(
    ("body", "phrases"),
    [
        ("    return df['nope']", ["features.py:2 failed: KeyError: 'nope'", "return df['nope']"]),
        ("    return (df", ["features.py:2 failed: SyntaxError"]),
        ("    import nothere", ["features.py:2 failed: ModuleNotFoundError"]),
        ("    raise SystemExit('bye')", ["features.py:2 failed: SystemExit: bye"]),
        ("    return df.head(3)", ["same rows as df (60)", "3 rows"]),
        ("    return df.sample(frac=1, random_state=0)", ["same rows as df (60)", "another order"]),
        ("    return df.set_index('a', drop=False)", ["same rows as df (60)", "another index"]),
        ("    return df.assign(c=1j, d=2j)", ["must return real numbers", "'c', 'd'"]),
        ("    df['c'] = 1", ["same rows as df (60)", "NoneType"]),
        ("    return df.values", ["same rows as df (60)", "ndarray"]),
        ("    df.insert(0, 'a', 1, allow_duplicates=True)\n    return df", ["twice", "'a'"]),
        ("    return df[['id']]", ["no feature column is left"]),
        ("    return df.assign(c=1) if len(df) == 60 else df", ["test lacks", "['c']"]),
    ],
)
def test_features_that_fail_are_told_with_the_reason(
    run_kit: Any, competition: Competition, body: str, phrases: list[str]
) -> None:
    (competition.root / "features.py").write_text(f"def features(df):\n{body}\n")
    refused(run_kit("cv", "-q", "-C", competition.root), *phrases)
    assert not list(competition.runs.glob("2*"))


def test_a_features_file_without_the_function_is_not_passed_over(
    run_kit: Any, competition: Competition
) -> None:
    (competition.root / "features.py").write_text("def feature(df):\n    return df\n")
    refused(run_kit("cv", "-C", competition.root, "-q"), "has no 'features'", "mean 'feature'")


@pytest.mark.parametrize("name", [3, ("a", "b")])
def test_column_names_that_are_no_strings_are_spelled_out(
    run_kit: Any, competition: Competition, name: Any
) -> None:
    source = f"def features(df):\n    df[{name!r}] = df['a']\n    return df\n"
    (competition.root / "features.py").write_text(source)
    assert run_kit("cv", "-q", "-C", competition.root).code == 0


@pytest.mark.parametrize(
    ("body", "phrases"),
    [
        ("1 / 0", ["metric.py:2 failed: ZeroDivisionError", "1 / 0"]),
        ("abs(y - p)", ["'metric:cost' must return one number", "ndarray of shape (60,)"]),
        ("None", ["'metric:cost' must return one number", "NoneType"]),
        ("'low'", ["'metric:cost' must return one number", "str"]),
        ("float('nan')", ["metric:cost gives nan on these 60 rows"]),
    ],
)
def test_a_metric_that_fails_is_told_and_the_folds_are_kept(
    run_kit: Any, competition: Competition, body: str, phrases: list[str]
) -> None:
    source = f"def cost(y, p):\n    return {body}\n\ncost.greater_is_better = False\n"
    (competition.root / "metric.py").write_text(source)
    own = ["--set", "task.metric=metric:cost"]
    refused(run_kit("cv", "-q", "-C", competition.root, *own), *phrases)
    assert len(list(competition.runs.glob(".partial/*/fold-*.parquet"))) == 3


@pytest.mark.parametrize(
    ("source", "phrases"),
    [
        ("def cost(y, p):\n    return 1.0\n", ["does not say which direction is better"]),
        ("cost = 3\n", ["must be a Metric or a function", "int"]),
        ("def costs(y, p):\n    return 1.0\n", ["has no 'cost'", "Did you mean 'costs'?"]),
        ("import nothere\n", ["metric.py:1 failed: ModuleNotFoundError"]),
    ],
)
def test_a_metric_file_that_is_not_complete_is_refused(
    run_kit: Any, competition: Competition, source: str, phrases: list[str]
) -> None:
    (competition.root / "metric.py").write_text(source)
    outcome = run_kit("cv", "-q", "-C", competition.root, "--set", "task.metric=metric:cost")
    refused(outcome, *phrases)


MODEL = """
import numpy as np
from kit.models.base import Model

class build(Model):
    def fit(self, X, y, *, problem, valid=None):
        {fit}
        return self

    def predict(self, X):
        return {predict}
"""


@pytest.mark.parametrize(
    ("fit", "predict", "phrases"),
    [
        ("1 / 0", "0", ["fold 1: ", "model.py:7 failed: ZeroDivisionError", "1 / 0"]),
        ("raise SystemExit(3)", "0", ["fold 1: ", "model.py:7 failed: SystemExit"]),
        ("raise MemoryError", "0", ["fold 1: out of memory"]),
        ("pass", "np.full(len(X), 0.5)", ["must have the shape (20, 1)", "(20,)"]),
        ("pass", "np.full((len(X), 2), 0.5)", ["must have the shape (20, 1)", "(20, 2)"]),
        ("pass", "np.full((3, 1), 0.5)", ["must have the shape (20, 1)", "(3, 1)"]),
        ("pass", "np.full((len(X), 1), np.nan)", ["20 of 20 predictions are not finite"]),
        ("pass", "np.full((len(X), 1), 7.0)", ["between 0 and 1", "7 to 7"]),
        ("pass", "None", ["fold 1"]),
        ("pass", "'high'", ["fold 1"]),
    ],
)
def test_a_model_that_breaks_its_contract_is_told_with_fold_and_reason(
    run_kit: Any, competition: Competition, fit: str, predict: str, phrases: list[str]
) -> None:
    (competition.root / "model.py").write_text(MODEL.format(fit=fit, predict=predict))
    refused(run_kit("cv", "model:build", "-q", "-C", competition.root), "model:build", *phrases)
    assert not list(competition.runs.rglob("fold-*.parquet"))


@pytest.mark.parametrize(
    ("source", "phrases"),
    [
        ("def build():\n    return None\n", ["model.py", "None"]),
        ("def build():\n    raise ValueError('not now')\n", ["model.py:2 failed", "not now"]),
        ("build = 3\n", ["model.py failed", "not callable"]),
        ("def built():\n    return None\n", ["has no 'build'", "Did you mean 'built'?"]),
    ],
)
def test_a_model_file_that_builds_nothing_is_refused(
    run_kit: Any, competition: Competition, source: str, phrases: list[str]
) -> None:
    (competition.root / "model.py").write_text(source)
    refused(run_kit("cv", "model:build", "-q", "-C", competition.root), *phrases)


def test_a_model_that_fails_in_one_fold_keeps_the_others_for_the_next_call(
    run_kit: Any, competition: Competition
) -> None:
    source = MODEL.format(fit="check(problem)", predict="np.full((len(X), 1), 0.5)")
    check = "\nfrom pathlib import Path\n\ndef check(problem):\n    {}\n"
    path = competition.root / "model.py"
    flag = competition.root / "mended"
    fails = f"assert problem.seed % 1000 != 1 or Path({str(flag)!r}).exists(), 'the second'"
    path.write_text(source + check.format(fails))
    outcome = run_kit("cv", "model:build", "-q", "-C", competition.root)
    refused(outcome, "model 'model:build', fold 2: ", "AssertionError: the second")
    kept = [p.name for p in competition.runs.glob(".partial/*/fold-*.parquet")]
    assert kept == ["fold-0.parquet"]

    flag.touch()
    again = run_kit("cv", "model:build", "-C", competition.root)
    assert again.code == 0, again.err
    assert "fold 1 of 3 is there from an earlier call" in again.err
    assert again.err.count("earlier call") == 1


@pytest.mark.parametrize(
    ("body", "phrases"),
    [
        (
            "def s(y, groups, time, spec):\n    raise ValueError('boo')",
            ["splits.py:2 failed: ValueError: boo", "your own code"],
        ),
        ("def s(y):\n    return [0] * len(y)", ["splits.py failed: TypeError"]),
        ("s = 3", ["splitter 'splits:s' must be a function", "Received: int"]),
    ],
)
def test_a_splitter_that_fails_is_told_as_its_authors(
    run_kit: Any, competition: Competition, body: str, phrases: list[str]
) -> None:
    (competition.root / "splits.py").write_text(f"{body}\n")
    outcome = run_kit("cv", "-q", "--set", "cv.splitter=splits:s", "-C", competition.root)
    refused(outcome, *phrases)


@pytest.mark.parametrize("command", [("cv", "lightgbm"), ("check",)])
def test_what_own_code_prints_does_not_spoil_the_results(
    run_kit: Any, competition: Competition, command: tuple[str, ...]
) -> None:
    (competition.root / "features.py").write_text(
        "print('loaded')\n\ndef features(df):\n    print('hello')\n    return df\n"
    )
    outcome = run_kit(*command, "--json", "-C", competition.root)
    assert outcome.code == 0, outcome.err
    json.loads(outcome.out)
    assert "loaded" in outcome.err
    assert "hello" in outcome.err


METRIC = """
def c(y_true, y_pred):
    return {value}

c.greater_is_better = {up}
c.needs = "label"
"""


def test_scores_of_a_metric_that_was_edited_are_not_taken_for_those_of_the_new_one(
    run_kit: Any, competition: Competition
) -> None:
    root, file = competition.root, competition.root / "metric.py"
    options = ("-q", "--set", "task.metric=metric:c", "-C", root)
    file.write_text(METRIC.format(value="1", up=True))
    assert run_kit("cv", "knn", "linear", *options).code == 0
    file.write_text(METRIC.format(value="float((y_true != y_pred).mean())", up=False))
    again = run_kit("cv", "knn", "--json", *options)
    (record,) = json.loads(again.out)["runs"]
    assert record["score"]["value"] < 1
    assert run_kit("cv", "lightgbm", *options).code == 0
    shown = run_kit("runs", "-C", root).out.splitlines()
    assert [line.split()[0] for line in shown if "metric.py" in line] == ["knn", "linear"]
    assert shown.index(next(line for line in shown if "earlier metric.py" in line)) > 2
    linear = next(run.name for run in competition.runs.glob("2*-linear-*"))
    assert linear not in json.loads(run_kit("blend", "--json", *options).out)["parents"]
    differing = run_kit("diff", linear, "lightgbm", "-C", root).out
    assert "the code of metric:c has changed" in differing
    best = run_kit("submit", "--dry-run", "--set", "task.metric=metric:c", "-C", root)
    assert "linear" not in best.err
    assert "of 3 comparable runs" in best.err or "newest blend" in best.err


def test_check_shows_the_line_that_failed_below_the_reason_and_the_hint_once(
    run_kit: Any, competition: Competition
) -> None:
    (competition.root / "features.py").write_text("def features(df):\n    return df['nope']\n")
    outcome = run_kit("check", "-C", competition.root)
    assert outcome.code == 1
    assert " " * 17 + "    return df['nope']\n" in outcome.out
    assert outcome.out.count("KIT_DEBUG") == 1
