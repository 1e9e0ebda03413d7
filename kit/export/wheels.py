"""Packages that the image of Kaggle lacks.

What predicts is known from the proof: every installed package of which something was imported.
Taken from that is what the image has *in the same version*: recipes and some models are pickles,
which scikit-learn and NumPy read back for certain only in the version that wrote them. What the
image has, its own `pip freeze` says; without one nothing is taken for granted.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping, Sequence, Sized
from dataclasses import dataclass
from pathlib import Path

from kit.errors import ConfigError

_PLATFORMS = (
    "manylinux_2_28", "manylinux_2_27", "manylinux_2_24", "manylinux_2_17", "manylinux2014",
    "manylinux_2_12", "manylinux2010",
)  # fmt: skip
_TIMEOUT = 1800.0  # seconds for all wheels; TensorFlow alone has 600 MB


@dataclass(frozen=True, kw_only=True)
class Wheels:
    """What was collected.

    Attributes:
        files: package by file name.
        missing: versions by name of those that could not be had.
        why: what the installer said to that.
    """

    files: Mapping[str, str]
    missing: Mapping[str, str]
    why: str = ""

    def way_out(self, folder: Path, python: str) -> str:
        """How to get the missing ones on a machine with a network."""
        wanted = " ".join(f"{name}=={version}" for name, version in self.missing.items())
        return (
            f"{count(self.missing, 'package')} could not be fetched ({self.why}): {wanted}\n"
            f"  Where there is a network: `{' '.join(['pip', *_arguments(python)])} -d wheels "
            f"{wanted}`,\n  then export again with --wheels wheels. Or --image FILE, with what "
            "`pip freeze` prints in a notebook on Kaggle: what is there in the same version is "
            f"not needed.\n  {folder} is where they go."
        )


def read_image(path: Path) -> dict[str, str]:
    """Versions by name, from what `pip freeze` printed.

    Raises:
        ConfigError: the file cannot be read or names no package.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--image: {path} cannot be read: {error}") from error
    pairs = (re.fullmatch(r"([\w.-]+)==([^\s;]+)", line.strip()) for line in lines)
    found = {canonical(pair[1]): pair[2] for pair in pairs if pair}
    if not found:
        raise ConfigError(
            f"--image: {path} has no line like numpy==2.1.0; `pip freeze` prints such a list"
        )
    return found


def lacking(used: Mapping[str, str], image: Mapping[str, str]) -> dict[str, str]:
    """What is used and not in the image in the same version."""
    return {name: v for name, v in used.items() if image.get(canonical(name)) != v}


def collect(
    wanted: Mapping[str, str], folder: Path, *, python: str, source: Path | None = None
) -> Wheels:
    """Put wheels into a folder.

    Args:
        wanted: versions by name.
        folder: is made when there is something to put there.
        python: version of Python they are for.
        source: take them from this folder; None: from the package index.

    Raises:
        ConfigError: `source` is no folder.
    """
    if source is not None and not source.is_dir():
        raise ConfigError(f"--wheels: there is no folder {source}")
    if not wanted:
        return Wheels(files={}, missing={})
    folder.mkdir(parents=True, exist_ok=True)
    each = [f"{name}=={version}" for name, version in wanted.items()]
    if source is None:
        where = ["--retries", "1", "--timeout", "15"]
        why = _download(each, folder, python, where)
        if why and len(each) > 1:  # pip takes all or nothing
            why = _one_by_one(each, folder, python, where, patience=3)
    else:
        where = ["--no-index", "--find-links", str(source)]
        why = _one_by_one(each, folder, python, where, patience=len(each))
    files = {p.name: name for p in sorted(folder.glob("*.whl")) if (name := _whose(p, wanted))}
    missing = {name: v for name, v in wanted.items() if name not in files.values()}
    return Wheels(files=files, missing=missing, why=why if missing else "")


def count(things: Sized, name: str) -> str:
    """How many there are: "1 package", "2 packages"."""
    return f"{len(things)} {name}{'s' if len(things) != 1 else ''}"


def canonical(name: str) -> str:
    """A package's name as the index compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _whose(wheel: Path, wanted: Mapping[str, str]) -> str | None:
    """The wanted package that a wheel holds."""
    name, version = wheel.name.split("-")[:2]
    for one, its in wanted.items():
        if canonical(one) == canonical(name) and its == version:
            return one
    return None


def _arguments(python: str) -> list[str]:
    platforms = [f"--platform={name}_x86_64" for name in _PLATFORMS]
    fixed = ["download", "--no-deps", "--only-binary=:all:", f"--python-version={python}"]
    return [*fixed, *platforms, "--platform=any"]


def _one_by_one(
    each: Sequence[str], folder: Path, python: str, where: Sequence[str], *, patience: int
) -> str:
    """Take what can be had; give up after so many failures in a row. The first error, or ""."""
    first, failures = "", 0
    for one in each:
        said = _download([one], folder, python, where)
        failures = failures + 1 if said else 0
        first = first or said
        if failures >= patience:
            break
    return first


def _download(each: Sequence[str], folder: Path, python: str, where: Sequence[str]) -> str:
    """Run pip; its last error line, "" where it went well."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input"]
    command = [*pip, *_arguments(python), "-q", "-d", str(folder), *where, *each]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_TIMEOUT, check=False
        )
    except subprocess.TimeoutExpired:
        return f"no end after {_TIMEOUT:.0f} s"
    if done.returncode == 0:
        return ""
    lines = [line for line in done.stderr.strip().splitlines() if line.startswith("ERROR")]
    return (lines or done.stderr.strip().splitlines() or ["pip failed"])[-1][:200]
