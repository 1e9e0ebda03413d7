"""What every metric keeps, checked on generated data."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kit.errors import ConfigError
from kit.metrics.base import Metric
from kit.settings import TaskType


def check_metric(metric: Metric) -> None:
    """The contract of a metric, on generated data of every task it is defined for.

    A perfect prediction is best, by the metric's own direction; the order of rows does not matter;
    the arguments are left as they were; with confusion counts the score is the same.

    Raises:
        ConfigError: the contract is broken; the message says where.
    """
    if not metric.tasks:
        raise ConfigError(f"metric {metric.name!r} is defined for no task")
    for task in metric.tasks:
        rng = np.random.default_rng(0)
        truth, perfect, poor = _example(metric, task, rng)
        _check_on(metric, task, truth, perfect, poor, rng.permutation(len(truth)))


def _check_on(
    metric: Metric,
    task: TaskType,
    truth: NDArray[Any],
    perfect: NDArray[Any],
    poor: NDArray[Any],
    order: NDArray[np.int64],
) -> None:
    where = f"metric {metric.name!r} breaks the contract for {task}: "
    before = truth.copy(), poor.copy()
    best, worse = metric.score(truth, perfect), metric.score(truth, poor)
    if not metric.better(best, worse):
        raise ConfigError(
            f"{where}a perfect prediction ({best:.6g}) must be better than a poor one "
            f"({worse:.6g}).\n  Look at greater_is_better = {metric.greater_is_better}."
        )
    if not metric.loss(truth, perfect) < metric.loss(truth, poor):
        raise ConfigError(f"{where}less loss must be better")
    shuffled = metric.score(truth[order], poor[order])
    if not math.isclose(shuffled, worse, rel_tol=1e-9, abs_tol=1e-12):
        raise ConfigError(f"{where}the order of rows matters: {worse!r}, shuffled {shuffled!r}")
    if not (np.array_equal(before[0], truth) and np.array_equal(before[1], poor)):
        raise ConfigError(f"{where}it changes the arrays it is given")
    if metric.from_counts is not None and truth.ndim == 1:
        size = int(truth.max()) + 1
        counts = np.bincount(truth * size + poor, minlength=size**2).reshape(size, size)
        if not math.isclose(float(metric.from_counts(counts)), worse, rel_tol=1e-9):
            raise ConfigError(f"{where}from_counts and function disagree")


def _example(
    metric: Metric, task: TaskType, rng: np.random.Generator
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Truth, a perfect and a poor prediction (60 rows) in the form that `metric` wants."""
    n, columns = 60, 3
    if task in ("regression", "multitarget"):
        values = rng.uniform(1.0, 10.0, size=(n, columns if task == "multitarget" else 1))
        noisy = np.clip(values + rng.normal(0.0, 4.0, values.shape), 0.1, None)
        return (values[:, 0] if task == "regression" else values), values, noisy
    size = (n, columns) if task == "multilabel" else (n,)
    classes = 4 if task == "multiclass" else 2
    truth = rng.integers(0, classes, size=size)
    truth[:classes] = np.arange(classes).reshape(-1, *([1] * (truth.ndim - 1)))
    wrong = np.where(rng.random(size) < 0.4, (truth + 1) % classes, truth)
    if metric.needs == "label":
        return truth, truth, wrong
    if task == "multiclass":
        one_hot = np.eye(classes)
        return (
            truth,
            one_hot[truth],
            0.5 * one_hot[wrong] + 0.5 * rng.dirichlet(np.ones(classes), size=n),
        )
    poor = np.clip(0.6 * wrong + 0.4 * rng.random(size), 0.0, 1.0).reshape(n, -1)
    return truth, truth.reshape(n, -1).astype(np.float64), poor
