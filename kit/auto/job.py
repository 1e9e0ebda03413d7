"""One model of the portfolio on its way through the workers."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

from kit.execution.results import FoldResult
from kit.execution.task import FoldTask
from kit.plan import Plan
from kit.portfolio import Entry

_GRACE = 1.5  # times its time: then a model that ignores its limit is ended


@dataclass(frozen=True)
class Turn:
    """What is tried next.

    Attributes:
        entry: the model.
        repeat: 0, or the number of a further seed.
        extra: whether the portfolio is through. That there is no time for it is no news then.
    """

    entry: Entry
    repeat: int = 0
    extra: bool = False

    @property
    def name(self) -> str:
        """As the run will be called."""
        return f"{self.entry.name}.{self.repeat + 1}" if self.repeat else self.entry.name


@dataclass(kw_only=True)
class Job:
    """A run in the making.

    Attributes:
        turn: what is tried.
        plan: the run's plan.
        waiting: tasks that no worker has yet.
        results: finished folds.
        held: the lock of the run, let go when the job ends.
        seconds: how long it may take in all.
        need: bytes its task will take.
        abreast: how many of its tasks can be in work at a time.
        fitting: share of its time for fitting; the rest is for predicting.
        begun: `time.monotonic()` of its first task, 0 before; later by what it had to wait for
            workers since.
        running: tasks in work.
    """

    turn: Turn
    plan: Plan
    waiting: list[FoldTask]
    results: dict[int, FoldResult]
    held: ExitStack
    seconds: float
    need: float
    abreast: int
    fitting: float = 0.8
    begun: float = 0.0
    running: list[FoldTask] = field(default_factory=list)
    _idle: float = 0.0  # `time.monotonic()` since when none of its tasks is in work

    @property
    def end(self) -> float:
        """`time.monotonic()` at which its time is over."""
        return self.begun + self.seconds

    @property
    def kill_at(self) -> float:
        """`time.monotonic()` at which its workers are ended.

        While the first of several folds is not there, that is earlier: when the others could not
        end in time any more.
        """
        rounds = 1 + len(self.waiting) / self.abreast if self.measured is None else 1
        return self.begun + _GRACE * self.seconds / rounds + 1.0

    @property
    def measured(self) -> float | None:
        """Seconds of a finished task, None before the first."""
        taken = [sum(result.seconds.values()) for result in self.results.values()]
        return sum(taken) / len(taken) if taken else None

    @property
    def ready(self) -> bool:
        """Whether a task may be started: the second fold only when the first is measured."""
        return bool(self.waiting) and not (self.running and self.measured is None)

    def next(self, until: float = math.inf) -> FoldTask | None:
        """The next task, where one may be started.

        Args:
            until: `time.monotonic()` by which every model must be done.
        """
        if not self.ready:
            return None
        now = time.monotonic()
        if not self.running:  # the folds of others in its way are no time that it had
            self.begun += now - self._idle
        share = (min(self.end, until) - now) / len(self.waiting)
        task = replace(self.waiting.pop(0), deadline=now + self.fitting * share)
        self.running.append(task)
        return task

    def ended(self, task: FoldTask, results: Sequence[FoldResult]) -> None:
        """Take a task's results."""
        self.running.remove(task)
        self.results.update({result.fold: result for result in results})
        if not self.running:
            self._idle = time.monotonic()

    @property
    def done(self) -> bool:
        """Whether all folds are there."""
        return len(self.results) == self.plan.n_folds

    def too_slow(self, until: float) -> bool:
        """Whether the folds that are left cannot end in time, by the folds measured so far."""
        if self.measured is None or not self.waiting:
            return False
        rounds = -(-len(self.waiting) // self.abreast)
        return time.monotonic() + rounds * self.measured > until
