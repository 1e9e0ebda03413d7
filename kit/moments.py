"""Dates as strings: which one format a column has, and reading it by that format.

Guessing value by value would read 03/04/2020 as March and 13/04/2020 as April in one column.
"""

from __future__ import annotations

import pandas as pd

from kit.quantities import stands_for_missing

_ROWS = 200_000  # judged rows
_MOST = 0.95
_DATES = (
    "%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%m/%d/%Y", "%d/%m/%Y", "%d.%m.%Y", "%d-%m-%Y", "%m-%d-%Y",
    "%m/%d/%y", "%d/%m/%y", "%d-%b-%Y", "%d-%b-%y", "%d %b %Y", "%b %d %Y", "%b %d, %Y",
    "%d %B %Y", "%B %d, %Y", "%a %b %d %Y",
)  # fmt: skip
_MONTHS = (
    "%b-%Y",
    "%b %Y",
    "%B %Y",
    "%B-%Y",
    "%m/%Y",
    "%m-%Y",
    "%Y/%m",
    "%Y-%m",
)  # no day, no time
_OF_SAS = ("%d%b%y:%H:%M:%S", "%d%b%Y:%H:%M:%S", "%d%b%Y")  # 04SEP12:00:00:00
_TIMES = ("", " %H:%M:%S", " %H:%M", " %H:%M:%S.%f", " %I:%M:%S %p", " %I:%M %p")
_DAY_FIRST = ("%d/%m/", "%d-%m-%Y", "%d.%m.")
_UTC = ("UTC", "GMT")  # what all are turned into anyway; no format has it
_ISO = r"\d{4}-\d{2}-\d{2}([T ]\d{2}(:\d{2}(:\d{2}([.,]\d+)?)?)?)?.{0,7}"


def datetime_format(values: pd.Series) -> str | None:
    """The format in which at least 95 % of the strings are dates ("ISO8601" included), or None.

    Blanks and marks for missing ones ("NULL", "0000-00-00") do not count.
    """
    some = _told(values).dropna()
    few = spread(some, 300)
    if few.empty or few.str.contains(r"\d").mean() < _MOST:
        return None
    for format_ in _formats(few):
        if _parsed(few, format_).notna().mean() < _MOST:
            continue
        if _parsed(spread(some, _ROWS), format_).notna().mean() >= _MOST:
            return format_
    return None


def as_datetimes(values: pd.Series, format_: str) -> pd.Series:
    """Parse by a format of `datetime_format`; no date: NaT. Time zones are turned into UTC."""
    return _parsed(_told(values), format_)


def is_day_first(format_: str) -> bool:
    """Whether the format reads 03/04/2020 as the third of April."""
    return format_.startswith(_DAY_FIRST)


def _formats(few: pd.Series) -> list[str]:
    if few.str.fullmatch(_ISO).mean() >= _MOST:
        return ["ISO8601"]
    if few.str.fullmatch(r"\d{8}").mean() >= _MOST:
        return ["%Y%m%d"]
    if few.str.fullmatch(r"\d{14}Z").mean() >= _MOST:
        return ["%Y%m%d%H%M%SZ"]
    return [*(date + time for date in _DATES for time in _TIMES), *_OF_SAS, *_MONTHS]


def _told(values: pd.Series) -> pd.Series:
    """The strings without blanks around them; missing where they say nothing."""
    text = values.astype("str").where(values.notna()).str.strip()
    text = text.mask((text == "") | stands_for_missing(text))
    if text.str.endswith(".0").any():  # "20130131.0": whole numbers of which some were missing
        text = text.str.replace(r"^(\d{8})\.0$", r"\1", regex=True)
    return text


def _parsed(values: pd.Series, format_: str) -> pd.Series:
    if values.head(100).str.endswith(_UTC).any():
        values = values.str.replace(r"\s*(UTC|GMT)$", "", regex=True)
    moments = pd.to_datetime(values, format=format_, errors="coerce", utc=True)
    return pd.Series(moments).dt.tz_localize(None)


def spread(values: pd.Series, n: int) -> pd.Series:
    """At most `n` values, evenly spread: the head of a sorted file is not like the rest."""
    return values.iloc[:: max(1, -(-len(values) // n))]
