"""The scales of the target that metrics want models to be trained on, and the ways back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Function = Callable[[NDArray[Any]], NDArray[Any]]


def transform_pair(name: str, task: str) -> tuple[Function, Function]:
    """The scale of a metric's `transform`, and the way back; classes have no scale.

    Predictions that are too large for the way back become infinite; the engine refuses them.

    Args:
        name: "none"; "log1p", where values below 0 count as 0, as they do in the metric, and whose
            way back ends there; "signed_log", the same mirrored below 0.
        task: the task's type.
    """
    if task not in ("regression", "multitarget"):
        return _same, _same
    if name == "log1p":
        return _log1p, lambda values: np.maximum(_expm1(values), 0.0)
    if name == "signed_log":
        return _mirrored(np.log1p), _mirrored(_expm1)
    return _same, _same


def _same(values: NDArray[Any]) -> NDArray[Any]:
    return values


def _log1p(values: NDArray[Any]) -> NDArray[Any]:
    return np.log1p(np.maximum(values, 0.0))


def _expm1(values: NDArray[Any]) -> NDArray[Any]:
    with np.errstate(over="ignore"):
        return np.expm1(values)


def _mirrored(function: Function) -> Function:
    return lambda values: np.sign(values) * function(np.abs(values))
