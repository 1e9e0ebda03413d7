"""The data of a competition as the engine wants it: features, target, ids, checked once.

Owns: reading train and test, turning the target into numbers, giving every column its kind, and
the digests that say what was read. Knows nothing of folds, metrics or models.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kit import mapped
from kit.atomic import sha256
from kit.competition import Competition
from kit.errors import ConfigError, DataError, counted, nearest
from kit.features import read_features
from kit.images.attach import Images, with_sources
from kit.joins import Joins
from kit.kinds import as_moments, assign_kinds, some, typed
from kit.large import lies_on_disk, read_stored
from kit.moments import datetime_format
from kit.series import SeriesSpec
from kit.settings import Columns, Kind, TaskType
from kit.tables import read_header, read_table
from kit.target import encode_target, told_of, with_target
from kit.usercode import UserCode

AS_TEXT: tuple[Kind, ...] = ("category", "text", "code", "datetime", "image", "id")


@dataclass(frozen=True, kw_only=True, eq=False)
class Dataset:
    """Everything a fold needs, in one row order.

    Attributes:
        X: features of the training rows; kinds as in `kinds`. Categories are pandas categoricals
            whose levels are only a spelling: what a model may know of them is fitted in the fold.
        X_test: the same columns for the test rows.
        y: the target as numbers, see Shape.
        ids, test_ids: row ids as strings.
        groups, time: the column named in `columns.group` / `columns.time`, or None.
        kinds: kind per feature column.
        task: the task's type.
        classes: labels by class code; for several outputs the target names.
        digests: ``{"data", "features"}``.
        weight: how much each training row counts, or None. ``(n_train,)``
        series: the `[series]` table, or None.
        time_column: name of the column of times, "" where there is none.
        encoder: folder of the sentence encoder; empty: the installed package's.
        cache: folder of what can be made again; None: nothing is kept.
        on_disk: whether the features lie in files (see `kit.large`).
        notes: what was wrong with the data and was survived, a sentence each.
        rows: where the training rows stand in the train file; None: they are all of its rows.

    Shape:
        `y` is ``(n_train,)`` int64 class codes for binary and multiclass, ``(n_train,)`` float64
        for regression, ``(n_train, n_targets)`` float64 for multilabel and multitarget.
    """

    X: pd.DataFrame
    X_test: pd.DataFrame
    y: NDArray[Any]
    ids: NDArray[np.str_]
    test_ids: NDArray[np.str_]
    groups: NDArray[Any] | None
    time: NDArray[Any] | None
    kinds: Mapping[str, Kind]
    task: TaskType
    classes: tuple[str, ...]
    digests: Mapping[str, str]
    weight: NDArray[np.float64] | None = None
    series: SeriesSpec | None = None
    time_column: str = ""
    encoder: str = ""
    cache: Path | None = None
    on_disk: bool = False
    notes: tuple[str, ...] = ()
    rows: NDArray[np.int64] | None = None

    @property
    def truth(self) -> NDArray[Any]:
        """What a metric scores against: `y`, or `y` and the weight of each row in two columns."""
        return self.y if self.weight is None else np.column_stack([self.y, self.weight])

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the prediction's columns: one for binary and regression."""
        return self.classes if self.task not in ("binary", "regression") else ("",)

    @classmethod
    def read(cls, competition: Competition) -> Dataset:
        """Read, check and type the files of a competition.

        Rows without a target are left out; where rows have no ids, the others keep their numbers.

        Raises:
            DataError: the files contradict `kit.toml`: a missing column, repeated or missing ids,
                no target at all or some of several, an unknown label, a target with one value.
            ConfigError: `kit.toml` names a column that no file has.
            UserCodeError: `features.py` failed.
        """
        columns, task = competition.settings.columns, competition.settings.task
        images, files = Images(competition), competition.settings.files
        on_disk = lies_on_disk(competition)
        if on_disk:
            names = _names(competition, files.train, files.test)
            _check_names(competition, *names)
            data = data_digest(competition, images)
            table = read_stored(competition, data, text_columns(competition))
            train, test, n_rows = table.train, table.test, table.n_rows
        else:
            train, test = read_raw(competition)  # says first what is missing
            names, n_rows = [list(train.columns), list(test.columns)], len(train)
            data = data_digest(competition, images)
            _check_names(competition, *names)
            train = with_target(train, columns.target, task)
        ids, rows = _ids(train, columns.id, files.train), train.index.to_numpy()
        train, test_ids = train.reset_index(drop=True), _test_ids(competition, test)
        y = encode_target(train, columns.target, task.type, task.classes, ids, task.separator)
        if on_disk:
            X, X_test, kinds = table.X, table.X_test, table.kinds
            _check_kinds(competition, [*names[0], *names[1], *X.columns])
            ids, test_ids = (mapped.on_disk(each, competition.cache) for each in (ids, test_ids))
        else:
            X, X_test = read_features(competition, train, test, data)
            X, X_test, kinds = _typed(competition, names, X, X_test, images)
        _check_series(competition, kinds)
        return cls(
            X=X,
            X_test=X_test,
            y=y,
            ids=ids,
            test_ids=test_ids,
            groups=None if columns.group is None else train[columns.group].to_numpy(),
            time=read_time(train, columns.time),
            kinds=kinds,
            task=task.type,
            classes=columns.target if len(columns.target) > 1 else task.classes,
            digests={
                "data": data,
                "features": images.features_digest(features_digest(competition)),
            },
            weight=read_weight(train, columns),
            series=competition.settings.series,
            time_column=columns.time or "",
            encoder=competition.encoder,
            cache=competition.cache,
            on_disk=on_disk,
            notes=(*told_of(n_rows - len(rows), n_rows, columns.target), *images.notes),
            rows=None if len(rows) == n_rows else rows,
        )


