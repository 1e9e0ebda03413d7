"""Features of a row's past against a plain reading of the definition; the `[series]` table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.pipeline import Pipeline

from kit.competition import Competition
from kit.dataset import Dataset
from kit.errors import ConfigError, DataError
from kit.models.base import Problem
from kit.models.naive import Naive, SeasonalNaive
from kit.preprocessing.history import History, Sums
from kit.preprocessing.series import LastValues, SeriesFeatures, feature_names, with_history
from kit.series import SeriesSpec
from kit.steps import infer_step, step_numbers

HORIZON = 4
SPEC = SeriesSpec(
    id=("shop",), step="1D", horizon=HORIZON, lags=(4, 7), windows=(3,), seasons=(7,),
    covariates=("price",),
)  # fmt: skip
Make = Callable[..., Competition]


def rows(n_days: int = 40, shops: str = "ab", seed: int = 0) -> pd.DataFrame:
    """Two shops with holes, in no order, and a target that names its row."""
    rng = np.random.default_rng(seed)
    days = pd.date_range("2024-03-01", periods=n_days)
    frame = pd.DataFrame(
        [(day, shop) for shop in shops for day in days], columns=["day", "shop"]
    ).astype({"shop": "category"})
    frame["price"] = rng.normal(10, 2, len(frame))
    frame["y"] = rng.normal(size=len(frame)) + 5
    return frame[rng.random(len(frame)) > 0.15].sample(frac=1, random_state=1)


def parts(frame: pd.DataFrame, horizon: int = HORIZON) -> tuple[pd.DataFrame, pd.DataFrame]:
    cut = frame["day"].max() - pd.Timedelta(days=horizon)
    return frame[frame["day"] <= cut], frame[frame["day"] > cut]


def known(train: pd.DataFrame, row: Any, back: Any) -> np.ndarray:
    """Targets of the row's series `back` days before."""
    same = train[train["shop"] == row.shop]
    days = [row.day - pd.Timedelta(days=int(b)) for b in back]
    return same[same["day"].isin(days)].sort_values("day")["y"].to_numpy()


def fitted(spec: SeriesSpec, train: pd.DataFrame, **options: Any) -> SeriesFeatures:
    X = train.drop(columns="y")
    return SeriesFeatures(spec, "day", **options).fit(X, train["y"].to_numpy())


def mean(values: Any) -> float:
    return float(np.mean(values)) if len(values) else float("nan")


@pytest.mark.parametrize("side", ["train", "test"])
def test_features_are_what_their_names_say(side: str) -> None:
    train, test = parts(rows())
    made = fitted(SPEC, train).transform((train if side == "train" else test).drop(columns="y"))
    assert list(made.columns)[3:] == feature_names(SPEC)
    for row in made.itertuples():
        expected = {
            "series_lag_4": mean(known(train, row, [4])),
            "series_lag_7": mean(known(train, row, [7])),
            "series_mean_3": mean(known(train, row, [4, 5, 6])),
            "series_season_7": mean(known(train, row, [7, 14, 21, 28])),
            "series_mean": mean(known(train, row, range(4, 60))),
            "series_count": len(known(train, row, range(4, 60))),
        }
        past = known(train, row, range(4, 60))
        expected["series_std"] = np.std(past) if len(past) > 1 else np.nan
        for name, value in expected.items():
            np.testing.assert_allclose(getattr(row, name), value, atol=1e-5, err_msg=name)


def test_covariates_are_compared_with_their_past() -> None:
    train, test = parts(rows())
    made = fitted(SPEC, train).transform(test.drop(columns="y"))
    row = next(made.itertuples())
    past = train[(train["shop"] == row.shop) & (train["day"] <= row.day - pd.Timedelta(days=4))]
    np.testing.assert_allclose(row.series_price_change, row.price - past["price"].mean(), atol=1e-5)


def test_ahead_by_step_uses_what_the_row_may_know() -> None:
    spec = SeriesSpec(id=("shop",), horizon=HORIZON, ahead="step", lags=(1, 2), windows=(2,))
    train, test = parts(rows())
    last = train["day"].max()
    made = fitted(spec, train).transform(test.drop(columns="y"))
    for row in made.itertuples():
        ahead = (row.day - last).days
        assert row.series_ahead == ahead
        for lag in (1, 2):
            value = mean(known(train, row, [lag])) if lag >= ahead else np.nan
            np.testing.assert_allclose(getattr(row, f"series_lag_{lag}"), value, atol=1e-5)
        recent = mean(known(train, row, [ahead, ahead + 1]))
        np.testing.assert_allclose(row.series_mean_2, recent, atol=1e-5)
    # training rows are every distance ahead in turns, counted back from the last one
    turns = fitted(spec, train).transform(train.drop(columns="y"))
    days = (last - turns["day"]).dt.days
    np.testing.assert_array_equal(turns["series_ahead"], HORIZON - days % HORIZON)


