"""Rows in batches for `keras.Model.fit`, in another order every epoch; read when they are due."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Take = Callable[[NDArray[np.int64], np.random.Generator], tuple[Any, ...]]
"""Inputs, target and perhaps weight of some rows; what is random is drawn from the generator."""


def batches(keras: Any, n: int, size: int, seed: int, take: Take, *, shuffled: bool = True) -> Any:
    """A `keras.utils.PyDataset`.

    Args:
        keras: the module.
        n: rows in all.
        size: rows of a batch.
        seed: of the order and of what `take` draws.
        take: reads rows.
        shuffled: False: in the order they have.
    """

    class Batches(keras.utils.PyDataset):
        def __init__(self) -> None:
            super().__init__()
            self.epoch = -1
            self.on_epoch_end()

        def __len__(self) -> int:
            return -(-n // size)

        def __getitem__(self, number: int) -> tuple[Any, ...]:
            rows = self.order[number * size : (number + 1) * size]
            return take(rows, np.random.default_rng([seed, self.epoch, number]))

        def on_epoch_end(self) -> None:
            self.epoch += 1
            rng = np.random.default_rng([seed, self.epoch])
            self.order = rng.permutation(n) if shuffled else np.arange(n)

    return Batches()
