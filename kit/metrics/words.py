"""How well pieces of texts fit."""

from __future__ import annotations


def jaccard(truth: str, predicted: str) -> float:
    """Different words in common by different words of both, 0 to 1; 1 where neither has a word.

    Words are split at blanks; capitals do not count, punctuation does.

    Args:
        truth: the answer.
        predicted: likewise.

    Source:
        Jaccard (1901); on words as in Kaggle's Tweet Sentiment Extraction (2020), whose formula
        fails where neither has a word.

    >>> jaccard("such a good day", "Good day")
    0.5
    """
    true, found = set(truth.lower().split()), set(predicted.lower().split())
    both = len(true | found)
    return len(true & found) / both if both else 1.0
