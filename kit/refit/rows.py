"""New rows as the recipes know them: columns, kinds, spellings and features of the test rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kit.competition import Competition
from kit.dataset import AS_TEXT, data_digest, features_digest, read_raw, text_columns
from kit.errors import DataError
from kit.features import apply_features, feature_columns, read_features
from kit.images.attach import Images, with_sources
from kit.joins import Joins
from kit.kinds import as_levels, as_moments, assign_kinds, some, spelled, typed
from kit.large import lies_on_disk, read_stored
from kit.moments import datetime_format
from kit.settings import Kind
from kit.tables import read_chunks, read_header
from kit.target import with_target
from kit.usercode import UserCode


@dataclass
class Notes:
    """What was unusual about the rows, counted over the whole file."""

    unseen: dict[str, int] = field(default_factory=dict)
    blank: dict[str, int] = field(default_factory=dict)
    ignored: list[str] = field(default_factory=list)
    numbered: bool = False

    def sentences(self) -> list[str]:
        """One sentence for each kind of thing."""
        found = []
        if self.ignored:
            found.append(f"columns that are not used: {some(self.ignored, 8)}")
        if self.numbered:
            found.append("the file has no id column; its rows are numbered from 0")
        for name, count in self.unseen.items():
            found.append(
                f"column {name!r}: {count} values that neither train nor test has; they count as "
                "missing"
            )
        for name, count in self.blank.items():
            found.append(f"column {name!r}: {count} texts are missing or blank")
        return found


@dataclass(frozen=True, kw_only=True)
class RowFormat:
    """How rows are read, as the models know it: what is left of the train and test files.

    Attributes:
        needed: columns a file must have.
        kinds: kind per feature column.
        levels: spellings of each category column, in the order of their codes.
        formats: format of each column of dates that is written as text; None: found out.
        id: the id column, or "".
        text: columns that stay as they are spelled.
    """

    needed: tuple[str, ...]
    kinds: Mapping[str, Kind]
    levels: Mapping[str, tuple[str, ...]]
    formats: Mapping[str, str | None]
    id: str
    text: tuple[str, ...]

    @classmethod
    def of(cls, competition: Competition, data: str, joins: Joins) -> RowFormat:
        """Read the train and test files.

        Args:
            competition: gives columns, kinds and `features.py`.
            data: digest of the files.
            joins: tables beside the files.
        """
        columns, files = competition.settings.columns, competition.settings.files
        images = Images(competition)
        large = lies_on_disk(competition)
        typing = _of_store(competition, data) if large else _of_frames(competition, data, images)
        kinds, levels, formats = typing
        out = {*columns.target, *columns.drop}
        train, test = (
            [name.strip() for name in read_header(competition.raw / file)]
            for file in (files.train, files.test)
        )
        seen = [name for name in train if name in test and name not in out]
        own = UserCode(competition.root).features() is not None
        used = seen if own else feature_columns(competition, [*train, *joins.names])
        key = columns.test_id
        key = columns.id if key is None else key
        text = {n for n, kind in columns.kinds.items() if kind in AS_TEXT}
        return cls(
            needed=tuple(
                name
                for name in dict.fromkeys([*used, *joins.keys])
                if name not in {*images.made, *joins.names}
            ),
            kinds=kinds,
            levels=levels,
            formats=formats,
            id=key,
            text=tuple(sorted(text | {key, columns.time or ""} - {""})),
        )

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> RowFormat:
        """What `to_json` made."""
        levels = {name: tuple(values) for name, values in document["levels"].items()}
        lists = {key: tuple(document[key]) for key in ("needed", "text")}
        return cls(**{**document, **lists, "levels": levels})

    def to_json(self) -> dict[str, Any]:
        """Plain types."""
        return asdict(self)


class NewRows:
    """Reads files that look like the test file.

    Args:
        competition: gives columns and `features.py`.
        known: how its rows are read; None: its train and test files are read, so that levels of
            categories and formats of dates are those of the models.
        images: where images and backbones are; None: in the competition's folder.
        joins: tables beside the files; None: in the competition's folder.

    Attributes:
        format: how rows are read.
        notes: what was unusual so far.
        digests: of "data" and "features", to be compared with those of a run; without "data" where
            the files were not read.
    """

    def __init__(
        self,
        competition: Competition,
        known: RowFormat | None = None,
        images: Images | None = None,
        joins: Joins | None = None,
    ) -> None:
        self.competition, self.notes = competition, Notes()
        self.joins = joins or Joins(competition, text_columns(competition))
        code, self.images = UserCode(competition.root), images or Images(competition)
        self.digests = {"features": self.images.features_digest(features_digest(competition))}
        if known is None:
            self.digests["data"] = data_digest(competition)
            known = RowFormat.of(competition, self.digests["data"], self.joins)
        self.format = known
        self.function = code.features()
        self.kinds, self.needed, self.id, self.text = (
            known.kinds,
            known.needed,
            known.id,
            known.text,
        )
        self._levels = {
            name: pd.Index(values, dtype="str", name=name) for name, values in known.levels.items()
        }

    def read(self, path: Path, rows: int) -> Iterator[tuple[NDArray[np.str_], pd.DataFrame]]:
        """Ids and typed features of at most `rows` rows at a time.

        Raises:
            DataError: a column is missing, an id is empty, or the file cannot be read.
            UserCodeError: `features.py` failed on the rows.
        """
        done = 0
        for frame in read_chunks(path, rows, as_text=self.text):
            if not done:
                self._check_columns(path, list(frame.columns))
            if frame.empty:
                continue
            ids = self._ids(path, frame, done)
            done += len(frame)
            frame = self.joins.join(with_sources(self.competition, frame))
            yield ids, self._features(frame, path.parent)
        if not done:
            raise DataError(f"{path} has a header but no rows")

    def _check_columns(self, path: Path, names: list[str]) -> None:
        missing = [name for name in self.needed if name not in names]
        if self.id and self.id not in names:
            self.notes.numbered = True
            missing = [name for name in missing if name != self.id]
        if missing:
            raise DataError(
                f"{path} lacks {len(missing)} columns that the models were fitted on: "
                f"{some(missing, 8)}.\n  It must look like "
                f"{self.competition.settings.files.test}; it has {some(names, 8)}."
            )
        known = {*self.needed, self.id}
        self.notes.ignored = [name for name in names if name not in known]

    def _ids(self, path: Path, frame: pd.DataFrame, done: int) -> NDArray[np.str_]:
        if not self.id or self.id not in frame:
            return np.array([str(number) for number in range(done, done + len(frame))])
        empty = frame[self.id].isna().to_numpy()
        if empty.any():
            first = done + int(empty.argmax()) + 1
            raise DataError(f"{path}: the id column {self.id!r} is empty, first in row {first}")
        return frame[self.id].astype("str").str.strip().to_numpy(dtype=np.str_)

    def _features(self, frame: pd.DataFrame, beside: Path) -> pd.DataFrame:
        if self.function is not None:
            seen = [*self.needed, *self.joins.names, *self.images.made]
            frame = frame[[name for name in seen if name in frame]]
            frame = apply_features(self.function, self.competition, frame)
            missing = [n for n in self.kinds if n not in frame and n not in self.images.made]
            if missing:
                raise DataError(f"features.py makes no {some(missing)} of these rows")
        frame = self.images.attach(frame, "test", beside)
        columns = {name: self._typed(frame[name], name) for name in self.kinds}
        return pd.DataFrame(columns, index=frame.index)

    def _typed(self, column: pd.Series, name: str) -> pd.Series:
        kind = self.kinds[name]
        if kind == "image":
            return column
        if kind == "category":
            levels = as_levels(column)
            known = levels.isin(self._levels[name])
            unseen = int((levels.notna() & ~known).sum())
            if unseen:
                self.notes.unseen[name] = self.notes.unseen.get(name, 0) + unseen
            return levels.where(known).astype(pd.CategoricalDtype(self._levels[name]))
        if kind == "text":
            blank = int((column.isna() | (spelled(column).str.strip() == "")).sum())
            if blank:
                self.notes.blank[name] = self.notes.blank.get(name, 0) + blank
        if kind == "datetime":
            return as_moments(column, self.format.formats.get(name))
        _, new = typed(column.to_frame()[:0], column.to_frame(), {name: kind})
        return new[name]


_Typing = tuple[dict[str, Kind], dict[str, tuple[str, ...]], dict[str, str | None]]
"""Kinds, levels and formats by column."""


def _of_frames(competition: Competition, data: str, images: Images) -> _Typing:
    """How the columns of a table in memory are typed."""
    train, test = read_raw(competition)
    settings = competition.settings
    train = with_target(train, settings.columns.target, settings.task).reset_index(drop=True)
    X, X_test = read_features(competition, train, test, data)
    pixels = images.pixel_names(X)
    kinds = assign_kinds(X.drop(columns=pixels), settings.columns.kinds)
    kinds |= dict.fromkeys(images.specs, "image")
    named = {name: kind for name, kind in kinds.items() if kind == "category"}
    known, _ = typed(X[[*named]], X_test[[*named]], named)
    formats = {
        name: datetime_format(spelled(X[name]))
        for name, kind in kinds.items()
        if kind == "datetime" and not pd.api.types.is_datetime64_any_dtype(X[name])
    }
    return kinds, {name: tuple(known[name].cat.categories) for name in named}, formats


def _of_store(competition: Competition, data: str) -> _Typing:
    """How the columns of a table on the disk are typed."""
    stored = read_stored(competition, data, text_columns(competition))
    named = [name for name, kind in stored.kinds.items() if kind == "category"]
    levels = {name: tuple(stored.X[name].cat.categories) for name in named}
    return stored.kinds, levels, stored.formats
