"""Free text as numbers. Vocabulary and weights come from the training rows only."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer

_WORD = r"(?u)\b\w+\b"


class TextNumbers(TransformerMixin, BaseEstimator):
    """One text column as a few dense columns, for trees and networks.

    The most frequent words become 0/1 columns, the rest of the vocabulary is compressed by a
    truncated SVD of TF-IDF, and the lengths in characters and words are kept.

    Args:
        n_words: how many word columns at most.
        n_components: how many SVD columns; 0 for none.
        seed: of the randomised SVD.

    Shape:
        Frame ``(n, 1)`` of strings in, float32 ``(n, n_words + n_components + 2)`` out at most.
    """

    def __init__(self, n_words: int = 50, n_components: int = 16, seed: int = 0) -> None:
        self.n_words = n_words
        self.n_components = n_components
        self.seed = seed

    def fit(self, X: pd.DataFrame, y: object = None) -> TextNumbers:
        """Learn vocabulary, weights and components."""
        self.name_ = str(X.columns[0])
        rare = max(2, min(20, len(X) // 200))
        self.vectorizer_ = _vectorizer(min_df=rare)
        try:
            matrix = self.vectorizer_.fit_transform(_documents(X))
        except ValueError:  # no word is frequent enough
            self.words_, self.svd_ = np.empty(0, dtype=int), None
            return self
        frequency = np.asarray((matrix > 0).sum(axis=0)).ravel()
        # the most frequent words, alphabetical among equals, so the choice is stable
        self.words_ = np.sort(np.argsort(-frequency, kind="stable")[: self.n_words])
        size = min(self.n_components, matrix.shape[1] - 1)
        wide = matrix.shape[1] > self.n_words and size > 0
        self.svd_ = TruncatedSVD(size, random_state=self.seed).fit(matrix) if wide else None
        return self

    def transform(self, X: pd.DataFrame) -> pd.DataFrame:
        """Compute the columns."""
        text = X[self.name_].fillna("")
        words = [len(document.split()) for document in text]
        lengths = np.column_stack([text.str.len(), words])
        parts: list[Any] = [lengths]
        if len(self.words_):
            matrix = self.vectorizer_.transform(_documents(X))
            parts.append((matrix[:, self.words_] > 0).toarray())
            if self.svd_ is not None:
                parts.append(self.svd_.transform(matrix))
        values = np.hstack(parts).astype(np.float32)
        return pd.DataFrame(values, columns=self.get_feature_names_out(), index=X.index)

    def get_feature_names_out(self, input_features: object = None) -> list[str]:
        """Names of the columns made."""
        words = self.vectorizer_.get_feature_names_out()[self.words_] if len(self.words_) else []
        size = self.svd_.n_components if self.svd_ is not None else 0
        return [
            f"{self.name_}_characters",
            f"{self.name_}_words",
            *(f"{self.name_}_has_{number}" for number, _ in enumerate(words)),
            *(f"{self.name_}_topic_{k}" for k in range(size)),
        ]


class TextSparse(TransformerMixin, BaseEstimator):
    """One text column as TF-IDF of words and word pairs, sparse, for linear models."""

    def fit(self, X: pd.DataFrame, y: object = None) -> TextSparse:
        """Learn vocabulary and weights."""
        self.vectorizer_ = _vectorizer(min_df=2, ngram_range=(1, 2), max_features=50_000)
        try:
            self.vectorizer_.fit(_documents(X))
        except ValueError:  # no word occurs twice
            self.vectorizer_ = None
        return self

    def transform(self, X: pd.DataFrame) -> Any:
        """The sparse matrix ``(n, vocabulary)``, float32."""
        if self.vectorizer_ is None:
            return sparse.csr_matrix((len(X), 0), dtype=np.float32)
        return self.vectorizer_.transform(_documents(X))

    def get_feature_names_out(self, input_features: object = None) -> list[str]:
        """The vocabulary."""
        return [] if self.vectorizer_ is None else list(self.vectorizer_.get_feature_names_out())


def _vectorizer(**options: Any) -> TfidfVectorizer:
    return TfidfVectorizer(
        token_pattern=_WORD, sublinear_tf=True, strip_accents="unicode", dtype=np.float32, **options
    )


def _documents(X: pd.DataFrame) -> list[str]:
    return [str(text) for text in X.iloc[:, 0].fillna("")]
