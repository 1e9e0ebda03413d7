"""Labels from probabilities: the rules, the search, the guard and the honest score."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from kit.decision import Decision, _choose, default_decision, fit_decision
from kit.errors import DataError
from kit.metrics import UndefinedMetric, load_metric


def binary(seed: int = 0, n: int = 800, rate: float = 0.5, shift: float = 0.0) -> tuple:
    """Truth, probabilities whose log-odds are off by `shift`, and five folds."""
    rng = np.random.default_rng(seed)
    odds = rng.normal(0.0, 1.5, n) + math.log(rate / (1 - rate))
    y = (rng.random(n) < 1 / (1 + np.exp(-odds))).astype(int)
    return y, 1 / (1 + np.exp(-odds - shift))[:, None], rng.permutation(n) % 5


def multilabel(n: int = 2000, t: int = 3) -> tuple:
    rng = np.random.default_rng(0)
    odds = rng.normal(-2.0, 1.5, (n, t))
    y = (rng.random((n, t)) < 1 / (1 + np.exp(-odds))).astype(int)
    return y, 1 / (1 + np.exp(-odds)), rng.permutation(n) % 5


def multiclass(n: int = 6000) -> tuple:
    """Four classes, the first the most frequent."""
    rng = np.random.default_rng(0)
    odds = rng.normal(size=(n, 4)) - np.arange(4)
    pred = np.exp(odds) / np.exp(odds).sum(axis=1, keepdims=True)
    y = (pred.cumsum(axis=1) > rng.random((n, 1))).argmax(axis=1)
    return y, pred, np.arange(n) % 5


@pytest.mark.parametrize(
    ("decision", "pred", "labels"),
    [
        (Decision("none"), [[0.5], [0.49]], [1, 0]),
        (Decision("none"), [[0.2, 0.5, 0.3], [0.6, 0.1, 0.3]], [1, 0]),
        (Decision("threshold", (0.3,)), [[0.3], [0.29]], [1, 0]),
        (Decision("prior", (0.8, 0.2)), [[0.7, 0.3], [0.9, 0.1]], [1, 0]),
        (Decision("thresholds", (0.2, 0.6)), [[0.3, 0.5], [0.1, 0.7]], [[1, 0], [0, 1]]),
    ],
)
def test_decision_makes_labels(decision: Decision, pred: list, labels: list) -> None:
    made = decision.apply(np.array(pred))
    assert made.tolist() == labels
    assert made.dtype == np.int64


def test_decision_refuses_predictions_of_another_width() -> None:
    with pytest.raises(DataError, match=r"shape \(n, 2\). Received: \(1, 3\)"):
        Decision("thresholds", (0.5, 0.5)).apply(np.zeros((1, 3)))


def test_decision_survives_json() -> None:
    decision = Decision("thresholds", (0.25, 0.5))
    assert Decision.from_json(json.loads(json.dumps(decision.to_json()))) == decision


def test_decision_of_an_unknown_kind_is_refused() -> None:
    with pytest.raises(DataError, match="Received: 'magic'"):
        Decision.from_json({"kind": "magic"})


def test_metric_without_labels_needs_no_decision() -> None:
    y, pred, fold = binary(0)
    metric = load_metric("roc_auc", "binary")
    fitted = fit_decision(metric, "binary", y, pred, fold)
    assert fitted.decision == Decision("none")
    assert fitted.score == fitted.default_score == metric.score(y, pred)
    assert fitted.fold_scores[2] == metric.score(y[fold == 2], pred[fold == 2])


def test_multilabel_metric_without_labels_still_says_how_labels_are_made() -> None:
    y, pred, fold = multilabel()
    fitted = fit_decision(load_metric("roc_auc", "multilabel"), "multilabel", y, pred, fold)
    assert fitted.decision.apply(pred).shape == y.shape


def test_only_validated_rows_count() -> None:
    y, pred, fold = binary(0)
    metric = load_metric("log_loss", "binary")
    clean = fit_decision(metric, "binary", y, pred, fold)
    padded = fit_decision(
        metric,
        "binary",
        np.append(y, 1),
        np.vstack([pred, [[np.nan]]]),
        np.append(fold, -1),
    )
    assert padded == clean


def test_fold_without_a_value_is_nan_and_the_pooled_score_stays() -> None:
    metric = load_metric("roc_auc", "binary")
    y, fold = np.array([0, 1, 1, 1]), np.array([0, 0, 2, 2])
    fitted = fit_decision(metric, "binary", y, np.array([[0.1], [0.6], [0.7], [0.5]]), fold)
    assert fitted.score == 1.0
    assert fitted.fold_scores[0] == 1.0
    assert math.isnan(fitted.fold_scores[1])  # dropped: no rows
    assert math.isnan(fitted.fold_scores[2])  # one class


def test_metric_without_a_value_on_all_rows_is_an_error() -> None:
    metric = load_metric("roc_auc", "binary")
    with pytest.raises(UndefinedMetric):
        fit_decision(metric, "binary", np.array([1, 1]), np.array([[0.1], [0.2]]), np.array([0, 1]))


def test_nothing_validated_is_an_error() -> None:
    with pytest.raises(DataError, match="no training row was validated"):
        fit_decision(
            load_metric("rmse", "regression"),
            "regression",
            np.zeros(2),
            np.zeros((2, 1)),
            np.full(2, -1),
        )


@pytest.mark.parametrize("n", [200, 800])
def test_accuracy_of_calibrated_probabilities_keeps_one_half(n: int) -> None:
    metric = load_metric("accuracy", "binary")
    adopted = sum(
        fit_decision(metric, "binary", *binary(seed, n)).decision.values != (0.5,)
        for seed in range(60)
    )
    assert adopted <= 6  # a test at 5 %


def test_kept_default_reports_the_score_of_the_default() -> None:
    metric = load_metric("accuracy", "binary")
    y, pred, fold = binary(3)
    fitted = fit_decision(metric, "binary", y, pred, fold)
    assert fitted.decision == default_decision("binary", 1)
    assert fitted.score == fitted.default_score == np.mean((pred[:, 0] >= 0.5) == y)


def test_shifted_probabilities_get_another_threshold() -> None:
    y, pred, fold = binary(0, n=4000, shift=1.5)
    fitted = fit_decision(load_metric("accuracy", "binary"), "binary", y, pred, fold)
    assert fitted.decision.values[0] == pytest.approx(1 / (1 + math.exp(-1.5)), abs=0.07)
    assert fitted.score > fitted.default_score + 0.02


def test_f1_of_a_rare_class_lowers_the_threshold() -> None:
    y, pred, fold = binary(0, n=6000, rate=0.05)
    fitted = fit_decision(load_metric("f1", "binary"), "binary", y, pred, fold)
    assert fitted.decision.values[0] < 0.4
    assert fitted.score > fitted.default_score + 0.05


def test_adopted_score_is_below_the_one_that_chose_itself() -> None:
    y, pred, fold = binary(1, n=1500, shift=1.0)
    metric = load_metric("accuracy", "binary")
    fitted = fit_decision(metric, "binary", y, pred, fold)
    assert fitted.decision.values != (0.5,)
    assert fitted.score <= metric.score(y, fitted.decision.apply(pred))


@pytest.mark.parametrize(
    ("task", "name"),
    [
        ("binary", "accuracy"),
        ("multiclass", "balanced_accuracy"),
        ("multilabel", "f1"),
        ("multilabel", "f1_micro"),
    ],
)
def test_decision_of_a_fold_does_not_look_at_its_labels(task: str, name: str) -> None:
    y, pred, fold = {"binary": binary, "multiclass": multiclass, "multilabel": multilabel}[task]()
    scrambled, inside = y.copy(), fold == 0
    scrambled[inside] = y.max() - y[inside]
    metric = load_metric(name, task)  # type: ignore[arg-type]
    _, before = _choose(metric, task, y, pred, fold)  # type: ignore[arg-type]
    _, after = _choose(metric, task, scrambled, pred, fold)  # type: ignore[arg-type]
    assert before[0] == after[0]
    assert before != after


def test_single_fold_cannot_choose() -> None:
    y, pred, fold = binary(0, n=4000, shift=1.5)
    hold_out = np.where(fold == 0, 0, -1)
    fitted = fit_decision(load_metric("accuracy", "binary"), "binary", y, pred, hold_out)
    assert fitted.decision == Decision("threshold", (0.5,))


def test_imbalanced_classes_are_decided_by_priors() -> None:
    y, pred, fold = multiclass()
    balanced = load_metric("balanced_accuracy", "multiclass")
    fitted = fit_decision(balanced, "multiclass", y, pred, fold)
    assert fitted.decision.kind == "prior"
    assert list(fitted.decision.values) == sorted(fitted.decision.values, reverse=True)
    assert fitted.score > fitted.default_score + 0.05
    accuracy = fit_decision(load_metric("accuracy", "multiclass"), "multiclass", y, pred, fold)
    assert accuracy.decision == Decision("none")


def test_multiclass_decision_survives_a_class_without_rows() -> None:
    rng = np.random.default_rng(0)
    pred = rng.dirichlet([4, 2, 1], size=300)
    y = np.minimum((pred.cumsum(axis=1) > rng.random((300, 1))).argmax(axis=1), 1)
    metric = load_metric("f1_macro", "multiclass")
    fitted = fit_decision(metric, "multiclass", y, pred, np.arange(300) % 3)
    assert np.isfinite(fitted.score)


@pytest.mark.parametrize("name", ["f1", "f1_macro", "f1_weighted"])
def test_multilabel_columns_get_thresholds_of_their_own(name: str) -> None:
    y, pred, fold = multilabel()
    pred = pred ** np.array([1.0, 2.0, 0.5])  # each column is off in its own way
    fitted = fit_decision(load_metric(name, "multilabel"), "multilabel", y, pred, fold)
    assert fitted.decision.kind == "thresholds"
    low, middle, high = np.array(fitted.decision.values)[[1, 0, 2]]
    assert low < middle < high
    assert fitted.score > fitted.default_score


def test_multilabel_f1_micro_shares_one_threshold() -> None:
    y, pred, fold = multilabel()
    fitted = fit_decision(load_metric("f1_micro", "multilabel"), "multilabel", y, pred, fold)
    assert len(set(fitted.decision.values)) == 1
    assert fitted.decision.values[0] < 0.5
    assert fitted.score > fitted.default_score


def test_metric_without_confusion_counts_finds_the_same_threshold() -> None:
    y, pred, fold = binary(0, n=4000, shift=1.5)
    metric = load_metric("accuracy", "binary")
    quick = fit_decision(metric, "binary", y, pred, fold)
    slow = fit_decision(replace(metric, from_counts=None), "binary", y, pred, fold)
    assert slow.decision.values[0] == pytest.approx(quick.decision.values[0], abs=0.05)
    assert slow.score == pytest.approx(quick.score, abs=0.01)


def test_decision_does_not_depend_on_the_order_of_rows() -> None:
    y, pred, fold = binary(0, n=4000, shift=1.5)
    order = np.random.default_rng(1).permutation(len(y))
    metric = load_metric("f1", "binary")
    assert fit_decision(metric, "binary", y, pred, fold) == fit_decision(
        metric, "binary", y[order], pred[order], fold[order]
    )


@pytest.mark.parametrize(
    ("task", "columns", "decision"),
    [
        ("binary", 1, Decision("threshold", (0.5,))),
        ("multiclass", 3, Decision("none")),
        ("multilabel", 2, Decision("thresholds", (0.5, 0.5))),
    ],
)
def test_default_decision_fits_the_task(task: str, columns: int, decision: Decision) -> None:
    assert default_decision(task, columns) == decision  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "name", ["accuracy", "balanced_accuracy", "f1", "f1_macro", "f1_micro", "f1_weighted", "mcc"]
)
def test_label_metrics_take_multilabel_truth_as_the_data_has_it(name: str) -> None:
    rng = np.random.default_rng(0)
    truth = (rng.random((200, 3)) < 0.3).astype(np.float64)  # floats: `Dataset.y` of this task
    pred = np.clip(truth * 0.5 + rng.random((200, 3)) * 0.5, 0, 1)
    found = fit_decision(
        load_metric(name, "multilabel"), "multilabel", truth, pred, np.arange(200) % 4
    )
    assert np.isfinite(found.score)
