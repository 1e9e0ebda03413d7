"""Fetching beside `data/raw`: what is there stays until what comes is whole.

Standard library only.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

from kit.atomic import disk_errors, sha256, token
from kit.errors import DataError
from kit.providers.base import Progress, Provider
from kit.providers.manifest import files_below


def fetch_beside(
    fetch: Callable[[Path], list[Path]], raw: Path, good: Iterable[str], *, force: bool = False
) -> list[str]:
    """Fetch into a folder beside `raw`, then take over what is new; all of it or nothing.

    Args:
        fetch: puts files into a folder and returns their paths.
        raw: where they belong.
        good: names of files that are as they were fetched: they are not fetched again where the
            provider finds them, and what is newer may take their place.
        force: so may all files.

    Returns:
        The names of the files that `fetch` returned.

    Raises:
        DataError: files of which nothing is known are there already, and are others.
    """
    raw = raw.resolve()
    aside = raw.with_name(f".{raw.name}.new-{token()}")
    known = set(good)
    try:
        with disk_errors(raw):
            aside.mkdir(parents=True)
            for name in [] if force else known:
                _link(raw / name, aside / name)
            names = [path.relative_to(aside).as_posix() for path in fetch(aside)]
            came = [*names, *(path.relative_to(aside).as_posix() for path in files_below(aside))]
            new = [n for n in dict.fromkeys(came) if not _equal(aside / n, raw / n)]
            lost = [name for name in new if os.path.lexists(raw / name) and name not in known]
            if lost and not force:
                raise DataError(
                    "\n".join(f"{name} is there, and is not what is fetched" for name in lost)
                    + "\n  It stays as it is. Move it away, or add --force, which gives it up."
                )
            for name in new:
                (raw / name).parent.mkdir(parents=True, exist_ok=True)
                os.replace(aside / name, raw / name)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return names


def _link(path: Path, other: Path) -> None:
    """Both names, one file; files are replaced, never written into, so that neither harms it."""
    other.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(path.resolve(), other)
    except OSError:  # a disk without hard links, or two disks
        shutil.copyfile(path, other)


def _equal(one: Path, other: Path) -> bool:
    if not other.is_file() or one.stat().st_size != other.stat().st_size:
        return False
    return os.path.samefile(one, other) or sha256(one) == sha256(other)


def fetch_anew(provider: Provider, raw: Path, progress: Progress) -> None:
    """Fetch every file into a folder beside `raw` and let it take the place of `raw` when whole.

    Until then, and if anything goes wrong, the old files stay.
    """
    raw = raw.resolve()
    aside = raw.with_name(f".{raw.name}.new-{token()}")
    old = raw.with_name(f".{raw.name}.old-{token()}")
    try:
        with disk_errors(raw):
            aside.mkdir()
            provider.fetch(aside, progress)
            raw.rename(old)
            aside.rename(raw)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
        if old.exists() and not raw.exists():
            old.rename(raw)
        shutil.rmtree(old, ignore_errors=True)
