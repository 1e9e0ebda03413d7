"""Vectors of all images before the first model is tried: once, counted, and within the time.

They are computed by a process of its own: it can be ended, and it takes the deep-learning library
along when it goes.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection

from kit.auto.budget import Budget
from kit.dataset import Dataset
from kit.images.column import ImageArray, image_column
from kit.images.embeddings import embedding, embedding_path
from kit.portfolio import Entry

_SHARE = 0.6  # of the time left that vectors may take
_TRIAL = 256  # images after which the time of the others is known
_FROM_PIXELS = ("cnn", "resnet", "finetune")


def embed_first(
    data: Dataset, budget: Budget, entries: Sequence[Entry]
) -> tuple[list[Entry], list[tuple[Entry, str]]]:
    """Compute what models of tables see of the images, if that fits into the time.

    Args:
        data: the competition's rows.
        budget: the time.
        entries: what is to be tried.

    Returns:
        What can be tried, and what cannot with the reason.
    """
    columns = [
        image_column(frame, name)
        for name, kind in data.kinds.items()
        if kind == "image"
        for frame in (data.X, data.X_test)
    ]
    missing = [column for column in columns if not _there(column)]
    if not missing or all(entry.use in _FROM_PIXELS for entry in entries):
        return list(entries), []
    if _embedded(missing, time.monotonic() + _SHARE * budget.left):
        return list(entries), []
    reason = "its vectors of the images take too much of the time"
    late = [(entry, reason) for entry in entries if entry.use not in _FROM_PIXELS]
    return [entry for entry in entries if entry.use in _FROM_PIXELS], late


def largest_side(data: Dataset) -> int:
    """Pixels per side of the largest images; 0: there are none."""
    names = [name for name, kind in data.kinds.items() if kind == "image"]
    return max((image_column(data.X, name).store.size for name in names), default=0)


def _there(column: ImageArray) -> bool:
    """Whether the vectors are there, or are made at once."""
    return column.backbone.path is None or embedding_path(column.store, column.backbone).is_file()


def _embedded(columns: Sequence[ImageArray], limit: float) -> bool:
    """Compute the vectors; False: they would not have been there at `limit`, and were given up."""
    method = multiprocessing.get_context("spawn")  # TensorFlow does not survive a fork
    ours, theirs = method.Pipe(duplex=False)
    process = method.Process(target=_embed, args=(list(columns), theirs), daemon=True)
    process.start()
    theirs.close()
    n, begun = sum(column.store.n for column in columns), 0.0
    try:
        while ours.poll(max(0.0, limit - time.monotonic())):
            done = ours.recv()
            now = time.monotonic()
            begun = begun or now
            if done >= _TRIAL and now + (now - begun) / done * (n - done) > limit:
                return False
        return False
    except EOFError:  # it has ended
        process.join()
        return all(map(_there, columns))
    finally:
        process.kill()
        process.join()
        ours.close()


def _embed(columns: Sequence[ImageArray], pipe: Connection) -> None:
    """The life of the process: tells after every batch how many images are done."""
    before = 0

    def tell(done: int, n: int) -> bool:
        pipe.send(before + done)
        return True

    for column in columns:
        embedding(column.store, column.backbone, tell)
        before += column.store.n
