"""Recipes and networks on images, EfficientNet's weights, and what `kit auto` does first."""

from __future__ import annotations

import runpy
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.datasets import load_sample_images

from kit.auto.budget import Budget
from kit.auto.images import embed_first, largest_side
from kit.auto.schedule import seconds_needed
from kit.errors import ConfigError, DataError
from kit.images.backbones import AS_THEY_ARE, Backbone, find_backbone, installed
from kit.images.column import ImageArray
from kit.images.embeddings import embedding_path
from kit.images.store import Store, store_pixels
from kit.keras import load_keras
from kit.models.base import Problem
from kit.models.checking import prepared
from kit.models.neural.cnn import CNN
from kit.models.neural.resnet import ResNet
from kit.portfolio import Entry, choose
from kit.portfolio.images import IMAGES
from kit.preprocessing.columns import RECIPES, Shape, recipe

BINARY = Problem(task="binary", n_outputs=1, seed=0)


def with_images(n: int = 60, side: int = 4) -> tuple[pd.DataFrame, Any]:
    """Bright and dark pictures, a number and a category beside them."""
    rng, y = np.random.default_rng(0), np.arange(n) % 2
    shades = 40 + 150 * y[:, None, None, None] + rng.integers(40, size=(n, side, side, 3))
    images = ImageArray(Store.of(shades.astype(np.uint8)), np.arange(n))
    frame = pd.DataFrame({"a": rng.normal(size=n), "picture": images})
    frame["c"] = pd.Categorical(rng.choice(["u", "v"], n))
    return frame, y


@pytest.mark.parametrize("name", sorted(set(RECIPES) - {"raw", "history", "sequence", "series"}))
def test_every_recipe_takes_images_beside_a_table(name: str) -> None:
    frame, y = with_images()
    kinds: Any = {"a": "numeric", "picture": "image", "c": "category"}
    shape = Shape(kinds=kinds, levels={"c": 2}, n_rows=40, task="binary", seed=0)
    steps = recipe(name, shape)
    made = steps.fit_transform(frame[:40], y[:40])
    assert steps.transform(frame[40:]).shape == (20, made.shape[1])


@pytest.mark.parametrize("name", sorted(set(RECIPES) - {"raw", "history", "sequence", "series"}))
def test_every_family_takes_images_alone(name: str) -> None:
    frame, y = with_images()
    kinds: Any = {"picture": "image"}
    shape = Shape(kinds=kinds, levels={}, n_rows=40, task="binary", seed=0)
    made = recipe(name, shape).fit_transform(frame[["picture"]], y)
    assert made.shape[0] == 60


def test_components_are_learnt_from_the_training_rows_alone() -> None:
    """Rows that are transformed change nothing of what was fitted."""
    frame, y = with_images(side=12)  # 432 numbers: components are taken
    kinds: Any = {"picture": "image"}
    shape = Shape(kinds=kinds, levels={}, n_rows=40, task="binary", seed=0)
    both, alone = recipe("tree", shape), recipe("tree", shape)
    first = both.fit_transform(frame[:40], y[:40])
    both.transform(frame[40:])
    assert np.array_equal(first, alone.fit_transform(frame[:40], y[:40]))
    assert first.shape[1] < 64


def test_an_image_unlike_the_training_rows_is_not_thousands_of_deviations_away() -> None:
    """A pixel that is nearly always black, and in one new image white."""
    rng = np.random.default_rng(0)
    shades = rng.integers(100, 140, size=(60, 12, 12, 3))
    shades[:, 0, 0] = rng.random((60, 3)) < 0.05
    shades[59, 0, 0] = 255
    store = Store.of(shades.astype(np.uint8))
    frame = pd.DataFrame({"picture": ImageArray(store, np.arange(60))})
    kinds: Any = {"picture": "image"}
    shape = Shape(kinds=kinds, levels={}, n_rows=59, task="regression", seed=0)
    steps = recipe("linear", shape).fit(frame[:59], rng.normal(size=59))
    assert np.abs(steps.transform(frame[59:])).max() < 400


# ------------------------------------------------------------------------------ networks


