"""Trials through the workers until their number or the time is reached.

A trial is validated fold by fold as `kit cv` does it, with the same plan, tasks and files; after a
fold, or within the first, it may be found unpromising and end there. Several are in work at a time,
one per worker.
"""

from __future__ import annotations

import json
import shutil
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import optuna
from optuna.trial import TrialState

from kit.config import build
from kit.curves import step_of
from kit.cv import finish, fold_score, locked, start, take
from kit.errors import DiskFull, KitError, ModelError, Pruned, RunError, counted
from kit.execution.memory import refuse_too_large
from kit.execution.results import FoldResult
from kit.execution.task import FoldTask, result_path
from kit.execution.workers import Finished, FoldWorkers
from kit.plan import Plan, make_plan
from kit.runs import Run
from kit.session import Session
from kit.settings import ModelSpec
from kit.tune.points import MODEL
from kit.tune.rivals import EarlierTrials
from kit.tune.space import Searched
from kit.tune.study import Held, Method, Study

_PAIR = 2.2  # the best trial and the configuration without a search, with some room
_ROOM = 1.2  # of the time that all of the scoring again should take
_GRACE = 2.0  # seconds after the end for fits that stop by themselves
_TIRED = 25  # trials in a row that were there already: the space is through
_FAILED = 3  # failures before anything works: it is not the parameters


@dataclass(frozen=True, kw_only=True)
class Ended:
    """A trial that is through, for whoever shows it."""

    number: int
    name: str
    state: str
    score: float | None
    seconds: float
    run: Run | None = None
    why: str = ""


@dataclass
class _Open:
    """A trial in work."""

    held: Held
    plan: Plan
    release: ExitStack
    results: dict[int, FoldResult]
    waiting: list[FoldTask]
    running: list[FoldTask] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """What its folds took so far."""
        return sum(sum(result.seconds.values()) for result in self.results.values())


