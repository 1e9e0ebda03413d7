"""What a backbone makes of a store, computed once and kept beside its pixels.

The file is named after the weights and lies in the folder named after the images: other folds,
models, runs and blends read the same one.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from kit.atomic import atomic_path
from kit.images.backbones import Backbone, small
from kit.images.column import ImageArray
from kit.images.store import Store
from kit.keras import load_keras

BATCH = 32
_BLOCK = 1024  # images between two writes
_VERSION = "2"

Tell = Callable[[int, int], bool]
"""Called with images done and all of them; False: stop."""

_memory: OrderedDict[tuple[str, str], NDArray[np.float16]] = OrderedDict()  # of stores in memory


class Stopped(Exception):
    """Whoever was told of the progress said so."""


def embedded(column: ImageArray) -> NDArray[np.float32]:
    """Vectors ``(n, width)`` of a column's rows, zeros where there is no image."""
    whole = embedding(column.store, column.backbone)
    taken = np.asarray(whole[np.maximum(column.positions, 0)], dtype=np.float32)
    taken[column.positions < 0] = 0
    return taken


def embedding(
    store: Store, backbone: Backbone, tell: Tell = lambda done, n: True
) -> NDArray[np.float16]:
    """Vectors ``(n, width)`` of all images of a store.

    Args:
        store: the images.
        backbone: the network.
        tell: told of the progress.

    Raises:
        Stopped: `tell` said so; nothing is kept.
    """
    if store.folder is None:
        key = (store.key, backbone.digest)
        if key not in _memory:
            _memory[key] = np.concatenate(list(_blocks(store, backbone, tell)))
            while len(_memory) > 8:
                _memory.popitem(last=False)
        return _memory[key]
    path = embedding_path(store, backbone)
    with FileLock(path.with_suffix(".lock")):  # processes that start together compute it once
        if not path.is_file():
            _write(path, store, backbone, tell)
    found: NDArray[np.float16] = np.load(path, mmap_mode="r")
    return found


def embedding_path(store: Store, backbone: Backbone) -> Path:
    """Where the vectors of a store on disk lie."""
    if store.folder is None:
        raise ValueError("the store is in memory")
    return store.folder / f"embedding-{_VERSION}-{backbone.digest[:16]}.npy"


def _write(path: Path, store: Store, backbone: Backbone, tell: Tell) -> None:
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        for number, block in enumerate(_blocks(store, backbone, tell)):
            if not number:
                shape = (store.n, block.shape[1])
                header = {"descr": "<f2", "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(file, header)
            file.write(np.ascontiguousarray(block, dtype="<f2").data)


def _blocks(store: Store, backbone: Backbone, tell: Tell) -> Any:
    embed = small if backbone.path is None else _Network(backbone)
    for start in range(0, store.n, _BLOCK):
        parts = []
        stop = min(start + _BLOCK, store.n)
        for first in range(start, stop, BATCH):
            rows = np.arange(first, min(first + BATCH, stop))
            parts.append(embed(store.take(rows)).astype(np.float16))
            if not tell(int(rows[-1]) + 1, store.n):
                raise Stopped
        yield np.concatenate(parts)


class _Network:
    """A backbone ready to embed batches of one shape."""

    def __init__(self, backbone: Backbone) -> None:
        self.keras = load_keras()
        self.network = backbone.network()
        self.size = self.network.input_shape[1] or 224

    def __call__(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        n = len(pixels)
        if n < BATCH:  # one shape: the graph is traced once
            pixels = np.concatenate([pixels, np.repeat(pixels[-1:], BATCH - n, axis=0)])
        values = pixels.astype(np.float32)
        if values.shape[-1] == 1:
            values = np.repeat(values, 3, axis=-1)
        if values.shape[1] != self.size:
            resized = self.keras.ops.image.resize(
                values,
                (self.size, self.size),
                interpolation="bicubic",  # as `kit.images.decode` makes them larger
                antialias=True,
                data_format="channels_last",
            )
            values = self.keras.ops.convert_to_numpy(resized).clip(0, 255)
        return np.asarray(self.network.predict_on_batch(values)[:n], dtype=np.float32)
