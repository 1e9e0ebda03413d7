"""Pieces of a text as spans of words: where an answer lies, and which piece to hand in.

A text is its words, split at blanks; a span is the numbers of its first and last word, both
included. What scores a piece compares words, so a piece never begins or ends inside one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Place = tuple[int, int]
"""First character of a word, and the one behind its last."""
Span = tuple[int, int]
"""First and last word."""

EXACT = 32
"""Words of a text up to which every span is compared with every other."""

_LIKELY = 16  # starts and ends of longer texts that are looked at
_BLOCK = 512  # texts of one length at a time
_WORD = re.compile(r"\S+")


def places(text: str) -> list[Place]:
    """Where the words of a text are.

    >>> places(" good  day")
    [(1, 5), (7, 10)]
    """
    return [found.span() for found in _WORD.finditer(text)]


def locate(text: str, answer: str) -> Span | None:
    """The words that an answer touches; None where it is blank or no piece of the text.

    Of several occurrences the first that begins and ends with a word counts, else the first.

    >>> locate("today is a good day", "a good")
    (2, 3)
    """
    answer, known = answer.strip(), places(text)
    starts = [found.start() for found in re.finditer(f"(?={re.escape(answer)})", text)]
    if not answer or not starts:
        return None
    first, last = {place[0] for place in known}, {place[1] for place in known}
    whole = [at for at in starts if at in first and at + len(answer) in last]
    at = (whole or starts)[0]
    touched = [k for k, (a, b) in enumerate(known) if a < at + len(answer) and b > at]
    return touched[0], touched[-1]


def piece(text: str, span: Span) -> str:
    """The text from the first character of the first word to the last one of the last word."""
    known = places(text)
    return text[known[span[0]][0] : known[span[1]][1]]


def best_spans(
    starts: Sequence[NDArray[np.floating]],
    ends: Sequence[NDArray[np.floating]],
    sharpness: float = 1.0,
) -> list[Span]:
    """The spans whose expected Jaccard is highest, one per text; (0, -1) where there is no word.

    The probability of a span is that of its start times that of its end, where the end is not
    before the start, so that all of them add up to 1; of several networks it is the mean. The
    likeliest span is often not the best one: where the network is sure of a word in the middle and
    not of the borders, a longer one loses less.

    Args:
        starts: per text, probabilities ``(networks, words)`` that the piece starts at a word.
        ends: likewise.
        sharpness: power that the probabilities of spans are raised to. The product knows nothing of
            starts and ends that go together, and so believes too much in pieces that begin as one
            answer and end as another; a power above 1 believes less in them, up to the likeliest
            span alone.

    Overlaps are those of places: a word that a text has twice counts as two. Of texts longer than
    `EXACT` words, the likeliest 16 starts and ends, the first and the last word are looked at.
    """
    found: list[Span] = [(0, -1)] * len(starts)
    by_shape: dict[tuple[int, int], list[int]] = {}
    for row, each in enumerate(starts):
        by_shape.setdefault((each.shape[0], each.shape[1]), []).append(row)
    for (_, words), rows in by_shape.items():
        if words > EXACT:
            for row in rows:
                found[row] = _of_a_long_text(starts[row], ends[row], sharpness)
            continue
        for k in range(0, len(rows) if words else 0, _BLOCK):
            block = rows[k : k + _BLOCK]
            first, last, overlap = overlaps(words)
            chance = _chances(
                np.stack([starts[row] for row in block]),
                np.stack([ends[row] for row in block]),
                first,
                last,
            )
            expected = chance**sharpness @ overlap
            for row, best in zip(block, np.argmax(expected, axis=1), strict=True):
                found[row] = int(first[best]), int(last[best])
    return found


@lru_cache(maxsize=EXACT)
def overlaps(words: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """First and last words ``(s,)`` of all spans of a text, and their Jaccard ``(s, s)``."""
    first, last = np.triu_indices(words)
    return first, last, _jaccard(first, last)


def _jaccard(first: NDArray[np.int64], last: NDArray[np.int64]) -> NDArray[np.float64]:
    begin = np.maximum(first[:, None], first)
    common = np.maximum(0, np.minimum(last[:, None], last) - begin + 1)
    length = last - first + 1
    return np.asarray(common / (length[:, None] + length - common))


def _chances(
    starts: NDArray[np.floating],
    ends: NDArray[np.floating],
    first: NDArray[np.int64],
    last: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Probabilities of spans ``(n, s)`` by those of the words, ``(n, networks, words)`` each."""
    chance = starts[..., first].astype(np.float64) * ends[..., last]
    total = chance.sum(axis=-1, keepdims=True)
    # a start behind every end: no span is likelier than another
    chance = np.where(total > 0, chance / np.where(total > 0, total, 1), 1 / len(first))
    return np.asarray(chance.mean(axis=-2))


def _of_a_long_text(
    starts: NDArray[np.floating], ends: NDArray[np.floating], sharpness: float
) -> Span:
    last_word = starts.shape[1] - 1
    begins = {0, *np.argsort(-starts.mean(axis=0), kind="stable")[:_LIKELY].tolist()}
    stops = {last_word, *np.argsort(-ends.mean(axis=0), kind="stable")[:_LIKELY].tolist()}
    first, last = np.array([(i, j) for i in sorted(begins) for j in sorted(stops) if i <= j]).T
    chance = _chances(starts[None], ends[None], first, last)[0]
    best = int(np.argmax(chance**sharpness @ _jaccard(first, last)))
    return int(first[best]), int(last[best])
