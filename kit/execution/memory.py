"""How much memory a fit will take, roughly, and how much there is.

Of tables on the disk (see `kit.large`) only what cannot be written out counts: the system takes
mapped pages back when it needs them.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import psutil

from kit.dataset import Dataset
from kit.errors import ModelError
from kit.mapped import BLOCK
from kit.preprocessing.remembered import MOST, WORDS_MOST
from kit.preprocessing.shape import MOST_LEVELS
from kit.sampled import LARGE_CELLS

_CGROUP, _OWN_GROUPS = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
_PROCESS = 350e6  # an interpreter with pandas, scikit-learn and LightGBM
_NETWORKS = 700e6  # TensorFlow on top of it
_WEIGHTS = 500  # TF-IDF weights of a text of a hundred words
_LETTERS, _COUNTED = 600, 90  # of such a text; bytes per letter of the terms counted in it and kept
_REMEMBERED = 2  # bytes per letter of a text whose numbers are kept, and of the text
_SENTENCE = 400  # columns of a sentence's vector
_LIKENESSES = 1000  # training rows that "kernel_sentences" compares with
_PIXELS = 1500e6  # a batch of images on its way through a network and back
_VECTOR, _COMPONENTS = 1280, 64  # columns that an image becomes
# LightGBM on a table on the disk, bytes per row: ids, folds and predictions; gradients, scores and
# positions; each column's bins; what learning a column takes. Tables of 28 columns and 0.5, 2 and 5
# million rows peaked at 0.55, 0.61 and 1.38 GiB where 0.48, 0.81 and 1.46 were planned.
_ROW, _BOOSTED_ROW, _BIN, _LEARNED = 110, 40, 0.9, 12
_STREAMING = {("mlp", "neural"), ("realmlp", "realmlp"), ("tabm", "tabm")}  # model, its recipe
# a network fed from the disk: target, order of the rows and one column as it is scaled; what the
# recipe makes of a category, of a date or code, and of a text before that is on the disk, too
_STREAMED_ROW, _CODES, _DATES, _TEXTS = 80, 8, 40, 1_000
_BATCHES = 50e6  # rows as float64 on their way into bins and trees

SURE = 1.5
"""Estimates may be wrong by a half: what needs more than so many times what is free is refused."""


def available() -> float:
    """Bytes that can still be taken without swapping; limits of containers and jobs count."""
    free = float(psutil.virtual_memory().available)
    limit = min(_limits(), default=math.inf)
    if math.isinf(limit):
        return free
    used = psutil.Process().memory_info().rss
    used += sum(
        child.memory_info().rss for child in psutil.Process().children() if child.is_running()
    )
    return min(free, max(0.0, limit - used))


def _limits() -> Iterator[float]:
    """Bytes that the control groups of this process, and those around them, may take."""
    unified, memory = "", ""
    with suppress(OSError):
        for line in _OWN_GROUPS.read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            unified = unified if controllers else path
            memory = path if "memory" in controllers.split(",") else memory
    places = (
        (_CGROUP, unified, "memory.max"),
        (_CGROUP / "memory", memory, "memory.limit_in_bytes"),
    )
    for root, path, name in places:
        own = root / path.strip("/")  # in a container it may be at the root only
        for folder in (own, *own.parents):
            if folder.is_relative_to(root):
                with suppress(OSError, ValueError):  # no such group, or "max"
                    yield float((folder / name).read_text())


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
    wide += _LIKENESSES * (family == "kernel_sentences")
    images = sum(kind == "image" for kind in data.kinds.values())
    wide += images * (_VECTOR if family in ("linear", "neural_vectors") else _COMPONENTS)
    if family == "image":
        return _NETWORKS + _PIXELS
    if data.on_disk and use == "lightgbm" and family in ("tree", "tree_levels"):
        return _from_disk(data)
    if data.on_disk and (use, family) in _STREAMING:
        return _NETWORKS + _streamed(data)
    cells, sides = float(rows) * wide, n_folds if together else 1
    tests = float(len(data.X_test)) * wide * 8
    outputs = max(1, len(data.outputs))
    letters = float(rows + len(data.X_test)) * texts * _LETTERS
    kept = min(MOST, letters) * _COUNTED + min(WORDS_MOST, letters) * _REMEMBERED
    prepared = cells * 8 * 2 + tests + kept
    if use in ("extra_trees", "random_forest"):
        return prepared + cells * 4 + 400 * rows * 0.7 * (72 + 8 * outputs)
    if use == "linear":
        words = float(rows) * texts * _WEIGHTS * 12
        return prepared + (float(rows) * (columns * 14 + 50) * 4 + words) * 3
    if use in ("mlp", "autoencoder", "realmlp", "tabm", "text", "finetune_text"):
        return _NETWORKS + prepared + cells * 4 * (sides + 2)
    if use == "knn":
        return prepared + cells * 8
    copies = 5 if use.startswith("catboost") else 2
    boosted = cells * sides * copies + rows * sides * 32.0 * outputs
    return prepared + boosted + cells * 8 * 0.25 * sides


def _from_disk(data: Dataset) -> float:
    """LightGBM fed by batches."""
    rows, columns = data.X.shape
    categories = [name for name, kind in data.kinds.items() if kind == "category"]
    learned = sum(len(data.X[name].cat.categories) > MOST_LEVELS for name in categories)
    outputs = max(1, len(data.outputs))
    per_row = _BOOSTED_ROW * outputs + _BIN * columns + _LEARNED * learned
    return _BATCHES + rows * per_row


def _streamed(data: Dataset) -> float:
    """A network that reads batches: what its recipe makes new of the columns, and the target."""
    rows, columns = data.X.shape
    made = {"category": _CODES, "datetime": _DATES, "code": _DATES, "text": _TEXTS}
    per_row = sum(made.get(kind, 0) for kind in data.kinds.values()) + _STREAMED_ROW
    block = 2 * BLOCK * (columns + sum(kind == "datetime" for kind in data.kinds.values()) * 8) * 8
    return float(rows * per_row + block)


def of_process(data: Dataset) -> float:
    """Bytes of a process that has read a table on the disk, before it fits anything."""
    return _PROCESS + _ROW * float(len(data.X) + len(data.X_test))


def processes_that_fit(data: Dataset) -> int:
    """How many folds of LightGBM can be fitted at a time of a table on the disk; at least one.

    Tables in memory are small enough for a process per core.
    """
    if not data.on_disk:
        return sys.maxsize
    return max(1, int(available() / (of_process(data) + _from_disk(data))))


def refuse_too_large(model: str, need: float, data: Dataset) -> None:
    """Say before hours of work on a large table that they would end in a killed process.

    Args:
        model: its name, for the message.
        need: bytes that a fold is estimated to take beside what is taken already.
        data: the table.

    Raises:
        ModelError: it needs more than `SURE` times what is free.
    """
    free = available()
    if need <= SURE * free or not (data.on_disk or data.X.size > LARGE_CELLS):
        return
    raise ModelError(
        f"model {model!r} would need about {gib(need)} of memory for one fold, however "
        f"{gib(free)} are free.\n"
        "  lightgbm needs least for many rows; mlp, realmlp and tabm, too, read them from the "
        "disk. Else fewer columns ([columns] drop in kit.toml), a machine with more memory, or a "
        "cluster (--on)."
    )


def stated(data: Dataset, needs: Mapping[str, float]) -> str:
    """What a process will take with each model, of a table on the disk; else nothing.

    Args:
        data: the table.
        needs: by model, what its fold task is estimated to take beside the data.
    """
    if not data.on_disk:
        return ""
    base = of_process(data)
    planned = ", ".join(f"{name} {gib(base + need)}" for name, need in needs.items())
    return (
        f"the table is large and lies on the disk, below {data.cache}\n"
        f"memory planned at the peak: {planned}; free now: {gib(available())}"
    )


def gib(size: float) -> str:
    """Bytes for a message."""
    return f"{size / 2**30:.1f} GiB"


def own_process() -> float:
    """Bytes of a worker that has read nothing yet."""
    return _PROCESS
