"""Which training rows early stopping holds out."""

from __future__ import annotations

import numpy as np
import pytest

from kit.folds import inner_rows

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
