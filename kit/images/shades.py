"""Images handed in pixel by pixel: the id "12_1_7" is row 1, column 7 of image 12."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kit.errors import DataError

_PLACE = re.compile(r".+_\d+_\d+")


def are_places(ids: Iterable[object]) -> bool:
    """Whether all ids are an image, a row and a column."""
    return all(_PLACE.fullmatch(str(each)) for each in ids)


def places(ids: pd.Series) -> pd.DataFrame:
    """The columns `image`, `row` and `column` of the ids; both numbers count from 0.

    Raises:
        DataError: an id is none.
    """
    parts = ids.astype("str").str.extract(r"^(?P<image>.+)_(?P<row>\d+)_(?P<column>\d+)$")
    if parts["image"].isna().any():
        bad = ids[parts["image"].isna()].iloc[0]
        raise DataError(f"an id must be IMAGE_ROW_COLUMN, such as 12_1_7, however: {bad!r}")
    for name in ("row", "column"):
        numbers = parts[name].astype(np.int64)
        parts[name] = numbers - min(1, int(numbers.min()))
    return parts


def values_at(
    where: pd.DataFrame, images: Mapping[str, NDArray[np.float32]]
) -> NDArray[np.float64]:
    """The shade of every place.

    Args:
        where: see `places`.
        images: ``(height, width)`` by name.

    Raises:
        DataError: an image is missing, or a place lies outside of its image.
    """
    found = np.empty(len(where))
    rows, columns = where["row"].to_numpy(), where["column"].to_numpy()
    for name, at in where.groupby("image", sort=False).indices.items():
        if name not in images:
            raise DataError(f"the sample submission asks for image {name!r}, which is not there")
        image = images[str(name)]
        height, width = rows[at].max() + 1, columns[at].max() + 1
        if height > image.shape[0] or width > image.shape[1]:
            raise DataError(
                f"the sample submission asks for {height} x {width} pixels of image {name!r}, "
                f"which has {image.shape[0]} x {image.shape[1]}"
            )
        found[at] = image[rows[at], columns[at]]
    return found
