"""What each part of `kit auto` adds: the same runs blended again without that part, and graded.

    python tests/benchmarks/strength/ablation.py --folders DIR --data FOLDER --out ablation.jsonl \\
        [--competitions DIR --grade "python grade.py"] [--kit "python -m kit"] [--label kit] \\
        [--results results.jsonl]

DIR is what `run.py --folders DIR` kept. Every variant uses the runs that `kit auto` finished within
its budget, less those of one part, so a part is charged nothing for the time it took: what is shown
is the least that its time should have bought. "Hidden error" is 1 - accuracy, 1 - AUC, or the
metric itself where smaller is better. "Rank" is that among the other systems of the results file
that were run on the same rows with the same budget. Time: some seconds per variant.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import shlex
import statistics
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from run import key_of, read_results
from table import best_lines, ranks
from tasks import GREATER_IS_BETTER, Task, bundled, competitions

Record = dict[str, Any]
NETWORKS = ("realmlp", "tabm", "mlp")


def model(*names: str) -> Callable[[Record], bool]:
    """Whether a run is of one of these models."""
    return lambda run: run["use"] in names


WITHOUT: dict[str, Callable[[Record], bool]] = {
    "networks": model(*NETWORKS),
    "generated features": lambda run: str(run["recipe"]).endswith("_generated"),
    "random draws": lambda run: re.search(r"-r\d+$", run["model"]) is not None,
    "further seeds": lambda run: re.search(r"\.\d+$", run["model"]) is not None,
    "CatBoost, XGBoost": model("catboost", "xgboost"),
    "LightGBM": model("lightgbm"),
    "forests, linear, k-NN": model("extra_trees", "random_forest", "linear", "knn"),
}
METHODS = ("greedy", "mean", "hill", "stack")


def singles(place: Path) -> list[Record]:
    """The records of all runs that are of one model."""
    records = [json.loads(path.read_text()) for path in sorted(place.glob("runs/2*/run.json"))]
    return [record for record in records if not record["parents"]]


class Blender:
    """Blends a choice of runs in a folder that `kit auto` left, and grades the submission."""

    def __init__(self, kit: str, place: Path, task: Task) -> None:
        self.kit, self.place, self.task = shlex.split(kit), place, task

    def call(self, *arguments: str) -> Any:
        """A command's JSON document."""
        command = [*self.kit, *arguments, "--json", "-C", str(self.place)]
        command += ["--set", f"cv.seed={self.task.seed}"]  # as `run.py` asked for
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        return json.loads(done.stdout)

    def score(self, runs: list[Record], method: str = "auto") -> float:
        """The hidden score of a blend of these runs."""
        name = runs[0]["id"]
        if len(runs) > 1:
            name = self.call("blend", *[r["id"] for r in runs], "--method", method)["id"]
        receipt = self.call("submit", name, "--dry-run")
        return self.task.score(self.place / receipt["file"])


def variants(blender: Blender, runs: list[Record]) -> dict[str, float]:
    """Hidden scores of everything, of what is left without a part, and of single runs."""
    sign = 1 if runs[0]["metric"]["greater_is_better"] else -1
    best = max(runs, key=lambda run: sign * run["score"]["value"])
    plain = [run for run in runs if run["model"] == "lightgbm"]
    scores = {"all": blender.score(runs), "best single run": blender.score([best])}
    if plain:
        scores["lightgbm alone"] = blender.score(plain)
    for part, belongs in WITHOUT.items():
        left = [run for run in runs if not belongs(run)]
        if left and len(left) < len(runs):
            scores[f"without {part}"] = blender.score(left)
    for method in METHODS:
        if len(runs) > 1:
            scores[f"method {method}"] = blender.score(runs, method)
    return scores


def relative(scores: dict[str, float], metric: str) -> dict[str, float]:
    """Hidden error of each variant over that of the full blend, less 1."""
    error = {k: 1 - v if metric in GREATER_IS_BETTER else v for k, v in scores.items()}
    return {name: value / error["all"] - 1 for name, value in error.items() if name != "all"}


