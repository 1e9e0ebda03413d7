"""Pseudo-labels never touch validation: chance stays chance, and a planted leak is seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import kit.execution.fold
from kit.competition import Competition
from kit.cv import cross_validate
from kit.errors import ConfigError, ModelError
from kit.execution.pseudo import confident, with_pseudo_labels
from kit.execution.task import FoldTask, run_folds
from kit.models.base import FoldRows, Model, RowWeights
from kit.plan import make_plan
from kit.refit.final import refit
from kit.runs import Run
from kit.session import open_session

Make = Callable[..., Competition]

N, N_TEST = 600, 300
PSEUDO: dict[str, Any] = {
    "lightgbm": {"pseudo_labels": 0.6, "params": {"n_estimators": 30}},
    "extra_trees": {"pseudo_labels": 0.6, "params": {"n_estimators": 30}},
    "linear": {"pseudo_labels": 0.6, "params": {"strengths": [1.0]}},
    "plain": {"use": "extra_trees", "params": {"n_estimators": 30}},
}


def table(*, learnable: bool, seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(seed)
    size = N + N_TEST
    frame = pd.DataFrame(rng.normal(size=(size, 4)), columns=list("abcd"))
    frame["who"] = pd.Series([f"s{k}" for k in rng.integers(0, 200, size)]).astype("str")
    frame.insert(0, "id", range(size))
    truth = frame["a"] if learnable else rng.normal(size=size)
    frame["y"] = (truth + 0.5 * rng.normal(size=size) > 0).astype(int)
    return frame[:N], frame[N:].drop(columns="y")


@pytest.fixture
def lottery(make_competition: Make) -> Competition:
    return make_competition(*table(learnable=False), models=PSEUDO)


@pytest.fixture
def signal(make_competition: Make) -> Competition:
    return make_competition(*table(learnable=True), name="signal", models=PSEUDO)


def validated(competition: Competition, model: str, **options: Any) -> Run:
    with open_session(competition, **options) as session:
        run = cross_validate(session, model)
    assert run is not None
    return run


class Seen:
    """Stands in for `with_pseudo_labels`: keeps what went in and came out."""

    def __init__(self) -> None:
        self.calls: list[tuple[FoldRows, Any, FoldRows]] = []

    def __call__(
        self, rows: FoldRows, X_test: Any, model: Model, task: Any, threshold: float
    ) -> FoldRows:
        made = with_pseudo_labels(rows, X_test, model, task, threshold)
        self.calls.append((rows, X_test, made))
        return made


def leaking(
    rows: FoldRows, X_test: Any, model: Model, task: Any, threshold: float
) -> FoldRows:  # the planted leak: the validated rows with their labels
    return FoldRows(
        X=pd.concat([rows.X, rows.X_valid], ignore_index=True),
        y=np.concatenate([rows.y, rows.y_valid]),
        X_valid=rows.X_valid,
        y_valid=rows.y_valid,
    )


@pytest.mark.parametrize("model", ["lightgbm", "extra_trees", "linear"])
def test_labels_by_lot_score_at_chance(lottery: Competition, model: str) -> None:
    assert validated(lottery, model).score == pytest.approx(0.5, abs=0.09)  # 4 standard errors


@pytest.mark.parametrize("model", ["lightgbm", "extra_trees"])
def test_validated_rows_among_the_pseudo_labels_would_be_seen(
    lottery: Competition, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kit.execution.fold, "with_pseudo_labels", leaking)
    assert validated(lottery, model).score > 0.65


@pytest.mark.parametrize("model", ["lightgbm", "extra_trees"])
def test_only_test_rows_are_added_and_validated_rows_are_handed_on_untouched(
    signal: Competition, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = Seen()
    monkeypatch.setattr(kit.execution.fold, "with_pseudo_labels", seen)
    validated(signal, model)
    assert len(seen.calls) == 3
    for rows, X_test, made in seen.calls:
        n = len(rows.y)
        assert n < len(made.y) <= n + N_TEST
        pd.testing.assert_frame_equal(made.X.iloc[:n], rows.X.reset_index(drop=True))
        assert np.array_equal(made.y[:n], rows.y)
        assert made.X_valid is rows.X_valid
        assert made.y_valid is rows.y_valid
        numbers = [c for c in X_test.columns if c.rpartition("__")[2] in ("a", "b")]
        of_test, of_valid, added = (
            set(map(tuple, each[numbers].to_numpy()))
            for each in (X_test, rows.X_valid, made.X.iloc[n:])
        )
        assert len(numbers) == 2
        assert added <= of_test
        assert not added & of_valid


@pytest.mark.parametrize("model", ["lightgbm", "extra_trees"])
def test_a_folds_own_labels_move_none_of_its_predictions(
    signal: Competition, model: str, tmp_path: Path
) -> None:
    outcome = []
    for turned in (False, True):
        with open_session(signal) as session:
            data, folds = session.context.dataset, session.context.folds
            if turned:
                rows = folds.valid(1)
                data.y[rows] = 1 - data.y[rows]
            spec = make_plan(session, model).spec
            folder = tmp_path / str(turned)
            folder.mkdir()
            task = FoldTask(
                model=model, spec=spec, folds=(0, 1, 2), seed=1, threads=1,
                early_stopping="inner", results=folder,
            )  # fmt: skip
            outcome.append({r.fold: r for r in run_folds(task, session.context)})
    before, after = outcome
    assert np.array_equal(before[1].oof, after[1].oof)
    assert np.array_equal(before[1].test, after[1].test)
    assert not np.array_equal(before[0].oof, after[0].oof)  # there they are training rows


def test_a_run_says_that_it_has_seen_the_test_rows(signal: Competition) -> None:
    run = validated(signal, "extra_trees")
    assert run.record["transductive"] is True
    assert run.record["pseudo_labels"] == 0.6
    plain = validated(signal, "plain")
    assert plain.record["transductive"] is False
    assert plain.hash != run.hash
    assert not np.array_equal(plain.test()["pred"], run.test()["pred"])


def test_a_final_fit_uses_them_too(signal: Competition) -> None:
    fitted = [refit(signal, validated(signal, name), seeds=1) for name in ("extra_trees", "plain")]
    assert fitted[0].record["transductive"] is True
    assert fitted[1].record["transductive"] is False
    a, b = (run.test()["pred"].to_numpy() for run in fitted)
    assert not np.array_equal(a, b)
    assert np.abs(a - 0.5).mean() > np.abs(b - 0.5).mean()  # the surer for having been sure


@pytest.mark.parametrize("threshold", [0.5, 1.0, -0.1, 7])
def test_thresholds_one_cannot_be_sure_with_are_refused(
    make_competition: Make, threshold: float
) -> None:
    models = {"linear": {"pseudo_labels": float(threshold)}}
    competition = make_competition(*table(learnable=True), models=models)
    with pytest.raises(ConfigError, match=r"models\.linear\.pseudo_labels must be above 0\.5"):
        validated(competition, "linear")


def test_numbers_have_no_pseudo_labels(make_competition: Make) -> None:
    competition = make_competition(
        *table(learnable=True),
        models=PSEUDO,
        task={"type": "regression", "metric": "rmse", "classes": []},
        submission={"wants": "value"},
        cv={"splitter": "kfold"},
    )
    with pytest.raises((ConfigError, ModelError), match="needs one class per row"):
        validated(competition, "linear")


def test_confident_rows_and_their_classes() -> None:
    rows, labels = confident(np.array([[0.95], [0.5], [0.05], [0.9]]), "binary", 0.9)
    assert rows.tolist() == [0, 2, 3]
    assert labels.tolist() == [1, 0, 1]
    proba = np.array([[0.1, 0.9, 0.0], [0.4, 0.3, 0.3]])
    rows, labels = confident(proba, "multiclass", 0.6)
    assert rows.tolist() == [0]
    assert labels.tolist() == [1]


def test_sparse_tables_are_stacked() -> None:
    class Sure(Model):
        def predict(self, X: Any) -> np.ndarray:
            return np.full((X.shape[0], 1), 0.99)

    X = sparse.csr_matrix(np.eye(3))
    rows = FoldRows(X=X, y=np.array([0, 1, 0]), X_valid=X, y_valid=np.array([1, 1, 1]))
    made = with_pseudo_labels(rows, 2 * X[:2], Sure(), "binary", 0.9)
    assert made.X.toarray().tolist() == [*np.eye(3).tolist(), [2, 0, 0], [0, 2, 0]]
    assert made.y.tolist() == [0, 1, 0, 1, 1]
    assert made.weight is None
    heavy = replace(rows, weight=RowWeights(np.array([0.5, 0.5, 2.0])))
    made = with_pseudo_labels(heavy, 2 * X[:2], Sure(), "binary", 0.9)
    assert made.weight is not None
    assert made.weight.train.tolist() == [0.5, 0.5, 2, 1, 1]  # as much as a usual row


def turned_shops(make: Make, name: str, turned: str) -> Competition:
    """Four shops over 70 days, the last five test; labels of some days are turned round."""
    rng = np.random.default_rng(0)
    days = pd.date_range("2024-01-01", periods=70)
    frame = pd.DataFrame([(d, s) for s in "abcd" for d in days])
    frame.columns = pd.Index(["day", "shop"])
    frame["x"] = rng.normal(size=len(frame))
    frame["y"] = (frame["x"] + 0.3 * rng.normal(size=len(frame)) > 0).astype(int)
    late = frame["day"] >= days[-5]
    first = {"": 0, "sealed": 12, "validated and sealed": 17}[turned]
    rows = (frame["day"] >= days[-first]) & ~late if first else late & ~late
    frame.loc[rows, "y"] = 1 - frame.loc[rows, "y"]
    frame.insert(0, "id", np.arange(len(frame)))
    frame["day"] = frame["day"].dt.strftime("%Y-%m-%d")
    return make(
        frame[~late],
        frame[late].drop(columns="y"),
        columns={"kinds": {"shop": "category", "day": "datetime"}, "time": "day"},
        task={"metric": "log_loss"},
        cv={"splitter": "time_windows", "horizon": "5D", "n_splits": 2, "holdout": 0.1},
        series={"id": ["shop"], "step": "1D", "horizon": 5, "lags": [5, 7], "windows": [3]},
        models={
            "lightgbm": {
                "pseudo_labels": 0.6,
                "params": {"n_estimators": 20, "learning_rate": 0.3, "patience": 20},
            }
        },
        name=name,
    )


@pytest.mark.parametrize("turned", ["sealed", "validated and sealed"])
def test_of_a_series_test_rows_bring_no_labels_of_scored_rows_along(
    make_competition: Make, turned: str
) -> None:
    """Their lags, for predictions, are values of the sealed and the last validated rows."""
    before, after = (
        validated(turned_shops(make_competition, f"s{len(which)}", which), "lightgbm")
        for which in ("", turned)
    )
    np.testing.assert_array_equal(before.oof()["pred"], after.oof()["pred"])
    assert not np.array_equal(before.test()["pred"], after.test()["pred"])
    if turned == "sealed":
        np.testing.assert_array_equal(before.holdout()["pred"], after.holdout()["pred"])


def test_lags_of_scored_rows_among_the_pseudo_labels_would_be_seen(
    make_competition: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Planted: pseudo-labelled rows have the past that test rows have."""

    def leaking(self: kit.execution.fold.Fold, rows: FoldRows, model: Model) -> FoldRows:
        data, threshold = self.context.dataset, self.task.spec.pseudo_labels
        return with_pseudo_labels(rows, self.test_rows(), model, data.task, threshold)

    monkeypatch.setattr(kit.execution.fold.Fold, "with_pseudo_labels", leaking)
    before, after = (
        validated(turned_shops(make_competition, f"s{len(which)}", which), "lightgbm")
        for which in ("", "sealed")
    )
    assert not np.array_equal(before.oof()["pred"], after.oof()["pred"])
