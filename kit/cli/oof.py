"""`kit oof export`, `kit oof import`: predictions that change hands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kit.cli.options import RUNS_CODE, Directory, Json, Quiet, Set, Verbose

app = typer.Typer(
    help="Exchange out-of-fold predictions with a team mate or a notebook.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command("export")
def export(
    name: Annotated[str, typer.Argument(metavar="RUN", help="A run.")],
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="The file to write: .parquet or .csv.")
    ],
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    directory: Directory = None,
    set_: Set = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Write the predictions of a run, with folds, metric and classes, for others.

    The file holds no code: out-of-fold and test predictions, and where they come from.
    """
    from kit.cli.output import Output
    from kit.competition import Competition
    from kit.errors import ConfigError
    from kit.exchange import export_run
    from kit.runs import find_run

    out = Output(json=json, quiet=quiet)
    run = find_run(Competition.find(directory, set_ or []).runs, name)
    if file.exists() and not force:
        raise ConfigError(f"{file} exists; --force replaces it")
    export_run(run, file)
    out.document({"run": run.id, "file": str(file)})
    out.say(f"{file}: predictions of {run.id}")
    out.next(f"kit oof import {file.name}, on the other side")


@app.command("import", epilog=RUNS_CODE)
def import_(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="What kit oof export wrote, or a .csv or .parquet file with ids and predictions.",
        ),
    ],
    test: Annotated[
        Path | None,
        typer.Option("--test", metavar="FILE", help="Test predictions, where they are a file."),
    ] = None,
    folds: Annotated[
        Path | None,
        typer.Option(
            "--folds",
            metavar="FILE",
            help="The team's folds.parquet the predictions were made on; for a file that does not "
            "say so itself.",
        ),
    ] = None,
    model: Annotated[
        str, typer.Option("--name", metavar="NAME", help="What to call the model.")
    ] = "",
    directory: Directory = None,
    set_: Set = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Take over predictions that were made elsewhere, as a run that blends with ours.

    Ids, folds, metric, class order and values are checked; what does not fit is refused, with the
    reason. The score is computed here.
    """
    from kit.cli.output import Output, score_format
    from kit.competition import Competition
    from kit.exchange import import_file

    out = Output(json=json, quiet=quiet)
    competition = Competition.find(directory, set_ or [])
    run, remarks = import_file(competition, file, test=test, folds=folds, name=model)
    for remark in remarks:
        out.remark(f"kit: {remark}")
    out.document({**run.record, "remarks": remarks})
    out.say(f"{run.id}  {run.metric[0]} {score_format(run.score)}")
    out.next("kit blend")
