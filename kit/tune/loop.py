"""A search from the spaces to the winner, in execution order."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from optuna.trial import FrozenTrial

import kit
from kit.auto.loop import worker_count
from kit.competition import Competition
from kit.config import build
from kit.cores import usable_cores
from kit.errors import ConfigError, KitError, RunError
from kit.execution.places import make_workers as workers_of
from kit.execution.workers import FoldWorkers
from kit.runs import find_run
from kit.session import Session, open_session
from kit.settings import ModelSpec
from kit.tune.points import MODEL, Point, given, grid, known_good
from kit.tune.rescoring import (
    Candidate,
    MakeWorkers,
    folds_follow_seeds,
    rescore,
    rescored,
    seeds_of,
)
from kit.tune.search import Ended, Search, attributes_of, prefix_of
from kit.tune.space import Searched, searched
from kit.tune.study import Method, Study

TRIALS = 50
"""Of a search that is told neither a number nor a time."""

_CANDIDATES = 3  # are scored again, and the configuration without a search
_RESCORING = 0.3, 0.5  # share of the time kept for it at most, and where one trial takes long
_ENDING, _LONGEST_ENDING = 0.15, 15.0  # share of the time for pictures and the end; its limit


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What `kit tune` was asked for.

    Attributes:
        models: names.
        method: how new trials are found.
        trials: so many in the study in all; None with `seconds`: as many as there is time for.
        seconds: the time, from now.
        points: of `--try`.
        study: name of the study; empty: made of the models and of what it depends on.
        search: False: only what is there already.
    """

    models: Sequence[str]
    method: Method = "bayes"
    trials: int | None = None
    seconds: float | None = None
    points: Sequence[str] = ()
    study: str = ""
    search: bool = True


@dataclass(kw_only=True)
class Told:
    """What happens on the way, for whoever shows it."""

    opened: Callable[[Session, Study, Sequence[Searched]], None] = lambda *_: None
    ended: Callable[[Ended], None] = lambda ended: None
    rescored: Callable[[str, int, float], None] = lambda name, seed, score: None


@dataclass(kw_only=True)
class Outcome:
    """What a search found.

    Attributes:
        study: Optuna's study and its lock.
        models: what was searched.
        metric: name.
        trials: all that were begun.
        candidates: what was scored again, the best one by the folds of the search first.
        baseline: the best configuration without a search; None: it was not tried.
        winner: the best on folds that did not choose it; without such, on those that did.
        seeds: other folds on which all candidates have a score.
        honest: the mean over those, by run.
        sealed: where there is none, the scores on the sealed rows, by run. They choose nothing.
        doubt: why there is no such score, or not for all; empty: there is.
        errors: of the trials that failed in this call.
    """

    study: Study
    models: Sequence[Searched]
    metric: str
    trials: list[FrozenTrial]
    candidates: list[Candidate]
    baseline: Candidate | None
    winner: Candidate
    seeds: list[int] = field(default_factory=list)
    honest: dict[str, float] = field(default_factory=dict)
    sealed: dict[str, float] = field(default_factory=dict)
    doubt: str = ""
    errors: Sequence[KitError] = ()

    @property
    def model(self) -> Searched:
        """The searched model that the winner is a configuration of."""
        return next(model for model in self.models if model.name == self.winner.model)


