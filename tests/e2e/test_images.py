"""Images from `kit new` to a submission, to all rows, and to new rows: with generated pictures."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

pytestmark = [pytest.mark.slow, pytest.mark.neural, pytest.mark.timeout(900)]


def kit(*arguments: str, cwd: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "kit", *arguments],
        cwd=cwd, capture_output=True, text=True, timeout=600, env={**os.environ},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr + done.stdout
    assert "Traceback" not in done.stderr
    return done.stdout


def disc(k: int, rng: np.random.Generator) -> bytes:
    """A bright disc on noise, or a square: class 1 and class 0."""
    pixels = rng.integers(80, size=(20, 20))
    rows, columns = np.indices((20, 20)) - rng.integers(7, 13, size=(2, 1, 1))
    inside = rows**2 + columns**2 < 25 if k % 2 else np.maximum(abs(rows), abs(columns)) < 2
    buffer = io.BytesIO()
    Image.fromarray((pixels + 150 * inside).astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """dogs-vs-cats as Kaggle hands it out: two zips and a sample submission, no table."""
    rng, folder = np.random.default_rng(0), tmp_path / "source"
    folder.mkdir()
    with zipfile.ZipFile(folder / "train.zip", "w") as archive:
        for k in range(120):
            name = f"train/{('square', 'disc')[k % 2]}.{k // 2}.png"
            archive.writestr(name, disc(k, rng) if k != 7 else b"corrupt")
    with zipfile.ZipFile(folder / "test.zip", "w") as archive:
        for k in range(1, 41):
            archive.writestr(f"test/{k}.png", disc(k, rng))
    sample = pd.DataFrame({"id": range(1, 41), "label": 0.5})
    sample.to_csv(folder / "sample_submission.csv", index=False)
    return folder


def test_images_from_new_to_new_rows(tmp_path: Path, source: Path) -> None:
    kit("new", "shapes", "-C", ".", "--from", str(source), "--folds", "2", cwd=tmp_path)
    root = tmp_path / "shapes"
    assert "KIT031" in kit("check", "--json", cwd=root)
    own = ["--set", "models.own.use=model:OwnNetwork", "--set", "models.own.params.epochs=2"]
    kit("cv", "own", *own, "--set", "models.own.params.size=16", cwd=root)
    report = json.loads(kit("cv", "linear", "extra_trees", "--json", cwd=root))
    assert all(run["score"]["oof"] > 0.85 for run in report["runs"])  # roc_auc
    kit("blend", "linear", "extra_trees", cwd=root)
    kit("submit", "blend", "--dry-run", cwd=root)
    kit("fit", "linear", "--seeds", "1", cwd=root)
    (root / "one.png").write_bytes(disc(1, np.random.default_rng(5)))
    new = pd.DataFrame({"id": [1, 2, 3], "file": ["test/1.png", "one.png", "test/2.png"]})
    new.to_csv(root / "new.csv", index=False)
    kit("predict", "linear-fit", "new.csv", "--proba", "--out", "out.csv", cwd=root)
    predicted = pd.read_csv(root / "out.csv").iloc[:, 1]
    assert predicted[2] > 0.5 > max(predicted[0], predicted[1])  # a square, by the alphabet


def test_kit_auto_on_images(tmp_path: Path, source: Path) -> None:
    kit("new", "shapes", "-C", ".", "--from", str(source), "--folds", "2", cwd=tmp_path)
    root = tmp_path / "shapes"
    names = ["image-linear", "extra_trees"]
    report = json.loads(kit("auto", *names, "--budget", "60s", "--json", cwd=root))
    assert {run["model"] for run in report["runs"]} == set(names)