class Search:
    """The loop.

    Args:
        session: the competition, opened.
        workers: where folds run.
        study: Optuna's.
        models: what is searched.
        method: how.
        most: so many trials may be begun in the study; None: no limit.
        end: `time.monotonic()` at which all must be done; None: no limit.
        kept: seconds before it that are left for scoring again: so many at most, and up to so
            many where the slowest trial needs them for the first two.
        again: how many trials are scored again, and on how many sets of folds.
        told: hears of every trial that is through.
    """

    def __init__(
        self,
        session: Session,
        workers: FoldWorkers,
        study: Study,
        models: Sequence[Searched],
        method: Method,
        *,
        most: int | None = None,
        end: float | None = None,
        kept: tuple[float, float] = (0.0, 0.0),
        again: tuple[int, int] = (0, 0),
        told: Callable[[Ended], None] = lambda ended: None,
    ) -> None:
        self.session, self.workers, self.study = session, workers, study
        self.models = {model.name: model for model in models}
        self.method, self.most, self.told = method, most, told
        self._last, self._kept, self._again, self._longest = end, kept, again, 0.0
        self._made, self._starting = time.monotonic(), 0.0
        self._open: list[_Open] = []
        self._repeats = 0
        self._late = False
        self.errors: list[KitError] = []  # of trials that failed in this call
        self._worked = any(trial.state == TrialState.COMPLETE for trial in study.trials)
        self._earlier = EarlierTrials(study, session.competition.runs)
        self._per_fold: dict[str, list[float]] = defaultdict(list)

    def run(self) -> None:
        """Work until nothing is left to do, or the time is over.

        Trials in work at the end stay unfinished, with their folds, for the next call.

        Raises:
            KitError: nothing works; what was finished is kept.
        """
        try:
            while True:
                wanted = self._fill()
                if not wanted and not self.workers.running:
                    return
                self._collect()
        finally:
            for each in [*self._open]:
                self._put_down(each)

    @property
    def _end(self) -> float | None:
        """When the last fold must be there: the sooner, the longer scoring again takes.

        Until a trial is through there is nothing to score again, and all of the time is its.
        """
        if self._last is None or not self._longest:
            return self._last
        usual, most = self._kept
        trials, sets = self._again
        all_of_it = sets * (self._starting + _ROOM * trials * self._one_trial)
        return self._last - min(max(min(usual, all_of_it), _PAIR * self._one_trial), most)

    @property
    def _one_trial(self) -> float:
        """Seconds that the slowest trial takes with all workers to itself."""
        together = self.session.early_stopping == "cross"  # one task
        tasks = 1 if together else self.session.context.folds.n_splits
        return self._longest / max(1, min(self.workers.size, self.session.at_a_time, tasks))

    def _over(self, seconds: float) -> bool:
        """Whether something of that length would end too late."""
        end = self._end
        return end is not None and time.monotonic() + seconds > end

    def _fill(self) -> bool:
        """Give every free worker a fold; False: there is no further one."""
        while self.workers.free and len(self.workers.running) < self.session.at_a_time:
            task = self._next()
            if task is None:
                return False
            self.workers.start(task)
        return not self._over(0.0)

    def _next(self) -> FoldTask | None:
        idle = [each for each in self._open if each.waiting and not each.running]
        for each in idle:
            if not self._over(self._expected(each)):
                return self._begin(each)
        if not self._late and not self._over(0.0) and self._repeats < _TIRED:
            opened = self._another()
            if opened is not None and not self._over(self._expected(opened)):
                return self._begin(opened)
            self._late = opened is not None  # it waits for the next call; so would others
        for each in self._open:  # nothing new to try: further folds of what is in work
            if each.waiting and not self._over(self._expected(each)):
                return self._begin(each)
        return None

    def _begin(self, each: _Open) -> FoldTask:
        # importing and reading: the workers that score again do it once more
        self._starting = self._starting or time.monotonic() - self._made
        task = each.waiting.pop(0)
        task = replace(task, deadline=self._end, rivals=self._earlier.against(task))
        each.running.append(task)
        return task

    def _expected(self, each: _Open) -> float:
        """Seconds that its next fold will take: as its others did, or those of its model."""
        if each.results:
            return each.seconds / len(each.results)
        seen = self._per_fold[each.plan.spec.use]
        return statistics.median(seen) if seen else 0.0

    def _another(self) -> _Open | None:
        """Open one more trial; None: there is none."""
        while True:
            held = self.study.next(self.method, self._suggest, self.most)
            if held is None:
                return None
            try:
                opened = self._opened(held)
            except DiskFull:
                self.study.let_go(held)
                raise
            except RunError:  # somebody computes this very run: later it will be there
                self.study.let_go(held)
                self._repeats += 1
                opened = None
            except KitError as error:
                self._fail(held, str(held.number), error)
                continue
            if opened is not None:
                self._open.append(opened)
                return opened
            if self._repeats >= _TIRED or self._over(0.0):
                return None

    def _suggest(self, trial: optuna.Trial) -> tuple[str, ModelSpec, str]:
        """What a trial is called, what it validates, and the model it belongs to."""
        names = list(self.models)
        name = names[0] if len(names) == 1 else str(trial.suggest_categorical(MODEL, names))
        model = self.models[name]
        values = model.suggest(trial, prefix_of(name, names))
        exact = trial.user_attrs.get("spec")
        spec = model.spec(values) if exact is None else build(ModelSpec, exact, "")
        return str(trial.user_attrs.get("name") or f"{name}-t{trial.number}"), spec, name

    def _opened(self, held: Held) -> _Open | None:
        """A trial to work on; None where its run is there already."""
        name, spec, _ = held.values
        plan = make_plan(self.session, name, spec=spec)
        with ExitStack() as stack:
            stack.enter_context(locked(self.session, plan, wait=False))
            known, results = start(self.session, plan)
            if known is not None:
                self._repeats += "spec" not in held.trial.user_attrs  # asked for is no repetition
                self._complete(held, name, known, 0.0)
                return None
            self._repeats = 0
            if not self.session.competition.settings.execution.on:
                refuse_too_large(name, plan.memory, self.session.context.dataset)
            missing = [fold for fold in range(plan.n_folds) if fold not in results]
            if not missing:  # a kill came between the last fold and the run
                run = finish(self.session, plan, results)
                self._complete(held, name, run, sum(run.record["seconds"].values()))
                return None
            return _Open(held, plan, stack.pop_all(), results, plan.tasks(missing))

    def _collect(self) -> None:
        """Wait for folds; end what is over the time."""
        end, now = self._end, time.monotonic()
        limit = 5.0 if end is None else min(5.0, max(0.0, end + _GRACE - now))
        for done in self.workers.wait(limit):
            self._handle(done)
        if self._over(-_GRACE):
            for each in [each for each in self._open if each.running]:
                self._put_down(each)

    def _handle(self, done: Finished) -> None:
        each = next((each for each in self._open if done.task in each.running), None)
        if each is None:
            return
        each.running.remove(done.task)
        try:
            if done.died:
                raise ModelError("its process died, most likely for lack of memory")
            if done.error is not None:
                raise done.error
            self._take(each, done.results)
        except DiskFull:
            raise
        except Pruned as error:
            self.study.lose(each.held)
            self._prune(each, f"at {step_of({'params': each.plan.params})} {error.step}")
        except KitError as error:
            self._close(each)
            self._fail(each.held, each.plan.model, error)

    def _take(self, each: _Open, results: Sequence[FoldResult]) -> None:
        """New folds: the trial is through, pruned, cut by the clock, or goes on."""
        if any(result.cut for result in results):
            for result in results:  # with the clock behind it a fit is no measure of its values
                result_path(each.plan.partial, result.fold).unlink(missing_ok=True)
            self._put_down(each)
            self._late = True  # further ones would be cut as well
            return
        for result in results:
            take(self.session, each.plan, each.results, result)
            self._per_fold[each.plan.spec.use].append(sum(result.seconds.values()))
        if len(each.results) == each.plan.n_folds:
            run = finish(self.session, each.plan, each.results)
            self._complete(each.held, each.plan.model, run, each.seconds)
            self._close(each)
        elif self._behind(each):
            folds = len(each.results)
            self._prune(each, f"after {counted(folds, 'fold', 'folds')} of {each.plan.n_folds}")

    def _prune(self, each: _Open, where: str) -> None:
        """End a trial that promises nothing; what there is of it goes."""
        for task in each.running:
            self.workers.kill(task)
        shutil.rmtree(each.plan.partial, ignore_errors=True)
        self._close(each)
        self._finish(each.held, TrialState.PRUNED, folds=len(each.results), where=where)
        self._tell(each.held, each.plan.model, "pruned", None, each.seconds, why=where)

    def _behind(self, each: _Open) -> bool:
        """Whether its folds so far leave little hope; folds count in their order only."""
        scores = []
        for fold in range(len(each.results)):
            score = (
                fold_score(self.session.context, each.results[fold])
                if fold in each.results
                else None
            )
            if score is None:
                return False
            scores.append(score)
        return (
            self.study.report(each.held, len(scores), statistics.fmean(scores)) and not each.running
        )

    def _complete(self, held: Held, name: str, run: Run, seconds: float) -> None:
        self._worked = True
        self._longest = max(self._longest, sum(run.record["seconds"].values()))
        self._finish(held, TrialState.COMPLETE, run.score, run=run.id)
        self._tell(held, name, "complete", run.score, seconds, run)

    def _fail(self, held: Held, name: str, error: KitError) -> None:
        self._finish(held, TrialState.FAIL, error=str(error))
        self._tell(held, name, "failed", None, 0.0, why=str(error))
        self.errors.append(error)
        if not self._worked and len(self.errors) >= _FAILED:
            raise error

    def _finish(
        self, held: Held, state: TrialState, value: float | None = None, **attributes: Any
    ) -> None:
        self.study.end(held, state, value, **attributes_of(*held.values), **attributes)

    def _tell(
        self,
        held: Held,
        name: str,
        state: str,
        score: float | None,
        seconds: float,
        run: Run | None = None,
        why: str = "",
    ) -> None:
        self.told(
            Ended(
                number=held.number,
                name=name,
                state=state,
                score=score,
                seconds=seconds,
                run=run,
                why=why,
            )
        )

    def _put_down(self, each: _Open) -> None:
        """Leave a trial unfinished: its folds stay, and the next call goes on with it."""
        for task in each.running:
            self.workers.kill(task)
        self._close(each)
        self.study.let_go(each.held)

    def _close(self, each: _Open) -> None:
        for task in each.running:
            self.workers.kill(task)
        self._open.remove(each)
        each.release.close()


def prefix_of(name: str, names: Sequence[str]) -> str:
    """What Optuna's names of a model's parameters begin with."""
    return f"{name}." if len(names) > 1 else ""


def attributes_of(name: str, spec: ModelSpec, model: str) -> dict[str, Any]:
    """What a trial must remember to validate exactly this."""
    return {"name": name, "model": model, "spec": json.loads(json.dumps(asdict(spec)))}
