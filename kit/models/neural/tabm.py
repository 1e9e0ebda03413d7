"""TabM: one network that gives many predictions, which are trained apart and averaged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kit.models.base import Count, CountOrZero, Dropped, Penalty, Positive, Problem
from kit.models.neural.architecture import Weights
from kit.models.neural.batched import Plan
from kit.models.neural.folds import BatchedNetwork
from kit.models.neural.layers import bent, bins, dropout, embedded, normal, spread, uniform
from kit.models.neural.optimizer import Adam, Group
from kit.models.neural.schedules import flat
from kit.models.neural.tables import Encoder, Layout, one_hot_width
from kit.models.neural.targets import n_scores

_MAX_ONE_HOT = 65  # the source has no limit; a thousand columns for one category are slow


class TabM(BatchedNetwork):
    """TabM with piecewise-linear embeddings of the numbers: all folds in one program.

    Args:
        heads: predictions per network ("k").
        blocks: hidden layers; 0: 2, or 3 where there are no numbers to embed.
        width: of each hidden layer.
        adapters: "all": every layer has its own input and output factors and biases per head;
            "first": only the network's inputs have factors (TabM-mini), which is quicker.
        dropout: share of the activations silenced.
        learning_rate: step size throughout.
        weight_decay: decoupled L2 penalty.
        clip: largest norm of the gradient; 0: not clipped.
        epochs: passes over the rows at most.
        stop_epoch: end after so many of them; 0: see `patience`.
        patience: end after so many epochs without improvement.
        batch: rows per step; 0: by the number of rows.
        members: networks per fold, averaged.
        bins: pieces per number at most.
        number_width: columns each number becomes.
        level_width: columns each category of more than 64 levels becomes; others are one-hot.

    Shape:
        ``(n, d)`` frame in, of float columns and categorical columns; ``(n, n_outputs)`` out.

    Source:
        Gorishniy, Kotelnikov, Babenko, "TabM: Advancing Tabular Deep Learning with
        Parameter-Efficient Ensembling" (ICLR 2025), with the defaults of its package. Piecewise-
        linear embeddings: Gorishniy et al., "On Embeddings for Numerical Features" (2022),
        version B. Adapters: Wen et al., "BatchEnsemble" (2020).
    """

    family = "tabm"
    clamps = False

    def __init__(
        self,
        heads: Count = 32,
        blocks: CountOrZero = 0,
        width: Count = 512,
        adapters: Literal["all", "first"] = "all",
        dropout: Dropped = 0.1,
        learning_rate: Positive = 2e-3,
        weight_decay: Penalty = 3e-4,
        clip: Penalty = 0.0,
        epochs: Count = 200,
        stop_epoch: CountOrZero = 0,
        patience: CountOrZero = 16,
        batch: CountOrZero = 0,
        members: Count = 1,
        bins: Count = 48,
        number_width: Count = 16,
        level_width: Count = 16,
    ) -> None:
        self.heads = heads
        self.blocks = blocks
        self.width = width
        self.adapters = adapters
        self.dropout = dropout
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.clip = clip
        self.epochs = epochs
        self.stop_epoch = stop_epoch
        self.patience = patience
        self.batch = batch
        self.members = members
        self.bins = bins
        self.number_width = number_width
        self.level_width = level_width

    def _layout(self, frames: Sequence[pd.DataFrame]) -> Layout:
        return Layout.of(frames, _MAX_ONE_HOT)

    def _encoder(self, layout: Layout) -> Encoder:
        return Encoder(layout, scaled=False)

    def _network(self, layout: Layout, problem: Problem) -> TabMNetwork:
        return TabMNetwork(
            layout=layout,
            heads=self.heads,
            layers=[self.width] * (self.blocks or (2 if layout.numbers else 3)),
            outputs=n_scores(problem),
            mini=self.adapters == "first",
            pieces=self.bins,
            number_width=self.number_width,
            level_width=self.level_width,
        )

    def _plan(self, problem: Problem, n_rows: int) -> Plan:
        def hyper(progress: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
            one = flat(progress)
            return self.learning_rate * one, self.weight_decay * one, self.dropout * one

        return Plan(
            epochs=self.epochs,
            stop=self.stop_epoch / self.epochs if self.stop_epoch else 1.0,
            patience=self.patience,
            batch=self.batch or _batch(n_rows),
            members=self.members,
            adam=Adam(clip=self.clip),
            hyper=hyper,
            compress=False,
        )

    def _smoothing(self, problem: Problem) -> float:
        return 0.0


def _shared(x: Any, kernel: Any) -> Any:
    """Rows of all heads through one matrix per network, as one product."""
    from keras import ops

    networks, heads, rows, fan_in = x.shape
    y = ops.matmul(ops.reshape(x, (networks, heads * rows, fan_in)), kernel)
    return ops.reshape(y, (networks, heads, rows, kernel.shape[-1]))


def _batch(n_rows: int) -> int:
    """Rows per step, read off the paper's choices (pytabkit)."""
    limits = ((2_800, 32), (4_500, 64), (6_400, 128), (32_000, 256), (108_000, 512))
    return next((size for limit, size in limits if n_rows < limit), 1024)


