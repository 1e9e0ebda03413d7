"""Fit what a run chose on all training rows, and publish it as a run of kind "fit".

Nothing is scored here: no row is left to score on. The run shows the out-of-fold predictions and
the score of the run it was made from, and says so.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import kit
from kit.atomic import disk_errors, token
from kit.blas import ordered_sums
from kit.competition import Competition
from kit.errors import ConfigError, KitError, ModelError, RunError
from kit.execution.all_rows import Stopped, fit_all, growth
from kit.execution.blocks import fit_recipe, predicted, rows_of
from kit.execution.context import FoldContext, load_context
from kit.execution.fitting import chosen, row_weights
from kit.execution.fold import data_shape, family_of, save_fitted
from kit.execution.learned import Learned, learned
from kit.execution.memory import estimate, refuse_too_large, stated
from kit.execution.pseudo import with_pseudo_labels
from kit.execution.task import build_model
from kit.folds import Folds
from kit.inner import InnerSplit, inner_split
from kit.models.base import FoldRows, Model, Problem
from kit.preprocessing.columns import recipe
from kit.refit.members import Mixed, Single, refuse_changed, resolve, singles
from kit.refit.saved import PLAN, Averaged, Scale, plan_of
from kit.runs import Run, ignore, list_runs, prediction_columns, publish
from kit.session import code_files, run_facts
from kit.usercode import UserCode, reported

Array = NDArray[np.float64]
Tell = Callable[[str], None]

MAX_SEEDS = 100
_SEEDS_AFTER_FOLDS = 500  # no seed of a fold (1000 x seed + fold) is used again
_SEEDS = 2_000_000


def refit(
    competition: Competition,
    run: Run,
    *,
    seeds: int = 3,
    threads: int = 1,
    tell: Tell = lambda text: None,
) -> Run:
    """Fit the models behind a run on all training rows.

    Args:
        competition: the competition.
        run: a run of kind "cv" or "blend".
        seeds: models per member, which differ in their seed; their mean predicts.
        threads: how many a model may use.
        tell: told what happens.

    Returns:
        The published run, or an earlier one of the same content.

    Raises:
        RunError: data or code have changed since, or the blend cannot be made again.
        ModelError, UserCodeError: a model failed.
    """
    if not 1 <= seeds <= MAX_SEEDS:
        raise ConfigError(f"--seeds must be between 1 and {MAX_SEEDS}. Received: {seeds}")
    context = load_context(competition)
    for note in context.dataset.notes:
        tell(f"note: {note}")
    metric = context.metric
    if run.record["metric"]["name"] != metric.name:
        raise RunError(
            f"{run.id} was validated for {run.record['metric']['name']}, kit.toml has "
            f"{metric.name}.\n  Give the same --set as for `kit cv`."
        )
    member = resolve(run, competition, metric.transform)
    for single in singles(member):
        uses = [single.spec.use]
        for remark in refuse_changed(single.run, competition, context.dataset.digests, uses):
            tell(f"note: {remark}")
    if run.folds != context.folds.digest:  # all rows are learned from, however they are cut
        tell(
            f"note: {run.id} was validated on the folds {run.folds}, however kit.toml makes "
            f"{context.folds.digest} now: its score, and where its models stopped, are of those."
        )
    _check_memory(context, list(singles(member)), tell)
    digest = _hash(run, seeds)
    for known in reversed(list_runs(competition.runs)[0]):
        if known.hash == digest and (known.path / "models" / PLAN).is_file():
            tell(f"already there: {known.id}")
            return known
    ignore(competition.runs)
    aside = competition.runs / ".partial" / f"fit-{token()}"
    try:
        with disk_errors(aside):
            aside.mkdir(parents=True)
        fits = _Fits(context, aside, seeds, threads, tell)
        return _publish(competition, context, run, member, fits, digest)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


class _Fits:
    """Fits members, saves them below a folder, and keeps what they predict for the test rows."""

    def __init__(
        self, context: FoldContext, folder: Path, seeds: int, threads: int, tell: Tell
    ) -> None:
        self.context, self.folder, self.seeds = context, folder, seeds
        self.threads, self.tell = threads, tell
        self.scale = Scale(context.metric.transform, context.dataset.task)
        self.facts: list[dict[str, Any]] = []
        self._test: dict[str, Array] = {}

    def test(self, member: Single | Mixed) -> Array:
        """Fit a member and what is behind it; its predictions for the test rows."""
        known = self._test.get(member.run.id)
        if known is None:
            known = self._mixed(member) if isinstance(member, Mixed) else self._single(member)
            self._test[member.run.id] = known
        return known

    def _mixed(self, member: Mixed) -> Array:
        each = [self.test(part) for part in member.parts]
        if member.mixing.how == "ranks":  # new rows are ranked among these
            with disk_errors(self.folder):
                np.save(self.folder / f"{member.run.id}.npy", np.stack(each))
        return member.mixing.predict(each, each)

    def _single(self, member: Single) -> Array:
        data, run = self.context.dataset, member.run
        started, fitted = time.perf_counter(), []
        first: Array | None = None
        for number in range(self.seeds):
            pair = self._fit(member, number)
            values = predicted(data.X_test, Averaged([pair], self.scale).predict)
            if values.shape != (len(data.X_test), len(data.outputs)) or not _finite(values):
                raise ModelError(f"model {run.model!r}: its predictions are not finite numbers")
            if first is not None and np.array_equal(values, first):
                break  # the model has nothing random in it: more seeds are the same model
            first = values if first is None else first
            save_fitted(self.folder / run.id / f"seed-{number:03d}", *pair)
            fitted.append(pair)
        seconds = time.perf_counter() - started
        fact = {
            "run": run.id,
            "model": run.model,
            "seeds": len(fitted),
            "stopped_at": fitted[0][1].best_iteration_,
            "seconds": round(seconds, 2),
        }
        self.facts.append(fact)
        stop = f", stopped at {fact['stopped_at']}" if fact["stopped_at"] else ""
        self.tell(f"  {run.model}  {_plural(len(fitted), 'model')}{stop}  ({seconds:.1f} s)")
        return predicted(data.X_test, Averaged(fitted, self.scale).predict)

    def _fit(self, member: Single, number: int) -> tuple[Any, Model]:
        """Recipe and model, fitted on all training rows."""
        data, context, run = self.context.dataset, self.context, member.run
        unfitted = build_model(member.spec, run.model, context.code)
        seed = int(run.record["seed"])
        target = learned(context, member.spec, unfitted)
        problem = Problem(
            task=target.task,
            n_outputs=target.n_outputs,
            grades=target.grades,
            seed=(seed % _SEEDS) * 1000 + _SEEDS_AFTER_FOLDS + number,
            threads=self.threads,
            needs=context.metric.needs,
            deviation=context.metric.deviation,
            encoder=data.encoder,
        )
        try:
            with ordered_sums():
                family = family_of(unfitted)
                steps, rows, inner = self._prepared(member, family, target, seed + number)
            with ordered_sums(), _reported(member.spec.use, context.code):
                found = stopped_at(run, context.folds)
                model = fit_all(unfitted, rows, problem, found, inner, self.folder)
                if not member.spec.pseudo_labels:
                    return steps, model
                X_test = steps.transform(data.X_test)
                more = with_pseudo_labels(rows, X_test, model, data.task, member.spec.pseudo_labels)
                return steps, fit_all(unfitted, more, problem, found, inner, self.folder)
        except KitError:
            raise
        except Exception as error:
            raise ModelError(
                f"model {run.model!r} failed on all rows: {type(error).__name__}: {error}"
            ) from error

    def _prepared(
        self, member: Single, family: str, target: Learned, seed: int
    ) -> tuple[Any, FoldRows, InnerSplit]:
        """A recipe fitted on all rows, the rows as it makes them, and which of them to stop on.

        Rows that count nothing are left out as in the folds: at most they are a past of others.
        """
        data = self.context.dataset
        y = target.link(data.y)
        weight = self.context.weight() if member.run.record.get("weighted") else None
        counted = np.isin(np.arange(len(y)), self.context.counted(np.arange(len(y))))
        used = counted if weight is None else counted & (weight > 0)
        read = used if data.series is None else counted
        shape = data_shape(data, np.flatnonzero(read), seed, target.task)
        steps = recipe(member.spec.recipe or family, shape)
        seen = rows_of(data, np.flatnonzero(read), self.folder)
        X = fit_recipe(steps, seen, y[read], data, self.folder)
        X = X if used[read].all() else chosen(X, used[read], self.folder)
        counts = row_weights(None if weight is None else weight[used])
        rows = FoldRows(X=X, y=y[used], X_valid=X[:0], y_valid=y[:0], weight=counts)
        folds, at = self.context.folds, np.flatnonzero(used)
        return steps, rows, inner_split(folds, folds.n_splits, at, data.time, data.groups)


def stopped_at(run: Run, folds: Folds) -> Stopped:
    """Where a run's folds stopped; nothing is known of them where the clock cut one.

    Where folds go forward only the last one counts, as for the run's own fit on all rows: the early
    ones have learned from few.
    """
    found = () if run.record.get("cut") else run.record.get("best_iterations") or ()
    told = found[-1:] if folds.forward else found
    return Stopped(tuple(int(n) for n in told if n), growth(folds))


def _check_memory(context: FoldContext, members: list[Single], tell: Tell) -> None:
    """State what the models of a table on the disk will take; refuse what cannot fit."""
    data, needs = context.dataset, {}
    for member in members:
        spec, name = member.spec, member.run.model
        family = spec.recipe or family_of(build_model(spec, name, context.code))
        needs[name] = estimate(family, spec.use, data, 1, together=False)
    if remark := stated(data, needs):
        tell(remark)
    for name, need in needs.items():
        refuse_too_large(name, need, data)


def _publish(
    competition: Competition,
    context: FoldContext,
    run: Run,
    member: Single | Mixed,
    fits: _Fits,
    digest: str,
) -> Run:
    started = time.perf_counter()
    values, data = fits.test(member), context.dataset
    with disk_errors(fits.folder):
        plan = json.dumps(plan_of(member), indent=1, default=list)
        (fits.folder / PLAN).write_text(plan + "\n", encoding="utf-8")
    names = prediction_columns(data.outputs)
    test = pd.DataFrame({"id": pd.Series(data.test_ids, dtype="str")})
    facts = run_facts(competition, context)
    facts["digests"] = {**facts["digests"], "folds": run.folds}
    record = {
        "hash": digest,
        "kind": "fit",
        "model": f"{run.model}-fit",
        **facts,
        "score": run.record["score"],
        "score_of": run.id,
        "decision": run.record["decision"],
        "params": {"seeds": fits.seeds},
        "overrides": competition.overrides,
        "early_stopping": run.record["early_stopping"],
        "parents": [run.id],
        "weights": None,
        "members": fits.facts,
        "transductive": any(single.spec.pseudo_labels for single in singles(member)),
        "seconds": {"fit": round(time.perf_counter() - started, 2)},
    }
    return publish(
        competition.runs,
        record,
        config=competition.table,
        frames={
            "oof": run.oof(),
            "test": test.join(pd.DataFrame(values, columns=names)),
        },
        code=code_files(competition),
        models=fits.folder,
    )


def _hash(run: Run, seeds: int) -> str:
    facts = [kit.__version__, "fit", run.hash, seeds]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]


def _reported(use: str, code: UserCode) -> AbstractContextManager[None]:
    """Failures of the competition's own model are reported with file and line."""
    module, own, _ = use.partition(":")
    return reported(code.root / f"{module}.py") if own else nullcontext()


def _finite(values: Array) -> bool:
    return bool(np.isfinite(values).all())


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' * (count != 1)}"
