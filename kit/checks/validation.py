"""Do the folds validate what they are meant to validate?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kit.checks.finding import Evidence
from kit.checks.material import Material
from kit.checks.target import rare_classes
from kit.dataset import read_time
from kit.errors import DataError
from kit.execution.context import FOLDS_NAME
from kit.folds import NEAR_SEALED, Folds
from kit.kinds import some


def no_folds(m: Material) -> Iterator[Evidence]:
    """The splitter of `[cv]` cannot cut these data."""
    error = m.problems.get("folds")
    rare = m.has(["target"]) and any(item.severity is None for item in rare_classes(m))
    if error is not None and not rare:
        yield Evidence(text=str(error), remedy="change [cv] in kit.toml")


def split_groups(m: Material) -> Iterator[Evidence]:
    """Groups with rows in two folds although `columns.group` is set."""
    name = m.columns.group
    if name is None:
        return
    groups = m.train[name].astype("str")
    # the sealed rows count as one fold more; what nothing learns from or is scored on cuts no group
    used = ~np.isin(m.folds.fold, (-1, NEAR_SEALED))
    per_group = pd.Series(m.folds.fold)[used].groupby(groups[used].to_numpy()).nunique()
    split = per_group.index[per_group > 1]
    if len(split) == 0:
        return
    forward = m.folds.forward
    yield Evidence(
        text=f"{len(split)} of {len(per_group)} groups of {name!r} lie in two folds or more, "
        f"e.g. {some(split)}; cv.splitter = {m.settings.cv.splitter!r}",
        remedy='what is learned of a group is scored on the same group: [cv] splitter = "group'
        '_kfold" (or "stratified_group_kfold"), or take columns.group out if test has the same '
        "groups",
        columns=(name,),
        severity="warning" if forward else None,  # test may well go on with the same groups
    )


def shuffled_time(m: Material) -> Iterator[Evidence]:
    """Folds cut at random although `columns.time` is set."""
    name = m.columns.time
    stamps = read_time(m.train, name)
    if name is None or stamps is None or m.folds.n_splits < 2:
        return
    share, random = _changes(m, stamps)
    if share > 0.5 * random:
        yield Evidence(
            text=f"{share:.0%} of the rows that follow one another in {name!r} are in different "
            f"folds ({random:.0%} if cut at random); cv.splitter = {m.settings.cv.splitter!r}",
            remedy='a model then sees the moments around each scored row: [cv] splitter = "time_'
            'series" (test comes later) or "time_blocks" (test fills gaps), or take columns.time '
            "out",
            columns=(name,),
        )


def mixed_in_time(m: Material, stamps: NDArray[Any]) -> bool:
    """Whether folds are cut across time as if at random."""
    share, random = _changes(m, stamps)
    return share > 0.5 * random


def _changes(m: Material, stamps: NDArray[Any]) -> tuple[float, float]:
    """How often the next row in time is of another fold; and how often if cut at random."""
    used = np.flatnonzero(m.folds.fold >= 0)
    used = np.random.default_rng(0).permutation(used)  # rows of one time in no particular order
    fold = m.folds.fold[used][np.argsort(stamps[used], kind="stable")]
    share = float((fold[1:] != fold[:-1]).mean())
    return share, 1 - float((np.bincount(fold) / len(fold)) @ (np.bincount(fold) / len(fold)))


def other_folds_file(m: Material) -> Iterator[Evidence]:
    """A `folds.parquet` that is not what `[cv]` makes, and is not used."""
    path = m.competition.root / FOLDS_NAME
    by_flag = any(key.startswith("cv.") for key in m.competition.overrides)
    if m.settings.cv.splitter == "file" or not path.is_file() or by_flag:
        return
    try:
        found = Folds.load(path).digest
    except DataError as error:
        found = str(error).splitlines()[0]
    if found != m.folds_digest:
        yield Evidence(
            text=f"{FOLDS_NAME} holds other folds ({found}) than [cv] makes ({m.folds_digest})",
            remedy='to use the file, a teammate\'s perhaps: [cv] splitter = "file"; otherwise '
            "`kit cv` moves it aside and writes a new one",
        )


def optimistic_stopping(m: Material) -> Iterator[Evidence]:
    """Early stopping on the fold that is scored."""
    if m.settings.cv.early_stopping == "fold":
        yield Evidence(
            text='cv.early_stopping = "fold": every fold stops where its own score is best',
            remedy='scores are optimistic and marked *; [cv] early_stopping = "inner" is honest',
        )
