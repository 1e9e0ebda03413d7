"""Infer `kit.toml` from the files: flags beat the provider, the provider beats the files.

Owns: the order of the questions. Each is answered in the module it is imported from; every answer
says where it came from, and what the files cannot settle becomes a question with its flag.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from kit.scaffold.facts import FLAGS, Inference, Inferred, Wishes
from kit.scaffold.files import Tables, find_files, read
from kit.scaffold.ids import Ids, find_ids
from kit.scaffold.images import note_images
from kit.scaffold.joins import with_joins
from kit.scaffold.kinds import Guess, guess_kind, phrases_like
from kit.scaffold.look import class_counts, look_at_sample, look_at_target
from kit.scaffold.roles import Targets, drop_columns, find_targets
from kit.scaffold.suits import find_template
from kit.scaffold.sums import ask_about_sums
from kit.scaffold.task import Evidence, asked_score, find_task
from kit.scaffold.unlabelled import with_target
from kit.scaffold.validation import Rows, asked_column, find_validation
from kit.spelling import find_name
from kit.tables import file_form, read_header

__all__ = ["Inference", "Inferred", "infer"]


def infer(
    raw: Path,
    *,
    hints: Mapping[str, Any],
    flags: Mapping[str, Any],
    overrides: Mapping[str, Any] | None = None,
) -> Inference:
    """Read the files in `raw` and infer everything `kit.toml` needs.

    Args:
        raw: the folder of the downloaded files.
        hints: what the provider is sure of, by the names of the flags.
        flags: what the user typed (`kit.scaffold.facts.FLAGS`); None means: not given.
        overrides: dotted keys of `kit.toml` that are taken instead of what the files suggest.

    Raises:
        ConfigError: the files leave several readings; names what was found and the flag.
        DataError: a file is unreadable, has no rows, or the target has nothing to learn.
    """
    inference, wishes = Inference(), Wishes(flags=flags, hints=hints, overrides=overrides)
    tables = _read(raw, wishes, inference)
    ids = find_ids(tables, wishes, inference)
    targets = find_targets(tables, ids, wishes, inference)
    ask_about_sums(tables, ids, targets, inference)
    tables = with_joins(raw, tables, inference)
    kept = [name for role in ("group", "time") if (name := asked_column(tables, wishes, role))]
    features = drop_columns(tables, ids, targets, kept, inference)
    kinds = _note_kinds(tables, ids, features, inference)
    kinds = note_images(raw, tables, ids, kinds, inference)
    inference.template = find_template(tables.train, kinds)
    evidence = _evidence(tables, targets, wishes)
    task = find_task(evidence, wishes, inference)
    classified = task in ("binary", "multiclass")
    if classified and len(targets.names) > 1:  # a column per class, in train as in the submission
        targets = replace(targets, classes=dict(zip(targets.columns, targets.names, strict=True)))
    _note_submission(ids, targets, inference)
    counts = class_counts(evidence.looks) if classified else ()
    if inference.get("task.separator") is None:
        tables = with_target(tables, evidence.looks)
    rows = Rows(tables=tables, ids=ids, task=task, class_counts=counts, kinds=kinds,
                targets=targets.names)  # fmt: skip
    find_validation(rows, wishes, inference)
    if inference.get("series.horizon") is not None:
        inference.template = "timeseries"
    for key, value in wishes.overrides.items():
        if key not in FLAGS.values():
            inference.settle(key, value, "--set")
    return inference


def _evidence(tables: Tables, targets: Targets, wishes: Wishes) -> Evidence:
    """What target and sample submission look like."""
    labels = tables.whole(targets.names)  # a rare class may not be among some rows
    decimals = [_decimal(path) for path in (tables.paths.train, tables.paths.sample)]
    return Evidence(
        targets=targets,
        looks=[look_at_target(labels, name, decimals[0]) for name in targets.names],
        sample=look_at_sample(tables.sample, targets.columns, decimals[1]),
        score=asked_score(wishes),
    )


def _note_submission(ids: Ids, targets: Targets, inference: Inference) -> None:
    """Note the columns of the submission."""
    without = "the sample submission has none: the rows are those of test, in their order"
    inference.add(
        "submission.id", ids.sample, "as in the sample submission" if ids.sample else without
    )
    inference.add("submission.columns", list(targets.columns), "the columns after the id")
    if targets.copied:
        because = "the sample submission repeats test's: they are handed in as it has them"
        inference.add("submission.copied", list(targets.copied), because)
    if targets.classes:
        classes = [targets.classes[column] for column in targets.columns]
        inference.add("submission.classes", classes, "the class of each column")


def _decimal(path: Path | None) -> str:
    return "." if path is None else file_form(path).decimal


def _read(raw: Path, wishes: Wishes, inference: Inference) -> Tables:
    """Read the files; ids, targets and whatever may be one stay as they are spelled."""
    paths = find_files(raw, wishes, inference)
    in_train, in_test = ([n.strip() for n in read_header(p)] for p in (paths.train, paths.test))
    in_sample: list[str] = []
    text = [*wishes.names("id"), *wishes.names("target")]
    text = [found for name in text if (found := find_name(name, in_train))]
    if paths.sample is not None:
        in_sample = [name.strip() for name in read_header(paths.sample)]
        text += [found for name in in_sample if (found := find_name(name, in_train))]
    else:
        text += in_test[:1]
    text += [name for name in in_train if name not in in_test]
    asked = [*wishes.names("id"), *text]
    test_ids = [found for name in asked if (found := find_name(name, in_test))]
    for name in in_sample:
        test_ids += [found] if (found := find_name(name, in_test)) else []
    return read(paths, inference, train=text, test=test_ids, sample=in_sample)


def _note_kinds(
    tables: Tables, ids: Ids, features: list[str], inference: Inference
) -> dict[str, str]:
    """Note the kind of every feature that is not plainly numeric; returns all kinds."""
    kinds: dict[str, str] = {}
    guesses = {name: _kind(tables, name) for name in features}
    guesses |= phrases_like(tables.train, guesses)
    for name, guess in guesses.items():
        kinds[name] = guess.kind
        both = (tables.train[name], tables.test[name])
        plain = all(pd.api.types.is_numeric_dtype(column) for column in both)
        if guess.kind != "numeric" or not plain:
            inference.add(f"columns.kinds.{name}", guess.kind, guess.because, sure=guess.sure)
        if guess.kind == "datetime" and not guess.sure:
            inference.ask(
                f"{name!r}: {guess.because}. Look at the dates; where the day comes first, turn "
                "them into dates in features.py"
            )
    if ids.train and ids.test:
        guess = guess_kind(tables.train[ids.train], ids.train)
        if guess.kind == "datetime":
            because = "the id is a date and time: a feature as well"
            inference.add(f"columns.kinds.{ids.train}", "datetime", because)
            kinds = {ids.train: "datetime", **kinds}  # first: it is what a split would follow
    return kinds


def _kind(tables: Tables, name: str) -> Guess:
    """The kind by train, unless train's numbers are strings in test."""
    train, test = tables.train[name], tables.test[name]
    numeric = pd.api.types.is_numeric_dtype
    if numeric(train) and not numeric(test) and test.notna().any() and not train.isna().all():
        guess = guess_kind(pd.concat([train.astype("str"), test.astype("str")]), name)
        because = f"numbers in train, in test not: {test.dropna().iloc[0]!r}; {guess.because}"
        return Guess(kind=guess.kind, because=because, sure=False)
    if train.isna().all():
        return guess_kind(test, name)
    return guess_kind(train, name, rows=tables.n_train, counts=tables.counts.get(name))
