"""Tables beside train and test: which of them are one, and what they are called.

Owns: names and headers of the files; their rows are the business of `kit.scaffold.joins`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path

import pandas as pd

from kit.errors import DataError, counted
from kit.sampled import among, read_columns
from kit.scaffold.files import ANSWERS, Tables
from kit.scaffold.no_tables import crowds, outside_crowds
from kit.spelling import find_name, normal, plain
from kit.tables import read_header

_PARTS = ("train", "training", "test", "testing")


def but_crowds(paths: Sequence[Path], raw: Path) -> tuple[list[Path], list[str]]:
    """The tables that may be joined, and folders of so many that each is of a row by itself."""
    return outside_crowds(paths), crowds(paths, raw)


def together(paths: Sequence[Path], tables: Tables) -> list[list[Path]]:
    """Tables one by one, but what is split as train and test are: "train_identity" and its test.

    Where answers were taken out of the train half, it has them as well.
    """
    made = tables.paths.train.name == ANSWERS
    answers = {*map(normal, tables.train.columns)} - {*map(normal, tables.test.columns)}
    found = dict[tuple[Path, str], list[Path]]()
    for path in paths:
        found.setdefault((path.parent, stem(path)), []).append(path)
    return [
        part
        for group in found.values()
        for part in (
            [group]
            if len(group) == 2 and _alike(group[0], group[1], answers if made else ())
            else [[p] for p in group]
        )
    ]


def more_rows(paths: Sequence[Path], tables: Tables, key: str) -> dict[Path, str]:
    """Tables with the columns of train, the answer among them, and what to do with their rows.

    Nothing, where train and test have them all: other submissions, or what both were cut from.

    Args:
        paths: tables beside train and test.
        tables: train and test.
        key: the id of the rows of train, which such a table may lack; empty: they have none.
    """
    wanted = {*map(normal, tables.train.columns)} - {normal(key)}
    found = {}
    for path in paths:
        with suppress(DataError):  # no table of kit's: nothing depends on it
            header = [*map(str.strip, read_header(path))]
            if {*map(normal, header)} - {normal(key)} != wanted:
                continue
            own = find_name(key, header) if key else None
            found[path] = (
                f"{path.name} has the columns of train{'' if own or not key else f' but {key!r}'}: "
                "if these are more rows to learn from, append them to a copy of train in a folder "
                "for --from"
            )
            if own:
                theirs, ours = read_columns(path, [own])[own], tables.whole([key])[key]
                asked = find_name(key, tables.test.columns)
                known = [ours, tables.test[asked]] if asked else [ours]
                if among(plain(theirs), plain(pd.concat(known))).all():
                    found[path] = ""
                elif among(plain(ours), plain(theirs)).all():
                    found[path] = (
                        f"{path.name} has {counted(len(theirs), 'row', 'rows')}, the {len(ours)} "
                        f"of train among them: to learn from all, --train {path.name}"
                    )
    return found


def stem(path: Path, *, apart: bool = False) -> str:
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


def free(name: str, taken: Collection[str]) -> str:
    """A name that is not taken yet: with a number behind it, if need be."""
    return next(n for n in (name, *(f"{name}_{k}" for k in range(2, 99))) if n not in taken)
