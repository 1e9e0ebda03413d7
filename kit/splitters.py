"""Splitters: how training rows are cut into folds.

A splitter is a function ``(y, groups, time, spec) -> fold per row``, with -1 for rows that are
never validated. `y` is int codes (n,) for classes, floats (n,) for regression, ints (n, t) for
multilabel, floats (n, t) for several targets. With the attribute ``forward = True`` on the
function, fold k trains on the rows of lower folds only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.model_selection import (
    GroupKFold,
    KFold,
    StratifiedGroupKFold,
    StratifiedKFold,
    TimeSeriesSplit,
)

from kit.competition import MAX_FOLDS, CVSpec, TaskType
from kit.errors import ConfigError, DataError, counted
from kit.folds import SEALED, FoldArray, Folds
from kit.registry import SPLITTERS

Array = NDArray[Any]
Splitter = Callable[[Array, "Array | None", "pd.Series[Any] | None", CVSpec], FoldArray]
_S = TypeVar("_S", bound=Callable[..., Any])

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
    continuous = task in ("regression", "multitarget")
    target = np.asarray(y, dtype=np.float64 if continuous else np.int64)
    _enough(len(target), spec, "training rows")
    stamps = None if time is None else pd.Series(np.asarray(time), name="time")
    if isinstance(time, pd.Series):
        stamps = time.reset_index(drop=True)
    codes = None if groups is None else np.asarray(groups)
    sealed = _sealed(splitter, target, codes, stamps, spec)
    fold = np.full(len(target), SEALED, dtype=np.int8)
    fold[~sealed] = _cut(splitter, target, codes, stamps, spec, ~sealed)
    forward = bool(getattr(splitter, "forward", False))
    folds = Folds(pd.Series(np.asarray(ids)), fold, forward)
    if task in ("binary", "multiclass"):
        _every_class(folds, target, spec)
    return folds


def _cut(
    splitter: Splitter,
    y: Array,
    groups: Array | None,
    time: pd.Series[Any] | None,
    spec: CVSpec,
    rows: NDArray[np.bool_],
) -> FoldArray:
    """What the splitter makes of some of the rows."""
    part = None if time is None else time[rows].reset_index(drop=True)
    given = splitter(y[rows], None if groups is None else groups[rows], part, spec)
    return _folds_of(given, int(rows.sum()), spec)


def _sealed(
    splitter: Splitter,
    y: Array,
    groups: Array | None,
    time: pd.Series[Any] | None,
    spec: CVSpec,
) -> NDArray[np.bool_]:
    """The rows of the sealed holdout: the last of 1 / `spec.holdout` folds of the same splitter.

    So whole groups and blocks of time are sealed, the latest rows where folds go forward, and
    every class in its share. `spec.seed` and `spec.n_splits` have no part in it: whoever tries
    other folds keeps the same rows sealed.

    Raises:
        ConfigError, DataError: the rows cannot be cut into so many folds.
    """
    everything = np.ones(len(y), dtype=bool)
    if not spec.holdout:
        return ~everything
    seal = replace(spec, n_splits=round(1 / spec.holdout), seed=0)
    try:
        fold = _cut(splitter, y, groups, time, seal, everything)
    except (ConfigError, DataError) as error:
        text = f"cv.holdout = {spec.holdout:g} (one of {seal.n_splits} folds): {error}"
        raise type(error)(text) from None
    return np.asarray(fold == fold.max())


def _folds_of(given: Any, n: int, spec: CVSpec) -> FoldArray:
    """What a splitter returned, or the reason why it is not folds."""
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
    shape = (folds.n_splits + 1, size)
    seen = folds.fold != SEALED
    flat = (folds.fold[seen].astype(np.int64) + 1) * size + y[seen]
    counts = np.bincount(flat, minlength=shape[0] * size).reshape(shape)  # row 0: fold -1
    for k in range(folds.n_splits):
        train = counts[: k + 1].sum(axis=0) if folds.forward else counts.sum(axis=0) - counts[k + 1]
        absent = np.flatnonzero((train == 0) & (counts.sum(axis=0) > 0))
        if len(absent):
            code = int(absent[0])
            raise DataError(
                f"the training rows of fold {k} lack class code {code} (task.classes[{code}]); it "
                f"has {int(counts[:, code].sum())} rows in all. Splitter: {spec.splitter!r}.\n"
                "  Use a stratified splitter or fewer folds, or leave out that class's rows."
            )


def kfold(y: Array, groups: Array | None, time: pd.Series[Any] | None, spec: CVSpec) -> FoldArray:
    """Shuffled folds of equal size."""
    _enough(len(y), spec, "training rows")
    cut = KFold(spec.n_splits, shuffle=True, random_state=spec.seed)
    return _numbered(cut.split(y), len(y))


def stratified_kfold(
    y: Array, groups: Array | None, time: pd.Series[Any] | None, spec: CVSpec
) -> FoldArray:
    """Equal shares of every class (regression: of every tenth) in each fold."""
    strata = _strata(y, spec)
    _enough_members(strata, spec)
    cut = StratifiedKFold(spec.n_splits, shuffle=True, random_state=spec.seed)
    return _numbered(cut.split(strata, strata), len(y))


def group_kfold(
    y: Array, groups: Array | None, time: pd.Series[Any] | None, spec: CVSpec
) -> FoldArray:
    """Rows of one group stay in one fold; folds get equally many groups."""
    codes = _group_codes(groups, spec)
    cut = GroupKFold(spec.n_splits, shuffle=True, random_state=spec.seed)
    return _numbered(cut.split(codes, groups=codes), len(y))


def stratified_group_kfold(
    y: Array, groups: Array | None, time: pd.Series[Any] | None, spec: CVSpec
) -> FoldArray:
    """Rows of one group stay in one fold; classes as equally spread as groups allow."""
    codes = _group_codes(groups, spec)
    strata = _strata(y, spec)
    _enough_members(strata, spec)
    cut = StratifiedGroupKFold(spec.n_splits, shuffle=True, random_state=spec.seed)
    fold = _numbered(cut.split(strata, strata, codes), len(y))
    shares = pd.crosstab(fold, strata).reindex(range(spec.n_splits), fill_value=0).to_numpy()
    if (shares == 0).any():
        k, code = (int(i) for i in np.argwhere(shares == 0)[0])
        raise DataError(
            f"fold {k} would hold no row of class code {np.unique(strata)[code]}: its rows lie in "
            "too few groups.\n  Use fewer folds (cv.n_splits) or cv.splitter = 'group_kfold'."
        )
    return fold


def _forward(splitter: _S) -> _S:
    splitter.__dict__["forward"] = True
    return splitter


@_forward
def time_series(
    y: Array, groups: Array | None, time: pd.Series[Any] | None, spec: CVSpec
) -> FoldArray:
    """Forward chaining: fold k is validated after everything it trains on.

    The blocks are those of `sklearn.model_selection.TimeSeriesSplit`, moved so that rows of equal
    time stay together. The first block is never validated.
    """
    stamps = _stamps(time, spec)
    _enough(len(np.unique(stamps)), spec, "distinct times", spec.n_splits + 1)
    ordered = np.sort(stamps)
    cut = TimeSeriesSplit(spec.n_splits)
    starts = ordered[[valid[0] for _, valid in cut.split(ordered)]]
    if starts[0] == ordered[0] or len(np.unique(starts)) < len(starts):
        raise DataError(
            f"cv.splitter = 'time_series': too many rows have the same time to cut "
            f"{spec.n_splits} folds of about equal size.\n  Use fewer folds (cv.n_splits)."
        )
    return (np.searchsorted(starts, stamps, side="right") - 1).astype(np.int8)


def time_blocks(
    y: Array, groups: Array | None, time: pd.Series[Any] | None, spec: CVSpec
) -> FoldArray:
    """Blocks of `spec.block` of time; neighbouring blocks go to different folds."""
    stamps = _stamps(time, spec)
    number = (stamps - stamps.min()) // _block(stamps, spec)
    codes = np.unique(number, return_inverse=True)[1]  # gaps in time are no blocks
    n_blocks = int(codes.max()) + 1
    _enough(n_blocks, spec, f"blocks of cv.block = {spec.block!r}")
    return np.array(list(_rounds(n_blocks, spec)), dtype=np.int8)[codes]


def _rounds(n_blocks: int, spec: CVSpec) -> Iterator[int]:
    """Every round of n_splits blocks meets every fold once; no fold twice in a row."""
    rng = np.random.default_rng(spec.seed)
    last = -1
    for _ in range(0, n_blocks, spec.n_splits):
        order = rng.permutation(spec.n_splits)
        if order[0] == last:
            order = np.roll(order, 1)
        last = int(order[-1])
        yield from (int(k) for k in order)


def _block(stamps: Array, spec: CVSpec) -> Any:
    """The length of a block in the units of `stamps`."""
    try:
        if stamps.dtype.kind == "M":
            length = pd.Timedelta(spec.block)
            if length > pd.Timedelta(0):  # false for NaT, which "" gives
                return length.to_timedelta64()
        elif float(spec.block) > 0:
            return float(spec.block)
    except ValueError:
        pass
    example = '"11D"' if stamps.dtype.kind == "M" else '"24" (the time column holds numbers)'
    raise ConfigError(
        f"cv.splitter = 'time_blocks' needs cv.block, the length of a block of time, e.g. "
        f"{example}. Received: {spec.block!r}"
    )


def _stamps(time: pd.Series[Any] | None, spec: CVSpec) -> Array:
    """Times as datetime64 (UTC) or numbers, none missing, as ``(n,)``."""
    if time is None:
        raise ConfigError(
            f"cv.splitter = {spec.splitter!r} needs a time column; set columns.time in kit.toml"
        )
    series = pd.Series(time)
    if not (pd.api.types.is_numeric_dtype(series) or series.dtype.kind == "M"):
        try:
            series = pd.to_datetime(series, format="ISO8601", utc=True)
        except (ValueError, TypeError) as error:
            raise DataError(
                f"columns.time must hold dates or numbers: {error}.\n"
                '  Dates are read where columns.kinds says "datetime".'
            ) from error
    if series.isna().any():
        raise DataError(
            f"cv.splitter = {spec.splitter!r}: columns.time must be known for every row; "
            f"{int(series.isna().sum())} are missing"
        )
    if isinstance(series.dtype, pd.DatetimeTZDtype):
        series = series.dt.tz_convert("UTC").dt.tz_localize(None)
    return series.to_numpy()


def _group_codes(groups: Array | None, spec: CVSpec) -> NDArray[np.int64]:
    if groups is None:
        raise ConfigError(
            f"cv.splitter = {spec.splitter!r} needs a group column; set columns.group in kit.toml"
        )
    codes, names = pd.factorize(np.asarray(groups))
    if (codes < 0).any():
        raise DataError(
            f"cv.splitter = {spec.splitter!r}: columns.group must be known for every row; "
            f"{int((codes < 0).sum())} are missing"
        )
    _enough(len(names), spec, "groups")
    return codes.astype(np.int64)


def _strata(y: Array, spec: CVSpec) -> NDArray[np.int64]:
    """What is spread evenly: classes, tenths of a value, or combinations of labels."""
    if y.dtype.kind in "iu" and y.ndim == 1:
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


def _enough(found: int, spec: CVSpec, what: str, wanted: int | None = None) -> None:
    wanted = spec.n_splits if wanted is None else wanted
    if found < wanted:
        raise DataError(
            f"cv.splitter = {spec.splitter!r} with {spec.n_splits} folds needs {wanted} {what} or "
            f"more; {found} found.\n  Use fewer folds (cv.n_splits)."
        )


def _enough_members(strata: NDArray[np.int64], spec: CVSpec) -> None:
    counts = np.bincount(strata)
    few = [(code, int(m)) for code, m in enumerate(counts) if 0 < m < spec.n_splits]
    if few:
        named = ", ".join(f"class code {c} (task.classes[{c}]): {m}" for c, m in few[:3])
        raise DataError(
            f"cv.splitter = {spec.splitter!r} needs at least cv.n_splits = {spec.n_splits} rows "
            f"of every class. {counted(len(few), 'class has', 'classes have')} fewer: {named}.\n"
            "  Use fewer folds (cv.n_splits) or cv.splitter = 'kfold'."
        )


def _numbered(splits: Iterator[tuple[Any, Any]], n: int) -> FoldArray:
    fold = np.full(n, -1, dtype=np.int8)
    for k, (_, valid) in enumerate(splits):
        fold[valid] = k
    return fold


def check_splitter(splitter: Splitter, spec: CVSpec | None = None) -> None:
    """The contract of a splitter, on 240 generated rows with groups, classes and equal times.

    One fold or none per row, the same seed gives the same folds, no group lies in two folds when
    the splitter asks for groups, and nothing is validated before it is trained on when it is
    forward.

    Raises:
        ConfigError: the contract is broken; the message says how.
    """
    spec = spec or CVSpec(splitter=getattr(splitter, "__name__", "?"), n_splits=4, block="5D")
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, size=240)
    groups = rng.integers(0, 40, size=240)
    days = pd.Series(rng.integers(0, 90, size=240))
    time = pd.Timestamp("2024-01-01") + pd.to_timedelta(days, unit="D")
    name = f"splitter {spec.splitter!r}"
    fold = _folds_of(splitter(y, groups, time, spec), len(y), spec)
    if not np.array_equal(fold, splitter(y.copy(), groups.copy(), time.copy(), spec)):
        raise ConfigError(f"{name}: the same seed must give the same folds")
    if _asks_for_groups(splitter, y, time, spec):
        per_group = pd.Series(fold).groupby(groups).nunique()
        if (per_group > 1).any():
            raise ConfigError(f"{name}: {int((per_group > 1).sum())} groups lie in two folds")
    if getattr(splitter, "forward", False):
        folds = Folds(pd.Series(range(len(y))), fold, forward=True)
        for k in range(folds.n_splits):
            if time[folds.train(k)].max() >= time[folds.valid(k)].min():
                raise ConfigError(f"{name}: fold {k} trains on times that it validates, or later")


def _asks_for_groups(splitter: Splitter, y: Array, time: pd.Series[Any], spec: CVSpec) -> bool:
    try:
        splitter(y, None, time, spec)
    except ConfigError:
        return True
    return False
