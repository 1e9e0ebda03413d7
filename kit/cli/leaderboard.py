"""`kit leaderboard`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from kit.cli.options import Directory, Json, Quiet, Set, Verbose

if TYPE_CHECKING:
    from kit.cli.output import Cell, Output
    from kit.leaderboard import Place
    from kit.providers.base import Contest, Provider, Standing, Submitted


def leaderboard(
    top: Annotated[int, typer.Option(min=0, help="How many lines from the top.")] = 10,
    around: Annotated[int, typer.Option(min=0, help="How many lines above and below ours.")] = 3,
    everything: Annotated[bool, typer.Option("--all", help="All lines.")] = False,
    directory: Directory = None,
    set_: Set = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Show the leaderboard, our rank, and the score each medal takes."""
    from dataclasses import asdict

    from kit.cli.output import Output
    from kit.competition import Competition
    from kit.leaderboard import place, shown
    from kit.providers.base import contest as ask
    from kit.providers.base import load_provider

    out = Output(json=json, quiet=quiet)
    competition = Competition.find(directory, set_ or [])
    provider = load_provider(competition.slug, competition.settings.provider, competition.root)
    with out.notes(provider):
        board, contest = provider.leaderboard(), ask(provider)
        ours = place(board, contest, _submissions(provider, contest, out))
    out.document(
        {
            "board": contest.board,
            "over": contest.over,
            "category": contest.category,
            **asdict(ours),
            "standings": [asdict(line) for line in board],
        }
    )
    if not board:
        name = competition.settings.provider.name
        out.say(
            f"There is no leaderboard: the provider {name!r} lists no scored submission. "
            "It has one once a file was handed in and graded."
        )
        return
    lines = list(board) if everything else shown(board, top, around)
    rows: list[list[Cell]] = [
        [None, "…", None] if line is None else [line.rank, _team(line), line.score]
        for line in lines
    ]
    out.table(["rank", "team", f"{contest.board} score"], rows)
    _show_place(ours, contest, out)
    _show_medals(ours, contest, out)
    if contest.over and contest.board == "public":
        out.say("\nThe private board decides, and Kaggle does not give it: this is the public one.")
    elif ours.medals and contest.board == "public":
        out.say("\nThe private board decides; this is the public one.")


def _submissions(provider: Provider, contest: Contest, out: Output) -> list[Submitted]:
    """Ours, for the late ones; asked only where there can be some."""
    from kit.errors import ProviderError

    if not contest.over:
        return []
    try:
        return provider.submissions()
    except ProviderError as error:
        out.remark(f"kit: late submissions are not known: {str(error).splitlines()[0]}")
        return []


def _team(line: Standing) -> str:
    return line.team + (" <-" if line.mine else "")


def _show_place(ours: Place, contest: Contest, out: Output) -> None:
    from kit.cli.output import score_format

    noun = "line" if contest.category == "local" else "team"
    teams = f"{ours.teams:,} {noun}{'s' * (ours.teams != 1)}"
    if ours.rank is not None:
        ended = "final" if contest.board == "private" else "public"
        out.say(
            f"\nRank {ours.rank:,} of {teams} on the {ended} board, the top "
            f"{ours.percentile:.1f} %, with {score_format(ours.score)}."
        )
    elif not ours.late:
        out.say(f"\nWe are not among the lines of this board ({teams}).")
    if ours.late:
        where = f"; the best would have been rank {ours.late_rank:,}" if ours.late_rank else ""
        out.say(
            f"\n{ours.late} late submission{'s' * (ours.late != 1)}: scored, on no board, and no "
            f"medal{where}."
        )


def _show_medals(ours: Place, contest: Contest, out: Output) -> None:
    from kit.cli.output import score_format

    if ours.no_medals:
        out.say(f"\n{ours.no_medals}")
    if not ours.medals:
        return
    rows: list[list[Cell]] = []
    for medal in ours.medals:
        gap = "" if medal.behind is None else f"{score_format(medal.behind, like=medal.score)} away"
        rows.append(
            [
                medal.medal,
                f"rank {medal.rank:,}",
                score_format(medal.score) or "not listed",
                "reached" if _within(ours, medal.rank) else gap,
            ]
        )
    out.say()
    out.table(["medal", "down to", "score needed", "our best"], rows)


def _within(ours: Place, rank: int) -> bool:
    return ours.rank is not None and ours.rank <= rank
