"""Columns of a sample submission that repeat those of test, and samples that have no id.

Owns: telling what is copied from what is to be predicted, by the values.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kit.scaffold.files import Tables
from kit.scaffold.spelling import find_name, plain

if TYPE_CHECKING:
    import pandas as pd

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


def _same(column: pd.Series, name: str | None, test: pd.DataFrame) -> bool:
    if name is None or column.nunique() < 2:
        return False
    there, here = test[name].reset_index(drop=True), column.reset_index(drop=True)
    if not here.isna().equals(there.isna()):
        return False
    return bool((plain(here) == plain(there))[here.notna()].all())


def _is_text(column: pd.Series) -> bool:
    return float(column.dropna().str.count(r"\S+").mean()) >= _SENTENCE
