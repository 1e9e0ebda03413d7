"""Fold tasks on 1 and 2 workers of a cluster, and what follows for 10, 100 and 1,000.

    python tests/benchmarks/cluster.py [--rows 2000] [--columns 20] [--folds 40] [--seconds 0.5]
    python tests/benchmarks/cluster.py --simulate --client MS --scheduler MS --overhead MS

The model sleeps, so that what is measured is the cluster and not the cores. Scheduler and workers
are processes of `kit cluster up` on this machine. Efficiency is the tasks' own seconds by workers
times elapsed seconds, from the moment all workers are ready; overhead is what a task takes beside
its own seconds. The simulation has the measured costs: the client and the scheduler handle one task
at a time, files leave the client one after the other. It is checked against what was measured: the
costs of one worker must foretell two. Where a cost leaves less than .8 of the efficiency it is
named: messages (client or scheduler is full), waiting (the task is short beside its overhead),
files (they take longer to send than the work lasts), tasks (there are too few to share).
"""

from __future__ import annotations

import argparse
import heapq
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

MODEL = """
import time
from sklearn.linear_model import LogisticRegression

class Sleeps(LogisticRegression):
    def fit(self, X, y):
        time.sleep(SECONDS)
        return super().fit(X, y)

def build():
    return Sleeps()
"""
TOML = """schema = 1
competition = {{ slug = "bench" }}
columns = {{ id = "id", target = ["y"] }}
task = {{ type = "binary", metric = "roc_auc", classes = ["0", "1"] }}
submission = {{ wants = "probability", columns = ["y"] }}
cv = {{ n_splits = {folds} }}
models = {{ sleeps = {{ use = "model:build", recipe = "linear" }} }}
execution = {{ on = "{address}" }}
"""
_IDLE = 4.0  # seconds that say what client and scheduler take without any task
UPLINK = 125e6  # bytes per second: 1 Gbit/s
_BROKEN = 0.8  # a cost that leaves less than this of the efficiency is named


def generate(root: Path, rows: int, columns: int, seconds: float) -> None:
    """Numbers, and a target that follows the first."""
    import numpy as np
    import pandas as pd

    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        rng.normal(size=(rows, columns)), columns=[f"x{k}" for k in range(columns)]
    )
    frame.insert(0, "id", range(rows))
    frame["y"] = (frame["x0"] + rng.normal(size=rows) > 0).astype(int)
    raw = root / "data" / "raw"
    raw.mkdir(parents=True)
    cut = rows * 4 // 5
    frame[:cut].to_csv(raw / "train.csv", index=False)
    frame[cut:].drop(columns="y").to_csv(raw / "test.csv", index=False)
    frame.loc[cut:, ["id", "y"]].to_csv(raw / "sample_submission.csv", index=False)
    (root / "model.py").write_text(MODEL.replace("SECONDS", str(seconds)))


def measure(root: Path, workers: int, folds: int) -> dict[str, float]:
    """All folds on so many workers."""
    import psutil

    from kit.competition import Competition
    from kit.execution.cluster import ClusterWorkers
    from kit.execution.context import load_context
    from kit.execution.link import files_of
    from kit.execution.processes import Processes
    from kit.plan import make_plan
    from kit.session import Session

    command = [sys.executable, "-m", "kit", "cluster", "up", "--workers", str(workers)]
    up = subprocess.Popen([*command, "--port", "0"], stdout=subprocess.PIPE, text=True)
    assert up.stdout is not None
    address = up.stdout.readline().split()[-1]
    (root / "kit.toml").write_text(TOML.format(folds=folds, address=address))
    competition = Competition.load(root)
    crew = ClusterWorkers(competition)
    context = load_context(competition)
    session = Session(
        competition=competition,
        context=context,
        executor=Processes(crew),
        threads=1,
        listen=lambda event: None,
    )
    tasks = make_plan(session, "sleeps").tasks(range(folds))
    while crew.free < workers:
        crew.wait(1.0)
    reading = time.perf_counter()
    for task in tasks[:workers]:  # the first task of a worker reads the data
        crew.start(task)
    while crew.running:
        crew.wait(1.0)
    reading = time.perf_counter() - reading
    scheduler = psutil.Process(up.pid)
    rest = _cpu(scheduler)
    time.sleep(_IDLE)
    idle = [(after - before) / _IDLE for before, after in zip(rest, _cpu(scheduler), strict=True)]
    began, before = time.perf_counter(), _cpu(scheduler)
    own = [sum(result.seconds.values()) for result in session.executor.run(tasks)]
    wall = time.perf_counter() - began
    busy = [after - then for then, after in zip(before, _cpu(scheduler), strict=True)]
    used, theirs = (max(0.0, all_ - wall * rate) for all_, rate in zip(busy, idle, strict=True))
    size = sum(path.stat().st_size for _, path in files_of(competition)[0].values())
    sent = max(crew.sent.values())
    crew.close()
    up.send_signal(signal.SIGINT)
    up.communicate()
    return {
        "workers": workers,
        "tasks": len(own),
        "wall s": round(wall, 2),
        "own s per task": round(sum(own) / len(own), 3),
        "efficiency": round(sum(own) / (workers * wall), 3),
        "overhead ms per task": round(1000 * (workers * wall - sum(own)) / len(own), 1),
        "client ms per task": round(1000 * used / len(own), 1),
        "scheduler ms per task": round(1000 * theirs / len(own), 1),
        "first task s": round(reading, 2),
        "bytes sent per worker": sent,
        "bytes of data": size,
    }


