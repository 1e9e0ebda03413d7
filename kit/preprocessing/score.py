"""One text column as what a linear model makes of it, cross-fitted: for trees.

Trees split on one column at a time and cannot add up the small evidence of many words. A linear
model can; its sum becomes a column. Each training row's sum comes from models that have not seen
its label.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import KFold

from kit.preprocessing.text import TextSparse

_PARTS = 5
_MOST_CLASSES = 20  # more would be more columns than trees can choose from


class TextScore(TransformerMixin, BaseEstimator):
    """Cross-fitted sums of a logistic or ridge regression on TF-IDF.

    Args:
        classification: whether `y` holds class codes.
        seed: decides the inner parts.

    Shape:
        Frame ``(n, 1)`` of strings in; float32 ``(n, 1)`` out, ``(n, n_classes)`` for 3 to 20
        classes, ``(n, 0)`` for more.

    Source:
        Wolpert, "Stacked generalization" (1992), inside the training rows.
    """

    def __init__(self, classification: bool = False, seed: int = 0) -> None:
        self.classification = classification
        self.seed = seed

    def fit(self, X: pd.DataFrame, y: NDArray[Any]) -> TextScore:
        """Learn from all training rows (what `transform` uses)."""
        self.name_ = str(X.columns[0])
        self.words_ = TextSparse(pieces=0)
        self._fit_all(self.words_.fit_transform(X), np.asarray(y))
        return self

    def fit_transform(self, X: pd.DataFrame, y: NDArray[Any], **_: Any) -> pd.DataFrame:
        """Learn, and score the training rows out of fold."""
        y = np.asarray(y)
        self.fit(X, y)
        matrix = self.words_.transform(X)
        made = np.zeros((len(X), len(self.get_feature_names_out())), dtype=np.float32)
        if made.shape[1] and len(X) >= _PARTS:
            for rest, part in KFold(_PARTS, shuffle=True, random_state=self.seed).split(made):
                made[part] = self._sums(self._model(matrix[rest], y[rest]), matrix[part])
        return self._frame(made, X)

    def transform(self, X: pd.DataFrame) -> pd.DataFrame:
        """Score rows that were not trained on."""
        return self._frame(self._sums(self.model_, self.words_.transform(X)), X)

    def get_feature_names_out(self, input_features: object = None) -> list[str]:
        """Names of the columns made."""
        if not self.classification or len(self.classes_) == 2:
            return [f"{self.name_}_score"]
        few = 2 < len(self.classes_) <= _MOST_CLASSES
        return [f"{self.name_}_score_{code}" for code in self.classes_] if few else []

    def _fit_all(self, matrix: Any, y: NDArray[Any]) -> None:
        self.classes_ = np.unique(y) if self.classification else np.empty(0)
        self.model_ = self._model(matrix, y) if self.get_feature_names_out() else None

    def _model(self, matrix: Any, y: NDArray[Any]) -> Any:
        if not matrix.shape[1] or len(np.unique(y)) < 2:
            return None
        if not self.classification:
            return Ridge(solver="sparse_cg").fit(matrix, y)
        tolerance = min(1e-3, 1 / len(y))  # see `kit.models.linear`
        return LogisticRegression(C=2.0, tol=tolerance, max_iter=200).fit(matrix, y)

    def _sums(self, model: Any, matrix: Any) -> NDArray[np.float32]:
        names = self.get_feature_names_out()
        made = np.zeros((matrix.shape[0], len(names)), dtype=np.float32)
        if model is None or not names:
            return made
        if not self.classification:
            made[:, 0] = model.predict(matrix)
            return made
        found = model.decision_function(matrix)
        if len(names) == 1:
            made[:, 0] = found
        elif found.ndim == 2:  # a class may be absent from a part
            made[:, np.searchsorted(self.classes_, model.classes_)] = found
        return made

    def _frame(self, values: NDArray[np.float32], X: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame(values, columns=self.get_feature_names_out(), index=X.index)
