"""Metrics of classification: labels, probabilities and rankings.

Owns: the formulas where scikit-learn has none, and what happens when a fold lacks a class. Label
metrics come twice: `function` from scikit-learn, and `from_counts`, the same from confusion
counts ``(..., K, K)`` [true, predicted], which scores hundreds of thresholds at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    brier_score_loss,
    cohen_kappa_score,
    f1_score,
    log_loss,
    matthews_corrcoef,
    recall_score,
    roc_auc_score,
)

from kit.errors import DataError
from kit.metrics.base import Metric, UndefinedMetric
from kit.settings import TaskType

Array = NDArray[Any]
Weight = NDArray[np.float64] | None
"""How much each row counts ``(n,)``; None: all the same."""

_SINGLE: tuple[TaskType, ...] = ("binary", "multiclass")
_ALL: tuple[TaskType, ...] = ("binary", "multiclass", "multilabel")

# Kaggle's log loss: "predicted probabilities are replaced with max(min(p, 1-1e-15), 1e-15)".
_CLIP = 1e-15
_ROUNDING = 1e-6  # what float32 probabilities miss a sum of 1 by


def _ratio(numerator: Array, denominator: Array, empty: float) -> Array:
    """Elementwise quotient; `empty` where the denominator is 0."""
    full = np.full(np.broadcast_shapes(numerator.shape, denominator.shape), empty)
    quotient: Array = np.divide(numerator, denominator, out=full, where=denominator != 0)
    return quotient


def _parts(counts: Array) -> tuple[Array, Array, Array]:
    """Hits, true and predicted rows per class, each ``(..., K)``."""
    counts = np.asarray(counts, dtype=np.float64)
    hits = np.diagonal(counts, axis1=-2, axis2=-1)
    return hits, counts.sum(axis=-1), counts.sum(axis=-2)


def _accuracy_of(counts: Array) -> Array:
    hits, true, _ = _parts(counts)
    return _ratio(hits.sum(axis=-1), true.sum(axis=-1), np.nan)


def _balanced_accuracy_of(counts: Array) -> Array:
    hits, true, _ = _parts(counts)
    return _ratio(_ratio(hits, true, 0.0).sum(axis=-1), (true > 0).sum(axis=-1), np.nan)


def _f1_per_class(counts: Array) -> tuple[Array, Array, Array]:
    hits, true, predicted = _parts(counts)
    return _ratio(2.0 * hits, true + predicted, 0.0), true, true + predicted > 0


def _f1_of(counts: Array) -> Array:
    return np.asarray(_f1_per_class(counts)[0][..., 1])


def _f1_macro_of(counts: Array) -> Array:
    f1, _, seen = _f1_per_class(counts)
    return _ratio(f1.sum(axis=-1), seen.sum(axis=-1), np.nan)


def _f1_weighted_of(counts: Array) -> Array:
    f1, true, _ = _f1_per_class(counts)
    return _ratio((f1 * true).sum(axis=-1), true.sum(axis=-1), np.nan)


def _mcc_of(counts: Array) -> Array:
    """Gorodkin's multiclass correlation (2004), 0 where a margin has one class only."""
    hits, true, predicted = _parts(counts)
    n = true.sum(axis=-1)
    covariance = hits.sum(axis=-1) * n - (true * predicted).sum(axis=-1)
    spread = (n**2 - (true**2).sum(axis=-1)) * (n**2 - (predicted**2).sum(axis=-1))
    return _ratio(covariance, np.sqrt(spread), 0.0)


def _quadratic_kappa_of(counts: Array) -> Array:
    counts = np.asarray(counts, dtype=np.float64)
    _, true, predicted = _parts(counts)
    codes = np.arange(counts.shape[-1])
    weights = (codes[:, None] - codes[None, :]) ** 2  # (K, K)
    observed = (weights * counts).sum(axis=(-2, -1)) * true.sum(axis=-1)
    expected = (weights * true[..., :, None] * predicted[..., None, :]).sum(axis=(-2, -1))
    return 1.0 - _ratio(observed, expected, np.nan)


def _accuracy(y_true: Array, labels: Array, weight: Weight = None) -> float:
    return float(accuracy_score(y_true, labels, sample_weight=weight))


def _mcc(y_true: Array, labels: Array, weight: Weight = None) -> float:
    return float(matthews_corrcoef(y_true, labels, sample_weight=weight))


def _quadratic_kappa(y_true: Array, labels: Array, weight: Weight = None) -> float:
    if y_true.min() == y_true.max():
        raise UndefinedMetric(
            f"quadratic_kappa needs two classes in the truth; all {len(y_true)} rows are of "
            f"class {y_true[0]}"
        )
    # every code between, even if absent: scikit-learn weighs by position in this list
    codes = np.arange(max(y_true.max(), labels.max()) + 1)
    kappa = cohen_kappa_score(
        y_true, labels, labels=codes, weights="quadratic", sample_weight=weight
    )
    return float(kappa)


