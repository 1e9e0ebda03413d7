"""How far a public score may lie off by chance: the leaderboard's noise band.

The public score is a mean over few rows. Out-of-fold rows stand in for them: so many rows as the
public part has are drawn with replacement, again and again, and scored (the bootstrap; Efron,
"Bootstrap Methods: Another Look at the Jackknife", 1979).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kit.competition import Competition
from kit.errors import KitError
from kit.ledger.final import GUESSED_SHARE
from kit.ledger.listed import recall
from kit.report.material import Truth

DRAWS = 200
_FEWER = 80  # where each score is a mean over more than ten columns
_MOST_ROWS = 5_000  # of one draw; the spread of more rows follows from the root of their number
_SIDES = (0.025, 0.975)


@dataclass(frozen=True, kw_only=True)
class Band:
    """Where 95 of 100 public scores of an equally good file would lie.

    Attributes:
        low, high: in leaderboard units.
        rows: of the public part.
        share: of the test rows.
        guessed: whether the share is a guess.
        grouped: whether rows belong to groups: those of one lie off together, so that the band is
            wider in truth than rows drawn one by one make it.
    """

    low: float
    high: float
    rows: int
    share: float
    guessed: bool
    grouped: bool


def noise_band(
    truth: Truth, center: float, n_test: int, competition: Competition, seed: int = 0
) -> Band | None:
    """The noise band around a score.

    Args:
        truth: out-of-fold predictions and truth.
        center: the score of the run.
        n_test: rows of the test file.
        competition: for the share of public rows, where the server told it.
        seed: of the draws.

    Returns:
        None where the metric is not there, or has no value on so few rows.
    """
    known = recall(competition)[1].public_share
    share = GUESSED_SHARE if known is None else known
    rows = round(share * n_test)
    ends = chance(truth, center, rows, seed)
    if ends is None:
        return None
    return Band(
        low=ends[0],
        high=ends[1],
        rows=rows,
        share=share,
        guessed=known is None,
        grouped=competition.settings.columns.group is not None,
    )


def chance(truth: Truth, center: float, rows: int, seed: int = 0) -> tuple[float, float] | None:
    """Where 95 of 100 scores on so many other rows would lie; None as for `noise_band`."""
    if truth.metric is None or rows < 1 or len(truth.y) < 2:
        return None
    drawn = min(rows, _MOST_ROWS)
    rng, target, scored, scores = np.random.default_rng(seed), truth.target, truth.scored, []
    draws = DRAWS if truth.y.ndim == 1 or truth.y.shape[1] <= 10 else _FEWER
    for _ in range(draws):
        chosen = rng.integers(0, len(truth.y), drawn)
        try:
            scores.append(truth.metric.score(target[chosen], scored[chosen]))
        except KitError:  # of these rows alone the metric has no value
            continue
    if len(scores) < draws // 2:
        return None
    off = (np.quantile(scores, _SIDES) - np.mean(scores)) * np.sqrt(drawn / rows)
    low, high = (center + float(each) for each in off)
    best = _perfect(truth)
    if best is None:
        return low, high
    # no score is better than that of the truth itself
    up = truth.metric.greater_is_better
    return (min(low, best), min(high, best)) if up else (max(low, best), max(high, best))


def _perfect(truth: Truth) -> float | None:
    """What the truth would score as a prediction; None where the metric cannot say."""
    y = truth.y
    if truth.metric is None:
        return None
    if truth.metric.needs != "label":
        one_hot = truth.task == "multiclass"
        y = np.eye(truth.pred.shape[1])[y] if one_hot else y.reshape(len(y), -1).astype(float)
    try:
        return truth.metric.score(truth.target, y)
    except KitError:
        return None
