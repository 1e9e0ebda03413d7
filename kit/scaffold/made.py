"""Tables that `kit new` writes where the files have all there is, only not a row per answer.

Owns: one file of all rows, cut into train and test; several rows for each id that is asked for, of
which train says the same answer; and days that only the ids of the sample submission name.
"""

from __future__ import annotations

from itertools import permutations, product
from pathlib import Path

import pandas as pd

from kit.atomic import atomic_path
from kit.joins import is_date
from kit.moments import datetime_format
from kit.scaffold.files import ANSWERS, by_name, tables_in
from kit.scaffold.no_tables import outside_crowds
from kit.scaffold.sides import MOST_CELLS
from kit.spelling import find_name, plain
from kit.tables import count_cells, read_header, read_table, table_format

_LOOKED = 2000  # rows of test among which an id has to come again
_MARKS = ("_", "|", " ", "-")  # between the parts of an id
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
    others = [path for path in outside_crowds(tables_in(raw)) if path != sample]
    if len(header) == 2 and not called["test"]:
        cut = _cut(raw, others[0], sample, header) if len(others) == 1 else ""
        return cut or _days_ahead(raw, others, sample, header)
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


def _days_ahead(raw: Path, tables: list[Path], sample: Path, header: list[str]) -> str:
    """Write a test table where ids are made of columns and a date ("shop_7_2017-04-23")."""
    key, answer = header
    with_answer = [path for path in tables if find_name(answer, read_header(path))]
    ids = plain(read_table(sample, as_text=[key])[key])
    if len(with_answer) != 1 or not ids.is_unique or count_cells(with_answer[0]) > MOST_CELLS:
        return ""
    train = read_table(with_answer[0])
    days = [str(name) for name in train.columns if is_date(train[name])]
    but = [*days, str(find_name(answer, train.columns))]
    for mark, first in product(_MARKS, (False, True)) if len(days) == 1 else ():
        parts = (ids.str.split if first else ids.str.rsplit)(mark, n=1, expand=True)
        if parts.shape[1] != 2 or parts.isna().any(axis=None):
            continue
        day, rest = (parts[0], parts[1]) if first else (parts[1], parts[0])
        if datetime_format(day) != datetime_format(train[days[0]].astype("str")):
            continue
        keys = _named_by(rest, train, mark, but)
        if keys is not None:
            _write(pd.concat([ids, keys, day.rename(days[0])], axis=1), raw / "test.csv")
            made = ", ".join(map(repr, [*keys.columns, days[0]]))
            return (
                f"kit wrote test.csv: the ids of {sample.name} are made of {made} of "
                f"{with_answer[0].name}, of which they are further rows"
            )
    return ""


def _named_by(
    rest: pd.Series, train: pd.DataFrame, mark: str, but: list[str]
) -> pd.DataFrame | None:
    """The one column of train, or two joined by a mark, whose values these are."""
    names = [str(n) for n in train.columns if n not in but and train[n].dtype.kind != "f"]
    for size in (1, 2):
        for chosen in permutations(names, size):
            known = train[[*chosen]].dropna().drop_duplicates()
            joined = plain(known[chosen[0]])
            for name in chosen[1:]:
                joined = joined + mark + plain(known[name])
            if rest.isin({*joined}).all() and joined.is_unique:
                return known.set_axis(joined).loc[rest].reset_index(drop=True)
    return None


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
