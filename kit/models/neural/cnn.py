"""The first convolutional network to understand: four convolutions, then two dense layers.

Each convolution looks at a small window of what the one before found, and pooling keeps the
strongest answer of every two by two: edges become corners, corners become ears. The dense layers
decide what the ears mean.
"""

from __future__ import annotations

from typing import Any, Literal

from kit.images.backbones import Backbone
from kit.models.base import Count, CountOrZero, Dropped, Penalty, Positive
from kit.models.neural.descent import Optimizer, Schedule
from kit.models.neural.image_network import ImageNetwork, Part

_SMALLEST = 4  # pixels per side that are worth pooling


class CNN(ImageNetwork):
    """Convolutions of 32, 64, 128 and 128 filters with max pooling, dropout, a dense layer.

    Args:
        filters: of each convolution.
        dense: width of the dense layer.
        dropout: share of the values before it that is silenced while training.
        size: pixels per side at most; smaller images stay as they are.
        epochs, patience, batch, learning_rate, weight_decay, mirror, crop,
            brightness, views, precision, optimizer, schedule, momentum: see `ImageNetwork`.

    Source:
        The network for cats and dogs of Chollet, "Deep Learning with Python" (2017), chapter 5,
        trained with AdamW on a cosine instead of RMSprop.
    """

    def __init__(
        self,
        filters: tuple[Count, ...] = (32, 64, 128, 128),
        dense: Count = 512,
        dropout: Dropped = 0.5,
        size: CountOrZero = 150,
        epochs: Count = 30,
        patience: CountOrZero = 8,
        batch: Count = 32,
        learning_rate: Positive = 1e-3,
        weight_decay: Penalty = 1e-4,
        mirror: bool | None = None,
        crop: Part = 0.1,
        brightness: Part | None = None,
        views: Literal[1, 2, 4] = 2,
        precision: Literal["single", "mixed"] = "single",
        optimizer: Optimizer = "adamw",
        schedule: Schedule = "cosine",
        momentum: Dropped = 0.9,
    ) -> None:
        super().__init__(
            size, epochs, patience, batch, learning_rate, weight_decay, mirror, crop,
            brightness, views, precision, optimizer, schedule, momentum,
        )  # fmt: skip
        self.filters = filters
        self.dense = dense
        self.dropout = dropout

    def _side(self, stored: int) -> int:
        return min(self.size or stored, stored)

    def tower(self, images: Any, backbone: Backbone) -> Any:
        """Convolutions and pooling in turn, then a dense layer."""
        from keras import layers

        x = layers.Rescaling(1 / 255)(images)
        # of a small image the last convolutions would find nothing left: they go over its edges
        small = images.shape[1] < 3 * 2 ** len(self.filters) - 2
        for filters in self.filters:
            padding = "same" if small else "valid"
            x = layers.Conv2D(filters, 3, padding=padding, activation="relu")(x)
            if not small or x.shape[1] >= _SMALLEST:
                x = layers.MaxPooling2D(2)(x)
        x = layers.Flatten()(x)
        x = layers.Dropout(self.dropout)(x)
        return layers.Dense(self.dense, activation="relu")(x)
