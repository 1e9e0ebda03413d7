"""`kit blend`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kit.cli.options import Directory, Json, Quiet, Set, Verbose

if TYPE_CHECKING:
    from kit.cli.output import Cell, Output
    from kit.runs import Run


def blend(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="RUN",
            help="Run ids or parts of them. Default: all runs of the present data and folds.",
        ),
    ] = None,
    method: Annotated[
        str,
        typer.Option(
            help="auto (greedy, or what beats it on folds it never saw), greedy, hill, rank, "
            "stack, or mean."
        ),
    ] = "auto",
    negative: Annotated[
        bool, typer.Option("--negative", help="Weights below 0 too; with --method hill.")
    ] = False,
    directory: Directory = None,
    set_: Set = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Blend runs by their out-of-fold predictions.

    The nested score is the one to believe.
    """
    from kit.blend import blend as blend_runs
    from kit.cli.output import Output
    from kit.competition import Competition
    from kit.runs import find_run

    out = Output(json=json, quiet=quiet)
    competition = Competition.find(directory, set_ or [])
    run = blend_runs(competition, names or [], method, negative=negative, tell=out.remark)
    out.document(dict(run.record))
    parents = [find_run(competition.runs, parent) for parent in run.record["parents"]]
    _say_members(out, run, parents)
    _say_scores(out, run, parents)
    _say_choice(out, run.record["blend"])
    out.say(f"\n{run.id}")
    out.next("kit submit --dry-run, then kit submit -m 'first blend'")


def _say_members(out: Output, run: Run, parents: Sequence[Run]) -> None:
    """Weights, scores and what predicting costs."""
    weights = run.record["weights"]
    cost = run.record["blend"]["seconds_per_1000_rows"]
    rows: list[list[Cell]] = [
        [p.model, f"{weights[p.id]:.3f}", p.score, _seconds(cost[p.id]), p.short]
        for p in sorted(parents, key=lambda p: -abs(weights[p.id]))
    ]
    out.table(["model", "weight", run.record["metric"]["name"], "s/1000 rows", "run"], rows)
    used = [cost[p.id] for p in parents if weights[p.id]]
    if all(each is not None for each in used):
        out.say(f"\n{_seconds(sum(used))} s per 1000 new rows; models of weight 0 are not needed")


def _say_scores(out: Output, run: Run, parents: Sequence[Run]) -> None:
    """The honest score beside the flattering one and the best member's."""
    metric, score = run.record["metric"], run.record["score"]
    up = metric["greater_is_better"]
    out.say()
    best = max(parents, key=lambda parent: parent.score if up else -parent.score)
    out.table(
        ["", metric["name"]],
        [
            ["blend, nested (weights from the other folds)", score["value"]],
            ["blend, plain (the rows it was fitted on)", score["plain"]],
            [f"best single run ({best.model})", best.score],
        ],
    )


def _say_choice(out: Output, blend: Mapping[str, Any]) -> None:
    """Which way was taken, and what it was compared with."""
    if not blend["complete"]:
        out.say("\nNo time was left to compare other ways to blend: greedy.")
    others = [way for way in blend["compared"] if way != blend["chosen"]]
    if others:
        out.say(f"\nChosen on folds it never saw: {blend['chosen']}; not {', '.join(others)}")


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"
