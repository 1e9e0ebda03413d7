"""Vectors of all images before the first model is tried: once, counted, and within the time."""

from __future__ import annotations

import time
from collections.abc import Sequence
from multiprocessing.connection import Connection

from kit.auto.beforehand import made_in_time
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
    reason = (
        "its vectors of the images take too much of the time "
        '(backbone = "pixels" under [images.NAME] in kit.toml needs none)'
    )
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
    n = sum(column.store.n for column in columns)
    made_in_time(_embed, list(columns), n, limit, _TRIAL)
    return all(map(_there, columns))


def _embed(columns: Sequence[ImageArray], pipe: Connection) -> None:
    """Tells after every batch how many images are done."""
    before = 0

    def tell(done: int, n: int) -> bool:
        pipe.send(before + done)
        return True

    for column in columns:
        embedding(column.store, column.backbone, tell)
        before += column.store.n
