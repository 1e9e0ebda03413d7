"""What was fetched: name, size and SHA-256 of every file, so that a changed file is noticed.

Owns: `data/manifest.json`. Standard library only.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from kit.atomic import parse_json, sha256, write_json
from kit.errors import DataError

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


NOTHING_KNOWN = Known([], {}, {}, whole=False)


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
        document = parse_json(path.read_text(encoding="utf-8"))
        if int(document.get("schema", 1)) > SCHEMA:
            raise DataError(f"{path}: written by a newer kit; update kit")
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
