"""Tables beside train and test: whether and by which columns their rows belong to those of both.

Owns: what `kit new` says about stores.csv, features.csv, calendar.csv and the like. Joins nothing:
which of their columns are known when a test row is predicted no file says.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import pandas as pd

from kit.errors import DataError, counted
from kit.scaffold.facts import Inference
from kit.scaffold.files import Tables
from kit.tables import count_cells, read_header, read_table

_TABLES = 8
_MOST_CELLS = 20_000_000
_MOST_KEYS = 3
_KEYS = 8
_FOUND = 0.5  # share of the rows of train that a key has to find


def ask_about_joins(raw: Path, tables: Tables, inference: Inference) -> None:
    """Say of every further table how it can be joined, or what is in the way.

    A table counts that shares columns with train and test. Its rows must be told apart by some of
    them: joined by anything else, rows of train would multiply.

    Args:
        raw: the folder of the files.
        tables: train and test as read.
        inference: takes the remarks.
    """
    both = set(tables.train.columns) & set(tables.test.columns)
    for path in tables.paths.others[:_TABLES]:
        try:
            shared = [name for name in map(str.strip, read_header(path)) if name in both]
            if not shared or count_cells(path) > _MOST_CELLS:
                continue
            numbers = tables.train.select_dtypes(["number", "bool"]).columns
            side = read_table(path, as_text=[name for name in shared if name not in numbers])
        except DataError:
            continue  # no table of kit's: nothing depends on it
        text = _remark(path.relative_to(raw).as_posix(), side, shared, tables)
        if text:
            inference.ask(text)


def _remark(name: str, side: pd.DataFrame, shared: Sequence[str], tables: Tables) -> str:
    """What there is to say of one table; empty: it has nothing new, or other values."""
    new = [column for column in side.columns if column not in shared]
    possible = [c for c in shared if not pd.api.types.is_float_dtype(tables.train[c])][:_KEYS]
    possible = [c for c in possible if side[c].notna().all() and _share(side, tables.train, [c])]
    if not new or not possible:
        return ""
    keys = _keys(side, possible, tables, _FOUND) or _keys(side, possible, tables, 0.0)
    if keys is None:
        repeated = counted(int(side.duplicated(possible).sum()), "row repeats", "rows repeat")
        return (
            f"{name} shares {_listed(possible)} with train and test, however {repeated} them: "
            "joined as it is, rows of train would multiply. Make one row of each first (a mean, a "
            "count), of nothing that is later than the row it is joined to"
        )
    train, test = (_share(side, frame, keys) for frame in (tables.train, tables.test))
    also = [column for column in shared if column not in keys]
    side_table = f"table.drop(columns={also})" if also else "table"
    return (
        f"{name} has one row per {_listed(keys)}; {train:.0%} of the rows of train and {test:.0%} "
        f"of those of test find theirs. Join it into the copies of both by df.merge({side_table}, "
        f'on={keys}, how="left"), and of {_listed(new)} leave out what is not known yet when a '
        "test row is predicted"
    )


def _keys(
    side: pd.DataFrame, possible: Sequence[str], tables: Tables, share: float
) -> list[str] | None:
    """The fewest columns that tell the rows of a table apart and find a share of those of train.

    Holidays, say, belong to few rows only: the share may be small where no key has a large one.
    """
    for size in range(1, _MOST_KEYS + 1):
        for columns in combinations(possible, size):
            keys = [*columns]
            if not side.duplicated(keys).any() and _share(side, tables.train, keys) > share:
                return keys
    return None


def _share(side: pd.DataFrame, frame: pd.DataFrame, keys: Sequence[str]) -> float:
    """Share of the rows of `frame` that find a row."""
    known, wanted = (_spelled(each, keys) for each in (side, frame))
    return float(wanted.isin(set(known)).mean()) if len(frame) else 0.0


def _spelled(frame: pd.DataFrame, keys: Sequence[str]) -> pd.Series:
    """The keys of every row as one string."""
    spelled = frame[keys[0]].astype("str")
    for name in keys[1:]:
        spelled = spelled + "\x1f" + frame[name].astype("str")
    return spelled


def _listed(names: Sequence[str]) -> str:
    return ", ".join(repr(name) for name in names[:8]) + (", ..." if len(names) > 8 else "")
