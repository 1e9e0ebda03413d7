"""Images as answers: `kit new` knows them, and its template's script goes on to a submission."""

from __future__ import annotations

import io
import json
import runpy
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from kit.errors import DataError
from kit.images.shades import are_places, places, values_at

pytestmark = [pytest.mark.neural, pytest.mark.filterwarnings("ignore")]  # tensorflow's own warnings

N, N_TEST, SIDES = 12, 3, ((20, 30), (16, 30))


def page(k: int) -> tuple[np.ndarray, np.ndarray]:
    """A stained page and the clean one; pages 0 and 1, 2 and 3, ... are the same but for stains."""
    rng = np.random.default_rng(k // 2)
    clean = np.full(SIDES[k // 2 % 2], 255, dtype=np.uint8)
    for row in rng.choice(15, 5, replace=False):
        clean[row, 2:-3] = 0
    slope = np.linspace(120, 230, 30)[:: 1 if k % 2 else -1]
    noise = np.random.default_rng(1000 + k).normal(0, 6, clean.shape)
    return np.clip(np.minimum(clean, slope) + noise, 0, 255).astype(np.uint8), clean


def packed(pixels: np.ndarray) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(params=["", "{}/"], ids=["bare", "in a folder"])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Three zips of images, and a sample submission of their pixels that counts from 1."""
    folder = tmp_path / "files"
    folder.mkdir()
    for part in ("train", "train_cleaned", "test"):
        inside = request.param.format(part)
        with zipfile.ZipFile(folder / f"{part}.zip", "w") as archive:
            for k in range(N, N + N_TEST) if part == "test" else range(N):
                archive.writestr(f"{inside}{k}.png", packed(page(k)[part == "train_cleaned"]))
    lines = ["id,value"]
    for k in range(N, N + N_TEST):
        height, width = page(k)[0].shape
        lines += [f"{k}_{i + 1}_{j + 1},1" for i in range(height) for j in range(width)]
    with zipfile.ZipFile(folder / "sampleSubmission.csv.zip", "w") as archive:
        archive.writestr("sampleSubmission.csv", "\n".join(lines) + "\n")
    return folder


def make(run_kit: Any, root: Path, files: Path) -> dict[str, Any]:
    """The folder of `kit new`, with a small network; returns what `kit new` said."""
    done = run_kit("new", root.name, "-C", root.parent, "--from", files, "--json")
    assert done.code == 0, done.err
    text = (root / "settings.toml").read_text()
    small = {"[16, 32, 64]": "[6, 12]", "patch = 64": "patch = 16", "crops = 8": "crops = 16"}
    small |= {"folds = 5": "folds = 2", "epochs = 20": "epochs = 12", "0.002": "0.01"}
    for old, new in small.items():
        assert old in text
        text = text.replace(old, new)
    (root / "settings.toml").write_text(text)
    return json.loads(done.out)


def run(root: Path, capsys: Any) -> str:
    capsys.readouterr()
    runpy.run_path(str(root / "train.py"), run_name="__main__")
    return str(capsys.readouterr().out)


def test_the_settings_name_the_three_folders(run_kit: Any, tmp_path: Path, files: Path) -> None:
    told = make(run_kit, tmp_path / "pages", files)
    settings = tomllib.loads((tmp_path / "pages" / "settings.toml").read_text())
    assert settings["train_images"] == "train/{}.png"
    assert settings["clean_images"] == "train_cleaned/{}.png"
    assert settings["test_images"] == "test/{}.png"
    assert (settings["sample"], settings["channels"]) == ("sampleSubmission.csv.zip", 1)
    assert told["questions"] == []
    assert not (tmp_path / "pages" / "kit.toml").exists()


@pytest.mark.slow
@pytest.mark.parametrize("files", ["{}/"], indirect=True)
def test_from_files_to_a_submission_that_fits(
    run_kit: Any, tmp_path: Path, files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "pages"
    make(run_kit, root, files)
    first = run(root, capsys)
    own, nothing = (float(first.split(f"{name}: RMSE ")[1].split()[0]) for name in
                    ("all folds", "nothing done"))  # fmt: skip
    assert own < 0.5 * nothing
    sample = pd.read_csv(files / "sampleSubmission.csv.zip")
    submission = pd.read_csv(root / "submission.csv")
    assert submission["id"].tolist() == sample["id"].tolist()
    truth = np.concatenate([page(k)[1].ravel() for k in range(N, N + N_TEST)]) / 255
    assert np.sqrt(np.mean((submission["value"] - truth) ** 2)) < 0.5 * nothing

    # a fold that is gone is computed again, the other one is not; the result is the same
    (folder,) = [path for path in (root / "runs").iterdir() if path.is_dir()]
    kept = (folder / "fold-0.npz").stat().st_mtime_ns
    (folder / "fold-1.npz").unlink()
    assert run(root, capsys) == first
    assert (folder / "fold-0.npz").stat().st_mtime_ns == kept
    assert pd.read_csv(root / "submission.csv").equals(submission)


@pytest.mark.parametrize("files", ["{}/"], indirect=True)
def test_bad_input_of_the_script_is_one_clear_line(
    run_kit: Any, tmp_path: Path, files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "pages"
    make(run_kit, root, files)
    script = runpy.run_path(str(root / "train.py"))
    pages = [page(k)[1] for k in range(N)]
    folds = script["make_folds"]({"folds": 3, "seed": 0}, pages)
    assert all(folds[k] == folds[k + 1] for k in range(0, N, 2))  # the same page under other stains
    extra = root / "data" / "raw" / "train"
    extra.mkdir()
    (extra / "99.png").write_bytes(packed(page(0)[0]))
    with pytest.raises(SystemExit, match=r"train_cleaned/99\.png is missing"):
        run(root, capsys)
    (root / "data" / "raw" / "train_cleaned").mkdir()
    (root / "data" / "raw" / "train_cleaned" / "99.png").write_bytes(packed(page(2)[1]))
    with pytest.raises(SystemExit, match=r"image 99: stained \(20, 30\), clean \(16, 30\)"):
        run(root, capsys)
    assert not (root / "submission.csv").exists()


@pytest.mark.parametrize("files", [""], indirect=True)
def test_another_template_is_refused_and_so_is_this_one_elsewhere(
    run_kit: Any, tmp_path: Path, files: Path
) -> None:
    done = run_kit("new", "pages", "-C", tmp_path, "--from", files, "--template", "image")
    assert done.code == 1
    assert "asks for the pixels of images" in done.err
    done = run_kit("new", "iris", "-C", tmp_path, "--from", "sample", "--template", "restoration")
    assert done.code == 1
    assert "pairs of images" in done.err


def test_ids_of_pixels_are_read_and_checked() -> None:
    assert are_places(["a_b_1_2", "7_10_1"])
    assert not are_places(["7_10_1", "7_10"])
    where = places(pd.Series(["a_b_1_1", "a_b_2_3", "c_1_2"]))
    assert where["image"].tolist() == ["a_b", "a_b", "c"]
    images = {"a_b": np.arange(6, dtype=np.float32).reshape(2, 3), "c": np.ones((1, 2))}
    assert values_at(where, images).tolist() == [0, 5, 1]
    assert places(pd.Series(["x_0_0", "x_1_1"]))["row"].tolist() == [0, 1]
    with pytest.raises(DataError, match="IMAGE_ROW_COLUMN"):
        places(pd.Series(["x_0_0", "seven"]))
    with pytest.raises(DataError, match=r"asks for 2 x 3 pixels of image 'a_b', which has 1 x 2"):
        values_at(where, {**images, "a_b": np.ones((1, 2))})
    with pytest.raises(DataError, match="'c', which is not there"):
        values_at(where, {"a_b": images["a_b"]})
