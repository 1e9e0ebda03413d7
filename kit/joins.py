"""Tables beside train and test whose columns become columns of both: `[joins]` of `kit.toml`.

A table with one row per key is looked up. One with several rows per key, `summarised`, is first
made into one row: how many there are, the mean, spread, smallest and largest of each number (of
dates as days since 1970), how many different values a column of words has, which is most frequent,
and the share of each of a few. One whose rows belong to those of another table (`via`) brings its
columns to that table first.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict
from functools import cached_property
from pathlib import Path

import pandas as pd
import pyarrow as pa

from kit.atomic import atomic_path, sha256
from kit.competition import Competition
from kit.errors import ConfigError, DataError, DiskFull, counted, nearest
from kit.kinds import as_moments
from kit.moments import datetime_format
from kit.settings import JoinSpec
from kit.spelling import find_name
from kit.tables import read_header, read_table

_STATISTICS = ("mean", "std", "min", "max")
_FEW_LEVELS = 8  # of a column of words: their shares are columns
_MOST_LEVELS = 100  # above it the most frequent value says nothing either
_MOST_NAMES = 1000  # levels of a column of which the most frequent ones have shares ...
_MOST_SHARES = 60  # ... so many of them
_MOST_MADE = 150  # columns made of a table, above which there are no such shares
_VERSION = 3  # of what summaries hold


class Joins:
    """The tables beside train and test of one competition.

    Args:
        competition: has `[joins]`.
        text: columns of the joined frames that stay as they are spelled.
        prepared: a folder `save` wrote to, for the tables whose files are not below `data/raw`.
    """

    def __init__(
        self,
        competition: Competition,
        text: Collection[str] = (),
        prepared: Path | None = None,
    ) -> None:
        self.competition, self.text, self.prepared = competition, frozenset(text), prepared
        self.specs = competition.settings.joins

    @cached_property
    def tables(self) -> dict[str, pd.DataFrame]:
        """By name of the join to train and test: the keys and what they bring, one row per key.

        Raises:
            ConfigError: a column that the file lacks.
            DataError: the file cannot be read, or rows repeat their keys.
        """
        found = {}
        for k, (name, spec) in enumerate(self._below("").items()):
            here = all(path.is_file() for path in self._paths(name))
            if self.prepared is None or here:
                found[name] = self._kept(name, spec)
            else:
                found[name] = pd.read_parquet(self.prepared / f"join-{k}.parquet")
        return found

    @property
    def keys(self) -> list[str]:
        """Columns that train and test need for it."""
        return [*dict.fromkeys(key for spec in self._below("").values() for key in spec.on)]

    @property
    def names(self) -> list[str]:
        """Columns that are brought."""
        return [
            name
            for join, spec in self._below("").items()
            for name in self.tables[join].columns
            if name not in spec.on
        ]

    def digest(self) -> str:
        """Hash of the files and of how they are joined; empty without any."""
        if not self.specs:
            return ""
        told = json.dumps({n: _told(spec) for n, spec in self.specs.items()}, sort_keys=True)
        files = [sha256(path) for name in self._below("") for path in self._paths(name)]
        return hashlib.sha256("\n".join([told, *files]).encode()).hexdigest()

    def join(self, frame: pd.DataFrame) -> pd.DataFrame:
        """A frame with the columns its keys bring, missing where a key is not known.

        Raises:
            ConfigError: the frame lacks a key, or has a column of a name that is brought.
        """
        return self._brought("", frame)

    def save(self, folder: Path) -> None:
        """Write the tables as `prepared` expects them."""
        for k, table in enumerate(self.tables.values()):
            table.to_parquet(folder / f"join-{k}.parquet", compression="zstd")

    def _below(self, via: str) -> dict[str, JoinSpec]:
        """The tables whose rows belong to those of another; of train and test for ""."""
        return {name: spec for name, spec in self.specs.items() if spec.via == via}

    def _within(self, name: str) -> list[str]:
        """A table, and those that come through it."""
        return [name, *(each for inner in self._below(name) for each in self._within(inner))]

    def _prefix(self, name: str) -> str:
        """What its columns begin with in train and test."""
        spec = self.specs[name]
        return (self._prefix(spec.via) if spec.via else "") + spec.prefix

    def _paths(self, name: str) -> list[Path]:
        """The files of a table, and of those that come through it."""
        specs = [self.specs[each] for each in self._within(name)]
        return [self.competition.raw / file for spec in specs for file in spec.file]

    def _brought(self, via: str, frame: pd.DataFrame) -> pd.DataFrame:
        """The rows of a table with what the tables below it bring."""
        for name, spec in self._below(via).items():
            self._check_keys(name, spec, frame)
            table = self._kept(name, spec) if via else self.tables[name]
            self._check_columns(name, spec, frame, table)
            frame = pd.concat([frame, looked_up(table, frame, spec.on)], axis=1)
        return frame

    def _kept(self, name: str, spec: JoinSpec) -> pd.DataFrame:
        """A table as it is joined; summaries are kept, since they take longer than reading them."""
        if not spec.summarised:
            return self._made(name, spec)
        told = [_told(self.specs[each]) for each in self._within(name)]
        facts = [_VERSION, *told, sorted(self.text), *map(sha256, self._paths(name))]
        key = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]
        path = self.competition.cache / f"join-{key}.parquet"
        with suppress(OSError, ValueError, pa.ArrowException):  # not there, or damaged
            return pd.read_parquet(path)
        table = self._made(name, spec)
        with suppress(DiskFull, ValueError, TypeError, pa.ArrowException):
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_path(path) as temporary:
                table.to_parquet(temporary, compression="zstd")
        return table

    def _made(self, name: str, spec: JoinSpec) -> pd.DataFrame:
        table = self._read(name, spec)
        own = {*table.columns}
        table = self._brought(name, table)
        columns = [*spec.columns, *(column for column in table.columns if column not in own)]
        if spec.summarised:
            return summarised(table, spec.on, columns, spec.prefix)
        twice = int(table.duplicated([*spec.on]).sum())
        if twice:
            raise DataError(
                f"joins.{name}: {', '.join(spec.file)} must have one row per "
                f"{', '.join(spec.keys)}, however "
                f"{counted(twice, 'row repeats', 'rows repeat')} an earlier one's.\n"
                f"  Name further key columns in joins.{name}.on, or set joins.{name}.summarised."
            )
        renamed = {column: f"{spec.prefix}{column}" for column in columns}
        return table[[*spec.on, *columns]].rename(columns=renamed)

    def _read(self, name: str, spec: JoinSpec) -> pd.DataFrame:
        """The rows of a table that have its keys, with the keys of the tables below it."""
        own = [column.removeprefix(self._prefix(name)) for column in self.text]
        keys = zip(spec.on, spec.keys, strict=True)
        text = [*own, *(theirs for ours, theirs in keys if ours in self.text)]
        file, names = ", ".join(spec.file), [*spec.keys, *spec.columns]
        further = {key: inner for inner, below in self._below(name).items() for key in below.on}
        names += [key for key in further if key not in {*names, *spec.on}]
        paths = [self.competition.raw / each for each in spec.file]
        parts = [read_called(path, names, as_text=text) for path in paths]
        table = pd.concat(parts, ignore_index=True)
        keyed = f"{name}.file_on" if spec.file_on else f"{name}.on"
        wanted = [(keyed, key) for key in spec.keys]
        wanted += [(f"{name}.columns", column) for column in spec.columns]
        wanted += [(f"{inner}.on", key) for key, inner in further.items() if key not in spec.on]
        for key, column in wanted:
            if column not in table.columns:
                raise ConfigError(
                    f"{self.competition.origin(f'joins.{key}')}: joins.{key}: "
                    f"{file} has no {column!r}. {nearest(column, table.columns)}"
                )
        # chosen first: the file may call something else as train calls its key
        table = table[names].rename(columns=dict(zip(spec.keys, spec.on, strict=True)))
        table = table.dropna(subset=[*spec.on])
        words = [key for key in spec.on if not pd.api.types.is_numeric_dtype(table[key])]
        return table.assign(**{key: spelled(table[key]) for key in words})  # as they are compared

    def _check_keys(self, name: str, spec: JoinSpec, frame: pd.DataFrame) -> None:
        absent = [key for key in spec.on if key not in frame.columns]
        if absent:
            raise ConfigError(
                f"{self.competition.origin(f'joins.{name}.on')}: joins.{name}.on: train and test "
                f"need the key {absent[0]!r}. {nearest(absent[0], frame.columns)}"
            )

    def _check_columns(
        self, name: str, spec: JoinSpec, frame: pd.DataFrame, table: pd.DataFrame
    ) -> None:
        brought = [column for column in table.columns if column not in spec.on]
        twice = [column for column in brought if column in frame.columns]
        if twice:
            raise ConfigError(
                f"{self.competition.origin(f'joins.{name}.columns')}: joins.{name} brings "
                f"{twice[0]!r}, which is there already.\n"
                f"  Set joins.{name}.prefix, or take the column out of joins.{name}.columns."
            )


def _told(spec: JoinSpec) -> dict[str, object]:
    """What a digest covers of a join; what came later does not change those without it."""
    late = ("file_on", "via")
    return {key: value for key, value in asdict(spec).items() if key not in late or value}


def read_called(
    path: Path, names: Collection[str], *, as_text: Collection[str] = ()
) -> pd.DataFrame:
    """Read a table; columns that only spell one of `names` otherwise are called by it.

    The test half of a table may have "id-01" where the train half has "id_01".

    Args:
        path: the file.
        names: what columns are to be called.
        as_text: columns, by these names, that stay as they are spelled.

    Raises:
        DataError: the file cannot be read.
    """
    header = [name.strip() for name in read_header(path)] if path.is_file() else []
    absent = [name for name in names if name not in header]
    called = {found: name for name in absent if (found := find_name(name, header))}
    text = [name for name in header if called.get(name, name) in as_text]
    return read_table(path, as_text=text).rename(columns=called)


def looked_up(table: pd.DataFrame, frame: pd.DataFrame, on: Sequence[str]) -> pd.DataFrame:
    """The columns a table has for the keys of a frame, in the order and with the index of it.

    Args:
        table: one row per key, no key missing.
        frame: has the key columns; numbers written as words find numbers.
        on: the key columns.
    """
    left, right = frame[[*on]].copy(), table.copy()
    for key in on:
        if not all(pd.api.types.is_numeric_dtype(side[key]) for side in (left, right)):
            left[key], right[key] = spelled(left[key]), spelled(right[key])
    found = left.merge(right, how="left", on=[*on]).drop(columns=[*on])
    return found.set_axis(frame.index)


def spelled(column: pd.Series) -> pd.Series:
    """Values as words: 3.0 as "3", what is missing missing."""
    if pd.api.types.is_float_dtype(column) and (column.dropna() % 1 == 0).all():
        column = column.astype("Int64")
    return column.astype("str").str.strip().where(column.notna())


def summarised(
    table: pd.DataFrame, on: Sequence[str], columns: Sequence[str], prefix: str
) -> pd.DataFrame:
    """One row per key.

    Args:
        table: several rows per key.
        on: the key columns.
        columns: those to sum up.
        prefix: of the names that are made.
    """
    table = table.assign(**{name: _days(table[name]) for name in columns if is_date(table[name])})
    groups = table.groupby([*on], sort=True, observed=True)
    parts = [groups.size().rename("rows")]
    shares = _shares(table, columns)
    for name in columns:
        if pd.api.types.is_numeric_dtype(table[name]):
            numbers = groups[name].agg([*_STATISTICS]).astype("float32")
            parts += [numbers[each].rename(f"{name}_{each}") for each in _STATISTICS]
        else:
            parts += _of_words(table, on, name, shares)
    # copied: of hundreds of parts pandas warns, when the keys become columns
    made = pd.concat(parts, axis=1).add_prefix(prefix).copy()
    return made.reset_index()


def _shares(table: pd.DataFrame, columns: Sequence[str]) -> int:
    """Of how many levels a column of more than a few shows the shares; 0: there is no room."""
    numbers = [name for name in columns if pd.api.types.is_numeric_dtype(table[name])]
    levels = [table[name].nunique() for name in columns if name not in numbers]
    few = [n for n in levels if n <= _FEW_LEVELS]
    wide = [n for n in levels if _FEW_LEVELS < n <= _MOST_NAMES]
    made = 1 + len(_STATISTICS) * len(numbers) + sum(few) + 2 * len(levels)
    each = min(_MOST_SHARES, (_MOST_MADE - made) // len(wide)) if wide else 0
    return each if each >= _FEW_LEVELS else 0


def is_date(column: pd.Series) -> bool:
    """Whether a column holds dates, as such or as words of one format."""
    if pd.api.types.is_datetime64_any_dtype(column):
        return True
    return not pd.api.types.is_numeric_dtype(column) and datetime_format(column) is not None


def _days(column: pd.Series) -> pd.Series:
    return (as_moments(column) - pd.Timestamp(0)).dt.total_seconds() / 86_400


def _of_words(
    table: pd.DataFrame, on: Sequence[str], name: str, shares: int
) -> Iterator[pd.Series]:
    """What the words of a key have in common.

    Args:
        table: several rows per key.
        on: the key columns.
        name: the column of words.
        shares: of so many levels, where there are more than a few.
    """
    words = table[name].astype("str").where(table[name].notna())
    keys = [table[key] for key in on]
    yield words.groupby(keys, sort=True).nunique().rename(f"{name}_values")
    levels = sorted(words.dropna().unique())
    if len(levels) <= _FEW_LEVELS:
        for level in levels:
            flags = (words == level).astype("float32")
            yield flags.groupby(keys).mean().rename(f"{name}_{level}")
    if not 1 < len(levels) <= _MOST_NAMES:
        return
    counts = words.groupby([*keys, words]).size().rename("n")
    if len(levels) <= _MOST_LEVELS:
        order = counts.reset_index(level=-1).sort_values("n", ascending=False, kind="stable")
        first = order[~order.index.duplicated()]
        yield first[name].rename(f"{name}_most")
    if shares and len(levels) > _FEW_LEVELS:
        sizes = table.groupby([*on], sort=True, observed=True).size()
        frequent = words.value_counts().sort_index().sort_values(ascending=False, kind="stable")
        for level in sorted(frequent.index[:shares]):
            if level in ("values", "most"):  # these names are taken
                continue
            found = counts.xs(level, level=-1).reindex(sizes.index, fill_value=0)
            yield (found / sizes).astype("float32").rename(f"{name}_{level}")
