"""Terms of texts and their TF-IDF. How often a text holds a term is counted once per process.

Counting is what takes the time, and says nothing of other texts: the folds of all models share it.
Which terms count, and how much, is learned from the training rows as ever.
"""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from functools import cache, lru_cache
from itertools import chain
from threading import Lock
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.feature_extraction.text import TfidfTransformer, TfidfVectorizer

from kit.preprocessing.remembered import MOST, WORDS_MOST
from kit.preprocessing.tokens import words

Kind = Literal["words", "pieces"]

_WORDS_KEPT = 200_000  # words of which the pieces are kept


class TermWeights(BaseEstimator):
    """TF-IDF of texts, sublinear, each text of length 1 as a vector.

    The same numbers as scikit-learn's `TfidfVectorizer`, with accents and capitals left out.

    Args:
        kind: "words" (`kit.preprocessing.tokens.words`) or "pieces" of words, with the blanks
            around them.
        shortest: words in a term, or characters in a piece, at least.
        longest: at most.
        min_df: texts that a term must occur in.
        most: terms at most, the most frequent ones; None: all.

    Shape:
        List of n texts in, CSR float32 ``(n, terms)`` out.
    """

    def __init__(
        self,
        kind: Kind = "words",
        shortest: int = 1,
        longest: int = 1,
        min_df: int = 1,
        most: int | None = None,
    ) -> None:
        self.kind = kind
        self.shortest = shortest
        self.longest = longest
        self.min_df = min_df
        self.most = most

    def fit(self, texts: Sequence[str]) -> TermWeights:
        """Choose terms and their weights.

        Raises:
            ValueError: no term occurs often enough.
        """
        self.fit_transform(texts)
        return self

    def fit_transform(self, texts: Sequence[str]) -> Any:
        """Choose terms and their weights, and weigh the same texts."""
        counted = _counts(self.kind, self.shortest, self.longest)
        matrix, terms = counted.matrix(texts)
        frequency = np.bincount(matrix.indices, minlength=len(terms))
        kept = np.flatnonzero(frequency >= self.min_df)
        if not len(kept):
            raise ValueError("no term occurs often enough")
        kept = kept[np.argsort(terms[kept])]
        if self.most is not None and len(kept) > self.most:
            sums = np.bincount(matrix.indices, weights=matrix.data, minlength=len(terms))
            # the first of the alphabet among equals, so the choice is stable
            kept = kept[np.sort(np.argsort(-sums[kept], kind="stable")[: self.most])]
        self.terms_ = terms[kept]
        self.weights_ = TfidfTransformer(sublinear_tf=True)
        return self.weights_.fit_transform(_columns(matrix, kept))

    def transform(self, texts: Sequence[str]) -> Any:
        """Weigh texts."""
        counted = _counts(self.kind, self.shortest, self.longest)
        return self.weights_.transform(counted.matrix_of(texts, self.terms_))

    def get_feature_names_out(self, input_features: object = None) -> NDArray[Any]:
        """The terms, in the order of the alphabet."""
        return self.terms_


class _Counts:
    """Counts of one kind of term, kept.

    Args:
        analyze: the terms of a text, with repetitions.
        most: characters of texts of which they are kept.
    """

    def __init__(self, analyze: Callable[[str], Iterable[str]], most: int) -> None:
        self.analyze, self.most, self._lock = analyze, most, Lock()
        self._numbers, self._rows, self._characters = _numbered(), dict[str, int](), 0
        self._matrix = self._count([], self._numbers)

    def matrix(self, texts: Sequence[str]) -> tuple[Any, NDArray[Any]]:
        """Counts ``(n, terms)`` of texts, and the terms."""
        with self._lock:
            if self._keep(texts):
                return self._kept(texts), np.array([*self._numbers], dtype=object)
        numbers = _numbered()
        counted = self._count(texts, numbers)
        return counted, np.array([*numbers], dtype=object)

    def matrix_of(self, texts: Sequence[str], terms: NDArray[Any]) -> Any:
        """Counts ``(n, len(terms))`` of these terms."""
        with self._lock:
            if self._keep(texts):
                found = np.array([self._numbers.get(term, -1) for term in terms])
                if (found >= 0).all():
                    return _columns(self._kept(texts), found)
        numbers = {term: number for number, term in enumerate(terms)}
        return _columns(self._count(texts, numbers), np.arange(len(terms)))

    def _keep(self, texts: Sequence[str]) -> bool:
        """Count what was not counted before; False: it would be too much to keep."""
        new = [*dict.fromkeys(text for text in texts if text not in self._rows)]
        characters = sum(map(len, new))
        if self._characters + characters > self.most:
            return False
        if new:
            counted, known = self._count(new, self._numbers), len(self._rows)
            self._matrix.resize(known, counted.shape[1])
            self._matrix = sparse.vstack([self._matrix, counted], format="csr")
            self._rows.update((text, known + k) for k, text in enumerate(new))
            self._characters += characters
        return True

    def _kept(self, texts: Sequence[str]) -> Any:
        return self._matrix[[self._rows[text] for text in texts]]

    def _count(self, texts: Iterable[str], numbers: dict[str, int]) -> Any:
        """Counts, CSR float32; terms without a number get the next one, or are left out."""
        indices, counts, ends = array("i"), array("i"), array("q", [0])
        grows = isinstance(numbers, defaultdict)
        for text in texts:
            terms = self.analyze(text)
            found = Counter(terms if grows else filter(numbers.__contains__, terms))
            indices.extend(map(numbers.__getitem__, found))
            counts.extend(found.values())
            ends.append(len(indices))
        parts = np.array(counts, dtype=np.float32), np.array(indices), np.array(ends)
        return sparse.csr_matrix(parts, shape=(len(ends) - 1, len(numbers)))


def _numbered() -> defaultdict[str, int]:
    """Terms, each with the next number as it is asked for."""
    numbers = defaultdict[str, int]()
    numbers.default_factory = numbers.__len__
    return numbers


def _columns(matrix: Any, which: NDArray[np.int64]) -> Any:
    """Columns of a CSR matrix, entries in order: else sums depend on what was counted before."""
    chosen = matrix[:, which]
    chosen.sort_indices()
    return chosen


@cache
def _counts(kind: Kind, shortest: int, longest: int) -> _Counts:
    """What was counted of a kind of term in this process."""
    if kind == "words":
        return _Counts(
            TfidfVectorizer(
                strip_accents="unicode",
                tokenizer=words,
                token_pattern=None,
                ngram_range=(shortest, longest),
            ).build_analyzer(),
            most=MOST if longest > 1 else WORDS_MOST,
        )
    prepared = TfidfVectorizer(strip_accents="unicode").build_preprocessor()

    @lru_cache(_WORDS_KEPT)
    def pieces(word: str) -> tuple[str, ...]:
        padded, found = f" {word} ", list[str]()
        for size in range(shortest, longest + 1):
            found += [padded[k : k + size] for k in range(max(1, len(padded) - size + 1))]
            if size >= len(padded):  # longer pieces would be the whole word again
                break
        return tuple(found)

    return _Counts(lambda text: chain.from_iterable(map(pieces, prepared(text).split())), MOST)
