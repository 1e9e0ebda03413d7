"""Images: files and zips, decoding, stores, the column, embeddings, what is bad."""

from __future__ import annotations

import io
import os
import pickle
import struct
import sys
import types
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from kit.competition import Competition
from kit.dataset import Dataset
from kit.errors import ConfigError, DataError, DiskFull, MissingDependency
from kit.images import decode as decoding
from kit.images import store as store_module
from kit.images.attach import Images, pixel_columns, with_sources
from kit.images.backbones import AS_THEY_ARE, Backbone, find_backbone, moved, small
from kit.images.column import ImageArray
from kit.images.decode import Fault, decode
from kit.images.embeddings import Stopped, embedded, embedding, embedding_path
from kit.images.files import ImageFile, ImageFolder
from kit.images.store import BLOCK, Store, described, store_files, store_pixels
from kit.images.torch_weights import read_torch_weights
from kit.scaffold.images import endings, pattern_of
from kit.settings import ImageSpec

Made = Callable[..., Competition]


def picture(shade: int = 200, side: int = 8, mode: str = "RGB", kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    colour: Any = shade if mode in ("L", "I;16", "1") else (shade, 0, 0, 128)[: len(mode)]
    Image.new(mode, (side, side), colour).save(buffer, kind)
    return buffer.getvalue()


def stored(folder: Path, names: list[str], *, size: int = 4, channels: int = 3) -> Store:
    files = ImageFolder(folder, folder / ".cache")
    return store_files(
        folder / ".cache", files, names, files.digests(), size=size, channels=channels, what="f"
    )


# ------------------------------------------------------------------------------ files


def test_members_of_zips_are_found_under_both_names(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "train.zip", "w") as archive:
        archive.writestr("a.png", picture(10))
        archive.writestr("train/b.png", picture(20))
        archive.writestr("notes.txt", "no image")
        archive.writestr("__MACOSX/a.png", "rubbish")
    (tmp_path / "c.JPG").write_bytes(picture(30, kind="JPEG"))
    folder = ImageFolder(tmp_path)
    assert set(folder.files) == {"a.png", "train/a.png", "train/b.png", "c.JPG"}
    assert folder.read("train/b.png") == picture(20)


def test_a_file_wins_over_a_member_and_a_torn_zip_holds_nothing(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("x.png", picture(10))
    (tmp_path / "x.png").write_bytes(picture(20))
    (tmp_path / "torn.zip").write_bytes((tmp_path / "a.zip").read_bytes()[:60])
    folder = ImageFolder(tmp_path)
    assert folder.read("x.png") == picture(20)
    assert set(folder.files) == {"x.png", "a/x.png"}


def test_unchanged_files_are_not_read_again(tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "x.png").write_bytes(picture())
    first = ImageFolder(tmp_path, tmp_path / "cache").digests()
    monkeypatch.setattr(ImageFolder, "read", lambda *_: pytest.fail("it was read again"))
    assert ImageFolder(tmp_path, tmp_path / "cache").digests() == first


def test_a_changed_file_has_another_digest(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(picture(10))
    first = ImageFolder(tmp_path, tmp_path / "cache").digests()
    path.write_bytes(picture(20))
    os.utime(path, ns=(1, 1))
    assert ImageFolder(tmp_path, tmp_path / "cache").digests() != first


# ------------------------------------------------------------------------------ decoding


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "1", "I;16"])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_mode_becomes_the_channels_asked_for(mode: str, channels: int) -> None:
    pixels = decode(picture(1 if mode == "1" else 200, mode=mode), 4, channels)
    assert pixels.shape == (4, 4, channels)
    assert pixels.dtype == np.uint8


def test_sixteen_bits_are_brought_to_eight_by_their_range() -> None:
    values = np.linspace(1000, 40_000, 64).reshape(8, 8).astype(np.uint16)
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, "PNG")
    pixels = decode(buffer.getvalue(), 8, 1)
    assert (pixels.min(), pixels.max()) == (0, 255)


def test_shades_from_0_to_1_are_not_rounded_away() -> None:
    values = np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8)
    values[0, 1] = np.nan
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, "TIFF")
    pixels = decode(buffer.getvalue(), 8, 1)[:, :, 0]
    assert (pixels[0, 1], pixels[4, 0], pixels[7, 7]) == (0, round(32 / 63 * 255), 255)


