"""The roles of the columns: which are the targets, which are not used.

Owns: matching the sample submission against train. Ids are found in `kit.scaffold.ids`; values of
targets are the business of `kit.scaffold.task`.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from kit.errors import ConfigError, nearest
from kit.scaffold.copies import copied_columns
from kit.scaffold.facts import Inference, Wishes
from kit.scaffold.files import Tables
from kit.scaffold.ids import Ids
from kit.scaffold.long_ids import refuse_names_of_columns
from kit.spelling import find_name, match_classes, normal

if TYPE_CHECKING:
    import pandas as pd

_SIMILAR = 0.6  # difflib's own cutoff for "close"
_MANY_CLASSES = 2000
_EXPECTED = 20  # values of a column that test should have, going by train's share
_SPREAD = re.compile(
    r"variance|(^|_)(var|std|sd|se|stderr)$|(standard|std)_?(error|dev)", re.IGNORECASE
)


@dataclass(frozen=True, kw_only=True)
class Targets:
    """What is predicted.

    Attributes:
        names: columns of train.
        columns: columns of the sample submission after the id.
        classes: class per submission column where they are named after classes, else empty.
        copied: columns of the sample submission that repeat those of test.
    """

    names: tuple[str, ...]
    columns: tuple[str, ...]
    classes: dict[str, str] = field(default_factory=dict)
    copied: tuple[str, ...] = ()


def find_targets(tables: Tables, ids: Ids, wishes: Wishes, inference: Inference) -> Targets:
    """Find what is predicted and note it.

    Raises:
        ConfigError: the files leave several readings; lists the columns that only train has.
    """
    only = [c for c in tables.train.columns if c not in tables.test.columns and c != ids.train]
    only = only or _empty_in_test(tables)  # a column for the answers, left blank
    copied = copied_columns(tables, ids.sample, ids.test)
    columns = () if tables.sample is None else _after_id(tables.sample, ids.sample, copied)
    asked = wishes.get("target")
    if asked is not None:
        targets, because, sure = _asked_targets(tables.train, columns, wishes), asked.because, True
    else:
        targets, because, sure = _targets_by_files(tables, columns, only, inference)
    value = targets.names[0] if len(targets.names) == 1 else list(targets.names)
    inference.add("columns.target", value, because, sure=sure)
    return replace(targets, copied=copied)


def drop_columns(
    tables: Tables, ids: Ids, targets: Targets, kept: Sequence[str], inference: Inference
) -> list[str]:
    """Note the columns that are not used; returns the features, in the order of train."""
    roles = {*targets.names, ids.train, ids.test, *kept}
    absent = [c for c in tables.train.columns if c not in tables.test.columns and c not in roles]
    because = "test lacks them: a model cannot use them" if absent else "test has the same columns"
    known = {*tables.train.columns, ids.test, *targets.names}
    empty = [c for c in _empty_in_test(tables) if c not in roles]
    extra = [c for c in tables.test.columns if c not in known]
    if extra:
        shown = ", ".join(repr(name) for name in extra[:5])
        because += f"; not used either: {shown}, which train lacks"
    if empty:
        because += f"; of {', '.join(map(repr, empty[:5]))} test has no value at all"
    inference.add("columns.drop", [*absent, *empty], because)
    hidden = {*targets.names, ids.train, ids.test, *absent, *empty}
    return [c for c in tables.train.columns if c not in hidden and c in tables.test.columns]


def _empty_in_test(tables: Tables) -> list[str]:
    """Columns with values in train and none in test, where chance leaves some in test as well.

    What train has there, and where, may tell the target; of a test row nothing is known.
    """
    test = tables.test
    return [
        name
        for name in map(str, tables.train.columns)
        if name in test
        and test[name].isna().all()
        and tables.train[name].notna().mean() * len(test) >= _EXPECTED
    ]


def _after_id(sample: pd.DataFrame, sample_id: str, copied: Sequence[str]) -> tuple[str, ...]:
    columns = tuple(str(c) for c in sample.columns if c not in (sample_id, *copied))
    if not columns:
        raise ConfigError(
            f"the sample submission has one column only ({sample_id!r}); an id and one column per "
            "prediction are expected.\n  Name another file with --sample."
        )
    return columns


def _asked_targets(train: pd.DataFrame, columns: Sequence[str], wishes: Wishes) -> Targets:
    names = []
    for asked in wishes.names("target"):
        parts = [asked] if find_name(asked, train.columns) else asked.split(",")
        for part in parts:
            found = find_name(part, train.columns)
            if found is None:
                raise ConfigError(
                    f"--target {part.strip()!r} is no column of train. "
                    f"{nearest(part.strip(), map(str, train.columns))}"
                )
            names.append(found)
    classes = _class_columns(train, columns, names) if len(names) == 1 else None
    if classes is not None:
        return Targets(names=tuple(names), columns=tuple(columns), classes=classes[1])
    shown = [find_name(column, names) for column in columns]
    if columns and len(columns) != len(names):
        raise ConfigError(
            f"--target names {len(names)} column(s) of train, however the sample submission has "
            f"{len(columns)} columns after the id: {', '.join(columns[:8])}.\n"
            "  One per target is expected, or one per class of a single target."
        )
    if None not in shown and len(set(shown)) == len(names):
        names = [str(name) for name in shown]  # targets and submission columns run in parallel
    return Targets(names=tuple(names), columns=tuple(columns) or tuple(names))


def _targets_by_files(
    tables: Tables, columns: Sequence[str], only: list[str], inference: Inference
) -> tuple[Targets, str, bool]:
    train, test = tables.train, tables.test
    if tables.sample is None:
        name = _only_one(only, "there is no sample submission and ")
        inference.ask(f"the target {name!r} is the one column that test lacks; else --target NAME")
        return Targets(names=(name,), columns=(name,)), "the one column that test lacks", False
    matched = {c: same for c in columns if (same := find_name(c, train.columns))}
    # a column that test has too is copied into the sample, unless test's is empty
    filled = [c for c, same in matched.items() if same in test and test[same].notna().any()]
    if len(matched) == len(columns) and not (filled and len(filled) < len(matched)):
        if filled:
            inference.ask(f"test holds the target {filled[0]!r} as well; else --target NAME")
        noun = "column" if len(columns) == 1 else "columns"
        because = f"the sample submission's {noun} after the id, found in train"
        return Targets(names=tuple(matched.values()), columns=tuple(columns)), because, not filled
    classes = _class_columns(train, columns, only) if len(columns) > 1 else None
    if classes is not None:
        name, pairs = classes
        because = f"the sample submission's columns are named after the classes of {name!r}"
        absent = [column for column, label in pairs.items() if not label]
        if absent:
            shown = ", ".join(map(repr, absent[:5]))
            inference.ask(f"no row of train is of the class of {shown}: kit hands in 0 there")
        return Targets(names=(name,), columns=tuple(columns), classes=pairs), because, True
    if len(columns) == 1:
        _refuse_boxes(tables.sample, columns[0])
        refuse_names_of_columns(tables.sample, test, columns[0], only)
        name, because = _close(columns[0], only)
        inference.ask(
            f"the target is taken to be {name!r}, although the sample submission calls its column "
            f"{columns[0]!r}; else --target NAME"
        )
        return Targets(names=(name,), columns=tuple(columns)), because, False
    if filled:
        raise ConfigError(
            f"the sample submission repeats columns of test ({', '.join(map(repr, filled[:6]))}); "
            "an id and predictions only are expected.\n  Take them out of a copy of it in the same "
            "folder and name that with --sample, or name the target with --target."
        )
    strange = [c for c in columns if c not in matched]
    raise ConfigError(
        f"the sample submission's columns {', '.join(map(repr, strange[:6]))} are neither targets "
        "in train nor named after the classes of one.\n"
        f"  Only train has: {', '.join(only) or '(none)'}. Name the target with --target."
    )


def _refuse_boxes(sample: pd.DataFrame, column: str) -> None:
    """Objects and where they are in an image, in a cell, are nothing that kit predicts."""
    if normal(column) != "predictionstring":
        return
    shown = next((f", such as {value!r}" for value in sample[column].dropna()), "")
    raise ConfigError(
        f"the sample submission asks for the objects in each image ({column!r}{shown}); kit "
        "predicts a class, labels or numbers per row, no boxes.\n  Where a part of it is such a "
        "question (is there anything, which), write train, test and sample submission for that "
        "part, and name their folder with --from; or name a column of train with --target."
    )


def _class_columns(
    train: pd.DataFrame, columns: Sequence[str], names: Sequence[str]
) -> tuple[str, dict[str, str]] | None:
    """The train column after whose classes the submission's columns are named, and the pairs."""
    if len(columns) < 2:
        return None
    for name in names:
        values = train[name].dropna().astype("str").str.strip().unique()
        if len(values) > _MANY_CLASSES:
            continue
        pairs = match_classes(columns, map(str, values))
        if pairs is not None and len(pairs) == len(values):
            return name, pairs
        known = set(map(str, values))
        for start in (0, _common_start(columns)):
            spelled = [column.strip()[start:] for column in columns]
            if len(values) > 1 and known < set(spelled):  # some are not in train
                return name, {
                    c: label if label in known else ""
                    for c, label in zip(columns, spelled, strict=True)
                }
    return None


