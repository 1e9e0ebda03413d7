"""One column of a large table, typed piece by piece into a file.

Gives the values of `kit.kinds.typed`, in the fewest bytes that hold them all without loss. Numbers
and codes go through a raw file, each piece in its own width; the common width is known at the end.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kit.errors import DataError
from kit.kinds import absent, as_levels, as_moments, as_number, spelled
from kit.moments import datetime_format
from kit.settings import Kind

PARTS = ("train", "test")


@dataclass
class _Raw:
    """Pieces of one part of a column, one behind the other."""

    path: Path
    pieces: list[tuple[np.dtype[Any], int]] = field(default_factory=list)

    def append(self, values: NDArray[Any]) -> None:
        with self.path.open("ab") as file:
            file.write(np.ascontiguousarray(values).view(np.uint8).data)
        self.pieces.append((values.dtype, len(values)))

    def blocks(self) -> Iterator[NDArray[Any]]:
        with self.path.open("rb") as file:
            for dtype, n in self.pieces:
                yield np.fromfile(file, dtype, n)


class PackedColumn:
    """A column that is being packed.

    Args:
        name: of the column.
        kind: of the column.
        path: where its files go; their names begin like this.
        sure: whether `kit.toml` says the kind.
    """

    def __init__(self, name: str, kind: Kind, path: Path, *, sure: bool) -> None:
        self.name, self.kind, self.path, self.sure = name, kind, path, sure
        self._raw = {part: _Raw(self._file(f"{part}.raw")) for part in PARTS}
        self._texts: dict[str, list[pd.Series]] = {part: [] for part in PARTS}
        self._codes: dict[str, int] = {}
        self.format: str | None = None  # of dates that are written as text
        self._sort = ""

    def add(self, part: str, piece: pd.Series) -> None:
        """Take the next rows of train or of test.

        Raises:
            DataError: they do not fit the kind, or are of another sort than the rows before.
        """
        self._check(piece)
        if self.kind == "numeric":
            self._raw[part].append(narrowed(as_number(piece)))
        elif self.kind == "category":
            self._raw[part].append(self._coded(as_levels(piece)))
        elif self.kind == "datetime":
            dates = pd.api.types.is_datetime64_any_dtype(piece)
            if self.format is None and not dates:
                self.format = datetime_format(spelled(piece))
            self._raw[part].append(as_moments(piece, self.format).to_numpy())
        else:
            self._texts[part].append(spelled(piece))

    def finish(self) -> str:
        """Write the files and say what they hold: "numbers", "levels" or "text"."""
        if self.kind in ("text", "code"):
            for part in PARTS:
                self._write_text(pd.concat(self._texts[part]), part)
            return "text"
        pieces = [dtype for raw in self._raw.values() for dtype, _ in raw.pieces]
        if self.kind != "category":
            for part in PARTS:
                self._write(part, np.result_type(*pieces), lambda values: values)
            return "numbers"
        levels = pd.Index(pd.Series(list(self._codes), dtype="str")).sort_values()
        order = np.empty(len(levels) + 1, dtype=np.int64)
        order[[self._codes[level] for level in levels]] = np.arange(len(levels))
        order[-1] = -1  # code -1: missing
        dtype = pd.Categorical.from_codes([], categories=levels).codes.dtype
        for part in PARTS:
            self._write(part, dtype, lambda codes: order[codes])
        self._write_text(pd.Series(levels), "levels")
        return "levels"

    def _coded(self, piece: pd.Series) -> NDArray[np.int32]:
        codes, levels = pd.factorize(piece)
        own = [self._codes.setdefault(level, len(self._codes)) for level in levels]
        return np.asarray(np.append(own, -1).astype(np.int32)[codes])

    def _check(self, piece: pd.Series) -> None:
        """A file that is read in pieces must be of one sort throughout."""
        if self.sure and self.kind == "numeric":
            return  # strings are read as numbers then
        sort = "dates" if pd.api.types.is_datetime64_any_dtype(piece) else "words"
        if pd.api.types.is_numeric_dtype(piece):
            # how a number is spelled depends on it
            real = pd.api.types.is_float_dtype(piece) and self.kind != "numeric"
            sort = "decimals" if real else "numbers"
        if absent(piece).all():
            return
        if self._sort and sort != self._sort:
            raise DataError(
                f"column {self.name!r} holds {self._sort} in some rows and {sort} in others.\n"
                "  Give it a kind in [columns.kinds], or make it one of them in features.py."
            )
        self._sort = sort

    def _write(self, part: str, dtype: np.dtype[Any], final: Any) -> None:
        raw = self._raw[part]
        shape = (sum(n for _, n in raw.pieces),)
        header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False}
        with self._file(f"{part}.npy").open("wb") as file:
            np.lib.format.write_array_header_1_0(file, {**header, "shape": shape})
            for values in raw.blocks():
                file.write(final(values).astype(dtype).view(np.uint8).data)
        raw.path.unlink(missing_ok=True)

    def _write_text(self, values: pd.Series, stem: str) -> None:
        frame = pd.DataFrame({"text": values.to_numpy(dtype=object)}, dtype="str")
        frame.to_parquet(self._file(f"{stem}.parquet"), compression="zstd")

    def _file(self, end: str) -> Path:
        return self.path.with_name(f"{self.path.name}-{end}")


def narrowed(column: pd.Series) -> NDArray[Any]:
    """Numbers in the fewest bytes that hold them all without loss."""
    if column.isna().any():
        values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    else:
        values = column.to_numpy()
    if values.dtype.kind in "iu" and len(values):
        low, high = int(values.min()), int(values.max())
        for dtype in (np.int8, np.int16, np.int32, np.int64):
            if np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max:
                return values.astype(dtype)
    if values.dtype == np.float64:
        with np.errstate(over="ignore"):
            short = values.astype(np.float32)
        if np.array_equal(short.astype(np.float64), values, equal_nan=True):
            return short
    return values
