"""A retail panel: a random split flatters the wrong model, the windows of `kit new` do not.

Sales go up and down around the level of each shop and item and swing back within days. A random
split gives away the day before each scored row, so the last value looks unbeatable; two weeks ahead
it is the worst forecast there is.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from kit.competition import Competition
from kit.runs import list_runs

HORIZON, N_SERIES = 14, 200


def sales(seed: int = 1) -> pd.DataFrame:
    """Weekly pattern x level x swings that last some days, for 200 series and 98 days."""
    rng = np.random.default_rng(seed)
    days = pd.date_range("2024-01-01", periods=98)
    level = rng.normal(3, 0.7, (N_SERIES, 1))
    week = rng.normal(0, 0.05, (N_SERIES, 7))[:, days.day_of_week]
    swing = np.zeros((N_SERIES, len(days)))
    for t in range(1, len(days)):
        swing[:, t] = 0.75 * swing[:, t - 1] + rng.normal(0, 0.25, N_SERIES)
    amount = np.exp(level + week + swing)
    name = np.arange(N_SERIES)
    frame = pd.DataFrame(
        {
            "day": np.tile(days.strftime("%Y-%m-%d"), N_SERIES),
            "shop": np.repeat([f"shop {k % 10}" for k in name], len(days)),
            "item": np.repeat([f"item {k // 10}" for k in name], len(days)),
            "sales": amount.ravel().round(2),
        }
    )
    frame.insert(0, "id", rng.permutation(len(frame)) + 10**6)
    return frame.sample(frac=1, random_state=seed)


@pytest.fixture
def panel(tmp_path: Path, run_kit: Any, monkeypatch: pytest.MonkeyPatch) -> pd.Series:
    """`kit new` in the working folder; returns the hidden answers."""
    frame = sales()
    late = frame["day"] > sorted(frame["day"].unique())[-HORIZON - 1]
    source = tmp_path / "source"
    source.mkdir()
    frame[~late].to_csv(source / "train.csv", index=False)
    frame[late].drop(columns="sales").to_csv(source / "test.csv", index=False)
    frame[late][["id"]].assign(sales=0.5).to_csv(source / "sample_submission.csv", index=False)
    monkeypatch.chdir(tmp_path)
    outcome = run_kit("new", "panel", "--from", source, "--metric", "rmsle")
    assert outcome.code == 0, outcome.err
    monkeypatch.chdir(tmp_path / "panel")
    with Path("kit.toml").open("a") as toml:
        toml.write('[models.trees]\nuse = "lightgbm"\n')
        toml.write("params = { n_estimators = 60, learning_rate = 0.1 }\n")
        toml.write("[execution]\nthreads = 1\n")
    return frame[late].assign(id=frame["id"].astype("str")).set_index("id")["sales"]


def scores(hidden: pd.Series, folder: Path) -> pd.DataFrame:
    """Score by CV and on the hidden rows, per model."""
    found = {}
    for run in list_runs(folder / "runs")[0]:
        test = run.test().set_index("id")["pred"]
        error = np.log1p(test) - np.log1p(hidden.loc[test.index])
        found[run.model] = {"cv": run.score, "hidden": float(np.sqrt((error**2).mean()))}
    return pd.DataFrame(found).T


@pytest.mark.slow
def test_the_random_split_looks_better_and_chooses_worse(
    panel: pd.Series, tmp_path: Path, run_kit: Any
) -> None:
    settings = Competition.load(tmp_path / "panel").settings
    assert settings.cv.splitter == "time_windows"
    assert settings.series is not None
    assert set(settings.series.id) == {"shop", "item"}
    assert "horizon" in Path("README.md").read_text()  # the template of series
    models = ("naive", "seasonal_mean", "trees")

    honest = run_kit("check", "--json")
    assert json.loads(honest.out)["findings"] == []
    warned = run_kit("check", "--json", "--set", "cv.splitter=kfold")
    assert [each["code"] for each in json.loads(warned.out)["findings"]] == ["KIT303"]

    assert run_kit("cv", *models).code == 0
    forward = scores(panel, Path())
    for path in Path("runs").iterdir():
        path.rename(tmp_path / path.name)
    assert run_kit("cv", *models, "--set", "cv.splitter=kfold").code == 0
    random = scores(panel, Path())

    by_random, by_time = random["cv"].idxmin(), forward["cv"].idxmin()
    assert by_random == "naive"
    assert random.loc[by_random, "cv"] < 0.85 * forward["cv"].min()  # it looks better
    assert by_time != by_random
    assert forward.loc[by_time, "hidden"] < 0.95 * random.loc[by_random, "hidden"]  # and is worse
    assert random.loc[by_random, "hidden"] > 1.4 * random.loc[by_random, "cv"]
    honest_one = forward.loc[by_time]
    np.testing.assert_allclose(honest_one["cv"], honest_one["hidden"], rtol=0.1)
