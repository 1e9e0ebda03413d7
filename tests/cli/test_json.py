"""`--json`: exactly one JSON document on stdout, whatever happens; everything else on stderr."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import pytest

from kit.cli import main
from kit.cli.app import app

SMALL = ("--set", "models.extra_trees.params.n_estimators=10")
ONE = ("--set", "execution.threads=1", "--set", "execution.workers=1")  # process: they start slowly


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, tuple[int, str]]]:
    """The loop on 150 flowers: the folder, and exit code and stdout of each command."""
    base = tmp_path_factory.mktemp("json")
    root = base / "iris"
    freeze = base / "freeze.txt"  # an image that lacks nothing: no wheel is looked for
    freeze.write_text("".join(f"{d.name}=={d.version}\n" for d in distributions()))
    told: dict[str, tuple[int, str]] = {}
    steps = {
        "new": ("new", "iris", "--from", "sample", "-C", base),
        "data": ("data", "-C", root),
        "check": ("check", "-C", root),
        "cv": ("cv", "linear", "extra_trees", *SMALL, "-C", root),
        "blend": ("blend", "-C", root),
        "submit": ("submit", "-m", "first", "-C", root),
        "runs": ("runs", "-C", root),
        "show": ("show", "blend", "-C", root),
        "tune": ("tune", "linear", "--trials", "2", *SMALL, *ONE, "-C", root),
        "diff": ("diff", "linear", "extra_trees", "-C", root),
        "report": ("report", "linear", "-C", root),
        "rerun": ("rerun", "linear", "-C", root),
        "ledger": ("ledger", "--run", "linear", "--final", "-C", root),
        "leaderboard": ("leaderboard", "-C", root),
        "plugins": ("plugins", "-C", root),
        "doctor": ("doctor", "-C", root),
        "gc": ("gc", "--dry-run", "-C", root),
        "portfolio": ("portfolio", "-C", root),
        "auto": ("auto", "linear", "extra_trees", "--budget", "10h", *SMALL, *ONE, "-C", root),
        "fit": ("fit", "extra_trees", "--seeds", "2", "-C", root),
        "predict": ("predict", "extra_trees-fit", root / "data/raw/test.csv", "-C", root),
        "export": ("export", "extra_trees-fit", "--image", freeze, "-C", root),
    }
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("kit.tune.rescoring.SEEDS", 1)  # new workers for each
        for name, arguments in steps.items():
            told[name] = _run(*map(str, arguments), "--json")
    return root, told


def _run(*arguments: str) -> tuple[int, str]:
    out, before = io.StringIO(), sys.argv
    sys.argv, code = ["kit", *arguments], 0
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
            main()
    except SystemExit as end:
        code = int(end.code or 0)
    finally:
        sys.argv = before
    return code, out.getvalue()


def _only(text: str) -> Any:
    document, end = json.JSONDecoder().raw_decode(text)
    assert text[end:].strip() == "", "more than one document"
    return document


def test_every_command_is_tried(played: tuple[Path, dict[str, tuple[int, str]]]) -> None:
    assert set(played[1]) == {command.name for command in app.registered_commands}


@pytest.mark.parametrize("name", [command.name for command in app.registered_commands])
def test_command_prints_one_document(
    name: str, played: tuple[Path, dict[str, tuple[int, str]]]
) -> None:
    code, out = played[1][name]
    assert code == 0, out
    assert isinstance(_only(out), dict | list)


def test_scores_are_numbers_and_runs_name_their_parents(
    played: tuple[Path, dict[str, tuple[int, str]]],
) -> None:
    told = {name: json.loads(out) for name, (_, out) in played[1].items()}
    validated = {run["id"]: run["score"]["value"] for run in told["cv"]["runs"]}
    assert all(0.8 < score <= 1 for score in validated.values())
    assert set(told["blend"]["parents"]) == set(validated)
    assert told["submit"]["public"] == told["ledger"]["rows"][0]["public"]
    assert {run["id"] for run in told["runs"]["runs"]} == {*validated, told["blend"]["id"]}
    assert told["show"]["id"] == told["blend"]["id"]
    assert len(told["diff"]["folds"]) == 8
    assert told["fit"]["score"]["value"] == validated[told["fit"]["score_of"]]
    assert told["predict"]["run"] == told["fit"]["id"]
    assert told["predict"]["rows"] == 45
    assert told["export"]["ready"] is True
    assert told["export"]["proof"]["rows"] == 45
    assert told["predict"]["notes"] == []


ERRORS = {
    "unknown model": (("cv", "lightgmb"), 1, "UnknownName"),
    "unknown parameter": (("cv", "linear", "--set", "models.linear.params.q=1"), 1, "ConfigError"),
    "unknown key": (("runs", "--set", "cv.n_split=3"), 1, "ConfigError"),
    "override without value": (("runs", "--set", "cv.n_splits"), 1, "ConfigError"),
    "no such run": (("show", "nothing"), 1, "RunError"),
    "two runs fit": (("show", "2"), 1, "RunError"),
    "one run to blend": (("blend", "linear"), 1, "RunError"),
    "unknown blend method": (("blend", "--method", "vote"), 1, "ConfigError"),
    "unknown kind of plugin": (("plugins", "modles"), 1, "ConfigError"),
    "bad duration": (("cv", "linear", "--budget", "soon"), 1, "ConfigError"),
    "handed in before": (("submit",), 1, "HandedInBefore"),
    "no such file": (("submit", "--file", "nowhere.csv"), 1, "SubmissionError"),
    "no models kept": (("predict", "linear", "data/raw/test.csv"), 1, "RunError"),
    "no such rows": (("predict", "extra_trees-fit", "nowhere.csv"), 1, "DataError"),
    "no models to export": (("export", "linear"), 1, "RunError"),
    "no seeds": (("fit", "linear", "--seeds", "0"), 1, "ConfigError"),
    "folder exists": (("new", "iris", "--from", "sample"), 1, "ConfigError"),
}


@pytest.mark.parametrize("case", ERRORS)
def test_failure_is_one_document_with_type_message_and_exit_code(
    case: str,
    played: tuple[Path, dict[str, tuple[int, str]]],
    run_kit: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    arguments, code, kind = ERRORS[case]
    root, _ = played
    monkeypatch.chdir(root.parent if arguments[0] == "new" else root)
    shown = run_kit(*arguments, "--json")
    error = _only(shown.out)["error"]
    assert (shown.code, error["exit_code"], error["type"]) == (code, code, kind)
    assert error["message"] in shown.err
    assert "Traceback" not in shown.err


def test_failure_of_the_provider_has_exit_code_3(
    run_kit: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shown = run_kit("new", "titanic", "--json")
    assert shown.code == _only(shown.out)["error"]["exit_code"] == 3
    assert list(tmp_path.iterdir()) == []


def test_outside_a_competition_the_error_says_where_it_looked(
    run_kit: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    error = _only(run_kit("runs", "--json").out)["error"]
    assert str(tmp_path) in error["message"]


def test_interruption_has_exit_code_130_and_no_traceback(
    run_kit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("kit.registry.Registry.entries", interrupted)
    shown = run_kit("plugins", "--json")
    assert shown.code == 130
    assert "Traceback" not in shown.err


def test_wrong_usage_has_exit_code_2_and_nothing_on_stdout(run_kit: Any) -> None:
    shown = run_kit("plugins", "--jsno")
    assert (shown.code, shown.out) == (2, "")
    assert "--jsno" in shown.err


def test_a_bug_is_one_document_that_says_so(run_kit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("of a test")

    monkeypatch.setattr("kit.registry.Registry.entries", broken)
    shown = run_kit("plugins", "--json")
    assert shown.code == 1
    assert "bug in kit" in _only(shown.out)["error"]["message"]


def test_wrong_usage_is_a_document_too(run_kit: Any) -> None:
    outcome = run_kit("cv", "--bogus", "--json")
    assert outcome.code == 2
    assert json.loads(outcome.out)["error"]["type"] == "UsageError"
    assert "--bogus" in outcome.err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("flags", [(), ("--json",), ("--help",)])
def test_a_full_disk_behind_stdout_is_one_sentence(flags: tuple[str, ...], unbuffered: str) -> None:
    with Path("/dev/full").open("w") as full:
        found = subprocess.run(
            [sys.executable, "-m", "kit", "plugins", *flags],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
        )
    assert found.returncode == 1
    assert found.stderr.splitlines()[-1] == "kit: writing the output: No space left on device"
