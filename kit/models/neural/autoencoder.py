"""A denoising autoencoder: a network that first learns what rows look like, then what they mean.

Some cells of every row are replaced by the same column's cell of another row, and the network has
to restore the row. It can only do so by learning how columns hang together; what its hidden layers
answer to a clean row then are the features of a small network that learns the target.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kit.models.base import Count, CountOrZero, Dropped, Penalty, Positive, Share
from kit.models.neural.descent import Optimizer, Schedule
from kit.models.neural.descent import schedule as schedule_of
from kit.models.neural.mlp import MLP
from kit.models.neural.training import batch_size, compiled, forward


class Autoencoder(MLP):
    """Dense layers on the hidden layers of an autoencoder, which stay as they are.

    The autoencoder sees the rows to train on, without their labels, and no others: not those that
    are validated, nor the test rows.

    Args:
        encoder: width of each hidden layer of the autoencoder; all of them are features.
        noise: share of the cells that are replaced.
        passes: over the rows while restoring them, with other cells replaced each time.
        layers: width of each dense layer on the features.
        dropout: share of the activations silenced while training these.
        embedding_dropout: the same for the features.
        learning_rate: peak step size, of both parts.
        weight_decay: decoupled L2 penalty of the dense layers.
        epochs: passes over the rows at most, with labels.
        patience: stop when the validation rows have not improved for so many epochs.
        batch: rows per step; 0: by the number of rows.
        members: networks trained from different starts and averaged, autoencoders included.
        optimizer, schedule, momentum: of these dense layers, see `MLP`.

    Shape:
        ``(n, d)`` frame in, of float columns and categorical columns; ``(n, n_outputs)`` out.

    Source:
        Denoising: Vincent et al., "Extracting and composing robust features" (2008). Swapped cells
        and all hidden layers as features: Michael Jahrer, first place of Porto Seguro's Safe
        Driver Prediction (2017).
    """

    streams = False

    def __init__(
        self,
        encoder: tuple[Count, ...] = (256, 256, 256),
        noise: Share = 0.15,
        passes: Count = 60,
        layers: tuple[Count, ...] = (128,),
        dropout: Dropped = 0.3,
        embedding_dropout: Dropped = 0.1,
        learning_rate: Positive = 1e-3,
        weight_decay: Penalty = 1e-2,
        epochs: Count = 60,
        patience: Count = 10,
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
        self.encoder = encoder
        self.noise = noise
        self.passes = passes

    def _network(self, keras: Any, X: pd.DataFrame) -> tuple[Any, Any]:
        """Table -> hidden layers, which have learned to restore it -> dense layers -> head."""
        inputs, table = self._table(keras)
        x = cells = keras.layers.Concatenate()(table) if len(table) > 1 else table[0]
        hidden = []
        for width in self.encoder:
            x = keras.layers.Dense(width, activation="relu")(x)
            hidden.append(x)
        restored = keras.layers.Dense(cells.shape[-1])(x)
        denoiser = keras.Model(inputs, restored)
        clean = forward(keras.Model(inputs, cells), self._inputs(X)).astype(np.float32)
        self._denoise(keras, denoiser, self._inputs(X), clean)
        denoiser.trainable = False
        return self._dense(keras, inputs, hidden)

    def _table(self, keras: Any) -> tuple[list[Any], list[Any]]:
        """Inputs for numbers and levels, and the table they are: levels one-hot, 0 the missing."""
        numbers = keras.Input((len(self.numbers_),), name="numbers")
        levels = keras.Input((len(self.levels_),), dtype="int32", name="levels")
        columns = [
            keras.ops.one_hot(levels[:, position], size + 1)
            for position, size in enumerate(self.levels_.values())
        ]
        return [numbers, levels], [numbers, *columns]

    def _denoise(
        self, keras: Any, denoiser: Any, rows: list[NDArray[Any]], clean: NDArray[np.float32]
    ) -> None:
        """Train it to restore rows; every pass replaces other cells."""
        size = self.batch or batch_size(len(clean))
        rate = schedule_of(
            keras, "cosine", self.learning_rate, self.passes * -(-len(clean) // size)
        )
        optimizer = keras.optimizers.Adam(rate)
        compiled(denoiser, optimizer, "mean_squared_error")
        rng = np.random.default_rng(np.random.randint(2**31))  # Keras has seeded the global one
        for _ in range(self.passes):
            noisy = [swapped(part, self.noise, rng) for part in rows]
            order = rng.permutation(len(clean))
            for first in range(0, len(order), size):
                some = order[first : first + size]
                denoiser.train_on_batch([part[some] for part in noisy], clean[some])


def swapped(cells: NDArray[Any], share: float, rng: np.random.Generator) -> NDArray[Any]:
    """Cells ``(n, d)``, a share of them replaced by the same column's cell of any row.

    Unlike normal noise this keeps every column's values and how often they occur.
    """
    donors = rng.integers(len(cells), size=cells.shape)
    others = np.take_along_axis(cells, donors, axis=0)
    return np.where(rng.random(cells.shape) < share, others, cells)
