"""Sentences as vectors, by an encoder that somebody else has trained; frozen.

What a text becomes depends on that text and the weights alone: nothing is fitted, nothing can leak,
and vectors are kept under the hash of both.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kit.errors import MissingDependency
from kit.keras import load_keras
from kit.pretrained.bert import build_reader
from kit.pretrained.folder import encoder_digest, encoder_folder, read_settings
from kit.pretrained.store import VectorStore

HEIGHTS = 3
"""Vectors of a text."""

_STEP = 8  # lengths are rounded up to multiples of it: few shapes, little padding
_TOKENS = 2048  # per batch
_CHARACTERS_PER_TOKEN = 20  # more are cut off before tokens are counted


def embed(texts: Sequence[str], *, where: str, cache: Path | None) -> NDArray[np.float32]:
    """Vectors of length 1, ``(n, HEIGHTS, width)``; zeros where a text is blank.

    The last of a text's vectors is the encoder's own, see `kit.pretrained.bert.build_reader`.

    Args:
        texts: any strings; longer ones than the encoder reads are cut.
        where: see `kit.pretrained.folder.encoder_folder`.
        cache: folder for vectors; None: they are computed each time.
    """
    folder = encoder_folder(where)
    digest = encoder_digest(folder)
    known = [text.strip() for text in texts]
    store = _store(None if cache is None else cache / f"texts-{digest}")
    found = store.get([t for t in known if t], lambda missing: _encode(folder, digest, missing))
    width = int(read_settings(folder)["hidden_size"])
    result = np.zeros((len(texts), HEIGHTS, width), dtype=np.float32)
    result[[bool(text) for text in known]] = np.asarray(found).reshape(-1, HEIGHTS, width)
    return result


@lru_cache(maxsize=2)
def _store(folder: Path | None) -> VectorStore:
    return VectorStore(folder)


def _encode(folder: Path, digest: str, texts: list[str]) -> NDArray[np.float16]:
    """Batches of one shape per length, so that a text's company does not change its vector."""
    keras, network, tokenizer, longest = _loaded(folder, digest)
    lines = [text[: longest * _CHARACTERS_PER_TOKEN] for text in texts]
    ids = [encoding.ids for encoding in tokenizer.encode_batch(lines)]
    by_length: dict[int, list[int]] = {}
    for position, tokens in enumerate(ids):
        by_length.setdefault(min(longest, -(-len(tokens) // _STEP) * _STEP), []).append(position)
    vectors: NDArray[np.float16] | None = None
    for length, positions in sorted(by_length.items()):
        rows = max(1, _TOKENS // length)
        for start in range(0, len(positions), rows):
            part = positions[start : start + rows]
            tokens, mask = padded([ids[k] for k in part], rows, length)
            made = keras.ops.convert_to_numpy(network([tokens, mask], training=False))
            if vectors is None:
                vectors = np.zeros((len(texts), *made.shape[1:]), dtype=np.float16)
            # rounded: the last bits of a sum depend on the machine
            vectors[part] = made[: len(part)]
    assert vectors is not None  # noqa: S101  (an empty list is never encoded)
    return vectors


@lru_cache(maxsize=1)
def _loaded(folder: Path, digest: str) -> tuple[Any, Any, Any, int]:
    """Keras, the network, the tokenizer and how many tokens are read."""
    keras = load_keras()
    longest = int(read_settings(folder)["length"])
    return keras, build_reader(keras, folder), load_tokenizer(folder, longest), longest


def load_tokenizer(folder: Path, longest: int) -> Any:
    """The tokenizer of a folder; texts are cut at `longest` tokens."""
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise MissingDependency(
            f'{folder} is read with tokenizers: pip install "kit-competitions[pretrained]"'
        ) from error
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(longest)
    return tokenizer


def padded(
    ids: Sequence[Sequence[int]], rows: int, length: int
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Tokens and masks ``(rows, length)``; rows beyond the last text hold one token."""
    tokens, mask = np.zeros((2, rows, length), dtype=np.int32)
    mask[:, 0] = 1
    for row, line in enumerate(ids):
        tokens[row, : len(line)] = line
        mask[row, : len(line)] = 1
    return tokens, mask
