"""A key that a table beside train and test calls otherwise: "user_id" for the "id" of train.

Owns: what counts as evidence. Numbers 1 to n are among those of any other count up to n, so they
are a key only where names say so, too; codes that hold letters are not found by chance, nor is a
calendar that has nearly every day of train and test once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from kit.joins import is_date, read_called, spelled
from kit.sampled import read_columns
from kit.scaffold.files import Tables
from kit.spelling import find_name, normal, number
from kit.tables import read_header

_INSIDE = 0.95  # share of the rows of a table whose key train or test has
_PRESENT = 0.9  # ... that have a key at all
_CODES = 0.5  # share of the values of a key that are no numbers, where they are codes
_FEWEST = 20  # different values, below which they say nothing without names


@dataclass(frozen=True, kw_only=True)
class Renamed:
    """A key and what a table calls it.

    Attributes:
        key: its name in train and test.
        name: its name in the table.
        frame: the rows that have the key, which is called as in train.
        because: what speaks for it.
    """

    key: str
    name: str
    frame: pd.DataFrame
    because: str


def find_renamed(paths: Sequence[Path], tables: Tables, key: str) -> Renamed | None:
    """The one key of train and test that a table calls otherwise.

    Args:
        paths: the files of the table, whose rows follow one another.
        tables: train and test.
        key: the id of the rows of train; empty: they have none.

    Returns:
        None where there is none, where chance may explain it, and where there are several.

    Raises:
        DataError: a file cannot be read.
    """
    pairs = _pairs(paths, tables, key)
    days = [
        c for c in tables.train.columns if c in tables.test.columns and is_date(tables.train[c])
    ]
    if not pairs and len(days) != 1:
        return None
    numeric = pd.api.types.is_numeric_dtype
    words = [name for ours, name in pairs if not numeric(tables.train[ours])]
    first = read_called(paths[0], [], as_text=words)
    more = [read_called(path, first.columns, as_text=words) for path in paths[1:]]
    table = pd.concat([first, *more], ignore_index=True)
    known = {ours: _known(tables, ours) for ours in dict(pairs)}
    found = dict[tuple[str, str], str]()
    for ours, name in pairs:
        named = _names_match(ours, name, key, paths, tables)
        because = _evidence(table[name], known[ours], named=named)
        if because:
            found[ours, name] = because
    found |= _calendar(table, days, tables)
    if len(found) != 1:
        return None
    ((ours, name), because) = next(iter(found.items()))
    frame = table.drop(columns=[c for c in table.columns if c == ours])
    frame = frame.rename(columns={name: ours}).dropna(subset=[ours])
    return Renamed(key=ours, name=name, frame=frame, because=because)


def _pairs(paths: Sequence[Path], tables: Tables, key: str) -> list[tuple[str, str]]:
    """Columns of train and test, and columns of a table whose names may mean the same."""
    train, test = tables.train, tables.test
    both = [c for c in train.columns if c in test.columns]
    both = [c for c in both if not pd.api.types.is_float_dtype(train[c])]
    header = [*map(str.strip, read_header(paths[0]))]
    theirs = [name for name in header if not find_name(name, {*train.columns, *test.columns})]
    pairs = [(key, name) for name in theirs if key in both and _word(name)]
    own = find_name("id", header)
    if own:  # the id of a table of shops is the "shop_id" of train
        pairs += [(ours, own) for ours in both if _word(ours) and not find_name(ours, header)]
    return pairs


def _calendar(
    table: pd.DataFrame, days: Sequence[str], tables: Tables
) -> dict[tuple[str, str], str]:
    """The only date of train and test, and that of a table with a row for each of its days."""
    ours = {*tables.train.columns, *tables.test.columns}
    theirs = [name for name in table.columns if is_date(table[name])]
    if len(days) != 1 or len(theirs) != 1 or find_name(theirs[0], ours):
        return {}
    values, known = spelled(table[theirs[0]]), _known(tables, days[0])
    share = len(known & {*values}) / max(1, len(known))
    if values.hasnans or not values.is_unique or len(known) < _FEWEST or share < _INSIDE:
        return {}
    because = f"what the file calls it: a row each of {share:.0%} of the dates of train and test"
    return {(days[0], theirs[0]): because}


def _word(name: str) -> str:
    """What an id is of: "user" of "user_id", "userId" and "userid"; empty: it is no such name."""
    plain = normal(name)
    return plain.removesuffix("id") if plain.endswith("id") else ""


def _names_match(ours: str, name: str, key: str, paths: Sequence[Path], tables: Tables) -> bool:
    """Whether the word before one "id" names the file in which the other one is just "id"."""
    if normal(ours) == "id" and ours == key:
        return _word(name) in _things([tables.paths.train, tables.paths.test])
    return normal(name) == "id" and _word(ours) in _things(paths)


def _things(paths: Iterable[Path]) -> set[str]:
    """What the rows of files are, by the files' names: "users" and "user" of train_users_2.csv."""
    words = {
        word.casefold()
        for path in paths
        for word in re.findall(r"[^\W\d_]+", path.name.partition(".")[0])
    }
    single = {word.removesuffix("s") for word in words}
    return words | single | {re.sub(r"ies$", "y", word) for word in words}


def _known(tables: Tables, key: str) -> set[str]:
    """The values of a key, of all rows of train and test."""
    train, test = tables.train[[key]], tables.test[[key]]
    if tables.sampled:  # test may be some rows as well
        train, test = tables.whole([key]), read_columns(tables.paths.test, [key])
    return {value for frame in (train, test) for value in spelled(frame[key]).dropna()}


def _evidence(column: pd.Series, known: set[str], *, named: bool) -> str:
    """What speaks for a column as the key; empty: too little."""
    values = spelled(column).dropna()
    if not len(values) or len(values) < _PRESENT * len(column):
        return ""
    inside = float(values.isin(known).mean())
    if inside < _INSIDE:
        return ""
    different = values.unique()
    codes = sum(number(value) is None for value in different)
    if not named and (len(different) < _FEWEST or codes < _CODES * len(different)):
        return ""
    what = "the names match" if named else "no plain numbers"
    return f"what the file calls it: {inside:.0%} of its rows are of train or test; {what}"
