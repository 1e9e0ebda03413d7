"""Images that are numbers in the tables: a column per pixel, or all pixels in a cell.

Owns: the rules by which such columns are known.
"""

from __future__ import annotations

import re
from collections import Counter
from math import ceil, floor, isqrt

import numpy as np
import pandas as pd

from kit.images.attach import pixel_columns
from kit.images.store import cell_numbers
from kit.scaffold.facts import Inference
from kit.scaffold.files import Tables

NAME = "image"
"""The column that is made where no column of the files is one of images."""

_FEWEST = 64  # pixels
_LOOKED = 200  # cells
_BRIGHTEST = 255
_CONTRAST = 0.125  # of what 256 shades stand for numbers must cover at least


def note_pixels(
    tables: Tables, kinds: dict[str, str], inference: Inference
) -> dict[str, str] | None:
    """One image of columns such as pixel0 ... pixel783, or None."""
    patterns: Counter[str] = Counter()
    for name in kinds:
        patterns[re.sub(r"\d+", "{}", name)] += 1
    pattern, count = max(patterns.items(), key=lambda item: item[1], default=("", 0))
    channels = _channels(count)
    if not channels or "{}" not in pattern:
        return None
    columns = pixel_columns(list(kinds), pattern)
    values = tables.train[columns]
    if not all(pd.api.types.is_numeric_dtype(kind) for kind in values.dtypes):
        return None
    shades = values.to_numpy()
    low, high = shades.min(), shades.max()  # a missing one makes them no numbers
    if not 0 <= low <= high <= _BRIGHTEST or not (shades == np.round(shades)).all():
        return None
    because = f"{count} columns {columns[0]} ... {columns[-1]} with values from {low:g} to {high:g}"
    inference.values[:] = [
        v for v in inference.values if v.key.removeprefix("columns.kinds.") not in columns
    ]
    inference.add(f"columns.kinds.{NAME}", "image", because)
    inference.add(f"images.{NAME}.pixels", pattern, "names of the pixel columns")
    _note_form(NAME, count, channels, _top(high), inference)
    return {**{n: k for n, k in kinds.items() if n not in columns}, NAME: "image"}


def note_cells(
    tables: Tables, kinds: dict[str, str], inference: Inference
) -> dict[str, str] | None:
    """An image per cell of columns whose values are all pixels ("238 236 237 ..."), or None."""
    found: dict[str, str] = {}
    for name in kinds:
        values = tables.train[name].dropna()
        if not isinstance(values.dtype, pd.StringDtype) or values.empty:
            continue
        some = values.iloc[:: max(1, len(values) // _LOOKED)][:_LOOKED]
        count = len(cell_numbers(some.iloc[0]))
        channels = _channels(count)
        numbers = [cell_numbers(cell) for cell in some] if channels else []
        if not channels or any(len(each) != count for each in numbers):
            continue
        low, high = min(each.min() for each in numbers), max(each.max() for each in numbers)
        plain = 0 <= low <= high <= _BRIGHTEST and all((n == np.round(n)).all() for n in numbers)
        bottom = 0 if plain else min(0, floor(low))
        if not plain and high - low < _CONTRAST * (max(1, ceil(high)) - bottom):
            continue
        because = f"{count} {'pixels' if plain else 'numbers'} in each cell"
        inference.settle(f"columns.kinds.{name}", "image", because)
        inference.add(f"images.{name}.pixels", name, "the pixels are in its cells")
        if not plain:
            inference.add(f"images.{name}.bottom", bottom, "the darkest value", sure=False)
            inference.ask(
                f"each cell of {name!r} holds {count} numbers, taken for pixels of an image; if "
                "they are none (a signal in time, say), make columns of them and leave it out"
            )
        top = _top(high) if plain else max(1, ceil(high))
        _note_form(name, count, channels, top, inference)
        found[name] = "image"
    return {**kinds, **found} if found else None


def _channels(count: int) -> int:
    """Of so many pixels of a square image; 0: it is none."""
    if count < _FEWEST:
        return 0
    return next((c for c in (1, 3) if count % c == 0 and isqrt(count // c) ** 2 * c == count), 0)


def _top(high: float) -> int:
    return _BRIGHTEST if high > 100 else max(1, int(high))


def _note_form(name: str, count: int, channels: int, top: int, inference: Inference) -> None:
    key = f"images.{name}"
    inference.add(f"{key}.top", top, "the brightest value")
    inference.add(f"{key}.size", isqrt(count // channels), "pixels per side")
    inference.add(f"{key}.channels", channels, "gray" if channels == 1 else "colours")
    inference.add(f"{key}.backbone", "pixels", "small images are taken as they are")
