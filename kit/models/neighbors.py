"""Nearest neighbours: seldom the best model, but one that errs differently, which blends like."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import joblib
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse
from sklearn.neighbors import NearestNeighbors

from kit.blas import ordered_sums
from kit.models.base import Count, Model, Problem, Rows, RowWeights

_CHOICES = (3, 5, 8, 12, 20, 32, 50, 80, 120)
_MAX_LEVELS = 50  # a category with more levels counts by the mean of its target only
_CHUNK = 8192  # rows asked for at once: bounds the memory of neighbours x outputs
_PRIORS = (0.03, 0.2, 1.0)  # neighbours' worth of the base rate: no probability is 0 or 1
_TINY = 1e-9
_BINS = 20  # of a column, to see what it tells of the target
_SHARPNESS = 0.75  # of the share of variance: 0.5 is its root, the correlation ratio; sharper won


class KNN(Model):
    """Mean of the k nearest training rows, the nearer the heavier (one over the distance).

    Numbers are scaled as for networks, levels are one-hot; then every column is stretched by how
    much of the target it tells alone, so that columns of noise do not drown the others. With it
    RMSLE is 0.64 instead of 0.96 on bike rentals and 0.150 instead of 0.159 on house prices, log
    loss on Titanic 0.435 instead of 0.466.

    Args:
        k: neighbours; None: the number with the least leave-one-out loss on the training rows,
            chosen together with how much the base rate weighs.
        search_rows: so many training rows at most vote on k.

    Source:
        Dudani, "The distance-weighted k-nearest-neighbor rule" (1976).
    """

    family = "neural"

    def __init__(self, k: Count | None = None, search_rows: Count = 4000) -> None:
        self.k = k
        self.search_rows = search_rows

    def fit(
        self,
        X: pd.DataFrame,
        y: NDArray[Any],
        *,
        problem: Problem,
        valid: Rows | None = None,
        weight: RowWeights | None = None,
    ) -> Self:
        """Store the rows; choose k."""
        if self.k is not None and self.k > len(y):
            raise ValueError(f"k must be at most {len(y)}, the rows to learn from: {self.k}")
        self.problem_ = problem
        self.values_ = _targets(y, problem)
        self.votes_ = np.ones(len(y)) if weight is None else weight.train
        self.base_ = np.average(self.values_, axis=0, weights=self.votes_)
        rows = _points(X)
        self.stretch_ = _relevance(rows, self.values_, self.votes_)
        rows *= self.stretch_
        self.index_ = NearestNeighbors(n_jobs=1).fit(rows)
        with ordered_sums(problem.threads):
            best, self.prior_ = self._best(rows, problem)
            self.k_ = self.k or best
        return self

    def predict(self, X: pd.DataFrame) -> NDArray[np.float64]:
        """Weighted means of the neighbours."""
        rows = _points(X) * self.stretch_
        with ordered_sums(self.problem_.threads):
            found = [
                self.index_.kneighbors(rows[start : start + _CHUNK], self.k_)
                for start in range(0, len(rows), _CHUNK)
            ]
        return np.vstack([self._mean(*pair, prior=self.prior_) for pair in found])

    def save(self, folder: Path) -> None:
        """Write `model.joblib` (scikit-learn has no other native format)."""
        joblib.dump(self, folder / "model.joblib", compress=3)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read `model.joblib`; only for files kit wrote itself."""
        model: Self = joblib.load(folder / "model.joblib")
        return model

    def _mean(
        self, distance: NDArray[Any], neighbour: NDArray[Any], *, prior: float
    ) -> NDArray[np.float64]:
        """``(m, k)`` distances and row numbers -> ``(m, n_outputs)``."""
        nearness = 1.0 / np.maximum(distance.astype(np.float64), _TINY)
        # the nearest weighs 1, so that the prior means the same on every scale of distances
        nearness /= nearness.max(axis=1, keepdims=True)
        nearness *= self.votes_[neighbour]
        # as a sparse product: the targets of all neighbours would be k times the predictions
        starts = np.arange(0, neighbour.size + 1, neighbour.shape[1])
        whole = (nearness.ravel(), neighbour.ravel(), starts)
        shape = (len(neighbour), len(self.values_))
        summed = sparse.csr_array(whole, shape=shape) @ self.values_
        total = nearness.sum(axis=1, keepdims=True)
        if not self.problem_.classification:
            return np.asarray(summed / total)
        return np.asarray((summed + prior * self.base_) / (total + prior))

    def _best(self, rows: NDArray[np.float32], problem: Problem) -> tuple[int, float]:
        """Neighbours and prior with the least leave-one-out loss: one query serves all of them."""
        choices = [k for k in ([self.k] if self.k else _CHOICES) if k < len(rows)]
        priors = _PRIORS if problem.classification else _PRIORS[-1:]
        if len(choices) * len(priors) < 2:
            return (choices or [max(1, len(rows) - 1)])[0], priors[-1]
        rng = np.random.default_rng(problem.seed)
        asked = rng.permutation(len(rows))[: self.search_rows]
        distance, neighbour = self.index_.kneighbors(rows[asked], choices[-1] + 1)
        distance, neighbour = _without_self(distance, neighbour, asked)
        truth = self.values_[asked]
        losses = {}
        for k in choices:
            for prior in priors:
                found = [
                    self._mean(
                        distance[i : i + _CHUNK, :k], neighbour[i : i + _CHUNK, :k], prior=prior
                    )
                    for i in range(0, len(asked), _CHUNK)
                ]
                losses[k, prior] = _loss(truth, np.vstack(found), problem, self.votes_[asked])
        return min(losses, key=lambda pair: losses[pair])


