"""Large tables: time and memory of new, check, cv, submit, fit and predict; a bare LightGBM script.

    python tests/benchmarks/large.py 500000 1000000 2000000 [--rounds 50] [--csv] [--in FOLDER]
    python tests/benchmarks/large.py 20000000 --in FOLDER --only new check cv submit

A generated competition: parquet files of 30 columns (an id, 18 numbers, 10 categories of 2 to
50,000 levels, a target of two classes), values missing in half of them, and a fifth as many test
rows. Every step is a process of its own. "anonymous" is the peak of what the kernel cannot take
back, summed over the process and its children; "resident" counts mapped files, too. The bare script
reads the same parquet with pandas and fits the same trees on five folds.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

CHUNK = 250_000
LEVELS = (2, 3, 5, 8, 12, 20, 40, 300, 5_000, 50_000)
BARE = """
import sys
import lightgbm as lgb
import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold

folder, rounds = sys.argv[1], int(sys.argv[2])
train, test = (pd.read_parquet(f"{folder}/{name}.parquet") for name in ("train", "test"))
y = train.pop("target").to_numpy()
train = train.drop(columns="id")
ids, test = test["id"], test.drop(columns="id")
for name in train.columns[train.dtypes == "str"]:
    levels = pd.Index(train[name].dropna().unique())
    train[name] = pd.Categorical(train[name], categories=levels)
    test[name] = pd.Categorical(test[name], categories=levels)
params = dict(objective="binary", learning_rate=0.03, num_leaves=31, bagging_fraction=0.75,
              bagging_freq=1, feature_fraction=0.7, lambda_l2=1.0, max_cat_to_onehot=8,
              verbosity=-1, force_col_wise=True, num_threads=THREADS)
oof, pred = np.zeros(len(train)), np.zeros(len(test))
for fit, valid in StratifiedKFold(5, shuffle=True, random_state=42).split(y, y):
    rng = np.random.default_rng(0)
    inner = rng.random(len(fit)) < 0.25
    data = lgb.Dataset(train.iloc[fit[~inner]], y[fit[~inner]])
    stop = lgb.Dataset(train.iloc[fit[inner]], y[fit[inner]], reference=data)
    model = lgb.train(params, data, rounds, valid_sets=[stop])
    oof[valid] = model.predict(train.iloc[valid])
    pred += model.predict(test) / 5
