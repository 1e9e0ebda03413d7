"""Which training rows early stopping learns from, and which tell it where to stop.

The latter are scored, round after round, so they are kept apart from the former as a fold's scored
rows are from its training rows: no row nearer in time, none of their groups. A model that has seen
the neighbours of the rows that it stops on goes on for too long.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kit.folds import NEAR_SEALED, SEALED, FoldArray, Folds

Array = NDArray[Any]
Mask = NDArray[np.bool_]

_MOST_HELD_OUT = 1 / 3  # of the rows of a fold that looks ahead
_LEAST_KEPT = 1 / 3  # of the rows that are not held out; nearer ones are learned from if it is less
_HELD_OUT = 5  # one row, or group, in so many where no fold is at hand


class InnerSplit(NamedTuple):
    """Training rows in two parts; those of neither are too near the rows to stop on.

    Attributes:
        learned: learned from. ``(n,)``
        stops: tell where to stop. ``(n,)``
    """

    learned: Mask
    stops: Mask

    def longer(self, n: int) -> InnerSplit:
        """The same for `n` rows; those behind, pseudo-labels, are learned from only."""
        more = np.ones(n - len(self.stops), dtype=bool)
        return InnerSplit(np.append(self.learned, more), np.append(self.stops, ~more))


def inner_split(
    folds: Folds, k: int, rows: NDArray[np.int64], times: Array | None, groups: Array | None
) -> InnerSplit:
    """Split rows that are trained on for early stopping.

    Where sealed rows are among them, in the fit on everything, those are the rows to stop on: where
    folds go forward nothing is newer. Otherwise see `inner_rows`.

    Args:
        folds: of all rows.
        k: the fold that is validated; `folds.n_splits`: none.
        rows: positions of its training rows. ``(n,)``
        times: of all rows, where they have one.
        groups: of all rows, where they have some.
    """
    if times is not None and times.dtype.kind in "iu":  # differences of bytes would overflow
        times = times.astype(np.int64)
    for split in _apart(folds, k, rows, times, groups):
        others = int((~split.stops).sum())
        if split.stops.any() and int(split.learned.sum()) > _LEAST_KEPT * others:
            return split
    stops = inner_rows(folds.fold[rows], k, None if times is None else times[rows])
    return InnerSplit(~stops, stops)


def inner_rows(fold: FoldArray, current: int, times: Array | None = None) -> Mask:
    """Which training rows to stop on: those of the nearest other fold.

    Where folds look ahead and that fold is more than a third of the rows, the newest fifth instead:
    what is left would be too little past to learn from.

    Args:
        fold: fold per training row.
        current: the fold that is validated.
        times: of the training rows, where they have one.
    """
    nearest = _nearest_fold(fold, current, times)
    return _newest(len(fold), times) if nearest is None else fold == nearest


def _apart(
    folds: Folds, k: int, rows: NDArray[np.int64], times: Array | None, groups: Array | None
) -> Iterator[InnerSplit]:
    """Splits that keep what the folds keep apart, the best first; they may leave too little."""
    fold, when = folds.fold[rows], None if times is None else times[rows]
    stops = fold == SEALED
    if stops.any():
        if not (folds.forward and stops.mean() > _MOST_HELD_OUT):
            yield InnerSplit(~stops & (fold != NEAR_SEALED), stops)
    elif (nearest := _nearest_fold(fold, k, when)) is not None:
        stops, near = fold == nearest, folds.purged
        yield InnerSplit(~stops if near is None else ~stops & ~near[rows, nearest], stops)
    stops = _newest(len(rows), when)
    older = ~stops
    distance = None if times is None else _distance(folds, times)
    if when is not None and distance is not None:
        older &= when[stops].min() - when >= distance
    codes = _groups_apart(folds, k, rows, groups)
    if codes is None:
        yield InnerSplit(older, stops)
        return
    yield InnerSplit(older & ~np.isin(codes, codes[stops]), stops)
    some = _some_groups(codes)
    ahead = folds.forward or distance is not None
    yield InnerSplit(older & ~some, stops & some) if ahead else InnerSplit(~some, some)


def _nearest_fold(fold: FoldArray, current: int, times: Array | None) -> int | None:
    """The fold to stop on; None: there is none, or too little would be left."""
    others = np.unique(fold[fold >= 0])
    if not len(others):
        return None
    later = others[others > current]
    nearest = int(later[0] if len(later) else others[-1])
    share = (fold == nearest).mean()
    forward = times is not None and not len(later) and (fold < 0).any()
    return None if share == 1 or (forward and share > _MOST_HELD_OUT) else nearest


def _newest(n: int, times: Array | None) -> Mask:
    """The newest fifth of the rows, by their places where no time tells."""
    size = max(1, n // _HELD_OUT)
    if times is not None:
        newest: Mask = times >= np.sort(times)[-size]
        if not newest.all():
            return newest
    last = np.zeros(n, dtype=bool)
    last[-size:] = True
    return last


def _distance(folds: Folds, times: Array) -> Any:
    """How far in time folds are from what they learn from, at least; None: they keep no distance.

    Found in the folds themselves, for those of a file say nothing else about it.
    """
    found = []
    for k in range(folds.n_splits if folds.purged is not None else 0):
        train, valid = np.unique(times[folds.train(k)]), np.unique(times[folds.valid(k)])
        if len(train):
            place = np.searchsorted(train, valid)
            found.append(np.abs(valid - train[np.maximum(place - 1, 0)]).min())
            found.append(np.abs(train[np.minimum(place, len(train) - 1)] - valid).min())
    return min(found, default=None)


def _groups_apart(
    folds: Folds, k: int, rows: NDArray[np.int64], groups: Array | None
) -> NDArray[np.int64] | None:
    """Codes of the rows' groups ``(n,)``; None where folds train on groups that they validate."""
    if groups is None:
        return None
    codes, shown = pd.factorize(groups)[0], min(k, folds.n_splits - 1)
    if np.isin(codes[folds.valid(shown)], codes[folds.train(shown)]).any():
        return None
    return np.unique(codes[rows], return_inverse=True)[1].astype(np.int64)


def _some_groups(codes: NDArray[np.int64]) -> Mask:
    """The rows of groups drawn at random, about a fifth of all rows; never all groups."""
    counts = np.bincount(codes)
    order = np.random.default_rng(0).permutation(len(counts))
    taken = 1 + int(np.argmin(np.abs(np.cumsum(counts[order]) - len(codes) / _HELD_OUT)))
    return np.isin(codes, order[: min(taken, len(counts) - 1)])
