"""Columns of every recipe that come from one row alone: moments, codes, places, texts."""

from __future__ import annotations

from typing import Any

from kit.preprocessing.codes import CodeParts
from kit.preprocessing.dates import DateParts
from kit.preprocessing.pairs import TextPairs
from kit.preprocessing.places import Places, places
from kit.preprocessing.shape import Shape
from kit.preprocessing.style import TextStyle

Step = tuple[str, Any, Any]
"""Name, transformer, columns or a selector of columns."""


def row_parts(shape: Shape) -> list[Step]:
    """Steps of a `ColumnTransformer`, unfitted; a step without columns makes nothing."""
    found = tuple(places(shape.of("numeric")))
    return [
        ("dates", DateParts(), shape.of("datetime")),
        ("codes", CodeParts(), shape.of("code")),
        ("places", Places(found), [name for place in found for name in place]),
        ("style", TextStyle(), shape.of("text")),
        ("pairs", TextPairs(), shape.of("text")),
    ]
