"""Small models for checks: columns as numbers, out-of-fold predictions, how well they rank."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata

from kit.checks.material import Material

MOST_CELLS = 2_000_000  # rows x columns that a small model learns from
_LEVELS = 50  # categories with more are shown as how common the level is
_ROUNDS = 80
_SMOOTH = {"n_estimators": 60, "learning_rate": 0.08, "num_leaves": 4, "min_child_samples": 20}
_SMOOTH |= {"subsample": 0.6, "colsample_bytree": 0.5, "reg_lambda": 5.0}

Array = NDArray[np.float64]


def rows_for(m: Material, most: int) -> int:
    """How many rows a small model gets: `most`, or fewer where there are many columns."""
    return min(most, max(1_000, MOST_CELLS // max(1, m.X.shape[1])))


def as_numbers(m: Material, names: Sequence[str], frame: pd.DataFrame) -> pd.DataFrame:
    """Columns as a tree reads them: missing values stay missing, no target is looked at.

    Categories with few levels become pandas categories of codes, others the number of rows that
    the level has in `frame`; texts and codes their length.
    """
    made: dict[str, Any] = {}
    for name in names:
        column, kind = frame[name], m.kinds[name]
        if kind == "numeric":
            made[name] = floats(column)
        elif kind == "datetime":
            made[name] = moments(column)
        elif kind == "category":
            codes = column.cat.codes.to_numpy()
            if len(column.cat.categories) <= _LEVELS:
                made[name] = column.cat.rename_categories(range(len(column.cat.categories))).array
            else:
                counts = np.bincount(codes[codes >= 0], minlength=len(column.cat.categories))
                made[name] = np.where(codes < 0, np.nan, counts[codes])
        else:
            made[name] = floats(column.str.len())
    # LightGBM does not take every character in a name
    return pd.DataFrame(made).set_axis([f"c{k}" for k in range(len(made))], axis=1)


def floats(column: pd.Series) -> Array:
    """A column of numbers, missing as nan."""
    return np.asarray(column.to_numpy(dtype=np.float64, na_value=np.nan), dtype=np.float64)


def moments(column: pd.Series) -> Array:
    """A datetime column as days, missing as nan."""
    days = (column - pd.Timestamp("2000-01-01")) / pd.Timedelta("1D")
    return floats(days)


def out_of_fold(
    X: pd.DataFrame,
    y: NDArray[Any],
    fold: NDArray[np.int64],
    n_classes: int,
    *,
    threads: int = 1,
    smooth: bool = False,
    gains: Array | None = None,
) -> Array:
    """Predictions of a small LightGBM, each made by a model that did not see the row.

    Args:
        X: columns of `as_numbers`.
        y: class codes, or numbers.
        fold: fold per row.
        n_classes: 0 for numbers.
        threads: for LightGBM.
        smooth: small trees with a penalty, whose confidence can be believed.
        gains: takes what each column gained. ``(d,)``

    Returns:
        ``(n, n_classes)`` probabilities, or ``(n, 1)`` values.
    """
    pred = np.zeros((len(y), n_classes or 1))
    options: dict[str, Any] = {
        "n_estimators": _ROUNDS if n_classes < 5 else _ROUNDS // 2,
        "learning_rate": 0.1,
        "num_leaves": 15,
        "min_child_samples": max(5, min(20, len(y) // 50)),
        "subsample": 0.8,
        "subsample_freq": 1,
        "colsample_bytree": 0.8,
        "n_jobs": threads,
        "random_state": 0,
        "deterministic": True,
        "force_row_wise": True,
        "importance_type": "gain",
        "verbosity": -1,
        **(_SMOOTH if smooth else {}),
    }
    for k in np.unique(fold):
        train, valid = fold != k, fold == k
        if n_classes:
            if len(np.unique(y[train])) < 2:
                continue
            model = lightgbm.LGBMClassifier(**options).fit(X[train], y[train])
            columns = np.asarray(model.classes_, dtype=np.int64)
            pred[np.ix_(np.flatnonzero(valid), columns)] = model.predict_proba(X[valid])
        else:
            model = lightgbm.LGBMRegressor(**options).fit(X[train], y[train])
            pred[valid, 0] = model.predict(X[valid])
        if gains is not None:
            gains += model.feature_importances_
    return pred


def auc(positive: NDArray[np.bool_], score: Array) -> tuple[float, float]:
    """Area under the ROC curve, and how many standard errors of chance it is above 0.5.

    The standard error is that of Mann and Whitney (1947). Missing scores are the lowest.
    """
    n, n_one = len(positive), int(positive.sum())
    n_zero = n - n_one
    if n_one == 0 or n_zero == 0:
        return 0.5, 0.0
    ranks = rankdata(np.where(np.isnan(score), -np.inf, score))
    area = (ranks[positive].sum() - n_one * (n_one + 1) / 2) / (n_one * n_zero)
    error = np.sqrt((n + 1) / (12 * n_one * n_zero))
    return float(area), float((area - 0.5) / error)


def strength(y: NDArray[Any], pred: Array, n_classes: int) -> tuple[float, float]:
    """How well predictions rank: 0 for knowing nothing, 1 for perfect; and standard errors.

    Classes: ``2 * AUC - 1``, the mean over classes weighted by their rows; numbers: the rank
    correlation.
    """
    if n_classes == 0:
        r = float(np.corrcoef(rankdata(y), rankdata(pred[:, 0]))[0, 1]) if np.ptp(pred) else 0.0
        return max(r, 0.0), r * len(y) ** 0.5
    codes = [1] if n_classes == 2 else range(n_classes)
    areas = [(auc(y == k, pred[:, k]), float((y == k).mean())) for k in codes]
    total = sum(share for _, share in areas)
    area = sum(found[0] * share for found, share in areas) / total
    z = max(found[1] for found, _ in areas)
    return max(2 * area - 1, 0.0), z
