"""Columns that lie in files: what is looked at is read, and the system may forget it again.

Arrays are memory-mapped, so that frames made of them are used like all others, by any number of
processes, and cost no memory of their own. Nameless files are those of one process: the disk gets
their space back when the array goes, or the process, however it ends.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kit.atomic import disk_errors

BLOCK = 250_000
"""Rows in memory at a time."""


def on_disk(
    values: NDArray[Any], folder: Path, rows: NDArray[np.int64] | None = None
) -> NDArray[Any]:
    """A copy of an array in a nameless file.

    Args:
        values: ``(n, ...)``
        folder: any on the disk that is meant.
        rows: positions of the rows to copy; None: all.

    Raises:
        DiskFull: it does not fit.
    """
    n = len(values) if rows is None else len(rows)
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            for start in range(0, n, BLOCK):
                stop = min(n, start + BLOCK)
                part = values[start:stop] if rows is None else values[rows[start:stop]]
                file.write(np.ascontiguousarray(part).view(np.uint8).data)
            file.flush()
            return _mapped(file, values.dtype, (n, *values.shape[1:]))


def _mapped(file: Any, dtype: np.dtype[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """An array over an open file; what is written into it stays with this process."""
    if 0 in shape:  # an empty file cannot be mapped
        return np.empty(shape, dtype)
    return np.asarray(np.memmap(file, dtype=dtype, mode="c", shape=shape))


def stacked_on_disk(frames: Iterable[pd.DataFrame], folder: Path) -> pd.DataFrame:
    """Frames of the same columns one below the other, in nameless files; one is in memory.

    Args:
        frames: at least one; columns of numbers or of categories with the same levels.
        folder: see `on_disk`.
    """
    with disk_errors(folder), ExitStack() as stack:
        folder.mkdir(parents=True, exist_ok=True)
        files: list[Any] = []
        parts: list[Any] = []
        index: list[pd.Index] = []
        names: Any = None
        for frame in frames:
            found = [_parts(frame.iloc[:, position]) for position in range(frame.shape[1])]
            if not files:
                names, parts = frame.columns, found
                files = [
                    stack.enter_context(tempfile.TemporaryFile(dir=folder)) for _ in frame.columns
                ]
            for file, first, part in zip(files, parts, found, strict=True):
                if first is None or part is None or part[0].dtype != first[0].dtype:
                    raise TypeError("a column is of another type in some rows than in others")
                file.write(np.ascontiguousarray(part[0]).view(np.uint8).data)
            index.append(frame.index)
        whole = index[0].append(index[1:])
        columns: dict[Any, Any] = {}
        for position, (file, first) in enumerate(zip(files, parts, strict=True)):
            file.flush()
            columns[position] = first[1](_mapped(file, first[0].dtype, (len(whole),)))
        result = joined(columns, whole)
        result.columns = names
        return result


def is_on_disk(frame: Any) -> bool:
    """Whether columns of a frame lie in files."""
    if not isinstance(frame, pd.DataFrame):
        return False
    parts = (_parts(frame.iloc[:, k]) for k in range(frame.shape[1]))
    return any(part is not None and _is_mapped(part[0]) for part in parts)


def frame_on_disk(frame: pd.DataFrame, folder: Path) -> pd.DataFrame:
    """The same frame; columns that can lie in files do.

    Texts and other columns of objects stay in memory.
    """
    return _each(frame, frame.index, lambda v: v if _is_mapped(v) else on_disk(v, folder), None)


def rows_on_disk(frame: pd.DataFrame, rows: NDArray[Any], folder: Path) -> pd.DataFrame:
    """What ``frame.iloc[rows]`` gives, in files.

    Args:
        frame: any frame.
        rows: positions, or a mask.
        folder: see `on_disk`.
    """
    taken = np.flatnonzero(rows) if rows.dtype == bool else rows
    return _each(frame, frame.index.take(taken), lambda v: on_disk(v, folder, taken), taken)


def _each(
    frame: pd.DataFrame,
    index: pd.Index,
    moved: Callable[[NDArray[Any]], NDArray[Any]],
    rows: NDArray[np.int64] | None,
) -> pd.DataFrame:
    columns: dict[int, Any] = {}
    for position in range(frame.shape[1]):
        column = frame.iloc[:, position]
        parts = _parts(column)
        if parts is not None:
            columns[position] = parts[1](moved(parts[0]))
        else:
            columns[position] = (column if rows is None else column.iloc[rows]).array
    result = joined(columns, index)
    result.columns = frame.columns
    return result


def joined(columns: dict[Any, Any], index: pd.Index) -> pd.DataFrame:
    """Arrays as the columns of a frame, without copying them."""
    series = {name: pd.Series(values, index=index, copy=False) for name, values in columns.items()}
    return pd.DataFrame(series, index=index, copy=False)


def levels_of(codes: NDArray[Any], dtype: pd.CategoricalDtype) -> pd.Categorical:
    """A categorical over codes, without copying them."""
    return pd.Categorical.from_codes(codes, dtype=dtype, validate=False)


def _parts(column: pd.Series) -> tuple[NDArray[Any], Callable[[NDArray[Any]], Any]] | None:
    """The numbers of a column and what makes a column of numbers again; None: it has none."""
    dtype = column.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return np.asarray(column.array.codes), lambda codes: levels_of(codes, dtype)
    if isinstance(dtype, np.dtype) and not dtype.hasobject:
        return np.asarray(column.to_numpy()), lambda values: values
    return None


def _is_mapped(values: Any) -> bool:
    while values is not None:
        if isinstance(values, np.memmap):
            return True
        values = getattr(values, "base", None)
    return False
