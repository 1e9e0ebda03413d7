"""Features made from other features, inside the fold: candidates, choice, and the columns kept.

Everything is learnt from the fold's training rows. Which columns are combined is decided by their
gain in a quick booster; which of the combinations stay, by their gain against shuffled columns
(`kit.preprocessing.selection`). At most `sample_rows` rows decide; all training rows fill the
tables of what was chosen.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline

from kit.preprocessing.candidates import PIECES, Sources, candidates
from kit.preprocessing.keys import Columns, Levels
from kit.preprocessing.made import Feature, Target
from kit.preprocessing.selection import above_noise, gains
from kit.preprocessing.shape import Shape
from kit.settings import TaskType

_PARTS = 5
_FEW_VALUES = 30  # a number with so many values may be part of a key
_CELLS = 4_000_000  # rows x columns that choose: wide tables get fewer rows, and keep to the time


def generated_tree(base: ColumnTransformer, shape: Shape) -> Pipeline:
    """The tree recipe with generated columns beside its own.

    Args:
        base: the unfitted tree recipe; its output is what is combined, parts of dates and codes
            included.
        shape: task and seed are used.
    """
    return Pipeline([("base", base), ("generate", _generated(shape))])


def generated_linear(base: ColumnTransformer, shape: Shape) -> ColumnTransformer:
    """The linear recipe with generated columns, scaled and bent as its other numbers are.

    Args:
        base: the unfitted linear recipe; changed in place. Its part "table" is a pipeline of
            "expand" and "scale".
        shape: task and seed are used.
    """
    table = {name: step for name, step, _ in base.transformers}.get("table")
    if table is None:  # texts or images alone: there is nothing to combine
        return base
    table.steps.insert(1, ("generate", _generated(shape)))
    return base


def _generated(shape: Shape) -> GeneratedFeatures:
    return GeneratedFeatures(task=shape.task, seed=shape.seed)


class GeneratedFeatures(TransformerMixin, BaseEstimator):
    """Add combinations of columns that gain more than noise does.

    Args:
        task: means of the target exist for one target only.
        pieces: which kinds of candidates; see `PIECES`.
        most: columns added at most.
        sample_rows: rows that choose, at most; fewer on more than 200 columns.
        passive: columns whose name starts so are kept but not combined.
        seed: of inner parts, sample and probes.

    Shape:
        Frame ``(n, d)`` of numbers and categoricals in; the same and up to `most` columns named
        `made__...` out, float32.

    Source:
        The families of candidates and alpha = 10: TabPrep (TabArena, 2026); random probes:
        Stoppiglia et al., "Ranking a random feature for variable and feature selection" (2003).
    """

    def __init__(
        self,
        task: TaskType = "regression",
        pieces: Sequence[str] = PIECES,
        most: int = 60,
        sample_rows: int = 20_000,
        passive: Sequence[str] = ("means__", "shares__", "named__", "text_"),
        seed: int = 0,
    ) -> None:
        self.task = task
        self.pieces = pieces
        self.most = most
        self.sample_rows = sample_rows
        self.passive = passive
        self.seed = seed

    def fit(self, X: pd.DataFrame, y: NDArray[Any]) -> GeneratedFeatures:
        """Choose the features and learn their tables."""
        self.fit_transform(X, y)
        return self

    def fit_transform(self, X: pd.DataFrame, y: NDArray[Any], **_: Any) -> pd.DataFrame:
        """Choose and learn; the training rows get codes made without their own label."""
        y = np.asarray(y, dtype=np.float64)
        chosen = self._choose(X, y)
        # a number may have more values than it had among the rows that chose: no limit here
        used = dict.fromkeys(name for feature in chosen for key in feature.keys for name in key)
        self.levels_ = Levels(X[list(used)], few=len(X))
        columns = Columns(X, self.levels_)
        target = self._target(y)
        self.features_: list[Feature] = []
        self.names_: list[str] = []
        made: dict[str, Any] = {}
        for feature in chosen:
            for key in feature.keys:
                self.levels_.learn(key, columns)
            values = feature.learn(columns, target)
            name = _free(f"made__{feature.name}", X.columns, made)
            made[name] = values
            self.features_.append(feature)
            self.names_.append(name)
        return pd.concat([X, pd.DataFrame(made, index=X.index)], axis=1)

    def transform(self, X: pd.DataFrame) -> pd.DataFrame:
        """The frame with the chosen columns beside it."""
        columns = Columns(X, self.levels_)
        made = {
            name: feature.values(columns)
            for name, feature in zip(self.names_, self.features_, strict=True)
        }
        return pd.concat([X, pd.DataFrame(made, index=X.index)], axis=1)

    def get_feature_names_out(self, input_features: Any = None) -> list[str]:
        """The columns that came in, then those made."""
        return [*(input_features if input_features is not None else []), *self.names_]

    @property
    def _classes(self) -> bool:
        return self.task in ("binary", "multiclass")

    def _choose(self, X: pd.DataFrame, y: NDArray[np.float64]) -> list[Feature]:
        """Candidates that gain more than noise on a sample of the training rows."""
        rng = np.random.default_rng([self.seed, 1])
        most_rows = min(self.sample_rows, max(1000, _CELLS // max(1, X.shape[1])))
        if len(X) > most_rows:
            rows = np.sort(rng.choice(len(X), most_rows, replace=False))
            X, y = X.iloc[rows], y[rows]
        levels = Levels(X, _FEW_VALUES)
        columns = Columns(X, levels)
        base, categories = _matrix(X)
        if not base.shape[1]:
            return []
        n_classes = int(y.max()) + 1 if self._classes else 0
        gain = gains(base, y, n_classes, categories, seed=self.seed)
        sources = self._sources(X, levels, gain)
        found = candidates(sources, self.pieces, self._n_outputs(y), levels, columns)
        target = self._target(y)
        made = np.empty((len(X), len(found)), dtype=np.float32)
        for position, feature in enumerate(found):
            made[:, position] = feature.learn(columns, target)
        kept = above_noise(base, made, y, n_classes, categories, most=self.most, seed=self.seed)
        return [found[position] for position in kept]

    def _sources(self, X: pd.DataFrame, levels: Levels, gain: NDArray[np.float64]) -> Sources:
        """The columns that may be combined, most useful first."""
        order = [str(X.columns[position]) for position in np.argsort(-gain, kind="stable")]
        free = [name for name in order if not name.startswith(tuple(self.passive))]
        category = {n for n in free if isinstance(X[n].dtype, pd.CategoricalDtype)}
        return Sources(
            numbers=tuple(name for name in free if name not in category),
            keys=tuple(name for name in free if name in set(levels.few_values)),
            n_rows=len(X),
        )

    def _n_outputs(self, y: NDArray[np.float64]) -> int:
        """Columns of means per key: 0 for several targets."""
        if y.ndim > 1:
            return 0
        n_classes = int(y.max()) + 1
        return n_classes if self.task == "multiclass" and n_classes > 2 else 1

    def _target(self, y: NDArray[np.float64]) -> Target | None:
        """Balanced inner parts: every part has its share of each stretch of the sorted target."""
        if y.ndim > 1:
            return None
        rng = np.random.default_rng([self.seed, 2])
        blocks = -(-len(y) // _PARTS)
        dealt = rng.permuted(np.tile(np.arange(_PARTS), (blocks, 1)), axis=1).ravel()[: len(y)]
        order = np.lexsort((rng.random(len(y)), y))
        part = np.empty(len(y), dtype=np.int64)
        part[order] = dealt
        n_outputs = self._n_outputs(y)
        values = y[:, None] if n_outputs == 1 else (y[:, None] == np.arange(n_outputs))
        return Target(values=values.astype(np.float64), part=part, n_parts=_PARTS)


def _matrix(X: pd.DataFrame) -> tuple[NDArray[np.float32], list[int]]:
    """A frame as numbers, with the positions of its categories (as codes, -1 for missing)."""
    parts, categories = [], []
    for position, name in enumerate(X.columns):
        if isinstance(X[name].dtype, pd.CategoricalDtype):
            categories.append(position)
            parts.append(X[name].cat.codes.to_numpy(dtype=np.float32))
        else:
            parts.append(X[name].to_numpy(dtype=np.float32))
    empty = np.empty((len(X), 0), dtype=np.float32)
    return (np.column_stack(parts) if parts else empty), categories


def _free(name: str, *taken: Any) -> str:
    while any(name in names for names in taken):
        name += "_"
    return name
