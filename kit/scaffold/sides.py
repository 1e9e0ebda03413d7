"""A table beside train and test, and by which of its columns rows find their own in it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import pandas as pd

from kit.errors import counted
from kit.joins import is_date, looked_up, read_called, spelled, summarised
from kit.scaffold.files import Tables
from kit.scaffold.keys import Renamed, find_renamed
from kit.spelling import find_name
from kit.tables import count_cells, read_header

MOST_CELLS = 100_000_000  # of a table that is read whole
_MOST_KEYS = 3
_KEYS = 8
_FOUND = 0.5  # share of the rows of train that a key has to find
_SUMMED = 0.2  # ... where several rows of a table belong to one row of train
_KNOWN = 0.9  # times the share of train's rows: so many of test's have to find theirs
_MOST_JOINED = 200  # columns of one table


@dataclass(frozen=True, kw_only=True)
class Side:
    """A table beside train and test.

    Attributes:
        file: its name below `data/raw`.
        frame: its rows.
        shared: columns that train and test have as well.
        possible: those of them that may be keys.
        new: columns that are in neither.
        renamed: the key that the file calls otherwise, which `frame` has under its name in train.
    """

    file: str
    frame: pd.DataFrame
    shared: Sequence[str]
    possible: Sequence[str]
    new: Sequence[str]
    renamed: Renamed | None = None


@dataclass(frozen=True, kw_only=True)
class Join:
    """How a table is joined; `frame` has one row per key."""

    on: Sequence[str]
    columns: Sequence[str]
    frame: pd.DataFrame
    because: str
    renamed: Renamed | None
    summed: bool = False


def side_of(paths: Sequence[Path], file: str, tables: Tables, own: Collection[str]) -> Side | None:
    """A table as read; None where it has no key of both, or nothing new.

    Args:
        paths: its files.
        file: their names.
        tables: train and test, perhaps with columns that were joined to them.
        own: columns that train or test have themselves; beside others, one of these is the news
            that a table is looked at again for.
    """
    both = [name for name in tables.train.columns if name in tables.test.columns]
    header = [*map(str.strip, read_header(paths[0]))]
    shared = [name for name in header if name in both]
    shared = shared or [name for name in both if find_name(name, header)]
    grown = not {*tables.train.columns} <= {*own}
    if not shared or (grown and {*shared} <= {*own}):
        return None
    if sum(map(count_cells, paths)) > MOST_CELLS:
        return None
    numbers = tables.train.select_dtypes(["number", "bool"]).columns
    text = [name for name in shared if name not in numbers]
    first = read_called(paths[0], shared, as_text=text)
    more = [read_called(path, first.columns, as_text=text) for path in paths[1:]]
    frame = pd.concat([first, *more], ignore_index=True)
    possible = [c for c in shared if _may_be_key(tables.train[c], joined=c not in own)][:_KEYS]
    possible = [c for c in possible if frame[c].notna().all() and _share(frame, tables.train, [c])]
    new = [column for column in frame.columns if column not in own]
    if not new or not possible:
        return None
    return Side(file=file, frame=frame, shared=shared, possible=possible, new=new)


def _may_be_key(column: pd.Series, *, joined: bool) -> bool:
    """Names and whole numbers; joined ones have decimals where some rows found nothing."""
    if not pd.api.types.is_float_dtype(column):
        return True
    return joined and bool((column.dropna() % 1 == 0).all())


def renamed_side(paths: Sequence[Path], file: str, tables: Tables, key: str) -> Side | None:
    """A table that calls a key otherwise, with the name that train has for it."""
    if sum(map(count_cells, paths)) > MOST_CELLS:
        return None
    found = find_renamed(paths, tables, key)
    if found is None:
        return None
    known = {*tables.train.columns, *tables.test.columns}
    new = [column for column in found.frame.columns if column not in known]
    if not new or not _share(found.frame, tables.train, [found.key]):
        return None
    keys = [found.key]
    return Side(file=file, frame=found.frame, shared=keys, possible=keys, new=new, renamed=found)


def join_of(side: Side, tables: Tables, of: str = "") -> Join | None:
    """How a table can be joined without asking.

    Args:
        side: the table.
        tables: those it is joined to.
        of: the file that has the rows of both of them, where it is one.

    Returns:
        None where it cannot be joined.
    """
    keys = _keys(side.frame, side.possible, tables, _FOUND)
    keys = keys or _keys_of_few(side, tables)
    if keys is not None:
        train, test = (_share(side.frame, frame, keys) for frame in (tables.train, tables.test))
        too_many = len(side.new) > _MOST_JOINED and not ids_alone(tables)
        if test < _KNOWN * train or too_many:
            return None
        because = f"a row each; {_shares(train, test, of)} find theirs"
        columns = [name for name in side.new if name not in keys]
        if not columns:
            return None
        frame = side.frame[[*keys, *columns]]
        return Join(on=keys, columns=columns, frame=frame, because=because, renamed=side.renamed)
    for key in side.possible:
        if tables.train[key].duplicated().any() or tables.test[key].duplicated().any():
            continue
        train, test = (_share(side.frame, frame, [key]) for frame in (tables.train, tables.test))
        if train < _SUMMED or test < _KNOWN * train:
            continue
        columns, frame = _summed(side, key, tables)
        if not columns:
            continue
        because = f"several rows each; {_shares(train, test, of)} find some"
        return Join(
            on=[key], columns=columns, frame=frame, because=because, renamed=side.renamed,
            summed=True,
        )  # fmt: skip
    return None


def _summed(side: Side, key: str, tables: Tables) -> tuple[list[str], pd.DataFrame]:
    """The columns to sum up, none where they make too many, and their sums.

    Those that train calls the same (amounts of earlier loans) are among them where there is room.
    """
    new = [name for name in side.new if not _is_number_of_row(side.frame[name])]
    same = [n for n in side.shared if n != key and not _repeats(side.frame, tables.train, key, n)]
    for columns in ([*new, *same], new) if new else ():
        frame = summarised(side.frame, [key], columns, "")
        if frame.shape[1] <= _MOST_JOINED:
            return columns, frame
    return [], side.frame


def _repeats(side: pd.DataFrame, frame: pd.DataFrame, key: str, name: str) -> bool:
    """Whether the rows of a key say of a column what the frame says of it."""
    found = looked_up(side.drop_duplicates(key)[[key, name]], frame, [key])[name]
    known = found.notna() & frame[name].notna()
    return bool((spelled(found) == spelled(frame[name]))[known].mean() >= _KNOWN)


def _shares(train: float, test: float, of: str) -> str:
    return f"{train:.0%} of {of}" if of else f"{train:.0%} of train and {test:.0%} of test"


def with_more(join: Join, frame: pd.DataFrame, more: Sequence[str]) -> Join | None:
    """A join that brings further columns of its table.

    Args:
        join: what it was without them.
        frame: the rows of its table, with these columns.
        more: their names.

    Returns:
        None where these are too many.
    """
    columns = [*join.columns, *more]
    made = summarised(frame, join.on, columns, "") if join.summed else frame[[*join.on, *columns]]
    return replace(join, frame=made) if made.shape[1] <= _MOST_JOINED else None


def _keys_of_few(side: Side, tables: Tables) -> list[str] | None:
    """Keys that few rows of train find, as of holidays, where most rows of the table are found."""
    keys = _keys(side.frame, side.possible, tables, 0.0)
    if keys is None:
        return None
    both = pd.concat([frame[keys] for frame in (tables.train, tables.test)])
    return keys if _share(both, side.frame, keys) >= _FOUND else None


def ids_alone(tables: Tables) -> bool:
    """Whether train and test share no more than an id: what is known of rows is all joined."""
    return len({*tables.train.columns} & {*tables.test.columns}) < 2


def _is_number_of_row(column: pd.Series) -> bool:
    """A name of the row itself: nothing to sum up."""
    whole = not pd.api.types.is_float_dtype(column) and column.is_unique
    return bool(whole) and not is_date(column)


def remark(side: Side, tables: Tables) -> str:
    """Why a table is left alone, and what to do."""
    keys = _keys(side.frame, side.possible, tables, _FOUND)
    keys = keys or _keys(side.frame, side.possible, tables, 0.0)
    if keys is None:
        twice = int(side.frame.duplicated([*side.possible]).sum())
        repeated = counted(twice, "row repeats", "rows repeat")
        return (
            f"{side.file} shares {_listed(side.possible)} with train and test, however {repeated} "
            "them: joined as it is, rows of train would multiply. Make one row of each first (a "
            "mean, a count), of nothing that is later than the row it is joined to"
        )
    train, test = (_share(side.frame, frame, keys) for frame in (tables.train, tables.test))
    return (
        f"{side.file} has one row per {_listed(keys)}; {train:.0%} of the rows of train and "
        f"{test:.0%} of those of test find theirs. It is not joined: see [joins] in the README; of "
        f"{_listed(side.new)} leave out what is not known yet when a test row is predicted"
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
    known = set(_spelled(side[[*keys]].drop_duplicates(), keys))
    return float(_spelled(frame, keys).isin(known).mean()) if len(frame) else 0.0


def _spelled(frame: pd.DataFrame, keys: Sequence[str]) -> pd.Series:
    """The keys of every row as one string."""
    words = spelled(frame[keys[0]])
    for name in keys[1:]:
        words = words + "\x1f" + spelled(frame[name])
    return words


def _listed(names: Sequence[str]) -> str:
    return some([repr(name) for name in names])


def some(names: Sequence[str]) -> str:
    """The first names of a list, and whether there are more."""
    return ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
