"""The row ids: by which column the rows of train, test and sample submission are told apart.

Owns: matching the sample submission against test.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kit.errors import ConfigError, counted, nearest
from kit.sampled import among
from kit.scaffold.copies import find_order, has_no_id
from kit.scaffold.facts import Inference, Wish, Wishes
from kit.scaffold.files import Tables
from kit.scaffold.long_ids import rows_of_test
from kit.spelling import find_name, plain
from kit.tables import read_header

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd


@dataclass(frozen=True, kw_only=True)
class Ids:
    """Names of the id column per file; empty where the file has none."""

    train: str
    test: str
    sample: str


def find_ids(tables: Tables, wishes: Wishes, inference: Inference) -> Ids:
    """Find the id column of each file and note it.

    Raises:
        ConfigError: the test rows cannot be brought together with the sample submission.
    """
    wish = wishes.get("id")
    if tables.sample is None:
        ids, because, sure = _ids_without_sample(tables, wish)
    else:
        ids, because, sure = _ids_by_sample(tables.sample, tables, wish)
        if ids.sample:
            _ask_about_ids(tables.sample, tables, ids, inference)
    train_id, why = _train_id(tables.train, ids.train, inference)
    because, sure = (why, False) if why else (because, sure)
    shown = "the id column of test" if ids.test else "the sample submission has none, either"
    proven = True
    if not ids.test and ids.sample:
        shown, proven = find_order(tables, ids.sample, inference)
    if not train_id and not why:
        because = "train has no id column; its rows are numbered"
    inference.add("columns.id", train_id, because, sure=sure)
    if ids.test != train_id or not ids.test:
        inference.add("columns.test_id", ids.test, shown, sure=proven)
    return Ids(train=train_id, test=ids.test, sample=ids.sample)


def _ids_by_sample(
    sample: pd.DataFrame, tables: Tables, wish: Wish | None
) -> tuple[Ids, str, bool]:
    train, test = tables.train, tables.test
    if wish is not None:
        name = str(wish.value)
        found = [find_name(name, frame.columns) or "" for frame in (train, test, sample)]
        if not any(found):
            every = {*train.columns, *test.columns, *sample.columns}
            raise ConfigError(f"{wish.flag} {name!r}: no file has it. {nearest(name, every)}")
        in_sample = found[2] or str(sample.columns[0])
        in_test = (
            found[1] or find_name(in_sample, test.columns) or _by_value(sample[in_sample], test)
        )
        ids = Ids(train=found[0], test=in_test or "", sample=in_sample)
        return _in_order(ids, tables), wish.because, True
    if has_no_id(tables, [c for c in map(str, train.columns) if c not in test.columns]):
        because = "the sample submission has no id; its rows are those of test, in their order"
        return Ids(train="", test="", sample=""), because, True
    for name in map(str, sample.columns):
        same = find_name(name, test.columns)
        if same and _share(sample[name], test[same]) > 0.5 and sample[name].is_unique:
            in_train = find_name(same, train.columns) or find_name(name, train.columns) or ""
            sure = _share(sample[name], test[same]) == 1.0
            because = "the sample submission's id; its values are those of test"
            return Ids(train=in_train, test=same, sample=name), because, sure
    for name in map(str, sample.columns):
        equal = _by_value(sample[name], test)
        if equal:
            in_train = find_name(equal, train.columns) or find_name(name, train.columns) or ""
            because = f"test's {equal!r} has the values of the sample submission's {name!r}"
            return Ids(train=in_train, test=equal, sample=name), because, True
    name = str(sample.columns[0])
    same = find_name(name, test.columns) or ""
    ids = Ids(train=find_name(name, train.columns) or "", test=same, sample=name)
    return _in_order(ids, tables), "first column of the sample submission", False


def _in_order(ids: Ids, tables: Tables) -> Ids:
    """Without an id in test, order is all there is; then the row counts must be equal."""
    sample, test = tables.sample, tables.test
    if not ids.test and sample is not None and len(sample) != len(test):
        raise ConfigError(
            f"no column of test ({len(test)} rows) holds the ids of the sample submission's "
            f"{ids.sample!r} ({len(sample)} rows), so rows cannot be brought together.\n"
            + (
                _by_lookup(ids, tables)
                or rows_of_test(sample[ids.sample], test, _name(tables.paths.sample))
                or "  Name the id column of test with --id. Columns: "
                f"{', '.join(test.columns[:12])}."
            )
        )
    return ids


def _name(path: Path | None) -> str:
    return "the sample submission" if path is None else path.name


def _by_lookup(ids: Ids, tables: Tables) -> str:
    """The way out where a table says which test row an id of the sample belongs to; "": none."""
    for path in tables.paths.others:
        names = read_header(path)
        own = find_name(ids.sample, names)
        of_test = next((n for n in names if n != own and find_name(n, tables.test.columns)), None)
        if own is None or of_test is None:
            continue
        return (
            f"  By {path.name} an id belongs to a row of test ({of_test!r}) and one of its "
            "values: a row of the submission is a single value. kit hands in one row per test row: "
            f"make a sample submission of {of_test!r} and a column per target, name it with "
            f"--sample, and bring the file that `kit submit --dry-run` writes into the long form "
            f"by {path.name}."
        )
    return ""


def _ids_without_sample(tables: Tables, wish: Wish | None) -> tuple[Ids, str, bool]:
    train, test = tables.train, tables.test
    name = str(wish.value) if wish else str(test.columns[0])
    same, in_train = find_name(name, test.columns), find_name(name, train.columns)
    if wish and not (same or in_train):
        raise ConfigError(f"{wish.flag} {name!r}: no file has it. {nearest(name, test.columns)}")
    if same and (wish or (test[same].is_unique and test[same].notna().all())):
        because = wish.because if wish else "first column of test, unique (no sample submission)"
        return Ids(train=in_train or "", test=same, sample=same), because, wish is not None
    raise ConfigError(
        f"there is no sample submission and test has no unique first column ({name!r}), so its "
        "rows have no id.\n  Name the id column with --id, or the sample submission with --sample."
    )


def _train_id(train: pd.DataFrame, name: str, inference: Inference) -> tuple[str, str]:
    """The id of train, unless it repeats: then rows are numbered. Second: why, if so."""
    if not name:
        return "", ""
    ids = plain(train[name].dropna())
    missing, repeated = len(train) - len(ids), int(ids.duplicated().sum())
    if not missing and not repeated:
        return name, ""
    n_rows = counted(repeated or missing, "row", "rows")
    what = f"repeats in {n_rows}" if repeated else f"is empty in {n_rows}"
    inference.ask(
        f"train's {name!r} {what}, so it cannot be the id of a row; rows of train are numbered. "
        f"If rows of one {name!r} belong together, say so with --group {name}"
    )
    return "", f"train's {name!r} {what}; its rows are numbered"


def _share(ids: pd.Series, column: pd.Series) -> float:
    """The part of `ids` that `column` holds."""
    return float(among(_bare(ids), _bare(column.dropna())).sum()) / len(ids)


def _by_value(ids: pd.Series, test: pd.DataFrame) -> str | None:
    """The column of test whose values are exactly the ids (those of a sample are unique)."""
    if not ids.is_unique or ids.hasnans or len(ids) != len(test):
        return None
    wanted = set(_bare(ids))
    for name in map(str, test.columns):
        if set(_bare(test[name].head(100))) <= wanted and set(_bare(test[name])) == wanted:
            return name
    return None


def _bare(values: pd.Series) -> pd.Series:
    """Ids without leading zeros, which pandas drops where it reads numbers."""
    return plain(values).str.replace(r"^0+(?=\d+$)", "", regex=True)


def _ask_about_ids(sample: pd.DataFrame, tables: Tables, ids: Ids, inference: Inference) -> None:
    """Say so where the sample submission's ids are not those of test, one row each."""
    column = sample[ids.sample]
    repeated = int(column.duplicated().sum())
    if repeated:
        inference.ask(
            f"the sample submission repeats an id of {ids.sample!r} in "
            f"{counted(repeated, 'row', 'rows')}; if another column is the id: --id NAME"
        )
    lost = round((1 - _share(column, tables.test[ids.test])) * len(column)) if ids.test else 0
    if lost:
        inference.ask(
            f"{lost} of the sample submission's {len(column)} ids are not in test's {ids.test!r}; "
            "if another column is the id: --id NAME"
        )
    if not ids.test:
        return
    twice = int(tables.test[ids.test].duplicated().sum())
    if twice:
        inference.ask(
            f"test's {ids.test!r} repeats in {counted(twice, 'row', 'rows')}, so it says not which "
            "row is which; if another column is the id: --id NAME"
        )
    short = round((1 - _share(tables.test[ids.test], column)) * len(tables.test))
    if short and short < len(tables.test):
        inference.ask(
            f"{short} of test's {len(tables.test)} ids are not in the sample submission; kit hands "
            "in the rows that it lists"
        )
