"""The rows of all folds as the batched networks get them: all at once, or read when they are due.

In memory every fold's rows lie in one array on the device, and a step takes its batch from there.
Of a table on the disk each call gets the rows of its own steps, encoded just before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kit.mapped import is_on_disk
from kit.models.base import Rows as LabelledRows
from kit.models.neural.batches import in_stretches
from kit.models.neural.tables import Encoder, stacked

Encode = Callable[[NDArray[Any]], NDArray[np.float32]]
"""A target as a network is trained on it: ``(n,)`` or ``(n, k)`` in, ``(n, n_scores)`` out."""

Part = tuple[NDArray[np.float32], NDArray[np.int32]]
"""Numbers ``(folds, rows, width)`` and level numbers ``(folds, rows, embedded)``."""

BLOCK = 100_000
"""Rows whose numbers are in memory at a time where they are predicted."""

_FIRST = 100_000  # rows of a fold that first weights and bins are made from


class Fed(Protocol):
    """Rows of all folds, to learn from or to stop on."""

    @property
    def n(self) -> tuple[int, ...]:
        """Rows per fold."""

    def first(self, fold: int) -> Part:
        """Rows of a fold that its first weights follow from, without the axis of folds."""

    def order(self, fold: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Numbers of a fold's rows in a random order."""

    def data(
        self, rows: NDArray[np.int64], folds: NDArray[np.int64]
    ) -> tuple[Sequence[Any], NDArray[np.int64]]:
        """X, codes, target and weight as tensors; where in them some rows are.

        Args:
            rows: of the networks, ``(networks, k)``, numbered by fold.
            folds: of the networks.
        """

    def parts(self) -> Iterator[Part]:
        """All rows in order; folds that are shorter than others are padded."""


def fed(
    encoders: Sequence[Encoder],
    rows: Sequence[LabelledRows],
    encode: Sequence[Encode] | None = None,
    weights: Sequence[NDArray[np.float64] | None] = (),
) -> Fed:
    """Rows of every fold.

    Args:
        encoders: of every fold.
        rows: frame and target of every fold.
        encode: makes of the target what is learned; None: rows to stop on.
        weights: of the rows to learn from, by fold; None: all the same.
    """
    frames = [X for X, _ in rows]
    if is_on_disk(frames[0]):
        return Stored(encoders, frames, [y for _, y in rows], encode, weights)
    pairs = list(zip(encoders, frames, strict=True))
    target = weight = None
    if encode is not None:
        target = stacked([make(y) for make, (_, y) in zip(encode, rows, strict=True)])
        heavy = [_heavy(w, len(X)) for w, X in zip(weights, frames, strict=True)]
        weight = stacked(heavy).astype(np.float32)
    return Held(
        X=stacked([encoder.values(frame) for encoder, frame in pairs]),
        codes=stacked([encoder.codes(frame) for encoder, frame in pairs]),
        n=tuple(map(len, frames)),
        target=target,
        weight=weight,
    )


@dataclass(frozen=True, kw_only=True)
class Held:
    """Rows in memory, padded to the same number. ``X`` (folds, rows, width); see `stacked`.

    Rows to learn from have a target ``(folds, rows, n_scores)`` and a weight ``(folds, rows, 1)``.
    """

    X: NDArray[np.float32]
    codes: NDArray[np.int32]
    n: tuple[int, ...]
    target: NDArray[np.float32] | None = None
    weight: NDArray[np.float32] | None = None

    def first(self, fold: int) -> Part:
        """All rows of the fold."""
        n = self.n[fold]
        return self.X[fold, :n], self.codes[fold, :n]

    def order(self, fold: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Any order is as likely as any other."""
        return rng.permutation(self.n[fold])

    def data(
        self, rows: NDArray[np.int64], folds: NDArray[np.int64]
    ) -> tuple[Sequence[Any], NDArray[np.int64]]:
        """The same tensors every time."""
        return self._tensors, rows + folds[:, None] * self.X.shape[1]

    def parts(self) -> Iterator[Part]:
        """One part."""
        yield self.X, self.codes

    @cached_property
    def _tensors(self) -> list[Any]:
        """The rows of all folds one after the other."""
        from keras import ops

        if self.target is None or self.weight is None:
            raise ValueError("training rows have a target and a weight")
        n = self.X.shape[0] * self.X.shape[1]
        parts = (self.X, self.codes, self.target, self.weight)
        return [ops.convert_to_tensor(part.reshape(n, part.shape[2])) for part in parts]


class Stored:
    """Rows on the disk; see `fed`."""

    def __init__(
        self,
        encoders: Sequence[Encoder],
        frames: Sequence[pd.DataFrame],
        targets: Sequence[NDArray[Any]],
        encode: Sequence[Encode] | None,
        weights: Sequence[NDArray[np.float64] | None],
    ) -> None:
        self.n = tuple(map(len, frames))
        self._encoders, self._frames, self._targets = encoders, frames, targets
        self._encode, self._weights = encode, weights

    def first(self, fold: int) -> Part:
        """All rows of the fold, or some at random."""
        n = self.n[fold]
        rows = np.arange(n)
        if n > _FIRST:
            rows = np.unique(np.random.default_rng(fold).integers(0, n, _FIRST))
        return self._read(fold, rows)

    def order(self, fold: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Rows that come soon after one another lie near one another."""
        return in_stretches(self.n[fold], rng)

    def data(
        self, rows: NDArray[np.int64], folds: NDArray[np.int64]
    ) -> tuple[Sequence[Any], NDArray[np.int64]]:
        """The rows themselves, one network's after the other's."""
        from keras import ops

        if self._encode is None:
            raise ValueError("training rows have a target and a weight")
        read = []
        for fold, some in zip(map(int, folds), rows, strict=True):
            target, given = self._encode[fold](self._targets[fold][some]), self._weights[fold]
            weight = _heavy(None if given is None else given[some], len(some))
            read.append((*self._read(fold, some), target, weight.astype(np.float32)))
        tensors = [
            ops.convert_to_tensor(np.concatenate(parts)) for parts in zip(*read, strict=True)
        ]
        return tensors, np.arange(rows.size).reshape(rows.shape)

    def parts(self) -> Iterator[Part]:
        """A block of every fold at a time."""
        size = max(1, BLOCK // len(self.n))
        for start in range(0, max(self.n), size):
            read = [
                self._read(fold, np.arange(min(n, start), min(n, start + size)))
                for fold, n in enumerate(self.n)
            ]
            yield stacked([X for X, _ in read]), stacked([codes for _, codes in read])

    def _read(self, fold: int, rows: NDArray[np.int64]) -> Part:
        frame, encoder = self._frames[fold].iloc[rows], self._encoders[fold]
        return encoder.values(frame), encoder.codes(frame)


def _heavy(weight: NDArray[np.float64] | None, n: int) -> NDArray[np.float64]:
    return np.ones((n, 1)) if weight is None else weight[:, None]
