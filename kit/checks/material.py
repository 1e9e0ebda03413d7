"""What the checks look at: the files, the features as models get them, target and folds.

Gathered once and as far as possible: what cannot be had is left out and its error is kept, so that
one mistake does not hide the others. Nothing here decides what is a finding.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kit.checks.identity import id_like
from kit.checks.nulls import NullScore
from kit.checks.rowhash import RowHashes, hash_rows
from kit.competition import Competition
from kit.dataset import Dataset, data_digest, read_raw, read_time
from kit.errors import DataError, KitError
from kit.execution.context import load_folds
from kit.features import read_features
from kit.folds import Folds
from kit.images.attach import Images
from kit.kinds import assign_kinds, typed
from kit.settings import Kind
from kit.tables import read_table
from kit.target import encode_target

Part = Literal["tables", "sample", "features", "target", "folds", "null"]


class Material:
    """One competition, read for checking.

    Attributes:
        problems: the error that kept a part from being gathered.
        sampled: where only some rows were looked at.
        train, test: the files as read, if "tables" could be had; `sample` likewise.
        raw_X, raw_X_test: feature columns before their kinds are applied, if "features".
        X, X_test: the same, typed; columns that do not fit their kind are in `unfit` instead.
        y: target of the rows `known` (positions), as in `Dataset`, if "target".
        folds: as `[cv]` makes them, if "folds".
        null: scores on permuted labels, if "null".
        memory: what several checks need and one has computed, by a name.
        threads: for small models.
    """

    train: pd.DataFrame
    test: pd.DataFrame
    sample: pd.DataFrame
    raw_X: pd.DataFrame
    raw_X_test: pd.DataFrame
    X: pd.DataFrame
    X_test: pd.DataFrame
    kinds: dict[str, Kind]
    y: NDArray[Any]
    known: NDArray[np.int64]
    folds: Folds

    def __init__(self, competition: Competition, null: Sequence[NullScore] = ()) -> None:
        self.competition = competition
        self.null = null
        self.settings = competition.settings
        self.columns = competition.settings.columns
        self.problems: dict[Part, KitError] = {}
        self.sampled: list[str] = []
        self.unfit: dict[str, str] = {}
        self.memory: dict[str, Any] = {}
        self.threads = competition.settings.execution.threads or os.cpu_count() or 1
        self._made: set[Part] = {"null"} if null else set()
        steps: tuple[tuple[Part, Callable[[], bool]], ...] = (
            ("tables", self._read_tables),
            ("sample", self._read_sample),
            ("features", self._make_features),
            ("target", self._encode_target),
            ("folds", self._make_folds),
        )
        for part, gather in steps:
            try:
                if gather():
                    self._made.add(part)
            except KitError as error:
                self.problems[part] = error

    def has(self, parts: Collection[Part]) -> bool:
        """Whether all of these could be gathered."""
        return self._made.issuperset(parts)

    @property
    def test_id(self) -> str:
        """The id column of the test file; empty where it has none."""
        return self.columns.id if self.columns.test_id is None else self.columns.test_id

    @cached_property
    def train_only(self) -> list[str]:
        """Columns of train that a model would use and test lacks."""
        columns = self.columns
        aside = {*columns.target, *columns.drop, columns.id, columns.test_id}
        aside |= {columns.group, columns.time, columns.weight}
        return [c for c in self.train.columns if c not in aside and c not in self.test.columns]

    @cached_property
    def row_ids(self) -> pd.Series:
        """Ids of the training rows as text, row numbers where there is no id column."""
        return self._ids(self.train, self.columns.id)

    @cached_property
    def test_row_ids(self) -> pd.Series:
        """The same for the test rows."""
        return self._ids(self.test, self.test_id)

    @cached_property
    def id_like(self) -> dict[str, str]:
        """Features that look like ids, and why."""
        return id_like(self.X, self.kinds)

    @cached_property
    def row_hashes(self) -> RowHashes:
        """A number per row of train and of test; equal iff all features but ids are equal."""
        names = [name for name in self.X.columns if name not in self.id_like]
        return hash_rows(self.X[names], self.X_test[names])

    def drawn(self, n: int, limit: int, what: str) -> NDArray[np.int64]:
        """All of `n` positions, or `limit` of them drawn at random, which is noted."""
        if n <= limit:
            return np.arange(n)
        note = f"{what}: {limit} of {n} rows"
        self.sampled += [note] if note not in self.sampled else []
        return np.sort(np.random.default_rng(0).choice(n, limit, replace=False))

    def _ids(self, frame: pd.DataFrame, name: str) -> pd.Series:
        if name not in frame.columns:
            return pd.Series(frame.index.astype("str"))
        return frame[name].astype("str").str.strip()

    def _read_tables(self) -> bool:
        self.train, self.test = read_raw(self.competition)
        return True

    def _read_sample(self) -> bool:
        path = self.competition.raw / self.settings.files.sample_submission
        self.sample = read_table(path, as_text=[self.settings.submission.id])
        return True

    def _make_features(self) -> bool:
        if not self.has(["tables"]):
            return False
        train = self.train.drop(columns=self.train_only)
        self.raw_X, self.raw_X_test = read_features(
            self.competition, train, self.test, data_digest(self.competition)
        )
        images = Images(self.competition)
        self.raw_X = images.identities(self.raw_X, "train")
        self.raw_X_test = images.identities(self.raw_X_test, "test")
        seen: dict[str, Kind] = dict.fromkeys(images.specs, "text")  # their digests, to be compared
        self.kinds = assign_kinds(self.raw_X, {**self.columns.kinds, **seen})
        pairs = {}
        for name, kind in list(self.kinds.items()):
            try:
                pairs[name] = typed(self.raw_X[[name]], self.raw_X_test[[name]], {name: kind})
            except DataError as error:
                self.unfit[name] = str(error)
                del self.kinds[name]
        self.X = pd.DataFrame({n: a[n] for n, (a, _) in pairs.items()}, index=self.train.index)
        self.X_test = pd.DataFrame({n: b[n] for n, (_, b) in pairs.items()}, index=self.test.index)
        return bool(pairs)

    def _encode_target(self) -> bool:
        target, task = self.columns.target, self.settings.task
        if not self.has(["tables"]) or not set(target) <= set(self.train.columns):
            return False
        present = self.train[list(target)].notna().all(axis=1).to_numpy()
        self.known = np.flatnonzero(present)
        if len(self.known) == 0:
            return False
        ids = self.row_ids.to_numpy(dtype=np.str_)[self.known]
        rows = self.train.iloc[self.known]
        if task.classes and not set(rows[target[0]].str.strip()) <= set(task.classes):
            return False
        self.y = encode_target(rows, target, task.type, task.classes, ids)
        return True

    def _make_folds(self) -> bool:
        """Folds as `kit cv` would make them; not while ids or target stand in the way."""
        columns = self.columns
        if not self.has(["features", "target"]) or len(self.known) < len(self.train):
            return False
        roles = {name for name in (columns.group, columns.time) if name}
        if not roles <= set(self.train.columns) or self.row_ids.duplicated().any():
            return False
        dataset = Dataset(
            X=self.X,
            X_test=self.X_test,
            y=self.y,
            ids=self.row_ids.to_numpy(dtype=np.str_),
            test_ids=self.test_row_ids.to_numpy(dtype=np.str_),
            groups=None if columns.group is None else self.train[columns.group].to_numpy(),
            time=read_time(self.train, columns.time),
            kinds=self.kinds,
            task=self.settings.task.type,
            classes=self.settings.task.classes,
            digests={},
        )
        self.folds = load_folds(self.competition, dataset)
        return True
