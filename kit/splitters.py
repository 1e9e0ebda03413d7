"""Splitters: how training rows are cut into folds.

A splitter is a function ``(y, groups, time, spec) -> fold per row``, with -1 for rows that are
never validated. `y` is int codes (n,) for classes, floats (n,) for regression, ints (n, t) for
multilabel, floats (n, t) for several targets. With the attribute ``forward = True`` on the
function, fold k trains on the rows of lower folds only. A splitter may return a pair, the folds and
a bool matrix (n, n_splits) of rows that a fold must not train on (see `kit.folds.Folds.purged`).
Those that follow time are in `kit.time_splitters`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.model_selection import (
    GroupKFold,
    KFold,
    StratifiedGroupKFold,
    StratifiedKFold,
)

from kit.errors import ConfigError, DataError, counted
from kit.folds import NEAR_SEALED, SEALED, FoldArray, Folds, Purged
from kit.registry import SPLITTERS
from kit.settings import MAX_FOLDS, CVSpec, TaskType
from kit.time_splitters import enough, group_codes, near, stamps_of, time_windows

Array = NDArray[Any]
Splitter = Callable[
    [Array, "Array | None", "pd.Series[Any] | None", CVSpec], "FoldArray | tuple[FoldArray, Purged]"
]

_BINS = 10  # quantile bins that stand for classes when a regression is stratified

__all__ = ["Folds", "Splitter", "check_splitter", "make_folds"]


def make_folds(
    *,
    ids: ArrayLike | pd.Series[Any],
    y: ArrayLike,
    task: TaskType,
    spec: CVSpec,
    groups: ArrayLike | pd.Series[Any] | None = None,
    time: pd.Series[Any] | ArrayLike | None = None,
    local: Callable[[str], Any] | None = None,
) -> Folds:
    """Split the training rows as `spec` says.

    Args:
        ids: training ids. ``(n,)``
        y: target: codes, floats, or several columns. ``(n,)`` or ``(n, t)``
        task: decides whether `y` is classes or values.
        spec: the `[cv]` table.
        groups: rows of one group stay together. ``(n,)``
        time: when a row happened (datetimes or numbers). ``(n,)``
        local: resolves a splitter ``module:attribute`` in the competition's folder.

    Raises:
        ConfigError: the splitter needs a group or time column, or breaks its contract.
        DataError: there are too few rows, groups or members of a class.
    """
    splitter: Splitter = SPLITTERS.load(spec.splitter, local)
    if spec.gap and splitter in (kfold, stratified_kfold, group_kfold, stratified_group_kfold):
        raise ConfigError(
            f"cv.gap = {spec.gap!r}: cv.splitter = {spec.splitter!r} does not follow time, so "
            "there is no gap to keep.\n  Use time_series, time_windows, time_blocks or group_time."
        )
    continuous = task in ("regression", "multitarget")
    target = np.asarray(y, dtype=np.float64 if continuous else np.int64)
    enough(len(target), spec, "training rows")
    stamps = None if time is None else pd.Series(np.asarray(time), name="time")
    if isinstance(time, pd.Series):
        stamps = time.reset_index(drop=True)
    codes = None if groups is None else np.asarray(groups)
    fold, purged = _with_holdout(splitter, target, codes, stamps, spec)
    folds = _folds(splitter, np.asarray(ids), fold, purged)
    for k in range(folds.n_splits):
        if len(folds.train(k)) == 0:
            raise DataError(
                f"fold {k + 1} has no row to train on; cv.splitter = {spec.splitter!r}, cv.gap = "
                f"{spec.gap!r}.\n  Use a shorter cv.gap or fewer folds (cv.n_splits)."
            )
    if task in ("binary", "multiclass"):
        _every_class(folds, target, spec)
    return folds


def _folds(splitter: Splitter, ids: Array, fold: FoldArray, purged: Purged | None) -> Folds:
    forward = bool(getattr(splitter, "forward", False))
    return Folds(pd.Series(ids), fold, forward=forward, purged=purged)


def _with_holdout(
    splitter: Splitter,
    y: Array,
    groups: Array | None,
    time: pd.Series[Any] | None,
    spec: CVSpec,
) -> tuple[FoldArray, Purged | None]:
    """Seal the holdout, leave out what is too near to it, cut the folds of the other rows."""
    if not spec.holdout:
        return _cut(splitter, y, groups, time, spec, np.ones(len(y), dtype=bool))
    sealed, beside = _sealed(splitter, y, groups, time, spec)
    rows = ~(sealed | beside)
    if not rows.any():
        raise DataError(
            f"cv.holdout = {spec.holdout:g} leaves no row for the folds: {int(sealed.sum())} rows "
            f"would be sealed, and the other {int(beside.sum())} are too near to them (cv.gap = "
            f"{spec.gap!r}) or of their groups.\n  Use a shorter cv.gap or a smaller cv.holdout."
        )
    try:
        fold, purged = _cut(splitter, y, groups, time, spec, rows)
    except (ConfigError, DataError) as error:
        left = f"{int(rows.sum())} of {len(y)} rows for the folds"
        raise type(error)(f"cv.holdout = {spec.holdout:g} leaves {left}: {error}") from None
    fold[sealed], fold[beside] = SEALED, NEAR_SEALED
    return fold, purged


def _cut(
    splitter: Splitter,
    y: Array,
    groups: Array | None,
    time: pd.Series[Any] | None,
    spec: CVSpec,
    rows: NDArray[np.bool_],
) -> tuple[FoldArray, Purged | None]:
    """Folds, and what they must not train on, of some of the rows; the others get -1."""
    part = None if time is None else time[rows].reset_index(drop=True)
    given = splitter(y[rows], None if groups is None else groups[rows], part, spec)
    found, avoided = _checked(given, int(rows.sum()), spec)
    fold = np.full(len(y), -1, dtype=np.int8)
    fold[rows] = found
    if avoided is None:
        return fold, None
    purged = np.zeros((len(y), avoided.shape[1]), dtype=bool)
    purged[rows] = avoided
    return fold, purged


def _sealed(
    splitter: Splitter,
    y: Array,
    groups: Array | None,
    time: pd.Series[Any] | None,
    spec: CVSpec,
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """The sealed holdout, the last of 1 / `spec.holdout` folds of the same splitter; what is near.

    So whole groups and blocks of time are sealed, the latest rows where folds go forward, and
    every class in its share. Of `time_windows` it is that share of the rows: a window may be longer
    and there is not room for many. `spec.seed` and `spec.n_splits` have no part in it: whoever
    tries other folds keeps the same rows sealed.

    Near are the rows that this last fold must not train on: within `spec.gap`, or of its groups.

    Raises:
        ConfigError, DataError: the rows cannot be cut into so many folds.
    """
    if splitter is time_windows:
        stamps = stamps_of(time, spec)
        sealed = _latest(stamps, spec.holdout)
        fold = np.where(sealed, 0, -1).astype(np.int8)
        return sealed, near(stamps, fold, replace(spec, n_splits=1))[:, 0]
    seal = replace(spec, n_splits=round(1 / spec.holdout), seed=0)
    try:
        fold, purged = _cut(splitter, y, groups, time, seal, np.ones(len(y), dtype=bool))
    except (ConfigError, DataError) as error:
        text = f"cv.holdout = {spec.holdout:g} (one of {seal.n_splits} folds): {error}"
        raise type(error)(text) from None
    sealed = np.asarray(fold == fold.max())
    return sealed, np.zeros_like(sealed) if purged is None else purged[:, -1] & ~sealed


def _latest(stamps: Array, share: float) -> NDArray[np.bool_]:
    """The latest rows, about so many; rows of one time stay together."""
    times, counts = np.unique(stamps, return_counts=True)
    later = np.cumsum(counts[::-1])[::-1]  # rows of this time or a later one
    first = int(np.argmin(np.abs(later - share * len(stamps))))
    sealed: NDArray[np.bool_] = stamps >= times[first]
    return sealed if first else ~sealed  # one time only: the folds refuse that


def _checked(given: Any, n: int, spec: CVSpec) -> tuple[FoldArray, Purged | None]:
    """What a splitter returned, or the reason why it is not folds."""
    fold, purged = given if isinstance(given, tuple) and len(given) == 2 else (given, None)
    fold = _fold_numbers(fold, n, spec)
    shape = (n, int(fold.max()) + 1)
    if purged is not None and (np.shape(purged) != shape or np.asarray(purged).dtype != bool):
        raise ConfigError(
            f"cv.splitter = {spec.splitter!r}: the rows not to train on must be a bool matrix of "
            f"shape {shape}. Received: {np.asarray(purged).dtype} of shape {np.shape(purged)}"
        )
    return fold, None if purged is None else np.asarray(purged)


def _fold_numbers(given: Any, n: int, spec: CVSpec) -> FoldArray:
    fold = np.asarray(given)
    where = f"cv.splitter = {spec.splitter!r} must return one whole number per row"
    if fold.shape != (n,) or fold.dtype.kind not in "iu":
        raise ConfigError(f"{where}: {n} rows; received {fold.dtype} of shape {fold.shape}")
    present = np.unique(fold[fold >= 0])
    if fold.min() < -1 or not np.array_equal(present, np.arange(len(present))):
        raise ConfigError(f"{where}, -1 or 0, 1, 2, ... without gaps. Received: {np.unique(fold)}")
    if not 1 <= len(present) <= MAX_FOLDS:
        raise ConfigError(f"{where}, with 1 to {MAX_FOLDS} folds. Received: {len(present)}")
    return fold.astype(np.int8)


def _every_class(folds: Folds, y: Array, spec: CVSpec) -> None:
    """Every fold's training rows hold every class; a model cannot learn one it does not see."""
    size = int(y.max()) + 1
    total = np.bincount(y[folds.train(folds.n_splits)], minlength=size)
    for k in range(folds.n_splits):
        train = np.bincount(y[folds.train(k)], minlength=size)
        absent = np.flatnonzero((train == 0) & (total > 0))
        if len(absent):
            code = int(absent[0])
            raise DataError(
                f"the training rows of fold {k + 1} lack class {code + 1} of task.classes; it "
                f"has {int(total[code])} rows in all. Splitter: {spec.splitter!r}.\n"
                "  Use a stratified splitter or fewer folds, or leave out that class's rows."
            )


