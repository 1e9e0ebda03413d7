"""What is predicted, what the submission wants of it, and how it is probably scored.

Owns: task type, class labels and their spelling in the submission, the default metric.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np

from kit.errors import ConfigError, counted, nearest
from kit.registry import METRICS
from kit.scaffold.answers import labels_in_a_cell, note_labels, wants_by_look
from kit.scaffold.facts import Inference, Wish, Wishes
from kit.scaffold.kinds import NAMED_ID
from kit.scaffold.look import SampleLook, TargetLook
from kit.scaffold.roles import Targets
from kit.scaffold.several import Several, cells_wanted, one_of, several, task_of_flags
from kit.scaffold.unlabelled import ask_about_missing
from kit.settings import TaskType, Wants
from kit.spelling import is_boolean, normal, number

_CLASSES_OF_INTEGERS = 20
_ROWS_PER_CLASS = 10
_STRAY = 0.05  # of the rows at most are words among numbers
_GRADES = re.compile(
    r"grade|score|quality|rating|relevance|severity|speed|level|stage|diagnosis|response"
)
_CLASSIFICATION = ("binary", "multiclass")


@dataclass(frozen=True, kw_only=True)
class Score:
    """What a metric that somebody asked for demands; `needs` is empty where it is not known."""

    name: str
    because: str
    needs: str = ""
    tasks: tuple[str, ...] = ()
    asked: bool = True  # by the user; else the provider says so


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Everything the decisions below look at."""

    targets: Targets
    looks: list[TargetLook]
    sample: SampleLook
    score: Score | None


def find_task(evidence: Evidence, wishes: Wishes, inference: Inference) -> str:
    """Decide and note task, metric, classes and the form of the submission; returns the task.

    Raises:
        ConfigError: a flag contradicts the files or another flag, or a target is of no use.
    """
    lists = several(evidence.looks[0]) if len(evidence.looks) == 1 else None
    wish = wishes.get("task")
    if wish is not None:
        task, because, sure = _asked_task(wish, evidence, lists), wish.because, True
    elif len(evidence.looks) > 1:
        task, because, sure = _task_of_many(evidence, inference)
    else:
        task, because, sure = _task_of_one(evidence, lists, inference)
    inference.add("task.type", task, because, sure=sure)
    if lists is None or task != "multilabel":  # there an empty cell has no label
        ask_about_missing(evidence.looks, inference)
    classes: tuple[str, ...] = ()
    order = ""
    if task in _CLASSIFICATION:
        classes, order = _classes(task, evidence, wishes)
    if lists is not None and task == "multilabel":
        classes, order = lists.labels, "the labels in the cells"
        inference.add("task.separator", lists.separator, "between the labels of a cell")
        wants, why, certain = cells_wanted(wishes)
    else:
        wants, why, certain = _wants(task, classes, evidence, wishes, inference)
    _note_metric(task, wants, classes, evidence, inference)
    if classes:
        inference.add("task.classes", list(classes), order)
    inference.add("submission.wants", wants, why, sure=certain)
    top = labels_in_a_cell(classes, evidence.sample) if task == "multiclass" else 0
    if top:
        inference.add(
            "submission.top", top, f"so many labels in a cell: {evidence.sample.values[0]!r}"
        )
    elif (
        wants == "label" and task in _CLASSIFICATION and "submission.labels" not in wishes.overrides
    ):
        note_labels(classes, evidence.sample, inference)
    return task


def asked_score(wishes: Wishes) -> Score | None:
    """The metric that was asked for, and what it needs.

    Raises:
        UnknownName: no registry knows it.
    """
    wish = wishes.get("metric")
    if wish is None:
        return None
    name = str(wish.value)
    METRICS.check(name)
    if ":" in name:  # the user's own, in a folder that is not there yet
        return Score(name=name, because=wish.because)
    metric: Any = METRICS.load(name)
    return Score(
        name=name,
        because=wish.because,
        needs=metric.needs,
        tasks=tuple(metric.tasks),
        asked=not wish.because.startswith("the provider"),
    )


