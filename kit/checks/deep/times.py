"""Which columns say when a row happened."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import spearmanr

from kit.checks.deep.learning import floats, moments
from kit.checks.material import Material
from kit.dataset import read_time
from kit.errors import KitError

_NAMED = re.compile(r"(^|[^a-z])(time|timestamp|date|datetime|year|yr)([^a-z]|$)", re.IGNORECASE)
_ROWS = 20_000
_FOLLOWS = 0.95  # rank correlation with the time
_LATER = 0.9  # of test rows later than nearly all of train


def time_like(m: Material) -> dict[str, NDArray[np.float64]]:
    """Feature columns that count time, with their values in train.

    Datetime columns; numbers that rise or fall with `columns.time`; and numbers called year, date
    or time that are larger in test.
    """
    known = m.memory.get("time_like")
    if known is None:
        known = m.memory["time_like"] = _time_like(m)
    found: dict[str, NDArray[np.float64]] = known
    return found


def _time_like(m: Material) -> dict[str, NDArray[np.float64]]:
    found: dict[str, NDArray[np.float64]] = {}
    clock = when(m, m.train)
    rows = np.random.default_rng(0).permutation(len(m.X))[:_ROWS]
    for name, kind in m.kinds.items():
        if kind == "datetime":
            found[name] = moments(m.X[name])
        elif kind == "numeric":
            values = floats(m.X[name])
            follows = clock is not None and _follows(values[rows], clock[rows])
            if follows or (_NAMED.search(name) and is_later(values, floats(m.X_test[name]))):
                found[name] = values
    return found


def share_later(x: NDArray[np.float64], x_test: NDArray[np.float64]) -> float:
    """Share of the test rows that are later than 99 % of train."""
    known = x[~np.isnan(x)]
    return float((x_test > np.quantile(known, 0.99)).mean()) if len(known) else 0.0


def is_later(x: NDArray[np.float64], x_test: NDArray[np.float64]) -> bool:
    """Whether test lies later than train."""
    return len(np.unique(x)) > 1 and share_later(x, x_test) >= _LATER


def when(m: Material, frame: pd.DataFrame) -> NDArray[np.float64] | None:
    """`columns.time` of a file as numbers; None where it is not set, or not there."""
    name = m.columns.time
    if name is None or name not in frame.columns:
        return None
    try:
        stamps = read_time(frame, name)
    except KitError:
        return None
    series = pd.Series(stamps)
    return moments(series) if series.dtype.kind == "M" else floats(series)


def _follows(values: NDArray[np.float64], clock: NDArray[np.float64]) -> bool:
    known = ~np.isnan(values) & ~np.isnan(clock)
    if known.sum() < 20 or np.ptp(values[known]) == 0 or np.ptp(clock[known]) == 0:
        return False
    return bool(abs(spearmanr(values[known], clock[known]).statistic) >= _FOLLOWS)
