"""The board: our rank, the medals by team count, what is shown of it."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from kit.leaderboard import medal_ranks, place, shown
from kit.providers.base import Contest, Standing, Submitted

FEATURED = Contest(category="Featured")


def board(n: int, mine: int | None = None, *, up: bool = True) -> list[Standing]:
    """`n` teams, scores 0.999, 0.998, ... (or upwards); `mine` is our rank."""
    sign = -1 if up else 1
    return [
        Standing(rank=k, team=f"team {k}", score=round(1 + sign * k / 1000, 4), mine=k == mine)
        for k in range(1, n + 1)
    ]


@pytest.mark.parametrize(
    ("teams", "gold", "silver", "bronze"),
    [
        (0, 0, 0, 0),
        (9, 0, 1, 3),  # rounded down: no gold among nine
        (10, 1, 2, 4),
        (99, 9, 19, 39),
        (100, 10, 20, 40),
        (109, 10, 21, 43),
        (249, 10, 49, 99),
        (250, 10, 50, 100),
        (259, 10, 50, 100),
        (499, 10, 50, 100),
        (500, 11, 50, 100),
        (999, 11, 50, 100),
        (1000, 12, 50, 100),
        (1019, 12, 50, 101),
        (1500, 13, 75, 150),
        (5000, 20, 250, 500),
    ],
)
def test_medals_by_number_of_teams(teams: int, gold: int, silver: int, bronze: int) -> None:
    assert medal_ranks(teams) == {"gold": gold, "silver": silver, "bronze": bronze}


def test_medals_never_shrink_as_teams_come_and_are_ordered() -> None:
    ranks = [list(medal_ranks(teams).values()) for teams in range(3000)]
    for before, after in itertools.pairwise(ranks):
        assert all(a <= b for a, b in zip(before, after, strict=True))
        assert after == sorted(after)


@pytest.mark.parametrize("up", [True, False])
def test_rank_percentile_and_distance_to_each_medal(up: bool) -> None:
    found = place(board(200, 50, up=up), FEATURED)
    assert (found.teams, found.rank, found.percentile) == (200, 50, 25.0)
    assert found.greater_is_better is up
    medals = {medal.medal: (medal.rank, medal.behind) for medal in found.medals}
    assert medals["gold"] == (10, pytest.approx(0.04))
    assert medals["silver"] == (40, pytest.approx(0.01))
    assert medals["bronze"] == (80, 0.0)


def test_best_of_several_lines_counts() -> None:
    lines = board(20, 7)
    lines[14] = Standing(rank=15, team="again", score=lines[14].score, mine=True)
    assert place(lines, FEATURED).rank == 7


def test_team_count_beats_the_lines_that_are_listed() -> None:
    found = place(board(20, 3), Contest(category="Research", teams=3000))
    assert found.teams == 3000
    assert found.percentile == pytest.approx(0.1)
    assert [(m.medal, m.rank, m.score is None) for m in found.medals] == [
        ("gold", 16, False), ("silver", 150, True), ("bronze", 300, True),
    ]  # fmt: skip
    assert found.medals[1].behind is None


@pytest.mark.parametrize(
    "category", ["Getting Started", "gettingStarted", "Playground", "playground", "Community"]
)
def test_practice_gives_no_medals(category: str) -> None:
    found = place(board(200, 5), Contest(category=category))
    assert found.medals == ()
    assert found.no_medals == f"{category} competitions give no medals."


def test_unknown_category_shows_them_with_the_doubt() -> None:
    found = place(board(200, 5), Contest())
    assert len(found.medals) == 3
    assert "if this competition gives any" in found.no_medals


def test_board_without_us_has_no_rank_and_no_distance() -> None:
    found = place(board(100), FEATURED)
    assert (found.rank, found.score, found.percentile) == (None, None, None)
    assert [medal.behind for medal in found.medals] == [None, None, None]


def test_board_of_equal_scores_and_an_empty_one_are_no_crash() -> None:
    equal = [Standing(rank=k, team="t", score=0.5, mine=k == 12) for k in range(1, 13)]
    assert [medal.behind for medal in place(equal, FEATURED).medals] == [0.0, 0.0, 0.0]
    assert place([], FEATURED).medals == ()
    assert place([], FEATURED).no_medals == "No team is on the board yet."


def late(ref: str, public: float, private: float, **facts: Any) -> Submitted:
    known = {"status": "complete", "created": "2026-12-01T00:00:00Z"}
    return Submitted(ref=ref, public=public, private=private, **{**known, **facts})


def test_late_ones_are_counted_and_get_no_rank_of_their_own() -> None:
    event = Contest(category="Featured", deadline="2026-11-30T23:59:00Z", over=True)
    ours = [late("1", 0.9905, 0.5), late("2", 0.9955, 0.4), late("3", 2, 2, created="2026-11-01")]
    found = place(board(200), event, ours)
    assert (found.rank, found.late, found.late_rank) == (None, 2, 5)
    flagged = [late("4", 0.9955, 0.4, created="2026-01-01", late=True)]
    assert place(board(200), event, flagged).late == 1


def test_late_ones_are_measured_by_the_private_score_on_a_private_board() -> None:
    event = Contest(category="Featured", over=True, board="private")
    assert place(board(200), event, [late("1", 0.5, 0.9985, late=True)]).late_rank == 2


def test_shown_are_the_top_and_the_lines_around_ours() -> None:
    lines = shown(board(100, 50), 2, 1)
    assert [line and line.rank for line in lines] == [1, 2, None, 49, 50, 51, None]


@pytest.mark.parametrize(
    ("n", "mine", "top", "around", "ranks"),
    [
        (3, 2, 10, 3, [1, 2, 3]),
        (5, None, 2, 1, [1, 2, None]),
        (5, 5, 2, 1, [1, 2, None, 4, 5]),
        (5, 1, 0, 0, [1, None]),
        (5, 3, 2, 0, [1, 2, 3, None]),
        (0, None, 5, 5, []),
        (3, None, 0, 0, []),
    ],
)
def test_what_is_left_out_is_marked_once(
    n: int, mine: int | None, top: int, around: int, ranks: list[int | None]
) -> None:
    lines = shown(board(n, mine), top, around)
    assert [line and line.rank for line in lines] == ranks