def _asked_task(wish: Wish, evidence: Evidence, lists: Several | None) -> str:
    known = get_args(TaskType)
    task = str(wish.value)
    if task not in known:
        raise ConfigError(f"{wish.flag}: unknown task {task!r}. {nearest(task, known)}")
    many = task in ("multilabel", "multitarget")
    if task == "multilabel" and lists is not None:
        return task
    flags = len(evidence.looks) if task in _CLASSIFICATION and one_of(evidence.looks) else 0
    if (flags == 2 and task == "binary") or (flags > 2 and task == "multiclass"):
        return task
    if many != (len(evidence.looks) > 1):
        raise ConfigError(
            f"{wish.flag} {task} wants {'several targets' if many else 'one target'}. "
            f"Received: {', '.join(look.name for look in evidence.looks)}.\n"
            "  Name the targets with --target."
        )
    found = len(evidence.looks[0].labels)
    if (task == "binary" and found != 2) or (task == "multiclass" and found < 3):
        raise ConfigError(
            f"{wish.flag} {task}: the target {evidence.looks[0].name!r} has {found} different "
            f"values.\n  Use --task {'binary' if found == 2 else 'multiclass or regression'}."
        )
    if task in ("regression", "multitarget"):
        _check_numbers(evidence.looks)
    return task


def _task_of_many(evidence: Evidence, inference: Inference) -> tuple[str, str, bool]:
    if all(look.zero_one for look in evidence.looks):
        task = task_of_flags(evidence.looks, _scored(evidence), inference)
        each = ", of which every row has one" if task == "multiclass" else ""
        return task, f"{len(evidence.looks)} targets of 0 and 1{each}", not each
    _check_numbers(evidence.looks)
    return "multitarget", f"{len(evidence.looks)} targets, numbers", True


def _scored(evidence: Evidence) -> tuple[str, ...]:
    """Tasks that the metric scores, where one was asked for."""
    return evidence.score.tasks if evidence.score else ()


def _task_of_one(
    evidence: Evidence, lists: Several | None, inference: Inference
) -> tuple[str, str, bool]:
    look = evidence.looks[0]
    found = len(look.labels)
    tasks = _scored(evidence)
    if evidence.targets.classes:
        task = "binary" if found == 2 else "multiclass"
        return task, "one submission column per class", True
    if tasks and "regression" in tasks and look.numbers is not None:
        return "regression", f"the metric {evidence.score.name} scores numbers", True  # type: ignore[union-attr]
    asked = "multilabel" in tasks and "multiclass" not in tasks
    lists = None if look.spelled and not asked else lists  # "1,050" is a number
    if lists is not None and (lists.sure or asked):
        inference.ask(
            f"cells of {look.name!r} hold several labels, such as {lists.example!r}, and each "
            "label is predicted; if every combination is a class of its own: --task multiclass"
        )
        return "multilabel", f"several labels in a cell: {lists.example!r}", asked
    if found == 2:
        return "binary", f"{look.name!r} takes two values", True
    if look.whole and labels_in_a_cell(look.labels, evidence.sample):
        return "multiclass", "the sample submission holds lists of its values", True
    few = found <= min(_CLASSES_OF_INTEGERS, 0.5 * sum(look.counts))
    named = look.spelled and (few or bool(tasks))  # "5 kg" and "10 kg" may be names
    if look.numbers is None or named:
        if not named:
            _refuse_stray(look)
        if found > 0.5 * sum(look.counts):
            raise ConfigError(
                f"the target {look.name!r} holds {found} different texts in {sum(look.counts)} "
                f"rows, such as {look.labels[0][:40]!r}; kit predicts classes and numbers, no "
                "texts.\n  Name another target with --target, or say --task multiclass if these "
                "are classes."
            )
        if lists is not None:
            inference.ask(
                f"cells of {look.name!r} may hold several labels, such as {lists.example!r}; each "
                "combination is read as a class of its own. To predict label by label: "
                "--task multilabel"
            )
        if named:
            inference.ask(
                f"{look.name!r} takes {found} values such as {look.labels[0]!r}, read as classes; "
                "if they are amounts, say --task regression"
            )
        return "multiclass", f"{look.name!r} takes {found} values, not numbers", not named
    if look.spelled:
        return "regression", f"{look.name!r} holds numbers such as {look.labels[0]!r}", True
    if not look.whole:
        return "regression", f"{look.name!r} holds numbers with decimals", True
    if tasks:
        return "multiclass", f"the metric {evidence.score.name} scores classes", True  # type: ignore[union-attr]
    return _task_of_whole(evidence, inference)


