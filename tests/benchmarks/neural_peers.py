"""RealMLP and TabM against the PyTorch implementations they follow: score and time, same splits.

    python tests/benchmarks/neural_peers.py [--data diabetes] [--folds 5] [--threads 2]

Needs `pip install pytabkit torch`; ends with a message where they are missing. Both sides take the
same columns and stop on the same validation rows, which are also the ones scored: a comparison of
implementations, not an estimate of what either is worth.
"""

from __future__ import annotations

import argparse
import resource
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn import datasets
from sklearn.model_selection import KFold, StratifiedKFold

from kit.models.base import Problem
from kit.models.neural.realmlp import RealMLP
from kit.models.neural.tabm import TabM
from kit.preprocessing.neural import realmlp_recipe, tabm_recipe
from kit.preprocessing.shape import Shape

PEER = {"n_blocks": 2, "d_block": 128, "tabm_k": 8, "d_embedding": 8, "num_emb_n_bins": 16}
OURS = {"blocks": 2, "width": 128, "heads": 8, "number_width": 8, "bins": 16, "batch": 256}
LOADERS = {
    "diabetes": datasets.load_diabetes,
    "breast_cancer": datasets.load_breast_cancer,
    "digits": datasets.load_digits,
}


@dataclass(frozen=True)
class Data:
    """A bundled data set and its splits."""

    X: Any
    y: Any
    task: str
    splits: list[tuple[Any, Any]]


def read(name: str, n_folds: int) -> Data:
    """Numbers only, so that preprocessing is all there is between the sides."""
    bunch = LOADERS[name](as_frame=True)
    y = bunch.target.to_numpy()
    task = "regression" if name == "diabetes" else "binary" if y.max() == 1 else "multiclass"
    cut = KFold if task == "regression" else StratifiedKFold
    splits = list(cut(n_folds, shuffle=True, random_state=0).split(bunch.data, y))
    return Data(bunch.data, y, task, splits)


def kit_side(network: Any, recipe: Any, data: Data, threads: int) -> list[Any]:
    """Our network, one fold after the other, stopped on the fold's own rows."""
    outputs = len(np.unique(data.y)) if data.task == "multiclass" else 1
    needs = "value" if data.task == "regression" else "label"
    problem = Problem(task=data.task, n_outputs=outputs, threads=threads, needs=needs)  # type: ignore[arg-type]
    kinds = dict.fromkeys(data.X.columns, "numeric")
    shape = Shape(kinds=kinds, levels={}, n_rows=len(data.y), task=data.task, seed=0)  # type: ignore[arg-type]
    parts = []
    for train, valid in data.splits:
        steps = recipe(shape)
        X = steps.fit_transform(data.X.iloc[train], data.y[train])
        X_valid = steps.transform(data.X.iloc[valid])
        network.fit(X, data.y[train], problem=problem, valid=(X_valid, data.y[valid]))
        parts.append(network.predict(X_valid))
    return parts


def peer_side(make: Callable[[], Any], data: Data) -> list[Any]:
    """A pytabkit estimator, likewise."""
    parts = []
    for train, valid in data.splits:
        X_valid, y_valid = data.X.iloc[valid], data.y[valid]
        model = make().fit(data.X.iloc[train], data.y[train], X_valid, y_valid)
        regression = data.task == "regression"
        found = model.predict(X_valid)[:, None] if regression else model.predict_proba(X_valid)
        parts.append(found[:, 1:] if data.task == "binary" else found)
    return parts


def score(data: Data, parts: list[Any]) -> float:
    """RMSE, or the share of errors."""
    wrong = []
    for (_, valid), predicted in zip(data.splits, parts, strict=True):
        y = data.y[valid]
        if data.task == "regression":
            wrong.append((predicted[:, 0] - y) ** 2)
        elif data.task == "binary":
            wrong.append((predicted[:, 0] > 0.5) != y)
        else:
            wrong.append(predicted.argmax(axis=1) != y)
    mean = float(np.concatenate(wrong).mean())
    return mean**0.5 if data.task == "regression" else mean


def main() -> None:
    """Run the four sides, print scores and seconds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", choices=sorted(LOADERS), default="diabetes")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    try:
        import pytabkit
        import torch
    except ImportError as error:
        raise SystemExit(f"skipped: {error}. pip install pytabkit torch") from error
    warnings.simplefilter("ignore")
    torch.set_num_threads(options.threads)
    data = read(options.data, options.folds)
    kind = "Regressor" if data.task == "regression" else "Classifier"
    common = {"device": "cpu", "n_threads": options.threads, "random_state": 0, "verbosity": 0}
    realmlp, tabm = (getattr(pytabkit, f"{name}_{kind}") for name in ("RealMLP_TD", "TabM_D"))
    tabm_params = {**PEER, "num_emb_type": "pwl", "batch_size": 256}
    sides: dict[str, Callable[[], list[Any]]] = {
        "realmlp kit": lambda: kit_side(RealMLP(), realmlp_recipe, data, options.threads),
        "realmlp pytabkit": lambda: peer_side(lambda: realmlp(**common), data),
        "tabm kit": lambda: kit_side(TabM(**OURS), tabm_recipe, data, options.threads),  # type: ignore[arg-type]
        "tabm pytabkit": lambda: peer_side(lambda: tabm(**common, **tabm_params), data),
    }
    for name, side in sides.items():
        wall, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
        parts = side()
        after = resource.getrusage(resource.RUSAGE_SELF)
        used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        seconds = time.perf_counter() - wall
        print(f"{name:18} {score(data, parts):.5f}  {seconds:.1f} s ({used:.1f} processor)")


if __name__ == "__main__":
    main()
