"""All images of a column, decoded once into one memory-mapped array on disk.

A store is a folder named after a digest of all that decides its pixels: the content of the files in
their order, size and channels. It holds `pixels.npy` and `facts.json`, and appears whole or not at
all. Images pass through memory a few hundred at a time.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from kit.atomic import disk_errors, parse_json, token
from kit.cores import usable_cores
from kit.errors import DataError, DiskFull, counted
from kit.images.decode import Fault, decode, neutral
from kit.images.files import ImageFolder

if TYPE_CHECKING:
    import pandas as pd

BLOCK = 256
"""Images in memory at a time."""

MOST_FAULTS = 0.05
"""Larger a share of images that cannot be had is an error."""

_VERSION = "3"  # of the decoding; another one makes other pixels
_BETWEEN = re.compile(r"[,|\[\]]")  # numbers of a cell, beside blanks
_SPARE = 200 << 20  # bytes that are left free on the disk

Block = tuple[NDArray[np.uint8], list[str]]
"""Pixels ``(n, size, size, channels)``, and per image why there are none (empty: there are)."""


@dataclass(frozen=True)
class Store:
    """Decoded images.

    Attributes:
        folder: where they lie; None: only in memory.
        key: digest of the content.
        n: how many.
        size: pixels per side.
        channels: 1 or 3.
        faults: images that could not be had, by reason, with the name of the first.
        memory: the pixels of a store without a folder.
    """

    folder: Path | None
    key: str
    n: int
    size: int
    channels: int
    faults: dict[str, tuple[int, str]] = field(default_factory=dict)
    memory: NDArray[np.uint8] | None = None

    @cached_property
    def pixels(self) -> NDArray[np.uint8]:
        """``(n, size, size, channels)``; read from the disk where it is looked at."""
        if self.memory is not None:
            return self.memory
        if self.folder is None:
            raise AssertionError("a store has a folder or an array")
        found: NDArray[np.uint8] = np.load(self.folder / "pixels.npy", mmap_mode="r")
        return found

    def take(self, positions: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Pixels of some images; position -1 is a neutral one."""
        taken = self.pixels[np.maximum(positions, 0)]
        if (positions < 0).any():
            taken = np.array(taken)
            taken[positions < 0] = neutral(self.size, self.channels)
        return np.asarray(taken)

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k != "pixels"}

    @classmethod
    def of(cls, pixels: NDArray[np.uint8]) -> Store:
        """A store in memory of pixels ``(n, size, size, channels)``."""
        n, size, _, channels = pixels.shape
        key = hashlib.sha256(pixels.tobytes()).hexdigest()[:32]
        return cls(None, key, n, size, channels, memory=pixels)


def store_files(
    cache: Path,
    folder: ImageFolder,
    names: Sequence[str],
    digests: dict[str, str],
    *,
    size: int,
    channels: int,
    what: str,
    n_rows: int = 0,
) -> Store:
    """The store of the named files; those that cannot be had are neutral images.

    Args:
        cache: takes the store.
        folder: where the files are.
        names: of the images in their order; empty: there is none.
        digests: of the content of every file.
        size: pixels per side.
        channels: 1 or 3.
        what: the column, for messages.
        n_rows: of the table, where several rows mean one image.

    Raises:
        DataError: more images than `MOST_FAULTS` of the rows cannot be had.
        DiskFull: the pixels do not fit.
    """

    def one(name: str) -> tuple[NDArray[np.uint8], str]:
        if name not in folder.files:
            return neutral(size, channels), _absent(name)
        try:
            return decode(folder.read(name), size, channels), ""
        except Fault as fault:
            return neutral(size, channels), str(fault)
        except (OSError, zipfile.BadZipFile):
            return neutral(size, channels), "unreadable file"

    def blocks() -> Iterator[Block]:
        with ThreadPoolExecutor(max(1, min(8, usable_cores()))) as pool:
            for start in range(0, len(names), BLOCK):
                done = list(pool.map(one, names[start : start + BLOCK]))
                yield np.stack([pixels for pixels, _ in done]), [why for _, why in done]

    content = hashlib.sha256("\n".join(digests.get(name, _absent(name)) for name in names).encode())
    store = _made(cache, content.hexdigest(), blocks, names, size, channels)
    _refuse_many(store, what, max(n_rows, store.n))
    return store


def store_pixels(
    cache: Path, values: NDArray[Any], *, size: int, channels: int, top: int, bottom: int = 0
) -> Store:
    """The store of pixel columns.

    Args:
        cache: takes the store.
        values: ``(n, size * size * channels)`` numbers from `bottom` to `top`.
        size: pixels per side.
        channels: 1 or 3.
        top: the brightest value.
        bottom: the darkest value.
    """

    def blocks() -> Iterator[Block]:
        for start in range(0, len(values), BLOCK):
            part = np.nan_to_num(values[start : start + BLOCK].astype(np.float64))
            yield _shades(part, size, channels, bottom, top)

    content = hashlib.sha256(_ends(bottom, top))
    for start in range(0, len(values), BLOCK):
        content.update(values[start : start + BLOCK].astype(np.float32).tobytes())
    rows = [str(number) for number in range(len(values))]
    return _made(cache, content.hexdigest(), blocks, rows, size, channels)