class TabMNetwork:
    """The network; weights by name, each with a leading axis of networks.

    All heads share the large matrices. What sets them apart are factors ("adapters"), random on the
    network's inputs and one elsewhere, biases, and an output layer of their own.
    """

    def __init__(
        self,
        *,
        layout: Layout,
        heads: int,
        layers: Sequence[int],
        outputs: int,
        mini: bool,
        pieces: int,
        number_width: int,
        level_width: int,
    ) -> None:
        self.layout, self.heads, self.mini, self.pieces = layout, heads, mini, pieces
        self.number_width, self.level_width = number_width, level_width
        self.numbers = len(layout.numbers)
        self.tables = list(layout.embedded.values())
        self.features = [
            *[number_width] * self.numbers,
            *[1] * len(layout.flags),
            *map(one_hot_width, layout.one_hot.values()),
            *[level_width] * len(self.tables),
        ]
        self.sizes = [sum(self.features), *layers, outputs]
        self.row_values = max(heads * max(self.sizes), self.numbers * pieces)
        self.groups: Mapping[str, Group] = self._groups()

    def initial(
        self, rng: np.random.Generator, X: NDArray[np.float32], codes: NDArray[np.int32]
    ) -> Weights:
        """First weights, and the bins of the fold's training rows."""
        weights: Weights = {}
        if self.numbers:
            n, k = self.numbers, self.number_width
            weights |= bins(X[:, :n], self.pieces)
            weights["line"] = uniform(rng, k**-0.5, n, 1, k)
            weights["line_bias"] = uniform(rng, k**-0.5, n, 1, k)
            weights["pieces"] = np.zeros((n, self.pieces, k), dtype=np.float32)
        for i, levels in enumerate(self.tables):
            weights[f"levels_{i}"] = normal(
                rng, self.level_width**-0.5, levels + 1, self.level_width
            )
        # a factor per feature and head, the same for all columns of the feature
        start = normal(rng, 1.0, self.heads, 1, len(self.features))
        start = start if self.numbers else np.sign(start)
        weights["in_0"] = np.repeat(start, self.features, axis=2)
        for i, (fan_in, fan_out) in enumerate(zip(self.sizes[:-1], self.sizes[1:-1], strict=False)):
            weights[f"kernel_{i}"] = uniform(rng, fan_in**-0.5, fan_in, fan_out)
            bias = uniform(rng, fan_in**-0.5, 1, 1, fan_out)
            weights[f"bias_{i}"] = bias if self.mini else np.repeat(bias, self.heads, axis=0)
            if not self.mini:
                weights[f"out_{i}"] = np.ones((self.heads, 1, fan_out), dtype=np.float32)
                if i:
                    weights[f"in_{i}"] = np.ones((self.heads, 1, fan_in), dtype=np.float32)
        fan_in, fan_out = self.sizes[-2:]
        weights["head"] = uniform(rng, fan_in**-0.5, self.heads, fan_in, fan_out)
        weights["head_bias"] = uniform(rng, fan_in**-0.5, self.heads, 1, fan_out)
        return weights

    def noise_shape(self, rows: int) -> tuple[int, ...]:
        """A mask per head and hidden layer."""
        return (self.heads, rows, sum(self.sizes[1:-1]))

    def forward(
        self, weights: Mapping[str, Any], X: Any, codes: Any, noise: Any = None, drop: Any = None
    ) -> Any:
        """Raw outputs ``(networks, heads, rows, n_scores)``."""
        from keras import ops

        x = self._first(weights, self._inputs(weights, X, codes))
        start = 0
        for i, width in enumerate(self.sizes[1:-1]):
            if i:
                x = x * weights[f"in_{i}"] if f"in_{i}" in weights else x
                x = _shared(x, weights[f"kernel_{i}"])
            if f"out_{i}" in weights:
                x = x * weights[f"out_{i}"]
            x = ops.relu(x + weights[f"bias_{i}"])
            if noise is not None:
                x = dropout(x, noise[..., start : start + width], drop)
            start += width
        return ops.matmul(x, weights["head"]) + weights["head_bias"]

    def _first(self, weights: Mapping[str, Any], x: Any) -> Any:
        """Factors of every head, then the first matrix: ``(networks, heads, rows, width)``.

        The factors go on the smaller of the two: many rows share one matrix per head instead.
        """
        from keras import ops

        factors, kernel = weights["in_0"], weights["kernel_0"]
        networks, fan_in, width = kernel.shape
        rows = x.shape[1]
        if rows < width:
            return _shared(ops.expand_dims(x, 1) * factors, kernel)
        own = ops.transpose(factors, (0, 3, 1, 2)) * ops.expand_dims(kernel, 2)
        y = ops.matmul(x, ops.reshape(own, (networks, fan_in, self.heads * width)))
        return ops.transpose(ops.reshape(y, (networks, rows, self.heads, width)), (0, 2, 1, 3))

    def _inputs(self, weights: Mapping[str, Any], X: Any, codes: Any) -> Any:
        from keras import ops

        networks = weights["head"].shape[0]
        parts = [spread(X[..., self.numbers :], networks)]
        if self.numbers:
            parts.insert(0, bent(weights, X[..., : self.numbers]))
        parts += embedded(weights, self.tables, codes)
        return ops.concatenate(parts, axis=-1)

    def _groups(self) -> dict[str, Group]:
        free = Group(decay=0.0)
        groups = {f"bin_{name}": Group(rate=0.0) for name in ("slope", "shift", "low", "high")}
        groups |= {"line": free, "line_bias": free, "pieces": Group()}
        groups |= {f"levels_{i}": Group() for i in range(len(self.tables))}
        for i in range(len(self.sizes) - 2):
            groups |= {f"kernel_{i}": Group(), f"in_{i}": Group(), f"out_{i}": Group()}
            groups[f"bias_{i}"] = free
        return groups | {"head": Group(), "head_bias": free}
