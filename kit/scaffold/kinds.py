"""What kind a column is, judged by its values; the kinds are those of `kit.settings`.

Owns: the rules below, nothing else. The first that fits wins.

=========  =====================================================================================
datetime   95 % of the values are dates of one format; whole numbers only where 8 digits read as
           a date and the name says so
numeric    numbers; strings of which 95 % are numbers, of more values than the others; numbers
           with a unit, a currency or commas ("$1,200", "45 %", "12 kg"), or as a clock shows them
image      95 % of the values end like the names of images, one in each
text       lists of items; several words per value, mostly different values
id         unique per row without structure, or numbers that just count up: never a feature
code       strings of letters, digits and separators such as "B/45/S", most with a digit, that
           seldom come again and are no hashes; equally many letters of a small alphabet ("ABDCA")
category   everything else
=========  =====================================================================================
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from kit.images.files import SUFFIXES
from kit.moments import as_datetimes, datetime_format, is_day_first, spread
from kit.preprocessing.tokens import ALONE, MARKS, items
from kit.quantities import SIZES, stands_for_missing, written
from kit.sampled import Counts
from kit.settings import Kind

ROWS = 200_000  # judged rows; counts of distinct values and counters see all rows
_MOST = 0.95
_COMPARED = 20_000  # rows whose words are looked at
_PHRASES, _PER_PHRASE = 50, 100  # different ones at least, and rows that each stands in at most
_SEVERAL, _SHARED = 1.5, 0.6  # words per phrase; share of them that the texts have, too
_VALUES, _BESIDE_MARKS = 3, 20  # different numbers above which they are no names of a few things
_SAME_UNIT = 0.99  # share of the units that are the same one: "64GB" beside "1TB" are no numbers
_REPEATED = 5  # rows per value from which on a value itself can be learnt
NAMED_ID = re.compile(r"(^|[_ ])(?i:id)$|[a-z]I[dD]$")
_DATE_NAME = re.compile(r"date|day|time|yyyymmdd|(^|_)dt($|_)", re.IGNORECASE)
_WORD = rf"[{ALONE}]{{2}}|(?:[^\W\d_{ALONE}]|[{MARKS}]){{2,}}"
_LETTERS = r"[A-Z]{2,64}|[a-z]{2,64}"
_ALPHABET = 20  # letters at most: names drawn at random use them all
_HASH = r"[0-9a-f]{8,}|[0-9A-F]{8,}|(?i:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})"
_PARTS = r"[^\W_]+(?:[ /_.\-:#]+[^\W_]+)*\.?"


@dataclass(frozen=True, kw_only=True)
class Guess:
    """A kind and the figures that speak for it."""

    kind: Kind
    because: str
    sure: bool = True


def guess_kind(
    values: pd.Series,
    name: str = "",
    *,
    rows: int = 0,
    counts: Counts | None = None,
    images: bool = True,
) -> Guess:
    """Judge one column.

    Args:
        values: the column as pandas reads it.
        name: its name, which may hint at a date or an id.
        rows: of the file, where `values` are some of them.
        counts: what was counted over all of them, of strings.
        images: whether there may be images; else names of such are names like any others.
    """
    rows = max(rows, len(values))
    types = pd.api.types
    if types.is_bool_dtype(values):
        return Guess(kind="category", because="true or false")
    if types.is_datetime64_any_dtype(values):
        return Guess(kind="datetime", because="stored as dates")
    if types.is_numeric_dtype(values):
        return _number(values, name, rows)
    text = values.dropna().astype("str").str.strip()
    text = text[text != ""]
    if text.empty:
        return Guess(kind="numeric", because="no value at all", sure=False)
    counts = counts or Counts(rows=rows, known=len(text), distinct=int(text.nunique()))
    return _string(text, counts, name, images)


def phrases_like(train: pd.DataFrame, guesses: Mapping[str, Guess]) -> dict[str, Guess]:
    """Categories that are rather texts: phrases made of the words of a column of texts.

    Search terms beside titles, or two phrases whose likeness is asked for: what they share with the
    other column says more than who they are.

    Args:
        train: the columns.
        guesses: the kind of each, judged by itself.
    """
    texts = [name for name, guess in guesses.items() if guess.kind == "text"]
    found: dict[str, Guess] = {}
    for name, guess in guesses.items() if texts else ():
        if guess.kind != "category" or not isinstance(train[name].dtype, pd.StringDtype):
            continue
        some = spread(train[name].dropna(), _COMPARED)
        levels = some.nunique()
        if levels < max(_PHRASES, len(some) / _PER_PHRASE) or some.str.contains("[/,;|]").any():
            continue
        own = some.str.lower().str.findall(_WORD).explode().dropna()
        if len(own) < _SEVERAL * len(some):
            continue
        for text in texts:
            other = spread(train[text].dropna(), _COMPARED).str.lower().str.findall(_WORD)
            if own.isin(set(other.explode())).mean() >= _SHARED:
                because = f"phrases of the words of {text!r}, to be compared; {guess.because}"
                found[name] = Guess(kind="text", because=because, sure=False)
    return found


def _number(values: pd.Series, name: str, rows: int) -> Guess:
    known = values.dropna()
    if pd.api.types.is_float_dtype(known) and not (known == known.round()).all():
        return Guess(kind="numeric", because="numbers")
    if _are_dates(known, name):
        return Guess(kind="datetime", because="digits such as 20130131 that are dates")
    counter = _counter(known, name, rows) if len(known) == len(values) else ""
    if counter:
        return Guess(kind="id", because=counter, sure=False)
    return Guess(kind="numeric", because="numbers")


def _are_dates(numbers: pd.Series, name: str) -> bool:
    """Whether numbers of eight digits are dates, and the name says so."""
    if not _DATE_NAME.search(name) or not numbers.between(19000101, 21001231).all():
        return False
    return datetime_format(numbers.astype("int64").astype("str")) is not None


def _counter(values: pd.Series, name: str, rows: int) -> str:
    """Why whole numbers are only a row number; empty when they are not."""
    if len(values) < 10 or not values.is_unique or pd.api.types.is_float_dtype(values):
        return ""
    span = int(values.max()) - int(values.min()) + 1
    if values.is_monotonic_increasing and span <= 20 * rows:
        return "whole numbers that just count up, row by row"
    named = re.search(r"(^|[_ ])(id|index|rownum|row)$|[a-z]I[dD]$|^Unnamed: 0$", name)
    if named and span <= 20 * rows:
        return "whole numbers, another one in each row, named like an id"
    return ""


def _string(text: pd.Series, counts: Counts, name: str, images: bool) -> Guess:
    distinct, known = counts.distinct, counts.known
    some = spread(text, ROWS)
    if images and _name_images(some):
        return Guess(kind="image", because=f"names of images such as {some.iloc[0]!r}")
    if set(some.str.lower().unique()[:3]) <= {"true", "false"}:
        return Guess(kind="category", because="true or false")
    numbers = pd.to_numeric(some, errors="coerce")
    share = float(numbers.notna().mean())
    if share == 1 and _are_dates(numbers, name):
        return Guess(kind="datetime", because="digits such as 20130131 that are dates")
    stray = some[numbers.isna()].unique()
    # "0" nearly everywhere and "a", "b" now and then are names
    if share >= _MOST and len(stray) < max(1, int(numbers.nunique())):
        because = f"numbers, but for {', '.join(map(repr, stray[:3]))}" if len(stray) else "numbers"
        return Guess(kind="numeric", because=because, sure=not len(stray))
    format_ = datetime_format(text)
    if format_ is not None:
        return _date(format_, some)
    found = measured(some, distinct == counts.rows)
    if found is not None:
        return found
    counted = f"{distinct} different in {known} values"
    guess = (
        _list(some, distinct / known, counted)
        or _text(some, distinct / known, counted)
        or _letters(some, distinct / known, counted)
        or _string_id(some, distinct, known, counts.rows)
        or _code(some, distinct, known, counted)
    )
    if guess is not None:
        return guess
    mixed = f"; {share:.0%} are numbers" if share > 0.1 else ""
    return Guess(kind="category", because=counted + mixed)


def _name_images(some: pd.Series) -> bool:
    """Whether values end as the names of images do; lists of several are no one image each."""
    if some.str.lower().str.endswith(SUFFIXES).mean() < _MOST:
        return False
    return sum(len(items(value)) > 1 for value in some) < len(some) / 2


def measured(some: pd.Series, all_differ: bool) -> Guess | None:
    """Numbers of one unit, or as they come with marks for missing ones, however many of these.

    Args:
        some: values without blanks around them, none missing. ``(n,)``
        all_differ: whether no value repeats, in all rows.
    """
    marks = stands_for_missing(some)
    told = some[~marks]
    found = written(told)
    known = found[found["number"].notna()]
    if len(known) < _MOST * len(told) or known["number"].nunique() < _VALUES:
        return None
    units = known.loc[known["unit"] != "", "unit"].value_counts()
    missing = f"; missing as {some[marks].iloc[0]!r}" if marks.any() else ""
    because = f"numbers such as {told.loc[known.index[0]]!r}{missing}"
    if units.empty:  # with commas, or plain ones
        commas = told.str.contains(",", regex=False).any()
        if not commas and known["number"].nunique() <= _BESIDE_MARKS:
            return None  # "1", "2", "3" and "?" are names
        return Guess(kind="numeric", because=because, sure=bool(commas) and not missing)
    same = units.groupby(units.index.str.strip().str.removesuffix("s")).sum()
    sized = all(unit.lstrip("$€£¥₹") in SIZES for unit in units.index)
    if not sized and same.max() < _SAME_UNIT * units.sum():
        return None  # "12A" and "12B"
    if all_differ and str(units.index[0]).isalpha() and (known["number"] % 1 == 0).all():
        return None  # "10001X": an id, another one in each row
    return Guess(kind="numeric", because=because, sure=not missing)


def _date(format_: str, some: pd.Series) -> Guess:
    shown = "ISO 8601" if format_ == "ISO8601" else format_
    because = f"dates such as {some.iloc[0]!r}, read as {shown}"
    swapped = {"%m/%d/": "%d/%m/", "%m-%d-": "%d-%m-"}.get(format_[:6])
    if swapped and as_datetimes(some, swapped + format_[6:]).notna().mean() >= _MOST:
        return Guess(
            kind="datetime", because=because + " (day and month may be swapped)", sure=False
        )
    return Guess(kind="datetime", because=because, sure=not is_day_first(format_))


def _list(some: pd.Series, differing: float, counted: str) -> Guess | None:
    held = [items(value) for value in some]
    if differing <= 0.1 or sum(len(found) > 1 for found in held) < len(held) / 2:
        return None
    each = sum(map(len, held)) / len(held)
    return Guess(kind="text", because=f"lists of {each:.1f} items, {counted}")


def _text(some: pd.Series, differing: float, counted: str) -> Guess | None:
    if some.str.fullmatch(_HASH).mean() >= _MOST:
        return None  # letters between digits are no words
    words = float(some.str.count(_WORD).mean())
    length = float(some.str.len().mean())
    # two-word values are names of people or places when hardly any comes twice
    several = words >= 3 or (length > 40 and words >= 1) or (words >= 1.5 and len(some) > 100)
    if several and (differing > 0.5 or (differing > 0.1 and words >= 5)):
        return Guess(kind="text", because=f"{words:.1f} words per value, {counted}")
    return None


def _letters(some: pd.Series, differing: float, counted: str) -> Guess | None:
    if differing < 0.5 or len(some) < 50 or some.str.len().nunique() > 1:
        return None
    if not some.str.fullmatch(_LETTERS).all() or len(set("".join(some))) > _ALPHABET:
        return None
    return Guess(kind="code", because=f"a letter per place, such as {some.iloc[0]!r}; {counted}")


def _string_id(some: pd.Series, distinct: int, n: int, n_rows: int) -> Guess | None:
    if distinct < n or n < n_rows or n < 10:
        return None
    skeletons = some.str.replace(r"\d+", "#", regex=True).unique()
    if len(skeletons) == 1 and skeletons[0].count("#") == 1:
        because = f"another one in each row, only the number differs: {some.iloc[0]!r}"
        return Guess(kind="id", because=because)
    if some.str.fullmatch(rf"[^\W_]+|{_HASH}").all() and some.str.len().mean() >= 6:
        return Guess(kind="id", because=f"another one in each row, no parts: {some.iloc[0]!r}")
    return None


def _code(some: pd.Series, distinct: int, n: int, counted: str) -> Guess | None:
    # what comes again and again ("store_12") says who it is: a category, however it is spelled
    if distinct < max(10, n / _REPEATED) or some.str.len().mean() > 40:
        return None
    if some.str.len().nunique() == 1 and some.str.fullmatch(_HASH).all():
        return None  # drawn at random: its letters and digits say nothing, who it is does
    if some.str.fullmatch(_PARTS).mean() < _MOST or some.str.contains(r"\d").mean() < 0.5:
        return None
    return Guess(kind="code", because=f"built of parts, such as {some.iloc[0]!r}; {counted}")
