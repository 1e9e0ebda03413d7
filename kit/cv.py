"""Cross-validation: the loop, in execution order.

plan (what exactly is computed, and its hash) -> already published? -> lock -> finished folds of an
earlier call -> the missing ones, wherever they run -> score -> publish.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from kit.atomic import disk_errors
from kit.decision import default_decision, fit_decision
from kit.errors import ConfigError, KitError, RunError
from kit.execution.context import FoldContext
from kit.execution.here import killed_in
from kit.execution.memory import refuse_too_large
from kit.execution.results import FoldResult, read_result
from kit.execution.task import FoldTask, result_path
from kit.folds import Folds, text_ids
from kit.metrics.transforms import transform_pair
from kit.plan import Plan, make_plan
from kit.runs import (
    ALL_FOLDS,
    ALL_ROWS,
    LAST_FOLD,
    Run,
    ignore,
    list_runs,
    prediction_columns,
    publish,
)
from kit.scoring import holdout_record, score_record
from kit.session import Event, EventKind, Session, code_files, run_facts


def cross_validate(session: Session, model: str, *, repeat: int = 0) -> Run | None:
    """Validate one model on the competition's folds.

    Args:
        session: an open session.
        model: a name of `[models]` in `kit.toml`, a registered name, or `module:attribute`.
        repeat: see `make_plan`.

    Returns:
        The published run; None when the session's budget ran out first. Finished folds are kept
        and the next call goes on from there.

    Raises:
        KitError: the model failed; finished folds are kept.
    """
    plan = make_plan(session, model, repeat=repeat)
    with locked(session, plan):
        known, results = start(session, plan)
        if known is not None:
            return known
        if not session.competition.settings.execution.on:
            refuse_too_large(model, plan.memory, session.context.dataset)
        missing = [fold for fold in range(plan.n_folds) if fold not in results]
        for result in session.executor.run(_in_time(session, plan, missing)):
            take(session, plan, results, result)
        if len(results) < plan.n_folds:
            session.listen(Event(kind="stopped", model=model, done=len(results)))
            return None
        return finish(session, plan, results)


def start(session: Session, plan: Plan) -> tuple[Run | None, dict[int, FoldResult]]:
    """The published run, or else the folds that are finished already."""
    known = _published(session, plan)
    if known is not None:
        shutil.rmtree(plan.partial, ignore_errors=True)  # left by a kill just after publishing
        session.listen(Event(kind="known", model=plan.model, run=known))
        return known, {}
    results = _finished(session, plan)
    done, n_folds = len(results), plan.n_folds
    session.listen(Event(kind="started", model=plan.model, n_folds=n_folds, done=done))
    for fold in killed_in(plan.partial):
        session.listen(Event(kind="killed", model=plan.model, fold=fold, n_folds=n_folds))
    return None, results


def take(session: Session, plan: Plan, results: dict[int, FoldResult], result: FoldResult) -> None:
    """Put a fold's result to the others and tell of it."""
    results[result.fold] = result
    _tell(session, plan, result, len(results))


def finish(session: Session, plan: Plan, results: Mapping[int, FoldResult]) -> Run:
    """Score and publish a run whose folds are all there."""
    run = _publish(session, plan, [results[fold] for fold in range(plan.n_folds)])
    shutil.rmtree(plan.partial, ignore_errors=True)
    session.listen(Event(kind="done", model=plan.model, run=run))
    return run


@contextmanager
def locked(session: Session, plan: Plan, *, wait: bool = True) -> Iterator[None]:
    """One process at a time computes a given run; a second one waits and finds it published.

    Raises:
        RunError: another process computes it, and `wait` is False.
    """
    lock = FileLock(plan.partial.with_suffix(".lock"))
    with disk_errors(plan.partial):
        ignore(session.competition.runs)
        plan.partial.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            if not wait:
                raise RunError("another kit computes this run") from None
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
        if run.record.get("plan", run.hash) != plan.hash:
            continue
        if run.record.get("cut") and session.deadline is None:
            continue  # now there is time to do it in full
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
        path = result_path(plan.partial, fold)
        result = read_result(path)
        unsaved = plan.keep_models and not (plan.partial / "models" / f"fold-{fold}").is_dir()
        hurried = result is not None and result.cut and session.deadline is None
        if result is None or unsaved or hurried:
            path.unlink(missing_ok=True)
            continue
        results[fold] = result
        _tell(session, plan, result, len(results), "resumed")
    return results


def _in_time(session: Session, plan: Plan, missing: list[int]) -> Iterator[FoldTask]:
    """The tasks of the missing folds, asked for one by one, as long as the budget lasts."""
    together = plan.early_stopping == "cross"  # such a task can be told when to end
    for task in plan.tasks(missing, session.deadline if together else None):
        expected = session.seconds_per_fold.get(plan.model, 0.0)
        if session.context.folds.forward and task.folds[-1] == plan.n_folds - 1:
            expected *= 2  # it fits on all rows as well
        if session.deadline is not None and time.monotonic() + expected > session.deadline:
            return
        yield task


