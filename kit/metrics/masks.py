"""How well masks fit."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def dice(truth: NDArray[Any], predicted: NDArray[Any]) -> float:
    """Twice the common pixels by the pixels of both, 0 to 1; 1 where both masks are empty.

    Args:
        truth: mask ``(height, width)``.
        predicted: likewise.

    Source:
        Dice (1945); with 1 for two empty masks as in Kaggle's Carvana and Severstal competitions.
    """
    true, found = np.asarray(truth, dtype=bool), np.asarray(predicted, dtype=bool)
    if true.shape != found.shape:
        raise ValueError(f"masks must have the same shape, however: {true.shape}, {found.shape}")
    both = int(true.sum()) + int(found.sum())
    return 2 * int((true & found).sum()) / both if both else 1.0
