"""Learning curves in words and on one line: how a training went, and what to try next.

The rules read shapes, not units: every change is a share of the descent, the way from the first
validation loss down to the best one. Losses are such that less is better. Standard library only.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

Kind = Literal["underfitting", "overfitting", "not converged", "converged", "diverged"]
Curves = Mapping[str, Mapping[str, Sequence[float]]]
"""Fold -> ``{"train": losses, "valid": losses}``, one loss per epoch or boosting round."""

RISE = 0.1
"""Overfitting: the validation loss ends so much of its descent above its best."""
STILL = 0.02
"""Not converged: so much of the descent falls to the last tenth, and the best is at its end."""
GAP = 0.05
"""Underfitting: training and validation loss are nearer to each other, as a share of the loss."""
LITTLE = 0.25
"""Underfitting: no more than this share of the first loss was learned."""

_BARS = "▁▂▃▄▅▆▇█"
_SHORT = 3  # steps: nothing can be read off a shorter curve


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """How a model learned.

    Attributes:
        kind: most folds agree on it.
        text: one sentence with the numbers.
        remedy: what to try; "" where nothing is wrong.
        best: the median step of the best validation loss, counted from 1.
        folds: of how many folds this holds, and of how many it could be said.
    """

    kind: Kind
    text: str
    remedy: str
    best: int
    folds: tuple[int, int]


@dataclass(frozen=True)
class _Fold:
    kind: Kind
    best: int
    steps: int
    rise: float
    gap: float | None


def verdict(curves: Curves, step: str = "round") -> Verdict | None:
    """Say in words how the folds of a run learned.

    Args:
        curves: as `curves.json` of a run holds them.
        step: what one step is called: "epoch" or "round".

    Returns:
        None where no fold recorded validation losses of more than two steps.
    """
    folds = [found for curve in curves.values() if (found := _judge(curve)) is not None]
    if not folds:
        return None
    counts = Counter(fold.kind for fold in folds)
    kind = max(counts, key=lambda each: (counts[each], _ORDER.index(each)))
    agreeing = [fold for fold in folds if fold.kind == kind]
    best = round(statistics.median(fold.best for fold in agreeing))
    steps = round(statistics.median(fold.steps for fold in agreeing))
    rise = statistics.median(fold.rise for fold in agreeing)
    gaps = [fold.gap for fold in agreeing if fold.gap is not None]
    gap = f"{statistics.median(gaps):.0%}" if gaps else ""
    texts = {
        "diverged": f"the loss is not a number before {step} {steps + 1}",
        "not converged": f"the validation loss was still falling at the last {step}, {steps}",
        "overfitting": (
            f"from {step} {best} on: by {step} {steps} the validation loss had lost "
            f"{rise:.0%} of what it had gained"
        ),
        "underfitting": (
            f"training and validation loss stay together (gap {gap}) and are flat: "
            "the model has no more to give"
        ),
        "converged": f"best at {step} {best} of {steps}, flat around it",
    }
    return Verdict(
        kind=kind,
        text=texts[kind],
        remedy=_REMEDIES[kind],
        best=best,
        folds=(len(agreeing), len(folds)),
    )


_ORDER: tuple[Kind, ...] = ("converged", "underfitting", "not converged", "overfitting", "diverged")
_REMEDIES: dict[str, str] = {
    "diverged": "a smaller learning_rate; look for extreme values in the columns",
    "not converged": "more epochs or n_estimators, or a larger learning_rate",
    "overfitting": (
        "early stopping keeps the best step; for a better one: more dropout or weight_decay, fewer "
        "leaves or layers, a smaller learning_rate, more rows"
    ),
    "underfitting": (
        "more layers or leaves, less dropout, weight_decay or regularisation, better columns; "
        "or what is left is noise"
    ),
    "converged": "",
}


def _judge(curve: Mapping[str, Sequence[float]]) -> _Fold | None:
    valid, train = list(curve.get("valid", ())), list(curve.get("train", ()))
    finite = [value for value in valid if math.isfinite(value)]
    if len(finite) < len(valid):
        return _Fold("diverged", 1, len(finite), 0.0, None)
    steps = len(valid)
    if steps < _SHORT:
        return None
    best = min(range(steps), key=valid.__getitem__)
    descent = valid[0] - valid[best]
    gap = None
    if len(train) >= steps and valid[best]:
        gap = (valid[best] - train[best]) / abs(valid[best])
    if descent <= 0:  # the first step was the best one
        rise = (valid[-1] - valid[0]) / abs(valid[0]) if valid[0] else 0.0
        return _Fold("overfitting" if rise > RISE / 10 else "converged", 1, steps, rise, gap)
    tenth = max(1, steps // 10)
    still = (valid[-1 - tenth] - valid[-1]) / descent
    rise = (valid[-1] - valid[best]) / descent
    if best >= steps - 1 - tenth // 2 and still > STILL:
        kind: Kind = "not converged"
    elif rise > RISE:
        kind = "overfitting"
    elif gap is not None and abs(gap) < GAP and descent < LITTLE * abs(valid[0]):
        kind = "underfitting"
    else:
        kind = "converged"
    return _Fold(kind, best + 1, steps, rise, gap)


def step_of(record: Mapping[str, Any]) -> str:
    """What one step of a run's curves is called, from its `run.json`."""
    return "epoch" if "epochs" in (record.get("params") or {}) else "round"


def sparkline(values: Sequence[float], width: int = 32) -> str:
    """Losses as one line of bars; the mean of neighbours where there are more than `width`.

    >>> sparkline([8, 7, 6, 5, 4, 3, 2, 1])
    '█▇▆▅▄▃▂▁'
    """
    finite = [float(value) for value in values if math.isfinite(value)]
    if not finite:
        return ""
    size = min(width, len(finite))
    cuts = [round(k * len(finite) / size) for k in range(size + 1)]
    means = [statistics.fmean(finite[a:b]) for a, b in pairwise(cuts)]
    low, high = min(means), max(means)
    if high == low:
        return _BARS[0] * size
    return "".join(_BARS[round((v - low) / (high - low) * (len(_BARS) - 1))] for v in means)
