"""What is solved: the bundled data sets and competitions in folders, and how answers are graded."""

from __future__ import annotations

import json
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

GREATER_IS_BETTER = {"auc", "accuracy", "r2"}

# Names that a competition's meta.json may give its metric, in the peers' words. What is not here
# (metrics of text and images) is left out of the benchmark.
OF_COMPETITIONS = {
    "accuracy": "accuracy",
    "auc": "auc",
    "log_loss_binary": "logloss",
    "log_loss_multi": "mlogloss",
    "rmse": "rmse",
    "rmse_log": "rmsle",
    "rmsle": "rmsle",
    "mae": "mae",
    "r2": "r2",
}


@dataclass(frozen=True)
class Task:
    """One data set with one seed; `grade` is a command, or empty where `hidden` has the answers."""

    name: str
    seed: int
    public: Path
    target: str
    id: str
    metric: str
    hidden: Path | None = None
    grade: str = ""

    def score(self, submission: Path) -> float:
        """The score of a submission on the hidden rows, in the units of the metric."""
        if self.hidden is not None:
            return hidden_score(self, pd.read_csv(submission))
        command = [*shlex.split(self.grade), self.name, str(submission)]
        answer = subprocess.run(command, capture_output=True, text=True)
        document = json.loads(answer.stdout)
        if not document.get("valid"):
            raise ValueError(f"the submission is not valid: {document.get('error')}")
        return float(document["score"])


def hidden_score(task: Task, submission: pd.DataFrame) -> float:
    """Grade with scikit-learn, not with kit: rows joined by id, every row once."""
    from sklearn import metrics

    assert task.hidden is not None
    hidden = pd.read_csv(task.hidden)
    if len(submission) != len(hidden) or submission[task.id].duplicated().any():
        raise ValueError(f"{len(submission)} rows, {len(hidden)} expected, each id once")
    rows = submission.set_index(task.id).loc[hidden[task.id]]
    truth = hidden[task.target].to_numpy()
    if task.metric == "mlogloss":
        labels = sorted(np.unique(truth))
        proba = rows[[str(label) for label in labels]].to_numpy(float)
        return float(metrics.log_loss(truth, proba / proba.sum(1, keepdims=True), labels=labels))
    guess = rows[task.target].to_numpy()
    if task.metric == "accuracy":
        return float(np.mean(truth.astype(str) == guess.astype(str)))
    if not np.isfinite(guess.astype(float)).all():
        raise ValueError("predictions that are not finite")
    functions = {
        "auc": metrics.roc_auc_score,
        "logloss": metrics.log_loss,
        "rmse": metrics.root_mean_squared_error,
        "rmsle": lambda y, p: metrics.root_mean_squared_log_error(y, np.maximum(p, 0)),
        "mae": metrics.mean_absolute_error,
        "r2": metrics.r2_score,
    }
    return float(functions[task.metric](truth, guess))


def bundled(folder: Path, seed: int) -> list[Task]:
    """The data sets that `bundled.py` wrote, small ones first."""
    tasks = []
    for path in sorted(folder.glob("*/meta.json"), key=lambda p: json.loads(p.read_text())["rows"]):
        meta = json.loads(path.read_text())
        here = path.parent / f"seed-{seed}"
        tasks.append(
            Task(
                path.parent.name,
                seed,
                here / "public",
                meta["target"],
                "id",
                meta["metric"],
                here / "hidden.csv",
            )
        )
    return tasks


def competitions(folder: Path, grade: str, seed: int) -> list[Task]:
    """Tabular competitions below a folder: NAME/meta.json, NAME/public, one target column.

    Only the systems' seed changes between seeds: the hidden rows are what they are.
    """
    tasks = []
    for path in sorted(folder.glob("*/meta.json")):
        meta = json.loads(path.read_text())
        public = path.parent / "public"
        metric = OF_COMPETITIONS.get(meta["metric"])
        if metric is None or len(meta["target_columns"]) != 1 or not is_table(public):
            continue
        target = meta["target_columns"][0]
        tasks.append(
            Task(path.parent.name, seed, public, target, meta["id_column"], metric, grade=grade)
        )
    return tasks


def is_table(public: Path) -> bool:
    """At least two columns beside the id: a list of image files is no table."""
    test = public / "test.csv"
    return test.is_file() and pd.read_csv(test, nrows=5).shape[1] > 2