def _task_of_whole(evidence: Evidence, inference: Inference) -> tuple[str, str, bool]:
    """Whole numbers are classes where they are few and come so in the sample, or are ids."""
    look = evidence.looks[0]
    found, rows = len(look.labels), sum(look.counts)
    few = found <= _CLASSES_OF_INTEGERS and rows >= _ROWS_PER_CLASS * found
    as_in_sample = few and evidence.sample.kind == "whole" and not evidence.sample.dotted
    if as_in_sample or (NAMED_ID.search(look.name) and found <= 0.5 * rows):
        inference.ask(
            f"the target {look.name!r} takes {found} whole numbers, read as classes; if they are "
            "amounts, say --task regression"
        )
        because = "and whole ones in the sample" if as_in_sample else "called like an id"
        return "multiclass", f"{found} whole numbers, {because}", False
    return "regression", f"{look.name!r} takes {found} different numbers", not few


def _refuse_stray(look: TargetLook) -> None:
    """Numbers with decimals and a few words among them, such as "inf", are no classes."""
    stray = [label for label in look.labels if number(label) is None]
    rows = sum(n for label, n in zip(look.labels, look.counts, strict=True) if label in stray)
    decimals = any((number(label) or 0) % 1 for label in look.labels)
    if decimals and rows <= _STRAY * sum(look.counts):
        raise ConfigError(
            f"the target {look.name!r} holds numbers, however in {counted(rows, 'row', 'rows')} "
            f"{', '.join(map(repr, stray[:3]))}.\n  Mend or take out these rows of train, or say "
            "--task multiclass if all of them are names."
        )


def _check_numbers(looks: Sequence[TargetLook]) -> None:
    bad = [look for look in looks if look.numbers is None and not look.zero_one]
    if bad:
        words = [label for label in bad[0].labels if number(label) is None][:3]
        raise ConfigError(
            f"the target {bad[0].name!r} must be numeric for this task, however it holds "
            f"{', '.join(map(repr, words))}.\n  Name other targets with --target."
        )


def _classes(task: str, evidence: Evidence, wishes: Wishes) -> tuple[tuple[str, ...], str]:
    """The classes in the order of their codes, and why in this order."""
    asked = wishes.overrides.get("task.classes")
    if asked:
        return tuple(map(str, asked)), "--set"
    if len(evidence.looks) > 1:
        return evidence.targets.names, "the targets: a column for each class"
    labels = evidence.looks[0].labels
    columns = evidence.targets.columns
    because = "the second one is the positive class" if task == "binary" else "the values in train"
    if len(labels) == 2 and len(columns) == 1 and normal(columns[0]) == normal(labels[0]):
        labels = (labels[1], labels[0])  # the submission column is named after the positive class
    return labels, because


