"""Does test look like train? All columns together (adversarial validation), and one by one.

Adversarial validation: a small model is trained to tell rows of test from rows of train, and its
AUC is cross-validated. What only says when a row happened is left out, as test may well be later;
that is the matter of `kit.checks.deep.splits`. Rows of one group stay in one fold.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import chi2_contingency, ks_2samp
from sklearn.model_selection import GroupKFold, StratifiedKFold

from kit.checks.deep.learning import as_numbers, auc, floats, moments, out_of_fold, rows_for
from kit.checks.deep.times import time_like
from kit.checks.finding import Evidence
from kit.checks.material import Material
from kit.kinds import some

_ROWS = 10_000  # of each file
_DRIFT_ROWS = 50_000
_FEWEST = 50
_AUC, _SURE_AUC, _ERRORS = 0.6, 0.7, 5.0
_SHIFT, _LARGE_SHIFT = 0.1, 0.2
_P = 0.001  # of all columns together
_EXPECTED = 5.0  # rows per level below which levels are pooled (Cochran's rule)
_N_FOLDS = 3


def told_apart(m: Material) -> Iterator[Evidence]:
    """A model can tell rows of test from rows of train."""
    times = time_like(m)
    names = [name for name in m.X.columns if name not in {*m.id_like, *times}]
    most = rows_for(m, _ROWS)
    a = m.drawn(len(m.X), most, "adversarial validation, train")
    b = m.drawn(len(m.X_test), most, "adversarial validation, test")
    if not names or min(len(a), len(b)) < _FEWEST:
        return
    frame = pd.concat([m.X.iloc[a], m.X_test.iloc[b]], ignore_index=True)
    X, y = as_numbers(m, names, frame), np.repeat([0, 1], [len(a), len(b)])
    gains = np.zeros(len(names))
    pred = out_of_fold(X, y, _folds(m, a, b, y), 2, threads=m.threads, gains=gains)[:, 1]
    area, errors = auc(y == 1, pred)
    if area < _AUC or errors < _ERRORS:
        return
    order = np.argsort(-gains)[:5]
    first = [names[k] for k in order if k == order[0] or gains[k] > 1.5 * gains.mean()]
    shown = ", ".join(f"{name!r} {gains[names.index(name)] / gains.sum():.0%}" for name in first)
    without = f"; without {some(times)}, which say when" if times else ""
    yield Evidence(
        text=f"ROC AUC {area:.3f} for test against train ({errors:.0f} standard errors above 0.5; "
        f"{len(a)} + {len(b)} rows{without}); what gives it away: {shown}",
        remedy="CV scores may not hold on the leaderboard. See whether the columns mean the same "
        "in test; make them comparable in features.py, or [columns] drop = [{columns}]",
        columns=tuple(first),
        severity="warning" if area >= _SURE_AUC else "info",
    )


def _folds(
    m: Material, a: NDArray[np.int64], b: NDArray[np.int64], y: NDArray[np.int64]
) -> NDArray[np.int64]:
    groups = _groups(m, a, b)
    fold = np.zeros(len(y), dtype=np.int64)
    cut: GroupKFold | StratifiedKFold = StratifiedKFold(_N_FOLDS, shuffle=True, random_state=0)
    if groups is not None and groups.max() >= 2 * _N_FOLDS:
        cut = GroupKFold(_N_FOLDS, shuffle=True, random_state=0)
    else:
        groups = None
    for k, (_, valid) in enumerate(cut.split(y, y, groups)):
        fold[valid] = k
    return fold


def _groups(m: Material, a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.int64] | None:
    """Codes of the group column for rows of both files, where both have it."""
    name = m.columns.group
    if name is None or name not in m.train.columns or name not in m.test.columns:
        return None
    both = [m.train[name].iloc[a].astype("str"), m.test[name].iloc[b].astype("str")]
    return pd.factorize(pd.concat(both), use_na_sentinel=False)[0]


def by_column(m: Material) -> Iterator[Evidence]:
    """Columns whose values, levels or gaps differ between the files."""
    times = time_like(m)
    a = m.drawn(len(m.X), _DRIFT_ROWS, "drift, train")
    b = m.drawn(len(m.X_test), _DRIFT_ROWS, "drift, test")
    if min(len(a), len(b)) < _FEWEST:
        return
    groups = _groups(m, a, b)
    n_columns = m.X.shape[1]
    for name, kind in m.kinds.items():
        if name in m.id_like or name in times:
            continue
        pair = (m.X[name].iloc[a], m.X_test[name].iloc[b])
        found = _gaps(*pair)
        if kind in ("numeric", "datetime", "text", "code"):
            values = [_values(column, kind) for column in pair]
            if groups is not None:
                values = [
                    _per_group(v, g)
                    for v, g in zip(values, (groups[: len(a)], groups[len(a) :]), strict=True)
                ]
            found = max(found, _numbers(*values))
        elif kind == "category":
            found = max(found, _levels(*pair) if groups is None else found)
        size, p, text = found
        if size >= _SHIFT and p * n_columns < _P:
            yield Evidence(
                text=f"{name!r}: {text}",
                remedy="what is learned of {columns} may not hold in test: other units, a later "
                "period, another source? Make it comparable in features.py (a rank within its "
                "day, a ratio), or [columns] drop = [{columns}], and compare CV",
                column=name,
                severity="warning" if size >= _LARGE_SHIFT else "info",
            )


Found = tuple[float, float, str]  # size 0..1, p-value, in words


def _values(column: pd.Series, kind: str) -> NDArray[np.float64]:
    if kind == "numeric":
        return floats(column)
    if kind == "datetime":
        return moments(column)
    return floats(column.str.len())


def _per_group(values: NDArray[np.float64], groups: NDArray[np.int64]) -> NDArray[np.float64]:
    """One value per group: rows of a group are no independent witnesses."""
    return floats(pd.Series(values).groupby(groups).median())


def _numbers(x: NDArray[np.float64], x_test: NDArray[np.float64]) -> Found:
    """The largest difference between two distributions (Kolmogorov and Smirnov)."""
    x, x_test = x[~np.isnan(x)], x_test[~np.isnan(x_test)]
    if min(len(x), len(x_test)) < 10:
        return 0.0, 1.0, ""
    found = ks_2samp(x, x_test, method="asymp")
    medians = f"medians {np.median(x):.4g} in train and {np.median(x_test):.4g} in test"
    return (
        float(found.statistic),
        float(found.pvalue),
        f"distributions {found.statistic:.2f} apart (Kolmogorov-Smirnov), {medians}",
    )


def _levels(x: pd.Series, x_test: pd.Series) -> Found:
    """How much of the rows would have to change their level (total variation)."""
    size = len(x.cat.categories)
    counts = np.stack(
        [np.bincount(each.cat.codes[each.notna()], minlength=size) for each in (x, x_test)]
    )
    rows = counts.sum(axis=1)
    if (rows == 0).any():
        return 0.0, 1.0, ""
    expected = counts.sum(axis=0) * (rows.min() / rows.sum())
    rare = expected < _EXPECTED
    pooled = np.column_stack([counts[:, ~rare], counts[:, rare].sum(axis=1)])
    pooled = pooled[:, pooled.sum(axis=0) > 0]
    if pooled.shape[1] < 2:
        return 0.0, 1.0, ""
    shares = pooled / rows[:, None]
    distance = float(np.abs(shares[0] - shares[1]).sum() / 2)
    order = np.argsort(-np.abs(counts[0] / rows[0] - counts[1] / rows[1]))[:3]
    told = ", ".join(
        f"{str(x.cat.categories[k])!r} {a:.0%} and {b:.0%}"
        for k in order
        for a, b in [counts[:, k] / rows]
    )
    p = float(chi2_contingency(pooled).pvalue)
    return distance, p, f"{distance:.0%} of the rows in other levels; train and test: {told}"


def _gaps(x: pd.Series, x_test: pd.Series) -> Found:
    """The difference between the shares of missing values."""
    gone = np.array([int(x.isna().sum()), int(x_test.isna().sum())])
    rows = np.array([len(x), len(x_test)])
    if gone.sum() == 0 or (gone == rows).all():
        return 0.0, 1.0, ""
    shares = gone / rows
    p = float(chi2_contingency(np.stack([gone, rows - gone])).pvalue)
    return (
        float(abs(shares[0] - shares[1])),
        p,
        (f"missing in {shares[0]:.0%} of train and {shares[1]:.0%} of test"),
    )
