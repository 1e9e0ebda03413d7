"""What the values of a target, and those of the sample submission, look like.

Owns: reading both as labels or numbers. Decides nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kit.errors import DataError
from kit.quantities import as_numbers
from kit.scaffold.kinds import measured
from kit.separators import MISSING
from kit.spelling import normal, number, ordered

_PROBABILITY = re.compile(r"prob(?!l)")  # no "problem"
_BINARY = {"0", "1", "0.0", "1.0", "true", "false", "yes", "no"}


@dataclass(frozen=True, kw_only=True, eq=False)
class TargetLook:
    """One target column of train.

    Attributes:
        name: its name.
        labels: the different values as spelled, without blanks around them, in class order.
        counts: rows per label.
        numbers: the known values as numbers, None where some label is no number.
        known: which rows have a value. ``(n_train,)``
        spelled: whether the numbers are written with a currency, commas or a unit.
    """

    name: str
    labels: tuple[str, ...]
    counts: tuple[int, ...]
    numbers: NDArray[np.float64] | None
    known: NDArray[np.bool_]
    spelled: bool = False

    @property
    def missing(self) -> int:
        """Rows without a value."""
        return int((~self.known).sum())

    @property
    def whole(self) -> bool:
        """Whether every value is a whole number."""
        return self.numbers is not None and bool((self.numbers == np.round(self.numbers)).all())

    @property
    def zero_one(self) -> bool:
        """Whether every value is 0 or 1, or a word for them."""
        return {label.lower() for label in self.labels} <= _BINARY

    @property
    def relative(self) -> bool:
        """Whether it is right-skewed enough for its logarithm to be the natural scale."""
        y = self.numbers
        if y is None or y.min() < 0 or _skew(y) <= 1:
            return False
        low, high = np.quantile(y, [0.01, 0.99])
        spans = (1 + high) / (1 + low) > 100  # as log1p sees it
        return bool(spans or abs(_skew(np.log1p(y))) < 0.5 * _skew(y))


@dataclass(frozen=True, kw_only=True)
class SampleLook:
    """The prediction columns of a sample submission.

    Attributes:
        kind: "words" for labels in words, "fractions" when some number has decimals that count,
            "whole" for whole numbers, "none" without a value.
        values: the different values as spelled (at most 1000).
        dotted: whether whole numbers are spelled as decimals ("0.0").
        says_probability: whether the one column is called so ("Probability", "prob").
    """

    kind: Literal["none", "words", "fractions", "whole"]
    values: tuple[str, ...] = ()
    dotted: bool = False
    says_probability: bool = False

    @property
    def constant(self) -> bool:
        """Whether one value fills the columns; then it says little."""
        return len(self.values) == 1


def look_at_target(train: pd.DataFrame, name: str, decimal: str = ".") -> TargetLook:
    """Read one target.

    Args:
        train: as it is spelled.
        name: of the target.
        decimal: what stands in front of decimals.

    Raises:
        DataError: it has no value, or the same one everywhere.
    """
    values = train[name].astype("str").str.strip().where(train[name].notna(), "")
    counts = values.value_counts(sort=False).drop(index="", errors="ignore")
    read = partial(_numbers, decimal=decimal)
    spelled = _amounts(counts.index, decimal)
    if spelled:
        read = partial(as_numbers, clocks=False)
    labelled = pd.Series(counts.index)
    words = counts.index[~np.isfinite(read(labelled).to_numpy(dtype=np.float64))]
    if len(words) < len(counts) and set(words).issubset(MISSING):
        counts = counts.drop(index=words)  # "NA" among numbers is a missing one, else a label
        words = words[:0]
    if len(counts) < 2:
        found = f"one value only: {counts.index[0]!r}" if len(counts) else "no value"
        raise DataError(
            f"the target {name!r} has {found}; there is nothing to learn.\n"
            "  Name another target with --target."
        )
    known = known_cells(values, words=bool(len(words)))
    labels = ordered(map(str, counts.index))
    return TargetLook(
        name=name,
        labels=labels,
        counts=tuple(int(count) for count in counts.reindex(list(labels))),
        numbers=None if len(words) else read(values[known]).to_numpy(dtype=np.float64),
        known=known,
        spelled=spelled,
    )


def class_counts(looks: Sequence[TargetLook]) -> tuple[int, ...]:
    """Rows per class: of the labels of one target, or of several that are a class each."""
    if len(looks) == 1:
        return looks[0].counts
    return tuple(int(look.numbers.sum()) for look in looks if look.numbers is not None)


def known_cells(values: pd.Series, *, words: bool) -> NDArray[np.bool_]:
    """Which cells of a target say something. ``(n,)``.

    Args:
        values: as they are spelled.
        words: whether labels are words: then "NA" may be one.
    """
    cells = values.astype("str").str.strip().where(values.notna(), "")
    return ~cells.isin({"", *(() if words else MISSING)}).to_numpy(dtype=bool)


def _numbers(labels: pd.Series, decimal: str) -> pd.Series:
    plain = labels.str.replace(decimal, ".", regex=False)
    return pd.to_numeric(plain, errors="coerce").astype(float)


def _amounts(labels: pd.Index, decimal: str) -> bool:
    """Whether labels are numbers, but for missing ones, and only when units and commas are cut."""
    told = pd.Series(labels[~labels.isin([*MISSING])], dtype="str")
    if decimal != "." or np.isfinite(_numbers(told, decimal)).all():
        return False  # "1,234 kg" would be a thousand where commas are decimals
    numbers = as_numbers(told, clocks=False)
    return bool(np.isfinite(numbers).all()) and measured(told, all_differ=False) is not None


def look_at_sample(
    sample: pd.DataFrame | None, columns: Sequence[str], decimal: str = "."
) -> SampleLook:
    """Read the prediction columns of the sample submission, all as one."""
    if sample is None:
        return SampleLook(kind="none")
    distinct: dict[str, None] = {}
    for column in columns:
        distinct.update(dict.fromkeys(sample[column].dropna().str.strip().unique()))
    values = tuple(str(value) for value in distinct if value != "")
    if not values:
        return SampleLook(kind="none")
    numbers = [number(value.replace(decimal, ".")) for value in values]
    some = values[:1000]
    if any(value is None for value in numbers):
        return SampleLook(kind="words", values=some)
    if any(value != int(value or 0) for value in numbers):
        return SampleLook(kind="fractions", values=some)
    return SampleLook(
        kind="whole",
        values=some,
        dotted=all(decimal in value for value in values),
        says_probability=len(columns) == 1 and bool(_PROBABILITY.search(normal(columns[0]))),
    )


def _skew(y: NDArray[np.float64]) -> float:
    deviation = y.std()
    return float((((y - y.mean()) / deviation) ** 3).mean()) if deviation > 0 else 0.0
