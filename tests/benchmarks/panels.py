"""Generated panels with hidden steps: do seasons help far ahead, and does CV say so?

    python tests/benchmarks/panels.py [--sets weekly,daily,monthly,trend] [--seeds 1] [--series 150]
        [--models a,b] [--set cv.n_splits=2]

Four kinds: `weekly` is like Walmart's sales (143 weeks, 39 to foresee, a season of 52 shared within
a department, drifting levels, holes); `daily` has a week and a year in it (900 days, 42 to
foresee); `monthly` a season of 12 and growth (60 months, 18 to foresee); `trend` rises or falls
steadily with hardly a week in it (250 days, 28 to foresee). kit runs with what `kit new` wrote; one
line per model has CV, the folds and the hidden score, one per panel how far CV was off and what the
choice by CV cost against the best model.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
from numpy.typing import NDArray

MODELS = "naive,seasonal_naive,seasonal_mean,lightgbm-change,lightgbm"
Floats = NDArray[np.float64]


@dataclass(kw_only=True)
class Panel:
    """Values per series and step, nan where there is none, and the times of the steps."""

    values: Floats
    group: NDArray[np.int64]
    times: pd.DatetimeIndex
    horizon: int


def weekly(rng: np.random.Generator, n: int) -> Panel:
    """Sales of departments by week; a department has its season in all stores."""
    times = pd.date_range("2010-02-05", periods=182, freq="7D")
    group = np.arange(n) % max(2, n // 10)
    week = times.isocalendar().week.to_numpy()
    season = rng.normal(0, 0.045, (group.max() + 1, 54)).cumsum(1)
    season[:, 47] += rng.gamma(1, 0.4, len(season))
    season[:, 51] += rng.gamma(1, 0.4, len(season))
    drift = rng.normal(0, 0.01, (n, 182)).cumsum(1)
    level = rng.normal(8.5, 1.3, (n, 1))
    y = np.exp(level + season[group][:, week] + drift + rng.normal(0, 0.08, (n, 182)))
    returned = rng.random(y.shape) < 0.003
    y[returned] = -50 * rng.random(int(returned.sum()))
    y[rng.random(y.shape) < 0.02] = np.nan
    return Panel(values=y, group=group, times=times, horizon=39)


def daily(rng: np.random.Generator, n: int) -> Panel:
    """Counts per day with a pattern of the week, a year, promotions nobody told, days closed."""
    times = pd.date_range("2021-01-01", periods=942)
    group = np.arange(n) % 10
    year = 2 * np.pi * times.day_of_year.to_numpy() / 365.25
    wave = rng.normal(0, 0.25, (10, 1)) * np.sin(year) + rng.normal(0, 0.25, (10, 1)) * np.cos(year)
    week = rng.normal(0, 0.3, (n, 7))[:, times.day_of_week]
    drift = rng.normal(0, 0.006, (n, 942)).cumsum(1)
    mean = np.exp(rng.normal(3, 0.8, (n, 1)) + wave[group] + week + drift)
    y = rng.poisson(mean * rng.gamma(20, 1 / 20, mean.shape)).astype(float)
    y[rng.random(y.shape) < 0.01] = 0
    return Panel(values=y, group=group, times=times, horizon=42)


def monthly(rng: np.random.Generator, n: int) -> Panel:
    """Amounts per month that grow, with a season of each series' own."""
    times = pd.date_range("2018-01-01", periods=78, freq="MS")
    season = rng.normal(0, 0.2, (n, 12))[:, times.month - 1]
    growth = rng.normal(0.004, 0.004, (n, 1)) * np.arange(78)
    drift = rng.normal(0, 0.015, (n, 78)).cumsum(1)
    y = np.exp(rng.normal(5, 1, (n, 1)) + season + growth + drift + rng.normal(0, 0.05, (n, 78)))
    return Panel(values=y, group=np.arange(n) % 7, times=times, horizon=18)


