"""A U-Net whose answer is a shade per pixel: the clean image behind a stained or noisy one.

Shades want every pixel where it was, so nothing is made smaller: the network learns from patches
cut out at random, and looks at new images whole, whatever their sides are.

`templates/restoration` is the competition around it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from kit.models.neural.unet import EncoderDecoder


class Restorer(EncoderDecoder):
    """Images from images.

    Args:
        filters: of each level, the finest first; each further level halves the image once more.
        dropout: share of the values of the coarsest level that are silenced while training.
        patch: pixels per side of what is cut out; smaller images are continued at their edges.
        crops: patches cut out of each image in an epoch.
        epochs: passes over the images; the step size falls to zero over them, on a cosine.
        batch: patches per step.
        learning_rate: largest step size (Adam).
        mirror: show half of the patches mirrored, and look at new images from both sides.
        seed: of everything random.
        threads: how many it may use; 0: one per core.

    Shape:
        Images ``(height, width, channels)`` of 0 to 255, each of its own size; answers ``(height,
        width)`` of 0 to 1, in training and out.

    Source:
        The network is that of `kit.models.neural.unet`; the loss is the squared error.
    """

    def __init__(
        self,
        filters: tuple[int, ...] = (16, 32, 64),
        dropout: float = 0.0,
        patch: int = 64,
        crops: int = 8,
        epochs: int = 20,
        batch: int = 16,
        learning_rate: float = 2e-3,
        mirror: bool = True,
        seed: int = 0,
        threads: int = 0,
    ) -> None:
        super().__init__(filters, dropout, epochs, batch, learning_rate, mirror, seed, threads)
        self.patch = patch
        self.crops = crops

    def fit(
        self, images: Sequence[NDArray[np.uint8]], answers: Sequence[NDArray[np.float32]]
    ) -> Self:
        """Train on all of them to the end.

        Raises:
            ValueError: an answer has other sides than its image, or patches do not fit the levels.
        """
        self._check(images, answers)
        inputs = [_continued(image, self.patch, 1) for image in images]
        outputs = [_continued(answer, self.patch, 1) for answer in answers]

        def take(rows: NDArray[np.int64], rng: np.random.Generator) -> tuple[Any, Any]:
            pixels, target = [], []
            for row in rows // self.crops:
                height, width = outputs[row].shape
                top = rng.integers(height - self.patch + 1)
                left = rng.integers(width - self.patch + 1)
                cut = np.s_[top : top + self.patch, left : left + self.patch]
                pixels.append(inputs[row][cut])
                target.append(outputs[row][cut])
            return self._turned(np.stack(pixels), np.stack(target).astype(np.float32), rng)

        shape = (None, None, images[0].shape[2])
        return self._trained(shape, "mean_squared_error", len(images) * self.crops, take)

    def predict(self, images: Sequence[NDArray[np.uint8]]) -> list[NDArray[np.float32]]:
        """The clean images ``(height, width)``, 0 to 1."""
        found = []
        for image in images:
            height, width = image.shape[:2]
            whole = _continued(image, self.step, self.step)
            found.append(self._seen(whole[None])[0, :height, :width])
        return found

    def _check(self, images: Sequence[NDArray[Any]], answers: Sequence[NDArray[Any]]) -> None:
        if len(images) != len(answers) or not images:
            raise ValueError(f"{len(images)} images and {len(answers)} answers: one each is needed")
        for image, answer in zip(images, answers, strict=True):
            if image.ndim != 3 or image.shape[:2] != answer.shape:
                raise ValueError(
                    "an image must be (height, width, channels) and its answer (height, width), "
                    f"however: {image.shape}, {answer.shape}"
                )
        if self.patch % self.step:
            raise ValueError(
                f"with {len(self.filters)} levels `patch` must be a multiple of {self.step}, "
                f"however: {self.patch}"
            )


def _continued(image: NDArray[Any], least: int, step: int) -> NDArray[Any]:
    """An image whose sides are `least` pixels or more and multiples of `step`, by its edges."""
    sides = [max(least, -(-side // step) * step) for side in image.shape[:2]]
    more = [(0, wanted - side) for wanted, side in zip(sides, image.shape[:2], strict=True)]
    return np.pad(image, more + [(0, 0)] * (image.ndim - 2), mode="edge")
