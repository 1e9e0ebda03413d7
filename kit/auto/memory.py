"""How much memory a fit will take, roughly, and how much there is."""

from __future__ import annotations

from pathlib import Path

import psutil

from kit.dataset import Dataset

_CGROUP = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)
_PROCESS = 350e6  # an interpreter with pandas, scikit-learn and LightGBM
_NETWORKS = 700e6  # TensorFlow on top of it
_WEIGHTS = 500  # TF-IDF weights of a text of a hundred words
_SENTENCE = 400  # columns of a sentence's vector
_PIXELS = 1500e6  # a batch of images on its way through a network and back
_VECTOR, _COMPONENTS = 1280, 64  # columns that an image becomes


def available() -> float:
    """Bytes that can still be taken without swapping; a container's limit counts."""
    free = float(psutil.virtual_memory().available)
    for path in _CGROUP:
        try:
            limit = float(path.read_text().strip())
        except (OSError, ValueError):  # no cgroups, or "max"
            continue
        used = psutil.Process().memory_info().rss
        used += sum(
            child.memory_info().rss for child in psutil.Process().children() if child.is_running()
        )
        free = min(free, max(0.0, limit - used))
    return free


def estimate(family: str, use: str, data: Dataset, n_folds: int, *, together: bool) -> float:
    """Bytes a model's fold task will need at its peak, beside what every worker holds.

    Args:
        family: the recipe's name.
        use: the model's registered name.
        data: rows and columns.
        n_folds: folds of the run.
        together: whether all folds are trained side by side.

    The factors were measured on tables of 20,000 to 500,000 rows; errors of a half are normal, and
    `kit auto` leaves a fifth of the memory free for them.
    """
    rows, columns = data.X.shape
    wide = columns + (120 if "generated" in family else 0)
    texts = sum(kind == "text" for kind in data.kinds.values())
    wide += texts * (100 + _SENTENCE * family.endswith("_sentences"))
    images = sum(kind == "image" for kind in data.kinds.values())
    wide += images * (_VECTOR if family in ("linear", "neural_vectors") else _COMPONENTS)
    if family == "image":
        return _NETWORKS + _PIXELS
    cells, sides = float(rows) * wide, n_folds if together else 1
    tests = float(len(data.X_test)) * wide * 8
    outputs = max(1, len(data.outputs))
    prepared = cells * 8 * 2 + tests
    if use in ("extra_trees", "random_forest"):
        return prepared + cells * 4 + 400 * rows * 0.7 * (72 + 8 * outputs)
    if use == "linear":
        words = float(rows) * texts * _WEIGHTS * 12
        return prepared + (float(rows) * (columns * 14 + 50) * 4 + words) * 3
    if use in ("mlp", "autoencoder", "realmlp", "tabm", "text", "finetune_text"):
        return _NETWORKS + prepared + cells * 4 * (sides + 2)
    if use == "knn":
        return prepared + cells * 8
    boosted = cells * sides * (2 if use != "catboost" else 5) + rows * sides * 32.0 * outputs
    return prepared + boosted + cells * 8 * 0.25 * sides


def own_process() -> float:
    """Bytes of a worker that has read nothing yet."""
    return _PROCESS
