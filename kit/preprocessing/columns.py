"""Recipes: which columns become what, by the family of the model.

| kind | tree | linear | neural |
|---|---|---|---|
| numeric | as it is | impute, scale, bend | impute, scale |
| category | categorical | one-hot | categorical (embedded) |
| category, many levels | also share and mean | mean of the target | also mean |
| category, more than 50 | share and mean | mean of the target | mean |
| datetime | calendar parts | the same as numbers | the same as numbers |
| code | parts | parts | parts |
| text | words, SVD, lengths | sparse TF-IDF | words, SVD, lengths |

Where there are series, features of a row's past are added first (`kit.preprocessing.series`), and
are numbers like others from there on.

"Bend" adds a logarithm and a piecewise-linear basis, so that a linear model can follow curves;
means of the target are cross-fitted.

A recipe is an unfitted scikit-learn transformer; the engine fits a clone on the training rows of
each fold. Tree and neural recipes give a DataFrame (float and categorical columns), linear ones a
float32 matrix, sparse where there is text.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder

from kit.errors import ConfigError, nearest
from kit.preprocessing.categories import Counts, CrossFittedTarget, KnownLevels
from kit.preprocessing.codes import CodeParts
from kit.preprocessing.dates import DateParts
from kit.preprocessing.generate import generated_linear, generated_tree
from kit.preprocessing.neural import realmlp_recipe, tabm_recipe
from kit.preprocessing.numeric import bent_numbers, scaled_numbers
from kit.preprocessing.series import (
    NUMERIC,
    LastValues,
    SeriesFeatures,
    feature_names,
    needs_series,
    sequence_recipe,
)
from kit.preprocessing.shape import MANY_LEVELS as MANY_LEVELS
from kit.preprocessing.shape import Shape as Shape
from kit.preprocessing.text import TextNumbers, TextSparse
from kit.series import SeriesSpec

HISTORY, SEQUENCE, SERIES = (
    "history",
    "sequence",
    "series",
)  # of the models that look at the past itself

Step = tuple[str, Any, Any]  # name, transformer, columns or a selector of columns

_NUMBERS = make_column_selector(dtype_include="number")
_LEVELS = make_column_selector(dtype_include="category")


def recipe(name: str, shape: Shape) -> Any:
    """The unfitted transformer of that name: a family of models, or what a model's `recipe` asks.

    Raises:
        ConfigError: there is none.
    """
    if name not in RECIPES:
        raise ConfigError(f"unknown recipe {name!r}. {nearest(name, RECIPES)}")
    if shape.series is None or name in (HISTORY, SEQUENCE):
        return RECIPES[name](shape)
    return _with_past(RECIPES[name], shape, shape.series)


def _with_past(make: Callable[[Shape], Any], shape: Shape, spec: SeriesSpec) -> Pipeline:
    """A recipe behind the features of a row's past."""
    past = SeriesFeatures(spec, shape.time)
    kinds = {**shape.kinds, **dict.fromkeys(feature_names(spec), NUMERIC)}
    return Pipeline([("past", past), ("columns", make(replace(shape, kinds=kinds)))])


def _history(shape: Shape) -> LastValues:
    if shape.series is None:
        raise needs_series("this model")
    return LastValues(shape.series, shape.time)


def _series(shape: Shape) -> ColumnTransformer:
    if shape.series is None:
        raise needs_series("this model")
    return _tree(shape)


def _sequence(shape: Shape) -> Pipeline:
    if shape.series is None:
        raise needs_series("this model")
    return sequence_recipe(shape, shape.series, _neural)


def _raw(shape: Shape) -> Any:
    return FunctionTransformer(feature_names_out="one-to-one")


def _tree(shape: Shape, levels: list[str] | None = None) -> ColumnTransformer:
    return _frame(
        [
            ("numeric", "passthrough", shape.of("numeric")),
            ("levels", KnownLevels(), shape.plain if levels is None else levels),
            ("shares", Counts(), shape.many),
            *_means(shape),
            *_row_parts(shape),
            *_texts(shape, TextNumbers(seed=shape.seed)),
        ]
    )


def _neural(shape: Shape) -> Pipeline:
    expand = _frame(
        [
            ("numeric", "passthrough", shape.of("numeric")),
            ("levels", KnownLevels(min_count=2), shape.plain),
            *_means(shape),
            *_row_parts(shape),
            *_texts(shape, TextNumbers(seed=shape.seed)),
        ]
    )
    scale = _frame(
        [
            ("numbers", scaled_numbers(), _NUMBERS),
            ("levels", "passthrough", _LEVELS),
        ]
    )
    return Pipeline([("expand", expand), ("scale", scale)])


def _linear(shape: Shape) -> ColumnTransformer:
    texts = _texts(shape, TextSparse())
    few = [name for name in shape.of("category") if name not in shape.many]
    expand = _frame(
        [
            ("numeric", "passthrough", shape.of("numeric")),
            ("levels", KnownLevels(), few if _means(shape) else shape.of("category")),
            *_means(shape),
            *_row_parts(shape),
        ]
    )
    one_hot = OneHotEncoder(
        handle_unknown="infrequent_if_exist",
        min_frequency=3,
        sparse_output=bool(texts),
        dtype=np.float32,
    )
    scale = ColumnTransformer(
        [
            ("numbers", bent_numbers(), _NUMBERS),
            ("levels", one_hot, _LEVELS),
        ]
    )
    dense = [name for name, kind in shape.kinds.items() if kind != "text"]
    return ColumnTransformer(
        [("table", Pipeline([("expand", expand), ("scale", scale)]), dense), *texts]
    )


def _means(shape: Shape) -> list[Step]:
    """Cross-fitted means of the target; they exist for one target only."""
    if not shape.one_target:
        return []
    classification = shape.task in ("binary", "multiclass")
    return [("means", CrossFittedTarget(classification, shape.seed), shape.many)]


def _row_parts(shape: Shape) -> list[Step]:
    return [
        ("dates", DateParts(), shape.of("datetime")),
        ("codes", CodeParts(), shape.of("code")),
    ]


def _texts(shape: Shape, step: Any) -> list[Step]:
    return [(f"text_{name}", step, [name]) for name in shape.of("text")]


def _frame(steps: list[Step]) -> ColumnTransformer:
    """Steps side by side, as a DataFrame that keeps categorical columns."""
    return ColumnTransformer(steps).set_output(transform="pandas")


RECIPES: dict[str, Callable[[Shape], Any]] = {
    "tree": _tree,
    "tree_levels": lambda shape: _tree(shape, shape.of("category")),
    "tree_generated": lambda shape: generated_tree(_tree(shape), shape),
    "linear": _linear,
    "linear_generated": lambda shape: generated_linear(_linear(shape), shape),
    "neural": _neural,
    "realmlp": realmlp_recipe,
    "tabm": tabm_recipe,
    "raw": _raw,
    HISTORY: _history,
    SERIES: _series,
    SEQUENCE: _sequence,
}
"""What `recipe` of a model in `kit.toml` may name; by default the model's family is taken."""
