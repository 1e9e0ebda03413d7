"""Options that every command has, and those of `kit cv`: they are heard, or refused by name."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import typer

from kit.cli.app import app
from kit.competition import Competition

COMMANDS = {
    f"{name} {sub}".strip(): command
    for name, node in typer.main.get_command(app).commands.items()  # type: ignore[attr-defined]
    for sub, command in getattr(node, "commands", {"": node}).items()
}
INSIDE = [name for name in COMMANDS if name != "new"]  # commands of a competition that is there
MODELS = {"mine": {"use": "extra_trees", "params": {"n_estimators": 5}}}
SMALL = ("--set", "models.extra_trees.params.n_estimators=5")
SLOW = """
import time
from sklearn.linear_model import LogisticRegression


class Slow(LogisticRegression):
    def fit(self, X, y):
        time.sleep(0.6)
        return super().fit(X, y)


def slow():
    return Slow()
"""


@pytest.fixture
def competition(make_competition: Callable[..., Competition]) -> Competition:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"id": range(100), "a": rng.normal(size=100), "b": rng.normal(size=100)})
    frame["y"] = (frame["a"] + rng.normal(size=100) > 0).astype(int)
    train, test = frame[:80], frame[80:].drop(columns="y")
    return make_competition(train, test, code={"model.py": SLOW}, models=MODELS)


@pytest.fixture(scope="module")
def iris(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the played competition is kept once it is played."""
    return tmp_path_factory.mktemp("options") / "iris"


@pytest.fixture
def played(iris: Path, run_kit: Any, tmp_path: Path) -> Path:
    """A sample competition with two runs; a copy of its own for every test."""
    if not iris.is_dir():
        assert run_kit("new", "iris", "--from", "sample", "-C", iris.parent).code == 0
        outcome = run_kit("cv", "knn", "extra_trees", *SMALL, "-C", iris)
        assert outcome.code == 0, outcome.err
    return Path(shutil.copytree(iris, tmp_path / "iris"))


def needed(name: str) -> list[str]:
    """A word for each argument that a command cannot do without."""
    return ["x" for p in COMMANDS[name].params if p.param_type_name == "argument" and p.required]


def only_run(competition: Competition) -> Path:
    (run,) = competition.runs.glob("2*")
    return run


