"""`kit runs` with 2,000 runs against `python -c "import typer"`, and `kit --help`: medians.

python tests/benchmarks/list_runs.py [--runs 2000] [--repeats 9]
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TOML = """schema = 1
[competition]
slug = "many"
[columns]
id = "id"
target = ["y"]
[task]
type = "binary"
metric = "roc_auc"
classes = ["0", "1"]
[submission]
wants = "probability"
columns = ["y"]
"""


def make(root: Path, count: int) -> None:
    """A competition with `count` published runs."""
    (root / "kit.toml").write_text(TOML)
    for number in range(count):
        name = f"20260101T{number // 3600:02}{number // 60 % 60:02}{number % 60:02}"
        folder = root / "runs" / f"{name}-lightgbm-{number:06x}"
        folder.mkdir(parents=True)
        record = {
            "schema": 1,
            "id": folder.name,
            "created": f"2026-01-01T00:00:00.{number:06}Z",
            "hash": f"{number:032x}",
            "kind": "cv",
            "model": "lightgbm",
            "metric": {"name": "roc_auc", "greater_is_better": True},
            "score": {
                "value": number / count,
                "oof": 0.5,
                "folds": [0.5] * 5,
                "mean": 0.5,
                "std": 0.1,
            },
            "digests": {"data": "d", "features": "f", "folds": "f" * 16, "code": "c"},
            "params": {f"parameter_{k}": k for k in range(16)},
            "seconds": {"fit": 1.0, "predict": 0.1},
            "early_stopping": "inner",
        }
        (folder / "run.json").write_text(json.dumps(record, indent=1))


def median(command: list[str], repeats: int, folder: str) -> float:
    """Median wall seconds of a command."""
    times = []
    for _ in range(repeats + 1):
        before = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=folder)
        times.append(time.perf_counter() - before)
    return statistics.median(times[1:])


def main() -> None:
    """Print the medians and the limit of 2 x import typer + 0.3 s."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=9)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder), options.runs)
        kit = [sys.executable, "-m", "kit"]
        typer = median([sys.executable, "-c", "import typer"], options.repeats, folder)
        listing = median([*kit, "runs"], options.repeats, folder)
        help_ = median([*kit, "--help"], options.repeats, folder)
    print(f"import typer {typer:.3f} s, kit --help {help_:.3f} s")
    print(f"kit runs, {options.runs} runs: {listing:.3f} s; limit {2 * typer + 0.3:.3f} s")


if __name__ == "__main__":
    main()
