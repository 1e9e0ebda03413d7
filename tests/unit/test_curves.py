"""Verdicts on learning curves of known shape, and the line of bars."""

from __future__ import annotations

import math

import pytest

from kit.curves import sparkline, step_of, verdict


def decay(steps: int, rate: float, floor: float = 0.3, top: float = 0.7) -> list[float]:
    return [floor + top * math.exp(-rate * k) for k in range(steps)]


FALLING = {"train": decay(40, 0.03), "valid": decay(40, 0.03)}
RISING = {
    "train": decay(60, 0.15, floor=0.02),
    "valid": [max(v, 0.3 + 0.01 * (k - 20)) for k, v in enumerate(decay(60, 0.15))],
}
FLAT = {"train": decay(60, 0.3, 0.85, 0.1), "valid": decay(60, 0.3, 0.86, 0.1)}
GOOD = {"train": decay(60, 0.2, 0.1, 0.9), "valid": decay(60, 0.2, 0.2, 0.8)}
BROKEN = {"train": [0.7, 0.6, math.nan], "valid": [0.7, 0.65, math.nan]}


@pytest.mark.parametrize(
    ("curve", "kind"),
    [
        (FALLING, "not converged"),
        (RISING, "overfitting"),
        (FLAT, "underfitting"),
        (GOOD, "converged"),
        (BROKEN, "diverged"),
    ],
)
def test_shape_is_named(curve: dict[str, list[float]], kind: str) -> None:
    told = verdict({"0": curve, "1": curve}, "epoch")
    assert told is not None
    assert (told.kind, told.folds) == (kind, (2, 2))
    assert bool(told.remedy) == (kind != "converged")


def test_overfitting_names_the_epoch_of_the_lowest_validation_loss() -> None:
    told = verdict({"0": RISING}, "epoch")
    assert told is not None
    lowest = min(range(60), key=RISING["valid"].__getitem__) + 1
    assert told.best == lowest
    assert told.text.startswith(f"from epoch {lowest} on")


def test_scale_and_offset_of_the_loss_do_not_matter_where_only_its_shape_counts() -> None:
    for curve in (FALLING, RISING, GOOD):
        larger = {name: [1000 * v for v in losses] for name, losses in curve.items()}
        plain, scaled = verdict({"0": curve}), verdict({"0": larger})
        assert plain is not None
        assert scaled is not None
        assert plain.kind == scaled.kind


def test_the_majority_of_the_folds_decides() -> None:
    told = verdict({"0": GOOD, "1": GOOD, "2": RISING})
    assert told is not None
    assert (told.kind, told.folds) == ("converged", (2, 3))


@pytest.mark.parametrize("curves", [{}, {"0": {}}, {"0": {"train": [1.0, 0.5, 0.2]}},
                                    {"0": {"valid": [1.0, 0.5]}}])  # fmt: skip
def test_nothing_is_said_without_a_validation_curve(
    curves: dict[str, dict[str, list[float]]],
) -> None:
    assert verdict(curves) is None


def test_a_curve_that_rises_from_the_first_step_is_overfitting_from_there() -> None:
    told = verdict({"0": {"valid": [1.0, 1.1, 1.2, 1.3]}})
    assert told is not None
    assert (told.kind, told.best) == ("overfitting", 1)


def test_sparkline_has_one_bar_per_step_and_no_more_than_asked() -> None:
    assert sparkline([3.0, 2.0, 1.0]) == "█▅▁"
    assert len(sparkline([float(k) for k in range(1000)], width=20)) == 20
    assert sparkline([1.0, 1.0]) == "▁▁"
    assert sparkline([math.nan]) == ""


def test_steps_are_called_what_they_are() -> None:
    assert step_of({"params": {"epochs": 3}}) == "epoch"
    assert step_of({"params": {"n_estimators": 3}}) == "round"
    assert step_of({}) == "round"
