"""A U-Net: an encoder that sees what is in an image, and a decoder that says where.

On the way down every level halves the image and looks for larger patterns; on the way up every
level doubles it again. What the encoder saw at a size is handed across to the decoder at that size,
so that the mask has the fine edges that were lost on the way down.

It works on arrays of images and masks, not on tables, and so is none of the models of `kit cv`;
`templates/segmentation` is the competition around it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator

from kit.atomic import parse_json
from kit.models.base import Problem
from kit.models.neural.batches import Take, batches
from kit.models.neural.descent import schedule
from kit.models.neural.image_network import paced
from kit.models.neural.training import compiled, kept_random_state, start

_PREDICTED = 32  # images at a time


class EncoderDecoder(BaseEstimator):
    """What networks with an image in and an image out share: levels, training, saving."""

    def __init__(
        self,
        filters: tuple[int, ...],
        dropout: float,
        epochs: int,
        batch: int,
        learning_rate: float,
        mirror: bool,
        seed: int,
        threads: int,
    ) -> None:
        self.filters = filters
        self.dropout = dropout
        self.epochs = epochs
        self.batch = batch
        self.learning_rate = learning_rate
        self.mirror = mirror
        self.seed = seed
        self.threads = threads

    def save(self, folder: Path) -> None:
        """Write the network as `.keras`, the parameters as JSON."""
        self.network_.save(folder / "network.keras")
        (folder / "model.json").write_text(json.dumps(self.get_params()), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote; Keras' safe mode refuses code inside the file."""
        params = parse_json((folder / "model.json").read_text(encoding="utf-8"))
        model = cls(**{**params, "filters": tuple(params["filters"])})
        keras = model._start()
        model.network_ = keras.saving.load_model(
            folder / "network.keras", compile=False, safe_mode=True
        )
        return model

    @property
    def step(self) -> int:
        """The sides of what the network sees are multiples of so many pixels."""
        return int(2 ** (len(self.filters) - 1))

    def _trained(self, shape: tuple[int | None, ...], loss: Any, n: int, take: Take) -> Self:
        """Train to the end, on `n` pairs that `take` reads."""
        with kept_random_state():
            keras = self._start()
            self.network_ = self._network(keras, shape)
            compiled(self.network_, keras.optimizers.Adam(self.learning_rate), loss)
            rows = batches(keras, n, self.batch, self.seed, take)
            steps = len(rows) * self.epochs
            pace = paced(keras, schedule(keras, "cosine", self.learning_rate, steps), steps, None)
            history = self.network_.fit(
                rows, epochs=self.epochs, callbacks=[pace], verbose=0
            ).history
        self.curve_ = {"train": [float(loss) for loss in history["loss"]]}
        return self

    def _seen(self, block: NDArray[np.uint8]) -> NDArray[np.float32]:
        """What comes out ``(n, height, width)`` of images; from both sides, if so trained."""
        found = self.network_.predict_on_batch(block)[..., 0]
        if self.mirror:
            found = (
                found + self.network_.predict_on_batch(block[:, :, ::-1])[..., 0][..., ::-1]
            ) / 2
        return np.asarray(found, dtype=np.float32)

    def _network(self, keras: Any, shape: tuple[int | None, ...]) -> Any:
        """Down through the levels, up again, and across at each."""
        layers = keras.layers
        *fine, coarsest = self.filters
        images = keras.Input(shape)
        x = layers.Rescaling(1 / 255)(images)
        across = []
        for filters in fine:
            x = _convolved(layers, x, filters)
            across.append(x)
            x = layers.MaxPooling2D(2)(x)
        x = layers.Dropout(self.dropout)(_convolved(layers, x, coarsest))
        for filters, seen in zip(reversed(fine), reversed(across), strict=True):
            x = layers.Conv2DTranspose(filters, 2, strides=2)(x)
            x = _convolved(layers, layers.Concatenate()([x, seen]), filters)
        return keras.Model(images, layers.Conv2D(1, 1, activation="sigmoid")(x))

    def _turned(
        self, pixels: NDArray[Any], target: NDArray[Any], rng: np.random.Generator
    ) -> tuple[Any, Any]:
        """A batch, some of it mirrored."""
        turned = self.mirror & (rng.random(len(pixels)) < 0.5)
        pixels[turned] = pixels[turned, :, ::-1]
        target[turned] = target[turned, :, ::-1]
        return pixels, target[..., None]

    def _start(self) -> Any:
        problem = Problem(task="binary", n_outputs=1, seed=self.seed, threads=self.threads)
        return start(problem)


