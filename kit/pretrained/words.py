"""Words as vectors that know their sentence, by an encoder that somebody else has trained; frozen.

The encoder cuts a text into tokens, smaller than words; a word is the mean of its tokens, before
the encoder makes one vector of the whole text. What a word becomes depends on its text and the
weights alone: nothing is fitted, nothing can leak, and vectors are kept under the hash of both.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kit.atomic import atomic_path
from kit.keras import load_keras
from kit.pretrained.bert import build_encoder
from kit.pretrained.folder import encoder_digest, encoder_folder, read_settings
from kit.pretrained.sentences import load_tokenizer, padded

Places = Sequence[tuple[int, int]]
"""Of each word: its first character, and the one behind its last."""
Vectors = NDArray[np.float16]

_TEXTS = 1024  # per file: so much is computed again after an interruption
_STEP = 8  # lengths are rounded up to multiples of it: few shapes, little padding
_TOKENS = 2048  # per batch
_CHARACTERS_PER_TOKEN = 20  # more are cut off before tokens are counted


def embed_words(
    texts: Sequence[str], places: Sequence[Places], *, where: str, cache: Path
) -> list[Vectors]:
    """Vectors of the words of each text, ``(words, width)``.

    Words beyond what the encoder reads are zeros. The vectors stay on the disk and are read when
    they are used.

    Args:
        texts: any strings.
        places: where their words are.
        where: see `kit.pretrained.folder.encoder_folder`.
        cache: folder for vectors, in files of 1,024 texts.
    """
    folder = encoder_folder(where)
    digest = encoder_digest(folder)
    width = int(read_settings(folder)["hidden_size"])
    encoder: list[_Encoder] = []  # made when something is missing
    found: list[Vectors] = []
    for k in range(0, len(texts), _TEXTS):
        block, known = texts[k : k + _TEXTS], places[k : k + _TEXTS]
        key = blake2b(repr([(t, [*p]) for t, p in zip(block, known, strict=True)]).encode(
            "utf-8", "backslashreplace"), digest_size=16).hexdigest()  # fmt: skip
        path = cache / f"words-{digest}" / f"{key}.npy"
        ends = np.cumsum([len(each) for each in known])
        vectors = _read(path, (int(ends[-1]), width))
        if vectors is None:
            encoder = encoder or [_Encoder(folder)]
            with atomic_path(path) as aside, open(aside, "wb") as file:
                np.save(file, np.concatenate(encoder[0].words(block, known)))
            vectors = np.load(path, mmap_mode="r", allow_pickle=False)
        found += np.split(np.asarray(vectors), ends[:-1])
    return found


def _read(path: Path, shape: tuple[int, int]) -> Vectors | None:
    """What was computed earlier; None where it is not there or torn."""
    try:
        vectors = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return vectors if vectors.shape == shape and vectors.dtype == np.float16 else None


class _Encoder:
    """The encoder up to its last block."""

    def __init__(self, folder: Path) -> None:
        self.keras: Any = load_keras()
        settings, whole = read_settings(folder), build_encoder(self.keras, folder)
        last = whole.get_layer(f"block_{int(settings['num_hidden_layers']) - 1}").output
        self.network = self.keras.Model(whole.inputs, last)
        self.width, self.longest = int(settings["hidden_size"]), int(settings["length"])
        self.tokenizer = load_tokenizer(folder, self.longest)

    def words(self, texts: Sequence[str], places: Sequence[Places]) -> list[Vectors]:
        """Batches of one shape per length, so that a text's company does not change its vectors."""
        lines = [text[: self.longest * _CHARACTERS_PER_TOKEN] for text in texts]
        read = self.tokenizer.encode_batch(lines)
        by_length: dict[int, list[int]] = {}
        for row, encoding in enumerate(read):
            length = min(self.longest, -(-len(encoding.ids) // _STEP) * _STEP)
            by_length.setdefault(length, []).append(row)
        found = [np.zeros((len(each), self.width), dtype=np.float16) for each in places]
        for length, rows in sorted(by_length.items()):
            size = max(1, _TOKENS // length)
            for k in range(0, len(rows), size):
                part = rows[k : k + size]
                tokens, mask = padded([read[row].ids for row in part], size, length)
                made = self.keras.ops.convert_to_numpy(self.network([tokens, mask], training=False))
                for row, vectors in zip(part, made, strict=False):
                    found[row][:] = _mean_per_word(vectors, read[row], places[row])
        return found


def _mean_per_word(vectors: NDArray[np.float32], encoding: Any, places: Places) -> NDArray[Any]:
    """Means of tokens ``(tokens, width)`` per word ``(words, width)``."""
    total = np.zeros((len(places), vectors.shape[1]), dtype=np.float32)
    if not len(places):
        return total
    special = np.array(encoding.special_tokens_mask, dtype=bool)
    begins = np.array([begin for begin, _ in encoding.offsets])[~special]
    word = np.searchsorted([first for first, _ in places], begins, side="right") - 1
    np.add.at(total, word, vectors[: len(special)][~special])
    count = np.bincount(word, minlength=len(places))
    return np.asarray(total / np.maximum(count, 1)[:, None])
