"""Cores that this process may use are not those of the machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

import kit
from kit.cores import usable_cores
from kit.execution.workers import Workers


def test_affinity_limits_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {3, 4, 9}, raising=False)
    assert 1 <= usable_cores() <= 3  # a quota may leave less
    made: Any = Workers(1, lambda: None)  # type: ignore[arg-type,return-value]
    assert made._threads <= 3


def test_cores_are_counted_in_one_place() -> None:
    package = Path(kit.__file__).parent
    found = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if "cpu_count" in path.read_text(encoding="utf-8")
    }
    assert found <= {"cores.py", "diagnosis.py"}  # the latter shows both
