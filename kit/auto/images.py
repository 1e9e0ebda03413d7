"""Vectors of all images before the first model is tried: once, counted, and within the time.

Where those of the size in `kit.toml` would be late, the networks are shown smaller images: their
time goes with the square of the side.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf
from multiprocessing.connection import Connection

from kit.auto.beforehand import too_slow
from kit.auto.budget import Budget
from kit.dataset import Dataset
from kit.images.backbones import AS_THEY_ARE
from kit.images.column import ImageArray, image_column
from kit.images.efficientnet import SIZE
from kit.images.embeddings import embedding, embedding_path
from kit.portfolio import Entry

_SHARE = 0.6  # of the time left that vectors may take
_TRIAL = 256  # images after which the time of the others is known
_FROM_PIXELS = ("cnn", "resnet", "finetune")
_SIDES = (160, 128, 96, 64)  # pixels of the images that networks are shown instead
_STARTING, _MARGIN = 8.0, 1.2  # seconds of the library; smaller images take more than their square


@dataclass(frozen=True)
class Smaller:
    """What the networks see instead, and why.

    Attributes:
        backbones: of `[images.NAME]`, by column.
        why: for the user.
    """

    backbones: Mapping[str, str]
    why: str

    @property
    def flags(self) -> list[str]:
        """The same as overrides of `kit.toml`."""
        return [f'images."{name}".backbone="{given}"' for name, given in self.backbones.items()]


def embed_first(data: Dataset, budget: Budget, entries: Sequence[Entry]) -> Smaller | None:
    """Compute what models of tables see of the images, as large as it fits into the time.

    Args:
        data: the competition's rows.
        budget: the time.
        entries: what is to be tried.

    Returns:
        None where it is as `kit.toml` says.
    """
    names = [name for name, kind in data.kinds.items() if kind == "image"]
    columns = [image_column(frame, name) for name in names for frame in (data.X, data.X_test)]
    if not columns or all(entry.use in _FROM_PIXELS for entry in entries):
        return None
    limit = time.monotonic() + _SHARE * budget.left
    needed = _lacking(columns, limit)
    if needed is None:
        return None
    usual = max(column.backbone.side or SIZE for column in columns)
    flexible = any(column.backbone.any_side for column in columns)
    for side in (side for side in _SIDES if flexible and side < usual):
        smaller = [_seen(column, side) for column in columns]
        expected = _STARTING + _MARGIN * needed * (side / usual) ** 2
        in_time = time.monotonic() + expected < limit
        if all(map(_there, smaller)) or (in_time and _lacking(smaller, limit) is None):
            return _told(names, smaller, f"at {side} pixels", usual, needed)
    return _told(
        names,
        [_seen(column, 0) for column in columns],
        "as tiny ones, without a network",
        usual,
        needed,
    )


def largest_side(data: Dataset) -> int:
    """Pixels per side of the largest images; 0: there are none."""
    names = [name for name, kind in data.kinds.items() if kind == "image"]
    return max((image_column(data.X, name).store.size for name in names), default=0)


def _seen(column: ImageArray, side: int) -> ImageArray:
    """The images as a network sees them that is shown `side` pixels; 0, or no such one: tiny."""
    backbone = column.backbone
    seen = backbone.at(side) if side and backbone.any_side else AS_THEY_ARE
    return ImageArray(column.store, column.positions, seen)


def _told(
    names: Sequence[str], columns: Sequence[ImageArray], how: str, usual: int, needed: float
) -> Smaller:
    given = {name: columns[2 * i].backbone.reference for i, name in enumerate(names)}
    longer = f"vectors of {usual} pixels would take {needed:.0f} s"
    return Smaller(given, f"images are seen {how}: {longer if needed < inf else 'time is short'}")


def _there(column: ImageArray) -> bool:
    """Whether the vectors are there, or are made at once."""
    return column.backbone.path is None or embedding_path(column.store, column.backbone).is_file()


def _lacking(columns: Sequence[ImageArray], limit: float) -> float | None:
    """Compute the vectors.

    Returns:
        None: they are there, or cannot be made, which the first model meets again. Else the seconds
        that they would have taken: they were given up, since they would not be there at `limit`.
    """
    missing = [column for column in columns if not _there(column)]
    n = sum(column.store.n for column in missing)
    return too_slow(_embed, missing, n, limit, _TRIAL) if missing else None


def _embed(columns: Sequence[ImageArray], pipe: Connection) -> None:
    """Tells after every batch how many images are done."""
    before = 0

    def tell(done: int, n: int) -> bool:
        pipe.send(before + done)
        return True

    for column in columns:
        embedding(column.store, column.backbone, tell)
        before += column.store.n
