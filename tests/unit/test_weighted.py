"""Rows that count differently: in the score of a run, of its folds and of a blend."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as sk
from sklearn.metrics import root_mean_squared_error

from kit.blend import blend
from kit.blending.objective import make_objective
from kit.competition import Competition
from kit.cv import cross_validate
from kit.dataset import Dataset
from kit.decision import Decision, default_decision, fit_decision
from kit.errors import ConfigError, DataError
from kit.exchange import export_run, import_file
from kit.metrics.base import Metric, UndefinedMetric, load_metric
from kit.metrics.weighted import weighted
from kit.permutation import prove
from kit.plan import make_plan
from kit.refit.final import refit
from kit.registry import METRICS
from kit.report import report_run
from kit.report.material import gather
from kit.report.noise import noise_band
from kit.session import open_session
from kit.settings import TaskType
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


TASKS: tuple[TaskType, ...] = ("regression", "binary", "multiclass")
CASES = [
    (name, task)
    for name in METRICS.table
    for task in TASKS
    if task in METRICS.load(name).tasks and name not in ("pearson", "spearman")
]


def sample(metric: Metric, task: TaskType, n: int = 90) -> tuple[Any, Any]:
    """Truth, and predictions of some use in the form that the metric wants."""
    rng = np.random.default_rng(0)
    if task == "regression":
        y = rng.uniform(1, 9, n)
        return y, (y + rng.uniform(-1, 3, n))[:, None]
    size = 2 if task == "binary" else 4
    y = rng.integers(0, size, n)
    p = 0.4 * np.eye(size)[y] + 0.6 * rng.dirichlet(np.ones(size), n)
    if metric.needs == "label":
        return y, p.argmax(axis=1)
    return y, p[:, 1:] if task == "binary" else p


def test_every_metric_but_correlations_takes_weights() -> None:
    assert len(CASES) > 25
    several = {name for name in METRICS.table if METRICS.load(name).tasks == ("multilabel",)}
    assert {name for name, _ in CASES} == {*METRICS.table} - {"pearson", "spearman"} - several


@pytest.mark.parametrize(("name", "task"), CASES)
def test_a_weight_of_two_is_a_row_twice_and_of_zero_none(name: str, task: TaskType) -> None:
    metric = load_metric(name, task)
    y, pred = sample(metric, task)
    weight = np.random.default_rng(1).integers(0, 3, len(y))
    counted = np.repeat(np.arange(len(y)), weight)
    heavy = weighted(metric, "w", task)
    found = heavy.score(np.column_stack([y, weight]), pred)
    assert found == pytest.approx(metric.score(y[counted], pred[counted]), rel=1e-9)
    assert heavy.identity != metric.identity


def _balanced(y: Any, pred: Any, sample_weight: Any) -> float:
    """Mean over classes of their weighted log loss."""
    classes = np.unique(y)
    p = np.column_stack([1 - pred, pred]) if pred.ndim == 1 else pred
    losses = -np.log(p[np.arange(len(y)), y])
    each = [np.average(losses[y == k], weights=sample_weight[y == k]) for k in classes]
    return float(np.mean(each))


def _at(k: int) -> Callable[..., float]:
    def score(y: Any, pred: Any, sample_weight: Any) -> float:
        tops = [list(row) for row in np.argsort(-pred, axis=1)[:, :k]]
        places = [
            1 / (top.index(c) + 1) if c in top else 0.0 for top, c in zip(tops, y, strict=True)
        ]
        return float(np.average(places, weights=sample_weight))

    return score


SKLEARN: dict[str, Callable[..., float]] = {
    "accuracy": sk.accuracy_score,
    "balanced_accuracy": sk.balanced_accuracy_score,
    "f1": sk.f1_score,
    "f1_macro": partial(sk.f1_score, average="macro"),
    "f1_micro": partial(sk.f1_score, average="micro"),
    "f1_weighted": partial(sk.f1_score, average="weighted"),
    "mcc": sk.matthews_corrcoef,
    "quadratic_kappa": partial(sk.cohen_kappa_score, weights="quadratic"),
    "roc_auc": sk.roc_auc_score,
    "log_loss": sk.log_loss,
    "brier": sk.brier_score_loss,
    "average_precision": sk.average_precision_score,
    "gini": lambda y, p, sample_weight: 2 * sk.roc_auc_score(y, p, sample_weight=sample_weight) - 1,
    "balanced_log_loss": _balanced,
    **{f"map_at_{k}": _at(k) for k in (3, 5, 10)},
    "ndcg_at_5": lambda y, p, sample_weight: sk.ndcg_score(
        np.eye(p.shape[1])[y], p, k=5, sample_weight=sample_weight
    ),
}


@pytest.mark.parametrize(("name", "task"), [case for case in CASES if case[1] != "regression"])
def test_weighted_classes_are_scored_as_scikit_learn_does(name: str, task: TaskType) -> None:
    metric = load_metric(name, task)
    y, pred = sample(metric, task)
    weight = np.random.default_rng(1).uniform(0.1, 5.0, len(y))
    if task == "multiclass" and name in ("roc_auc", "average_precision"):
        each = [SKLEARN[name](y == k, pred[:, k], sample_weight=weight) for k in range(4)]
        expected = float(np.mean(each))
    else:
        flat = pred[:, 0] if pred.shape[1:] == (1,) else pred
        expected = SKLEARN[name](y, flat, sample_weight=weight)
    heavy = weighted(metric, "w", task)
    found = heavy.score(np.column_stack([y, weight]), pred)
    assert found == pytest.approx(expected, rel=1e-9)
    assert found != pytest.approx(metric.score(y, pred), rel=1e-4)  # weights do count
    if metric.from_counts is not None:
        size = int(y.max()) + 1
        counts = np.bincount(y * size + pred, weight, size**2).reshape(size, size)
        assert metric.from_counts(counts) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("name", "task"),
    [("accuracy", "binary"), ("f1", "binary"), ("mcc", "binary"), ("f1_macro", "multiclass"),
     ("quadratic_kappa", "multiclass"), ("balanced_accuracy", "multiclass")],
)  # fmt: skip
def test_decisions_are_those_of_rows_that_are_there_twice(name: str, task: TaskType) -> None:
    """The rule and its nested score: weights 0, 1, 2 and copies of rows are the same."""
    rng = np.random.default_rng(2)
    size = 2 if task == "binary" else 4
    y = np.minimum(rng.geometric(0.45, 600) - 1, size - 1)
    p = 0.25 * np.eye(size)[y] + 0.75 * rng.dirichlet(np.ones(size) / 2, 600)
    pred, fold = p[:, 1:] if task == "binary" else p, np.arange(600) % 5
    weight = np.where(y == y.min(), 1, 2) * (np.arange(600) % 7 > 0)
    metric = load_metric(name, task)
    heavy = weighted(metric, "w", task)
    there, twice = np.flatnonzero(weight), np.repeat(np.arange(600), weight)
    # candidates are quantiles of the rows that are there, so rows of weight 0 are left out of both
    found = fit_decision(heavy, task, np.column_stack([y, weight])[there], pred[there], fold[there])
    copies = fit_decision(metric, task, y[twice], pred[twice], fold[twice])
    assert found.decision.kind == copies.decision.kind
    assert found.score == pytest.approx(copies.score, abs=0.02)
    assert found.default_score == pytest.approx(copies.default_score)
    scores = _chosen_score(heavy, np.column_stack([y, weight]), pred, found.decision)
    assert scores == pytest.approx(_chosen_score(metric, y[twice], pred[twice], found.decision))


def _chosen_score(metric: Metric, y: Any, pred: Any, decision: Decision) -> float:
    return metric.score(y, decision.apply(pred))


def test_thresholds_follow_the_weights() -> None:
    """Rows of the first class count nearly nothing: the best threshold calls all rows positive."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 400)
    pred = np.clip(0.35 + 0.1 * y + rng.normal(0, 0.05, 400), 0.01, 0.99)[:, None]
    fold = np.arange(400) % 4
    rules = []
    for light in (1.0, 0.001):
        truth = np.column_stack([y, np.where(y == 0, light, 1.0)])
        metric = weighted(load_metric("accuracy", "binary"), "w", "binary")
        rules.append(fit_decision(metric, "binary", truth, pred, fold).decision)
    even, skewed = (rule.values[0] for rule in rules)
    assert 0.36 < even < 0.44
    assert skewed < pred[y == 1].min() + 0.05


