"""Adam with decoupled weight decay on lists of tensors, each with its own step size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Tensors = list[Any]


@dataclass(frozen=True, kw_only=True)
class Group:
    """How one parameter is updated.

    Attributes:
        rate: factor of the learning rate; 0: the parameter is never changed.
        decay: factor of the weight decay.
    """

    rate: float = 1.0
    decay: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Adam:
    """Adam (Kingma and Ba, 2015) with decoupled decay (Loshchilov and Hutter, 2019).

    Attributes:
        beta1: memory of the mean.
        beta2: memory of the square.
        epsilon: added to the root.
        clip: largest norm of a network's gradient; 0: not clipped.
    """

    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    clip: float = 0.0

    def corrections(self, steps: NDArray[np.int64]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Bias corrections of the two memories at steps counted from 1."""
        return 1 - self.beta1 ** steps.astype(float), 1 - self.beta2 ** steps.astype(float)

    def step(
        self,
        weights: Tensors,
        means: Tensors,
        squares: Tensors,
        gradients: Tensors,
        groups: Sequence[Group],
        hyper: Any,
    ) -> tuple[Tensors, Tensors, Tensors]:
        """One update of all parameters.

        Args:
            weights: one tensor per parameter, networks first.
            means: of the gradients so far, likewise.
            squares: of the gradients so far, likewise.
            gradients: of this step, likewise.
            groups: one per parameter.
            hyper: ``(4,)``: learning rate, weight decay, the two corrections.
        """
        from keras import ops

        # the corrections are moved into two factors: fewer passes over the weights
        root = ops.sqrt(hyper[3])
        rate, decay, floor = hyper[0] * root / hyper[2], hyper[0] * hyper[1], self.epsilon * root
        if self.clip:
            gradients = _clipped(gradients, self.clip)
        new: tuple[Tensors, Tensors, Tensors] = ([], [], [])
        for weight, mean, square, slope, group in zip(
            weights, means, squares, gradients, groups, strict=True
        ):
            mean = mean + (1 - self.beta1) * (slope - mean)
            square = square + (1 - self.beta2) * (slope * slope - square)
            moved = (rate * group.rate) * mean / (ops.sqrt(square) + floor)
            if group.decay:
                weight = weight * (1.0 - decay * (group.rate * group.decay))
            new[0].append(weight - moved)
            new[1].append(mean)
            new[2].append(square)
        return new


def _clipped(gradients: Tensors, limit: float) -> Tensors:
    """Every network's gradient scaled down to a norm of `limit`."""
    from keras import ops

    def shaped(values: Any, like: Any) -> Any:
        return ops.reshape(values, (-1, *[1] * (len(like.shape) - 1)))

    squares = [ops.sum(ops.square(g), axis=tuple(range(1, len(g.shape)))) for g in gradients]
    factor = ops.minimum(1.0, limit / (ops.sqrt(sum(squares)) + 1e-6))
    return [g * shaped(factor, g) for g in gradients]
