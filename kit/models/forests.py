"""Random forest and extremely randomised trees: steady, and good partners in blends."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Self

import joblib
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn import ensemble

from kit.models.base import Count, Model, Problem, Rows, RowWeights, Share, all_classes
from kit.models.units import Units

_LARGEST = 100  # power of two: scikit-learn tells no values apart that differ by less than 1e-7
_FAR = 2.0**127  # float32 has no numbers beyond


class _Forest(Model):
    """What both have in common.

    Args:
        n_estimators: trees.
        min_samples_leaf: rows per leaf at least; None: 2 for classes, 1 for numbers.
        max_features: share of the columns tried per split; None: the square root of their number
            for classes, a half for numbers.
    """

    family = "tree"
    classifier: ClassVar[Any]
    regressor: ClassVar[Any]

    def __init__(
        self,
        n_estimators: Count = 300,
        min_samples_leaf: Count | None = None,
        max_features: Share | None = None,
    ) -> None:
        self.n_estimators = n_estimators
        self.min_samples_leaf = min_samples_leaf
        self.max_features = max_features

    def fit(
        self,
        X: pd.DataFrame,
        y: NDArray[Any],
        *,
        problem: Problem,
        valid: Rows | None = None,
        weight: RowWeights | None = None,
    ) -> Self:
        """Grow the trees; several targets share them, whatever their units."""
        self.problem_ = problem
        classes = problem.classification
        # of several targets the one of the largest numbers alone would choose the splits
        several = problem.task == "multitarget"
        self.units_ = Units.of(y, problem) if several else Units.coarse(y, problem)
        y = self.units_.scaled(y, problem)
        self.powers_ = _powers(X)
        grow = self.classifier if classes else self.regressor
        self.fitted_ = grow(
            n_estimators=self.n_estimators,
            min_samples_leaf=self.min_samples_leaf or (2 if classes else 1),
            max_features=self.max_features or ("sqrt" if classes else 0.5),
            random_state=problem.seed % 2**31,
            n_jobs=problem.threads,
        ).fit(_numbers(X, self.powers_), y, None if weight is None else weight.train)
        # threads add up the trees in any order: one thread gives the same bits every time
        self.fitted_.set_params(n_jobs=1)
        return self

    def predict(self, X: pd.DataFrame) -> NDArray[np.float64]:
        """Mean over the trees."""
        problem, values = self.problem_, _numbers(X, self.powers_)
        if not problem.classification:
            found = np.asarray(self.fitted_.predict(values)).reshape(-1, problem.n_outputs)
            return self.units_.restored(found)
        proba, classes = self.fitted_.predict_proba(values), self.fitted_.classes_
        if problem.task == "multilabel":
            pairs = zip(proba, classes, strict=True)
            return np.column_stack([all_classes(p, seen, 2)[:, 1] for p, seen in pairs])
        if problem.task == "binary":
            return all_classes(proba, classes, 2)[:, 1:]
        return all_classes(proba, classes, problem.n_outputs)

    def save(self, folder: Path) -> None:
        """Write `model.joblib` (scikit-learn has no other native format)."""
        joblib.dump(self, folder / "model.joblib", compress=3)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read `model.joblib`; only for files kit wrote itself."""
        model: Self = joblib.load(folder / "model.joblib")
        return model


class RandomForest(_Forest):
    """Bagged trees that try a random part of the columns at every split.

    Source: Breiman, "Random Forests" (2001).
    """

    classifier = ensemble.RandomForestClassifier
    regressor = ensemble.RandomForestRegressor


class ExtraTrees(_Forest):
    """Trees split at random thresholds, on all rows.

    Source: Geurts, Ernst, Wehenkel, "Extremely randomized trees" (2006).
    """

    classifier = ensemble.ExtraTreesClassifier
    regressor = ensemble.ExtraTreesRegressor


def _powers(X: pd.DataFrame) -> list[int]:
    """Powers of two that make each column's largest number 2**100 or more; 0 for categories."""
    powers = []
    for name in X.columns:
        largest = 0.0
        if not isinstance(X[name].dtype, pd.CategoricalDtype):
            values = np.abs(X[name].to_numpy(dtype=np.float64, na_value=np.nan))
            largest = float(np.max(values, initial=0.0, where=np.isfinite(values)))
        powers.append(max(0, _LARGEST - int(np.frexp(largest)[1])) if largest > 0 else 0)
    return powers


def _numbers(X: pd.DataFrame, powers: list[int]) -> NDArray[np.float32]:
    """Categories as their numbers, missing as NaN, which these trees understand: ``(n, d)``.

    Args:
        X: numbers and categories.
        powers: of two, that numbers are multiplied by; no split and no rounding changes by it.
    """
    columns = []
    for name, power in zip(X.columns, powers, strict=True):
        column = X[name]
        if isinstance(column.dtype, pd.CategoricalDtype):
            codes = column.cat.codes.to_numpy()
            columns.append(np.where(codes < 0, np.nan, codes))
        else:
            values = column.to_numpy(dtype=np.float64, na_value=np.nan)
            with np.errstate(over="ignore"):
                values = np.ldexp(values, power)
            columns.append(np.clip(values, -_FAR, _FAR))
    return np.column_stack(columns).astype(np.float32)
