"""Blend runs: align them by id, combine them, publish the result with the score it deserves.

Two scores are reported. `plain`, on the rows the combination was fitted on, flatters. `oof` is
nested: for every block of folds the weights, the choice between ways to blend and the decision are
made on the other folds, and so are the predictions published. Other folds or data are refused.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import kit
from kit.blas import ordered_sums
from kit.blending.choice import Chosen
from kit.blending.cost import correlations, seconds_per_1000
from kit.blending.fit import METHODS, check_method, combine, greedy_search
from kit.blending.level import Level
from kit.blending.saved import FILE, to_json
from kit.competition import Competition
from kit.decision import Fitted, fit_decision
from kit.errors import DataError, FoldMismatch, RunError
from kit.execution.context import FoldContext, load_context
from kit.metrics.base import Metric
from kit.runs import Run, find_run, list_runs, prediction_columns, publish
from kit.scoring import holdout_record, score_record
from kit.session import code_files, run_facts
from kit.settings import TaskType

Array = NDArray[np.float64]

__all__ = [
    "METHODS",
    "Blend",
    "Level",
    "Stack",
    "align",
    "blend",
    "combine",
    "fit_blend",
    "greedy_search",
    "refuse_other_folds",
]


@dataclass(frozen=True, kw_only=True)
class Stack:
    """Predictions of several runs in one row order.

    Attributes:
        oof: ``(n_runs, n_validated, n_outputs)``
        test: ``(n_runs, n_test, n_outputs)``
        y, fold: truth and fold of the validated rows.
        ids, test_ids: their ids.
        sealed: ``(n_runs, n_sealed, n_outputs)``; None where no rows are sealed.
        fold_weights: how much each fold counts, see `Folds.weights`.
    """

    runs: tuple[Run, ...]
    oof: Array
    test: Array
    y: NDArray[Any]
    fold: NDArray[np.int8]
    ids: NDArray[np.str_]
    test_ids: NDArray[np.str_]
    sealed: Array | None = None
    fold_weights: Array | None = None


@dataclass(frozen=True, kw_only=True)
class Blend:
    """A fitted blend.

    Attributes:
        weights: one per run, sum 1.
        plain: score of `weights` on the rows they were fitted on.
        nested: decision and honest scores.
        oof, test: blended predictions. ``(n, n_outputs)``
        chosen: the combination, its honest predictions, and what it was compared with.
        sealed: blended predictions of the sealed rows; None where there are none.
    """

    weights: Array
    plain: float
    nested: Fitted
    oof: Array
    test: Array
    chosen: Chosen
    sealed: Array | None = None


def blend(
    competition: Competition,
    names: Sequence[str],
    method: str = "auto",
    *,
    negative: bool = False,
    seconds: float | None = None,
    context: FoldContext | None = None,
    tell: Callable[[str], None] = lambda text: None,
) -> Run:
    """Blend runs and publish the result as a run with parents.

    Args:
        competition: the competition.
        names: runs to blend; empty: every validated run of the present data and folds, the newest
            of each configuration.
        method: one of `METHODS`.
        negative: weights below 0, for the method "hill".
        seconds: time for all but scores and files; a blend cut short is made again next time.
        context: the competition's data and folds where they are read already.
        tell: told of runs that cannot be used.

    Raises:
        FoldMismatch: the runs were validated on different folds.
        RunError: a run is missing or damaged, or there are fewer than two.
        ConfigError: unknown method.
    """
    until = None if seconds is None else time.monotonic() + seconds
    context = context or load_context(competition)
    check_method(method, context.metric, negative=negative)
    runs = _chosen(competition, names) if names else _current(competition, context, tell)
    stack = align(runs, context)
    way = f"{method} --negative" if negative else method
    digest = _hash(way, runs, context)
    known = [run for run in list_runs(competition.runs)[0] if run.hash == digest]
    if known and known[-1].record.get("blend", {}).get("complete", True):
        return known[-1]
    left = None if until is None else max(0.0, until - time.monotonic())
    blended = fit_blend(
        stack, context.metric, context.dataset.task, method, negative=negative, seconds=left
    )
    return _publish(competition, context, stack, blended, way, digest)


def align(runs: Sequence[Run], context: FoldContext) -> Stack:
    """Stack the predictions of several runs, joined by id.

    Raises:
        FoldMismatch: folds differ, between the runs or from those of `kit.toml`.
        DataError: a run lacks ids or outputs, or has other ids.
    """
    data, folds = context.dataset, context.folds
    refuse_other_folds(runs)
    if runs[0].folds != folds.digest:
        raise FoldMismatch(
            f"the runs were validated on the folds {runs[0].folds}, however kit.toml makes "
            f"{folds.digest}.\n  Give the same --set/--folds as for `kit cv`, or run it again."
        )
    for run in runs:
        found = run.record.get("classes")
        if found is not None and tuple(found) != data.classes:
            raise DataError(
                f"{run.id} predicts the classes {found}, however kit.toml has "
                f"{list(data.classes)} in this order.\n  Run `kit cv {run.model}` again."
            )
    used = folds.fold >= 0
    ids = data.ids[used]
    names = prediction_columns(data.outputs)
    oof = [_values(run.oof(), ids, names, f"{run.id}/oof.parquet") for run in runs]
    test = [_values(run.test(), data.test_ids, names, f"{run.id}/test.parquet") for run in runs]
    sealed = None
    rows = folds.sealed
    if len(rows) and all(run.record.get("holdout") for run in runs):  # imports have no such rows
        held = [(run.holdout(), f"{run.id}/holdout.parquet") for run in runs]
        sealed = np.stack([_values(frame, data.ids[rows], names, file) for frame, file in held])
    return Stack(
        runs=tuple(runs),
        oof=np.stack(oof),
        test=np.stack(test),
        y=data.truth[used],
        fold=folds.fold[used],
        ids=ids,
        test_ids=data.test_ids,
        sealed=sealed,
        fold_weights=folds.weights,
    )


def refuse_other_folds(runs: Sequence[Run]) -> None:
    """Raise `FoldMismatch` unless all runs were validated on the same folds."""
    by_folds: dict[str, list[str]] = {}
    for run in runs:
        by_folds.setdefault(run.folds, []).append(run.id)
    if len(by_folds) > 1:
        found = "\n".join(f"    folds {k}: {', '.join(v)}" for k, v in by_folds.items())
        raise FoldMismatch(
            "runs that were validated on different folds can be neither compared nor blended:\n"
            f"{found}\n  Run them again with the same [cv] section, or choose within one group."
        )


def fit_blend(
    stack: Stack,
    metric: Metric,
    task: TaskType,
    method: str = "auto",
    *,
    negative: bool = False,
    seconds: float | None = None,
) -> Blend:
    """Fit a combination on all validated rows, and score it where it was not fitted.

    Args:
        stack: predictions, truth and folds.
        metric: what is scored.
        task: the task.
        method: one of `METHODS`, see `kit.blending.fit.combine`.
        negative: weights below 0, for "hill".
        seconds: time for weights and choice, the nested ones included. Scores and decisions come
            on top: under a second for 100,000 rows.

    Raises:
        ConfigError: the method is unknown or does not fit the metric.
        DataError: predictions are not finite.
    """
    level = Level(metric=metric, task=task, oof=stack.oof, y=stack.y, fold=stack.fold)
    level = replace(level, fold_weights=stack.fold_weights)
    with ordered_sums():
        chosen = combine(level, method, negative=negative, seconds=seconds)
        mixed = chosen.combination.predict(stack.oof, stack.fold)
    decided = fit_decision(metric, task, stack.y, mixed, stack.fold)
    nested = fit_decision(metric, task, stack.y, chosen.honest, stack.fold)
    return Blend(
        weights=chosen.combination.weights,
        plain=float(score_record(decided, metric)["value"]),
        nested=replace(nested, decision=decided.decision),
        oof=mixed,
        test=chosen.combination.predict(stack.test),
        sealed=None if stack.sealed is None else chosen.combination.predict(stack.sealed),
        chosen=chosen,
    )


def _values(frame: pd.DataFrame, ids: NDArray[np.str_], names: Sequence[str], where: str) -> Array:
    """Predictions in the order of `ids` and `names`."""
    if not set(names) <= set(frame.columns):
        raise DataError(
            f"{where} holds {list(frame.columns)[:10]}, however {list(names)[:10]} are expected.\n"
            "  task.classes or columns.target have changed since; run `kit cv` again."
        )
    index = pd.Index(frame["id"])
    position = index.get_indexer(pd.Index(ids))
    if len(index) != len(ids) or (position < 0).any():
        missing = ids[position < 0][:3].tolist()
        raise DataError(
            f"{where} holds {len(index)} rows, the data {len(ids)}; ids it lacks, first: "
            f"{missing or 'none'}.\n  The data have changed since; run `kit cv` again."
        )
    return frame[list(names)].to_numpy(dtype=np.float64)[position]


def _chosen(competition: Competition, names: Sequence[str]) -> list[Run]:
    runs = [find_run(competition.runs, name) for name in names]
    if len({run.id for run in runs}) < len(runs):
        raise RunError(f"a run is named twice: {', '.join(run.id for run in runs)}")
    if len(runs) < 2:
        raise RunError(f"a blend needs two runs or more; only {runs[0].id} was named")
    return runs


def _current(
    competition: Competition, context: FoldContext, tell: Callable[[str], None]
) -> list[Run]:
    """Validated runs of the present data, features, folds and metric that can be read."""
    digests = {**context.dataset.digests, "folds": context.folds.digest}
    found: dict[str, Run] = {}
    others: Counter[str] = Counter()
    for run in list_runs(competition.runs)[0]:
        needed = dict(digests)
        if run.kind == "import":  # made elsewhere: folds say which rows it has seen
            needed = {"folds": context.folds.digest}
        same = all(run.record["digests"].get(key) == value for key, value in needed.items())
        if run.kind not in ("cv", "import"):
            continue
        if not same or run.metric != context.metric.identity:
            others.update(_why_not(run, needed, context))
            continue
        try:
            run.oof(), run.test()
        except RunError as error:
            tell(f"{run.id} is left out: {str(error).splitlines()[0]}")
            others["damaged predictions: kit doctor"] += 1
            continue
        found[run.hash] = run
    if len(found) < 2:
        raise RunError(
            f"a blend needs two validated runs of the present data, features and folds; "
            f"{len(found)} found in {competition.runs}.\n"
            + "".join(f"  {count} with {what}\n" for what, count in others.items())
            + "  `kit cv` makes them, `kit runs` lists them."
        )
    return list(found.values())


def _why_not(run: Run, digests: Mapping[str, str], context: FoldContext) -> Iterator[str]:
    """What sets a run apart from the present data, features, folds and metric."""
    overrides = run.record.get("overrides", {})
    flags = "".join(f" --set {k}={v}" for k, v in overrides.items() if k.startswith("cv."))
    for key, value in digests.items():
        if run.record["digests"].get(key) != value:
            yield f"other {key}" + (f": kit blend{flags}" if flags and key == "folds" else "")
            return
    yield "another metric" if run.metric[0] != context.metric.name else "another metric.py"


def _hash(method: str, runs: Sequence[Run], context: FoldContext) -> str:
    """What a blend depends on: the method, its parents, the truth, the metric and kit itself."""
    facts = [kit.__version__, method, context.dataset.digests["data"]]  # imports lack the truth's
    facts += [*filter(None, context.metric.identity), *(run.hash for run in runs)]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]


def _publish(
    competition: Competition,
    context: FoldContext,
    stack: Stack,
    blended: Blend,
    method: str,
    digest: str,
) -> Run:
    data, rows = context.dataset, context.folds.sealed
    record = {
        "hash": digest,
        "kind": "blend",
        "model": "blend",
        **run_facts(competition, context),
        **_scores(context, stack, blended),
        "params": {"method": method},
        "overrides": competition.overrides,
        "seconds": {},
    }
    names = prediction_columns(data.outputs)
    oof = pd.DataFrame({"id": pd.Series(stack.ids, dtype="str"), "fold": stack.fold})
    test = pd.DataFrame({"id": pd.Series(stack.test_ids, dtype="str")})
    parts = {"oof": (oof, blended.chosen.honest), "test": (test, blended.test)}
    if blended.sealed is not None:
        ids = pd.Series(data.ids[rows], dtype="str")
        parts["holdout"] = (pd.DataFrame({"id": ids}), blended.sealed)
    with tempfile.TemporaryDirectory() as folder:
        models = Path(folder) / "models"
        models.mkdir()
        (models / FILE).write_text(json.dumps(to_json(blended.chosen.combination)), "utf-8")
        return publish(
            competition.runs,
            record,
            config=competition.table,
            frames={
                stem: frame.join(pd.DataFrame(values, columns=names))
                for stem, (frame, values) in parts.items()
            },
            code=code_files(competition),
            models=models,
        )


def _scores(context: FoldContext, stack: Stack, blended: Blend) -> dict[str, Any]:
    """What a blend scored, and what it is made of."""
    metric, decision, chosen = context.metric, blended.nested.decision, blended.chosen
    parents = [run.id for run in stack.runs]
    used = [run for run, weight in zip(stack.runs, blended.weights, strict=True) if weight]
    held: dict[str, Any] = {}
    if blended.sealed is not None:
        truth, sealed = context.dataset.truth, blended.sealed
        held["holdout"] = holdout_record(metric, decision, context.folds, truth, sealed)
    return {
        "score": {**score_record(blended.nested, metric), "plain": blended.plain},
        **held,
        "decision": decision.to_json(),
        "early_stopping": _worst([str(run.record["early_stopping"]) for run in stack.runs]),
        "transductive": any(run.record.get("transductive") for run in used),
        "parents": parents,
        "weights": dict(zip(parents, blended.weights.round(6).tolist(), strict=True)),
        "blend": {
            "chosen": chosen.method,
            "compared": chosen.compared,
            "complete": chosen.complete,
            "correlation": correlations(parents, stack.oof, blended.weights != 0),
            "seconds_per_1000_rows": {
                run.id: seconds_per_1000(run.record, len(stack.ids), len(stack.test_ids))
                for run in stack.runs
            },
        },
    }


def _worst(ways: Sequence[str]) -> str:
    """A blend is as optimistic as its most optimistic member."""
    return "fold" if "fold" in ways else ways[0]
