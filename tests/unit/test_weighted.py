"""Rows that count differently: in the score of a run, of its folds and of a blend."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import root_mean_squared_error

from kit.blend import blend
from kit.competition import Competition
from kit.cv import cross_validate
from kit.dataset import Dataset
from kit.errors import ConfigError, DataError
from kit.exchange import export_run, import_file
from kit.metrics.base import UndefinedMetric, load_metric
from kit.metrics.weighted import _FUNCTIONS, weighted
from kit.permutation import prove
from kit.plan import make_plan
from kit.refit.final import refit
from kit.session import open_session
from kit.tune.rescoring import _value

Make = Callable[..., Competition]
METRIC_PY = """
import numpy as np

def wmae(y_true, y_pred, weight):
    return float(np.average(np.abs(y_true - y_pred), weights=weight))

wmae.greater_is_better = False
wmae.needs = "value"

def plain(y_true, y_pred):
    return float(np.mean(np.abs(y_true - y_pred)))

plain.greater_is_better = False
"""


def competition(
    make: Make, metric: str = "rmse", weight: Any = None, name: str = "w", **cv: Any
) -> Any:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"id": np.arange(150), "a": rng.normal(size=150)})
    frame["y"] = frame["a"] + rng.normal(size=150)
    train = frame[:120].assign(w=rng.integers(0, 5, 120) if weight is None else weight)
    return make(
        train,
        frame[120:].drop(columns="y"),
        name=name,
        competition={"slug": "w"},
        columns={"weight": "w", "kinds": {}},
        task={"type": "regression", "metric": metric, "classes": []},
        submission={"wants": "value"},
        cv={"splitter": "kfold", "models": ["linear", "extra_trees"], **cv},
        code={"metric.py": METRIC_PY},
    )


def validated(made: Competition, *models: str) -> list[Any]:
    with open_session(made) as session:
        return [cross_validate(session, model) for model in models]


@pytest.mark.parametrize(
    ("name", "y", "pred", "expected"),
    [("smape", 0.1, 0.3, 100.0), ("rmsle", 0.2, 0.2, 0.0), ("rmsle", 0.0, -3.0, 0.0)],
)
def test_small_and_negative_values_count_as_without_weights(
    name: str, y: float, pred: float, expected: float
) -> None:
    heavy = weighted(load_metric(name, "regression"), "w", "regression")
    assert heavy.score(np.array([[y, 2.0]]), np.array([[pred]])) == pytest.approx(expected)


@pytest.mark.parametrize("name", _FUNCTIONS)
def test_a_weight_of_two_is_a_row_twice_and_of_zero_none(name: str) -> None:
    task = (
        "binary" if name in ("roc_auc", "average_precision", "log_loss", "brier") else "regression"
    )
    metric = load_metric(name, task)  # type: ignore[arg-type]
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 60) if task == "binary" else rng.uniform(1, 9, 60)
    pred = rng.random((60, 1)) if task == "binary" else rng.uniform(1, 9, (60, 1))
    weight = rng.integers(0, 3, 60)
    counted = np.repeat(np.arange(60), weight)
    heavy = weighted(metric, "w", task)  # type: ignore[arg-type]
    found = heavy.score(np.column_stack([y, weight]), pred)
    assert found == pytest.approx(metric.score(y[counted], pred[counted]), rel=1e-9)
    assert heavy.identity != metric.identity


def test_weights_decide_the_score_of_a_run_its_folds_and_a_blend(make_competition: Make) -> None:
    made = competition(make_competition)
    data = Dataset.read(made)
    assert list(data.X.columns) == ["a"]
    runs = validated(made, "linear", "extra_trees")
    blended = blend(made, [run.id for run in runs])
    assert data.weight is not None
    for run in (*runs, blended):
        oof = run.oof()
        error = (oof["pred"].to_numpy() - data.y) ** 2
        if run.kind == "cv":
            expected = np.sqrt(np.average(error, weights=data.weight))
            assert run.score == pytest.approx(expected)
        else:
            expected = np.sqrt(np.average(error, weights=data.weight))
            assert run.record["score"]["plain"] == pytest.approx(expected)
    first = runs[0].oof()
    rows = (first["fold"] == 0).to_numpy()
    error = (first["pred"].to_numpy() - data.y)[rows] ** 2
    expected = np.sqrt(np.average(error, weights=data.weight[rows]))
    assert runs[0].record["score"]["folds"][0] == pytest.approx(expected)


def test_a_metric_of_ones_own_takes_the_weights(make_competition: Make) -> None:
    made = competition(make_competition, "metric:wmae")
    (run,) = validated(made, "linear")
    data = Dataset.read(made)
    error = np.abs(run.oof()["pred"].to_numpy() - data.y)
    assert run.score == pytest.approx(np.average(error, weights=data.weight))


@pytest.mark.parametrize("metric", ["metric:plain", "spearman"])
def test_a_metric_without_weights_is_refused(make_competition: Make, metric: str) -> None:
    with pytest.raises(ConfigError, match="takes no weights"):
        validated(competition(make_competition, metric), "linear")


def test_labels_are_refused() -> None:
    with pytest.raises(ConfigError, match="one number per row"):
        weighted(load_metric("accuracy", "binary"), "w", "binary")


@pytest.mark.parametrize(
    ("weight", "message"), [(-1, "120 are not"), (0, "all are 0"), (np.nan, "120 are not")]
)
def test_weights_that_are_none(make_competition: Make, weight: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Dataset.read(competition(make_competition, weight=weight))


def test_rows_without_any_weight_have_no_score() -> None:
    metric = weighted(load_metric("mae", "regression"), "w", "regression")
    with pytest.raises(UndefinedMetric, match="weights are 0"):
        metric.score(np.zeros((3, 2)), np.ones((3, 1)))


def test_weights_count_wherever_a_run_is_scored(make_competition: Make, tmp_path: Path) -> None:
    """Sealed rows, other seeds' folds, blends, an import, permuted labels."""
    made = competition(make_competition, holdout=0.2)
    data = Dataset.read(made)
    assert data.weight is not None
    linear, trees = validated(made, "linear", "extra_trees")
    with open_session(made) as session:
        plan = replace(make_plan(session, "linear"), partial=tmp_path / "again")
        results = list(session.executor.run(plan.tasks(range(plan.n_folds))))
        assert _value(session, results) == pytest.approx(linear.score)
    for run in (linear, blend(made, [linear.id, trees.id])):
        held = run.holdout().set_index("id")["pred"]
        rows = pd.Index(data.ids).get_indexer(held.index)
        expected = root_mean_squared_error(data.y[rows], held, sample_weight=data.weight[rows])
        assert run.record["holdout"]["score"] == pytest.approx(expected)
    (score,) = prove(made, ["linear"]).scores
    assert not score.beyond
    export_run(linear, tmp_path / "linear.parquet")
    other = competition(make_competition, holdout=0.2, name="other")
    imported, _ = import_file(other, tmp_path / "linear.parquet")
    assert imported.score == pytest.approx(linear.score)
    (theirs,) = validated(other, "extra_trees")
    mixed = blend(other, [imported.id, theirs.id])
    assert "holdout" not in mixed.record  # what was imported knows no sealed rows