def _cpu(scheduler: Any) -> tuple[float, float]:
    """Seconds of processor time so far: of this process, and of the scheduler's."""
    return time.process_time(), sum(scheduler.cpu_times()[:2])


def simulate(
    workers: int,
    seconds: float,
    *,
    serial: float,
    overhead: float,
    size: float,
    tasks: int,
    spread: float = 0.2,
) -> float:
    """Efficiency of so many workers, from the moment the first file is sent.

    Args:
        workers: how many.
        seconds: of a task, plus or minus `spread` of it.
        serial: seconds per task of whoever can handle one at a time: client or scheduler.
        overhead: further seconds per task that the worker waits.
        size: bytes of files per worker, through one line of `UPLINK`; 0: they are there already.
        tasks: in all.
        spread: see `seconds`.
    """
    rng = random.Random(0)
    free = [(size / UPLINK * (k + 1), k) for k in range(workers)]
    heapq.heapify(free)
    server = own = end = 0.0
    for _ in range(tasks):
        at, worker = heapq.heappop(free)
        server = max(server, at) + serial  # its turn comes
        took = seconds * rng.uniform(1 - spread, 1 + spread)
        own, done = own + took, server + overhead + took
        end = max(end, done)
        heapq.heappush(free, (done, worker))
    return own / (workers * end)


def ceilings(
    workers: int, seconds: float, *, serial: float, overhead: float, size: float, tasks: int
) -> dict[str, float]:
    """What each cost alone would leave of the efficiency; the least is what it breaks by."""
    work = tasks * seconds / workers  # seconds, evenly shared
    return {
        "messages": min(1.0, seconds / (workers * serial)) if serial else 1.0,
        "waiting": seconds / (seconds + serial + overhead),
        "files": work / (work + workers * size / UPLINK),
        "tasks": tasks / (workers * -(-tasks // workers)),
    }


def check(measured: Sequence[dict[str, float]]) -> None:
    """The model beside what was measured, with the costs of one worker alone."""
    first = measured[0]
    costs = _costs(first)
    for found in measured:
        simulated = simulate(
            int(found["workers"]),
            found["own s per task"],
            **costs,
            size=0.0,
            tasks=int(found["tasks"]),
            spread=0.0,
        )
        off = simulated / found["efficiency"] - 1
        print(
            f"{found['workers']} workers: measured {found['efficiency']:.3f}, model "
            f"{simulated:.3f} ({off:+.1%})"
        )


def _costs(found: dict[str, float]) -> dict[str, float]:
    serial = max(found["client ms per task"], found["scheduler ms per task"]) / 1000
    return {"serial": serial, "overhead": max(0.0, found["overhead ms per task"] / 1000 - serial)}


def table(serial: float, overhead: float) -> None:
    """Efficiency by length of a task and number of workers, and what it breaks by."""
    print(f"{1000 * serial:.1f} ms one at a time, {1000 * overhead:.1f} ms more per task;")
    counts = (10, 100, 1_000)
    for title, size, each in (
        ("10 tasks per worker, files are there", 0.0, 10),
        ("10 tasks per worker, 1 GB to each worker first over 1 Gbit/s", 1e9, 10),
        ("1,000 tasks in all (200 trials of five folds), 100 MB to each worker first", 1e8, 0),
    ):
        print(f"\n{title}")
        print("task      " + "".join(f"{count:>10} workers" for count in counts))
        for seconds in (1, 10, 60, 600):
            cells = []
            for count in counts:
                work = {"size": size, "tasks": count * each or 1_000}
                costs = {"serial": serial, "overhead": overhead, **work}
                limits = ceilings(count, seconds, **costs)
                least = min(limits, key=lambda name: limits[name])
                why = least if limits[least] < _BROKEN else ""
                cells.append(f"{simulate(count, seconds, **costs):8.2f} {why:<9}")
            print(f"{seconds:>5} s   {''.join(cells)}")
    print(f"\none client fills up to (task's seconds / {serial:.4f}) workers")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--columns", type=int, default=20)
    parser.add_argument("--folds", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=0.5)
    parser.add_argument("--simulate", action="store_true", help="only the model")
    parser.add_argument("--client", type=float, default=20.0)
    parser.add_argument("--scheduler", type=float, default=20.0)
    parser.add_argument("--overhead", type=float, default=50.0)
    asked = parser.parse_args()
    costs = {
        "serial": max(asked.client, asked.scheduler) / 1000,
        "overhead": asked.overhead / 1000,
    }
    if not asked.simulate:
        measured = []
        with tempfile.TemporaryDirectory() as folder:
            generate(Path(folder), asked.rows, asked.columns, asked.seconds)
            for workers in (1, 2):
                measured.append(measure(Path(folder), workers, asked.folds))
                print(json.dumps(measured[-1]), flush=True)
        check(measured)
        costs = _costs(measured[-1])
    table(**costs)


if __name__ == "__main__":
    main()
