"""What interrupted commands left behind: find it, remove it, mend what it broke.

Nothing here touches a published run, a receipt, or what a process has in work. What is in work is
known in three ways: a lock that is held (partial results of a run), the process that a name carries
(`kit.atomic.token`), and the age, where the process is one of another machine.

| what                                   | goes when                                             |
|----------------------------------------|-------------------------------------------------------|
| `runs/.partial/<hash>`                 | its run is published, or nobody went on for so long    |
| files and folders beside a final name  | their process has ended                                |
| lock files                             | nobody holds them, and what they guard is not there    |
| stores in `.cache`                     | nobody read them for so long                           |
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from kit.atomic import machine
from kit.competition import Competition
from kit.runs import list_runs

_TOKEN = re.compile(r"(?P<machine>[0-9a-f]{4})-(?P<pid>[0-9a-f]+)-[0-9a-f]{6}(?![0-9a-z])")
_OLD_TOKEN = re.compile(r"[0-9a-f]{8}([0-9a-f]{24})?$")
_DAY = 86_400.0
# below the competition's folder; `*` is one name. Only names that carry a token count.
_ASIDE = (
    ".*.part", "data/.*", "data/raw/.*.part", "runs/.tmp/*", "runs/.partial/fit-*",
    "runs/.partial/*/.*.part", "runs/.*.part", "submissions/.*.part", "submissions/push/.*.part",
    "reports/.*.part", "predictions/.*.part", "tune/.*.part", ".cache/rerun-*",
    ".cache/null-labels-*", ".cache/.*", ".cache/*/.*", "exports/.*", "exports/*/.*",
    ".sample/.*.part", ".local/.*.part",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Leftover:
    """Something that may go.

    Attributes:
        path: the file or folder.
        what: what it is, in words.
        bytes: its size, with all below it.
        lock: held while it is removed, where there is one.
        safe: whether nobody can miss it, however new it is.
    """

    path: Path
    what: str
    bytes: int
    lock: Path | None = None
    safe: bool = True


def leftovers(competition: Competition, older_than: float) -> list[Leftover]:
    """What may be removed.

    Args:
        competition: whose folder is looked through.
        older_than: seconds; what was touched since stays. Temporary files and folders whose
            process has ended are of no use to anybody and need no age.
    """
    found = [
        *_asides(competition.root),
        *_partials(competition, older_than),
        *_locks(competition),
        *_caches(competition, older_than),
    ]
    return sorted(found, key=lambda each: each.path)


def remove(leftover: Leftover) -> bool:
    """Remove it; False where another process has it in work by now.

    Raises:
        OSError: it cannot be removed.
    """
    with _free(leftover.lock) as free:
        if not free:
            return False
        if leftover.path.is_dir() and not leftover.path.is_symlink():
            shutil.rmtree(leftover.path)
        else:
            leftover.path.unlink(missing_ok=True)
        if leftover.lock is not None:
            leftover.lock.unlink(missing_ok=True)
    return True


def orphaned(path: Path, older_than: float = _DAY) -> bool:
    """Whether a name beside a final one is of a process that has ended.

    Args:
        path: a file or folder whose name ends in a token.
        older_than: seconds, for those of other machines: their processes cannot be seen.
    """
    found = _TOKEN.search(path.name)
    if found is None:
        return bool(_OLD_TOKEN.search(path.stem)) and _age(path) > older_than
    if found["machine"] == machine():
        return not _alive(int(found["pid"], 16))
    return _age(path) > older_than


def _alive(pid: int) -> bool:
    if pid == os.getpid():
        return True
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # it is somebody else's
        return True
    return True


def _asides(root: Path) -> Iterator[Leftover]:
    beside = root.parent.glob(f".{root.name}.new-*")
    inside = (path for pattern in _ASIDE for path in root.glob(pattern))
    for path in dict.fromkeys((*beside, *inside)):
        if orphaned(path) and not _only_copy(path):
            yield _leftover(path, "unfinished, of a process that has ended")


def _only_copy(path: Path) -> bool:
    """Old data that were moved aside, and nothing came into their place."""
    name, dot, _ = path.name[1:].partition(".old-")
    return bool(dot) and not path.with_name(name).exists()


def _partials(competition: Competition, older_than: float) -> Iterator[Leftover]:
    partial = competition.runs / ".partial"
    if not partial.is_dir():
        return
    published = {
        str(run.record.get("plan", run.hash))
        for run in list_runs(competition.runs)[0]
        if not run.record.get("cut")
    }
    for path in partial.iterdir():
        if not path.is_dir() or path.is_symlink() or path.name.startswith("fit-"):
            continue
        old = path.name not in published
        if not old:
            what = "folds of a run that is published"
        elif _age(path) > older_than:
            what = "folds of a run that nobody went on with"
        else:
            continue
        lock = path.with_suffix(".lock")
        if _is_free(lock):
            yield _leftover(path, what, lock, safe=not old)


def _locks(competition: Competition) -> Iterator[Leftover]:
    for path in (competition.runs / ".partial").glob("*.lock"):
        if not path.with_suffix("").exists() and _is_free(path):
            yield _leftover(path, "a lock that nobody holds", path)
    for path in (competition.root / "tune" / ".locks").glob("*.lock"):
        if _is_free(path):
            yield _leftover(path, "a lock that nobody holds", path)
    for path in competition.submissions.glob(".*.lock"):
        if len(path.stem) == 13 and _is_free(path):  # of one file; `.lock` is of the folder
            yield _leftover(path, "a lock that nobody holds", path)


def _caches(competition: Competition, older_than: float) -> Iterator[Leftover]:
    cache = competition.cache
    if not cache.is_dir() or cache.is_symlink():
        return
    for path in cache.iterdir():
        made = path.is_dir() and not path.name.startswith(("rerun-", "null-labels-", "."))
        if made and _age(path) > older_than:
            lock = path.with_name(f"{path.name}.lock")
            held = lock if lock.exists() else None
            yield _leftover(path, "a cache that nobody used", held, safe=False)


def _leftover(path: Path, what: str, lock: Path | None = None, *, safe: bool = True) -> Leftover:
    return Leftover(path=path, what=what, bytes=_size(path), lock=lock, safe=safe)


def _below(path: Path) -> Iterator[Path]:
    """The path and, for a folder, all below it; links are not followed."""
    yield path
    if path.is_dir() and not path.is_symlink():
        for folder, folders, files in os.walk(path):
            yield from (Path(folder, name) for name in (*folders, *files))


def _size(path: Path) -> int:
    total = 0
    for each in _below(path):
        with suppress(OSError):
            total += each.lstat().st_size if not each.is_dir() else 0
    return total


def _age(path: Path) -> float:
    """Seconds since anything of it was written or read.

    A time that lies ahead is one of a clock that was wrong: it counts as so long ago.
    """
    last = 0.0
    for each in _below(path):
        with suppress(OSError):
            stat = each.lstat()
            last = max(last, stat.st_mtime, stat.st_atime if not each.is_dir() else 0.0)
    return abs(time.time() - last)


@contextmanager
def _free(lock: Path | None) -> Iterator[bool]:
    """Hold a lock; False where somebody else does, or where nothing may be written."""
    if lock is None:
        yield True
        return
    held = FileLock(lock)
    try:
        held.acquire(timeout=0)
    except Timeout:
        yield False
        return
    except OSError as error:
        if error.errno not in (errno.EROFS, errno.EACCES):
            raise
        yield False
        return
    try:
        yield True
    finally:
        held.release()


def _is_free(lock: Path) -> bool:
    """Whether nobody holds a lock; no file is made to find out."""
    if not lock.exists():
        return True
    with _free(lock) as free:
        return free
