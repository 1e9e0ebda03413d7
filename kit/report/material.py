"""What a report is made of: a run, its out-of-fold predictions, and the truth where it is known.

A report never fails because something is not there any more: what cannot be shown is said.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kit.competition import Competition
from kit.dataset import Dataset
from kit.decision import Decision, default_decision
from kit.errors import KitError
from kit.metrics.base import Metric, load_metric
from kit.metrics.transforms import transform_pair
from kit.metrics.weighted import weighted
from kit.runs import Run, prediction_columns
from kit.usercode import UserCode

Array = NDArray[np.float64]

_TINY = 1e-15


@dataclass(frozen=True, kw_only=True)
class Truth:
    """Out-of-fold predictions beside the truth, in the row order of the run.

    Attributes:
        ids, fold: of the validated rows. ``(n,)``
        y: the truth as `Dataset` has it.
        weight: how much each row counts in the score; None: all the same. ``(n,)``
        pred: predictions. ``(n, k)``
        names: of the columns of `pred`; classes, targets, or one empty name.
        classes: labels by class code; empty for numbers.
        metric: what the run was scored by; None where it is not there any more.
        labels: predicted class codes, where the task has classes. ``(n,)`` or ``(n, t)``
        decision: what made them.
        rows: positions in the data.
    """

    task: str
    ids: NDArray[np.str_]
    fold: NDArray[np.int8]
    y: NDArray[Any]
    weight: Array | None
    pred: Array
    names: tuple[str, ...]
    classes: tuple[str, ...]
    metric: Metric | None
    labels: NDArray[np.int64] | None
    decision: Decision
    rows: NDArray[np.int64]

    @property
    def target(self) -> NDArray[Any]:
        """What the metric scores against, as `Dataset.truth`."""
        return self.y if self.weight is None else np.column_stack([self.y, self.weight])

    @property
    def scored(self) -> NDArray[Any]:
        """What the metric is given."""
        use_labels = self.metric is not None and self.metric.needs == "label"
        return self.labels if use_labels and self.labels is not None else self.pred

    def row_losses(self) -> Array:
        """How wrong each row is: log loss of classes, absolute error on the metric's scale."""
        if self.task in ("binary", "multilabel"):
            p = np.clip(self.pred, _TINY, 1 - _TINY)
            y = self.y.reshape(len(self.y), -1)
            return np.asarray(-(y * np.log(p) + (1 - y) * np.log1p(-p)).mean(axis=1))
        if self.task == "multiclass":
            own = self.pred[np.arange(len(self.y)), self.y]
            return np.asarray(-np.log(np.clip(own, _TINY, 1)))
        link, _ = transform_pair(self.metric.transform if self.metric else "none", self.task)
        y = self.y.reshape(len(self.y), -1)
        return np.asarray(np.abs(link(y) - link(self.pred)).mean(axis=1))


@dataclass(frozen=True, kw_only=True)
class Material:
    """A run and what is known about it.

    Attributes:
        dataset: None where the data cannot be read.
        truth: None where predictions and truth cannot be brought together.
        missing: why there is no truth; "" where there is.
    """

    competition: Competition
    run: Run
    dataset: Dataset | None
    truth: Truth | None
    missing: str

    @property
    def metric(self) -> str:
        """Name of the metric."""
        return self.run.metric[0]

    @property
    def up(self) -> bool:
        """Whether more is better."""
        return bool(self.run.record["metric"]["greater_is_better"])


def read_dataset(competition: Competition) -> tuple[Dataset | None, str]:
    """The data, or why they cannot be read."""
    try:
        return Dataset.read(competition), ""
    except KitError as error:
        return None, str(error).splitlines()[0]


def gather(competition: Competition, run: Run, dataset: Dataset | None, missing: str) -> Material:
    """Bring the predictions of a run and the truth together.

    Args:
        competition: whose run it is.
        run: any run.
        dataset: the data.
        missing: why there are no data, where there are none.
    """
    truth = None
    if dataset is not None:
        try:
            truth = _truth(competition, run, dataset)
        except KitError as error:
            missing = str(error).splitlines()[0]
        else:
            missing = "" if truth else "The data in the folder are not those of the run any more."
    return Material(competition=competition, run=run, dataset=dataset, truth=truth, missing=missing)


def _truth(competition: Competition, run: Run, dataset: Dataset) -> Truth | None:
    """None where ids, classes or targets are others."""
    import pandas as pd

    oof = run.oof()
    names = prediction_columns(dataset.outputs)
    rows = pd.Index(dataset.ids).get_indexer(pd.Index(oof["id"]))
    classes = tuple(run.record.get("classes", dataset.classes))
    changed = classes != dataset.classes or run.record.get("task", dataset.task) != dataset.task
    if changed or (rows < 0).any() or not set(names) <= set(oof.columns):
        return None
    pred = oof[names].to_numpy(dtype=np.float64)
    decision, labels = _labels(run, dataset.task, pred)
    return Truth(
        task=dataset.task,
        ids=dataset.ids[rows],
        fold=oof["fold"].to_numpy(dtype=np.int8),
        y=dataset.y[rows],
        weight=None if dataset.weight is None else dataset.weight[rows],
        pred=pred,
        names=dataset.outputs,
        classes=dataset.classes,
        metric=_metric(competition, run, dataset),
        labels=labels,
        decision=decision,
        rows=np.asarray(rows, dtype=np.int64),
    )


def _labels(run: Run, task: Any, pred: Array) -> tuple[Decision, NDArray[np.int64] | None]:
    decision = default_decision(task, pred.shape[1])
    recorded = run.record.get("decision", {})
    if recorded.get("kind", "none") != "none":
        decision = Decision.from_json(recorded)
    if task in ("regression", "multitarget"):
        return decision, None
    return decision, decision.apply(pred)


def _metric(competition: Competition, run: Run, dataset: Dataset) -> Metric | None:
    """The run's metric; None where its code is gone or has changed."""
    code = UserCode(competition.root)
    name, digest = run.metric
    column = competition.settings.columns.weighing
    try:
        metric = load_metric(name, dataset.task, code.resolve)
        if ":" in name:
            metric = replace(metric, code=code.digest(name.partition(":")[0]))
        if column is not None:
            metric = weighted(metric, column, dataset.task)
        return metric if metric.code == digest else None
    except (KitError, OSError):
        return None
