"""Fine-tuning: a pretrained network whose last layers go on learning on the competition's images.

Its first layers know edges and textures, which are the same everywhere, and stay as they are. The
last ones know what ImageNet is about, and are changed in small steps.
"""

from __future__ import annotations

from typing import Any, Literal

from kit.images.backbones import Backbone, layers_of
from kit.models.base import Count, CountOrZero, Dropped, Penalty, Positive
from kit.models.neural.descent import Optimizer, Schedule
from kit.models.neural.image_network import ImageNetwork, Part


class FineTune(ImageNetwork):
    """A pretrained backbone with a new head; the top of it is trained along.

    Its batch normalisations keep the means they were trained with: a few thousand images give
    worse ones.

    Args:
        top: layers with weights, from the end, that are trained; 0: none but the head.
        dropout: share of the vector that is silenced while training.
        epochs, patience, batch, learning_rate, weight_decay, mirror, crop, brightness,
            views, precision, optimizer, schedule, momentum: see `ImageNetwork`. The size is the
            backbone's.

    Raises:
        ConfigError: the column of images has no backbone with weights.
    """

    def __init__(
        self,
        top: CountOrZero = 12,
        dropout: Dropped = 0.3,
        epochs: Count = 8,
        patience: CountOrZero = 0,
        batch: Count = 32,
        learning_rate: Positive = 3e-4,
        weight_decay: Penalty = 1e-3,
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
            0, epochs, patience, batch, learning_rate, weight_decay, mirror, crop,
            brightness, views, precision, optimizer, schedule, momentum,
        )  # fmt: skip
        self.top = top
        self.dropout = dropout

    def tower(self, images: Any, backbone: Backbone) -> Any:
        """The backbone, all but its top fixed."""
        import keras

        network = backbone.network()
        layers = list(layers_of(network))
        trained = [layer for layer in layers if layer.weights and not _normalises(layer)]
        kept = trained[-self.top :] if self.top else []
        for layer in layers:
            layer.trainable = any(layer is one for one in kept)
        x, size = images, network.input_shape[1] or images.shape[1]
        if images.shape[1] != size:
            x = keras.layers.Resizing(size, size)(x)
        if images.shape[-1] == 1:
            x = keras.layers.Concatenate()([x, x, x])
        # without the backbone's name: each column of images has one, and names must differ
        body = keras.Model(network.inputs[0], network.outputs[0])
        return keras.layers.Dropout(self.dropout)(body(x))


def _normalises(layer: Any) -> bool:
    return "normalization" in type(layer).__name__.lower()
