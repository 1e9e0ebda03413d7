"""Whether the answer is a sum over several rows of train, which kit does not make by itself."""

from __future__ import annotations

import pandas as pd

from kit.scaffold.facts import Inference
from kit.scaffold.files import Tables
from kit.scaffold.ids import Ids
from kit.scaffold.roles import Targets
from kit.spelling import normal

_ROWS = 1.5  # of train per row of test, on average
_REPEATED = 0.01  # share of the rows of test at most
_MOST = 6  # columns that tell them apart; by more, nearly any two rows differ


def ask_about_sums(tables: Tables, ids: Ids, targets: Targets, inference: Inference) -> None:
    """Say so where rows of test stand for several rows of train each: a month for its days.

    So much is told by names and rows: the sample submission calls the answer otherwise than train,
    what train and test share tells rows of test apart, and train has it many times.
    """
    train, test = tables.train, tables.test
    asked, taken = targets.columns[0], targets.names[0]
    if len(targets.columns) > 1 or len(targets.names) > 1 or normal(asked) == normal(taken):
        return
    shared = [c for c in map(str, test.columns) if c in train.columns and c != ids.test]
    if not 0 < len(shared) <= _MOST or any(map(_has_decimals, (train[c] for c in shared))):
        return
    if test.duplicated(shared).mean() > _REPEATED:
        return
    rows = tables.whole(shared)
    per = len(rows) / len(rows.drop_duplicates())
    apart = [c for c in map(str, train.columns) if c not in (*shared, taken, ids.train)]
    if per < _ROWS or not apart:
        return
    keys, others = (", ".join(map(repr, names[:6])) for names in (shared, apart))
    inference.ask(
        f"test has one row per {keys}, train {per:.1f} on average, which {others} tell apart: "
        f"{asked!r} may be a sum or mean of {taken!r} over such rows. If so, make it first: a "
        f"train file with one row per {keys} and period, and a column {asked!r}, beside test "
        "in a folder for --from"
    )


def _has_decimals(column: pd.Series) -> bool:
    return pd.api.types.is_float_dtype(column) and bool((column % 1 > 0).any())
