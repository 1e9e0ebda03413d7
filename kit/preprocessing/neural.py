"""Recipes of the networks whose folds are trained together: RealMLP and TabM.

Both give a DataFrame of float and categorical columns, as the recipe "neural" does; the network
itself turns levels into one-hot columns or learned ones. Missing numbers are imputed and marked.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import QuantileTransformer

from kit.preprocessing.categories import KnownLevels
from kit.preprocessing.images import COMPONENTS, image_steps
from kit.preprocessing.means import target_means
from kit.preprocessing.numeric import scaled_numbers
from kit.preprocessing.row_parts import row_parts
from kit.preprocessing.shape import SCALE, Shape
from kit.preprocessing.text import TextNumbers

_ROWS_PER_QUANTILE, _MOST_QUANTILES, _FEWEST_QUANTILES = 30, 1000, 10
_LARGEST = 900  # power of two: scikit-learn takes what is within 1e-7 of an end for the end
_FAR = 2.0**1000
_JITTER = 1e-3  # of the distance to the nearest other value: ties get the middle of their ranks


def realmlp_recipe(shape: Shape) -> Pipeline:
    """Robust scaling and smooth clipping of the numbers.

    Source:
        "Better by default" (RealMLP), 2024. The cross-fitted means of categories with many levels
        are not in it.
    """
    return _recipe(shape, scaled_numbers())


def tabm_recipe(shape: Shape) -> Pipeline:
    """Numbers as quantiles of a normal distribution.

    Source:
        Gorishniy et al., "TabR" (2023) and "TabM" (ICLR 2025).
    """
    marked = FeatureUnion(
        [
            (
                "numbers",
                Pipeline(
                    [
                        ("impute", SimpleImputer(strategy="median", keep_empty_features=True)),
                        ("quantiles", NormalQuantiles(seed=shape.seed)),
                    ]
                ),
            ),
            ("missing", MissingIndicator(error_on_new=False)),
        ]
    )
    return _recipe(shape, marked)


class NormalQuantiles(TransformerMixin, BaseEstimator):
    """Numbers by rank, as quantiles of the normal distribution.

    Ranks are learned from slightly jittered rows, so that a value many rows share gets the middle
    of their ranks instead of an end. The jitter changes the order of no two values, however far
    others lie away: with a share of the deviation, one -999 among numbers from 0 to 1 blurs them.
    A column of one value is zero, whatever new rows have there: nothing was learned of it.

    Args:
        seed: of the jitter.

    Shape:
        ``(n, d)`` numbers in, float32 ``(n, d)`` out.

    Source:
        Gorishniy et al., "TabR" (2023).
    """

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def fit(self, X: Any, y: object = None) -> NormalQuantiles:
        """Learn the quantiles of each column."""
        values = np.asarray(X, dtype=np.float64)
        self.varies_ = values.max(axis=0) > values.min(axis=0)
        self.powers_ = _LARGEST - np.frexp(np.abs(values).max(axis=0))[1]
        values = np.ldexp(values, self.powers_)
        rng = np.random.default_rng(self.seed)
        apart = np.column_stack([_apart(column) for column in values.T])
        jitter = _JITTER * apart * rng.standard_normal(values.shape)
        wanted = max(min(len(values) // _ROWS_PER_QUANTILE, _MOST_QUANTILES), _FEWEST_QUANTILES)
        self.quantiles_ = QuantileTransformer(
            n_quantiles=min(wanted, len(values)),
            output_distribution="normal",
            subsample=None,
            random_state=self.seed,
        ).fit(values + jitter)
        return self

    def transform(self, X: Any) -> NDArray[np.float32]:
        """Look the ranks up."""
        with np.errstate(over="ignore"):
            values = np.ldexp(np.asarray(X, dtype=np.float64), self.powers_)
        ranks = self.quantiles_.transform(np.clip(values, -_FAR, _FAR))
        return np.where(self.varies_, ranks, 0.0).astype(np.float32)

    def get_feature_names_out(self, input_features: Any = None) -> Any:
        """The columns keep their names."""
        return input_features


def _apart(column: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far the nearest other value is, for every row; 0 where there is no other. ``(n,)``."""
    known, place = np.unique(column, return_inverse=True)
    if len(known) < 2:
        return np.zeros(len(column))
    gaps = np.diff(known)
    return np.minimum(np.append(gaps, np.inf), np.insert(gaps, 0, np.inf))[place]


def _recipe(shape: Shape, numbers: Any) -> Pipeline:
    """Everything as numbers and levels, then the numbers scaled by `numbers`."""
    expand = ColumnTransformer(
        [
            ("numeric", "passthrough", shape.of("numeric")),
            ("levels", KnownLevels(min_count=2), shape.plain),
            *target_means(shape),
            *row_parts(shape),
            *[(f"text_{name}", TextNumbers(seed=shape.seed), [name]) for name in shape.of("text")],
            *image_steps(shape.of("image"), components=COMPONENTS, seed=shape.seed),
        ]
    )
    scale = ColumnTransformer(
        [
            ("numbers", numbers, make_column_selector(dtype_include="number")),
            ("levels", "passthrough", make_column_selector(dtype_include="category")),
        ]
    )
    steps = [("expand", expand), (SCALE, scale)]
    return Pipeline([(name, step.set_output(transform="pandas")) for name, step in steps])
