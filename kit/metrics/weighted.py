"""A metric with a weight per row.

The truth of a weighted metric has two columns, value (or class code) and weight (`Dataset.truth`),
so that whatever takes some of the rows, folds, blends and nested scores, takes their weights along.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from inspect import signature
from typing import Any

from kit.errors import ConfigError, UnknownName
from kit.metrics.base import Metric
from kit.registry import METRICS
from kit.settings import TaskType


def weighted(metric: Metric, column: str, task: TaskType) -> Metric:
    """The same metric over rows that count differently.

    A row of weight 2 counts as if it were there twice, one of weight 0 not at all.

    Args:
        metric: kit's own, or a competition's function; its third parameter takes the weights.
        column: `Columns.weighing`; part of what tells scores apart.
        task: regression, binary or multiclass: one value or class per row.

    Raises:
        ConfigError: the metric knows no weights, or the task has several columns to predict.
    """
    if task in ("multilabel", "multitarget"):
        raise ConfigError(
            f"columns.weight works with one column to predict, however task.type is {task!r}: of "
            "several columns kit does not know which of them the weight is meant for.\n"
            "  Take columns.weight out, or weigh in a function of metric.py."
        )
    if not _takes_weights(metric.function):
        raise ConfigError(
            f"columns.weight: the metric {metric.name!r} takes no weights. Known with weights: "
            f"{', '.join(_known(task))}, and a function of metric.py with three parameters "
            "(y_true, y_pred, weight)"
        )
    code = " ".join(part for part in (metric.code, f"weight {column}") if part)
    return replace(metric, tasks=(task,), weighted=True, averaged=False, code=code)


def _takes_weights(function: Callable[..., Any]) -> bool:
    return len(signature(function).parameters) >= 3


def _known(task: TaskType) -> list[str]:
    """The registered metrics of a task that take weights."""
    names = []
    for name in METRICS.table:
        try:
            metric = METRICS.load(name)
        except UnknownName:  # a broken plugin must not hide the message it would be part of
            continue
        if task in metric.tasks and _takes_weights(metric.function):
            names.append(name)
    return names
