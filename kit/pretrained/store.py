"""Vectors kept by the hash of what they were computed from.

Files are only ever added, each under its final name at once; a torn one is computed again. Two
processes that want the same wait for one another and compute it once.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Sequence
from hashlib import blake2b
from pathlib import Path
from uuid import uuid4

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from kit.atomic import atomic_path

Vectors = NDArray[np.float16]


class VectorStore:
    """A folder of vectors; without one they live as long as the process.

    Args:
        folder: where files lie; it may be deleted at any time between two calls. None: nowhere.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self._known: dict[bytes, Vectors] = {}
        self._read: set[str] = set()

    def get(self, texts: Sequence[str], compute: Callable[[list[str]], Vectors]) -> list[Vectors]:
        """The vectors of texts, one each.

        Args:
            texts: what is wanted.
            compute: makes ``(n, width)`` vectors of those that nobody has computed yet.
        """
        keys = [blake2b(text.encode("utf-8", "replace"), digest_size=16).digest() for text in texts]
        if any(key not in self._known for key in keys):
            if self.folder is None:
                self._compute(keys, texts, compute)
            else:
                self.folder.mkdir(parents=True, exist_ok=True)
                with FileLock(self.folder / ".lock"):
                    self._look()
                    self._compute(keys, texts, compute)
        return [self._known[key] for key in keys]

    def _compute(
        self, keys: list[bytes], texts: Sequence[str], compute: Callable[[list[str]], Vectors]
    ) -> None:
        missing = {k: text for k, text in zip(keys, texts, strict=True) if k not in self._known}
        if not missing:
            return
        vectors = compute(list(missing.values()))
        if self.folder is not None:
            name = f"{uuid4().hex}.npz"
            with atomic_path(self.folder / name) as path, path.open("wb") as file:
                made = np.frombuffer(b"".join(missing), dtype=np.uint8).reshape(-1, 16)
                np.savez(file, keys=made, vectors=vectors)
            self._read.add(name)
        self._known.update(zip(missing, vectors, strict=True))

    def _look(self) -> None:
        """Read the files that others have added."""
        assert self.folder is not None  # noqa: S101
        for path in sorted(self.folder.glob("*.npz")):
            if path.name in self._read:
                continue
            try:
                with np.load(path, allow_pickle=False) as file:
                    keys, vectors = file["keys"], file["vectors"]
            except (OSError, ValueError, KeyError, zipfile.BadZipFile):
                path.unlink(missing_ok=True)
                continue
            self._known.update(zip(map(bytes, keys), vectors, strict=True))
            self._read.add(path.name)
