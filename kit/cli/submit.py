"""`kit submit`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kit.cli.options import Directory, Json, Quiet, Set, Verbose

if TYPE_CHECKING:
    from kit.cli.output import Cell, Output
    from kit.competition import Competition
    from kit.providers.base import Provider
    from kit.runs import Run
    from kit.submission import Receipt

_POLLS = (5.0, 60.0)  # seconds between two looks at the score: the first, and the most
_LONGEST = 12 * 3600.0  # seconds kit waits for a score
_FAILURES = 5  # looks in a row that may fail while waiting
_TOP, _AROUND = 5, 2  # lines of a long leaderboard: the best, and around one's own


def submit(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="RUN",
            help="A run id, a part of one, a model, or last. Default: the best run.",
        ),
    ] = None,
    message: Annotated[str, typer.Option("-m", "--message", help="Description.")] = "",
    file: Annotated[
        Path | None, typer.Option(help="Hand in this file instead of a run's predictions.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Build and validate the file, hand nothing in.")
    ] = False,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait for the score.")] = True,
    again: Annotated[
        bool, typer.Option("--again", help="Hand in although the same file was handed in before.")
    ] = False,
    directory: Directory = None,
    set_: Set = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Build, validate and hand in a submission, once."""
    from kit.cli.ledger import before_submit
    from kit.cli.output import Output
    from kit.competition import Competition
    from kit.errors import ConfigError
    from kit.providers.base import load_provider
    from kit.submission import submit as hand_in

    out = Output(json=json, quiet=quiet)
    if name and file:
        raise ConfigError("name a run or a --file, not both")
    competition = Competition.find(directory, set_ or [])
    provider = load_provider(competition.slug, competition.settings.provider, competition.root)
    with out.notes(provider):
        chosen = file or _run(competition, name, out)
        if not isinstance(chosen, Path):
            before_submit(competition, chosen, out)
        receipt = hand_in(
            competition, chosen, provider, message=message, again=again, dry_run=dry_run,
            tell=out.remark,
        )  # fmt: skip
        if wait and not dry_run:
            receipt = waited(competition, provider, receipt, out)
        out.document(receipt.to_json())
        for note in receipt.notes:
            out.say(f"note: {note}")
        out.table(["", ""], _facts(receipt))
        if dry_run:
            out.say("\nThe file is valid. Nothing was handed in (--dry-run).")
            return
        _board(provider, out)
        if receipt.status == "error":
            raise typer.Exit(3)
        out.next("kit ledger")


def _run(competition: Competition, name: str | None, out: Output) -> Run:
    from kit.runs import find_run

    return find_run(competition.runs, name) if name else best(competition, out)


def best(competition: Competition, out: Output) -> Run:
    """The best run, and a remark that says why."""
    from kit.execution.context import shared_digest
    from kit.runs import list_runs
    from kit.selection import best_run

    runs, metric = list_runs(competition.runs)[0], competition.settings.task.metric
    run, why = best_run(runs, shared_digest(competition), metric)
    out.remark(f"{run.id}: {why}")
    return run


def waited(competition: Competition, provider: Provider, receipt: Receipt, out: Output) -> Receipt:
    """Look for the score, less and less often; what is handed in stays whatever happens here.

    Raises:
        Interrupted: Ctrl-C.
    """
    from kit.errors import Interrupted

    try:
        return _waited(competition, provider, receipt, out)
    except KeyboardInterrupt as stop:
        raise Interrupted(
            f"interrupted; the submission {receipt.ref} stays, and `kit ledger` shows its score"
        ) from stop


def _waited(competition: Competition, provider: Provider, receipt: Receipt, out: Output) -> Receipt:
    from kit.errors import AuthError, ProviderError
    from kit.submission import refresh
    from kit.submission.receipts import read_receipts

    pause, waited, failures = _POLLS[0], 0.0, 0
    while receipt.status in ("sent", "pending"):
        if not waited:
            out.remark("waiting for the score; Ctrl-C stops waiting, the submission stays")
        if waited >= _LONGEST:
            out.remark("kit: there is still no score; `kit submit` and `kit ledger` look again")
            break
        time.sleep(pause)
        waited, pause = waited + pause, min(pause * 1.5, _POLLS[1])
        try:
            refresh(competition, provider)
        except AuthError:
            raise
        except ProviderError:
            failures += 1
            if failures >= _FAILURES:
                raise
            continue
        failures = 0
        # read, not taken from `refresh`: `kit ledger` may have brought the answer meanwhile
        receipts, _ = read_receipts(competition.submissions)
        found = next((each for each in receipts if each.path == receipt.path), None)
        if found is None:
            out.remark(f"kit: {receipt.path} is gone; `kit ledger` shows the score")
            break
        receipt = found
    return receipt


def _facts(receipt: Receipt) -> list[list[Cell]]:
    from kit.cli.output import score_format

    cv = receipt.cv or {}
    facts = [
        ["file", receipt.file],
        ["run", receipt.run or ""],
        ["status", receipt.status + (f": {receipt.error}" if receipt.error else "")],
        ["CV", score_format(cv.get("value"))],
        [f"public {receipt.metric}", score_format(receipt.public)],
        [f"private {receipt.metric}", score_format(receipt.private)],
    ]
    return [[key, value] for key, value in facts if value]


def _board(provider: Provider, out: Output) -> None:
    """The board; of a long one the best and those around one's own."""
    from kit.errors import ProviderError
    from kit.providers.base import contest

    try:
        standings = provider.leaderboard()
        board = contest(provider).board if standings else ""
    except ProviderError as error:  # the submission is made: that there is no board is no failure
        out.remark(f"kit: no leaderboard: {str(error).splitlines()[0]}")
        return
    if not standings:
        return
    mine = [place for place, standing in enumerate(standings) if standing.mine]
    shown = {
        place
        for place in range(len(standings))
        if len(standings) <= 2 * _TOP + 2 * _AROUND
        or place < _TOP
        or any(abs(place - own) <= _AROUND for own in mine)
    }
    out.say()
    out.table(
        ["rank", "team", f"{board} score"],
        [
            [s.rank, s.team + (" <-" if s.mine else ""), s.score]
            for place, s in enumerate(standings)
            if place in shown
        ],
    )
    if len(shown) < len(standings):
        out.say(f"{len(standings)} teams in all.")
