"""A time limit that counts from the start of the process, and what must be kept back of it."""

from __future__ import annotations

import time

import psutil

_ENDING = 1.5  # seconds for the last files, for ending the workers and for leaving Python
_BLENDING = 0.04  # share of the budget that blending may take ...
_STARTING = 60.0  # seconds: longer takes no start of kit
_LONGEST_BLEND = 60.0  # ... and its limit in seconds, while models could use them
_SHORTEST_BLEND = 0.5  # seconds that it has in any case


def _running() -> float:
    """Seconds since this process was started; the only look at the clock that can be set.

    More than a start takes is a clock that jumped, or a process that did other things before.
    """
    running = time.time() - psutil.Process().create_time()
    return running if 0 <= running <= _STARTING else 0.0


class Budget:
    """A deadline.

    Args:
        seconds: from the start of this process to its end; from now where it began long ago.

    Attributes:
        end: `time.monotonic()` at which the process should be gone.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._started = time.monotonic() - _running()
        self.end = self._started + seconds
        self._measured = 0.0

    @property
    def spent(self) -> float:
        """Seconds since the process was started."""
        return time.monotonic() - self._started

    @property
    def blending(self) -> float:
        """Seconds that are kept for blending."""
        return min(_LONGEST_BLEND, max(1.0, _BLENDING * self.seconds))

    def measured(self, seconds: float) -> None:
        """Take note of how long it took to publish a run and to write its submission."""
        self._measured = max(self._measured, seconds)

    @property
    def publishing(self) -> float:
        """Seconds that are kept for the files of the blend."""
        return _ENDING + 1.5 * self._measured

    @property
    def work_end(self) -> float:
        """`time.monotonic()` at which the last model must be done."""
        return self.end - self.blending - self.publishing

    def for_blend(self) -> float:
        """Seconds that blending may take from now on: what it was granted, or more.

        Where all models are through early it has half of what is left.
        """
        left = self.end - time.monotonic() - self.publishing
        return max(_SHORTEST_BLEND, min(left, max(self.blending, left / 2)))

    @property
    def left(self) -> float:
        """Seconds that are left for models."""
        return max(0.0, self.work_end - time.monotonic())
