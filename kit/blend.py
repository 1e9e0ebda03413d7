"""Blend runs: weights fitted on out-of-fold predictions, and the score such a blend deserves.

Two scores are reported. `plain` is the score of the weights on the rows they were fitted on; it
flatters. `oof` is nested: for every fold the weights (and the decision) are fitted on the other
folds and applied to this one. Runs of different folds or data are refused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import kit
from kit.competition import Competition
from kit.decision import Fitted, default_decision, fit_decision
from kit.errors import ConfigError, DataError, FoldMismatch, RunError, nearest
from kit.execution.context import FoldContext, load_context
from kit.execution.task import transform_pair
from kit.metrics.base import Metric, load_metric
from kit.runs import Run, find_run, list_runs, prediction_columns, publish
from kit.scoring import score_record
from kit.session import code_files, run_facts

Array = NDArray[np.float64]

_NOUNS = {"value": "values", "label": "labels", "proba": "probabilities"}

STEPS = 40
"""Greedy steps. Source: AutoGluon's presets; more brought nothing (TabRepo, 2023)."""


@dataclass(frozen=True, kw_only=True)
class Stack:
    """Predictions of several runs in one row order.

    Attributes:
        oof: ``(n_runs, n_validated, n_outputs)``
        test: ``(n_runs, n_test, n_outputs)``
        y, fold: truth and fold of the validated rows.
        ids, test_ids: their ids.
    """

    runs: tuple[Run, ...]
    oof: Array
    test: Array
    y: NDArray[Any]
    fold: NDArray[np.int8]
    ids: NDArray[np.str_]
    test_ids: NDArray[np.str_]


@dataclass(frozen=True, kw_only=True)
class Blend:
    """A fitted blend.

    Attributes:
        weights: one per run, sum 1.
        plain: score of `weights` on the rows they were fitted on.
        nested: decision and honest scores.
        oof, test: blended predictions. ``(n, n_outputs)``
    """

    weights: Array
    plain: float
    nested: Fitted
    oof: Array
    test: Array


_TIE = 1e-4  # weight of the log loss beside a label metric: less than one row is worth

Fit = Callable[[Array, NDArray[Any], Callable[[NDArray[Any], Array], float]], Array]
"""``(oof, y, loss) -> weights``"""


