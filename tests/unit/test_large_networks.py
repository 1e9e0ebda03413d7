"""RealMLP and TabM on tables on the disk: rows are read when they are due."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import kit.models.neural.feeding as feeding
from kit.mapped import frame_on_disk
from kit.models.base import FoldRows, Model, Problem, RowWeights
from kit.models.neural.feeding import Held, Stored, fed
from kit.models.neural.realmlp import RealMLP
from kit.models.neural.tables import Encoder, Layout
from kit.models.neural.tabm import TabM

pytestmark = pytest.mark.filterwarnings("ignore")  # tensorflow's and keras' own

NETWORKS: list[Any] = [
    pytest.param(
        RealMLP(layers=(16,), epochs=12, batch=32),
        marks=pytest.mark.neural,
        id="realmlp",
    ),
    pytest.param(
        TabM(heads=4, blocks=1, width=16, epochs=12, batch=32, bins=6, number_width=4),
        marks=[pytest.mark.neural, pytest.mark.slow],
        id="tabm",
    ),
]
PROBLEM = Problem(task="binary", n_outputs=1, seed=3)


def table(n: int, seed: int = 0) -> tuple[pd.DataFrame, np.ndarray]:
    """Numbers, a flag, categories of few and of many levels; two classes."""
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(rng.normal(size=(n, 2)).astype(np.float32), columns=["a", "b"])
    X["f"] = (rng.random(n) < 0.5).astype(np.float32)
    few, many = rng.integers(0, 3, n), rng.integers(0, 70, n)
    X["c"] = pd.Categorical.from_codes(few, categories=["x", "y", "z"])
    X["d"] = pd.Categorical.from_codes(many, categories=[f"v{k}" for k in range(70)])
    signal = X["a"] * 2 + (few - 1) + np.sin(2 * X["b"]) + 0.3 * rng.normal(size=n)
    return X, (signal > 0).astype(int).to_numpy()


Store = Callable[[pd.DataFrame], pd.DataFrame]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Puts a frame on the disk; blocks and stretches are small."""
    monkeypatch.setattr("kit.models.neural.batches._STRETCH", 16)
    monkeypatch.setattr("kit.models.neural.batches._POOL", 4)
    monkeypatch.setattr(feeding, "BLOCK", 100)
    monkeypatch.setattr("kit.models.neural.folds.BLOCK", 100)
    return lambda frame: frame_on_disk(frame.reset_index(drop=True), tmp_path)