def test_images_in_very_many_folders_are_found() -> None:
    folder, ids = ImageFolder(Path("nowhere")), [f"{k:04x}" for k in range(0, 65536, 13)]
    for part, names in (("train", ids), ("test", ids)):  # other images of the same names
        for name in names:
            path = f"{part}/{name[0]}/{name[1:3]}/{name}.jpg"
            folder.files[path] = ImageFile(Path(path), "", 1, 1)
    for part in ("train", "test"):
        pattern, share = pattern_of(folder, pd.Series(ids), endings(folder), part)
        assert (pattern, share) == (f"{part}*/{{}}.jpg", 1.0)


def test_images_of_one_column_may_lie_in_several_folders(tmp_path: Path) -> None:
    for k in range(8):
        path = tmp_path / f"part_{k % 2 + 1}" / f"{k}.png"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(picture(k))
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "3.png").write_bytes(picture())
    folder, values = ImageFolder(tmp_path), pd.Series([str(k) for k in range(8)])
    pattern, share = pattern_of(folder, values, endings(folder), "train")
    assert (pattern, share) == ("part_*/{}.png", 1.0)
    assert folder.named(pattern, values) == [f"part_{k % 2 + 1}/{k}.png" for k in range(8)]
    assert folder.named(pattern, ["9", "", "../test/3"]) == [
        "part_*/9.png",
        "",
        "part_*/../test/3.png",
    ]


def test_what_is_drawn_in_black_on_nothing_is_laid_on_white() -> None:
    drawn = np.zeros((8, 8, 4), np.uint8)
    drawn[2:4, 2:4, 3] = 255
    buffer = io.BytesIO()
    Image.fromarray(drawn).save(buffer, "PNG")
    assert np.array_equal(decode(buffer.getvalue(), 8, 1)[:, :, 0], 255 - drawn[:, :, 3])


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_the_camera_s_note_on_how_it_was_held_is_followed(kind: str) -> None:
    upright = Image.fromarray(np.repeat(np.uint8([[0, 255]] * 8), 4, axis=1))
    held = Image.Exif()
    held[0x0112] = 6  # the camera was turned to the right
    turned, noted = io.BytesIO(), io.BytesIO()
    upright.rotate(270, expand=True).save(turned, kind)
    upright.save(noted, kind, exif=held)
    expected = decode(turned.getvalue(), 8, 1).astype(int)
    assert np.abs(decode(noted.getvalue(), 8, 1) - expected).max() <= 2
    stored = decode(noted.getvalue(), 8, 1, upright=False)
    assert np.abs(stored - np.asarray(upright).reshape(8, 8, 1).astype(int)).max() <= 2


def test_a_broken_note_does_not_spoil_the_picture() -> None:
    buffer = io.BytesIO()
    Image.new("L", (8, 8), 90).save(buffer, "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert decode(buffer.getvalue(), 8, 1).mean() == pytest.approx(90, abs=2)


def test_transparency_is_laid_on_black() -> None:
    assert decode(picture(200, mode="RGBA"), 4, 3)[0, 0, 0] == pytest.approx(100, abs=1)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty file"),
        (b"<html>404</html>", "not an image"),
        (picture(side=64, kind="JPEG")[:-200], "corrupt image"),
        (picture(side=64)[:60], "corrupt image"),
    ],
)
def test_what_is_no_image_is_a_fault(content: bytes, reason: str) -> None:
    with pytest.raises(Fault, match=reason):
        decode(content, 4, 3)


def test_a_bomb_is_refused_before_it_is_unpacked(monkeypatch: Any) -> None:
    monkeypatch.setattr(decoding, "MOST_PIXELS", 63)
    with pytest.raises(Fault, match="image bomb"):
        decode(picture(side=8), 4, 3)


def test_pillows_own_limit_is_a_bomb_too(monkeypatch: Any) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(Fault, match="image bomb"):
        decode(picture(side=8), 4, 3)


def test_the_suffix_does_not_decide(tmp_path: Path) -> None:
    (tmp_path / "really_a_png.jpg").write_bytes(picture(90))
    assert stored(tmp_path, ["really_a_png.jpg"]).pixels[0, 0, 0, 0] == 90


