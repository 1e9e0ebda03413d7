"""Cross-validation: the loop, in execution order.

plan (what exactly is computed, and its hash) -> already published? -> lock -> finished folds of an
earlier call -> the missing ones, wherever they run -> score -> publish.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from filelock import FileLock, Timeout
from numpy.typing import NDArray

import kit
from kit.atomic import disk_errors
from kit.competition import ModelSpec
from kit.decision import default_decision, fit_decision
from kit.errors import ConfigError, KitError
from kit.execution.task import FoldResult, FoldTask, build_model, read_result, transform_pair
from kit.runs import Run, ignore, list_runs, prediction_columns, publish
from kit.scoring import score_record
from kit.session import Event, Session, code_files, run_facts


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One run before it is computed."""

    model: str
    spec: ModelSpec
    params: Mapping[str, Any]
    hash: str
    seed: int
    early_stopping: str
    partial: Path
    n_folds: int
    keep_models: bool = False
    threads: int = 1

    def task(self, fold: int) -> FoldTask:
        """The description of one fold."""
        return FoldTask(
            model=self.model,
            spec=self.spec,
            fold=fold,
            seed=self.seed,
            threads=self.threads,
            early_stopping=self.early_stopping,
            result=self.partial / f"fold-{fold}.parquet",
            models=self.partial / "models" if self.keep_models else None,
        )


def cross_validate(session: Session, model: str) -> Run | None:
    """Validate one model on the competition's folds.

    Args:
        session: an open session.
        model: a name of `[models]` in `kit.toml`, a registered name, or `module:attribute`.

    Returns:
        The published run; None when the session's budget ran out first. Finished folds are kept
        and the next call goes on from there.

    Raises:
        KitError: the model failed; finished folds are kept.
    """
    plan = make_plan(session, model)
    with _locked(session, plan):
        known = _published(session, plan)
        if known is not None:
            shutil.rmtree(plan.partial, ignore_errors=True)  # left by a kill just after publishing
            session.listen(Event(kind="known", model=model, run=known))
            return known
        results = _finished(session, plan)
        missing = [fold for fold in range(plan.n_folds) if fold not in results]
        session.listen(Event(kind="started", model=model, n_folds=plan.n_folds, done=len(results)))
        for batch in _batches(session, plan, missing):
            for result in session.executor.run(batch):
                results[result.fold] = result
                _tell(session, plan, result, len(results))
        if len(results) < plan.n_folds:
            session.listen(Event(kind="stopped", model=model, done=len(results)))
            return None
        run = _publish(session, plan, [results[fold] for fold in range(plan.n_folds)])
        shutil.rmtree(plan.partial, ignore_errors=True)
    session.listen(Event(kind="done", model=model, run=run))
    return run


def make_plan(session: Session, model: str) -> Plan:
    """Resolve a model and hash everything its predictions depend on.

    Raises:
        UnknownName, ConfigError: the model or one of its parameters does not exist.
    """
    competition, context = session.competition, session.context
    spec = competition.model(model)
    params = build_model(spec, model, context.code).get_params(deep=False)
    cv, digests = competition.settings.cv, context.dataset.digests
    own = spec.use.partition(":")[0] if ":" in spec.use else ""
    facts = {
        "kit": kit.__version__,
        "data": digests["data"],
        "features": digests["features"],
        "folds": context.folds.digest,
        "metric": context.metric.name,
        "transform": context.metric.transform,
        "use": spec.use,
        "code": context.code.digest(own) if own else "",
        "params": {key: repr(value) for key, value in sorted(params.items())},
        "seed": cv.seed,
        "early_stopping": cv.early_stopping,
    }
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]
    return Plan(
        model=model,
        spec=spec,
        params=params,
        hash=digest,
        seed=cv.seed,
        early_stopping=cv.early_stopping,
        partial=competition.runs / ".partial" / digest,
        n_folds=context.folds.n_splits,
        keep_models=session.keep_models,
        threads=session.threads,
    )


@contextmanager
def _locked(session: Session, plan: Plan) -> Iterator[None]:
    """One process at a time computes a given run; a second one waits and finds it published."""
    lock = FileLock(plan.partial.with_suffix(".lock"))
    with disk_errors(plan.partial):
        ignore(session.competition.runs)
        plan.partial.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            session.listen(Event(kind="waiting", model=plan.model))
            lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _published(session: Session, plan: Plan) -> Run | None:
    """A whole run of the same hash; one whose predictions cannot be read does not count."""
    runs, _ = list_runs(session.competition.runs)
    for run in reversed(runs):
        if run.record.get("hash") != plan.hash:
            continue
        if plan.keep_models and not (run.path / "models").is_dir():
            continue
        try:
            run.oof(), run.test()
        except KitError:
            continue
        return run
    return None


