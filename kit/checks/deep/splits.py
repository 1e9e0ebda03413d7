"""Do folds ask what test asks? How train and test were split, and how the folds are."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kit.checks import columns as column_checks
from kit.checks.deep.learning import floats, moments
from kit.checks.deep.times import is_later, share_later, time_like, when
from kit.checks.finding import Evidence
from kit.checks.material import Material
from kit.checks.series import later_test
from kit.checks.validation import mixed_in_time, shuffled_time

_FEWEST = 50
_SEPARATE = 0.1  # of test rows in groups of train, against what a random cut would give
_EXPECTED = 0.5
_SHARED = 0.9
_UNEVEN = 1.5  # between the folds with most and fewest rows of a class
_LEVELS = 5


def other_groups(m: Material) -> Iterator[Evidence]:
    """Columns whose levels train and test do not share, while folds do."""
    if min(len(m.train), len(m.test)) < _FEWEST:
        return
    known = {item.column for item in column_checks.unseen_categories(m)}  # KIT116 says it
    named = {*m.columns.target, m.columns.group, m.columns.time, *time_like(m), *known}
    for name, levels, test_levels in _candidates(m):
        if name in named:
            continue
        codes, values = pd.factorize(levels)
        counts = np.bincount(codes[codes >= 0])
        if not _LEVELS <= len(values) <= len(levels) / 2:
            continue
        expected = float(counts[counts >= 2].sum() / counts.sum())
        shared = float(test_levels.isin(set(values)).mean())
        mixed = _mixed(m, codes)
        if expected >= _EXPECTED and shared <= _SEPARATE * expected and mixed > 0.2:
            yield Evidence(
                text=f"{name!r}: {shared:.0%} of the rows of test have a level that train has (cut "
                f"at random: about {expected:.0%}), however {mixed:.0%} of the levels lie in two "
                "folds or more",
                remedy="test asks about new ones, folds about known ones, so CV is too good: "
                f'[columns] group = {_column(name)} with [cv] splitter = "group_kfold"',
                column=name,
            )


def _candidates(m: Material) -> Iterator[tuple[str, pd.Series, pd.Series]]:
    """Columns of both files that may name groups, and what ids begin with."""
    for name in m.train.columns:
        if name in m.test.columns and name not in (m.columns.id, m.columns.test_id):
            train, test = m.train[name], m.test[name]
            if pd.api.types.is_float_dtype(train) and not (train.dropna() % 1 == 0).all():
                continue
            if pd.api.types.is_numeric_dtype(train) != pd.api.types.is_numeric_dtype(test):
                continue  # KIT005
            yield str(name), train, test
    head = [
        ids.str.extract(r"^(.*\w)[_\-. /:]\w+$", expand=False)
        for ids in (m.row_ids, m.test_row_ids)
    ]
    if head[0].notna().all() and head[1].notna().all():
        yield f"the beginning of {m.columns.id}", head[0], head[1]


def _column(name: str) -> str:
    return "a column made of it" if name.startswith("the beginning of") else f'"{name}"'


def _mixed(m: Material, codes: NDArray[np.int64]) -> float:
    """Share of the levels with several rows that lie in two folds or more."""
    frame = pd.DataFrame({"level": codes, "fold": m.folds.fold})[(codes >= 0) & (m.folds.fold >= 0)]
    per_level = frame.groupby("level")["fold"].agg(["size", "nunique"])
    several = per_level[per_level["size"] >= 2]
    return float((several["nunique"] > 1).mean()) if len(several) else 0.0


def later(m: Material) -> Iterator[Evidence]:
    """Test lies later than train, folds do not."""
    if any(shuffled_time(m)) or any(later_test(m)):
        return  # KIT303 or KIT305 says it
    for name, x, x_test in _clocks(m):
        if is_later(x, x_test) and not m.folds.forward and mixed_in_time(m, x):
            yield Evidence(
                text=f"{name!r}: {share_later(x, x_test):.0%} of the rows of test are later than "
                "train, however folds are cut across it",
                remedy="a fold is easier than test then: [columns] time = {columns} with [cv] "
                'splitter = "time_series"',
                column=name,
            )
            return


def _clocks(m: Material) -> Iterator[tuple[str, NDArray[np.float64], NDArray[np.float64]]]:
    """Columns that say when, for train and test, without gaps."""
    name, x, x_test = m.columns.time, when(m, m.train), when(m, m.test)
    if name is not None and x is not None and x_test is not None:
        yield name, x, x_test
    for name, x in time_like(m).items():
        column = m.X_test[name]
        x_test = moments(column) if m.kinds[name] == "datetime" else floats(column)
        if name != m.columns.time and not np.isnan(x).any() and not np.isnan(x_test).any():
            yield name, x, x_test


def stricter(m: Material) -> Iterator[Evidence]:
    """Folds keep apart what test does not."""
    name = m.columns.group
    if name in m.train.columns and name in m.test.columns and "group" in m.settings.cv.splitter:
        shared = float(m.test[name].astype("str").isin(set(m.train[name].astype("str"))).mean())
        if shared >= _SHARED:
            yield Evidence(
                text=f"{shared:.0%} of the rows of test belong to a {name!r} of train, however "
                f"cv.splitter = {m.settings.cv.splitter!r} validates on new ones only",
                remedy="CV is harder than test, and what is known of a group seems worthless: "
                'splitter = "stratified_kfold" or "kfold", unless the private test is otherwise',
                columns=(str(name),),
            )
    if m.folds.forward:
        pair = [when(m, frame) for frame in (m.train, m.test)]
        if pair[0] is None or pair[1] is None:
            return
        inside = float((pair[1] <= pair[0].max()).mean())
        if inside >= _SHARED:
            yield Evidence(
                text=f"{inside:.0%} of the rows of test lie within the time of train, however "
                f"cv.splitter = {m.settings.cv.splitter!r} validates on later ones only",
                remedy='test fills gaps: [cv] splitter = "time_blocks" with cv.block, or "kfold"',
                columns=tuple(c for c in [m.columns.time] if c),
            )


def uneven_classes(m: Material) -> Iterator[Evidence]:
    """A class whose share differs from fold to fold although nothing forbids equal shares."""
    task = m.settings.task
    if task.type not in ("binary", "multiclass") or m.settings.cv.splitter != "kfold":
        return
    fold, y = m.folds.fold, m.y
    counts = pd.crosstab(fold[fold >= 0], y[fold >= 0])
    shares = counts.div(counts.sum(axis=1), axis=0)
    worst = [
        (float(shares[k].max() / max(shares[k].min(), 1e-9)), int(k))
        for k in shares.columns
        if counts[k].sum() >= m.folds.n_splits
    ]
    ratio, k = max(worst, default=(0.0, 0))
    if ratio >= _UNEVEN:
        label = task.classes[k]
        yield Evidence(
            text=f"{label!r} makes {shares[k].min():.1%} of one fold and {shares[k].max():.1%} of "
            "another",
            remedy='scores of folds differ for that alone: [cv] splitter = "stratified_kfold"',
        )
