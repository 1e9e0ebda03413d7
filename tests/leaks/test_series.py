"""What a series may not know: planted in the features, the folds and the gap, and caught."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

import kit.preprocessing.columns
from kit.competition import Competition
from kit.errors import ConfigError
from kit.execution.context import load_context
from kit.execution.task import FoldTask, run_folds
from kit.models.base import FoldRows
from kit.models.changes import SeriesLightGBM
from kit.portfolio import find_model
from kit.preprocessing.series import SeriesFeatures
from kit.settings import CVSpec
from kit.splitters import check_splitter
from kit.time_splitters import time_windows

Make = Callable[..., Competition]
HORIZON = 5
SERIES = {
    "id": ["shop"], "step": "1D", "horizon": HORIZON, "lags": [5, 7], "windows": [3],
    "seasons": [7], "history": 8,
}  # fmt: skip
MODELS = (
    "naive",
    "seasonal_naive",
    "lightgbm",
    "lightgbm_change",
    "catboost_change",
    "linear",
    "extra_trees",
)


def noise(make: Make, *, change: Any = None, **series: Any) -> Competition:
    """Pure noise per shop and day; `change(frame)` may alter the targets."""
    rng = np.random.default_rng(0)
    days = pd.date_range("2024-01-01", periods=70)
    frame = pd.DataFrame([(d, s) for s in ("a", "b", "c", "d") for d in days])
    frame.columns = pd.Index(["day", "shop"])
    frame["y"] = rng.normal(size=len(frame))
    if change is not None:
        frame["y"] = change(frame)
    late = frame["day"] >= days[-HORIZON]
    frame.insert(0, "id", np.arange(len(frame)))
    frame["day"] = frame["day"].dt.strftime("%Y-%m-%d")
    return make(
        frame[~late],
        frame[late].drop(columns="y"),
        columns={"kinds": {"shop": "category", "day": "datetime"}, "time": "day"},
        task={"type": "regression", "metric": "rmse", "classes": []},
        submission={"wants": "value"},
        cv={"splitter": "time_windows", "horizon": f"{HORIZON}D"},
        series={**SERIES, **series},
        name=f"c{rng.integers(1e9)}{'-changed' if change else ''}",
    )


def results(competition: Competition, tmp_path: Any, model: str, fold: int = 1) -> Any:
    context = load_context(competition)
    task = FoldTask(
        model=model, spec=find_model(competition, model), folds=(fold,), seed=1, threads=1,
        early_stopping="inner", results=tmp_path,
    )  # fmt: skip
    return run_folds(task, context)[0]


def shuffled_window(frame: pd.DataFrame) -> pd.Series:
    """Other targets in the days that fold 1 validates, and all that come after them."""
    days = pd.date_range("2024-01-01", periods=70)
    late = frame["day"] >= days[70 - 3 * HORIZON]
    return frame["y"].where(~late, frame["y"] * -3 + 1)


@pytest.mark.parametrize("model", MODELS)
def test_targets_of_the_validated_window_and_later_do_not_reach_its_predictions(
    make_competition: Make, tmp_path: Any, model: str
) -> None:
    before = results(noise(make_competition), tmp_path, model)
    after = results(noise(make_competition, change=shuffled_window), tmp_path, model)
    np.testing.assert_array_equal(before.oof, after.oof)
    assert len(before.test) == 0  # what comes after all windows is for the last one's task


@pytest.mark.parametrize("model", MODELS)
def test_the_fit_on_all_rows_does_not_reach_the_last_window(
    make_competition: Make, tmp_path: Any, model: str
) -> None:
    def last_window(frame: pd.DataFrame) -> pd.Series:
        days = pd.date_range("2024-01-01", periods=70)
        return frame["y"].where(frame["day"] < days[70 - 2 * HORIZON], frame["y"] * -3 + 1)

    before = results(noise(make_competition), tmp_path, model, fold=2)
    after = results(noise(make_competition, change=last_window), tmp_path, model, fold=2)
    assert before.all_rows
    np.testing.assert_array_equal(before.oof, after.oof)
    assert (before.test != after.test).any()  # the test rows come after them


@pytest.mark.slow
@pytest.mark.neural
@pytest.mark.filterwarnings("ignore")  # tensorflow's and keras' own
def test_nor_those_of_a_network(make_competition: Make, tmp_path: Any) -> None:
    models = {"small": {"use": "sequence", "params": {"epochs": 1, "units": 8, "blocks": 1}}}

    def made(change: Any) -> Any:
        competition = noise(make_competition, change=change)
        text = (competition.root / "kit.toml").read_text()
        table = 'small = {use = "sequence", params = {epochs = 1, units = 8, blocks = 1}}'
        (competition.root / "kit.toml").write_text(f"{text}\n[models]\n{table}\n")
        return results(Competition.load(competition.root), tmp_path, next(iter(models)))

    np.testing.assert_array_equal(made(None).oof, made(shuffled_window).oof)


def test_a_share_of_the_season_that_knows_the_validated_rows_is_found(
    make_competition: Make, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def predicted(change: Any) -> Any:
        competition = noise(make_competition, change=change)
        context = load_context(competition)
        hidden = context.dataset.y[context.folds.valid(1)].mean()
        season = "numeric__series_season_7"
        planted = {season: float(hidden > 0.5)}
        monkeypatch.setattr(SeriesLightGBM, "_find_shares", lambda *arguments: planted)
        return results(competition, tmp_path, "lightgbm_change").oof

    assert (predicted(None) != predicted(shuffled_window)).any()


class OwnRow(SeriesFeatures):
    """The planted fault: the window ends with the row itself."""

    def _ahead(self, step: Any) -> Any:
        return np.zeros(len(step), dtype=np.int64)


class AllRows(SeriesFeatures):
    """The planted fault: the history holds the validated rows, too, and yesterday is known."""

    everything: Any = None

    def _ahead(self, step: Any) -> Any:
        return np.ones(len(step), dtype=np.int64)

    def fit(self, X: pd.DataFrame, y: Any) -> SeriesFeatures:
        return super().fit(*type(self).everything)


def prepared(competition: Competition, fold: int = 1) -> FoldRows:
    from kit.execution.fold import data_shape

    context = load_context(competition)
    data, folds = context.dataset, context.folds
    train, valid = folds.train(fold), folds.valid(fold)
    steps = kit.preprocessing.columns.recipe("tree", data_shape(data, train, 0))
    X = steps.fit_transform(data.X.iloc[train], data.y[train])
    return FoldRows(
        X=X, y=data.y[train], X_valid=steps.transform(data.X.iloc[valid]), y_valid=data.y[valid]
    )


def correlation(rows: FoldRows, column: str, *, valid: bool) -> float:
    X, y = (rows.X_valid, rows.y_valid) if valid else (rows.X, rows.y)
    x = X[next(name for name in X.columns if name.endswith(column))].to_numpy(dtype=float)
    both = ~np.isnan(x)
    return float(np.corrcoef(x[both], y[both])[0, 1]) if both.sum() > 10 else 0.0


def test_a_window_knows_nothing_of_its_own_row(make_competition: Make) -> None:
    rows = prepared(noise(make_competition))
    for column in ("series_mean_3", "series_season_7", "series_pool_7"):
        assert abs(correlation(rows, column, valid=False)) < 0.2  # 0.07 per standard error


def test_a_window_that_includes_its_row_is_found(
    make_competition: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kit.preprocessing.columns, "SeriesFeatures", OwnRow)
    rows = prepared(noise(make_competition))
    for column in ("series_mean_3", "series_season_7"):
        assert correlation(rows, column, valid=False) > 0.4


def test_a_lag_over_validated_rows_is_found(
    make_competition: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def past(change: Any, planted: bool) -> pd.DataFrame:
        competition = noise(make_competition, change=change, lags=[1, 2, 5], ahead="step")
        if planted:
            data = load_context(competition).dataset
            monkeypatch.setattr(AllRows, "everything", (data.X, data.y))
            monkeypatch.setattr(kit.preprocessing.columns, "SeriesFeatures", AllRows)
        return prepared(competition).X_valid

    pd.testing.assert_frame_equal(past(None, False), past(shuffled_window, False))
    assert not past(None, True).equals(past(shuffled_window, True))


def test_a_lag_shorter_than_the_horizon_is_refused(make_competition: Make) -> None:
    with pytest.raises(ConfigError, match=r"shorter than series[.]horizon"):
        noise(make_competition, lags=[1, 5])


def test_random_folds_look_up_their_own_training_rows_only(
    make_competition: Make, tmp_path: Any
) -> None:
    """Even where folds mix past and future, no feature holds the target of a validated row."""
    competition = noise(make_competition)
    mixed = Competition.load(competition.root, ["cv.splitter=kfold"])
    context = load_context(mixed)
    valid = context.folds.valid(1)
    data = context.dataset

    def features(y: Any) -> pd.DataFrame:
        train = context.folds.train(1)
        assert data.series is not None
        steps = SeriesFeatures(data.series, "day").fit(data.X.iloc[train], y[train])
        return steps.transform(data.X)

    other = data.y.copy()
    other[valid] = 99.0
    pd.testing.assert_frame_equal(features(data.y), features(other))


def test_forward_folds_that_see_the_future_are_found() -> None:
    def backward(y: Any, groups: Any, time: Any, spec: CVSpec) -> Any:
        fold, purged = time_windows(y, groups, time, spec)
        return np.where(fold >= 0, spec.n_splits - 1 - fold, fold).astype(np.int8), purged

    backward.forward = True  # type: ignore[attr-defined]
    with pytest.raises(ConfigError, match="trains on times that it validates, or later"):
        check_splitter(backward)


def test_a_gap_that_is_ignored_is_found() -> None:
    def careless(y: Any, groups: Any, time: Any, spec: CVSpec) -> Any:
        return time_windows(y, groups, time, spec)[0]

    careless.forward = True  # type: ignore[attr-defined]
    spec = CVSpec(splitter="mine", n_splits=3, horizon="10D", gap="5D")
    check_splitter(time_windows, spec)
    with pytest.raises(ConfigError, match="trains on rows within"):
        check_splitter(careless, spec)
