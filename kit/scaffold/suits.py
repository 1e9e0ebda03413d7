"""Which template suits the features."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from kit.moments import spread

_WORDS = 8.0  # names and titles are shorter; what is written to be read is longer
_ROWS = 2000


def find_template(train: pd.DataFrame, kinds: Mapping[str, str]) -> str:
    """The name of a template.

    "image" where there are images; "text" where a column holds sentences, or where most of
    the columns are texts.

    Args:
        train: the training rows.
        kinds: kind per feature column.
    """
    if "image" in kinds.values():
        return "image"
    texts = [name for name, kind in kinds.items() if kind == "text"]
    features = [name for name, kind in kinds.items() if kind != "id"]
    mostly = len(texts) > len(features) / 2
    if texts and (mostly or any(_words(train[t]) >= _WORDS for t in texts)):
        return "text"
    return "tabular"


def _words(column: pd.Series) -> float:
    known = column.dropna().astype("str")
    return float(spread(known, _ROWS).str.count(r"\S+").mean()) if len(known) else 0.0
