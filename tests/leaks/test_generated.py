"""Generated features and the labels of the training rows: planted leaks must be seen."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from kit.models.base import Problem
from kit.models.lightgbm import LightGBM
from kit.models.linear import Linear
from kit.preprocessing.columns import recipe
from kit.preprocessing.generate import GeneratedFeatures, generated_linear, generated_tree
from kit.preprocessing.keys import Columns, Levels
from kit.preprocessing.made import Target, TargetMean
from kit.preprocessing.shape import Shape
from kit.settings import Kind, TaskType

Array = NDArray[Any]
KINDS: dict[str, Kind] = {"a": "numeric", "b": "numeric", "few": "numeric"}
KINDS |= {"p": "category", "q": "category", "many": "category", "unique": "category"}


def frame(n: int) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "a": rng.normal(size=n),
            "b": rng.normal(size=n),
            "few": rng.integers(0, 6, n),
            "p": pd.Categorical(rng.choice(list("stuv"), n)),
            "q": pd.Categorical(rng.choice(list("wxyz"), n)),
            "many": pd.Categorical([f"m{k}" for k in rng.integers(0, n // 4, n)]),
            "unique": pd.Categorical([f"u{k}" for k in range(n)]),
        }
    )


def score(X: pd.DataFrame, y: Array, family: str) -> float:
    """AUC of half of the rows by a model on the other half, through the generated recipe."""
    half = np.arange(len(y)) < len(y) // 2
    levels = {n: X[n].nunique() for n, k in KINDS.items() if k == "category"}
    shape = Shape(kinds=KINDS, levels=levels, n_rows=int(half.sum()), task="binary", seed=0)
    build = generated_linear if family == "linear" else generated_tree
    steps = build(recipe(family, shape), shape)
    model: Any = Linear() if family == "linear" else LightGBM(n_estimators=40, learning_rate=0.1)
    problem = Problem(task="binary", n_outputs=1)
    model.fit(steps.fit_transform(X[half], y[half]), y[half], problem=problem)
    predicted = model.predict(steps.transform(X[~half]))[:, 0]
    return float(roc_auc_score(y[~half], predicted))


@pytest.mark.parametrize("family", ["tree", "linear"])
def test_permuted_labels_score_at_chance(family: str) -> None:
    X = frame(1600)
    rng = np.random.default_rng(1)
    same = (X["p"].cat.codes % 2 == X["q"].cat.codes % 2).to_numpy()
    y = (same + rng.normal(size=len(X)) / 2 > 0.5).astype(int)
    # the standard error of an AUC of 0.5 is 0.020 with 400 + 400 rows: four of them
    assert abs(score(X, rng.permutation(y), family) - 0.5) < 0.08
    assert score(X, y, family) > 0.75


def codes_tell(X: pd.DataFrame, y: Array, key: tuple[str, ...], n_parts: int) -> float:
    """How well the training rows' own codes separate their labels (AUC)."""
    columns = Columns(X, Levels(X, few=30))
    columns.levels.learn(key, columns)
    part = np.random.default_rng(2).permutation(np.arange(len(X)) % n_parts)
    target = Target(values=y[:, None].astype(float), part=part, n_parts=n_parts)
    mean = TargetMean(key=key, output=0)
    crossed = mean.learn(columns, target)
    own = mean.values(columns)  # the leak: what new rows get, given to the training rows
    assert roc_auc_score(y, own) > 0.7
    return float(roc_auc_score(y, crossed))


@pytest.mark.parametrize("key", [("unique",), ("many",), ("many", "p")])
def test_codes_of_training_rows_do_not_tell_their_labels(key: tuple[str, ...]) -> None:
    y = np.random.default_rng(3).integers(0, 2, 1200)
    # the standard error is 0.017; codes of a level's other rows lean the other way, never this way
    assert codes_tell(frame(1200), y, key, 5) < 0.57


def test_a_level_of_one_row_has_the_prior_alone() -> None:
    X, y = frame(300), np.random.default_rng(3).integers(0, 2, 300)
    columns = Columns(X, Levels(X, few=30))
    target = Target(values=y[:, None].astype(float), part=np.arange(300) % 5, n_parts=5)
    codes = TargetMean(key=("unique",), output=0).learn(columns, target)
    assert len(np.unique(codes)) == 1


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_a_row_s_own_label_does_not_change_its_own_means(task: TaskType) -> None:
    X = frame(400)
    y = np.random.default_rng(4).integers(0, 2, 400).astype(float)
    columns = Columns(X, Levels(X, few=30))
    columns.levels.learn(("many", "p"), columns)
    part = np.arange(400) % 5
    told = []
    for label in (0.0, 1.0):
        y[17] = label
        values = np.column_stack([y]) - y.mean()  # the prior is every row's, so it may move
        target = Target(values=values, part=part, n_parts=5)
        mean = TargetMean(key=("many",), output=0)
        told.append((mean.learn(columns, target)[17], mean.values(columns)[17]))
    (before, leaking_before), (after, leaking_after) = told
    level = columns.codes(("many",)) == columns.codes(("many",))[17]
    assert abs(after - before) < 1.5 / 400 * level.sum()  # through the centring alone
    assert abs(leaking_after - leaking_before) > 0.05


def test_new_rows_do_not_change_what_is_chosen_or_learnt() -> None:
    X = frame(600)
    y = (X["a"] * X["b"] > 0).to_numpy(int)
    first = GeneratedFeatures("binary").fit(X[:400], y[:400])
    second = GeneratedFeatures("binary").fit(X[:400].copy(), y[:400])
    second.transform(X[400:])
    assert first.names_ == second.names_
    pd.testing.assert_frame_equal(first.transform(X[:10]), second.transform(X[:10]))
