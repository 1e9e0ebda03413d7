"""Can the target be learned at all? Of large files all rows are asked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import numpy as np

from kit.checks.finding import Evidence, Severity
from kit.checks.material import Material
from kit.kinds import some
from kit.target import missing_cells

_CLASSES = ("binary", "multiclass")


def missing(m: Material) -> Iterator[Evidence]:
    """Training rows without a target, which are left out, or without some of several."""
    target, left_out = m.columns.target, len(m.unlabelled)
    if left_out:
        yield Evidence(
            text=f"{', '.join(map(repr, target))} is missing in {left_out} of "
            f"{left_out + len(m.roles)} rows, first ids: {some(m.unlabelled)}; "
            "nothing is trained on these rows",
            remedy="nothing to do if they have no target; else name another [columns] target",
            columns=target,
            severity="warning",
        )
    for name in [] if m.settings.task.separator else _present(m):
        empty = missing_cells(m.roles[name], m.settings.task.classes)
        if empty.any():
            yield Evidence(
                text=f"{name!r} is missing in {empty.sum()} of {len(empty)} rows, first ids: "
                f"{some(m.all_ids[empty])}",
                remedy="take these rows out of the train file, or name another [columns] target",
                column=name,
            )


def one_value(m: Material) -> Iterator[Evidence]:
    """Targets that never change."""
    for name in _present(m):
        values = m.roles[name].dropna()
        if m.settings.task.type in _CLASSES:
            values = values.str.strip()
        if values.nunique() == 1:
            yield Evidence(
                text=f"{name!r} is {str(values.iloc[0])!r} in all {len(values)} rows",
                remedy='there is nothing to learn; name the right column: [columns] target = "…"',
                column=name,
            )


def other_labels(m: Material) -> Iterator[Evidence]:
    """Labels that differ from `task.classes`."""
    classes = list(m.settings.task.classes)
    if m.settings.task.type not in _CLASSES or len(m.columns.target) > 1:
        return
    for name in _present(m):
        labels = m.roles[name].dropna().str.strip()
        counts = labels[~labels.isin(classes)].value_counts()
        if len(counts):
            yield Evidence(
                text=f"{name!r} holds {some(counts.index)} in {counts.sum()} rows, which "
                f"task.classes does not list ({some(classes, 10)})",
                remedy="list every label in [task] classes, or repair the train file",
                column=name,
            )
        absent = [label for label in classes if label not in set(labels.unique())]
        if absent and labels.nunique() > 1:  # one value is a finding of its own
            yield Evidence(
                text=f"no row of {name!r} is {some(absent)}, which task.classes lists",
                remedy="take it out of [task] classes; mind the submission's columns",
                column=name,
            )


def unusable(m: Material) -> Iterator[Evidence]:
    """Targets that are no numbers where numbers are needed, or that the metric cannot score."""
    error = m.problems.get("target")
    if error is not None and not any((*one_value(m), *other_labels(m))):
        yield Evidence(
            text=str(error),
            remedy="repair the train file, or change type or metric in [task]",
            columns=m.columns.target,
        )


def rare_classes(m: Material) -> Iterator[Evidence]:
    """Classes with fewer rows than there are folds."""
    n_splits, task, splitter = m.settings.cv.n_splits, m.settings.task, m.settings.cv.splitter
    if task.type in _CLASSES:
        counts = dict(
            zip(task.classes, np.bincount(m.all_y, minlength=len(task.classes)), strict=True)
        )
    elif task.type == "multilabel":
        names = task.names(m.columns.target)
        ones = m.all_y.sum(axis=0).astype(int)
        counts = dict(zip(names, np.minimum(ones, len(m.all_y) - ones), strict=True))
    else:
        return
    few = {name: int(count) for name, count in counts.items() if 0 < count < n_splits}
    if not few:
        return
    rarest, severity = min(few.values()), cast("Severity | None", "warning")
    if task.type in _CLASSES:
        second = sorted(map(int, counts.values()))[-2]
        severity = _severity(splitter, second, n_splits)
        remedy = _remedy_of_classes(splitter, rarest, second, n_splits)
    elif rarest > 1:  # combinations of labels that are rare are pooled, however folds are cut
        remedy = f"[cv] n_splits = {rarest}; else some fold is scored without it"
    else:
        remedy = "one row is never both learnt and scored: take it out of the train file, or "
        remedy += "give it the label of another class" if task.classes else "drop the target"
    shown = ", ".join(f"{name!r}: {count}" for name, count in list(few.items())[:5])
    yield Evidence(
        text=f"{len(few)} of {len(counts)} have fewer rows than the {n_splits} folds: {shown}",
        remedy=remedy,
        severity=severity,
    )


def _severity(splitter: str, second: int, n_splits: int) -> Severity | None:
    """None, an error: the splitter refuses such folds."""
    if splitter == "stratified_kfold" and second >= n_splits:
        return "info"
    return None if splitter.startswith("stratified") else "warning"


def _remedy_of_classes(splitter: str, rarest: int, second: int, n_splits: int) -> str:
    """What to do about rare classes: `stratified_kfold` asks for two that are in every fold.

    Args:
        splitter: of `[cv]`.
        rarest: rows of the rarest class.
        second: rows of the second largest class.
        n_splits: folds.
    """
    lone = ", and a class of one row is never scored" if rarest == 1 else ""
    if second < 2 or (rarest == 1 and splitter not in ("kfold", "stratified_kfold")):
        return (
            "one row is never both learnt and scored: take it out of the train file, or give it "
            "the label of another class"
        )
    fewer = f"n_splits = {second}" if second < n_splits else ""
    if splitter == "stratified_kfold" and not fewer:
        return f"nothing to do: every fold learns from them{lone}"
    if splitter == "stratified_kfold":
        return f"[cv] {fewer}" + (' or splitter = "kfold"' if rarest > 1 else lone)
    if splitter == "kfold":
        both = " and ".join(['splitter = "stratified_kfold"', *([fewer] if fewer else [])])
        return f"[cv] {both}: it spreads their rows over the folds{lone}"
    if splitter == "stratified_group_kfold":
        return f'[cv] n_splits = {rarest} or splitter = "group_kfold"'
    if splitter == "group_kfold":
        both = f'splitter = "stratified_group_kfold" and n_splits = {rarest}'
        return f"[cv] {both}; else some fold is scored without it"
    return f"[cv] n_splits = {rarest} or fewer; else some fold is surely scored without it"


def _present(m: Material) -> list[str]:
    return [name for name in m.columns.target if name in m.train.columns]
