"""What `kit tune` gains on rows that nobody saw: random against Bayesian against known good.

    python tests/benchmarks/tuning.py DATA OUT --models lightgbm --tasks chile --seeds 0 1 \\
        [--trials 24 | --budget 10m] [--set cv.early_stopping=cross]
    python tests/benchmarks/tuning.py DATA OUT --table
    python tests/benchmarks/tuning.py FOLDER OUT --grade "python grade.py" [--budget 10m] \\
        [--models lightgbm realmlp catboost] [--seeds 0] [--set ...] [--table]

DATA is what `strength/bundled.py` wrote; a line per search goes to OUT/tuning.jsonl, and what is
there already is not searched again. Each search has a competition's folder of its own, so that it
finds no runs of another. With --trials both methods may try equally many configurations, which is
the fair comparison on a machine that others use, too; with --budget equally long.

Errors are relative to the model as it is (`default`), negative is better:

* known: the best of the first trials by CV, which are the portfolio's
* best: the best trial by the CV of the search; judged: the winner after scoring again
* blend: of all runs of the search (what `kit auto` makes of its random draws)
* gain: of the best trial over the default, on the folds of the search, other folds, hidden rows

With --grade FOLDER is one competition: a folder of kit (with `kit.toml`; results in it are left
out), or one with `meta.json` and `public`. Every model gets three searches of the same length: its
known configurations alone, random, Bayesian. `kit cv` of the model as it is comes first, beside the
budget, and all three find it. Hidden scores are those of the command, which is given the folder's
name and the submission, and prints JSON with "valid" and "score". A line per search goes to
OUT/searches.jsonl, in the metric's own units: of the default, the best by the search's folds, the
winner after scoring again and the blend each `cv`, `other` (folds of other seeds) and `hidden`;
`optimism`: how much better the best is by the folds of the search, or by others, than hidden.
"""

from __future__ import annotations

import argparse
import json
import re
import shlex
import shutil
import statistics
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent / "strength"))

from systems import scaffolded
from tasks import GREATER_IS_BETTER, OF_COMPETITIONS, Task, bundled

from kit.blend import blend
from kit.competition import Competition
from kit.errors import KitError
from kit.runs import Run, find_run
from kit.session import open_session
from kit.submission import build
from kit.tune.points import known_good
from kit.tune.space import searched as spaces_of

KIT = [sys.executable, "-m", "kit"]
METHODS = ("random", "bayes")
_RESULTS = ("runs", "tune", "reports", "submissions", "exports", ".cache", "__pycache__")


def searched(task: Task, model: str, method: str, options: argparse.Namespace) -> dict[str, Any]:
    """One search in a new folder; the document it printed, with hidden scores."""
    folder = options.out / f"{task.name}-{task.seed}-{model}-{method}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    place = scaffolded(KIT, task, folder)
    limits = ["--budget", options.budget] if options.budget else ["--trials", str(options.trials)]
    flags = [f"cv.seed={task.seed}", "execution.workers=1", "execution.threads=1", *options.set]
    command = [*KIT, "tune", model, "--method", method, *limits, "--json", "-q", "-C", str(place)]
    command += [part for flag in flags for part in ("--set", flag)]
    began = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    document = json.loads(done.stdout)
    competition = Competition.load(place, flags)

    def hidden(run: Run) -> float:
        """The error on the hidden rows: less is better."""
        score = task.score(build(run, competition))
        return 1 - score if task.metric in GREATER_IS_BETTER else score

    complete = [trial for trial in document["trials"] if trial["state"] == "complete"]
    up = document["greater_is_better"]
    complete.sort(key=lambda trial: -trial["score"] if up else trial["score"])
    known = [trial for trial in complete if f"{model}-t" not in trial["name"]]
    runs = {
        "default": document["baseline"]["run"],
        "known": known[0]["run"],
        "best": complete[0]["run"],
        "judged": document["winner"]["run"],
    }
    errors = {key: hidden(find_run(competition.runs, run)) for key, run in runs.items()}
    try:
        errors["blend"] = hidden(blend(competition, [trial["run"] for trial in complete]))
    except KitError as error:
        print(error)
    return {
        "task": task.name,
        "seed": task.seed,
        "model": model,
        "method": method,
        "metric": task.metric,
        "seconds": round(time.monotonic() - began),
        "trials": len(document["trials"]),
        "pruned": sum(trial["state"] == "pruned" for trial in document["trials"]),
        "errors": errors,
        "gain": gains(document, errors),
        "limits": limits,
        "set": options.set,
    }


