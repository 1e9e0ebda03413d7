"""A fold for which the memory is not enough: it is named, the others are kept, the rest goes on.

The kernel ends such a process with SIGKILL: nothing is raised, and nobody in it can say anything.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kit.competition import Competition

Launch = Callable[..., Any]
WORKER = ("--set", "execution.executor=processes", "--set", "execution.workers=1")
HERE = ("--set", "execution.executor=here")

DYING = """
import os
import signal
from pathlib import Path

from sklearn.linear_model import LogisticRegression


class Dying(LogisticRegression):
    def fit(self, X, y):
        calls = Path(__file__).with_name("calls")
        with calls.open("a") as file:
            file.write("x")
        if calls.stat().st_size == 3:
            self.die()
        return super().fit(X, y)

    def die(self):
        {way}
"""
KILLED = "os.kill(os.getpid(), signal.SIGKILL)"
GROWS = "full = [bytearray(8_000_000) for _ in range(1_000)]"  # 8 GB, all of it written


@pytest.fixture
def dying(toy: Any) -> Callable[[str], Competition]:
    """A competition whose model dies in the third fit, once."""

    def make(way: str) -> Competition:
        code = {"model.py": DYING.format(way=way)}
        models = {"dying": {"use": "model:Dying", "recipe": "linear"}}
        made: Competition = toy(n=200, code=code, models=models, cv={"n_splits": 4})
        return made

    return make


def folds(competition: Competition) -> list[str]:
    return sorted(path.name for path in competition.runs.glob(".partial/*/fold-*.parquet"))


def expect_the_rest(competition: Competition, launch: Launch, *, told: bool) -> None:
    """The next call says what an earlier one could not, and computes what is missing."""
    assert folds(competition) == ["fold-0.parquet", "fold-1.parquet"]
    again = launch(competition, "cv", "dying")
    assert again.wait() == 0, again.err
    assert again.err.count("is there from an earlier call") == 2
    mark = "fold 3 of 4 was in work when an earlier kit was killed"
    assert again.err.count(mark) == told
    assert ("fewer rows, columns or threads" in again.err) == told
    assert (competition.root / "calls").stat().st_size == 5  # the third fold twice


def test_a_killed_worker_is_told_with_its_fold(dying: Any, launch: Launch) -> None:
    competition = dying(KILLED)
    failed = launch(competition, "cv", "dying", *WORKER)
    assert failed.wait() == 1
    assert "model 'dying', fold 3: its worker process died" in failed.err
    assert "lack of memory" in failed.err
    assert "--set execution.executor=here" in failed.err
    assert "Traceback" not in failed.err
    expect_the_rest(competition, launch, told=False)


def test_a_killed_kit_tells_the_fold_the_next_time_and_once(dying: Any, launch: Launch) -> None:
    competition = dying(KILLED)
    assert launch(competition, "cv", "dying", *HERE).wait() == -signal.SIGKILL
    expect_the_rest(competition, launch, told=True)
    assert not list(competition.runs.rglob("in-work"))


@pytest.mark.parametrize("way", ["raise MemoryError", "raise KeyboardInterrupt"])
def test_a_kit_that_ended_by_itself_leaves_no_mark(dying: Any, launch: Launch, way: str) -> None:
    competition = dying(way)
    assert launch(competition, "cv", "dying", *HERE).wait() in (1, 130)
    expect_the_rest(competition, launch, told=False)


def test_a_damaged_mark_is_passed_over(dying: Any, launch: Launch) -> None:
    competition = dying(KILLED)
    launch(competition, "cv", "dying", *HERE).wait()
    (mark,) = competition.runs.rglob("in-work")
    mark.write_text("three")
    expect_the_rest(competition, launch, told=False)


def _group() -> Path | None:
    """A group of processes that may have 600 MB together; None where one cannot be made."""
    base = Path("/sys/fs/cgroup")
    for limit in (base / "memory/memory.limit_in_bytes", base / "memory.max"):
        group = limit.parent / f"kit-test-{os.getpid()}"
        if not (limit.parent / "cgroup.procs").exists():
            continue
        try:
            group.mkdir()
            (group / limit.name).write_text("600000000")
            return group
        except OSError:
            if group.exists():
                group.rmdir()
    return None


@pytest.fixture
def limited(wait_until: Any) -> Iterator[str]:
    """Code that puts a process into a group with too little memory."""
    group = _group()
    if group is None:
        pytest.skip("groups of processes with a limit cannot be made here")
    procs = group / "cgroup.procs"
    yield f"import os; open({str(procs)!r}, 'w').write(str(os.getpid()))"
    wait_until(lambda: not procs.read_text().strip())
    group.rmdir()


@pytest.mark.slow
@pytest.mark.parametrize("executor", [WORKER, HERE])
def test_the_kernel_takes_the_memory_back(
    dying: Any, launch: Launch, limited: str, executor: tuple[str, ...]
) -> None:
    competition = dying(GROWS)
    failed = launch(competition, "cv", "dying", *executor, before=limited)
    assert failed.wait() == (1 if executor is WORKER else -signal.SIGKILL)
    if executor is WORKER:
        assert "model 'dying', fold 3: its worker process died" in failed.err
    assert "Traceback" not in failed.err
    expect_the_rest(competition, launch, told=executor is HERE)