def _balanced_accuracy(y_true: Array, labels: Array, weight: Weight = None) -> float:
    # recall over the classes of the truth; balanced_accuracy_score is the same with a warning
    # when a class is predicted that the truth lacks
    present = np.unique(y_true)
    recall = recall_score(
        y_true, labels, labels=present, average="macro", zero_division=0, sample_weight=weight
    )
    return float(recall)


def _f1(average: str) -> Callable[..., float]:
    def f1(y_true: Array, labels: Array, weight: Weight = None) -> float:
        found = f1_score(y_true, labels, average=average, zero_division=0, sample_weight=weight)
        return float(found)

    return f1


def _distribution(pred: Array) -> Array:
    """Rows rescaled to sum to 1, as Kaggle does. ``(n, K)``."""
    shares: Array = np.clip(pred.astype(np.float64), 0.0, None)
    total: Array = shares.sum(axis=1, keepdims=True)  # (n, 1)
    if not (total > 0).all():
        raise DataError(
            f"probabilities of a row must not all be 0; {int((total <= 0).sum())} rows are"
        )
    shares /= total
    return shares


def _known_classes(y_true: Array, pred: Array) -> Array:
    classes = np.arange(pred.shape[1]) if pred.ndim == 2 else np.arange(2)
    if y_true.min() < 0 or y_true.max() >= len(classes):
        raise DataError(
            f"the truth must hold codes 0..{len(classes) - 1}, one per column of predictions. "
            f"Received: {y_true.min()}..{y_true.max()}"
        )
    return classes


def _log_loss(y_true: Array, pred: Array, weight: Weight = None) -> float:
    classes = _known_classes(y_true, pred)
    shares = _distribution(pred) if pred.ndim == 2 else pred.astype(np.float64)
    shares = np.clip(shares, _CLIP, 1.0 - _CLIP)
    return float(log_loss(y_true, shares, labels=classes, sample_weight=weight))


def _brier(y_true: Array, pred: Array, weight: Weight = None) -> float:
    classes = _known_classes(y_true, pred)
    shares = _distribution(pred) if pred.ndim == 2 else np.clip(pred.astype(np.float64), 0.0, 1.0)
    return float(brier_score_loss(y_true, shares, labels=classes, sample_weight=weight))


def _gini(y_true: Array, pred: Array, weight: Weight = None) -> float:
    return 2.0 * _one_vs_rest("gini", roc_auc_score)(y_true, pred, weight) - 1.0


def _by_place(k: int, gain: Callable[[Array], Array]) -> Callable[..., float]:
    """The mean gain of the right class's place (1, 2, ...) among the `k` most probable."""

    def by_place(y_true: Array, pred: Array, weight: Weight = None) -> float:
        _known_classes(y_true, pred)
        own = np.take_along_axis(pred, np.asarray(y_true)[:, None], axis=1)  # (n, 1)
        # of equal probabilities the first class stands first, as it is written into the file
        before = (pred == own) & (np.arange(pred.shape[1]) < np.asarray(y_true)[:, None])
        rank = 1 + (pred > own).sum(axis=1) + before.sum(axis=1)
        return float(np.average(np.where(rank <= k, gain(rank), 0.0), weights=weight))

    return by_place


def _at(k: int) -> Metric:
    return Metric(
        name=f"map_at_{k}",
        function=_by_place(k, lambda place: 1.0 / place),
        greater_is_better=True,
        needs="proba",
        tasks=("multiclass",),
        description=f"1 / place of the right class among the {k} most probable, 0 beyond "
        "(Kaggle's MAP@K with one right answer).",
    )


def _one_vs_rest(name: str, curve: Callable[..., float]) -> Callable[..., float]:
    """Area for one column; for (n, K) the mean over the classes present in the truth.

    Rows of classes are rescaled to sum to 1 as they are in the file: that moves rows past others.
    """

    def area(y_true: Array, pred: Array, weight: Weight = None) -> float:
        present = np.unique(y_true)
        if len(present) < 2:
            raise UndefinedMetric(
                f"{name} needs rows of two classes; all {len(y_true)} rows are of class "
                f"{present[0]}.\n  Use a stratified splitter, or fewer folds."
            )
        if pred.ndim == 1:
            return float(curve(y_true, pred, sample_weight=weight))
        _known_classes(y_true, pred)
        off = np.abs(pred.sum(axis=1, keepdims=True) - 1.0) > _ROUNDING
        shares = np.where(off, _distribution(pred), pred)  # what is equal must stay so
        areas = [curve(y_true == code, shares[:, code], sample_weight=weight) for code in present]
        return float(np.mean(areas))

    return area


