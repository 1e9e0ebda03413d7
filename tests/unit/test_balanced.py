"""Metrics under which every class counts the same: the score, and what models learn for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from kit.blend import blend
from kit.competition import Competition
from kit.cv import cross_validate
from kit.execution.context import load_context
from kit.metrics.base import balanced_weights, load_metric
from kit.refit.final import refit
from kit.session import open_session
from kit.settings import ModelSpec

Make = Callable[..., Competition]


def rare(make: Make, metric: str, name: str, **cv: Any) -> Competition:
    """One row in ten is of the second class, and the features say a little about it."""
    rng = np.random.default_rng(0)
    y = (np.arange(440) % 10 == 0).astype(int)
    frame = pd.DataFrame({"id": np.arange(440), "a": rng.normal(y, 1.0), "b": rng.normal(size=440)})
    return make(
        frame[:400].assign(y=y[:400]),
        frame[400:],
        name=name,
        competition={"slug": "rare"},
        columns={"kinds": {}},
        task={"type": "binary", "metric": metric, "classes": ["0", "1"]},
        submission={"wants": "probability"},
        cv={"splitter": "stratified_kfold", "n_splits": 4, **cv},
    )


def test_the_score_is_the_mean_of_the_classes_losses() -> None:
    metric = load_metric("balanced_log_loss", "binary")
    y, p = np.array([0, 0, 0, 1]), np.array([[0.1], [0.2], [0.5], [0.4]])
    zeros = -np.log([0.9, 0.8, 0.5]).mean()
    assert metric.score(y, p) == pytest.approx((zeros - np.log(0.4)) / 2)
    assert metric.score(y[:3], p[:3]) == pytest.approx(zeros)  # a fold without the other class


def test_weights_count_the_classes_of_the_given_rows_only() -> None:
    codes, learned = np.array([0, 0, 0, 1, 1, 1, 1, 1, 1]), np.array([0, 1, 2, 3])
    weight = balanced_weights(codes, counted=learned)
    assert weight[learned].sum() == pytest.approx(4.0)
    assert weight[0] * 3 == pytest.approx(weight[3])
    assert balanced_weights(codes[:3])[:3] == pytest.approx(1.0)
    assert balanced_weights(np.array([0, 1, 2]), counted=np.array([0, 1]))[2] == 1.0


@pytest.mark.parametrize("model", ["linear", "lightgbm"])
def test_models_learn_probabilities_of_equally_large_classes(
    make_competition: Make, model: str
) -> None:
    """Told of the metric they are near even odds, and score far better than the plain ones."""
    runs = {}
    for metric in ("log_loss", "balanced_log_loss"):
        where = rare(make_competition, metric, f"{metric}-{model}")
        with open_session(where) as session:
            runs[metric] = cross_validate(session, model)
            truth = session.context.dataset.y
    plain, told = (run.oof()["pred"].to_numpy() for run in runs.values())
    assert plain.mean() == pytest.approx(0.1, abs=0.03)
    assert told.mean() > 0.3
    balanced = load_metric("balanced_log_loss", "binary")
    assert runs["balanced_log_loss"].score < balanced.score(truth, plain[:, None]) - 0.2


def test_labels_of_the_scored_fold_are_not_counted(make_competition: Make) -> None:
    """Its labels turned round change nothing of the weights that its model learns with."""
    where = rare(make_competition, "balanced_log_loss", "turned")
    context = load_context(where)
    train, valid = context.folds.train(0), context.folds.valid(0)
    before = context.weight_for(ModelSpec(use="linear"), train)
    context.dataset.y[valid] = 1 - context.dataset.y[valid]
    after = context.weight_for(ModelSpec(use="linear"), train)
    assert before is not None
    assert after is not None
    assert (before[train] == after[train]).all()


def test_blend_and_final_fit_keep_to_it(make_competition: Make) -> None:
    where = rare(make_competition, "balanced_log_loss", "whole")
    with open_session(where) as session:
        runs = [cross_validate(session, model) for model in ("linear", "extra_trees")]
        blended = blend(where, [run.id for run in runs], context=session.context)
    final = refit(where, runs[0], seeds=1)
    assert blended.score <= max(run.score for run in runs)
    assert final.test()["pred"].mean() > 0.3
