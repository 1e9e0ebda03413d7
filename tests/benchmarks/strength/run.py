"""Run kit and the AutoML systems on the same tasks with the same budget; one JSON line per run.

    python tests/benchmarks/strength/run.py --results results.jsonl --data FOLDER \\
        [--competitions DIR --grade "python grade.py"] \\
        [--peer-script run_peer.py --peers-home DIR] \\
        [--systems kit autogluon flaml mljar] [--seeds 0 1 2] [--budgets 120 600]

FOLDER is what `bundled.py` wrote. The grade command is called with NAME and a submission and prints
JSON with "valid" and "score". A peer is run as PEERS_HOME/NAME/bin/python run_peer.py NAME
train.csv test.csv TARGET ID METRIC SECONDS OUT.csv --seed S --threads 2.

What the results file has already is not run again: after an interruption the same command goes on.
`results.jsonl` beside this file keeps what was measured on two shared cores; "commit" is kit's.
A run waits until others leave the processors alone and until the file given with --pause is gone.
Time: every run takes about its budget. `table.py` makes the tables.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from itertools import product
from pathlib import Path
from typing import Any

from measure import DISTURBED, use_cores, wait_until_quiet
from systems import Kit, Peer, System
from tasks import Task, bundled, competitions

Key = tuple[str, str, int, float]


def read_results(path: Path) -> list[dict[str, Any]]:
    """All lines of the results file."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines()]


def key_of(line: dict[str, Any]) -> Key:
    """What makes two lines repetitions of each other."""
    return line["label"], line["task"], line["seed"], line["budget"]


def finished(lines: list[dict[str, Any]], options: argparse.Namespace) -> set[Key]:
    """The keys that need no other run."""
    done = set()
    for line in lines:
        disturbed = options.repeat_disturbed and line.get("others", 0.0) > DISTURBED
        failed = options.repeat_failed and line["score"] is None
        if not disturbed and not failed:
            done.add(key_of(line))
    return done


def system_of(name: str, options: argparse.Namespace) -> System:
    """The system of that name, with the paths that were given for it."""
    if name == "kit":
        return Kit(options.kit)
    if options.peer_script is None or options.peers_home is None:
        raise SystemExit(f"{name} needs --peer-script and --peers-home")
    python = options.peers_home / name / "bin" / "python"
    if not python.exists():
        raise SystemExit(f"{name} is not installed: {python} is missing")
    return Peer(name, python.absolute(), options.peer_script.absolute())


def attempt(
    system: System, task: Task, budget: float, keep: Path, folders: Path | None
) -> dict[str, Any]:
    """Run once and grade; a failure is a result without a score.

    The submission is copied to `keep`, the whole folder to `folders` if that is given.
    """
    folder = Path(tempfile.mkdtemp(prefix="kb-"))  # short: it holds sockets
    line: dict[str, Any] = {"score": None}
    try:
        done = system.solve(task, budget, folder)
        line.update(done.used.to_json(), **done.facts)
        if done.submission is None:
            line["error"] = (folder / "log.txt").read_text(errors="replace")[-2000:]
        else:
            line["score"] = task.score(done.submission)
            keep.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(done.submission, keep)
    except subprocess.CalledProcessError as error:
        line["error"] = f"{error.cmd}: {error.stderr[-2000:]}"
    except Exception:
        line["error"] = traceback.format_exc()[-2000:]
    finally:
        if folders is not None:
            shutil.copytree(folder, folders / keep.stem, dirs_exist_ok=True, ignore=sockets)
        if (folder / "log.txt").exists():
            keep.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(folder / "log.txt", keep.with_suffix(".txt"))
        shutil.rmtree(folder, ignore_errors=True)
    return line


def sockets(folder: str, names: list[str]) -> list[str]:
    """What cannot be copied."""
    return [name for name in names if (Path(folder) / name).is_socket()]


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--data", type=Path, help="folder that bundled.py wrote")
    parser.add_argument("--competitions", type=Path, help="folder with NAME/public, NAME/meta.json")
    parser.add_argument("--grade", default="", help="command that grades: NAME submission.csv")
    parser.add_argument("--peer-script", type=Path)
    parser.add_argument("--peers-home", type=Path)
    parser.add_argument("--kit", default=f"{sys.executable} -m kit", help="command of kit")
    parser.add_argument("--label", default="kit", help="name of kit's lines, e.g. kit@3f9a2c")
    parser.add_argument("--systems", nargs="+", default=["kit", "autogluon", "flaml", "mljar"])
    parser.add_argument("--tasks", nargs="+", help="only these data sets and competitions")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--budgets", nargs="+", type=float, default=[120.0])
    parser.add_argument("--folders", type=Path, help="keep each run's folder here (ablation.py)")
    parser.add_argument("--pause", type=Path, help="start nothing while this file exists")
    parser.add_argument("--no-wait", action="store_true", help="start on a busy machine, too")
    parser.add_argument("--nice", type=int, default=0, help="priority; below 0 needs the right")
    parser.add_argument("--repeat-disturbed", action="store_true")
    parser.add_argument("--repeat-failed", action="store_true")
    return parser.parse_args()


def tasks_of(options: argparse.Namespace, seed: int) -> list[Task]:
    """The tasks asked for, with the rows or the systems' seed changed."""
    tasks = bundled(options.data.absolute(), seed) if options.data else []
    if options.competitions:
        tasks += competitions(options.competitions.absolute(), options.grade, seed)
    return [task for task in tasks if not options.tasks or task.name in options.tasks]


def main() -> None:
    """Work through budgets, seeds, systems and tasks, in this order."""
    options = parse()
    use_cores()
    os.nice(options.nice)
    options.results.parent.mkdir(parents=True, exist_ok=True)
    lock = options.results.with_suffix(".lock").open("w")
    fcntl.flock(lock, fcntl.LOCK_EX)  # one queue at a time: they would disturb each other
    for budget, seed, name in product(options.budgets, options.seeds, options.systems):
        system = system_of(name, options)
        for task in tasks_of(options, seed):
            label = options.label if name == "kit" else name
            key = (label, task.name, seed, budget)
            if key in finished(read_results(options.results), options):
                continue
            if not options.no_wait:
                wait_until_quiet(options.pause)
            started = time.strftime("%Y-%m-%dT%H:%M:%S")
            file = f"{label}-{task.name}-seed{seed}-{budget:g}s.csv".replace("/", "_")
            keep = options.results.parent / "submissions" / file
            line = {
                "label": label,
                "task": task.name,
                "seed": seed,
                "budget": budget,
                "metric": task.metric,
                "started": started,
                **attempt(system, task, budget, keep, options.folders),
            }
            with options.results.open("a") as results:
                results.write(json.dumps(line) + "\n")
            print(
                f"{started} {label} {task.name} seed {seed} {budget:g} s: {task.metric} "
                f"{line['score']}, wall {line.get('wall')}, others {line.get('others')}",
                flush=True,
            )


if __name__ == "__main__":
    main()
