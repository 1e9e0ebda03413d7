"""Categories as codes and as numbers: levels known from training rows only.

Target encoding exists in its cross-fitted form only (scikit-learn's `TargetEncoder`): a training
row's code never contains its own label. The form that is not cross-fitted has no name in kit.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.preprocessing import TargetEncoder


class KnownLevels(TransformerMixin, BaseEstimator):
    """Keep the levels seen in the training rows; everything else becomes missing.

    Args:
        min_count: levels seen less often than this are treated as never seen.

    Shape:
        Frame ``(n, d)`` of categoricals in, the same columns with the learned levels out.
    """

    def __init__(self, min_count: int = 1) -> None:
        self.min_count = min_count

    def fit(self, X: pd.DataFrame, y: object = None) -> KnownLevels:
        """Learn the levels of each column."""
        self.levels_: dict[str, pd.Index] = {}
        for name in X.columns:
            categories, codes = X[name].cat.categories, X[name].cat.codes.to_numpy()
            counts = np.bincount(codes[codes >= 0], minlength=len(categories))
            self.levels_[name] = categories[counts >= self.min_count]
        return self

    def transform(self, X: pd.DataFrame) -> pd.DataFrame:
        """Set the learned levels."""
        return pd.DataFrame(
            {name: X[name].cat.set_categories(self.levels_[name]) for name in X.columns},
            index=X.index,
        )

    def get_feature_names_out(self, input_features: object = None) -> list[str]:
        """The columns keep their names."""
        return list(self.levels_)


class Counts(TransformerMixin, BaseEstimator):
    """How often a row's level occurs in the training rows, as a share (float32)."""

    def fit(self, X: pd.DataFrame, y: object = None) -> Counts:
        """Count the levels of each column."""
        self.shares_ = {
            name: np.append(
                np.bincount(
                    X[name].cat.codes[X[name].cat.codes >= 0], minlength=len(X[name].cat.categories)
                )
                / len(X),
                0.0,  # code -1: missing
            ).astype(np.float32)
            for name in X.columns
        }
        return self

    def transform(self, X: pd.DataFrame) -> pd.DataFrame:
        """Look the shares up."""
        return pd.DataFrame(
            {f"{name}_share": self.shares_[name][X[name].cat.codes] for name in X.columns},
            index=X.index,
        )

    def get_feature_names_out(self, input_features: object = None) -> list[str]:
        """Names of the columns made."""
        return [f"{name}_share" for name in self.shares_]


class CrossFittedTarget(TransformerMixin, BaseEstimator):
    """Mean target per level, cross-fitted on the training rows.

    `fit_transform` encodes every training row from the *other* parts of the training rows (5-fold);
    `transform` uses all training rows. Smoothing is scikit-learn's empirical Bayes.

    Args:
        classification: whether `y` holds class codes.
        seed: decides the inner parts.

    Shape:
        Frame ``(n, d)`` of categoricals in; float32 ``(n, d)`` out, ``(n, d * n_classes)`` for
        multi-class.

    Source:
        Micci-Barreca, "A preprocessing scheme for high-cardinality categorical attributes" (2001);
        cross-fitting as in scikit-learn's `TargetEncoder`.
    """

    def __init__(self, classification: bool = False, seed: int = 0) -> None:
        self.classification = classification
        self.seed = seed

    def fit(self, X: pd.DataFrame, y: NDArray[Any]) -> CrossFittedTarget:
        """Learn the means from all training rows (what `transform` uses)."""
        self._encoder(X, y).fit(_codes(X), y)
        return self

    def fit_transform(self, X: pd.DataFrame, y: NDArray[Any], **_: Any) -> pd.DataFrame:
        """Learn the means and encode the training rows out of fold."""
        return self._frame(X, self._encoder(X, y).fit_transform(_codes(X), y))

    def transform(self, X: pd.DataFrame) -> pd.DataFrame:
        """Encode rows that were not trained on."""
        return self._frame(X, self.encoder_.transform(_codes(X)))

    def get_feature_names_out(self, input_features: object = None) -> list[str]:
        """Names of the columns made."""
        return list(self.names_)

    def _encoder(self, X: pd.DataFrame, y: NDArray[Any]) -> TargetEncoder:
        many = self.classification and len(np.unique(y)) > 2
        kind = ("multiclass" if many else "binary") if self.classification else "continuous"
        classes = np.unique(y) if many else [0]
        self.names_ = [
            f"{name}_mean{f'_{label}' if many else ''}" for name in X.columns for label in classes
        ]
        enough = self.classification and np.bincount(y.astype(int)).min() >= 5
        folds = StratifiedKFold if enough else KFold
        self.encoder_ = TargetEncoder(
            target_type=kind, cv=folds(5, shuffle=True, random_state=self.seed)
        )
        return self.encoder_

    def _frame(self, X: pd.DataFrame, values: NDArray[Any]) -> pd.DataFrame:
        return pd.DataFrame(values.astype(np.float32), columns=self.names_, index=X.index)


def _codes(X: pd.DataFrame) -> NDArray[np.int64]:
    """Level numbers, missing as a level of its own: ``(n, d)``."""
    return np.column_stack([X[name].cat.codes.to_numpy(dtype=np.int64) for name in X.columns])