# ------------------------------------------------------------------------------ stores


def test_bad_images_are_counted_by_reason_and_become_neutral(tmp_path: Path) -> None:
    for k in range(96):
        (tmp_path / f"{k}.png").write_bytes(picture(k))
    (tmp_path / "bad.png").write_bytes(b"x")
    names = [f"{k}.png" for k in range(96)]
    names += ["bad.png", "gone.png", "../../secret.png", "/etc/passwd"]
    store = stored(tmp_path, names)
    assert store.faults == {
        "not an image": (1, "bad.png"),
        "missing file": (1, "gone.png"),
        "path outside data/raw": (2, "../../secret.png"),
    }
    assert (store.pixels[96:] == 127).all()
    assert "missing file: 1, first 'gone.png'" in described(store)


def test_too_many_bad_images_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(picture())
    with pytest.raises(DataError, match=r"2 of 3 images cannot be had: missing file: 2"):
        stored(tmp_path, ["a.png", "b.png", "c.png"])


def test_a_file_outside_is_never_opened(tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(picture(9))
    inside = tmp_path / "raw"
    inside.mkdir()
    (inside / "a.png").write_bytes(picture(1))
    store = stored(inside, ["a.png"] * 30 + ["../secret.png"])
    assert (store.pixels[-1] == 127).all()


def test_the_key_is_the_content_and_the_size_not_the_names(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(picture(10))
    (tmp_path / "b.png").write_bytes(picture(10))
    (tmp_path / "c.png").write_bytes(picture(11))
    a, b, c = (stored(tmp_path, [name]) for name in ("a.png", "b.png", "c.png"))
    assert a.key == b.key != c.key
    assert stored(tmp_path, ["a.png"], size=5).key != a.key


def test_a_store_is_decoded_once(tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "a.png").write_bytes(picture(10))
    first = stored(tmp_path, ["a.png"])
    monkeypatch.setattr("kit.images.store.decode", lambda *_: pytest.fail("decoded again"))
    assert np.array_equal(stored(tmp_path, ["a.png"]).pixels, first.pixels)


def test_a_damaged_store_is_made_again(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(picture(10))
    first = stored(tmp_path, ["a.png"])
    assert first.folder is not None
    (first.folder / "pixels.npy").write_bytes(b"torn")
    assert stored(tmp_path, ["a.png"]).pixels[0, 0, 0, 0] == 10


def test_a_store_of_several_blocks_is_mapped_not_read(tmp_path: Path) -> None:
    values = np.arange((BLOCK + 3) * 4).reshape(-1, 4) % 17
    store = store_pixels(tmp_path, values, size=2, channels=1, top=16)
    assert isinstance(store.pixels, np.memmap)
    assert np.array_equal(store.pixels.reshape(-1, 4), np.round(values * (255 / 16)))


def test_files_are_decoded_a_block_at_a_time(tmp_path: Path, monkeypatch: Any) -> None:
    """What is decoded and not yet written never exceeds a block."""
    for k in range(10):
        (tmp_path / f"{k}.png").write_bytes(picture(20 * k))
    decoded, written = [], []

    def counted(*arguments: Any) -> Any:
        decoded.append(decode(*arguments))
        return decoded[-1]

    def filled(path: Path, blocks: Any, *rest: Any) -> Any:
        def seen() -> Any:
            for pixels, reasons in blocks:
                written.append((len(pixels), len(decoded)))
                yield pixels, reasons

        return fill(path, seen(), *rest)

    fill = store_module._fill
    monkeypatch.setattr(store_module, "BLOCK", 4)
    monkeypatch.setattr(store_module, "decode", counted)
    monkeypatch.setattr(store_module, "_fill", filled)
    store = stored(tmp_path, [f"{k}.png" for k in range(10)])
    assert written == [(4, 4), (4, 8), (2, 10)]
    assert isinstance(store.pixels, np.memmap)
    assert store.pixels[:, 0, 0, 0].tolist() == [20 * k for k in range(10)]


def test_a_full_disk_is_said_before_anything_is_written(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("kit.images.store._SPARE", 1 << 60)
    with pytest.raises(DiskFull, match="make `size` under"):
        store_pixels(tmp_path, np.zeros((1, 4)), size=2, channels=1, top=1)
    assert not list(tmp_path.rglob("*.npy"))


# ------------------------------------------------------------------------------ the column


@pytest.fixture
def column() -> ImageArray:
    return ImageArray(Store.of(np.arange(5 * 12, dtype=np.uint8).reshape(5, 2, 2, 3)), np.arange(5))


def test_rows_of_a_frame_take_their_images_along(column: ImageArray) -> None:
    frame = pd.DataFrame({"a": range(5), "i": column}, index=list("vwxyz"))
    some = frame.iloc[[3, 1]]
    assert np.array_equal(some["i"].array.pixels(), column.pixels()[[3, 1]])
    assert np.array_equal(frame[frame["a"] > 3]["i"].array.positions, [4])
    assert frame.loc[["x"], "i"].array.positions.tolist() == [2]


def test_a_missing_row_is_a_neutral_image(column: ImageArray) -> None:
    moved = pd.Series(column, index=list("abcde")).reindex(["a", "q"])
    assert moved.isna().tolist() == [False, True]
    assert (moved.array.pixels()[1] == 127).all()


def test_frames_of_two_stores_are_put_together(column: ImageArray) -> None:
    other = ImageArray(Store.of(np.full((2, 2, 2, 3), 9, dtype=np.uint8)), np.arange(2))
    both = pd.concat([pd.Series(column), pd.Series(other)])
    assert np.array_equal(both.array.pixels(), np.concatenate([column.pixels(), other.pixels()]))


def test_a_pickled_column_does_not_carry_pixels_of_a_file(tmp_path: Path) -> None:
    store = store_pixels(tmp_path, np.zeros((100, 64)), size=8, channels=1, top=255)
    _ = store.pixels
    assert len(pickle.dumps(ImageArray(store, np.arange(3)))) < 2000


# ------------------------------------------------------------------------------ competitions


def with_files(make: Made, names: list[str], **tables: Any) -> Competition:
    """60 training and 20 test rows that name images; bright ones are of class 1."""
    labels = np.arange(60) % 2
    train = pd.DataFrame({"id": [f"r{k}" for k in range(60)], "f": names[:60], "y": labels})
    test = pd.DataFrame({"id": [f"t{k}" for k in range(20)], "f": names[60:]})
    tables.setdefault("images", {"f": {"size": 8}})
    competition = make(
        train, test, columns={"kinds": {"f": "image"}, "id": "id", "target": "y"}, **tables
    )
    rng = np.random.default_rng(0)
    for k in range(80):
        shade = 60 * (k % 2) + 60 + int(rng.integers(40))
        (competition.raw / f"{k}.png").write_bytes(picture(shade))
    return competition


NAMES = [f"{k}.png" for k in range(80)]


def test_paths_become_images(make_competition: Made) -> None:
    data = Dataset.read(with_files(make_competition, NAMES))
    assert data.X["f"].array.pixels().shape == (60, 8, 8, 3)
    assert data.X_test["f"].array.store.n == 20
    assert data.notes == ()


def test_an_image_of_several_rows_is_kept_once(make_competition: Made) -> None:
    names = [f"{k // 2}.png" for k in range(80)]
    competition = with_files(make_competition, names)
    images = Dataset.read(competition).X["f"].array
    own = [np.asarray(Image.open(competition.raw / name))[0, 0, 0] for name in names[:60]]
    assert images.store.n == 30
    assert images.pixels()[:, 0, 0, 0].tolist() == own


def test_missing_images_are_counted_among_rows_not_files(make_competition: Made) -> None:
    names = ["7.png"] * 58 + ["gone.png"] * 2 + ["8.png"] * 20
    data = Dataset.read(with_files(make_competition, names))
    assert "'gone.png'" in data.notes[0]


def test_a_pattern_and_an_id_name_images(make_competition: Made) -> None:
    train = pd.DataFrame({"id": [str(k) for k in range(60)], "a": range(60)})
    train["y"] = np.arange(60) % 2
    test = pd.DataFrame({"id": [str(k) for k in range(60, 80)], "a": range(20)})
    competition = make_competition(
        train,
        test,
        columns={"kinds": {"picture": "image"}},
        images={"picture": {"column": "id", "train": "{}.png", "test": "{}.png", "size": 4}},
    )
    for k in range(80):
        (competition.raw / f"{k}.png").write_bytes(picture(k))
    data = Dataset.read(competition)
    assert list(data.X.columns) == ["a", "picture"]
    assert data.X_test["picture"].array.pixels()[0, 0, 0, 0] == 60


def test_images_beside_many_columns_warn_of_nothing(make_competition: Made) -> None:
    rows = pd.DataFrame({"id": ["a", "b"], "y": [0, 1]})
    competition = make_competition(
        rows,
        rows[["id"]],
        columns={"kinds": {"picture": "image"}},
        images={"picture": {"column": "id", "train": "{}.png", "test": "{}.png", "size": 4}},
    )
    frame = pd.DataFrame({"id": ["a", "b"]})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for number in range(120):  # a block for each, as pandas reads them
            frame[f"margin{number}"] = [0.5, 1.0]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = with_sources(competition, frame)
    assert found["picture"].tolist() == ["a", "b"]
    assert "picture" not in frame


def test_pixel_columns_become_one_image(make_competition: Made) -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.integers(17, size=(80, 16)), columns=[f"p{k}" for k in range(16)])
    frame = frame[sorted(frame.columns)]  # p0, p1, p10, ...
    frame.insert(0, "id", [f"r{k}" for k in range(80)])
    train, test = frame[:60].assign(y=np.arange(60) % 2), frame[60:]
    competition = make_competition(
        train,
        test,
        columns={"kinds": {"image": "image"}},
        images={"image": {"pixels": "p{}", "size": 4, "channels": 1, "top": 16}},
    )
    data = Dataset.read(competition)
    assert list(data.X.columns) == ["image"]
    pixels = data.X["image"].array.pixels()
    expected = train[[f"p{k}" for k in range(16)]].to_numpy() * 255 / 16
    assert np.array_equal(pixels.reshape(60, 16), np.round(expected))


def test_pixel_columns_that_make_no_square_are_an_error(make_competition: Made) -> None:
    frame = pd.DataFrame({"id": range(40), "p1": 1, "p2": 2, "p3": 3})
    competition = make_competition(
        frame.assign(y=[0, 1] * 20),
        frame,
        columns={"kinds": {"image": "image"}},
        images={"image": {"pixels": "p{}", "size": 2, "channels": 1}},
    )
    with pytest.raises(DataError, match=r"3 columns are called 'p\{\}'.* are 4"):
        Dataset.read(competition)


def test_images_are_in_the_data_digest(make_competition: Made) -> None:
    competition = with_files(make_competition, NAMES)
    first = Dataset.read(competition).digests
    (competition.raw / "3.png").write_bytes(picture(3))
    os.utime(competition.raw / "3.png", ns=(1, 1))
    assert Dataset.read(competition).digests["data"] != first["data"]


def test_the_weights_are_in_the_features_digest(make_competition: Made) -> None:
    competition = with_files(make_competition, NAMES)
    images = Images(competition)
    plain = images.features_digest("code")
    images.backbones["f"] = Backbone("other", Path("x"), "another digest")
    assert images.features_digest("code") != plain


def test_faults_become_notes(make_competition: Made) -> None:
    competition = with_files(make_competition, [*NAMES[:59], "gone.png", *NAMES[60:]])
    (note,) = Dataset.read(competition).notes
    assert "images of 'f' in train: missing file: 1, first 'gone.png'" in note


def test_images_without_a_kind_are_an_error(make_competition: Made) -> None:
    frame = pd.DataFrame({"id": range(4), "a": range(4)})
    with pytest.raises(ConfigError, match=r'columns.kinds must say f = "image"'):
        make_competition(frame.assign(y=[0, 1, 0, 1]), frame, images={"f": {"size": 8}})


def test_pixel_columns_are_in_the_order_of_their_numbers() -> None:
    assert pixel_columns(["1x10", "2x1", "1x2", "x"], "{}x{}") == ["1x2", "1x10", "2x1"]


# ------------------------------------------------------------------------------ backbones


def test_small_images_are_means_of_their_parts() -> None:
    pixels = np.zeros((1, 56, 56, 1), dtype=np.uint8)
    pixels[0, :2, :2] = [[[0], [255]], [[255], [0]]]
    values = small(pixels)
    assert values.shape == (1, 784)
    assert values[0, 0] == pytest.approx(0.5)
    assert (values[0, 1:] == 0).all()


def test_an_image_as_small_as_can_be_stays_as_it_is() -> None:
    pixels = np.random.default_rng(0).integers(256, size=(3, 8, 8, 1), dtype=np.uint8)
    assert np.allclose(small(pixels), pixels.reshape(3, 64) / 255)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("efficentnet", "unknown backbone"),
        ("gone.pth", "there is no such file"),
        ("keras:ResNet50", "holds no weights of it"),
        ("gone.pth@96", "there is no such file"),
        ("mine.pth@16", "mine.pth is not to be had at 16 pixels: from 32 pixels on"),
        ("mine.keras@96", "not to be had at 96 pixels: a saved network has its own"),
    ],
)
def test_a_backbone_that_is_not_there_is_an_error(name: str, message: str, tmp_path: Path) -> None:
    for there in ("mine.pth", "mine.keras"):
        (tmp_path / there).write_bytes(b"weights")
    with pytest.raises(ConfigError, match=message):
        find_backbone(name, tmp_path, "images.f.backbone")


def test_a_backbone_for_smaller_images_has_vectors_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "mine.pth").write_bytes(b"weights")
    own = find_backbone("mine.pth", tmp_path, "images.f.backbone")
    smaller = find_backbone("mine.pth@96", tmp_path, "images.f.backbone")
    assert (own.side, smaller.side, smaller.path) == (0, 96, own.path)
    assert smaller.reference == "mine.pth@96"
    assert own.at(96) == smaller == own.at(64).at(96) == moved("mine.pth@96", tmp_path / "mine.pth")
    assert smaller.at(0) == own
    store = store_pixels(tmp_path, np.eye(4), size=2, channels=1, top=1)
    paths = {embedding_path(store, each) for each in (own, smaller, own.at(64))}
    assert len(paths) == 3


