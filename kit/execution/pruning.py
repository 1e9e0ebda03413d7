"""Ending a fit that is behind those before it, while it trains.

Rounds are too quick, and machines too far apart, for a worker to ask the study. So the curves of
the trials that are through travel with the task, a number per checkpoint, and the worker asks
Optuna's pruner about a study in its own memory. The same curves give the same answer anywhere.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from itertools import takewhile

from kit.errors import Pruned
from kit.models.base import Watch

Rivals = tuple[tuple[float, ...], ...]
"""Of every earlier trial the best validation loss so far at the checkpoints that it reached."""

CHECKPOINTS = tuple(sorted({round(1.1**k) for k in range(120)}))
"""Rounds or epochs at which fits are compared: every one at first, later every tenth of the way."""

_WARM_UP = 0.5  # of the steps that rivals took in the median: before it nobody is judged


def thinned(losses: Sequence[float]) -> tuple[float, ...]:
    """The best of a curve's losses so far, at the checkpoints that it reached."""
    best, bests = math.inf, []
    for loss in losses:
        best = min(best, loss) if math.isfinite(loss) else best
        bests.append(best)
    return tuple(bests[step - 1] for step in takewhile(lambda s: s <= len(bests), CHECKPOINTS))


def watch_of(rivals: Rivals, where: str) -> Watch | None:
    """What ends a fit whose best loss so far is worse than the median of the rivals' at that step.

    Args:
        rivals: see `Rivals`; where there are none nobody watches.
        where: model and fold, for the message.

    Returns:
        A function that raises `Pruned`.

    Source:
        The median stopping rule of Golovin et al., "Google Vizier" (2017), as Optuna has it.
    """
    if not rivals:
        return None
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    usual = CHECKPOINTS[max(0, round(statistics.median(map(len, rivals))) - 1)]
    warm_up = math.ceil(_WARM_UP * usual)
    pruner = optuna.pruners.MedianPruner(n_startup_trials=0, n_warmup_steps=warm_up)
    study = optuna.create_study(direction="minimize", pruner=pruner)
    longest = max(map(len, rivals))
    for curve in rivals:  # one that has ended stays at its best
        known = [*curve, *[curve[-1]] * (longest - len(curve))]
        steps = dict(zip(CHECKPOINTS, known, strict=False))
        study.add_trial(optuna.trial.create_trial(value=known[-1], intermediate_values=steps))
    trial, checkpoints = study.ask(), {*CHECKPOINTS[:longest]}
    best = math.inf

    def watch(step: int, loss: float) -> None:
        nonlocal best
        best = min(best, loss) if math.isfinite(loss) else best
        if step not in checkpoints:
            return
        trial.report(best, step)
        if trial.should_prune():
            error = Pruned(f"{where}: pruned at step {step}, where it was behind earlier trials")
            error.step = step
            raise error

    return watch
