"""What every network shares: seeding, batches, stopping, and the loss of a task."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kit.models.base import Problem


def start(problem: Problem) -> Any:
    """Import Keras, forget earlier networks and make what follows repeatable.

    Returns:
        The module `keras`.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", str(problem.threads))
    os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
    with quiet_stderr() if "keras" not in sys.modules else nullcontext():
        import keras

        if keras.backend.backend() == "tensorflow":
            import tensorflow as tf

            tf.get_logger().setLevel("ERROR")
            tf.config.experimental.enable_op_determinism()
    keras.backend.clear_session()
    keras.utils.set_random_seed(problem.seed % 2**31)
    return keras


@contextmanager
def quiet_stderr() -> Iterator[None]:
    """TensorFlow's C++ greets on file descriptor 2 before any setting can stop it."""
    sys.stderr.flush()
    kept = os.dup(2)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


class kept_random_state:
    """Put Python's and NumPy's global generators back after Keras has seeded them."""

    def __enter__(self) -> None:
        self._python, self._numpy = random.getstate(), np.random.get_state()

    def __exit__(self, *_: object) -> None:
        random.setstate(self._python)
        np.random.set_state(self._numpy)


def batch_size(n_rows: int) -> int:
    """Rows per step: small enough to wander, large enough to be quick."""
    for limit, size in ((32_000, 128), (108_000, 256)):
        if n_rows < limit:
            return size
    return 1024


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
