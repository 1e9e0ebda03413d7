"""What the README says is so: its commands, names, files and code."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import kit
from kit.checks.catalogue import CATALOGUE
from kit.cli.app import app
from kit.competition import Competition
from kit.errors import KitError
from kit.registry import ALL

RunKit = Callable[..., Any]
ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = [command.name for command in app.registered_commands]


def blocks(marker: str) -> list[str]:
    """Code blocks that follow the comment `<!-- marker -->`."""
    pattern = rf"<!-- {re.escape(marker)} -->\n```\w+\n(.*?)```"
    return re.findall(pattern, README, re.DOTALL)


def files() -> dict[str, str]:
    """The example files of the README by name."""
    pattern = r"<!-- file: (\S+) -->\n```\w+\n(.*?)```"
    return dict(re.findall(pattern, README, re.DOTALL))


def in_a_process(*arguments: str, cwd: Path) -> SimpleNamespace:
    """`kit` as a user starts it."""
    done = subprocess.run(
        [sys.executable, "-m", "kit", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=250,
    )
    return SimpleNamespace(code=done.returncode, out=done.stdout, err=done.stderr)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory, kit_here: RunKit) -> Path:
    """A folder in which `competitions/breast-cancer` holds the README's files."""
    base = tmp_path_factory.mktemp("readme")
    (base / "competitions").mkdir()
    made = kit_here("new", "breast-cancer", "--from", "sample", cwd=base)
    assert made.code == 0, made.err
    root = base / "competitions" / "breast-cancer"
    for name, content in files().items():
        (root / name).write_text(content)
    return base


@pytest.mark.parametrize("name", COMMANDS)
def test_command_is_in_the_table_of_the_loop(name: str) -> None:
    assert re.search(rf"^\| `kit {name}[ `]", README, re.MULTILINE)


@pytest.mark.parametrize(
    "name",
    [entry.name for registry in ALL for entry in registry.entries() if entry.source == "kit"],
)
def test_registered_name_is_mentioned(name: str) -> None:
    assert f"`{name}`" in README


def test_sample_competitions_are_those_there_are(tmp_path: Path) -> None:
    from kit.providers.sample import SampleProvider
    from kit.settings import ProviderSpec

    with pytest.raises(KitError) as caught:
        SampleProvider("nothing", ProviderSpec(name="sample"), tmp_path).describe()
    known = re.search(r"Known: (.*)\.", str(caught.value))
    assert known
    listed = re.search(r"`sample` \((.*?):", README)
    assert listed
    assert re.findall(r"`([\w-]+)`", listed[1]) == known[1].split(", ")


def test_finding_codes_exist() -> None:
    assert set(re.findall(r"KIT\d{3}", README)) <= {check.code for check in CATALOGUE}


def test_every_finding_code_is_in_the_table() -> None:
    """Ranges are spelled out by the numbers in brackets."""
    table = "\n".join(line for line in README.splitlines() if line.startswith("| KIT"))
    named = {f"KIT{number}" for number in re.findall(r"\b(\d{3})\b", table)}
    named |= set(re.findall(r"KIT\d{3}", table))
    assert named == {check.code for check in CATALOGUE}


def test_versions_are_those_of_the_package() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = [c.rpartition(" ")[2] for c in project["classifiers"] if "Python :: 3." in c]
    assert "Python {}, {} and {}".format(*named) in " ".join(README.split())
    assert project["license"] == "MIT"
    assert "MIT license" in README


@pytest.mark.parametrize("which", ["main", "tests"])
def test_marked_command_is_one_line(which: str) -> None:
    (block,) = blocks(f"command: {which}")
    assert len(block.splitlines()) == 1
    assert block.startswith("python3 -m venv .venv && ")


def test_ci_runs_the_command_of_the_readme() -> None:
    assert "command: tests" in (ROOT / ".ci" / "run").read_text()