@pytest.mark.parametrize(
    ("name", "task"),
    [*((name, "regression") for name in ("rmse", "rmsle", "mae", "r2", "smape")),
     *((name, "binary") for name in ("roc_auc", "log_loss", "brier", "accuracy", "mcc")),
     *((name, "multiclass") for name in ("roc_auc", "log_loss", "brier", "f1_macro"))],
)  # fmt: skip
def test_a_step_of_a_blend_is_judged_by_weight(name: str, task: TaskType) -> None:
    """What a search for weights minimises ranks the members as the weighted metric does."""
    rng = np.random.default_rng(3)
    metric = weighted(load_metric(name, task), "w", task)
    y, _ = sample(metric, task, 300)
    weight = rng.choice([0.0, 0.2, 6.0], 300)
    k = 4 if task == "multiclass" else 1
    if task == "regression":
        oof = y[None, :, None] * np.exp(rng.normal(0, 0.3, (5, 300, k)))
        oof = np.log1p(oof) if name == "rmsle" else oof
        back = np.expm1 if name == "rmsle" else lambda x: x
    else:
        codes = np.eye(max(k, 2))[y][:, 1 if k == 1 else 0 :]
        oof = np.stack([0.3 * codes + 0.7 * rng.dirichlet(np.ones(max(k, 2)), 300)[:, -k:]
                        for _ in range(5)])  # fmt: skip
        back = lambda x: x  # noqa: E731
    truth = np.column_stack([y, weight])
    objective = make_objective(metric, task, oof, truth, back)
    start, share = np.array([0.5, 0.5, 0.0, 0.0, 0.0]), 0.3
    found = objective.along(start, share)
    rule = default_decision(task, k)
    base = np.tensordot(start, oof, axes=1)
    expected = []
    for member in oof:
        mixed = back((1 - share) * base + share * member)
        expected.append(metric.loss(truth, rule.apply(mixed) if metric.needs == "label" else mixed))
    classes = k if name == "brier" else 1  # the search takes the mean over classes, not the sum
    difference = classes * found - np.array(expected)
    # losses may lack a constant (r2) or have a trace of log loss (labels)
    assert np.ptp(difference) < (3e-4 if metric.needs == "label" else 1e-6)


