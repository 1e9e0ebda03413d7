"""Recipes: which columns become what, by the family of the model.

| kind | tree | linear | neural |
|---|---|---|---|
| numeric | as it is | impute, scale, bend | impute, scale |
| category | categorical | one-hot | categorical (embedded) |
| category, many levels | also share and mean | mean of the target | also mean |
| datetime | calendar parts | the same as numbers | the same as numbers |
| code | parts | parts | parts |
| text | words, SVD, lengths | sparse TF-IDF | words, SVD, lengths |

"Bend" adds a logarithm and a piecewise-linear basis, so that a linear model can follow curves;
means of the target are cross-fitted.

A recipe is an unfitted scikit-learn transformer; the engine fits a clone on the training rows of
each fold. Tree and neural recipes give a DataFrame (float and categorical columns), linear ones a
float32 matrix, sparse where there is text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder

from kit.competition import Kind, TaskType
from kit.errors import ConfigError
from kit.preprocessing.categories import Counts, CrossFittedTarget, KnownLevels
from kit.preprocessing.codes import CodeParts
from kit.preprocessing.dates import DateParts
from kit.preprocessing.numeric import bent_numbers, scaled_numbers
from kit.preprocessing.text import TextNumbers, TextSparse

MANY_LEVELS = 12  # above it a category is also given as share and cross-fitted mean ...
ROWS_PER_LEVEL = 1000  # ... unless its levels have so many rows that any model knows their means

Step = tuple[str, Any, Any]  # name, transformer, columns or a selector of columns

_NUMBERS = make_column_selector(dtype_include="number")
_LEVELS = make_column_selector(dtype_include="category")


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What a recipe needs to know of the data before it sees a fold.

    Attributes:
        kinds: kind per feature column.
        levels: number of levels per category column.
        n_rows: training rows in all.
        task: decides whether means of the target exist (not for several targets).
        seed: for everything random inside the recipe.
    """

    kinds: Mapping[str, Kind]
    levels: Mapping[str, int]
    n_rows: int
    task: TaskType
    seed: int

    def of(self, *kinds: Kind) -> list[str]:
        """The columns of these kinds."""
        return [name for name, kind in self.kinds.items() if kind in kinds]

    @property
    def many(self) -> list[str]:
        """Categories with many levels of few rows."""
        return [
            name
            for name in self.of("category")
            if MANY_LEVELS < self.levels.get(name, 0) > self.n_rows / ROWS_PER_LEVEL
        ]


def recipe(family: str, shape: Shape) -> Any:
    """The unfitted transformer for a family of models.

    Raises:
        ConfigError: the family is unknown.
    """
    builders = {"tree": _tree, "linear": _linear, "neural": _neural, "raw": _raw}
    if family not in builders:
        raise ConfigError(f"unknown model family {family!r}. Known: {', '.join(builders)}.")
    return builders[family](shape)


def _raw(shape: Shape) -> Any:
    return FunctionTransformer(feature_names_out="one-to-one")


def _tree(shape: Shape) -> ColumnTransformer:
    return _frame(
        [
            ("numeric", "passthrough", shape.of("numeric")),
            ("levels", KnownLevels(), shape.of("category")),
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
            ("levels", KnownLevels(min_count=2), shape.of("category")),
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
    if shape.task in ("multilabel", "multitarget"):
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
