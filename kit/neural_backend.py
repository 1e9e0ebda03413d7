"""Importing Keras: quietly, and with no more threads than are asked for."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any


def import_keras(threads: int = 0) -> Any:
    """The module `keras`, its backend set up to give the same result every time.

    Args:
        threads: how many the backend may use, as far as it is not loaded yet; 0: as many as there
            are cores.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if threads:
        os.environ.setdefault("TF_NUM_INTRAOP_THREADS", str(threads))
        os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
    with _quiet_stderr() if "keras" not in sys.modules else nullcontext():
        import keras

        if keras.backend.backend() == "tensorflow":
            import tensorflow as tf

            tf.get_logger().setLevel("ERROR")
            tf.config.experimental.enable_op_determinism()
    return keras


@contextmanager
def _quiet_stderr() -> Iterator[None]:
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