@pytest.mark.parametrize(
    ("metric", "type_", "classes"),
    [("accuracy", "binary", ["0", "1"]),
     pytest.param("log_loss", "multiclass", ["0", "1", "2"], marks=pytest.mark.slow),
     pytest.param("f1_macro", "multiclass", ["0", "1", "2"], marks=pytest.mark.slow),
     pytest.param("quadratic_kappa", "multiclass", ["0", "1", "2"], marks=pytest.mark.slow)],
)  # fmt: skip
def test_runs_blends_and_reports_of_classes_take_weights(
    make_competition: Make, metric: str, type_: TaskType, classes: list[str]
) -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"id": np.arange(240), "a": rng.normal(size=240)})
    frame["b"] = rng.normal(size=240)
    frame["y"] = pd.cut(frame["a"] + rng.normal(size=240), len(classes), labels=classes)
    frame["y"] = frame["y"].astype("int")
    made = make_competition(
        frame[:200].assign(w=rng.uniform(0, 4, 200) * (np.arange(200) % 5 > 0)),
        frame[200:].drop(columns="y"),
        competition={"slug": "w"},
        columns={"weight": "w", "kinds": {}},
        task={"type": type_, "metric": metric, "classes": classes},
        submission={"wants": "label"},
        cv={"splitter": "stratified_kfold", "models": ["linear", "extra_trees"]},
    )
    data = Dataset.read(made)
    assert data.weight is not None
    runs = validated(made, "linear", "extra_trees")
    blended = blend(made, [run.id for run in runs])
    plain = load_metric(metric, type_)
    for run in runs:
        pred = run.oof()[[c for c in run.oof().columns if c.startswith("pred")]].to_numpy()
        labels = default_decision(type_, pred.shape[1]).apply(pred)
        scored = labels if plain.needs == "label" else pred
        expected = plain.function(data.y, scored, data.weight)  # type: ignore[call-arg]
        assert run.record["score"]["default"] == pytest.approx(expected)
    gathered = gather(made, blended, data, "")
    assert gathered.truth is not None
    assert gathered.truth.metric is not None
    assert gathered.truth.metric.weighted
    assert noise_band(gathered.truth, blended.score, 40, made) is not None
    assert "count by" in report_run(made, blended).read_text()


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


