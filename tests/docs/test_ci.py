"""Continuous integration runs what the README promises: versions, wheel, the marked command."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
WORKFLOW = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))
JOBS: dict[str, Any] = WORKFLOW["jobs"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def commands(job: str) -> list[str]:
    return [step["run"] for step in JOBS[job]["steps"] if "run" in step]


def test_oldest_python_has_the_lowest_versions_and_the_newest_the_highest() -> None:
    matrix = JOBS["test"]["strategy"]["matrix"]["include"]
    named = [c.rpartition(" ")[2] for c in PROJECT["classifiers"] if "Python :: 3." in c]
    assert {row["python"] for row in matrix} == set(named)
    assert named[0] == PROJECT["requires-python"].removeprefix(">=")
    of = {(row["python"], row["resolution"]) for row in matrix}
    assert (named[0], "lowest-direct") in of
    assert (named[-1], "highest") in of
    assert any("macos" in row["os"] for row in matrix)


def test_both_versions_of_the_client_are_tried_and_the_tests_are_told_which() -> None:
    matrix = JOBS["kaggle"]["strategy"]["matrix"]["include"]
    assert [row["client"] for row in matrix] == ["2.2.4", "2.2.5"]
    last = JOBS["kaggle"]["steps"][-1]
    assert last["run"].endswith("pytest tests/kaggle")
    assert last["env"] == {"CLIENT_UNDER_TEST": "${{ matrix.client }}", "OFFLINE_REQUIRED": 1}
    assert "unprivileged_userns=0" in JOBS["kaggle"]["steps"][-2]["run"]


def test_extras_of_the_workflow_exist() -> None:
    matrix = JOBS["test"]["strategy"]["matrix"]["include"]
    asked = {extra for row in matrix for extra in row["extras"].split(",")}
    asked |= set(re.findall(r"\.\[(\w+)\]", "\n".join(commands("lint"))))
    assert asked <= set(PROJECT["optional-dependencies"])


def test_wheel_is_tried_in_an_environment_of_its_own_outside_the_checkout() -> None:
    *_, last = JOBS["wheel"]["steps"]
    assert any("pip install dist/*.whl" in command for command in commands("wheel"))
    assert last["working-directory"] == "/tmp"
    for command in ("--help", "new iris --from sample", "cv lightgbm", "submit --dry-run"):
        assert command in last["run"]


def test_gate_is_run_by_the_workflow_and_every_job_counts() -> None:
    assert commands("readme") == [".ci/run"]
    assert set(JOBS["check"]["needs"]) == set(JOBS) - {"check"}


def test_dependencies_are_audited_as_installed_every_week() -> None:
    install, audit = commands("audit")
    assert "pip install ." in install
    assert "pip-audit" in install
    assert audit.startswith("pip-audit --path .venv/")
    assert not any(step.get("continue-on-error") for step in JOBS["audit"]["steps"])
    assert WORKFLOW[True]["schedule"]  # YAML 1.1 reads `on` as true


def test_actions_are_pinned_to_a_commit() -> None:
    used = [step["uses"] for job in JOBS.values() for step in job["steps"] if "uses" in step]
    assert used
    for action in used:
        assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", action), action


def test_gate_stops_when_the_readme_names_no_command(tmp_path: Path) -> None:
    (tmp_path / ".ci").mkdir()
    gate = tmp_path / ".ci" / "run"
    gate.write_text((ROOT / ".ci/run").read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "README.md").write_text("nothing here\n", encoding="utf-8")
    done = subprocess.run(["bash", gate], capture_output=True, text=True)
    assert done.returncode == 1
    assert "one line is expected" in done.stderr


def test_gate_runs_the_marked_line_and_then_the_slow_tests(tmp_path: Path) -> None:
    for folder in (".ci", ".venv/bin"):
        (tmp_path / folder).mkdir(parents=True)
    gate, pytest_ = tmp_path / ".ci/run", tmp_path / ".venv/bin/pytest"
    gate.write_text((ROOT / ".ci/run").read_text(encoding="utf-8"), encoding="utf-8")
    pytest_.write_text('#!/bin/sh\necho "pytest $*"\n', encoding="utf-8")
    pytest_.chmod(0o755)
    text = "<!-- command: tests -->\n```sh\necho the tests\n```\n"
    (tmp_path / "README.md").write_text(text, encoding="utf-8")
    done = subprocess.run(["bash", gate], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "== tests: echo the tests",
        "the tests",
        "== slow tests",
        "pytest -m slow",
    ]
    (tmp_path / "README.md").write_text(text.replace("echo the tests", "false"), encoding="utf-8")
    assert subprocess.run(["bash", gate], capture_output=True).returncode == 1