pd.DataFrame({"id": ids, "target": pred}).to_csv(f"{folder}-bare.csv", index=False)
print("bare auc", round(roc_auc_score(y, oof), 5))
"""


def chunk(start: int, rows: int, *, test: bool) -> Any:
    """Rows `start` and following; the same whatever the number of rows is."""
    import numpy as np
    import pyarrow as pa

    rng = np.random.default_rng([start, test])
    columns: dict[str, Any] = {"id": np.arange(start, start + rows)}
    signal = np.zeros(rows)
    for k in range(8):
        values = rng.normal(size=rows) * 10.0 ** (k - 3)
        signal += 0.15 * values / 10.0 ** (k - 3)
        columns[f"real_{k}"] = pa.array(values, mask=rng.random(rows) < 0.05 * (k % 3))
    for k in range(4):
        values = rng.gamma(2.0, size=rows).astype(np.float32)
        signal += 0.2 * np.log(values)
        columns[f"short_{k}"] = values
    for k, top in enumerate((2, 30, 100, 365, 10_000, 1_000_000)):
        values = rng.integers(0, top, rows)
        signal += 0.3 * (values > top // 2)
        columns[f"count_{k}"] = pa.array(values, mask=rng.random(rows) < 0.02 * (k % 2))
    for k, size in enumerate(LEVELS):
        codes = (rng.random(rows) ** 2 * size).astype(np.int64)
        signal += 0.5 * np.sin(codes * 12.9898)
        names = np.array([f"{'abcdefghij'[k]}{code:05d}" for code in range(size)])
        columns[f"level_{k}"] = pa.array(names[codes], mask=rng.random(rows) < 0.03 * (k % 2))
    if not test:
        noisy = signal - signal.mean() + rng.logistic(size=rows) * 1.5
        columns["target"] = (noisy > 0).astype(np.int64)
    return pa.table(columns)


def generate(folder: Path, rows: int, *, csv: bool) -> None:
    """train, test (a fifth of it) and the sample submission, a chunk in memory at a time."""
    import pyarrow as pa
    import pyarrow.csv as pc
    import pyarrow.parquet as pq

    folder.mkdir(parents=True)
    for name, first, n in (("train", 0, rows), ("test", rows, rows // 5)):
        writer = None
        for start in range(first, first + n, CHUNK):
            table = chunk(start, min(CHUNK, first + n - start), test=name == "test")
            make = pc.CSVWriter if csv else pq.ParquetWriter
            writer = writer or make(folder / f"{name}.{'csv' if csv else 'parquet'}", table.schema)
            writer.write_table(table)
        writer.close()
    ids = pa.array(range(rows, rows + rows // 5), pa.int64())
    sample = pa.table({"id": ids, "target": pa.array([0.5] * len(ids))})
    pc.write_csv(sample, folder / "sample_submission.csv")


def measured(command: list[str], folder: Path, log: Path) -> dict[str, Any]:
    """Run a command; seconds, and the peaks over it and its children in MiB."""
    import psutil

    started, anonymous, resident = time.perf_counter(), 0, 0
    with log.open("w") as out:
        process = subprocess.Popen(command, cwd=folder, stdout=out, stderr=subprocess.STDOUT)
        while process.poll() is None:
            time.sleep(0.05)
            anon = rss = 0
            try:
                tree = [process.pid, *(c.pid for c in psutil.Process(process.pid).children(True))]
            except psutil.Error:
                continue
            for pid in tree:
                try:
                    text = Path(f"/proc/{pid}/status").read_text()
                except OSError:
                    continue
                fields = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
                anon += int(fields.get("RssAnon", "0 kB").split()[0])
                rss += int(fields.get("VmRSS", "0 kB").split()[0])
            anonymous, resident = max(anonymous, anon), max(resident, rss)
    return {
        "seconds": round(time.perf_counter() - started, 1),
        "anonymous": anonymous // 1024,
        "resident": resident // 1024,
        "exit": process.returncode,
    }


def steps(
    source: Path, root: Path, rounds: int, threads: int, *, on_disk: bool
) -> dict[str, list[str]]:
    """What is measured."""
    kit = [sys.executable, "-m", "kit"]
    at, at_root = ["--from", str(source)], ["-C", str(root)]
    at_root += ["--set", "execution.on_disk=always"] if on_disk else []
    few = ["--set", f"models.lightgbm.params.n_estimators={rounds}"]
    few += ["--set", f"execution.threads={threads}"]
    bare = BARE.replace("THREADS", str(threads))
    (test,) = map(str, source.glob("test.*"))
    out = str(root.parent / f"{source.name}-predicted.parquet")
    return {
        "bare": [sys.executable, "-c", bare, str(source), str(rounds)],
        "new": [*kit, "new", root.name, "-C", str(root.parent), *at],
        "check": [*kit, "check", *at_root],
        "cv": [*kit, "cv", "lightgbm", *at_root, *few],
        "submit": [*kit, "submit", "last", "--dry-run", *at_root],
        "fit": [*kit, "fit", "lightgbm", "--seeds", "1", *at_root, *few],
        "predict": [*kit, "predict", "lightgbm-fit", test, "--out", out, *at_root],
        "mlp": [*kit, "cv", "mlp", *at_root, "--set", "models.mlp.params.epochs=1"],
    }


def main() -> None:
    """Print a line per step."""
    parser = argparse.ArgumentParser()
    parser.add_argument("rows", nargs="+", type=int)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--csv", action="store_true")
    parser.add_argument("--on-disk", action="store_true", help="tables of any size")
    parser.add_argument("--in", dest="place", type=Path)
    parser.add_argument("--only", nargs="*")
    asked = parser.parse_args()
    place = (asked.place or Path(tempfile.mkdtemp(prefix="large-"))).resolve()
    os.environ["OMP_NUM_THREADS"] = str(asked.threads)
    for rows in asked.rows:
        source = place / f"{'csv' if asked.csv else 'parquet'}-{rows}"
        if not source.is_dir():
            generate(source, rows, csv=asked.csv)
        root = place / f"kit-{source.name}"
        if not asked.only or "new" in asked.only:
            shutil.rmtree(root, ignore_errors=True)
        planned = steps(source, root, asked.rounds, asked.threads, on_disk=asked.on_disk)
        for name, command in planned.items():
            if (asked.only and name not in asked.only) or (name == "bare" and asked.csv):
                continue
            log = place / f"{source.name}-{name}.log"
            found = measured(command, place, log)
            per = round(found["seconds"] / rows * 1e6, 1)
            print(json.dumps({"rows": rows, "step": name, **found, "s per million": per}))
            sys.stdout.flush()


if __name__ == "__main__":
    main()
