"""Tables beside train and test: by which columns their rows belong to those of both.

Owns: what `kit new` writes into `[joins]` about stores.csv, weather.csv and the like, and what it
says of those that it leaves alone.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pandas as pd

from kit.errors import DataError
from kit.joins import looked_up
from kit.scaffold.beside import but_crowds, free, more_rows, stem, together
from kit.scaffold.facts import Inference
from kit.scaffold.files import Tables
from kit.scaffold.sides import (
    Join,
    Side,
    ids_alone,
    join_of,
    remark,
    renamed_side,
    side_of,
    some,
    with_more,
)
from kit.spelling import find_name
from kit.tables import read_header

_TABLES = 12


def with_joins(raw: Path, tables: Tables, inference: Inference) -> Tables:
    """Join what can be joined, and say of the other tables what is in the way.

    A table is joined where its keys tell its rows apart and it knows as much of test as of train;
    or where its rows belong to single rows of train and test, told by a column that repeats in
    neither: then they are summed up, with what tables that share no column with train and test say
    of these rows. Tables with a key that another one brings come after those (weather by the site
    of a building), and tables that call a key otherwise at last; all others are joined as if there
    were none.

    Args:
        raw: the folder of the files.
        tables: train and test as read.
        inference: takes `[joins]` and the remarks.

    Returns:
        The tables with the columns that are brought.
    """
    others, rest = but_crowds(tables.paths.others, raw)
    key, remarks = str(inference.get("columns.id", "")), dict[str, str]()
    more = more_rows(others, tables, key)
    inference.questions += filter(None, more.values())
    waiting = together([path for path in others if path not in more], tables)
    joining = _Joining(raw, tables, waiting, inference)
    for paths in joining.waiting:
        side = joining.read(paths, tables)
        if side is not None and not joining.take(paths, side, tables):
            remarks[side.file] = remark(side, tables)
    for paths in joining.waiting if joining.done else ():
        side = joining.read(paths, joining.seen)
        if side is not None and joining.take(paths, side, joining.seen):
            remarks.pop(side.file, None)
    for paths in joining.waiting:
        side = joining.read(paths, tables, key=key)
        if side is not None and joining.take(paths, side, tables):
            remarks.pop(side.file, None)
        elif joining.named(paths) not in {*remarks, *joining.done}:
            rest += joining.files(paths) if joining.brings(paths) else []
    inference.questions += remarks.values()
    _say_what_was_done(joining.done, rest, inference)
    return joining.joined()


class _Joining:
    """Train and test as they take columns of tables beside them.

    Args:
        raw: the folder of the files.
        tables: train and test as read.
        waiting: the tables beside them: the files of each, whose rows follow one another.
        inference: takes `[joins]`.

    Attributes:
        seen: train and test with the columns that were brought.
        done: by files of a table what its join is called.
    """

    def __init__(
        self, raw: Path, tables: Tables, waiting: Sequence[Sequence[Path]], inference: Inference
    ) -> None:
        self.raw, self.tables, self.waiting, self.inference = raw, tables, waiting, inference
        self.own = {*tables.train.columns, *tables.test.columns}
        self.seen, self.done, self.theirs = tables, dict[str, str](), set[str]()

    def files(self, paths: Sequence[Path]) -> list[str]:
        """The names of a table's files below the folder."""
        return [path.relative_to(self.raw).as_posix() for path in paths]

    def named(self, paths: Sequence[Path]) -> str:
        """What a table is called in remarks."""
        return ", ".join(self.files(paths))

    def brings(self, paths: Sequence[Path]) -> bool:
        """Whether a table has a column that train lacks, so that it may be of use."""
        return not {name.strip() for name in _header(paths)} <= {*self.tables.train.columns}

    def read(
        self,
        paths: Sequence[Path],
        tables: Tables,
        own: Collection[str] | None = None,
        key: str | None = None,
    ) -> Side | None:
        """A table as it lies beside others; with a key, one that calls it otherwise.

        Args:
            paths: its files.
            tables: the others: train and test, or a table twice.
            own: the columns that these have themselves; None: those of train and test.
            key: the id of the rows of train.
        """
        file = self.named(paths)
        if file in self.done or len(self.done) >= _TABLES:
            return None
        with suppress(DataError):  # no table of kit's: nothing depends on it
            if key is None:
                return side_of(paths, file, tables, self.own if own is None else own)
            return renamed_side(paths, file, tables, key)
        return None

    def take(self, paths: Sequence[Path], side: Side, tables: Tables) -> bool:
        """Join a table, where it can be, with what belongs to its rows in turn."""
        join = join_of(side, tables)
        if join is None:
            return False
        name = self.done[side.file] = self._free(paths)
        join, below = self._with_below(side, join) if join.summed else (join, [])
        brought, prefix = _named(join, name, self.seen.train)
        self._note(paths, join, prefix)
        for inner_paths, inner, inner_prefix in below:
            self._note(inner_paths, inner, inner_prefix, via=name)
        if join.summed or not ids_alone(self.tables):  # else they are what test itself says
            self.theirs |= {*brought.columns}
        train, test = (_wider(each, brought, join.on) for each in (self.seen.train, self.seen.test))
        self.seen = replace(self.seen, train=train, test=test)
        return True

    def joined(self) -> Tables:
        """The tables with the columns that are brought."""
        joined = frozenset(self.theirs - {*self.tables.train.columns})
        return replace(self.seen, joined=joined)

    def _with_below(
        self, side: Side, join: Join
    ) -> tuple[Join, list[tuple[Sequence[Path], Join, str]]]:
        """A join that also has what tables bring whose rows belong to its own; these, with prefix.

        They have no column of train and test: else they would have been joined to these.
        """
        both = {*self.tables.train.columns} & {*self.tables.test.columns}
        around = replace(self.tables, train=side.frame, test=side.frame)
        frame, more, found = side.frame, list[str](), []
        for paths in self.waiting:
            if any(find_name(name.strip(), both) for name in _header(paths)):
                continue
            below = self.read(paths, around, {*side.frame.columns})
            inner = None if below is None else join_of(below, around, of=side.file)
            if inner is None:
                continue
            name = self._free(paths)
            brought, prefix = _named(inner, name, frame)
            columns = [column for column in brought.columns if column not in inner.on]
            wider = _wider(frame, brought, inner.on)
            larger = with_more(join, wider, [*more, *columns])
            if larger is not None:
                join, frame, more = larger, wider, [*more, *columns]
                self.done[self.named(paths)] = name
                found.append((paths, inner, prefix))
        return join, found

    def _free(self, paths: Sequence[Path]) -> str:
        """A name for a join that no other one has."""
        return free(stem(paths[0], apart=len(paths) == 1), self.done.values())

    def _note(self, paths: Sequence[Path], join: Join, prefix: str, via: str = "") -> None:
        files, name, add = self.files(paths), self.done[self.named(paths)], self.inference.add
        add(f"joins.{name}.file", files[0] if len(files) == 1 else files, "")
        add(f"joins.{name}.on", [*join.on], join.because)
        if join.renamed:
            add(f"joins.{name}.file_on", [join.renamed.name], join.renamed.because)
        if via:
            add(f"joins.{name}.via", via, f"its columns become columns of [joins.{via}] first")
        add(f"joins.{name}.columns", [*join.columns], "")
        if prefix:
            add(f"joins.{name}.prefix", prefix, "before the names of its columns")
        if join.summed:
            add(f"joins.{name}.summarised", True, "counts, means, shares of its rows")


