"""Masks as run-length codes: found in the files, and what `settings.toml` says of them.

Masks are no task of kit's loop: `kit new` copies the template `segmentation` for them, whose script
does the whole work, and fills in its settings.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd

from kit.errors import ConfigError
from kit.images.files import ImageFolder
from kit.scaffold.facts import Inference, names_a_table
from kit.scaffold.files import is_sample, tables_in
from kit.scaffold.images import endings, pattern_of, typical
from kit.scaffold.no_tables import outside_crowds
from kit.spelling import find_name
from kit.tables import read_header, read_table

TEMPLATE = "segmentation"

_NAME = re.compile(r"encod|pixels|rle|mask|segment", re.IGNORECASE)
_PAIRS = re.compile(r"\d+ \d+(?: \d+ \d+)*")
_LOOKED = 500  # rows
_FEW_RUNS = 3  # per mask: fewer prove nothing where the column's name does not say it
_OF_MASKS = re.compile(r"mask|label", re.IGNORECASE)  # folders that hold answers as images
_NAMED = 0.95  # of the ids that are looked at name an image, else something is wrong
_PER_CLASS = (
    "Where images have a mask per class, write a folder for each class: the images, train and "
    "sample submission with its rows only, of two columns (the name of the image, the mask). Name "
    "it with --from, and put what the scripts hand in together."
)
_LARGEST, _STEP = 128, 16  # pixels per side that a network on a CPU can be given


@dataclass(frozen=True)
class Found:
    """A table of masks: where it is, its rows, and the column of the codes."""

    path: Path
    rows: pd.DataFrame
    column: str


def infer_masks(
    raw: Path, *, flags: Mapping[str, Any], overrides: Mapping[str, Any], template: str | None
) -> Inference | None:
    """What `settings.toml` of the template says, by its keys; None where there are no masks.

    Somebody who names a target or a task wants a table; then there are none either.

    Raises:
        ConfigError: masks, and another template; the template, and no masks; files that the script
            cannot use.
    """
    named = names_a_table(flags, overrides)
    found = None if named else _find(raw)
    if found is None:
        if template == TEMPLATE:
            raise ConfigError(
                f"the template {TEMPLATE} is for masks as run-length codes ('1 3 10 5'), however "
                + (
                    "--target or --task asks for a table."
                    if named
                    else f"{raw} has no table of them."
                )
            )
        return None
    if template and template != TEMPLATE:
        raise ConfigError(
            f"{found.path}: the column {found.column!r} holds masks as run-length codes, which are "
            f"no target for the template {template}.\n  Leave --template out: `kit new` then takes "
            f"the template {TEMPLATE}; or name another target with --target."
        )
    return _settings(raw, found)


def _find(raw: Path) -> Found | None:
    """The first table, samples apart, with a column of codes."""
    for path in outside_crowds(tables_in(raw)):
        if is_sample(path):
            continue
        head = read_table(path, nrows=_LOOKED)
        for name in head.columns:
            if _holds_codes(head[name]):
                return Found(path, read_table(path, as_text=[*head.columns]), str(name))
    return None


def _holds_codes(column: pd.Series) -> bool:
    """Whether the values are runs that follow one another: ids, sizes or pixels never are."""
    known = [str(value).strip() for value in column.dropna()]
    known = [value for value in known if value not in ("", "-1")]
    if not known or not all(_PAIRS.fullmatch(value) for value in known):
        return False
    runs = [[*map(int, value.split())] for value in known]
    for each in runs:
        pairs = [*zip(each[::2], each[1::2], strict=True)]
        if any(start < 1 or length < 1 for start, length in pairs):
            return False
        if any(a + length > b for (a, length), (b, _) in pairwise(pairs)):
            return False
    mean = sum(map(len, runs)) / 2 / len(runs)
    return bool(_NAME.search(str(column.name))) or mean >= _FEW_RUNS


def _settings(raw: Path, found: Found) -> Inference:
    inference = Inference(template=TEMPLATE)
    samples = [p for p in tables_in(raw) if is_sample(p)]
    if not samples:
        raise ConfigError(f"{raw} has masks, however no sample submission, whose form is needed.")
    sample = read_table(samples[0], as_text=read_header(samples[0]))
    mask = find_name(found.column, sample.columns)
    if mask is None or len(sample.columns) != 2:
        raise ConfigError(
            f"{samples[0]} must have an id and the column {found.column!r}, however it has: "
            f"{', '.join(map(str, sample.columns))}.\n  {_PER_CLASS}"
        )
    key = str(next(name for name in sample.columns if name != mask))
    inference.add("train", found.path.relative_to(raw).as_posix(), f"{found.column!r} holds masks")
    inference.add("sample", samples[0].relative_to(raw).as_posix(), "by its name")
    own = find_name(key, found.rows.columns) or str(found.rows.columns[0])
    inference.add("id", own, "as in the sample submission" if own == key else "the first column")
    inference.add("mask", found.column, "pairs of start and length")
    folder = ImageFolder(raw)
    for name in [*folder.files]:
        if any(_OF_MASKS.search(part) for part in PurePosixPath(name).parts[:-1]):
            del folder.files[name]
    for part, ids in (("train", found.rows[own]), ("test", sample[key])):
        pattern, share = pattern_of(folder, ids, endings(folder), part)
        because = f"{share:.0%} of the ids looked at name an image"
        inference.add(f"{part}_images", pattern, because, sure=share > _NAMED)
        if share <= _NAMED:
            inference.ask(f"{part}_images = {pattern!r}: {because}; correct it in settings.toml")
    _refuse_classes(folder, sample[key])
    side, channels = typical(folder)
    size = min(_LARGEST, max(_STEP, round(side / _STEP) * _STEP))
    inference.add("size", size, f"pixels per side; the files have about {side}")
    inference.add("channels", channels, "gray" if channels == 1 else "colours")
    _ask(found, sample, own, key, inference)
    unused = [path for path in tables_in(raw) if path != found.path and not is_sample(path)]
    if unused:
        shown = ", ".join(path.relative_to(raw).as_posix() for path in unused[:8])
        inference.ask(f"train.py sees images and masks only. Not used: {shown}")
    return inference


def _refuse_classes(folder: ImageFolder, ids: pd.Series) -> None:
    """Ids of an image and a class name an image only where the class is cut off."""
    images = ids.str.rsplit("_", n=1).str[0]
    around = endings(folder)
    whole, cut = (pattern_of(folder, names, around, "test")[1] for names in (ids, images))
    if images.duplicated().any() and whole <= _NAMED < cut:
        raise ConfigError(
            f"ids such as {ids.iloc[0]!r} name an image and a class; train.py makes one mask per "
            f"image.\n  {_PER_CLASS}"
        )


def _ask(found: Found, sample: pd.DataFrame, own: str, key: str, inference: Inference) -> None:
    """What the script does not do, where the files have it."""
    others = [name for name in found.rows.columns if name not in (own, found.column)]
    if others:
        inference.ask(
            f"train.py does not look at {', '.join(map(repr, others))}; where an image has a mask "
            "per class, every class needs a network, or a layer, of its own"
        )
    if sample[key].duplicated().any():
        inference.ask("the sample submission has several rows per image; train.py writes one mask")
    elif found.rows[own].duplicated().any():
        inference.ask("some images have several masks in train; train.py puts them together")