def trend(rng: np.random.Generator, n: int) -> Panel:
    """Values of both signs that rise or fall steadily; the week hardly matters."""
    times = pd.date_range("2023-01-01", periods=278)
    slope = rng.normal(0, 0.2, (n, 1)) * np.arange(278)
    week = rng.normal(0, 0.5, (n, 7))[:, times.day_of_week]
    drift = rng.normal(0, 0.4, (n, 278)).cumsum(1)
    y = rng.normal(0, 30, (n, 1)) + slope + week + drift + rng.normal(0, 1, (n, 278))
    return Panel(values=y, group=np.arange(n) % 7, times=times, horizon=28)


SETS: dict[str, Callable[[np.random.Generator, int], Panel]] = {
    "weekly": weekly, "daily": daily, "monthly": monthly, "trend": trend,
}  # fmt: skip


def rows(panel: Panel) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Training and hidden rows in long form."""
    n, n_steps = panel.values.shape
    frame = pd.DataFrame(
        {
            "store": np.repeat([f"s{k}" for k in range(n)], n_steps),
            "dept": np.repeat([f"d{k}" for k in panel.group], n_steps),
            "day": np.tile(panel.times.strftime("%Y-%m-%d"), n),
            "y": panel.values.ravel().round(3),
        }
    )
    late = np.tile(np.arange(n_steps) >= n_steps - panel.horizon, n)
    known = frame["y"].notna()
    frame.insert(0, "id", [f"r{k}" for k in range(len(frame))])
    return frame[known & ~late], frame[known & late]


def scores(panel: Panel, folder: Path, models: list[str], options: list[str]) -> pd.DataFrame:
    """CV, folds and hidden MAE per model."""
    train, test = rows(panel)
    source = folder / "source"
    source.mkdir(parents=True)
    train.to_csv(source / "train.csv", index=False)
    test.drop(columns="y").to_csv(source / "test.csv", index=False)
    test[["id"]].assign(y=0.5).to_csv(source / "sample_submission.csv", index=False)

    def run(*arguments: str) -> str:
        command = [sys.executable, "-m", "kit", *arguments]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{' '.join(arguments)}: {done.stderr[-2000:]}")
        return done.stdout

    run("new", "made", "-C", ".", "--from", str(source), "--metric", "mae", "--id", "id")
    changed = [each for option in options for each in ("--set", option)]
    run("cv", *models, "-C", "made", "--set", "execution.threads=1", *changed)
    truth, found = test.set_index("id")["y"], {}
    for row in json.loads(run("runs", "-C", "made", "--json"))["runs"]:
        predicted = pd.read_parquet(folder / "made/runs" / row["id"] / "test.parquet")
        values = predicted.set_index("id").loc[truth.index, "pred"]
        record = json.loads((folder / "made/runs" / row["id"] / "run.json").read_text())
        found[row["model"]] = {
            "cv": float(row["score"]["value"]),
            "hidden": float((values - truth).abs().mean()),
            "folds": record["score"].get("folds"),
        }
    return pd.DataFrame(found).T


def main() -> None:
    """Print one line per model and one per panel."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--series", type=int, default=150)
    parser.add_argument("--models", default=MODELS)
    parser.add_argument("--set", action="append", default=[])
    options = parser.parse_args()
    models = options.models.split(",")
    for name in options.sets.split(","):
        for seed in range(options.seeds):
            panel = SETS[name](np.random.default_rng(seed), options.series)
            with tempfile.TemporaryDirectory() as folder:
                found = scores(panel, Path(folder), models, options.set)
            for model, row in found.iterrows():
                folds: Any = " ".join(f"{value:.4g}" for value in row["folds"] or ())
                shown = f"CV {row['cv']:8.4g}  hidden {row['hidden']:8.4g}  folds {folds}"
                print(f"{name} {seed} {model:18} {shown}")
            off = np.log((found["cv"] / found["hidden"]).astype(float)).abs().mean()
            chosen = found.loc[found["cv"].astype(float).idxmin(), "hidden"]
            cost = chosen / found["hidden"].min()
            print(
                f"{name} {seed}: CV off by {off:.3f}, the choice by CV costs {cost:.3f}", flush=True
            )


if __name__ == "__main__":
    main()
