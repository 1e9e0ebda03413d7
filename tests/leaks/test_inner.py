"""Where to stop: rows that early stopping looks at have no neighbours among those learned from."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from kit.execution.fitting import fit_stopping
from kit.folds import Folds
from kit.inner import InnerSplit, inner_rows, inner_split
from kit.models.base import Model, Problem
from kit.models.lightgbm import LightGBM
from kit.settings import CVSpec
from kit.splitters import make_folds

PROBLEM = Problem(task="regression", n_outputs=1, seed=1, threads=1)
N_GROUPS, N_DAYS = 40, 160
DAY = np.tile(np.arange(N_DAYS), N_GROUPS)
GROUP = np.repeat(np.arange(N_GROUPS), N_DAYS)


def neighbours(of: NDArray[np.int64], smooth: int) -> tuple[pd.DataFrame, NDArray[np.float64]]:
    """A target that only neighbours share: rows of a group, or of `smooth` days."""
    rng = np.random.default_rng(0)
    level = np.convolve(rng.normal(size=of.max() + smooth), np.ones(smooth), "valid")
    X = pd.DataFrame({"of": of.astype(float), "noise": rng.normal(size=len(of))})
    return X, level[of] + 0.3 * rng.normal(size=len(of))


def cut(splitter: str, **spec: Any) -> Folds:
    cv = CVSpec(splitter=splitter, **spec)
    ids, y = range(len(DAY)), np.zeros(len(DAY))
    return make_folds(ids=ids, y=y, task="regression", spec=cv, groups=GROUP, time=pd.Series(DAY))


@pytest.mark.parametrize(
    ("folds", "of", "smooth"),
    [
        (cut("group_kfold", n_splits=2), GROUP, 1),
        (cut("group_time", n_splits=2, horizon="10"), GROUP, 1),
        (cut("time_blocks", n_splits=4, block="4", gap="2"), DAY, 3),
    ],
    ids=["group_kfold", "group_time", "time_blocks"],
)
def test_a_model_that_only_knows_its_neighbours_stops_early(
    folds: Folds, of: NDArray[np.int64], smooth: int
) -> None:
    """Planted: with neighbours learned from it goes on, as if they said anything of new rows."""
    X, y = neighbours(of, smooth)
    rows = folds.train(0)
    apart = inner_split(folds, 0, rows, DAY, GROUP)
    stops = inner_rows(folds.fold[rows], 0, DAY[rows])
    honest, planted = (
        fit_stopping(
            LightGBM(n_estimators=100, learning_rate=0.1, patience=20),
            X.iloc[rows],
            y[rows],
            PROBLEM,
            split,
        ).best_iteration_
        for split in (apart, InnerSplit(~stops, stops))
    )
    assert honest is not None
    assert planted is not None
    assert honest * 3 < planted


class Noting(Model):
    """Notes the rows it is fitted on, and those it stops on."""

    seen: tuple[list[int], list[int]]

    def fit(self, X: Any, y: Any, *, problem: Problem, valid: Any = None) -> Noting:
        type(self).seen = list(X["row"]), list(valid[0]["row"])
        assert (list(y), list(valid[1])) == type(self).seen
        return self

    def predict(self, X: Any) -> Any:
        raise AssertionError("nobody asks")


def test_rows_of_neither_part_are_not_fitted_on() -> None:
    X = pd.DataFrame({"row": range(6)})
    split = InnerSplit(np.arange(6) < 2, np.arange(6) > 3)
    fit_stopping(Noting(), X, np.arange(6), PROBLEM, split)
    assert Noting.seen == ([0, 1], [4, 5])