def lies(make: Make, wrong: float, name: str, **sections: Any) -> Competition:
    """Every third row counts nothing, and has a target that is `wrong`."""
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"id": np.arange(150), "a": rng.normal(size=150)})
    frame["y"], nothing = 3 * frame["a"] + rng.normal(size=150), np.arange(150) % 3 == 0
    frame.loc[nothing, "y"] = wrong * frame["a"]
    return make(
        frame[:120].assign(w=np.where(nothing, 0, 1 + np.arange(150) % 2)[:120]),
        frame[120:].drop(columns="y"),
        name=name,
        competition={"slug": "w"},
        columns={"weight": "w", "kinds": {}},
        task={"type": "regression", "metric": "rmse", "classes": []},
        submission={"wants": "value"},
        code={"metric.py": METRIC_PY, "model.py": MODEL_PY},
        **sections,
    )


MODEL_PY = """
from sklearn.linear_model import LinearRegression
from sklearn.neighbors import KNeighborsRegressor

def straight():
    return LinearRegression()

def neighbours():
    return KNeighborsRegressor()
"""
FEW = {"lightgbm": {"params": {"n_estimators": 20}}}


@pytest.mark.parametrize("stopping", ["inner", "cross"])
def test_rows_that_count_nothing_do_not_move_predictions(
    make_competition: Make, stopping: str
) -> None:
    """Nor those of models that are fitted on all rows."""
    found = []
    for wrong in (5.0, -500.0):
        made = lies(
            make_competition, wrong, f"lies{wrong:g}", models=FEW,
            cv={"splitter": "kfold", "early_stopping": stopping},
        )  # fmt: skip
        runs = validated(made, "lightgbm", "linear", "model:straight")
        fitted = [refit(made, run, seeds=1) for run in runs[: 1 + (stopping == "inner")]]
        found.append([frame for run in (*runs, *fitted) for frame in (run.oof(), run.test())])
    for first, second in zip(*found, strict=True):
        pd.testing.assert_frame_equal(first, second)


