"""The competition's `features(df)`: run on train and test, checked, and kept if it was slow.

The function works row by row; `kit check` tells when it does not. What it made is cached under the
digests of data and code, so a slow one runs once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from kit.atomic import atomic_path
from kit.competition import Competition
from kit.errors import DataError, DiskFull, counted
from kit.kinds import some
from kit.usercode import UserCode, reported

SLOW_SECONDS = 2.0
"""Quicker features are made again each time: reading them back would not be faster."""


class NoFeatures(DataError):
    """All columns are ids, targets or dropped ones."""


def read_features(
    competition: Competition, train: pd.DataFrame, test: pd.DataFrame, data: str
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Feature columns of both files, after the competition's own `features(df)`.

    Args:
        competition: the competition.
        train: the train file as read.
        test: the test file as read.
        data: digest of the files; with that of the code it is the key of the cache.

    Raises:
        UserCodeError, DataError: see `apply_features`; or train and test get other columns.
    """
    code = UserCode(competition.root)
    function = code.features()
    if function is not None:
        seen = seen_columns(competition, train.columns)
        pair = tuple(frame[[c for c in seen if c in frame.columns]] for frame in (train, test))
        path = competition.cache / f"features-{data}-{len(train)}-{code.digest('features')}"
        train, test = _cached(
            path, lambda: [apply_features(function, competition, f) for f in pair]
        )
    names = feature_columns(competition, train.columns)
    absent = [c for c in names if c not in test.columns]
    if absent:
        raise DataError(f"features.py makes columns for train that test lacks: {absent[:5]}")
    return train[names], test[names]


def seen_columns(competition: Competition, names: Iterable[str]) -> list[str]:
    """What `features` may look at: ids too, never the target or what is dropped."""
    columns = competition.settings.columns
    return [name for name in names if name not in {*columns.target, *columns.drop}]


def feature_columns(competition: Competition, names: Iterable[str]) -> list[str]:
    """Those of the columns that models see.

    Raises:
        DataError: there is none.
    """
    columns = competition.settings.columns
    hidden = {*columns.target, *columns.drop, columns.group, columns.time, columns.id}
    hidden |= {columns.weight}
    hidden |= {columns.test_id} | {c for c, kind in columns.kinds.items() if kind == "id"}
    # a role does not forbid a use: a datetime id listed in `kinds` is a feature all the same
    hidden -= {c for c, kind in columns.kinds.items() if kind != "id" and c not in columns.target}
    kept = [name for name in names if name not in hidden]
    if not kept:
        raise NoFeatures("no feature column is left; look at columns.drop and columns.kinds")
    return kept


def apply_features(function: Any, competition: Competition, frame: pd.DataFrame) -> pd.DataFrame:
    """Run the user's `features` on a copy and check what comes back.

    Raises:
        UserCodeError: it raised.
        DataError: it returned something else than a frame with the same rows, a column twice, or
            complex numbers.
    """
    with reported(competition.root / "features.py"):
        result = function(frame.copy(deep=False))  # copied on write
    if not isinstance(result, pd.DataFrame) or not result.index.equals(frame.index):
        raise DataError(
            f"features(df) must return a frame with the same rows as df ({len(frame)}), however "
            f"it returned {_found(result, frame)}. Do not drop, sort or re-index rows."
        )
    result.columns = [str(name) for name in result.columns]
    twice = result.columns[result.columns.duplicated()]
    if len(twice):
        raise DataError(f"features(df) must return every column once; twice: {some(twice)}")
    odd = [name for name in result.columns if pd.api.types.is_complex_dtype(result[name])]
    if odd:
        raise DataError(
            f"features(df) must return real numbers, however these are complex: {some(odd)}.\n"
            "  Return their real part, or their absolute value."
        )
    return result


def _found(result: Any, frame: pd.DataFrame) -> str:
    """What `features` returned instead of the rows of `frame`."""
    if not isinstance(result, pd.DataFrame):
        return type(result).__name__
    if len(result) != len(frame):
        return counted(len(result), "row", "rows")
    same = set(result.index) == set(frame.index)
    return "them in another order" if same else "them under another index"


def _cached(path: Path, make: Callable[[], Sequence[pd.DataFrame]]) -> Sequence[pd.DataFrame]:
    """What `make` returns, from `<path>-0.parquet`, `<path>-1.parquet` where they are whole."""
    files = [path.with_name(f"{path.name}-{number}.parquet") for number in (0, 1)]
    with suppress(OSError, ValueError, pa.ArrowException):  # not there, or damaged: make it again
        return [pd.read_parquet(file) for file in files]
    started = time.perf_counter()
    frames = make()
    if time.perf_counter() - started > SLOW_SECONDS:
        # a full disk or a column parquet cannot hold must not cost the features themselves
        with suppress(DiskFull, ValueError, TypeError, pa.ArrowException):
            for file, frame in zip(files, frames, strict=True):
                with atomic_path(file) as temporary:
                    frame.to_parquet(temporary, compression="zstd")
    return frames
