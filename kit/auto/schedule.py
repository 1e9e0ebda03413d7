"""Who works on what until the time is over.

Models are started in the order of the portfolio, as many at a time as there are workers. Each gets
a share of the time that is left; one that can be told stops there by itself, one that cannot is
ended. What fails, does not fit into memory or comes too late is left out with the reason; nothing
of that stops the others.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack

import numpy as np

from kit.auto.budget import Budget
from kit.auto.images import largest_side
from kit.auto.job import Job, Turn
from kit.auto.texts import READING, vectors_in_time
from kit.cv import finish, locked, start, take
from kit.errors import DiskFull, KitError
from kit.execution.memory import available
from kit.execution.task import FoldTask
from kit.execution.workers import Finished, FoldWorkers
from kit.plan import Plan, make_plan
from kit.portfolio import MANY_OUTPUTS, Entry
from kit.runs import Run
from kit.selection import standing
from kit.session import Session

SEEDS = 5
"""Up to so many seeds per model when time is left."""

_BEST = 4  # models that are repeated with further seeds
_AT_LEAST = 0.1  # of the time left is granted to any model
_GENEROUS = 2.0  # times its fair share: some models need less than theirs
_AHEAD = 8.0  # fair shares are kept for the next models only: a few whole ones beat many cut ones
_PREDICTING = {"lightgbm": 0.6, "xgboost": 0.5, "catboost": 0.1}
"""Time to predict a row, as a share of that to learn from it (1,000 to 40,000 rows; LightGBM 0.25
to 0.7); 0.35 for other models."""
_LEAST = 0.1  # of the time of large images, which small ones take as well
_USUAL_CELLS = 1e6  # rows x features up to which an entry's `min_seconds` hold; above it they grow
_USUAL_OUTPUTS = 5  # the same for classes and targets of boosters, where there are many
_FREE = 0.8  # share of the available memory that may be planned with
_WORTH_AGAIN = 2.0  # times the time of a run that was cut short: then it is fitted again


class Schedule:
    """The portfolio on its way through the workers.

    Args:
        session: the competition, opened; its listener hears of folds and runs.
        workers: where tasks run.
        budget: the time.
        entries: what to try, in order.
        more: what to try after that while there is time.
        published: called with every run that is there.

    Attributes:
        runs: what was published or known, in that order.
        left_out: names and reasons of what was not tried or did not end.
    """

    def __init__(
        self,
        session: Session,
        workers: FoldWorkers,
        budget: Budget,
        entries: Sequence[Entry],
        more: Iterable[Entry],
        published: Callable[[Run], None],
    ) -> None:
        self.session, self.workers, self.budget = session, workers, budget
        self.published = published
        self.runs: list[Run] = []
        self.left_out: list[tuple[str, str]] = []
        self._jobs: list[Job] = []
        self._ended: list[tuple[Entry, float]] = []  # with the seconds it took
        self._failed: set[str] = set()  # registered names of models of which one did not end
        self._memory = available()  # without what the tasks in work will take
        self._vectors: bool | None = None  # of the texts: not made yet
        self._postponed: Turn | None = None
        self._pending = sum(entry.weight for entry in entries)
        self._coming = self._order(entries, more)

    def run(self) -> list[Run]:
        """Work until the time is over or everything is tried."""
        try:
            while True:
                waiting = self._fill()
                if not self.workers.running and not (waiting and self.budget.left > 0):
                    return self.runs
                self._collect()
        finally:
            for job in self._jobs:
                job.held.close()

    def _order(self, entries: Sequence[Entry], more: Iterable[Entry]) -> Iterator[Turn]:
        """The portfolio and what follows it; then the best of it again, with other seeds."""
        for entry in entries:
            self._pending -= entry.weight
            yield Turn(entry)
        for entry in more:  # a library of which nothing ended would fail again, and take the time
            if entry.use not in self._failed - {run.record.get("use") for run in self.runs}:
                yield Turn(entry, extra=True)
        known = {entry.name: entry for entry in entries}
        for repeat in range(1, SEEDS):
            up = self.session.context.metric.greater_is_better
            ranked = sorted(self.runs, key=lambda run: -standing(run) if up else standing(run))
            best = dict.fromkeys(run.model for run in ranked if run.model in known)
            for entry in [known[name] for name in best if known[name].seeded][:_BEST]:
                yield Turn(entry, repeat, extra=True)

    def _fill(self) -> bool:
        """Give every free worker a task; False: there is no further one, or no memory for it."""
        while self.workers.free and self.budget.left > 0:
            task = self._next_task()
            if task is None:
                return False
            self.workers.start(task)
        return True

    def _next_task(self) -> FoldTask | None:
        for job in self._jobs:
            if job.ready:
                full = self.workers.running and not self._room(job.need)
                return None if full else job.next(self.budget.work_end)
        opened = self._next_job()
        return None if opened is None else opened.next(self.budget.work_end)

    def _next_job(self) -> Job | None:
        """Open the next model that can be worked on."""
        while (turn := self._postponed or next(self._coming, None)) is not None:
            self._postponed = None
            try:
                plan = make_plan(self.session, turn.entry.name, repeat=turn.repeat)
                if self._jobs and self._vectors is None and self._reads(plan):
                    self._postponed = turn  # vectors take all cores: those before it end first
                    return None
                job = self._open(turn, plan)
            except DiskFull:
                raise
            except KitError as error:
                self._failed.add(turn.entry.use)
                self._leave(turn.name, str(error))
            else:
                if job is not None:
                    self._jobs.append(job)
                    return job
        return None

    def _open(self, turn: Turn, plan: Plan) -> Job | None:
        """A job, or None where there is nothing to do or no way to do it."""
        data = self.session.context.dataset
        began = time.monotonic()
        with ExitStack() as held:
            held.enter_context(locked(self.session, plan, wait=False))
            known, results = start(self.session, plan)
            if known is not None:
                self._publish(known, began)
                if not self._hurried(known, turn.entry):
                    return None
            missing = [fold for fold in range(plan.n_folds) if fold not in results]
            if not missing:  # a kill came between the last fold and the run
                self._publish(finish(self.session, plan, results), began)
                return None
            reason = self._no_time(turn) or self._no_memory(plan) or self._no_vectors(plan)
            if reason:
                if not (turn.extra or known):
                    self._leave(turn.name, reason)
                return None
            predicting = 1 if self.session.context.folds.forward else plan.n_folds
            return Job(
                turn=turn,
                plan=plan,
                waiting=plan.tasks(missing),
                results=results,
                held=held.pop_all(),
                seconds=self._share(turn.entry),
                need=plan.memory,
                abreast=self.workers.size,
                fitting=fitting_share(plan.spec.use, len(data.X), len(data.X_test), predicting),
            )

    def _hurried(self, run: Run, entry: Entry) -> bool:
        """Whether an earlier call cut a run short for which there is much more time now."""
        took = sum(run.record["seconds"].values())
        return bool(run.record.get("cut")) and self._share(entry) > _WORTH_AGAIN * took

    def _share(self, entry: Entry) -> float:
        """Seconds for the next model."""
        left = self.budget.left
        running = sum(job.turn.entry.weight for job in self._jobs)
        ahead = min(_AHEAD, self._pending) + running + entry.weight
        fair = left * self.workers.size * entry.weight / ahead
        return min(left, max(_GENEROUS * fair, _AT_LEAST * left))

    def _no_time(self, turn: Turn) -> str:
        """Why it is too late for a model: one of its kind took longer, or it always needs more."""
        left, entry = self.budget.left, turn.entry
        same = [seconds for other, seconds in self._ended if other.name == entry.name]
        kin = [seconds for other, seconds in self._ended if turn.extra and other.use == entry.use]
        took = same[-1] if same else min(kin, default=0.0)
        if took > left:
            return f"took {took:.0f} s before, {left:.0f} s are left"
        data = self.session.context.dataset
        side, outputs = largest_side(data), self.session.context.n_learned
        needed = seconds_needed(entry, *data.X.shape, side=side, outputs=outputs)
        if left < needed:
            return f"needs {needed:.0f} s or more, {left:.0f} s are left"
        return ""

    def _no_memory(self, plan: Plan) -> str:
        """Wait for memory while others work; a reason where that would not help."""
        need = plan.memory
        while not self._room(need) and self.workers.running and self.budget.left > 0:
            self._collect()
        if self._room(need):
            return ""
        free = _FREE * available()
        return f"needs about {need / 1e9:.1f} GB of memory, {free / 1e9:.1f} GB can be used"

    def _room(self, need: float) -> bool:
        """Whether a task fits into memory beside those in work.

        A task that was begun a moment ago has not yet taken what it will need: so what those in
        work are estimated to take counts, and what is really free.
        """
        if self.session.competition.settings.execution.on:
            return True  # it is the memory of other machines
        free, taken = available(), sum(job.need * len(job.running) for job in self._jobs)
        self._memory = max(self._memory, free)
        return need <= _FREE * free and need + taken <= _FREE * self._memory

    def _reads(self, plan: Plan) -> bool:
        """Whether a model sees vectors of the texts that are made beforehand."""
        return plan.spec.recipe in READING and not self.session.context.dataset.on_disk

    def _no_vectors(self, plan: Plan) -> str:
        """Have vectors of the texts made, once; a reason where they are late."""
        if not self._reads(plan):
            return ""
        if self._vectors is None:
            self._vectors = vectors_in_time(self.session.context.dataset, self.budget)
        return "" if self._vectors else "its vectors of the texts take too much of the time"

    def _collect(self) -> None:
        """Wait for something to end; end what is over its time."""
        limits = [job.kill_at for job in self._jobs if job.running]
        wait = min(self.budget.work_end, *limits, time.monotonic() + 5.0) - time.monotonic()
        for finished in self.workers.wait(max(0.0, wait)):
            self._handle(finished)
        now = time.monotonic()
        for job in [job for job in self._jobs if job.running]:
            if now >= min(job.kill_at, self.budget.work_end):
                self._drop(job, "its time was over")
            elif job.too_slow(min(job.kill_at, self.budget.work_end)):
                self._drop(job, f"a fold takes {job.measured:.0f} s: too many are left")

    def _handle(self, finished: Finished) -> None:
        job = next((job for job in self._jobs if finished.task in job.running), None)
        if job is None:  # it was dropped while the answer was under way
            return
        if finished.died:
            self._drop(job, "its process died, most likely for lack of memory")
        elif finished.error is not None:
            self._drop(job, str(finished.error))
        else:
            job.ended(finished.task, finished.results)
            for result in finished.results:
                take(self.session, job.plan, job.results, result)
            if job.done:
                self._finish(job)

    def _finish(self, job: Job) -> None:
        self._jobs.remove(job)
        ended = time.monotonic()
        self._ended.append((job.turn.entry, ended - job.begun))
        try:
            run = finish(self.session, job.plan, job.results)
        except DiskFull:
            raise
        except KitError as error:
            self._failed.add(job.turn.entry.use)
            self._leave(job.plan.model, str(error))
        else:
            self._publish(run, ended)
        finally:
            job.held.close()

    def _publish(self, run: Run, since: float) -> None:
        """Hand a run on; `since`: `time.monotonic()` when its folds were there."""
        self.runs.append(run)
        self.published(run)
        self.budget.measured(time.monotonic() - since)

    def _drop(self, job: Job, reason: str) -> None:
        """Give a model up; its finished folds stay for the next call."""
        for task in job.running:
            self.workers.kill(task)
        self._jobs.remove(job)
        self._failed.add(job.turn.entry.use)
        job.held.close()
        if not job.turn.extra:
            self._leave(job.plan.model, reason)

    def _leave(self, name: str, reason: str) -> None:
        self.left_out.append((name, reason))


def seconds_needed(
    entry: Entry, n_rows: int, n_features: int, side: int = 0, outputs: int = 1
) -> float:
    """What an entry must have at least: a network on a large table learns nothing in a minute.

    Boosters grow a tree per class or target in every round: of 50,000 rows x 41 columns x 1,000
    classes LightGBM was right about 58 % after a hundred seconds, RealMLP about 99 after 400.

    Args:
        entry: the configuration.
        n_rows: of the training table.
        n_features: its columns.
        side: pixels per side of the images; 0: as large as they come.
        outputs: classes or targets.
    """
    by_cells = entry.min_seconds * max(1.0, n_rows * n_features / _USUAL_CELLS)
    if entry.use in _PREDICTING and outputs >= MANY_OUTPUTS:  # the boosters
        by_cells *= outputs / _USUAL_OUTPUTS
    size = np.clip((side / entry.side) ** 2, _LEAST, 1.0) if side and entry.side else 1.0
    return max(by_cells, entry.row_seconds * float(size) * n_rows)


def fitting_share(use: str, n_rows: int, n_test: int, n_folds: int) -> float:
    """How much of a model's time its fits may take; `n_folds` of them predict all test rows."""
    predicted, learnt = n_test * n_folds + n_rows, n_rows * max(1, n_folds - 1)
    share = _PREDICTING.get(use.partition("_")[0], 0.35)  # of changes as the booster below
    return float(min(0.9, max(0.3, 1 / (1 + share * predicted / learnt))))
