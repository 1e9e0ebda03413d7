"""What was fetched: name, size and SHA-256 of every file, so that a changed file is noticed.

Owns: `data/manifest.json`. Standard library only.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

from kit.atomic import disk_errors, sha256, write_json
from kit.errors import DataError
from kit.providers.base import Progress, Provider

SCHEMA = 1

Manifest = dict[str, dict[str, int | str]]
"""Name below `data/raw` (with `/`) -> ``{"bytes": size, "sha256": hex}``."""


def files_below(folder: Path) -> Iterator[Path]:
    """Every file below `folder` that is not hidden, links followed, in a fixed order."""
    seen: set[str] = set()
    for base, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(base)
        # a link to a folder above would lead round for ever
        folders[:] = [] if real in seen else sorted(name for name in folders if _plain(name))
        if real not in seen:
            yield from (Path(base, name) for name in sorted(files) if _plain(name))
        seen.add(real)


def manifest(raw: Path) -> Manifest:
    """Describe every file below `raw` that is not hidden."""
    return {
        path.relative_to(raw).as_posix(): {"bytes": path.stat().st_size, "sha256": sha256(path)}
        for path in files_below(raw)
    }


def write_manifest(raw: Path, path: Path) -> Manifest:
    """Describe `raw` and keep the description in `path`."""
    files = manifest(raw)
    write_json(path, {"schema": SCHEMA, "whole": True, "files": files})
    return files


def update_manifest(raw: Path, path: Path, names: Iterable[str]) -> Manifest:
    """Describe these files anew in `path`; what it says of others stays, and whether it is whole.

    Where there is none yet, the new one is not whole: there are files that were never fetched.

    Returns:
        The description of these files.
    """
    kept, whole = _read(path) if path.is_file() else ({}, False)
    new: Manifest = {
        name: {"bytes": (raw / name).stat().st_size, "sha256": sha256(raw / name)}
        for name in sorted(names)
    }
    files = dict(sorted((kept | new).items()))
    write_json(path, {"schema": SCHEMA, "whole": whole, "files": files})
    return new


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
    aside = raw.with_name(f".{raw.name}.new-{uuid4().hex[:8]}")
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
    aside = raw.with_name(f".{raw.name}.new-{uuid4().hex[:8]}")
    old = raw.with_name(f".{raw.name}.old-{uuid4().hex[:8]}")
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


class Differences(NamedTuple):
    """What is not as it was fetched, one sentence per file."""

    missing: list[str]
    changed: list[str]


class Known(NamedTuple):
    """What the manifest knows of `raw`.

    Attributes:
        good: names of the files that are as they were fetched.
        missing, changed: a sentence for each other file, by name.
        whole: all files of the competition were fetched, not only some.
    """

    good: list[str]
    missing: dict[str, str]
    changed: dict[str, str]
    whole: bool


def verify(raw: Path, path: Path) -> Differences:
    """Compare `raw` with the manifest kept in `path`; files that came later are not looked at.

    Raises:
        DataError: there is no manifest, or it is damaged.
    """
    known = compare(raw, path)
    return Differences(list(known.missing.values()), list(known.changed.values()))


def compare(raw: Path, path: Path, names: Iterable[str] | None = None) -> Known:
    """Compare `raw` with the manifest kept in `path`, file by file.

    Args:
        raw: the folder.
        path: the manifest.
        names: look only at these files and at what lies in these folders.

    Raises:
        DataError: there is no manifest, or it is damaged.
    """
    files, whole = _read(path)
    asked = None if names is None else [name.strip("/") for name in names]
    found = Known([], {}, {}, whole)
    for name, fact in files.items():
        if asked is not None and not any(name == n or name.startswith(f"{n}/") for n in asked):
            continue
        file, size = raw / name, int(fact["bytes"])
        if not file.is_file():
            found.missing[name] = f"{name} is missing"
        elif file.stat().st_size != size:
            found.changed[name] = f"{name} has changed: {file.stat().st_size} bytes, once {size}"
        elif sha256(file) != fact["sha256"]:
            found.changed[name] = f"{name} has changed: same size, other content"
        else:
            found.good.append(name)
    return found


def _read(path: Path) -> tuple[Manifest, bool]:
    """The files of a manifest, and whether it is whole (those without the word are)."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        files: Manifest = {
            name: {"bytes": int(fact["bytes"]), "sha256": str(fact["sha256"])}
            for name, fact in document["files"].items()
        }
        return files, bool(document.get("whole", True))
    except FileNotFoundError:
        raise DataError(f"{path} does not exist. `kit data` fetches the files.") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path} is damaged ({error}). `kit data --force` fetches the files again."
        ) from error


def _plain(name: str) -> bool:
    return not name.startswith(".") and name != "__MACOSX"
