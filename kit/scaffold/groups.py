"""Groups that only train names: a patient, say, whose column test lacks.

Owns: the rule by which such a column decides the folds. Groups that both files name are the matter
of `kit.scaffold.validation`.
"""

from __future__ import annotations

import re
from collections.abc import Collection

import pandas as pd

from kit.scaffold.files import Tables
from kit.scaffold.kinds import NAMED_ID

FEWEST = 20
"""Fewer different values are categories rather than groups."""

_WHO = re.compile(
    r"(^|[_ ])(subject|patient|person|participant|individual|speaker|driver|donor|animal"
    r"|site|station|camera|video|session|sequence|slide)s?$",
    re.IGNORECASE,
)
"""Who or what rows are of, though no "id" says that these are its names."""

_SPREAD = 10  # groups at least that every class has rows in: more than there are folds
_PER_LABEL = 2  # up to so many values per label a column may be the label itself, as a number


def train_group(tables: Tables, id_: str, targets: Collection[str]) -> str:
    """A column of train alone, named like an id or a person, whose values come again; "": none.

    Rows of one patient, site or document are alike, and whether test has rows of the same ones no
    file says. A column that spells the target is none, nor one that keeps a class in few folds.

    Args:
        tables: the files.
        id_: train's own id.
        targets: columns to predict.
    """
    train = tables.train
    for name in map(str, train.columns):
        if name in tables.test.columns or name in (id_, *targets):
            continue
        if not (NAMED_ID.search(name) or _WHO.search(name)):
            continue
        values = train[name]
        different = int(values.nunique())
        if values.isna().any() or not FEWEST <= different <= 0.5 * len(values):
            continue
        if all(_cuts_across(values, train[target]) for target in targets):
            return name
    return ""


def _cuts_across(groups: pd.Series, target: pd.Series) -> bool:
    """Whether groups are no other spelling of the target, and every class is in several."""
    labels = int(target.nunique())
    if labels > 0.5 * len(target):
        return True  # numbers: nothing is stratified
    pairs = pd.DataFrame({"group": groups, "label": target}).drop_duplicates()
    if len(pairs) == groups.nunique() <= _PER_LABEL * labels:
        return False
    return bool(pairs["label"].value_counts().min() >= _SPREAD)