def test_commands_of_the_readme_name_options_that_exist() -> None:
    import typer

    known = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    shown = re.findall(rf"\bkit ((?:{'|'.join(COMMANDS)})\b[^`&\n]*)", README)
    for line in shown:
        name, *arguments = shlex.split(line, comments=True)
        options = {option for p in known[name].params for option in p.opts}
        assert {a for a in arguments if a.startswith("-")} <= options, line


def test_example_configuration_is_valid_and_names_no_unknown_key(written: Path) -> None:
    competition = Competition.load(written / "competitions" / "breast-cancer")
    assert competition.settings.cv.models == ("lightgbm", "slow_lightgbm", "linear", "neighbours")


def test_example_code_runs(written: Path, kit_here: RunKit) -> None:
    done = kit_here("check", "--json", "-C", "breast-cancer", cwd=written)
    assert done.code == 0, done.out + done.err
    done = kit_here("cv", "linear", "neighbours", "--json", "-C", "breast-cancer", cwd=written)
    assert done.code == 0, done.err
    scores = {run["model"]: run["score"]["value"] for run in json.loads(done.out)["runs"]}
    assert all(0.95 < score <= 1 for score in scores.values())


def test_example_metric_and_splitter_run(written: Path, kit_here: RunKit) -> None:
    done = kit_here(
        "cv", "neighbours", "--json", "-C", "breast-cancer",
        "--set", "task.metric=metric:cost", "--set", "cv.splitter=splits:blocks",
        cwd=written,
    )  # fmt: skip
    assert done.code == 0, done.err
    (run,) = json.loads(done.out)["runs"]
    assert 0 < run["score"]["value"] < 1
    assert run["decision"]["kind"] == "threshold"


def test_example_features_add_their_column(written: Path) -> None:
    from kit.dataset import Dataset

    data = Dataset.read(Competition.load(written / "competitions" / "breast-cancer"))
    assert "roughness" in data.X.columns
    assert "mean_symmetry" not in data.X.columns


def test_example_script_runs(written: Path) -> None:
    (script,) = blocks("run")
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=written, capture_output=True, text=True, timeout=250
    )
    assert done.returncode == 0, done.stderr
    assert "linear" in done.stdout


def test_every_python_block_is_tested() -> None:
    marked = [name for name in files() if name.endswith(".py")] + blocks("run")
    assert README.count("```python") == len(marked)


def _steps(line: str) -> list[list[str]]:
    """The kit commands of a one-liner."""
    parts = [shlex.split(part) for part in line.split("&&")]
    return [part[1:] for part in parts if part[0] == "kit"]


def _play(base: Path, run: RunKit, change: Any = lambda step: step) -> str:
    (line,) = blocks("command: main")
    (base / "competitions").mkdir(exist_ok=True)
    out = ""
    for step in _steps(line):
        done = run(*change(step), cwd=base)
        assert done.code == 0, f"kit {' '.join(step)}: {done.err}"
        out = done.out
    return out


def test_main_command_goes_through_with_quick_models(tmp_path: Path, kit_here: RunKit) -> None:
    def quick(step: list[str]) -> list[str]:
        few = ["--set", "models.extra_trees.params.n_estimators=20"]
        return [step[0], "linear", "extra_trees", *step[1:], *few] if step[0] == "cv" else step

    ledger = _play(tmp_path, kit_here, quick)
    assert re.search(r"blend-\w+\s+0\.9\d+", ledger)


@pytest.mark.slow
@pytest.mark.neural
def test_main_command_goes_through_twice_as_it_is(tmp_path: Path) -> None:
    first = _play(tmp_path, in_a_process)
    trained = sorted((tmp_path / "competitions/breast-cancer/runs").glob("*-mlp-*"))
    second = _play(tmp_path, in_a_process)
    assert len(second.splitlines()) == len(first.splitlines()) + 1  # one more submission
    assert sorted((tmp_path / "competitions/breast-cancer/runs").glob("*-mlp-*")) == trained


def test_version_in_the_changelog_is_that_of_the_package() -> None:
    changes = (ROOT / ".github" / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(rf"^## \[?{re.escape(kit.__version__)}\b", changes, re.MULTILINE)
