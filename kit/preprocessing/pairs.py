"""How alike two texts of a row are: a question and another one, a query and what was found.

Overlaps are counted row by row; the weights of words in the cosine are those of the training rows.
"""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin

from kit.preprocessing.remembered import Remembered
from kit.preprocessing.terms import TermWeights
from kit.preprocessing.tokens import documents, words

_NAMES = ("cosine", "words", "within", "pairs", "letters", "lengths", "start", "equal")
_MOST = 4  # text columns: among more there are too many pairs


class TextPairs(TransformerMixin, BaseEstimator):
    """Similarities of every pair of text columns; missing where either text is.

    Cosine of TF-IDF; share of common words, pairs of words and pieces of three letters (Jaccard);
    share of the shorter text's words that the other has; ratio of the lengths; words that both
    begin with; whether they are the same words.

    Shape:
        Frame ``(n, d)`` of strings in, float32 ``(n, 8 * pairs)`` out; no pairs above four columns.
    """

    def fit(self, X: pd.DataFrame, y: object = None) -> TextPairs:
        """Learn how common words are, over all columns together."""
        names = [str(name) for name in X.columns]
        self.pairs_ = list(combinations(names, 2)) if len(names) <= _MOST else []
        self.vectorizer_: TermWeights | None = TermWeights(min_df=2)
        try:
            if self.pairs_:
                self.vectorizer_.fit([text for name in names for text in documents(X[name])])
        except ValueError:  # no word comes twice
            self.vectorizer_ = None
        return self

    def transform(self, X: pd.DataFrame) -> pd.DataFrame:
        """Compare."""
        parts = [np.empty((len(X), 0), dtype=np.float32)]
        for left, right in self.pairs_:
            one, two = documents(X[left]), documents(X[right])
            cosine = np.zeros(len(X))
            if self.vectorizer_ is not None:
                rows = self.vectorizer_.transform(one), self.vectorizer_.transform(two)
                cosine = np.asarray(rows[0].multiply(rows[1]).sum(axis=1)).ravel()
            overlaps = _overlaps(one, two)
            made = np.column_stack([cosine, np.reshape(overlaps, (len(X), len(_NAMES) - 1))])
            made[(X[left].isna() | X[right].isna()).to_numpy()] = np.nan
            parts.append(made.astype(np.float32))
        return pd.DataFrame(np.hstack(parts), columns=self.get_feature_names_out(), index=X.index)

    def get_feature_names_out(self, input_features: object = None) -> list[str]:
        """Names of the columns made."""
        return [f"{left}_{right}_{what}" for left, right in self.pairs_ for what in _NAMES]


def _compared(one: str, two: str) -> list[float]:
    one, two = one.lower(), two.lower()
    a, b = words(one), words(two)
    common = len({*a} & {*b})
    start = next((k for k, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), None)
    return [
        _jaccard({*a}, {*b}),
        common / max(1, min(len({*a}), len({*b}))),
        _jaccard({*pairwise(a)}, {*pairwise(b)}),
        _jaccard(_pieces(one), _pieces(two)),
        min(len(one), len(two)) / max(1, len(one), len(two)),
        min(len(a), len(b)) if start is None else start,
        float(a == b),
    ]


def _jaccard(a: set[object], b: set[object]) -> float:
    return len(a & b) / len(a | b) if a or b else 1.0


def _pieces(text: str) -> set[object]:
    return {text[k : k + 3] for k in range(len(text) - 2)}


_overlaps = Remembered(_compared)
