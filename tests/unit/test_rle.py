"""Run-length codes there and back, what is no code, resizing, and Dice."""

from __future__ import annotations

import numpy as np
import pytest

from kit.errors import DataError
from kit.images.masks import decode, encode, resized
from kit.metrics.masks import dice


def test_pixels_are_counted_from_one_and_down_the_columns() -> None:
    mask = np.zeros((3, 2), dtype=bool)
    mask[1:, 0] = mask[0, 1] = True  # the end of the first column and the start of the second
    assert encode(mask) == "2 3"
    mask[2, 1] = True
    assert encode(mask) == "2 3 6 1"
    assert (decode("2 3 6 1", (3, 2)) == mask).all()


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
def test_codes_come_back_as_the_masks_they_were(share: float) -> None:
    rng = np.random.default_rng(0)
    for shape in ((1, 1), (7, 5), (5, 7), (40, 1), (1, 40)):
        mask = rng.random(shape) < share
        code = encode(mask)
        assert (decode(code, shape) == mask).all()
        assert encode(decode(code, shape)) == code


@pytest.mark.parametrize("empty", ["", " ", "-1", None, float("nan")])
def test_an_empty_code_is_an_empty_mask(empty: object) -> None:
    assert not decode(empty, (4, 3)).any()
    assert encode(np.zeros((4, 3))) == ""


@pytest.mark.parametrize(
    ("code", "rule"),
    [
        ("1 2 3", "pairs"),
        ("1 b", "pairs"),
        ("1.0 2", "pairs"),
        ("0 2", "inside 4 x 3"),
        ("1 0", "inside"),
        ("12 2", "inside"),
        ("-3 2", "inside"),
        ("1 5 3 2", "overlap"),
    ],
)
def test_what_is_no_code_is_refused(code: str, rule: str) -> None:
    with pytest.raises(DataError, match=rule) as caught:
        decode(code, (4, 3))
    assert code in str(caught.value)


def test_a_mask_is_resized_and_comes_back() -> None:
    mask = np.zeros((60, 90), dtype=bool)
    mask[10:40, 20:70] = True
    small = resized(mask, (32, 32))
    assert small.shape == (32, 32)
    assert small.mean() == pytest.approx(mask.mean(), abs=0.01)
    assert dice(mask, resized(small, (60, 90)) > 0.5) > 0.95


def test_dice_by_hand() -> None:
    truth, found = np.zeros((2, 4, 4), dtype=bool)
    truth[:2], found[1:3] = True, True  # 8 pixels each, 4 in common
    assert dice(truth, found) == 0.5
    assert dice(truth, truth) == 1.0
    assert dice(truth, ~truth) == 0.0
    empty = np.zeros((4, 4), dtype=bool)
    assert dice(empty, empty) == 1.0
    assert dice(empty, truth) == 0.0
    with pytest.raises(ValueError, match="same shape"):
        dice(truth, empty[:2])
