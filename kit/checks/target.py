"""Can the target be learned at all? Of large files all rows are asked."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from kit.checks.finding import Evidence
from kit.checks.material import Material
from kit.kinds import some

_CLASSES = ("binary", "multiclass")


def missing(m: Material) -> Iterator[Evidence]:
    """Training rows without a target."""
    for name in [] if m.settings.task.separator else _present(m):
        empty = m.roles[name].isna().to_numpy()
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
    if m.settings.task.type not in _CLASSES:
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
    n_splits, task = m.settings.cv.n_splits, m.settings.task
    stratified = m.settings.cv.splitter.startswith("stratified")
    if task.type in _CLASSES:
        counts = dict(
            zip(task.classes, np.bincount(m.all_y, minlength=len(task.classes)), strict=True)
        )
    elif task.type == "multilabel":
        names = task.names(m.columns.target)
        ones = m.all_y.sum(axis=0).astype(int)
        counts = dict(zip(names, np.minimum(ones, len(m.all_y) - ones), strict=True))
        stratified = False  # combinations of labels that are rare are pooled
    else:
        return
    few = {name: int(count) for name, count in counts.items() if 0 < count < n_splits}
    if not few:
        return
    shown = ", ".join(f"{name!r}: {count}" for name, count in list(few.items())[:5])
    text = f"{len(few)} of {len(counts)} have fewer rows than the {n_splits} folds: {shown}"
    enough = sum(int(count) >= n_splits for count in counts.values())
    spread = m.settings.cv.splitter == "stratified_kfold" and task.type in _CLASSES and enough > 1
    rarest = min(few.values())
    if spread:
        remedy = "folds lack them by turns; a class's only row is learned from and never scored"
    elif rarest == 1:
        remedy = "one row is never both learnt and scored: take it out of the train file, or "
        remedy += "give it the label of another class" if task.classes else "drop the target"
    else:
        remedy = f"[cv] n_splits = {rarest}"
        remedy += ' or splitter = "kfold"' if stratified else ""
    if not stratified:
        remedy += "; else some fold is scored without it"
    severe = stratified and not spread
    yield Evidence(text=text, remedy=remedy, severity=None if severe else "warning")


def _present(m: Material) -> list[str]:
    return [name for name in m.columns.target if name in m.train.columns]
