"""Moments -> calendar parts and gaps. Row by row; which vary is learned from the training rows."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin

_PARTS = ("year", "month", "day", "day_of_week", "day_of_year", "hour", "minute")
_MOST = 4  # moments whose gaps are taken: six pairs
_DAY = np.timedelta64(1, "D")


class DateParts(TransformerMixin, BaseEstimator):
    """Turn each datetime column into the calendar parts that vary, plus days since 1970.

    From the first four columns the days between any two are taken as well, where they vary.

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
        pairs = combinations(self.columns_[:_MOST], 2)
        self.gaps_ = [(one, two) for one, two in pairs if (X[two] - X[one]).nunique() > 1]
        return self

    def transform(self, X: pd.DataFrame) -> pd.DataFrame:
        """Compute the kept parts."""
        made = {
            f"{name}_{part}": getattr(X[name].dt, part).astype("float32")
            for name, part in self.parts_
        }
        for name in self.columns_:
            made[f"{name}_days"] = _days(X[name].to_numpy() - np.datetime64("1970-01-01"))
        for one, two in self.gaps_:
            made[f"{one}_to_{two}_days"] = _days(X[two].to_numpy() - X[one].to_numpy())
        return pd.DataFrame(made, index=X.index)

    def get_feature_names_out(self, input_features: object = None) -> list[str]:
        """Names of the columns made."""
        days = [f"{name}_days" for name in self.columns_]
        gaps = [f"{one}_to_{two}_days" for one, two in self.gaps_]
        return [*(f"{name}_{part}" for name, part in self.parts_), *days, *gaps]


def _days(times: NDArray[np.timedelta64]) -> NDArray[np.float32]:
    return np.asarray(times / _DAY, dtype=np.float32)
