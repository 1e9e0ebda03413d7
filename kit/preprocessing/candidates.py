"""Which combinations of columns are tried, from the most useful columns, in bounded number."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from kit.preprocessing.keys import Columns, Key, Levels
from kit.preprocessing.made import Across, Arithmetic, Feature, Group, TargetMean

PIECES = ("means", "groups", "arithmetic", "rows")
"""Kinds of candidates: target means of keys, numbers within groups, pairs of numbers, of many
numbers what a row as a whole is.

Tried and left out, because a blend of two plain boosters was better than one with them: shares of
keys, pairs of categories as categories of their own
(`tests/benchmarks/generated_features.py`, 21 data sets).
"""

_KEYS = 12  # columns that are crossed with each other: 66 pairs
_GROUPS = 6
_GROUPED = 8
_NUMBERS = 12
_MOST_CLASSES = 5  # above it there are no means of the target: a column per class and key
_LEAST_PER_PAIR = 20  # rows: with few rows per level and part, a code tells the part's own labels
_LEAST_PER_LEVEL = 10  # rows; with fewer a group has no mean to be compared with
_MANY_NUMBERS = 20  # of fewer trees can tell themselves what a row as a whole is
_OF_ROWS = ("missing", "zero", "mean", "std", "min", "max", "size")
_STATISTICS = ("mean", "std", "deviation", "ratio", "rank")


@dataclass(frozen=True, kw_only=True)
class Sources:
    """Columns that may be combined, most useful first.

    Attributes:
        numbers: numeric columns.
        keys: categories and numbers with few values.
        n_rows: training rows.
    """

    numbers: tuple[str, ...]
    keys: tuple[str, ...]
    n_rows: int


def candidates(
    sources: Sources, pieces: Sequence[str], n_outputs: int, levels: Levels, columns: Columns
) -> list[Feature]:
    """All candidates, their pairs of levels learnt.

    Args:
        sources: columns to combine.
        pieces: kinds of candidates, of `PIECES`.
        n_outputs: columns of the target that are averaged per key; 0 for none.
        levels: takes the pairs.
        columns: the training rows.
    """
    pairs = list[Key](combinations(sources.keys[:_KEYS], 2))
    for key in pairs:
        levels.learn(key, columns)
    pairs = [key for key in pairs if levels.size(key) <= sources.n_rows / _LEAST_PER_PAIR]
    singles: list[Key] = [(name,) for name in sources.keys if levels.size((name,)) > 2]
    found: list[Feature] = []
    if "means" in pieces and n_outputs <= _MOST_CLASSES:
        found += [
            TargetMean(key=key, output=k) for key in [*singles, *pairs] for k in range(n_outputs)
        ]
    if "groups" in pieces:
        found += _groups(sources, singles, levels)
    if "arithmetic" in pieces:
        found += _arithmetic(sources.numbers[:_NUMBERS])
    if "rows" in pieces and len(sources.numbers) >= _MANY_NUMBERS:
        found += [Across(numbers=sources.numbers, statistic=name) for name in _OF_ROWS]
    return found


def _groups(sources: Sources, singles: Sequence[Key], levels: Levels) -> Iterator[Feature]:
    large = [key for key in singles if levels.size(key) <= sources.n_rows / _LEAST_PER_LEVEL]
    for key in large[:_GROUPS]:
        for number in sources.numbers[:_GROUPED]:
            if number in key:
                continue
            for statistic in _STATISTICS:
                yield Group(key=key, number=number, statistic=statistic)


def _arithmetic(numbers: Sequence[str]) -> Iterator[Feature]:
    for left, right in combinations(numbers, 2):
        for sign in "+-*/":
            yield Arithmetic(left=left, sign=sign, right=right)
        yield Arithmetic(left=right, sign="/", right=left)
