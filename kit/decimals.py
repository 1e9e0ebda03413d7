"""Scores as texts, with as many decimals as are worth reading."""

from __future__ import annotations

import math

_MOST = 12


def score_text(score: float, like: float | None = None, *, signed: bool = False) -> str:
    """A score in digits; with the decimals of `like` where it is given, as its spread wants.

    `signed` puts a + before what is not negative: differences of scores.

    >>> score_text(0.7654321), score_text(1234.5678), score_text(0.0000123456)
    ('0.76543', '1234.57', '0.00001235')
    >>> score_text(0.25, like=1234.5678, signed=True)
    '+0.25'
    """
    size = abs(score if like is None else like)
    decimals = 5 - sum(size >= limit for limit in (10, 100, 1000))
    if 0 < size < 1e-3:  # five decimals would leave two digits, or none
        decimals = min(3 - math.floor(math.log10(size)), _MOST)
    return f"{score:{'+' if signed else ''}.{decimals}f}"
