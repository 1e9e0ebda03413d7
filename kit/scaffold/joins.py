"""Tables beside train and test: by which columns their rows belong to those of both.

Owns: what `kit new` writes into `[joins]` about stores.csv, weather.csv and the like, and what it
says of those that it leaves alone.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import pandas as pd

from kit.errors import DataError, counted
from kit.joins import is_date, looked_up, read_called, spelled, summarised
from kit.scaffold.facts import Inference
from kit.scaffold.files import ANSWERS, Tables
from kit.scaffold.keys import Renamed, find_renamed
from kit.spelling import find_name, normal
from kit.tables import count_cells, read_header

_TABLES = 12
_CROWD = 100  # tables in a folder above which none of them is looked at
_MOST_CELLS = 100_000_000
_PARTS = ("train", "training", "test", "testing")
_MOST_KEYS = 3
_KEYS = 8
_FOUND = 0.5  # share of the rows of train that a key has to find
_SUMMED = 0.2  # ... where several rows of a table belong to one row of train
_KNOWN = 0.9  # times the share of train's rows: so many of test's have to find theirs
_MOST_JOINED = 200  # columns of one table


@dataclass(frozen=True, kw_only=True)
class _Side:
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


def with_joins(raw: Path, tables: Tables, inference: Inference) -> Tables:
    """Join what can be joined, and say of the other tables what is in the way.

    A table is joined where its keys tell its rows apart and it knows as much of test as of train;
    or where its rows belong to single rows of train and test, told by a column that repeats in
    neither: then they are summed up. Tables that call a key otherwise come after the others, which
    are joined as if there were none.

    Args:
        raw: the folder of the files.
        tables: train and test as read.
        inference: takes `[joins]` and the remarks.

    Returns:
        The tables with the columns that are brought.
    """
    train, test = tables.train, tables.test
    done, rest, theirs = dict[str, str](), list[str](), set[str]()
    others, crowds = _but_crowds(tables.paths.others, raw)
    rest += crowds
    key = str(inference.get("columns.id", ""))
    waiting, remarks = _together(others, tables), dict[str, str]()
    for paths, otherwise in [(paths, turn) for turn in (False, True) for paths in waiting]:
        files = [path.relative_to(raw).as_posix() for path in paths]
        file = ", ".join(files)
        if file in done:
            continue
        side = None
        if len(done) < _TABLES:
            with suppress(DataError):  # no table of kit's: nothing depends on it
                side = (_renamed_side(paths, file, tables, key) if otherwise
                        else _side(paths, file, tables))  # fmt: skip
        join = None if side is None else _join(side, tables)
        if side is None or join is None:
            if side is not None and not otherwise:
                remarks[file] = _remark(side, tables)
            elif otherwise and file not in remarks:
                rest += files
            continue
        remarks.pop(file, None)
        name = _free(_stem(paths[0], apart=len(paths) == 1), done.values())
        done[side.file] = name
        brought = _note(join, name, files, train, inference)
        if join.summed or not _ids_alone(tables):  # else they are what test itself says
            theirs |= {*brought.columns}
        train, test = (
            pd.concat([frame, looked_up(brought, frame, join.on)], axis=1)
            for frame in (train, test)
        )
    inference.questions += remarks.values()
    _say_what_was_done(done, rest, inference)
    joined = frozenset(theirs - {*tables.train.columns})
    return replace(tables, train=train, test=test, joined=joined)


def _but_crowds(paths: Sequence[Path], raw: Path) -> tuple[list[Path], list[str]]:
    """The tables that may be joined, and folders of so many that each is of a row by itself."""
    counts = Counter(path.parent for path in paths)
    crowds = {folder: n for folder, n in counts.items() if n > _CROWD}
    named = [f"{folder.relative_to(raw).as_posix()} ({n} tables)" for folder, n in crowds.items()]
    return [path for path in paths if path.parent not in crowds], named


def _ids_alone(tables: Tables) -> bool:
    """Whether train and test share no more than an id: what is known of rows is all joined."""
    return len({*tables.train.columns} & {*tables.test.columns}) < 2


def _note(
    join: _Join, name: str, files: Sequence[str], train: pd.DataFrame, inference: Inference
) -> pd.DataFrame:
    """Note a join; returns its table with the names that its columns get."""
    brought, prefix = _named(join.frame, name, join.on, train, summed=join.summed)
    inference.add(f"joins.{name}.file", files[0] if len(files) == 1 else [*files], "")
    inference.add(f"joins.{name}.on", [*join.on], join.because)
    if join.renamed:
        inference.add(f"joins.{name}.file_on", [join.renamed.name], join.renamed.because)
    inference.add(f"joins.{name}.columns", [*join.columns], "")
    if prefix:
        inference.add(f"joins.{name}.prefix", prefix, "before the names of its columns")
    if join.summed:
        inference.add(f"joins.{name}.summarised", True, "counts, means, shares of its rows")
    return brought


def _say_what_was_done(done: Mapping[str, str], rest: Sequence[str], inference: Inference) -> None:
    if done:
        inference.ask(
            f"joined to train and test: {_some([*done])}. Take out of {_tables(done)} what is "
            "not known yet when a test row is predicted"
        )
    if rest:
        inference.ask(
            f"models see one table of train and one of test. Not used: {_some(rest)}. What helps "
            "in them, join it into copies of train and test in a folder for --from"
        )


def _tables(done: Mapping[str, str]) -> str:
    return _some([f"[joins.{name}]" for name in done.values()])


def _together(paths: Sequence[Path], tables: Tables) -> list[list[Path]]:
    """Tables one by one, but what is split as train and test are: "train_identity" and its test.

    Where answers were taken out of the train half, it has them as well.
    """
    made = tables.paths.train.name == ANSWERS
    answers = {*map(normal, tables.train.columns)} - {*map(normal, tables.test.columns)}
    found = dict[tuple[Path, str], list[Path]]()
    for path in paths:
        found.setdefault((path.parent, _stem(path)), []).append(path)
    return [
        part
        for group in found.values()
        for part in (
            [group]
            if len(group) == 2 and _alike(group[0], group[1], answers if made else ())
            else [[p] for p in group]
        )
    ]


def _stem(path: Path, *, apart: bool = False) -> str:
    """The name of a table as a name of TOML; unless `apart` without words for train and test."""
    words = re.split(r"\W+|_", path.name.partition(".")[0])
    kept = [word for word in words if word and (apart or word.lower() not in _PARTS)]
    return "_".join(kept) or "table"


def _alike(one: Path, two: Path, but: Collection[str] = ()) -> bool:
    """Whether two tables have the same columns, however they are spelled: "id_01" and "id-01".

    Args:
        one: a table.
        two: another one.
        but: names, without case and marks, that do not count.
    """
    try:
        names, others = (
            [name for name in map(normal, read_header(path)) if name not in but]
            for path in (one, two)
        )
    except DataError:
        return False
    return names == others and len({*names}) == len(names)


def _free(name: str, taken: Collection[str]) -> str:
    return next(n for n in (name, *(f"{name}_{k}" for k in range(2, 99))) if n not in taken)


@dataclass(frozen=True, kw_only=True)
class _Join:
    """How a table is joined; `frame` has one row per key."""

    on: Sequence[str]
    columns: Sequence[str]
    frame: pd.DataFrame
    because: str
    renamed: Renamed | None
    summed: bool = False


def _side(paths: Sequence[Path], file: str, tables: Tables) -> _Side | None:
    """A table as read; None where it has no key of both, or nothing new."""
    both = [name for name in tables.train.columns if name in tables.test.columns]
    header = [*map(str.strip, read_header(paths[0]))]
    shared = [name for name in header if name in both]
    shared = shared or [name for name in both if find_name(name, header)]
    if not shared or sum(map(count_cells, paths)) > _MOST_CELLS:
        return None
    numbers = tables.train.select_dtypes(["number", "bool"]).columns
    text = [name for name in shared if name not in numbers]
    first = read_called(paths[0], shared, as_text=text)
    more = [read_called(path, first.columns, as_text=text) for path in paths[1:]]
    frame = pd.concat([first, *more], ignore_index=True)
    known = {*tables.train.columns, *tables.test.columns}
    possible = [c for c in shared if not pd.api.types.is_float_dtype(tables.train[c])][:_KEYS]
    possible = [c for c in possible if frame[c].notna().all() and _share(frame, tables.train, [c])]
    new = [column for column in frame.columns if column not in known]
    if not new or not possible:
        return None
    return _Side(file=file, frame=frame, shared=shared, possible=possible, new=new)


def _renamed_side(paths: Sequence[Path], file: str, tables: Tables, key: str) -> _Side | None:
    """A table that calls a key otherwise, with the name that train has for it."""
    if sum(map(count_cells, paths)) > _MOST_CELLS:
        return None
    found = find_renamed(paths, tables, key)
    if found is None:
        return None
    known = {*tables.train.columns, *tables.test.columns}
    new = [column for column in found.frame.columns if column not in known]
    if not new or not _share(found.frame, tables.train, [found.key]):
        return None
    keys = [found.key]
    return _Side(file=file, frame=found.frame, shared=keys, possible=keys, new=new, renamed=found)


def _join(side: _Side, tables: Tables) -> _Join | None:
    """How a table can be joined without asking; None: it cannot."""
    keys = _keys(side.frame, side.possible, tables, _FOUND)
    keys = keys or _keys_of_few(side, tables)
    if keys is not None:
        train, test = (_share(side.frame, frame, keys) for frame in (tables.train, tables.test))
        too_many = len(side.new) > _MOST_JOINED and not _ids_alone(tables)
        if test < _KNOWN * train or too_many:
            return None
        because = f"a row each; {train:.0%} of train and {test:.0%} of test find theirs"
        frame = side.frame[[*keys, *side.new]]
        return _Join(on=keys, columns=side.new, frame=frame, because=because, renamed=side.renamed)
    for key in side.possible:
        if tables.train[key].duplicated().any() or tables.test[key].duplicated().any():
            continue
        train, test = (_share(side.frame, frame, [key]) for frame in (tables.train, tables.test))
        columns = [name for name in side.new if not _is_number_of_row(side.frame[name])]
        if train < _SUMMED or test < _KNOWN * train or not columns:
            continue
        frame = summarised(side.frame, [key], columns, "")
        if frame.shape[1] > _MOST_JOINED:
            continue
        because = f"several rows each; {train:.0%} of train and {test:.0%} of test find some"
        return _Join(
            on=[key], columns=columns, frame=frame, because=because, renamed=side.renamed,
            summed=True,
        )  # fmt: skip
    return None


def _keys_of_few(side: _Side, tables: Tables) -> list[str] | None:
    """Keys that few rows of train find, as of holidays, where most rows of the table are found."""
    keys = _keys(side.frame, side.possible, tables, 0.0)
    if keys is None:
        return None
    both = pd.concat([frame[keys] for frame in (tables.train, tables.test)])
    return keys if _share(both, side.frame, keys) >= _FOUND else None


def _named(
    frame: pd.DataFrame, name: str, on: Sequence[str], train: pd.DataFrame, *, summed: bool
) -> tuple[pd.DataFrame, str]:
    """The table with the names its columns get, and their prefix: none where they are free."""
    brought = [column for column in frame.columns if column not in on]
    if not summed and not set(brought) & set(train.columns):
        return frame, ""
    prefix = f"{name}_"
    return frame.rename(columns={column: f"{prefix}{column}" for column in brought}), prefix


def _is_number_of_row(column: pd.Series) -> bool:
    """A name of the row itself: nothing to sum up."""
    whole = not pd.api.types.is_float_dtype(column) and column.is_unique
    return bool(whole) and not is_date(column)


def _remark(side: _Side, tables: Tables) -> str:
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
    return _some([repr(name) for name in names])


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
