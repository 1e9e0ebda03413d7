"""The command tree. Bodies import what they need when they run; this module imports typer only."""

from __future__ import annotations

from typing import Annotated

import typer

import kit
from kit.cli import (
    auto,
    blend,
    check,
    cluster,
    cv,
    data,
    export,
    fit,
    gc,
    leaderboard,
    ledger,
    new,
    oof,
    report,
    rerun,
    runs,
    submit,
    system,
    tune,
)
from kit.cli.options import RUNS_CODE

app = typer.Typer(
    name="kit",
    help="The whole loop of a Kaggle competition: new, data, check, cv, blend, submit, ledger.",
    rich_markup_mode=None,  # plain help: Rich's costs as much as everything else together
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    add_completion=True,
)

_OF_YOURS = frozenset(
    {"check", "cv", "tune", "blend", "auto", "submit", "fit", "predict", "export", "report"}
)

for name, command in (
    ("new", new.new),
    ("data", data.data),
    ("check", check.check),
    ("cv", cv.cv),
    ("tune", tune.tune),
    ("blend", blend.blend),
    ("auto", auto.auto),
    ("submit", submit.submit),
    ("fit", fit.fit),
    ("predict", fit.predict),
    ("export", export.export),
    ("runs", runs.runs),
    ("show", runs.show),
    ("diff", runs.diff),
    ("report", report.report),
    ("rerun", rerun.rerun),
    ("ledger", ledger.ledger),
    ("leaderboard", leaderboard.leaderboard),
    ("portfolio", auto.portfolio),
    ("plugins", system.plugins),
    ("doctor", system.doctor),
    ("gc", gc.gc),
):
    app.command(name, epilog=RUNS_CODE if name in _OF_YOURS else None)(command)
app.add_typer(oof.app, name="oof")
app.add_typer(cluster.app, name="cluster")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"kit {kit.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


_root.__doc__ = app.info.help
