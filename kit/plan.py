"""What exactly a run computes, and the hash of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kit
from kit.execution.context import FoldContext
from kit.execution.fitting import check_weights
from kit.execution.fold import family_of
from kit.execution.learned import learned
from kit.execution.memory import estimate
from kit.execution.task import FoldTask, build_model
from kit.models.base import Model
from kit.portfolio import find_model
from kit.preprocessing.columns import recipe_facts
from kit.session import Session
from kit.settings import ModelSpec

CROSS_CELLS = 500_000_000
"""Up to so many cells (rows x columns x folds) all folds are trained side by side."""


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
    weighted: bool = False
    graded: bool = False
    keep_models: bool = False
    threads: int = 1
    memory: float = 0.0  # bytes that one of its tasks is estimated to take

    def tasks(self, folds: Sequence[int], deadline: float | None = None) -> list[FoldTask]:
        """The descriptions of these folds: one for all that are trained together, or one each."""
        together = self.early_stopping == "cross"
        groups = [tuple(range(self.n_folds))] if together else [(fold,) for fold in folds]
        return [
            FoldTask(
                model=self.model,
                spec=self.spec,
                folds=group,
                seed=self.seed,
                threads=self.threads,
                early_stopping=self.early_stopping,
                results=self.partial,
                models=self.partial / "models" if self.keep_models else None,
                deadline=deadline,
            )
            for group in (groups if folds else [])
        ]


def make_plan(
    session: Session, model: str, *, repeat: int = 0, spec: ModelSpec | None = None
) -> Plan:
    """Resolve a model and hash everything its predictions depend on.

    Args:
        session: an open session.
        model: see `cross_validate`.
        repeat: so many is added to the models' seed; the folds stay.
        spec: the configuration, where `model` is only what to call it.

    Raises:
        UnknownName, ConfigError: the model or one of its parameters does not exist, or it cannot
            be fitted with weights.
    """
    competition, context = session.competition, session.context
    spec = spec or find_model(competition, model)
    unfitted = build_model(spec, model, context.code)
    params = unfitted.get_params(deep=False)
    stopping = _stopping(session.early_stopping, unfitted, context)
    cv = competition.settings.cv
    weighted = context.weight_for(spec) is not None
    if weighted:
        check_weights(unfitted, model)
    graded = bool(learned(context, spec, unfitted).grades)
    recipe = spec.recipe or family_of(unfitted)
    facts = {
        **_facts(context, spec, recipe),
        **({"weighted": True} if weighted else {}),
        **({"graded": True} if graded else {}),
        **({"learned": "rows that count"} if context.leaves_out else {}),
        **({"rows": "streamed"} if unfitted.streams and context.dataset.on_disk else {}),
        "params": {key: repr(value) for key, value in sorted(params.items())},
        "seed": cv.seed + repeat,
        "early_stopping": stopping,
    }
    n_folds, together = context.folds.n_splits, stopping == "cross"
    memory = estimate(recipe, spec.use, context.dataset, n_folds, together=together)
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]
    return Plan(
        model=f"{model}.{repeat + 1}" if repeat else model,
        spec=spec,
        params=params,
        hash=digest,
        seed=cv.seed + repeat,
        early_stopping=stopping,
        partial=competition.runs / ".partial" / digest,
        n_folds=n_folds,
        weighted=weighted,
        graded=graded,
        keep_models=session.keep_models,
        threads=session.threads,
        memory=memory,
    )


def _facts(context: FoldContext, spec: ModelSpec, recipe: str) -> dict[str, Any]:
    """What predictions depend on apart from the model's own settings."""
    metric, own = context.metric, spec.use.partition(":")[0] if ":" in spec.use else ""
    return {
        "kit": kit.__version__,
        "data": context.dataset.digests["data"],
        "features": context.dataset.digests["features"],
        "folds": context.folds.digest,
        "metric": metric.name,
        **({"metric code": metric.code} if metric.code else {}),
        "transform": metric.transform,
        "deviation": metric.deviation,
        "use": spec.use,
        "code": context.code.digest(own) if own else "",
        "recipe": spec.recipe,
        **recipe_facts(recipe, context.dataset.encoder),
        **({"pseudo_labels": spec.pseudo_labels} if spec.pseudo_labels else {}),
    }


def _stopping(asked: str, unfitted: Model, context: FoldContext) -> str:
    """How a model really stops.

    Side by side all folds are in memory at once, so very large data are validated fold by fold;
    and folds in time order must not learn from later ones where to stop.
    """
    if asked != "cross" or not unfitted.stops_early:
        return asked if unfitted.stops_early else "none"
    cells = context.dataset.X.shape[0] * context.dataset.X.shape[1] * context.folds.n_splits
    fits = cells <= CROSS_CELLS and not context.folds.forward and context.folds.n_splits > 1
    return "cross" if unfitted.crosses and fits else "inner"