def ranked(line: dict[str, Any], rivals: dict[str, float]) -> dict[str, float]:
    """The rank each variant has when it stands in for kit among these scores."""
    return {
        name: ranks({**rivals, name: score}, line["metric"])[name]
        for name, score in line["scores"].items()
    }


def rivals(results: Path, label: str) -> dict[tuple[str, int, float], dict[str, float]]:
    """Scores of the other systems per task, seed and budget."""
    found: dict[tuple[str, int, float], dict[str, float]] = {}
    for line in best_lines(read_results(results)):
        system, *key = key_of(line)
        if not system.startswith(label):
            score = math.nan if line["score"] is None else line["score"]
            found.setdefault(tuple(key), {})[system] = score
    return found


def table(lines: list[dict[str, Any]], others: dict[Any, dict[str, float]]) -> str:
    """Per variant: change of the error, on how many data sets it was worse, and mean ranks.

    The rank of "all" is over the data sets that have the variant, so that the two compare.
    """
    changes: dict[str, list[float]] = {}
    places: dict[str, list[tuple[float, float]]] = {}
    for line in lines:
        for name, change in relative(line["scores"], line["metric"]).items():
            changes.setdefault(name, []).append(change)
        known = others.get((line["task"], line["seed"], line["budget"]))
        if known:
            rank = ranked(line, known)
            for name, value in rank.items():
                places.setdefault(name, []).append((value, rank["all"]))
    rows = [
        "| variant | data sets | mean error | median | worse | better | rank, of all |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, values in changes.items():
        worse, better = sum(v > 0 for v in values), sum(v < 0 for v in values)
        mean, median = statistics.fmean(values), statistics.median(values)
        shown = ", ".join(
            f"{statistics.fmean(c):.2f}" for c in zip(*places.get(name, []), strict=True)
        )
        rows.append(
            f"| {name} | {len(values)} | {mean:+.2%} | {median:+.2%} | {worse} | {better} "
            f"| {shown} |"
        )
    return "\n".join(rows)


def kept(options: argparse.Namespace) -> list[tuple[Task, float, Path]]:
    """Tasks, budgets and folders of the runs that were kept under the label."""
    pattern = re.compile(rf"{re.escape(options.label)}-(.+)-seed(\d+)-(\d+)s")
    found = []
    for folder in sorted(options.folders.iterdir()):
        match = pattern.fullmatch(folder.name)
        if match is None:
            continue
        seed = int(match[2])
        tasks = bundled(options.data.absolute(), seed) if options.data else []
        if options.competitions:
            tasks += competitions(options.competitions.absolute(), options.grade, seed)
        found += [
            (task, float(match[3]), folder / "task") for task in tasks if task.name == match[1]
        ]
    return found


def main() -> None:
    """Grade what is not in the output file yet, then print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folders", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--competitions", type=Path)
    parser.add_argument("--grade", default="")
    parser.add_argument("--kit", default="python -m kit")
    parser.add_argument("--label", default="kit")
    parser.add_argument("--results", type=Path, help="what run.py wrote, for the ranks")
    options = parser.parse_args()
    text = options.out.read_text() if options.out.exists() else ""
    lines = [json.loads(line) for line in text.splitlines()]
    known = {(line["task"], line["seed"], line["budget"]) for line in lines}
    for task, budget, place in kept(options):
        if (task.name, task.seed, budget) in known:
            continue
        scores = variants(Blender(options.kit, place, task), singles(place))
        line = {"task": task.name, "seed": task.seed, "budget": budget, "metric": task.metric}
        lines.append({**line, "scores": scores})
        with options.out.open("a") as file:
            file.write(json.dumps(lines[-1]) + "\n")
        changes = {k: f"{v:+.2%}" for k, v in relative(scores, task.metric).items()}
        print(task.name, changes, flush=True)
    others = rivals(options.results, options.label) if options.results else {}
    print(table(lines, others))


if __name__ == "__main__":
    main()
