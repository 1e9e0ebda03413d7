"""How a delimited file separates its cells, writes its decimals, and says that there is no value.

Judged by its first rows. `csv.Sniffer` is not asked: it counts characters, so that the commas of
decimals and texts count as separators. Here every row has to have as many cells as the header.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

HEAD = 1 << 20
"""Bytes at the beginning of a file that are looked at."""

MISSING = (
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN",
    "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null",
)  # fmt: skip
"""What `pandas.read_csv` takes as missing by default (its documentation lists them)."""

_ROWS = 200  # that must have as many cells as the header
_MARKS = ",;\t"
_WHOLE, _COMMA, _POINT = r"[+-]?\d+", r"[+-]?\d+,\d+", r"[+-]?\d*\.\d+"
_GROUPED = r"[+-]?[1-9]\d{0,2},\d{3}"  # "1,234" may be a thousand and more

Rows = list[list[str]]


@dataclass(frozen=True)
class Form:
    """What stands between cells, and in front of decimals."""

    separator: str = ","
    decimal: str = "."


def find_form(head: str, usual: str = ",") -> Form:
    r"""The form of a file; the usual separator unless it fits badly and another one well.

    Args:
        head: the beginning of the file, whole lines.
        usual: the separator its name stands for.

    >>> find_form("id;price\n1;3,5\n2;0,25\n")
    Form(separator=';', decimal=',')
    """
    header = head.partition("\n")[0]
    fitting = {}
    for mark in _MARKS:
        rows = _rows(head, mark, _ROWS) if mark in header else []
        if _even(rows):
            fitting[mark] = len(rows[0])
    found = max(fitting, key=lambda mark: (mark == usual, fitting[mark]), default=usual)
    return Form(found, "." if found == "," else _decimal(_rows(head, found)))


def _rows(head: str, mark: str, most: int | None = None) -> Rows:
    lines = csv.reader(io.StringIO(head, newline=""), delimiter=mark)
    try:
        return list(islice(filter(None, lines), most))
    except csv.Error:  # a cell that is too long: not this mark
        return []


def _even(rows: Rows) -> bool:
    """Whether there are several columns, and as many cells in every row."""
    return bool(rows) and len(rows[0]) > 1 and len({*map(len, rows)}) == 1


def _decimal(rows: Rows) -> str:
    """A comma where some column can only be meant so, and none has decimals with points."""
    sure = False
    for cells in zip(*rows[1:], strict=True) if _even(rows) else ():
        parts = _not_whole(cells)
        if parts and all(re.fullmatch(_POINT, cell) for cell in parts):
            return "."
        if all(re.fullmatch(_COMMA, cell) for cell in parts):
            sure |= any(not re.fullmatch(_GROUPED, cell) for cell in parts)
    return "," if sure else "."


def _not_whole(cells: Sequence[str]) -> list[str]:
    known = [cell for cell in map(str.strip, cells) if cell not in MISSING]
    return [cell for cell in known if not re.fullmatch(_WHOLE, cell)]