def test_what_a_model_reads_is_the_past_newest_first() -> None:
    spec = SeriesSpec(id=("shop",), horizon=HORIZON, history=5)
    train, test = parts(rows())
    made = fitted(spec, train, window=True).transform(test.drop(columns="y"))
    for row in made.itertuples():
        for k in range(5):
            value = mean(known(train, row, [HORIZON + k]))
            np.testing.assert_allclose(getattr(row, f"window_{k:04d}"), value, atol=1e-5)


def test_the_order_of_rows_does_not_matter() -> None:
    train, test = parts(rows())
    made = fitted(SPEC, train).transform(test.drop(columns="y"))
    again = fitted(SPEC, train.sort_values(["shop", "day"])).transform(test.drop(columns="y"))
    pd.testing.assert_frame_equal(made, again)


def test_equal_series_and_times_are_averaged_and_counted() -> None:
    train, _ = parts(rows())
    double = pd.concat([train, train.iloc[:3].assign(y=train["y"].iloc[:3] + 2)])
    history = History(double, ["shop"], "day", "1D")
    assert history.repeated == 3
    grid = history.grid(double["y"].to_numpy())
    series, step = history.place(train.iloc[:1])
    assert grid[series[0], step[0]] == pytest.approx(train["y"].iloc[0] + 1)


def test_a_number_is_the_same_series_where_another_row_has_none() -> None:
    train, test = parts(rows())
    codes = {level: number for number, level in enumerate(train["shop"].cat.categories, start=1)}
    train, test = (
        part.assign(shop=part["shop"].map(codes).astype("int64")) for part in (train, test)
    )
    asked = test.drop(columns="y")
    expected = fitted(SPEC, train).transform(asked)[feature_names(SPEC)]
    gap = pd.concat([asked, asked.iloc[:1].assign(shop=np.nan)])
    assert gap["shop"].dtype == "float64"
    found = fitted(SPEC, train).transform(gap)[feature_names(SPEC)].iloc[:-1]
    pd.testing.assert_frame_equal(found, expected)


def test_an_unseen_series_has_no_past() -> None:
    train, test = parts(rows())
    test = test.assign(shop=pd.Categorical(["z"] * len(test)))
    made = fitted(SPEC, train).transform(test.drop(columns="y"))
    assert made[feature_names(SPEC)].drop(columns="series_count").isna().all(axis=None)
    assert (made["series_count"] == 0).all()


def test_test_rows_look_up_all_training_rows_whatever_the_fold_was_fitted_on() -> None:
    train, test = parts(rows())
    early = train[train["day"] <= "2024-03-20"]
    for steps in (LastValues(SPEC, "day"), Pipeline([("past", SeriesFeatures(SPEC, "day"))])):
        old = clone(steps).fit(early.drop(columns="y"), early["y"].to_numpy())
        new = with_history(old, train.drop(columns="y"), train["y"].to_numpy())
        whole = clone(steps).fit(train.drop(columns="y"), train["y"].to_numpy())
        X = test.drop(columns="y")
        pd.testing.assert_frame_equal(new.transform(X), whole.transform(X))
        assert not old.transform(X).equals(new.transform(X))


def test_one_series_needs_no_id() -> None:
    spec = SeriesSpec(horizon=4, lags=(4,))
    train, test = parts(rows(shops="a"))
    made = fitted(spec, train).transform(test.drop(columns="y"))
    row = next(made.itertuples())
    np.testing.assert_allclose(row.series_lag_4, mean(known(train, row, [4])), atol=1e-5)


def test_the_last_values_are_those_before_the_row() -> None:
    spec = SeriesSpec(id=("shop",), horizon=9, seasons=(7,))
    train, test = parts(rows(), horizon=9)
    values = LastValues(spec, "day").fit(train.drop(columns="y"), train["y"].to_numpy())
    made = values.transform(test.drop(columns="y"))
    for row, found in zip(test.itertuples(), made.itertuples(), strict=True):
        past = train[train["shop"] == row.shop].sort_values("day")
        assert found.last == pytest.approx(past["y"].iloc[-1])
        seasons = known(train, row, [7, 14, 21, 28, 35])[::-1]
        for k in range(4):
            value = seasons[k] if k < len(seasons) else np.nan
            np.testing.assert_allclose(getattr(found, f"season_7_{k + 1}"), value)


def test_deviations_of_large_levels_are_exact() -> None:
    grid = 1e7 + np.random.default_rng(0).normal(size=(2, 300))
    end = np.array([299, 299])
    _, _, deviation = Sums(grid).stretch(np.array([0, 1]), end, 50)
    np.testing.assert_allclose(deviation, grid[:, -50:].std(axis=1), rtol=1e-4)