def compared(options: argparse.Namespace) -> None:
    """All searches of one competition that are not in the results yet."""
    results = options.out / "searches.jsonl"
    results.touch()
    lines = [json.loads(line) for line in results.read_text().splitlines()]
    for seed in options.seeds:
        for model in options.models:
            base = options.out / f"{options.data.name}-{seed}-{model}"
            for method in options.methods:
                key = (options.data.name, seed, model, method, options.budget, options.set)
                through = [line for line in lines if "failed" not in line]
                if key in [tuple(line[k] for k in KEY) for line in through]:
                    continue
                began = time.monotonic()
                try:
                    found = compared_one(base, seed, model, method, options)
                except subprocess.CalledProcessError as error:
                    found = {"failed": error.stderr.strip()[-500:]}
                seconds = round(time.monotonic() - began)
                line = {**dict(zip(KEY, key, strict=True)), "seconds": seconds, **found}
                with results.open("a") as file:
                    file.write(json.dumps(line) + "\n")
                print(json.dumps(line), flush=True)


KEY = ("competition", "seed", "model", "method", "budget", "set")


def compared_one(
    base: Path, seed: int, model: str, method: str, options: argparse.Namespace
) -> dict[str, Any]:
    """One search in a copy of the folder in which the model was validated as it is."""
    given = {flag.partition("=")[0] for flag in options.set}
    usual = [f"cv.seed={seed}", "execution.workers=1", "execution.threads=1"]
    flags = [*options.set, *(flag for flag in usual if flag.partition("=")[0] not in given)]
    setting = [part for flag in flags for part in ("--set", flag)]
    if not (base / "task" / "kit.toml").is_file():
        shutil.rmtree(base, ignore_errors=True)
        base.mkdir(parents=True)
        place = fresh(options.data, base)
        call([*KIT, "cv", model, "-q", "-C", str(place), *setting])
    place = base / method
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(base / "task", place, ignore=shutil.ignore_patterns(".cache"))
    limits = ["--budget", options.budget, "--method", "random" if method == "known" else method]
    if method == "known":
        with open_session(Competition.load(place, flags)) as session:
            data = session.context.dataset
            models = spaces_of(session.competition, session.context.code, [model], data)
            limits += ["--trials", str(len(known_good(models, data)))]
    began = time.monotonic()
    document = json.loads(
        call([*KIT, "tune", model, *limits, "--json", "-q", "-C", str(place), *setting])
    )
    searching = round(time.monotonic() - began)
    return {"searching": searching, **told(document, Competition.load(place, flags), options)}


def told(
    document: dict[str, Any], competition: Competition, options: argparse.Namespace
) -> dict[str, Any]:
    """What a search found, with hidden scores."""

    def hidden(run: Run) -> float:
        command = [*shlex.split(options.grade), options.data.name]
        answer = json.loads(call([*command, str(build(run, competition))], fails=False))
        if not answer.get("valid"):
            raise SystemExit(f"the submission of {run.id} is not valid: {answer.get('error')}")
        return float(answer["score"])

    def scores(candidate: dict[str, Any]) -> dict[str, Any]:
        run = find_run(competition.runs, candidate["run"])
        return {
            "run": candidate["name"],
            "cv": candidate["score"],
            "other": candidate["other_folds"],
            "hidden": hidden(run),
        }

    sign = 1 if document["greater_is_better"] else -1
    trials = document["trials"]
    done = [trial for trial in trials if trial["state"] == "complete"]
    found = {"best": scores(document["candidates"][0]), "winner": scores(document["winner"])}
    plain = [trial for trial in done if not re.search(r"-t\d+$", trial["name"])]
    if plain:
        first = max(plain, key=lambda trial: sign * trial["score"])
        found["known"] = scores({"other_folds": None, **first})
    if document["baseline"] is not None:
        found["default"] = scores(document["baseline"])
    try:
        run = blend(competition, list(dict.fromkeys(trial["run"] for trial in done)))
        found["blend"] = {"cv": run.score, "hidden": hidden(run)}
    except KitError as error:  # one run is no blend
        print(error, file=sys.stderr)
    best = found["best"]
    known = {key: best[key] for key in ("cv", "other") if best[key] is not None}
    return {
        "metric": document["metric"],
        "greater_is_better": document["greater_is_better"],
        "trials": dict(Counter(trial["state"] for trial in trials)),
        "scores": found,
        "optimism": {key: sign * (value - best["hidden"]) for key, value in known.items()},
        "doubt": document["doubt"],
    }


def fresh(folder: Path, where: Path) -> Path:
    """A competition's folder of kit without results, in `where`/task."""
    if (folder / "kit.toml").is_file():
        ignored = shutil.ignore_patterns(*_RESULTS)
        return Path(shutil.copytree(folder, where / "task", ignore=ignored))
    meta = json.loads((folder / "meta.json").read_text())
    (target,) = meta["target_columns"]
    metric = OF_COMPETITIONS[meta["metric"]]
    task = Task(folder.name, 0, folder / "public", target, meta["id_column"], metric)
    return scaffolded(KIT, task, where)


