"""`kit report`: a run, or the competition, as one HTML file."""

from __future__ import annotations

from typing import Annotated

import typer

from kit.cli.options import Directory, Json, Quiet, Set, Verbose


def report(
    name: Annotated[
        str | None,
        typer.Argument(metavar="RUN", help="A run. Default: the competition as a whole."),
    ] = None,
    importance: Annotated[
        bool,
        typer.Option(
            "--importance",
            help="Fit the first fold again for the feature importance, where the run kept no "
            "models.",
        ),
    ] = False,
    directory: Directory = None,
    set_: Set = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Write one HTML file that shows a run, or the whole competition.

    It needs no network and nothing beside it; it lies below reports/.
    """
    from kit.cli.output import Output, size
    from kit.competition import Competition
    from kit.errors import ConfigError
    from kit.report import report_competition, report_run
    from kit.runs import find_run

    out = Output(json=json, quiet=quiet)
    competition = Competition.find(directory, set_ or [])
    if importance and name is None:
        raise ConfigError("--importance is for the report of one run: name it")

    def tell(text: str) -> None:
        if verbose:
            out.remark(f"  {text}")

    if name is None:
        path = report_competition(competition, tell)
    else:
        run = find_run(competition.runs, name)
        path = report_run(competition, run, refit=importance, tell=tell)
    out.document({"report": str(path), "bytes": path.stat().st_size})
    out.say(f"{path}  ({size(path.stat().st_size)})")
