"""Masks of images: as run-length codes, as competitions write them, and in another size.

A mask tells for every pixel whether it belongs to the thing. As text it is a list of runs, "start
length start length ...": pixels are counted from 1, down each column, the left column first
(Kaggle's convention, since the nerve segmentation of 2016). No run, no pixel.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kit.errors import DataError

_NONE = {"", "-1"}  # both are written for "there is nothing in this image"


def encode(mask: NDArray[Any]) -> str:
    """A mask ``(height, width)`` as runs; empty where no pixel is set."""
    pixels = np.concatenate([[0], np.asarray(mask, dtype=bool).ravel(order="F"), [0]])
    edges = np.flatnonzero(np.diff(pixels.astype(np.int8))) + 1
    edges[1::2] -= edges[::2]  # where a run ends -> how long it is
    return " ".join(map(str, edges))


def decode(text: object, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """The mask ``(height, width)`` that a run-length code means.

    Args:
        text: the code; missing (None, NaN), empty or "-1": no pixel.
        shape: height and width of the image.

    Raises:
        DataError: no pairs of whole numbers, a run that leaves the image, or runs that overlap.
    """
    mask = np.zeros(shape[0] * shape[1], dtype=bool)
    words = text.split() if isinstance(text, str) else []
    if " ".join(words) not in _NONE:
        try:
            runs = np.array(words, dtype=np.int64).reshape(-1, 2)
        except ValueError:
            raise DataError(_broken("pairs of a start and a length", text)) from None
        starts, lengths = runs[:, 0] - 1, runs[:, 1]
        if (starts < 0).any() or (lengths < 1).any() or (starts + lengths > mask.size).any():
            raise DataError(_broken(f"runs inside {shape[0]} x {shape[1]} pixels", text))
        for start, length in zip(starts, lengths, strict=True):
            mask[start : start + length] = True
        if mask.sum() != lengths.sum():
            raise DataError(_broken("runs that do not overlap", text))
    return mask.reshape(shape, order="F")


def resized(mask: NDArray[Any], shape: tuple[int, int]) -> NDArray[np.float32]:
    """A mask, or probabilities, ``(height, width)`` in another size: shares of set pixels."""
    from PIL import Image

    image = Image.fromarray(np.asarray(mask, dtype=np.float32))
    scaled = image.resize((shape[1], shape[0]), Image.Resampling.BILINEAR)
    return np.asarray(scaled, dtype=np.float32)


def _broken(rule: str, text: object) -> str:
    shown = str(text)
    return f"a mask must be {rule}, however: {shown[:60]!r}{' ...' if len(shown) > 60 else ''}"
