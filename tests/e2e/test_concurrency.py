"""Ctrl-C, killed workers, a full disk, and two `kit` at once: nothing finished is lost."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from kit.competition import Competition
from kit.execution.context import load_context, share_folds

# many folds of a second or so each: a signal after the first one surely comes before the end
SLOW: dict[str, Any] = {
    "models": {"lightgbm": {"params": {"n_estimators": 800, "patience": 800}}},
    "cv": {"n_splits": 12, "early_stopping": "fold"},
}
PROCESSES = ["--set", "execution.executor=processes", "--set", "execution.workers=1"]

Wait = Callable[..., None]


def folds(competition: Competition) -> list[Path]:
    return sorted(competition.runs.glob(".partial/*/fold-*.parquet"))


def leftovers(competition: Competition) -> list[Path]:
    """Half-written files, wherever they would be."""
    return [
        *competition.runs.glob(".partial/*/.*.part"),
        *competition.runs.glob(".tmp/*"),
        *competition.root.glob(".*.part"),
        *competition.submissions.glob(".*.part"),
    ]


def runs(competition: Competition) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in competition.runs.glob("2*/run.json")]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_in_a_fold_ends_with_one_line_and_keeps_the_finished_folds(
    toy: Any, launch: Any, wait_until: Wait, number: int
) -> None:
    competition = toy(**SLOW)
    started = launch(competition, "cv", "lightgbm")
    wait_until(lambda: folds(competition))
    os.kill(started.pid, number)
    assert started.wait() == 130
    ending = started.err.splitlines()[-1]
    assert ending.startswith("kit: interrupted")
    assert "Traceback" not in started.err
    assert folds(competition)
    assert not leftovers(competition)
    assert not runs(competition)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_that_python_drops_comes_again(toy: Any, launch: Any, number: int) -> None:
    """In `__del__` no exception can be raised: Python prints it and goes on."""
    dropped = (
        "import os, time, kit.runs\n"
        f"class Last:\n    def __del__(self):\n        os.kill(os.getpid(), {number:d})\n"
        "def work(*_):\n    last = Last()\n    del last\n    time.sleep(20)\n"
        "kit.runs.list_runs = work\n"
    )
    started = launch(toy(n=60), "runs", before=dropped)
    assert started.wait() == 130
    assert started.err.startswith("kit: interrupted")


def test_ctrl_c_with_processes_leaves_no_process_behind(
    toy: Any, launch: Any, wait_until: Wait
) -> None:
    competition = toy(**SLOW)
    started = launch(competition, "cv", "lightgbm", *PROCESSES)
    wait_until(lambda: folds(competition))
    assert len(started.running()) > 1
    os.killpg(started.pid, signal.SIGINT)  # a terminal sends it to all of them
    assert started.wait() == 130
    assert started.err.splitlines()[-1].startswith("kit: interrupted")
    assert "Traceback" not in started.err
    assert folds(competition)
    wait_until(lambda: not started.running(), seconds=10)


@pytest.mark.slow
def test_workers_end_when_their_parent_is_killed(toy: Any, launch: Any, wait_until: Wait) -> None:
    competition = toy(**SLOW)
    started = launch(competition, "cv", "lightgbm", *PROCESSES)
    wait_until(lambda: folds(competition))
    os.kill(started.pid, signal.SIGKILL)
    assert started.wait() == -signal.SIGKILL
    wait_until(lambda: not started.running(), seconds=10)


@pytest.mark.slow
def test_a_killed_worker_is_one_message_and_the_next_model_gets_new_workers(
    toy: Any, launch: Any, wait_until: Wait
) -> None:
    competition = toy(n=1500, **SLOW)
    started = launch(competition, "cv", "lightgbm", "linear", *PROCESSES)
    wait_until(lambda: folds(competition))
    worker = max(
        (p for p in started.running() if "spawn_main" in " ".join(p.cmdline())),
        key=lambda p: p.cpu_times().user,
    )
    worker.send_signal(signal.SIGKILL)
    assert started.wait() == 1
    assert "its worker process died" in started.err
    assert "execution.executor=here" in started.err
    assert "Traceback" not in started.err
    assert folds(competition)
    assert [run["model"] for run in runs(competition)] == ["linear"]


def test_a_second_kit_cv_of_the_same_model_waits_and_publishes_nothing_twice(
    toy: Any, launch: Any, wait_until: Wait
) -> None:
    competition = toy(**{**SLOW, "cv": {**SLOW["cv"], "n_splits": 5}})
    first = launch(competition, "cv", "lightgbm")
    wait_until(lambda: list(competition.runs.glob(".partial/*.lock")))
    second = launch(competition, "cv", "lightgbm")
    assert (first.wait(), second.wait()) == (0, 0)
    assert "another kit computes this run" in second.err
    assert "already there" in second.err
    assert len(runs(competition)) == 1
    assert runs(competition)[0]["id"] in first.out
    assert runs(competition)[0]["id"] in second.out


def test_two_kit_cv_of_different_models_both_publish(toy: Any, launch: Any) -> None:
    competition = toy(n=600)
    both = [launch(competition, "cv", model) for model in ("lightgbm", "linear")]
    assert [started.wait() for started in both] == [0, 0]
    assert sorted(run["model"] for run in runs(competition)) == ["lightgbm", "linear"]
    assert len({run["digests"]["folds"] for run in runs(competition)}) == 1


def test_a_file_limit_in_kit_cv_keeps_the_folds_and_the_rerun_finishes(
    toy: Any, launch: Any
) -> None:
    competition = toy(n=6000, cv={"n_splits": 5})
    share_folds(competition, load_context(competition).folds)
    # a fold file has 40 to 50 kB, the run's oof.parquet 72
    limit = (
        "import resource, signal\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (56_000, 56_000))\n"
    )
    full = launch(competition, "cv", "lightgbm", before=limit)
    assert full.wait() == 1
    assert "the disk is full" in full.err
    assert "run the same command again" in full.err
    assert "Traceback" not in full.err
    assert len(folds(competition)) == 5
    assert not leftovers(competition)
    assert not runs(competition)

    again = launch(competition, "cv", "lightgbm")
    assert again.wait() == 0, again.err
    assert runs(competition)[0]["resumed"] == [0, 1, 2, 3, 4]


def _small_disks() -> bool:
    if sys.platform != "linux" or shutil.which("unshare") is None:
        return False
    mount = "mount -t tmpfs -o size=64k none /mnt"
    return (
        subprocess.run(["unshare", "-rm", "sh", "-c", mount], capture_output=True).returncode == 0
    )


@pytest.mark.slow
@pytest.mark.skipif(not _small_disks(), reason="no user namespaces with tmpfs here")
def test_a_really_full_disk_in_kit_cv_and_kit_submit_loses_nothing(
    toy: Any, tmp_path: Path
) -> None:
    competition = toy(n=1500)
    script = tmp_path / "small_disk.sh"
    kit = f"{sys.executable} -m kit"
    # runs/ and submissions/ lie on a disk of 1 MB that a ballast file fills up
    script.write_text(
        f"""
