"""RealMLP: a multi-layer perceptron whose many small decisions were tuned over many data sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kit.models.base import Count, CountOrZero, Dropped, Penalty, Positive, Problem
from kit.models.neural.architecture import Weights
from kit.models.neural.batched import Plan
from kit.models.neural.folds import BatchedNetwork
from kit.models.neural.layers import dropout, embedded, normal, periodic, spread, uniform
from kit.models.neural.optimizer import Adam, Group
from kit.models.neural.schedules import coslog, flat_cos
from kit.models.neural.tables import Encoder, Layout
from kit.models.neural.targets import n_scores

_START_ROWS = 4096  # rows that decide the first weights
_SIMPLEX = 5  # rows a bias's first value is mixed from


class RealMLP(BatchedNetwork):
    """RealMLP-TD: every fold's network, and its members, in one program.

    Args:
        layers: width of each hidden layer.
        epochs: passes over the rows in the whole schedule.
        stop_epoch: end after so many of them; 0: at the end of the schedule.
        patience: end after so many epochs without improvement; 0: never.
        batch: rows per step.
        learning_rate: largest step size; None: 0.04 for classes, 0.2 for numbers.
        weight_decay: decoupled L2 penalty.
        dropout: share of the activations silenced.
        label_smoothing: share of each label spread over all classes, where the metric reads labels.
        members: networks per fold, averaged.
        frequencies: cosines per number.
        number_width: columns each number becomes, itself counted.
        frequency_scale: deviation of the first frequencies.
        level_width: columns each category of many levels becomes.
        max_one_hot: levels, missing counted, above which a category has learned columns.

    Shape:
        ``(n, d)`` frame in, of float columns and categorical columns; ``(n, n_outputs)`` out.

    Source:
        Holzmüller, Grinsztajn, Steinwart, "Better by default: strong pre-tuned MLPs and boosted
        trees on tabular data" (2024), with the constants of its implementation, pytabkit.
    """

    family = "realmlp"

    def __init__(
        self,
        layers: Sequence[Count] = (256, 256, 256),
        epochs: Count = 256,
        stop_epoch: CountOrZero = 0,
        patience: CountOrZero = 0,
        batch: Count = 256,
        learning_rate: Positive | None = None,
        weight_decay: Penalty = 0.02,
        dropout: Dropped = 0.15,
        label_smoothing: Dropped = 0.1,
        members: Count = 1,
        frequencies: Count = 16,
        number_width: Count = 4,
        frequency_scale: Positive = 0.1,
        level_width: Count = 8,
        max_one_hot: CountOrZero = 9,
    ) -> None:
        self.layers = layers
        self.epochs = epochs
        self.stop_epoch = stop_epoch
        self.patience = patience
        self.batch = batch
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.dropout = dropout
        self.label_smoothing = label_smoothing
        self.members = members
        self.frequencies = frequencies
        self.number_width = number_width
        self.frequency_scale = frequency_scale
        self.level_width = level_width
        self.max_one_hot = max_one_hot

    def _layout(self, frames: Sequence[pd.DataFrame]) -> Layout:
        return Layout.of(frames, self.max_one_hot)

    def _encoder(self, layout: Layout) -> Encoder:
        return Encoder(layout, scaled=True)

    def _network(self, layout: Layout, problem: Problem) -> RealMLPNetwork:
        return RealMLPNetwork(
            layout=layout,
            layers=tuple(self.layers),
            outputs=n_scores(problem),
            activation="selu" if problem.classification else "mish",
            frequencies=self.frequencies,
            number_width=self.number_width,
            frequency_scale=self.frequency_scale,
            level_width=self.level_width,
        )

    def _plan(self, problem: Problem, n_rows: int) -> Plan:
        rate = self.learning_rate
        if rate is None:
            rate = 0.04 if problem.classification else 0.2

        def hyper(progress: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
            late = flat_cos(progress)
            return rate * coslog(progress), self.weight_decay * late, self.dropout * late

        return Plan(
            epochs=self.epochs,
            stop=self.stop_epoch / self.epochs if self.stop_epoch else 1.0,
            patience=self.patience,
            batch=self.batch,
            members=self.members,
            adam=Adam(beta2=0.95),
            hyper=hyper,
        )

    def _smoothing(self, problem: Problem) -> float:
        return self.label_smoothing if problem.needs == "label" else 0.0


class RealMLPNetwork:
    """The network; weights by name, each with a leading axis of networks.

    Numbers pass a periodic embedding, flags and one-hot columns do not; levels are looked up. A
    learned factor per column comes first, then layers in NTK parametrisation with a learned mix of
    identity and activation, last a linear layer.
    """

    def __init__(
        self,
        *,
        layout: Layout,
        layers: Sequence[int],
        outputs: int,
        activation: str,
        frequencies: int,
        number_width: int,
        frequency_scale: float,
        level_width: int,
    ) -> None:
        self.layout, self.activation = layout, activation
        self.frequencies, self.number_width = frequencies, number_width
        self.frequency_scale, self.level_width = frequency_scale, level_width
        self.numbers = len(layout.numbers)
        self.tables = list(layout.embedded.values())
        inputs = self.numbers * (number_width - 1) + layout.width + level_width * len(self.tables)
        self.sizes = [inputs, *layers, outputs]
        self.row_values = max(*self.sizes, self.numbers * frequencies)
        self.groups: Mapping[str, Group] = self._groups()

    def initial(
        self, rng: np.random.Generator, X: NDArray[np.float32], codes: NDArray[np.int32]
    ) -> Weights:
        """First weights: every layer's outputs have variance one on the training rows."""
        from keras import ops

        weights = self._embeddings(rng)
        weights["scale"] = np.ones((1, self.sizes[0]), dtype=np.float32)
        some = rng.permutation(len(X))[:_START_ROWS]
        named = {name: ops.convert_to_tensor(value[None]) for name, value in weights.items()}
        rows = ops.convert_to_tensor(X[None, some]), ops.convert_to_tensor(codes[None, some])
        x = ops.convert_to_numpy(self._inputs(named, *rows))[0]
        for i, (fan_in, fan_out) in enumerate(zip(self.sizes, self.sizes[1:], strict=False)):
            kernel = normal(rng, fan_in**-0.5, fan_in, fan_out)
            y = x @ kernel
            spread_out = np.maximum(y.std(axis=0), 1e-6)
            weights[f"kernel_{i}"] = kernel / spread_out
            y = y / spread_out
            weights[f"bias_{i}"] = -_inside(rng, y)[None]
            if i + 2 < len(self.sizes):
                weights[f"slope_{i}"] = np.ones((1, fan_out), dtype=np.float32)
                x = ops.convert_to_numpy(self._act(ops.convert_to_tensor(y + weights[f"bias_{i}"])))
        return weights

    def noise_shape(self, rows: int) -> tuple[int, ...]:
        """A mask per hidden layer, side by side."""
        return (rows, sum(self.sizes[1:-1]))

    def forward(
        self, weights: Mapping[str, Any], X: Any, codes: Any, noise: Any = None, drop: Any = None
    ) -> Any:
        """Raw outputs ``(networks, 1, rows, n_scores)``."""
        from keras import ops

        x = self._inputs(weights, X, codes) * weights["scale"]
        start = 0
        for i in range(len(self.sizes) - 1):
            x = ops.matmul(x, weights[f"kernel_{i}"]) + weights[f"bias_{i}"]
            if i + 2 == len(self.sizes):
                break
            x = x + weights[f"slope_{i}"] * (self._act(x) - x)
            end = start + self.sizes[i + 1]
            if noise is not None:
                x = dropout(x, noise[:, start:end], drop)
            start = end
        return ops.expand_dims(x, 1)

    def _inputs(self, weights: Mapping[str, Any], X: Any, codes: Any) -> Any:
        from keras import ops

        networks = next(iter(weights.values())).shape[0]
        parts = [spread(X[..., self.numbers :], networks)]
        if self.numbers:
            parts.insert(0, periodic(weights, X[..., : self.numbers]))
        parts += embedded(weights, self.tables, codes)
        return ops.concatenate(parts, axis=-1)

    def _act(self, x: Any) -> Any:
        from keras import ops

        if self.activation == "selu":
            return ops.selu(x)
        power = ops.exp(ops.minimum(x, 20.0))
        power = power * (power + 2.0)
        return x * (power / (power + 2.0))  # mish: x tanh(log(1 + e^x))

    def _embeddings(self, rng: np.random.Generator) -> Weights:
        n, f, k = self.numbers, self.frequencies, self.number_width - 1
        weights: Weights = {}
        if n:
            weights["waves"] = normal(rng, self.frequency_scale, n, 1, f)
            weights["shifts"] = uniform(rng, np.pi, n, 1, f)
            weights["mix"] = uniform(rng, f**-0.5, n, f, k)
            weights["mix_bias"] = uniform(rng, f**-0.5, n, 1, k)
        for i, levels in enumerate(self.tables):
            weights[f"levels_{i}"] = normal(rng, 1.0, levels + 1, self.level_width)
        return weights

    def _groups(self) -> dict[str, Group]:
        """Decay is multiplied by the learning rate's factor once more, as in the source.

        The NTK parametrisation divides a layer's outputs by √fan_in. Under Adam that is the same as
        smaller weights with a learning rate as much smaller, and saves a pass over the outputs.
        """
        groups = {name: Group(rate=0.1, decay=0.1) for name in _PERIODIC} if self.numbers else {}
        groups |= {f"levels_{i}": Group() for i in range(len(self.tables))}
        groups["scale"] = Group(rate=6.0, decay=6.0)
        for i, fan_in in enumerate(self.sizes[:-1]):
            groups[f"kernel_{i}"] = Group(rate=fan_in**-0.5, decay=fan_in**0.5)
            groups[f"bias_{i}"] = Group(rate=0.1, decay=0.0)
            groups[f"slope_{i}"] = Group(rate=0.1, decay=0.1)
        return groups


_PERIODIC = ("waves", "shifts", "mix", "mix_bias")


def _inside(rng: np.random.Generator, y: NDArray[np.float32]) -> NDArray[np.float32]:
    """A random point between a few rows, per column: where a bias puts its kink ("he+5")."""
    rows, columns = y.shape
    picked = y[rng.integers(0, rows, (_SIMPLEX, columns)), np.arange(columns)]
    shares = rng.exponential(size=(_SIMPLEX, columns))
    return (picked * shares / shares.sum(axis=0)).sum(axis=0).astype(np.float32)
