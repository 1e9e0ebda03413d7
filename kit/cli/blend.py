"""`kit blend`."""

from __future__ import annotations

from typing import Annotated

import typer

from kit.cli.options import Directory, Json, Quiet, Set, Verbose


def blend(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="RUN",
            help="Run ids or parts of them. Default: all runs of the present data and folds.",
        ),
    ] = None,
    method: Annotated[
        str, typer.Option(help="greedy (weights fitted on OOF), mean, or rank.")
    ] = "greedy",
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
    from kit.cli.output import Cell, Output
    from kit.competition import Competition
    from kit.runs import find_run

    out = Output(json=json, quiet=quiet)
    competition = Competition.find(directory, set_ or [])
    run = blend_runs(competition, names or [], method)
    out.document(dict(run.record))
    parents = [find_run(competition.runs, parent) for parent in run.record["parents"]]
    rows: list[list[Cell]] = [
        [parent.model, f"{run.record['weights'][parent.id]:.3f}", parent.score, parent.short]
        for parent in sorted(parents, key=lambda p: -run.record["weights"][p.id])
    ]
    out.table(["model", "weight", run.record["metric"]["name"], "run"], rows)
    score = run.record["score"]
    out.say()
    up = run.record["metric"]["greater_is_better"]
    best = max(parents, key=lambda parent: parent.score if up else -parent.score)
    out.table(
        ["", run.record["metric"]["name"]],
        [
            ["blend, nested (weights from the other folds)", score["value"]],
            ["blend, plain (the rows it was fitted on)", score["plain"]],
            [f"best single run ({best.model})", best.score],
        ],
    )
    out.say(f"\n{run.id}")
    out.next("kit submit --dry-run, then kit submit -m 'first blend'")
