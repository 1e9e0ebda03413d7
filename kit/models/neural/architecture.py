"""What a batched network is, apart from how it is trained, and how its outputs are averaged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from kit.models.base import Problem
from kit.models.neural.backend import compiled
from kit.models.neural.optimizer import Group
from kit.models.neural.targets import activated

Weights = dict[str, NDArray[np.float32]]

_BLOCK_VALUES = 20_000_000  # largest intermediate result when predicting


class Architecture(Protocol):
    """What a network is, apart from how it is trained."""

    groups: Mapping[str, Group]
    row_values: int
    """Values per row in the widest layer, all heads together."""

    def initial(
        self, rng: np.random.Generator, X: NDArray[np.float32], codes: NDArray[np.int32]
    ) -> Weights:
        """First weights of one network, from its fold's training rows."""

    def noise_shape(self, rows: int) -> tuple[int, ...]:
        """Shape of the uint8 noise that one step's dropout needs."""

    def forward(
        self, weights: Mapping[str, Any], X: Any, codes: Any, noise: Any = None, drop: Any = None
    ) -> Any:
        """Raw outputs ``(networks, heads, rows, n_scores)``.

        Args:
            weights: tensors with a leading axis of networks.
            X: ``(networks, rows, width)``, or 1 in place of networks.
            codes: ``(networks, rows, embedded)`` likewise.
            noise: uint8 of `noise_shape`, the same for all networks; None: no dropout.
            drop: a value is dropped where its noise is below this; 256 would be all.
        """


class Predictor:
    """Activated outputs of all folds' networks, mean over heads and members.

    Args:
        network: the architecture.
        problem: decides what outputs mean.
        names: of the parameters.
        folds: how many.
        members: networks per fold.
        compile: not worth it for a single prediction.
    """

    def __init__(
        self,
        network: Architecture,
        problem: Problem,
        names: Sequence[str],
        *,
        folds: int,
        members: int,
        compile: bool = True,
    ) -> None:
        from keras import ops

        def forward(weights: Any, X: Any, codes: Any) -> Any:
            named = dict(zip(names, weights, strict=True))
            if members > 1:
                X, codes = ops.repeat(X, members, axis=0), ops.repeat(codes, members, axis=0)
            outputs = ops.mean(activated(network.forward(named, X, codes), problem), axis=1)
            return ops.mean(ops.reshape(outputs, (folds, members, *outputs.shape[1:])), axis=1)

        self._forward = compiled(forward, xla=False) if compile else forward
        self._compiled = compile
        self._block = max(64, _BLOCK_VALUES // (network.row_values * folds * members))

    def __call__(
        self, weights: Any, X: NDArray[np.float32], codes: NDArray[np.int32]
    ) -> NDArray[np.float32]:
        """Outputs ``(folds, rows, n_scores)`` of rows ``(folds, rows, width)``."""
        from keras import ops

        rows = X.shape[1]
        weights = [ops.convert_to_tensor(weight) for weight in weights]
        blocks = -(-rows // self._block)
        size = -(-rows // max(blocks, 1))
        parts = []
        for start in range(0, rows, max(size, 1)):
            part = X[:, start : start + size], codes[:, start : start + size]
            missing = size - part[0].shape[1]
            if missing and self._compiled:  # one shape, compiled once
                part = tuple(np.pad(p, ((0, 0), (0, missing), (0, 0))) for p in part)  # type: ignore[assignment]
            outputs = self._forward(weights, *[ops.convert_to_tensor(p) for p in part])
            parts.append(ops.convert_to_numpy(outputs)[:, : size - missing])
        return np.concatenate(parts, axis=1)
