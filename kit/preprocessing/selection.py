"""Which columns are worth keeping: gain in a quick booster, against columns that are noise.

Only training rows come in here. A candidate must gain more than shuffled copies of candidates do,
and must not order the rows as a better one does already.
"""

from __future__ import annotations

import lightgbm as lgb
import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

_ROUNDS = 100
_MOST_OUTPUTS = 3  # several targets: so many of them are asked
_RANKED_ROWS = 4000
_SAME_ORDER = 0.98


def gains(
    X: NDArray[np.float32],
    y: NDArray[np.float64],
    n_classes: int,
    categories: list[int],
    *,
    seed: int,
    threads: int = 1,
) -> NDArray[np.float64]:
    """Total gain of every column in a quick booster.

    Args:
        X: columns; categories as codes, negative for missing. ``(n, d)``
        y: class codes or numbers. ``(n,)``, or ``(n, k)`` for several targets
        n_classes: 0 for numbers.
        categories: positions of the categories in `X`.
        seed: of the column sampling.
        threads: of LightGBM; they do not change the result.

    Returns:
        ``(d,)``, adding up to 1.
    """
    params = {
        "objective": "regression",
        "learning_rate": 0.1,
        "num_leaves": 31,
        "min_data_in_leaf": max(2, min(20, len(X) // 50)),
        "feature_fraction": 0.5 if X.shape[1] < 100 else 0.25,
        "bagging_fraction": 0.7,
        "bagging_freq": 1,
        "max_bin": 63,
        "seed": seed,
        "num_threads": threads,
        "deterministic": True,
        "force_col_wise": True,
        "verbosity": -1,
    }
    rounds = _ROUNDS
    if n_classes == 2:
        params["objective"] = "binary"
    elif n_classes > 2:
        params |= {"objective": "multiclass", "num_class": n_classes}
        rounds = max(3, 2 * _ROUNDS // n_classes)  # a tree per class and round
    total = np.zeros(X.shape[1])
    targets = y.reshape(len(y), -1)[:, :_MOST_OUTPUTS]
    for target in targets.T:
        data = lgb.Dataset(X, target, categorical_feature=categories, params={"max_bin": 63})
        booster = lgb.train(params, data, rounds)
        gain = booster.feature_importance("gain")
        total += gain / max(gain.sum(), 1e-12)
    return total / targets.shape[1]


def above_noise(
    base: NDArray[np.float32],
    made: NDArray[np.float32],
    y: NDArray[np.float64],
    n_classes: int,
    categories: list[int],
    *,
    most: int,
    seed: int,
    threads: int = 1,
) -> NDArray[np.int64]:
    """Positions of the made columns to keep, best first.

    Twice: first loosely, so that columns that say the same share a gain that is above the noise of
    a typical probe; then, without doubles, against the best probe.

    Args:
        base: columns that are there anyway. ``(n, b)``
        made: candidates. ``(n, d)``
        y: class codes or numbers. ``(n,)``, or ``(n, k)`` for several targets
        n_classes: 0 for numbers.
        categories: positions of the categories in `base`.
        most: how many to keep at most.
        seed: of the probes and the column sampling.
        threads: of LightGBM.
    """
    kept = np.arange(made.shape[1])
    for step, share in enumerate((0.5, 1.0)):
        if not len(kept):
            break
        rng = np.random.default_rng([seed, step])
        n_probes = int(np.clip(len(kept) // 10, 5, 30))
        probes = made[:, rng.choice(kept, n_probes)]
        probes = rng.permuted(probes, axis=0)
        X = np.hstack([base, made[:, kept], probes])
        gain = gains(X, y, n_classes, categories, seed=seed + step, threads=threads)
        own, noise = gain[base.shape[1] : -n_probes], gain[-n_probes:]
        order = np.argsort(-own, kind="stable")
        order = order[own[order] > np.quantile(noise, share)]
        kept = kept[order]
        if step == 0:
            kept = without_doubles(base, made, kept[: 4 * most], most=3 * most)
    return kept[:most]


def without_doubles(
    base: NDArray[np.float32], made: NDArray[np.float32], order: NDArray[np.int64], *, most: int
) -> NDArray[np.int64]:
    """Drop candidates that order the rows (Spearman) as a better one or a base column does."""
    rows = slice(None, None, max(1, len(made) // _RANKED_ROWS))
    chosen: list[int] = []
    taken = _ranks(base[rows])
    for position in order:
        column = _ranks(made[rows, position : position + 1])
        if column.any() and np.abs(taken.T @ column).max(initial=0.0) < _SAME_ORDER:
            chosen.append(int(position))
            taken = np.hstack([taken, column])
        if len(chosen) == most:
            break
    return np.array(chosen, dtype=np.int64)


def _ranks(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Ranks per column, centred, of length 1; missing values in the middle; constants are zero."""
    missing = np.isnan(values)
    ranks = rankdata(np.where(missing, np.inf, values), axis=0)
    ranks[missing] = 0.0
    ranks -= ranks.sum(axis=0) / np.maximum((~missing).sum(axis=0), 1)
    ranks[missing] = 0.0
    length = np.sqrt((ranks**2).sum(axis=0))
    return np.divide(ranks, length, out=np.zeros_like(ranks), where=length > 0).astype(np.float32)
