"""Text columns as the vectors of a pretrained sentence encoder, or as the tokens it reads."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.kernel_approximation import Nystroem
from sklearn.utils import shuffle

from kit.preprocessing.tokens import documents, words
from kit.pretrained.folder import encoder_folder, read_settings
from kit.pretrained.sentences import HEIGHTS, embed, load_tokenizer

TOKENS = "_token_"
"""Between the name of a text and the place in it, in names of columns of tokens."""

_LOUDER = 2.0  # than the words beside it
_ROWS = 4096  # compared at once: vectors are wide
_FULL = 10  # words of a text that counts in full
_LONGEST = 128  # tokens of a text to learn from: time grows with them
_COVERED = 0.97  # share of the training texts that are read to their end
_CHARACTERS = 20 * _LONGEST  # more are cut off before tokens are counted


class SentenceVectors(TransformerMixin, BaseEstimator):
    """A vector per text column, and the cosine of every two columns of a row.

    A row's vectors depend on that row and on the weights alone; nothing is fitted.

    Args:
        where: folder of the encoder; empty: the installed package's.
        cache: folder that keeps vectors; None: they are computed each time.

    Shape:
        Frame ``(n, d)`` of strings in; float32 ``(n, d * width + pairs)`` out, zeros for blank
        texts.
    """

    def __init__(self, where: str = "", cache: Path | None = None) -> None:
        self.where = where
        self.cache = cache

    def __getstate__(self) -> dict[str, Any]:
        """Without the cache: it belongs to this competition's folder on this machine."""
        return {**self.__dict__, "cache": None}

    def fit(self, X: pd.DataFrame, y: object = None) -> SentenceVectors:
        """Note the names."""
        self.names_ = [str(name) for name in X.columns]
        self.width_ = self._vectors(X[:1]).shape[2]
        return self

    def transform(self, X: pd.DataFrame) -> pd.DataFrame:
        """Encode."""
        made = self._vectors(X)
        cosines = [np.sum(a * b, axis=1, keepdims=True) for a, b in combinations(made, 2)]
        values = np.hstack([*made, *cosines]).astype(np.float32)
        return pd.DataFrame(values, columns=self.get_feature_names_out(), index=X.index)

    def get_feature_names_out(self, input_features: object = None) -> list[str]:
        """Names of the columns made."""
        pairs = combinations(self.names_, 2)
        return [
            *(f"{name}_meaning_{k}" for name in self.names_ for k in range(self.width_)),
            *(f"{left}_{right}_meaning" for left, right in pairs),
        ]

    def _vectors(self, X: pd.DataFrame) -> Any:
        """``(d, n, width)``."""
        encoder_folder(self.where)  # says what is missing before anything is computed
        made = [embed(documents(X[n]), where=self.where, cache=self.cache) for n in self.names_]
        return np.stack(made)[:, :, -1]