def _finished(session: Session, plan: Plan) -> dict[int, FoldResult]:
    """Folds that an earlier, interrupted call has finished; torn files are thrown away."""
    results = {}
    for fold in range(plan.n_folds):
        task = plan.task(fold)
        result = read_result(task.result)
        if result is None or (task.models and not (task.models / f"fold-{fold}").is_dir()):
            task.result.unlink(missing_ok=True)
            continue
        results[fold] = result
        session.listen(Event(kind="resumed", model=plan.model, fold=fold, n_folds=plan.n_folds))
    return results


def _batches(session: Session, plan: Plan, missing: list[int]) -> Iterator[list[FoldTask]]:
    """All missing folds at once, or one by one as long as the budget lasts."""
    if session.deadline is None:
        yield [plan.task(fold) for fold in missing]
        return
    for fold in missing:
        expected = session.seconds_per_fold.get(plan.model, 0.0)
        if time.monotonic() + expected > session.deadline:
            return
        yield [plan.task(fold)]


def _tell(session: Session, plan: Plan, result: FoldResult, done: int) -> None:
    metric, data = session.context.metric, session.context.dataset
    pred: NDArray[Any] = result.oof
    if metric.needs == "label":  # the decision is made when all folds are there
        pred = default_decision(data.task, pred.shape[1]).apply(pred)
    try:
        score = metric.score(data.y[result.rows], pred)
    except KitError:
        score = None  # the metric has no value on these rows alone
    seconds = sum(result.seconds.values())
    session.seconds_per_fold[plan.model] = seconds
    session.listen(
        Event(
            kind="fold",
            model=plan.model,
            fold=result.fold,
            n_folds=plan.n_folds,
            done=done,
            seconds=seconds,
            score=score,
        )
    )


def _publish(session: Session, plan: Plan, results: list[FoldResult]) -> Run:
    data, metric, folds = session.context.dataset, session.context.metric, session.context.folds
    oof = np.full((len(data.ids), len(data.outputs)), np.nan)
    for result in results:
        oof[result.rows] = result.oof
    link, unlink = transform_pair(metric.transform, data.task)
    test = unlink(np.mean([link(result.test) for result in results], axis=0))
    fitted = fit_decision(metric, data.task, data.y, oof, folds.fold)
    names = prediction_columns(data.outputs)
    used = folds.fold >= 0
    frames = {
        "oof": _frame(data.ids[used], oof[used], names, folds.fold[used]),
        "test": _frame(data.test_ids, test, names),
    }
    record = {
        "hash": plan.hash,
        "kind": "cv",
        "model": plan.model,
        **run_facts(session.competition, session.context),
        "score": score_record(fitted, metric),
        "decision": fitted.decision.to_json(),
        "params": {key: _plain(value) for key, value in plan.params.items()},
        "overrides": session.competition.overrides,
        "early_stopping": plan.early_stopping,
        "best_iterations": [result.best_iteration for result in results],
        "parents": [],
        "weights": None,
        "seconds": {
            key: round(sum(result.seconds[key] for result in results), 2)
            for key in ("fit", "predict")
        },
        "peak_memory_mb": max(result.peak_memory_mb for result in results),
        "resumed": sorted(result.fold for result in results if result.resumed),
    }
    models = plan.partial / "models"
    return publish(
        session.competition.runs,
        record,
        config=session.competition.table,
        frames=frames,
        code=code_files(session.competition),
        models=models if models.is_dir() else None,
        curves={str(r.fold): dict(r.curve) for r in results if r.curve},
    )


def _frame(
    ids: NDArray[np.str_],
    values: NDArray[np.float64],
    names: list[str],
    fold: NDArray[np.int8] | None = None,
) -> pd.DataFrame:
    frame = pd.DataFrame({"id": pd.Series(ids, dtype="str")})
    if fold is not None:
        frame["fold"] = fold
    return frame.assign(**dict(zip(names, values.T, strict=True)))


def _plain(value: Any) -> Any:
    """A hyper-parameter as JSON can hold it."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else repr(value)


def check_models(models: list[str]) -> None:
    """Refuse a list of models that is empty or has repetitions.

    Raises:
        ConfigError: there is no name, or one is there twice.
    """
    if not models:
        raise ConfigError("there is no model to validate: name one, or list them in cv.models")
    twice = sorted({name for name in models if models.count(name) > 1})
    if twice:
        raise ConfigError(f"these models are named more than once: {', '.join(twice)}")
