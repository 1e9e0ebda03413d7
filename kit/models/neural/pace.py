"""How fast a training run moves along its schedule, so that it completes in time."""

from __future__ import annotations

import time

_RESERVE = 0.97  # of the time left: predicting, and steps that take longer than those measured


class Pace:
    """Progress along a schedule, in calls of a few steps each.

    Without a deadline every call moves by the same share. With one, the time per call is measured,
    and when the calls left do not fit, each moves further: the schedule is compressed, not cut off.

    Args:
        calls: of the whole schedule.
        goal: progress to stop at; 1 is the schedule's end.
        deadline: `time.monotonic()` to have ended by; None: none.
        compress: False: where time runs out, the schedule ends where it is.

    Attributes:
        progress: share of the schedule done, from 0 to `goal`.
        done: calls so far.
        cut: whether fewer calls were made than the schedule has.
    """

    def __init__(
        self, calls: int, goal: float, deadline: float | None, *, compress: bool = True
    ) -> None:
        self.progress = 0.0
        self.done = 0
        self.cut = False
        self._calls, self._goal, self._deadline = calls, goal, deadline
        self._compress = compress
        self._since: float | None = None

    def next(self) -> float:
        """How much of the schedule the next call covers; 0: there is no next call."""
        planned = round((self._goal - self.progress) * self._calls)
        if planned <= 0:
            return 0.0
        left = min(planned, self._fitting(planned))
        if not self._compress and left > 0:
            left = planned
        self.cut = self.cut or left < planned
        return (self._goal - self.progress) / left if left > 0 else 0.0

    def add(self, share: float) -> None:
        """A call of this share is over."""
        self.progress = min(self._goal, self.progress + share)
        self.done += 1
        if self._since is None:  # the first call compiles
            self._since = time.monotonic()

    def _fitting(self, planned: int) -> int:
        """Calls for which there is time."""
        if self._deadline is None:
            return planned
        now = time.monotonic()
        if self._since is None:
            return planned if now < self._deadline or self.done == 0 else 0
        if self.done < 2:
            return planned if now < self._deadline else 0
        seconds = (now - self._since) / (self.done - 1)
        return int((self._deadline - now) * _RESERVE / max(seconds, 1e-9))
