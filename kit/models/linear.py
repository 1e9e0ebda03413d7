"""Logistic and ridge regression; the strength of the penalty is chosen inside the training rows."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Self

import joblib
import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.linalg import LinAlgWarning
from sklearn.base import clone
from sklearn.dummy import DummyClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge, RidgeCV
from sklearn.metrics import log_loss
from sklearn.model_selection import KFold, StratifiedKFold

from kit.blas import ordered_sums
from kit.config import Within
from kit.models.base import Count, Model, Positive, Problem, Rows, RowWeights, all_classes
from kit.models.ratios import log_count_ratios, multiplied
from kit.models.units import Units

_PARTS = 3  # of the rows, one held out at a time, to choose a penalty of classes
_ENOUGH = 2000  # rows held out that tell penalties apart: after so many no further part is tried
_CLOSED_FORM = 4000
"""Rows or columns up to which the closed form is quick: it grows with the cube of the fewer."""


class Linear(Model):
    """Logistic regression for classes (one per target for multilabel), ridge for numbers.

    Args:
        strengths: penalties to choose from, relative to the library's default of 1; larger is
            stronger. One value: no choice is made.
        search_rows: above so many rows the middle strength is taken without a search (for
            classes; ridge chooses by leave-one-out in closed form).
        ratios: multiply columns by naive-Bayes log-count ratios, class by class (NB-SVM, see
            `kit.models.ratios`); for classes only.
    """

    family = "linear"

    def __init__(
        self,
        strengths: Annotated[tuple[Positive, ...], Within(1)] = (1.0, 10.0, 100.0, 1000.0),
        search_rows: Count = 50_000,
        ratios: bool = False,
    ) -> None:
        self.strengths = strengths
        self.search_rows = search_rows
        self.ratios = ratios

    def fit(
        self,
        X: Any,
        y: NDArray[Any],
        *,
        problem: Problem,
        valid: Rows | None = None,
        weight: RowWeights | None = None,
    ) -> Self:
        """Choose the penalty and fit."""
        self.problem_ = problem
        heavy = None if weight is None else weight.train
        with ordered_sums(problem.threads), warnings.catch_warnings():
            # a weak penalty may need more steps than it is worth; the search sees the result
            warnings.simplefilter("ignore", ConvergenceWarning)
            # columns that are sums of others: scikit-learn goes on with another solver by itself
            warnings.simplefilter("ignore", LinAlgWarning)
            if not problem.classification:
                # about their mean: solvers count as precisely as `X` is, which is single precision
                self.units_ = Units.of(y, problem)
                self.fitted_ = [self._ridge(X, self.units_.scaled(y, problem), heavy)]
            elif self.ratios:
                self.fitted_ = [self._ratio(X, c, problem, heavy) for c in _columns(y, problem)]
            elif problem.task == "multilabel":
                self.fitted_ = [self._logistic(X, column, problem, heavy) for column in y.T]
            else:
                self.fitted_ = [self._logistic(X, y, problem, heavy)]
        return self

    def predict(self, X: Any) -> NDArray[np.float64]:
        """Probabilities or values."""
        problem = self.problem_
        with ordered_sums(problem.threads):
            if not problem.classification:
                values = np.asarray(self.fitted_[0].predict(X), dtype=np.float64)
                return self.units_.restored(values.reshape(-1, problem.n_outputs))
            if self.ratios:
                sums = [_chance(fitted, multiplied(X, r)) for r, fitted in self.fitted_]
                found = np.column_stack(sums)
                single = problem.task == "multiclass"
                return found / found.sum(axis=1, keepdims=True) if single else found
            if problem.task == "multiclass":
                (fitted,) = self.fitted_
                return all_classes(fitted.predict_proba(X), fitted.classes_, problem.n_outputs)
            return np.column_stack([_chance(fitted, X) for fitted in self.fitted_])

    def save(self, folder: Path) -> None:
        """Write `model.joblib` (scikit-learn has no other native format)."""
        joblib.dump(self, folder / "model.joblib")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read `model.joblib`; only for files kit wrote itself."""
        model: Self = joblib.load(folder / "model.joblib")
        return model

    def _ridge(self, X: Any, y: NDArray[Any], weight: NDArray[Any] | None) -> Any:
        """Leave-one-out in closed form; of many rows with many words, some held out instead."""
        if not sparse.issparse(X) or X.shape[1] < 2000 or min(X.shape) <= _CLOSED_FORM:
            dense = X.toarray() if sparse.issparse(X) and X.shape[1] < 2000 else X
            search = RidgeCV(alphas=np.asarray(self.strengths), alpha_per_target=y.ndim > 1)
            return search.fit(dense, y, weight)

        def fitted(strength: float, rows: Any) -> Any:
            counts = None if weight is None else weight[rows]
            return Ridge(strength, solver="sparse_cg", tol=1e-4).fit(X[rows], y[rows], counts)

        def error(strength: float) -> float:
            residual = (y[held] - fitted(strength, kept).predict(X[held])) / spread
            squares = (residual.reshape(len(held), -1) ** 2).mean(axis=1)
            return float(np.average(squares, weights=None if weight is None else weight[held]))

        spread = np.maximum(y.std(axis=0), 1e-12)  # the units of several targets differ
        kept, held = next(KFold(5, shuffle=True, random_state=0).split(y))
        several = len(self.strengths) > 1
        best = min(self.strengths, key=error) if several else self.strengths[0]
        return fitted(best, np.arange(len(y)))

    def _ratio(
        self, X: Any, of_class: NDArray[Any], problem: Problem, weight: NDArray[Any] | None
    ) -> tuple[Any, Any]:
        """The ratios of one class and the model on columns multiplied by them."""
        found = log_count_ratios(X, of_class > 0, weight)
        single = replace(problem, task="binary")
        return found, self._logistic(multiplied(X, found), of_class, single, weight)

    def _logistic(
        self, X: Any, y: NDArray[Any], problem: Problem, weight: NDArray[Any] | None
    ) -> Any:
        codes = np.asarray(y, dtype=np.int64)
        rows_of_class = np.bincount(codes)
        if np.count_nonzero(rows_of_class) == 1:  # a rare label that these rows lack
            return DummyClassifier(strategy="prior").fit(X, y, weight)
        strengths = sorted(self.strengths)
        # a word that one text has moves the mean loss by that much: no less may be left undone
        tol = min(1e-3, 1 / len(codes)) if sparse.issparse(X) else 1e-3
        base = LogisticRegression(C=1 / strengths[_middle(strengths)], max_iter=300, tol=tol)
        if not sparse.issparse(X) and X.shape[1] <= 500 and problem.task != "multiclass":
            base.set_params(solver="newton-cholesky")
        # what a part of the search lacks it could not be scored on: rare classes only are learned
        often = rows_of_class >= _PARTS
        if len(strengths) > 1 and X.shape[0] <= self.search_rows and often.sum() > 1:
            some = X, y, weight
            if not often[codes].all():
                kept = np.flatnonzero(often[codes])
                some = X[kept], y[kept], None if weight is None else weight[kept]
            base.set_params(C=1 / self._searched(base, *some, seed=problem.seed))
        return base.fit(X, y, weight)

    def _searched(
        self, base: Any, X: Any, y: NDArray[Any], weight: NDArray[Any] | None, *, seed: int
    ) -> float:
        """The best penalty, from the middle one towards what is better until it is no more."""
        strengths = sorted(self.strengths)
        enough = int(np.ceil(_ENOUGH * _PARTS / len(y)))  # parts; one at least
        split = StratifiedKFold(_PARTS, shuffle=True, random_state=seed).split(X, y)
        parts = [*islice(split, enough)]

        @cache
        def loss(place: int) -> float:
            if not 0 <= place < len(strengths):
                return np.inf
            model = clone(base).set_params(C=1 / strengths[place])
            return float(np.mean([_loss(model, X, y, weight, *part) for part in parts]))

        place = _middle(strengths)
        step = 1 if loss(place + 1) < loss(place) else -1
        while loss(place + step) < loss(place):
            place += step
        return strengths[place]


def _middle(strengths: Sequence[float]) -> int:
    return len(strengths) // 3


def _loss(
    model: Any,
    X: Any,
    y: NDArray[Any],
    weight: NDArray[Any] | None,
    kept: NDArray[Any],
    held: NDArray[Any],
) -> float:
    """Log loss of some rows after a fit on others."""
    counts = [None if weight is None else weight[rows] for rows in (kept, held)]
    chances = model.fit(X[kept], y[kept], counts[0]).predict_proba(X[held])
    return float(log_loss(y[held], chances, sample_weight=counts[1], labels=model.classes_))


def _chance(fitted: Any, X: Any) -> NDArray[np.float64]:
    """Probability of class 1 of two, ``(n,)``; the training rows may have lacked either."""
    return all_classes(fitted.predict_proba(X), fitted.classes_, 2)[:, 1]


def _columns(y: NDArray[Any], problem: Problem) -> list[NDArray[Any]]:
    """A 0/1 column per class that is told apart from the others."""
    if problem.task == "binary":
        return [np.asarray(y)]
    if problem.task == "multilabel":
        return [*y.T]
    return [(y == code).astype(np.int64) for code in range(problem.n_outputs)]
