"""Tables that `kit new` writes where the files have all there is, only not a row per answer.

Owns: one file of all rows, cut into train and test; and several rows for each id that is asked
for, of which train says the same answer.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from kit.atomic import atomic_path
from kit.scaffold.files import ANSWERS, by_name, tables_in
from kit.spelling import find_name, plain
from kit.tables import read_header, read_table, table_format

if TYPE_CHECKING:
    import pandas as pd

_LOOKED = 2000  # rows of test among which an id has to come again
_FEWER = 0.8  # ids per row of test at most


def make_row_tables(raw: Path) -> str:
    """Write what is missing; returns what was done and why, for the user; empty: nothing.

    Args:
        raw: the folder of the files.

    Raises:
        DataError: a table cannot be read.
    """
    called = by_name(tables_in(raw))
    if len(called["sample"]) != 1:
        return ""
    sample = called["sample"][0]
    header = [name.strip() for name in read_header(sample)]
    others = [path for path in tables_in(raw) if path != sample]
    if len(others) == 1 and len(header) == 2 and not called["test"]:
        return _cut(raw, others[0], sample, header)
    if len(called["train"]) == len(called["test"]) == 1:
        return _answers(raw, called["train"][0], called["test"][0], sample, header[0])
    return ""


def _cut(raw: Path, path: Path, sample: Path, header: list[str]) -> str:
    """Cut one table where it lacks the answer in just the rows that the sample asks for."""
    names = [name.strip() for name in read_header(path)]
    key, target = (find_name(name, names) for name in header)
    if key is None or target is None:
        return ""
    table = read_table(path, as_text=names)
    asked = plain(table[key]).isin(set(plain(read_table(sample, as_text=header)[header[0]])))
    if not asked.any() or not (asked == table[target].isna()).all():
        return ""
    _write(table[~asked], raw / "train.csv")
    _write(table[asked].drop(columns=[target]), raw / "test.csv")
    return (
        f"kit wrote train.csv and test.csv: {path.name} holds both, and {target!r} is missing in "
        "just the rows that the sample submission asks for"
    )


def _answers(raw: Path, train: Path, test: Path, sample: Path, key: str) -> str:
    """Write ids and answers where rows of test and train repeat ids that are asked for once."""
    if {table_format(train), table_format(test)} & {".json", ".jsonl"}:
        return ""  # whole files would be read for their headers
    in_test = [name.strip() for name in read_header(test)]
    own = find_name(key, in_test)
    if own is None or not read_table(test, as_text=[own], nrows=_LOOKED)[own].duplicated().any():
        return ""
    only = [n for name in read_header(train) if (n := name.strip()) not in in_test]
    if own not in map(str.strip, read_header(train)) or len(only) != 1:
        return ""
    ids = plain(read_table(test, as_text=[own])[own])
    asked = plain(read_table(sample, as_text=[key])[key])
    if ids.nunique() > _FEWER * len(ids) or not asked.is_unique or {*asked} != {*ids}:
        return ""
    answers = read_table(train, as_text=[own, only[0]])[[own, only[0]]].drop_duplicates()
    if answers[own].duplicated().any() or answers.isna().any(axis=None):
        return ""
    _write(answers, raw / ANSWERS)
    return (
        f"kit wrote {ANSWERS}: several rows of train and test belong to each {own!r}, {only[0]!r} "
        f"is the same in all of them, and the sample submission has a row per {own!r}. Rows are "
        "summed up; better columns may be made of them by hand"
    )


def _write(table: pd.DataFrame, path: Path) -> None:
    with atomic_path(path) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")
