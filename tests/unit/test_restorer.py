"""The restorer takes stains off images of any sides, saves, and refuses what does not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kit.images.decode import decode
from kit.models.neural.restorer import Restorer

pytestmark = [
    pytest.mark.neural,
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # tensorflow's own warnings
]

SMALL = {"filters": (6, 12), "patch": 16, "crops": 12, "epochs": 10, "learning_rate": 0.01}
SIDES = ((24, 30), (19, 13))  # the second is smaller than a patch, and no multiple of two


def pairs(n: int, seed: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Dark strokes on white paper, and the same with a slope of gray and noise over it."""
    rng = np.random.default_rng(seed)
    dirty, clean = [], []
    for k in range(n):
        paper = np.ones(SIDES[k % 2], dtype=np.float32)
        for row in rng.choice(paper.shape[0] - 1, 4, replace=False):
            paper[row, 2:-2] = 0
        slope = np.linspace(0.5, 0.9, paper.shape[1])
        seen = np.minimum(paper, slope) * 255 + rng.normal(0, 6, paper.shape)
        dirty.append(np.clip(seen, 0, 255).astype(np.uint8)[..., None])
        clean.append(paper)
    return dirty, clean


def rmse(found: list[np.ndarray], truth: list[np.ndarray]) -> float:
    errors = np.concatenate([(a - b).ravel() for a, b in zip(found, truth, strict=True)])
    return float(np.sqrt(np.mean(errors**2)))


@pytest.fixture(scope="module")
def fitted() -> Restorer:
    return Restorer(**SMALL, threads=1).fit(*pairs(24, 0))


def test_new_images_come_out_clean_in_their_own_sides(fitted: Restorer) -> None:
    dirty, clean = pairs(6, 1)
    found = fitted.predict(dirty)
    assert [each.shape for each in found] == [each.shape for each in clean]
    before = rmse([each[..., 0] / 255 for each in dirty], clean)
    assert rmse(found, clean) < 0.5 * before
    assert min(each.min() for each in found) >= 0
    assert max(each.max() for each in found) <= 1


def test_what_was_saved_predicts_the_same(fitted: Restorer, tmp_path: Path) -> None:
    dirty, _ = pairs(2, 1)
    fitted.save(tmp_path)
    loaded = Restorer.load(tmp_path)
    assert loaded.get_params() == fitted.get_params()
    for one, other in zip(loaded.predict(dirty), fitted.predict(dirty), strict=True):
        assert np.allclose(one, other, atol=1e-6)


@pytest.mark.parametrize(
    ("changed", "images", "answers", "rule"),
    [
        ({}, [(24, 24, 1)], [(24, 23)], "its answer"),
        ({}, [(24, 24, 1)], [], "one each"),
        ({"patch": 15}, [(24, 24, 1)], [(24, 24)], "multiple of 2"),
    ],
)
def test_what_does_not_fit_is_refused(changed: Any, images: Any, answers: Any, rule: str) -> None:
    inputs = [np.zeros(shape, dtype=np.uint8) for shape in images]
    outputs = [np.zeros(shape, dtype=np.float32) for shape in answers]
    with pytest.raises(ValueError, match=rule):
        Restorer(**{**SMALL, **changed}).fit(inputs, outputs)


def test_an_image_is_decoded_in_its_own_sides() -> None:
    from io import BytesIO

    from PIL import Image

    buffer = BytesIO()
    Image.fromarray(np.arange(12, dtype=np.uint8).reshape(3, 4)).save(buffer, "PNG")
    assert decode(buffer.getvalue(), None, 1)[..., 0].tolist() == [
        [0, 1, 2, 3],
        [4, 5, 6, 7],
        [8, 9, 10, 11],
    ]
