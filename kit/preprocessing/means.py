"""Columns of every recipe that hold means of the target; cross-fitted, so they see no own label."""

from __future__ import annotations

from kit.preprocessing.categories import CrossFittedTarget
from kit.preprocessing.named_numbers import NamedNumbers
from kit.preprocessing.row_parts import Step
from kit.preprocessing.shape import Shape


def target_means(shape: Shape) -> list[Step]:
    """Steps that make cross-fitted means of the target; they exist for one target only."""
    if not shape.one_target:
        return []
    classification = shape.task in ("binary", "multiclass")
    return [
        ("means", CrossFittedTarget(classification, shape.seed), shape.many),
        ("named", NamedNumbers(classification, shape.seed), shape.of("numeric")),
    ]
