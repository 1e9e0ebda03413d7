"""What the autoencoder sees, how cells are swapped, and that its hidden layers stay as they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from kit.models.base import Problem
from kit.models.neural import autoencoder
from kit.models.neural.autoencoder import Autoencoder, swapped

SMALL = {"encoder": (16, 8), "layers": (8,), "passes": 3, "epochs": 3}
PROBLEM = Problem(task="binary", n_outputs=1, seed=0, threads=1)
neural = [pytest.mark.neural, pytest.mark.filterwarnings("ignore")]  # tensorflow's own warnings


def test_swapped_cells_come_from_the_same_column() -> None:
    cells = np.arange(3000).reshape(1000, 3)  # no value twice; column k holds k modulo 3
    rng = np.random.default_rng(0)
    noisy = swapped(cells, 0.3, rng)
    assert (noisy % 3 == [0, 1, 2]).all()
    assert (noisy != cells).mean(axis=0) == pytest.approx([0.3] * 3, abs=0.05)
    rows_of_donors = (noisy // 3)[(noisy != cells).all(axis=1)]
    assert (np.ptp(rows_of_donors, axis=1) > 0).any()  # every cell has a donor of its own
    assert (cells == np.arange(3000).reshape(1000, 3)).all()
    assert (swapped(cells, 0.0, rng) == cells).all()


def rows(n: int, seed: int = 0) -> tuple[pd.DataFrame, np.ndarray]:
    rng = np.random.default_rng(seed)
    level = rng.integers(3, size=n)
    frame = pd.DataFrame({"a": level + rng.normal(scale=0.1, size=n), "b": rng.normal(size=n)})
    frame["c"] = pd.Categorical.from_codes(level, ["u", "v", "w"])
    return frame, (level == 1).astype(np.int64)


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, list[Any], Any]]:
    """Every autoencoder, and what it is given to learn from."""
    found: list[tuple[Any, list[Any], Any]] = []
    real = Autoencoder._denoise

    def spied(self: Autoencoder, keras: Any, denoiser: Any, rows: list[Any], clean: Any) -> None:
        found.append((denoiser, rows, clean))
        real(self, keras, denoiser, rows, clean)

    monkeypatch.setattr(Autoencoder, "_denoise", spied)
    return found


class TestFitted:
    pytestmark = neural

    def test_it_learns_from_training_rows_alone(self, seen: list[Any]) -> None:
        X, y = rows(60)
        X_valid, y_valid = rows(20, seed=1)
        fit = Autoencoder(**SMALL).fit(X, y, problem=PROBLEM, valid=(X_valid, y_valid))
        fit.predict(X_valid)
        ((_, given, clean),) = seen
        assert np.allclose(given[0], X[["a", "b"]])
        assert (given[1][:, 0] == X["c"].cat.codes + 1).all()
        assert clean.shape == (60, 2 + 4)  # numbers, three levels and the missing one
        assert np.allclose(clean[:, :2], X[["a", "b"]])
        assert (clean[:, 2:].argmax(axis=1) == X["c"].cat.codes + 1).all()

    @pytest.mark.slow
    def test_labels_do_not_move_the_hidden_layers(self) -> None:
        X, y = rows(60)
        one, other = (Autoencoder(**SMALL).fit(X, labels, problem=PROBLEM) for labels in (y, 1 - y))
        weights, others = (fit.networks_[0].get_weights() for fit in (one, other))
        same = [bool(np.array_equal(a, b)) for a, b in zip(weights, others, strict=True)]
        assert same[:4] == [True] * 4  # two dense layers of the encoder: kernel and bias
        assert not all(same)
        assert not np.allclose(one.predict(X), other.predict(X))

    def test_every_pass_swaps_other_cells(self, monkeypatch: pytest.MonkeyPatch) -> None:
        made = []

        def kept(cells: Any, share: float, rng: Any) -> Any:
            made.append(swapped(cells, share, rng))
            return made[-1]

        monkeypatch.setattr(autoencoder, "swapped", kept)
        X, y = rows(60)
        Autoencoder(**SMALL).fit(X, y, problem=PROBLEM)
        numbers = made[::2]
        assert len(numbers) == SMALL["passes"]
        assert not np.array_equal(numbers[0], numbers[1])

    def test_restoring_is_learned(self, seen: list[Any]) -> None:
        """`a` follows from the level: what is restored is nearer to the row than the noise was."""
        X, y = rows(400)
        params = {**SMALL, "encoder": (64,), "passes": 60, "noise": 0.3, "learning_rate": 0.01}
        Autoencoder(**params).fit(X, y, problem=PROBLEM)
        ((denoiser, cells, clean),) = seen
        rng = np.random.default_rng(5)
        noisy = [swapped(part, 0.3, rng) for part in cells]
        restored = np.asarray(denoiser.predict_on_batch(noisy))
        before, after = (np.square(x[:, 0] - clean[:, 0]).mean() for x in (noisy[0], restored))
        assert after < 0.6 * before
