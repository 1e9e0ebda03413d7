"""What `kit doctor` says of a machine."""

from __future__ import annotations

import os
from collections import namedtuple
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

import kit
from kit.diagnosis import Fact, diagnose

Usage = namedtuple("Usage", "total used free")


def facts(where: Path) -> dict[str, Fact]:
    return {fact.name: fact for fact in diagnose(where)}


def test_versions_of_kit_python_and_packages_are_told(tmp_path: Path) -> None:
    found = facts(tmp_path)
    assert found["kit"].value.startswith(kit.__version__)
    assert found["numpy"].value == version("numpy")
    assert found["python"].problem == ""
    assert not any(fact.serious for fact in found.values())


def test_a_missing_package_is_serious_and_names_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> str:
        if name == "lightgbm":
            raise PackageNotFoundError(name)
        return "1.0"

    monkeypatch.setattr("kit.diagnosis.version", missing)
    fact = facts(tmp_path)["lightgbm"]
    assert (fact.problem, fact.serious) == ("not installed: pip install lightgbm", True)


def test_what_keras_computes_with_must_be_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert facts(tmp_path)["tensorflow"].value == version("tensorflow")
    monkeypatch.setenv("KERAS_BACKEND", "numpy")
    found = facts(tmp_path)
    assert found["numpy"].value == version("numpy")
    assert "tensorflow" not in found


def test_an_old_python_is_serious(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kit.diagnosis.sys.version_info", (3, 10))
    assert facts(tmp_path)["python"].serious


def test_little_disk_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kit.diagnosis.shutil.disk_usage", lambda path: Usage(1, 1, 10**9))
    fact = facts(tmp_path)["disk"]
    assert fact.value.startswith("1.0 GB free")
    assert "little space" in fact.problem


def test_a_folder_that_is_not_there_is_judged_by_its_parent(tmp_path: Path) -> None:
    assert facts(tmp_path / "not" / "yet")["disk"].value.endswith(f"in {tmp_path}")


def test_a_folder_that_cannot_be_written_is_serious(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert facts(tmp_path)["folder"].serious


@pytest.mark.parametrize(("policy", "told"), [("ACTIVE", True), ("passive", False), ("", False)])
def test_spinning_threads_are_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, policy: str, told: bool
) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", policy)
    assert bool(facts(tmp_path)["OMP_WAIT_POLICY"].problem) == told
