"""`kit cluster`: start one here, look at one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from kit.cli.options import Directory, Json, Quiet, Set, Verbose, competition_or_none

if TYPE_CHECKING:
    from kit.cli.output import Cell

app = typer.Typer(
    help="Folds on other machines: --on ADDRESS of kit cv, tune and auto.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command()
def up(
    workers: Annotated[int, typer.Option(min=1, metavar="N", help="So many worker processes.")] = 2,
    threads: Annotated[
        int,
        typer.Option(
            min=0, metavar="N", help="Threads per worker. Default: its share of the cores."
        ),
    ] = 0,
    host: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS",
            help="Where to listen. Whoever reaches another address than that of this machine "
            "alone can run code here.",
        ),
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, metavar="N", help="Of the scheduler; 0: any.")
    ] = 8786,
    directory: Directory = None,
    set_: Set = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Start a Dask scheduler and workers on this machine, until Ctrl-C."""
    import signal
    from contextlib import suppress

    from kit.cli.output import Output
    from kit.cores import usable_cores
    from kit.execution.link import started

    out = Output(json=json, quiet=quiet)
    competition_or_none(directory, set_, out.remark)  # a wrong key is an error here as everywhere
    each = threads or max(1, usable_cores() // workers)
    with started(workers, each, host, port) as address, suppress(KeyboardInterrupt):
        out.document({"address": address, "workers": workers, "threads": each})
        out.say(f"{workers} workers, {each} threads each, at {address}\nCtrl-C ends it.")
        out.next(f"kit cv --on {address}")
        while True:
            signal.pause()
    out.remark("ended")


@app.command()
def status(
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="Of the scheduler.")],
    directory: Directory = None,
    set_: Set = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Show the workers of a cluster, what they keep, and whose versions differ.

    Exit code 1 if there is no worker that can be used.
    """
    from kit.cli.output import Output
    from kit.execution.link import connect, workers_of

    out = Output(json=json, quiet=quiet)
    competition_or_none(directory, set_, out.remark)
    client = connect(address)
    try:
        found = workers_of(client)
    finally:
        client.close(timeout=2)
    out.document(found)
    rows: list[list[Cell]] = [
        [
            str(each["address"]),
            each["threads"],
            f"{each['memory'] / 2**30:.1f} GiB" if each["memory"] else "",
            each["tasks"],
            f"{each['kept'] / 1e6:.1f} MB",
            ", ".join(each["gpus"]),
            "; ".join(each["problems"]),
        ]
        for each in found
    ]
    out.table(["worker", "threads", "memory", "tasks", "files", "gpu", "problem"], rows)
    usable = sum(not each["problems"] for each in found)
    out.say(f"\n{usable} of {len(found)} workers can be used.")
    if not usable:
        raise typer.Exit(1)
