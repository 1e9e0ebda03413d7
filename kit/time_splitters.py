"""Splitters that follow time: forward chaining, windows, blocks, unseen groups in later time.

All of them keep a distance of `cv.gap` between what is learned from and what is scored (purging and
embargo; López de Prado, "Advances in Financial Machine Learning", 2018, ch. 7).

Lengths of time (`cv.horizon`, `cv.gap`, `cv.block`) are durations as pandas reads them ("28D"). In
a column of numbers they are numbers; beside dates a bare number counts distinct times ("12": months
of a monthly series).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.model_selection import TimeSeriesSplit

from kit.errors import ConfigError, DataError
from kit.folds import FoldArray, Purged
from kit.settings import CVSpec

Array = NDArray[Any]
Apart = tuple[FoldArray, Purged]
"""Fold per row, and the rows that each fold must not train on."""
_S = TypeVar("_S", bound=Callable[..., Any])


def _forward(splitter: _S) -> _S:
    splitter.__dict__["forward"] = True
    return splitter


@_forward
def time_series(y: Array, groups: Array | None, time: pd.Series[Any] | None, spec: CVSpec) -> Apart:
    """Forward chaining: fold k is validated after everything it trains on.

    The blocks are those of `sklearn.model_selection.TimeSeriesSplit`, moved so that rows of equal
    time stay together. The first block is never validated.
    """
    stamps = stamps_of(time, spec)
    enough(len(np.unique(stamps)), spec, "distinct times", spec.n_splits + 1)
    ordered = np.sort(stamps)
    cut = TimeSeriesSplit(spec.n_splits)
    starts = ordered[[valid[0] for _, valid in cut.split(ordered)]]
    if starts[0] == ordered[0] or len(np.unique(starts)) < len(starts):
        raise DataError(
            f"cv.splitter = 'time_series': too many rows have the same time to cut "
            f"{spec.n_splits} folds of about equal size.\n  Use fewer folds (cv.n_splits)."
        )
    fold = (np.searchsorted(starts, stamps, side="right") - 1).astype(np.int8)
    return fold, near(stamps, fold, spec)


@_forward
def time_windows(
    y: Array, groups: Array | None, time: pd.Series[Any] | None, spec: CVSpec
) -> Apart:
    """Forward chaining with windows as long as the test period, `cv.horizon`.

    The last window ends with the last training row; what comes before the first is never
    validated. Each fold is asked what the test rows ask: so far ahead, and no further.
    """
    stamps = stamps_of(time, spec)
    fold = _windows(stamps, spec)
    return fold, near(stamps, fold, spec)


@_forward
def group_time(y: Array, groups: Array | None, time: pd.Series[Any] | None, spec: CVSpec) -> Apart:
    """Unseen groups in later time: fold k is a share of the groups in the k-th window.

    It trains on the other groups before that window. Rows of a window whose group is in another
    share are never validated, and later folds train on them.
    """
    codes = group_codes(groups, spec)
    stamps = stamps_of(time, spec)
    n_groups = int(codes.max()) + 1
    window = _windows(stamps, spec)
    rng = np.random.default_rng(spec.seed)
    share = (rng.permutation(n_groups) % spec.n_splits)[codes]
    fold = np.where(window == share, window, -1).astype(np.int8)
    purged = near(stamps, window, spec)
    for k in range(spec.n_splits):
        if not (fold == k).any():
            raise DataError(
                f"cv.splitter = 'group_time': no group of fold {k} has a row in its window of "
                f"{spec.horizon}.\n  Use fewer folds (cv.n_splits)."
            )
        purged[:, k] |= (window >= k) | (share == k)
    return fold, purged


def time_blocks(y: Array, groups: Array | None, time: pd.Series[Any] | None, spec: CVSpec) -> Apart:
    """Blocks of `cv.block` of time; neighbouring blocks go to different folds."""
    stamps = stamps_of(time, spec)
    block = _length(stamps, spec, "block", "the length of a block of time", "11D")
    codes = block_of(stamps, block)
    n_blocks = int(codes.max()) + 1
    enough(n_blocks, spec, f"blocks of cv.block = {spec.block!r}")
    fold = np.array(list(_rounds(n_blocks, spec)), dtype=np.int8)[codes]
    return fold, near(stamps, fold, spec)


def block_of(stamps: Array, length: Any) -> NDArray[np.intp]:
    """The number of the block that each time lies in; gaps in time are no blocks. ``(n,)``.

    Behind a gap of more than two blocks they are counted from its end: of seasons with a year
    between them each stays whole, where a grid would cut it and score rows beside what is learned.

    Args:
        stamps: times or numbers.
        length: of a block, in the same unit.
    """
    times, place = np.unique(stamps, return_inverse=True)
    behind = np.r_[False, np.diff(times) > 2 * length]
    run = np.cumsum(behind)
    starts = times[np.r_[0, np.flatnonzero(behind)]]
    number = (times - starts[run]) // length
    return np.cumsum(np.r_[False, (np.diff(run) > 0) | (np.diff(number) > 0)])[place]


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


def _windows(stamps: Array, spec: CVSpec) -> FoldArray:
    """Number of the window a row lies in, -1 before the first."""
    stamps, counted = _countable(stamps, spec.horizon)
    what = "how far ahead the test rows are"
    length = _length(stamps, spec, "horizon", what, "28D", counted)
    back = ((stamps.max() - stamps) // length).astype(np.int64)  # windows from the end
    n_whole = int(back.max())  # the oldest one is trained on only
    if n_whole < spec.n_splits:
        raise DataError(
            f"cv.splitter = {spec.splitter!r}: {spec.n_splits} windows of cv.horizon = "
            f"{spec.horizon!r} leave nothing to train on; there is room for {n_whole}.\n"
            "  Use fewer folds (cv.n_splits) or a shorter cv.horizon."
        )
    fold = np.where(back < spec.n_splits, spec.n_splits - 1 - back, -1).astype(np.int8)
    empty = sorted({*range(spec.n_splits)} - {*fold.tolist()})
    if empty:
        raise DataError(
            f"cv.splitter = {spec.splitter!r}: no training row lies in window {empty[0]} of "
            f"{spec.n_splits} (cv.horizon = {spec.horizon!r}): there is a hole in columns.time.\n"
            "  Use fewer folds (cv.n_splits)."
        )
    return fold


def near(stamps: Array, fold: FoldArray, spec: CVSpec) -> Purged:
    """Rows no further than `cv.gap` from a row that the fold validates. ``(n, n_splits)``."""
    purged = np.zeros((len(stamps), spec.n_splits), dtype=bool)
    if not spec.gap:
        return purged
    stamps, counted = _countable(stamps, spec.gap)
    gap = _length(stamps, spec, "gap", "the distance from what is scored", "7D", counted)
    for k in range(spec.n_splits):
        valid = np.unique(stamps[fold == k])
        if len(valid) == 0:
            continue
        place = np.searchsorted(valid, stamps)
        before = np.abs(stamps - valid[np.maximum(place - 1, 0)])
        after = np.abs(valid[np.minimum(place, len(valid) - 1)] - stamps)
        purged[:, k] = (np.minimum(before, after) <= gap) & (fold != k)
    return purged


def _countable(stamps: Array, length: str) -> tuple[Array, bool]:
    """Dates as their rank among the distinct ones where `length` is a bare number."""
    if stamps.dtype.kind == "M" and length.strip().isdigit():
        return np.unique(stamps, return_inverse=True)[1].astype(np.int64), True
    return stamps, False


def _length(
    stamps: Array, spec: CVSpec, key: str, what: str, example: str, counted: bool = False
) -> Any:
    """A length of time in the units of `stamps`."""
    text = getattr(spec, key)
    try:
        if stamps.dtype.kind == "M":
            length = pd.Timedelta(text)
            if length > pd.Timedelta(0):  # false for NaT, which "" gives
                return length.to_timedelta64()
        elif float(text) > 0:
            return int(text) if counted else float(text)
    except ValueError:
        pass
    shown = f'"{example}"' if stamps.dtype.kind == "M" else '"24" (the time column holds numbers)'
    raise ConfigError(
        f"cv.splitter = {spec.splitter!r} needs cv.{key}, {what}, e.g. {shown}. Received: {text!r}"
    )


def stamps_of(time: pd.Series[Any] | None, spec: CVSpec) -> Array:
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
    stamps = series.to_numpy()
    # differences of small or unsigned integers would overflow
    return stamps.astype(np.int64) if stamps.dtype.kind in "iu" else stamps


def group_codes(groups: Array | None, spec: CVSpec) -> NDArray[np.int64]:
    """Groups as codes 0, 1, ... ``(n,)``; none may be missing."""
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
    enough(len(names), spec, "groups")
    return codes.astype(np.int64)


def enough(found: int, spec: CVSpec, what: str, wanted: int | None = None) -> None:
    """Raise `DataError` where there are too few of something for the folds."""
    wanted = spec.n_splits if wanted is None else wanted
    if found < wanted:
        raise DataError(
            f"cv.splitter = {spec.splitter!r} with {spec.n_splits} folds needs {wanted} {what} or "
            f"more; {found} found.\n  Use fewer folds (cv.n_splits)."
        )
