"""The learning curves that a new trial is compared with while it trains."""

from __future__ import annotations

import statistics
from pathlib import Path

from kit.curves import Curves
from kit.errors import RunError
from kit.execution.pruning import Rivals, thinned
from kit.execution.task import FoldTask
from kit.runs import Run, find_run
from kit.tune.study import STARTUP, Study


class EarlierTrials:
    """Curves of the study's complete trials, each read once from its run.

    Args:
        study: Optuna's.
        runs: the competition's `runs` folder.
    """

    def __init__(self, study: Study, runs: Path) -> None:
        self._study, self._runs = study, runs
        self._known: dict[str, tuple[float, ...]] = {}

    def against(self, task: FoldTask) -> Rivals:
        """The curves of trials of the same model on the same rows; none while they are too few.

        Only the first fold is judged, or all folds where they are trained together: one chance to
        be wrong about a trial is enough (ARCHITECTURE has the figures).
        """
        if task.folds[0] != 0:
            return ()
        same = [
            str(trial.user_attrs["run"])
            for trial in self._study.best
            if trial.user_attrs["spec"]["use"] == task.spec.use
            and not trial.user_attrs["spec"]["pseudo_labels"]
        ]
        curves = [curve for run in same if (curve := self._curve(run, task.folds))]
        return tuple(curves) if len(curves) >= STARTUP else ()

    def _curve(self, run: str, folds: tuple[int, ...]) -> tuple[float, ...]:
        """The validation losses of these folds, on average; empty where there are none."""
        if run not in self._known:
            try:
                found: Run = find_run(self._runs, run)
                self._known[run] = thinned(mean_losses(found.curves, folds))
            except RunError:  # somebody removed or damaged it
                self._known[run] = ()
        return self._known[run]


def mean_losses(curves: Curves, folds: tuple[int, ...]) -> list[float]:
    """Validation losses by step, the mean over folds that were trained in step."""
    losses = [curves.get(str(fold), {}).get("valid", []) for fold in folds]
    return [statistics.fmean(each) for each in zip(*losses, strict=False)]
