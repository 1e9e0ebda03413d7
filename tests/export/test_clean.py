"""The bundle in a clean environment: the same predictions, and planted faults that are caught."""

from __future__ import annotations

from collections.abc import Callable

from kit.competition import Competition
from kit.export.ready import Exported
from kit.runs import Run

Make = Callable[..., Competition]
Kept = Callable[..., list[Run]]
Export = Callable[..., Exported]


def test_a_bundle_predicts_what_its_run_predicted(toy: Make, kept: Kept, exported: Export) -> None:
    competition = toy()
    (run,) = kept(competition, "lightgbm")
    made = exported(competition, run, hidden_rows=3000)
    assert made.ready, made.missing
    assert made.proof is not None
    assert made.proof.difference == 0.0
    assert made.proof.rows == 30
    print(made.proof)
