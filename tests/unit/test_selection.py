"""Which run is handed in when none is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kit.errors import RunError
from kit.runs import Run
from kit.selection import best_run


class Recorded(Run):
    """A run whose configuration is not on disk."""

    config: dict[str, Any] = {}  # type: ignore[assignment]  # noqa: RUF012


def run(name: str, folds: list[float], kind: str = "cv", up: bool = True, **facts: Any) -> Run:
    record = {
        "kind": kind,
        "metric": {"name": "auc", "greater_is_better": up},
        "digests": {"data": "d", "folds": "f"},
        "score": {"value": sum(folds) / len(folds), "folds": folds},
        **facts,
    }
    return Recorded(Path(name), record)


def test_without_runs_the_command_that_makes_one_is_named() -> None:
    with pytest.raises(RunError, match="`kit cv` makes one"):
        best_run([])


@pytest.mark.parametrize(("up", "name"), [(True, "b"), (False, "a")])
def test_the_best_score_wins_in_the_direction_of_the_metric(up: bool, name: str) -> None:
    runs = [run("a", [0.1, 0.1], up=up), run("b", [0.3, 0.3], up=up), run("c", [0.2, 0.2], up=up)]
    assert best_run(runs)[0].id == name


def test_runs_of_other_data_folds_or_metrics_do_not_take_part() -> None:
    others = [
        run("a", [0.9, 0.9], digests={"data": "other", "folds": "f"}),
        run("b", [0.9, 0.9], digests={"data": "d", "folds": "other"}),
        run("c", [0.9, 0.9], metric={"name": "f1", "greater_is_better": True}),
    ]
    chosen, why = best_run([*others, run("d", [0.1, 0.1])])
    assert chosen.id == "d"
    assert why == "the only run that compares"


def test_a_trial_with_another_metric_does_not_decide_what_is_compared() -> None:
    f1 = {"name": "f1", "greater_is_better": True}
    runs = [run("a", [0.9, 0.9]), run("b", [0.1, 0.1]), run("trial", [0.5, 0.5], metric=f1)]
    chosen, why = best_run(runs, "f", "auc")
    assert (chosen.id, why) == ("a", "the best of 2 comparable runs (1 of another metric left out)")
    assert best_run(runs, "f", "rmse")[0].id == "trial"  # none is of it: the newest decides


def test_the_newest_blend_is_taken_when_the_lead_of_a_run_is_noise() -> None:
    runs = [
        run("blend-1", [0.70, 0.80, 0.75], kind="blend"),
        run("single", [0.80, 0.72, 0.76]),
        run("blend-2", [0.71, 0.80, 0.75], kind="blend"),
    ]
    chosen, why = best_run(runs)
    assert chosen.id == "blend-2"
    assert "single scores better only within the noise" in why


def test_a_run_that_is_clearly_better_than_the_blend_is_taken() -> None:
    runs = [run("single", [0.9, 0.91, 0.92]), run("blend", [0.7, 0.72, 0.71], kind="blend")]
    chosen, why = best_run(runs)
    assert chosen.id == "single"
    assert "the blend is behind it" in why


def test_a_run_that_is_behind_the_blend_in_the_folds_is_not_clearly_better() -> None:
    """One fold has nearly all rows, so all rows together say otherwise than the folds."""
    blend = run("blend", [0.91, 1.30, 1.31, 1.31, 1.30], kind="blend", up=False)
    large = run("single", [0.90, 1.50, 1.51, 1.52, 1.49], up=False)
    blend.record["score"]["value"], large.record["score"]["value"] = 1.002, 1.0  # type: ignore[index]
    chosen, why = best_run([large, blend])
    assert chosen.id == "blend"
    assert "single scores better only within the noise" in why


def test_the_best_of_many_runs_must_lead_by_more_than_the_best_of_few() -> None:
    """A blend, and runs that are as good as it: one of fifty leads by two standard errors."""
    blend = run("blend", [0.70, 0.80, 0.75, 0.72, 0.78, 0.74], kind="blend")
    lucky = run("lucky", [0.72, 0.80, 0.76, 0.74, 0.785, 0.75])
    others = [run(f"other-{k}", [0.70, 0.79, 0.75, 0.72, 0.78, 0.74]) for k in range(49)]
    assert best_run([lucky, blend])[0].id == "lucky"
    chosen, why = best_run([lucky, *others, blend])
    assert chosen.id == "blend"
    assert "lucky scores better only within the noise" in why


def test_a_blend_that_scores_best_is_taken() -> None:
    runs = [run("blend", [0.9, 0.9], kind="blend"), run("single", [0.8, 0.8])]
    assert best_run(runs)[0].id == "blend"