set -u
cd {competition.root}
mkdir -p disk && mount -t tmpfs -o size=1m none disk && mkdir disk/runs disk/submissions
ln -s disk/runs runs && ln -s disk/submissions submissions
mkdir -p disk/runs/.partial
fill() {{ head -c $(( $(df --output=avail -B1 disk | tail -1) - $1 )) /dev/zero > disk/ballast; }}
fill 60000
{kit} cv lightgbm 2> cv-full.err; echo $? > cv-full.code
ls disk/runs/.partial/*/fold-*.parquet > cv-full.folds
rm disk/ballast
{kit} cv lightgbm 2> cv.err; echo $? > cv.code
fill 4096
{kit} submit --dry-run 2> submit-full.err; echo $? > submit-full.code
ls -A disk/submissions > submit-full.files
rm disk/ballast
{kit} submit --dry-run 2> submit.err; echo $? > submit.code
""",
        encoding="utf-8",
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run(["unshare", "-rm", "sh", str(script)], env=environment, check=True)

    def read(name: str) -> str:
        return (competition.root / name).read_text()

    codes = [read(f"{n}.code").strip() for n in ("cv-full", "cv", "submit-full", "submit")]
    assert codes == ["1", "0", "1", "0"], read("cv.err") + read("submit.err")
    for name in ("cv-full", "submit-full"):
        assert "the disk is full" in read(f"{name}.err"), read(f"{name}.err")
        assert "Traceback" not in read(f"{name}.err")
    kept = len(read("cv-full.folds").split())
    assert kept > 0
    assert read("cv.err").count("is there from an earlier call") == kept
    assert not read("submit-full.files").strip()


def test_no_test_here_leaves_a_kit_process(server: Any) -> None:
    children = psutil.Process(server.process.pid).children(recursive=True)
    assert [p for p in children if p.status() != psutil.STATUS_ZOMBIE] == []
