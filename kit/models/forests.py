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
        self.center_, self.scale_ = np.zeros(1), np.ones(1)
        if problem.task == "multitarget":  # else the largest alone would choose the splits
            spread = np.std(y, axis=0)
            self.center_, self.scale_ = np.mean(y, axis=0), np.where(spread > 0, spread, 1.0)
            y = (y - self.center_) / self.scale_
        grow = self.classifier if classes else self.regressor
        self.fitted_ = grow(
            n_estimators=self.n_estimators,
            min_samples_leaf=self.min_samples_leaf or (2 if classes else 1),
            max_features=self.max_features or ("sqrt" if classes else 0.5),
            random_state=problem.seed % 2**31,
            n_jobs=problem.threads,
        ).fit(_numbers(X), y, None if weight is None else weight.train)
        # threads add up the trees in any order: one thread gives the same bits every time
        self.fitted_.set_params(n_jobs=1)
        return self

    def predict(self, X: pd.DataFrame) -> NDArray[np.float64]:
        """Mean over the trees."""
        problem, values = self.problem_, _numbers(X)
        if not problem.classification:
            found = np.asarray(self.fitted_.predict(values)).reshape(-1, problem.n_outputs)
            return np.asarray(found * self.scale_ + self.center_)
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


def _numbers(X: pd.DataFrame) -> NDArray[np.float32]:
    """Categories as their numbers, missing as NaN, which these trees understand: ``(n, d)``."""
    columns = []
    for name in X.columns:
        column = X[name]
        if isinstance(column.dtype, pd.CategoricalDtype):
            codes = column.cat.codes.to_numpy()
            columns.append(np.where(codes < 0, np.nan, codes))
        else:
            columns.append(column.to_numpy(dtype=np.float64, na_value=np.nan))
    return np.column_stack(columns).astype(np.float32)
