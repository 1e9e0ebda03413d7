"""Where to stop, for one model or for all folds trained side by side.

Trained together, fold k can stop where the *other* folds' validation losses are lowest: no training
rows are held out, and the labels a fold is scored on decide nothing about its own model.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kit.models.base import Watch


class OwnStopping:
    """Each model stops where its own validation loss is lowest.

    Args:
        n_folds: models trained side by side.
        patience: steps without improvement after which a model is done.
        watch: told of the mean loss after every step, see `Problem`.
        scale: what losses are multiplied by, where a model counts in units of its own rows.
            ``(n_folds,)``

    Attributes:
        best_step: per model, how many steps it should have. ``(n_folds,)``, from 1.
        curve: losses as they came. ``(updates, n_folds)``
    """

    def __init__(
        self,
        n_folds: int,
        patience: int,
        watch: Watch | None = None,
        scale: Sequence[float] | NDArray[np.float64] | None = None,
    ) -> None:
        self.patience = patience
        self.scale = np.ones(n_folds) if scale is None else np.asarray(scale, dtype=np.float64)
        self._watch = watch
        self.best_step = np.zeros(n_folds, dtype=int)
        self._best_loss = np.full(n_folds, np.inf)
        self._losses: list[NDArray[np.float64]] = []
        self._step = 0

    def update(self, losses: NDArray[np.float64], step: int | None = None) -> NDArray[np.bool_]:
        """Take the losses after one more step.

        Args:
            losses: validation loss per model; what is not finite counts as infinitely bad.
            step: number of steps done; default: one more than at the last call.

        Returns:
            Which models are now the best so far: their state is worth keeping.
        """
        losses = np.asarray(losses, dtype=np.float64) * self.scale
        self._losses.append(losses)
        self._step = self._step + 1 if step is None else step
        if self._watch is not None:
            self._watch(self._step, float(losses.mean()))
        judged = self._judged(np.where(np.isfinite(losses), losses, np.inf))
        better = judged < self._best_loss
        self._best_loss[better] = judged[better]
        self.best_step[better] = self._step
        return better

    @property
    def done(self) -> bool:
        """Whether no model has improved for `patience` steps."""
        return self._step - int(self.best_step.max()) >= self.patience

    @property
    def curve(self) -> NDArray[np.float64]:
        """Losses by update and model."""
        return np.array(self._losses)

    def _judged(self, losses: NDArray[np.float64]) -> NDArray[np.float64]:
        return losses


class CrossStopping(OwnStopping):
    """Fold k stops where the mean loss of the other folds is lowest; two folds at least.

    Source:
        The stopping round of `lightgbm.cv` and `xgboost.cv` (mean over the folds), with the fold's
        own loss left out.
    """

    def _judged(self, losses: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.array([np.delete(losses, k).mean() for k in range(len(losses))])
