"""Seasons that series share, against a plain reading of the definition."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from kit.preprocessing.pooled import profiles
from kit.preprocessing.series import SeriesFeatures
from kit.series import SeriesSpec

SEASON = 4


def grid(n_series: int = 5, n_steps: int = 30, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    values = rng.gamma(3, 2, (n_series, n_steps)) * rng.gamma(1, 5, (n_series, 1))
    values[rng.random(values.shape) < 0.2] = np.nan
    return values


def plain(values: np.ndarray, step: int) -> float:
    """The profile of all rows at a step."""
    total = count = 0.0
    for series in values:
        last = series[max(0, step - SEASON + 1) : step + 1]
        last = last[~np.isnan(last)]
        if np.isnan(series[step]) or len(last) < SEASON / 2:
            continue
        usual = np.abs(last).mean()
        total += (series[step] - last.mean()) / usual * usual**0.5
        count += usual**0.5
    return total / count if count else float("nan")


def test_a_profile_is_the_mean_distance_from_the_last_season() -> None:
    values = grid()
    group = np.array([0, 1, 0, 1, 1])
    found = profiles(values, {"": np.zeros(5, dtype=np.int64), "half": group}, SEASON)
    for step in range(values.shape[1]):
        assert found[""][0, step] == pytest.approx(plain(values, step), nan_ok=True)
        for k in (0, 1):
            wanted = plain(values[group == k], step)
            assert found["half"][k, step] == pytest.approx(wanted, nan_ok=True)


def test_blocks_of_series_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    values, group = grid(7), {"": np.zeros(7, dtype=np.int64)}
    whole = profiles(values, group, SEASON)[""]
    monkeypatch.setattr("kit.preprocessing.pooled._BLOCK", 2)
    np.testing.assert_allclose(profiles(values, group, SEASON)[""], whole)


def test_a_step_knows_nothing_of_later_ones() -> None:
    values = grid()
    group = {"": np.zeros(5, dtype=np.int64)}
    before = profiles(values, group, SEASON)[""]
    values[:, 20:] = 1e6
    np.testing.assert_array_equal(profiles(values, group, SEASON)[""][:, :20], before[:, :20])


def shared(n_days: int = 70, noise: float = 0.0) -> pd.DataFrame:
    """Shops of two regions; each region has a week of its own, each shop a size."""
    rng = np.random.default_rng(1)
    week = {"north": [1, 2, 1, 1, 1, 3, 5], "south": [5, 1, 1, 4, 1, 1, 1]}
    days = pd.date_range("2024-01-01", periods=n_days)
    made: list[Any] = []
    for k in range(20):
        region = "north" if k % 2 else "south"
        size = rng.gamma(2, 10)
        values = size * np.array([week[region][day.day_of_week] for day in days], dtype=float)
        values *= np.exp(noise * rng.normal(size=n_days))
        made += [(day, f"shop {k}", region, v) for day, v in zip(days, values, strict=True)]
    return pd.DataFrame(made, columns=["day", "shop", "region", "y"])


SPEC = SeriesSpec(id=("shop",), step="1D", horizon=5, seasons=(7,), pooled=("region",))


def test_a_series_gets_the_season_of_its_group_on_its_own_level() -> None:
    frame = shared()
    late = frame["day"] > frame["day"].max() - pd.Timedelta(days=5)
    train, test = frame[~late], frame[late]
    past = SeriesFeatures(SPEC, "day").fit(train.drop(columns="y"), train["y"].to_numpy())
    made = past.transform(test.drop(columns="y"))
    assert made["series_pool_region_7"].to_numpy() == pytest.approx(test["y"], rel=1e-5)
    assert not np.allclose(made["series_pool_7"], test["y"], rtol=0.1)


def test_a_pool_is_nearer_than_a_series_of_noise() -> None:
    frame = shared(noise=0.5)
    late = frame["day"] > frame["day"].max() - pd.Timedelta(days=5)
    train, test = frame[~late], frame[late]
    past = SeriesFeatures(SPEC, "day").fit(train.drop(columns="y"), train["y"].to_numpy())
    made = past.transform(test.drop(columns="y"))
    errors = {
        name: np.abs(made[name] - test["y"]).mean()
        for name in ("series_pool_region_7", "series_season_7", "series_pool_7")
    }
    assert min(errors, key=lambda name: errors[name]) == "series_pool_region_7"


def test_a_level_that_moved_lately_is_followed() -> None:
    """The mean of a season is half a season old; without the profile the newest steps tell it."""
    frame = shared(70)
    spec = SeriesSpec(id=("shop",), step="1D", horizon=5, seasons=(28,), pooled=("region",))
    late = frame["day"] > frame["day"].max() - pd.Timedelta(days=5)
    moved = (frame["shop"] == "shop 4") & (
        frame["day"] > frame["day"].max() - pd.Timedelta(days=15)
    )
    frame.loc[moved, "y"] += 100.0
    train, test = frame[~late], frame[late & moved]
    past = SeriesFeatures(spec, "day").fit(train.drop(columns="y"), train["y"].to_numpy())
    made = past.transform(test.drop(columns="y"))
    level = SeriesFeatures(
        SeriesSpec(id=("shop",), step="1D", horizon=5, windows=(28,)), "day"
    ).fit(train.drop(columns="y"), train["y"].to_numpy())
    old = level.transform(test.drop(columns="y"))["series_mean_28"].mean()
    new = test["y"].mean()
    assert abs(made["series_pool_region_28"].mean() - new) < 0.5 * abs(old - new)


def test_new_series_and_one_series_have_no_pool() -> None:
    frame = shared(30)
    past = SeriesFeatures(SPEC, "day").fit(frame.drop(columns="y"), frame["y"].to_numpy())
    new = frame.drop(columns="y").head(3).assign(shop="new")
    assert past.transform(new)["series_pool_region_7"].isna().all()
    alone = SeriesSpec(step="1D", horizon=5, seasons=(7,))
    one = frame[frame["shop"] == "shop 1"]
    past = SeriesFeatures(alone, "day").fit(one.drop(columns="y"), one["y"].to_numpy())
    assert not [name for name in past.get_feature_names_out() if "pool" in name]


def test_fitted_pools_are_stored(tmp_path: Path) -> None:
    import joblib

    frame = shared(30)
    past = SeriesFeatures(SPEC, "day").fit(frame.drop(columns="y"), frame["y"].to_numpy())
    joblib.dump(past, tmp_path / "past")
    X = frame.drop(columns="y").tail(50)
    pd.testing.assert_frame_equal(joblib.load(tmp_path / "past").transform(X), past.transform(X))
