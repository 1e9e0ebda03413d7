"""The same name or value, spelled otherwise: column names, ids, class labels.

Owns: every rule by which two spellings count as one. No files, no roles.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

# false before true; the case is taken from what is found
_BOOLEAN = (("false", "true"), ("no", "yes"), ("n", "y"), ("f", "t"), ("0", "1"), ("0.0", "1.0"))
_CASES = (str, str.lower, str.upper, str.capitalize)
TRUTHS = (
    ("0", "1"),
    *((case("false"), case("true")) for case in _CASES[1:]),
    *((case("no"), case("yes")) for case in _CASES[1:]),
)
"""How a column says whether a label is there: no and yes."""


def normal(name: str) -> str:
    """A name without case, blanks and punctuation.

    >>> normal(" Passenger_ID ")
    'passengerid'
    """
    return re.sub(r"[\W_]+", "", name).casefold()


def find_name(name: str, among: Iterable[str]) -> str | None:
    """The one name that is the same: exactly, else but for case, else but for punctuation."""
    names = list(among)
    for same in (str.strip, lambda n: n.strip().casefold(), normal):
        wanted = same(name)
        found = [other for other in names if wanted and same(other) == wanted]
        if len(found) == 1:
            return found[0]
    return None


def plain(values: pd.Series) -> pd.Series:
    """Ids as they are compared: no blanks around them, and "1.0" is "1"."""
    return values.astype("str").str.strip().str.replace(r"^([+-]?\d+)\.0+$", r"\1", regex=True)


def number(text: str) -> float | None:
    """The finite number that a text spells, None when it spells none."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def is_boolean(classes: Iterable[str]) -> bool:
    """Whether two labels are one of the usual pairs for false and true."""
    found = {label.strip().casefold() for label in classes}
    return any(found == set(pair) for pair in _BOOLEAN)


def ordered(classes: Iterable[str]) -> tuple[str, ...]:
    """Class labels in the order of the class codes: by number, false first, else by letter.

    >>> ordered(["10", "9"]), ordered(["yes", "no"])
    (('9', '10'), ('no', 'yes'))
    """
    labels = list(classes)
    numbers = {label: number(label) for label in labels}
    if any(value is None for value in numbers.values()):
        return tuple(sorted(labels))  # every pair of _BOOLEAN is in this order too
    return tuple(sorted(labels, key=lambda label: (numbers[label] or 0.0, label)))


def respell(classes: Sequence[str], found: Iterable[str]) -> tuple[str, ...] | None:
    """How a file spells the classes, judged by the labels that occur in it.

    Args:
        classes: the labels in the order of the class codes.
        found: labels of the other file, possibly not all of them.

    Returns:
        One spelling per class; empty: the same spelling; None: no known spelling fits.

    >>> respell(["0.0", "1.0"], ["0"]), respell(["False", "True"], ["TRUE"])
    (('0', '1'), ('FALSE', 'TRUE'))
    >>> respell(["yes", "no"], ["0"])
    ('1', '0')
    """
    seen = set(found)
    for labels in _spellings(tuple(classes)):
        if seen <= set(labels) and len(set(labels)) == len(classes):
            return () if labels == tuple(classes) else labels
    return None


def _spellings(classes: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    yield classes
    cut = tuple(label.strip() for label in classes)
    yield cut
    numbers = [number(label) for label in cut]
    if all(value is not None and value == int(value) for value in numbers):
        whole = [int(value or 0) for value in numbers]
        yield tuple(str(value) for value in whole)
        yield tuple(f"{value}.0" for value in whole)
    for case in _CASES:
        yield tuple(case(label) for label in cut)
    if is_boolean(classes):
        true_first = any(cut[0].casefold() == pair[1] for pair in _BOOLEAN)
        for pair in _BOOLEAN:
            for case in _CASES:
                first, second = reversed(pair) if true_first else pair
                yield (case(first), case(second))


def match_classes(columns: Sequence[str], values: Iterable[str]) -> dict[str, str] | None:
    """Columns named after the classes of one target: "C", "Status_C", "Class_1", "p(setosa)".

    Args:
        columns: names of columns.
        values: the labels of a train column.

    Returns:
        ``{column: label}`` when every column is a label of its own between the same prefix and the
        same suffix, else None.

    >>> match_classes(["Status_C", "Status_CL"], ["CL", "C", "D"])
    {'Status_C': 'C', 'Status_CL': 'CL'}
    """
    labels: dict[str, str] = {}
    for value in values:
        for key in _keys(value):
            labels.setdefault(key, value)
    folded = [column.strip().casefold() for column in columns]
    for prefix, suffix in _frames(folded[0], labels):
        cores = [_core(column, prefix, suffix) for column in folded]
        found = [labels[core] for core in cores if core is not None and core in labels]
        if len(found) == len(columns) == len(set(found)):
            return dict(zip(columns, found, strict=True))
    return None


def _keys(value: str) -> list[str]:
    """The spellings under which a label may occur in a column name."""
    text = value.strip().casefold()
    whole = re.sub(r"\.0+$", "", text) if number(text) is not None else text
    joined = re.sub(r"[\W_]+", "_", text).strip("_")
    return [key for key in (text, whole, joined) if key]


def _frames(column: str, labels: Iterable[str]) -> list[tuple[str, str]]:
    """What may stand before and after the label, the shortest first."""
    frames = set()
    for label in labels:
        start = column.find(label)
        while start >= 0:
            frames.add((column[:start], column[start + len(label) :]))
            start = column.find(label, start + 1)
    return sorted(frames, key=lambda frame: (len(frame[0]) + len(frame[1]), frame))


def _core(column: str, prefix: str, suffix: str) -> str | None:
    if len(column) < len(prefix) + len(suffix):
        return None
    if not (column.startswith(prefix) and column.endswith(suffix)):
        return None
    return column[len(prefix) : len(column) - len(suffix)]
