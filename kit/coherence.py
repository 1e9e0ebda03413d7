"""`kit.toml` as typed settings: the schema's types, then what types cannot express.

Standard library only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import asdict
from pathlib import PureWindowsPath
from typing import Any

from kit.config import apply_overrides, build
from kit.errors import ConfigError, nearest
from kit.registry import PROVIDERS
from kit.series import check_series
from kit.settings import MAX_FOLDS, JoinSpec, ProviderSpec, Settings, TaskSpec


def read_settings(table: Mapping[str, Any]) -> Settings:
    """The typed form of the whole table; messages begin with the key."""
    found = table.get("schema")
    if found is None:
        raise ConfigError("schema is missing. Write `schema = 1` above the first table")
    if not isinstance(found, int) or isinstance(found, bool):
        raise ConfigError(f"schema must be the number 1. Received: {found!r}")
    if found != 1:
        raise ConfigError(
            f"schema must be 1. Received: {found}. "
            "A newer kit may have written it: `pip install -U` kit."
        )
    settings: Settings = build(Settings, table, "")
    _check(settings)
    return settings


def blamed(written: Mapping[str, Any], flags: Iterable[str], message: str) -> list[str]:
    """The flags without which this very error would not come."""
    found = []
    for flag in flags:
        table = deepcopy(dict(written))
        apply_overrides(table, (other for other in flags if other != flag))
        try:
            read_settings(table)
        except ConfigError as error:
            if str(error) == message:
                continue
        found.append(flag)
    return found


def _check_provider(provider: ProviderSpec) -> None:
    try:
        PROVIDERS.check(provider.name)
    except ConfigError as error:
        raise type(error)(f"provider.name: {error}") from None
    if provider.file != PureWindowsPath(provider.file).name:
        raise ConfigError(f"provider.file must be a plain file name. Received: {provider.file!r}")


def _check_separator(task: TaskSpec) -> None:
    if not task.separator:
        return
    if task.type != "multilabel":
        raise ConfigError(
            "task.separator stands between several labels in a cell, which only task.type "
            f"'multilabel' predicts. Received: {task.type!r}"
        )
    inside = [label for label in task.classes if task.separator in label or not label.strip()]
    if len(task.classes) < 2 or inside:
        raise ConfigError(
            f"task.classes must list the labels that task.separator {task.separator!r} stands "
            f"between, two or more. Received: {inside[:3] or list(task.classes)}"
        )


def _check_files(settings: Settings) -> None:
    names = {f"files.{key}": name for key, name in asdict(settings.files).items()}
    pairs = [*names.items()]
    pairs += [(f"joins.{k}.file", name) for k, spec in settings.joins.items() for name in spec.file]
    for key, name in pairs:
        path = PureWindowsPath(name)  # knows both separators
        if path.anchor or ".." in path.parts:
            raise ConfigError(f"{key} must be a name below data/raw. Received: {name!r}")
    for key, spec in settings.joins.items():
        for part in ("file", "on", "columns"):
            if not getattr(spec, part):
                raise ConfigError(f"joins.{key}.{part} is empty; name at least one")
        if spec.file_on and not len(spec.on) == len(spec.file_on) == len({*spec.file_on}):
            raise ConfigError(
                f"joins.{key}.file_on must name one column of the file for each of joins.{key}.on "
                f"{[*spec.on]}, or be left out where the file calls them the same.\n"
                f"  Received: {[*spec.file_on]}"
            )
        both = {*spec.on, *spec.file_on} & {*spec.columns}
        if both:
            raise ConfigError(f"joins.{key}: {min(both)!r} is a key; take it out of columns")
        _check_via(key, settings.joins)


def _check_via(key: str, joins: Mapping[str, JoinSpec]) -> None:
    """That the tables between a table and train are there, and lead to train."""
    passed, name = [key], joins[key].via
    while name:
        if name not in joins:
            raise ConfigError(
                f"joins.{passed[-1]}.via must name another table of [joins]. {nearest(name, joins)}"
            )
        if name in passed:
            circle = " via ".join([*passed, name])
            raise ConfigError(f"joins.{key}.via leads in a circle, never to train: {circle}")
        passed, name = [*passed, name], joins[name].via


def _check(settings: Settings) -> None:
    """Contradictions that types cannot express."""
    columns, task, submission = settings.columns, settings.task, settings.submission
    _check_provider(settings.provider)
    _check_files(settings)
    for name in settings.images:
        if columns.kinds.get(name) != "image":
            raise ConfigError(f'images.{name}: columns.kinds must say {name} = "image"')
    if not columns.target:
        raise ConfigError("columns.target is empty; name the column(s) to predict")
    for key, used in (("target", columns.target), ("id", (columns.id, columns.test_id))):
        for name in {*columns.drop} & {*used}:
            raise ConfigError(
                f"columns.drop lists {name!r}, which columns.{key} names: a model never sees it "
                "anyway. Take it out of columns.drop"
            )
    if 0 < settings.cv.holdout < 1 / MAX_FOLDS:
        raise ConfigError(
            f"cv.holdout must be 0 (none) or between 0.01 and 0.5. Received: {settings.cv.holdout}"
        )
    _check_separator(task)
    many = task.type in ("multilabel", "multitarget") and not task.separator
    classified = task.type in ("binary", "multiclass")
    of_classes = classified and task.classes == columns.target  # a column of 0 and 1 per class
    if many != (len(columns.target) > 1) and not of_classes:
        raise ConfigError(
            f"task.type {task.type!r} and columns.target {list(columns.target)} disagree: "
            f"{'several columns are' if many else 'one column is'} expected"
            f"{', or task.separator for several labels in a cell' if many else ''}"
            f"{', or task.classes of the same names for a column per class' if classified else ''}"
        )
    if classified:
        few, found = (task.type == "binary"), len(task.classes)
        if (found != 2) if few else (found < 3):
            raise ConfigError(
                f"task.classes must list {'two' if few else 'three or more'} labels for "
                f"task.type {task.type!r}. Received: {list(task.classes)}"
            )
    if settings.series is not None:
        check_series(
            settings.series,
            time=columns.time,
            target=columns.target,
            task=task.type,
            unused=columns.drop,
        )
    twice = [label for label, count in Counter(task.classes).items() if count > 1]
    if twice:
        raise ConfigError(f"task.classes lists {twice[0]!r} twice")
    if submission.classes and len(submission.classes) != len(submission.columns):
        raise ConfigError(
            f"submission.columns and submission.classes must run in parallel; "
            f"{len(submission.columns)} columns and {len(submission.classes)} classes found"
        )
    if submission.labels and len(submission.labels) != len(task.classes):
        raise ConfigError(
            f"submission.labels must have one spelling per task.classes. "
            f"Received: {list(submission.labels)}"
        )
