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
    offsets = ops.expand_dims(ops.arange(networks, dtype="int32") * levels, 1)
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


def bins(numbers: NDArray[np.float32], pieces: int) -> dict[str, NDArray[np.float32]]:
    """What `bent` must know of the training rows: pieces between their quantiles.

    A piece maps its number to ``clip(number * slope + shift, low, high)``: 0 before it, 1 behind
    it. The first has no lower end and the last no upper one; what a column has too few different
    values for is zero.

    Args:
        numbers: ``(n, d)``.
        pieces: per column at most.

    Returns:
        ``bin_slope``, ``bin_shift``, ``bin_low``, ``bin_high``, each ``(d, 1, pieces)``.
    """
    d, open_end = numbers.shape[1], 1e9
    slope, shift = np.zeros((d, 1, pieces)), np.zeros((d, 1, pieces))
    low, high = np.zeros((d, 1, pieces)), np.ones((d, 1, pieces))
    wanted = min(pieces, max(1, len(numbers) - 1))
    for column, values in enumerate(np.asarray(numbers, dtype=np.float64).T):
        edges = np.unique(np.quantile(values, np.linspace(0, 1, wanted + 1)).astype(np.float32))
        count = len(edges) - 1
        if count < 1:
            continue
        width = np.diff(edges.astype(np.float64))
        slope[column, 0, :count] = 1 / width
        shift[column, 0, :count] = -edges[:-1] / width
        low[column, 0, 0], high[column, 0, count - 1] = -open_end, open_end
    named = {"slope": slope, "shift": shift, "low": low, "high": high}
    return {f"bin_{name}": value.astype(np.float32) for name, value in named.items()}


def bent(weights: Any, x: Any) -> Any:
    """Piecewise-linear embedding: each number on a line, and on learned bends between quantiles.

    Args:
        weights: of `bins`, ``line`` and ``line_bias`` ``(networks, d, 1, k)``, ``pieces``
            ``(networks, d, pieces, k)``.
        x: ``(networks | 1, rows, d)``.

    Returns:
        ``(networks, rows, d * k)``

    Source:
        Gorishniy et al., "On Embeddings for Numerical Features" (2022), version B.
    """
    from keras import ops

    column = ops.expand_dims(ops.swapaxes(x, 1, 2), -1)
    places = column * weights["bin_slope"] + weights["bin_shift"]
    places = ops.minimum(ops.maximum(places, weights["bin_low"]), weights["bin_high"])
    y = ops.matmul(places, weights["pieces"])
    y = y + column * weights["line"] + weights["line_bias"]
    networks, d, _, k = weights["line_bias"].shape
    return ops.reshape(ops.transpose(y, (0, 2, 1, 3)), (networks, -1, d * k))


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
