"""Whether rows have several labels: in a cell of one target, or in several targets of 0 and 1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kit.errors import ConfigError
from kit.labels import parts
from kit.scaffold.facts import Inference, Wishes
from kit.scaffold.look import TargetLook
from kit.spelling import number

_SEPARATORS = (";", "|", ",", " ")
_COMBINATIONS = 1.5  # per label, from which on names of several words are unlikely
_ROWS = 10  # per label, below which it is rather a text of words


@dataclass(frozen=True, kw_only=True)
class Several:
    """Several labels in a cell.

    Attributes:
        separator: what stands between them.
        labels: all of them; numbers in their order, then words by the alphabet.
        example: a cell.
        sure: whether the cells can hardly be names, such as "light red" beside "red".
    """

    separator: str
    labels: tuple[str, ...]
    example: str
    sure: bool


def several(look: TargetLook) -> Several | None:
    """Read the cells of a target as lists of labels; None where they are none.

    Labels in lists are fewer than the lists, and some list is another one with a label more.
    """
    if look.numbers is not None and not look.spelled:
        return None
    for separator in _SEPARATORS:
        cells = [parts(label, separator) for label in look.labels]
        different = {label for cell in cells for label in cell}
        sets = {frozenset(cell) for cell in cells}
        longer = [set(cell) for cell in sets if len(cell) > 1]
        if len(different) >= len(cells) or not any(
            cell - {label} in sets for cell in longer for label in cell
        ):
            continue
        lists = [label for label, cell in zip(look.labels, cells, strict=True) if len(cell) > 1]
        spaced = separator != " " and all(
            label.count(separator) == label.count(f"{separator} ") for label in lists
        )
        many = len(sets) >= _COMBINATIONS * len(different)
        many &= sum(look.counts) >= _ROWS * len(different)
        return Several(
            separator=f"{separator} " if spaced else separator,
            labels=tuple(sorted(different, key=_order)),
            example=lists[0],
            sure=many and (separator != " " or max(map(len, cells)) > 2),
        )
    return None


def one_of(looks: Sequence[TargetLook]) -> bool:
    """Whether targets of 0 and 1 are the classes of one: exactly one is 1 in every row."""
    flags = [look.numbers for look in looks if look.numbers is not None and look.zero_one]
    if len(flags) < max(2, len(looks)) or any(look.missing for look in looks):
        return False
    return bool((np.sum(flags, axis=0) == 1).all())


def task_of_flags(looks: Sequence[TargetLook], tasks: Sequence[str], inference: Inference) -> str:
    """Whether targets of 0 and 1 are several labels, or the classes of one target.

    Args:
        looks: the targets.
        tasks: those that the metric scores, where one was named.
        inference: takes the question that is left.
    """
    if not one_of(looks):
        return "multilabel"
    names = ", ".join(look.name for look in looks[:6]) + (", ..." if len(looks) > 6 else "")
    told = f"exactly one of {names} is 1 in every row"
    if len(looks) == 2 or (tasks and "multiclass" not in tasks):
        asked = "--task binary" if len(looks) == 2 else "--task multiclass"
        inference.ask(f"{told}: if they are the classes of one target, say {asked}")
        return "multilabel"
    inference.ask(
        f"{told}: they are read as the classes of one target, whose probabilities sum to 1. If "
        "test rows may have several or none: --task multilabel"
    )
    return "multiclass"


def cells_wanted(wishes: Wishes) -> tuple[str, str, bool]:
    """What a submission of cells with several labels wants, why, and whether that is sure.

    Raises:
        ConfigError: probabilities were asked for.
    """
    wish = wishes.get("submission")
    if wish is not None and wish.value != "label":
        raise ConfigError(
            f"{wish.flag} {wish.value}: a cell holds several labels here, no probabilities.\n"
            "  Use --submission label, or --task multiclass."
        )
    return "label", "a cell of labels per row", True


def _order(label: str) -> tuple[float, str]:
    value = number(label)
    return (float("inf") if value is None else value, label)
