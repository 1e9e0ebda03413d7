"""Seconds (of CPU) that fitting a blend takes, the nested score included.

python tests/benchmarks/blending.py [--members 30] [--rows 20000 100000] [--method greedy]
"""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np

from kit.blending.fit import METHODS, combine
from kit.blending.level import Level
from kit.metrics.base import load_metric
from kit.settings import TaskType

METRICS: list[tuple[str, TaskType]] = [
    ("roc_auc", "binary"),
    ("log_loss", "binary"),
    ("accuracy", "binary"),
    ("f1", "binary"),
    ("log_loss", "multiclass"),
    ("accuracy", "multiclass"),
    ("rmse", "regression"),
    ("mae", "regression"),
]


def level(metric: str, task: TaskType, rows: int, members: int) -> Level:
    """Members of equal strength that err independently; ten classes."""
    rng = np.random.default_rng(0)
    width = 10 if task == "multiclass" else 1
    signal = rng.normal(size=(rows, width))
    seen = signal + rng.normal(size=(members, rows, width))
    if task == "regression":
        y, oof = signal[:, 0], seen
    elif task == "multiclass":
        y, oof = signal.argmax(axis=1), np.exp(seen) / np.exp(seen).sum(axis=2, keepdims=True)
    else:
        y, oof = (signal[:, 0] > 0.5).astype(np.int64), 1 / (1 + np.exp(-seen))
    fold = (np.arange(rows) % 5).astype(np.int8)
    return Level(metric=load_metric(metric, task), task=task, oof=oof, y=y, fold=fold)


def main() -> None:
    """Print a line per metric and size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--members", type=int, default=30)
    parser.add_argument("--rows", type=int, nargs="+", default=[20_000])
    parser.add_argument("--method", choices=METHODS, default="greedy")
    parser.add_argument("--seconds", type=float, default=None, help="the limit given to the fit")
    parser.add_argument("--metric", default="", help="only this one")
    options = parser.parse_args()
    for rows in options.rows:
        for metric, task in METRICS:
            if options.metric not in ("", metric) or (rows > 200_000 and task == "multiclass"):
                continue
            given = level(metric, task, rows, options.members)
            wall, cpu = time.perf_counter(), time.process_time()
            found = combine(given, options.method, seconds=options.seconds)
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
            print(
                f"{rows:>9,} rows x {options.members} members  {metric:9} {task:11} "
                f"cpu {cpu:6.2f} s  wall {wall:6.2f} s  peak {peak:.1f} GB  {found.method}"
            )


if __name__ == "__main__":
    main()
