"""Files by the names of tables that are none, and tables by other names.

Owns: which files are not looked into when tables are looked for.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection
from functools import lru_cache
from pathlib import Path

from kit.errors import DataError, NoRecords
from kit.tables import read_header, table_format

_TEXTS = (".txt", ".dat", ".data", ".tab", ".xls", ".xlsx")
_ABOUT = re.compile(r"readme|licen[cs]e|description")
_SHOWN = 8  # names
_CROWD = 100  # more tables than so many in a folder belong to a row each


def outside_crowds(paths: Collection[Path]) -> list[Path]:
    """Those in folders that hold no more than `_CROWD` of them."""
    counts = Counter(path.parent for path in paths)
    return [path for path in paths if counts[path.parent] <= _CROWD]


def crowds(paths: Collection[Path], raw: Path) -> list[str]:
    """The folders of more, and how many they hold: "train (4431 tables)"."""
    counts = Counter(path.parent.relative_to(raw).as_posix() for path in paths)
    return [f"{folder} ({n} tables)" for folder, n in counts.items() if n > _CROWD]


def way_from_crowds(paths: Collection[Path], raw: Path) -> str:
    """What to say of folders of a table per row, where train or test is missing; "": none."""
    found = crowds(paths, raw)
    if not found:
        return ""
    return (
        f"\n  {', '.join(found)}: where each table belongs to a row, write a train and a test "
        "table with a row for each of them: the id that its file is called by, and means, "
        "deviations, extremes and quantiles of its columns; in train the answer, too. Name their "
        "folder, with the sample submission, with --from."
    )


def holds_no_records(path: Path) -> bool:
    """Whether a file is JSON and no table: names of labels by their numbers, annotations."""
    if table_format(path) != ".json":
        return False
    facts = path.stat()
    return _no_records(path, facts.st_size, facts.st_mtime_ns)


@lru_cache(maxsize=256)
def _no_records(path: Path, size: int, changed: int) -> bool:
    """By the whole file, which is read once for all who ask."""
    try:
        read_header(path)
    except NoRecords:
        return True
    except DataError:  # damage is told where the table is read
        pass
    return False


def may_be_tables(raw: Path) -> str:
    """What to say of files that may be tables by other names, where one is missing; "": none."""
    paths = sorted((*raw.glob("*"), *raw.glob("*/*")))
    others = [p for p in paths if p.suffix.lower() in _TEXTS and not _ABOUT.search(p.stem.lower())]
    jsons = [path for path in paths if path.suffix.lower() == ".json"]
    others += [path for path in outside_crowds(jsons) if holds_no_records(path)]
    found = [path.relative_to(raw).as_posix() for path in others]
    if not found:
        return ""
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return (
        f"\n  Not used: {', '.join(found[:_SHOWN])}{more}. What is a table among them, save "
        "as .csv in a copy of the folder, all cells under names of their own."
    )
