"""The boosted change: how much of a season is its base, and rows of which too little is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from kit.models.base import Problem, RowWeights
from kit.models.changes import SeriesLightGBM

SQUARED = Problem(task="regression", n_outputs=1)
ABSOLUTE = Problem(task="regression", n_outputs=1, deviation="absolute")
SEASON = "numeric__series_season_12"
Pair = tuple[pd.DataFrame, np.ndarray]


def rows(n: int = 600, *, season: float, seed: int = 0) -> Pair:
    """Level 100; the target is the level and a part of the way to the season, and noise."""
    rng = np.random.default_rng(seed)
    level, swing = rng.normal(100, 20, n), rng.normal(0, 15, n)
    frame = pd.DataFrame(
        {
            "numeric__series_mean_4": level,
            SEASON: level + swing,
            "numeric__series_mean": level,
            "numeric__other": rng.normal(size=n),
        }
    )
    return frame.astype("float32"), level + season * swing + rng.normal(0, 1, n)


def fitted(frame: pd.DataFrame, y: np.ndarray, problem: Problem = SQUARED, **more: Any) -> Any:
    return SeriesLightGBM(n_estimators=30).fit(frame, y, problem=problem, **more)


@pytest.mark.parametrize("problem", [SQUARED, ABSOLUTE])
@pytest.mark.parametrize("season", [0.0, 0.4, 1.0])
def test_the_base_goes_as_far_to_the_season_as_pays(season: float, problem: Problem) -> None:
    model = fitted(*rows(season=season), problem)
    assert model.shares_[SEASON] == pytest.approx(season, abs=0.11)


def test_a_season_beyond_what_trees_have_seen_is_followed() -> None:
    frame, y = rows(season=1.0)
    model = fitted(frame, y)
    frame.loc[:, SEASON] = frame["numeric__series_mean"] + 200
    off = model.predict(frame)[:, 0] - frame[SEASON].to_numpy()
    assert np.abs(off).mean() < 40  # it never was further than some 45 from the level


def test_where_the_season_is_unknown_the_base_is_the_level() -> None:
    frame, y = rows(season=1.0)
    half = np.arange(len(y)) % 2 == 0
    frame.loc[half, SEASON] = np.nan
    y = np.where(half, frame["numeric__series_mean"], y)
    model = fitted(frame, y)
    assert model.shares_[SEASON] > 0.9
    base, _ = model._base(frame)
    np.testing.assert_allclose(base[half], frame["numeric__series_mean"][half], rtol=1e-6)


def test_a_season_that_no_training_row_knows_is_the_base_by_half() -> None:
    frame, y = rows(season=1.0)
    unknown = frame.assign(**{SEASON: np.float32(np.nan)})
    model = fitted(unknown, y)
    assert model.shares_ == {SEASON: 0.5}
    base, _ = model._base(frame)
    level, season = frame["numeric__series_mean"], frame[SEASON]
    np.testing.assert_allclose(base, (level + season) / 2, rtol=1e-6)
    longer = unknown.assign(numeric__series_season_365=np.float32(np.nan))
    assert fitted(longer, y).shares_["numeric__series_season_365"] == 0.0


def test_rows_that_count_decide_the_share() -> None:
    one, other = rows(season=1.0), rows(season=0.0, seed=1)
    frame, y = pd.concat([one[0], other[0]], ignore_index=True), np.concatenate([one[1], other[1]])
    for counted in (0, 1):
        weight = np.where(np.arange(len(y)) // 600 == counted, 1.99, 0.01)
        share = fitted(frame, y, weight=RowWeights(weight)).shares_[SEASON]
        assert share == pytest.approx(1.0 - counted, abs=0.11)


def without_past(frame: pd.DataFrame) -> pd.DataFrame:
    past = [name for name in frame if "series_" in str(name)]
    return frame.assign(**dict.fromkeys(past, np.float32(np.nan)))


def test_many_rows_without_a_past_do_not_spoil_the_others() -> None:
    frame, y = rows(season=1.0)
    early = without_past(pd.concat([frame] * 3, ignore_index=True))
    early["numeric__other"] = np.random.default_rng(1).normal(size=len(early))
    model = fitted(pd.concat([early, frame], ignore_index=True), np.r_[y, y, y, y])
    assert np.abs(model.predict(frame)[:, 0] - y).mean() < 3
    assert model.predict(early).mean() == pytest.approx(y.mean(), abs=5)  # a new series


def test_without_any_change_to_learn_from_the_base_is_predicted() -> None:
    frame, y = rows(season=1.0)
    model = fitted(without_past(frame), y + 1000)
    np.testing.assert_allclose(model.predict(frame)[:, 0], model._base(frame)[0])
    assert (model.predict(without_past(frame)) > 900).all()


@pytest.mark.parametrize("problem", [SQUARED, ABSOLUTE])
@pytest.mark.parametrize("values", [(0.0, 0.0), (-5.0, 0.0), (-1e6, 1e6), (3.0, 3.0)])
def test_zeros_negative_and_constant_values_are_predicted(
    values: tuple[float, float], problem: Problem
) -> None:
    frame, y = rows(season=1.0)
    pick = np.arange(len(y)) % 2
    frame[:] = np.array(values, dtype="float32")[pick][:, None]
    y = np.array(values)[pick]
    frame.loc[:50, SEASON] = np.nan
    predicted = fitted(frame, y, problem).predict(frame)
    assert np.isfinite(predicted).all()
    np.testing.assert_allclose(predicted[:, 0], y, atol=1e-3 + 0.6 * np.abs(y).max())


def test_shares_are_saved(tmp_path: Path) -> None:
    frame, y = rows(season=0.5)
    model = fitted(frame, y)
    model.save(tmp_path)
    again = SeriesLightGBM.load(tmp_path)
    assert again.shares_ == model.shares_
    np.testing.assert_array_equal(again.predict(frame), model.predict(frame))


def test_the_newest_value_of_a_season_goes_before_the_mean_that_grows_older() -> None:
    frame, _ = rows(season=1.0)
    newest = frame[SEASON] + np.random.default_rng(1).normal(0, 5, len(frame))
    frame = frame.assign(numeric__series_lag_12=newest.astype("float32"), numeric__series_lag_13=0)
    model = fitted(frame, newest.to_numpy())
    assert list(model.shares_) == ["numeric__series_lag_12", SEASON]
    assert model.shares_ == {"numeric__series_lag_12": 1.0, SEASON: 0.0}
