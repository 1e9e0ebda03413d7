"""The penalty of a linear model of classes: chosen by rows held out, without trying all of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import sparse
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.model_selection import StratifiedKFold

from kit.models.base import Problem, RowWeights
from kit.models.linear import Linear
from kit.preprocessing.score import TextScore
from kit.settings import TaskType

STRENGTHS = (0.01, 0.1, 1.0, 10.0, 100.0, 1000.0)


def table(signal: float, n_classes: int) -> tuple[Any, Any]:
    return make_classification(
        240, 30, n_informative=5, n_redundant=0, n_classes=n_classes, class_sep=signal,
        n_clusters_per_class=1, random_state=1,
    )  # fmt: skip


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    found, fit = list[float](), LogisticRegression.fit

    def noted(self: Any, *given: Any, **named: Any) -> Any:
        found.append(round(1 / self.C, 6))
        return fit(self, *given, **named)

    monkeypatch.setattr(LogisticRegression, "fit", noted)
    return found


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("signal", [0.05, 0.5, 3.0])
def test_it_is_that_of_the_whole_grid(
    signal: float, n_classes: int, weighted: bool, tried: list[float]
) -> None:
    X, y = table(signal, n_classes)
    weight = np.linspace(0.1, 1.9, len(y)) if weighted else np.ones(len(y))
    many = n_classes > 2
    task: TaskType = "multiclass" if many else "binary"
    problem = Problem(task=task, n_outputs=n_classes if many else 1, seed=3)
    given = RowWeights(train=weight) if weighted else None
    Linear(strengths=STRENGTHS).fit(X, y, problem=problem, weight=given)
    chosen, searched = tried[-1], {*tried[:-1]}
    losses = {}
    for strength in STRENGTHS:
        parts = []
        for kept, held in StratifiedKFold(3, shuffle=True, random_state=3).split(X, y):
            model = LogisticRegression(C=1 / strength, max_iter=300, tol=1e-3)
            model.fit(X[kept], y[kept], weight[kept])
            p = model.predict_proba(X[held])
            parts.append(log_loss(y[held], p, sample_weight=weight[held]))
        losses[strength] = np.mean(parts)
    assert losses[chosen] == pytest.approx(min(losses.values()), rel=1e-3)
    assert len(searched) < len(STRENGTHS) or chosen in (STRENGTHS[0], STRENGTHS[-1])


@pytest.mark.parametrize("ratios", [False, True])
def test_what_few_of_many_texts_say_is_learnt(ratios: bool) -> None:
    """A solver that stops at a step that is small for all texts together leaves it undone."""
    rng, n = np.random.default_rng(0), 60_000
    where = np.repeat(np.arange(n), 8), rng.integers(200, 3000, size=8 * n)
    words = sparse.coo_matrix((np.ones(8 * n), where), shape=(n, 3000)).tolil()
    telling = np.flatnonzero(rng.random(n) < 0.02)
    words[telling, rng.integers(200, size=len(telling))] = 1  # 200 words, each in six texts
    words, y = words.tocsr().astype(np.float32) / 3, np.zeros(n, dtype=int)
    y[telling] = 1
    seen, new = np.arange(n) % 4 > 0, np.arange(n) % 4 == 0
    model = Linear(strengths=(0.1,), ratios=ratios)
    model.fit(words[seen], y[seen], problem=Problem(task="binary", n_outputs=1, seed=0))
    assert roc_auc_score(y[new], model.predict(words[new])[:, 0]) > 0.9
    score = TextScore(classification=True)._model(words[seen], y[seen])
    assert roc_auc_score(y[new], score.decision_function(words[new])) > 0.8
