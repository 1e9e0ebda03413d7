"""What boosting libraries have in common: targets, rows as numbers, and when to hurry or to end.

XGBoost is optional (`kit-competitions[boost]`); both libraries are imported on first use.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kit.errors import KitError, MissingDependency, ModelError
from kit.gpus import gpus
from kit.models.base import Problem

_WARM_UP = 10  # rounds after which the time per round is known
_STEPS_TO_FIT = 24  # learning rate x rounds that most data sets need
_FASTEST = 0.3  # above it boosting wanders
_SMALL = 100_000  # cells of which a round is too short to be shared among threads


def library(name: str) -> Any:
    """Import an optional boosting library.

    Raises:
        MissingDependency: it is not installed; the message says how to.
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise MissingDependency(
            f"the model {name!r} needs the package {name}, which cannot be imported: {error}.\n"
            '  pip install "kit-competitions[boost]"'
        ) from error


@contextmanager
def device(name: str, asked: str) -> Iterator[None]:
    """Say which setting it is where a library cannot use the device that was asked for.

    Args:
        name: of the model's parameter.
        asked: its value.

    Raises:
        ModelError: it cannot, or there is no GPU. XGBoost would take the processor then.
    """
    try:
        if asked in ("cuda", "GPU") and not gpus():
            raise OSError("there is no NVIDIA GPU that this process may use")
        yield
    except KitError:
        raise
    except Exception as error:
        if asked.lower() == "cpu":
            raise
        reason = str(error).strip() or type(error).__name__
        raise ModelError(
            f'{name} = "{asked}" did not work: {reason.splitlines()[-1]}\n'
            "  `kit doctor` shows the GPUs of this machine. The library must be built for them, "
            f"too; without {name} it uses the processor."
        ) from error


def target_columns(problem: Problem) -> list[int | None]:
    """Targets that get a booster each; None: the target is one column."""
    many = problem.task in ("multilabel", "multitarget")
    return list(range(problem.n_outputs)) if many else [None]


def of_column(y: NDArray[Any], column: int | None) -> NDArray[Any]:
    """One target of several, or the only one: ``(n,)``."""
    return y if column is None else y[:, column]


def share(deadline: float | None, left: int) -> float | None:
    """The deadline of the next of `left` equal pieces of work."""
    now = time.monotonic()
    return None if deadline is None else now + (deadline - now) / left


def useful_threads(cells: int, threads: int) -> int:
    """How many threads are worth having: of a small table one, whatever there is.

    A round on it takes a millisecond, and its threads meet some hundred times. Where anything else
    wants a core they wait for one another: 3,000 rows x 15 columns, 100 rounds of LightGBM on two
    busy cores took .3 to 1.3 s on one thread and 5 to 28 s on two. Predictions are the same.
    """
    return threads if cells > _SMALL else 1


def is_level(X: pd.DataFrame) -> list[bool]:
    """Which columns are categories."""
    return [isinstance(dtype, pd.CategoricalDtype) for dtype in X.dtypes]


def codes(column: pd.Series) -> NDArray[Any]:
    """Level numbers of a category, missing and unseen ones -1."""
    return np.asarray(column.cat.codes.to_numpy())


class Clock:
    """Tells a boosting loop when to end and whether to take larger steps.

    Where time is left for few rounds only, few large steps are better than few small ones.

    Args:
        deadline: `time.monotonic()` by which the last round should have ended; None: no limit.
        rate: learning rate.
        rounds: rounds at most.
    """

    def __init__(self, deadline: float | None, rate: float, rounds: int) -> None:
        self.deadline, self.rate, self.rounds = deadline, rate, rounds
        self.cut = False
        self._started = time.monotonic()

    def over(self, step: int) -> bool:
        """Whether the round after `step` would end too late."""
        if self.deadline is None:
            return False
        now = time.monotonic()
        late = now + (now - self._started) / step > self.deadline
        self.cut |= late
        return late

    def faster(self, step: int, *, restart: bool = False) -> float | None:
        """A larger learning rate, asked after every step; None: keep the present one.

        Args:
            step: rounds done.
            restart: whether the rounds done would be thrown away for it.
        """
        if self.deadline is None or step != _WARM_UP:
            return None
        now = time.monotonic()
        possible = (self.deadline - now) * step / (now - self._started) + (0 if restart else step)
        wanted = min(self.rounds, _STEPS_TO_FIT / self.rate)
        if possible >= wanted:
            return None
        self.cut = True
        rate = max(self.rate, min(_FASTEST, self.rate * wanted / max(possible, 1.0)))
        return rate if rate > self.rate else None