class SentenceKernel(TransformerMixin, BaseEstimator):
    """How like each row's texts are those of some training rows: a kernel of their vectors.

    A linear model on it, beside words, bends where meanings crowd together. Texts are compared at
    several heights of the encoder (see `kit.pretrained.bert.build_reader`), without what all of
    them share: the mean of the training rows is taken off each vector. Columns of few words count
    less.

    On 7,600 tweets (log loss, eight folds): the encoder's own vectors .409; three heights, nothing
    shared, words beside them .397.

    Args:
        where, cache: see `SentenceVectors`.
        components: training rows that are compared with, at most.
        gamma: of the Gaussian kernel; vectors have length 1.
        seed: of the choice of rows.

    Shape:
        Frame ``(n, d)`` of strings in; float32 ``(n, components)`` out.

    Source:
        Williams and Seeger, "Using the Nyström Method to Speed Up Kernel Machines" (2001); Mu and
        Viswanath, "All-but-the-Top" (2018).
    """

    def __init__(
        self,
        where: str = "",
        cache: Path | None = None,
        components: int = 1000,
        gamma: float = 0.5,
        seed: int = 0,
    ) -> None:
        self.where = where
        self.cache = cache
        self.components = components
        self.gamma = gamma
        self.seed = seed

    def __getstate__(self) -> dict[str, Any]:
        """Without the cache: it belongs to this competition's folder on this machine."""
        return {**self.__dict__, "cache": None}

    def fit(self, X: pd.DataFrame, y: object = None) -> SentenceKernel:
        """See what the vectors share, weigh the columns, and choose the rows to compare with."""
        encoder_folder(self.where)  # says what is missing before anything is computed
        self.shared_, self.weights_ = {}, {}
        for name in X.columns:
            texts = documents(X[name])
            made = embed(texts, where=self.where, cache=self.cache)
            self.shared_[name] = made.sum(axis=0) / max(1, len(_texts_of(made)))
            length = float(np.mean([len(words(text)) for text in texts]))
            self.weights_[name] = float(np.sqrt(min(1.0, length / _FULL) / HEIGHTS))
        some = shuffle(X.drop_duplicates(), random_state=self.seed)
        # twins would be divided by nearly nothing
        compared = np.unique(self._weighted(some[: self.components]), axis=0)
        self.kernel_ = Nystroem(gamma=self.gamma, n_components=len(compared)).fit(compared)
        return self

    def transform(self, X: pd.DataFrame) -> NDArray[np.float32]:
        """Compare."""
        parts = [np.empty((0, self.kernel_.n_components))]
        parts += [
            self.kernel_.transform(self._weighted(X.iloc[k : k + _ROWS]))
            for k in range(0, len(X), _ROWS)
        ]
        return np.asarray(np.vstack(parts) * np.sqrt(_LOUDER), dtype=np.float32)

    def get_feature_names_out(self, input_features: object = None) -> list[str]:
        """Names of the columns made."""
        return [f"like_{k}" for k in range(self.kernel_.n_components)]

    def _weighted(self, X: pd.DataFrame) -> NDArray[np.float64]:
        """``(n, d * heights * width)``."""
        parts = []
        for name, shared in self.shared_.items():
            made = embed(documents(X[name]), where=self.where, cache=self.cache).astype(np.float64)
            made[_texts_of(made)] -= shared
            made /= np.maximum(np.linalg.norm(made, axis=2, keepdims=True), 1e-6)
            parts.append(made.reshape(len(X), -1) * self.weights_[name])
        return np.hstack(parts)


def _texts_of(vectors: NDArray[Any]) -> NDArray[np.intp]:
    """Rows that hold a text: blank ones are zeros."""
    return np.flatnonzero(np.any(vectors, axis=(1, 2)))


class SentenceTokens(TransformerMixin, BaseEstimator):
    """The tokens of each text as an encoder numbers them, plus one; 0: the text is over.

    Args:
        where: see `SentenceVectors`.

    Shape:
        Frame ``(n, d)`` of strings in; int32 out, as many columns per text as cover nearly all of
        the training rows, `_LONGEST` at most.
    """

    def __init__(self, where: str = "") -> None:
        self.where = where

    def fit(self, X: pd.DataFrame, y: object = None) -> SentenceTokens:
        """See how long the texts are."""
        most = min(_LONGEST, int(read_settings(encoder_folder(self.where))["length"]))
        self.lengths_ = {str(name): most for name in X.columns}
        for name in self.lengths_:
            lengths = [len(ids) for ids in self._read(X, name)]
            usual = int(np.quantile(lengths, _COVERED, method="higher"))
            self.lengths_[name] = min(most, max(8, usual))
        return self

    def transform(self, X: pd.DataFrame) -> pd.DataFrame:
        """Cut into tokens."""
        blocks = []
        for name, length in self.lengths_.items():
            block = np.zeros((len(X), length), dtype=np.int32)
            for row, ids in enumerate(self._read(X, name)):
                block[row, : len(ids)] = np.asarray(ids) + 1
            blocks.append(block)
        return pd.DataFrame(np.hstack(blocks), columns=self.get_feature_names_out(), index=X.index)

    def get_feature_names_out(self, input_features: object = None) -> list[str]:
        """Names of the columns made."""
        return [
            f"{name}{TOKENS}{k:03d}"
            for name, length in self.lengths_.items()
            for k in range(length)
        ]

    def _read(self, X: pd.DataFrame, name: str) -> list[list[int]]:
        tokenizer = load_tokenizer(encoder_folder(self.where), self.lengths_[name])
        lines = [text.strip()[:_CHARACTERS] for text in documents(X[name])]
        return [encoding.ids for encoding in tokenizer.encode_batch(lines)]
