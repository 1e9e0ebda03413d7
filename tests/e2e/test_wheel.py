"""The wheel holds all that is needed: installed elsewhere, it makes and runs a competition."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import offline
import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
    )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if os.environ.get(offline.LEFT):
        pytest.skip("pip needs its index, and the suite has left the network: `pytest -m slow`")
    folder = tmp_path_factory.mktemp("wheel")
    built = run(
        sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", folder, ROOT, cwd=folder
    )
    assert built.returncode == 0, built.stderr
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def clean(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new environment with the wheel and its dependencies only; its `bin` folder."""
    folder = tmp_path_factory.mktemp("clean") / "venv"
    made = run(sys.executable, "-m", "venv", folder, cwd=folder.parent)
    assert made.returncode == 0, made.stderr
    installed = run(folder / "bin/python", "-m", "pip", "install", "-q", wheel, cwd=folder.parent)
    assert installed.returncode == 0, installed.stderr
    return folder / "bin"


def test_wheel_holds_the_templates_and_nothing_of_the_repository(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    templates = {
        f"kit/_templates/{path.relative_to(ROOT / 'templates').as_posix()}"
        for path in (ROOT / "templates").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert "kit/_templates/tabular/features.py" in templates
    assert templates <= set(names)
    assert {name.split("/")[0].split("-")[0] for name in names} == {"kit", "kit_competitions"}


def test_installed_elsewhere_it_plays_a_competition(clean: Path, tmp_path: Path) -> None:
    kit = clean / "kit"
    for arguments in (
        ["--help"],
        ["doctor"],
        ["new", "iris", "--from", "sample"],
        ["check", "-C", "iris"],
        ["cv", "lightgbm", "linear", "-C", "iris"],
        ["blend", "-C", "iris"],
        ["submit", "-C", "iris", "-m", "from the wheel"],
        ["ledger", "-C", "iris", "--json"],
    ):
        done = run(kit, *arguments, cwd=tmp_path)
        assert done.returncode == 0, f"kit {' '.join(arguments)}: {done.stderr}"
    (row,) = json.loads(done.stdout)["rows"]
    assert row["public"] > 0.85
    assert (tmp_path / "iris" / "features.py").is_file()


def test_every_declared_dependency_is_installed_and_fits(clean: Path, tmp_path: Path) -> None:
    checked = run(clean / "python", "-m", "pip", "check", cwd=tmp_path)
    assert checked.returncode == 0, checked.stdout
