"""The U-Net learns discs, keeps its seed, saves, and refuses what does not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kit.metrics.masks import dice
from kit.models.neural.unet import UNet, dice_and_entropy

pytestmark = [pytest.mark.neural, pytest.mark.filterwarnings("ignore")]  # tensorflow's own warnings

SMALL = {"filters": (4, 8), "epochs": 12, "batch": 8, "learning_rate": 0.01, "threads": 1}


def discs(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Gray images ``(n, 24, 24, 1)`` of bright discs on noise, and which pixels are disc."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:24, :24]
    centre, radius = rng.uniform(6, 18, (2, n, 1, 1)), rng.uniform(3, 6, (n, 1, 1))
    masks = np.hypot(rows - centre[0], columns - centre[1]) < radius
    return (60 * masks + rng.integers(60, 140, masks.shape)).astype(np.uint8)[..., None], masks


@pytest.fixture(scope="module")
def fitted() -> UNet:
    return UNet(**SMALL).fit(*discs(48, 0))


def test_new_discs_are_found(fitted: UNet) -> None:
    images, masks = discs(16, 1)
    found = fitted.predict(images)
    assert found.shape == masks.shape
    assert found.min() >= 0
    assert found.max() <= 1
    assert np.mean([*map(dice, masks, found > 0.5)]) > 0.85
    assert fitted.curve_["train"][-1] < 0.5 * fitted.curve_["train"][0]


@pytest.mark.slow
def test_the_same_seed_gives_the_same_masks(fitted: UNet) -> None:
    images, _ = discs(16, 1)
    again = UNet(**SMALL).fit(*discs(48, 0))
    assert np.array_equal(again.predict(images), fitted.predict(images))
    other = UNet(**{**SMALL, "seed": 1, "epochs": 1}).fit(*discs(48, 0))
    assert not np.allclose(other.predict(images), fitted.predict(images))


def test_what_was_saved_predicts_the_same(fitted: UNet, tmp_path: Path) -> None:
    images, _ = discs(5, 1)
    fitted.save(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"network.keras", "model.json"}
    loaded = UNet.load(tmp_path)
    assert loaded.get_params() == fitted.get_params()
    assert np.allclose(loaded.predict(images), fitted.predict(images), atol=1e-6)
    assert loaded.predict(images[:0]).shape == (0, 24, 24)


def test_the_loss_by_hand() -> None:
    truth, half = np.zeros((1, 2, 2, 1), dtype="float32"), np.full((1, 2, 2, 1), 0.5, "float32")
    truth[0, 0] = 1  # two pixels of four
    found = float(dice_and_entropy(truth, half)[0])
    assert found == pytest.approx(np.log(2) + 1 - (2 * 1 + 1) / (2 + 2 + 1), rel=1e-5)
    assert float(dice_and_entropy(truth * 0, half * 0)[0]) == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize(
    ("images", "masks", "rule"),
    [
        ((4, 24, 24), (4, 24, 24), "channels"),
        ((4, 24, 24, 1), (4, 24, 23), "masks"),
        ((4, 25, 24, 1), (4, 25, 24), "multiples of 2"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(images: Any, masks: Any, rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        UNet(**SMALL).fit(np.zeros(images, dtype=np.uint8), np.zeros(masks))
