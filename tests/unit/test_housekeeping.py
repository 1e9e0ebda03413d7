"""`kit gc` and `kit doctor --fix`: what may go goes, what somebody has or wants stays."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from kit import mending
from kit.atomic import machine, token
from kit.competition import Competition
from kit.housekeeping import leftovers, orphaned, remove
from kit.mending import disk_faults, examine, mend

WEEK = 7 * 86_400.0


@pytest.fixture
def competition(without_data: Callable[..., Competition]) -> Competition:
    made = without_data("rmse")
    made.runs.mkdir()
    return made


@pytest.fixture(scope="module")
def dead() -> str:
    """The token of a process that has ended."""
    done = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True
    )
    return f"{machine()}-{int(done.stdout):x}-0a1b2c"


def aged(path: Path, seconds: float) -> Path:
    then = time.time() - seconds
    for each in (*path.rglob("*"), path):
        os.utime(each, (then, then))
    return path


def partial(competition: Competition, name: str, content: bytes = b"PAR1....PAR1") -> Path:
    folder = competition.runs / ".partial" / name
    folder.mkdir(parents=True)
    (folder / "fold-0.parquet").write_bytes(content)
    return folder


def names(competition: Competition, older_than: float = WEEK) -> list[str]:
    found = leftovers(competition, older_than)
    return [os.path.relpath(each.path, competition.root) for each in found]


def test_what_a_killed_process_left_is_found_wherever_kit_puts_such_things(
    competition: Competition, dead: str
) -> None:
    root = competition.root
    expected = [
        f"../.{root.name}.new-{dead}", f".cache/.key.{dead}", f".cache/null-labels-{dead}",
        f".cache/rerun-{dead}", f"data/.raw.new-{dead}", f"exports/.run.{dead}.part",
        f"exports/run/.proof-{dead}-x", f"predictions/.new.csv.{dead}.part",
        f"runs/.partial/fit-{dead}", f"runs/.tmp/{dead}",
        f"submissions/.a.csv.{dead}.part",
    ]  # fmt: skip
    for name in expected:
        (root / name).mkdir(parents=True)
        (root / name / "file").write_text("12345")
    assert names(competition) == sorted(expected, key=lambda name: (root / name).resolve())
    assert sum(each.bytes for each in leftovers(competition, WEEK)) == 5 * len(expected)


def test_what_a_living_process_has_in_work_stays_however_old(competition: Competition) -> None:
    for name in (f"runs/.tmp/{token()}", f".cache/rerun-{token()}", f".cache/rerun-x{token()}"):
        path = competition.root / name
        path.mkdir(parents=True)
        aged(path, 10 * WEEK)
    assert names(competition, 0.0) == []


def test_of_other_machines_only_what_is_old_goes(competition: Competition) -> None:
    other = "ffff" if machine() != "ffff" else "eeee"
    new, old = (competition.root / ".cache" / f"rerun-{other}-1-00000{k}" for k in (1, 2))
    new.mkdir(parents=True)
    old.mkdir()
    aged(old, 2 * 86_400)
    assert [each.path for each in leftovers(competition, WEEK)] == [old]


@pytest.mark.parametrize("name", ["notes.part", ".env", ".cache-mine", ".git", "a.lock"])
def test_names_that_are_not_of_kit_are_left_alone(competition: Competition, name: str) -> None:
    for folder in (competition.root, competition.runs, competition.root / "data"):
        folder.mkdir(exist_ok=True)
        aged(folder / name if (folder / name).mkdir() is None else folder, 10 * WEEK)
    assert names(competition, 0.0) == []


def test_finished_folds_stay_for_a_week_and_while_somebody_computes(
    competition: Competition,
) -> None:
    aged(partial(competition, "a" * 32), 8 * 86_400)
    partial(competition, "b" * 32)
    held = aged(partial(competition, "c" * 32), 8 * 86_400)
    with FileLock(held.with_suffix(".lock")):
        found = leftovers(competition, WEEK)
        assert [each.path.name for each in found] == ["a" * 32]
        assert remove(found[0])
        # somebody takes it up between the look and the removal
        free = [e for e in leftovers(competition, 0.0) if e.path.name == "b" * 32]
        with FileLock(free[0].path.with_suffix(".lock")):
            assert not remove(free[0])
    assert sorted(p.name for p in held.parent.iterdir() if p.is_dir()) == ["b" * 32, "c" * 32]


def test_a_time_from_a_clock_that_was_wrong_does_not_keep_things_for_ever(
    competition: Competition,
) -> None:
    aged(partial(competition, "a" * 32), -400 * 86_400)
    assert names(competition) == [f"runs/.partial/{'a' * 32}"]


def test_folds_of_a_published_run_go_at_once(
    competition: Competition, make_run: Callable[..., Any]
) -> None:
    run = make_run(competition.runs, "linear", [0.1, 0.2])
    partial(competition, run.hash)
    assert names(competition) == [f"runs/.partial/{run.hash}"]
    assert remove(leftovers(competition, WEEK)[0])
    assert run.path.is_dir()


def test_gc_says_what_and_how_much_and_touches_no_run_or_receipt(
    competition: Competition, make_run: Callable[..., Any], run_kit: Any, dead: str
) -> None:
    run = make_run(competition.runs, "linear", [0.1, 0.2])
    competition.submissions.mkdir()
    receipt = competition.submissions / "a.json"
    receipt.write_text("{}")
    for path in (run.path, receipt):
        aged(path, 50 * WEEK)
    left = competition.runs / ".tmp" / dead
    left.mkdir(parents=True)
    (left / "oof.parquet").write_bytes(bytes(2_500))
    looked = run_kit("gc", "--dry-run", "-C", competition.root)
    assert looked.code == 0
    assert f"runs/.tmp/{dead}" in looked.out
    assert "1 would go, 2.5 kB." in looked.out
    assert left.is_dir()
    done = json.loads(run_kit("gc", "--older-than", "0s", "--json", "-C", competition.root).out)
    assert (done["bytes"], len(done["removed"])) == (2_500, 1)
    assert not left.exists()
    assert receipt.is_file()
    assert run.test() is not None
    assert "nothing to remove" in run_kit("gc", "-C", competition.root).out


def test_a_link_is_removed_and_what_it_leads_to_stays(
    competition: Competition, tmp_path_factory: pytest.TempPathFactory, dead: str
) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (outside / "mine").write_text("mine")
    inside = competition.root / ".cache" / f"rerun-{dead}"
    inside.mkdir(parents=True)
    (inside / "data").symlink_to(outside)
    (competition.root / ".cache" / f"null-labels-{dead}").symlink_to(outside)
    assert all(remove(each) for each in leftovers(competition, WEEK))
    assert (outside / "mine").read_text() == "mine"
    assert not inside.exists()


@pytest.mark.parametrize(
    ("number", "raises"), [(errno.EROFS, False), (errno.EACCES, False), (errno.ENOLCK, True)]
)
def test_locks_of_a_folder_to_read_only_are_left_alone(
    competition: Competition, run_kit: Any, monkeypatch: Any, number: int, raises: bool
) -> None:
    (competition.runs / ".partial").mkdir(parents=True)
    (competition.runs / ".partial" / f"{'d' * 32}.lock").touch()

    def refused(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("kit.housekeeping.FileLock.acquire", refused)
    done = run_kit("gc", "-C", competition.root)
    assert done.code == int(raises)
    assert os.strerror(errno.ENOLCK) in done.err if raises else "nothing to remove" in done.out


def test_doctor_mends_and_says_so(competition: Competition, run_kit: Any, dead: str) -> None:
    torn = partial(competition, "a" * 32, b"PAR1 torn") / "fold-0.parquet"
    old = competition.root / "data" / f".raw.old-{dead}"
    old.mkdir(parents=True)
    (old / "train.csv").write_text("id,y\n")
    left = competition.runs / ".tmp" / dead
    left.mkdir(parents=True)
    lock = competition.runs / ".partial" / f"{'d' * 32}.lock"
    lock.touch()
    before = run_kit("doctor", "-C", competition.root)
    assert before.out.count("--fix") == 3  # a lock that nobody holds is nothing wrong
    assert torn.exists()
    done = run_kit("doctor", "--fix", "-C", competition.root)
    assert (competition.raw / "train.csv").read_text() == "id,y\n"
    assert not any(path.exists() for path in (torn, left, lock, old))
    kept = competition.cache / "set-aside" / f"{'a' * 12}-fold-0.parquet"
    assert kept.read_bytes() == b"PAR1 torn"
    assert done.out.count("mended") == 4
    assert "--fix mends" not in run_kit("doctor", "-C", competition.root).out


def test_doctor_names_damaged_runs_and_receipts_and_leaves_them(
    competition: Competition, make_run: Callable[..., Any]
) -> None:
    run = make_run(competition.runs, "linear", [0.1, 0.2])
    (run.path / "test.parquet").write_bytes(b"PAR1")
    (competition.runs / "2-strange").mkdir()
    competition.submissions.mkdir()
    (competition.submissions / "a.json").write_text("{")
    edited = make_run(competition.runs, "knn", [0.3])
    edited.oof().assign(pred=0.9).to_parquet(edited.path / "oof.parquet", index=False)
    newer = make_run(competition.runs, "ridge", [0.1])
    record = json.loads((newer.path / "run.json").read_text())
    (newer.path / "run.json").write_text(json.dumps({**record, "schema": 99}))
    told = " | ".join(f"{f.name} {f.value} {f.problem}" for f in examine(competition))
    for part in (f"run {run.id} test.parquet is damaged", "2-strange has no run.json", "a.json",
                 f"run {edited.id} oof.parquet is not what was published",
                 "written by a newer kit"):  # fmt: skip
        assert part in told
    assert mend(competition) == []
    assert (run.path / "test.parquet").read_bytes() == b"PAR1"


def test_doctor_tries_renames_and_locks_and_leaves_no_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert list(disk_faults(tmp_path)) == []

    def refused(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("fcntl.flock", refused)
    assert ["flock" in fact.problem for fact in disk_faults(tmp_path)] == [True]
    monkeypatch.undo()
    # locks that every process gets: as on disks that only pretend
    monkeypatch.setattr(mending, "_TRY_LOCK", "")
    assert ["flock" in fact.problem for fact in disk_faults(tmp_path)] == [True]
    monkeypatch.setattr("os.replace", refused)
    assert [fact.serious for fact in disk_faults(tmp_path)] == [True, False]
    assert list(tmp_path.iterdir()) == []


def test_fix_needs_a_competition(run_kit: Any, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    done = run_kit("doctor", "--fix")
    assert (done.code, "--fix needs a competition" in done.err) == (1, True)


def test_a_name_beside_a_final_one_tells_its_process(tmp_path: Path, dead: str) -> None:
    assert not orphaned(tmp_path / f".a.{token()}.part", 0.0)
    assert orphaned(tmp_path / f".a.{dead}.part")
    assert not orphaned(tmp_path / ".a.part", 0.0)
