"""Numbers for models that care about scale: imputation, missing indicators, tamed outliers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, QuantileTransformer


class SmoothClip(TransformerMixin, BaseEstimator):
    """Centre on the median, scale by the quartiles, then squeeze outliers smoothly into ±`limit`.

    Shape:
        ``(n, d)`` numbers in, float32 ``(n, d)`` out; missing stays missing.

    Source:
        Holzmüller, Grinsztajn, Steinwart, "Better by default" (RealMLP), 2024: robust scaling with
        half the range where the quartiles coincide, then x / sqrt(1 + (x / 3)²).
    """

    def __init__(self, limit: float = 3.0) -> None:
        self.limit = limit

    def fit(self, X: Any, y: object = None) -> SmoothClip:
        """Learn median and scale per column."""
        values = np.asarray(X, dtype=np.float64)
        low, self.center_, high = np.nanquantile(values, [0.25, 0.5, 0.75], axis=0)
        half_range = (np.nanmax(values, axis=0) - np.nanmin(values, axis=0)) / 2
        scale = np.where(high > low, high - low, half_range)
        self.scale_ = np.where(scale > 0, scale, np.inf)  # a constant column becomes zero
        return self

    def transform(self, X: Any) -> NDArray[np.float32]:
        """Scale and squeeze."""
        scaled = (np.asarray(X, dtype=np.float64) - self.center_) / self.scale_
        return (scaled / np.sqrt(1 + (scaled / self.limit) ** 2)).astype(np.float32)

    def get_feature_names_out(self, input_features: Any = None) -> Any:
        """The columns keep their names."""
        return input_features


def scaled_numbers(n_rows: int, seed: int) -> Pipeline:
    """Median imputation with missing indicators, then robust scaling. Output float32."""
    return Pipeline([("impute", _imputer()), ("scale", SmoothClip())])


def normal_numbers(n_rows: int, seed: int) -> Pipeline:
    """Median imputation with missing indicators, then quantiles of a normal. Output float32."""
    quantiles = QuantileTransformer(
        n_quantiles=max(10, min(1000, n_rows // 3)),
        output_distribution="normal",
        subsample=200_000,
        random_state=seed,
    )
    return Pipeline(
        [
            ("impute", _imputer()),
            ("normal", quantiles),
            ("cast", FunctionTransformer(_float32, feature_names_out="one-to-one")),
        ]
    )


def _imputer() -> SimpleImputer:
    return SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)


def _float32(X: Any) -> Any:
    return X.astype(np.float32)