def fold_score(context: FoldContext, result: FoldResult) -> float | None:
    """A fold's own score; None where the metric has no value on these rows alone."""
    metric, data = context.metric, context.dataset
    pred: NDArray[Any] = result.oof
    if metric.needs == "label":  # the decision is made when all folds are there
        pred = default_decision(data.task, pred.shape[1]).apply(pred)
    try:
        return metric.score(data.truth[result.rows], pred)
    except KitError:
        return None


def _tell(
    session: Session, plan: Plan, result: FoldResult, done: int, kind: EventKind = "fold"
) -> None:
    seconds = sum(result.seconds.values())
    session.seconds_per_fold[plan.model] = seconds
    session.listen(
        Event(
            kind=kind,
            model=plan.model,
            fold=result.fold,
            n_folds=plan.n_folds,
            done=done,
            seconds=seconds,
            score=fold_score(session.context, result),
        )
    )


def _publish(session: Session, plan: Plan, results: list[FoldResult]) -> Run:
    data, metric, folds = session.context.dataset, session.context.metric, session.context.folds
    oof = np.full((len(data.ids), len(data.outputs)), np.nan)
    for result in results:
        oof[result.rows] = result.oof
    link, unlink = transform_pair(metric.transform, data.task)
    test = unlink(np.mean([link(result.test) for result in _latest(folds, results)], axis=0))
    fitted = fit_decision(metric, data.task, data.truth, oof, folds.fold)
    names = prediction_columns(data.outputs)
    used = folds.fold >= 0
    frames = {
        "oof": _frame(data.ids[used], oof[used], names, folds.fold[used]),
        "test": _frame(data.test_ids, test, names),
    }
    holdout = {}
    if len(rows := folds.sealed):
        sealed = unlink(np.mean([link(r.sealed) for r in _latest(folds, results)], axis=0))
        frames["holdout"] = _frame(data.ids[rows], sealed, names)
        held = holdout_record(metric, fitted.decision, folds, data.truth, sealed)
        holdout = {"holdout": held}
    cut = sorted(result.fold for result in results if result.cut)
    record = {
        "hash": _hash_of_cut(plan.hash, test) if cut else plan.hash,
        "plan": plan.hash,
        "cut": cut,
        "kind": "cv",
        "model": plan.model,
        "use": plan.spec.use,
        "recipe": plan.spec.recipe,
        "pseudo_labels": plan.spec.pseudo_labels,
        "weighted": plan.weighted,
        "graded": plan.graded,
        "transductive": plan.spec.pseudo_labels > 0,  # its models have seen the test rows
        **run_facts(session.competition, session.context),
        "score": score_record(fitted, metric),
        **holdout,
        "decision": fitted.decision.to_json(),
        "seed": plan.seed,
        "params": {key: _plain(value) for key, value in plan.params.items()},
        "given": {key: _plain(value) for key, value in plan.spec.params.items()},
        "overrides": session.competition.overrides_of(plan.model),
        "early_stopping": plan.early_stopping,
        "new_rows": _who_predicts(folds, results),
        "parents": [],
        "weights": None,
        **_spent(results),
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


def _spent(results: list[FoldResult]) -> dict[str, Any]:
    """What the folds took: rounds, seconds, memory, and where."""
    return {
        "best_iterations": [result.best_iteration for result in results],
        "seconds": {
            key: round(sum(result.seconds[key] for result in results), 2)
            for key in ("fit", "predict")
        },
        "peak_memory_mb": max(result.peak_memory_mb for result in results),
        "device": ", ".join(sorted({result.device for result in results if result.device})),
        "resumed": sorted(result.fold for result in results if result.resumed),
    }


def _hash_of_cut(plan: str, test: NDArray[np.float64]) -> str:
    """Of a run that the clock cut short: its plan alone does not decide what it predicts."""
    return hashlib.sha256(plan.encode() + test.tobytes()).hexdigest()[:32]


def _who_predicts(folds: Folds, results: list[FoldResult]) -> str:
    if not folds.forward:
        return ALL_FOLDS
    return ALL_ROWS if _latest(folds, results)[0].all_rows else LAST_FOLD


def _latest(folds: Folds, results: list[FoldResult]) -> list[FoldResult]:
    """The folds whose tasks predict new rows: where folds go forward, the last one's."""
    return [max(results, key=lambda result: result.fold)] if folds.forward else results


def _frame(
    ids: NDArray[np.str_],
    values: NDArray[np.float64],
    names: list[str],
    fold: NDArray[np.int8] | None = None,
) -> pd.DataFrame:
    frame = pd.DataFrame({"id": text_ids(ids)})
    if fold is not None:
        frame["fold"] = fold
    return pd.concat([frame, pd.DataFrame(values, columns=names)], axis=1)


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
