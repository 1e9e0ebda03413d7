"""`kit gc`: remove what interrupted commands left behind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from kit.cli.options import Directory, Json, Quiet, Set, Verbose

if TYPE_CHECKING:
    from pathlib import Path

    from kit.cli.output import Cell, Output
    from kit.housekeeping import Leftover


def gc(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be removed.")
    ] = False,
    older_than: Annotated[
        str,
        typer.Option(
            "--older-than",
            metavar="TIME",
            help="Keep partial results and caches that were used since: 12h, 7d; 0s: keep none.",
        ),
    ] = "7d",
    directory: Directory = None,
    set_: Set = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Remove what interrupted commands left behind and caches that nobody uses.

    Never a run, a receipt, or what another process has in work.
    """
    from kit.cli.output import Output
    from kit.competition import Competition
    from kit.duration import parse_duration
    from kit.housekeeping import leftovers, remove

    out = Output(json=json, quiet=quiet)
    competition = Competition.find(directory, set_ or [])
    seconds = 0.0 if older_than.strip() in ("0", "0s") else parse_duration(older_than)
    gone: list[Leftover] = []
    kept: list[Leftover] = []
    for each in leftovers(competition, seconds):
        try:
            (gone if dry_run or remove(each) else kept).append(each)
        except OSError as error:
            out.problem(f"{each.path} stays: {error.strerror or error}")
    out.document(
        {
            "dry_run": dry_run,
            "bytes": sum(each.bytes for each in gone),
            "removed": [
                {"path": str(each.path), "what": each.what, "bytes": each.bytes} for each in gone
            ],
        }
    )
    for each in kept:
        out.remark(f"{each.path} stays: another process has it in work by now")
    _show(out, gone, competition.root, "would go" if dry_run else "removed")


def _show(out: Output, gone: list[Leftover], root: Path, done: str) -> None:
    from kit.cli.output import size

    if not gone:
        out.say("There is nothing to remove.")
        return
    rows: list[list[Cell]] = []
    for each in gone:
        name = each.path.relative_to(root if each.path.is_relative_to(root) else root.parent)
        rows.append([str(name), each.what, size(each.bytes)])
    out.table(["", "what", "size"], rows)
    out.say(f"{len(gone)} {done}, {size(sum(each.bytes for each in gone))}.")
