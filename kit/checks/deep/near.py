"""Rows that are nearly equal: copies with noise, the same thing measured twice.

Distance is the largest difference in any column, in units of the column's usual spread; other
categories are far apart. By chance the number of neighbours grows with the distance, twofold per
doubling even on a line; copies are there at once. So rows count as copies only where about as many
have a neighbour within a small distance as within four times that.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import pairwise_distances_chunked

from kit.checks.deep.learning import floats, moments
from kit.checks.finding import Evidence
from kit.checks.material import Material
from kit.kinds import some

_NEAR = (0.02, 0.05)  # in units of the spread; one of them has to show it
_WORK = 500_000_000  # rows x rows x columns up to which all pairs are compared
_VALUES = 50_000_000  # rows x columns that are looked at
_CROWD, _COMPARED = 30.0, 4  # rows per cell; rows of a cell that are compared with the next ones
_EQUAL = 1e-6  # KIT101 to KIT103 know equal rows
_SHARE, _FEW = 0.01, 5  # of the rows asked, or so many; below it nothing is at stake
_STEEP = 0.5  # of the neighbours within four times the distance
_FAR = 10.0  # between two categories


@dataclass(frozen=True, kw_only=True, eq=False)
class _Pairs:
    """Nearest neighbours.

    Attributes:
        asked: positions whose neighbour was looked for.
        partner: position of the nearest row that is not equal.
        distance: to it.
    """

    asked: NDArray[np.int64]
    partner: NDArray[np.int64]
    distance: NDArray[np.float64]

    @cached_property
    def within(self) -> float:
        """The distance at which chance does not explain the neighbours; 0 where it does."""
        for distance in _NEAR:
            n_near, n_around = ((self.distance <= k * distance).sum() for k in (1, 4))
            if n_near >= max(_FEW, _SHARE * len(self.asked)) and n_near >= _STEEP * n_around:
                return distance
        return 0.0

    @property
    def near(self) -> NDArray[np.bool_]:
        """Which of the asked rows are copies."""
        return self.distance <= self.within


def within_train(m: Material) -> Iterator[Evidence]:
    """Rows of train that nearly equal another one."""
    pairs = _train_pairs(m)
    if pairs is None or not pairs.within:
        return
    ids = m.row_ids.iloc[pairs.asked[pairs.near]]
    yield Evidence(
        text=f"{int(pairs.near.sum())} of {len(pairs.asked)} rows nearly equal another one (within "
        f"{pairs.within:g} of each column's spread), first ids: {some(ids)}",
        remedy="copies in two folds let a model look answers up. Number what belongs together in a "
        'column and set [columns] group = "…" with a group splitter, or keep one of each',
    )


def contradicting(m: Material) -> Iterator[Evidence]:
    """Near-copies with different labels."""
    pairs = _train_pairs(m)
    if pairs is None or m.settings.task.type in ("regression", "multitarget"):
        return
    if not pairs.within:
        return
    labels = np.full((len(m.train), m.y[0].size), -1.0)  # of rows without a target
    labels[m.known] = m.y.reshape(len(m.y), -1)
    known = pairs.near & (labels[pairs.asked] >= 0).all(axis=1)
    known &= (labels[pairs.partner] >= 0).all(axis=1)
    a, b = pairs.asked[known], pairs.partner[known]
    differ = (labels[a] != labels[b]).any(axis=1)
    n_rows = int(differ.sum())
    if n_rows < max(_FEW, 0.1 * len(a)):
        return
    first = ", ".join(
        f"{m.row_ids.iloc[i]!r} and {m.row_ids.iloc[j]!r}"
        for i, j in list(zip(a[differ], b[differ], strict=True))[:3]
    )
    yield Evidence(
        text=f"{n_rows} of {len(a)} near-copies have another label than their copy, e.g. {first}",
        remedy="one of each pair is labelled wrong, or a column that tells them apart is missing: "
        "look at some; leave contradicting rows out of training if the labels are noisy",
    )


def across(m: Material) -> Iterator[Evidence]:
    """Rows of test that nearly equal a row of train."""
    values = _scaled(m)
    if values is None:
        return
    pairs = _neighbours(m, values[1], values[0], "near-copies across the files", same=False)
    if not pairs.within:
        return
    ids = m.test_row_ids.iloc[pairs.asked[pairs.near]]
    yield Evidence(
        text=f"{int(pairs.near.sum())} of {len(pairs.asked)} rows of test nearly equal a row of "
        f"train, first ids of test: {some(ids)}",
        remedy="what they have in common (a patient, a place, a session) is on both sides: find "
        "its column; if train holds such copies as well, folds must treat them as test does",
    )


def _train_pairs(m: Material) -> _Pairs | None:
    if "near" not in m.memory:
        values = _scaled(m)
        m.memory["near"] = (
            None
            if values is None
            else _neighbours(m, values[0], values[0], "near-copies within train", same=True)
        )
    pairs: _Pairs | None = m.memory["near"]
    return pairs


def _neighbours(
    m: Material, X: NDArray[np.float32], pool: NDArray[np.float32], what: str, *, same: bool
) -> _Pairs:
    """The nearest row of `pool` for rows of `X`; equal rows and the row itself do not count.

    All pairs are compared where that is quick; else rows that fall into the same cell of a grid.
    """
    most = _VALUES // X.shape[1]
    asked, rows = m.drawn(len(X), most, what), m.drawn(len(pool), most, f"{what}, partners")
    if len(asked) * len(rows) * X.shape[1] > _WORK:
        everything = pool[rows] if same else np.concatenate([X[asked], pool[rows]])
        partner, distance = _in_cells(everything, 0 if same else len(asked))
        partner, distance = partner[: len(asked)], distance[: len(asked)]
        partner = rows[partner if same else np.maximum(partner - len(asked), 0)]
        return _Pairs(asked=asked, partner=partner, distance=distance)
    parts = pairwise_distances_chunked(
        X[asked], pool[rows], reduce_func=_nearest, metric="chebyshev", working_memory=128
    )
    found = np.concatenate(list(parts))
    return _Pairs(asked=asked, partner=rows[found[:, 0].astype(np.int64)], distance=found[:, 1])


def _nearest(distances: NDArray[np.float64], start: int) -> NDArray[np.float64]:
    distances = np.where(distances <= _EQUAL, np.inf, distances)
    first = distances.argmin(axis=1)
    return np.column_stack([first, distances[np.arange(len(first)), first]])


def _in_cells(
    Z: NDArray[np.float32], n_first: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """For every row the nearest of a few rows in the same cell, and the distance (inf: none).

    The grid is made finer until cells hold few rows, and laid twice, as a pair may lie on both
    sides of a line (locality-sensitive hashing; Datar and others, 2004).

    Args:
        Z: rows. ``(n, d)``
        n_first: the first so many rows are looked for among the others only; 0: all among all.
    """
    rng, n = np.random.default_rng(0), len(Z)
    partner, nearest = np.zeros(n, dtype=np.int64), np.full(n, np.inf)
    is_first = np.arange(n) < n_first
    for _ in range(2):
        keys, width = _keys(Z, 1.0, rng), 1.0
        while _crowd(keys) > _CROWD and width > 2 * _NEAR[-1]:
            width /= 2
            keys = _keys(Z, width, rng)
        order = np.lexsort((Z[:, 0], keys))
        for step in range(1, _COMPARED + 1):
            a, b = order[:-step], order[step:]
            meet = keys[a] == keys[b]
            meet &= (is_first[a] != is_first[b]) if n_first else True
            a, b = a[meet], b[meet]
            distance = np.abs(Z[a] - Z[b]).max(axis=1, initial=0).astype(np.float64)
            distance[distance <= _EQUAL] = np.inf
            for here, there in ((a, b), (b, a)):  # every row is at most once in each
                closer = distance < nearest[here]
                nearest[here[closer]] = distance[closer]
                partner[here[closer]] = there[closer]
    return partner, nearest


def _keys(Z: NDArray[np.float32], width: float, rng: np.random.Generator) -> NDArray[np.uint64]:
    """A number per row, the same for rows in one cell of a grid."""
    keys = np.zeros(len(Z), dtype=np.uint64)
    factor = np.uint64(0x9E3779B97F4A7C15)
    for column in Z.T:
        cell = np.floor(column / np.float32(width) + np.float32(rng.random()))
        with np.errstate(over="ignore"):  # arithmetic modulo 2^64 is what is wanted
            keys = (keys ^ np.clip(cell, -1e9, 1e9).astype(np.int64).view(np.uint64)) * factor
            keys ^= keys >> np.uint64(29)
    return keys


def _crowd(keys: NDArray[np.uint64]) -> float:
    """How many rows share the cell of a row, on average."""
    counts = np.unique(keys, return_counts=True)[1].astype(np.float64)
    return float((counts**2).sum() / len(keys))


def _scaled(m: Material) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
    """Both files as numbers of comparable spread; None where no column is continuous."""
    if "scaled" not in m.memory:
        pairs = [
            pair
            for name, kind in m.kinds.items()
            if name not in m.id_like and (pair := _column(m, name, kind)) is not None
        ]
        continuous = [len(np.unique(a[:1000])) > 20 for a, _ in pairs]
        m.memory["scaled"] = (
            tuple(np.column_stack([pair[k] for pair in pairs]).astype(np.float32) for k in (0, 1))
            if sum(continuous) >= 2
            else None
        )
    made: tuple[NDArray[np.float32], NDArray[np.float32]] | None = m.memory["scaled"]
    return made


def _column(
    m: Material, name: str, kind: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    a, b = m.X[name], m.X_test[name]
    if kind == "category":
        return floats(a.cat.codes) * _FAR, floats(b.cat.codes) * _FAR
    if kind in ("text", "code"):
        both = pd.concat([a, b]).str.lower().str.replace(r"\W+", " ", regex=True)
        codes = pd.factorize(both)[0] * _FAR
        return codes[: len(a)], codes[len(a) :]
    if kind == "numeric":
        x, z = (floats(column) for column in (a, b))
    else:
        x, z = moments(a), moments(b)
    known = x[~np.isnan(x)]
    if len(known) == 0:
        return None
    spread = float(np.subtract(*np.quantile(known, [0.75, 0.25]))) / 1.35 or float(known.std())
    if spread == 0:
        return None
    middle = float(np.median(known))
    scaled = [np.where(np.isnan(v), -1e3, (v - middle) / spread) for v in (x, z)]
    return scaled[0], scaled[1]
