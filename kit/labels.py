"""Several labels in one cell, such as "clear road water", as columns of 0 and 1, and back."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray


def parts(cell: str, separator: str) -> list[str]:
    """The labels of a cell; a blank stands for any white space."""
    found = cell.split() if separator == " " else map(str.strip, cell.split(separator))
    return [label for label in found if label]


def flags_of(
    cells: pd.Series, classes: Sequence[str], separator: str
) -> tuple[NDArray[np.float64], list[str]]:
    """Which labels each cell holds; an empty one has none.

    Args:
        cells: as spelled, ``(n,)``.
        classes: the labels, in the order of the columns.
        separator: what stands between labels.

    Returns:
        0 and 1 ``(n, n_classes)``, and labels that `classes` does not list.
    """
    codes, different = pd.factorize(cells.fillna("").astype("str").str.strip())
    position = {label: column for column, label in enumerate(classes)}
    flags = np.zeros((len(different), len(classes)))
    unknown: dict[str, None] = {}
    for row, cell in enumerate(different):
        for label in parts(str(cell), separator):
            if label in position:
                flags[row, position[label]] = 1.0
            else:
                unknown[label] = None
    return flags[codes], list(unknown)


def as_cells(
    flags: NDArray[np.int64], classes: Sequence[str], separator: str
) -> NDArray[np.object_]:
    """The labels of each row in a cell: ``(n, n_classes)`` of 0 and 1 -> ``(n,)`` strings."""
    names = np.array(classes, dtype=object)
    return np.array([separator.join(names[row]) for row in flags.astype(bool)], dtype=object)
