"""Files that are either the old one or the new one, never half of either.

Owns: writing beside the final name, flushing, renaming, and turning a full disk into one clear
error. Standard library only.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

from kit.errors import DiskFull

_SHORT = 200  # bytes of a name, of the 255 that disks take
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def token() -> str:
    """A name that nobody else has and that says which process of which machine gave it.

    What a killed process left beside a final name carries it, so that `kit.housekeeping` can tell
    it from what is in work.
    """
    return f"{machine()}-{os.getpid():x}-{uuid4().hex[:6]}"


def machine() -> str:
    """Four digits that stand for this machine."""
    return hashlib.sha256(platform.node().encode()).hexdigest()[:4]


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn "no space left" and its kin into `DiskFull`; everything else passes through."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL or "No space left" in str(error):
            reason = error.strerror or str(error).splitlines()[0]
            raise DiskFull(
                f"the disk is full (or a quota used up) while writing {path}: {reason}.\n"
                "  Nothing under a final name was touched and finished folds are kept. "
                "Free some space and run the same command again."
            ) from error
        raise


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it onto `path` when the block succeeds.

    Raises:
        DiskFull: the block or the rename ran out of space; the temporary file is removed.
    """
    short = os.fsencode(path.name)[:_SHORT].decode(errors="ignore")  # there is more to come
    temporary = path.with_name(f".{short}.{token()}.part")
    try:
        with disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            _flush(temporary)
            os.replace(temporary, path)
    finally:
        with suppress(OSError):
            temporary.unlink()


def write_text(path: Path, text: str) -> None:
    """Write `text` (UTF-8) atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, document: Any) -> None:
    """Write one JSON document atomically, readable by people."""
    write_text(path, json.dumps(document, indent=1, ensure_ascii=False) + "\n")


def parse_json(text: str | bytes) -> Any:
    """A JSON document that came from a file; whatever is wrong with it is a `ValueError`.

    Brackets in brackets without end are a `RecursionError` to the parser, which nobody expects.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def parse_records(text: str, *, by_line: bool) -> Any:
    """The rows of a table: a JSON document, or one per line.

    Args:
        text: of the file.
        by_line: whether its name says that lines are documents; else it is tried where the whole
            is none.

    Raises:
        ValueError: it is neither.
    """
    lines = [line for line in text.split("\n") if line.strip()]  # other ends may stand in texts
    if not by_line:
        try:
            return parse_json(text)
        except ValueError:
            if len(lines) < 2 or not lines[0].strip().endswith("}"):
                raise
    return [*map(parse_json, lines)]


def _flush(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def flush_below(folder: Path) -> None:
    """Bring every file below a folder to the disk, before its new name can outlive its content.

    Renaming a folder flushes nothing: after a power cut its files may be there and be empty.
    """
    for path in folder.rglob("*"):
        if path.is_file():
            _flush(path)


def sha256(path: Path) -> str:
    """The SHA-256 of a file, as hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