def blend(competition: Competition, names: Sequence[str], method: str = "greedy") -> Run:
    """Blend runs and publish the result as a run with parents.

    Args:
        competition: the competition.
        names: runs to blend; empty: every validated run of the present data and folds, the newest
            of each configuration.
        method: "greedy", "mean" or "rank".

    Raises:
        FoldMismatch: the runs were validated on different folds.
        RunError: a run is missing or damaged, or there are fewer than two.
        ConfigError: unknown method.
    """
    if method not in METHODS:
        raise ConfigError(f"unknown blend method {method!r}. {nearest(method, METHODS)}")
    context = load_context(competition)
    metric = context.metric
    runs = _chosen(competition, names) if names else _current(competition, context)
    if method == "rank" and metric.needs != "rank":
        raise ConfigError(
            f"the method 'rank' keeps only the order of the predictions, however {metric.name} "
            f"needs {_NOUNS[metric.needs]}. Use greedy or mean."
        )
    stack = align(runs, context)
    digest = _hash(method, runs, context)
    known = [run for run in list_runs(competition.runs)[0] if run.hash == digest]
    if known:
        return known[-1]
    blended = fit_blend(stack, metric, context.dataset.task, method)
    return _publish(competition, context, stack, blended, method, digest)


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
    return Stack(
        runs=tuple(runs),
        oof=np.stack(oof),
        test=np.stack(test),
        y=data.y[used],
        fold=folds.fold[used],
        ids=ids,
        test_ids=data.test_ids,
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


def fit_blend(stack: Stack, metric: Metric, task: Any, method: str) -> Blend:
    """Fit weights on all validated rows, and once more without each fold for the honest score."""
    fit = METHODS[method]
    link, unlink = transform_pair(metric.transform, task)
    rank = method == "rank"
    oof = _ranked(stack.oof) if rank else link(stack.oof)
    test = _ranked(stack.test) if rank else link(stack.test)
    back = (lambda values: values) if rank else unlink

    def loss(y: NDArray[Any], values: Array) -> float:
        return _search_loss(metric, task, y, back(values))

    weights = fit(oof, stack.y, loss)
    mixed = back(_mix(weights, oof))
    decided = fit_decision(metric, task, stack.y, mixed, stack.fold)
    plain = float(score_record(decided, metric)["value"])
    honest = np.empty_like(mixed)
    for k in np.unique(stack.fold):
        rest, here = stack.fold != k, stack.fold == k
        inner = fit(oof[:, rest], stack.y[rest], loss) if rest.any() else weights
        honest[here] = back(_mix(inner, oof[:, here]))
    nested = fit_decision(metric, task, stack.y, honest, stack.fold)
    nested = Fitted(
        decision=decided.decision,
        score=nested.score,
        fold_scores=nested.fold_scores,
        default_score=nested.default_score,
    )
    return Blend(
        weights=weights, plain=plain, nested=nested, oof=mixed, test=back(_mix(weights, test))
    )


def greedy(oof: Array, y: NDArray[Any], loss: Callable[[NDArray[Any], Array], float]) -> Array:
    """Greedy selection with replacement; the best prefix of the path is kept.

    Of equal candidates one that is already in the blend is preferred, then the earlier run.

    Shape:
        `oof` is ``(n_runs, n, n_outputs)``, the weights ``(n_runs,)``.

    Source:
        Caruana, Niculescu-Mizil, Crew, Ksikes, "Ensemble selection from libraries of models"
        (2004).
    """
    counts = np.zeros(len(oof), dtype=int)
    total = np.zeros_like(oof[0])
    best_loss, best_counts = np.inf, counts.copy()
    for step in range(1, STEPS + 1):
        losses = np.array([loss(y, (total + member) / step) for member in oof])
        ties = np.flatnonzero(losses <= losses.min() + 1e-12)
        chosen = int(max(ties, key=lambda index: (counts[index] > 0, -index)))
        counts[chosen] += 1
        total += oof[chosen]
        if losses[chosen] < best_loss - 1e-9:
            best_loss, best_counts = float(losses[chosen]), counts.copy()
    return np.asarray(best_counts / best_counts.sum(), dtype=np.float64)


def mean(oof: Array, y: NDArray[Any], loss: object) -> Array:
    """Equal weights."""
    return np.full(len(oof), 1 / len(oof))


METHODS: dict[str, Fit] = {"greedy": greedy, "mean": mean, "rank": mean}


def _search_loss(metric: Metric, task: Any, y: NDArray[Any], pred: Array) -> float:
    """What the search minimises: the metric; of equally many right labels the surer ones.

    Counting labels is coarse, so many steps tie. A search on log loss alone would be smooth, but it
    drops models that rank well and are unsure (measured: extra trees on handwritten digits).
    """
    if metric.needs != "label":
        return metric.loss(y, pred)
    labels = default_decision(task, pred.shape[1]).apply(pred)
    return metric.loss(y, labels) + _TIE * load_metric("log_loss", task).loss(y, pred)


def _mix(weights: Array, predictions: Array) -> Array:
    return np.asarray(np.tensordot(weights, predictions, axes=1))


def _ranked(predictions: Array) -> Array:
    """Ranks in (0, 1] within every run and column."""
    from scipy.stats import rankdata  # a second to import, seldom needed

    return np.asarray(rankdata(predictions, axis=1) / predictions.shape[1])


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


def _current(competition: Competition, context: FoldContext) -> list[Run]:
    """Validated runs of the present data, features, folds and metric that can be read."""
    digests = {**context.dataset.digests, "folds": context.folds.digest}
    found: dict[str, Run] = {}
    for run in list_runs(competition.runs)[0]:
        same = all(run.record["digests"].get(key) == value for key, value in digests.items())
        if run.kind != "cv" or not same or run.record["metric"]["name"] != context.metric.name:
            continue
        try:
            run.oof(), run.test()
        except RunError:
            continue
        found[run.hash] = run
    if len(found) < 2:
        raise RunError(
            f"a blend needs two validated runs of the present data, features and folds; "
            f"{len(found)} found in {competition.runs}.\n"
            "  `kit cv` makes them, `kit runs` lists them."
        )
    return list(found.values())


def _hash(method: str, runs: Sequence[Run], context: FoldContext) -> str:
    """What a blend depends on: the method, its parents, the metric and kit itself."""
    facts = [kit.__version__, method, context.metric.name, *(run.hash for run in runs)]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]


def _publish(
    competition: Competition,
    context: FoldContext,
    stack: Stack,
    blended: Blend,
    method: str,
    digest: str,
) -> Run:
    parents = [run.id for run in stack.runs]
    names = prediction_columns(context.dataset.outputs)
    score = {**score_record(blended.nested, context.metric), "plain": blended.plain}
    record = {
        "hash": digest,
        "kind": "blend",
        "model": "blend",
        **run_facts(competition, context),
        "score": score,
        "decision": blended.nested.decision.to_json(),
        "params": {"method": method},
        "overrides": competition.overrides,
        "early_stopping": _worst([str(run.record["early_stopping"]) for run in stack.runs]),
        "parents": parents,
        "weights": dict(zip(parents, blended.weights.round(6).tolist(), strict=True)),
        "seconds": {},
    }
    oof = pd.DataFrame({"id": pd.Series(stack.ids, dtype="str"), "fold": stack.fold})
    test = pd.DataFrame({"id": pd.Series(stack.test_ids, dtype="str")})
    return publish(
        competition.runs,
        record,
        config=competition.table,
        frames={
            "oof": oof.assign(**dict(zip(names, blended.oof.T, strict=True))),
            "test": test.assign(**dict(zip(names, blended.test.T, strict=True))),
        },
        code=code_files(competition),
    )


def _worst(ways: Sequence[str]) -> str:
    """A blend is as optimistic as its most optimistic member."""
    return "fold" if "fold" in ways else ways[0]
