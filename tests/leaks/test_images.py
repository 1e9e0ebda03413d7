"""Models on images: what is scored on a fold has seen neither its labels nor its pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.preprocessing import StandardScaler

from kit.competition import Competition
from kit.execution.context import FoldContext, load_context
from kit.execution.results import FoldResult
from kit.execution.task import FoldTask, run_folds
from kit.preprocessing import images
from kit.settings import ModelSpec

Make = Callable[..., Competition]
SIDE = 8
SMALL = {
    "lightgbm": {"n_estimators": 30, "learning_rate": 0.1},
    "linear": {"strengths": [10.0]},
    "cnn": {"epochs": 2, "filters": [4, 4], "dense": 8, "size": 16, "mirror": False},
    "resnet": {"epochs": 2, "filters": 4, "stages": 2, "blocks": 1},
}
NETWORKS = ("cnn", "resnet")
EVERY = [
    pytest.param(name, marks=[pytest.mark.slow, pytest.mark.neural] if name in NETWORKS else [])
    for name in SMALL
]
PIXELS = [f"p{i}" for i in range(SIDE * SIDE)]


def pictures(n: int) -> pd.DataFrame:
    """Gray squares; the left half of those of class 1 is brighter."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, n)
    shade = rng.integers(0, 120, (n, SIDE, SIDE))
    shade[:, :, : SIDE // 2] += 60 * y[:, None, None]
    frame = pd.DataFrame(shade.reshape(n, -1), columns=PIXELS)
    return pd.concat([pd.DataFrame({"id": np.arange(n)}), frame, pd.DataFrame({"y": y})], axis=1)


def context(make: Make, name: str, train: pd.DataFrame) -> FoldContext:
    test = pictures(240)[200:].drop(columns="y")
    return load_context(
        make(
            train,
            test,
            name=name,
            columns={"kinds": {"picture": "image"}},
            images={"picture": {"pixels": "p{}", "size": SIDE, "channels": 1, "top": 180}},
            cv={"splitter": "kfold", "n_splits": 3},
        )
    )


def fold_1(context: FoldContext, folder: Path, model: str) -> FoldResult:
    task = FoldTask(
        model=model,
        spec=ModelSpec(use=model, params=SMALL[model]),
        folds=(1,),
        seed=1,
        threads=1,
        early_stopping="inner",
        results=folder,
    )
    return run_folds(task, context)[0]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("model", EVERY)
def test_labels_of_a_fold_do_not_reach_its_own_predictions(
    make_competition: Make, tmp_path: Path, model: str
) -> None:
    train = pictures(200)
    before = context(make_competition, "before", train)
    rows = before.folds.valid(1)
    train.loc[rows, "y"] = 1 - train.loc[rows, "y"]
    after = context(make_competition, "after", train)
    first, second = (fold_1(each, tmp_path, model) for each in (before, after))
    np.testing.assert_array_equal(first.oof, second.oof)
    np.testing.assert_array_equal(first.test, second.test)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("model", EVERY)
def test_pictures_of_a_fold_do_not_move_each_others_predictions(
    make_competition: Make, tmp_path: Path, model: str
) -> None:
    train = pictures(200)
    before = context(make_competition, "before", train)
    rows = before.folds.valid(1)
    train.loc[rows[:20], PIXELS] = np.random.default_rng(1).integers(0, 180, (20, SIDE * SIDE))
    after = context(make_competition, "after", train)
    first, second = (fold_1(each, tmp_path, model) for each in (before, after))
    others = ~np.isin(first.rows, rows[:20])
    assert (first.oof[~others] != second.oof[~others]).any()  # the spoiled ones do change
    np.testing.assert_array_equal(first.oof[others], second.oof[others])
    np.testing.assert_array_equal(first.test, second.test)


def test_a_scale_fitted_on_all_pictures_is_caught(
    make_competition: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The leak the test above is for, planted: a scale learned from every row there is."""
    train = pictures(200)
    rows = context(make_competition, "before", train).folds.valid(1)
    spoiled = train.copy()
    spoiled.loc[rows[:20], PIXELS] = np.random.default_rng(1).integers(0, 180, (20, SIDE * SIDE))
    results = []
    for name, frame in (("one", train), ("two", spoiled)):
        monkeypatch.setattr(images, "StandardScaler", _scaler_of(frame[PIXELS].to_numpy() / 180))
        results.append(fold_1(context(make_competition, name, frame), tmp_path, "linear"))
    others = ~np.isin(results[0].rows, rows[:20])
    assert (results[0].oof[others] != results[1].oof[others]).any()


def _scaler_of(rows: Any) -> type[StandardScaler]:
    class Leaking(StandardScaler):
        def fit(self, X: Any, y: Any = None) -> Any:
            return super().fit(rows)

    return Leaking
