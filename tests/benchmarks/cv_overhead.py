"""`kit cv lightgbm` against a bare script: wall time and peak memory as ratios.

    python tests/benchmarks/cv_overhead.py [--rows 500000] [--columns 40] [--repeats 3] [--rounds N]

The bare script reads the same CSV files, turns strings into categories, trains LightGBM with the
same parameters on the same folds (read from kit's folds.parquet), predicts validation and test
rows, and writes both. Each side is a process of its own; they take turns.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BARE = """
import json, sys
import lightgbm as lgb, numpy as np, pandas as pd
root = sys.argv[1]
params = json.loads(sys.argv[2])
rounds, patience = params.pop("n_estimators"), params.pop("patience")
train = pd.read_csv(f"{root}/data/raw/train.csv")
test = pd.read_csv(f"{root}/data/raw/test.csv")
folds = pd.read_parquet(f"{root}/folds.parquet").set_index("id")["fold"]
fold = folds.loc[train["id"].astype(str)].to_numpy()
y = train["y"].to_numpy()
X, X_test = train.drop(columns=["id", "y"]), test.drop(columns=["id"])
for name in X.columns[X.dtypes == "str"]:
    levels = pd.Index(pd.concat([X[name], X_test[name]]).dropna().unique()).sort_values()
    X[name] = pd.Categorical(X[name], categories=levels)
    X_test[name] = pd.Categorical(X_test[name], categories=levels)
oof, pred = np.zeros(len(X)), np.zeros(len(X_test))
n = fold.max() + 1
for k in range(n):
    inner = fold == (k + 1 if k + 1 < n else k - 1)
    fit = (fold != k) & ~inner
    data = lgb.Dataset(X[fit], y[fit])
    stop = lgb.early_stopping(patience, verbose=False)
    held = data.create_valid(X[inner], y[inner])
    booster = lgb.train({**params, "seed": 42000 + k}, data, rounds, [held], callbacks=[stop])
    oof[fold == k] = booster.predict(X[fold == k])
    pred += booster.predict(X_test) / n
pd.DataFrame({"id": train["id"], "fold": fold, "pred": oof}).to_parquet(f"{root}/bare_oof.parquet")
pd.DataFrame({"id": test["id"], "pred": pred}).to_parquet(f"{root}/bare_test.parquet")
"""


def generate(root: Path, rows: int, columns: int, source: Path) -> None:
    """Mixed columns: half numbers (some missing), half strings of 3 to 60 levels."""
    import numpy as np
    import pandas as pd

    rng = np.random.default_rng(0)
    n = rows + rows // 5
    frame: dict[str, object] = {"id": np.arange(n)}
    logit = np.zeros(n)
    for k in range(columns // 2):
        values = rng.normal(size=n).round(4)
        logit += values * (k % 5 == 0)
        values[rng.random(n) < 0.02 * (k % 4)] = np.nan
        frame[f"n{k}"] = values
    for k in range(columns - columns // 2):
        levels = rng.integers(3, 13) if k % 3 else 60
        codes = rng.integers(0, levels, n)
        logit += np.sin(codes) * (k % 4 == 0)
        frame[f"c{k}"] = np.array([f"v{i}" for i in range(levels)])[codes]
    y = (logit + rng.logistic(size=n) > 0).astype(int)
    source.mkdir(parents=True)
    table = pd.DataFrame(frame)
    table[:rows].assign(y=y[:rows]).to_csv(source / "train.csv", index=False)
    table[rows:].to_csv(source / "test.csv", index=False)
    sample = pd.DataFrame({"id": frame["id"][rows:], "y": 0.5})  # type: ignore[index]
    sample.to_csv(source / "sample_submission.csv", index=False)


def measured(command: list[str]) -> tuple[float, float]:
    """Wall seconds and peak MB of a command."""
    before = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        message = process.stderr.read().decode() if process.stderr else ""
        raise SystemExit(f"{command} failed:\n{message}")
    return time.perf_counter() - before, usage.ru_maxrss / 1024


def main() -> None:
    """Generate, take turns, print ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--columns", type=int, default=40)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=200)
    options = parser.parse_args()
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    with tempfile.TemporaryDirectory() as folder:
        source, root = Path(folder) / "source", Path(folder) / "bench"
        generate(root, options.rows, options.columns, source)
        kit = [sys.executable, "-m", "kit"]
        subprocess.run(
            [*kit, "new", "bench", "--from", str(source), "-C", folder, "-q"],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        limit = ["--set", f"models.lightgbm.params.n_estimators={options.rounds}"]
        command = [*kit, "cv", "lightgbm", "-C", str(root), "-q", *limit]
        rows = []
        for number in range(options.repeats + 1):
            for run in (root / "runs").glob("2*"):
                subprocess.run(["rm", "-r", str(run)], check=True)
            ours = measured(command)
            record = json.loads(next((root / "runs").glob("2*/run.json")).read_text())
            script = [sys.executable, "-c", BARE, str(root), json.dumps(native(record["params"]))]
            bare = measured(script)
            if number:  # the first pair warms the disk cache
                rows.append((*ours, *bare))
                print(
                    f"kit {ours[0]:.1f} s {ours[1]:.0f} MB   "
                    f"bare {bare[0]:.1f} s {bare[1]:.0f} MB   "
                    f"ratio {ours[0] / bare[0]:.3f} time, {ours[1] / bare[1]:.3f} memory",
                    flush=True,
                )
        print(f"median ratio: time {statistics.median(r[0] / r[2] for r in rows):.3f}, ", end="")
        print(f"memory {statistics.median(r[1] / r[3] for r in rows):.3f}")


def native(params: dict[str, object]) -> dict[str, object]:
    """The parameters kit recorded, as LightGBM takes them for a binary task."""
    params = {key: value for key, value in params.items() if value is not None}
    return {
        "num_leaves": 31,
        "min_data_in_leaf": 20,
        **params,
        "objective": "binary",
        "metric": "binary_logloss",
        "bagging_freq": 1,
        "num_threads": os.cpu_count(),
        "deterministic": True,
        "force_col_wise": True,
        "verbosity": -1,
    }


if __name__ == "__main__":
    main()
