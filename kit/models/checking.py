"""Small generated data that `check_model` fits: missing values, unseen levels, every task."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kit.images.backbones import AS_THEY_ARE
from kit.images.column import ImageArray
from kit.images.store import Store
from kit.preprocessing.columns import HISTORY, SEQUENCE, SERIES, Shape, recipe
from kit.series import SeriesSpec
from kit.settings import Kind, TaskType

_N_TRAIN, _N_NEW = 200, 30
_SIDE = 8  # pixels
BACKBONE = AS_THEY_ARE
"""Of the pictures that models on images are checked with."""
ENCODER = ""
"""Folder of the encoder that models which train one along are checked with."""


def prepared(family: str, task: TaskType) -> tuple[Any, NDArray[Any], Any, int]:
    """Training rows, target, new rows and the number of outputs, through the family's recipe."""
    rng = np.random.default_rng(0)
    n = _N_TRAIN + _N_NEW
    signal = rng.normal(size=n)
    frame = pd.DataFrame(
        {
            "a": signal + rng.normal(scale=0.3, size=n),
            "b": np.where(rng.random(n) < 0.1, np.nan, rng.normal(size=n)),
            "c": pd.Categorical(np.where(signal > 0, "x", rng.choice(["y", "z"], n))),
        }
    )
    frame.loc[n - 1, "c"] = None  # a missing level in the new rows
    kinds: dict[str, Kind] = {"a": "numeric", "b": "numeric", "c": "category"}
    if family == "image":
        frame, kinds = _with_images(frame, signal, rng), {**kinds, "picture": "image"}
    if family in ("texts", "tokens_sentences"):
        said = np.where(signal > 0, "warm and bright", "cold and dark")
        frame["said"] = pd.Series(said, dtype="str").where(rng.random(n) > 0.1)
        kinds["said"] = "text"
    y, n_outputs = _target(signal, rng, task)
    shape = Shape(kinds=kinds, levels={"c": 3}, n_rows=_N_TRAIN, task=task, seed=0, encoder=ENCODER)
    if family in (HISTORY, SEQUENCE, SERIES):  # ten series, the new rows come after the others
        frame["b"] = np.arange(n) % 10
        frame["time"] = np.arange(n) // 10
        spec = SeriesSpec(horizon=3, id=("b",), lags=(3,), windows=(2,), seasons=(4,), history=8)
        kinds = {**kinds, "time": "numeric"}
        shape = replace(shape, kinds=kinds, series=spec, time="time")
    steps = recipe(family, shape)
    X = steps.fit_transform(frame[:_N_TRAIN], y[:_N_TRAIN])
    return X, y[:_N_TRAIN], steps.transform(frame[_N_TRAIN:]), n_outputs


def _with_images(
    frame: pd.DataFrame, signal: NDArray[Any], rng: np.random.Generator
) -> pd.DataFrame:
    """A column of small pictures, the brighter the larger the signal."""
    shades = np.clip(127 + 40 * signal, 0, 255)[:, None, None, None]
    noisy = shades + rng.normal(scale=20, size=(len(frame), _SIDE, _SIDE, 3))
    store = Store.of(np.clip(noisy, 0, 255).astype(np.uint8))
    images = ImageArray(store, np.arange(store.n), BACKBONE)
    return frame.assign(picture=pd.Series(images, index=frame.index))


def _target(
    signal: NDArray[Any], rng: np.random.Generator, task: TaskType
) -> tuple[NDArray[Any], int]:
    noisy = signal + rng.normal(scale=0.3, size=len(signal))
    if task == "binary":
        return (noisy > 0).astype(np.int64), 1
    if task == "multiclass":
        return np.digitize(noisy, [-0.5, 0.5]), 3
    if task == "regression":
        return 10 + 5 * noisy, 1
    both = np.column_stack([noisy, -signal])
    return ((both > 0).astype(float) if task == "multilabel" else both), 2
