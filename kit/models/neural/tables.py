"""Rows of several folds as arrays of one shape.

Every fold's recipe has learned its own levels, missing indicators and words. Columns are matched by
name over the folds; one that a fold does not have is zero there, and tables of embedded levels
are as long as the longest fold's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kit.preprocessing.numeric import SmoothClip

_FEW = 10_000  # rows that most often show that a column has more than two values


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Which column goes where; the same for all folds.

    Attributes:
        numbers: columns that get a numeric embedding.
        flags: numeric columns of two values, which need none.
        one_hot: columns of few levels, with their levels in the fold that has most.
        embedded: columns of many levels, likewise.
    """

    numbers: tuple[str, ...]
    flags: tuple[str, ...]
    one_hot: dict[str, int]
    embedded: dict[str, int]

    @classmethod
    def of(cls, frames: Sequence[pd.DataFrame], max_one_hot: int) -> Layout:
        """The layout of the folds' training rows.

        Args:
            frames: one per fold.
            max_one_hot: levels, missing counted, above which a column is embedded.
        """
        numeric: dict[str, bool] = {}  # name -> two values at most, in every fold
        levels: dict[str, int] = {}
        for frame in frames:
            for name in frame.columns:
                column = frame[name]
                if isinstance(column.dtype, pd.CategoricalDtype):
                    levels[name] = max(levels.get(name, 0), len(column.cat.categories))
                else:
                    numeric[name] = numeric.get(name, True) and _two_values(column)
        return cls(
            numbers=tuple(name for name, two in numeric.items() if not two),
            flags=tuple(name for name, two in numeric.items() if two),
            one_hot={name: n for name, n in levels.items() if n + 1 <= max_one_hot},
            embedded={name: n for name, n in levels.items() if n + 1 > max_one_hot},
        )

    @property
    def width(self) -> int:
        """Columns of the matrix `Encoder.values` makes."""
        return len(self.numbers) + len(self.flags) + sum(map(one_hot_width, self.one_hot.values()))

    def plain(self) -> dict[str, Any]:
        """As JSON can hold it; `Layout.read` reads it."""
        return asdict(self)

    @classmethod
    def read(cls, plain: dict[str, Any]) -> Layout:
        """From `plain`."""
        return cls(
            numbers=tuple(plain["numbers"]),
            flags=tuple(plain["flags"]),
            one_hot=plain["one_hot"],
            embedded=plain["embedded"],
        )


def one_hot_width(levels: int) -> int:
    """Columns for a category: two levels share one, as +1 and -1."""
    return 1 if levels == 2 else levels


class Encoder:
    """Turns a frame that a fold's recipe made into numbers and level numbers.

    Args:
        layout: of all folds.
        scaled: whether one-hot columns are centred and scaled as numbers are (RealMLP).
    """

    def __init__(self, layout: Layout, *, scaled: bool) -> None:
        self.layout = layout
        self.scaled = scaled
        width = sum(map(one_hot_width, layout.one_hot.values()))
        self.center = np.zeros(width)
        self.scale = np.ones(width)

    def fit(self, frame: pd.DataFrame) -> Encoder:
        """Learn how to scale the one-hot columns of a fold's training rows."""
        if self.scaled and len(self.center):
            columns = self._one_hot_columns(frame)  # all of a large table would be too much
            clips = [SmoothClip().fit(column[:, None]) for column in columns]
            self.center = np.concatenate([clip.center_ for clip in clips])
            self.scale = np.concatenate([clip.scale_ for clip in clips])
        return self

    def values(self, frame: pd.DataFrame) -> NDArray[np.float32]:
        """Numbers first, then flags, then one-hot columns: ``(n, layout.width)``."""
        names = [*self.layout.numbers, *self.layout.flags]
        known = [name for name in names if name in frame.columns]
        numbers = frame[known].astype(np.float32).reindex(columns=names, fill_value=0.0)
        one_hot = self._one_hot(frame)
        if self.scaled:
            one_hot = (one_hot - self.center) / self.scale
            one_hot = one_hot / np.sqrt(1 + (one_hot / 3) ** 2)
        return np.hstack([numbers.to_numpy(np.float32), one_hot.astype(np.float32)])

    def codes(self, frame: pd.DataFrame) -> NDArray[np.int32]:
        """Level numbers of the embedded columns, 0 for missing or never seen: ``(n, c)``."""
        columns = [_codes(frame, name) for name in self.layout.embedded]
        return np.column_stack(columns) if columns else np.zeros((len(frame), 0), dtype=np.int32)

    def _one_hot(self, frame: pd.DataFrame) -> NDArray[np.float64]:
        columns = [*self._one_hot_columns(frame)]
        return np.column_stack(columns) if columns else np.zeros((len(frame), 0))

    def _one_hot_columns(self, frame: pd.DataFrame) -> Iterator[NDArray[np.float64]]:
        for name, levels in self.layout.one_hot.items():
            codes = _codes(frame, name)
            if levels == 2:
                yield np.array([0.0, 1.0, -1.0])[codes]
            else:
                yield from ((codes == level).astype(np.float64) for level in range(1, levels + 1))


def _codes(frame: pd.DataFrame, name: str) -> NDArray[np.int32]:
    if name not in frame.columns:
        return np.zeros(len(frame), dtype=np.int32)
    return np.asarray(frame[name].cat.codes, dtype=np.int32) + np.int32(1)


def _two_values(column: pd.Series) -> bool:
    """Whether a column has two values at most, missing not counted."""
    if column.iloc[:_FEW].nunique() > 2:  # a table of all values of a long column is large
        return False
    return column.nunique() <= 2


def stacked(parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Arrays that differ in length, as one with a fold axis, padded with zeros at the end."""
    longest = max(len(part) for part in parts)
    whole = np.zeros((len(parts), longest, *parts[0].shape[1:]), dtype=parts[0].dtype)
    for number, part in enumerate(parts):
        whole[number, : len(part)] = part
    return whole
