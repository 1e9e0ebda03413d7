"""What all networks that learn from pixels share: batches, augmentation, training, saving.

A network file says only what happens to an image between its pixels and a vector. Here the vector
of each column of images is joined with the other columns, and trained on what the task asks for.
"""

from __future__ import annotations

import json
import time
from abc import abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kit.atomic import parse_json
from kit.config import Within
from kit.images.backbones import Backbone
from kit.images.column import ImageArray, ImageDtype, image_column
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
from kit.models.neural.batches import batches
from kit.models.neural.descent import Optimizer, Schedule, optimizer, schedule
from kit.models.neural.targets import Targets
from kit.models.neural.training import (
    Precision,
    compiled,
    head,
    kept_random_state,
    precision,
    start,
    watched,
)

Part = Annotated[float, Within(0, 0.5)]
_PREDICTED = 64  # images at a time
_BRIGHTNESS = 0.1
_CENTRAL = 0.9  # of the sides: what the third and fourth view show


class ImageNetwork(Model):
    """Base of the networks on pixels.

    Args:
        size: pixels per side that the network sees; 0: as many as are stored.
        epochs: passes over the rows.
        patience: stop when rows that are held out have not improved for so many epochs; 0: train
            on all rows to the end.
        batch: images per step.
        learning_rate: largest step size.
        weight_decay: decoupled penalty.
        mirror: show half of the training images mirrored; None: those in colour.
        crop: largest shift and zoom of a training image, as a share of its sides.
        brightness: largest change of a training image's brightness, as a share of the range; None:
            a tenth in colour, none in gray, where shades are what is drawn.
        views: how often a new image is looked at: 2: also mirrored (where training did that),
            4: also without its margin.
        precision: "mixed": half precision where that is safe, for GPUs.
        optimizer, schedule, momentum: as for `MLP`; where time is short the schedule is run
            through faster.

    Shape:
        Frame of images, numbers and levels in, as the recipe "image" makes it.
    """

    family = "image"

    def __init__(
        self,
        size: CountOrZero = 0,
        epochs: Count = 30,
        patience: CountOrZero = 8,
        batch: Count = 32,
        learning_rate: Positive = 1e-3,
        weight_decay: Penalty = 1e-4,
        mirror: bool | None = None,
        crop: Part = 0.1,
        brightness: Part | None = None,
        views: Literal[1, 2, 4] = 2,
        precision: Precision = "single",
        optimizer: Optimizer = "adamw",
        schedule: Schedule = "cosine",
        momentum: Dropped = 0.9,
    ) -> None:
        self.size = size
        self.epochs = epochs
        self.patience = patience
        self.batch = batch
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.mirror = mirror
        self.crop = crop
        self.brightness = brightness
        self.views = views
        self.precision = precision
        self.optimizer = optimizer
        self.schedule = schedule
        self.momentum = momentum
        self.stops_early = patience > 0  # else no rows are held out

    @abstractmethod
    def tower(self, images: Any, backbone: Backbone) -> Any:
        """A vector per image: ``(n, size, size, channels)`` of 0 to 255 in, ``(n, width)`` out."""

    def _side(self, stored: int) -> int:
        """Pixels per side that the network sees."""
        return self.size or stored

    def _passes(self, steps: int) -> int:
        """Passes over the rows, of so many steps each."""
        return self.epochs

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
        self.layout_ = Layout.of(X)
        self.targets_ = Targets.of(y, problem, clamp=False)
        with kept_random_state():
            self._train(X, y, valid, weight or RowWeights(np.ones(len(y))))
        return self

    def predict(self, X: pd.DataFrame) -> NDArray[np.float64]:
        """Mean over the views."""
        blocks = []
        for first in range(0, len(X), _PREDICTED):
            inputs = self.layout_.inputs(X.iloc[first : first + _PREDICTED])
            views = [self.network_.predict_on_batch(each) for each in self._seen(inputs)]
            blocks.append(np.mean(views, axis=0, dtype=np.float64))
        values = np.concatenate(blocks)
        if self.problem_.classification:
            return np.asarray(np.clip(values, 0.0, 1.0))
        return np.asarray(values * self.targets_.scale + self.targets_.center)

    def save(self, folder: Path) -> None:
        """Write the network as `.keras`, the rest as JSON."""
        self.network_.save(folder / "network.keras")
        record = {
            "params": self.get_params(),
            "problem": describe(self.problem_),
            "layout": self.layout_.plain(),
            "targets": {name: value.tolist() for name, value in vars(self.targets_).items()},
        }
        (folder / "model.json").write_text(json.dumps(record), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote; Keras' safe mode refuses code inside the file."""
        record = parse_json((folder / "model.json").read_text(encoding="utf-8"))
        model = cls(**record["params"])
        model.problem_ = Problem(**record["problem"])
        model.layout_ = Layout(**record["layout"])
        model.targets_ = Targets(**{k: np.array(v) for k, v in record["targets"].items()})
        keras = start(model.problem_)
        model.network_ = keras.saving.load_model(folder / "network.keras", safe_mode=True)
        return model

    def _train(
        self, X: pd.DataFrame, y: NDArray[Any], valid: Rows | None, weight: RowWeights
    ) -> None:
        keras, problem = start(self.problem_), self.problem_
        with precision(keras, self.precision):
            self.network_, loss = self._network(keras, X)
        descent = optimizer(
            keras, self.optimizer, self.learning_rate,
            momentum=self.momentum, weight_decay=self.weight_decay,
        )  # fmt: skip
        compiled(self.network_, descent, loss)
        rows, held = self._batches(keras, X, y, weight.train, shuffled=True), None
        if valid is not None:
            heavy = np.ones(len(valid[1])) if weight.valid is None else weight.valid
            held = self._batches(keras, *valid, heavy, shuffled=False)
        epochs = self._passes(len(rows))
        steps = len(rows) * epochs
        rate = schedule(keras, self.schedule, self.learning_rate, steps)
        pace = paced(keras, rate, steps, problem.deadline)
        callbacks = [pace]
        if held is not None and self.patience:
            callbacks.append(
                keras.callbacks.EarlyStopping(patience=self.patience, restore_best_weights=True)
            )
            callbacks += watched(keras, problem)
        history = self.network_.fit(
            rows,
            epochs=epochs,
            validation_data=held,
            callbacks=callbacks,
            verbose=0,
        ).history
        names = (("loss", "train"), ("val_loss", "valid"))
        self.curve_ = {to: [float(v) for v in history[n]] for n, to in names if n in history}
        losses = self.curve_.get("valid")
        self.best_iteration_ = int(np.argmin(losses)) + 1 if losses else None
        self.cut_ = pace.cut

    def _network(self, keras: Any, X: pd.DataFrame) -> tuple[Any, Any]:
        """Images -> augmentation -> tower; with the other columns -> head."""
        layers, layout = keras.layers, self.layout_
        inputs: list[Any] = []
        joined: list[Any] = []
        for name in layout.images:
            column = image_column(X, name)
            size = self._side(column.store.size)
            pixels = keras.Input((None, None, column.store.channels), name=f"image{len(inputs)}")
            x = layers.Resizing(size, size, antialias=size < column.store.size)(pixels)
            joined.append(self.tower(self._augmented(keras, x), column.backbone))
            inputs.append(pixels)
        if layout.numbers or layout.levels:
            table, x = layout.table(keras)
            inputs += table
            joined.append(layers.Dense(64, activation="relu")(x))
        x = layers.Concatenate()(joined) if len(joined) > 1 else joined[0]
        last, loss = head(keras, self.problem_)
        return keras.Model(inputs, last(x)), loss

    def _augmented(self, keras: Any, x: Any) -> Any:
        """Another picture of the same thing each time; only while training."""
        seed = self.problem_.seed % 2**31
        if self._mirrors(x.shape[-1]):
            x = keras.layers.RandomFlip("horizontal", seed=seed)(x)
        if self.crop:
            part = (-self.crop, self.crop)
            x = keras.layers.RandomTranslation(part, part, fill_mode="reflect", seed=seed + 1)(x)
            x = keras.layers.RandomZoom(part, fill_mode="reflect", seed=seed + 2)(x)
        brightness = self.brightness
        if brightness is None:
            brightness = _BRIGHTNESS if x.shape[-1] == 3 else 0.0
        if brightness:
            x = keras.layers.RandomBrightness(brightness, seed=seed + 3)(x)
        return x

    def _mirrors(self, channels: int) -> bool:
        return channels == 3 if self.mirror is None else self.mirror

    def _seen(self, inputs: list[NDArray[Any]]) -> Iterator[list[NDArray[Any]]]:
        """The rows as they are, and from other sides."""
        n = len(self.layout_.images)
        images, rest = inputs[:n], inputs[n:]
        shown = [images]
        if self.views == 4:
            shown.append([_central(pixels) for pixels in images])
        for each in shown:
            yield [*each, *rest]
            if self.views > 1 and all(self._mirrors(pixels.shape[-1]) for pixels in each):
                yield [*(pixels[:, :, ::-1] for pixels in each), *rest]

    def _batches(
        self,
        keras: Any,
        X: pd.DataFrame,
        y: NDArray[Any],
        weight: NDArray[np.float64],
        *,
        shuffled: bool,
    ) -> Any:
        """Rows, target and weight; pixels are read when they are due."""
        target, heavy = self._target(y), weight.astype(np.float32)

        def take(rows: NDArray[np.int64], rng: np.random.Generator) -> tuple[Any, ...]:
            return tuple(self.layout_.inputs(X.iloc[rows])), target[rows], heavy[rows]

        return batches(keras, len(X), self.batch, self.problem_.seed, take, shuffled=shuffled)

    def _target(self, y: NDArray[Any]) -> NDArray[np.float32]:
        values = np.asarray(y, dtype=np.float64)
        if self.problem_.task == "multiclass":
            return values.astype(np.float32)
        values = values.reshape(len(values), -1)
        if not self.problem_.classification:
            values = (values - self.targets_.center) / self.targets_.scale
        return values.astype(np.float32)


class Layout:
    """Which columns are images, numbers and levels.

    Args:
        images: names of the columns of images.
        numbers: of numbers.
        levels: of levels, with how many there are.
    """

    def __init__(self, images: list[str], numbers: list[str], levels: dict[str, int]) -> None:
        self.images, self.numbers, self.levels = images, numbers, levels

    @classmethod
    def of(cls, X: pd.DataFrame) -> Layout:
        """The columns of a frame."""
        images = [n for n in X.columns if isinstance(X[n].dtype, ImageDtype)]
        if not images:
            raise TypeError("there is no column of images, which this network needs")
        levels = {
            n: len(X[n].cat.categories)
            for n in X.columns
            if isinstance(X[n].dtype, pd.CategoricalDtype)
        }
        numbers = [n for n in X.columns if n not in levels and n not in images]
        return cls(images, numbers, levels)

    def plain(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return dict(vars(self))

    def inputs(self, X: pd.DataFrame) -> list[NDArray[Any]]:
        """Arrays in the order of the network's inputs."""
        found: list[NDArray[Any]] = []
        for name in self.images:
            column: ImageArray = image_column(X, name)
            found.append(column.pixels())
        if self.numbers:
            found.append(X[self.numbers].to_numpy(dtype=np.float32))
        if self.levels:
            codes = [X[name].cat.codes.to_numpy(dtype=np.int32) + 1 for name in self.levels]
            found.append(np.column_stack(codes))
        return found

    def table(self, keras: Any) -> tuple[list[Any], Any]:
        """Inputs for numbers and levels, and both as one vector."""
        inputs, joined = [], []
        if self.numbers:
            inputs.append(keras.Input((len(self.numbers),), name="numbers"))
            joined.append(inputs[-1])
        if self.levels:
            inputs.append(keras.Input((len(self.levels),), dtype="int32", name="levels"))
            for position, size in enumerate(self.levels.values()):  # row 0: missing, never seen
                table = keras.layers.Embedding(size + 1, min(16, size + 1))
                joined.append(table(inputs[-1][:, position]))
        return inputs, keras.layers.Concatenate()(joined) if len(joined) > 1 else joined[0]


def paced(keras: Any, rate: Any, steps: int, deadline: float | None) -> Any:
    """A callback that moves the step size along a schedule, by steps or by time, what is further.

    Where time is short the whole schedule is run through faster, so that the network is finished
    rather than cut off.

    Args:
        keras: the module.
        rate: the step size, or one of Keras' schedules.
        steps: of the whole schedule.
        deadline: `time.monotonic()` to have ended by; None: none.
    """

    class Paced(keras.callbacks.Callback):
        def __init__(self) -> None:
            super().__init__()
            self.cut = False
            self.done = 0
            self.began = time.monotonic()

        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            now = rate(self._at() * steps) if callable(rate) else rate
            self.model.optimizer.learning_rate = float(now)

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.done += 1
            if deadline is not None and time.monotonic() >= deadline:
                self.cut = self.model.stop_training = True

        def _at(self) -> float:
            by_steps = self.done / steps
            if deadline is None:
                return min(1.0, by_steps)
            spent = (time.monotonic() - self.began) / max(deadline - self.began, 1e-9)
            if spent > by_steps and self.done > 1:
                self.cut = True
            return min(1.0, max(by_steps, spent))

    return Paced()


def _central(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    margin = round(pixels.shape[1] * (1 - _CENTRAL) / 2)
    return pixels[:, margin : pixels.shape[1] - margin, margin : pixels.shape[2] - margin]
