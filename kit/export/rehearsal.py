"""Install the wheels of a bundle as Kaggle will, without an index, and predict with them once more.

The proof finds out which packages predict; it uses those that are installed. Here the script runs
in a fresh environment that has nothing but Python, pip and the packages Kaggle's image has in the
same version. What is in the wheels can come from nowhere else: one that is damaged, for another
platform or without a module that is needed stops the export, not the kernel.
"""

from __future__ import annotations

import platform
import sys
import venv
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from tempfile import TemporaryDirectory

from kit.atomic import disk_errors, token
from kit.competition import Competition
from kit.errors import RunError
from kit.export.bundle import Bundle, this_python
from kit.export.proof import Proof, prove
from kit.export.wheels import Wheels, count
from kit.runs import Run


def impossible(python: str) -> str:
    """Why wheels for Kaggle's image and that version of Python cannot be tried here, or ""."""
    if python != this_python():
        return f"they are for Python {python}, this is {this_python()}"
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        return "they are for Linux on x86-64"
    return ""


def rehearse(
    competition: Competition,
    run: Run,
    bundle: Bundle,
    wheels: Wheels,
    packages: Iterable[str],
    *,
    timeout: float,
) -> Proof:
    """Run the bundle with its wheels, and compare what it predicts as the proof does.

    Args:
        competition: gives the data.
        run: whose test predictions must come out.
        bundle: with its wheels, which it describes.
        wheels: what was collected.
        packages: names of all that predict; those without a wheel are in the image.
        timeout: seconds after which it is ended.

    Raises:
        RunError: a wheel cannot be installed, or with what is in it the bundle does not run or
            predicts something else.
    """
    there = sorted(set(packages) - set(wheels.files.values()))
    with _fresh(bundle.folder, ["pip", *there]) as python:
        try:
            return prove(competition, run, bundle, timeout=timeout, python=python)
        except RunError as error:
            raise RunError(f"with {count(wheels.files, 'wheel')} installed, {error}") from error


@contextmanager
def _fresh(folder: Path, names: Iterable[str]) -> Iterator[Path]:
    """The Python of a new environment with these packages only, which it shares with this one."""
    with disk_errors(folder), TemporaryDirectory(prefix=f".fresh-{token()}-", dir=folder) as home:
        venv.create(home, symlinks=True)
        (site,) = Path(home).glob("lib/python*/site-packages")
        for name in names:
            _share(name, site)
        yield Path(home) / "bin" / "python"


def _share(name: str, site: Path) -> None:
    """Links to what belongs to a package; what is not installed is missed by the script."""
    try:
        found = distribution(name)
    except PackageNotFoundError:
        return
    for top in {file.parts[0] for file in found.files or () if file.parts[0] != ".."}:
        source, target = Path(str(found.locate_file(top))), site / top
        if source.exists() and not target.exists():
            target.symlink_to(source.resolve())