@pytest.mark.parametrize("folds", [1, 2])
def test_rows_are_fed_once_per_epoch_and_as_they_would_be_in_memory(
    folds: int, store: Store
) -> None:
    frames = [table(130 + 40 * k, seed=k) for k in range(folds)]
    layout = Layout.of([X for X, _ in frames], 9)
    encoders = [Encoder(layout, scaled=True).fit(X) for X, _ in frames]
    stored = [Encoder(layout, scaled=True).fit(store(X)) for X, _ in frames]
    for mine, theirs in zip(stored, encoders, strict=True):
        np.testing.assert_array_equal(mine.center, theirs.center)
        np.testing.assert_array_equal(mine.scale, theirs.scale)
    encode = [lambda y: np.column_stack([1 - y, y]).astype(np.float32)] * folds
    weights = [np.linspace(0.1, 1.9, len(y)) for _, y in frames]
    plain = fed(encoders, frames, encode, weights)
    disk = fed(stored, [(store(X), y) for X, y in frames], encode, weights)
    assert isinstance(plain, Held)
    assert isinstance(disk, Stored)
    assert disk.n == plain.n
    rng = np.random.default_rng(0)
    for fold, n in enumerate(disk.n):
        assert sorted(disk.order(fold, rng)) == list(range(n))
        for mine, theirs in zip(disk.first(fold), plain.first(fold), strict=True):
            np.testing.assert_array_equal(mine, theirs)
    networks = np.repeat(np.arange(folds), 2)
    rows = np.array([rng.integers(0, disk.n[fold], 20) for fold in networks])
    taken = []
    for each in (disk, plain):
        tensors, where = each.data(rows, networks)
        taken.append([np.asarray(tensor)[where] for tensor in tensors])
    for mine, theirs in zip(*taken, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    whole = [np.concatenate(part, axis=1) for part in zip(*disk.parts(), strict=True)]
    for mine, theirs in zip(whole, next(plain.parts()), strict=True):
        for fold, n in enumerate(disk.n):
            np.testing.assert_array_equal(mine[fold, :n], theirs[fold, :n])


@pytest.mark.slow
@pytest.mark.parametrize("network", NETWORKS)
def test_a_network_fed_from_the_disk_is_close_to_one_in_memory(
    network: Model, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    X, y = table(1200)
    new, truth = table(500, seed=1)
    train, held = (X[:900], y[:900]), (X[900:], y[900:])
    sizes = []
    original = Encoder.values

    def counted(self: Encoder, frame: pd.DataFrame) -> Any:
        sizes.append(len(frame))
        return original(self, frame)

    plain = network.fit(*train, problem=PROBLEM, valid=held).predict(new)
    monkeypatch.setattr(Encoder, "values", counted)
    monkeypatch.setattr(feeding, "_FIRST", 200)
    disk = [(store(rows), labels) for rows, labels in (train, held)]
    first = network.fit(*disk[0], problem=PROBLEM, valid=disk[1])
    predicted = first.predict(store(new))
    assert max(sizes) < 900  # a call's steps, a block, the first rows: never all
    again = network.fit(*disk[0], problem=PROBLEM, valid=disk[1])
    np.testing.assert_array_equal(again.predict(store(new)), predicted)
    right = [((p[:, 0] > 0.5) == truth).mean() for p in (plain, predicted)]
    assert min(right) > 0.8
    assert abs(right[0] - right[1]) < 0.06
    assert np.corrcoef(plain[:, 0], predicted[:, 0])[0, 1] > 0.9
    assert first.best_iteration_
    first.save(tmp_path)
    np.testing.assert_allclose(type(network).load(tmp_path).predict(new), predicted, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("network", NETWORKS)
def test_labels_and_rows_that_are_scored_on_decide_nothing_on_the_disk(
    network: Model, store: Store
) -> None:
    """Side by side: other validated rows of a fold leave that fold's own weights as they are."""
    network = network.__class__(**{**network.get_params(), "epochs": 4})
    X, y = table(400)
    parts = [(np.arange(400) % 3) == k for k in range(3)]

    def folds(spoiled: bool) -> list[FoldRows]:
        made = [FoldRows(X=store(X[~p]), y=y[~p], X_valid=store(X[p]), y_valid=y[p]) for p in parts]
        if spoiled:
            other = X[parts[0]].assign(a=np.float32(9.0), b=np.float32(-9.0))
            first = FoldRows(
                X=made[0].X, y=made[0].y, X_valid=store(other), y_valid=1 - made[0].y_valid
            )
            made[0] = first
        return made

    clean = network.fit_folds(folds(False), problem=PROBLEM)
    spoiled = network.fit_folds(folds(True), problem=PROBLEM)
    assert clean[0].curve_["valid"] != spoiled[0].curve_["valid"]  # it was planted
    np.testing.assert_array_equal(clean[0].predict(X), spoiled[0].predict(X))


@pytest.mark.slow
@pytest.mark.parametrize("network", NETWORKS)
def test_weights_count_on_the_disk(network: Model, store: Store) -> None:
    X = table(300)[0]
    X["a"] = np.float32(0.0)
    y = np.arange(300) % 2  # nothing tells the classes: only how much they count
    heavy = RowWeights(np.where(y == 1, 1.9, 0.1))
    quick = network.__class__(**{**network.get_params(), "epochs": 4})
    weighted = quick.fit(store(X), y, problem=PROBLEM, weight=heavy).predict(X).mean()
    plain = quick.fit(store(X), y, problem=PROBLEM).predict(X).mean()
    assert weighted > plain + 0.1  # without weights they are the same
