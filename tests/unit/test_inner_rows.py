"""Which training rows early stopping holds out."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from kit.folds import SEALED, Folds
from kit.inner import InnerSplit, inner_rows, inner_split
from kit.settings import CVSpec
from kit.splitters import make_folds

TIMES = np.repeat(np.arange(60), 3)


def windows(first: int, length: int, n_steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Folds and times of the rows before step `n_steps`; window 0 begins at `first`."""
    times = TIMES[: 3 * n_steps]
    return np.where(times < first, -1, (times - first) // length).astype(np.int8), times


def test_a_fold_that_looks_ahead_stops_on_the_window_before_it() -> None:
    fold, times = windows(first=30, length=10, n_steps=40)
    np.testing.assert_array_equal(inner_rows(fold, 1, times), times >= 30)


@pytest.mark.parametrize(("first", "current"), [(20, 1), (5, 1), (10, 1)])
def test_of_a_window_that_leaves_too_little_only_the_newest_steps(first: int, current: int) -> None:
    fold, times = windows(first, length=20, n_steps=first + 20)
    inner = inner_rows(fold, current, times)
    newest = first + 20 - (first + 20) // 5
    np.testing.assert_array_equal(inner, times >= newest)


def test_folds_that_do_not_look_ahead_stop_on_another_fold_however_large() -> None:
    fold = np.repeat([0, 1], 90).astype(np.int8)
    np.testing.assert_array_equal(inner_rows(fold, 2, TIMES), fold == 1)


def test_the_newest_rows_are_those_of_the_latest_times_wherever_they_stand() -> None:
    fold, times = np.full(10, -1, dtype=np.int8), np.arange(10)[::-1].copy()
    assert list(np.flatnonzero(inner_rows(fold, 0, times))) == [0, 1]
    assert list(np.flatnonzero(inner_rows(fold, 0))) == [8, 9]


# --- rows too near the rows to stop on

DAY, GROUP = np.tile(np.arange(60), 12), np.repeat(np.arange(12), 60)


def panel(splitter: str, n_splits: int, gap: str = "", holdout: float = 0.0) -> Folds:
    """Folds of 12 groups on 60 days."""
    spec = CVSpec(
        splitter=splitter, n_splits=n_splits, block="6", horizon="8", gap=gap, holdout=holdout
    )
    y = np.random.default_rng(0).normal(size=720)
    times = pd.Series(DAY)
    return make_folds(ids=range(720), y=y, task="regression", spec=spec, groups=GROUP, time=times)


def split_of(folds: Folds, k: int, rows: np.ndarray | None = None) -> tuple[InnerSplit, int, int]:
    """The split of fold `k`, how many days lie between its parts, and groups they share."""
    rows = folds.train(k) if rows is None else rows
    split = inner_split(folds, k, rows, DAY, GROUP)
    learned, stops = rows[split.learned], rows[split.stops]
    apart = int(np.abs(DAY[learned][:, None] - DAY[stops]).min())
    return split, apart, len(np.intersect1d(GROUP[learned], GROUP[stops]))


@pytest.mark.parametrize(
    ("splitter", "n_splits"),
    [("time_series", 3), ("time_windows", 3), ("time_blocks", 4), ("time_blocks", 2)],
)
def test_what_is_learned_from_keeps_the_gap_to_the_rows_to_stop_on(
    splitter: str, n_splits: int
) -> None:
    folds = panel(splitter, n_splits, gap="2")
    for k in range(n_splits + 1):
        split, apart, _ = split_of(folds, k)
        assert apart > 2
        assert split.learned.sum() > (~split.stops).sum() / 3
        assert not (split.learned & split.stops).any()


@pytest.mark.parametrize("gap", ["", "2"])
@pytest.mark.parametrize("n_splits", [2, 3])
def test_new_groups_in_later_time_stop_on_new_groups_in_later_time(n_splits: int, gap: str) -> None:
    folds = panel("group_time", n_splits, gap)
    for k in range(n_splits + 1):
        split, apart, shared = split_of(folds, k)
        assert apart > float(gap or 0)
        assert shared == 0
        rows = folds.train(k)
        assert DAY[rows[split.learned]].max() < DAY[rows[split.stops]].min()


@pytest.mark.parametrize("n_splits", [2, 3])
def test_folds_that_keep_groups_stop_on_groups_they_do_not_learn_from(n_splits: int) -> None:
    """Of two folds the training rows are of one: some of its groups are held out."""
    folds = panel("group_kfold", n_splits)
    for k in range(n_splits + 1):
        split, _, shared = split_of(folds, k)
        assert shared == 0
        assert (split.learned | split.stops).all()
        assert 0.1 < split.stops.mean() <= 0.5


def test_groups_that_folds_cut_are_cut_here_too() -> None:
    split, _, shared = split_of(panel("kfold", 2), 0)
    assert shared == 12
    np.testing.assert_array_equal(split.learned, ~split.stops)


@pytest.mark.parametrize("splitter", ["kfold", "group_kfold", "time_series", "time_windows"])
def test_where_nothing_is_kept_apart_the_split_is_by_folds_and_times_alone(splitter: str) -> None:
    folds = panel(splitter, 3)
    for k in range(4):
        rows = folds.train(k)
        split = inner_split(folds, k, rows, DAY, None)
        plain = inner_rows(folds.fold[rows], k, DAY[rows])
        np.testing.assert_array_equal(split.stops, plain)
        np.testing.assert_array_equal(split.learned, ~plain)


def test_a_gap_that_would_leave_too_little_is_not_kept() -> None:
    """45 of the 48 days before the newest fifth lie within it."""
    fold = np.where(DAY < 59, -1, 0).astype(np.int8)
    folds = Folds(
        pd.Series(range(720)), fold, forward=True, purged=(DAY > 13)[:, None] & (fold < 0)[:, None]
    )
    rows = np.flatnonzero(fold < 0)
    split = inner_split(folds, 0, rows, DAY, None)
    np.testing.assert_array_equal(split.learned, ~split.stops)
    assert 0.1 < split.stops.mean() < 0.3


@pytest.mark.parametrize("splitter", ["time_series", "time_windows", "group_time", "time_blocks"])
def test_a_fit_on_everything_stops_on_the_sealed_rows(splitter: str) -> None:
    """Where folds go forward nothing is newer; what is near to them waits."""
    folds = panel(splitter, 2, gap="2", holdout=0.2)
    rows = np.arange(720)
    split, apart, shared = split_of(folds, folds.n_splits, rows)
    np.testing.assert_array_equal(rows[split.stops], folds.sealed)
    np.testing.assert_array_equal(rows[~split.learned & ~split.stops], folds.near_sealed)
    assert apart > 2
    assert shared == 0 or splitter != "group_time"
    if folds.forward:
        assert DAY[split.stops].min() > DAY[split.learned].max()


def test_of_many_sealed_rows_only_the_newest_are_stopped_on() -> None:
    folds = panel("time_windows", 2, holdout=0.45)
    split, _, _ = split_of(folds, 2, np.arange(720))
    np.testing.assert_array_equal(split.stops, DAY >= 48)
    assert set(folds.fold[split.stops]) == {SEALED}


def test_pseudo_labels_are_learned_from_and_never_stopped_on() -> None:
    split = InnerSplit(np.array([True, False, False]), np.array([False, False, True])).longer(5)
    assert split.learned.tolist() == [True, False, False, True, True]
    assert split.stops.tolist() == [False, False, True, False, False]
