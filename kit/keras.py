"""Importing Keras: once, quietly, with so many threads and repeatable operations."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from importlib import import_module
from typing import Any

from kit.cores import usable_cores


def backend_package() -> str:
    """What Keras computes with: "tensorflow", or what KERAS_BACKEND names."""
    return os.environ.get("KERAS_BACKEND") or "tensorflow"


def load_keras(threads: int = 0) -> Any:
    """Import Keras; settings hold for the whole process, so the first call decides them.

    Args:
        threads: of TensorFlow; 0: what OMP_NUM_THREADS says, else one per core that may be used.

    Returns:
        The module `keras`.
    """
    threads = threads or int(os.environ.get("OMP_NUM_THREADS") or usable_cores())
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", str(threads))
    os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
    if backend_package() == "jax":
        flags = os.environ.get("XLA_FLAGS", "")
        if "deterministic_ops" not in flags:
            os.environ["XLA_FLAGS"] = f"{flags} --xla_gpu_deterministic_ops=true".strip()
        # else the first of several processes takes three quarters of a GPU's memory
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    with quiet_stderr() if "keras" not in sys.modules else nullcontext():
        import keras

        _repeatable(keras.backend.backend())
    return keras


def _repeatable(backend: str) -> None:
    """The same seed gives the same sums on a GPU, too; JAX must know before it is imported."""
    if backend == "tensorflow":
        import tensorflow as tf

        tf.get_logger().setLevel("ERROR")
        tf.config.experimental.enable_op_determinism()
        for gpu in tf.config.list_physical_devices("GPU"):
            with suppress(RuntimeError, ValueError):  # it is in use already
                # else the first of several processes takes all of its memory
                tf.config.experimental.set_memory_growth(gpu, True)
    elif backend == "jax":  # shortened products depend on how many rows are predicted at once
        import_module("jax").config.update("jax_default_matmul_precision", "float32")
    elif backend == "torch":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        import_module("torch").use_deterministic_algorithms(True, warn_only=True)


def accelerator() -> str:
    """Name of the GPU on which networks of this process compute.

    Returns:
        "" where there is none, or Keras was not needed.
    """
    keras = sys.modules.get("keras")
    backend = keras.backend.backend() if keras else ""
    if backend == "tensorflow":
        import tensorflow as tf

        found = tf.config.list_physical_devices("GPU")
        details = tf.config.experimental.get_device_details(found[0]) if found else {}
        return str(details.get("device_name", "GPU")) if found else ""
    if backend == "jax":
        device = import_module("jax").devices()[0]
        return str(device.device_kind) if device.platform == "gpu" else ""
    if backend == "torch":
        cuda = import_module("torch").cuda
        return str(cuda.get_device_name(0)) if cuda.is_available() else ""
    return ""


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
