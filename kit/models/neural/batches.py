"""Rows in batches for `keras.Model.fit`, in another order every epoch; read when they are due."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Take = Callable[[NDArray[np.int64], np.random.Generator], tuple[Any, ...]]
"""Inputs, target and perhaps weight of some rows; what is random is drawn from the generator."""

Order = Callable[[int, np.random.Generator], NDArray[np.int64]]
_STRETCH, _POOL = 4096, 32


def in_stretches(n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """A random order of `n` rows that a disk can follow.

    Stretches of rows are drawn in random order, so many at a time, and the rows of those are
    shuffled among themselves: rows that are read soon after one another lie beside one another.
    """
    starts = rng.permutation(np.arange(0, n, _STRETCH))
    pools = [starts[k : k + _POOL] for k in range(0, len(starts), _POOL)]
    rows = [
        np.concatenate([np.arange(start, min(n, start + _STRETCH)) for start in pool])
        for pool in pools
    ]
    return np.concatenate([rng.permutation(pool) for pool in rows])


def batches(
    keras: Any,
    n: int,
    size: int,
    seed: int,
    take: Take,
    *,
    shuffled: bool = True,
    order: Order | None = None,
) -> Any:
    """A `keras.utils.PyDataset`.

    Args:
        keras: the module.
        n: rows in all.
        size: rows of a batch.
        seed: of the order and of what `take` draws.
        take: reads rows.
        shuffled: False: in the order they have.
        order: what draws the order of an epoch; None: any order is as likely as any other.
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
            drawn = order(n, rng) if order else rng.permutation(n)
            self.order = drawn if shuffled else np.arange(n)

    return Batches()
