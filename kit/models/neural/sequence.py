"""A network that reads a row's past step by step: temporal convolutions, or a GRU.

The past of a row arrives as columns `past__window_0000` (the newest value it may see), `..._0001`,
and so on, beside what is known of the row itself. Each row's past is put on its own scale, so that
large and small series look alike, and what is learned is the distance from its mean on that scale.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kit.config import Within
from kit.models.base import (
    Count,
    CountOrZero,
    Dropped,
    Penalty,
    Positive,
    Problem,
    Rows,
    RowWeights,
)
from kit.models.neural.descent import Optimizer, Schedule
from kit.models.neural.mlp import MLP

_PAST = "past__"
_WINDOW = "past__window_"
_FLOOR = 0.1  # of the target's deviation: a flat past is no reason for a scale of zero


class Sequence(MLP):
    """Convolutions or a GRU over a row's past, joined with its other columns.

    Args:
        cell: "tcn": causal convolutions whose reach doubles from layer to layer; "gru": a gated
            recurrent unit.
        units: channels of the convolutions, or width of the recurrent state.
        blocks: convolutions on top of one another ("tcn"); recurrent layers ("gru").
        steps: how much of the past is read; 0: all that `series.history` shows.
        layers: width of each dense layer behind.
        dropout: share of the activations silenced while training.
        embedding_dropout: the same for what enters the first dense layer.
        learning_rate: peak step size.
        weight_decay: decoupled L2 penalty.
        epochs: passes over the rows at most.
        patience: stop when the validation rows have not improved for so many epochs.
        batch: rows per step; 0: by the number of rows.
        members: networks trained from different starts and averaged.
        optimizer, schedule, momentum: see `MLP`.

    Shape:
        Frame ``(n, d)`` of the recipe "sequence" in; ``(n, 1)`` out.

    Source:
        Bai, Kolter, Koltun, "An Empirical Evaluation of Generic Convolutional and Recurrent
        Networks for Sequence Modeling" (2018); Cho et al., GRU (2014); a scale per row as in
        Kim et al., "Reversible Instance Normalization" (ICLR 2022).
    """

    family = "sequence"
    streams = False

    def __init__(
        self,
        cell: Literal["tcn", "gru"] = "tcn",
        units: Count = 48,
        blocks: Annotated[int, Within(1, 8)] = 4,
        steps: CountOrZero = 0,
        layers: tuple[Count, ...] = (128,),
        dropout: Dropped = 0.1,
        embedding_dropout: Dropped = 0.05,
        learning_rate: Positive = 1e-3,
        weight_decay: Penalty = 1e-2,
        epochs: Count = 20,
        patience: Count = 4,
        batch: CountOrZero = 0,
        members: Count = 1,
        optimizer: Optimizer = "adamw",
        schedule: Schedule = "cosine",
        momentum: Dropped = 0.9,
    ) -> None:
        super().__init__(
            layers, dropout, embedding_dropout, learning_rate, weight_decay, epochs, patience,
            batch, members, optimizer, schedule, momentum,
        )  # fmt: skip
        self.cell = cell
        self.units = units
        self.blocks = blocks
        self.steps = steps

    def fit(
        self,
        X: pd.DataFrame,
        y: NDArray[Any],
        *,
        problem: Problem,
        valid: Rows | None = None,
        weight: RowWeights | None = None,
    ) -> Self:
        """Train on the distance from each row's own mean, on its own scale."""
        self.problem_ = problem
        self.n_window_ = sum(name.startswith(_WINDOW) for name in X.columns)
        self.n_lags_ = len(_lags(X))
        self.mean_ = float(np.mean(y))
        self.spread_ = float(np.std(y)) or 1.0
        if valid is not None:
            valid = (valid[0], self._relative(valid[0], valid[1]))
        super().fit(X, self._relative(X, y), problem=problem, valid=valid, weight=weight)
        return self

    def predict(self, X: pd.DataFrame) -> NDArray[np.float64]:
        """Mean over the members, back on the scale of the target."""
        values = super().predict(X)
        if self.problem_.classification:
            return values
        mean, scale = self._scale(X)
        return np.asarray(values * scale[:, None] + mean[:, None])

    def _facts(self) -> dict[str, Any]:
        """Scale of the target."""
        return {"mean": self.mean_, "spread": self.spread_}

    def _take_facts(self, record: Mapping[str, Any]) -> None:
        self.mean_, self.spread_ = record["mean"], record["spread"]

    def _numbers(self, X: pd.DataFrame) -> list[str]:
        """All but the past, which is scaled row by row."""
        return [name for name in super()._numbers(X) if not name.startswith(_PAST)]

    def _relative(self, X: pd.DataFrame, y: NDArray[Any]) -> NDArray[Any]:
        if self.problem_.classification:
            return y
        mean, scale = self._scale(X)
        return np.asarray((y - mean) / scale)

    def _window(self, X: pd.DataFrame) -> NDArray[np.float64]:
        """The past, oldest step first, nan where it is not known. ``(n, steps)``."""
        names = sorted(name for name in X.columns if name.startswith(_WINDOW))
        names = names[: self.steps] if self.steps else names
        return X[names[::-1]].to_numpy(dtype=np.float64)

    def _scale(self, X: pd.DataFrame) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean and deviation of each row's past; those of the target where there is none."""
        window = self._window(X)
        known = ~np.isnan(window)
        count = known.sum(axis=1)
        some = np.maximum(count, 1)
        mean = np.where(known, window, 0.0).sum(axis=1) / some
        centred = np.where(known, window - mean[:, None], 0.0)
        deviation = np.sqrt((centred**2).sum(axis=1) / some + (_FLOOR * self.spread_) ** 2)
        empty = count == 0
        return np.where(empty, self.mean_, mean), np.where(empty, self.spread_, deviation)

    def _network(self, keras: Any, X: pd.DataFrame) -> tuple[Any, Any]:
        """Past -> convolutions or GRU; joined with numbers and embeddings -> dense layers."""
        steps = min(self.steps or self.n_window_, self.n_window_)
        past = keras.Input((steps, 2), name="past")
        lags = keras.Input((self.n_lags_,), name="lags")
        inputs, joined = self._table(keras)
        return self._dense(keras, [past, lags, *inputs], [self._read(keras, past), lags, *joined])

    def _read(self, keras: Any, past: Any) -> Any:
        """The past as one vector per row."""
        layers, x = keras.layers, past
        if self.cell == "gru":
            for block in range(self.blocks):
                x = layers.GRU(self.units, return_sequences=block < self.blocks - 1)(x)
            return x
        x = layers.Dense(self.units)(x)
        for block in range(self.blocks):
            reach = layers.Conv1D(
                self.units, 3, padding="causal", dilation_rate=2**block, activation="silu"
            )
            x = layers.Add()([x, layers.Dropout(self.dropout)(reach(x))])
        return layers.Concatenate()([x[:, -1], layers.GlobalAveragePooling1D()(x)])

    def _inputs(self, X: pd.DataFrame) -> list[NDArray[Any]]:
        """Past ``(n, steps, 2)`` with its mask, its lags, numbers, level numbers."""
        mean, scale = self._scale(X)
        if self.problem_.classification:
            mean, scale = np.zeros(len(X)), np.ones(len(X))
        window = (self._window(X) - mean[:, None]) / scale[:, None]
        known = ~np.isnan(window)
        past = np.stack([np.where(known, window, 0.0), known], axis=2).astype(np.float32)
        # lags and means of the target are on the same scale as the past
        lags = (X[_lags(X)].to_numpy(dtype=np.float64) - mean[:, None]) / scale[:, None]
        lags = np.clip(np.nan_to_num(lags), -10, 10).astype(np.float32)
        return [past, lags, *super()._inputs(X)]


def _lags(X: pd.DataFrame) -> list[str]:
    return [name for name in X.columns if name.startswith(_PAST) and _WINDOW not in name]
