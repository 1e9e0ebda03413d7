"""Windows, gaps, unseen groups in later time: what each fold may train on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from kit.errors import ConfigError, DataError
from kit.folds import Folds
from kit.settings import CVSpec
from kit.splitters import make_folds

DAYS = pd.Series(pd.date_range("2024-01-01", periods=100))


def folds(splitter: str, time: Any = DAYS, groups: Any = None, **spec: Any) -> Folds:
    cv = CVSpec(splitter=splitter, **{"n_splits": 3, **spec})
    y = np.random.default_rng(0).normal(size=len(time))
    ids = np.arange(len(time))
    return make_folds(ids=ids, y=y, task="regression", spec=cv, time=time, groups=groups)


def panel(n_groups: int = 12, n_days: int = 60) -> tuple[pd.Series, np.ndarray]:
    days = pd.Series(np.tile(pd.date_range("2024-01-01", periods=n_days), n_groups))
    return days, np.repeat(np.arange(n_groups), n_days)


def test_windows_are_as_long_as_the_horizon_and_end_with_the_training_rows() -> None:
    made = folds("time_windows", horizon="10D")
    assert made.forward
    assert [made.valid(k).tolist() for k in range(3)] == [
        list(range(70, 80)), list(range(80, 90)), list(range(90, 100))
    ]  # fmt: skip
    assert [made.train(k).tolist() for k in range(3)] == [
        list(range(70)), list(range(80)), list(range(90))
    ]  # fmt: skip


def test_a_bare_number_counts_distinct_times_of_dates() -> None:
    months = pd.Series(pd.date_range("2015-01-01", periods=48, freq="MS"))
    made = folds("time_windows", months, horizon="12", n_splits=2)
    assert made.valid(1).tolist() == list(range(36, 48))
    assert made.valid(0).tolist() == list(range(24, 36))


def test_numbers_are_a_time_too() -> None:
    made = folds("time_windows", pd.Series(np.arange(34.0)), horizon="10")
    assert made.valid(2).tolist() == list(range(24, 34))
    assert made.train(0).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("splitter", ["time_windows", "time_blocks"])
def test_small_integers_are_the_times_that_they_say(splitter: str) -> None:
    """Days -100 to 99 in a byte each, as parquet may hold them: 99 + 100 is no byte."""
    times = np.arange(-100, 100)
    small, large = (
        folds(splitter, times.astype(kind), horizon="30", block="30", gap="20")
        for kind in (np.int8, np.int64)
    )
    assert small.digest == large.digest


def test_unsorted_rows_get_the_folds_of_their_time() -> None:
    order = np.random.default_rng(1).permutation(100)
    made = folds("time_windows", DAYS.iloc[order], horizon="10D")
    assert sorted(order[made.valid(2)]) == list(range(90, 100))


@pytest.mark.parametrize("gap", ["7D", "7"])
def test_a_gap_keeps_its_rows_out_of_the_training_of_that_fold_only(gap: str) -> None:
    made = folds("time_windows", horizon="10D", gap=gap)
    assert [int(made.train(k).max()) for k in range(3)] == [62, 72, 82]
    assert made.valid(1).tolist() == list(range(80, 90))
    assert made.digest != folds("time_windows", horizon="10D").digest


@pytest.mark.parametrize("gap", [1.0, 2.5])
def test_rows_near_any_scored_time_are_purged(gap: float) -> None:
    """As counted pair by pair; the last block is a single time."""
    time = np.random.default_rng(3).permutation(np.repeat(np.arange(61.0), 2))
    made = folds("time_blocks", pd.Series(time), block="3", gap=str(gap), n_splits=3)
    for k in range(3):
        scored = time[made.valid(k)]
        near = np.abs(time[:, None] - scored[None, :]).min(axis=1) <= gap
        expected = np.flatnonzero((made.fold != k) & ~near)
        np.testing.assert_array_equal(made.train(k), expected)


@pytest.mark.parametrize("first", [0, 60])
def test_seasons_far_apart_stay_whole(first: int) -> None:
    """Train has every second summer, of 130 days; test those between."""
    days = pd.DatetimeIndex([])
    for year in (2007, 2009, 2011, 2013):
        start = first if year == 2007 else 0  # the first one may begin late
        season = pd.date_range(f"{year}-06-01", periods=130)
        days = days.append(season[start:])
    made = folds("time_blocks", pd.Series(days), block="140D", n_splits=4)
    years = pd.Series(made.fold).groupby(days.year).unique()
    assert sorted(int(each[0]) for each in years) == [0, 1, 2, 3]
    assert years.map(len).eq(1).all()


def test_blocks_keep_the_gap_on_both_sides() -> None:
    made = folds("time_blocks", block="20D", gap="3D", n_splits=2)
    for k in range(2):
        train, valid = made.train(k), made.valid(k)
        assert np.abs(train[:, None] - valid[None, :]).min() == 4
        assert len(train) < 50


def test_time_series_keeps_the_gap() -> None:
    made = folds("time_series", gap="5D")
    assert all(made.valid(k).min() - made.train(k).max() == 6 for k in range(3))


def test_group_time_validates_unseen_groups_in_later_time() -> None:
    days, groups = panel()
    made = folds("group_time", days, groups, horizon="10D", gap="2D")
    for k in range(3):
        train, valid = made.train(k), made.valid(k)
        assert not set(groups[train]) & set(groups[valid])
        assert len(set(groups[valid])) == 4
        ahead = days[valid].min() - days[train].max()
        assert ahead == pd.Timedelta("3D")
        assert days[valid].nunique() == 10


def test_purged_rows_survive_the_file_and_another_order_of_rows(tmp_path: Path) -> None:
    made = folds("time_windows", horizon="10D", gap="7D")
    made.save(tmp_path / "folds.parquet")
    loaded = Folds.load(tmp_path / "folds.parquet")
    order = np.random.default_rng(0).permutation(100)
    again = loaded.reindex(order)
    assert made.digest == loaded.digest == again.digest
    for k in range(3):
        np.testing.assert_array_equal(loaded.train(k), made.train(k))
        assert sorted(order[again.train(k)]) == made.train(k).tolist()


@pytest.mark.parametrize(
    ("spec", "error", "message"),
    [
        ({"horizon": "40D"}, DataError, "there is room for 2"),
        ({"horizon": ""}, ConfigError, "needs cv.horizon"),
        ({"horizon": "soon"}, ConfigError, "Received: 'soon'"),
        ({"horizon": "0"}, ConfigError, "needs cv.horizon"),
        ({"horizon": "10D", "gap": "x"}, ConfigError, "needs cv.gap"),
        ({"horizon": "10D", "gap": "90D"}, DataError, "fold 1 has no row to train on"),
    ],
)
def test_windows_that_cannot_be_cut(spec: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        folds("time_windows", **spec)


def test_a_hole_in_time_is_named() -> None:
    time = pd.concat([DAYS[:40], DAYS[90:]], ignore_index=True)
    with pytest.raises(DataError, match="hole in"):
        folds("time_windows", time, horizon="10D")


def test_a_gap_without_time_is_refused() -> None:
    with pytest.raises(ConfigError, match="does not follow time"):
        folds("kfold", gap="3D")


def test_purged_must_have_a_column_per_fold() -> None:
    with pytest.raises(DataError, match=r"purged must be of shape \(3, 2\)"):
        Folds(pd.Series([0, 1, 2]), np.array([0, 1, -1]), purged=np.zeros((3, 3), dtype=bool))
    import kit.splitters

    def wrong(y: Any, groups: Any, time: Any, spec: CVSpec) -> Any:
        return np.arange(len(y)) % 2, np.zeros((len(y), 5), dtype=bool)

    with pytest.raises(ConfigError, match="bool matrix"):
        kit.splitters.check_splitter(wrong)


def test_the_holdout_of_group_time_costs_its_window_and_its_groups() -> None:
    days, groups = panel()
    made = folds("group_time", days, groups, horizon="5D", holdout=0.1)
    sealed = np.zeros(len(days), dtype=bool)
    sealed[made.sealed] = True
    last = (days > days.max() - pd.Timedelta("5D")).to_numpy()
    own = np.isin(groups, groups[sealed])
    assert sealed.tolist() == (last & own).tolist()
    assert len(np.unique(groups[sealed])) == 1, "a tenth of 12 groups"
    assert (made.fold < -1).tolist() == (last | own).tolist(), "in no fold"
