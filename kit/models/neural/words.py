"""Words as a network sees them: the number of each, its looks, and where in the text it is."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

UNKNOWN, FIRST = 1, 2
"""Numbers of a word that is not known by name, and of the first that is; 0 is no word at all."""
LOOKS = 19
"""Columns that say what a word looks like and where it is."""

_PLACED = 5  # of the looks: where the word is
_STEP = 8  # lengths are rounded up to multiples of it: few shapes, little padding
_FAR = 32  # distances from both ends are measured in so many words
_PUNCTUATION = re.compile(r"^\W+|\W+$")
_REPEATED = re.compile(r"(.)\1{2,}")


@dataclass(frozen=True)
class Texts:
    """Texts as the network sees them; words of all texts behind one another.

    Attributes:
        counts: words per text ``(n,)``.
        names: numbers of the words ``(w,)``.
        looks: shapes of the words ``(w, l)``.
        levels: numbers of the conditions ``(n, c)``.
        vectors: per text, ``(words, d)``.
    """

    counts: NDArray[np.int64]
    names: NDArray[np.int32]
    looks: NDArray[np.float32]
    levels: NDArray[np.int32]
    vectors: Sequence[NDArray[Any]] | None

    def batch(self, rows: NDArray[np.int64]) -> list[NDArray[Any]]:
        """Inputs of the network: some texts, padded to one length."""
        counts = self.counts[rows]
        length = max(1, -(-int(counts.max()) // _STEP)) * _STEP
        at = np.arange(length)
        there = at < counts[:, None]
        begins = np.cumsum(self.counts)[rows] - counts
        word = np.where(there, begins[:, None] + at, 0)
        left = counts[:, None] - 1 - at
        places = [at == 0, left == 0, at / _FAR, left / _FAR, at / counts[:, None]]
        placed = np.stack(np.broadcast_arrays(*places), axis=2)
        looks = np.concatenate([self.looks[word], placed], axis=2) * there[..., None]
        inputs = [np.where(there, self.names[word], 0), looks.astype(np.float32)]
        if self.vectors is not None:
            width = self.vectors[0].shape[1]
            seen = np.zeros((len(rows), length, width), dtype=np.float32)
            for k, (row, n) in enumerate(zip(rows, counts, strict=True)):
                seen[k, :n] = self.vectors[row][:n]
            inputs.append(seen)
        return [*inputs, self.levels[rows]] if self.levels.shape[1] else inputs


def read_texts(
    texts: Sequence[str],
    known: Mapping[str, int],
    longest: int,
    levels: NDArray[np.int32],
    vectors: Sequence[NDArray[np.floating]] | None,
) -> Texts:
    """Texts, cut after `longest` words; `known` are the numbers of the words known by name."""
    cut = [text.split()[:longest] for text in texts]
    different = {word for words in cut for word in words}
    seen = {word: (known.get(name(word), UNKNOWN), look(word)) for word in different}
    flat = [seen[word] for words in cut for word in words]
    return Texts(
        counts=np.array([len(words) for words in cut], dtype=np.int64),
        names=np.array([number for number, _ in flat], dtype=np.int32),
        looks=np.array([looks for _, looks in flat], dtype=np.float32).reshape(-1, LOOKS - _PLACED),
        levels=levels,
        vectors=vectors,
    )


def vocabulary(texts: Sequence[str], most: int) -> dict[str, int]:
    """Numbers of the words in most texts, two at least.

    Alphabetical among equals, so that the choice does not depend on the order of the texts.
    """
    counted = Counter(word for text in texts for word in {*map(name, text.split())})
    known = sorted((w for w, n in counted.items() if n > 1), key=lambda w: (-counted[w], w))
    return {word: k + FIRST for k, word in enumerate(known[:most])}


def name(word: str) -> str:
    """The word as the vocabulary has it: "GOOOOD!!" is "good"; of punctuation all that is there."""
    lower = _REPEATED.sub(r"\1\1", word.lower())
    return _PUNCTUATION.sub("", lower) or lower


def look(word: str) -> list[float]:
    """What can be seen of a word without knowing it."""
    bare = _PUNCTUATION.sub("", word)
    return [
        float(seen)
        for seen in (
            bare[:1].isupper(),
            len(bare) > 1 and bare.isupper(),
            any(letter.isdigit() for letter in word),
            not bare,
            word[0] in "#@",
            "://" in word or word.startswith("www."),
            word[0] in "\"'([*",
            word[-1] in ".!?",
            word[-1] in ",;:",
            "!" in word,
            "?" in word,
            ".." in word,
            _REPEATED.search(bare) is not None,
            min(len(bare), 12) / 12,
        )
    ]
