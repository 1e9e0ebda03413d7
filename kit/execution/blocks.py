"""Fitting and predicting where the table lies on the disk: a block of rows in memory at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline

from kit import mapped
from kit.dataset import Dataset
from kit.mapped import frame_on_disk, is_on_disk, rows_on_disk, stacked_on_disk
from kit.preprocessing.shape import SCALE

Array = NDArray[np.float64]


def rows_of(data: Dataset, rows: NDArray[np.int64], folder: Path) -> pd.DataFrame:
    """Features of some training rows, in memory or on the disk as the data are.

    Args:
        data: the table.
        rows: positions.
        folder: on whose disk copies are put.
    """
    return rows_on_disk(data.X, rows, folder) if data.on_disk else data.X.iloc[rows]


def fit_recipe(steps: Any, X: Any, y: Array, data: Dataset, folder: Path) -> Any:
    """Fit a recipe on training rows; the rows as it makes them, on the disk where the data are.

    Where its last step is `SCALE`, which looks at no label, that is fitted a column at a time and
    applied block by block.

    Args:
        steps: the unfitted recipe.
        X: training rows, of `rows_of`.
        y: their target.
        data: the table they are of.
        folder: on whose disk copies are put.
    """
    if not (data.on_disk and _ends_in_scale(steps)):
        return kept(steps.fit_transform(X, y), data, folder)
    for _, step in steps.steps[:-1]:
        X = kept(step.fit_transform(X, y), data, folder)
    return stacked_on_disk(map(steps[-1].fit(X).transform, blocks(X)), folder)


def apply_recipe(steps: Any, X: Any, data: Dataset, folder: Path) -> Any:
    """Rows as a fitted recipe makes them, on the disk where the data are."""
    if not (data.on_disk and _ends_in_scale(steps)):
        return kept(steps.transform(X), data, folder)
    return stacked_on_disk(map(steps.transform, blocks(X)), folder)


def _ends_in_scale(steps: Any) -> bool:
    """Whether what it makes has columns of the same types whatever the rows are."""
    return isinstance(steps, Pipeline) and steps.steps[-1][0] == SCALE


def kept(made: Any, data: Dataset, folder: Path) -> Any:
    """What a recipe made; on the disk where the data are."""
    large = data.on_disk and isinstance(made, pd.DataFrame)
    return frame_on_disk(made, folder) if large else made


def predicted(X: pd.DataFrame, predict: Callable[[pd.DataFrame], Array]) -> Array:
    """Predictions for rows that no recipe has seen yet; of a table on the disk block by block.

    Args:
        X: features as the data have them.
        predict: recipe and model, rows in, ``(n, k)`` out.
    """
    if not is_on_disk(X):
        return predict(X)
    return np.concatenate([predict(block) for block in blocks(X)])


def blocks(X: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """The rows in order, a bounded number at a time; one empty block where there are none."""
    for start in range(0, max(1, len(X)), mapped.BLOCK):
        yield X.iloc[start : start + mapped.BLOCK]
