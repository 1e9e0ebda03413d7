"""How a score is written into `run.json`: pooled, per fold, mean and spread."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from kit.decision import Fitted


def score_record(fitted: Fitted) -> dict[str, Any]:
    """The `score` table of a run.

    Args:
        fitted: a decision with its honest scores.

    Returns:
        `oof` (all validated rows together), `folds` (None where the metric has no value), their
        `mean` and `std` (sample standard deviation), and `default`: the score without the
        decision.
    """
    folds = [score for score in fitted.fold_scores if not math.isnan(score)]
    return {
        "oof": fitted.score,
        "folds": [None if math.isnan(score) else score for score in fitted.fold_scores],
        "mean": float(np.mean(folds)) if folds else None,
        "std": float(np.std(folds, ddof=1)) if len(folds) > 1 else None,
        "default": fitted.default_score,
    }
