"""What a model learns of the target, and the way back to predictions in the units of the target.

Where a metric counts how far off a class is (`quadratic_kappa`), the classes are grades of a scale.
Learned one by one they know nothing of their order; models learn the grade as one number instead,
and predict the two grades around it, so that everything behind a model sees probabilities as ever.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kit.execution.context import FoldContext
from kit.metrics.transforms import transform_pair
from kit.models.adapter import SklearnModel
from kit.models.base import Model
from kit.ordinal import between
from kit.settings import ModelSpec, TaskType


@dataclass(frozen=True, kw_only=True)
class Learned:
    """The target as a model is told it.

    Attributes:
        task: of the model.
        n_outputs: columns that it predicts.
        transform: the metric's scale, see `kit.metrics.transforms`.
        grades: how many grades are learned as one number; 0: the target is learned as it is.
    """

    task: TaskType
    n_outputs: int
    transform: str
    grades: int = 0

    def link(self, y: NDArray[Any]) -> NDArray[Any]:
        """What the model learns of the target."""
        if self.grades:
            return y.astype(np.float64)
        return transform_pair(self.transform, self.task)[0](y)

    def unlink(self, values: NDArray[Any]) -> NDArray[Any]:
        """Predictions in the units of the target: of grades ``(n, 1)`` -> ``(n, grades)``."""
        if self.grades:
            return between(values[:, 0], self.grades)
        return transform_pair(self.transform, self.task)[1](values)


def learned(context: FoldContext, spec: ModelSpec, unfitted: Model) -> Learned:
    """What a model learns: grades of a scale as one number, unless it is told not to.

    Models of `model.py` and of other packages learn classes, for which they may be made; so does
    what takes pseudo-labels, since a number does not say how sure it is.
    """
    data, transform = context.dataset, context.metric.transform
    ours = type(unfitted).__module__.startswith("kit.") and not isinstance(unfitted, SklearnModel)
    if context.graded and spec.ordinal and ours and not spec.pseudo_labels:
        grades = len(data.outputs)
        return Learned(task="regression", n_outputs=1, transform=transform, grades=grades)
    return Learned(task=data.task, n_outputs=len(data.outputs), transform=transform)
