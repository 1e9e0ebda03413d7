"""The network that reads texts: every body sees the order of words, none sees the future."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from kit.models.base import Problem
from kit.models.neural.text import TextNetwork

pytestmark = [pytest.mark.neural, pytest.mark.filterwarnings("ignore")]

PROBLEM = Problem(task="binary", n_outputs=1, seed=0)
SMALL: dict[str, Any] = {
    "width": 16, "units": 16, "layers": (16,), "dropout": 0.0, "embedding_dropout": 0.0,
    "word_dropout": 0.0, "epochs": 8, "batch": 32, "learning_rate": 0.01,
}  # fmt: skip


def frame(*columns: list[Any]) -> pd.DataFrame:
    return pd.DataFrame({f"t{k}": pd.Series(said, dtype="str") for k, said in enumerate(columns)})


def ordered(n: int = 240) -> tuple[pd.DataFrame, NDArray[Any]]:
    """The same words in every text; which comes first decides."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, n)
    said = []
    for label in y:
        pair = ["good then bad", "bad then good"][label]
        said.append(" ".join(["well"] * rng.integers(3) + [pair] + ["so"] * rng.integers(3)))
    return frame(said), y


@pytest.mark.parametrize("body", ["convolution", "recurrent", "transformer"])
@pytest.mark.slow
def test_a_body_reads_words_in_order(body: Any, tmp_path: Path) -> None:
    X, y = ordered()
    epochs = 25 if body == "transformer" else 8
    model = TextNetwork(**{**SMALL, "body": body, "epochs": epochs}).fit(
        X[:160], y[:160], problem=PROBLEM
    )
    predicted = model.predict(X[160:])[:, 0]
    assert roc_auc_score(y[160:], predicted) > 0.95
    model.save(tmp_path)
    assert TextNetwork.load(tmp_path).predict(X[160:])[:, 0] == pytest.approx(predicted, abs=1e-6)


def test_of_two_texts_it_sees_whether_they_agree() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.integers(0, 4, (2, 400))
    said = np.array(["sun", "rain", "snow", "wind"])
    X, y = frame([*said[a]], [*said[b]]), (a == b).astype(np.int64)
    model = TextNetwork(**{**SMALL, "epochs": 15}).fit(X[:300], y[:300], problem=PROBLEM)
    assert roc_auc_score(y[300:], model.predict(X[300:])[:, 0]) > 0.95


@pytest.mark.slow
def test_empty_missing_unknown_and_endless_texts_are_predicted() -> None:
    X, y = ordered(60)
    model = TextNetwork(**{**SMALL, "epochs": 1}).fit(X, y, problem=PROBLEM)
    odd = frame(["", None, "never seen", "good " * 5000])
    assert np.isfinite(model.predict(odd)).all()
    assert model.length_ < 20
    assert "never" not in model.words_
    nothing = frame(["", None] * 20)
    silent = TextNetwork(**{**SMALL, "epochs": 1}).fit(nothing, y[:40], problem=PROBLEM)
    assert np.isfinite(silent.predict(nothing)).all()
