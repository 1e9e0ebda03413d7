"""Layers of batched networks as functions of tensors: the first axis counts networks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def dropout(x: Any, noise: Any, drop: Any) -> Any:
    """Silence values whose noise is below `drop`, and raise the others to keep the mean.

    Args:
        x: ``(networks, ..., rows, width)``.
        noise: uint8, of the shape of `x` without networks: all networks share the mask.
        drop: 0 to 256.
    """
    from keras import ops

    kept = ops.cast(ops.cast(noise, "float32") >= drop, "float32")
    return x * (kept * (256.0 / (256.0 - drop)))


def looked_up(table: Any, codes: Any) -> Any:
    """Rows of each network's own table. ``(networks, levels, d)``, ``(networks | 1, rows)``."""
    from keras import ops

    networks, levels, width = table.shape
    offsets = np.arange(networks, dtype=np.int32)[:, None] * levels
    return ops.take(ops.reshape(table, (networks * levels, width)), codes + offsets, axis=0)


def embedded(weights: Any, sizes: Sequence[int], codes: Any) -> list[Any]:
    """Every categorical column by its table ``levels_<i>``: ``(networks, rows, d)`` each."""
    return [looked_up(weights[f"levels_{i}"], codes[..., i]) for i in range(len(sizes))]


def periodic(weights: Any, x: Any) -> Any:
    """PBLD: a linear map of cosines of each number, beside the number itself.

    Args:
        weights: ``waves``, ``shifts`` ``(networks, d, 1, frequencies)``, ``mix``
            ``(networks, d, frequencies, k)`` and ``mix_bias`` ``(networks, d, 1, k)``.
        x: ``(networks | 1, rows, d)``.

    Returns:
        ``(networks, rows, d * k + d)``

    Source:
        "Better by default" (RealMLP), 2024; periodic embeddings: Gorishniy et al., 2022.
    """
    from keras import ops

    column = ops.expand_dims(ops.swapaxes(x, 1, 2), -1)
    angles = 2 * np.pi * column * weights["waves"] + weights["shifts"]
    mixed = ops.matmul(ops.cos(angles), weights["mix"]) + weights["mix_bias"]
    networks, d, _, k = weights["mix_bias"].shape
    flat = ops.reshape(ops.transpose(mixed, (0, 2, 1, 3)), (networks, -1, d * k))
    return ops.concatenate([flat, spread(x, networks)], axis=-1)


def spread(x: Any, networks: int) -> Any:
    """The same rows for every network, where they are given once."""
    from keras import ops

    return ops.broadcast_to(x, (networks, *x.shape[1:])) if x.shape[0] != networks else x


def uniform(rng: np.random.Generator, bound: float, *shape: int) -> NDArray[np.float32]:
    """Between -`bound` and `bound`."""
    return rng.uniform(-bound, bound, shape).astype(np.float32)


def normal(rng: np.random.Generator, deviation: float, *shape: int) -> NDArray[np.float32]:
    """Around zero."""
    return (deviation * rng.standard_normal(shape)).astype(np.float32)
