"""Rows per second of RealMLP and TabM while they train, with pytabkit's beside them.

    KERAS_BACKEND=jax python tests/benchmarks/neural_speed.py [--device cuda] [--rows 10000 100000]

Generated columns, no early stopping; a row counts once per fold and epoch. The first epoch
compiles, so each side trains for one epoch and for many, and the difference counts. The pytabkit
lines are left out where it is not installed.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np
import pandas as pd
from sklearn.datasets import make_classification

from kit.models.base import FoldRows, Problem
from kit.models.neural.realmlp import RealMLP
from kit.models.neural.tabm import TabM
from kit.preprocessing.neural import realmlp_recipe, tabm_recipe
from kit.preprocessing.shape import Shape

FOLDS = 5
TABM = {"heads": 32, "blocks": 2, "width": 512, "number_width": 16, "bins": 48, "patience": 0}
PEER_TABM = {"n_blocks": 2, "d_block": 512, "tabm_k": 32, "d_embedding": 16, "num_emb_n_bins": 48}


def made(rows: int, columns: int) -> tuple[pd.DataFrame, Any]:
    """A binary task of numbers."""
    X, y = make_classification(rows, columns, n_informative=columns // 2, random_state=0)
    names = [f"x{i}" for i in range(columns)]
    return pd.DataFrame(X.astype(np.float32), columns=names), y


def kit_folds(network: Any, recipe: Any, X: pd.DataFrame, y: Any) -> Callable[[int], None]:
    """All folds in one program."""
    shape = Shape(
        kinds=dict.fromkeys(X.columns, "numeric"), levels={}, n_rows=len(y), task="binary", seed=0
    )
    problem = Problem(task="binary", n_outputs=1, threads=2)
    fold = np.arange(len(y)) % FOLDS
    prepared = recipe(shape).fit_transform(X, y)
    rows = [
        FoldRows(
            X=prepared[fold != k],
            y=y[fold != k],
            X_valid=prepared[fold == k][:100],
            y_valid=y[fold == k][:100],
        )
        for k in range(FOLDS)
    ]

    def train(epochs: int) -> None:
        network.set_params(epochs=epochs).fit_folds(rows, problem=problem)

    return train


def kit_single(network: Any, recipe: Any, X: pd.DataFrame, y: Any) -> Callable[[int], None]:
    """One network on all rows."""
    shape = Shape(
        kinds=dict.fromkeys(X.columns, "numeric"), levels={}, n_rows=len(y), task="binary", seed=0
    )
    problem = Problem(task="binary", n_outputs=1, threads=2)
    prepared = recipe(shape).fit_transform(X, y)
    return lambda epochs: network.set_params(epochs=epochs).fit(prepared, y, problem=problem)


def peer(name: str, params: dict[str, Any], X: pd.DataFrame, y: Any) -> Callable[[int], None]:
    """A pytabkit estimator on all rows but a hundred, which it wants to validate on."""
    import pytabkit

    make = getattr(pytabkit, name)
    return lambda epochs: make(**params, n_epochs=epochs, random_state=0, verbosity=0).fit(
        X.iloc[100:], y[100:], X.iloc[:100], y[:100]
    )


def rows_per_second(train: Callable[[int], None], rows: int) -> float:
    """From the difference between a short training and one that takes much longer."""
    start = time.perf_counter()
    train(1)
    short, more = time.perf_counter() - start, 4
    while True:
        start = time.perf_counter()
        train(1 + more)
        seconds = time.perf_counter() - start - short
        if seconds > max(3.0, short / 2):
            return rows * more / seconds
        more *= 4


def main() -> None:
    """Print a line per side and size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--columns", type=int, default=30)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--device", default="cpu", help="of pytabkit; Keras takes what it finds")
    parser.add_argument("--sides", nargs="+", default=["realmlp", "tabm"])
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    import keras

    backend, batch = keras.backend.backend(), options.batch
    ours = {
        "realmlp": (RealMLP(batch=batch), realmlp_recipe),
        "tabm": (TabM(**TABM, batch=batch), tabm_recipe),  # type: ignore[arg-type]
    }
    theirs = {
        "realmlp": ("RealMLP_TD_Classifier", {"batch_size": batch}),
        "tabm": (
            "TabM_D_Classifier",
            {**PEER_TABM, "num_emb_type": "pwl", "batch_size": batch, "patience": 10**6},
        ),
    }
    for rows in options.rows:
        X, y = made(rows, options.columns)
        for side in options.sides:
            of_all = rows * (FOLDS - 1)  # rows per epoch over all folds
            lines = {
                f"kit, one ({backend})": (kit_single(*ours[side], X, y), rows),
                f"kit, {FOLDS} folds ({backend})": (kit_folds(*ours[side], X, y), of_all),
            }
            if find_spec("pytabkit"):
                name, params = theirs[side]
                lines["pytabkit"] = (peer(name, {**params, "device": options.device}, X, y), rows)
            for line, (train, count) in lines.items():
                speed = rows_per_second(train, count)
                size = f"{rows:>8,} x {options.columns}"
                print(f"{size}  {side:8} {line:24} {speed:12,.0f}", flush=True)


if __name__ == "__main__":
    main()
