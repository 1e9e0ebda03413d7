"""Nothing learned from texts has seen the rows it is scored on; planted leaks are caught."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.metrics import roc_auc_score

import kit.execution.fold
import kit.models.linear
from kit.competition import Competition
from kit.execution.context import FoldContext, load_context
from kit.execution.results import FoldResult
from kit.execution.task import FoldTask, run_folds
from kit.preprocessing.score import TextScore
from kit.preprocessing.text import TextSparse
from kit.settings import ModelSpec

Make = Callable[..., Competition]

MODELS = {
    "words": ModelSpec(use="linear", params={"strengths": [1.0]}),
    "ratios": ModelSpec(use="linear", params={"strengths": [1.0], "ratios": True}),
    "trees": ModelSpec(use="lightgbm", params={"n_estimators": 20, "learning_rate": 0.1}),
    "network": ModelSpec(use="text", params={"epochs": 2, "width": 8, "units": 4, "layers": [8]}),
}
NETWORK = [pytest.mark.neural, pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
EVERY = [pytest.param(name, marks=NETWORK if name == "network" else []) for name in MODELS]


def written(n: int, seed: int) -> list[str]:
    rng = np.random.default_rng(seed)
    pool = np.array([f"{a}{b}" for a in ("sun", "rain", "wind", "snow") for b in ("", "y", "ing")])
    return [" ".join(pool[rng.integers(0, len(pool), 6)]) for _ in range(n)]


def context(make: Make, name: str, said: list[str], y: NDArray[Any]) -> FoldContext:
    """Folds do not depend on labels here."""
    train = pd.DataFrame({"id": range(len(said)), "t": pd.Series(said, dtype="str"), "y": y})
    test = pd.DataFrame({"id": range(900, 930), "t": pd.Series(written(30, 9), dtype="str")})
    competition = make(
        train, test, name=name, columns={"kinds": {"t": "text"}}, cv={"splitter": "kfold"}
    )
    return load_context(competition)


def fold_result(made: FoldContext, folder: Path, model: str) -> FoldResult:
    task = FoldTask(
        model=model,
        spec=MODELS[model],
        folds=(1,),
        seed=3,
        threads=1,
        early_stopping="inner",
        results=folder,
    )
    folder.mkdir(exist_ok=True)
    return run_folds(task, made)[0]


def labels(said: list[str]) -> NDArray[Any]:
    noise = np.random.default_rng(4).random(len(said)) < 0.2
    return (np.array([text.count("rain") > 1 for text in said]) ^ noise).astype(int)


def moved_by_other_texts(
    make: Make, folder: Path, model: str, plant: Callable[[FoldContext], None] = lambda made: None
) -> int:
    """Other words in half of the rows validated in fold 1: how many other predictions move?"""
    said = written(150, 0)
    y = labels(said)
    before = context(make, "before", said, y)
    rows = before.folds.valid(1)
    for row in rows[::2]:
        said[row] = "rain " * 30 + "rainingly"
    after = context(make, "after", said, y)
    results = []
    for made in (before, after):
        plant(made)
        results.append(fold_result(made, folder, model))
    others = np.arange(len(rows)) % 2 == 1
    a, b = results
    assert (a.oof[~others] != b.oof[~others]).any()
    return int((a.oof[others] != b.oof[others]).sum() + (a.test != b.test).sum())


def moved_by_labels(
    make: Make, folder: Path, model: str, plant: Callable[[FoldContext], None] = lambda made: None
) -> int:
    """Other labels in the rows validated in fold 1: how many of their predictions move?"""
    said = written(150, 0)
    y = labels(said)
    before = context(make, "before", said, y)
    rows = before.folds.valid(1)
    turned = y.copy()
    turned[rows] = 1 - turned[rows]
    results = []
    for made in (before, context(make, "after", said, turned)):
        plant(made)
        results.append(fold_result(made, folder, model))
    a, b = results
    return int((a.oof != b.oof).sum() + (a.test != b.test).sum())


@pytest.mark.parametrize("model", EVERY)
def test_texts_of_validated_rows_move_nothing_else(
    make_competition: Make, tmp_path: Path, model: str
) -> None:
    assert moved_by_other_texts(make_competition, tmp_path / "r", model) == 0


@pytest.mark.parametrize("model", EVERY)
def test_labels_of_validated_rows_move_nothing(
    make_competition: Make, tmp_path: Path, model: str
) -> None:
    assert moved_by_labels(make_competition, tmp_path / "r", model) == 0


class OverAllRows(TransformerMixin, BaseEstimator):
    """TF-IDF whose vocabulary and weights are those of all rows."""

    def __init__(self, X: pd.DataFrame) -> None:
        self.X = X
        self.words_ = TextSparse().fit(X[["t"]])

    def fit(self, X: pd.DataFrame, y: object = None) -> OverAllRows:
        return self

    def transform(self, X: pd.DataFrame) -> Any:
        return self.words_.transform(X[["t"]])


def test_a_vocabulary_of_all_rows_would_move_them(
    make_competition: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def plant(made: FoldContext) -> None:
        leaky = OverAllRows(made.dataset.X)
        monkeypatch.setattr(kit.execution.fold, "recipe", lambda name, shape: leaky)

    assert moved_by_other_texts(make_competition, tmp_path / "r", "words", plant) > 0


def test_ratios_with_labels_of_validated_rows_would_move_them(
    make_competition: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = kit.models.linear.log_count_ratios

    def plant(made: FoldContext) -> None:
        scored = made.dataset.y[made.folds.valid(1)].mean()

        def leaky(X: Any, of_class: Any, weight: Any = None) -> Any:
            return honest(X, of_class, weight) * (1 + scored)

        monkeypatch.setattr(kit.models.linear, "log_count_ratios", leaky)

    assert moved_by_labels(make_competition, tmp_path / "r", "ratios", plant) > 0


def test_a_score_does_not_hold_its_own_label() -> None:
    """Labels by lot and a word of its own in each text: nothing can be known."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 300)
    X = pd.DataFrame({"t": pd.Series([f"{a} again{k}" for k, a in enumerate(written(300, 1))])})
    X["t"] = X["t"] + " " + X["t"]  # twice, so that rare words count as known
    score = TextScore(classification=True)
    fitted = score.fit_transform(X, y)["t_score"]
    assert roc_auc_score(y, fitted) < 0.6
    planted = score.fit(X, y).transform(X)["t_score"]  # not cross-fitted: it has seen the label
    assert roc_auc_score(y, planted) > 0.6
