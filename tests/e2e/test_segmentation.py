"""Masks: `kit new` knows them, and the script of its template goes from there to a submission."""

from __future__ import annotations

import json
import runpy
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from kit.images.masks import decode, encode
from kit.metrics.masks import dice

pytestmark = [pytest.mark.neural, pytest.mark.filterwarnings("ignore")]  # tensorflow's own warnings

N, N_TEST, SIDES = 28, 8, (40, 30)


def picture(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A bright rectangle on noise, 40 pixels high and 30 wide, and its mask."""
    rng = np.random.default_rng(seed)
    mask = np.zeros(SIDES, dtype=bool)
    top, left = rng.integers(2, 18), rng.integers(2, 12)
    mask[top : top + rng.integers(10, 20), left : left + rng.integers(8, 16)] = seed % 7 > 0
    return (rng.integers(0, 90, SIDES) + 130 * mask).astype(np.uint8), mask


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Images in folders, masks in train.csv; ids with leading zeros, every seventh mask empty."""
    from PIL import Image

    folder = tmp_path / "files"
    for part in ("train", "test", "train_masks"):
        (folder / part).mkdir(parents=True)
    codes = {}
    for k in range(N + N_TEST):
        pixels, mask = picture(k)
        part = "train" if k < N else "test"
        Image.fromarray(pixels).save(folder / part / f"{k:03}.png")
        Image.fromarray(mask).save(folder / "train_masks" / f"{k:03}.png")
        codes[f"{k:03}"] = encode(mask)
    ids = [*codes]
    table = pd.DataFrame({"id": ids, "rle_mask": codes.values()})
    table[:N].to_csv(folder / "train.csv", index=False)
    sample = pd.DataFrame({"id": ids[: N - 1 : -1], "rle_mask": "1 1"})  # in an order of its own
    sample.to_csv(folder / "sample_submission.csv", index=False)
    return folder


def run(root: Path, capsys: Any) -> str:
    capsys.readouterr()
    runpy.run_path(str(root / "train.py"), run_name="__main__")
    return str(capsys.readouterr().out)


def make(run_kit: Any, root: Path, files: Path, **settings: Any) -> dict[str, Any]:
    """The folder of `kit new`, with a small network; returns what `kit new` said."""
    done = run_kit("new", root.name, "-C", root.parent, "--from", files, "--json")
    assert done.code == 0, done.err
    text = (root / "settings.toml").read_text()
    small = {
        "epochs = 30": "epochs = 8",
        "[16, 32, 64, 128]": "[4, 8, 16]",
        "folds = 5": "folds = 2",
    }
    small |= {"learning_rate = 0.002": "learning_rate = 0.01", "batch = 16": "batch = 4"}
    for old, new in small.items():
        assert old in text
        text = text.replace(old, new)
    (root / "settings.toml").write_text(text)
    return json.loads(done.out)


@pytest.mark.slow
def test_from_files_to_a_submission_that_fits(
    run_kit: Any, tmp_path: Path, files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "salt"
    make(run_kit, root, files)
    settings = tomllib.loads((root / "settings.toml").read_text())
    assert settings["train_images"] == "train/{}.png"
    assert settings["test_images"] == "test/{}.png"
    assert (settings["id"], settings["mask"], settings["channels"]) == ("id", "rle_mask", 1)
    assert settings["size"] % 16 == 0
    assert not (root / "kit.toml").exists()

    first = run(root, capsys)
    assert float(first.split("all folds: Dice ")[1].split()[0]) > 0.8
    sample = pd.read_csv(files / "sample_submission.csv", dtype="str")
    submission = pd.read_csv(root / "submission.csv", dtype="str")
    assert list(submission.columns) == list(sample.columns)
    assert submission["id"].tolist() == sample["id"].tolist()
    found = [decode(code, SIDES) for code in submission["rle_mask"]]
    truth = [picture(int(name))[1] for name in sample["id"]]
    assert np.mean([*map(dice, truth, found)]) > 0.8

    # a fold that is gone is computed again, the other one is not; the result is the same
    (folder,) = [path for path in (root / "runs").iterdir() if path.is_dir()]
    kept = (folder / "fold-0.npz").stat().st_mtime_ns
    (folder / "fold-1.npz").unlink()
    again = run(root, capsys)
    assert again == first
    assert (folder / "fold-0.npz").stat().st_mtime_ns == kept
    assert pd.read_csv(root / "submission.csv", dtype="str").equals(submission)


def test_bad_input_of_the_script_is_one_clear_line(
    run_kit: Any, tmp_path: Path, files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "salt"
    make(run_kit, root, files)
    raw = root / "data" / "raw"
    table = pd.read_csv(raw / "train.csv", dtype="str")
    broken = table.assign(rle_mask=table["rle_mask"].where(table["id"] != "003", "1199 9"))
    broken.to_csv(raw / "train.csv", index=False)
    with pytest.raises(SystemExit, match=r"train\.csv, image 003: .* inside 40 x 30"):
        run(root, capsys)
    table.to_csv(raw / "train.csv", index=False)
    (raw / "train" / "004.png").unlink()
    (raw / "train" / "005.png").write_bytes(b"no image")
    with pytest.raises(SystemExit, match=r"2 of 28 train images .*004\.png: missing"):
        run(root, capsys)
    assert not (root / "submission.csv").exists()
    assert not (root / "runs").exists() or not [*(root / "runs").rglob("*.npz")]


def test_masks_in_a_zip_and_without_a_name_are_known(
    run_kit: Any, tmp_path: Path, files: Path
) -> None:
    for name in ("train.csv", "sample_submission.csv"):
        table = pd.read_csv(files / name, dtype="str").rename(columns={"rle_mask": "answer"})
        table.to_csv(files / name, index=False)
    pd.DataFrame({"id": ["000"], "z": [7]}).to_csv(files / "depths.csv", index=False)
    archive = tmp_path / "all.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for path in files.rglob("*.*"):
            packed.write(path, path.relative_to(files))
    done = run_kit("new", "salt", "-C", tmp_path, "--from", archive)
    assert done.code == 0, done.err
    assert "python train.py" in done.out
    assert "Not used: depths.csv" in done.out
    assert 'mask = "answer"' in (tmp_path / "salt" / "settings.toml").read_text()


def test_another_template_for_masks_is_refused(run_kit: Any, tmp_path: Path, files: Path) -> None:
    done = run_kit("new", "salt", "-C", tmp_path, "--from", files, "--template", "image")
    assert done.code == 1
    assert "'rle_mask' holds masks" in done.err
    assert "segmentation" in done.err
    assert not (tmp_path / "salt").exists()


def test_the_template_without_masks_is_refused(run_kit: Any, tmp_path: Path) -> None:
    done = run_kit("new", "iris", "-C", tmp_path, "--from", "sample", "--template", "segmentation")
    assert done.code == 1
    assert "no table of them" in done.err
    assert not (tmp_path / "iris").exists()


@pytest.mark.parametrize(
    ("values", "name"),
    [
        (["12 34", "5 6", "7 8"], "size"),  # pairs, but not called like masks
        (["70 80 82 72", "151 150 147 155", "3 3 4 4"], "pixels"),  # they do not follow one another
        (["1 3 10 5", "two"], "rle"),
        (["17", "18"], "mask"),
    ],
)
def test_other_numbers_are_no_masks(values: list[str], name: str) -> None:
    from kit.scaffold.masks import _holds_codes

    assert not _holds_codes(pd.Series(values, name=name))
    assert _holds_codes(pd.Series(["1 3 10 5", None, "-1", "7 8"], name="EncodedPixels"))
