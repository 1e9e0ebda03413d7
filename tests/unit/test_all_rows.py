"""Where folds go forward, test rows are predicted by a fit on all rows."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from kit.blending.fit import greedy_search
from kit.blending.level import Level
from kit.blending.weighted import Greedy
from kit.competition import Competition
from kit.cv import cross_validate
from kit.execution.all_rows import Stopped, growth
from kit.execution.context import load_context
from kit.export.bundle import _write_models
from kit.export.exportable import exportable
from kit.folds import SEALED, Folds
from kit.metrics.base import load_metric
from kit.refit.final import stopped_at
from kit.refit.members import resolve
from kit.refit.saved import Scale, load_plan, load_predictor
from kit.runs import ALL_FOLDS, ALL_ROWS, LAST_FOLD, Run
from kit.selection import standing
from kit.session import Event, open_session
from kit.usercode import UserCode

Make = Callable[..., Competition]

N, N_TEST = 240, 40

# a mean that says how many rows it has seen, and that the clock may have cut
COUNTING = """
import numpy as np
from kit.models.base import Model

class Counting(Model):
    def __init__(self, cut=0):
        self.cut = cut

    def fit(self, X, y, *, problem, valid=None):
        self.rows_, self.mean_ = len(y), float(np.mean(y))
        self.cut_ = bool(self.cut) and self.rows_ >= self.cut
        self.best_iteration_, self.curve_ = None, {}
        return self

    def predict(self, X):
        return np.full((len(X), 1), self.mean_)

    def save(self, folder):
        (folder / "mean").write_text(repr(self.mean_))
