"""Vectors of all images before the first model is tried: once, and counted."""

from __future__ import annotations

import time
from collections.abc import Sequence

from kit.auto.budget import Budget
from kit.dataset import Dataset
from kit.images.column import ImageArray, image_column
from kit.images.embeddings import Stopped, embedding, seconds_to_embed
from kit.portfolio import Entry

_SHARE = 0.6  # of the time left that vectors may take
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
        column
        for name, kind in data.kinds.items()
        if kind == "image"
        for frame in (data.X, data.X_test)
        if (column := image_column(frame, name)).backbone.path is not None
    ]
    if not columns or all(entry.use in _FROM_PIXELS for entry in entries):
        return list(entries), []
    limit = time.monotonic() + _SHARE * budget.left
    try:
        needed = sum(seconds_to_embed(column) for column in columns)
        if time.monotonic() + needed > limit:
            raise Stopped
        for column in columns:
            _embed(column, limit)
    except Stopped:
        reason = "its vectors of the images take too much of the time"
        late = [(entry, reason) for entry in entries if entry.use not in _FROM_PIXELS]
        return [entry for entry in entries if entry.use in _FROM_PIXELS], late
    return list(entries), []


def _embed(column: ImageArray, limit: float) -> None:
    embedding(column.store, column.backbone, lambda done, n: time.monotonic() < limit)
