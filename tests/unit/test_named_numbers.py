"""Numbers that are names: found by their labels in training rows, and none of a scale."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from kit.preprocessing.columns import Shape, recipe
from kit.preprocessing.named_numbers import NamedNumbers

N, VALUES = 6_000, 400


def drawn(seed: int = 0) -> tuple[pd.DataFrame, NDArray[np.float64]]:
    """Shops of which each has its own level, a scale, and noise; numbers without a gap, too."""
    rng = np.random.default_rng(seed)
    X = pd.DataFrame({name: rng.integers(0, VALUES, N) for name in ("shop", "scale", "noise")})
    X["part"] = X["shop"] + 0.5
    X["few"] = X["shop"] % 5
    X["row"] = rng.permutation(N)
    level = rng.normal(size=VALUES)
    return X, level[X["shop"]] + np.sin(X["scale"] / 50) + rng.normal(size=N)


@pytest.mark.parametrize("task", ["numbers", "classes"])
def test_names_are_found_and_scales_are_not(task: str) -> None:
    X, y = drawn()
    classes = task == "classes"
    target = np.digitize(y, [-1.0, 1.0]) if classes else y
    found = NamedNumbers(classes).fit(X, target)
    assert list(found.levels_) == ["shop"]
    means = [f"shop_mean_{k}" for k in range(3)] if classes else ["shop_mean"]
    assert [*found.get_feature_names_out()] == [*found.transform(X)] == ["shop_share", *means]


@pytest.mark.parametrize("curve", ["steep", "jump", "skewed"])
def test_no_curve_of_a_scale_is_taken_for_names(curve: str) -> None:
    rng = np.random.default_rng(1)
    x = rng.integers(0, VALUES, N)
    if curve == "skewed":
        x = np.exp(rng.normal(3, 1.2, N)).round().astype(int)
    y = {"steep": np.exp(x / 50), "jump": (x > 130) * 1.0, "skewed": np.log1p(x)}[curve]
    assert not NamedNumbers().fit(pd.DataFrame({"x": x}), y).levels_


@pytest.mark.parametrize(("size", "taken"), [(0.17, False), (0.5, True)])
def test_names_that_explain_little_are_left_alone(size: float, taken: bool) -> None:
    X, _ = drawn()
    rng = np.random.default_rng(4)
    y = size * rng.normal(size=VALUES)[X["shop"]] + rng.normal(size=N)
    assert bool(NamedNumbers().fit(X[["shop"]], y).levels_) == taken


def test_few_labels_are_seldom_taken_for_names() -> None:
    taken = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        X = pd.DataFrame({"x": rng.integers(0, 100, 600)})
        taken += bool(NamedNumbers().fit(X, rng.standard_cauchy(600)).levels_)
    assert taken <= 1


def test_training_rows_get_means_without_their_own_target() -> None:
    X, y = drawn()
    noise = np.random.default_rng(2).normal(size=N)
    X["shop"] = X["row"] // 2  # two rows per value
    steps = NamedNumbers()
    steps.fit(X[["shop"]], y)
    assert not steps.levels_
    twins = X["shop"].to_numpy() % 1500
    X["shop"] = twins  # four rows, alike but for the noise
    y = np.random.default_rng(3).normal(size=1500)[twins] + 0.1 * noise
    made = steps.fit_transform(X[["shop"]], y)["shop_mean"].to_numpy()
    own = np.corrcoef(made, noise)[0, 1]
    assert abs(own) < 0.05
    assert np.corrcoef(made, y)[0, 1] > 0.7
    again = steps.transform(X[["shop"]])["shop_mean"].to_numpy()  # of new rows: all labels count
    assert np.corrcoef(again, y)[0, 1] > np.corrcoef(made, y)[0, 1]


def test_a_value_that_was_not_trained_on_is_like_a_missing_one() -> None:
    X, y = drawn()
    X = X[["shop"]].astype(float)
    X.loc[:99, "shop"] = np.nan
    steps = NamedNumbers().fit(X, y)
    new = steps.transform(pd.DataFrame({"shop": [5.0, 9e9, -3.0]}))
    assert new["shop_share"].tolist()[1:] == [0, 0]
    assert new["shop_mean"][1] == new["shop_mean"][2] == pytest.approx(y.mean(), abs=0.2)


@pytest.mark.parametrize("name", ["tree", "linear", "neural", "realmlp", "tabm", "tree_generated"])
def test_recipes_give_names_their_means(name: str) -> None:
    X, y = drawn()
    few = X[["shop", "scale"]][:3000]
    kinds = dict.fromkeys(few, "numeric")
    shape = Shape(kinds=kinds, levels={}, n_rows=3000, task="regression", seed=0)
    steps = recipe(name, shape)
    made = np.asarray(steps.fit_transform(few, y[:3000]), dtype=np.float64)
    level = pd.Series(y).groupby(X["shop"]).mean()
    varied = made.T[made.std(axis=0) > 0]
    assert max(abs(np.corrcoef(column, level[few["shop"]])[0, 1]) for column in varied) > 0.8
