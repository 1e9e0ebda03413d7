"""Linear models: rows held out where the closed form would not end, matrices close to singular."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from kit.models import linear
from kit.models.base import Problem, RowWeights


@pytest.mark.parametrize("outputs", [1, 2])
@pytest.mark.parametrize("weighted", [False, True])
def test_it_predicts_what_the_closed_form_predicts(
    monkeypatch: pytest.MonkeyPatch, outputs: int, weighted: bool
) -> None:
    rng = np.random.default_rng(0)
    X = sparse.random(300, 2100, density=0.02, format="csr", random_state=0)
    y = X[:, :40] @ rng.normal(size=(40, outputs)) + rng.normal(scale=0.05, size=(300, outputs))
    y = y[:, 0] if outputs == 1 else y
    problem = Problem(
        task="regression" if outputs == 1 else "multitarget", n_outputs=outputs, seed=0, threads=1
    )
    weight = RowWeights(rng.uniform(0.5, 1.5, 300), None) if weighted else None
    model = linear.Linear(strengths=(0.3,))
    closed = model.fit(X, y, problem=problem, weight=weight).predict(X)
    monkeypatch.setattr(linear, "_CLOSED_FORM", 100)
    found = linear.Linear(strengths=(0.3,)).fit(X, y, problem=problem, weight=weight)
    assert type(found.fitted_[0]).__name__ == "Ridge"
    assert found.predict(X) == pytest.approx(closed, abs=1e-2 * y.std())
    chosen = linear.Linear(strengths=(0.3, 1e6)).fit(X, y, problem=problem, weight=weight)
    assert chosen.predict(X) == pytest.approx(found.predict(X))


def test_columns_that_are_sums_of_others_are_no_news_to_the_user() -> None:
    """pytest makes an error of scikit-learn's warning that the matrix is ill-conditioned."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(3000, 3))
    X = np.column_stack([X, X[:, 0], X.sum(axis=1)]).astype(np.float32)
    y = (X[:, 0] + rng.normal(size=3000) > 0).astype(int)
    model = linear.Linear(strengths=(1e-9,)).fit(X, y, problem=Problem(task="binary", n_outputs=1))
    assert np.corrcoef(model.predict(X)[:, 0], X[:, 0])[0, 1] > 0.9