@pytest.mark.parametrize(
    ("times", "step"),
    [
        (pd.date_range("2024-01-01", periods=9), "1D"),
        (pd.date_range("2024-01-05", periods=9, freq="7D"), "7D"),
        (pd.date_range("2024-01-01", periods=9, freq="h"), "1h"),
        (pd.date_range("2024-01-01", periods=9, freq="15min"), "15min"),
        (pd.date_range("2024-01-31", periods=9, freq="ME"), "month"),
        (pd.date_range("2024-01-01", periods=9, freq="QS"), "quarter"),
        (pd.date_range("2000-06-15", periods=9, freq=pd.DateOffset(years=1)), "year"),
        (pd.Index([2, 4, 6, 10]), "2"),
    ],
)
def test_steps_are_inferred_and_counted(times: pd.Index, step: str) -> None:
    values = times.to_numpy()
    assert infer_step(values) == step
    numbers = step_numbers(values, step)
    assert numbers[1] - numbers[0] == 1


def test_a_step_that_makes_no_sense_is_refused() -> None:
    times = pd.date_range("2024-01-01", periods=9).to_numpy()
    for step in ("soon", "-1D", ""):
        with pytest.raises(ConfigError, match=r"series\.step"):
            step_numbers(times, step)


def test_steps_finer_than_memory_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kit.preprocessing.history._CELLS", 100)
    train, _ = parts(rows())
    with pytest.raises(DataError, match=r"Is series\.step right"):
        History(train, ["shop"], "day", "1h")


# --- the table -----------------------------------------------------------------------------------

TABLE: dict[str, Any] = {"id": ["shop"], "horizon": HORIZON, "lags": [4], "seasons": [7]}


def competition(make: Make, **series: Any) -> Competition:
    frame = rows().reset_index(drop=True)
    frame["day"] = frame["day"].dt.strftime("%Y-%m-%d").astype("str")
    frame["shop"] = frame["shop"].astype("str")
    frame.insert(0, "id", [f"r{k}" for k in range(len(frame))])
    late = frame["day"] > "2024-04-05"
    kinds = {"shop": "category", "day": "datetime"}
    return make(
        frame[~late],
        frame[late].drop(columns="y"),
        columns={"kinds": kinds, "time": "day"},
        task={"type": "regression", "metric": "rmse", "classes": []},
        submission={"wants": "value"},
        cv={"splitter": "time_windows", "horizon": "4D"},
        series={**TABLE, **series},
    )


@pytest.mark.parametrize(
    ("series", "message"),
    [
        ({"lags": [4, 3]}, r"series.lags holds 3, which is shorter than series.horizon = 4"),
        ({"lags": [4, 4]}, "holds a number twice"),
        ({"horizon": 0}, "series.horizon must be 1 or more"),
        ({"covariates": ["y"]}, "names the target"),
        ({"window": [3]}, "unknown key 'window'"),
        ({"ahead": "day"}, "'day' is not known"),
    ],
)
def test_a_table_that_cannot_be(make_competition: Make, series: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        competition(make_competition, **series)


def test_short_lags_are_taken_where_rows_know_more(make_competition: Make) -> None:
    competition(make_competition, lags=[1, 4], ahead="step")


@pytest.mark.parametrize(
    ("series", "message"),
    [
        ({"id": ["store"]}, r"series.id 'store' as a feature .* no feature"),
        ({"covariates": ["shop"]}, r"series.covariates 'shop' .* of the kind 'category'"),
    ],
)
def test_columns_that_are_not_there(make_competition: Make, series: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Dataset.read(competition(make_competition, **series))


def test_other_settings_are_other_features(make_competition: Make) -> None:
    base = Dataset.read(competition(make_competition))
    other = Dataset.read(competition(make_competition, windows=[3]))
    assert base.digests["data"] == other.digests["data"]
    assert base.digests["features"] != other.digests["features"]


def test_baselines_say_the_last_value_and_those_of_the_last_seasons() -> None:
    spec = SeriesSpec(id=("shop",), horizon=4, seasons=(7,))
    train, test = parts(rows())
    y = train["y"].to_numpy()
    values = LastValues(spec, "day").fit(train.drop(columns="y"), y)
    made, new = (values.transform(each.drop(columns="y")) for each in (train, test))
    problem = Problem(task="regression", n_outputs=1)

    def said(model: Naive, X: pd.DataFrame) -> np.ndarray:
        return model.fit(made, y, problem=problem).predict(X)[:, 0]

    np.testing.assert_allclose(said(Naive(), new), new["last"])
    one, four = said(SeasonalNaive(), new), said(SeasonalNaive(seasons=4), new)
    seasons = new[[f"season_7_{k}" for k in range(1, 5)]]
    np.testing.assert_allclose(one, seasons["season_7_1"].fillna(new["mean"]))
    np.testing.assert_allclose(four, seasons.mean(axis=1).fillna(new["mean"]))
    unseen = values.transform(test.drop(columns="y").assign(shop=pd.Categorical(["z"] * len(test))))
    for model in (Naive(), SeasonalNaive()):
        np.testing.assert_allclose(said(model, unseen), y.mean())