class UNet(EncoderDecoder):
    """Masks from images.

    Args:
        filters: of each level, the finest first; each further level halves the image once more.
        dropout: share of the values of the coarsest level that are silenced while training.
        epochs: passes over the images; the step size falls to zero over them, on a cosine.
        batch: images per step.
        learning_rate: largest step size (Adam).
        mirror: show half of the training images mirrored, and look at new ones from both sides.
        seed: of everything random.
        threads: how many it may use; 0: one per core.

    Shape:
        Images ``(n, height, width, channels)`` of 0 to 255, masks ``(n, height, width)`` of 0 and
        1, probabilities ``(n, height, width)`` out.

    Source:
        Ronneberger, Fischer, Brox, "U-Net" (2015), with padded convolutions and batch
        normalisation. Loss: cross entropy plus the soft Dice of Milletari et al., "V-Net" (2016).
    """

    def __init__(
        self,
        filters: tuple[int, ...] = (16, 32, 64, 128),
        dropout: float = 0.2,
        epochs: int = 30,
        batch: int = 16,
        learning_rate: float = 2e-3,
        mirror: bool = True,
        seed: int = 0,
        threads: int = 0,
    ) -> None:
        super().__init__(filters, dropout, epochs, batch, learning_rate, mirror, seed, threads)

    def fit(self, images: NDArray[np.uint8], masks: NDArray[Any]) -> Self:
        """Train on all of them to the end.

        Raises:
            ValueError: shapes that do not fit together, or to the number of levels.
        """
        self._check(images, masks)

        def take(rows: NDArray[np.int64], rng: np.random.Generator) -> tuple[Any, Any]:
            return self._turned(images[rows], masks[rows].astype(np.float32), rng)

        return self._trained(images.shape[1:], dice_and_entropy, len(images), take)

    def predict(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probability that a pixel is set, ``(n, height, width)``."""
        starts = range(0, len(images), _PREDICTED)
        nothing = np.zeros((0, *images.shape[1:3]), dtype=np.float32)
        return np.concatenate([nothing, *(self._seen(images[k : k + _PREDICTED]) for k in starts)])

    def _check(self, images: NDArray[Any], masks: NDArray[Any]) -> None:
        if images.ndim != 4 or masks.shape != images.shape[:3]:
            raise ValueError(
                "images must be (n, height, width, channels) and masks (n, height, width), however:"
                f" {images.shape}, {masks.shape}"
            )
        step = self.step
        if images.shape[1] % step or images.shape[2] % step:
            raise ValueError(
                f"with {len(self.filters)} levels the sides must be multiples of {step}, however:"
                f" {images.shape[1]} x {images.shape[2]}"
            )


def dice_and_entropy(truth: Any, predicted: Any) -> Any:
    """Loss per image ``(n,)``: cross entropy of the pixels, and 1 less the soft Dice of the mask.

    The first makes probabilities, pixel by pixel; the second looks at the mask as a whole, so that
    a small one counts as much as a large one.
    """
    from keras import losses, ops

    axes = (1, 2, 3)
    entropy = ops.mean(losses.binary_crossentropy(truth, predicted), axis=(1, 2))
    common = ops.sum(truth * predicted, axis=axes)
    both = ops.sum(truth, axis=axes) + ops.sum(predicted, axis=axes)
    return entropy + 1 - (2 * common + 1) / (both + 1)  # 1 more: two empty masks are alike


def _convolved(layers: Any, x: Any, filters: int) -> Any:
    """Two convolutions; each filter looks at 3 x 3 pixels."""
    for _ in range(2):
        x = layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
        x = layers.BatchNormalization(momentum=0.9)(x)  # as training may be a few steps only
        x = layers.Activation("relu")(x)
    return x
