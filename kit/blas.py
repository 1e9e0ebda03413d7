"""BLAS on one thread: the sums of a product in the same order, however many cores there are.

Split among threads they are added in another order, and the last bits of a linear model, or where
its solver stops, follow the machine. Which threads a run had is not part of its hash.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from threadpoolctl import threadpool_limits


def ordered_sums(threads: int | None = None) -> AbstractContextManager[Any]:
    """Hold BLAS to one thread while the block runs.

    Args:
        threads: of OpenMP, where other code of the block shares its work by rows; None: as it is.
    """
    limits = {"blas": 1} if threads is None else {"blas": 1, "openmp": threads}
    return threadpool_limits(limits)
