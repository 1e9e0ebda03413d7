"""Clean images behind stained ones: found in the files, and what `settings.toml` says of them.

An image as the answer is no task of kit's loop: `kit new` copies the template `restoration`, whose
script does the whole work, and fills in its settings.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from itertools import permutations
from pathlib import Path, PurePosixPath
from typing import Any

from kit.errors import ConfigError
from kit.images.files import ImageFolder
from kit.images.shades import are_places, places
from kit.scaffold.facts import Inference, names_a_table
from kit.scaffold.files import by_name, is_sample, tables_in
from kit.scaffold.images import endings, pattern_of, typical
from kit.tables import read_header, read_table

TEMPLATE = "restoration"

_LOOKED = 500  # rows of the sample submission
_MOST = 0.95  # of its images must be there
_FEWEST = 4  # pairs of images
_ANSWERS = re.compile(r"clean|target|truth|label|denois|sharp|restored|answer|(^|_)(gt|hr)($|_)")


def infer_restoration(
    raw: Path, *, flags: Mapping[str, Any], overrides: Mapping[str, Any], template: str | None
) -> Inference | None:
    """What `settings.toml` of the template says, by its keys; None where there are no such images.

    Raises:
        ConfigError: such images, and another template; the template, and no such images.
    """
    named = names_a_table(flags, overrides)
    found = None if named else _find(raw)
    if found is None:
        if template == TEMPLATE:
            raise ConfigError(
                f"the template {TEMPLATE} is for pairs of images (train/1.png, train_cleaned/1.png)"
                " and a sample submission of pixels (IMAGE_ROW_COLUMN), however "
                + ("--target or --task asks for a table." if named else f"{raw} has none.")
            )
        return None
    if template and template != TEMPLATE:
        raise ConfigError(
            f"{raw}: the sample submission asks for the pixels of images, which are no target for "
            f"the template {template}.\n  Leave --template out: `kit new` then takes the template "
            f"{TEMPLATE}; or name a target with --target."
        )
    return found


def _find(raw: Path) -> Inference | None:
    tables = tables_in(raw)
    if by_name(tables)["train"]:
        return None
    for path in filter(is_sample, tables):
        names = read_header(path)
        if len(names) != 2:
            continue
        head = read_table(path, nrows=_LOOKED, as_text=names)
        if are_places(head.iloc[:, 0]):
            return _settings(raw, path, names)
    return None


def _settings(raw: Path, path: Path, names: list[str]) -> Inference | None:
    folder = ImageFolder(raw)
    pair = _pair(folder)
    wanted = places(read_table(path, as_text=names).iloc[:, 0])["image"].drop_duplicates()
    test, share = pattern_of(folder, wanted, endings(folder), "test")
    if pair is None or share < _MOST:
        return None
    stained, clean, sure = pair
    inference = Inference(template=TEMPLATE)
    inference.add("sample", path.relative_to(raw).as_posix(), "its ids are places in images")
    because = f"images of the same names as in {clean}"
    inference.add("train_images", stained, because, sure=sure)
    inference.add("clean_images", clean, "what they should become", sure=sure)
    inference.add("test_images", test, f"{share:.0%} of the images asked for are there")
    if not sure:
        inference.ask(
            f"{clean} is taken for what {stained} should become; if it is the other way round, "
            "swap train_images and clean_images in settings.toml"
        )
    for name in [*folder.files]:
        if str(PurePosixPath(name).parent) != str(PurePosixPath(stained).parent):
            del folder.files[name]
    channels = typical(folder)[1]
    inference.add("channels", channels, "gray" if channels == 1 else "colours")
    return inference


def _pair(folder: ImageFolder) -> tuple[str, str, bool] | None:
    """Patterns of two folders that hold images of the same names, and whether names say which."""
    stems: dict[tuple[str, str], set[str]] = defaultdict(set)
    for name in folder.files:
        path = PurePosixPath(name)
        stems[str(path.parent), path.suffix].add(path.stem)
    pairs = [
        (one, other)
        for one, other in permutations(stems, 2)
        if len(stems[one]) >= _FEWEST and stems[one] == stems[other] and one[0] != other[0]
    ]
    told = [pair for pair in pairs if _answers(pair[1]) and not _answers(pair[0])]
    if told or pairs:
        # members of a zip are found without its name, too: then those of several are mixed
        stained, clean = min(told or pairs, key=lambda pair: (any(b == "." for b, _ in pair), pair))
        return _pattern(stained), _pattern(clean), bool(told)
    return None


def _answers(place: tuple[str, str]) -> bool:
    return _ANSWERS.search(place[0].lower()) is not None


def _pattern(place: tuple[str, str]) -> str:
    base, suffix = place
    return f"{{}}{suffix}" if base == "." else f"{base}/{{}}{suffix}"
