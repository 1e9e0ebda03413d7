"""The three ways to stop early, on hidden rows: score, honesty of the CV score, time.

    python tests/benchmarks/strength/stopping.py --data FOLDER [--seeds 0 1 2] [--tasks NAME ...] \\
        [--competitions DIR --grade "python grade.py"] [--models lightgbm ...] [--out results.jsonl]

FOLDER is what `bundled.py` wrote. Every model is validated in each of the ways on the same folds,
and its mean over the folds graded. Shown against "inner": the relative change of the hidden error
(1 - score where more is better) and CV minus hidden score in standard deviations of the folds,
turned so that above 0 the CV score was too good.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from systems import scaffolded
from tasks import GREATER_IS_BETTER, Task, bundled, competitions

from kit.competition import Competition
from kit.cv import cross_validate
from kit.session import open_session
from kit.submission import build

WAYS = ("inner", "cross", "fold")


def measured(task: Task, root: Path, model: str, way: str) -> dict[str, Any]:
    """One model, validated in one way and graded."""
    competition = Competition.load(root, (f"cv.early_stopping={way}",))
    started = time.perf_counter()
    with open_session(competition) as session:
        run = cross_validate(session, model)
    assert run is not None
    return {
        "task": task.name,
        "seed": task.seed,
        "metric": task.metric,
        "model": model,
        "way": way,
        "cv": run.score,
        "std": run.record["score"]["std"],
        "hidden": task.score(build(run, competition)),
        "seconds": time.perf_counter() - started,
    }


def error(line: dict[str, Any]) -> float:
    """The hidden error: less is better."""
    hidden = float(line["hidden"])
    return 1 - hidden if line["metric"] in GREATER_IS_BETTER else hidden


def optimism(line: dict[str, Any]) -> float:
    """CV against hidden score in standard deviations of the folds."""
    sign = 1 if line["metric"] in GREATER_IS_BETTER else -1
    return sign * (line["cv"] - line["hidden"]) / line["std"]


def show(lines: list[dict[str, Any]]) -> None:
    """A row per model and way."""
    print("| model | way | hidden error against inner | better | CV - hidden, fold sd | seconds |")
    print("| --- | --- | --- | --- | --- | --- |")
    found = {(x["task"], x["seed"], x["model"], x["way"]): x for x in lines}
    for model in dict.fromkeys(line["model"] for line in lines):
        for way in WAYS:
            these = [x for x in lines if x["model"] == model and x["way"] == way]
            changes = [
                error(x) / error(found[x["task"], x["seed"], model, "inner"]) - 1 for x in these
            ]
            print(
                f"| {model} | {way} | {statistics.fmean(changes):+.2%} | "
                f"{sum(change < 0 for change in changes)} of {len(changes)} | "
                f"{statistics.fmean(map(optimism, these)):+.2f} | "
                f"{statistics.fmean(x['seconds'] for x in these):.1f} |"
            )


def main() -> None:
    """Measure everything that is asked for, then print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--competitions", type=Path)
    parser.add_argument("--grade", default="")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--tasks", nargs="+")
    parser.add_argument("--models", nargs="+", default=["lightgbm", "lightgbm-shallow"])
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    lines: list[dict[str, Any]] = []
    for seed in options.seeds:
        tasks = bundled(options.data.absolute(), seed)
        if options.competitions and seed == options.seeds[0]:
            tasks += competitions(options.competitions.absolute(), options.grade, seed)
        for task in tasks:
            if options.tasks and task.name not in options.tasks:
                continue
            with tempfile.TemporaryDirectory() as folder:
                root = scaffolded([sys.executable, "-m", "kit"], task, Path(folder))
                for model in options.models:
                    for way in WAYS:
                        lines.append(measured(task, root, model, way))
                        print(json.dumps(lines[-1]), file=sys.stderr, flush=True)
    if options.out:
        options.out.write_text("".join(json.dumps(line) + "\n" for line in lines))
    show(lines)


if __name__ == "__main__":
    main()
