"""Where to stop when all folds are trained together, without a fold choosing for itself.

Fold k stops where the *other* folds' validation losses are lowest together. No training rows are
held out, and the labels a fold is scored on decide nothing about its own model.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class CrossStopping:
    """The losses of all folds so far, and where each fold should stop.

    Args:
        n_folds: how many folds are trained side by side; two at least.
        patience: steps without improvement after which a fold is done.

    Attributes:
        best_step: per fold, how many steps its model should have. ``(n_folds,)``, from 1.
        curve: losses as they came. ``(steps, n_folds)``

    Source:
        The stopping round of `lightgbm.cv` and `xgboost.cv` (mean over the folds), with the fold's
        own loss left out.
    """

    def __init__(self, n_folds: int, patience: int) -> None:
        self.patience = patience
        self.best_step = np.zeros(n_folds, dtype=int)
        self._best_loss = np.full(n_folds, np.inf)
        self._losses: list[NDArray[np.float64]] = []
        self._steps: list[int] = []

    def update(self, losses: NDArray[np.float64], step: int | None = None) -> NDArray[np.bool_]:
        """Take the losses after one more step.

        Args:
            losses: validation loss per fold; what is not finite counts as infinitely bad.
            step: number of steps done; default: one more than at the last call.

        Returns:
            Which folds' models are now the best so far: their state is worth keeping.
        """
        values = np.where(np.isfinite(losses), losses, np.inf).astype(np.float64)
        self._losses.append(np.asarray(losses, dtype=np.float64))
        now = step if step is not None else (self._steps[-1] if self._steps else 0) + 1
        self._steps.append(now)
        others = np.array([np.delete(values, k).mean() for k in range(len(values))])
        better = others < self._best_loss
        self._best_loss[better] = others[better]
        self.best_step[better] = now
        return better

    @property
    def done(self) -> bool:
        """Whether no fold has improved for `patience` steps."""
        return bool(self._steps) and self._steps[-1] - int(self.best_step.max()) >= self.patience

    @property
    def curve(self) -> NDArray[np.float64]:
        """Losses by step and fold."""
        return np.array(self._losses)
