"""`kit fit` and `kit predict`: models on all rows, and predictions for new ones."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kit.cli.options import Directory, Json, Quiet, Set, Verbose

if TYPE_CHECKING:
    from kit.cli.output import Cell


def fit(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="RUN",
            help="A run id, a part of one, a model, or last. Default: the best run.",
        ),
    ] = None,
    seeds: Annotated[
        int, typer.Option(help="Models per member, with different seeds; their mean predicts.")
    ] = 3,
    directory: Directory = None,
    set_: Set = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Fit what a run chose on all training rows.

    Early stopping goes where cross-validation stopped. The score shown is that of the validated
    run: no row is left to score the new models on.
    """
    from kit.cli.output import Output
    from kit.cli.submit import best
    from kit.competition import Competition
    from kit.cores import usable_cores
    from kit.refit.final import refit
    from kit.runs import find_run

    out = Output(json=json, quiet=quiet)
    competition = Competition.find(directory, set_ or [])
    run = find_run(competition.runs, name) if name else best(competition, out)
    threads = competition.settings.execution.threads or usable_cores()
    fitted = refit(competition, run, seeds=seeds, threads=threads, tell=out.remark)
    out.document(dict(fitted.record))
    rows: list[list[Cell]] = [
        [fact["model"], fact["seeds"], fact["stopped_at"], f"{fact['seconds']:.1f}"]
        for fact in fitted.record["members"]
    ]
    out.table(["model", "seeds", "stopped at", "fit s"], rows)
    metric = fitted.record["metric"]["name"]
    out.say(f"\n{fitted.id}")
    out.say(f"{metric} {fitted.score:.5g} is that of {run.id}, by cross-validation.")
    out.next(f"kit submit {fitted.short}, or kit predict {fitted.short} FILE")


def predict(
    name: Annotated[
        str,
        typer.Argument(
            metavar="RUN", help="A run of kit fit, or one made with kit cv --keep-models."
        ),
    ],
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Rows that look like the test file.")
    ],
    out_file: Annotated[
        Path | None,
        typer.Option("--out", metavar="OUT", help="Where to write. Default: predictions/."),
    ] = None,
    proba: Annotated[
        bool,
        typer.Option("--proba", help="The predictions themselves, not what is submitted."),
    ] = False,
    directory: Directory = None,
    set_: Set = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Predict the rows of a file that looks like the test file.

    The rows go through features.py, kinds and recipes as the test file does, piece by piece.
    """
    from kit.cli.output import Output
    from kit.competition import Competition
    from kit.refit.predict import predict_file
    from kit.runs import find_run

    out = Output(json=json, quiet=quiet)
    competition = Competition.find(directory, set_ or [])
    run = find_run(competition.runs, name)
    found = predict_file(competition, run, file, out_file, proba=proba)
    for note in found.notes:
        out.remark(f"note: {note}")
    out.document(
        {
            "run": run.id,
            "file": str(found.path),
            "rows": found.rows,
            "columns": list(found.columns),
            "notes": list(found.notes),
        }
    )
    out.say(f"{found.path}: {found.rows} rows; {', '.join(found.columns)}")
