"""Numbers for models that care about scale: imputation, missing indicators, tamed outliers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.impute import SimpleImputer
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import FunctionTransformer, SplineTransformer

_FAR = 1e100  # in scales
_ROWS = 10_000  # that show whether values are told apart
_TOLD = 0.9  # of the different values


class ToldApart(TransformerMixin, BaseEstimator):
    """Numbers as they are, but about their median where float32 would take many for the same.

    Moments of an hour in seconds since 1970, or numbers of things that begin at four billion: two
    that differ by less than 128 are one float32, and most libraries of trees count in these.

    Shape:
        Frame ``(n, d)`` of numbers in, the same columns out.
    """

    def fit(self, X: pd.DataFrame, y: object = None) -> ToldApart:
        """Find the columns, and their medians."""
        self.names_ = list(X.columns)
        self.centers_: dict[str, float] = {}
        for name in X.columns:
            values = X[name].iloc[:: max(1, len(X) // _ROWS)].to_numpy(dtype=np.float64)
            different = np.unique(values[~np.isnan(values)])
            if len(np.unique(different.astype(np.float32))) < _TOLD * len(different):
                self.centers_[name] = float(np.median(different))
        return self

    def transform(self, X: pd.DataFrame) -> pd.DataFrame:
        """Take the medians off."""
        moved = {name: X[name] - center for name, center in self.centers_.items()}
        return X.assign(**moved) if moved else X

    def get_feature_names_out(self, input_features: object = None) -> list[str]:
        """The columns keep their names."""
        return list(self.names_)


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
        with np.errstate(over="ignore"):
            scaled = (np.asarray(X, dtype=np.float64) - self.center_) / self.scale_
        scaled = np.clip(scaled, -_FAR, _FAR)  # the square of what lies further is no number
        return (scaled / np.sqrt(1 + (scaled / self.limit) ** 2)).astype(np.float32)

    def get_feature_names_out(self, input_features: Any = None) -> Any:
        """The columns keep their names."""
        return input_features


class ScaledNumbers(TransformerMixin, BaseEstimator):
    """Median imputation with missing indicators, then `SmoothClip`; a column at a time.

    The values are those of scikit-learn's `SimpleImputer` and `SmoothClip` behind each other, which
    copy the whole table several times: of a table on the disk one column is in memory.

    Shape:
        ``(n, d)`` numbers in; float32 ``(n, d + k)`` out, `k` columns being those that lacked
        values where it was fitted.
    """

    def fit(self, X: Any, y: object = None) -> ScaledNumbers:
        """Learn median and scale of each column, and which ones lack values."""
        self.feature_names_in_ = np.asarray(getattr(X, "columns", range(X.shape[1])), dtype=object)
        self.medians_: list[float] = []
        self.marked_: list[int] = []
        clips = []
        for position, values in enumerate(_columns(X)):
            missing = np.isnan(values)
            known = values[~missing] if missing.any() else values
            self.medians_.append(float(np.median(known)) if len(known) else 0.0)
            if missing.any():
                self.marked_.append(position)
            clips.append(_clip(np.where(missing, self.medians_[-1], values)))
        marks = (np.isnan(_column(X, position)) for position in self.marked_)
        self.clips_ = [*clips, *(_clip(each.astype(np.float64)) for each in marks)]
        return self

    def transform(self, X: Any) -> NDArray[np.float32]:
        """Fill, scale and squeeze."""
        made = np.empty((len(X), len(self.clips_)), dtype=np.float32)
        width = len(self.medians_)
        for position, values in enumerate(_columns(X)):
            missing = np.isnan(values)
            filled = np.where(missing, self.medians_[position], values)
            made[:, [position]] = self.clips_[position].transform(filled[:, None])
            if position in self.marked_:
                at = width + self.marked_.index(position)
                marks = missing.astype(np.float64)
                made[:, [at]] = self.clips_[at].transform(marks[:, None])
        return made

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[Any]:
        """The columns' names, and those of their marks."""
        known = self.feature_names_in_ if input_features is None else input_features
        names = np.asarray(known, dtype=object)
        marks = [f"missingindicator_{names[position]}" for position in self.marked_]
        return np.append(names, np.array(marks, dtype=object))


def _column(X: Any, position: int) -> NDArray[np.float64]:
    column = X.iloc[:, position] if hasattr(X, "iloc") else X[:, position]
    return np.asarray(column, dtype=np.float64)


def _columns(X: Any) -> Iterator[NDArray[np.float64]]:
    return (_column(X, position) for position in range(X.shape[1]))


def _clip(values: NDArray[np.float64]) -> SmoothClip:
    return SmoothClip().fit(values[:, None])


def scaled_numbers() -> ScaledNumbers:
    """Median imputation with missing indicators, then robust scaling. Output float32."""
    return ScaledNumbers()


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
