"""One command, measured: wall time, processor time and memory of its whole process tree.

Other work on the machine makes a time-limited run weaker, so what others used of the processors
meanwhile is measured too, and a run can wait until the machine is quiet.
"""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

CORES = 2
THREADS = {
    "OMP_NUM_THREADS": str(CORES),
    "OPENBLAS_NUM_THREADS": str(CORES),
    "MKL_NUM_THREADS": str(CORES),
    "OMP_WAIT_POLICY": "PASSIVE",  # spinning threads collapse where cores are shared
    "CUDA_VISIBLE_DEVICES": "",
}
POLL = 1.0  # seconds between two looks at the memory
QUIET = 0.35  # cores that others may use before a run starts
WINDOW = 20.0  # seconds they are watched for
DISTURBED = 0.2  # cores used by others, mean over a run, from which on it counts as disturbed


@dataclass(frozen=True)
class Measured:
    """What a command used; `others` in cores, mean over the run."""

    rc: int
    wall: float
    cpu: float
    others: float
    peak_mb: float
    load_before: float
    load_after: float

    def to_json(self) -> dict[str, Any]:
        """Rounded for the results file."""
        return {key: round(value, 3) for key, value in asdict(self).items()}


class Tree:
    """A process and all its descendants, also those whose parent has gone meanwhile."""

    def __init__(self, pid: int) -> None:
        self.root = psutil.Process(pid)
        self.seen: dict[psutil.Process, float] = {self.root: 0.0}
        self.peak = 0

    def look(self) -> None:
        """Take the memory (proportional set size: shared pages count once) and processor times."""
        with contextlib.suppress(psutil.Error):
            for process in self.root.children(recursive=True):
                self.seen.setdefault(process, 0.0)
        total = 0
        for process in self.seen:
            with contextlib.suppress(psutil.Error):
                times = process.cpu_times()
                self.seen[process] = times.user + times.system
                total += process.memory_full_info().pss
        self.peak = max(self.peak, total)

    def kill(self) -> None:
        """End what is left of the tree."""
        for process in self.seen:
            with contextlib.suppress(psutil.Error):
                process.kill()


def busy() -> float:
    """Processor seconds used by anybody since the machine started."""
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system + times.irq + times.softirq + times.steal)


def children_cpu() -> float:
    """Processor seconds of the ended children of this process, and of theirs."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def measure(command: list[str], folder: Path, log: Path, limit: float) -> Measured:
    """Run a command on two cores in a fresh process tree; killed after `limit` seconds."""
    load, before, children = os.getloadavg()[0], busy(), children_cpu()
    start = time.perf_counter()
    with log.open("w") as output:
        child = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, **THREADS, "TMPDIR": str(folder)},  # leftovers go with the folder
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        keep_priority(child.pid)
        tree = Tree(child.pid)
        while child.poll() is None:
            if time.perf_counter() - start > limit:
                tree.kill()
            tree.look()
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(POLL)
    wall = time.perf_counter() - start
    # Orphans are missing among the ended children, short-lived processes among those seen.
    cpu = max(children_cpu() - children, sum(tree.seen.values()))
    others = max(busy() - before - cpu, 0.0) / wall
    tree.kill()
    return Measured(
        child.returncode, wall, cpu, others, tree.peak / 2**20, load, os.getloadavg()[0]
    )


def keep_priority(pid: int) -> None:
    """Give a new session the priority of this process.

    With Linux' autogroups a priority counts within a session only; between sessions the group's
    own counts, and that starts at 0.
    """
    group = Path(f"/proc/{pid}/autogroup")
    with contextlib.suppress(OSError):  # no autogroups, or no right to raise it
        group.write_text(str(os.nice(0)))


def use_cores() -> None:
    """Keep this process and its children to the first cores it may use."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])


def wait_until_quiet(pause: Path | None) -> None:
    """Sleep while a pause file exists or others use the processors.

    The load average still remembers the run that has just ended, so use is measured afresh.
    """
    while True:
        if pause is not None and pause.exists():
            time.sleep(10)
            continue
        before = busy()
        time.sleep(WINDOW)
        if (busy() - before) / WINDOW < QUIET and not (pause is not None and pause.exists()):
            return