def tune(
    competition: Competition,
    asked: Asked,
    told: Told,
    make_workers: MakeWorkers | None = None,
) -> Outcome:
    """Search; score the best again.

    Args:
        competition: the competition.
        asked: models, method, number of trials, time.
        told: whoever wants to know of the progress.
        make_workers: processes for fold tasks; None: those of this machine.

    Raises:
        ConfigError: a model has no space, or a point is not one of it.
        RunError: no trial ended in time; unfinished ones are kept.
    """
    end = None
    if asked.seconds is not None:
        ending = min(_LONGEST_ENDING, _ENDING * asked.seconds)
        end = time.monotonic() + asked.seconds - ending
    make_workers = make_workers or here
    with open_session(competition) as session:
        session.threads = threads_of(competition)
        models = searched(competition, session.context.code, asked.models, session.context.dataset)
        points = points_of(session, models, asked)
        study = open_study(session, models, asked.study)
        told.opened(session, study, models)
        errors: Sequence[KitError] = ()
        if asked.search:
            errors = _search(session, study, models, asked, points, end, told, make_workers)
        candidates, baseline = candidates_of(study, models)
        if not candidates:
            raise errors[-1] if errors else _nothing(study, asked)
        doubt = ""
        if len(study.best) > 1 and asked.search:
            doubt = rescore(session, study, candidates, make_workers, end=end, told=told.rescored)
        outcome = _judged(session, study, models, candidates, baseline, doubt)
        return replace(outcome, errors=errors)


def _nothing(study: Study, asked: Asked) -> RunError:
    if study.trials or asked.search:
        return RunError(
            f"no trial of the study {study.name} is through. Unfinished ones are kept: "
            "the same command with more time goes on."
        )
    return RunError(
        f"the study {study.name} has no trial: with these models, data, folds, settings and "
        "spaces nothing was searched yet.\n"
        f"  Search first: kit tune {' '.join(asked.models)} --budget 10m. A search is found again "
        "by the same models and settings."
    )


def _search(
    session: Session,
    study: Study,
    models: Sequence[Searched],
    asked: Asked,
    points: Sequence[Point],
    end: float | None,
    told: Told,
    make_workers: MakeWorkers,
) -> Sequence[KitError]:
    """Try the points, then what the method finds; returns why trials failed."""
    names = [model.name for model in models]
    for point in points:
        prefix = prefix_of(point.model.name, names)
        values = point.model.nearest(point.spec, prefix)
        which = {MODEL: point.model.name} if len(models) > 1 else {}
        attributes = attributes_of(point.name, point.spec, point.model.name)
        study.enqueue({**which, **values}, attributes, again=not point.name)
    most = asked.trials
    if most is None and asked.seconds is None and asked.method in ("random", "bayes"):
        most = TRIALS
    sets = len(seeds_of(session.competition)) if folds_follow_seeds(session) else 0
    usual, longest = (share * (asked.seconds or 0.0) if sets else 0.0 for share in _RESCORING)
    workers = make_workers(session.competition)
    try:
        search = Search(
            session,
            workers,
            study,
            models,
            asked.method,
            most=most,
            end=end,
            kept=(usual, longest),
            again=(_CANDIDATES + 1, sets),
            told=told.ended,
        )
        search.run()
        return search.errors
    finally:
        workers.close()


def points_of(session: Session, models: Sequence[Searched], asked: Asked) -> list[Point]:
    """What is tried before anything is searched, or instead of it.

    Raises:
        ConfigError: the method and the points do not go together.
    """
    code = session.context.code
    if asked.method == "grid":
        return grid(asked.points, models, code)
    if asked.method == "manual":
        if not asked.points and asked.search:
            raise ConfigError(
                'manual search tries the points that you name: --try "learning_rate=0.05,..."'
            )
        return given(asked.points, models, code)
    return given(asked.points, models, code) + known_good(models, session.context.dataset)


def open_study(session: Session, models: Sequence[Searched], name: str = "") -> Study:
    """The study of these models on these data, folds and spaces; it is made where there is none.

    Raises:
        RunError: one of that name was made for something else, or its file is damaged.
    """
    context = session.context
    facts = {
        "kit": kit.__version__,
        "data": context.dataset.digests["data"],
        "features": context.dataset.digests["features"],
        "folds": context.folds.digest,
        "metric": list(context.metric.identity),
        "early stopping": session.early_stopping,
        "seed": session.competition.settings.cv.seed,
        "spaces": [model.facts() for model in models],
    }
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:6]
    short = "-".join(model.name for model in models)
    safe = "".join(
        c if c.isalnum() or c in "_.-" else "-" for c in name or f"{short[:40]}-{digest}"
    )
    if name and (safe != name or name.startswith(".")):
        raise ConfigError(f"--study takes letters, digits, '-', '_' and '.'. Received: {name!r}")
    return Study(
        folder_of(session.competition),
        safe,
        up=context.metric.greater_is_better,
        facts=facts,
        seed=session.competition.settings.cv.seed,
    )


