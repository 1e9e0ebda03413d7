"""How step sizes and penalties move over a training run, as functions of its progress 0 … 1."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


def coslog(progress: Values, cycles: int = 4) -> Values:
    """Waves between 0 and 1, each twice as long as the one before; 0 at both ends.

    Source:
        "Better by default" (RealMLP), 2024: ½ (1 - cos(2π log2(1 + (2^cycles - 1) t))).
    """
    return 0.5 * (1 - np.cos(2 * np.pi * np.log2(1 + (2**cycles - 1) * progress)))


def flat_cos(progress: Values) -> Values:
    """1 for the first half, then down to 0 along a cosine."""
    return 0.5 * (1 + np.cos(np.pi * np.clip(2 * progress - 1, 0, 1)))


def flat(progress: Values) -> Values:
    """1 throughout."""
    return np.ones_like(progress)
