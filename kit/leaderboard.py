"""Where we stand: rank, percentile, and what each medal takes.

Medals follow Kaggle's progression rules (https://www.kaggle.com/progression, "Competition Medals"),
kept here as data. Standard library only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kit.ledger.merging import moment
from kit.providers.base import Contest, Standing, Submitted

MEDALS = ("gold", "silver", "bronze")
NO_MEDALS = ("gettingstarted", "playground", "community", "inclass")
"""Categories that give none, their letters only; InClass is what Community was called once."""


@dataclass(frozen=True, kw_only=True)
class Places:
    """How many teams get at least this medal: a fixed number plus so many of a thousand teams."""

    fixed: int = 0
    per_mille: int = 0

    def of(self, teams: int) -> int:
        """The last rank that gets it, rounded down; 0 where none does."""
        return min(teams, self.fixed + self.per_mille * teams // 1000)


_TOP_10 = Places(fixed=10, per_mille=2)  # one more for every 500 teams

# Number of teams from which a row holds, then gold, silver, bronze.
PROGRESSION = (
    (0, Places(per_mille=100), Places(per_mille=200), Places(per_mille=400)),
    (100, Places(fixed=10), Places(per_mille=200), Places(per_mille=400)),
    (250, _TOP_10, Places(fixed=50), Places(fixed=100)),
    (1000, _TOP_10, Places(per_mille=50), Places(per_mille=100)),
)


def medal_ranks(teams: int) -> dict[str, int]:
    """The last rank that gets each medal in a competition of so many teams; 0: nobody does.

    >>> medal_ranks(1500)
    {'gold': 13, 'silver': 75, 'bronze': 150}
    """
    row = [row for row in PROGRESSION if row[0] <= teams][-1]
    return {medal: places.of(teams) for medal, places in zip(MEDALS, row[1:], strict=True)}


@dataclass(frozen=True, kw_only=True)
class Medal:
    """What one medal takes.

    Attributes:
        rank: the last rank that gets it.
        score: of that rank on the board; None where the board does not list it.
        behind: how much better our best score would have to be; 0 where it is good enough, None
            where we are not on the board or the score is not known.
    """

    medal: str
    rank: int
    score: float | None
    behind: float | None


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where we stand on a board.

    Attributes:
        teams: how many there are.
        rank, score: of our best line; None where we are not on the board.
        percentile: the share of teams that are as good or better, in percent: 1 is the top 1 %.
        greater_is_better: by the order of the board; None where all scores are equal.
        medals: empty where none are awarded or there are no teams.
        no_medals: why there are none, or when they are in doubt; "" where they are awarded.
        late: our submissions after the deadline; `late_rank` is where the best of them would be.
    """

    teams: int
    rank: int | None
    score: float | None
    percentile: float | None
    greater_is_better: bool | None
    medals: tuple[Medal, ...]
    no_medals: str
    late: int = 0
    late_rank: int | None = None


def place(
    board: Sequence[Standing], contest: Contest, submissions: Sequence[Submitted] = ()
) -> Place:
    """Read a board.

    Args:
        board: best first; it may list fewer teams than there are.
        contest: category, number of teams, whether it is over.
        submissions: ours, for the late ones, which no board lists.
    """
    teams = max(contest.teams or 0, len(board))
    mine = min((line for line in board if line.mine), key=lambda line: line.rank, default=None)
    up = None
    if board and board[0].score != board[-1].score:
        up = board[0].score > board[-1].score
    why, awarded = _awarded(contest, teams)
    score = None if mine is None else mine.score
    medals = []
    for medal, rank in medal_ranks(teams).items() if awarded else ():
        if rank:
            needed = board[rank - 1].score if rank <= len(board) else None
            medals.append(
                Medal(medal=medal, rank=rank, score=needed, behind=_behind(score, needed, up))
            )
    late = _late(submissions, contest)
    return Place(
        teams=teams,
        rank=None if mine is None else mine.rank,
        score=score,
        percentile=None if mine is None or not teams else 100.0 * mine.rank / teams,
        greater_is_better=up,
        medals=tuple(medals),
        no_medals=why,
        late=len(late),
        late_rank=_would_be(late, board, up, contest),
    )


def shown(board: Sequence[Standing], top: int, around: int) -> list[Standing | None]:
    """The first `top` lines and those up to `around` ranks from ours; None where some are left out.

    Lines of ours are always shown.
    """
    mine = [position for position, line in enumerate(board) if line.mine]
    kept = set(range(min(top, len(board))))
    for position in mine:
        kept |= set(range(max(0, position - around), min(len(board), position + around + 1)))
    lines: list[Standing | None] = []
    last = -1
    for position in sorted(kept):
        if position > last + 1:
            lines.append(None)
        lines.append(board[position])
        last = position
    if kept and last < len(board) - 1:
        lines.append(None)
    return lines


def _awarded(contest: Contest, teams: int) -> tuple[str, bool]:
    """Why there are no medals, or the doubt; and whether to show what they take."""
    category = "".join(filter(str.isalpha, contest.category.lower()))
    if category == "local":
        return "A board that is played here gives no medals.", False
    if category in NO_MEDALS:
        return f"{contest.category} competitions give no medals.", False
    if not category:
        return (
            "Medals, if this competition gives any (Getting Started, Playground and Community "
            "ones do not):"
        ), True
    return "" if teams else "No team is on the board yet.", bool(teams)


def _behind(score: float | None, needed: float | None, up: bool | None) -> float | None:
    if score is None or needed is None:
        return None
    return max(0.0, needed - score if up else score - needed) if up is not None else 0.0


def _late(submissions: Sequence[Submitted], contest: Contest) -> list[Submitted]:
    deadline = contest.deadline
    return [
        entry
        for entry in submissions
        if entry.late or (deadline and moment(entry.created) > moment(deadline))
    ]


def _would_be(
    late: Sequence[Submitted], board: Sequence[Standing], up: bool | None, contest: Contest
) -> int | None:
    """The rank that the best late submission would have had on this board."""
    private = contest.board == "private"
    scores = [entry.private if private else entry.public for entry in late]
    known = [score for score in scores if score is not None]
    if not known or up is None:
        return None
    best = max(known) if up else min(known)
    return 1 + sum(line.score > best if up else line.score < best for line in board)