"""


@pytest.fixture
def make(make_competition: Make) -> Callable[..., Competition]:
    def build(splitter: str = "time_series", holdout: float = 0.0) -> Competition:
        rng = np.random.default_rng(0)
        days = pd.date_range("2020-01-01", periods=N + N_TEST).astype(str)
        table = pd.DataFrame({"id": range(N + N_TEST), "day": days})
        table["a"] = rng.normal(size=len(table))
        table["y"] = np.arange(len(table)) + table["a"]
        return make_competition(
            table[:N],
            table[N:].drop(columns="y"),
            columns={"kinds": {"day": "datetime"}, "time": "day"},
            cv={"splitter": splitter, "n_splits": 3, "holdout": holdout},
            models={
                "counting": {"use": "model:Counting"},
                "cut": {"use": "model:Counting", "params": {"cut": N}},
            },
            code={"model.py": COUNTING},
            task={"type": "regression", "metric": "rmse"},
        )

    return build


def validated(competition: Competition, model: str) -> Run:
    with open_session(competition, keep_models=True) as session:
        run = cross_validate(session, model)
    assert run is not None
    return run


def test_the_newest_rows_are_learned_from_for_test_and_not_for_validation(
    make: Callable[..., Competition],
) -> None:
    competition = make()
    run = validated(competition, "counting")
    y = pd.read_csv(competition.raw / "train.csv")["y"]
    assert run.record["new_rows"] == ALL_ROWS
    assert run.test()["pred"].to_numpy() == pytest.approx(y.mean())
    oof = run.oof()
    for number, rows in oof.groupby("fold"):
        past = y[: int(rows["id"].astype(int).min())]
        assert rows["pred"].to_numpy() == pytest.approx(past.mean()), number


def test_where_the_clock_cut_it_the_last_fold_predicts(make: Callable[..., Competition]) -> None:
    competition = make()
    run = validated(competition, "cut")
    y = pd.read_csv(competition.raw / "train.csv")["y"]
    past = y[: int(run.oof().query("fold == 2")["id"].astype(int).min())]
    assert run.record["new_rows"] == LAST_FOLD
    assert run.record["cut"] == [2]
    assert run.hash != run.record["plan"]  # which promises predictions of a fit on all rows
    assert run.test()["pred"].to_numpy() == pytest.approx(past.mean())
    assert not (run.path / "models" / "all-rows").exists()


def test_sealed_rows_are_predicted_by_what_predicts_test(make: Callable[..., Competition]) -> None:
    competition = make(holdout=0.1)
    run = validated(competition, "counting")
    sealed = set(run.holdout()["id"])
    train = pd.read_csv(competition.raw / "train.csv", dtype={"id": str})
    learned = train[~train["id"].isin(sealed)]["y"]
    assert 0 < len(sealed) < len(train)
    assert run.test()["pred"].to_numpy() == pytest.approx(learned.mean())
    assert run.holdout()["pred"].to_numpy() == pytest.approx(learned.mean())


def test_new_rows_and_an_export_are_predicted_by_it(
    make: Callable[..., Competition], tmp_path: Path
) -> None:
    competition = make()
    run = validated(competition, "linear")
    (tmp_path / "bundle").mkdir()
    source = exportable(competition, run)
    _write_models(source, tmp_path / "bundle")
    scale, code = Scale("", "regression"), UserCode(competition.root)
    exported = load_plan(dict(source.plan), tmp_path / "bundle", scale, code)
    kept = load_predictor(run, resolve(run, competition, ""), competition)
    X = load_context(competition).dataset.X_test
    wanted = pytest.approx(run.test()["pred"].to_numpy())
    assert exported.predict(X)[:, 0] == wanted
    assert kept.predict(X)[:, 0] == wanted


def test_other_folds_are_averaged_as_ever(make: Callable[..., Competition]) -> None:
    assert validated(make("kfold"), "counting").record["new_rows"] == ALL_FOLDS


def test_a_budget_counts_the_fit_on_all_rows(make: Callable[..., Competition]) -> None:
    def room_for_one(event: Event) -> None:
        if event.kind == "fold" and event.fold == 1:
            session.seconds_per_fold["counting"] = 600.0
            session.deadline = time.monotonic() + 900.0

    with open_session(make(), listen=room_for_one, budget=1000.0) as session:
        assert cross_validate(session, "counting") is None


def test_growth_is_all_rows_to_those_of_a_fold() -> None:
    ids, fold = pd.Series(map(str, range(12))), np.repeat([0, 1, 2], 4).astype(np.int8)
    assert growth(Folds(ids, fold)) == pytest.approx(1.5)
    forward = Folds(ids, np.repeat([-1, 0, 1], 4).astype(np.int8), forward=True)
    assert growth(forward) == pytest.approx(12 / 8)  # of the last fold
    sealed = np.where(np.arange(12) == 11, SEALED, fold).astype(np.int8)
    assert list(Folds(ids, sealed).train(3)) == list(range(11))
    assert growth(Folds(ids, sealed)) == pytest.approx(12 / np.mean([7, 7, 8]))  # `kit fit` has it


def test_kit_fit_stops_where_the_last_of_forward_folds_did() -> None:
    ids = pd.Series(map(str, range(12)))
    forward = Folds(ids, np.repeat([-1, 0, 1], 4).astype(np.int8), forward=True)
    run = Run(Path("runs/a"), {"best_iterations": [20, 200]})
    assert stopped_at(run, forward) == Stopped((200,), 12 / 8)
    unknown = Run(Path("runs/a"), {"best_iterations": [20, None]})
    assert stopped_at(unknown, forward).found == ()
    mixed = Folds(ids, np.repeat([0, 1], 6).astype(np.int8))
    assert stopped_at(run, mixed) == Stopped((20, 200), 2.0)


def test_later_folds_count_more_where_folds_go_forward(make: Callable[..., Competition]) -> None:
    assert validated(make("kfold"), "counting").record["fold_weights"] is None
    run = validated(make(), "counting")
    assert run.record["fold_weights"] == pytest.approx([1 / 9, 4 / 9, 1], abs=1e-3)


def with_scores(scores: list[float], weights: list[float] | None) -> Run:
    record = {"score": {"value": float(np.mean(scores)), "folds": scores}, "fold_weights": weights}
    return Run(path=Path("nowhere"), record=record)


def test_runs_are_ranked_by_the_folds_that_learned_from_most() -> None:
    early, late = [1.0, 4.0], [6.0, 2.0]  # the second one is behind where there was little to learn
    assert standing(with_scores(early, None)) < standing(with_scores(late, None))
    assert standing(with_scores(early, [0.2, 1.0])) > standing(with_scores(late, [0.2, 1.0]))


def test_a_blend_listens_to_the_folds_that_count() -> None:
    """Member 0 is right in the first fold, member 1 in the last."""
    rng = np.random.default_rng(0)
    y, fold = rng.normal(size=600), np.repeat([0, 1], 300).astype(np.int8)
    wrong = y + rng.normal(size=600)
    oof = np.stack([np.where(fold == k, y, wrong) for k in (0, 1)])[:, :, None]
    level = Level(
        metric=load_metric("rmse", "regression"), task="regression", oof=oof, y=y, fold=fold
    )
    even = Greedy().fit(level).weights
    assert even == pytest.approx([0.5, 0.5], abs=0.1)
    uneven = Greedy().fit(replace(level, fold_weights=np.array([0.05, 1.0]))).weights
    assert uneven[1] > 0.8


def test_of_two_folds_each_is_scored_by_weights_of_the_other() -> None:
    """Member k is right in fold k: weights of the other fold choose the wrong one."""
    rng = np.random.default_rng(0)
    y, fold = rng.normal(size=200), np.repeat([0, 1], 100).astype(np.int8)
    wrong = y + 1.0
    oof = np.stack([np.where(fold == k, y, wrong) for k in (0, 1)])[:, :, None]
    chosen = greedy_search(oof, y, fold, load_metric("rmse", "regression"), "regression")
    assert chosen.honest[:, 0] - y == pytest.approx(1.0)
