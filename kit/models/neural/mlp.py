"""A multi-layer perceptron with embeddings: the first network to understand and to change.

Numbers arrive scaled; each category is looked up in a table of learned vectors; both are joined and
pass through a few dense layers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kit.atomic import parse_json
from kit.mapped import is_on_disk
from kit.models.base import (
    Count,
    CountOrZero,
    Dropped,
    Model,
    Penalty,
    Positive,
    Problem,
    Rows,
    RowWeights,
    describe,
)
from kit.models.boosters import share
from kit.models.neural.batches import batches, in_stretches
from kit.models.neural.descent import Optimizer, Schedule, optimizer, schedule
from kit.models.neural.training import (
    Precision,
    batch_size,
    compiled,
    forward,
    head,
    in_time,
    kept_random_state,
    precision,
    start,
    watched,
)
from kit.models.units import Units

_BLOCKS = 16  # of rows whose inputs are in memory at a time when they are predicted
_STEPS = 16  # per call into the backend: a step of a small table is shorter than the call


class MLP(Model):
    """Dense layers on numbers and embedded categories.

    Args:
        layers: width of each hidden layer.
        dropout: share of the activations silenced while training.
        embedding_dropout: the same for what enters the first layer.
        learning_rate: peak step size.
        weight_decay: decoupled L2 penalty, as in AdamW.
        epochs: passes over the rows at most.
        patience: stop when the validation rows have not improved for so many epochs.
        batch: rows per step; 0: by the number of rows.
        members: networks trained from different starts and averaged.
        optimizer: "adamw", "adam", "nadam", "sgd", "rmsprop" or "lion".
        schedule: how the step size moves, see `kit.models.neural.descent.schedule`.
        momentum: share of the last step that is kept, see `kit.models.neural.descent.optimizer`.
        precision: "mixed": half precision where that is safe, for GPUs.

    Shape:
        ``(n, d)`` frame in, of float columns and categorical columns; ``(n, n_outputs)`` out.

    Source:
        Embeddings of categories: Guo and Berkhahn, "Entity Embeddings of Categorical Variables"
        (2016). AdamW: Loshchilov and Hutter (2019).
    """

    family = "neural"
    stops_early = True
    streams = True
    rows: ClassVar[int] = 8192
    """Predicted at a time."""

    def __init__(
        self,
        layers: tuple[Count, ...] = (256, 128),
        dropout: Dropped = 0.3,
        embedding_dropout: Dropped = 0.05,
        learning_rate: Positive = 1e-3,
        weight_decay: Penalty = 1e-2,
        epochs: Count = 60,
        patience: Count = 10,
        batch: CountOrZero = 0,
        members: Count = 1,
        optimizer: Optimizer = "adamw",
        schedule: Schedule = "cosine",
        momentum: Dropped = 0.9,
        precision: Precision = "single",
    ) -> None:
        self.layers = layers
        self.dropout = dropout
        self.embedding_dropout = embedding_dropout
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.epochs = epochs
        self.patience = patience
        self.batch = batch
        self.members = members
        self.optimizer = optimizer
        self.schedule = schedule
        self.momentum = momentum
        self.precision = precision

    def fit(
        self,
        X: pd.DataFrame,
        y: NDArray[Any],
        *,
        problem: Problem,
        valid: Rows | None = None,
        weight: RowWeights | None = None,
    ) -> Self:
        """Train; with `valid` the best epoch's weights are kept."""
        self.problem_ = problem
        self.levels_ = {
            str(name): len(X[name].cat.categories)
            for name in X.columns
            if isinstance(X[name].dtype, pd.CategoricalDtype)
        }
        self.numbers_ = self._numbers(X)
        target = np.asarray(y, dtype=np.float64).reshape(len(y), -1)
        units = Units.of(y, problem)  # a network learns numbers around zero
        self.center_, self.scale_ = units.center, units.scale
        self.networks_: list[Any] = []
        self.curve_, self.cut_ = {}, False
        best = []
        for member in range(self.members):
            with kept_random_state():
                network, history = self._train(X, target, valid, weight, member)
            self.networks_.append(network)
            if member == 0:
                names = (("loss", "train"), ("val_loss", "valid"))
                self.curve_ = {to: history[name] for name, to in names if name in history}
            if "val_loss" in history:
                best.append(int(np.argmin(history["val_loss"])) + 1)
        self.best_iteration_ = int(np.mean(best)) if best else None
        return self

    def predict(self, X: pd.DataFrame) -> NDArray[np.float64]:
        """Mean over the members."""
        most = _BLOCKS * self.rows  # inputs of all rows would not fit beside a large table
        if len(X) > most:
            starts = range(0, len(X), most)
            return np.concatenate([self.predict(X.iloc[k : k + most]) for k in starts])
        inputs = self._inputs(X)
        outputs = [forward(network, inputs, self.rows) for network in self.networks_]
        mean = np.mean(outputs, axis=0)
        if self.problem_.classification:
            return np.asarray(np.clip(mean, 0.0, 1.0))
        return np.asarray(mean * self.scale_ + self.center_)

    def save(self, folder: Path) -> None:
        """Write one `.keras` file per member and the facts to rebuild the inputs."""
        for number, network in enumerate(self.networks_):
            network.save(folder / f"network-{number}.keras")
        record = {
            "params": self.get_params(),
            "problem": describe(self.problem_),
            "levels": self.levels_,
            "numbers": self.numbers_,
            **self._facts(),
            "center": self.center_.tolist(),
            "scale": self.scale_.tolist(),
        }
        (folder / "model.json").write_text(json.dumps(record), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote; Keras' safe mode refuses code inside the files."""
        record = parse_json((folder / "model.json").read_text(encoding="utf-8"))
        model = cls(**record["params"])
        model.problem_ = Problem(**record["problem"])
        model.levels_, model.numbers_ = record["levels"], record["numbers"]
        model._take_facts(record)
        model.center_, model.scale_ = np.array(record["center"]), np.array(record["scale"])
        keras = start(model.problem_)
        files = sorted(folder.glob("network-*.keras"), key=lambda p: int(p.stem.split("-")[1]))
        model.networks_ = [keras.saving.load_model(path, safe_mode=True) for path in files]
        return model

    def _train(
        self,
        X: pd.DataFrame,
        target: NDArray[Any],
        valid: Rows | None,
        weight: RowWeights | None,
        member: int,
    ) -> tuple[Any, dict[str, list[float]]]:
        keras = start(self.problem_)
        keras.utils.set_random_seed((self.problem_.seed * 31 + member) % 2**31)
        rows = self.batch or batch_size(len(X))
        with precision(keras, self.precision):
            network, loss = self._network(keras, X)
        steps = self.epochs * -(-len(X) // rows)
        rate = schedule(keras, self.schedule, self.learning_rate, steps)
        descent = optimizer(
            keras, self.optimizer, rate, momentum=self.momentum, weight_decay=self.weight_decay
        )
        per_call = 1 if keras.backend.backend() == "torch" else _STEPS  # torch goes step by step
        compiled(network, descent, loss, steps_per_execution=per_call)
        clock = in_time(keras, share(self.problem_.deadline, self.members - member))
        callbacks = [] if self.problem_.deadline is None else [clock]
        if valid is not None:
            callbacks.append(
                keras.callbacks.EarlyStopping(patience=self.patience, restore_best_weights=True)
            )
            callbacks += [] if member else watched(keras, self.problem_)
        history = network.fit(
            **self._fed(keras, rows, (X, target), valid, weight),
            epochs=self.epochs,
            callbacks=callbacks,
            verbose=0,
        )
        self.cut_ |= clock.cut
        return network, {k: [float(v) for v in values] for k, values in history.history.items()}

    def _fed(
        self, keras: Any, rows: int, train: Rows, valid: Rows | None, weight: RowWeights | None
    ) -> dict[str, Any]:
        """Rows as `keras.Model.fit` takes them: arrays, or batches of a table on the disk.

        Args:
            keras: the module.
            rows: of a batch.
            train: frame and target.
            valid: those to stop on, or None.
            weight: how much the rows count.
        """
        X, target = train[0], self._scaled(train[1])
        held, (heavy, heavy_valid) = None, weight or (None, None)
        if valid is not None:
            known = np.asarray(valid[1], dtype=np.float64).reshape(len(valid[1]), -1)
            held = (valid[0], self._scaled(known), heavy_valid)
        if not (self.streams and is_on_disk(X)):
            return {
                "x": self._inputs(X),
                "y": target,
                "sample_weight": heavy,
                "batch_size": rows,
                "validation_data": held and (self._inputs(held[0]), *held[1:]),
            }
        return {
            "x": self._batches(keras, rows, X, target, heavy),
            "validation_data": held and self._batches(keras, self.rows, *held, shuffled=False),
        }

    def _batches(
        self, keras: Any, rows: int, X: Any, target: Any, weight: Any, *, shuffled: bool = True
    ) -> Any:
        def take(chosen: NDArray[np.int64], _: np.random.Generator) -> tuple[Any, ...]:
            counts = () if weight is None else (weight[chosen],)
            return (tuple(self._inputs(X.iloc[chosen])), target[chosen], *counts)

        seed, order = self.problem_.seed, in_stretches if shuffled else None
        return batches(keras, len(X), rows, seed, take, shuffled=shuffled, order=order)

    def _numbers(self, X: pd.DataFrame) -> list[str]:
        """The columns that go into the first dense layer as they are."""
        return [str(name) for name in X.select_dtypes("number").columns]

    def _facts(self) -> dict[str, Any]:
        """What a subclass has learned besides, as JSON can hold it."""
        return {}

    def _take_facts(self, record: Mapping[str, Any]) -> None:
        """Read back what `_facts` said."""

    def _table(self, keras: Any) -> tuple[list[Any], list[Any]]:
        """Inputs for numbers and levels, and what of them goes into the first layer."""
        numbers = keras.Input((len(self.numbers_),), name="numbers")
        levels = keras.Input((len(self.levels_),), dtype="int32", name="levels")
        joined = [numbers]
        for position, size in enumerate(self.levels_.values()):
            width = int(min(32, np.ceil(1.6 * (size + 1) ** 0.56)))
            table = keras.layers.Embedding(size + 1, width)  # row 0: missing or never seen
            joined.append(table(levels[:, position]))
        return [numbers, levels], joined

    def _network(self, keras: Any, X: pd.DataFrame) -> tuple[Any, Any]:
        """Inputs -> embeddings -> dense layers -> head."""
        inputs, joined = self._table(keras)
        return self._dense(keras, inputs, joined)

    def _dense(self, keras: Any, inputs: list[Any], joined: list[Any]) -> tuple[Any, Any]:
        """Dense layers and head, and the loss."""
        x = keras.layers.Concatenate()(joined) if len(joined) > 1 else joined[0]
        x = keras.layers.Dropout(self.embedding_dropout)(x)
        for width in self.layers:
            x = keras.layers.Dense(width)(x)
            x = keras.layers.LayerNormalization()(x)
            x = keras.layers.Activation("silu")(x)
            x = keras.layers.Dropout(self.dropout)(x)
        last, loss = head(keras, self.problem_)
        return keras.Model(inputs, last(x)), loss

    def _inputs(self, X: pd.DataFrame) -> list[NDArray[Any]]:
        """Numbers ``(n, d)`` and level numbers ``(n, c)``, 0 for missing."""
        numbers = X[self.numbers_].to_numpy(dtype=np.float32)
        codes = [X[name].cat.codes.to_numpy(dtype=np.int32) + 1 for name in self.levels_]
        levels = np.column_stack(codes) if codes else np.zeros((len(X), 0), dtype=np.int32)
        return [numbers, levels]

    def _scaled(self, target: NDArray[Any]) -> NDArray[np.float32]:
        if self.problem_.task == "multiclass":
            return np.asarray(target[:, 0], dtype=np.float32)
        return ((target - self.center_) / self.scale_).astype(np.float32)
