"""Where labels leak: one thing after the other is left out until the score is at chance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
import pandas as pd

from kit.checks.nulls import NullScore
from kit.competition import Competition
from kit.execution.context import load_context
from kit.permutation.copies import Source
from kit.portfolio import find_model

BLEND = "blend"

_TELLING = 5.0  # standard errors by which a column follows permuted labels


class Innocent(Protocol):
    """Whether a model is at chance once something is changed, see `Source.permuted`."""

    def __call__(self, model: str, **change: Any) -> bool:
        """Validate it again."""


def named(
    source: Source, score: NullScore, before: Mapping[str, NullScore], innocent: Innocent
) -> NullScore:
    """The same with the place where labels leak, found by leaving one thing out at a time."""
    if score.model == BLEND:
        members = [each.model for each in before.values() if each.beyond]
        culprit = f"so do its members {', '.join(members)}" if members else "its members do not"
        remedy = "mend the members first" if members else "how the blend is fitted sees the labels"
        return replace(score, culprit=culprit, remedy=remedy)
    for culprit, remedy in _suspects(source, score.model, innocent):
        return replace(score, culprit=culprit, remedy=remedy)
    use = find_model(source.competition, score.model).use
    own = use.partition(":")[0] + ".py" if ":" in use else ""
    return replace(
        score,
        culprit=f"it comes from {own}" if own else f"it comes from the model {use} or its recipe",
        remedy=f"{own} sees labels of the rows it predicts: everything that learns belongs into "
        "`fit`, which gets the fold's training rows only"
        if own
        else "please report it: a model of kit must not do that",
    )


def _suspects(source: Source, model: str, innocent: Innocent) -> Iterator[tuple[str, str]]:
    """What explains it: the columns that follow the labels, groups, early stopping."""
    with source.permuted(0) as copy:
        columns = _followers(copy)
    if columns:
        yield (
            f"{columns[0]!r} follows the permuted labels",
            f"features.py reads the target of the rows it describes: take "
            f"{', '.join(map(repr, columns))} out, or compute it in a transformer inside model.py",
        )
    settings = source.competition.settings

    if source.groups is not None and innocent(model, grouped=False):
        name = settings.columns.group
        yield (
            f"only as long as the rows of a {name!r} have labels in common",
            'rows of one group are validated by models that saw the others: [cv] splitter = "group'
            '_kfold"',
        )
    if settings.cv.early_stopping == "fold" and innocent(
        model, flags=['cv.early_stopping="inner"']
    ):
        yield (
            'it comes from cv.early_stopping = "fold"',
            '[cv] early_stopping = "inner" stops on other rows',
        )


def _followers(copy: Competition) -> list[str]:
    """Columns that know the permuted labels of their own rows, the most telling first."""
    data = load_context(copy).dataset
    y = data.y.reshape(len(data.y), -1)
    if data.task == "multiclass":
        y = np.eye(len(data.classes))[data.y]
    targets = pd.DataFrame(y).rank().to_numpy()
    found: dict[str, float] = {}
    for name, kind in data.kinds.items():
        if kind not in ("numeric", "category", "datetime"):
            continue
        values = data.X[name].cat.codes if kind == "category" else data.X[name]
        ranks = pd.Series(values).rank().fillna(0.0).to_numpy()
        if ranks.std() == 0:
            continue
        each = [abs(np.corrcoef(ranks, target)[0, 1]) for target in targets.T if target.std() > 0]
        found[name] = max(each, default=0.0) * len(ranks) ** 0.5
    return sorted((n for n in found if found[n] > _TELLING), key=lambda n: -found[n])
