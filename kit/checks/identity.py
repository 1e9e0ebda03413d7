"""Features that name a row instead of describing it."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pandas as pd

from kit.settings import Kind

_FEWEST = 50  # rows; in fewer, different values mean nothing
_UNIQUE = 0.95
_SPELLED = re.compile(r"(^|[_\-. ])(id|uuid|guid|key)$", re.IGNORECASE)
_CAMEL = re.compile(r"[a-z](Id|ID)$")


def id_like(X: pd.DataFrame, kinds: Mapping[str, Kind]) -> dict[str, str]:
    """Columns that look like ids, with the reason.

    A category is one if nearly every value is different; whole numbers are one if every value is
    different and they count through a range without much gap, or if the name says so.
    """
    found = {}
    for name, kind in kinds.items():
        if kind not in ("numeric", "category"):
            continue
        column = X[name].dropna()
        if len(column) < max(_FEWEST, len(X) // 2):
            continue
        different = int(column.nunique())
        if different < _UNIQUE * len(column):
            continue
        share = f"{different} different values in {len(column)} rows"
        if kind == "category":
            found[name] = share
        elif _whole(column) and (_counts_through(column, different) or _named(name)):
            found[name] = f"whole numbers, {share}"
    return found


def _whole(column: pd.Series) -> bool:
    return bool((column % 1 == 0).all())


def _counts_through(column: pd.Series, different: int) -> bool:
    spread = float(column.max()) - float(column.min()) + 1
    return different == len(column) and spread <= 2 * len(column)


def _named(name: str) -> bool:
    return bool(_SPELLED.search(name) or _CAMEL.search(name))
