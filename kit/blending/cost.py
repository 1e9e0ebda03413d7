"""What a blend costs for new rows, and how alike its members are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def seconds_per_1000(record: Mapping[str, Any], n_validated: int, n_test: int) -> float | None:
    """Seconds in which all fold models of a run predict 1000 new rows.

    Every validated row was predicted by one fold's model, every test row by all of them.

    Args:
        record: `run.json` of the run.
        n_validated: validated rows.
        n_test: test rows.

    Returns:
        None where the run does not say how long it took.
    """
    seconds = record.get("seconds", {}).get("predict")
    folds = len(record["score"]["folds"])
    rows = n_validated + folds * n_test
    if seconds is None or rows == 0:
        return None
    return float(seconds) * folds * 1000.0 / rows


def correlations(names: list[str], oof: Array, used: NDArray[np.bool_]) -> dict[str, Any]:
    """Pearson correlation of the members in use, every pair once.

    Args:
        names: of the members.
        oof: their predictions. ``(m, n, k)``
        used: which of them have a weight. ``(m,)``

    Returns:
        ``{a: {b: 0.97}}``; a constant member has none.
    """
    kept = np.flatnonzero(used)
    flat = oof[kept].reshape(len(kept), -1)
    flat = flat - flat.mean(axis=1, keepdims=True)
    size = np.sqrt((flat**2).sum(axis=1))
    found: dict[str, Any] = {}
    for i, a in enumerate(kept):
        pairs = {
            names[b]: round(float(flat[i] @ flat[j] / (size[i] * size[j])), 3)
            for j, b in enumerate(kept)
            if j > i and size[i] > 0 and size[j] > 0
        }
        if pairs:
            found[names[a]] = pairs
    return found
