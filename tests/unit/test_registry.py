"""Names that are strings until used."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import numpy
import pytest

from kit.errors import ConfigError, UnknownName
from kit.registry import ALL, MODELS, Registry


@dataclass
class Distribution:
    name: str


@dataclass
class Point:
    name: str
    value: str
    dist: Distribution | None


@pytest.fixture
def registry() -> Registry:
    return Registry("thing", {"dump": "json:dumps", "gone": "json:nothing_here"})


def plugged(monkeypatch: pytest.MonkeyPatch, *points: Point) -> list[str]:
    asked: list[str] = []

    def entry_points(*, group: str) -> list[Point]:
        asked.append(group)
        return list(points)

    monkeypatch.delenv("KIT_PLUGINS")
    monkeypatch.setattr("importlib.metadata.entry_points", entry_points)
    return asked


def test_a_name_is_loaded_from_its_reference(registry: Registry) -> None:
    import json

    assert registry.load("dump") is json.dumps


def test_a_reference_needs_no_registration(registry: Registry) -> None:

    assert registry.load("numpy:sqrt") is numpy.sqrt


def test_the_competition_folder_is_asked_for_references_first(registry: Registry) -> None:
    assert registry.load("model:build", lambda reference: reference.upper()) == "MODEL:BUILD"


def test_an_unknown_name_is_refused_with_the_nearest(registry: Registry) -> None:
    with pytest.raises(UnknownName, match=r"unknown thing 'dumb'. Did you mean 'dump'\?"):
        registry.load("dumb")
    with pytest.raises(UnknownName, match="unknown thing"):
        registry.check("dumb")


@pytest.mark.parametrize("reference", ["gone", "numpy:nothing_here", "no_such_module:x"])
def test_what_cannot_be_imported_is_refused(registry: Registry, reference: str) -> None:
    with pytest.raises(UnknownName, match="cannot be imported"):
        registry.load(reference)


def test_an_entry_point_adds_a_name(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    import math

    asked = plugged(monkeypatch, Point("root", "math:sqrt", Distribution("pack")))
    assert registry.load("root") is math.sqrt
    assert asked == ["kit.things"]
    assert [(e.name, e.source) for e in registry.entries()][-1] == ("root", "pack")


def test_entry_points_are_not_read_for_a_built_in_name(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = plugged(monkeypatch)
    registry.load("dump")
    registry.check("dump")
    assert asked == []


def test_a_plugin_may_not_shadow_a_built_in(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugged(monkeypatch, Point("dump", "x:y", Distribution("pack")))
    with pytest.raises(ConfigError, match="'pack' registers the thing 'dump'"):
        registry.entries()


def test_two_plugins_of_one_name_are_refused_with_both_packages(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    points = [Point("x", "a:b", Distribution("one")), Point("x", "c:d", None)]
    plugged(monkeypatch, *points)
    with pytest.raises(ConfigError, match=r"one and \?"):
        registry.entries()


def test_plugins_can_be_turned_off(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    plugged(monkeypatch, Point("root", "math:sqrt", None))
    monkeypatch.setenv("KIT_PLUGINS", "0")
    assert [entry.name for entry in registry.entries()] == ["dump", "gone"]


def test_every_built_in_name_can_be_loaded() -> None:
    loaded: dict[str, Any] = {
        f"{registry.kind} {name}": registry.load(name)
        for registry in ALL
        for name in registry.table
        if name != "mlp"  # imports TensorFlow; its own contract test does
    }
    assert all(loaded.values())
    assert "mlp" in MODELS.table


def test_listing_imports_nothing_heavy() -> None:
    code = (
        "import sys; from kit.registry import ALL; [r.entries() for r in ALL]; "
        "print([m for m in ('numpy', 'pandas', 'sklearn', 'lightgbm') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_every_model_of_kit_has_one_line() -> None:
    for entry in MODELS.entries():
        if entry.source == "kit":
            assert 20 < len(entry.about) < 72, entry.name
            assert entry.about[-1] != "."
