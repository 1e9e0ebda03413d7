"""Submissions with several rows per row of test or image: known, and told with a way out."""

from __future__ import annotations

from io import BytesIO
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from kit.errors import ConfigError
from kit.scaffold.infer import infer
from kit.scaffold.masks import infer_masks

NAMES, WORDS = [f"n{k}" for k in range(40)], ["dog", "cat", "any"]
TRAIN, TEST = NAMES[:30], NAMES[30:]


def refusal(raw: Path, **tables: Any) -> str:
    for name, columns in tables.items():
        pd.DataFrame(columns).to_csv(raw / f"{name}.csv", index=False)
    with pytest.raises(ConfigError) as error:
        infer(raw, hints={}, flags={})
    return str(error.value)


@pytest.mark.parametrize("ends", [range(-2, 5), range(68)])
def test_several_rows_for_each_row_of_test(ends: range, tmp_path: Path) -> None:
    told = refusal(
        tmp_path,
        train={"id": TRAIN, "code": "ACGU", "y": range(30)},
        test={"id": TEST, "code": "ACGU"},
        sample_submission={"id_pos": [f"{n}_{k}" for n, k in product(TEST, ends)], "y": 0},
    )
    assert f"'n30_{ends[0]}' are made of test's 'id'" in told
    assert f"one of {len(ends)} others" in told
    assert "--group id" in told


def test_other_ids_are_told_as_before(tmp_path: Path) -> None:
    told = refusal(
        tmp_path,
        train={"id": TRAIN, "x": range(30), "y": range(30)},
        test={"id": TEST, "x": range(10)},
        sample_submission={"key": [f"k_{n}" for n in range(70)], "y": 0},
    )
    assert "Name the id column of test with --id" in told
    assert "made of" not in told


def long(names: list[str]) -> list[str]:
    return [f"{name}_{word}" for name, word in product(names, WORDS)]


def test_a_row_per_name_and_word(tmp_path: Path) -> None:
    ids = long(TEST)
    told = refusal(
        tmp_path,
        train={"ID": long(TRAIN), "y": [0, 1] * 45},
        sample_submission={"ID": ids, "y": 0.5},
    )
    assert "'n30_dog' are made of a name and one of 3 words (any, cat, dog)" in told


def test_dates_at_the_end_of_ids_are_no_words(tmp_path: Path) -> None:
    days = ["2020-01-01", "2020-01-02"]
    told = refusal(
        tmp_path,
        train={"ID": TRAIN, "y": range(30)},
        sample_submission={"ID": [f"{n}_{d}" for n, d in product(TEST, days)], "y": 0.5},
    )
    assert "words" not in told


def test_a_column_of_test_names_the_target(tmp_path: Path) -> None:
    rows = list(product(TEST, WORDS))
    told = refusal(
        tmp_path,
        train={"name": TRAIN, **{word: np.arange(30) % 3 for word in WORDS}},
        test={"row_id": long(TEST), "name": [n for n, _ in rows], "part": [w for _, w in rows]},
        sample_submission={"row_id": long(TEST), "target": 0},
    )
    assert "'part' of test says which column of train is asked for (any, cat, dog)" in told


def test_cells_of_names_of_columns(tmp_path: Path) -> None:
    told = refusal(
        tmp_path,
        train={"id": TRAIN, "x": range(30), **{word: np.arange(30) % 2 for word in WORDS}},
        test={"id": TEST, "x": range(10)},
        sample_submission={"id": TEST, "added": "dog cat"},
    )
    assert "'added' of the sample submission holds names of columns of train, such as 'cat'" in told


@pytest.mark.parametrize("column", [True, False])
def test_masks_per_class_have_a_way_out(column: bool, tmp_path: Path) -> None:
    for part, names in (("train", TRAIN), ("test", TEST)):
        (tmp_path / part).mkdir()
        for name in names:
            content = BytesIO()
            Image.fromarray(np.zeros((8, 8, 3), "uint8")).save(content, "PNG")
            (tmp_path / part / f"{name}.png").write_bytes(content.getvalue())
        images = [f"{name}.png" for name in names]
        table = pd.DataFrame({"Image_Label": long(images), "EncodedPixels": "1 3 10 5 20 2"})
        if column:
            table[["ImageId", "Label"]] = table.pop("Image_Label").str.rsplit("_", expand=True)
        file = "train.csv" if part == "train" else "sample_submission.csv"
        table.to_csv(tmp_path / file, index=False)
    with pytest.raises(ConfigError, match="write a folder for each class"):
        infer_masks(tmp_path, flags={}, overrides={}, template=None)
