"""From data to a submission: check, portfolio, blend, file, in this order and in time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from kit.auto.budget import Budget
from kit.auto.images import embed_first
from kit.auto.schedule import Schedule
from kit.blend import blend
from kit.checks import check
from kit.checks.finding import Finding
from kit.competition import Competition
from kit.cores import usable_cores
from kit.errors import KitError, RunError
from kit.execution.fold import data_shape
from kit.execution.memory import available, own_process
from kit.execution.places import make_workers
from kit.execution.workers import FoldWorkers
from kit.portfolio import (
    ENCODER,
    MANY_OUTPUTS,
    Entry,
    choose,
    draws,
    entries_of,
    network_first,
    scales_last,
    texts_last,
)
from kit.preprocessing.tokens import texts_lead
from kit.runs import Run, list_runs
from kit.selection import best_run, standing
from kit.session import Listener, Session, open_session
from kit.submission import build, validate

_CHECKING = 0.05  # of the budget that checking may take
_CELLS, _COLUMNS = 1e6, 80  # checked in a second; each column and target has models of its own
_BLENDED = 8e6  # predictions, one per row, output and run, that are blended in a second
_CHECKED_SHARE = 0.1  # of the budget may be gone before checking starts


@dataclass(kw_only=True)
class Outcome:
    """What `kit auto` did.

    Attributes:
        runs: the models' runs.
        chosen: the run handed over: the blend, or the best single run.
        why: the reason for the choice.
        submission: the validated file of `chosen`.
        skipped: names and reasons of what does not suit the data, which `Told.planned` told of.
        left_out: the same of what was to be tried, and was not or did not end.
        findings: errors and warnings of `kit check`.
        seconds: from the start of the process.
        budget: seconds that were granted.
    """

    runs: list[Run]
    chosen: Run
    why: str
    submission: Path
    skipped: list[tuple[str, str]]
    left_out: list[tuple[str, str]]
    findings: list[Finding]
    seconds: float
    budget: float


@dataclass(kw_only=True)
class Told:
    """What happens on the way, for whoever shows it."""

    event: Listener = lambda event: None
    planned: Callable[[Session, Sequence[Entry], Sequence[tuple[Entry, str]]], None] = (
        lambda session, chosen, left: None
    )
    submission: Callable[[Run, Path], None] = lambda run, path: None
    findings: Callable[[Sequence[Finding] | None], None] = lambda findings: None
    remark: Callable[[str], None] = lambda text: None


@dataclass
class _Submissions:
    """Keeps a valid file for the best run so far."""

    competition: Competition
    told: Told
    best: Run | None = None
    path: Path = field(default_factory=Path)

    def offer(self, run: Run) -> None:
        """Write a file where `run` is better than what is there; a bad file ends nothing."""
        up = bool(run.record["metric"]["greater_is_better"])
        if self.best is not None and (standing(run) <= standing(self.best)) == up:
            return
        with suppress(KitError):
            self.path = written(run, self.competition)
            self.best = run
            self.told.submission(run, self.path)


def auto(
    competition: Competition, seconds: float, told: Told, models: Sequence[str] = ()
) -> Outcome:
    """Do the whole loop; end in time.

    Args:
        competition: the competition.
        seconds: the budget, from the start of this process.
        told: whoever wants to know of the progress.
        models: what to try, in order; empty: the competition's own models and the portfolio.

    Raises:
        RunError: no model ended in time.
        KitError: the data or the configuration cannot be used.
    """
    budget, named = Budget(seconds), bool(models)
    entries = entries_of(competition, models)
    with _opened(competition, budget, told) as (session, workers):
        chosen, left = _choice(session, entries, named=named, seconds=budget.seconds)
        told.planned(session, chosen, left)
        smaller = embed_first(session.context.dataset, budget, chosen)
        if smaller is None:
            return _worked(session, workers, budget, told, chosen, left, named=named)
    told.remark(smaller.why)
    competition = Competition.load(competition.root, (*competition.flags, *smaller.flags))
    with _opened(competition, budget, told) as (session, workers):
        return _worked(session, workers, budget, told, chosen, left, named=named)


@contextmanager
def _opened(
    competition: Competition, budget: Budget, told: Told
) -> Iterator[tuple[Session, FoldWorkers]]:
    """The data, and processes that read it, too."""
    cores = competition.settings.execution.threads or usable_cores()
    workers = make_workers(competition, worker_count(cores))
    workers.warm_up()
    try:
        with open_session(competition, listen=told.event) as session:
            session.deadline = budget.work_end
            if "early_stopping" not in competition.table.get("cv", {}):
                session.early_stopping = "cross"  # one fit per fold, not two: more models in time
            session.threads = max(1, cores // workers.size)
            yield session, workers
    finally:
        workers.close()


def _worked(
    session: Session,
    workers: FoldWorkers,
    budget: Budget,
    told: Told,
    chosen: Sequence[Entry],
    left: Sequence[tuple[Entry, str]],
    *,
    named: bool,
) -> Outcome:
    competition, data = session.competition, session.context.dataset
    findings = _checked(competition, session, budget)
    told.findings(findings)
    files = _Submissions(competition, told)
    more = () if named else draws(chosen, len(data.X))
    schedule = Schedule(session, workers, budget, chosen, more, files.offer)
    runs = schedule.run()
    workers.close()  # their memory and cores are for the blend now
    ended = bool(runs)
    runs = runs or _earlier(session)
    if not runs:
        raise RunError(
            f"no model ended within {budget.seconds:.0f} s. Give more time: --budget.\n"
            f"{_lines(schedule.left_out)}"
        )
    run, why = _blended(session, runs, budget)
    why += "" if ended else "; no model of this call ended in time, earlier ones were taken"
    path = files.path if files.best is run else written(run, competition)
    return Outcome(
        runs=runs,
        chosen=run,
        why=why,
        submission=path,
        skipped=[(entry.name, reason) for entry, reason in left],
        left_out=schedule.left_out,
        findings=findings or [],
        seconds=budget.spent,
        budget=budget.seconds,
    )


def _choice(
    session: Session, entries: Sequence[Entry], *, named: bool, seconds: float
) -> tuple[list[Entry], list[tuple[Entry, str]]]:
    """What is tried, in order, and what is not with the reason; see `kit.portfolio.choose`.

    Raises:
        RunError: there is nothing to try.
    """
    data = session.context.dataset
    shape = data_shape(data, np.arange(len(data.X)), seed=0)
    led = texts_lead(data.X, data.kinds)
    if not (named or led):
        entries = texts_last(entries)
    if not named and data.task == "regression" and data.series is not None and data.series.id:
        entries = scales_last(entries)
    if not (named or led) and session.context.n_learned >= MANY_OUTPUTS:  # it does not read
        entries = network_first(entries)
    chosen, left = choose(
        *data.X.shape,
        "regression" if session.context.graded else data.task,
        entries,
        levels=len(shape.plain) < len(shape.of("category")),
        kinds=set(data.kinds.values()),
        series=data.series is not None,
        provided=(ENCODER,) if data.encoder else (),
        seconds=seconds,
    )
    if not chosen:
        reasons = _lines([(entry.name, reason) for entry, reason in left])
        raise RunError(f"there is no model that can be tried.\n{reasons}")
    return chosen, left


def _lines(left_out: Sequence[tuple[str, str]]) -> str:
    """Names and reasons for a message."""
    return "\n".join(f"    {name}: {reason}" for name, reason in left_out)


def worker_count(cores: int) -> int:
    """How many models are fitted at a time: small fits use many threads badly."""
    fits = max(1, int(available() / (4 * own_process())))
    return max(1, min(fits, cores if cores <= 4 else cores // 2, 8))


def _checked(competition: Competition, session: Session, budget: Budget) -> list[Finding] | None:
    """Errors and warnings of `kit check`; None where there is no time to look at such a table."""
    data, seconds = session.context.dataset, budget.seconds
    targets = len(data.outputs) if data.task in ("multilabel", "multitarget") else 1
    needed = data.X.size / _CELLS + data.X.shape[1] * targets / _COLUMNS
    if needed > _CHECKING * seconds or budget.spent > _CHECKED_SHARE * seconds:
        return None
    try:
        report = check(competition)
    except KitError:
        return []
    return [finding for finding in report.findings if finding.severity != "info"]


def _earlier(session: Session) -> list[Run]:
    """Runs of earlier commands on the same rows and folds."""
    runs, _ = list_runs(session.competition.runs)
    here = {"folds": session.context.folds.digest, "data": session.context.dataset.digests["data"]}
    metric = session.context.metric.name
    return [
        run
        for run in runs
        if run.kind == "cv"
        and run.metric[0] == metric
        and all(run.record["digests"].get(key) == value for key, value in here.items())
    ]


def _blended(session: Session, runs: Sequence[Run], budget: Budget) -> tuple[Run, str]:
    """The blend, or the best single run where there is no blend to be had."""
    seconds = budget.for_blend()
    names = [run.id for run in _parents(session, runs, seconds)]
    if len(names) < 2:
        return best_run(runs)
    try:
        blended = blend(session.competition, names, seconds=seconds, context=session.context)
    except KitError as error:
        run, why = best_run(runs)
        return run, f"{why}; there is no blend: {error}"
    return best_run([*runs, blended])


def _parents(session: Session, runs: Sequence[Run], seconds: float) -> Sequence[Run]:
    """The best of `runs`, as many as can be blended in that time; a blend holds them all at once.

    Five runs of 70,000 rows and 1,000 classes, 2.8 GB, took a minute where 24 seconds were kept.
    """
    data = session.context.dataset
    each = (len(data.X) + len(data.X_test)) * len(data.outputs)
    most = int(seconds * _BLENDED / each)
    if len(runs) <= most:
        return runs
    up = bool(session.context.metric.greater_is_better)
    best = {run.id for run in sorted(runs, key=standing, reverse=up)[:most]}
    return [run for run in runs if run.id in best]


def written(run: Run, competition: Competition) -> Path:
    """A run's submission file, validated.

    Raises:
        KitError: it would be rejected.
    """
    path = build(run, competition)
    validate(path, competition)
    return path
