"""The wheels of a bundle are installed offline, in an environment that has nothing else."""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Callable
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import pytest

from kit.competition import Competition
from kit.errors import RunError
from kit.export import rehearsal
from kit.export.bundle import this_python
from kit.export.names import names_of
from kit.export.ready import Wishes, export
from kit.export.wheels import canonical
from kit.runs import Run

Make = Callable[..., Competition]
Kept = Callable[..., list[Run]]


def repacked(name: str, folder: Path, without: str = "") -> Path:
    """What is installed of a package, as the wheel it came from."""
    found = distribution(name)
    lines = (found.read_text("WHEEL") or "").splitlines()
    tags = [line.removeprefix("Tag: ").split("-") for line in lines if line.startswith("Tag: ")]
    tag = "-".join(".".join(dict.fromkeys(parts)) for parts in zip(*tags, strict=True))
    path = folder / f"{canonical(name).replace('-', '_')}-{found.version}-{tag}.whl"
    folder.mkdir(exist_ok=True)
    inside = [f for f in found.files or () if f.parts[0] != ".." and "__pycache__" not in f.parts]
    with zipfile.ZipFile(path, "w") as wheel:
        for file in inside:
            if file.as_posix() != without and file.name not in ("INSTALLER", "REQUESTED"):
                wheel.write(str(file.locate()), file.as_posix())
    return path


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(bool(rehearsal.impossible(this_python())), reason="wheels are for Linux")
def test_wheels_are_installed_offline_and_predict_the_same(
    toy: Make, kept: Kept, image: Path, tmp_path: Path
) -> None:
    competition, packages = toy(), ("numpy", "joblib", "threadpoolctl")
    (run,) = kept(competition, "linear")
    lines = image.read_text().splitlines()
    image.write_text("\n".join(x for x in lines if x.partition("==")[0] not in packages))
    for name in packages:
        repacked(name, tmp_path / "wheels")
    names = names_of(competition.slug, "ann/toy-models", "toy-competition", "submission.csv")
    told: list[str] = []
    wishes = Wishes(names=names, image=image, wheels=tmp_path / "wheels")
    made = export(competition, run, wishes, told.append)
    assert made.ready, made.missing
    assert made.wheels is not None
    assert made.proof is not None
    assert set(made.wheels.files.values()) == set(packages)
    assert any("installing 3 wheels without network" in line for line in told)
    assert not list(made.bundle.folder.glob(".*")), "the fresh environment is gone"

    def again() -> Any:
        assert made.wheels is not None
        assert made.proof is not None
        return rehearsal.rehearse(
            competition, run, made.bundle, made.wheels, made.proof.packages, timeout=120
        )

    assert again().difference <= made.proof.allowed
    (wheel,) = made.bundle.wheels.glob("joblib-*.whl")
    whole = wheel.read_bytes()
    wheel.unlink()
    repacked("joblib", made.bundle.wheels, without="joblib/parallel.py")
    with pytest.raises(RunError, match=r"with 3 wheels installed, (.|\n)*joblib\.parallel"):
        again()
    wheel.write_bytes(whole[:-1_000])
    with pytest.raises(RunError, match=r"with 3 wheels installed, (.|\n)*joblib"):
        again()


def test_a_fresh_environment_has_what_is_shared_and_nothing_else(tmp_path: Path) -> None:
    import subprocess

    code = "import six, importlib.util as u; print(six.__name__, u.find_spec('numpy'))"
    with rehearsal._fresh(tmp_path, ["six", "not-installed"]) as python:
        done = subprocess.run([python, "-I", "-c", code], capture_output=True, text=True)
        assert done.stdout.split() == ["six", "None"], done.stderr
    assert list(tmp_path.iterdir()) == []


def test_wheels_for_another_machine_are_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "for Python 3.99" in rehearsal.impossible("3.99")
    monkeypatch.setattr(sys, "platform", "darwin")
    assert "Linux" in rehearsal.impossible(this_python())
