"""Where folds go forward, test rows are predicted by a fit on all rows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from kit.competition import Competition
from kit.cv import cross_validate
from kit.execution.all_rows import growth
from kit.folds import SEALED, Folds
from kit.runs import ALL_FOLDS, ALL_ROWS, LAST_FOLD, Run
from kit.session import open_session

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
    def build(splitter: str = "time_series", **tables: object) -> Competition:
        rng = np.random.default_rng(0)
        days = pd.date_range("2020-01-01", periods=N + N_TEST).astype(str)
        table = pd.DataFrame({"id": range(N + N_TEST), "day": days})
        table["a"] = rng.normal(size=len(table))
        table["y"] = np.arange(len(table)) + table["a"]
        return make_competition(
            table[:N],
            table[N:].drop(columns="y"),
            columns={"kinds": {"day": "datetime"}, "time": "day"},
            cv={"splitter": splitter, "n_splits": 3},
            models={
                "counting": {"use": "model:Counting"},
                "cut": {"use": "model:Counting", "params": {"cut": N}},
            },
            code={"model.py": COUNTING},
            task={"type": "regression", "metric": "rmse"},
            **tables,
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
    assert run.test()["pred"].to_numpy() == pytest.approx(past.mean())
    assert not (run.path / "models" / "all-rows").exists()


def test_other_folds_are_averaged_as_ever(make: Callable[..., Competition]) -> None:
    assert validated(make("kfold"), "counting").record["new_rows"] == ALL_FOLDS


def test_growth_is_all_rows_to_those_of_a_fold() -> None:
    ids, fold = pd.Series(map(str, range(12))), np.repeat([0, 1, 2], 4).astype(np.int8)
    assert growth(Folds(ids, fold)) == pytest.approx(1.5)
    forward = Folds(ids, np.repeat([-1, 0, 1], 4).astype(np.int8), forward=True)
    assert growth(forward) == pytest.approx(12 / 6)
    sealed = np.where(np.arange(12) == 11, SEALED, fold).astype(np.int8)
    assert list(Folds(ids, sealed).train(3)) == list(range(11))
