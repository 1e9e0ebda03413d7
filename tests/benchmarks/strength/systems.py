"""How each system is asked to solve a task: files for it, its command line, what it left behind."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import pandas as pd
from measure import Measured, measure
from tasks import Task

ROW = "row_number_of_the_benchmark"
KIT_METRIC = {"auc": "roc_auc", "logloss": "log_loss", "mlogloss": "log_loss"}


@dataclass(frozen=True)
class Attempt:
    """What a run used, its submission where it left one, and what it said about itself."""

    used: Measured
    submission: Path | None
    facts: dict[str, Any]


class System(Protocol):
    """Solves a task within a budget of seconds, in a folder of its own."""

    def solve(self, task: Task, budget: float, folder: Path) -> Attempt:
        """Run the system once."""


def limit(budget: float) -> float:
    """Seconds after which a run that does not keep its budget is killed."""
    return 3 * budget + 300


@dataclass(frozen=True)
class Peer:
    """AutoGluon, mljar or FLAML, through a driver script in the peer's own environment."""

    name: str
    python: Path
    script: Path

    def solve(self, task: Task, budget: float, folder: Path) -> Attempt:
        """The whole process counts, imports included; `fit_s` is what the peer had a limit for."""
        ids, truths = peer_files(task, folder)
        out = folder / "out.csv"
        command = [str(self.python), str(self.script), self.name, str(folder / "train.csv")]
        command += [str(folder / "test.csv"), task.target, ROW, task.metric, f"{budget:g}"]
        command += [str(out), "--seed", str(task.seed), "--threads", "2"]
        used = measure(command, folder, folder / "log.txt", limit(budget))
        facts: dict[str, Any] = {}
        for line in (folder / "log.txt").read_text(errors="replace").splitlines():
            if line.startswith("PEER_RESULT "):
                facts = json.loads(line.removeprefix("PEER_RESULT "))
        kept = ("import_s", "fit_s", "predict_s", "models", "best", "versions")
        facts = {key: facts[key] for key in kept if key in facts}
        if not out.exists():
            return Attempt(used, None, facts)
        answer = pd.read_csv(out)
        answer.insert(0, task.id, ids.loc[answer[ROW]].to_numpy())
        if truths:
            answer[task.target] = answer[task.target].astype(bool)
        answer.drop(columns=ROW).to_csv(folder / "submission.csv", index=False)
        return Attempt(used, folder / "submission.csv", facts)


def peer_files(task: Task, folder: Path) -> tuple[pd.Series, bool]:
    """Write the tables for a peer; returns the task's ids by row number, and if labels are truths.

    The driver drops the id. An id that is not a number says something (the hour, a group), so it
    stays as a column beside a row number. Columns that the test rows do not have are left out.
    Dates come with their parts, which every user of these systems would add; kit has to find them
    itself. Truth values become 0 and 1: the driver looks columns of probabilities up by class.
    """
    train = pd.read_csv(task.public / "train.csv")
    test = pd.read_csv(task.public / "test.csv")
    ids = test[task.id].copy()
    if pd.api.types.is_numeric_dtype(ids):
        test = test.drop(columns=task.id)
    train = train[[*test.columns, task.target]]
    truths = pd.api.types.is_bool_dtype(train[task.target])
    if truths:
        train[task.target] = train[task.target].astype(int)
    for name, table in (("train", train), ("test", test)):
        table = with_date_parts(table, [c for c in test if is_date(test[c])])
        table.insert(0, ROW, range(len(table)))
        table.to_csv(folder / f"{name}.csv", index=False)
    return ids, truths


def is_date(column: pd.Series) -> bool:
    """Text that reads as a date everywhere, in the ISO form."""
    if not pd.api.types.is_string_dtype(column):
        return False
    return bool(pd.to_datetime(column, format="ISO8601", errors="coerce").notna().all())


def with_date_parts(table: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """Year, month, day, weekday and hour of each date, beside it."""
    table = table.copy()
    for column in columns:
        date = pd.to_datetime(table[column], format="ISO8601")
        for part in ("year", "month", "day", "dayofweek", "hour"):
            table[f"{column}_{part}"] = getattr(date.dt, part)
    return table


@dataclass(frozen=True)
class Kit:
    """`kit new`, then `kit auto --budget`: only the latter is measured."""

    command: str

    def solve(self, task: Task, budget: float, folder: Path) -> Attempt:
        """The submission is the file that `kit auto` left, the CV score that of its run."""
        kit = shlex.split(self.command)
        place = scaffolded(kit, task, folder)
        options = ["-C", str(place), "--set", f"cv.seed={task.seed}"]
        if has_auto(self.command):
            command = [*kit, "auto", "--budget", f"{budget:g}s", *options]
        else:
            command = ["bash", "-c", by_hand(kit, budget, options)]
        used = measure(command, folder, folder / "log.txt", limit(budget))
        files = sorted(place.glob("submissions/*.csv"), key=lambda path: path.stat().st_mtime)
        if not files:
            return Attempt(used, None, {})
        shutil.copy(files[-1], folder / "submission.csv")
        record = place / "runs" / files[-1].stem / "run.json"
        return Attempt(used, folder / "submission.csv", cv_facts(record))


def scaffolded(kit: list[str], task: Task, folder: Path) -> Path:
    """The competition's folder that `kit new` makes of a task."""
    new = [*kit, "new", "task", "--from", str(task.public), "-C", str(folder)]
    new += ["--target", task.target, "--id", task.id]
    new += ["--metric", KIT_METRIC.get(task.metric, task.metric)]
    if task.metric == "mlogloss":
        new += ["--task", "multiclass", "--submission", "probability"]
    subprocess.run(new, check=True, capture_output=True, text=True)
    return folder / "task"


@cache
def has_auto(command: str) -> bool:
    """Whether this kit has `kit auto`."""
    answer = subprocess.run([*shlex.split(command), "auto", "--help"], capture_output=True)
    return answer.returncode == 0


def by_hand(kit: list[str], budget: float, options: list[str]) -> str:
    """What `kit auto` replaces: all built-in models, a blend, a submission that is not sent."""
    models = ["lightgbm", "linear", "extra_trees", "random_forest", "mlp"]
    steps = [
        ["cv", *models, "--budget", f"{0.8 * budget:g}s"],
        ["blend"],
        ["submit", "--dry-run"],
    ]
    return " ; ".join(shlex.join([*kit, *step, *options]) for step in steps)


def cv_facts(record: Path) -> dict[str, Any]:
    """The validated score of a run: for a blend that is the nested one."""
    if not record.is_file():
        return {}
    run = json.loads(record.read_text())
    score = run["score"]
    return {
        "run": run["id"],
        "models": len(run.get("parents", [])) or 1,
        "cv": score["value"],
        "cv_folds": score["folds"],
        "cv_std": score["std"],
        "cv_plain": score.get("plain"),
    }