def _wider(frame: pd.DataFrame, brought: pd.DataFrame, on: Sequence[str]) -> pd.DataFrame:
    return pd.concat([frame, looked_up(brought, frame, on)], axis=1)


def _say_what_was_done(done: Mapping[str, str], rest: Sequence[str], inference: Inference) -> None:
    if done:
        inference.ask(
            f"joined to train and test: {some([*done])}. Take out of {_tables(done)} what is "
            "not known yet when a test row is predicted"
        )
    if rest:
        inference.ask(
            f"models see one table of train and one of test. Not used: {some(rest)}. What helps "
            "in them, join it into copies of train and test in a folder for --from"
        )


def _tables(done: Mapping[str, str]) -> str:
    return some([f"[joins.{name}]" for name in done.values()])


def _named(join: Join, name: str, frame: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """The table with the names its columns get, and their prefix: none where they are free."""
    brought = [column for column in join.frame.columns if column not in join.on]
    if not join.summed and not set(brought) & set(frame.columns):
        return join.frame, ""
    prefix = f"{name}_"
    return join.frame.rename(columns={column: f"{prefix}{column}" for column in brought}), prefix


def _header(paths: Sequence[Path]) -> list[str]:
    """The names of a table's columns; none where it cannot be read."""
    with suppress(DataError):
        return read_header(paths[0])
    return []
