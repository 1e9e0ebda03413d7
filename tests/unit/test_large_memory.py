"""A table on the disk is never in memory as a whole: what the kernel cannot take back, measured."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from kit.competition import Competition
from kit.runs import list_runs

ROWS, COLUMNS = 800_000, 20
TABLE = ROWS * COLUMNS * 8
"""Bytes of the features as decimals; on the disk they take as many, for none fits into four."""

TOML = """schema = 1
competition = { slug = "wide" }
files = { train = "train.parquet", test = "test.parquet" }
columns = { id = "id", target = ["y"] }
task = { type = "binary", metric = "roc_auc", classes = ["0", "1"] }
submission = { wants = "probability", columns = ["y"] }
cv = { n_splits = 2 }
execution = { threads = 1 }
[models.lightgbm]
params = { n_estimators = 2, num_leaves = 4, max_bin = 15 }
[models.mlp]
params = { layers = [4], epochs = 1, batch = 8192 }
[models.realmlp]
params = { layers = [4], epochs = 1, batch = 8192, frequencies = 2, number_width = 2 }
[models.tabm]
params = { heads = 2, blocks = 1, width = 4, epochs = 1, batch = 8192, bins = 4, number_width = 2 }
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="needs /proc"),
]


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A competition of many real numbers."""
    root = tmp_path_factory.mktemp("wide")
    raw = root / "data" / "raw"
    raw.mkdir(parents=True)
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({f"x{k}": rng.normal(size=ROWS + 20_000) for k in range(COLUMNS)})
    frame["id"] = np.arange(len(frame))
    frame["y"] = (frame["x0"] + rng.normal(size=len(frame)) > 0).astype(int)
    frame[:ROWS].to_parquet(raw / "train.parquet")
    test = frame[ROWS:].drop(columns="y")
    test.to_parquet(raw / "test.parquet")
    test[["id"]].assign(y=0.5).to_csv(raw / "sample_submission.csv", index=False)
    (root / "kit.toml").write_text(TOML)
    return root


def peak(root: Path, on_disk: str, *command: str) -> int:
    """Most bytes of anonymous memory of a command, as the kernel counts them."""
    arguments = [sys.executable, "-m", "kit", *command, "-C", str(root), "-q"]
    arguments += ["--set", f"execution.on_disk={on_disk}"]
    with (root / "log").open("w+") as log:
        process = subprocess.Popen(arguments, stdout=log, stderr=log)
        most = 0
        while process.poll() is None:
            time.sleep(0.02)
            try:
                text = Path(f"/proc/{process.pid}/status").read_text()
            except OSError:
                continue
            found = [line.split()[1] for line in text.splitlines() if line.startswith("RssAnon")]
            most = max(most, *(int(each) * 1024 for each in found), 0)
        assert process.returncode == 0, (root / "log").read_text()
    return most


def newest(root: Path, kind: str) -> str:
    return [r.id for r in list_runs(Competition.load(root).runs)[0] if r.kind == kind][-1]


def test_folds_fits_and_predictions_of_lightgbm(wide: Path) -> None:
    least = peak(wide, "always", "plugins", "models")  # an interpreter, and nothing of the table
    peak(wide, "always", "cv", "lightgbm")  # makes the store
    run = newest(wide, "cv")
    stored = peak(wide, "always", "fit", run, "--seeds", "1")
    fitted = newest(wide, "fit")
    whole = wide / "data" / "raw" / "train.parquet"
    predicted = peak(
        wide, "always", "predict", fitted, str(whole), "--out", str(wide / "p.parquet")
    )
    plain = peak(wide, "never", "fit", run, "--seeds", "2")
    assert len(pd.read_parquet(wide / "p.parquet")) == ROWS
    assert plain - least > TABLE  # else nothing is shown
    # bins are found by 200,000 rows, which are copied: a number that does not grow
    assert stored < plain - 0.7 * TABLE
    assert predicted < plain - TABLE


@pytest.mark.neural
@pytest.mark.parametrize("model", ["mlp", "realmlp", "tabm"])
def test_a_network(wide: Path, model: str) -> None:
    stored = peak(wide, "always", "cv", model)
    plain = peak(wide, "never", "cv", model)
    assert stored < plain - TABLE
