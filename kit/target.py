"""The target as numbers: class codes, values, or several columns of either."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kit.errors import DataError, counted
from kit.kinds import some
from kit.labels import flags_of
from kit.quantities import as_numbers
from kit.sampled import among
from kit.separators import MISSING
from kit.settings import TaskSpec, TaskType


def labelled(train: pd.DataFrame, target: Sequence[str], task: TaskSpec) -> NDArray[np.bool_]:
    """Which rows have a target: all but those of which every target is missing.

    Cells of several labels may be empty: such a row has none of them.

    Args:
        train: rows of the train file.
        target: its columns that are predicted.
        task: the `[task]` table.

    Shape:
        ``(n_train,)``
    """
    if task.separator:
        return np.ones(len(train), dtype=bool)
    gone = [missing_cells(train[name], task.classes) for name in target]
    return ~np.asarray(np.logical_and.reduce(gone), dtype=bool)


def with_target(train: pd.DataFrame, target: Sequence[str], task: TaskSpec) -> pd.DataFrame:
    """The rows that have a target (see `labelled`); the index says where they stand in the file.

    Raises:
        DataError: there is none.
    """
    known = labelled(train, target, task)
    if not known.any():
        raise no_target(target)
    return train if known.all() else train[known]


def no_target(target: Sequence[str]) -> DataError:
    """The error where no training row can be learned from."""
    names = ", ".join(map(repr, target))
    return DataError(
        f"no training row has a target: {names} is missing in all of them.\n"
        "  Name another target: [columns] target in kit.toml."
    )


def told_of(left_out: int, n_rows: int, target: Sequence[str]) -> list[str]:
    """The note on the rows without a target, where there are any, of all rows of the file."""
    names = ", ".join(map(repr, target))
    told = f"{left_out} of {n_rows} training rows have no target ({names})"
    return [f"{told} and are left out"] if left_out else []


def missing_cells(column: pd.Series, classes: Sequence[str] = ()) -> NDArray[np.bool_]:
    """Cells of a target that say nothing: empty, or blank.

    Where all classes are numbers, or the target is one, also "NA" and what else pandas takes as
    missing; beside words it may be a label. ``(n,)``
    """
    gone: NDArray[np.bool_] = column.isna().to_numpy()
    if pd.api.types.is_numeric_dtype(column):
        return gone
    numbers = pd.to_numeric(pd.Series(classes, dtype="str"), errors="coerce").notna().all()
    words = [word for word in MISSING if numbers and word not in classes] or [""]
    return gone | among(column.astype("str").str.strip(), pd.Series(words, dtype="str"))


def encode_target(
    train: pd.DataFrame,
    target: Sequence[str],
    task: TaskType,
    classes: Sequence[str],
    ids: NDArray[np.str_],
    separator: str = "",
) -> NDArray[Any]:
    """The target as numbers (see `Dataset`).

    With a `separator` the cells of the one column hold several labels, or none.

    Raises:
        DataError: a target is missing in some row, labels that `task.classes` does not list, one
            value only, a row of which not exactly one class is 1.
    """
    frame = train[list(target)]
    if separator:
        return _flags(frame[target[0]], classes, separator)
    gone = {name: missing_cells(frame[name], classes) for name in target}
    missing = np.asarray(np.logical_or.reduce([*gone.values()]), dtype=bool)
    if missing.any():
        n_rows = counted(int(missing.sum()), "row", "rows")
        names = ", ".join(repr(name) for name in target if gone[name].any())
        raise DataError(
            f"a training row must have all targets or none, however {names} is missing "
            f"in {n_rows}, first ids: {some(ids[missing])}.\n"
            "  Remove these rows from the train file, or name other targets in kit.toml."
        )
    if task in ("binary", "multiclass"):
        several = len(target) > 1
        return _codes_of_flags(frame, ids) if several else _class_codes(frame[target[0]], classes)
    numbers = _as_numbers(frame, task)
    if not np.isfinite(numbers).all():
        raise DataError(f"the target {', '.join(map(repr, target))} holds infinite values")
    _refuse_constant(numbers, target)
    return numbers if len(target) > 1 else numbers[:, 0]


def _flags(cells: pd.Series, classes: Sequence[str], separator: str) -> NDArray[np.float64]:
    flags, unknown = flags_of(cells, classes, separator)
    if unknown:
        raise DataError(
            f"the target {cells.name!r} holds labels that task.classes does not list: "
            f"{some(unknown)}. task.classes = {list(classes)[:10]}"
        )
    _refuse_constant(flags, classes)
    return flags


def _refuse_constant(numbers: NDArray[np.float64], names: Sequence[str]) -> None:
    for name, column in zip(names, numbers.T, strict=True):
        if (column == column[0]).all():
            raise DataError(f"the target {name!r} has one value only: {column[0]:g}")


def _class_codes(labels: pd.Series, classes: Sequence[str]) -> NDArray[np.int64]:
    codes = pd.Index(classes).get_indexer(pd.Index(labels.str.strip())).astype(np.int64)
    unknown = labels[codes < 0].unique()
    if len(unknown):
        raise DataError(
            f"the target {labels.name!r} holds labels that task.classes does not list: "
            f"{some(unknown)}. task.classes = {list(classes)[:10]}"
        )
    found = np.unique(codes)
    if len(found) == 1:
        raise DataError(
            f"the target {labels.name!r} has one class only ({classes[found[0]]!r}); "
            "there is nothing to learn. Is this the right column?"
        )
    absent = [name for code, name in enumerate(classes) if code not in found]
    if absent:
        raise DataError(
            f"task.classes lists {absent[:5]}, which the target {labels.name!r} never takes"
        )
    return codes


def _codes_of_flags(frame: pd.DataFrame, ids: NDArray[np.str_]) -> NDArray[np.int64]:
    """The class of each row, of columns of 0 and 1 per class. ``(n, n_classes)`` -> ``(n,)``."""
    flags = _as_numbers(frame, "multilabel")
    _refuse_constant(flags, list(frame.columns))
    wrong = flags.sum(axis=1) != 1
    if wrong.any():
        n_rows = counted(int(wrong.sum()), "row", "rows")
        raise DataError(
            f"of the targets {some(frame.columns)} exactly one must be 1, however in {n_rows} "
            f"it is not so{f', first ids: {some(ids[wrong])}' if len(ids) else ''}.\n"
            '  Set task.type = "multilabel" in kit.toml where rows may have several or none.'
        )
    return flags.argmax(axis=1).astype(np.int64)


def _as_numbers(frame: pd.DataFrame, task: TaskType) -> NDArray[np.float64]:
    words = {"true": 1.0, "false": 0.0, "yes": 1.0, "no": 0.0}
    result = np.empty(frame.shape)  # (n_train, n_targets)
    for index, name in enumerate(frame.columns):
        column = frame[name]
        if not pd.api.types.is_numeric_dtype(column):
            spelled = column.astype("str").str.strip()
            amounts = as_numbers(spelled, clocks=False)  # nobody hands in a time of day as 14.5
            column = spelled.str.lower().map(words).fillna(amounts)
        result[:, index] = column.to_numpy(dtype=float)
        if np.isnan(result[:, index]).any():
            bad = frame[name][np.isnan(result[:, index])].unique()
            raise DataError(f"the target {name!r} is not a number everywhere: {some(bad)}")
    if task == "multilabel" and not np.isin(result, (0.0, 1.0)).all():
        raise DataError(f"targets of 0 and 1 hold other values: {list(frame.columns)[:5]}")
    return result
