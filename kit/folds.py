"""Folds: which training row is validated in which fold.

Owns: the fold file that a team shares, its digest, and aligning it by id. How folds are made is
the matter of `kit.splitters`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from kit.atomic import atomic_path
from kit.errors import DataError
from kit.mapped import BLOCK
from kit.settings import MAX_FOLDS

FoldArray = NDArray[np.int8]
Purged = NDArray[np.bool_]

_FORMAT = "kit.folds/1"

SEALED = -2
"""In place of a fold: a row of the sealed holdout, which nothing learns from or is chosen by."""
NEAR_SEALED = -3
"""In place of a fold: a row too near a sealed one in time, or of its group. No fold's model learns
from it and no fold is scored on it; `kit fit` learns from it as from the sealed rows."""


@dataclass(frozen=True, eq=False)
class Folds:
    """One fold number per training row.

    Attributes:
        ids: training ids as strings, in dataset order; anything array-like is taken.
        fold: fold of the row, -1: never validated, -2 (`SEALED`): of the sealed holdout, -3
            (`NEAR_SEALED`): too near to that. ``(n,)`` int8, read-only.
        forward: fold k trains on rows with a lower fold number only (time order); otherwise on
            all rows that are not of fold k. Rows of fold -1 are training rows either way, sealed
            ones and those near them never.
        purged: rows that fold k must not train on although they are in another fold: those too
            near in time, or of a group that it validates. ``(n, n_splits)`` bool; None: no row.

    Raises:
        DataError: lengths differ, or ids are missing or repeated.
    """

    ids: pd.Series[Any]
    fold: FoldArray
    forward: bool = False
    purged: Purged | None = None

    def __post_init__(self) -> None:
        ids = text_ids(self.ids)
        fold = np.asarray(self.fold)
        if fold.shape != (len(ids),) or fold.dtype.kind not in "iu":
            raise DataError(
                f"folds: one whole number per id is expected; {len(ids)} ids, but folds are "
                f"{fold.dtype} of shape {fold.shape}"
            )
        if len(fold) and not NEAR_SEALED <= fold.min() <= fold.max() < MAX_FOLDS:
            raise DataError(
                f"folds must be {NEAR_SEALED}..{MAX_FOLDS - 1}: {fold.min()}..{fold.max()}"
            )
        if ids.isna().any():
            raise DataError(f"folds: ids must not be missing; {int(ids.isna().sum())} are")
        if ids.duplicated().any():
            twice = ids[ids.duplicated()].unique().tolist()
            raise DataError(f"folds: ids must differ; {len(twice)} repeat, first: {twice[:3]}")
        object.__setattr__(self, "ids", ids)
        fold = fold.astype(np.int8)
        fold.flags.writeable = False  # the digest is computed once
        object.__setattr__(self, "fold", fold)
        if self.purged is not None:
            purged = np.asarray(self.purged, dtype=bool)
            if purged.shape != (len(ids), self.n_splits):
                raise DataError(
                    f"folds: purged must be of shape {(len(ids), self.n_splits)}, rows and folds. "
                    f"Received: {purged.shape}"
                )
            purged.flags.writeable = False
            object.__setattr__(self, "purged", purged if purged.any() else None)

    @property
    def n_splits(self) -> int:
        """Number of folds."""
        return int(self.fold.max(initial=-1)) + 1

    @cached_property
    def digest(self) -> str:
        """16 hex digits over ids, folds and `forward`; the order of rows does not matter."""
        order = self.ids.sort_values().index.to_numpy()
        state = hashlib.sha256(f"{_FORMAT} forward={self.forward}\0".encode())
        for start in range(0, len(order), BLOCK):
            part = self.ids.iloc[order[start : start + BLOCK]].to_numpy(dtype=object)
            state.update(("\0" * (start > 0) + "\0".join(part)).encode())
        state.update(b"\0" + self.fold[order].tobytes())
        if self.purged is not None:
            state.update(b"\0" + np.packbits(self.purged[order], axis=1).tobytes())
        return state.hexdigest()[:16]

    def train(self, k: int) -> NDArray[np.int64]:
        """Positions of the rows that fold `k` trains on.

        Of a fold after the last one: all rows but the sealed ones and those near them.
        """
        kept = (self.fold < k if self.forward else self.fold != k) & (self.fold > SEALED)
        if self.purged is not None and k < self.n_splits:
            kept &= ~self.purged[:, k]
        return np.flatnonzero(kept)

    def valid(self, k: int) -> NDArray[np.int64]:
        """Positions of the rows that fold `k` is scored on."""
        return np.flatnonzero(self.fold == k)

    @cached_property
    def weights(self) -> NDArray[np.float64] | None:
        """How much a fold says of a fit on all rows, at most 1; None: all the same.

        Where folds go forward a model of an early one has learned from few rows: the square of its
        share of all. Measured on six panels, see ARCHITECTURE.

        Shape:
            ``(n_splits,)``
        """
        if not self.forward:
            return None
        learned = np.array([len(self.train(k)) for k in range(self.n_splits)], dtype=np.float64)
        return np.asarray((learned / max(1.0, learned.max(initial=0.0))) ** 2)

    @property
    def sealed(self) -> NDArray[np.int64]:
        """Positions of the sealed rows; empty without `cv.holdout`."""
        return np.flatnonzero(self.fold == SEALED)

    @property
    def near_sealed(self) -> NDArray[np.int64]:
        """Positions of the rows that are left out of all folds for being too near the sealed."""
        return np.flatnonzero(self.fold == NEAR_SEALED)

    def reindex(self, ids: Sequence[Any] | NDArray[Any] | pd.Series[Any]) -> Folds:
        """The same folds in the row order of `ids`.

        Raises:
            DataError: the two sets of ids differ.
        """
        wanted = pd.Index(pd.Series(np.asarray(ids)).astype("str"))
        mine = pd.Index(self.ids)
        missing, extra = wanted.difference(mine), mine.difference(wanted)
        if len(missing) or len(extra):
            parts = [
                f"{len(found)} {what}, first: {list(found[:3])}"
                for what, found in (
                    ("ids of the data are not in the folds", missing),
                    ("ids of the folds are not in the data", extra),
                )
                if len(found)
            ]
            raise DataError(
                f"folds and data must have the same ids; {'; '.join(parts)}.\n"
                "  Both sides must use the same training file."
            )
        rows = mine.get_indexer(wanted)
        purged = None if self.purged is None else self.purged[rows]
        return Folds(wanted.to_series(), self.fold[rows], self.forward, purged)

    def save(self, path: Path) -> None:
        """Write a parquet file (zstd), atomically.

        Columns id, fold, and one `purged_<fold>` per fold where rows are purged; the digest stands
        in its metadata.
        """
        purged = () if self.purged is None else self.purged.T
        columns = {f"purged_{k}": pa.array(rows) for k, rows in enumerate(purged)}
        table = pa.table({"id": pa.array(self.ids, pa.string()), "fold": self.fold, **columns})
        facts = {"format": _FORMAT, "digest": self.digest, "forward": str(self.forward).lower()}
        with atomic_path(path) as temporary:
            pq.write_table(table.replace_schema_metadata(facts), temporary, compression="zstd")

    @classmethod
    def load(cls, path: Path) -> Folds:
        """Read what `save` wrote.

        Raises:
            DataError: there is no such file, or it is not as kit wrote it.
        """
        if not path.is_file():
            raise DataError(f"{path} does not exist")
        try:
            table = pq.read_table(path)
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"{path} is not a readable parquet file: {error}") from error
        facts = {k.decode(): v.decode() for k, v in (table.schema.metadata or {}).items()}
        if facts.get("format") != _FORMAT or not {"id", "fold"} <= set(table.column_names):
            raise DataError(
                f"{path} was not written by kit (no digest of its folds inside), or was saved "
                "again by another program.\n  Ask for the original file."
            )
        ids, fold = table["id"].to_pandas(), table["fold"].to_numpy()
        names = [name for name in table.column_names if name.startswith("purged_")]
        purged = np.column_stack([table[name].to_numpy() for name in names]) if names else None
        folds = cls(ids.astype("str"), fold, facts.get("forward") == "true", purged)
        if folds.digest != facts.get("digest"):
            raise DataError(
                f"{path} was changed after kit wrote it: the digest inside is "
                f"{facts.get('digest')!r}, its rows give {folds.digest!r}.\n"
                "  Ask for the original file, or make new folds."
            )
        return folds


def text_ids(ids: Any) -> pd.Series[Any]:
    """Ids as a column of strings; of many not all are Python objects at a time."""
    if isinstance(getattr(ids, "dtype", None), pd.StringDtype):
        return pd.Series(ids, dtype="str").reset_index(drop=True).rename("id")
    values = np.asarray(ids)
    starts = range(0, max(1, len(values)), BLOCK)
    parts = [pd.Series(values[start : start + BLOCK]).astype("str") for start in starts]
    return pd.concat(parts, ignore_index=True).rename("id")
