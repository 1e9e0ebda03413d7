"""The best trials again, on folds of other seeds: the best of many was lucky on its own folds.

The best of n scores is better than it deserves, the more so the noisier they are. On folds that
took no part in the choice the few best ones, and the configuration without any search, are
compared anew; what is left of the gain there is the honest one.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from kit.competition import Competition
from kit.cv import locked
from kit.decision import fit_decision
from kit.errors import ModelError, RunError
from kit.execution.context import load_folds
from kit.execution.prepared import PreparedFolds
from kit.execution.results import FoldResult, read_result
from kit.execution.task import result_path
from kit.execution.workers import FoldWorkers
from kit.plan import Plan, make_plan
from kit.scoring import score_record
from kit.session import Session
from kit.settings import ModelSpec
from kit.tune.study import Study

SEEDS = 2
"""So many other sets of folds, where there is time."""

MakeWorkers = Callable[[Competition], FoldWorkers]


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """What is scored again.

    Attributes:
        run: id of its run.
        name: what it is called.
        model: the searched model it belongs to.
        spec: what it validates.
        score: on the folds of the search.
    """

    run: str
    name: str
    model: str
    spec: ModelSpec
    score: float


def rescore(
    session: Session,
    study: Study,
    candidates: Sequence[Candidate],
    make_workers: MakeWorkers,
    *,
    end: float | None = None,
    told: Callable[[str, int, float], None] = lambda name, seed, score: None,
) -> str:
    """Score candidates on the folds of other seeds and note it in the study.

    Args:
        session: the competition, opened.
        study: takes the scores, by run and seed.
        candidates: in order; where time is short the last ones are left out.
        make_workers: processes that read the competition as it is given to it.
        end: `time.monotonic()` at which it must be done.
        told: hears name, seed and score.

    Returns:
        Why there is nothing, or no more, to be seen; empty where all is done.
    """
    for seed in seeds_of(session.competition):
        missing = [each for each in candidates if rescored(study, each.run, seed) is None]
        if not missing:
            continue
        with _reseeded(session, seed) as other:
            if other.context.folds.digest == session.context.folds.digest:
                splitter = session.competition.settings.cv.splitter
                return f"the folds of {splitter} are the same for every seed"
            workers = make_workers(other.competition)
            try:
                for each in missing:
                    score = _score(other, study, workers, each, seed, end)
                    if score is None:
                        return "not all were scored again: the time was over"
                    told(each.name, seed, score)
            finally:
                workers.close()
    return ""


def rescored(study: Study, run: str, seed: int) -> float | None:
    """The score of a run's configuration on the folds of a seed, or None."""
    value = study.noted(_key(run, seed))
    return None if value is None else float(value)


def seeds_of(competition: Competition) -> list[int]:
    """The seeds of the other folds."""
    seed = competition.settings.cv.seed
    return [(seed + k) % 2**32 for k in range(1, SEEDS + 1)]


def folds_follow_seeds(session: Session) -> bool:
    """Whether another seed gives other folds; of blocks of time and files it does not."""
    for seed in seeds_of(session.competition):
        with _reseeded(session, seed) as other:
            return bool(other.context.folds.digest != session.context.folds.digest)
    return False


def _key(run: str, seed: int) -> str:
    return f"rescored {run} seed {seed}"


@contextmanager
def _reseeded(session: Session, seed: int) -> Iterator[Session]:
    """The same data under the folds of another seed."""
    flags = (*session.competition.flags, f"cv.seed={seed}")
    competition = Competition.load(session.competition.root, flags)
    folds = load_folds(competition, session.context.dataset)
    context = replace(session.context, folds=folds, prepared=PreparedFolds())
    yield replace(session, competition=competition, context=context, listen=lambda event: None)


def _score(
    session: Session,
    study: Study,
    workers: FoldWorkers,
    candidate: Candidate,
    seed: int,
    end: float | None,
) -> float | None:
    """Validate one configuration without making it a run; None: there is no time for it.

    Another process that is at it is waited for, where there is no limit.
    """
    plan = make_plan(session, candidate.name, spec=candidate.spec)
    with suppress(RunError), locked(session, plan, wait=end is None):
        known = rescored(study, candidate.run, seed)
        if known is not None:
            return known
        results = _results(plan, workers, end, session.at_a_time)
        if results is not None:
            score = _value(session, results)
            study.note(_key(candidate.run, seed), score)
            shutil.rmtree(plan.partial, ignore_errors=True)
            return score
    return None


def _results(
    plan: Plan, workers: FoldWorkers, end: float | None, most: int
) -> list[FoldResult] | None:
    """All folds; those of an earlier, interrupted call are read."""
    found: dict[int, FoldResult] = {}
    for fold in range(plan.n_folds):
        result = read_result(result_path(plan.partial, fold))
        if result is not None and not result.cut:
            found[fold] = result
    waiting = plan.tasks([fold for fold in range(plan.n_folds) if fold not in found], end)
    while len(found) < plan.n_folds:
        if end is not None and time.monotonic() > end:
            for task in workers.running:
                workers.kill(task)
            return None
        while waiting and workers.free and len(workers.running) < most:
            workers.start(waiting.pop(0))
        left = 5.0 if end is None else max(0.0, end - time.monotonic())
        for done in workers.wait(min(5.0, left)):
            if done.died:
                raise ModelError(f"{plan.model}: its process died, most likely for lack of memory")
            if done.error is not None:
                raise done.error
            if any(result.cut for result in done.results):
                for result in done.results:
                    result_path(plan.partial, result.fold).unlink(missing_ok=True)
                return None
            found.update({result.fold: result for result in done.results})
    return [found[fold] for fold in range(plan.n_folds)]


def _value(session: Session, results: Sequence[FoldResult]) -> float:
    """The score as a run would have it."""
    data, metric, folds = session.context.dataset, session.context.metric, session.context.folds
    oof: Any = np.full((len(data.ids), len(data.outputs)), np.nan)
    for result in results:
        oof[result.rows] = result.oof
    fitted = fit_decision(metric, data.task, data.truth, oof, folds.fold)
    return float(score_record(fitted, metric)["value"])