def test_a_missing_package_names_the_extra(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("kit.images.backbones.installed", lambda: None)
    with pytest.raises(MissingDependency, match=r"kit-competitions\[pretrained\]"):
        find_backbone("efficientnet_lite0", tmp_path, "images.f.backbone")


def test_weights_of_an_application_are_found_in_the_cache_only(tmp_path: Path) -> None:
    folder = Path("~/.keras/models").expanduser()
    folder.mkdir(parents=True)
    for name in ("resnet50v2_weights_notop.h5", "resnet50_weights_kernels_notop.h5"):
        (folder / name).write_bytes(name.encode())
    found = find_backbone("keras:ResNet50", tmp_path, "key")
    assert found.path == folder / "resnet50_weights_kernels_notop.h5"


def test_vectors_are_computed_once_per_content_and_weights(tmp_path: Path) -> None:
    store = store_pixels(tmp_path, np.eye(4), size=2, channels=1, top=1)
    first = embedding(store, AS_THEY_ARE)
    before = embedding_path(store, AS_THEY_ARE).stat().st_mtime_ns
    again = embedded(ImageArray(store, np.array([2, -1])))
    assert embedding_path(store, AS_THEY_ARE).stat().st_mtime_ns == before
    assert np.array_equal(first, np.eye(4))
    assert np.array_equal(again, [[0, 0, 1, 0], [0, 0, 0, 0]])


def test_vectors_that_take_too_long_are_given_up_and_leave_nothing(tmp_path: Path) -> None:
    store = store_pixels(tmp_path, np.eye(4), size=2, channels=1, top=1)
    with pytest.raises(Stopped):
        embedding(store, AS_THEY_ARE, lambda done, n: False)
    assert not list(tmp_path.rglob("embedding*.npy"))


# ------------------------------------------------------------------------------ PyTorch's files


@pytest.fixture
def fake_torch(monkeypatch: Any) -> types.ModuleType:
    """What pickle needs to write a file as PyTorch does; kit's reader does without."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")

    def _rebuild_tensor_v2(*_: Any) -> None: ...

    class FloatStorage: ...

    for thing, module in ((_rebuild_tensor_v2, utils), (FloatStorage, torch)):
        thing.__module__, thing.__qualname__ = module.__name__, thing.__name__
        setattr(module, thing.__name__, thing)
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setitem(sys.modules, "torch._utils", utils)
    return torch


class _Stored:
    def __init__(self, key: str, values: Any) -> None:
        self.key, self.values = key, np.asarray(values, dtype="<f4")


class _Tensor:
    def __init__(self, torch: Any, storage: _Stored, offset: int, shape: Any, strides: Any) -> None:
        self.torch, self.parts = torch, (storage, offset, shape, strides)

    def __reduce__(self) -> Any:
        rebuild = sys.modules["torch._utils"]._rebuild_tensor_v2
        return rebuild, (*self.parts, False, OrderedDict())


def pickled(named: Any, torch: Any) -> bytes:
    class Pickler(pickle.Pickler):
        def persistent_id(self, thing: Any) -> Any:
            if isinstance(thing, _Stored):
                return ("storage", torch.FloatStorage, thing.key, "cpu", len(thing.values))
            return None

    buffer = io.BytesIO()
    Pickler(buffer, protocol=2).dump(named)
    return buffer.getvalue()


def legacy(named: Any, torch: Any, storages: list[_Stored]) -> bytes:
    parts = [pickle.dumps(0x1950A86A20F9469CFC6C, 2), pickle.dumps(1001, 2), pickle.dumps({}, 2)]
    parts += [pickled(named, torch), pickle.dumps([s.key for s in storages], 2)]
    parts += [struct.pack("<q", len(s.values)) + s.values.tobytes() for s in storages]
    return b"".join(parts)


def zipped(named: Any, torch: Any, storages: list[_Stored]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("model/data.pkl", pickled(named, torch))
        for storage in storages:
            archive.writestr(f"model/data/{storage.key}", storage.values.tobytes())
    return buffer.getvalue()


@pytest.mark.parametrize("write", [legacy, zipped])
def test_tensors_are_read_from_both_formats(
    write: Any, tmp_path: Path, fake_torch: types.ModuleType
) -> None:
    storage = _Stored("0", range(8))
    named = OrderedDict(
        whole=_Tensor(fake_torch, storage, 0, (2, 3), (3, 1)),
        turned=_Tensor(fake_torch, storage, 2, (3, 2), (1, 3)),
    )
    (tmp_path / "w.pth").write_bytes(write(named, fake_torch, [storage]))
    found = read_torch_weights(tmp_path / "w.pth")
    assert np.array_equal(found["whole"], [[0, 1, 2], [3, 4, 5]])
    assert np.array_equal(found["turned"], [[2, 5], [3, 6], [4, 7]])


class _Evil:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("write", [legacy, zipped])
def test_a_file_that_would_run_something_is_refused_and_runs_nothing(
    write: Any, tmp_path: Path, fake_torch: types.ModuleType
) -> None:
    evil = write({"w": _Evil(tmp_path / "pwned")}, fake_torch, [])
    (tmp_path / "w.pth").write_bytes(evil)
    with pytest.raises(DataError, match=r"it asks for posix\.mkdir"):
        read_torch_weights(tmp_path / "w.pth")
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize(("shape", "strides"), [((9,), (1,)), ((2, 3), (7, 1)), ((2,), (-1,))])
def test_a_tensor_beyond_its_storage_is_refused(
    shape: Any, strides: Any, tmp_path: Path, fake_torch: types.ModuleType
) -> None:
    storage = _Stored("0", range(8))
    named = {"w": _Tensor(fake_torch, storage, 0, shape, strides)}
    (tmp_path / "w.pth").write_bytes(zipped(named, fake_torch, [storage]))
    with pytest.raises(DataError, match="beyond its storage"):
        read_torch_weights(tmp_path / "w.pth")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04rubbish", b"\x80\x02K\x01."])
def test_a_damaged_file_is_one_clear_error(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "w.pth").write_bytes(content)
    with pytest.raises(DataError, match="state_dict"):
        read_torch_weights(tmp_path / "w.pth")


def test_defaults_of_a_column_of_images() -> None:
    assert ImageSpec().train == "{}"
