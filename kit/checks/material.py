"""What the checks look at: the files, the features as models get them, target and folds.

Gathered once and as far as possible: what cannot be had is left out and its error is kept, so that
one mistake does not hide the others. Nothing here decides what is a finding.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kit.checks.identity import id_like
from kit.checks.nulls import NullScore
from kit.checks.rowhash import RowHashes, hash_rows
from kit.competition import Competition
from kit.cores import usable_cores
from kit.dataset import (
    Dataset,
    as_strings,
    data_digest,
    read_raw,
    read_time,
    read_weight,
    text_columns,
)
from kit.errors import DataError, KitError
from kit.execution.context import load_folds
from kit.features import read_features
from kit.folds import Folds
from kit.images.attach import Images
from kit.kinds import assign_kinds, typed
from kit.metrics.base import load_metric
from kit.sampled import Sample, of_the_same_rows, read_columns, read_sample
from kit.settings import Kind
from kit.tables import read_table
from kit.target import encode_target, labelled, missing_cells

Part = Literal["tables", "sample", "features", "target", "folds", "null"]


class Material:
    """One competition, read for checking.

    Attributes:
        problems: the error that kept a part from being gathered.
        sampled: where only some rows were looked at.
        train, test: the files as read, if "tables" could be had; `sample` likewise. Of large files
            these are some rows. Rows of train without a target are in none of the tables.
        unlabelled: the ids of these.
        positions: of the rows of train in `roles`; None: all rows.
        roles, test_ids: ids, target, group, time, weight of all rows; `train` and `test` where
            these are all rows.
        raw_X, raw_X_test: feature columns before their kinds are applied, if "features".
        X, X_test: the same, typed; columns that do not fit their kind are in `unfit` instead.
        y: target of the rows `known` (positions), as in `Dataset`, if "target"; `all_y` is that of
            all rows of a large file that have one.
        folds: as `[cv]` makes them, if "folds"; `folds_digest` is that of all rows.
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
    folds_digest: str
    roles: pd.DataFrame
    test_ids: pd.DataFrame
    positions: NDArray[np.int64] | None = None

    def __init__(self, competition: Competition, null: Sequence[NullScore] = ()) -> None:
        self.competition = competition
        self.null = null
        self.settings = competition.settings
        self.columns = competition.settings.columns
        self.problems: dict[Part, KitError] = {}
        self.sampled: list[str] = []
        self.unfit: dict[str, str] = {}
        self.memory: dict[str, Any] = {}
        self.threads = competition.settings.execution.threads or usable_cores()
        self._drawn_test: Sample | None = None
        self.unlabelled = pd.Series(dtype="str")
        self._numbers: NDArray[np.int64] | None = None  # of the rows of `roles` in the file
        self.all_y: NDArray[Any] = np.empty(0)
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
        if self.columns.id in self.train.columns:
            return self._ids(self.train, self.columns.id)
        ids = self.all_ids
        return ids if self.positions is None else ids.iloc[self.positions].reset_index(drop=True)

    @cached_property
    def test_row_ids(self) -> pd.Series:
        """The same for the test rows."""
        return self._ids(self.test, self.test_id)

    @cached_property
    def all_ids(self) -> pd.Series:
        """As `row_ids`, of all rows of a large file."""
        if self._numbers is None or self.columns.id in self.roles.columns:
            return self._ids(self.roles, self.columns.id)
        return pd.Series(self._numbers.astype(str), dtype="str")

    @cached_property
    def all_test_ids(self) -> pd.Series:
        """As `test_row_ids`, of all rows of a large file."""
        return self._ids(self.test_ids, self.test_id)

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
        """Both files, or some rows of large ones; ids, target and the like of all rows."""
        names = (self.settings.files.train, self.settings.files.test)
        drawn: list[Sample] = []

        def read(path: Path, as_text: Collection[str]) -> pd.DataFrame:
            drawn.append(read_sample(path, as_text=as_text))
            return drawn[-1].frame

        self.train, self.test = read_raw(self.competition, read)
        self.roles, self.test_ids = self.train, self.test
        for sample, name in zip(drawn, names, strict=True):
            if sample.positions is not None:
                self.sampled.append(f"{name}: {len(sample.frame)} of {sample.rows} rows")
        columns, text = self.columns, text_columns(self.competition)
        if drawn[0].positions is not None:
            self.positions = drawn[0].positions.to_numpy()
            roles = {*columns.target, columns.id, columns.group, columns.time, columns.weight}
            there = [name for name in self.train.columns if name in roles]
            self.roles = read_columns(self.competition.raw / names[0], there, text)
        if drawn[1].positions is not None and self.test_id in self.test.columns:
            self.test_ids = read_columns(self.competition.raw / names[1], [self.test_id])
            self._drawn_test = drawn[1]
        self._leave_out()
        return True

    def _leave_out(self) -> None:
        """Take the rows without a target out of the tables, as training does."""
        target = self.columns.target
        if not set(target) <= set(self.roles.columns):
            return
        known = labelled(self.roles, target, self.settings.task)
        if known.all() or not known.any():
            return
        self.unlabelled = self._ids(self.roles.reset_index(drop=True), self.columns.id)[~known]
        self._numbers = np.flatnonzero(known)
        self.roles = self.roles[known].reset_index(drop=True)
        if self.positions is None:
            self.train = self.roles
            return
        drawn = known[self.positions]
        self.train = self.train[drawn].reset_index(drop=True)
        self.positions = np.searchsorted(self._numbers, self.positions[drawn])

    def _read_sample(self) -> bool:
        if not self.settings.files.sample_submission:
            return False  # the competition has none
        path = self.competition.raw / self.settings.files.sample_submission
        key = self.settings.submission.id
        self.sample = read_table(path, as_text=[key])
        if self._drawn_test is not None and key in self.sample.columns:
            ids = self.test_ids[self.test_id].astype("str")
            self.sample = of_the_same_rows(self.sample, key, self._drawn_test, ids)
        return True

    def _make_features(self) -> bool:
        if not self.has(["tables"]):
            return False
        train = self.train.drop(columns=self.train_only)
        data = data_digest(self.competition) + ("-sampled" if self.sampled else "")
        self.raw_X, self.raw_X_test = read_features(self.competition, train, self.test, data)
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
        gone = [missing_cells(self.roles[name], task.classes) for name in target]
        there = ~np.asarray(np.logical_or.reduce(gone), dtype=bool)
        known = np.flatnonzero(there | bool(task.separator))  # an empty cell has no label
        if len(known) == 0:
            return False
        ids = self.all_ids.to_numpy(dtype=np.str_)[known] if self.positions is None else _NO_IDS
        rows = self.roles.iloc[known]
        single = task.classes and not task.separator and len(target) == 1
        if single and not set(rows[target[0]].str.strip().unique()) <= set(task.classes):
            return False
        self.all_y = encode_target(rows, target, task.type, task.classes, ids, task.separator)
        if ":" not in task.metric:
            weight = read_weight(rows, self.columns)
            load_metric(task.metric, task.type).refuse(self.all_y, weight)
        self.known, self.y = known, self.all_y
        if self.positions is not None:
            places = np.searchsorted(known, self.positions)
            there = known[np.minimum(places, len(known) - 1)] == self.positions
            self.known, self.y = np.flatnonzero(there), self.all_y[places[there]]
        return True

    def _make_folds(self) -> bool:
        """Folds as `kit cv` would make them; not while ids or target stand in the way."""
        columns = self.columns
        if not self.has(["features", "target"]) or len(self.all_y) < len(self.roles):
            return False
        roles = {name for name in (columns.group, columns.time) if name}
        if not roles <= set(self.train.columns) or self.all_ids.duplicated().any():
            return False
        dataset = Dataset(
            X=self.X,
            X_test=self.X_test,
            y=self.all_y,
            ids=as_strings(self.all_ids),
            test_ids=self.test_row_ids.to_numpy(dtype=np.str_),
            groups=None if columns.group is None else self.roles[columns.group].to_numpy(),
            time=read_time(self.roles, columns.time),
            kinds=self.kinds,
            task=self.settings.task.type,
            classes=self.settings.task.classes,
            digests={},
        )
        self.folds = folds = load_folds(self.competition, dataset)
        self.folds_digest = folds.digest
        if self.positions is not None:
            purged = None if folds.purged is None else folds.purged[self.positions]
            ids, fold = self.row_ids, folds.fold[self.positions]
            self.folds = Folds(ids, fold, folds.forward, purged)
        return True


_NO_IDS = np.empty(0, dtype=np.str_)
