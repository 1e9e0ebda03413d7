"""What was fetched: name, size and SHA-256 of every file, so that a changed file is noticed.

Owns: `data/manifest.json`. Standard library only.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
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
    write_json(path, {"schema": SCHEMA, "files": files})
    return files


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


def verify(raw: Path, path: Path) -> Differences:
    """Compare `raw` with the manifest kept in `path`; files that came later are not looked at.

    Raises:
        DataError: there is no manifest, or it is damaged.
    """
    try:
        files: Manifest = json.loads(path.read_text(encoding="utf-8"))["files"]
        known = [(name, int(fact["bytes"]), str(fact["sha256"])) for name, fact in files.items()]
    except FileNotFoundError:
        raise DataError(f"{path} does not exist. `kit data` fetches the files.") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path} is damaged ({error}). `kit data --force` fetches the files again."
        ) from error
    found = Differences([], [])
    for name, size, digest in known:
        file = raw / name
        if not file.is_file():
            found.missing.append(f"{name} is missing")
        elif file.stat().st_size != size:
            found.changed.append(f"{name} has changed: {file.stat().st_size} bytes, once {size}")
        elif sha256(file) != digest:
            found.changed.append(f"{name} has changed: same size, other content")
    return found


def _plain(name: str) -> bool:
    return not name.startswith(".") and name != "__MACOSX"
