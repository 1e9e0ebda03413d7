"""Many images in bounded memory, and throughput against a bare tf.data pipeline.

    python tests/benchmarks/images.py --images 100000
    python tests/benchmarks/images.py --side 160 --size 224 --backbone efficientnet_lite0

Images are generated in a temporary folder. The peak memory is that of a process of its own, which
only reads the files, fills the store and, where asked, embeds them. tf.data maps `decode_jpeg` and
`resize` over the same files in the same process count and writes nothing.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import tempfile
import time
from pathlib import Path

import numpy as np

_SAVED = 64  # different pictures; the files are copies with another name


def generate(folder: Path, n: int, side: int) -> list[str]:
    """`n` JPEG files."""
    import io

    from PIL import Image

    rng, contents = np.random.default_rng(0), []
    for _ in range(_SAVED):
        coarse = rng.integers(256, size=(8, 8, 3), dtype=np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(coarse).resize((side, side)).save(buffer, "JPEG", quality=85)
        contents.append(buffer.getvalue())
    names = [f"{k // 1000}/{k}.jpg" for k in range(n)]
    for k, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(contents[k % _SAVED])
    return names


def measured(function, *arguments) -> dict[str, float]:
    """What a function returns in a process of its own, with that process's peak memory in MB."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(_inside, (function, *arguments))


def _inside(function, *arguments) -> dict[str, float]:
    found = function(*arguments)
    return {**found, "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def with_kit(folder: Path, names: list[str], size: int, backbone: str) -> dict[str, float]:
    """Digests, store and vectors; images per second of each."""
    from kit.images.backbones import find_backbone
    from kit.images.embeddings import embedding
    from kit.images.files import ImageFolder
    from kit.images.store import store_files

    cache = folder / ".cache"
    started = time.perf_counter()
    images = ImageFolder(folder, cache)
    digests = images.digests()
    hashed = time.perf_counter()
    store = store_files(cache, images, names, digests, size=size, channels=3, what="benchmark")
    decoded = time.perf_counter()
    embedding(store, find_backbone(backbone, folder, "backbone"))
    embedded = time.perf_counter()
    n = len(names)
    return {
        "digests_per_s": n / (hashed - started),
        "decoded_per_s": n / (decoded - hashed),
        "embedded_per_s": n / (embedded - decoded),
    }


def with_tf_data(folder: Path, names: list[str], size: int, backbone: str) -> dict[str, float]:
    """Decoding and resizing alone; then the same network on its batches."""
    from kit.images.backbones import find_backbone
    from kit.keras import load_keras

    load_keras()
    import tensorflow as tf

    def load(path):
        pixels = tf.io.decode_jpeg(tf.io.read_file(path), channels=3)
        return tf.image.resize(pixels, (size, size), antialias=True)

    paths = [str(folder / name) for name in names]
    dataset = tf.data.Dataset.from_tensor_slices(paths)
    dataset = dataset.map(load, num_parallel_calls=tf.data.AUTOTUNE).batch(32).prefetch(2)
    started = time.perf_counter()
    for _ in dataset:
        pass
    decoded = time.perf_counter()
    found = {"decoded_per_s": len(names) / (decoded - started)}
    known = find_backbone(backbone, folder, "backbone")
    if known.path is not None:
        network = known.network()
        started = time.perf_counter()
        network.predict(dataset, verbose=0)
        found["decoded_and_embedded_per_s"] = len(names) / (time.perf_counter() - started)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--side", type=int, default=48)
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--backbone", default="pixels")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        names = generate(folder, options.images, options.side)
        for name, function in (("kit", with_kit), ("tf.data", with_tf_data)):
            found = measured(function, folder, names, options.size, options.backbone)
            print(name, {key: round(value, 1) for key, value in found.items()}, flush=True)


if __name__ == "__main__":
    main()
