"""Tables larger than memory: read piece by piece into typed columns on the disk.

A store is a folder of the cache, named after a digest of the files and of all that decides how they
are read. It holds an array per feature and part, as small as its values allow without loss: whole
numbers in the fewest bytes, decimals in four where every value survives it, categories as codes.
The columns that are no features (ids, target, group, time, weight) lie there as parquet. It appears
whole or not at all, under a lock, and is memory-mapped: processes share it.

The values are those of `kit.dataset.Dataset` for a table in memory. `features.py` gets the rows in
pieces, which is no difference where it looks at one row at a time; `kit check` tells.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from filelock import FileLock

from kit.atomic import disk_errors, parse_json, token
from kit.competition import Competition
from kit.errors import DataError, DiskFull
from kit.features import apply_features, feature_columns, seen_columns
from kit.joins import Joins
from kit.kinds import assign_kinds
from kit.mapped import joined, levels_of
from kit.packed import PackedColumn
from kit.sampled import LARGE_CELLS, together
from kit.settings import Kind
from kit.tables import count_cells, read_chunks, read_header
from kit.target import labelled, no_target
from kit.usercode import UserCode

PIECE = 250_000
"""Rows in memory at a time while files are read."""

_VERSION = "5"  # of the layout, and of how values are read
_CELL = 6  # bytes a cell takes on the disk at most, about, while a store is made
_SPARE = 200 << 20  # bytes that are left free on the disk


@dataclass(frozen=True, kw_only=True)
class Stored:
    """A competition's files.

    Attributes:
        train, test: the columns that are no features, as they are spelled; of train all rows that
            have a target, under their numbers in the file.
        n_rows: of the train file, with those that have none.
        X, X_test: the features, typed, on the disk.
        kinds: kind per feature.
        formats: format of each column of dates, as it is written; None: it is no text.
    """

    train: pd.DataFrame
    test: pd.DataFrame
    X: pd.DataFrame
    X_test: pd.DataFrame
    kinds: dict[str, Kind]
    formats: dict[str, str | None]
    n_rows: int


def lies_on_disk(competition: Competition) -> bool:
    """Whether the tables are too large for memory, or `execution.on_disk` says so.

    It depends on the files alone, never on what is free: the same files are read the same way on
    every machine. Images have stores of their own, and what is zipped is read as a whole.
    """
    settings = competition.settings
    asked = settings.execution.on_disk
    if asked == "never" or "image" in settings.columns.kinds.values():
        return False
    files = (settings.files.train, settings.files.test)
    return asked == "always" or sum(count_cells(competition.raw / n) for n in files) > LARGE_CELLS


def read_stored(competition: Competition, data: str, text: Collection[str]) -> Stored:
    """The store of a competition: as it lies in the cache, or made now.

    Args:
        competition: the competition.
        data: digest of the files.
        text: columns that stay as they are spelled.

    Raises:
        DataError: as for a table in memory; or a column that is numbers in one piece of a file and
            words in another, and has no kind in `kit.toml`.
        UserCodeError: `features.py` failed.
        DiskFull: the store does not fit.
    """
    facts = [_VERSION, data, UserCode(competition.root).digest("features"), sorted(text)]
    key = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]
    cache, folder = competition.cache, competition.cache / f"table-{key}"
    with disk_errors(folder):
        cache.mkdir(parents=True, exist_ok=True)
        with FileLock(cache / f"{folder.name}.lock"):  # processes that start together read once
            known = _opened(folder)
            if known is not None:
                return known
            _check_space(competition)
            aside = cache / f".{folder.name}.{token()}"
            try:
                aside.mkdir()
                _Store(competition, aside, text).fill()
                shutil.rmtree(folder, ignore_errors=True)  # a damaged one
                os.rename(aside, folder)
            finally:
                shutil.rmtree(aside, ignore_errors=True)
    stored = _opened(folder)
    pa.default_memory_pool().release_unused()  # what the files were unpacked into
    if stored is None:
        raise DataError(f"{folder} cannot be read back; delete it and run the command again")
    return stored


class _Store:
    """A store that is being made."""

    def __init__(self, competition: Competition, folder: Path, text: Collection[str]) -> None:
        self.competition, self.folder, self.text = competition, folder, text
        self.function = UserCode(competition.root).features()
        self.joins = Joins(competition, text)
        self.seen: list[str] = []
        self.columns: dict[str, PackedColumn] = {}
        self.rows: dict[str, int] = {}
        self.n_rows = 0  # of the train file

    def fill(self) -> None:
        """Read both files, write everything."""
        files = self.competition.settings.files
        self._read("train", self.competition.raw / files.train)
        self._read("test", self.competition.raw / files.test)
        columns = [
            {"name": name, "kind": each.kind, "form": each.finish(), "format": each.format}
            for name, each in self.columns.items()
        ]
        facts = json.dumps({"rows": self.rows, "columns": columns, "n_rows": self.n_rows})
        (self.folder / "facts.json").write_text(facts, encoding="utf-8")

    def _read(self, part: str, path: Path) -> None:
        roles = _roles(self.competition, read_header(path))
        kept, done = [], 0
        for piece in read_chunks(path, PIECE, as_text=self.text):
            piece.index = pd.RangeIndex(done, done + len(piece))  # numbers of rows are ids
            done += len(piece)
            piece = self._with_target(piece) if part == "train" else piece
            if piece.empty:
                continue
            kept.append(piece[roles])
            features = self._features(self.joins.join(piece))
            for name, column in self.columns.items():
                column.add(part, features[name])
        if not done:
            raise DataError(f"{path} has a header but no rows")
        if not kept:
            raise no_target(self.competition.settings.columns.target)
        self.rows[part] = sum(map(len, kept))
        self.n_rows = done if part == "train" else self.n_rows
        together(kept).to_parquet(self.folder / f"{part}.parquet", compression="zstd")

    def _with_target(self, piece: pd.DataFrame) -> pd.DataFrame:
        settings = self.competition.settings
        known = labelled(piece, settings.columns.target, settings.task)
        return piece if known.all() else piece[known]

    def _features(self, piece: pd.DataFrame) -> pd.DataFrame:
        """The features of a piece; those of the first piece of train say which there are."""
        if self.function is not None:
            self.seen = self.seen or seen_columns(self.competition, piece.columns)
            frame = piece[[name for name in self.seen if name in piece.columns]]
            frame = frame.reset_index(drop=True)
            piece = apply_features(self.function, self.competition, frame)
        if not self.columns:
            names = feature_columns(self.competition, piece.columns)
            configured = self.competition.settings.columns.kinds
            for number, (name, kind) in enumerate(assign_kinds(piece[names], configured).items()):
                path, sure = self.folder / str(number), name in configured
                self.columns[name] = PackedColumn(name, kind, path, sure=sure)
        absent = [name for name in self.columns if name not in piece.columns]
        if absent:
            raise DataError(f"features.py makes columns for some rows and not others: {absent[:5]}")
        return piece


def _roles(competition: Competition, header: Sequence[str]) -> list[str]:
    """Columns of a file that are needed beside the features."""
    columns = competition.settings.columns
    asked = {*columns.target, columns.id, columns.test_id, columns.group, columns.time}
    return [name.strip() for name in header if name.strip() in asked | {columns.weight}]


def _opened(folder: Path) -> Stored | None:
    """A whole store, or None."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        facts = parse_json((folder / "facts.json").read_text(encoding="utf-8"))
        columns = list(enumerate(facts["columns"]))
        tables, frames = {}, {}
        for part, n in facts["rows"].items():
            index = pd.RangeIndex(n)
            table = pd.read_parquet(folder / f"{part}.parquet")
            tables[part] = table if table.shape[1] else pd.DataFrame(index=index)
            arrays = {each["name"]: _column(folder, str(k), each, part) for k, each in columns}
            frames[part] = joined(arrays, index)
        kinds = {each["name"]: each["kind"] for _, each in columns}
        formats = {
            each["name"]: each["format"] for _, each in columns if each["kind"] == "datetime"
        }
        return Stored(
            **tables,
            X=frames["train"],
            X_test=frames["test"],
            kinds=kinds,
            formats=formats,
            n_rows=facts["n_rows"],
        )
    return None


def _column(folder: Path, name: str, facts: Mapping[str, Any], part: str) -> Any:
    if facts["form"] == "text":
        return pd.read_parquet(folder / f"{name}-{part}.parquet")["text"].array
    values = np.asarray(np.load(folder / f"{name}-{part}.npy", mmap_mode="c"))
    if facts["form"] == "levels":
        texts = pd.read_parquet(folder / f"{name}-levels.parquet")["text"]
        levels = pd.Index(texts, name=facts["name"])
        return levels_of(values, pd.CategoricalDtype(levels))
    return values


def _check_space(competition: Competition) -> None:
    files = competition.settings.files
    needed = sum(count_cells(competition.raw / n) for n in (files.train, files.test)) * _CELL
    free = shutil.disk_usage(competition.cache).free
    if needed + _SPARE > free:
        raise DiskFull(
            f"the table needs about {needed / 1e9:.1f} GB below {competition.cache}, however only "
            f"{free / 1e9:.1f} GB are free.\n"
            "  Free some space, or make .cache a link to a folder on a larger disk."
        )
