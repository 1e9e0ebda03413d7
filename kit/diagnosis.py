"""What this machine has, and what is wrong with it. Imports nothing heavy, asks no network."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import kit
from kit.cores import usable_cores
from kit.gpus import VISIBLE, gpus
from kit.keras import backend_package

_PACKAGES = (
    "numpy", "pandas", "pyarrow", "scikit-learn", "lightgbm", "catboost", "keras", "kaggle",
    "kagglesdk", "typer",
)  # fmt: skip
_LITTLE_DISK = 2 * 10**9
_LITTLE_MEMORY = 4 * 2**30


@dataclass(frozen=True, kw_only=True)
class Fact:
    """One line of the diagnosis.

    Attributes:
        problem: what is wrong and the way out, or "".
        serious: whether kit cannot work with it.
    """

    name: str
    value: str
    problem: str = ""
    serious: bool = False


def diagnose(where: Path) -> list[Fact]:
    """Look at Python, packages, memory, cores, disk and settings.

    Args:
        where: the folder whose disk is looked at.
    """
    return [
        Fact(name="kit", value=f"{kit.__version__} ({Path(kit.__file__).parent})"),
        _python(),
        *_packages(),
        *_hardware(where),
        *_settings(),
    ]


def _python() -> Fact:
    old = sys.version_info < (3, 11)
    return Fact(
        name="python",
        value=f"{platform.python_version()} on {platform.system()} {platform.machine()}",
        problem="kit needs Python 3.11 or newer" if old else "",
        serious=old,
    )


def _packages() -> Iterator[Fact]:
    for name in (*_PACKAGES, backend_package()):
        try:
            yield Fact(name=name, value=version(name))
        except PackageNotFoundError:
            yield Fact(
                name=name, value="-", problem=f"not installed: pip install {name}", serious=True
            )


def _hardware(where: Path) -> Iterator[Fact]:
    import psutil

    memory = psutil.virtual_memory()
    little = memory.available < _LITTLE_MEMORY
    usable, there = usable_cores(), os.cpu_count()
    cores = str(there) if usable == there else f"{usable} of {there} may be used"
    yield Fact(name="cores", value=cores)
    yield Fact(
        name="memory",
        value=f"{memory.available / 2**30:.1f} of {memory.total / 2**30:.1f} GiB available",
        problem="little memory: networks may not fit" if little else "",
    )
    existing = next(path for path in (where.resolve(), *where.resolve().parents) if path.exists())
    free = shutil.disk_usage(existing).free
    writable = os.access(existing, os.W_OK)
    yield Fact(
        name="disk",
        value=f"{free / 10**9:.1f} GB free in {existing}",
        problem="" if free > _LITTLE_DISK else "little space: runs and data may not fit",
    )
    if not writable:
        yield Fact(name="folder", value=str(existing), problem="not writable", serious=True)
    yield from _gpus()


def _gpus() -> Iterator[Fact]:
    try:
        found = gpus()
    except OSError as error:
        yield Fact(
            name="gpu", value="-", problem=f"there is a driver, and it does not answer: {error}"
        )
        return
    if not found:
        hidden = f"; {VISIBLE} hides all" if os.environ.get(VISIBLE) == "" else ""
        yield Fact(name="gpu", value=f"none; models use the CPU{hidden}")
    for gpu in found:
        yield Fact(name="gpu", value=f"{gpu.name}, {gpu.memory / 2**30:.0f} GiB")


def _settings() -> Iterator[Fact]:
    policy = os.environ.get("OMP_WAIT_POLICY", "")
    yield Fact(
        name="OMP_WAIT_POLICY",
        value=policy or "unset",
        problem=""
        if policy.upper() in ("", "PASSIVE")
        else "waiting threads spin; two fits at once may take 100 times as long: unset it",
    )
    for name in ("KIT_PLUGINS", "KIT_DEBUG", "KERAS_BACKEND"):
        if os.environ.get(name):
            yield Fact(name=name, value=os.environ[name])
