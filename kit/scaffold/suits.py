"""Which template suits the features."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from kit.preprocessing.tokens import texts_lead


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
    return "text" if texts_lead(train, kinds) else "tabular"
