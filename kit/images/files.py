"""Which images lie below a folder, those in zips included, and what each of them holds.

Reading is by the names found here and by nothing else: a name that a table makes up, with `..` or
absolute, is in no list and thus never opened. Standard library only.
"""

from __future__ import annotations

import hashlib
import os
import threading
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath

from kit.atomic import parse_json, write_json

SOUNDS = (".wav", ".aif", ".aiff")
"""Names of recordings: a picture is made of each when it is decoded."""

PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm")

SUFFIXES = (*PICTURES, *SOUNDS)
"""Names that are taken for images when a folder is looked at."""

LARGEST = 512 << 20
"""Bytes of a file; larger ones are not read."""


@dataclass(frozen=True)
class ImageFile:
    """One image: a file, or a member of a zip.

    Attributes:
        path: the file, or the zip.
        member: name inside the zip; empty for a file.
        size: bytes.
        stamp: changes when the content may have: time of change, or check sum.
    """

    path: Path
    member: str
    size: int
    stamp: int


@dataclass
class ImageFolder:
    """The images below a folder.

    Args:
        root: the folder.
        cache: a folder that takes `digests.json`, so that unchanged files are not read again; None:
            nothing is kept.

    Attributes:
        files: by name relative to `root`, with `/`. A member of `train.zip` is found under its own
            name and under `train/` and its name; files win over members.
    """

    root: Path
    cache: Path | None = None
    files: dict[str, ImageFile] = field(default_factory=dict)
    _open: threading.local = field(default_factory=threading.local)

    def __post_init__(self) -> None:
        packed: dict[str, ImageFile] = {}
        for path in _below(self.root):
            name = path.relative_to(self.root).as_posix()
            if path.suffix.lower() == ".zip":
                packed |= dict(_members(path, PurePosixPath(name)))
            elif path.suffix.lower() in SUFFIXES:
                facts = path.stat()
                self.files[name] = ImageFile(path, "", facts.st_size, facts.st_mtime_ns)
        self.files = {**packed, **self.files}

    def read(self, name: str) -> bytes:
        """The bytes of a file in `files`.

        Raises:
            OSError, zipfile.BadZipFile: it cannot be read, or is larger than `LARGEST`.
        """
        file = self.files[name]
        if file.size > LARGEST:
            raise OSError(f"it has {file.size:,} bytes")
        if not file.member:
            return file.path.read_bytes()
        try:
            return self._archive(file.path).read(file.member)
        except (RuntimeError, NotImplementedError, EOFError) as error:  # encrypted, odd packing
            raise zipfile.BadZipFile(str(error)) from error

    def digests(self) -> dict[str, str]:
        """Digest of the content by name; empty for a file that cannot be read."""
        known = self._known()
        found: dict[str, str] = {}
        record: dict[str, tuple[int, int, str]] = {}
        for name, file in self.files.items():
            kept = known.get(name)
            if kept is not None and kept[:2] == (file.size, file.stamp):
                digest = kept[2]
            else:
                digest = self._digest(name)
            found[name] = digest
            record[name] = (file.size, file.stamp, digest)
        if self.cache is not None and record != known:
            write_json(self.cache / "digests.json", record)
        return found

    def named(self, pattern: str, values: Iterable[str]) -> list[str]:
        """The names that a pattern makes of values; `*` in it stands for any folders.

        Of several files that fit the first is taken; where none does, or what was written leads
        outside, the name stays as it is written, and is in no list.
        """
        head, star, tail = pattern.partition("*")
        found = []
        for value in map(str.strip, values):
            before, after = (_path(part.replace("{}", value)) for part in (head, tail))
            name = before + star + after if value else ""
            fits = self.by_last.get(name.rpartition("/")[2], ()) if star and value else ()
            found.append(next((n for n in fits if _between(n, before, after)), _normal(name)))
        return found

    @cached_property
    def by_last(self) -> dict[str, list[str]]:
        """Names by what stands behind the last slash."""
        names: dict[str, list[str]] = {}
        for name in sorted(self.files):
            names.setdefault(name.rpartition("/")[2], []).append(name)
        return names

    def with_files(self, folder: Path, names: Iterable[str]) -> ImageFolder:
        """The same with files of another folder under these names, where it has none of its own."""
        base = folder.resolve()
        for name in {*names} - {*self.files, ""}:
            path = (base / name).resolve()
            if path.is_relative_to(base) and path.is_file():
                facts = path.stat()
                self.files[name] = ImageFile(path, "", facts.st_size, facts.st_mtime_ns)
        return self

    def digests_of(self, names: Iterable[str], known: Mapping[str, str]) -> dict[str, str]:
        """Digests of some files, of which some are known."""
        return {name: known.get(name) or self._digest(name) for name in {*names} & {*self.files}}

    def _digest(self, name: str) -> str:
        try:
            return hashlib.sha256(self.read(name)).hexdigest()[:32]
        except (OSError, zipfile.BadZipFile):
            return ""

    def _known(self) -> dict[str, tuple[int, int, str]]:
        if self.cache is None:
            return {}
        with suppress(OSError, ValueError, TypeError):
            text = (self.cache / "digests.json").read_text(encoding="utf-8")
            return {k: (int(a), int(b), str(c)) for k, (a, b, c) in parse_json(text).items()}
        return {}

    def _archive(self, path: Path) -> zipfile.ZipFile:
        """An open zip of this thread: a shared one would be read under a lock."""
        archives = self._open.__dict__
        if str(path) not in archives:
            archives[str(path)] = zipfile.ZipFile(path)
        found: zipfile.ZipFile = archives[str(path)]
        return found

    def __getstate__(self) -> dict[str, object]:
        return {"root": self.root, "cache": self.cache, "files": self.files}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        self._open = threading.local()


def _path(written: str) -> str:
    return written.replace("\\", "/")


def _normal(name: str) -> str:
    return str(PurePosixPath(name)) if name else ""


def _between(name: str, before: str, after: str) -> bool:
    fits = name.startswith(before) and name.endswith(after)
    return fits and len(name) >= len(before) + len(after)


def _below(root: Path) -> Iterator[Path]:
    """Files that are not hidden, in a fixed order."""
    for base, folders, names in os.walk(root):
        folders[:] = sorted(n for n in folders if not n.startswith((".", "__MACOSX")))
        yield from (Path(base, name) for name in sorted(names) if not name.startswith("."))


def _members(path: Path, name: PurePosixPath) -> Iterator[tuple[str, ImageFile]]:
    """Images in a zip under the names that tables use for them; none in a torn zip."""
    with suppress(OSError, zipfile.BadZipFile), zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            inside = PurePosixPath(info.filename)
            if inside.suffix.lower() not in SUFFIXES or inside.is_absolute():
                continue
            if any(part.startswith((".", "__MACOSX")) for part in inside.parts):
                continue
            file = ImageFile(path, info.filename, info.file_size, info.CRC)
            yield (name.parent / inside).as_posix(), file
            if inside.parts[0] != name.stem:
                yield (name.with_suffix("") / inside).as_posix(), file
