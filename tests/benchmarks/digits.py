"""kit's models on tiny images against a plain script: a support vector machine on the pixels.

The digits are scikit-learn's, 8 x 8 pixels; which rows are hidden is that of the sample provider.

    python tests/benchmarks/digits.py --models linear extra_trees resnet cnn

Figures are errors of labels, log loss and accuracy on the hidden rows, errors by cross-validation
on the same folds for all, and seconds of the processor.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, PredefinedSplit, cross_val_predict
from sklearn.svm import SVC

from kit.blend import blend
from kit.competition import Competition
from kit.cv import cross_validate
from kit.providers.base import load_provider
from kit.scaffold.write import create
from kit.session import open_session
from kit.settings import ProviderSpec

_GRID = {"C": [1, 10, 100], "gamma": ["scale", 0.0005, 0.001, 0.002, 0.004]}


def answers(test: pd.DataFrame) -> NDArray[np.int64]:
    """What the hidden rows show: no two digits have the same pixels."""
    digits = load_digits()
    known = {tuple(row): y for row, y in zip(digits.data, digits.target, strict=True)}
    return np.array([known[tuple(row)] for row in test.to_numpy(dtype=float)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = ["linear", "extra_trees", "lightgbm-shallow", "resnet"]  # what `kit new` writes
    parser.add_argument("--models", nargs="+", default=default)
    parser.add_argument("--folds", type=int, default=4)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root, spec = Path(folder) / "digits", ProviderSpec(name="sample", source="digits")
        provider = load_provider("digits", spec, root)
        flags = {"folds": chosen.folds}
        create(root, provider, spec, flags=flags, template=None, progress=lambda *_: None)
        train, test = (pd.read_csv(root / "data/raw" / f"{part}.csv") for part in ("train", "test"))
        pixels = [name for name in test if name.startswith("pixel")]
        y, hidden = train["digit"].to_numpy(), answers(test[pixels])
        print(f"{len(train)} + {len(test)} rows; errors by CV, hidden errors, log loss, accuracy")

        def show(
            name: str, wrong: int, found: NDArray[np.int64], proba: NDArray | None, seconds: float
        ) -> None:
            errors = int((found != hidden).sum())
            loss = "" if proba is None else f"{log_loss(hidden, proba):.4f}"
            right = 1 - errors / len(hidden)
            print(f"  {name:<18} {wrong:4d} {errors:4d} {loss:>7} {right:.4f} {seconds:7.1f} s")

        runs = []
        with open_session(Competition.load(root, ["execution.threads=1"])) as session:
            fold = session.context.folds.fold
            started, cut = time.process_time(), PredefinedSplit(fold)
            search = GridSearchCV(SVC(), _GRID, cv=cut).fit(train[pixels], y)
            oof = cross_val_predict(search.best_estimator_, train[pixels], y, cv=cut)
            found = search.predict(test[pixels])
            seconds = time.process_time() - started
            show("plain SVC", int((oof != y).sum()), found, None, seconds)
            for model in chosen.models:
                started = time.process_time()
                run = cross_validate(session, model)
                assert run is not None
                runs.append((model, run, time.process_time() - started))
        started = time.process_time()
        mixed = blend(session.competition, [run.id for _, run, _ in runs])
        for name, run, seconds in [*runs, ("blend", mixed, time.process_time() - started)]:
            proba = run.test().iloc[:, 1:].to_numpy()
            wrong = run.oof().iloc[:, 2:12].to_numpy().argmax(axis=1) != y
            proba = proba / proba.sum(axis=1, keepdims=True)
            show(name, int(wrong.sum()), proba.argmax(axis=1), proba, seconds)


if __name__ == "__main__":
    main()