def kfold(y: Array, groups: Array | None, time: pd.Series[Any] | None, spec: CVSpec) -> FoldArray:
    """Shuffled folds of equal size."""
    enough(len(y), spec, "training rows")
    cut = KFold(spec.n_splits, shuffle=True, random_state=spec.seed)
    return _numbered(cut.split(y), len(y))


def stratified_kfold(
    y: Array, groups: Array | None, time: pd.Series[Any] | None, spec: CVSpec
) -> FoldArray:
    """Equal shares of every class (regression: of every tenth) in each fold.

    Where two classes at least are in every fold, rarer ones need not be: their rows lie in
    different folds, and that of a class of one row is learned from in all of them (-1).
    """
    strata = _strata(y, spec)
    _enough_members(strata, spec, everywhere=2)
    several = np.flatnonzero(np.bincount(strata)[strata] > 1)
    cut = StratifiedKFold(spec.n_splits, shuffle=True, random_state=spec.seed)
    fold = np.full(len(y), -1, dtype=np.int8)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)
        fold[several] = _numbered(cut.split(several, strata[several]), len(several))
    return fold


def group_kfold(
    y: Array, groups: Array | None, time: pd.Series[Any] | None, spec: CVSpec
) -> FoldArray:
    """Rows of one group stay in one fold; folds get equally many groups."""
    codes = group_codes(groups, spec)
    cut = GroupKFold(spec.n_splits, shuffle=True, random_state=spec.seed)
    return _numbered(cut.split(codes, groups=codes), len(y))