def folder_of(competition: Competition) -> Path:
    """Where studies and their reports lie."""
    return competition.root / "tune"


def threads_of(competition: Competition) -> int:
    """Threads per fit, so that all workers together use the cores once."""
    cores = competition.settings.execution.threads or usable_cores()
    return max(1, cores // _size(competition))


def _size(competition: Competition) -> int:
    spec = competition.settings.execution
    return spec.workers or worker_count(spec.threads or usable_cores())


def here(competition: Competition) -> FoldWorkers:
    """Processes, or the cluster: a fit that ignores its limit, or dies, ends alone."""
    workers = workers_of(competition, _size(competition))
    workers.warm_up()
    return workers


def candidates_of(
    study: Study, models: Sequence[Searched]
) -> tuple[list[Candidate], Candidate | None]:
    """The best trial, the best configuration without a search, further trials; and that one."""
    best = [_candidate(trial) for trial in study.best]
    bases = [attributes_of(model.name, model.base, model.name)["spec"] for model in models]
    plain = {trial.user_attrs["run"] for trial in study.best if trial.user_attrs["spec"] in bases}
    baseline = next((each for each in best if each.run in plain), None)
    others = [each for each in best if each is not baseline]
    first = [*best[:1], *([baseline] if baseline and baseline is not best[0] else [])]
    return [*first, *(each for each in others[:_CANDIDATES] if each not in first)], baseline


def _candidate(trial: FrozenTrial) -> Candidate:
    known = trial.user_attrs
    spec: ModelSpec = build(ModelSpec, known["spec"], "")
    return Candidate(
        run=known["run"],
        name=known["name"],
        model=known["model"],
        spec=spec,
        score=float(trial.value or 0.0),
    )


def _judged(
    session: Session,
    study: Study,
    models: Sequence[Searched],
    candidates: list[Candidate],
    baseline: Candidate | None,
    doubt: str,
) -> Outcome:
    """The winner by folds that did not choose it."""
    scores = {
        seed: {each.run: rescored(study, each.run, seed) for each in candidates}
        for seed in seeds_of(session.competition)
    }
    first = {each.run for each in candidates[:2]}  # the best, and what it must beat
    seeds = [seed for seed, found in scores.items() if all(found[run] is not None for run in first)]
    honest: dict[str, float] = {}
    for each in candidates if seeds else []:
        values = [value for seed in seeds if (value := scores[seed][each.run]) is not None]
        if len(values) == len(seeds):
            honest[each.run] = sum(values) / len(values)
    sign = 1 if study.up else -1
    judged = [each for each in candidates if each.run in honest]
    winner = max(judged, key=lambda each: sign * honest[each.run], default=candidates[0])
    return Outcome(
        study=study,
        models=models,
        metric=session.context.metric.name,
        trials=study.trials,
        candidates=candidates,
        baseline=baseline,
        winner=winner,
        seeds=seeds,
        honest=honest,
        sealed={} if honest else _sealed(session, candidates),
        doubt=doubt,
    )


def _sealed(session: Session, candidates: Sequence[Candidate]) -> dict[str, float]:
    """Scores on the rows of `cv.holdout`, as the runs have them."""
    found = {}
    for each in candidates:
        with suppress(RunError):  # one that was removed
            held = find_run(session.competition.runs, each.run).record.get("holdout") or {}
            if held.get("score") is not None:
                found[each.run] = float(held["score"])
    return found