def test_models_learn_by_weight_unless_told_otherwise(make_competition: Make) -> None:
    made = lies(make_competition, -9.0, "lies")
    with open_session(made) as session:
        told = cross_validate(session, "linear")
        with pytest.raises(ConfigError, match="weighted = false"):
            cross_validate(session, "model:neighbours")
    assert told is not None
    assert told.record["weighted"] is True
    errors = [told.score]
    for flag in ("cv.weighted=false", "models.linear.weighted=false"):
        other = Competition.load(made.root, [flag])
        (run,) = validated(other, "linear")
        assert run.hash != told.hash
        assert run.record["weighted"] is False
        errors.append(run.score)
        again = refit(Competition.load(made.root), run, seeds=1)  # as it was validated
        assert np.corrcoef(again.test()["pred"], told.test()["pred"])[0, 1] < 0
    assert errors[0] < 1.2 < 2 < errors[1] == errors[2]
    spoken = Competition.load(made.root, ["models.own.use=model:neighbours",
                                          "models.own.weighted=false"])  # fmt: skip
    assert validated(spoken, "own")[0].record["weighted"] is False


def test_a_fold_without_any_weight_to_learn_from_is_named(make_competition: Make) -> None:
    weight = np.repeat([1, 0], 60)
    made = competition(make_competition, weight=weight, splitter="splits:halves", n_splits=2)
    (made.root / "splits.py").write_text(
        "import numpy as np\ndef halves(y, groups, time, spec):\n"
        "    return np.arange(len(y)) * 2 // len(y)\n"
    )
    with pytest.raises(DataError, match="all training rows of fold 1 have the weight 0"):
        validated(made, "linear")


def test_rows_that_count_nothing_are_still_a_past(make_competition: Make) -> None:
    days = pd.date_range("2024-01-01", periods=90).astype("str")
    frame = pd.DataFrame({"id": np.arange(90), "day": days, "y": np.arange(90.0)})
    frame["w"] = 1 - np.arange(90) % 2
    made = make_competition(
        frame[:80],
        frame[80:].drop(columns=["y", "w"]),
        competition={"slug": "w"},
        columns={"weight": "w", "time": "day", "kinds": {"day": "datetime"}},
        task={"type": "regression", "metric": "rmse", "classes": []},
        submission={"wants": "value"},
        series={"step": "1D", "horizon": 10, "lags": [10]},
        cv={"splitter": "time_windows", "n_splits": 2, "horizon": "10D"},
    )
    (run,) = validated(made, "naive")
    last = run.oof()["pred"].iloc[-1], run.test()["pred"].iloc[0]
    assert last == (69, 79)  # both count nothing
