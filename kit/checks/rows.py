"""Rows that occur more than once, within train and across train and test.

Equal rows in two folds, or in train and test, let a model look answers up. With few or coarse
columns equal rows are mere chance, which is estimated and said.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kit.checks.finding import Evidence, Severity
from kit.checks.material import Material
from kit.kinds import some

_SHARE, _FEW = 0.005, 5  # of the rows, or so many; below it nothing is at stake


def repeated(m: Material) -> Iterator[Evidence]:
    """Rows of train with the same features and the same target as another one."""
    target = _target(m)
    rows = pd.Series(m.row_hashes.train[m.known])
    both = pd.Series(rows.to_numpy() ^ target)
    n_pairs, n_rows = _pairs(both), int(both.duplicated(keep=False).sum())
    severity = _severity(m, n_pairs, n_rows, len(both))
    if severity is not None:
        first = m.row_ids.iloc[m.known[both.duplicated(keep=False).to_numpy()]]
        yield Evidence(
            text=f"{n_rows} of {len(both)} rows equal another one, target included "
            f"({_by_chance(m, len(both))}), first ids: {some(first)}",
            remedy="if they are copies, keep one of each; else keep equal rows in one fold: give "
            'them a common number in a column and set [columns] group = "…"',
            severity=severity,
        )


def contradicting(m: Material) -> Iterator[Evidence]:
    """Rows of train with the same features and different targets."""
    rows = m.row_hashes.train[m.known]
    frame = pd.DataFrame({"row": rows, "target": _target(m)})
    frame = frame[frame["row"].duplicated(keep=False)]
    if frame.empty:
        return
    differ = frame.groupby("row")["target"].transform("nunique") > 1
    n_rows = int(differ.sum())
    severity = _severity(m, _pairs(frame["row"]), n_rows, len(rows))
    if n_rows == 0 or severity is None:
        return
    numbers = m.settings.task.type in ("regression", "multitarget")
    first = m.row_ids.iloc[m.known[frame.index[differ]]]
    yield Evidence(
        text=f"{n_rows} of {len(rows)} rows have equal features and different targets "
        f"({_by_chance(m, len(rows))}), first ids: {some(first)}",
        remedy="no model can get all of them right. Noisy labels, or a column left out by "
        "[columns] drop that tells them apart?",
        severity="info" if numbers else severity,  # repeated measurements differ
    )


def in_both_files(m: Material) -> Iterator[Evidence]:
    """Rows of test whose features all occur in one row of train."""
    hashes = m.row_hashes
    counts = pd.Series(hashes.train).value_counts()
    matches = counts.reindex(hashes.test).fillna(0).to_numpy()
    n_rows, n_test = int((matches > 0).sum()), len(hashes.test)
    expected = hashes.chance * len(hashes.train) * n_test
    severity = _graded(expected, float(matches.sum()), n_rows, n_test)
    if severity is not None:
        chance = f"about {expected:.2g} pairs by chance"
        yield Evidence(
            text=f"{n_rows} of {n_test} rows of test equal a row of train in all features "
            f"({chance}), first ids of test: {some(m.test_row_ids[matches > 0])}",
            remedy="the answers of these rows may be known: look at how train and test were made. "
            'To validate likewise, keep equal rows in one fold: [columns] group = "…"',
            severity=severity,
        )


def _target(m: Material) -> NDArray[np.uint64]:
    """A hash of the target per known row: ``(n_known,)``."""
    columns = pd.DataFrame(m.y if m.y.ndim > 1 else m.y[:, None])
    return np.asarray(pd.util.hash_pandas_object(columns, index=False), dtype=np.uint64)


def _pairs(keys: pd.Series) -> float:
    counts = keys.value_counts().to_numpy(dtype=np.float64)
    return float((counts * (counts - 1) / 2).sum())


def _expected(m: Material, n: int) -> float:
    return m.row_hashes.chance * n * (n - 1) / 2


def _by_chance(m: Material, n: int) -> str:
    return f"about {_expected(m, n):.2g} pairs by chance if columns were independent"


def _severity(m: Material, n_pairs: float, n_rows: int, n: int) -> Severity | None:
    return _graded(_expected(m, n), n_pairs, n_rows, n)


def _graded(expected: float, n_pairs: float, n_rows: int, n: int) -> Severity | None:
    """None where chance explains it; "info" where it may, or where few rows are concerned.

    Columns depend on one another, so chance makes many times the pairs that are expected.
    """
    if n_rows == 0 or n_pairs <= 3 * expected:
        return None
    return "warning" if expected < 0.5 and n_rows >= max(_FEW, _SHARE * n) else "info"
