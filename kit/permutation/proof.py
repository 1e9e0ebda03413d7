"""The null-label proof: on permuted labels the whole pipeline must score at chance.

A copy of the competition's folder, in which only the target's values have changed places, goes
through everything that the competition does: `features.py`, recipes, models, early stopping,
decisions, the blend. Between features and labels nothing is left that could be learned. A score
beyond chance is a label that reached its own prediction.

Chance is a band: with the predictions as they are, the labels of every fold are permuted again and
again, which gives the distribution of the score if labels and predictions had nothing to do with
each other. One model in 200 lies above a 99 % band by luck; what does is tried on a second
permutation, and is a leak only if it lies above that band, too (one in 40,000).

Source: Ojala and Garriga, "Permutation Tests for Studying Classifier Performance" (2010).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kit.blend import align, fit_blend
from kit.checks.nulls import NullScore
from kit.competition import Competition
from kit.cv import cross_validate
from kit.decision import fit_decision
from kit.errors import KitError
from kit.permutation.chance import chance_band
from kit.permutation.copies import Source
from kit.permutation.naming import BLEND, named
from kit.portfolio import find_model
from kit.runs import Run
from kit.scoring import score_record
from kit.session import Listener, Session, open_session

Array = NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Proof:
    """What the proof found.

    Attributes:
        scores: one per model and, for several, the blend.
        late: models that the time was too short for.
        failed: models that could not be fitted, and why; the others are proven all the same.
        sampled: how many of how many rows were used; empty: all.
    """

    scores: tuple[NullScore, ...]
    late: tuple[str, ...]
    failed: tuple[tuple[str, str], ...]
    sampled: str


@dataclass(frozen=True)
class _Draw:
    """A model's score on one permutation."""

    score: float
    band: tuple[float, float]
    beyond: bool


def prove(
    competition: Competition,
    models: Sequence[str],
    *,
    seconds: float | None = None,
    listen: Listener = lambda event: None,
) -> Proof:
    """Validate models on permuted labels.

    Args:
        competition: the competition; its folder is only read, but for a copy in `.cache`.
        models: names as for `kit cv`.
        seconds: no fold is started that would end later; None: no limit.
        listen: told of every fold.

    Raises:
        KitError: data or configuration cannot be used.
    """
    for name in models:
        find_model(competition, name)
    source = Source(competition)
    failed: dict[str, str] = {}
    first = _draws(source, models, 0, seconds, listen, failed, blended=len(models) > 1)
    beyond = [name for name, draw in first.items() if draw.beyond]
    # the blend needs its members again
    again = list(models) if BLEND in beyond else beyond
    second = _draws(source, again, 1, None, listen, {}, blended=BLEND in beyond) if again else {}
    found: dict[str, NullScore] = {}

    def innocent(model: str, **change: Any) -> bool:
        draws = _draws(source, [model], 0, None, lambda event: None, {}, **change)
        return model in draws and not draws[model].beyond

    for name, draw in first.items():
        draws = [draw, second[name]] if draw.beyond and name in second else [draw]
        score = NullScore(
            model=name,
            metric=competition.settings.task.metric,
            scores=tuple(each.score for each in draws),
            bands=tuple(each.band for each in draws),
            beyond=all(each.beyond for each in draws),
            rows=len(source.rows),
        )
        found[name] = named(source, score, found, innocent) if score.beyond else score
    return Proof(
        scores=tuple(found.values()),
        late=tuple(name for name in models if name not in first and name not in failed),
        failed=tuple(failed.items()),
        sampled=source.sampled,
    )


def _draws(
    source: Source,
    models: Sequence[str],
    seed: int,
    seconds: float | None,
    listen: Listener,
    failed: dict[str, str],
    *,
    blended: bool = False,
    grouped: bool = True,
    flags: Sequence[str] = (),
) -> dict[str, _Draw]:
    """Scores and bands by model, without those that had no time or failed; `failed` takes these."""
    found: dict[str, _Draw] = {}
    with (
        source.permuted(seed, grouped=grouped, flags=flags) as copy,
        open_session(copy, listen=listen, budget=seconds) as session,
    ):
        runs = []
        for model in models:
            try:
                run = cross_validate(session, model)
            except KitError as error:
                failed[model] = str(error).replace(str(copy.root), str(source.competition.root))
                continue
            runs += [run] if run is not None else []
        for run in runs:
            oof = run.oof().set_index("id").drop(columns="fold")
            found[run.model] = _draw(session, oof.loc[_used_ids(session)].to_numpy(np.float64))
        if blended and len(runs) == len(models):
            found[BLEND] = _draw(session, _blended(session, runs))
    return found


def _used_ids(session: Session) -> Array:
    context = session.context
    return context.dataset.ids[context.folds.fold >= 0]


def _blended(session: Session, runs: Sequence[Run]) -> Array:
    """What a blend predicts for rows that it was not fitted on."""
    context = session.context
    blend = fit_blend(align(runs, context), context.metric, context.dataset.task, seconds=30.0)
    return blend.chosen.honest


def _draw(session: Session, pred: Array) -> _Draw:
    data, metric, folds = session.context.dataset, session.context.metric, session.context.folds
    used = folds.fold >= 0
    y, fold = data.truth[used], folds.fold[used]
    groups = None if data.groups is None or folds.forward else pd.factorize(data.groups[used])[0]
    fitted = fit_decision(metric, data.task, y, pred, fold)
    score = float(score_record(fitted, metric)["value"])
    low, high = chance_band(metric, fitted, y, fold, groups)
    up = metric.greater_is_better
    return _Draw(score, (low, high), metric.better(score, high if up else low))
