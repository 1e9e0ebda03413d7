"""What pruning within a fit is worth: trials in the same processor time, and how good the best is.

    python tests/benchmarks/pruning.py fit PLACE OUT [--model NAME] [--stopping inner] [--trials 40]
    python tests/benchmarks/pruning.py table OUT [--share .25 .4] [--orders 200]

`fit` validates known and random configurations in full, on all folds of a competition's folder, and
appends to OUT/fits.jsonl each fold's score, learning curve and processor time. `table` then plays
searches that meet these configurations in a random order, each with and without pruning within the
first fold, until the same share of all that time is spent. So one set of fits serves many orders
and rules, and it does not matter what else the machine does. Pruning after a fold is kit's; rounds
cost what the fold's rounds did on average, those of a second fit on all rows included. Where nearly
all of the configurations are met, there is nothing more to gain: look at the smaller share.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import statistics
import time
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import kit.execution.pruning as pruning
from kit.errors import Pruned
from kit.tune.study import STARTUP


def fit(place: Path, out: Path, model: str, stopping: str, trials: int) -> None:
    """Validate configurations in full, in this process."""
    import optuna

    from kit.competition import Competition
    from kit.cv import fold_score
    from kit.execution.task import run_folds
    from kit.plan import make_plan
    from kit.session import open_session
    from kit.tune.points import known_good
    from kit.tune.space import searched

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    competition = Competition.load(place, [f"cv.early_stopping={stopping}", "execution.threads=1"])
    with open_session(competition) as session, (out / "fits.jsonl").open("a") as file:
        models = searched(competition, session.context.code, [model], session.context.dataset)
        specs = [point.spec for point in known_good(models, session.context.dataset)]
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
        specs += [models[0].spec(models[0].suggest(study.ask(), "")) for _ in range(trials)]
        for spec in specs[:trials]:
            plan, folds = make_plan(session, model, spec=spec), []
            for task in plan.tasks(range(plan.n_folds)):
                with TemporaryDirectory() as folder:
                    began = time.process_time()
                    results = run_folds(replace(task, results=Path(folder)), session.context)
                    seconds = (time.process_time() - began) / len(results)
                folds += [
                    {
                        "score": fold_score(session.context, result),
                        "curve": list(result.curve["valid"]),
                        "best": result.best_iteration,
                        "seconds": seconds,
                    }
                    for result in results
                ]
            up = session.context.metric.greater_is_better
            key = {"task": place.name, "model": model, "stopping": plan.early_stopping, "up": up}
            file.write(json.dumps({**key, "folds": folds}) + "\n")
            file.flush()


def searched_in(order: list[Any], budget: float, *, within: bool) -> tuple[int, float]:
    """A search that meets configurations in this order: trials begun, loss of the best."""
    rungs, rivals = defaultdict(list), []
    spent, best, begun = 0.0, math.inf, 0
    together = order[0]["stopping"] == "cross"
    for trial in order:
        if spent >= budget:
            break
        begun += 1
        folds, sign = trial["folds"], -1 if trial["up"] else 1
        curve = trial["curve"]
        ended = watched(curve, tuple(rivals)) if within and len(rivals) >= STARTUP else None
        if ended is not None:
            first = folds if together else folds[:1]
            rounds = len(curve) + (0 if together else folds[0]["best"])
            spent += sum(fold["seconds"] for fold in first) * ended / rounds
            rungs[1].append(math.inf)
            continue
        scores: list[float] = []
        for fold in folds:
            spent += fold["seconds"]
            scores.append(sign * fold["score"])
            done = len(scores)
            if together or done not in (1, 2, 4) or done == len(folds):
                continue
            mean = statistics.fmean(scores)
            rungs[done].append(mean)
            better = sorted(rungs[done])[max(0, len(rungs[done]) // 2 - 1)]
            if mean > better and len(rivals) >= STARTUP:
                break
        else:
            rivals.append(pruning.thinned(curve))
            best = min(best, statistics.fmean(scores)) if spent <= budget else best
    return begun, best


def watched(curve: list[float], rivals: pruning.Rivals) -> int | None:
    """The step at which kit ends a fit of this curve."""
    watch = pruning.watch_of(rivals, "")
    assert watch is not None
    for step, loss in enumerate(curve, 1):
        try:
            watch(step, loss)
        except Pruned as error:
            return error.step
    return None


def table(fits: list[Any], shares: list[float], orders: int) -> None:
    """A row per table and share of the time."""
    groups = defaultdict(list)
    for each in fits:
        folds = each["folds"]
        curves = [fold["curve"] for fold in folds[: None if each["stopping"] == "cross" else 1]]
        each["curve"] = [statistics.fmean(losses) for losses in zip(*curves, strict=False)]
        groups[each["task"], each["model"], each["stopping"]].append(each)
    for key, trials in groups.items():
        whole = sum(fold["seconds"] for trial in trials for fold in trial["folds"])
        for share in shares:
            ratios, changes = [], []
            for seed in range(orders):
                order = trials[2:]
                random.Random(seed).shuffle(order)
                order = [*trials[:2], *order]
                plain = searched_in(order, share * whole, within=False)
                with_it = searched_in(order, share * whole, within=True)
                ratios.append(with_it[0] / plain[0])
                changes.append(100 * (with_it[1] / plain[1] - 1))
            better, worse = sum(c < 0 for c in changes), sum(c > 0 for c in changes)
            print(
                f"{' '.join(key)}: {len(trials)} fits, {share:.0%} of the time: "
                f"{statistics.fmean(ratios):.2f} times the trials, "
                f"best {statistics.fmean(changes):+.3f} % "
                f"(better {better}, worse {worse} of {orders})"
            )


def main() -> None:
    """Fit, or show what the fits say."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    fitting = commands.add_parser("fit")
    fitting.add_argument("place", type=Path)
    fitting.add_argument("out", type=Path)
    fitting.add_argument("--model", default="lightgbm")
    fitting.add_argument("--stopping", default="inner")
    fitting.add_argument("--trials", type=int, default=40)
    showing = commands.add_parser("table")
    showing.add_argument("out", type=Path)
    showing.add_argument("--share", type=float, nargs="+", default=[0.25, 0.4])
    showing.add_argument("--orders", type=int, default=200)
    asked = parser.parse_args()
    if asked.command == "fit":
        asked.out.mkdir(parents=True, exist_ok=True)
        fit(asked.place, asked.out, asked.model, asked.stopping, asked.trials)
    else:
        lines = (asked.out / "fits.jsonl").read_text().splitlines()
        table([json.loads(line) for line in lines], asked.share, asked.orders)


if __name__ == "__main__":
    main()
