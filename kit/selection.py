"""Which run to hand in when none is named. Standard library, but where a run leads a blend."""

from __future__ import annotations

from collections.abc import Sequence

from kit.comparison import compare
from kit.errors import RunError
from kit.runs import Run

_CHANCE = 0.05  # that one of all runs leads the blend so far although none is better


def best_run(runs: Sequence[Run], folds: str = "", metric: str = "") -> tuple[Run, str]:
    """The run to hand in, and why, in one sentence.

    Only runs that can be compared with the newest one (same data, folds and metric) take part;
    where there are some, only those of the folds with the digest `folds` and of the `metric` (a
    name), which kit.toml has: the newest may have been a trial with `--set`. The best score wins
    (see `standing`); but the newest blend is taken where the best single run is not
    clearly better: its lead may be the luck of having been picked as the best of many.

    A run of kind "fit" has no score of its own and never takes part: it is handed in by name.

    Raises:
        RunError: there is no run.
    """
    runs = [run for run in runs if run.kind != "fit"]
    if not runs:
        raise RunError("there are no runs yet. `kit cv` makes one.")
    usual = [run for run in runs if run.folds == folds] or runs
    measured = [run for run in usual if run.metric[0] == metric] or usual
    aside = {
        "on other folds than kit.toml makes": len(runs) - len(usual),
        "of another metric": len(usual) - len(measured),
    }
    runs = measured
    newest = runs[-1].record
    same = [run for run in runs if _comparable(run, runs[-1])]
    up = bool(newest["metric"]["greater_is_better"])
    best = max(same, key=lambda run: (standing(run) if up else -standing(run), run.id))
    why = (
        f"the best of {len(same)} comparable runs"
        if len(same) > 1
        else "the only run that compares"
    )
    if newest.get("fold_weights"):
        why += ", later folds counting more"
    why += "".join(f" ({count} {what} left out)" for what, count in aside.items() if count)
    blends = [run for run in same if run.kind == "blend"]
    if best.kind == "blend" or not blends:
        return best, why
    blend = blends[-1]
    if _clearly_better(best, blend, sum(run.kind != "blend" for run in same)):
        return best, f"{why}; the blend is behind it"
    return blend, f"the newest blend; {best.id} scores better only within the noise of the folds"


def _clearly_better(best: Run, blend: Run, n: int) -> bool:
    """Whether the lead of the best of `n` runs over a blend is more than luck.

    Student's t of the paired fold differences, one-sided, at a level that `n` comparisons share
    (Bonferroni's inequality; Dunn, "Multiple comparisons among means", 1961).
    """
    from scipy.special import stdtr

    compared = compare(blend, best)
    lead = compared.summary.get("mean_difference", 0.0)
    lead = lead if best.record["metric"]["greater_is_better"] else -lead
    error = compared.summary.get("standard_error", 0.0)
    if error == 0.0:
        return lead > 0.0
    pairs = sum(None not in pair for pair in compared.folds)
    return bool(stdtr(pairs - 1, -lead / error) <= _CHANCE / n)


def standing(run: Run) -> float:
    """The score by which runs are ranked: where folds go forward, later ones count more."""
    folds, weights = run.record["score"].get("folds"), run.record.get("fold_weights")
    if not folds or not weights or len(folds) != len(weights) or None in folds:
        return run.score
    return sum(w * score for w, score in zip(weights, folds, strict=True)) / sum(weights)


def _comparable(run: Run, other: Run) -> bool:
    keys = ("data", "folds")
    return run.metric == other.metric and all(
        run.record["digests"].get(key) == other.record["digests"].get(key) for key in keys
    )
