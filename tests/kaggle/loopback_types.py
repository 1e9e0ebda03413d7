"""Types of the fixtures, for annotations."""

from __future__ import annotations

from collections.abc import Callable

from kit.providers.kaggle.client import Patience


class Naps:
    """Waits without waiting, and remembers for how long."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


Patient = Callable[..., Patience]
