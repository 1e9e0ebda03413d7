"""Rows of train without a target: training leaves them out, so what is inferred does, too."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kit.errors import counted
from kit.scaffold.facts import Inference
from kit.scaffold.files import Tables
from kit.scaffold.look import TargetLook, known_cells


def ask_about_missing(looks: Sequence[TargetLook], inference: Inference) -> None:
    """Rows without any target are left out; those that lack some of several cannot be used."""
    n_rows, left_out = len(looks[0].known), int((~_labelled(looks)).sum())
    if left_out:
        inference.ask(
            f"the target {', '.join(repr(look.name) for look in looks)} is missing in "
            f"{counted(left_out, 'row', 'rows')} of train (of {n_rows}): nothing is trained on "
            "them. If another column is meant: --target NAME"
        )
    for look in looks:
        if look.missing > left_out:
            inference.ask(
                f"the target {look.name!r} is missing in "
                f"{counted(look.missing - left_out, 'row', 'rows')} of train that have another "
                "target: remove them from the file, or name other targets with --target"
            )


def with_target(tables: Tables, looks: Sequence[TargetLook]) -> Tables:
    """The tables without the rows that training leaves out: folds are made of the others."""
    known = _labelled(looks)
    if known.all():
        return tables
    some = known
    if tables.sampled:
        each = [known_cells(tables.train[k.name], words=k.numbers is None) for k in looks]
        some = np.logical_or.reduce(each)
    return tables.cut(some, int(known.sum()))


def _labelled(looks: Sequence[TargetLook]) -> NDArray[np.bool_]:
    """Which rows of train have a target, of several at least one. ``(n_train,)``."""
    return np.asarray(np.logical_or.reduce([look.known for look in looks]), dtype=bool)