def read_raw(
    competition: Competition, read: Callable[..., pd.DataFrame] = read_table
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The train and test files with labels, ids and non-numeric columns as they are spelled.

    What other tables know of their rows is joined to them.

    Args:
        competition: the competition.
        read: what reads a file, as `read_table` does.
    """
    settings, text = competition.settings, text_columns(competition)
    train = with_sources(competition, read(competition.raw / settings.files.train, as_text=text))
    test = with_sources(competition, read(competition.raw / settings.files.test, as_text=text))
    for frame, name in ((train, settings.files.train), (test, settings.files.test)):
        if frame.empty:
            raise DataError(f"{competition.raw / name} has a header but no rows")
    joins = Joins(competition, text)
    return joins.join(train), joins.join(test)


def text_columns(competition: Competition) -> set[str]:
    """Columns that stay as they are spelled."""
    columns = competition.settings.columns
    text = {name for name, kind in columns.kinds.items() if kind in AS_TEXT}
    text |= {columns.id, columns.test_id or columns.id}
    text |= {columns.time} if columns.time else set()
    if competition.settings.task.type not in ("regression", "multitarget"):
        text |= set(columns.target)
    return text


def _typed(
    competition: Competition,
    names: Sequence[Sequence[str]],
    X: pd.DataFrame,
    X_test: pd.DataFrame,
    images: Images,
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Kind]]:
    """Features of a table in memory as their kinds want them, and these."""
    X, X_test = images.attach(X, "train"), images.attach(X_test, "test")
    _check_kinds(competition, [*names[0], *names[1], *X.columns])
    kinds = assign_kinds(X, competition.settings.columns.kinds)
    return *typed(X, X_test, kinds), kinds


def _names(competition: Competition, *files: str) -> list[list[str]]:
    """Columns of files that lie on the disk, with those that are joined."""
    made = Joins(competition, text_columns(competition)).names
    headers = [read_header(competition.raw / file) for file in files]
    return [[*(name.strip() for name in header), *made] for header in headers]


def _check_names(competition: Competition, train: Sequence[str], test: Sequence[str]) -> None:
    settings, columns = competition.settings, competition.settings.columns
    everywhere = [*train, *test]
    for role, names in (
        ("target", columns.target),
        ("id", (columns.id,) if columns.id else ()),
        ("group", (columns.group,) if columns.group else ()),
        ("time", (columns.time,) if columns.time else ()),
        ("weight", (columns.weight,) if columns.weight else ()),
    ):
        for name in names:
            if name not in train:
                key, file = f"columns.{role}", settings.files.train
                raise ConfigError(
                    f"{competition.origin(key)}: {key} {name!r} is not in {file}. "
                    f"{nearest(name, train)}"
                )
    for name in columns.drop:
        if name not in everywhere:
            known = nearest(name, set(everywhere))
            place = competition.origin("columns.drop")
            raise ConfigError(f"{place}: columns.drop: no {name!r}. {known}")
    used = [c for c in train if c not in {*columns.target, *columns.drop, columns.id}]
    ignored = {columns.group, columns.time, columns.test_id, columns.weight}
    absent = [c for c in used if c not in test and c not in ignored]
    if absent:
        path = competition.root / "kit.toml"
        raise DataError(
            f"{settings.files.test} lacks columns that {settings.files.train} has: {absent[:5]}.\n"
            f"  A model cannot use them: list them in columns.drop of {path}."
        )


def _check_series(competition: Competition, kinds: Mapping[str, Kind]) -> None:
    """The columns that `[series]` needs are features of a kind it can use."""
    spec, columns = competition.settings.series, competition.settings.columns
    if spec is None:
        return
    wanted: list[tuple[str, str, tuple[Kind, ...]]] = [
        ("columns.time", columns.time or "", ("datetime", "numeric")),
        *(("series.id", name, ("category", "numeric", "code", "text")) for name in spec.id),
        *(("series.pooled", name, ("category", "numeric", "code", "text")) for name in spec.pooled),
        *(("series.covariates", name, ("numeric",)) for name in spec.covariates),
    ]
    for key, name, fitting in wanted:
        if kinds.get(name) not in fitting:
            found = f"of the kind {kinds[name]!r}" if name in kinds else "no feature"
            raise ConfigError(
                f"{competition.origin(key)}: [series] needs {key} {name!r} as a feature of the "
                f"kind {' or '.join(map(repr, fitting))}, however it is {found}.\n"
                f'  Give it a kind: [columns.kinds] {name} = "{fitting[0]}".'
            )


def _check_kinds(competition: Competition, known: Sequence[str]) -> None:
    """Every column of `[columns.kinds]` is in a file or made by `features.py`."""
    for name in competition.settings.columns.kinds:
        if name not in known:
            raise ConfigError(
                f"{competition.origin(f'columns.kinds.{name}')}: columns.kinds: no {name!r}. "
                f"{nearest(name, set(known))}"
            )


def _ids(frame: pd.DataFrame, name: str, file: str) -> NDArray[np.str_]:
    """Ids as strings ``(n,)``; without an id column the index: numbers of rows in the file."""
    if not name:
        numbers = frame.index.to_numpy()
        return numbers.astype(f"U{len(str(max(0, *numbers[-1:])))}")
    values = frame[name]
    if values.isna().any():
        n_rows = counted(int(values.isna().sum()), "row", "rows")
        raise DataError(f"{file}: the id column {name!r} is empty in {n_rows}")
    ids = values.astype("str").str.strip()
    twice = ids[ids.duplicated()]
    if len(twice):
        rows = counted(len(twice), "row repeats", "rows repeat")
        raise DataError(
            f"{file}: ids must be unique, however {rows} an id in {name!r}, "
            f"first: {some(twice.unique())}.\n"
            '  Name another id column, or set columns.id = "" to number the rows.'
        )
    return as_strings(ids)


def as_strings(values: pd.Series) -> NDArray[np.str_]:
    """Strings as an array; of many not all are Python objects at a time."""
    width = max(1, int(values.str.len().max())) if len(values) else 1
    array = np.empty(len(values), dtype=f"U{width}")
    for start in range(0, len(values), mapped.BLOCK):
        part = values.iloc[start : start + mapped.BLOCK]
        array[start : start + mapped.BLOCK] = part.to_numpy(dtype=object)
    return array


def _test_ids(competition: Competition, test: pd.DataFrame) -> NDArray[np.str_]:
    settings, columns = competition.settings, competition.settings.columns
    name = columns.id if columns.test_id is None else columns.test_id
    if name:
        if name not in test.columns:
            raise ConfigError(
                f"{competition.root / 'kit.toml'}: the id column {name!r} is not in "
                f"{settings.files.test}; set columns.test_id. {nearest(name, test.columns)}"
            )
        return _ids(test, name, settings.files.test)
    sample = competition.raw / settings.files.sample_submission
    ids = read_table(sample, as_text=[settings.submission.id])
    named = settings.submission.id in ("", *ids.columns)
    if not named or len(ids) != len(test):
        raise DataError(
            f"{settings.files.test} has no id column, so its {len(test)} rows must be those of "
            f"{sample.name}, however that has {len(ids)} rows (id {settings.submission.id!r})"
        )
    return _ids(ids, settings.submission.id, sample.name)


def read_weight(train: pd.DataFrame, columns: Columns) -> NDArray[np.float64] | None:
    """How much rows count ``(n,)``, None where they all count the same.

    Raises:
        DataError: a value is no number of 0 or more, or `columns.weights` does not list it.
    """
    name, known = columns.weight, {k.casefold(): v for k, v in columns.weights.items()}
    if name is None:
        return None
    cells = train[name]
    if known:
        words = cells.astype("str").str.strip().str.casefold()
        cells = words.map(known)
        strange = sorted(set(train[name][cells.isna()].astype("str")))
        if strange:
            raise DataError(
                f"columns.weights must say how much each value of {name!r} counts. Missing: "
                f"{', '.join(map(repr, strange[:3]))}"
            )
    values = pd.to_numeric(cells, errors="coerce").to_numpy(dtype=np.float64)
    bad = ~np.isfinite(values) | (values < 0)
    if bad.any() or not values.any():
        what = f"{int(bad.sum())} are not" if bad.any() else "all are 0"
        raise DataError(
            f"columns.weight {name!r} must hold numbers of 0 or more; {what}.\n  For words: "
            'columns.weights = { "True" = 5, "False" = 1 }'
        )
    return values


def read_time(train: pd.DataFrame, name: str | None) -> NDArray[Any] | None:
    """The time column as sortable values: dates where it has a date format, else numbers."""
    if name is None:
        return None
    column = train[name]
    if datetime_format(column.astype("str")) is None:
        numbers = pd.to_numeric(column, errors="coerce")
        if numbers.notna().all():
            return numbers.to_numpy()
    moments = as_moments(column)
    if moments.isna().any():
        n_rows = counted(int(moments.isna().sum()), "row", "rows")
        raise DataError(f"columns.time {name!r} is missing in {n_rows}")
    return moments.to_numpy()


def features_digest(competition: Competition) -> str:
    """Hash of all that decides what features are made: `features.py`, and the `[series]` table."""
    code = UserCode(competition.root).digest("features")
    series = competition.table.get("series")
    if series is None:
        return code
    text = json.dumps([code, series], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def data_digest(competition: Competition, images: Images | None = None) -> str:
    """Hash of all files and images that are read, and of all that decides how."""
    settings = competition.settings
    parts = [
        sha256(competition.raw / settings.files.train),
        sha256(competition.raw / settings.files.test),
        json.dumps(competition.table.get("columns", {}), sort_keys=True),
        json.dumps([settings.task.type, *settings.task.classes]),
    ]
    parts += filter(None, [(images or Images(competition)).data_digest()])
    parts += filter(None, [Joins(competition).digest()])
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
