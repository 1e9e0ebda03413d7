"""A small residual network: each block adds to what it was given, so that many can be stacked.

A block that has nothing to add learns to add zero; what earlier layers found is never lost, and
the error finds its way back along the additions.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from kit.images.backbones import Backbone
from kit.models.base import Count, CountOrZero, Dropped, Penalty, Positive
from kit.models.neural.descent import Optimizer, Schedule
from kit.models.neural.image_network import ImageNetwork, Part

_MOMENTUM = 0.9  # of the running means: training is short
_STEPS, _EPOCHS = 2000, (30, 60)  # few rows want to be seen more often
_SMALLEST = 4  # pixels per side that a stage has something to see in
_LARGE = 64  # pixels per side from which the first step halves the image


class ResNet(ImageNetwork):
    """Stages of residual blocks, each with twice the filters and half the sides.

    Args:
        filters: of the first stage.
        stages: how many; 0: three, or as many as leave four pixels per side.
        blocks: per stage.
        dropout: share of the last vector that is silenced while training.
        size: pixels per side at most; smaller images stay as they are.
        epochs: passes over the rows; 0: so many that there are 2,000 steps, but 30 to 60.
        patience, batch, learning_rate, weight_decay, mirror, crop, brightness,
            views, precision, optimizer, schedule, momentum: see `ImageNetwork`.

    Source:
        He et al., "Identity Mappings in Deep Residual Networks" (2016). Stages, passes and the
        shades of gray images: scikit-learn's digits, 8 x 8, errors by cross-validation on 1,257
        rows and on 540 hidden ones: 7 and 3; of a tuned support vector machine 10 and 8.
    """

    def __init__(
        self,
        filters: Count = 32,
        stages: CountOrZero = 0,
        blocks: Count = 2,
        dropout: Dropped = 0.2,
        size: Count = 64,
        epochs: CountOrZero = 0,
        patience: CountOrZero = 0,
        batch: Count = 32,
        learning_rate: Positive = 3e-3,
        weight_decay: Penalty = 1e-2,
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
        self.stages = stages
        self.blocks = blocks
        self.dropout = dropout

    def _side(self, stored: int) -> int:
        return min(self.size, stored)

    def _passes(self, steps: int) -> int:
        return self.epochs or int(np.clip(_STEPS / steps, *_EPOCHS))

    def tower(self, images: Any, backbone: Backbone) -> Any:
        """Stages, then the mean over all places."""
        from keras import layers

        x = layers.Rescaling(1 / 127.5, offset=-1)(images)
        first = 2 if images.shape[1] >= _LARGE else 1
        x = layers.Conv2D(self.filters, 3, first, padding="same", use_bias=False)(x)
        stages = self.stages or next((k for k in (3, 2) if x.shape[1] >> (k - 1) >= _SMALLEST), 1)
        for stage in range(stages):
            for block in range(self.blocks):
                stride = 2 if stage and not block else 1
                x = _block(x, self.filters * 2**stage, stride)
        x = layers.ReLU()(layers.BatchNormalization(momentum=_MOMENTUM)(x))
        x = layers.GlobalAveragePooling2D()(x)
        return layers.Dropout(self.dropout)(x)


def _block(x: Any, filters: int, stride: int) -> Any:
    """Normalise, bend, convolve, twice; and the way around."""
    from keras import layers

    def convolution(x: Any, stride: int) -> Any:
        x = layers.ReLU()(layers.BatchNormalization(momentum=_MOMENTUM)(x))
        return layers.Conv2D(filters, 3, stride, padding="same", use_bias=False)(x)

    around = x
    if stride > 1 or x.shape[-1] != filters:
        around = layers.Conv2D(filters, 1, stride, use_bias=False)(x)
    return layers.Add()([convolution(convolution(x, stride), 1), around])