@pytest.mark.neural
@pytest.mark.filterwarnings("ignore")
class TestNetworks:
    def test_time_that_is_up_ends_the_fit_and_says_so(self) -> None:
        from dataclasses import replace

        from kit.models.neural.cnn import CNN

        X, y, X_new, _ = prepared("image", "binary")
        model = CNN(filters=(2,), dense=4, size=8, epochs=10_000, patience=0, crop=0.0)
        model.fit(X, y, problem=replace(BINARY, deadline=time.monotonic() + 1.0))
        assert model.cut_
        assert np.isfinite(model.predict(X_new)).all()

    @pytest.mark.slow
    def test_half_precision_predicts_in_single(self, tmp_path: Path) -> None:
        import keras

        from kit.models.neural.resnet import ResNet

        X, y, X_new, _ = prepared("image", "binary")
        model = ResNet(filters=2, stages=1, blocks=1, epochs=1, precision="mixed")
        predicted = model.fit(X, y, problem=BINARY).predict(X_new)
        assert predicted.dtype == np.float64
        assert any(layer.compute_dtype == "float16" for layer in model.network_.layers)
        assert keras.config.dtype_policy().name == "float32"  # for whoever comes next

    def test_new_images_are_not_augmented_and_views_are_averaged(self) -> None:
        from kit.models.neural.cnn import CNN

        X, y, X_new, _ = prepared("image", "binary")
        model = CNN(filters=(2,), dense=4, size=8, epochs=1, patience=0, views=1, brightness=0.5)
        model.fit(X, y, problem=BINARY)
        one = model.predict(X_new)
        assert np.array_equal(one, model.predict(X_new))
        inputs = model.layout_.inputs(X_new)
        inputs[0] = inputs[0][:, :, ::-1]
        mirrored = model.network_.predict_on_batch(inputs)
        assert not np.allclose(one, mirrored, atol=1e-7)
        model.views = 2
        assert np.allclose(model.predict(X_new), (one + mirrored) / 2, atol=1e-6)
        model.views = 4
        large = [np.arange(20 * 20 * 3).reshape(1, 20, 20, 3) % 251]  # also without its margin
        whole, turned, middle, both = (pixels for (pixels,) in model._seen(large))
        assert np.array_equal(middle, whole[:, 1:19, 1:19])
        assert np.array_equal(turned, whole[:, :, ::-1])
        assert np.array_equal(both, middle[:, :, ::-1])

    def test_only_the_top_of_a_backbone_is_trained(self, tmp_path: Path) -> None:
        from kit.models.neural.finetune import FineTune

        keras = load_keras(1)
        pixels = keras.Input((8, 8, 3))
        x = keras.layers.Conv2D(2, 3, name="first")(keras.layers.Rescaling(1 / 255)(pixels))
        x = keras.layers.Conv2D(2, 3, name="second")(keras.layers.BatchNormalization()(x))
        keras.Model(pixels, x).save(tmp_path / "small.keras")
        backbone = Backbone("small.keras", tmp_path / "small.keras", "0")
        fresh = [w for layer in backbone.network().layers for w in layer.get_weights()]
        frame, y = with_images(side=8)
        images = ImageArray(frame["picture"].array.store, np.arange(60), backbone)
        model = FineTune(top=1, epochs=2).fit(pd.DataFrame({"picture": images}), y, problem=BINARY)
        (body,) = [layer for layer in model.network_.layers if hasattr(layer, "layers")]
        after = [w for layer in body.layers for w in layer.get_weights()]
        same = [np.array_equal(a, b) for a, b in zip(fresh, after, strict=True)]
        assert same == [True] * 6 + [False] * 2  # kernel and bias of the second convolution

    def test_two_columns_of_images_have_a_backbone_each(self, tmp_path: Path) -> None:
        from kit.models.neural.finetune import FineTune

        keras = load_keras(1)
        pixels = keras.Input((8, 8, 3))
        keras.Model(pixels, keras.layers.Conv2D(2, 3)(pixels)).save(tmp_path / "small.keras")
        backbone = Backbone("small.keras", tmp_path / "small.keras", "0")
        frame, y = with_images(side=8)
        images = ImageArray(frame["picture"].array.store, np.arange(60), backbone)
        pairs = pd.DataFrame({"left": images, "right": images[::-1]})
        model = FineTune(epochs=1, views=1).fit(pairs, y, problem=BINARY)
        model.save(tmp_path)
        assert np.allclose(FineTune.load(tmp_path).predict(pairs), model.predict(pairs), atol=1e-6)

    def test_the_template_s_network_is_the_article_s(self) -> None:
        keras = load_keras(1)
        template = Path(__file__).parents[2] / "templates" / "image" / "model.py"
        own = runpy.run_path(str(template))["OwnNetwork"]()

        def shapes(model: Any, side: int) -> list[Any]:
            pixels = keras.Input((side, side, 3))
            network = keras.Model(pixels, model.tower(pixels, AS_THEY_ARE))
            return [(type(layer).__name__, layer.output.shape) for layer in network.layers]

        assert shapes(own, 150) == shapes(CNN(), 150)
        assert shapes(own, 28)[-1] == ("Dense", (None, 512))  # something is left of small ones

    @pytest.mark.slow
    def test_real_weights_tell_photographs_apart_by_name_and_by_path(self, tmp_path: Path) -> None:
        weights = installed()
        if weights is None:
            pytest.skip("the extra pretrained is not installed")
        photographs = [Image.fromarray(each) for each in load_sample_images().images]
        boxes = [(0, 0, 400, 400), (40, 10, 420, 390)]
        crops = [each.crop(box).resize((224, 224)) for each in photographs for box in boxes]
        pixels = np.stack([np.asarray(crop, dtype=np.float32) for crop in crops])
        shutil.copy(weights, tmp_path / "mine.pth")
        load_keras(1)
        by_name, by_path = (
            find_backbone(name, tmp_path, "images.f.backbone").network().predict(pixels, verbose=0)
            for name in ("efficientnet_lite0", "mine.pth")
        )
        np.testing.assert_array_equal(by_name, by_path)
        assert by_name.shape == (4, 1280)
        like = np.corrcoef(by_name)
        assert min(like[0, 1], like[2, 3]) > like[:2, 2:].max() + 0.2

    def test_fine_tuning_needs_weights(self) -> None:
        from kit.models.neural.finetune import FineTune

        X, y, _, _ = prepared("image", "binary")
        with pytest.raises(ConfigError, match=r"kit-competitions\[pretrained\]"):
            FineTune(epochs=1).fit(X, y, problem=BINARY)

    def test_efficientnet_takes_every_weight_of_the_package_s_names(self) -> None:
        load_keras(1)
        from kit.images.efficientnet import _names, efficientnet_lite0, load_weights

        network, rng, given = efficientnet_lite0(32), np.random.default_rng(0), {}
        for ours, theirs in _names():
            shapes = [w.shape for w in network.get_layer(ours).get_weights()]
            if ours.endswith("_norm"):
                for key in ("weight", "bias", "running_mean", "running_var"):
                    given[f"{theirs}.{key}"] = rng.random(shapes[0]).astype(np.float32)
            else:
                axes = (2, 3, 0, 1) if ours.endswith("_depthwise") else (3, 2, 0, 1)
                shape = tuple(shapes[0][axis] for axis in axes)
                given[f"{theirs}.weight"] = rng.random(shape).astype(np.float32)
        before = [w.copy() for w in network.get_weights()]
        load_weights(network, given)
        after = network.get_weights()
        assert not any(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
        stem = network.get_layer("stem_convolution").get_weights()[0]
        assert stem[1, 2, 0, 5] == given["_conv_stem.weight"][5, 0, 1, 2]
        del given["_blocks.3._bn1.bias"]
        with pytest.raises(DataError, match="no weights of EfficientNet-Lite0"):
            load_weights(network, given)


# ------------------------------------------------------------------------------ kit auto


class _Data:
    """What `embed_first` looks at."""

    def __init__(self, column: ImageArray) -> None:
        self.X = self.X_test = pd.DataFrame({"f": column})
        self.kinds = {"f": "image"}


LINEAR: Sequence[Entry] = [entry for entry in IMAGES if entry.use in ("linear", "cnn")]


def four_images(tmp_path: Path, backbone: Backbone) -> tuple[Any, Store]:
    store = store_pixels(tmp_path / "cache", np.eye(4), size=2, channels=1, top=1)
    return _Data(ImageArray(store, np.arange(4), backbone)), store


def saved_network(tmp_path: Path) -> Backbone:
    keras = load_keras(1)
    pixels = keras.Input((2, 2, 3))
    path = tmp_path / "small.keras"
    keras.Model(pixels, keras.layers.Flatten()(pixels)).save(path)
    return Backbone("small.keras", path, "digest")


@pytest.mark.slow
@pytest.mark.neural
@pytest.mark.filterwarnings("ignore")
def test_vectors_come_before_the_first_model(tmp_path: Path) -> None:
    data, store = four_images(tmp_path, saved_network(tmp_path))
    assert embed_first(data, Budget(250 + Budget(0).spent), LINEAR) is None
    path = embedding_path(store, saved_network(tmp_path))
    assert np.array_equal(np.load(path)[1, :6], [0, 0, 0, 255, 255, 255])


@pytest.mark.neural
@pytest.mark.filterwarnings("ignore")
def test_a_network_that_is_late_leaves_tiny_images(tmp_path: Path) -> None:
    backbone = saved_network(tmp_path)
    data, store = four_images(tmp_path, backbone)
    smaller = embed_first(data, Budget(Budget(0).spent), LINEAR)
    assert smaller is not None
    assert smaller.flags == ['images."f".backbone="pixels"']
    assert smaller.why == "images are seen as tiny ones, without a network: time is short"
    assert not embedding_path(store, backbone).exists()
    assert embed_first(data, Budget(Budget(0).spent), LINEAR[1:]) is None  # which sees all pixels


@pytest.mark.parametrize(
    ("answers", "seconds", "there", "given"),
    [
        ([1000.0, None], 1000, 0, "w.pth@160"),  # 1.2 * 1000 * (160 / 224)²: 612 s and a start
        ([2000.0, None], 1000, 0, "w.pth@128"),
        ([2000.0, 1100.0, None], 1000, 0, "w.pth@96"),  # 128 took longer than was expected
        ([2000.0, 1100.0, 1100.0, 1100.0], 1000, 0, "pixels"),
        ([2e5], 1000, 0, "pixels"),
        ([2000.0], 1000, 64, "w.pth@128"),  # what is there is smaller than what is in time
        ([2e5], 1000, 96, "w.pth@96"),
    ],
)
def test_images_are_shown_as_large_as_they_fit_into_the_time(
    answers: list[float | None], seconds: float, there: int, given: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    (tmp_path / "w.pth").write_bytes(b"weights")
    backbone = find_backbone("w.pth", tmp_path, "key")
    data, store = four_images(tmp_path, backbone)
    if there:
        embedding_path(store, backbone.at(there)).write_bytes(b"vectors")
    left: list[float | None] = [*answers, None]
    monkeypatch.setattr("kit.auto.images.too_slow", lambda *_: left.pop(0))
    budget = Budget(Budget(0).spent)
    monkeypatch.setattr(Budget, "left", seconds / 0.6 + 5)
    smaller = embed_first(data, budget, LINEAR)
    assert smaller is not None
    assert smaller.backbones == {"f": given}
    assert f"224 pixels would take {answers[0]:.0f} s" in smaller.why


def test_vectors_that_cannot_be_made_are_left_to_the_models(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They say what is wrong with the weights."""
    data, _ = four_images(tmp_path, Backbone("w.pth", tmp_path / "w.pth", "0"))
    monkeypatch.setattr("kit.auto.images.too_slow", lambda *_: None)
    assert embed_first(data, Budget(1000), LINEAR) is None


def test_networks_on_pixels_need_time_for_every_row() -> None:
    (cnn,) = [entry for entry in IMAGES if entry.name == "cnn"]
    assert seconds_needed(cnn, 1000, 1) == 1000 * cnn.row_seconds
    assert seconds_needed(cnn, 1000, 1, side=300) == 1000 * cnn.row_seconds
    assert seconds_needed(cnn, 1000, 1, side=75) == 250 * cnn.row_seconds
    assert seconds_needed(cnn, 1000, 1, side=8) == 100 * cnn.row_seconds
    X, *_ = prepared("image", "binary")
    assert largest_side(SimpleNamespace(X=X, kinds={"images__picture": "image"})) == 8  # type: ignore[arg-type]
    assert largest_side(SimpleNamespace(X=X, kinds={})) == 0  # type: ignore[arg-type]


def test_entries_for_images_are_for_images_only() -> None:
    with_them, _ = choose(5000, 1, "binary", kinds={"image"})
    without, left = choose(5000, 1, "binary", kinds={"numeric"})
    assert [entry.name for entry in with_them[:2]] == ["image-linear", "image-mlp"]
    assert not {entry.name for entry in IMAGES} & {entry.name for entry in without}
    assert ("cnn", "no column is image") in [(entry.name, reason) for entry, reason in left]


@pytest.mark.neural
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("side", "left"), [(150, (7, 7, 128)), (28, (3, 3, 128)), (8, (2, 2, 128))]
)
def test_small_images_stay_as_they_are_and_leave_something_to_the_last_convolution(
    side: int, left: tuple[int, int, int]
) -> None:
    keras, model = load_keras(1), CNN()
    assert model._side(side) == side
    pixels = keras.Input((side, side, 1))
    network = keras.Model(pixels, model.tower(pixels, AS_THEY_ARE))
    (flat,) = [layer for layer in network.layers if type(layer).__name__ == "Flatten"]
    assert flat.input.shape[1:] == left


@pytest.mark.neural
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("side", "left"), [(64, 8), (28, 7), (8, 4), (5, 5)])
def test_stages_of_a_residual_network_leave_four_pixels_where_there_are_four(
    side: int, left: int
) -> None:
    pixels = load_keras(1).Input((side, side, 1))
    network = load_keras(1).Model(pixels, ResNet(filters=2).tower(pixels, AS_THEY_ARE))
    (mean,) = [each for each in network.layers if type(each).__name__.startswith("GlobalAverage")]
    assert mean.input.shape[1] == left


@pytest.mark.parametrize(("steps", "passes"), [(1000, 30), (50, 40), (1, 60)])
def test_few_rows_are_seen_more_often(steps: int, passes: int) -> None:
    assert ResNet()._passes(steps) == passes
    assert ResNet(epochs=3)._passes(steps) == 3


@pytest.mark.neural
@pytest.mark.filterwarnings("ignore")
def test_the_first_network_is_the_article_s() -> None:
    keras, model = load_keras(1), CNN()
    pixels = keras.Input((150, 150, 3))
    network = keras.Model(pixels, model.tower(pixels, AS_THEY_ARE))
    told = []
    for layer in network.layers[1:]:
        name = type(layer).__name__
        facts = {"Conv2D": "filters", "Dropout": "rate", "Dense": "units"}
        told.append((name, getattr(layer, facts[name])) if name in facts else name)
    pairs = [each for n in (32, 64, 128, 128) for each in (("Conv2D", n), "MaxPooling2D")]
    assert told == ["Rescaling", *pairs, "Flatten", ("Dropout", 0.5), ("Dense", 512)]
    assert all(layer.kernel_size == (3, 3) for layer in network.layers if "Conv2D" in str(layer))
    assert model._side(300) == 150


@pytest.mark.neural
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("way", ["mirror", "crop"])
def test_training_images_are_shown_another_way(way: str) -> None:
    keras = load_keras(1)
    model = CNN(**{"mirror": False, "crop": 0.0, "brightness": 0.0, way: {"crop": 0.3}.get(way, 1)})
    model.problem_ = BINARY
    pixels = keras.Input((8, 8, 1))
    network = keras.Model(pixels, model._augmented(keras, pixels * 1.0))
    given = np.random.default_rng(0).uniform(0, 255, (16, 8, 8, 1)).astype(np.float32)
    shown = np.asarray(network(given, training=True))
    same, turned = (np.isclose(shown, x).all(axis=(1, 2, 3)) for x in (given, given[:, :, ::-1]))
    assert (~same).sum() > 0
    assert (same | turned).all() == (way == "mirror")
    assert np.array_equal(np.asarray(network(given, training=False)), given)


@pytest.mark.slow
@pytest.mark.neural
@pytest.mark.filterwarnings("ignore")
def test_a_cached_application_gets_its_weights_and_its_own_scale(tmp_path: Path) -> None:
    keras = load_keras(1)
    body = keras.applications.MobileNet(include_top=False, weights=None, input_shape=(224, 224, 3))
    folder = Path("~/.keras/models").expanduser()
    folder.mkdir(parents=True)
    body.save(folder / "mobilenet_1_0_224_tf_no_top.h5")
    network = find_backbone("keras:MobileNet", tmp_path, "key").network()
    pixels = np.random.default_rng(0).uniform(0, 255, (1, 224, 224, 3)).astype(np.float32)
    maps = np.asarray(body(pixels / 127.5 - 1, training=False))
    assert network(pixels).shape == (1, 1024)
    smaller = find_backbone("keras:MobileNet@64", tmp_path, "key").network()
    assert smaller(pixels[:, :64, :64]).shape == (1, 1024)
    assert np.allclose(np.asarray(network(pixels)), maps.mean(axis=(1, 2)), rtol=1e-2, atol=0)
    with pytest.raises(ConfigError, match="does not fit"):
        Backbone("keras:VGG16", folder / "mobilenet_1_0_224_tf_no_top.h5", "0").network()


@pytest.mark.neural
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("channels", "brighter"), [(1, False), (3, True)])
def test_shades_of_gray_images_stay_as_they_are(channels: int, brighter: bool) -> None:
    keras, model = load_keras(1), ResNet(crop=0.0, mirror=False)
    model.problem_ = BINARY
    pixels = keras.Input((8, 8, channels))
    network = keras.Model(pixels, model._augmented(keras, pixels * 1.0))
    flat = np.full((4, 8, 8, channels), 100.0, dtype=np.float32)
    assert (np.ptp(np.asarray(network(flat, training=True))) > 0) == brighter