def _common_start(columns: Sequence[str]) -> int:
    """Letters up to the last mark that all names begin with: 6 of "class_1" and "class_15"."""
    start: str = os.path.commonprefix([column.strip() for column in columns])  # noqa: RUF071  of letters
    return len(re.sub(r"[^\W_]*$", "", start))


def _close(column: str, only: list[str]) -> tuple[str, str]:
    """The train-only column that a sample column of another name means."""
    # how sure the target is stands beside it, and is not asked for
    only = [name for name in only if not _SPREAD.search(name)] or only
    if len(only) == 1:
        return only[0], "the one column that test lacks"
    by_normal = {normal(name): name for name in only}
    if "target" in by_normal:
        return by_normal["target"], "the column of train that is called so"
    asked = re.sub(r"^pred(icted|iction)?", "", normal(column)) or normal(column)
    inside = [n for key, n in by_normal.items() if key and (key in normal(column) or asked in key)]
    close = difflib.get_close_matches(normal(column), by_normal, n=1, cutoff=_SIMILAR)
    if len(inside) == 1 or (close and not inside):
        name = inside[0] if len(inside) == 1 else by_normal[close[0]]
        return name, f"its name is like the sample submission's {column!r}"
    return _only_one(only, f"the sample submission's {column!r} is no column of train and "), ""


def _only_one(only: list[str], why: str) -> str:
    if len(only) == 1:
        return only[0]
    found = f"test lacks {len(only)} columns of train: {', '.join(only)}"
    if not only:
        found = "train has no column that test lacks"
    raise ConfigError(f"which column is the target? {why}{found}.\n  Name it with --target.")