def call(command: list[str], *, fails: bool = True) -> str:
    """What a command prints."""
    return subprocess.run(command, capture_output=True, text=True, check=fails).stdout


def searches(lines: list[dict[str, Any]]) -> str:
    """A row per search; gains over the default are such that more is better."""
    rows = []
    for line in lines:
        row = [f"{line['competition']} {line['seed']} {line['model']} {line['method']}"]
        if "failed" in line:
            rows.append("  ".join([*row, "failed: " + line["failed"].splitlines()[-1]]))
            continue
        sign, scores = (1 if line["greater_is_better"] else -1), line["scores"]
        row += [f"{count} {state}" for state, count in line["trials"].items()]
        plain = scores.get("default")
        for key in ("best", "winner", "blend"):
            if plain is not None and key in scores:
                gain = sign * (scores[key]["hidden"] - plain["hidden"])
                row.append(f"{key} {100 * gain / abs(plain['hidden']):+.2f} % hidden")
        row += [f"optimism by {key} {value:+.5f}" for key, value in line["optimism"].items()]
        rows.append("  ".join(row))
    return "\n".join(rows)


def gains(document: dict[str, Any], errors: dict[str, float]) -> dict[str, float]:
    """Of the best trial of the search over the default, in per cent of the default's score."""
    sign = 1 if document["greater_is_better"] else -1
    first, plain = document["candidates"][0], document["baseline"]
    found = {"search": sign * (first["score"] - plain["score"])}
    if first["other_folds"] is not None and plain["other_folds"] is not None:
        found["other"] = sign * (first["other_folds"] - plain["other_folds"])
    found["hidden"] = errors["default"] - errors["best"]
    return {key: 100 * gain / abs(plain["score"]) for key, gain in found.items()}


def table(lines: list[dict[str, Any]]) -> str:
    """Means by model and method: errors against the default, and what was left of the gain."""
    rows = []
    for model in dict.fromkeys(line["model"] for line in lines):
        for method in METHODS:
            own = [ln for ln in lines if (ln["model"], ln["method"]) == (model, method)]
            if not own:
                continue
            row = [f"{model} {method}", f"{len(own)} searches"]
            for key in ("known", "best", "judged", "blend"):
                found = [
                    100 * (line["errors"][key] / line["errors"]["default"] - 1)
                    for line in own
                    if key in line["errors"]
                ]
                row.append(f"{key} {statistics.fmean(found):+.2f} %")
            for key in ("search", "other", "hidden"):
                found = [line["gain"][key] for line in own if key in line["gain"]]
                row.append(f"gain {key} {statistics.fmean(found):+.2f} %" if found else "")
            rows.append(row)
        pairs = [
            {line["method"]: line["errors"] for line in lines if key_of(line) == key}
            for key in {key_of(line) for line in lines if line["model"] == model}
        ]
        both = [pair for pair in pairs if len(pair) == len(METHODS)]
        for key in ("judged", "blend"):
            told = [pair for pair in both if all(key in pair[method] for method in METHODS)]
            better = sum(pair["bayes"][key] < pair["random"][key] for pair in told)
            worse = sum(pair["bayes"][key] > pair["random"][key] for pair in told)
            rows.append([f"{model} {key}", f"bayes better {better}, worse {worse} of {len(told)}"])
    return "\n".join("  ".join(row) for row in rows)


def key_of(line: dict[str, Any]) -> tuple[Any, ...]:
    """What two methods are compared on."""
    return line["task"], line["seed"], line["model"], *line["limits"]


def main() -> None:
    """Search what is missing, or show what is there."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--models", nargs="+", default=["lightgbm", "realmlp", "catboost"])
    parser.add_argument("--tasks", nargs="+", default=[])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--trials", type=int, default=24)
    parser.add_argument("--budget", default="")
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--methods", nargs="+", default=["known", *METHODS])
    parser.add_argument("--grade", default="", help="grades NAME FILE; DATA is one competition")
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    if options.grade:
        options.data, options.budget = options.data.resolve(), options.budget or "10m"
        if options.table:
            text = (options.out / "searches.jsonl").read_text()
            print(searches([json.loads(line) for line in text.splitlines()]))
        else:
            compared(options)
        return
    results = options.out / "tuning.jsonl"
    lines = (
        [json.loads(line) for line in results.read_text().splitlines()] if results.is_file() else []
    )
    if options.table:
        print(table(lines))
        return
    for seed in options.seeds:
        for model in options.models:
            for task in bundled(options.data, seed):
                for method in METHODS:
                    wanted = (task.name, seed, model, method)
                    there = {(ln["task"], ln["seed"], ln["model"], ln["method"]) for ln in lines}
                    if wanted in there or (options.tasks and task.name not in options.tasks):
                        continue
                    line = searched(task, model, method, options)
                    lines.append(line)
                    with results.open("a") as file:
                        file.write(json.dumps(line) + "\n")
                    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
