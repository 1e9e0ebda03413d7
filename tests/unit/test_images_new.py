"""`kit new` on images: paths, ids, class folders, names that tell the class, pixel columns."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from kit.competition import Competition
from kit.dataset import Dataset
from kit.errors import ConfigError, DataError
from kit.images.attach import Images
from kit.providers.local import LocalProvider
from kit.scaffold.facts import Inference
from kit.scaffold.images import make_tables
from kit.scaffold.write import create
from kit.settings import ProviderSpec


def picture(k: int, side: int = 80, mode: str = "RGB") -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, (side, side), k if mode == "L" else (k, k, k)).save(buffer, "PNG")
    return buffer.getvalue()


def made(tmp_path: Path, source: Path, **flags: Any) -> tuple[Competition, Inference]:
    root, spec = tmp_path / "c", ProviderSpec(name="local", source=str(source))
    provider = LocalProvider("c", spec, root)
    inference = create(root, provider, spec, flags=flags, template=None, progress=lambda *_: None)
    return Competition.load(root), inference


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    return folder


def tables(source: Path, train: pd.DataFrame, test: pd.DataFrame, target: str = "y") -> None:
    train.to_csv(source / "train.csv", index=False)
    test.to_csv(source / "test.csv", index=False)
    sample = pd.DataFrame({"id": test["id"], target: 0.5})
    sample.to_csv(source / "sample_submission.csv", index=False)


def test_a_column_of_paths_in_zips(tmp_path: Path, source: Path) -> None:
    for part, count in (("train", 30), ("test", 12)):
        with zipfile.ZipFile(source / f"{part}.zip", "w") as archive:
            for k in range(count):
                archive.writestr(f"{part}/{k}.png", picture(k))
    train = pd.DataFrame({"file": [f"train/{k}.png" for k in range(30)], "y": [0, 1] * 15})
    test = pd.DataFrame({"id": range(12), "file": [f"test/{k}.png" for k in range(12)]})
    tables(source, train, test)
    competition, _ = made(tmp_path, source)
    settings = competition.settings
    assert settings.columns.kinds == {"file": "image"}
    spec = settings.images["file"]
    assert (spec.train, spec.test, spec.channels) == ("{}", "{}", 3)
    assert "from images" in (competition.root / "README.md").read_text()  # its template
    assert (competition.root / "model.py").is_file()


def test_an_id_and_a_folder_per_file(tmp_path: Path, source: Path) -> None:
    for part in ("train", "test"):
        (source / part).mkdir()
        for k in range(1, 31):
            (source / part / f"{k}.png").write_bytes(picture(k, 20, "L"))
    frame = pd.DataFrame({"id": range(1, 31)})
    tables(source, frame.assign(y=[0, 1] * 15), frame)
    competition, _ = made(tmp_path, source)
    spec = competition.settings.images["image"]
    assert competition.settings.columns.kinds["image"] == "image"
    assert (spec.column, spec.train, spec.test) == ("id", "train/{}.png", "test/{}.png")
    assert (spec.size, spec.channels, spec.backbone) == (20, 1, "pixels")


@pytest.mark.parametrize(
    "name", ["train/{label}/{k}.png", "train/{label}.{k}.png", "train/{label}_{k}.png"]
)
def test_classes_by_folder_or_by_name(name: str, tmp_path: Path, source: Path) -> None:
    for k in range(30):
        path = source / name.format(label=("cat", "dog")[k % 2], k=k)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(k))
    (source / "test").mkdir()
    for k in range(1, 13):
        (source / "test" / f"{k}.png").write_bytes(picture(k))
    sample = pd.DataFrame({"id": range(1, 13), "label": 0.5})
    sample.to_csv(source / "sample_submission.csv", index=False)
    competition, inference = made(tmp_path, source)
    settings = competition.settings
    assert settings.task.classes == ("cat", "dog")
    assert settings.columns.target == ("label",)
    assert any("kit wrote train.csv" in question for question in inference.questions)
    test = pd.read_csv(competition.raw / "test.csv")
    assert test.iloc[8].tolist() == [9, "test/9.png"]


def test_a_class_may_have_one_image(tmp_path: Path, source: Path) -> None:
    for k in range(31):
        path = source / "train" / ("rare" if k == 30 else f"class_{k % 3}") / f"{k}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(k))
    (source / "test").mkdir()
    for k in range(1, 13):
        (source / "test" / f"{k}.png").write_bytes(picture(k))
    sample = pd.DataFrame({"id": range(1, 13), "label": "class_0"})
    sample.to_csv(source / "sample_submission.csv", index=False)
    make_tables(source)
    assert pd.read_csv(source / "train.csv")["label"].nunique() == 4


@pytest.mark.parametrize("per_class", [True, False])
def test_a_list_of_images_says_who_is_in_them(
    per_class: bool, tmp_path: Path, source: Path
) -> None:
    rows = []
    for k in range(250):
        path = source / "train" / f"c{k % 2}" / f"img_{k}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(k))
        rows.append((f"p{k // 10:03d}", f"c{k % 2}", path.name))
    (source / "test").mkdir()
    ids = [f"img_{k}.png" for k in range(900, 912)]
    for name in ids:
        (source / "test" / name).write_bytes(picture(1))
    listed = pd.DataFrame(rows, columns=["subject", "classname", "img"]).sample(frac=1)
    listed.to_csv(source / "driver_imgs_list.csv", index=False)
    wanted = {"c0": 0.5, "c1": 0.5} if per_class else {"what": "c0"}
    sample = pd.DataFrame({"img": ids, **wanted})
    sample.to_csv(source / "sample_submission.csv", index=False)
    competition, inference = made(tmp_path, source)
    settings = competition.settings
    assert settings.columns.target == ("classname" if per_class else "what",)
    assert (settings.columns.group, settings.columns.id) == ("subject", "img")
    assert settings.cv.splitter == "stratified_group_kfold"
    assert not any("Not used" in question for question in inference.questions)
    train = pd.read_csv(competition.raw / "train.csv").set_index("img").loc[[r[2] for r in rows]]
    assert train["subject"].tolist() == [row[0] for row in rows]


@pytest.mark.parametrize("name", ["train.csv", "labels.csv"])
@pytest.mark.parametrize("suffix", [".png", ""])
def test_the_sample_submission_names_the_test_images(
    name: str, suffix: str, tmp_path: Path, source: Path
) -> None:
    for part, count in (("train", 30), ("test", 12)):
        with zipfile.ZipFile(source / f"{part}.zip", "w") as archive:
            for k in range(count):
                archive.writestr(f"{part}/{part[0]}{k:02d}a.png", picture(k))
    ids = [f"t{k:02d}a{suffix}" for k in range(30)]
    pd.DataFrame({"id": ids, "y": [0, 1] * 15}).to_csv(source / name, index=False)
    sample = pd.DataFrame({"id": ids[:12], "y": 0.5})
    sample.to_csv(source / "sample_submission.csv", index=False)
    competition, inference = made(tmp_path, source)
    settings = competition.settings
    assert (settings.files.train, settings.files.test) == (name, "test.csv")
    assert pd.read_csv(competition.raw / "test.csv")["id"].tolist() == ids[:12]
    tail = "" if suffix else ".png"
    assert settings.images["image"].test == f"test/{{}}{tail}"
    assert any("kit wrote test.csv" in question for question in inference.questions)


def test_a_sample_submission_of_another_name_names_test_images(
    tmp_path: Path, source: Path
) -> None:
    for part, count in (("train", 30), ("test", 12)):
        (source / f"{part}_rev1").mkdir()
        for k in range(count):
            (source / f"{part}_rev1" / f"{part[0]}{k}.png").write_bytes(picture(k))
    train = pd.DataFrame({"name": [f"t{k}" for k in range(30)], "y": [0, 1] * 15})
    train.to_csv(source / "training_solutions.csv", index=False)
    for name, value in (("zeros", 0.5), ("pixels", 0.4)):
        sample = pd.DataFrame({"name": [f"t{k}" for k in range(12)], "y": value})
        sample.to_csv(source / f"{name}_benchmark.csv", index=False)
    with pytest.raises(ConfigError, match="say so with --sample"):
        made(tmp_path, source)
    competition, inference = made(tmp_path, source, sample="zeros_benchmark.csv")
    assert not any("more rows" in question for question in inference.questions)
    assert competition.settings.files.sample_submission == "zeros_benchmark.csv"
    assert competition.settings.images["image"].test == "test_rev1/{}.png"


def test_a_list_of_files_called_test_is_no_test_table(tmp_path: Path, source: Path) -> None:
    for folder, prefix, count in (("train", "train", 30), ("test", "test", 12), ("more", "f", 9)):
        (source / f"{folder}-png").mkdir()
        for k in range(count):
            (source / f"{folder}-png" / f"{prefix}_{k}.png").write_bytes(picture(k))
    train = pd.DataFrame({"name": [f"train_{k}" for k in range(30)], "y": [0, 1] * 15})
    train.to_csv(source / "train_v2.csv", index=False)
    sample = pd.DataFrame({"name": [f"test_{k}" for k in range(12)], "y": 0.5})
    sample.to_csv(source / "sample_submission_v2.csv", index=False)
    mapping = pd.DataFrame({"old": ["a.tif"], "new": ["b.tif"]})
    mapping.to_csv(source / "test_v2_file_mapping.csv", index=False)
    competition, _ = made(tmp_path, source)
    assert competition.settings.files.test == "test.csv"
    assert competition.settings.images["image"].test == "test-png/{}.png"
    assert len(pd.read_csv(competition.raw / "test.csv")) == 12


def test_a_list_of_ids_that_train_has_as_well_stays_as_it_is(source: Path) -> None:
    for part in ("train", "test"):
        (source / part).mkdir()
        for k in range(12):
            (source / part / f"{part}{k}.png").write_bytes(picture(k))
    train = pd.DataFrame({"id": [f"train{k}" for k in range(12)], "y": [0, 1] * 6})
    tables(source, train, pd.DataFrame({"id": [f"test{k}" for k in range(12)]}))
    assert make_tables(source) == []


@pytest.mark.parametrize("base", ["", "train/"])
def test_annotations_in_json_become_tables(base: str, tmp_path: Path, source: Path) -> None:
    images, listed = [], []
    for k in range(40):
        path = source / base / f"images/{k % 4}/{k}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(k))
        images.append({"id": k, "file_name": f"images/{k % 4}/{k}.png", "place": k % 5, "url": "u"})
        listed.append({"id": 900 + k, "image_id": k, "category_id": 7 * (k % 4)})
    listed.append({"id": 990, "image_id": 3, "category_id": 7})  # beside 21
    tests = [{"id": 100 + k, "file_name": f"test/{k}.png", "place": k % 5} for k in range(12)]
    (source / "test").mkdir()
    for k in range(12):
        (source / "test" / f"{k}.png").write_bytes(picture(k))
    known = {"info": {"year": 1}, "images": images, "annotations": listed, "categories": []}
    (source / base / "train2019.json").write_text(json.dumps(known))
    (source / "test2019.json").write_text(json.dumps({"info": {}, "images": tests}))
    sample = pd.DataFrame({"id": [each["id"] for each in tests], "predicted": 0})
    sample.to_csv(source / "sample_submission.csv", index=False)
    competition, inference = made(tmp_path, source)
    train = pd.read_csv(competition.raw / "train.csv")
    assert list(train.columns) == ["id", "file_name", "place", "category_id"]
    assert train.loc[3].tolist() == [3, f"{base}images/3/3.png", 3, 21]
    settings = competition.settings
    assert (settings.columns.target, settings.task.type) == (("category_id",), "multiclass")
    assert settings.columns.kinds["file_name"] == "image"
    assert len(pd.read_csv(competition.raw / "test.csv")) == 12
    assert any("1 have further categories" in question for question in inference.questions)


def test_recordings_without_tables_are_said_to_be_sound(tmp_path: Path, source: Path) -> None:
    with zipfile.ZipFile(source / "train.zip", "w") as archive:
        for k in range(12):
            archive.writestr(f"train/{k}.flac", b"fLaC")
    sample = pd.DataFrame({"clip": [f"t{k}.flac" for k in range(5)], "probability": 0})
    sample.to_csv(source / "sampleSubmission.csv", index=False)
    with pytest.raises(ConfigError, match=r"12 files are sound \(\.flac\)") as error:
        made(tmp_path, source)
    assert "as .wav" in str(error.value)


@pytest.mark.parametrize("copies", [False, True])
def test_medical_images_are_said_to_be_unread_but_for_copies(
    copies: bool, tmp_path: Path, source: Path
) -> None:
    (source / "train").mkdir()
    (source / "png").mkdir()
    for k in range(60):
        (source / "train" / f"{k}.dcm").write_bytes(b"DICM")
        if copies:
            (source / "png" / f"{k}.png").write_bytes(picture(k))
    frame = pd.DataFrame({"id": range(40), "a": np.arange(40) % 7})
    tables(source, frame.assign(y=[0, 1] * 20), frame.assign(id=range(40, 80))[:20])
    _, inference = made(tmp_path, source)
    told = [
        question for question in inference.questions if "60 files are medical images" in question
    ]
    assert len(told) == (not copies)


def test_no_test_table_is_made_of_ids_that_name_no_images(tmp_path: Path, source: Path) -> None:
    (source / "cover.png").write_bytes(picture(1))
    pd.DataFrame({"id": range(30), "y": [0, 1] * 15}).to_csv(source / "train.csv", index=False)
    sample = pd.DataFrame({"id": range(30, 40), "y": 0.5})
    sample.to_csv(source / "sample_submission.csv", index=False)
    with pytest.raises(ConfigError, match="--test FILE"):
        made(tmp_path, source)


def test_an_id_called_file_beside_class_folders(tmp_path: Path, source: Path) -> None:
    for k in range(30):
        path = source / "train" / ("oak", "elm")[k % 2] / f"{k}x.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(k))
    (source / "test").mkdir()
    for k in range(12):
        (source / "test" / f"{k}y.png").write_bytes(picture(k))
    sample = pd.DataFrame({"file": [f"{k}y.png" for k in range(12)], "species": "oak"})
    sample.to_csv(source / "sample_submission.csv", index=False)
    competition, _ = made(tmp_path, source)
    assert competition.settings.columns.kinds == {"image_file": "image"}
    assert competition.settings.columns.test_id == "file"


@pytest.mark.parametrize(("top", "kind"), [(255, int), (16, float)])
def test_pixel_columns(top: int, kind: type, tmp_path: Path, source: Path) -> None:
    values = np.random.default_rng(0).integers(top + 1, size=(60, 64)).astype(kind)
    frame = pd.DataFrame(values, columns=[f"pixel{k}" for k in range(64)])
    frame.insert(0, "id", [f"r{k}" for k in range(60)])
    tables(source, frame[:40].assign(y=[0, 1] * 20), frame[40:])
    competition, _ = made(tmp_path, source)
    spec = competition.settings.images["image"]
    assert (spec.pixels, spec.size, spec.channels, spec.top) == ("pixel{}", 8, 1, top)
    assert competition.settings.columns.kinds == {"image": "image"}


@pytest.mark.parametrize(("side", "channels"), [(9, 1), (8, 3)])
def test_all_pixels_in_a_cell(side: int, channels: int, tmp_path: Path, source: Path) -> None:
    values = np.random.default_rng(0).integers(256, size=(60, side * side * channels))
    cells = [" ".join(map(str, row)) for row in values]
    frame = pd.DataFrame({"id": [f"r{k}" for k in range(60)], "face": cells})
    tables(source, frame[:40].assign(y=[0, 1] * 20), frame[40:])
    competition, _ = made(tmp_path, source)
    spec = competition.settings.images["face"]
    assert (spec.pixels, spec.size, spec.channels, spec.top) == ("face", side, channels, 255)
    assert competition.settings.columns.kinds == {"face": "image"}
    data = Dataset.read(competition)
    pixels = data.X["face"].array.pixels(np.arange(40))
    assert np.array_equal(pixels.reshape(40, -1), values[:40])
    table = pd.read_csv(competition.raw / "test.csv", dtype="str")
    table.loc[3, "face"] = "1 2 3"
    with pytest.raises(DataError, match=r"images\.face: a cell must hold .* row 4 has 3:"):
        Images(competition).attach(table, "test")


def test_bands_of_decimals_in_cells_are_an_image_each(tmp_path: Path, source: Path) -> None:
    values = np.random.default_rng(0).uniform(-29.7, 12.2, (60, 2, 100)).round(4)
    values[0, :, :2] = -30, 12.5
    frame = pd.DataFrame({"id": [f"r{k}" for k in range(60)], "angle": np.arange(60) % 7 / 2})
    frame["band_1"], frame["band_2"] = (values[:, k].tolist() for k in range(2))
    frame.iloc[:40].assign(y=[0, 1] * 20).to_json(source / "train.json", orient="records")
    frame.iloc[40:].to_json(source / "test.json", orient="records")
    sample = pd.DataFrame({"id": frame["id"][40:], "y": 0.5})
    sample.to_csv(source / "sample_submission.csv", index=False)
    competition, inference = made(tmp_path, source)
    assert competition.settings.columns.kinds == {"band_1": "image", "band_2": "image"}
    spec = competition.settings.images["band_2"]
    assert (spec.pixels, spec.size, spec.bottom, spec.top) == ("band_2", 10, -30, 13)
    assert any("a signal in time" in question for question in inference.questions)
    pixels = Dataset.read(competition).X["band_2"].array.pixels(np.arange(40))
    expected = (values[:40, 1] + 30) * (255 / 43)
    assert np.abs(pixels.reshape(40, -1) - expected).max() <= 0.501


@pytest.mark.parametrize(
    "cell",
    [
        "1 2 3",
        " ".join(["300"] * 81),
        " ".join(["7"] * 80),
        " ".join(["ab"] * 81),
        " ".join(["1e6"] * 81),
    ],
)
def test_cells_of_other_numbers_are_no_images(cell: str, tmp_path: Path, source: Path) -> None:
    frame = pd.DataFrame({"id": [f"r{k}" for k in range(60)], "a": cell, "b": np.arange(60) % 7})
    tables(source, frame[:40].assign(y=[0, 1] * 20), frame[40:])
    assert made(tmp_path, source)[0].settings.images == {}


def test_columns_that_only_look_like_pixels_stay_numbers(tmp_path: Path, source: Path) -> None:
    values = np.random.default_rng(0).normal(size=(60, 64))
    frame = pd.DataFrame(values, columns=[f"v{k}" for k in range(64)])
    frame.insert(0, "id", [f"r{k}" for k in range(60)])
    tables(source, frame[:40].assign(y=[0, 1] * 20), frame[40:])
    competition, _ = made(tmp_path, source)
    assert competition.settings.images == {}


def test_images_that_nobody_names_are_asked_about(tmp_path: Path, source: Path) -> None:
    (source / "stray.png").write_bytes(picture(1))
    frame = pd.DataFrame({"id": [f"r{k}" for k in range(40)], "a": np.arange(40) % 7})
    tables(source, frame.assign(y=[0, 1] * 20), frame)
    competition, inference = made(tmp_path, source)
    assert competition.settings.images == {}
    assert any("no column names them" in question for question in inference.questions)


def test_missing_images_are_asked_about(tmp_path: Path, source: Path) -> None:
    (source / "0.png").write_bytes(picture(1))
    frame = pd.DataFrame({"id": range(40), "f": [f"{k}.png" for k in range(40)]})
    tables(source, frame.assign(y=[0, 1] * 20), frame)
    _, inference = made(tmp_path, source)
    assert any("only 2%" in question for question in inference.questions)
