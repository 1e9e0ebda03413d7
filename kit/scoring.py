"""How a score is written into `run.json`: pooled, per fold, mean and spread."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kit.decision import Decision, Fitted
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
    metric: Metric, decision: Decision, y: NDArray[Any], pred: NDArray[Any]
) -> dict[str, Any]:
    """The `holdout` table of a run: how many rows are sealed, and the score on them.

    Args:
        metric: what is scored.
        decision: how labels are made, chosen without these rows.
        y: their truth.
        pred: their predictions. ``(n, k)``
    """
    try:
        score = metric.score(y, decision.apply(pred) if metric.needs == "label" else pred)
    except UndefinedMetric:  # of one class only, perhaps
        return {"rows": len(y), "score": None}
    return {"rows": len(y), "score": score}
