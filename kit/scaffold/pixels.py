"""Images that are numbers in the tables: a column per pixel, or all pixels in a cell.

Owns: the rules by which such columns are known.
"""

from __future__ import annotations

import re
from collections import Counter
from math import isqrt

import numpy as np
import pandas as pd

from kit.images.attach import pixel_columns
from kit.scaffold.facts import Inference
from kit.scaffold.files import Tables

NAME = "image"
"""The column that is made where no column of the files is one of images."""

_FEWEST = 64  # pixels
_LOOKED = 200  # cells
_BRIGHTEST = 255
_SHADES = re.compile(r"\d{1,3}(?: \d{1,3})+")


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
    _note_form(NAME, count, channels, high, inference)
    return {**{n: k for n, k in kinds.items() if n not in columns}, NAME: "image"}


def note_cells(
    tables: Tables, kinds: dict[str, str], inference: Inference
) -> dict[str, str] | None:
    """One image per cell of a column whose values are all pixels ("238 236 237 ..."), or None."""
    for name in kinds:
        values = tables.train[name].dropna()
        if not isinstance(values.dtype, pd.StringDtype) or values.empty:
            continue
        some = values.iloc[:: max(1, len(values) // _LOOKED)][:_LOOKED]
        lengths = {len(text.split()) for text in some}
        count = lengths.pop()
        channels = _channels(count)
        if lengths or not channels or not all(_SHADES.fullmatch(text.strip()) for text in some):
            continue
        high = max(max(map(int, text.split())) for text in some)
        if high > _BRIGHTEST:
            continue
        inference.settle(f"columns.kinds.{name}", "image", f"{count} pixels in each cell")
        inference.add(f"images.{name}.pixels", name, "the pixels are in its cells")
        _note_form(name, count, channels, high, inference)
        return {**kinds, name: "image"}
    return None


def _channels(count: int) -> int:
    """Of so many pixels of a square image; 0: it is none."""
    if count < _FEWEST:
        return 0
    return next((c for c in (1, 3) if count % c == 0 and isqrt(count // c) ** 2 * c == count), 0)


def _note_form(name: str, count: int, channels: int, high: float, inference: Inference) -> None:
    key = f"images.{name}"
    top = _BRIGHTEST if high > 100 else max(1, int(high))
    inference.add(f"{key}.top", top, "the brightest value")
    inference.add(f"{key}.size", isqrt(count // channels), "pixels per side")
    inference.add(f"{key}.channels", channels, "gray" if channels == 1 else "colours")
    inference.add(f"{key}.backbone", "pixels", "small images are taken as they are")
