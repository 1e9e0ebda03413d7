"""How a score is written into `run.json`: pooled, per fold, mean and spread."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kit.decision import Decision, Fitted
from kit.folds import Folds
from kit.metrics.base import Metric, UndefinedMetric


def score_record(fitted: Fitted, metric: Metric) -> dict[str, Any]:
    """The `score` table of a run.

    Args:
        fitted: a decision with its honest scores.
        metric: what they are scores of.

    Returns:
        `value`: what runs are ranked by; `oof`: all validated rows together; `folds` (None where
        the metric has no value), their `mean` and `std` (sample standard deviation); `default`:
        `oof` without the decision.

        For a metric of ranks `value` is the mean over the folds: pooling would compare the
        predictions of one fold's model with those of another's. Otherwise it is `oof`.
    """
    folds = [score for score in fitted.fold_scores if not math.isnan(score)]
    mean = float(np.mean(folds)) if folds else None
    return {
        "value": mean if metric.needs == "rank" and mean is not None else fitted.score,
        "oof": fitted.score,
        "folds": [None if math.isnan(score) else score for score in fitted.fold_scores],
        "mean": mean,
        "std": float(np.std(folds, ddof=1)) if len(folds) > 1 else None,
        "default": fitted.default_score,
    }


def holdout_record(
    metric: Metric, decision: Decision, folds: Folds, y: NDArray[Any], pred: NDArray[Any]
) -> dict[str, Any]:
    """The `holdout` table of a run: how many rows are sealed or near that, and the sealed score.

    Args:
        metric: what is scored.
        decision: how labels are made, chosen without these rows.
        folds: say which rows are sealed.
        y: truth of all training rows.
        pred: predictions of the sealed ones. ``(n_sealed, k)``
    """
    y, near = y[folds.sealed], len(folds.near_sealed)
    found: dict[str, Any] = {"rows": len(y), **({"near": near} if near else {})}
    try:
        score = metric.score(y, decision.apply(pred) if metric.needs == "label" else pred)
    except UndefinedMetric:  # of one class only, perhaps
        score = None
    return {**found, "score": score}
