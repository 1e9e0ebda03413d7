"""What every network shares: seeding, batches, stopping, and the loss of a task."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from kit.keras import load_keras
from kit.models.base import Problem

Precision = Literal["single", "mixed"]


def start(problem: Problem) -> Any:
    """Import Keras, forget earlier networks and make what follows repeatable.

    Returns:
        The module `keras`.
    """
    keras = load_keras(problem.threads)
    keras.backend.clear_session()
    keras.utils.set_random_seed(problem.seed % 2**31)
    return keras


class kept_random_state:
    """Put Python's and NumPy's global generators back after Keras has seeded them."""

    def __enter__(self) -> None:
        self._python, self._numpy = random.getstate(), np.random.get_state()

    def __exit__(self, *_: object) -> None:
        random.setstate(self._python)
        np.random.set_state(self._numpy)


@contextmanager
def precision(keras: Any, name: Precision) -> Iterator[None]:
    """Layers that are made now compute in this precision."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16" if name == "mixed" else "float32")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def compiled(network: Any, optimizer: Any, loss: Any, **settings: Any) -> None:
    """`network.compile` without XLA, which compiles longer than a small table trains.

    The optimizer's variables are made at once: where they come with the first step, TensorFlow
    traces that step a second time without them, which costs a small network a third of its fit.
    """
    network.compile(optimizer=optimizer, loss=loss, jit_compile=False, **settings)
    network.optimizer.build(network.trainable_variables)


def batch_size(n_rows: int) -> int:
    """Rows per step: small enough to wander, large enough to be quick."""
    for limit, size in ((32_000, 128), (108_000, 256)):
        if n_rows < limit:
            return size
    return 1024


def watched(keras: Any, problem: Problem) -> list[Any]:
    """What tells `problem.watch` of every epoch; nothing where nobody watches."""
    if problem.watch is None:
        return []
    watch = problem.watch

    def told(epoch: int, logs: Any) -> None:
        watch(epoch + 1, float(logs["val_loss"]))

    return [keras.callbacks.LambdaCallback(on_epoch_end=told)]


def in_time(keras: Any, deadline: float | None) -> Any:
    """A callback that ends training at a deadline; `cut` says whether it did.

    Args:
        keras: the module.
        deadline: `time.monotonic()`; None: none.
    """

    class InTime(keras.callbacks.Callback):
        cut = False

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if deadline is not None and time.monotonic() >= deadline:
                self.cut = self.model.stop_training = True

    return InTime()


def forward(network: Any, inputs: list[NDArray[Any]], rows: int = 8192) -> NDArray[np.float64]:
    """Predict in blocks, without tracing a graph for every new network: ``(n, n_outputs)``."""
    import keras

    blocks = [
        keras.ops.convert_to_numpy(network([x[i : i + rows] for x in inputs], training=False))
        for i in range(0, len(inputs[0]), rows)
    ]
    return np.concatenate(blocks).astype(np.float64)


def head(keras: Any, problem: Problem) -> tuple[Any, Any]:
    """Output layer and loss for a task."""
    if problem.task == "multiclass":
        return (
            keras.layers.Dense(problem.n_outputs, activation="softmax", dtype="float32"),
            keras.losses.SparseCategoricalCrossentropy(),
        )
    if problem.classification:
        return (
            keras.layers.Dense(problem.n_outputs, activation="sigmoid", dtype="float32"),
            keras.losses.BinaryCrossentropy(),
        )
    losses = {"squared": "MeanSquaredError", "absolute": "MeanAbsoluteError"}
    loss = getattr(keras.losses, losses[problem.deviation])()
    return keras.layers.Dense(problem.n_outputs, dtype="float32"), loss