@pytest.mark.parametrize("name", INSIDE)
def test_unknown_key_of_set_is_refused(
    name: str, run_kit: Any, competition: Competition, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(competition.root)
    outcome = run_kit(*name.split(), *needed(name), "--set", "bogus.key=1")
    assert outcome.code == 1, outcome.out
    assert "kit: --set bogus.key=1: unknown key 'bogus'" in outcome.err
    assert outcome.out == ""


@pytest.mark.parametrize("key", ["bogus.key", "cv.bogus", "execution.threads"])
def test_key_that_kit_new_does_not_write_is_refused_and_nothing_is_made(
    key: str, run_kit: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = run_kit("new", "iris", "--from", "sample", "--set", f"{key}=1")
    assert outcome.code == 1, outcome.out
    assert key.split(".")[-1] in outcome.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", INSIDE)
def test_competition_that_is_not_there_is_refused_even_inside_another(
    name: str, run_kit: Any, competition: Competition, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(competition.root)
    outcome = run_kit(*name.split(), *needed(name), "-C", "nowhere")
    assert outcome.code == 1, outcome.out
    assert "-C nowhere: no kit.toml there" in outcome.err
    assert outcome.out == ""


def test_folder_of_kit_new_is_made(
    run_kit: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_kit("new", "iris", "--from", "sample", "-C", "nowhere").code == 0
    assert (tmp_path / "nowhere" / "iris" / "kit.toml").is_file()


@pytest.mark.parametrize("arguments", [["runs"], ["portfolio", "--json"], ["check"], ["doctor"]])
def test_kit_toml_is_found_upwards(
    arguments: list[str], run_kit: Any, competition: Competition, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(competition.root)
    beside = run_kit(*arguments)
    monkeypatch.chdir(competition.raw)
    below = run_kit(*arguments)
    assert below.code == beside.code == 0, below.err
    marks = {
        "runs": f"No runs in {competition.runs} yet",
        "portfolio": '"name": "mine"',
        "check": "checks in",
        # Where the machine is short of space, doctor says so behind the folder, in the same line.
        "doctor": f"free in {competition.root} ",
    }
    assert marks[arguments[0]] in below.out.replace("\n", " ")


@pytest.mark.parametrize("command", ["doctor", "plugins", "portfolio"])
def test_a_broken_kit_toml_around_is_told(
    command: str, run_kit: Any, competition: Competition, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(competition.root)
    (competition.root / "kit.toml").write_text("[cv]\nn_splits = = 3\n")
    outcome = run_kit(command)
    told = outcome.out if command == "doctor" else outcome.err
    assert "kit.toml is not valid TOML" in told
    assert outcome.code == (1 if command == "doctor" else 0)
    assert "All well" not in outcome.out


@pytest.mark.parametrize("place", [".", "competitions/toy/data/raw", "elsewhere"])
def test_doctor_looks_for_a_name_below_competitions(
    place: str, run_kit: Any, competition: Competition, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = competition.root.parent
    (base / "competitions").mkdir()
    (base / "elsewhere").mkdir()
    root = competition.root.rename(base / "competitions" / "toy")
    monkeypatch.chdir(base / place)
    outcome = run_kit("doctor", "--json", "-C", "toy")
    assert outcome.code == 0, outcome.err
    facts = {fact["name"]: fact["value"] for fact in json.loads(outcome.out)}
    assert facts["disk"].endswith(f"free in {root}")


QUIET = {
    "data": ("data", "--force"),
    "cv": ("cv", "extra_trees", *SMALL, "--seed", "3"),
    "blend": ("blend",),
    "auto": ("auto", "knn", "--budget", "10h", "--set", "execution.threads=1"),
    "submit": ("submit", "knn"),
    "fit": ("fit",),
}


@pytest.mark.parametrize("name", QUIET)
def test_quiet_prints_results_and_no_progress(name: str, run_kit: Any, played: Path) -> None:
    quiet = run_kit(*QUIET[name], "-q", "-C", played)
    assert quiet.code == 0, quiet.err
    assert quiet.err == ""
    assert quiet.out.strip()
    assert "Next:" not in quiet.out


@pytest.mark.parametrize(
    "name", ["data", "cv", pytest.param("auto", marks=pytest.mark.slow), "fit"]
)
def test_progress_is_there_without_quiet(name: str, run_kit: Any, played: Path) -> None:
    assert run_kit(*QUIET[name], "-C", played).err.strip()


def test_folds_and_seed_make_the_folds_and_are_recorded(
    run_kit: Any, competition: Competition
) -> None:
    flags = ("--folds", "4", "--seed", "9")
    outcome = run_kit("cv", "linear", *flags, "-C", competition.root)
    assert outcome.code == 0, outcome.err
    assert "4 folds by stratified_kfold" in outcome.err
    run = only_run(competition)
    record = json.loads((run / "run.json").read_text())
    assert record["seed"] == 9
    assert record["overrides"] == {"cv.n_splits": 4, "cv.seed": 9}
    assert len(record["score"]["folds"]) == 4
    assert set(pd.read_parquet(run / "oof.parquet")["fold"]) == {0, 1, 2, 3}
    cv = json.loads((run / "config.json").read_text())["cv"]
    assert (cv["n_splits"], cv["seed"]) == (4, 9)


def test_seed_changes_the_folds(run_kit: Any, competition: Competition) -> None:
    digests = set()
    for seed in (9, 10):
        shown = run_kit("cv", "linear", "--seed", seed, "--json", "-C", competition.root)
        (record,) = json.loads(shown.out)["runs"]
        digests.add(record["digests"]["folds"])
    assert len(digests) == 2


def test_budget_that_is_used_up_is_told_and_nothing_is_published(
    run_kit: Any, competition: Competition
) -> None:
    outcome = run_kit("cv", "model:slow", "--budget", "1s", "-C", competition.root)
    assert outcome.code == 0, outcome.err
    assert "model:slow  the budget is used up; finished folds are kept" in outcome.err
    assert outcome.out == ""
    assert not list(competition.runs.glob("2*"))
    finished = list(competition.runs.glob(".partial/*/fold-*.parquet"))
    assert len(finished) == outcome.err.count("  model:slow  fold ") < 2


def test_runs_of_other_folds_come_with_the_flags_that_blend_them(
    run_kit: Any, competition: Competition
) -> None:
    root, flags = competition.root, "--set cv.n_splits=4 --set cv.seed=9"
    outcome = run_kit("cv", "linear", "knn", "--folds", "4", "--seed", "9", "-C", root)
    assert f"\nNext: kit blend {flags}\n" in outcome.out
    refused = run_kit("blend", "-C", root)
    assert refused.code == 1
    assert f"2 with other folds: kit blend {flags}\n" in refused.err
    assert run_kit("blend", *flags.split(), "-C", root).code == 0
