"""Kinds of column and what each is turned into: numbers, categories, moments, strings.

| kind | becomes |
|---|---|
| numeric | int or float; infinite values become missing |
| category | pandas categorical; its levels are only a spelling shared by train and test |
| datetime | datetime64 without time zone |
| text, code | str |

Nothing here learns from the data: what depends on many rows is fitted inside the fold.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from kit.competition import Kind
from kit.errors import DataError


def assign_kinds(X: pd.DataFrame, configured: Mapping[str, Kind]) -> dict[str, Kind]:
    """Kind per feature: as configured, else numeric for numbers and category for strings."""
    kinds: dict[str, Kind] = {}
    for name in X.columns:
        numeric = pd.api.types.is_numeric_dtype(X[name])
        moment = pd.api.types.is_datetime64_any_dtype(X[name])
        guess: Kind = "numeric" if numeric else "datetime" if moment else "category"
        kinds[str(name)] = configured.get(str(name), guess)
    return kinds


def typed(
    X: pd.DataFrame, X_test: pd.DataFrame, kinds: Mapping[str, Kind]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Both frames with every column turned into what its kind says."""
    pairs = {name: _pair(X[name], X_test[name], kind) for name, kind in kinds.items()}
    return (
        pd.DataFrame({name: pair[0] for name, pair in pairs.items()}, index=X.index),
        pd.DataFrame({name: pair[1] for name, pair in pairs.items()}, index=X_test.index),
    )


def _pair(a: pd.Series, b: pd.Series, kind: Kind) -> tuple[Any, Any]:
    if kind == "numeric":
        return _number(a), _number(b)
    if kind == "category":
        levels = pd.Index(pd.concat([_spelled(a).drop_duplicates(), _spelled(b).drop_duplicates()]))
        levels = levels.dropna().unique().sort_values()
        return (
            pd.Categorical(_spelled(a), categories=levels),
            pd.Categorical(_spelled(b), categories=levels),
        )
    if kind == "datetime":
        return as_moments(a), as_moments(b)
    return _spelled(a), _spelled(b)


def _number(column: pd.Series) -> pd.Series:
    if pd.api.types.is_bool_dtype(column):
        return column.astype("int8")
    if not pd.api.types.is_numeric_dtype(column):
        numbers = pd.to_numeric(column, errors="coerce")
        if (numbers.isna() & column.notna()).mean() > 0.05:
            bad = column[numbers.isna() & column.notna()].unique()
            raise DataError(
                f"column {column.name!r} should be numeric, however it holds {some(bad)}.\n"
                "  Give it a kind in [columns.kinds]: category, code, text, datetime or id."
            )
        column = numbers
    if pd.api.types.is_float_dtype(column) and np.isinf(column.to_numpy(dtype=float)).any():
        column = column.replace([np.inf, -np.inf], np.nan)
    return column


def as_moments(column: pd.Series) -> pd.Series:
    """Dates and times as datetime64.

    Raises:
        DataError: more than 5 % of the values are no dates.
    """
    moments: pd.Series = column
    if pd.api.types.is_datetime64_any_dtype(column):
        return pd.Series(moments.dt.tz_localize(None))
    moments = pd.to_datetime(column.astype("str").str.strip(), errors="coerce", format="mixed")
    lost = (moments.isna() & column.notna()).mean()
    if lost > 0.05:
        raise DataError(
            f"column {column.name!r} should hold dates, however {lost:.0%} of its values are none, "
            f"e.g. {some(column[moments.isna() & column.notna()].unique())}"
        )
    return moments.dt.tz_localize(None) if moments.dt.tz is not None else moments


def _spelled(column: pd.Series) -> pd.Series:
    if isinstance(column.dtype, pd.StringDtype):
        return column
    return column.astype("str").where(column.notna())


def some(values: Any, limit: int = 3) -> str:
    """The first few of many values, quoted, for a message."""
    shown = ", ".join(repr(str(value)) for value in list(values)[:limit])
    return f"{shown}, …" if len(values) > limit else shown
