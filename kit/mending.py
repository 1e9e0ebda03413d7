"""What is wrong with a competition's folder and its disk, and what of it can be mended safely.

Nothing is deleted that somebody could want: damaged files are moved to `.cache/set-aside`. Runs and
receipts are looked at and never touched. Reads no tables; of runs it compares the SHA-256.
"""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from kit.atomic import parse_json, token
from kit.competition import Competition
from kit.diagnosis import Fact
from kit.housekeeping import Leftover, leftovers, orphaned, remove
from kit.runs import list_runs
from kit.submission.receipts import read_receipts

_SMALLEST = 12  # bytes of a parquet file: mark, length of the footer, mark
_WEEK = 7 * 86_400.0
_TRY_LOCK = """
import fcntl, sys
try:
    fcntl.flock(open(sys.argv[1]), fcntl.LOCK_EX | fcntl.LOCK_NB)
except OSError:
    sys.exit(3)
"""


def examine(competition: Competition) -> list[Fact]:
    """What is wrong with the folder; a problem that `mend` mends says so."""
    return [
        *disk_faults(competition.root),
        *_faults_of_runs(competition),
        *(_fact("receipt", "submissions", each) for each in _damaged_receipts(competition)),
        *(
            _fact("partial", _name(competition, path), "no whole result", mends=True)
            for path in _torn(competition)
        ),
        *(
            _fact("data", _name(competition, old), "data/raw is gone, moved here", mends=True)
            for old in _data_aside(competition)
        ),
        *(
            _fact("leftover", _name(competition, each.path), each.what, mends=True)
            for each in _safe(competition)
            if each.lock != each.path  # every finished run leaves a lock file: nothing is wrong
        ),
    ]


def mend(competition: Competition) -> list[str]:
    """Mend what is safe to mend; a sentence for each thing done.

    Raises:
        OSError: the folder cannot be written.
    """
    done = []
    for old in _data_aside(competition):
        os.rename(old, competition.raw)
        done.append(f"{_name(competition, old)} is data/raw again")
    for path in _torn(competition):
        target = competition.cache / "set-aside" / f"{path.parent.name[:12]}-{path.name}"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(path, target)
        done.append(f"set aside {_name(competition, path)}: it is no whole result")
    gone = [each for each in _safe(competition) if remove(each)]
    return done + [f"removed {_name(competition, each.path)}: {each.what}" for each in gone]


def disk_faults(folder: Path) -> Iterator[Fact]:
    """Whether the disk has what kit's promises rest on: renames that replace, and locks.

    Network file systems may lack either. Tried out with files that are removed again.
    """
    place = folder / f".probe.{token()}.part"
    try:
        place.mkdir()
    except OSError:
        return  # not writable, which is said elsewhere
    try:
        try:
            replaces = _renames(place)
        except OSError as error:
            problem = f"{error.strerror}: renames and locks could not be tried out"
            yield Fact(name="disk", value=str(folder), problem=problem, serious=True)
            return
        if not replaces:
            yield Fact(
                name="disk",
                value=str(folder),
                problem="renaming does not replace a file as one step: an interruption may cost a "
                "file. Move the folder to a local disk",
                serious=True,
            )
        if not _locks(place):
            yield Fact(
                name="disk",
                value=str(folder),
                problem="locks (flock) do not hold here: run one kit at a time in it, or move the "
                "folder to a local disk",
            )
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _renames(place: Path) -> bool:
    new, old = place / "new", place / "old"
    try:
        new.write_text("new")
        old.write_text("old")
        os.replace(new, old)
        (place / "folder").mkdir()
        os.rename(place / "folder", place / "renamed")
        return old.read_text() == "new" and not new.exists() and (place / "renamed").is_dir()
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise  # a full disk says nothing about its renames
        return False


def _locks(place: Path) -> bool:
    """Whether another process sees a lock of ours; one of the same process need not."""
    import fcntl

    with (place / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        tried = subprocess.run(
            [sys.executable, "-S", "-E", "-c", _TRY_LOCK, file.name], capture_output=True
        )
    return tried.returncode == 3


def _faults_of_runs(competition: Competition) -> Iterator[Fact]:
    runs, problems = list_runs(competition.runs)
    for problem in problems:
        name, _, what = problem.partition(": ")
        yield _fact("run", name, what)
    for run in runs:
        needed = ["config.json", "test.parquet", "oof.parquet"]
        damaged = [name for name in needed if not _whole(run.path / name)]
        for name in damaged:
            yield _fact("run", run.id, f"{name} is damaged or missing: compute it again")
        for name in sorted({*run.altered()} - {*damaged}):
            yield _fact("run", run.id, f"{name} is not what was published: compute it again")


def _damaged_receipts(competition: Competition) -> list[str]:
    return read_receipts(competition.submissions)[1] if competition.submissions.is_dir() else []


def _torn(competition: Competition) -> list[Path]:
    """Results of folds that are not whole."""
    paths = sorted((competition.runs / ".partial").glob("*/fold-*.parquet"))
    return [path for path in paths if not _whole(path)]


def _data_aside(competition: Competition) -> list[Path]:
    """The data, where a kill came between two renames: under the hidden name only."""
    if competition.raw.exists():
        return []
    found = [path for path in competition.raw.parent.glob(".raw.old-*") if orphaned(path, _WEEK)]
    return found[:1]


def _safe(competition: Competition) -> list[Leftover]:
    return [each for each in leftovers(competition, _WEEK) if each.safe]


def _whole(path: Path) -> bool:
    """Whether a file begins and ends as its format does."""
    try:
        if path.suffix == ".json":
            parse_json(path.read_text(encoding="utf-8"))
            return True
        with path.open("rb") as file:
            head = file.read(4)
            length = file.seek(-4, os.SEEK_END) + 4
            return length >= _SMALLEST and head == file.read(4) == b"PAR1"
    except (OSError, ValueError):
        return False


def _fact(name: str, value: str, problem: str, *, mends: bool = False) -> Fact:
    return Fact(name=name, value=value, problem=f"{problem} (--fix mends it)" if mends else problem)


def _name(competition: Competition, path: Path) -> str:
    with suppress(ValueError):
        return path.relative_to(competition.root).as_posix()
    return path.name
