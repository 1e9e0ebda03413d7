"""Recipes: which columns become what, by the family of the model.

| kind | tree | linear | neural |
|---|---|---|---|
| numeric | as it is | impute, scale, bend | impute, scale |
| numeric, names of things | also share and mean | also share and mean | also share and mean |
| category | categorical | one-hot | categorical (embedded) |
| category, many levels | also share and mean | mean of the target | also mean |
| category, more than 50 | share and mean | mean of the target | mean |
| datetime | calendar parts, gaps | the same as numbers | the same as numbers |
| latitude and longitude | also distances | the same as numbers | the same as numbers |
| code | parts | parts | parts |
| text | score, words, SVD, style | sparse TF-IDF, style | words, SVD, style |
| pairs of texts | similarities | similarities | similarities |
| image | components of its vector | its vector, scaled | components of its vector |

Where there are series, features of a row's past are added first (`kit.preprocessing.series`), and
are numbers like others from there on.

"Bend" adds a logarithm and a piecewise-linear basis, so that a linear model can follow curves;
means of the target are cross-fitted.

"Style" are lengths, capitals, marks; the "score" is a cross-fitted linear model's. Recipes named
`..._sentences` add the vectors of a pretrained encoder ("tokens_sentences": what it reads), and
"texts" leaves texts as they are.

A recipe is an unfitted scikit-learn transformer; the engine fits a clone on the training rows of
each fold. Tree and neural recipes give a DataFrame (float and categorical columns), linear ones a
float32 matrix, sparse where there is text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder

from kit.errors import ConfigError, nearest
from kit.preprocessing.categories import Counts, KnownLevels
from kit.preprocessing.generate import generated_linear, generated_tree
from kit.preprocessing.images import COMPONENTS, image_steps
from kit.preprocessing.means import target_means
from kit.preprocessing.neural import realmlp_recipe, tabm_recipe
from kit.preprocessing.numeric import ToldApart, bent_numbers, scaled_numbers
from kit.preprocessing.row_parts import Step, row_parts
from kit.preprocessing.score import TextScore
from kit.preprocessing.sentences import SentenceKernel, SentenceTokens, SentenceVectors
from kit.preprocessing.series import (
    NUMERIC,
    LastValues,
    SeriesFeatures,
    feature_names,
    needs_series,
    sequence_recipe,
)
from kit.preprocessing.shape import MANY_LEVELS as MANY_LEVELS
from kit.preprocessing.shape import SCALE
from kit.preprocessing.shape import Shape as Shape
from kit.preprocessing.text import TextNumbers, TextSparse
from kit.pretrained.folder import encoder_digest, encoder_folder
from kit.series import SeriesSpec

HISTORY, SEQUENCE, SERIES = (
    "history",
    "sequence",
    "series",
)  # of the models that look at the past itself

_NUMBERS = make_column_selector(dtype_include="number")
_HUSHED = 0.1
"""Scale of the table beside texts in linear models. 7,600 tweets with a keyword, log loss over five
folds: .453 as it is, .447 at 0.3, .441 at 0.1, .444 at 0.03; and a tenth of the time."""
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


def _tree(
    shape: Shape, levels: list[str] | None = None, more: Sequence[Step] = ()
) -> ColumnTransformer:
    return _frame(
        [
            ("numeric", ToldApart(), shape.of("numeric")),
            ("levels", KnownLevels(), shape.plain if levels is None else levels),
            ("shares", Counts(), shape.many),
            *target_means(shape),
            *row_parts(shape),
            *_scores(shape),
            *_texts(shape, TextNumbers(seed=shape.seed)),
            *_components(shape),
            *more,
        ]
    )


def _neural(
    shape: Shape, texts: Sequence[Step] | None = None, components: int = COMPONENTS
) -> Pipeline:
    words = _texts(shape, TextNumbers(seed=shape.seed)) if texts is None else texts
    expand = _frame(
        [
            ("numeric", "passthrough", shape.of("numeric")),
            ("levels", KnownLevels(min_count=2), shape.plain),
            *target_means(shape),
            *row_parts(shape),
            *words,
            *image_steps(shape.of("image"), components=components, seed=shape.seed),
        ]
    )
    scale = _frame(
        [
            ("numbers", scaled_numbers(), _NUMBERS),
            ("levels", "passthrough", _LEVELS),
        ]
    )
    return Pipeline([("expand", expand), (SCALE, scale)])


def _neural_texts(shape: Shape) -> ColumnTransformer:
    """The table as for any network, and the texts themselves, for a network that reads them."""
    texts = FunctionTransformer(feature_names_out="one-to-one")
    return _frame(
        [
            ("table", _neural(shape, ()), [*shape.kinds]),
            ("texts", texts, shape.of("text")),
        ]
    )


def _neural_tokens(shape: Shape) -> ColumnTransformer:
    """The table as for any network, and the texts as the tokens of the sentence encoder."""
    tokens, texts = SentenceTokens(shape.encoder), shape.of("text")
    read: list[Step] = [("tokens", tokens, texts)] if texts else []
    return _frame([("table", _neural(shape, ()), [*shape.kinds]), *read])


def _linear(
    shape: Shape, more: Sequence[Step] = (), terms: TextSparse | None = None
) -> ColumnTransformer:
    texts = [*_texts(shape, terms or TextSparse()), *more]
    few = [name for name in shape.of("category") if name not in shape.many]
    expand = _frame(
        [
            ("numeric", "passthrough", shape.of("numeric")),
            ("levels", KnownLevels(), few if shape.one_target else shape.of("category")),
            *target_means(shape),
            *row_parts(shape),
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
    images = image_steps(shape.of("image"), scaled=True)
    dense = [name for name, kind in shape.kinds.items() if kind != "image"]
    table = Pipeline([("expand", expand), ("scale", scale)])
    if texts:  # each text has length 1: beside it a scaled table of many columns is too loud
        table.steps.append(("hush", FunctionTransformer(_hushed)))
    tables: list[Step] = [("table", table, dense)] if dense else []
    return ColumnTransformer([*tables, *texts, *images])


def _image(shape: Shape) -> ColumnTransformer:
    """Images as they are, for networks that learn to see; the rest as for any network."""
    rest = {name: kind for name, kind in shape.kinds.items() if kind != "image"}
    table: list[Step] = [("table", _neural(replace(shape, kinds=rest)), list(rest))]
    return _frame([("images", "passthrough", shape.of("image")), *(table if rest else [])])


def _components(shape: Shape) -> list[Step]:
    return image_steps(shape.of("image"), components=COMPONENTS, seed=shape.seed)


def _hushed(X: Any) -> Any:
    if not X.shape[1]:  # nothing differs from row to row; scikit-learn joins no empty tables
        return np.zeros((X.shape[0], 1), dtype=np.float32)
    return X * np.float32(_HUSHED)


def _texts(shape: Shape, step: Any) -> list[Step]:
    return [(f"text_{name}", step, [name]) for name in shape.of("text")]


def _scores(shape: Shape) -> list[Step]:
    """What a linear model makes of each text; like means, for one target only."""
    if not shape.one_target:
        return []
    score = TextScore(shape.task in ("binary", "multiclass"), shape.seed)
    return [(f"score_{name}", score, [name]) for name in shape.of("text")]


def _sentences(shape: Shape) -> list[Step]:
    """Vectors of the texts; without a text there are none."""
    texts = shape.of("text")
    return [("sentences", SentenceVectors(shape.encoder, shape.cache), texts)] if texts else []


def _kernel(shape: Shape) -> ColumnTransformer:
    """Table and words as for a linear model, and how like others the meanings of texts are."""
    kernel = SentenceKernel(shape.encoder, shape.cache, seed=shape.seed)
    texts = shape.of("text")
    return _linear(shape, [("kernel", kernel, texts)] if texts else [])


def recipe_facts(name: str, encoder: str) -> dict[str, str]:
    """What else a recipe's output depends on, for the hash of a run.

    Args:
        name: of the recipe.
        encoder: folder of the sentence encoder; empty: the installed package's.

    Raises:
        MissingDependency, DataError: there is no encoder.
    """
    if not name.endswith("_sentences"):
        return {}
    return {"encoder": encoder_digest(encoder_folder(encoder))}


def _frame(steps: list[Step]) -> ColumnTransformer:
    """Steps side by side, as a DataFrame that keeps categorical columns."""
    return ColumnTransformer(steps).set_output(transform="pandas")


RECIPES: dict[str, Callable[[Shape], Any]] = {
    "tree": _tree,
    "tree_levels": lambda shape: _tree(shape, shape.of("category")),
    "tree_generated": lambda shape: generated_tree(_tree(shape), shape),
    "linear": _linear,
    "linear_words": lambda shape: _linear(shape, terms=TextSparse(pairs=False, pieces=0)),
    "linear_generated": lambda shape: generated_linear(_linear(shape), shape),
    "neural": _neural,
    "tree_sentences": lambda shape: _tree(shape, more=_sentences(shape)),
    "kernel_sentences": _kernel,
    "linear_sentences": lambda shape: _linear(shape, _sentences(shape)),
    "neural_sentences": lambda shape: _neural(shape, _sentences(shape)),
    "texts": _neural_texts,
    "tokens_sentences": _neural_tokens,
    "neural_vectors": lambda shape: _neural(shape, components=0),
    "realmlp": realmlp_recipe,
    "tabm": tabm_recipe,
    "image": _image,
    "raw": _raw,
    HISTORY: _history,
    SERIES: _series,
    SEQUENCE: _sequence,
}
"""What `recipe` of a model in `kit.toml` may name; by default the model's family is taken."""
