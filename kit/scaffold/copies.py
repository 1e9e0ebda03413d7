"""What a sample submission repeats of test: columns, ids made of columns, or nothing, not an id.

Owns: telling by the values what is copied and what is to be predicted.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice, product
from typing import TYPE_CHECKING

from kit.errors import ConfigError
from kit.scaffold.facts import Inference
from kit.scaffold.files import Tables
from kit.spelling import find_name, plain

if TYPE_CHECKING:
    import pandas as pd

_MARKS = ("_", "-", " ", "|", ":", "/", ".")
_TRIED = 64  # rows, and ways to take parts for columns of the same values
_SENTENCE = 3  # words between blanks from which on a value is a text rather than an id


def copied_columns(tables: Tables, sample_id: str, test_id: str) -> tuple[str, ...]:
    """Columns of the sample submission beside the id that have test's values, row by row.

    One value throughout may be that of an answer nobody has given yet, so it is no copy; nor is
    anything where nothing would be left to predict.

    Args:
        tables: the files.
        sample_id: the id column of the sample submission; empty: it has none.
        test_id: that of test; empty: rows go by their order.
    """
    sample, test = tables.sample, tables.test
    if sample is None:
        return ()
    if sample_id and test_id:
        if not test[test_id].is_unique:
            return ()
        rows = plain(test[test_id]).to_numpy()
        test = test.set_axis(rows).reindex(plain(sample[sample_id]).to_numpy())
    elif len(sample) != len(test):
        return ()
    names = [str(name) for name in sample.columns if name != sample_id]
    copies = [name for name in names if _same(sample[name], find_name(name, test.columns), test)]
    return tuple(copies) if len(copies) < len(names) else ()


def has_no_id(tables: Tables, targets: Sequence[str]) -> bool:
    """Whether the sample submission is answers only, in the order of test, perhaps beside texts.

    Args:
        tables: the files.
        targets: columns of train that may be answers.
    """
    sample, test = tables.sample, tables.test
    if sample is None or len(sample) != len(test):
        return False
    copies = copied_columns(tables, "", "")
    rest = [str(name) for name in sample.columns if name not in copies]
    if any(find_name(name, targets) is None for name in rest):
        return False
    if any(sample[name].is_unique and not _is_text(sample[name]) for name in copies):
        return False  # that one is the id
    return bool(copies) or not sample[rest[0]].is_unique


def find_order(tables: Tables, sample_id: str, inference: Inference) -> tuple[str, bool]:
    """Why rows of a test without an id are taken in the sample's order, and whether that is sure.

    Where its ids are made of columns of test ("1_7_2012-11-02"), the order is proven, or refuted;
    else the user is asked.

    Raises:
        ConfigError: the ids are made of columns of test, and rows are in another order.
    """
    sample, test = tables.sample, tables.test
    found = None if sample is None else _parts(plain(sample[sample_id]), test)
    if found is None:
        inference.ask(
            "test has no id column: its rows are taken in the order of the sample submission; "
            "name the id with --id if that is wrong"
        )
        return "test has no id: same order as the sample", False
    names, in_order = found
    made = ", ".join(map(repr, names))
    if not in_order:
        raise ConfigError(
            f"the sample submission's {sample_id!r} is made of {made} of test, however its rows "
            f"are in another order.\n  Add a column {sample_id!r} to a copy of test, made like "
            "it, in a folder for --from."
        )
    return f"the sample submission's ids are made of {made}, row by row", True


def _parts(ids: pd.Series, test: pd.DataFrame) -> tuple[list[str], bool] | None:
    """Columns of test that ids are made of, and whether row by row; None: of something else."""
    wanted = sorted(ids)
    for mark in _MARKS:
        if not ids.head(_TRIED).str.contains(mark, regex=False).all():
            continue
        parts = ids.str.split(mark, expand=True, regex=False)
        if not 2 <= parts.shape[1] <= len(test.columns) or parts.isna().any(axis=None):
            continue
        alike = [_alike(parts.iloc[:, place], test) for place in range(parts.shape[1])]
        found = None
        for names in islice(product(*alike), _TRIED):
            made = plain(test[names[0]])
            for name in names[1:]:
                made = made + mark + plain(test[name])
            if (made.to_numpy() == ids.to_numpy()).all():
                return [*names], True
            if found is None and sorted(made) == wanted:
                found = [*names], False
        if found is not None:
            return found
    return None


def _alike(part: pd.Series, test: pd.DataFrame) -> list[str]:
    """Columns of test that have these values and no others."""
    values = set(part.unique())
    unique = {str(name): test[name].drop_duplicates() for name in test.columns}
    return [name for name, column in unique.items() if set(plain(column)) == values]


def _same(column: pd.Series, name: str | None, test: pd.DataFrame) -> bool:
    if name is None or column.nunique() < 2:
        return False
    there, here = test[name].reset_index(drop=True), column.reset_index(drop=True)
    if not here.isna().equals(there.isna()):
        return False
    return bool((plain(here) == plain(there))[here.notna()].all())


def _is_text(column: pd.Series) -> bool:
    return float(column.dropna().str.count(r"\S+").mean()) >= _SENTENCE
