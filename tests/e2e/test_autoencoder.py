"""The template of the autoencoder: its columns are better than the table's own, its README runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_digits

from kit.usercode import UserCode

pytestmark = [pytest.mark.neural, pytest.mark.filterwarnings("ignore")]  # tensorflow's own warnings


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Handwritten digits, few of them: 64 columns that hang together."""
    images, digits = load_digits(return_X_y=True)
    table = pd.DataFrame(images, columns=[f"light{k}" for k in range(64)])
    table.insert(0, "id", np.arange(len(table)))
    table["digit"] = digits
    folder = tmp_path / "files"
    folder.mkdir()
    table[:300].to_csv(folder / "train.csv", index=False)
    new = table[300:350]
    new.drop(columns="digit").to_csv(folder / "test.csv", index=False)
    new[["id", "digit"]].to_csv(folder / "sample_submission.csv", index=False)
    return folder


@pytest.mark.slow
def test_from_kit_new_to_a_better_score(run_kit: Any, tmp_path: Path, files: Path) -> None:
    root = tmp_path / "few-digits"
    asked = ("--template", "autoencoder", "--metric", "log_loss")
    made = run_kit("new", "few-digits", "-C", tmp_path, "--from", files, *asked)
    assert made.code == 0, made.err
    assert "model:hidden_classes" in (root / "README.md").read_text()
    done = run_kit("cv", "linear", "model:hidden_classes", "-C", root, "--folds", "2", "--json")
    assert done.code == 0, done.err
    scores = {run["model"]: run["score"]["value"] for run in json.loads(done.out)["runs"]}
    plain, hidden = scores["linear"], scores["model:hidden_classes"]
    assert hidden < 0.9 * plain


@pytest.mark.slow
def test_it_restores_rows_and_never_looks_at_the_target(tmp_path: Path) -> None:
    from kit.scaffold.templates import template_path

    (tmp_path / "model.py").write_bytes((template_path("autoencoder") / "model.py").read_bytes())
    denoiser = UserCode(tmp_path).resolve("model:Denoiser")
    rng = np.random.default_rng(0)
    half = rng.normal(size=(3000, 3))  # a pass takes long to begin: many rows and few passes
    X = np.hstack([half, half])  # every cell is there twice
    one = denoiser((32,), 0.3, 12).fit(X, np.zeros(3000))
    other = denoiser((32,), 0.3, 12).fit(X, rng.normal(size=3000))
    assert all(np.array_equal(a, b) for a, b in zip(one.layers_[0], other.layers_[0], strict=True))
    noisy = one.swapped(X, rng)
    before, after = (np.square(x - X).mean() for x in (noisy, one.restored(noisy)))
    assert after < 0.6 * before
    assert one.losses_[-1] < 0.5 * one.losses_[0]
    assert one.transform(X).shape == (3000, 32)
    assert one.transform(X).min() >= 0
