"""Kinds of column and what each is turned into: numbers, categories, moments, strings.

| kind | becomes |
|---|---|
| numeric | int or float, also of "$1,200" and "12 kg", of lengths of time in days |
| category | pandas categorical; its levels are only a spelling ("1.0" is "1") for both files |
| datetime | datetime64 without time zone |
| text, code | str |
| image | a position in a store of pixels (see `kit.images`) |

Nothing here learns from the data: what depends on many rows is fitted inside the fold.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from kit.errors import DataError
from kit.moments import as_datetimes, datetime_format
from kit.quantities import as_numbers, stands_for_missing
from kit.settings import Kind

_NUMBERS = ("floating", "integer", "mixed-integer-float", "decimal")
_MOMENTS = ("date", "datetime", "datetime64")
_LARGEST = np.finfo(np.float32).max
_SMALLEST = np.finfo(np.float64).tiny


def assign_kinds(X: pd.DataFrame, configured: Mapping[str, Kind]) -> dict[str, Kind]:
    """Kind per feature: as configured, else what its type says.

    Columns of objects, as `features.py` and parquet may bring them, are what the objects are.
    """
    return {str(name): configured.get(str(name)) or _kind_of_type(X[name]) for name in X.columns}


def _kind_of_type(column: pd.Series) -> Kind:
    """Numeric for numbers and lengths of time, datetime for dates, category for all else."""
    types = pd.api.types
    held = types.infer_dtype(column, skipna=True) if column.dtype == object else ""
    if types.is_numeric_dtype(column) or types.is_timedelta64_dtype(column) or held in _NUMBERS:
        return "numeric"
    if types.is_datetime64_any_dtype(column) or held in _MOMENTS:
        return "datetime"
    return "category"


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
    if kind == "image":
        return a, b
    if kind == "numeric":
        return as_number(a), as_number(b)
    if kind == "category":
        a, b = as_levels(a), as_levels(b)
        levels = pd.Index(pd.concat([a.drop_duplicates(), b.drop_duplicates()]))
        levels = levels.dropna().unique().sort_values()
        return pd.Categorical(a, categories=levels), pd.Categorical(b, categories=levels)
    if kind == "datetime":
        # test rows are read by the format of the train rows
        format_ = None if pd.api.types.is_datetime64_any_dtype(a) else datetime_format(spelled(a))
        return as_moments(a, format_), as_moments(b, format_)
    return spelled(a), spelled(b)


def as_number(column: pd.Series) -> pd.Series:
    """Numbers of a column, as `kit.quantities` reads them; those beyond float32 are missing.

    Not only infinite ones: the largest float64 stands for "not known" now and then, which trees of
    scikit-learn refuse and scales do not survive. Numbers without full precision, below 2e-308, are
    0: one over their differences is no number.

    Raises:
        DataError: more than 5 % of the values are neither numbers nor marks for missing ones.
    """
    if pd.api.types.is_timedelta64_dtype(column):
        return column.dt.total_seconds() / 86_400
    if pd.api.types.is_bool_dtype(column):
        return column.astype("float32" if column.isna().any() else "int8")
    if not pd.api.types.is_numeric_dtype(column):
        numbers = as_numbers(column)
        rest = column[numbers.isna().to_numpy()]
        lost = rest[~untold(rest).to_numpy()]
        if len(lost) > 0.05 * len(column):
            bad = lost.unique()
            raise DataError(
                f"column {column.name!r} should be numeric, however it holds {some(bad)}.\n"
                "  Give it a kind in [columns.kinds]: category, code, text, datetime or id."
            )
        column = numbers
    if pd.api.types.is_float_dtype(column):
        size = np.abs(column.to_numpy(dtype=np.float64, na_value=np.nan))
        beyond, none = size > _LARGEST, (size > 0) & (size < _SMALLEST)
        column = column.mask(beyond) if beyond.any() else column
        return column.mask(none, 0.0) if none.any() else column
    return column


def absent(column: pd.Series) -> pd.Series:
    """Where there is no value: missing, or a string of blanks only."""
    if pd.api.types.is_numeric_dtype(column) or pd.api.types.is_datetime64_any_dtype(column):
        return column.isna()
    return column.isna() | (column.astype("str").str.strip() == "")


def untold(column: pd.Series) -> pd.Series:
    """Where there is no value, or a mark for a missing one such as "?" and "NULL"."""
    return absent(column) | stands_for_missing(column)


def as_moments(column: pd.Series, format_: str | None = None) -> pd.Series:
    """Dates and times as datetime64.

    Args:
        column: dates, or strings of one format.
        format_: the format; None: found out.

    Raises:
        DataError: more than 5 % of the values are neither dates nor marks for missing ones.
    """
    if pd.api.types.is_datetime64_any_dtype(column):
        return pd.Series(column.dt.tz_localize(None))
    text = spelled(column)
    given = " (the format of train)" if format_ else ""
    format_ = format_ or datetime_format(text)
    moments = pd.Series(pd.NaT, column.index) if format_ is None else as_datetimes(text, format_)
    lost = moments.isna() & ~untold(column)
    if lost.mean() > 0.05 or (lost.any() and format_ is None):
        raise DataError(
            f"column {column.name!r} should hold dates of one format, however "
            f"{lost.mean():.0%} of its values are not"
            f"{f' like {format_}{given}' if format_ else ' dates'}, e.g. "
            f"{some(column[lost].unique())}.\n"
            "  Turn them into dates in features.py, give it another kind in [columns.kinds] "
            "(category, code), or list it in columns.drop."
        )
    return moments


def spelled(column: pd.Series) -> pd.Series:
    """The values as strings; missing ones stay missing."""
    if isinstance(column.dtype, pd.StringDtype):
        return column
    return column.astype("str").where(column.notna())


def as_levels(column: pd.Series) -> pd.Series:
    """Names of the levels of a category; missing ones stay missing.

    "1.0" is "1": so whole numbers are written in a file that lacks some of them.
    """
    names = spelled(column)
    if not names.str.endswith(".0").any():
        return names
    return names.str.replace(r"^(-?\d+)\.0$", r"\1", regex=True)


def some(values: Any, limit: int = 3) -> str:
    """The first few of many values, quoted, for a message."""
    shown = ", ".join(repr(str(value)) for value in list(values)[:limit])
    return f"{shown}, …" if len(values) > limit else shown
