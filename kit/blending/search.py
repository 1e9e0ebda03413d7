"""Searches for weights: greedy selection and hill climbing on an `Objective`.

Each returns the best it has when its time is over; the first step is always made.
"""

from __future__ import annotations

import math
import time

import numpy as np
from numpy.typing import NDArray

from kit.blending.objective import Objective

Array = NDArray[np.float64]

STEPS = 40
"""Greedy steps. Source: AutoGluon's presets; more brought nothing (TabRepo, 2023)."""
PATIENCE = 8
"""Greedy steps without a gain after which the path is left."""
TOLERANCE = 1e-5
"""Relative gain below which the climb stops."""
_SHARES = (0.01, 0.02, 0.03, 0.05, 0.08, 0.12, 0.16, 0.2, 0.25, 0.3, 0.4, 0.5)


def late(until: float) -> bool:
    """Whether the moment `until` (of `time.monotonic`) has passed."""
    return time.monotonic() >= until


def greedy_weights(
    objective: Objective, size: int, *, steps: int = STEPS, until: float = math.inf
) -> Array:
    """Greedy selection with replacement; the best prefix of the path is kept.

    Of equal candidates one that is already in the blend is preferred, then the earlier member.

    Args:
        objective: losses of steps.
        size: number of members.
        steps: at most so many.
        until: moment of `time.monotonic` after which no further step is made.

    Returns:
        Shares, ``(size,)``, none below 0, sum 1.

    Source:
        Caruana, Niculescu-Mizil, Crew, Ksikes, "Ensemble selection from libraries of models"
        (2004).
    """
    counts = np.zeros(size)
    best_loss, best_counts, best_step, unit = math.inf, counts, 0, 1.0
    for step in range(1, steps + 1):
        losses = objective.along(counts / max(step - 1, 1), 1.0 / step)
        if step == 1:  # what is rounding depends on the size of a loss: targets may be tiny
            unit = abs(float(losses.min()))
        ties = np.flatnonzero(losses <= losses.min() + 1e-12 * unit)
        chosen = int(max(ties, key=lambda index: (counts[index] > 0, -index)))
        counts[chosen] += 1
        if losses[chosen] < best_loss - 1e-9 * unit:
            best_loss, best_counts, best_step = float(losses[chosen]), counts.copy(), step
        if step - best_step >= PATIENCE or late(until):
            break
    return np.asarray(best_counts / best_counts.sum())


def hill_weights(
    objective: Objective,
    size: int,
    *,
    negative: bool = False,
    steps: int = 200,
    until: float = math.inf,
) -> Array:
    """Start at the best member; take the best of all members and shares while that gains.

    Args:
        objective: losses of steps.
        size: number of members.
        negative: allow steps away from a member, so that weights may be below 0.
        steps: at most so many.
        until: moment of `time.monotonic` after which no further step is made.

    Returns:
        Weights, ``(size,)``, sum 1.

    Source:
        Hill climbing as published by Chris Deotte in Kaggle's tabular competitions (2023-2025).
    """
    weights = np.zeros(size)
    losses = objective.along(weights, 1.0)
    weights[int(losses.argmin())] = 1.0
    best = float(losses.min())
    shares = [*_SHARES, *(-share for share in _SHARES)] if negative else list(_SHARES)
    for _ in range(steps):
        if late(until):
            break
        tried = np.stack([objective.along(weights, share) for share in shares])
        loss = float(tried.min())
        if not best - loss > TOLERANCE * abs(best):
            break
        row, member = np.unravel_index(int(tried.argmin()), tried.shape)
        weights = (1.0 - shares[row]) * weights
        weights[member] += shares[row]
        best = loss
    return weights
