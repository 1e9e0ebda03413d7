"""Cuts of a scale: the expected position, the search for cuts, and what it may look at."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kit.decision import Decision, fit_decision
from kit.metrics import load_metric
from kit.ordinal import Histogram, labels, positions

KAPPA = load_metric("quadratic_kappa", "multiclass")


def graded(n: int = 4000, seed: int = 0) -> tuple[Any, Any, Any]:
    """Grades 0..4, rare at the ends, with the probabilities of someone who sees them blurred."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=n)
    y = np.searchsorted([-1.5, -0.5, 0.5, 1.5], truth)
    seen = truth + rng.normal(0.0, 0.8, n)
    center = 2 + seen / (1 + 0.8**2)
    pred = np.exp(-((np.arange(5) - center[:, None]) ** 2) / 1.2)
    return y, pred / pred.sum(axis=1, keepdims=True), rng.permutation(n) % 5


def test_position_is_the_expected_class() -> None:
    assert positions(np.array([[0.5, 0.0, 0.5], [0.0, 0.0, 0.2]])).tolist() == [1.0, 2.0]
    assert positions(np.zeros((2, 3, 4))).shape == (2, 3)


def test_label_is_the_number_of_cuts_reached() -> None:
    assert labels(np.array([0.2, 0.5, 1.7]), np.array([0.5, 1.5])).tolist() == [0, 1, 2]
    cut = Decision("cuts", (0.5, 1.5))
    assert cut.apply(np.array([[0.9, 0.1, 0.0], [0.3, 0.0, 0.7]])).tolist() == [0, 1]


def test_search_finds_the_best_of_all_cuts() -> None:
    """Against every pair of cuts on a coarse scale."""
    rng = np.random.default_rng(1)
    y = rng.integers(0, 3, 120)
    position = np.round(np.clip(0.5 + 0.5 * y + rng.normal(0, 0.5, 120), 0, 2), 1)
    found = Histogram(y, position, np.zeros(120, int), 3).best(KAPPA.from_counts, 1.0)  # type: ignore[arg-type]
    steps = np.arange(0.05, 2.0, 0.1)
    best = max(
        KAPPA.score(y, labels(position, np.array([a, b]))) for a in steps for b in steps if a <= b
    )
    assert KAPPA.score(y, labels(position, found)) == pytest.approx(best, abs=1e-9)


def test_cuts_beat_the_most_probable_class_and_rounding() -> None:
    y, pred, fold = graded()
    fitted = fit_decision(KAPPA, "multiclass", y, pred, fold)
    assert fitted.decision.kind == "cuts"
    rounded = KAPPA.score(y, np.round(positions(pred)).astype(int))
    assert fitted.score > fitted.default_score + 0.01
    assert fitted.score > rounded + 0.01


def test_cuts_of_a_fold_never_saw_its_labels() -> None:
    """A planted leak: other labels in fold 2 must change nothing about the rule for fold 2."""
    y, pred, fold = graded()
    other = np.where(fold == 2, 4 - y, y)
    rules = []
    for truth in (y, other):
        histogram = Histogram(truth, positions(pred), fold, 5)
        rules.append([histogram.best(KAPPA.from_counts, 1.0, left) for left in (2, 3)])  # type: ignore[arg-type]
    assert rules[0][0].tolist() == rules[1][0].tolist()
    assert rules[0][1].tolist() != rules[1][1].tolist()


def test_cuts_survive_a_class_that_a_fold_lacks() -> None:
    y, pred, fold = graded(400)
    fold = np.where(y == 4, 0, fold)
    fitted = fit_decision(KAPPA, "multiclass", y, pred, fold)
    assert np.isfinite(fitted.score)


def test_noise_is_not_cut() -> None:
    rng = np.random.default_rng(5)
    pred = rng.dirichlet(np.ones(4), 500)
    fitted = fit_decision(KAPPA, "multiclass", rng.integers(0, 4, 500), pred, np.arange(500) % 5)
    assert abs(fitted.score) < 0.15
