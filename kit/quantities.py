"""Numbers as people write them: "$1,234.50", "(3.00)", "45 %", "12.5 kg", "1.2M", "14:30".

Each value is read by itself, so that a piece of a column or a new row gives what the whole gives.
Whether a column holds such numbers at all is judged elsewhere (`kit.scaffold.kinds`).
"""

from __future__ import annotations

import numpy as np
import pandas as pd

_CURRENCY = r"[$€£¥₹₽₩₺]|(?:US|R|A|C|HK|S)\$|Rs\.?|USD|EUR|GBP|INR|CHF"
_UNIT = r"[%‰+]|°[CF]?|[^\W\d_]{1,12}[.²³]?(?:[ ./][^\W\d_]{1,12}[.²³]?)?"
# no zero in front ("007 kg" is a name); groups of three digits, or two as in India
_NUMBER = r"(?:[1-9]\d{0,2}(?:,\d{2,3})*,\d{3}|0|[1-9]\d*)(?:\.\d*)?|\.\d+"
_WRITTEN = (
    rf"(?P<minus>[-−+(]?)\s*(?P<before>{_CURRENCY})?\s*(?P<sign>[-−]?)"
    rf"(?P<number>{_NUMBER})(?P<apart>\s*)(?P<after>{_CURRENCY}|{_UNIT})?\)?"
)
_CLOCK = (
    r"(?P<hours>\d{1,3}):(?P<minutes>[0-5]\d)(?::(?P<seconds>[0-5]\d(?:\.\d+)?))?"
    r"(?:\s*(?P<half>[AaPp])\.?[Mm]\.?)?"
)
SIZES = {"k": 1e3, "K": 1e3, "M": 1e6, "B": 1e9}
"""Factors that are written behind a number without a blank: "1.2M"."""

_WORDS = (
    "na", "n/a", "n.a.", "#n/a", "nan", "nat", "nil", "none", "null", "missing", "unknown",
    "undefined", "unspecified", "not available", "not known", "no data",
)  # fmt: skip
_CASES = (str, str.upper, str.title, str.capitalize)
_SIGNS = ("?", "??", "-", "--", "---", "—", "–", ".", "..", "*", "NaN", "NaT", "0000-00-00",
          "0000-00-00 00:00:00")  # fmt: skip
_MARKS = frozenset({*_SIGNS, *(cased(word) for word in _WORDS for cased in _CASES)})


def as_numbers(values: pd.Series, *, clocks: bool = True) -> pd.Series:
    """The numbers of a column of strings, missing where there is none.

    Units and currencies are not converted, but for thousands and millions written as "k" and "M";
    a time of day or a duration becomes hours.

    Args:
        values: as they are spelled; blanks around them do not matter.
        clocks: whether times of day and durations are numbers.
    """
    plain = pd.to_numeric(values, errors="coerce")
    rest = np.flatnonzero(plain.isna().to_numpy() & values.notna().to_numpy())
    if not len(rest):
        return plain
    numbers = plain.to_numpy(dtype=np.float64, na_value=np.nan, copy=True)
    found = written(values.iloc[rest])
    other = found["unit"].isin([":", "::"]) & (not clocks)
    numbers[rest] = found["number"].mask(other).to_numpy()
    return pd.Series(numbers, index=values.index, name=values.name)


def written(values: pd.Series) -> pd.DataFrame:
    """Numbers, and what is written around them.

    Args:
        values: no missing ones. ``(n,)``

    Returns:
        Columns `number` (missing: none) and `unit`: what stands before and behind, with the blank
        between, such as "$" or " kg", ":" for hours and minutes, "::" where there are seconds, ""
        where there is nothing. ``(n, 2)``
    """
    codes, different = pd.factorize(values.astype("str").str.strip())
    text = pd.Series(different, dtype="str")
    found = text.str.extract(rf"^(?:{_WRITTEN})$")
    number = pd.to_numeric(found["number"].str.replace(",", ""), errors="coerce").astype(float)
    pieces = {name: found[name].fillna("") for name in ("minus", "before", "sign", "apart")}
    after = found["after"].fillna("")
    size = after.where(pieces["apart"] == "", "").map(SIZES).astype(float).fillna(1.0)
    negative = pieces["minus"].isin(["-", "−", "("]) | (pieces["sign"] != "")
    bracketed = (pieces["minus"] == "(") != text.str.endswith(")")
    number = (number * size).where(~negative, -number * size).mask(bracketed)
    plain = pd.to_numeric(text, errors="coerce").astype(float)  # "1e5", "007"
    number = plain.fillna(number)
    unit = pieces["before"] + pieces["apart"].where(after != "", "") + after
    unit = unit.where(plain.isna(), "")
    clock = text.str.extract(rf"^(?:{_CLOCK})$")
    hours, known = _hours(clock), clock["hours"].notna()
    parts = pd.Series(np.where(clock["seconds"].isna(), ":", "::"))
    made = pd.DataFrame({"number": hours.where(known, number), "unit": parts.where(known, unit)})
    return made.take(codes).set_axis(values.index)


def stands_for_missing(values: pd.Series) -> pd.Series:
    """Where a value is one of the words and marks for "not known": "?", "n/a", "Unknown"."""
    return values.astype("str").str.strip().isin(_MARKS)


def _hours(clock: pd.DataFrame) -> pd.Series:
    """Hours of a time of day or of a duration; the half of the day is that of a clock."""
    hours, minutes, seconds = (
        pd.to_numeric(clock[name], errors="coerce").astype(float)
        for name in ("hours", "minutes", "seconds")
    )
    half = clock["half"].fillna("").str.casefold()
    hours = hours.where(half == "", hours % 12 + 12 * (half == "p"))
    return hours + minutes / 60 + seconds.fillna(0.0) / 3600
