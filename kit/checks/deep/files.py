"""Size, age and shape of the files that a column names, in folders or in zips below `data/raw`."""

from __future__ import annotations

import io
import os
import warnings
from contextlib import suppress
from itertools import islice
from pathlib import Path, PurePath, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kit.images.files import SUFFIXES, ImageFolder

_LONGEST_NAME = 200
_MOST = 0.9  # of the first names have to be files
_HEAD = 20

Array = NDArray[np.float64]


def stats(raw: Path, names: pd.Series, images: ImageFolder) -> dict[str, Array] | None:
    """What can be told of files without looking at their pixels, by what it is.

    Args:
        raw: names are looked for here and in the folders within.
        names: of one file per row, with or without an ending.
        images: those below `raw`, at any depth and in zips.

    Returns:
        Size, time of change (not of members of a zip) and, of images, width and height, one number
        per row, missing as nan; None unless nearly all values name a file below `raw`.
    """
    head = names.head(_HEAD)
    if not (names.str.len().max() <= _LONGEST_NAME and head.map(_inside).all()):
        return None
    return _in_folders(raw, names) or _among_images(images, names)


def _in_folders(raw: Path, names: pd.Series) -> dict[str, Array] | None:
    head = names.head(_HEAD)
    for folder in (raw, *(path for path in raw.iterdir() if path.is_dir())):
        endings = {path.suffix for path in islice(folder.iterdir(), _HEAD)}
        for ending in ("", *sorted(endings - {""})):
            if sum((folder / f"{name}{ending}").is_file() for name in head) < _MOST * len(head):
                continue
            found = np.full((len(names), 4), np.nan)
            for k, name in enumerate(names):
                if _inside(name):
                    with suppress(OSError):
                        path = folder / f"{name}{ending}"
                        stat = os.stat(path)
                        found[k] = stat.st_size, stat.st_mtime, *_shape(path.name, path)
            return _named(found)
    return None


def _among_images(images: ImageFolder, names: pd.Series) -> dict[str, Array] | None:
    """Images at any depth, and in zips: by their whole name or the last part of it."""
    files = images.files
    last = {PurePosixPath(name).name: name for name in files}
    for ending in ("", *sorted({PurePosixPath(name).suffix for name in files})):
        whole = [f"{name}{ending}" for name in names]
        keys = [key if key in files else last.get(key) for key in whole]
        if sum(key is not None for key in keys[:_HEAD]) < _MOST * min(_HEAD, len(keys)):
            continue
        found = np.full((len(names), 4), np.nan)
        for k, key in enumerate(keys):
            if key is not None:
                file = files[key]
                age = np.nan if file.member else file.stamp / 1e9
                with suppress(Exception):  # of a torn zip only the size is known
                    content = io.BytesIO(images.read(key)) if file.member else file.path
                    found[k, 2:] = _shape(key, content)
                found[k, :2] = file.size, age
        return _named(found)
    return None


def _named(found: Array) -> dict[str, Array]:
    return dict(zip(("size", "time of change", "width", "height"), found.T, strict=True))


def _shape(name: str, content: Any) -> tuple[float, float]:
    """Width and height of an image, of which no more than the beginning is read."""
    if PurePath(name).suffix.lower() not in SUFFIXES:
        return np.nan, np.nan
    from PIL import Image

    with suppress(Exception), warnings.catch_warnings():  # every codec raises its own
        warnings.simplefilter("ignore")
        with Image.open(content) as image:
            return image.size
    return np.nan, np.nan


def _inside(name: str) -> bool:
    """Whether a name cannot lead out of the folder."""
    path = PurePath(name)
    return not path.is_absolute() and ".." not in path.parts and "\0" not in name