@pytest.mark.parametrize(("name", "task"), [("f1", "multilabel"), ("rmse", "multitarget")])
def test_several_columns_to_predict_are_refused(name: str, task: TaskType) -> None:
    with pytest.raises(ConfigError, match="one column to predict"):
        weighted(load_metric(name, task), "w", task)


@pytest.mark.parametrize(
    ("weight", "message"), [(-1, "120 are not"), (0, "all are 0"), (np.nan, "120 are not")]
)
def test_weights_that_are_none(make_competition: Make, weight: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Dataset.read(competition(make_competition, weight=weight))


def test_a_target_that_the_metric_cannot_score_may_count_nothing(
    make_competition: Make, run_kit: Any
) -> None:
    """Weight 0 is how rows without a relative error are left out of it."""
    frame = pd.DataFrame({"id": np.arange(90), "a": np.random.default_rng(0).normal(size=90)})
    frame["y"] = np.where(frame["id"] % 3 == 0, 0.0, 5 + frame["a"])
    found = []
    for name, of_zero in (("nothing", 0), ("something", 1)):
        made = make_competition(
            frame[:60].assign(w=np.where(frame["y"][:60] == 0, of_zero, 2)),
            frame[60:].drop(columns="y"),
            name=name,
            columns={"weight": "w", "kinds": {}},
            task={"type": "regression", "metric": "mape", "classes": []},
            submission={"wants": "value"},
            cv={"splitter": "kfold"},
        )
        found.append(made)
    assert validated(found[0], "linear")[0].score < 1
    assert "mape is not defined" not in run_kit("check", "-C", found[0].root).out
    with pytest.raises(DataError, match="mape is not defined where the target is 0; 20 rows are"):
        validated(found[1], "linear")
    assert "mape is not defined" in run_kit("check", "-C", found[1].root).out


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


def test_words_count_as_kit_toml_says(make_competition: Make) -> None:
    """Walmart's holidays: five times as much, and a feature all the same where `kinds` lists it."""
    frame = pd.DataFrame({"id": np.arange(150), "a": np.random.default_rng(0).normal(size=150)})
    frame["w"] = np.where(np.arange(150) % 6 == 0, "True", "False")
    train = frame[:120].assign(y=np.random.default_rng(1).normal(size=120))

    def told(**weights: float) -> Competition:
        return make_competition(
            train,
            frame[120:],
            columns={"weight": "w", "weights": weights, "kinds": {"w": "category"}},
            task={"type": "regression", "metric": "mae", "classes": []},
            submission={"wants": "value"},
            cv={"splitter": "kfold"},
        )

    with pytest.raises(DataError, match="Missing: 'False'"):
        Dataset.read(told(true=5))
    with pytest.raises(DataError, match=r'For words: columns.weights = { "True" = 5'):
        Dataset.read(told())
    made = told(true=5, FALSE=1)
    data, run = Dataset.read(made), validated(made, "linear")[0]
    assert data.weight is not None
    assert data.weight.tolist() == [5.0 if word == "True" else 1.0 for word in train["w"]]
    assert "w" in data.X.columns
    error = np.abs(run.oof()["pred"].to_numpy() - data.y)
    assert run.score == pytest.approx(np.average(error, weights=data.weight))
    assert run.metric[1] == "weight w (FALSE 1, true 5)"
