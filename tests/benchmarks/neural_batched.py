"""All folds of a network in one program against one fold after the other, as a ratio of time.

    python tests/benchmarks/neural_batched.py [--rows 2000] [--columns 20] [--folds 5] [--epochs 16]

Both train the same networks on the same rows for the same number of epochs without early stopping
and include compiling. Processor time is printed beside wall time, for machines that do other work.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from kit.models.base import FoldRows, Problem
from kit.models.neural.realmlp import RealMLP
from kit.models.neural.tabm import TabM


def parts(rows: int, columns: int, folds: int) -> list[FoldRows]:
    """Folds of numbers with a wavy target."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(rows, columns)).astype(np.float32)).add_prefix("x")
    y = X["x0"].to_numpy() * X["x1"].to_numpy() + np.sin(X["x2"].to_numpy())
    fold = np.arange(rows) % folds
    made = []
    for k in range(folds):
        kept = fold != k
        made.append(FoldRows(X=X[kept], y=y[kept], X_valid=X[~kept], y_valid=y[~kept]))
    return made


def measured(work: Callable[[], Any]) -> tuple[float, float]:
    """Wall and processor seconds."""
    wall, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
    work()
    after = resource.getrusage(resource.RUSAGE_SELF)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - wall, used


def main() -> None:
    """Train both ways, print seconds and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("rows", 2000), ("columns", 20), ("folds", 5), ("epochs", 16)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    folds = parts(options.rows, options.columns, options.folds)
    problem = Problem(task="regression", n_outputs=1, threads=2)
    networks = {
        "realmlp": RealMLP(epochs=options.epochs),
        "tabm": TabM(epochs=options.epochs, heads=8, width=128, number_width=8, bins=16),
    }
    RealMLP(epochs=1, layers=(8,)).fit(folds[0].X, folds[0].y, problem=problem)  # imports
    for name, network in networks.items():

        def together(network: Any = network) -> None:
            network._fitted([(fold.X, fold.y) for fold in folds], None, problem)

        def apart(network: Any = network) -> None:
            for fold in folds:
                network.fit(fold.X, fold.y, problem=problem)

        one, other = measured(apart), measured(together)
        print(
            f"{name}: apart {one[0]:.1f} s ({one[1]:.1f} processor), "
            f"together {other[0]:.1f} s ({other[1]:.1f}), "
            f"ratio {one[0] / other[0]:.2f} ({one[1] / other[1]:.2f})",
            flush=True,
        )


if __name__ == "__main__":
    main()
