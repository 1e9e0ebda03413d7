"""Numbers for models that care about scale: imputation, missing indicators, tamed outliers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.impute import SimpleImputer
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import FunctionTransformer, SplineTransformer


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


def scaled_numbers() -> Pipeline:
    """Median imputation with missing indicators, then robust scaling. Output float32."""
    return Pipeline([("impute", _imputer()), ("scale", SmoothClip())])


def bent_numbers(n_knots: int = 12) -> Pipeline:
    """Scaled numbers, their scaled logarithm, and a piecewise-linear basis on quantiles.

    A linear model on these columns is an additive model of bent lines. Without the basis, ridge on
    a count by hour of day has twice the error: an hour is no straight line.

    Args:
        n_knots: quantiles at which the line may bend.
    """
    log = Pipeline([("log", FunctionTransformer(_signed_log)), ("scale", SmoothClip())])
    bends = SplineTransformer(n_knots=n_knots, degree=1, knots="quantile")
    parts = FeatureUnion([("scaled", SmoothClip()), ("log", log), ("bends", bends)])
    return Pipeline(
        [("impute", _imputer()), ("parts", parts), ("cast", FunctionTransformer(_cast))]
    )


def _imputer() -> SimpleImputer:
    return SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)


def _signed_log(X: Any) -> NDArray[np.float64]:
    values = np.asarray(X, dtype=np.float64)
    return np.asarray(np.sign(values) * np.log1p(np.abs(values)))


def _cast(X: Any) -> NDArray[np.float32]:
    return np.asarray(X, dtype=np.float32)
