"""Columns that say nothing, say the same as another, or say something else in test."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kit.checks.finding import Evidence
from kit.checks.material import Material
from kit.checks.rowhash import hashed
from kit.kinds import some

_MOSTLY_MISSING = 0.99
_UNSEEN = 0.2
_HEAD = 1000  # rows that acquit nearly every column of being constant


def constant(m: Material) -> Iterator[Evidence]:
    """Features with one value, or none, in train and in test."""
    for name, value in _constants(m).items():
        if not _varies_in_test(m, name, value):
            shown = "is empty" if pd.isna(value) else f"is {str(value)!r} in every row"
            yield Evidence(
                text=f"{name!r} {shown}",
                remedy="of no use to a model; [columns] drop = [{columns}]",
                column=name,
            )


def constant_in_train(m: Material) -> Iterator[Evidence]:
    """Features with one value in train and others in test."""
    for name, value in _constants(m).items():
        if _varies_in_test(m, name, value):
            other = m.X_test[name].dropna()
            other = other if pd.isna(value) else other[other != value]
            shown = "empty" if pd.isna(value) else repr(str(value))
            yield Evidence(
                text=f"{name!r} is {shown} throughout train, however "
                f"{len(other)} of {len(m.X_test)} rows of test say {some(other.unique())}",
                remedy="a model cannot learn it, and test differs from train: is the train file "
                "whole? Else [columns] drop = [{columns}]",
                column=name,
            )


def _constants(m: Material) -> dict[str, Any]:
    """The only value (NaN: none at all) of each feature that has one; missing is a value too."""
    found: dict[str, Any] = {}
    for name in m.X.columns:
        column = m.X[name]
        if column.head(_HEAD).nunique() > 1:
            continue
        missing = int(column.isna().sum())
        if missing == len(column):
            found[name] = np.nan
        elif missing == 0 and column.nunique() == 1:
            found[name] = column.iloc[0]
    return found


def _varies_in_test(m: Material, name: str, value: Any) -> bool:
    column = m.X_test[name]
    if pd.isna(value):
        return bool(column.notna().any())
    return bool((column.notna() & (column != value)).any())


def ids_as_features(m: Material) -> Iterator[Evidence]:
    """Features that name rows."""
    for name, reason in m.id_like.items():
        yield Evidence(
            text=f"{name!r}: {reason}",
            remedy='a model learns the row, not the rule: "id" for {columns} in [columns.kinds]',
            column=name,
        )


def mostly_missing(m: Material) -> Iterator[Evidence]:
    """Features that hardly any row has."""
    for name in m.X.columns:
        known = int(m.X[name].notna().sum())
        if 0 < known <= (1 - _MOSTLY_MISSING) * len(m.X):
            yield Evidence(
                text=f"{name!r} is known in {known} of {len(m.X)} rows "
                f"(test: {int(m.X_test[name].notna().sum())} of {len(m.X_test)})",
                remedy="harmless if missing means none; [columns] drop = [{columns}] if not",
                column=name,
            )


def duplicates(m: Material) -> Iterator[Evidence]:
    """Features equal to an earlier one in every row of both files."""
    constants = _constants(m)
    seen: dict[tuple[int, int], list[str]] = {}
    for name in m.X.columns:
        if name in constants:
            continue
        key = (_digest(m.X[name]), _digest(m.X_test[name]))
        seen.setdefault(key, []).append(name)
    for first, *others in seen.values():
        for name in others:
            yield Evidence(
                text=f"{name!r} equals {first!r} in every row",
                remedy="one of each is enough; [columns] drop = [{columns}]",
                column=name,
            )


def _digest(column: pd.Series) -> int:
    return hash(hashed(column).tobytes())


def unseen_categories(m: Material) -> Iterator[Evidence]:
    """Categories of test that train does not know, beyond what the folds show as well."""
    for name in (name for name, kind in m.kinds.items() if kind == "category"):
        train, test = m.X[name].cat.codes.to_numpy(), m.X_test[name].dropna()
        size = len(m.X[name].cat.categories)
        counts = np.bincount(train[train >= 0], minlength=size)
        if counts.sum() == 0 or test.empty:
            continue
        unseen = counts[test.cat.codes.to_numpy()] == 0
        usual = _unseen_in_folds(m, train.astype(np.int64), size)
        if usual is None:
            usual = float((counts == 1).sum() / counts.sum())
        if unseen.mean() < _UNSEEN or unseen.mean() <= 2 * usual:
            continue
        yield Evidence(
            text=f"{name!r}: {unseen.mean():.0%} of the rows of test hold levels that train lacks "
            f"(within the folds: {usual:.0%}), e.g. {some(test[unseen].unique())}",
            remedy="test asks about new ones, so should a fold: [columns] group = one of them "
            '({columns}) with [cv] splitter = "group_kfold"; or [columns] drop = [{columns}]',
            column=name,
        )


def _unseen_in_folds(m: Material, codes: NDArray[np.int64], size: int) -> float | None:
    """Share of the validated rows whose level their fold's training rows lack; None: no folds.

    Without folds the share of rows whose level occurs once stands in for it (Good, "The population
    frequencies of species", 1953).
    """
    if not m.has(["folds"]):
        return None
    unseen = validated = 0
    for k in range(m.folds.n_splits):
        train, valid = codes[m.folds.train(k)], codes[m.folds.valid(k)]
        seen = np.bincount(train[train >= 0], minlength=size) > 0
        valid = valid[valid >= 0]
        unseen, validated = unseen + int((~seen[valid]).sum()), validated + len(valid)
    return unseen / validated if validated else 0.0
