"""What follows from one text alone, kept by text: every fold and many models ask for it again.

Nothing here knows of rows, labels or folds, so what is kept cannot leak from one to another.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

MOST = 6_000_000
"""Characters of texts of which terms are kept, per process and kind of term."""

WORDS_MOST = 30 * MOST
"""The same of single words, and of the few numbers of a text: they take a thirtieth per letter."""


class Remembered:
    """Numbers made of a text, or of several texts of a row together.

    Args:
        make: the numbers ``(d,)`` of these texts, as many for all.
    """

    def __init__(self, make: Callable[..., Sequence[float]]) -> None:
        self.make = make
        self._made = dict[tuple[str, ...], NDArray[np.float32]]()
        self._characters = 0

    def __call__(self, *columns: Sequence[str]) -> list[NDArray[np.float32]]:
        """The numbers of each row of one or more columns of texts of equal length."""
        return [self._of(texts) for texts in zip(*columns, strict=True)]

    def _of(self, texts: tuple[str, ...]) -> NDArray[np.float32]:
        known = self._made.get(texts)
        if known is None:
            known = np.asarray(self.make(*texts), dtype=np.float32)
            if self._characters < WORDS_MOST:
                self._made[texts] = known
                self._characters += sum(map(len, texts))
        return known
