"""`kit auto`: whatever its models do, it ends with a valid submission."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kit.auto.loop import Told, auto
from kit.competition import Competition
from kit.submission import validate

MODELS = """
import os, signal, time
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB

class Stubborn(GaussianNB):
    def fit(self, X, y):
        time.sleep(10_000)

class Broken(GaussianNB):
    def fit(self, X, y):
        raise ValueError("no luck today")

class Dying(GaussianNB):
    def fit(self, X, y):
        os.kill(os.getpid(), signal.SIGKILL)

class Slow(LogisticRegression):
    def fit(self, X, y):
        time.sleep(1.0)
        return super().fit(X, y)

def stubborn(): return Stubborn()
def broken(): return Broken()
def dying(): return Dying()
def slow(): return Slow()
"""
BAD = {"model:stubborn", "model:broken", "model:dying"}

Wait = Callable[..., None]


@pytest.fixture
def competition(toy: Any) -> Competition:
    made = toy(n=200, models={"lightgbm": {"params": {"n_estimators": 20}}})
    (made.root / "model.py").write_text(MODELS)
    return made


def only_submission(competition: Competition) -> Path:
    [path] = competition.submissions.glob("*.csv")
    return path


@pytest.mark.slow
def test_models_that_fail_die_or_never_end_are_left_out_with_the_reason(
    competition: Competition, launch: Any
) -> None:
    models = ("lightgbm", "model:broken", "model:dying", "linear", "model:stubborn")
    started = launch(competition, "auto", *models, "--budget", "90s", "--json")
    assert started.wait() == 0, started.err
    told = json.loads(started.out)
    reasons = {each["model"]: each["reason"] for each in told["left_out"]}
    assert set(reasons) == BAD
    # on a busy machine there may be no time to begin it
    assert re.fullmatch(
        r"its time was over|needs \d+ s or more, \d+ s are left", reasons["model:stubborn"]
    )
    assert "no luck today" in reasons["model:broken"]
    assert "died" in reasons["model:dying"]
    assert {"lightgbm", "linear"} <= {run["model"] for run in told["runs"]}
    assert validate(Path(told["submission"]), competition) == []
    assert "Traceback" not in started.err
    assert not started.running()


@pytest.mark.slow
def test_after_a_kill_the_submission_of_the_first_model_is_there_and_the_rest_is_resumed(
    competition: Competition, launch: Any, wait_until: Wait
) -> None:
    command = ("auto", "lightgbm", "model:slow", "--budget", "120s", "--json")
    first = launch(competition, *command)
    wait_until(lambda: list(competition.submissions.glob("*.csv")), seconds=60)
    os.kill(first.pid, signal.SIGKILL)
    assert first.wait() == -signal.SIGKILL
    assert validate(only_submission(competition), competition) == []
    before = {path.name: path.stat().st_mtime_ns for path in competition.runs.glob("2*-lightgbm-*")}
    wait_until(lambda: not first.running(), seconds=10)

    again = launch(competition, *command)
    assert again.wait() == 0, again.err
    told = json.loads(again.out)
    assert {run["model"] for run in told["runs"]} >= {"lightgbm", "model:slow"}
    assert told["run"]["kind"] in ("blend", "cv")
    for name, moment in before.items():
        assert (competition.runs / name).stat().st_mtime_ns == moment


@pytest.mark.slow
def test_a_model_whose_folds_are_all_there_becomes_a_run(
    toy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kill came between the last fold and the run."""
    competition = toy(n=120, models={"linear": {"params": {"strengths": [1.0]}}})

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("kit.auto.schedule.finish", killed)
        with pytest.raises(KeyboardInterrupt):
            auto(competition, 120, Told(), ["linear"])
    folds = len(list(competition.runs.glob(".partial/*/fold-*.parquet")))
    assert folds > 1
    outcome = auto(competition, 120, Told(), ["linear"])
    assert [run.model for run in outcome.runs] == ["linear"]
    assert outcome.runs[0].record["resumed"] == list(range(folds))
    assert outcome.left_out == []


@pytest.mark.slow
def test_with_time_left_random_configurations_follow_and_the_budget_holds(
    toy: Any, launch: Any
) -> None:
    made = toy(n=90)
    started, clock = launch(made, "auto", "--budget", "70s", "--json"), time.monotonic()
    assert started.wait() == 0, started.err
    assert time.monotonic() - clock < 1.05 * 70 + 5
    told = json.loads(started.out)
    names = [run["model"] for run in told["runs"]]
    assert names[0] in ("lightgbm", "lightgbm-shallow")
    draws = [name.partition("-r") for name in names if re.search(r"-r\d+$", name)]
    assert {"lightgbm", "catboost"} <= {library for library, *_ in draws}
    assert "then, while there is time: random configurations" in started.err
    left = told["left_out"]
    drawn = [each["reason"] for each in left if re.search(r"-r\d+$", each["model"])]
    assert set(drawn) <= {"its time was over"}  # those not begun are not listed
    assert validate(Path(told["submission"]), made) == []


def test_where_no_model_ends_it_says_so(competition: Competition, launch: Any) -> None:
    started = launch(competition, "auto", "model:broken", "--budget", "20s")
    assert started.wait() == 1
    assert "no model ended within 20 s" in started.err
    assert "no luck today" in started.err
    assert not list(competition.submissions.glob("*"))


def test_an_unknown_model_is_refused_before_anything_is_computed(
    competition: Competition, launch: Any
) -> None:
    started = launch(competition, "auto", "lihgtgbm", "--budget", "20s")
    assert started.wait() == 1
    assert "unknown model 'lihgtgbm'" in started.err


def test_where_no_model_ends_an_earlier_run_is_handed_over(
    competition: Competition, launch: Any
) -> None:
    assert launch(competition, "cv", "linear").wait() == 0
    started = launch(competition, "auto", "model:broken", "--budget", "20s")
    assert started.wait() == 0, started.err
    assert "no model of this call ended in time, earlier ones were taken" in started.out
    assert "no luck today" in started.out
    (path,) = competition.submissions.glob("*.csv")
    assert validate(path, competition) == []
