"""`kit rerun`: compute a run again and compare."""

from __future__ import annotations

from typing import Annotated

import typer

from kit.cli.options import Directory, Json, Quiet, Set, Verbose


def rerun(
    name: Annotated[str, typer.Argument(metavar="RUN", help="A run.")],
    directory: Directory = None,
    set_: Set = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Compute a run again from its own code and configuration, and compare bit by bit.

    Runs the Python files that the run kept. Exit code 1 when a prediction differs; what has changed
    since is said.
    """
    from dataclasses import asdict

    from kit.cli.output import Output, score_format
    from kit.competition import Competition
    from kit.rerun import rerun as rerun_run
    from kit.runs import find_run

    out = Output(json=json, quiet=quiet)
    competition = Competition.find(directory, set_ or [])
    run = find_run(competition.runs, name)
    with out.folds([run.model], score_format) as listen:
        found = rerun_run(competition, run, listen)
    out.document(asdict(found))
    for note in found.notes:
        out.remark(f"kit: {note}")
    if found.equal:
        out.say(f"{run.id}: the same to the last bit, {found.rows:,} rows predicted again.")
        if found.differs:
            out.say("Though these have changed since:")
    else:
        out.say(f"{run.id}: NOT the same.")
        parts = [("out-of-fold", found.oof), ("test", found.test)]
        parts += [("holdout", found.holdout)] if found.holdout != 0.0 else []
        for part, off in parts:
            told = (
                "other rows, folds or columns" if off is None else f"largest difference {off:.3g}"
            )
            out.say(f"  {part} predictions: {told}")
        if not found.differs:
            out.say(
                "  Data, code and packages are those of the run: another processor or GPU, or "
                "code that is not repeatable."
            )
    for sentence in found.differs:
        out.say(f"  {sentence}")
    if not found.equal:
        raise typer.Exit(1)
