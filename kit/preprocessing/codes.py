"""Strings built of parts, such as "B/45/S", "C85" or "A/5 21171" -> one column per part."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin

_TOKEN = re.compile(r"[A-Za-z]+|\d+")
_MOST_PARTS = 6
_RARE = 5  # a level of a letter part seen less often says nothing


class CodeParts(TransformerMixin, BaseEstimator):
    """Split code columns into runs of letters and runs of digits.

    Where most training values share one signature (letters, digits, letters, ...) every position
    becomes a column: numbers for digits, a category for letters. Where they are equally many
    letters, every letter becomes one, beside the number of different letters. Otherwise the first
    run of letters and the last run of digits are taken. The length is always kept.

    Shape:
        - Input: frame ``(n, d)`` of strings.
        - Output: frame ``(n, parts)`` of float32 and categorical columns.
    """

    def fit(self, X: pd.DataFrame, y: object = None) -> CodeParts:
        """Learn each column's signature and the letter parts that are frequent enough."""
        self.signature_ = {name: _signature(X[name]) for name in X.columns}
        made = self._split(X)
        self.levels_ = {}
        for name in made.columns:
            if isinstance(made[name].dtype, pd.StringDtype):
                counts = made[name].value_counts()
                self.levels_[name] = counts.index[counts >= _RARE].sort_values()
        self.names_ = [n for n in made.columns if made[n].nunique() > 1]
        return self

    def transform(self, X: pd.DataFrame) -> pd.DataFrame:
        """Split by the learned signatures; unseen or rare letter parts become missing."""
        made = self._split(X)[self.names_]
        for name in self.names_:
            if name in self.levels_:
                known = made[name].where(made[name].isin(self.levels_[name]))
                made[name] = pd.Categorical(known, categories=self.levels_[name])
        return made

    def get_feature_names_out(self, input_features: object = None) -> list[str]:
        """Names of the columns made."""
        return list(self.names_)

    def _split(self, X: pd.DataFrame) -> pd.DataFrame:
        parts = [self._split_column(X[name], sign) for name, sign in self.signature_.items()]
        return pd.concat(parts, axis=1) if parts else pd.DataFrame(index=X.index)

    def _split_column(self, column: pd.Series, signature: str) -> pd.DataFrame:
        """Split every different value once, then look the rows up."""
        codes, values = pd.factorize(column, use_na_sentinel=True)  # -1: missing
        lettered = signature.startswith("c")
        tokens = [*(list(v) if lettered else _TOKEN.findall(v) for v in values), []]
        name, made = column.name, {}
        if signature:
            for position, kind in enumerate(signature):
                made[f"{name}_{position + 1}"] = _column(
                    [_at(t, position, kind) for t in tokens], kind
                )
        else:
            letters = [next((t for t in found if t.isalpha()), None) for found in tokens]
            digits = [next((t for t in found[::-1] if t.isdigit()), None) for found in tokens]
            made[f"{name}_letters"] = _column(letters, "a")
            made[f"{name}_number"] = _column(digits, "1")
        if lettered:
            different = [*(len(set(value)) for value in values), np.nan]
            made[f"{name}_different"] = pd.Series(different, dtype=np.float32)
        lengths = np.array([*(len(value) for value in values), np.nan], dtype=np.float32)
        made[f"{name}_length"] = pd.Series(lengths)
        return pd.DataFrame(made).take(codes).set_axis(column.index)


def _signature(column: pd.Series) -> str:
    """The usual shape, e.g. "a1a" for letters-digits-letters; "" where there is none (80 %).

    "ccc" for values of three letters, all of them.
    """
    counts = column.value_counts()
    shapes = ["".join("1" if t.isdigit() else "a" for t in _TOKEN.findall(v)) for v in counts.index]
    if not shapes:
        return ""
    shares = counts.groupby(np.array(shapes)).sum() / counts.sum()
    usual = str(shares.idxmax())
    lengths = {len(value) for value in counts.index}
    if usual == "a" and shares.max() == 1 and len(lengths) == 1 and lengths != {1}:
        return "c" * lengths.pop()
    return usual if shares.max() >= 0.8 and 0 < len(usual) <= _MOST_PARTS else ""


def _at(tokens: list[str], position: int, kind: str) -> str | None:
    if position >= len(tokens):
        return None
    if kind == "c":
        return tokens[position]
    return tokens[position] if tokens[position].isdigit() == (kind == "1") else None


def _column(values: list[str | None], kind: str) -> pd.Series:
    if kind == "1":
        numbers = np.array([np.nan if v is None else float(v) for v in values], dtype=np.float32)
        return pd.Series(numbers)
    return pd.Series(values, dtype="str")
