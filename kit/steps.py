"""Times as whole numbers of steps: days, hours, months, whatever a series is measured in."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kit.errors import ConfigError

_MONTHS = {"month": 1, "quarter": 3, "year": 12}
_UNITS = (("D", 86_400), ("h", 3_600), ("min", 60), ("s", 1))


def infer_step(times: NDArray[Any]) -> str:
    """The usual distance of neighbouring times, as `step_numbers` reads it.

    Args:
        times: datetime64 or numbers, in any order, none missing. ``(n,)``

    >>> infer_step(np.array(["2024-01-31", "2024-02-29", "2024-03-31"], dtype="datetime64[s]"))
    'month'
    """
    distinct = np.unique(times)
    if distinct.dtype.kind != "M":
        distances, counts = np.unique(np.diff(distinct), return_counts=True)
        return f"{float(distances[counts.argmax()]):g}" if len(distances) else "1"
    if len(distinct) < 2:
        return "1D"
    seconds = distinct.astype("datetime64[s]").astype(np.int64)
    distances, counts = np.unique(np.diff(seconds), return_counts=True)
    days = pd.DatetimeIndex(distinct)
    if distances[0] >= 28 * 86_400 and (days.day.nunique() == 1 or days.is_month_end.all()):
        apart = math.gcd(*np.diff(_months(days)).tolist())
        return {12: "year", 3: "quarter"}.get(apart, "month")
    usual = int(distances[counts.argmax()])
    unit, size = next((unit, size) for unit, size in _UNITS if usual % size == 0 or size == 1)
    return f"{max(1, usual // size)}{unit}"


def step_numbers(times: NDArray[Any], step: str) -> NDArray[np.int64]:
    """The number of the step a time lies in; neighbours differ by 1. ``(n,)``.

    Args:
        times: datetime64 or numbers, none missing.
        step: "month", "quarter", "year", a duration as pandas reads it, or a number.

    Raises:
        ConfigError: the step cannot be read, or does not fit the times.
    """
    if times.dtype.kind == "M" and step in _MONTHS:
        return _months(pd.DatetimeIndex(times)) // _MONTHS[step]
    try:
        if times.dtype.kind == "M":
            length = pd.Timedelta(step)
            if length > pd.Timedelta(0):
                seconds = times.astype("datetime64[s]").astype(np.int64)
                return np.asarray(seconds // int(max(1, length.total_seconds())))
        elif float(step) > 0:
            return np.floor(times.astype(np.float64) / float(step) + 1e-9).astype(np.int64)
    except ValueError:
        pass
    example = '"1D", "1h" or "month"' if times.dtype.kind == "M" else 'a number, e.g. "1"'
    raise ConfigError(f"series.step must be {example}. Received: {step!r}")


def _months(days: pd.DatetimeIndex) -> NDArray[np.int64]:
    return np.asarray(days.year * 12 + days.month - 1, dtype=np.int64)
