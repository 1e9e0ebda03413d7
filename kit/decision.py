"""From probabilities to labels, chosen on out-of-fold predictions and kept only if it pays.

Owns: the ways to decide (one threshold, class priors, cuts of a scale, one threshold per column),
the search, and the honest score: what is scored on a fold was decided on the other folds. Folds
count alike here, forward ones too: a decision has one or a few numbers, and no model sees it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from kit.errors import DataError
from kit.metrics.base import Metric, UndefinedMetric
from kit.ordinal import Histogram, positions
from kit.ordinal import labels as cut_labels
from kit.settings import TaskType

Array = NDArray[Any]
Kind = Literal["none", "threshold", "prior", "cuts", "thresholds"]

_MAX_CANDIDATES = 200
_EXPONENTS = (0.0, 0.25, 0.5, 0.75, 1.0)
# The search looks at so many rows at most; scores are computed on all of them. Metrics without
# confusion counts are called once per candidate and fold, so they get less of both.
_MAX_ROWS = 200_000
_SLOW_ROWS, _SLOW_CANDIDATES = 20_000, 50
_LEVEL = 0.95


@dataclass(frozen=True)
class Decision:
    """A rule that turns predictions ``(n, k)`` into labels.

    Attributes:
        kind: "none": the most probable class (binary: 0.5); "threshold": P(classes[1]) of
            `values[0]` or more; "prior": the largest ratio of probability and `values` (one per
            class); "cuts": the expected class number, cut at `values`; "thresholds": one per
            column.
        values: the numbers of the rule.
        some: with "thresholds": a row that reaches none gets the label it is nearest to.
    """

    kind: Kind
    values: tuple[float, ...] = ()
    some: bool = False

    def apply(self, pred: Array) -> NDArray[np.int64]:
        """Labels of `pred`.

        Shape:
            ``(n, k)`` -> ``(n,)`` codes; "thresholds": ``(n, t)`` of 0 and 1.

        Raises:
            DataError: the number of columns does not fit the rule.
        """
        pred = np.asarray(pred)
        widths = {"threshold": 1, "none": None, "cuts": len(self.values) + 1}
        columns = widths.get(self.kind, len(self.values))
        if pred.ndim != 2 or (columns is not None and pred.shape[1] != columns):
            raise DataError(
                f"the decision {self.kind!r} {self.values} needs predictions of shape "
                f"(n, {columns or 'k'}). Received: {pred.shape}"
            )
        if self.kind == "prior":
            labels = np.argmax(pred / np.asarray(self.values), axis=1)
        elif self.kind == "cuts":
            labels = cut_labels(positions(pred), np.asarray(self.values))
        elif self.kind == "thresholds":
            labels = self._several(pred)
        elif pred.shape[1] == 1:
            labels = pred[:, 0] >= (self.values[0] if self.kind == "threshold" else 0.5)
        else:
            labels = np.argmax(pred, axis=1)
        return np.asarray(labels, dtype=np.int64)

    def _several(self, pred: Array) -> Array:
        values = np.asarray(self.values)
        labels = pred >= values
        if self.some:
            empty = np.flatnonzero(~labels.any(axis=1))
            labels[empty, (pred - values)[empty].argmax(axis=1)] = True
        return labels

    def to_json(self) -> dict[str, Any]:
        """Plain types for `run.json`."""
        some = {"some": True} if self.some else {}
        return {"kind": self.kind, "values": list(self.values), **some}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Decision:
        """What `to_json` wrote.

        Raises:
            DataError: the kind is not known.
        """
        kind = document.get("kind")
        if kind not in get_args(Kind):
            raise DataError(f"a decision must be one of {get_args(Kind)}. Received: {kind!r}")
        values = tuple(float(v) for v in document.get("values", ()))
        return cls(cast(Kind, kind), values, bool(document.get("some", False)))


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """A decision and what it scored.

    Attributes:
        decision: the rule for new rows.
        score: pooled over all validated rows, each row decided without its own fold's labels.
        fold_scores: the same per fold; nan where the metric is undefined or the fold has no rows.
        default_score: pooled score of the default rule.
        scored: what `score` is the score of: predictions or labels of the validated rows.
    """

    decision: Decision
    score: float
    fold_scores: tuple[float, ...]
    default_score: float
    scored: Array = field(compare=False, repr=False)


def default_decision(task: TaskType, n_columns: int, *, some: bool = False) -> Decision:
    """The rule that nothing was chosen for: 0.5, or the most probable class."""
    if task == "binary":
        return Decision("threshold", (0.5,))
    if task == "multilabel":
        return Decision("thresholds", (0.5,) * n_columns, some)
    return Decision("none")


def fit_decision(metric: Metric, task: TaskType, y: Array, pred: Array, fold: Array) -> Fitted:
    """Choose how labels are made, and score it honestly.

    The chosen rule is kept when its nested estimate (chosen on the other folds, applied to this
    one) beats the default in more than half of the folds, and pooled by more than the fold
    differences explain: a one-sided t-test at 5 % (for 5 folds 2.1 standard errors of their mean).
    Otherwise the default stays.

    Args:
        metric: for a metric that needs no labels nothing is chosen: the decision is "none",
            or 0.5 for every column of a multilabel task.
        task: the task.
        y: truth of the training rows; of a weighted metric beside their weights.
        pred: their out-of-fold predictions. ``(n, k)``
        fold: fold per row; only rows of 0 or more count.

    Raises:
        DataError: no row is validated, or the metric refuses the rows.
        UndefinedMetric: the metric has no value even on all rows together.
    """
    used = np.asarray(fold) >= 0
    if not used.any():
        raise DataError("no training row was validated; there is nothing to score")
    y, pred, fold = np.asarray(y)[used], np.asarray(pred)[used], np.asarray(fold)[used]
    # a fact of the format, as the list of classes is
    some = task == "multilabel" and bool(metric.parts(y)[0].any(axis=1).all())
    if metric.needs != "label":
        pooled, per_fold = metric.score(y, pred), _per_fold(metric, y, pred, fold)
        # "none" would take the one most probable of several labels, should a file want labels
        several = task == "multilabel"
        rule = default_decision(task, pred.shape[1], some=some) if several else Decision("none")
        return Fitted(
            decision=rule,
            score=pooled,
            fold_scores=per_fold,
            default_score=pooled,
            scored=pred,
        )
    default = default_decision(task, pred.shape[1], some=some)
    labels = default.apply(pred)
    plain = Fitted(
        decision=default,
        score=(pooled := metric.score(y, labels)),
        fold_scores=_per_fold(metric, y, labels, fold),
        default_score=pooled,
        scored=labels.copy(),
    )
    if len(np.unique(fold)) < 2:
        return plain
    chosen, per_fold_rules = _choose(metric, task, y, pred, fold, some)
    for k, rule in per_fold_rules.items():
        labels[fold == k] = rule.apply(pred[fold == k])
    tuned = Fitted(
        decision=chosen,
        score=metric.score(y, labels),
        fold_scores=_per_fold(metric, y, labels, fold),
        default_score=pooled,
        scored=labels,
    )
    return tuned if chosen != default and _pays(metric, tuned, plain) else plain


def _per_fold(metric: Metric, y: Array, pred: Array, fold: Array) -> tuple[float, ...]:
    scores = []
    for k in range(int(fold.max()) + 1):
        rows = fold == k
        try:
            scores.append(metric.score(y[rows], pred[rows]))
        except UndefinedMetric:
            scores.append(float("nan"))
    return tuple(scores)


def _pays(metric: Metric, tuned: Fitted, plain: Fitted) -> bool:
    sign = 1.0 if metric.greater_is_better else -1.0
    gains = sign * (np.array(tuned.fold_scores) - np.array(plain.fold_scores))
    gains = gains[~np.isnan(gains)]
    if len(gains) < 2 or (gains > 0).sum() * 2 <= len(gains):
        return False
    error = gains.std(ddof=1) / np.sqrt(len(gains))
    margin = float(stdtrit(len(gains) - 1, _LEVEL)) * error
    return bool(gains.mean() > margin and sign * (tuned.score - plain.score) > margin)


def _choose(
    metric: Metric, task: TaskType, y: Array, pred: Array, fold: Array, some: bool = False
) -> tuple[Decision, dict[int, Decision]]:
    """The decision on all rows, and for every fold the one chosen on the other folds."""
    rows = _subsample(len(y), _MAX_ROWS if metric.from_counts else _SLOW_ROWS)
    y, pred, fold = y[rows], pred[rows], fold[rows]
    if task == "multiclass":
        cut = metric.ordinal and metric.from_counts is not None
        return (_choose_cuts if cut else _choose_prior)(metric, y, pred, fold)
    if task == "binary":
        best = _thresholds(metric, y, pred[:, 0], fold)
        rules = {k: Decision("threshold", (value,)) for k, value in best.items()}
    elif metric.averaged or metric.column is not None:
        column = metric if metric.averaged else cast(Metric, metric.column)
        each = [_thresholds(column, y[:, j], pred[:, j], fold) for j in range(pred.shape[1])]
        values = {k: tuple(best[k] for best in each) for k in each[0]}
        rules = {k: Decision("thresholds", each, some) for k, each in values.items()}
    else:
        best = _shared_threshold(metric, y, pred, fold, some)
        t = pred.shape[1]
        rules = {k: Decision("thresholds", (value,) * t, some) for k, value in best.items()}
    return rules.pop(-1), rules


def _subsample(n: int, limit: int) -> Array:
    """At most `limit` positions in ascending order; the same ones every time."""
    if n <= limit:
        return np.arange(n)
    return np.sort(np.random.default_rng(0).choice(n, size=limit, replace=False))


def thresholds_between(p: Array, limit: int = _MAX_CANDIDATES) -> NDArray[np.float64]:
    """Ascending thresholds between quantiles of `p`, and 0.5; about `limit` of them.

    Half of the quantiles are even, half lie in the two tails, where the threshold of a rare class
    is. No label is looked at, so folds may share them.
    """
    distinct = np.unique(p)
    if len(distinct) > limit:
        tail = np.geomspace(1.0 / len(p), 0.02, limit // 4)
        levels = np.concatenate([np.linspace(0.0, 1.0, limit - 2 * len(tail)), tail, 1.0 - tail])
        distinct = np.unique(np.quantile(p, levels))
    middles = (distinct[1:].astype(np.float64) + distinct[:-1]) / 2.0
    return np.unique(np.append(middles, 0.5))


def _thresholds(metric: Metric, y: Array, p: Array, fold: Array) -> dict[int, float]:
    """The best threshold without each fold, and under -1 the best on all rows."""
    if metric.from_counts is None:
        candidates = thresholds_between(p, _SLOW_CANDIDATES)
        return _search(metric, y, [(p >= c).astype(np.int64) for c in candidates], candidates, fold)
    candidates = thresholds_between(p)
    counts = confusion_counts(*metric.parts(y), p, fold, candidates)  # (C, folds, 2, 2)
    total = counts.sum(axis=1)  # (C, 2, 2)
    best = {-1: _best(metric, metric.from_counts(total), candidates)}
    for k in np.unique(fold):
        scores = metric.from_counts(total - counts[:, k])
        best[int(k)] = _best(metric, scores, candidates)
    return best


def confusion_counts(
    y: Array,
    weight: NDArray[np.float64] | None,
    p: Array,
    fold: Array,
    candidates: NDArray[np.float64],
) -> Array:
    """Confusion counts of all thresholds from one histogram.

    Args:
        y: truth, 0 and 1. ``(n,)``
        weight: how much each row counts; None: all the same. ``(n,)``
        p: what is compared with the thresholds. ``(n,)``
        fold: fold per row, 0 or more. ``(n,)``
        candidates: ascending thresholds. ``(C,)``

    Returns:
        ``(C, folds, true, predicted)``
    """
    n_folds, n_bins = int(fold.max()) + 1, len(candidates) + 1
    passed = np.searchsorted(candidates, p, side="right")  # how many thresholds p reaches
    flat = (fold.astype(np.int64) * 2 + y.astype(np.int64)) * n_bins + passed
    histogram = np.bincount(flat, weight, n_folds * 2 * n_bins).reshape(n_folds, 2, n_bins)
    below = histogram.cumsum(axis=2)  # predicted 0 at threshold c: reaches c thresholds or fewer
    negative = below[:, :, :-1]
    positive = below[:, :, -1:] - negative
    return np.moveaxis(np.stack([negative, positive], axis=-1), 2, 0)


def _shared_threshold(
    metric: Metric, y: Array, pred: Array, fold: Array, some: bool
) -> dict[int, float]:
    """One threshold for all columns, for metrics that do not fall apart into columns."""
    rows = _subsample(len(y), _SLOW_ROWS)
    y, pred, fold = y[rows], pred[rows], fold[rows]
    candidates = thresholds_between(pred.reshape(-1), _SLOW_CANDIDATES)
    t = pred.shape[1]
    labels = [Decision("thresholds", (c,) * t, some).apply(pred) for c in candidates]
    return _search(metric, y, labels, candidates, fold)


def _search(
    metric: Metric, y: Array, labels: list[Array], candidates: Array, fold: Array
) -> dict[int, float]:
    """As `_thresholds`, calling the metric for every candidate."""
    best = {}
    for k in (-1, *(int(k) for k in np.unique(fold))):
        rows = fold != k
        scores = np.array([_or_nan(metric, y[rows], each[rows]) for each in labels])
        best[k] = _best(metric, scores, candidates)
    return best


def _or_nan(metric: Metric, y: Array, labels: Array) -> float:
    try:
        return metric.score(y, labels)
    except UndefinedMetric:
        return float("nan")


def _best(metric: Metric, scores: Array, candidates: Array) -> float:
    """The candidate of the best score; of equal ones the nearest to 0.5."""
    scores = np.asarray(scores if metric.greater_is_better else -scores, dtype=np.float64)
    if np.isnan(scores).all():
        return 0.5
    top = candidates[scores >= np.nanmax(scores) - 1e-12]
    return float(top[np.abs(top - 0.5).argmin()])


def _choose_cuts(
    metric: Metric, y: Array, pred: Array, fold: Array
) -> tuple[Decision, dict[int, Decision]]:
    """Cuts of the expected class number, chosen without each fold."""
    truth, weight = metric.parts(y)
    histogram = Histogram(truth, positions(pred), fold, pred.shape[1], weight)
    sign = 1.0 if metric.greater_is_better else -1.0
    from_counts = cast(Any, metric.from_counts)

    def rule(left: int | None) -> Decision:
        return Decision("cuts", tuple(histogram.best(from_counts, sign, left).tolist()))

    return rule(None), {int(k): rule(int(k)) for k in np.unique(fold)}


def _choose_prior(
    metric: Metric, y: Array, pred: Array, fold: Array
) -> tuple[Decision, dict[int, Decision]]:
    """Probabilities divided by class frequencies to a power, chosen without each fold."""
    rules = {k: _best_prior(metric, y, pred, fold != k) for k in (-1, *np.unique(fold))}
    return rules.pop(-1), {int(k): rule for k, rule in rules.items()}


def _best_prior(metric: Metric, y: Array, pred: Array, rows: Array) -> Decision:
    y, pred, size = y[rows], pred[rows], pred.shape[1]
    truth, weight = metric.parts(y)
    total = np.bincount(truth, weight, size)
    # a class without rows counts as one row
    prior = np.maximum(total, total.sum() / len(truth)) / total.sum()
    best, best_score = Decision("none"), float("nan")
    for exponent in _EXPONENTS:
        weights = tuple(float(v) for v in prior**exponent)
        rule = Decision("prior", weights) if exponent else Decision("none")
        labels = rule.apply(pred)
        if metric.from_counts is not None:
            counts = np.bincount(truth * size + labels, weight, size**2).reshape(size, size)
            score = float(metric.from_counts(counts))
        else:
            score = _or_nan(metric, y, labels)
        if metric.better(score, best_score):
            best, best_score = rule, score
    return best
