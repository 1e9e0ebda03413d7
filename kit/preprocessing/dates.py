"""Moments -> calendar parts. Row by row; which parts vary is learned from the training rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin

_PARTS = ("year", "month", "day", "day_of_week", "day_of_year", "hour", "minute")
_DAY = np.timedelta64(1, "D")


class DateParts(TransformerMixin, BaseEstimator):
    """Turn each datetime column into the calendar parts that vary, plus days since 1970.

    Shape:
        - Input: frame ``(n, d)`` of datetime64.
        - Output: float32 frame ``(n, parts)``; a missing moment is missing in every part.
    """

    def fit(self, X: pd.DataFrame, y: object = None) -> DateParts:
        """Keep the parts that take more than one value in the training rows."""
        self.parts_: list[tuple[str, str]] = []
        for name in X.columns:
            moments = X[name].dt
            self.parts_ += [(name, p) for p in _PARTS if getattr(moments, p).nunique() > 1]
        self.columns_ = list(X.columns)
        return self

    def transform(self, X: pd.DataFrame) -> pd.DataFrame:
        """Compute the kept parts."""
        made = {
            f"{name}_{part}": getattr(X[name].dt, part).astype("float32")
            for name, part in self.parts_
        }
        for name in self.columns_:
            days = (X[name].to_numpy() - np.datetime64("1970-01-01")) / _DAY
            made[f"{name}_days"] = days.astype("float32")
        return pd.DataFrame(made, index=X.index)

    def get_feature_names_out(self, input_features: object = None) -> list[str]:
        """Names of the columns made."""
        return [f"{n}_{p}" for n, p in self.parts_] + [f"{n}_days" for n in self.columns_]
