"""Rows that a metric does not count (a target of 0 in `rmspe`): nothing is learned from them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from kit.blend import blend
from kit.blending.boosted import Boosting
from kit.blending.level import Level
from kit.blending.weighted import Greedy
from kit.competition import Competition
from kit.cv import cross_validate
from kit.errors import DataError
from kit.metrics.base import load_metric
from kit.plan import make_plan
from kit.refit.final import refit
from kit.session import open_session

Make = Callable[..., Competition]
CLOSED = np.arange(160) % 4 == 1
FEW = {"lightgbm": {"params": {"n_estimators": 20, "min_data_in_leaf": 5}}}
TASK = {"type": "regression", "metric": "rmspe", "classes": []}


def sales(
    make: Make, wrong: float = 0.0, name: str = "shop", y: Any = None, **tables: Any
) -> Competition:
    """Sales of shops; of those that are closed `wrong` is said, and nothing was sold."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"id": np.arange(200), "a": rng.normal(size=200)})
    frame["y"] = np.exp(4 + frame["a"] / 2 + rng.normal(size=200) / 9)
    train = frame[:160].assign(y=np.where(CLOSED, 0, frame["y"][:160]) if y is None else y)
    train.loc[CLOSED, "a"] = wrong
    tables = {"cv": {"splitter": "kfold"}, "task": TASK, **tables}
    return make(
        train,
        frame[160:].drop(columns="y"),
        name=name,
        competition={"slug": "shop"},
        columns={"kinds": {}},
        submission={"wants": "value"},
        **tables,
    )


@pytest.mark.parametrize("stopping", ["inner", "cross", "fold"])
def test_they_do_not_move_predictions(make_competition: Make, stopping: str) -> None:
    """Nor where to stop, nor a blend, nor models that are fitted on all rows."""
    found = []
    for wrong in (2.0, -50.0):
        cv = {"splitter": "kfold", "early_stopping": stopping}
        made = sales(make_competition, wrong, f"shop{wrong:g}", models=FEW, cv=cv)
        with open_session(made) as session:
            runs = [cross_validate(session, name) for name in ("lightgbm", "linear")]
        runs.append(blend(made, [run.id for run in runs]))
        assert runs[1].score < 0.3
        fitted = [refit(made, run, seeds=1) for run in runs]
        found.append([run.oof()[~CLOSED] for run in runs])
        found[-1] += [run.test() for run in (*runs, *fitted)]
    for first, second in zip(*found, strict=True):
        pd.testing.assert_frame_equal(first, second)


def test_they_are_no_past(make_competition: Make) -> None:
    """What a shop sells when it is closed says nothing of the other days."""
    days = pd.date_range("2024-01-01", periods=90).astype("str")
    frame = pd.DataFrame({"id": np.arange(90), "day": days})
    frame["y"] = np.where(np.arange(90) % 7 == 2, 0, np.arange(90.0) + 50)
    made = make_competition(
        frame[:80],
        frame[80:].drop(columns="y"),
        competition={"slug": "shop"},
        columns={"time": "day", "kinds": {"day": "datetime"}},
        task=TASK,
        submission={"wants": "value"},
        series={"step": "1D", "horizon": 10, "lags": [10]},
        cv={"splitter": "time_windows", "n_splits": 2, "horizon": "10D", "holdout": 0.1},
    )
    with open_session(made) as session:
        run = cross_validate(session, "naive")
    assert frame["y"][79] == 0
    assert run.test()["pred"].to_numpy() == pytest.approx(128)  # of day 78


def test_other_metrics_learn_from_all_rows(make_competition: Make) -> None:
    plans = []
    for metric in ("rmspe", "rmse"):
        for y in (None, np.arange(160) + 1.0):
            made = sales(make_competition, name=f"{metric}{y is None}", y=y,
                         task={**TASK, "metric": metric})  # fmt: skip
            with open_session(made) as session:
                plans.append(session.context.leaves_out)
                make_plan(session, "linear")
    assert plans == [True, False, False, False]


def test_a_fold_without_any_row_to_learn_from_is_named(make_competition: Make) -> None:
    y = np.where(np.arange(160) < 80, 0.0, 5.0)
    made = sales(make_competition, y=y, cv={"splitter": "splits:halves", "n_splits": 2})
    (made.root / "splits.py").write_text(
        "import numpy as np\ndef halves(y, groups, time, spec):\n"
        "    return np.arange(len(y)) * 2 // len(y)\n"
    )
    with (
        pytest.raises(DataError, match="no training row of fold 2 counts in rmspe"),
        open_session(made) as session,
    ):
        cross_validate(session, "linear")


def test_a_second_level_does_not_learn_from_them_either() -> None:
    rng = np.random.default_rng(0)
    y = rng.uniform(5, 50, 400)
    oof = np.stack([y * rng.uniform(0.8, 1.3, 400) for _ in range(3)])[..., None]
    level = Level(metric=load_metric("rmspe", "regression"), task="regression", oof=oof,
                  y=np.where(np.arange(400) % 4, y, 0), fold=np.arange(400) % 5)  # fmt: skip
    kept = level.rows(np.flatnonzero(level.y))
    fitted = [Boosting().refine(each, Greedy().fit(each)) for each in (level, kept)]
    np.testing.assert_array_equal(fitted[0].predict(oof), fitted[1].predict(oof))
