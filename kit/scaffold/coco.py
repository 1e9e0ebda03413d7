"""Annotations as COCO writes them, in JSON: lists of images, and of what is on which of them.

Owns: the two tables that `kit new` makes of such files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd

from kit.atomic import atomic_path, parse_json
from kit.images.files import ImageFolder
from kit.scaffold.files import by_name, tables_in
from kit.scaffold.no_tables import outside_crowds

TARGET = "category_id"
_FILE = "file_name"


def make_annotated(raw: Path) -> str:
    """Write `train.csv`, a row per image, its first category and what test knows of images as well.

    `test.csv` is written where a file lists images without annotations. Does nothing where some
    table is called train.

    Returns:
        What was done, for the user; empty: nothing.
    """
    if by_name(tables_in(raw))["train"]:
        return ""
    found = {path: data for path in _jsons(raw) if _lists_images(data := _read(path))}
    labelled = {path: data for path, data in found.items() if _categories(data)}
    plain = {path: data for path, data in found.items() if not data.get("annotations")}
    if not labelled:
        return ""
    folder = ImageFolder(raw)
    train = pd.concat([_images(d, p, raw, folder) for p, d in labelled.items()], ignore_index=True)
    pairs = [pair for data in labelled.values() for pair in _categories(data)]
    first = pd.DataFrame(pairs, columns=["id", TARGET]).drop_duplicates()
    several = int(first["id"].duplicated().sum())
    train = train.merge(first.drop_duplicates("id"), on="id").drop_duplicates("id")
    tests = [_images(data, path, raw, folder) for path, data in plain.items()]
    if tests:
        test = pd.concat(tests, ignore_index=True).drop_duplicates("id")
        both = [name for name in train.columns if name in test.columns]
        _write(test[both], raw / "test.csv")
        train = train[[*both, TARGET]]
    _write(train, raw / "train.csv")
    names = ", ".join(path.relative_to(raw).as_posix() for path in found)
    more = f"; {several} have further categories, which are left out" if several else ""
    return (
        f"kit wrote train.csv{' and test.csv' if tests else ''} from {names}: a row per image, "
        f"{TARGET!r} is what is on it{more}"
    )


def _jsons(raw: Path) -> Sequence[Path]:
    return outside_crowds(sorted((*raw.glob("*.json"), *raw.glob("*/*.json"))))


def _read(path: Path) -> Any:
    """What a file holds; None where it is no JSON object."""
    with suppress(OSError, ValueError):
        with path.open("rb") as file:
            if not file.read(64).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
                return None
        return parse_json(path.read_text(encoding="utf-8-sig"))
    return None


def _lists_images(data: Any) -> bool:
    images = data.get("images") if isinstance(data, Mapping) else None
    return (
        isinstance(images, list)
        and bool(images)
        and all(isinstance(each, Mapping) and {"id", _FILE} <= {*each} for each in images)
    )


def _categories(data: Mapping[str, Any]) -> list[tuple[Any, Any]]:
    """Image and category of each annotation that has both."""
    listed = data.get("annotations")
    return [
        (each["image_id"], each[TARGET])
        for each in (listed if isinstance(listed, list) else ())
        if isinstance(each, Mapping) and {"image_id", TARGET} <= {*each}
    ]


def _images(data: Mapping[str, Any], path: Path, raw: Path, folder: ImageFolder) -> pd.DataFrame:
    """A row per image: id, file below `raw`, and whatever else is one value."""
    frame = pd.DataFrame(
        [
            {name: value for name, value in each.items() if not isinstance(value, list | dict)}
            for each in data["images"]
        ]
    )
    beside = path.parent.relative_to(raw).as_posix()
    frame[_FILE] = [_below(str(name), beside, folder) for name in frame[_FILE]]
    return frame[["id", _FILE, *(name for name in frame if name not in ("id", _FILE, TARGET))]]


def _below(name: str, beside: str, folder: ImageFolder) -> str:
    """The name of a file below the folder: as written, from the JSON on, or from somewhere else."""
    for written in (f"{beside}/{name}", name):
        if written in folder.files:
            return written
    same = folder.by_last.get(name.rpartition("/")[2], ())
    return next((each for each in same if each.endswith(f"/{name}")), name)


def _write(table: pd.DataFrame, path: Path) -> None:
    with atomic_path(path) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")