ACCURACY = Metric(
    name="accuracy",
    function=_accuracy,
    greater_is_better=True,
    needs="label",
    tasks=_ALL,
    from_counts=_accuracy_of,
    description="Share of rows with the right label; multilabel: mean over columns.",
)
BALANCED_ACCURACY = Metric(
    name="balanced_accuracy",
    function=_balanced_accuracy,
    greater_is_better=True,
    needs="label",
    tasks=_ALL,
    from_counts=_balanced_accuracy_of,
    description="Mean recall over the classes of the truth.",
)
F1 = Metric(
    name="f1",
    function=_f1("binary"),
    greater_is_better=True,
    needs="label",
    tasks=("binary", "multilabel"),
    from_counts=_f1_of,
    description="F1 of the second class; multilabel: mean over columns.",
)
F1_MACRO = Metric(
    name="f1_macro",
    function=_f1("macro"),
    greater_is_better=True,
    needs="label",
    tasks=_ALL,
    averaged=False,
    from_counts=_f1_macro_of,
    column=F1,
    description="Mean F1 over classes (multilabel: over columns).",
)
F1_MICRO = Metric(
    name="f1_micro",
    function=_f1("micro"),
    greater_is_better=True,
    needs="label",
    tasks=_ALL,
    averaged=False,
    from_counts=_accuracy_of,
    description="F1 of all decisions pooled; with one label per row that is accuracy.",
)
F1_WEIGHTED = Metric(
    name="f1_weighted",
    function=_f1("weighted"),
    greater_is_better=True,
    needs="label",
    tasks=_ALL,
    averaged=False,
    from_counts=_f1_weighted_of,
    column=F1,
    description="F1 over classes (multilabel: columns), weighted by their rows.",
)


def _f_samples(beta: float) -> Metric:
    """Mean over rows of F-beta of the labels of a row; a row without any, and told so, counts 1."""

    def score(y_true: Array, labels: Array) -> float:
        hits = (y_true * labels).sum(axis=1)
        parts = beta**2 * y_true.sum(axis=1) + labels.sum(axis=1)
        return float(_ratio((1 + beta**2) * hits, parts, 1.0).mean())

    return Metric(
        name=f"f{beta:g}_samples",
        function=score,
        greater_is_better=True,
        needs="label",
        tasks=("multilabel",),
        averaged=False,
        description=f"Mean over rows of F{beta:g} of a row's labels"
        + (" (Planet, 2017)." if beta == 2 else " (Plant Pathology, 2021)."),
    )


F1_SAMPLES, F2_SAMPLES = _f_samples(1), _f_samples(2)
MCC = Metric(
    name="mcc",
    function=_mcc,
    greater_is_better=True,
    needs="label",
    tasks=_ALL,
    from_counts=_mcc_of,
    description="Matthews correlation; multilabel: mean over columns.",
)
QUADRATIC_KAPPA = Metric(
    name="quadratic_kappa",
    function=_quadratic_kappa,
    greater_is_better=True,
    needs="label",
    tasks=_SINGLE,
    from_counts=_quadratic_kappa_of,
    ordinal=True,
    description="Cohen's kappa with quadratic weights; the order of task.classes is the scale.",
)
ROC_AUC = Metric(
    name="roc_auc",
    function=_one_vs_rest("roc_auc", roc_auc_score),
    greater_is_better=True,
    needs="rank",
    tasks=_ALL,
    description="Area under the ROC curve; multiclass: macro one-vs-rest; multilabel: mean over "
    "columns. Classes and columns whose truth is constant are left out (as in BirdCLEF).",
)
AVERAGE_PRECISION = Metric(
    name="average_precision",
    function=_one_vs_rest("average_precision", average_precision_score),
    greater_is_better=True,
    needs="rank",
    tasks=_ALL,
    description="Average precision; multiclass and multilabel as roc_auc.",
)
LOG_LOSS = Metric(
    name="log_loss",
    function=_log_loss,
    greater_is_better=False,
    needs="proba",
    tasks=_ALL,
    description="Kaggle's log loss: rows rescaled to 1, probabilities clipped to 1e-15.",
)
BALANCED_LOG_LOSS = replace(
    LOG_LOSS,
    name="balanced_log_loss",
    tasks=_SINGLE,
    balanced=True,
    description="Mean over classes of the log loss of their rows (ICR, 2023).",
)
BRIER = Metric(
    name="brier",
    function=_brier,
    greater_is_better=False,
    needs="proba",
    tasks=_ALL,
    description="Mean squared error of probabilities, 0..1; multiclass: summed over classes, 0..2.",
)
GINI = Metric(
    name="gini",
    function=_gini,
    greater_is_better=True,
    needs="rank",
    tasks=("binary",),
    description="Normalized Gini coefficient: 2 AUC - 1 (Porto Seguro, 2017).",
)
MAP_AT_3, MAP_AT_5, MAP_AT_10 = _at(3), _at(5), _at(10)
NDCG_AT_5 = Metric(
    name="ndcg_at_5",
    function=_by_place(5, lambda place: 1.0 / np.log2(1.0 + place)),
    greater_is_better=True,
    needs="proba",
    tasks=("multiclass",),
    description="1 / log2(1 + place) of the right class among the 5 most probable, 0 beyond: "
    "NDCG with one right answer (Airbnb, 2015).",
)