def _points(X: pd.DataFrame) -> NDArray[np.float32]:
    """Numbers as they are, levels one-hot at a distance of one: ``(n, d)``."""
    parts = []
    for name in X.columns:
        column = X[name]
        if not isinstance(column.dtype, pd.CategoricalDtype):
            parts.append(column.to_numpy(dtype=np.float32, na_value=0.0)[:, None])
            continue
        n_levels = len(column.cat.categories)
        if n_levels <= _MAX_LEVELS:
            codes = column.cat.codes.to_numpy()[:, None]  # missing, -1: all zeros
            parts.append((codes == np.arange(n_levels)).astype(np.float32) * np.float32(0.5**0.5))
    return np.hstack(parts) if parts else np.zeros((len(X), 1), dtype=np.float32)


def _relevance(
    rows: NDArray[np.float32], targets: NDArray[np.float64], votes: NDArray[np.float64]
) -> NDArray[np.float32]:
    """How far to stretch each column: by its correlation ratio with the target, largest 1.

    The ratio is the share of the target's variance between the bins of a column, less what noise
    would show; of several targets or classes the best told one counts.

    Shape:
        ``(n, d)``, ``(n, k)`` and ``(n,)`` -> ``(d,)``
    """
    centred = targets - np.average(targets, axis=0, weights=votes)
    spread = np.sqrt(np.average(centred**2, axis=0, weights=votes))
    units = centred / np.where(spread > 0, spread, 1.0)
    shares = np.array([_told(column, units, votes) for column in rows.T])
    if shares.max() <= 0:
        return np.ones(len(shares), dtype=np.float32)
    return np.asarray((shares / shares.max()) ** _SHARPNESS, dtype=np.float32)


def _told(
    column: NDArray[np.float32], units: NDArray[np.float64], votes: NDArray[np.float64]
) -> float:
    """Share of the variance of standardised targets that the bins of a column tell, 0 to 1."""
    n = votes.sum()
    edges = np.unique(np.quantile(column, np.linspace(0, 1, _BINS + 1)[1:-1]))
    bins = np.searchsorted(edges, column, "left")
    counts = np.bincount(bins, votes, minlength=len(edges) + 1)
    sums = np.stack([np.bincount(bins, votes * unit, minlength=len(counts)) for unit in units.T])
    share = (sums**2 / np.where(counts > 0, counts, 1.0)).sum(axis=1) / n
    by_chance = ((counts > 0).sum() - 1) / n
    return float(np.maximum(share - by_chance * (1 - share), 0.0).max())


def _targets(y: NDArray[Any], problem: Problem) -> NDArray[np.float64]:
    """What neighbours average: ``(n, n_outputs)``."""
    if problem.task == "multiclass":
        return np.asarray(np.eye(problem.n_outputs)[np.asarray(y, dtype=np.int64)])
    return np.asarray(y, dtype=np.float64).reshape(len(y), problem.n_outputs)


def _without_self(
    distance: NDArray[Any], neighbour: NDArray[Any], asked: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Leave every row out of its own neighbours (of equal rows it need not come first)."""
    own = neighbour == asked[:, None]
    own[~own.any(axis=1), -1] = True
    kept = ~own
    shape = (len(asked), neighbour.shape[1] - 1)
    return distance[kept].reshape(shape), neighbour[kept].reshape(shape)


def _loss(
    truth: NDArray[Any], found: NDArray[Any], problem: Problem, votes: NDArray[np.float64]
) -> float:
    if not problem.classification:
        return float(np.average(((truth - found) ** 2).mean(axis=1), weights=votes))
    safe = np.clip(found, 1e-6, 1 - 1e-6)
    likelihood = truth * np.log(safe)
    if problem.task != "multiclass":
        likelihood = likelihood + (1 - truth) * np.log(1 - safe)
    return float(np.average(-likelihood.sum(axis=1), weights=votes))