def _wants(
    task: str, classes: tuple[str, ...], evidence: Evidence, wishes: Wishes, inference: Inference
) -> tuple[str, str, bool]:
    """What the submission wants, why, and whether that is sure."""
    wish, sample, score = wishes.get("submission"), evidence.sample, evidence.score
    known = get_args(Wants)
    if wish is not None:
        if wish.value not in known:
            raise ConfigError(f"{wish.flag}: unknown {wish.value!r}. {nearest(wish.value, known)}")
        if (wish.value == "value") != (task in ("regression", "multitarget")):
            raise ConfigError(f"{wish.flag} {wish.value} and the task {task} do not fit together")
        return str(wish.value), wish.because, True
    if task in ("regression", "multitarget"):
        plain = not any(look.spelled for look in evidence.looks) or sample.kind != "words"
        note = "" if plain else f", without units and commas; the sample holds {sample.values[0]!r}"
        return "value", f"a number per row{note}", plain
    per_class = len(evidence.looks) > 1 and task in _CLASSIFICATION
    if evidence.targets.classes or per_class:
        return "probability", "one column per class", True
    needs = score.needs if score else ""
    if task == "multiclass" and labels_in_a_cell(classes, sample):
        return "label", "the sample submission holds lists of labels", True
    if needs in ("proba", "rank") and task == "multiclass":
        inference.ask(
            f"the metric {score.name if score else ''} needs a probability per class, however the "
            "sample submission has one column; other metric: --metric NAME"
        )
    elif needs in ("proba", "rank"):
        return "probability", f"the metric {score.name if score else ''} needs it", True
    if needs == "label":
        return "label", f"the metric {score.name if score else ''} needs it", True
    return wants_by_look(task, evidence.looks[0], classes, sample, inference)


def _note_metric(
    task: str, wants: str, classes: tuple[str, ...], evidence: Evidence, inference: Inference
) -> None:
    score = evidence.score
    if score is not None and score.tasks and task not in score.tasks and not score.asked:
        inference.ask(
            f"the provider names the metric {score.name}, which scores {', '.join(score.tasks)}, "
            f"however the task looks like {task}: --task or --metric says which"
        )
        score = None
    if score is not None:
        if score.tasks and task not in score.tasks:
            raise ConfigError(
                f"--metric {score.name} scores {', '.join(score.tasks)}, however the task is {task}"
                f" ({evidence.looks[0].name!r}).\n  Use another metric, or say --task."
            )
        inference.add("task.metric", score.name, score.because)
        return
    name, because = _default_metric(task, wants, evidence)
    if task == "multilabel" and classes:
        name, because = "f1_samples", "kit's default for several labels in a cell"
    top = labels_in_a_cell(classes, evidence.sample) if task == "multiclass" else 0
    if top and f"map_at_{top}" in METRICS.table:
        name, because = f"map_at_{top}", f"{top} labels in a cell are scored by their places"
    inference.add("task.metric", name, because, sure=False)
    inference.ask(
        f"the metric is not in the files; {name} is assumed. The competition's evaluation page "
        "says which: --metric NAME"
    )
    per_class = len(evidence.looks) > 1
    if wants != "probability" or task != "binary" or per_class or is_boolean(classes):
        return
    if any(number(label) is None for label in classes):
        inference.ask(
            f"the probability handed in is that of {classes[1]!r}; if the other one is meant, "
            "swap task.classes in kit.toml"
        )


def _default_metric(task: str, wants: str, evidence: Evidence) -> tuple[str, str]:
    if task in ("regression", "multitarget"):
        columns = [look for look in evidence.looks if look.numbers is not None]
        if columns and all(look.relative for look in columns):
            return "rmsle", "amounts of many sizes (prices, counts) are scored on relative error"
        return "rmse", "kit's default for numbers"
    if task == "multilabel":
        name = "f1_macro" if wants == "label" else "roc_auc"
    elif wants == "label" and task == "multiclass" and _are_grades(evidence.looks[0]):
        return "quadratic_kappa", "grades, by their name: what is far off counts more"
    elif wants == "label":
        name = "accuracy"
    else:
        name = "roc_auc" if task == "binary" else "log_loss"
    plural = {"label": "labels", "probability": "probabilities"}[wants]
    return name, f"kit's default for {task} and {plural}"


def _are_grades(look: TargetLook) -> bool:
    """Whether classes are whole numbers in a row that are called as grades are."""
    if not look.whole or look.numbers is None or not _GRADES.search(normal(look.name)):
        return False
    return float(np.ptp(look.numbers)) == len(look.labels) - 1