def store_cells(
    cache: Path, cells: pd.Series[Any], *, size: int, channels: int, top: int, bottom: int = 0
) -> Store:
    """The store of a column whose cells hold all pixels: "238 236 237 ...".

    Args:
        cache: takes the store.
        cells: ``(n,)`` texts of ``size * size * channels`` numbers from `bottom` to `top`.
        size: pixels per side.
        channels: 1 or 3.
        top: the brightest value.
        bottom: the darkest value.

    Raises:
        DataError: a cell holds something else.
    """
    count = size * size * channels

    def numbers(row: int) -> NDArray[np.float64]:
        cell = cells.iloc[row]
        found = cell_numbers(cell)
        if len(found) != count:
            raise DataError(
                f"images.{cells.name}: a cell must hold {count} numbers, however row {row + 1} "
                f"has {len(found)}: {str(cell)[:40]!r}"
            )
        return found

    def blocks() -> Iterator[Block]:
        for start in range(0, len(cells), BLOCK):
            rows = range(start, min(len(cells), start + BLOCK))
            part = np.stack([numbers(row) for row in rows])
            yield _shades(part, size, channels, bottom, top)

    content = hashlib.sha256(_ends(bottom, top))
    for cell in cells:
        content.update(f"{cell}\n".encode())
    rows = [str(number) for number in range(len(cells))]
    return _made(cache, content.hexdigest(), blocks, rows, size, channels)


def cell_numbers(cell: object) -> NDArray[np.float64]:
    """The finite numbers of a cell such as "238 236", "-1.5, 2" or "[1 | 2]"; else none.

    >>> cell_numbers("-1.5 | 2").tolist(), len(cell_numbers("1 ab")), len(cell_numbers("1 nan"))
    ([-1.5, 2.0], 0, 0)
    """
    words = _BETWEEN.sub(" ", cell).split() if isinstance(cell, str) else []
    with suppress(ValueError):
        numbers = np.array(words, dtype=np.float64)
        if np.isfinite(numbers).all():
            return numbers
    return np.empty(0)


def _ends(bottom: int, top: int) -> bytes:
    return (f"{bottom} {top}" if bottom else str(top)).encode()


def _shades(values: NDArray[np.float64], size: int, channels: int, bottom: int, top: int) -> Block:
    """A block of numbers from `bottom` to `top` as pixels."""
    scaled = (values - bottom) * (255 / (top - bottom))
    shades: NDArray[np.uint8] = np.clip(scaled, 0, 255).round().astype(np.uint8)
    return shades.reshape(-1, size, size, channels), [""] * len(shades)


def _absent(name: str) -> str:
    outside = ".." in name.split("/") or name.startswith(("/", "\\")) or ":" in name
    return "path outside data/raw" if outside else "missing file"


def _made(
    cache: Path,
    content: str,
    blocks: Callable[[], Iterator[Block]],
    names: Sequence[str],
    size: int,
    channels: int,
) -> Store:
    """The store of that content: as it lies in the cache, or filled block by block."""
    facts = [_VERSION, content, len(names), size, channels]
    key = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]
    folder = cache / key
    with disk_errors(folder):
        cache.mkdir(parents=True, exist_ok=True)
        with FileLock(cache / f"{key}.lock"):  # processes that start together decode once
            known = _opened(folder, key, size, channels)
            if known is not None:
                return known
            _check_space(cache, len(names) * size * size * channels)
            aside = cache / f".{key}.{token()}"
            try:
                aside.mkdir()
                faults = _fill(aside / "pixels.npy", blocks(), names, size, channels)
                record = {"n": len(names), "faults": faults}
                (aside / "facts.json").write_text(json.dumps(record), encoding="utf-8")
                shutil.rmtree(folder, ignore_errors=True)  # a damaged one
                os.rename(aside, folder)
            finally:
                shutil.rmtree(aside, ignore_errors=True)
    return Store(folder, key, len(names), size, channels, faults)


def _opened(folder: Path, key: str, size: int, channels: int) -> Store | None:
    """A whole store, or None."""
    with suppress(OSError, ValueError, KeyError):
        record = parse_json((folder / "facts.json").read_text(encoding="utf-8"))
        faults = {why: (int(count), str(name)) for why, (count, name) in record["faults"].items()}
        store = Store(folder, key, int(record["n"]), size, channels, faults)
        if store.pixels.shape == (store.n, size, size, channels):
            return store
    return None


def _fill(
    path: Path, blocks: Iterator[Block], names: Sequence[str], size: int, channels: int
) -> dict[str, tuple[int, str]]:
    """Write the array block by block; nothing of it stays in memory."""
    counts: Counter[str] = Counter()
    first: dict[str, str] = {}
    header = {"descr": "|u1", "fortran_order": False, "shape": (len(names), size, size, channels)}
    done = 0
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for pixels, reasons in blocks:
            file.write(np.ascontiguousarray(pixels).data)
            for name, why in zip(names[done : done + len(reasons)], reasons, strict=True):
                if why:
                    counts[why] += 1
                    first.setdefault(why, name)
            done += len(reasons)
    return {why: (count, first[why]) for why, count in counts.items()}


def _check_space(cache: Path, needed: int) -> None:
    free = shutil.disk_usage(cache).free
    if needed + _SPARE > free:
        raise DiskFull(
            f"the decoded images need {needed / 1e9:.1f} GB below {cache}, however only "
            f"{free / 1e9:.1f} GB are free.\n"
            "  Free some space, or make `size` under [images.NAME] in kit.toml smaller."
        )


def _refuse_many(store: Store, what: str, n_rows: int) -> None:
    lost = sum(count for count, _ in store.faults.values())
    if lost > MOST_FAULTS * n_rows:
        raise DataError(
            f"column {what!r}: {lost} of {counted(n_rows, 'image', 'images')} cannot be had: "
            f"{described(store)}.\n"
            "  Are the files below data/raw, and do `train` and `test` under "
            f"[images.{what}] in kit.toml say where?"
        )


def described(store: Store) -> str:
    """The faults of a store in words; empty where there are none."""
    return "; ".join(
        f"{why}: {count}, first {name!r}" for why, (count, name) in sorted(store.faults.items())
    )