def stratified_group_kfold(
    y: Array, groups: Array | None, time: pd.Series[Any] | None, spec: CVSpec
) -> FoldArray:
    """Rows of one group stay in one fold; classes as equally spread as groups allow.

    Every fold must hold every class; tenths of a value and combinations of labels it need not.
    """
    codes = group_codes(groups, spec)
    strata = _strata(y, spec)
    _enough_members(strata, spec)
    cut = StratifiedGroupKFold(spec.n_splits, shuffle=True, random_state=spec.seed)
    fold = _numbered(cut.split(strata, strata, codes), len(y))
    shares = pd.crosstab(fold, strata).reindex(range(spec.n_splits), fill_value=0).to_numpy()
    if (shares == 0).any() and _are_classes(y):
        k, code = (int(i) for i in np.argwhere(shares == 0)[0])
        raise DataError(
            f"fold {k + 1} would hold no row of class {np.unique(strata)[code] + 1} of "
            "task.classes: its rows lie in too few groups.\n"
            "  Use fewer folds (cv.n_splits) or cv.splitter = 'group_kfold'."
        )
    return fold


def _strata(y: Array, spec: CVSpec) -> NDArray[np.int64]:
    """What is spread evenly: classes, tenths of a value, or combinations of labels."""
    if _are_classes(y):
        return y.astype(np.int64)
    if y.ndim == 1:
        rank = np.argsort(np.argsort(y, kind="stable"), kind="stable")
        bins = max(1, min(_BINS, len(y) // spec.n_splits))
        return rank * bins // len(y)
    if y.dtype.kind == "f":
        raise ConfigError(
            f"cv.splitter = {spec.splitter!r} cannot stratify several targets of numbers. "
            "Use 'kfold' or 'group_kfold'."
        )
    codes, counts = np.unique(y, axis=0, return_inverse=True, return_counts=True)[1:]
    rare = counts < spec.n_splits
    pool = int(counts.argmax()) if counts[rare].sum() < spec.n_splits else len(counts)
    strata: NDArray[np.int64] = np.where(rare, pool, np.arange(len(counts)))[codes.reshape(-1)]
    return strata


def _are_classes(y: Array) -> bool:
    return y.dtype.kind in "iu" and y.ndim == 1


def _enough_members(strata: NDArray[np.int64], spec: CVSpec, everywhere: int = 0) -> None:
    """Refuse where not so many classes have a row for every fold; 0: all of them."""
    counts = np.bincount(strata)
    most = int(np.sort(counts[counts > 0])[-everywhere:][0])
    if most < spec.n_splits:
        few = [(code, int(m)) for code, m in enumerate(counts) if 0 < m < spec.n_splits]
        named = ", ".join(f"no. {c + 1} in task.classes: {m}" for c, m in few[:3])
        way = f"At most {most} folds (cv.n_splits)" if most > 1 else "No number of folds does"
        raise DataError(
            f"cv.splitter = {spec.splitter!r} needs at least cv.n_splits = {spec.n_splits} rows "
            f"of {'two classes' if everywhere else 'every class'}. "
            f"{counted(len(few), 'class has', 'classes have')} fewer: {named}.\n"
            f"  {way}; cv.splitter = 'kfold' does not ask for it, and amounts that look like "
            "classes want task.type = 'regression'."
        )


def _numbered(splits: Iterator[tuple[Any, Any]], n: int) -> FoldArray:
    fold = np.full(n, -1, dtype=np.int8)
    for k, (_, valid) in enumerate(splits):
        fold[valid] = k
    return fold


def check_splitter(splitter: Splitter, spec: CVSpec | None = None) -> None:
    """The contract of a splitter, on 240 generated rows with groups, classes and equal times.

    One fold or none per row, the same seed gives the same folds, no fold trains on a group that it
    validates when the splitter asks for groups, nothing is validated before it is trained on when
    it is forward, and `spec.gap` (days here) is kept.

    Raises:
        ConfigError: the contract is broken; the message says how.
    """
    name = getattr(splitter, "__name__", "?")
    spec = spec or CVSpec(splitter=name, n_splits=4, block="5D", horizon="10D")
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, size=240)
    groups = rng.integers(0, 40, size=240)
    days = pd.Series(rng.integers(0, 90, size=240))
    time = pd.Timestamp("2024-01-01") + pd.to_timedelta(days, unit="D")
    name, ids = f"splitter {spec.splitter!r}", np.arange(240)
    folds = _folds(splitter, ids, *_checked(splitter(y, groups, time, spec), len(ids), spec))
    again = splitter(y.copy(), groups.copy(), time.copy(), spec)
    if folds.digest != _folds(splitter, ids, *_checked(again, len(ids), spec)).digest:
        raise ConfigError(f"{name}: the same seed must give the same folds")
    if _asks_for_groups(splitter, y, time, spec):
        shared = {
            code
            for k in range(folds.n_splits)
            for code in np.intersect1d(groups[folds.train(k)], groups[folds.valid(k)])
        }
        if shared:
            raise ConfigError(f"{name}: {len(shared)} groups lie in two folds")
    if folds.forward:
        for k in range(folds.n_splits):
            train = time[folds.train(k)]
            if len(train) and train.max() >= time[folds.valid(k)].min():
                raise ConfigError(f"{name}: fold {k} trains on times that it validates, or later")
    if spec.gap.endswith("D"):
        for k in range(folds.n_splits):
            day = days.to_numpy()
            apart = day[folds.train(k)][:, None] - day[folds.valid(k)][None, :]
            nearest = np.abs(apart).min(initial=999)
            if nearest <= pd.Timedelta(spec.gap).days:
                raise ConfigError(
                    f"{name}: fold {k} trains on rows within cv.gap = {spec.gap!r} of what it "
                    f"validates; the nearest is {nearest} days away"
                )


def _asks_for_groups(splitter: Splitter, y: Array, time: pd.Series[Any], spec: CVSpec) -> bool:
    try:
        splitter(y, None, time, spec)
    except ConfigError:
        return True
    return False
