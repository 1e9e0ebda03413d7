"""How a text is written: lengths, capitals, marks, links; counted row by row."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin

from kit.preprocessing.remembered import Remembered
from kit.preprocessing.tokens import documents, items, words

_LINK = re.compile(r"https?://|www\.", re.IGNORECASE)
_NAMES = (
    "characters", "words", "letters_per_word", "different", "capitals", "shouted", "digits",
    "marks", "exclamations", "questions", "links", "mentions", "tags", "lines", "items",
    "other_letters",
)  # fmt: skip


class TextStyle(TransformerMixin, BaseEstimator):
    """Counts and shares of every text column; a missing text has none.

    Characters and words; letters per word; shares of different words, of capitals, of words in
    capitals, of digits, of marks and of letters beyond ASCII; "!", "?", links, "@", "#", lines and
    items of a list.

    What has one value in all training rows is left out.

    Shape:
        Frame ``(n, d)`` of strings in, float32 ``(n, 16 * d)`` out at most.
    """

    def fit(self, X: pd.DataFrame, y: object = None) -> TextStyle:
        """Note the names, and what differs from row to row."""
        self.texts_ = [str(name) for name in X.columns]
        every = self._counted(X)
        self.names_ = [str(name) for name in every if every[name].nunique() > 1]
        return self

    def transform(self, X: pd.DataFrame) -> pd.DataFrame:
        """Count."""
        return self._counted(X)[self.names_]

    def _counted(self, X: pd.DataFrame) -> pd.DataFrame:
        parts = []
        for name in self.texts_:
            counted = np.array(_counts(documents(X[name])), dtype=np.float32)
            counted = counted.reshape(len(X), len(_NAMES))
            counted[X[name].isna().to_numpy()] = np.nan
            columns = [f"{name}_{what}" for what in _NAMES]
            parts.append(pd.DataFrame(counted, columns=columns, index=X.index))
        return pd.concat(parts, axis=1) if parts else pd.DataFrame(index=X.index)

    def get_feature_names_out(self, input_features: object = None) -> list[str]:
        """Names of the columns made."""
        return self.names_


def _counts_of(text: str) -> list[float]:
    size = max(1, len(text))
    found = words(text)
    n_words = max(1, len(found))
    letters = sum(map(str.isalpha, text))
    digits = sum(map(str.isdigit, text))
    blanks = sum(map(str.isspace, text))
    return [
        len(text),
        len(found),
        sum(map(len, found)) / n_words,
        len({word.lower() for word in found}) / n_words,
        sum(map(str.isupper, text)) / max(1, letters),
        sum(len(word) > 1 and word.isupper() for word in found) / n_words,
        digits / size,
        (len(text) - letters - digits - blanks) / size,
        text.count("!"),
        text.count("?"),
        len(_LINK.findall(text)),
        text.count("@"),
        text.count("#"),
        text.count("\n"),
        len(items(text)),
        sum(not character.isascii() for character in text) / size,
    ]


_counts = Remembered(_counts_of)
