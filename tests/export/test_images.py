"""Images in a bundle: read where the competition's files are mounted, with the backbones."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from kit.atomic import sha256
from kit.competition import Competition
from kit.errors import RunError
from kit.export.inference import BACKBONES
from kit.export.proof import Proof
from kit.export.ready import Exported
from kit.images.attach import Images
from kit.images.column import ImageArray
from kit.keras import load_keras
from kit.runs import Run

Make = Callable[..., Competition]
Kept = Callable[..., list[Run]]
Export = Callable[..., Exported]
Prove = Callable[..., Proof]
N, N_TEST = 48, 12
FEW = {"lightgbm": {"params": {"n_estimators": 10, "patience": 5}}}


def picture(k: int) -> bytes:
    rng, buffer = np.random.default_rng(k), io.BytesIO()
    shades = rng.integers(0, 120, (10, 8, 3)) + 120 * (k % 2)
    Image.fromarray(shades.astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def pictures(make_competition: Make) -> Make:
    """``pictures(backbone=..., models=...)``: train images in a folder, test images in a zip."""

    def make(backbone: str = "pixels", name: str = "pictures", **tables: Any) -> Competition:
        ids = np.arange(N + N_TEST)
        frame = pd.DataFrame({"id": ids, "a": np.random.default_rng(0).normal(size=len(ids))})
        made = make_competition(
            frame[:N].assign(y=ids[:N] % 2),
            frame[N:],
            name=name,
            columns={"kinds": {"shot": "image"}},
            images={"shot": {"column": "id", "train": "train/{}.png", "test": "test/{}.png",
                             "size": 8, "backbone": backbone}},
            cv={"n_splits": 2},
            **{"models": FEW, **tables},
        )  # fmt: skip
        (made.raw / "train").mkdir()
        for k in range(N):
            (made.raw / "train" / f"{k}.png").write_bytes(picture(k))
        with zipfile.ZipFile(made.raw / "test.zip", "w") as archive:
            for k in range(N, N + N_TEST):
                archive.writestr(f"{k}.png", picture(k))
        return made

    return make


def test_images_beside_a_table_are_predicted_as_here(
    pictures: Make, kept: Kept, exported: Export
) -> None:
    competition = pictures()
    (run,) = kept(competition, "lightgbm")
    made = exported(competition, run)
    assert made.proof is not None
    assert (made.proof.rows, made.proof.identical) == (N_TEST, True)
    assert "pillow" in made.proof.packages
    assert not (made.bundle.dataset / "models" / BACKBONES).exists()  # "pixels" has no weights
    assert not [*made.bundle.dataset.rglob("*.png"), *made.bundle.dataset.rglob("*.zip")]


def test_for_its_pace_an_image_is_decoded_for_each_row(pictures: Make) -> None:
    competition = pictures()
    rows = pd.DataFrame({"shot": [*range(N, N + N_TEST)] * 3})
    for each, stored in ((False, N_TEST), (True, 3 * N_TEST)):
        images = Images(competition, mounted=competition.raw, each=each)
        shots = images.attach(rows, "test")["shot"].array
        assert isinstance(shots, ImageArray)
        assert (shots.store.n, len(shots)) == (stored, 3 * N_TEST)
        np.testing.assert_array_equal(shots.pixels()[:N_TEST], shots.pixels()[-N_TEST:])


@pytest.mark.slow
def test_an_image_that_is_not_there_on_the_other_side_is_an_error(
    pictures: Make, kept: Kept, exported: Export, proven: Prove
) -> None:
    competition = pictures()
    (run,) = kept(competition, "lightgbm")
    made = exported(competition, run)
    (competition.raw / "test.zip").unlink()
    with pytest.raises(RunError, match=r"'shot': 12 of 12 images cannot be had"):
        proven(competition, run, made)


@pytest.mark.neural
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("model", ["linear", "cnn"])
def test_backbones_and_networks_go_along(
    model: str, pictures: Make, kept: Kept, exported: Export, tmp_path: Path
) -> None:
    """The clean run cannot read the competition's folder, where the author's weights are."""
    keras = load_keras()
    keras.utils.set_random_seed(0)
    layers = [keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3), keras.layers.ReLU()]
    (tmp_path / "pictures").mkdir()
    keras.Sequential(layers).save(tmp_path / "pictures" / "mine.keras")
    params = {"filters": [2], "dense": 4, "size": 8, "epochs": 1, "patience": 0}
    competition = pictures("mine.keras", models={"cnn": {"params": params}})
    (run,) = kept(competition, model)
    made = exported(competition, run)
    assert made.proof is not None
    assert made.proof.difference <= made.proof.allowed
    assert "keras" in made.proof.packages
    folder = made.bundle.dataset / "models"
    assert json.loads((folder / BACKBONES).read_text()) == {"shot": "backbone-0.keras"}
    assert sha256(folder / "backbone-0.keras") == sha256(competition.root / "mine.keras")
