"""Images as numbers, for models of tables: what a pretrained network sees in them.

The network is fixed and knows nothing of the competition, so its vectors are computed once for all
rows; what is learned from many rows, a scale or principal components, is fitted inside the fold.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from kit.images.column import image_column
from kit.images.embeddings import embedded

COMPONENTS = 64
"""Principal components of a vector, for models that do badly with a thousand columns."""


_LEAST = 0.1
"""Least deviation a number is brought to 1 from, as a share of the median: all are of one unit, and
one that hardly moves in the training rows would be thousands in an image unlike them."""


class ImageNumbers(TransformerMixin, BaseEstimator):
    """One column of images as the vectors of its backbone.

    Args:
        components: principal components are taken of longer vectors; 0: never.
        scaled: whether each number is brought to mean 0 and deviation 1, or less than that where it
            hardly moves.
        seed: of the randomised decomposition.

    Shape:
        Frame ``(n, 1)`` of images in, float32 ``(n, width)`` out, or ``(n, components)``.
    """

    def __init__(self, components: int = 0, scaled: bool = False, seed: int = 0) -> None:
        self.components = components
        self.scaled = scaled
        self.seed = seed

    def fit(self, X: pd.DataFrame, y: object = None) -> ImageNumbers:
        """Learn scale and components."""
        self.name_ = str(X.columns[0])
        values = embedded(image_column(X, self.name_))
        short = not self.components or values.shape[1] <= self.components + 36
        self.scaler_ = _scaler(values) if self.scaled or not short else None
        self.pca_ = None
        if not short:
            size = min(self.components, *values.shape)
            pca = PCA(size, svd_solver="randomized", random_state=self.seed)
            self.pca_ = pca.fit(self._scaled(values))
        self.width_ = values.shape[1] if self.pca_ is None else self.pca_.n_components_
        return self

    def transform(self, X: pd.DataFrame) -> pd.DataFrame:
        """Look the vectors up and bring them to scale."""
        values = self._scaled(embedded(image_column(X, self.name_)))
        if self.pca_ is not None:
            values = self.pca_.transform(values)
        names = self.get_feature_names_out()
        return pd.DataFrame(np.asarray(values, dtype=np.float32), columns=names, index=X.index)

    def get_feature_names_out(self, input_features: object = None) -> list[str]:
        """Names of the columns made."""
        return [f"{self.name_}_{number}" for number in range(self.width_)]

    def _scaled(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        return values if self.scaler_ is None else self.scaler_.transform(values)


def _scaler(values: NDArray[np.float32]) -> StandardScaler:
    scaler = StandardScaler().fit(values)
    moving = scaler.scale_[scaler.var_ > 0]
    if moving.size:
        scaler.scale_ = np.maximum(scaler.scale_, _LEAST * np.median(moving))
    return scaler


def image_steps(names: list[str], **options: Any) -> list[tuple[str, Any, list[str]]]:
    """A step for each column of images."""
    return [(f"image_{name}", ImageNumbers(**options), [name]) for name in names]
