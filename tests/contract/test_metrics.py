"""Every registered metric keeps the contract; a new line in the table is tested by existing."""

from __future__ import annotations

import numpy as np
import pytest

from kit.errors import ConfigError
from kit.metrics import Metric, check_metric
from kit.registry import METRICS


def test_there_are_metrics_to_check() -> None:
    assert len(METRICS.table) >= 20


@pytest.mark.parametrize("name", METRICS.table)
def test_metric_keeps_the_contract(name: str) -> None:
    check_metric(METRICS.load(name))


@pytest.mark.parametrize("name", METRICS.table)
def test_metric_carries_its_registered_name_and_a_description(name: str) -> None:
    metric = METRICS.load(name)
    assert metric.name == name
    assert metric.description.endswith(".")


@pytest.mark.parametrize("name", METRICS.table)
def test_confusion_counts_agree_with_the_function(name: str) -> None:
    metric = METRICS.load(name)
    if metric.from_counts is None:
        assert metric.needs != "label" or metric.tasks == ("multilabel",)
        return
    rng = np.random.default_rng(1)
    for size in (2, 5) if "multiclass" in metric.tasks else (2,):
        truth = np.concatenate([np.arange(size), rng.integers(0, size, 300)])
        stacked = []
        for share in (0.1, 0.5, 1.0):  # the last one: hits by chance only
            noise = rng.integers(0, size, len(truth))
            labels = np.where(rng.random(len(truth)) < share, noise, truth)
            counts = np.zeros((size, size))
            np.add.at(counts, (truth, labels), 1)
            stacked.append((counts, metric.score(truth, labels)))
        scores = metric.from_counts(np.stack([counts for counts, _ in stacked]))
        assert scores == pytest.approx([score for _, score in stacked])


def _metric(**changes: object) -> Metric:
    options = {
        "name": "mine",
        "function": lambda y, p: float(np.abs(y - p).mean()),
        "greater_is_better": False,
        "needs": "value",
        "tasks": ("regression",),
    }
    return Metric(**{**options, **changes})  # type: ignore[arg-type]


def test_contract_accepts_a_sound_metric() -> None:
    check_metric(_metric())


def test_contract_finds_a_wrong_direction() -> None:
    with pytest.raises(ConfigError, match="greater_is_better = True"):
        check_metric(_metric(greater_is_better=True))


def test_contract_finds_a_metric_that_depends_on_the_order_of_rows() -> None:
    ramp = _metric(function=lambda y, p: float((np.abs(y - p) * np.arange(len(y))).mean()))
    with pytest.raises(ConfigError, match="order of rows"):
        check_metric(ramp)


def test_contract_finds_a_metric_that_changes_its_arguments() -> None:
    def spoils(y: np.ndarray, p: np.ndarray) -> float:
        error = float(np.abs(y - p).mean())
        p += 1.0
        return error

    with pytest.raises(ConfigError, match=r"order of rows|changes the arrays"):
        check_metric(_metric(function=spoils))


def test_contract_finds_counts_that_disagree_with_the_function() -> None:
    wrong = _metric(
        function=lambda y, p: float((y == p).mean()),
        greater_is_better=True,
        needs="label",
        tasks=("binary",),
        from_counts=lambda counts: np.asarray(counts)[..., 1, 1] / 60,
    )
    with pytest.raises(ConfigError, match="from_counts"):
        check_metric(wrong)
