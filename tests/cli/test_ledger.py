"""What kit ledger, kit leaderboard and kit submit say of submissions, medals and chances."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest

from kit.competition import Competition
from kit.errors import AuthError, ProviderError
from kit.providers.base import Contest, Limits, Standing, Submitted
from kit.runs import Run
from kit.submission.receipts import Receipt, read_receipts, write_receipt

RNG = np.random.default_rng(3)
NOISE = [RNG.normal(size=60) for _ in range(9)]


@dataclasses.dataclass
class Server:
    """A provider that knows what it is told; `asked` counts the questions."""

    listed: list[Submitted] = dataclasses.field(default_factory=list)
    board: list[Standing] = dataclasses.field(default_factory=list)
    event: Contest = dataclasses.field(default_factory=Contest)
    left: int | None = 3
    down: ProviderError | None = None
    asked: list[str] = dataclasses.field(default_factory=list)

    def _answer(self, question: str, answer: Any) -> Any:
        self.asked.append(question)
        if self.down is not None:
            raise self.down
        return answer

    def submissions(self) -> list[Submitted]:
        return self._answer("submissions", self.listed)

    def limits(self) -> Limits:
        return self._answer("limits", Limits(left_today=self.left, resets="at 00:00 UTC"))

    def leaderboard(self) -> list[Standing]:
        return self._answer("leaderboard", self.board)

    def contest(self) -> Contest:
        return self._answer("contest", self.event)

    def submit(self, path: Path, message: str) -> NoReturn:
        raise AuthError("not logged in")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    made = Server()
    monkeypatch.setattr("kit.providers.base.load_provider", lambda *_: made)
    return made


@pytest.fixture
def where(without_data: Callable[..., Competition]) -> Competition:
    return without_data("roc_auc", provider="kaggle")


@pytest.fixture
def hand_in(where: Competition, server: Server, make_run: Callable[..., Run]) -> Any:
    """A run with a receipt, listed by the server."""

    def one(number: int, cv: float, public: float, digest: str = "folds", **facts: Any) -> Run:
        folds = [cv - 0.1, cv, cv + 0.1]
        run = make_run(where.runs, f"m{number}", folds, test=NOISE[number], digest=digest)
        created = f"2026-11-23T10:00:{number:02d}Z"
        write_receipt(
            Receipt(
                file=f"submissions/{run.id}.csv", sha256=f"{number:064d}", message=f"try {number}",
                created=created, provider="kaggle", run=run.id, cv={**run.record["score"]},
                metric="roc_auc", ref=str(number), status="complete", public=public,
                path=where.submissions / f"{run.id}.json",
            )
        )  # fmt: skip
        known = {"status": "complete", "created": created, "public": public, "submitted_by": "ada"}
        server.listed.append(
            Submitted(**{"ref": str(number), "file_name": f"{run.id}.csv", **known, **facts})
        )
        return run

    return one


def elsewhere(**facts: Any) -> Submitted:
    known = {"status": "complete", "created": "2026-11-23T11:00:00Z", "file_name": "x.csv"}
    return Submitted(**{"ref": "99", **known, "public": 0.9, "message": "by hand", **facts})


def row(text: str, name: str) -> str:
    (line,) = [line for line in text.splitlines() if name in line]
    return " ".join(line.split())


# --- kit ledger ----------------------------------------------------------------------------------


def test_ledger_shows_those_made_elsewhere_by_a_mate_and_late(
    run_kit: Any, where: Competition, server: Server, hand_in: Any
) -> None:
    run = hand_in(1, 0.7, 0.75)
    server.event = Contest(account="ada", deadline="2026-11-23T12:00:00Z")
    server.listed += [
        elsewhere(ref="2", file_name="mates.csv", submitted_by="bob"),
        elsewhere(ref="3", file_name="mine.csv", submitted_by="ada", message="own"),
        elsewhere(ref="4", file_name="after.csv", created="2026-11-23T13:00:00Z"),
    ]
    shown = run_kit("ledger", "-C", where.root)
    assert shown.code == 0, shown.err
    assert row(shown.out, "mates.csv").endswith("0.90000 by hand elsewhere, by bob")
    assert row(shown.out, "mine.csv").endswith("0.90000 own elsewhere")
    assert row(shown.out, "after.csv").endswith("by hand elsewhere, late")
    assert row(shown.out, run.id).endswith("0.75000 +0.05000 try 1")
    assert shown.err == ""


def test_ledger_of_the_server_down_shows_receipts_and_says_so(
    run_kit: Any, where: Competition, server: Server, hand_in: Any
) -> None:
    run = hand_in(1, 0.7, 0.75)
    server.down = ProviderError("no answer from the server\n  Try again.")
    shown = run_kit("ledger", "-C", where.root)
    assert shown.code == 0
    assert "0.75000" in row(shown.out, run.id)
    assert shown.err == (
        "The server could not be asked (no answer from the server); what follows is from the "
        "receipts alone.\n"
    )
    document = json.loads(run_kit("ledger", "--json", "-C", where.root).out)
    assert document["server"] == {
        "asked": False, "seen": "", "problem": "no answer from the server",
    }  # fmt: skip


def test_ledger_offline_asks_nothing_and_uses_the_list_seen_last(
    run_kit: Any, where: Competition, server: Server, hand_in: Any
) -> None:
    hand_in(1, 0.7, 0.75)
    server.listed.append(elsewhere())
    assert run_kit("ledger", "-C", where.root).code == 0
    server.asked.clear()
    shown = run_kit("ledger", "--offline", "-C", where.root)
    assert server.asked == []
    assert "elsewhere" in row(shown.out, "x.csv")
    assert re.match(
        r"The server was not asked \(--offline\); what follows is from its list as seen \d+ s ago "
        r"and the receipts\.",
        shown.err,
    )


def test_gaps_have_the_decimals_of_their_scores(
    run_kit: Any, where: Competition, hand_in: Any
) -> None:
    tiny, large = hand_in(1, 0.0003, 0.0005), hand_in(2, 123456.78, 123450.12)
    shown = run_kit("ledger", "-C", where.root)
    assert "0.0005000 +0.0002000 try 1" in row(shown.out, tiny.id)
    assert "123450.12 -6.66 try 2" in row(shown.out, large.id)


def test_differences_of_runs_have_the_decimals_of_their_scores(
    run_kit: Any, where: Competition, make_run: Callable[..., Run]
) -> None:
    make_run(where.runs, "a", [0.0003, 0.0004, 0.0005])
    make_run(where.runs, "b", [0.000305, 0.000405, 0.000507])
    shown = run_kit("diff", "a", "b", "-C", where.root)
    lines = [" ".join(line.split()) for line in shown.out.splitlines()]
    assert "fold 1 0.0003000 0.0003050 +0.0000050" in lines
    assert any("+0.0000057 ± 0.0000007 (standard error)" in line for line in lines)
    make_run(where.runs, "c", [123456.0, 123457.0, 123458.0])
    make_run(where.runs, "d", [123450.5, 123451.0, 123459.0])
    assert "-5.50" in row(run_kit("diff", "c", "d", "-C", where.root).out, "fold 1")


def test_ledger_goes_on_where_only_the_event_is_not_known(
    run_kit: Any, where: Competition, server: Server, hand_in: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> NoReturn:
        raise ProviderError("403")

    hand_in(1, 0.7, 0.75)
    server.listed.append(elsewhere())
    monkeypatch.setattr(server, "contest", broken)
    shown = run_kit("ledger", "-C", where.root)
    assert "elsewhere" in row(shown.out, "x.csv")
    assert "account and deadline are not known: 403" in shown.err


def test_ledger_keeps_a_late_answer_in_the_receipt(
    run_kit: Any, where: Competition, server: Server, hand_in: Any
) -> None:
    hand_in(1, 0.7, 0.75)
    server.listed = [dataclasses.replace(server.listed[0], private=0.72)]
    run_kit("ledger", "-C", where.root)
    assert read_receipts(where.submissions)[0][0].private == 0.72


def test_ledger_that_cannot_write_still_shows(
    run_kit: Any, where: Competition, server: Server, hand_in: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: Any) -> NoReturn:
        raise PermissionError(13, "Permission denied", "submissions")

    run = hand_in(1, 0.7, 0.75)
    monkeypatch.setattr("kit.ledger.listed.settle", refused)
    shown = run_kit("ledger", "-C", where.root)
    assert shown.code == 0
    assert run.id in shown.out
    assert "what the server says could not be kept" in shown.err


def test_receipt_that_the_server_does_not_list_is_marked(
    run_kit: Any, where: Competition, server: Server, hand_in: Any
) -> None:
    run = hand_in(1, 0.7, 0.75)
    server.listed.clear()
    assert "not on the server's list" in row(run_kit("ledger", "-C", where.root).out, run.id)
    offline = run_kit("ledger", "--offline", "-C", where.root)
    assert "not on the server's list" not in offline.out


def test_ledger_warns_of_a_line_that_cannot_be_trusted(
    run_kit: Any, where: Competition, server: Server, hand_in: Any
) -> None:
    for number in range(3):
        hand_in(number, 0.70 + 0.01 * number, 0.75 + 0.012 * number)
    shown = run_kit("ledger", "-C", where.root)
    assert "\nThe CV-LB line cannot be trusted yet: only 3 points.\n" in shown.out
    for number in range(3, 6):
        hand_in(number, 0.70 + 0.01 * number, 0.75 + 0.012 * number)
    shown = run_kit("ledger", "-C", where.root)
    assert "(6 submissions, r = 1.00" in shown.out
    assert "trusted" not in shown.out


def test_ledger_says_which_submissions_are_not_on_the_line(
    run_kit: Any, where: Competition, server: Server, hand_in: Any
) -> None:
    other = hand_in(0, 0.90, 0.60, digest="random")
    for number in range(1, 4):
        hand_in(number, 0.70 + 0.01 * number, 0.75 + 0.012 * number)
    shown = run_kit("ledger", "-C", where.root)
    assert "(3 submissions, r = 1.00" in shown.out
    assert "\n1 submission validated on other folds is not on the line" in shown.out
    assert row(shown.out, other.id).split()[-1] != "+0.00000", "it has no residual"
    final = run_kit("ledger", "--final", "-C", where.root)
    assert "1 validated on other folds, not weighed" in final.err + final.out


def test_text_of_the_server_cannot_move_the_cursor_or_break_the_table(
    run_kit: Any, where: Competition, server: Server
) -> None:
    evil = "\x1b[2J\x1b]0;title\x07red\x1b[31m\r\nrow\tx\u202e\x9b1m"
    server.listed = [elsewhere(message=evil, file_name="[bold]x.csv\x00")]
    server.board = [Standing(rank=1, team=evil, score=0.5)]
    for command in ("ledger", "leaderboard"):
        out = run_kit(command, "-C", where.root).out
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", out)
        assert "red row x" in out
    assert "[bold]x.csv" in run_kit("ledger", "-C", where.root).out


# --- is it worth a submission --------------------------------------------------------------------


def test_ledger_run_says_prediction_chance_likeness_what_is_left_and_one_sentence(
    run_kit: Any, where: Competition, server: Server, hand_in: Any, make_run: Callable[..., Run]
) -> None:
    best = hand_in(1, 0.7, 0.75)
    make_run(where.runs, "new", [0.61, 0.72, 0.81], test=NOISE[1] + NOISE[2])
    shown = run_kit("ledger", "--run", "new", "-C", where.root)
    assert shown.code == 0, shown.err
    assert re.search(r"^  predicted public score 0\.76333 \(80 %: 0\.757\d\d to 0\.769\d\d\)$",
                     shown.out, re.MULTILINE)  # fmt: skip
    assert f"  best public score 0.75000 ({best.id})\n" in shown.out
    assert re.search(r"^  better than that: 9\d %$", shown.out, re.MULTILINE)
    assert re.search(rf"^  most like {best.id} \(0\.\d{{4}}\)$", shown.out, re.MULTILINE)
    assert "  3 left today\n" in shown.out
    assert re.search(rf"^Worth a submission: 9\d % to beat {best.id}\.$", shown.out, re.MULTILINE)


def test_ledger_run_without_a_submission_left_says_when(
    run_kit: Any, where: Competition, server: Server, make_run: Callable[..., Run]
) -> None:
    make_run(where.runs, "new", [0.6, 0.7])
    server.left = 0
    shown = run_kit("ledger", "--run", "new", "-C", where.root)
    assert "No submission is left today. The next is possible at 00:00 UTC." in shown.out


def test_ledger_run_that_is_not_there_is_refused(
    run_kit: Any, where: Competition, server: Server
) -> None:
    shown = run_kit("ledger", "--run", "nothing", "-C", where.root)
    assert shown.code == 1
    assert "no run matches 'nothing'" in shown.err
    assert server.asked == []


def test_submit_says_it_before_handing_in_and_asks_the_server_nothing_for_it(
    run_kit: Any, where: Competition, server: Server, hand_in: Any, make_run: Callable[..., Run]
) -> None:
    best = hand_in(1, 0.7, 0.75)
    make_run(where.runs, "new", [0.61, 0.72, 0.81], test=NOISE[1] + NOISE[2])
    shown = run_kit("submit", "new", "-C", where.root)
    told, refusal = shown.err.split("\n", 1)
    assert told.startswith("predicted public score 0.76333 (80 %: ")
    assert re.search(rf"; most like {best.id} \(0\.\d+\)\. Worth a submission: 9\d % ", told)
    assert refusal.startswith("kit: ")  # there are no data files: the rest of the command
    assert server.asked == []
    assert "predicted" not in run_kit("submit", "new", "-q", "-C", where.root).err


def test_submit_of_a_file_has_no_forecast(run_kit: Any, where: Competition, server: Server) -> None:
    file = where.root / "mine.csv"
    file.write_text("id,y\n1,0.5\n")
    shown = run_kit("submit", "--file", file, "-C", where.root)
    assert "Worth" not in shown.err


# --- the final two -------------------------------------------------------------------------------


def test_final_names_two_their_correlation_and_what_the_weight_comes_from(
    run_kit: Any, where: Competition, server: Server, hand_in: Any
) -> None:
    first, second = hand_in(1, 0.75, 0.74), hand_in(2, 0.74, 0.80)
    server.event = Contest(public_share=0.5)
    shown = run_kit("ledger", "--final", "-C", where.root)
    assert shown.code == 0, shown.err
    assert row(shown.out, first.id).endswith("best by CV")
    assert row(shown.out, second.id).endswith("best by CV and LB")
    assert "weight 0.43 (30 public rows, 40 CV rows)" in shown.out
    assert re.search(r"^Rank correlation of the two: -?0\.\d{4}\.$", shown.out, re.MULTILINE)
    assert "guess" not in shown.out
    told = run_kit("ledger", "--final", "--public-share", "0.1", "-C", where.root)
    assert "weight 0.13 (6 public rows, 40 CV rows)" in told.out


def test_final_says_that_the_share_is_a_guess(
    run_kit: Any, where: Competition, server: Server, hand_in: Any
) -> None:
    hand_in(1, 0.75, 0.74)
    shown = run_kit("ledger", "--final", "-C", where.root)
    assert "How many test rows are public is a guess: half." in shown.out
    assert "note: there is only one submission to choose" in shown.out


def test_final_without_submissions_says_so(
    run_kit: Any, where: Competition, server: Server
) -> None:
    shown = run_kit("ledger", "--final", "-C", where.root)
    assert shown.out == (
        "No submission has both a CV and a public score: nothing to choose from.\n"
    )


@pytest.mark.parametrize("share", ["0", "1.5", "-0.1", "nan"])
def test_share_that_is_none_is_refused(
    share: str, run_kit: Any, where: Competition, server: Server
) -> None:
    shown = run_kit("ledger", "--final", f"--public-share={share}", "-C", where.root)
    assert shown.code == 1
    assert "--public-share is above 0 and at most 1. Received: " in shown.err


# --- kit leaderboard -----------------------------------------------------------------------------


def board(n: int, mine: int | None) -> list[Standing]:
    return [
        Standing(rank=k, team=f"team {k}", score=round(1 - k / 1000, 4), mine=k == mine)
        for k in range(1, n + 1)
    ]


def test_board_shows_top_and_around_rank_and_medals(
    run_kit: Any, where: Competition, server: Server
) -> None:
    server.board, server.event = board(1200, 77), Contest(category="Featured")
    shown = run_kit("leaderboard", "--top", "2", "--around", "1", "-C", where.root)
    assert shown.code == 0, shown.err
    lines = [" ".join(line.split()) for line in shown.out.splitlines()]
    assert lines[:8] == [
        "rank team public score", "1 team 1 0.99900", "2 team 2 0.99800", "…",
        "76 team 76 0.92400", "77 team 77 <- 0.92300", "78 team 78 0.92200", "…",
    ]  # fmt: skip
    assert lines[9] == "Rank 77 of 1,200 teams on the public board, the top 6.4 %, with 0.92300."
    assert lines[11:15] == [
        "medal down to score needed our best",
        "gold rank 12 0.98800 0.06500 away",
        "silver rank 60 0.94000 0.01700 away",
        "bronze rank 120 0.88000 reached",
    ]
    assert lines[16] == "The private board decides; this is the public one."


def test_a_short_way_to_a_medal_has_the_decimals_of_its_score(
    run_kit: Any, where: Competition, server: Server
) -> None:
    server.board, server.event = board(1200, 61), Contest(category="Featured")
    shown = run_kit("leaderboard", "-C", where.root)
    lines = [" ".join(line.split()) for line in shown.out.splitlines()]
    assert "silver rank 60 0.94000 0.00100 away" in lines


def test_board_of_practice_says_that_there_are_no_medals(
    run_kit: Any, where: Competition, server: Server
) -> None:
    server.board, server.event = board(300, 3), Contest(category="Getting Started")
    shown = run_kit("leaderboard", "-C", where.root)
    assert "\nGetting Started competitions give no medals.\n" in shown.out
    assert "gold" not in shown.out


def test_final_board_and_late_submissions(run_kit: Any, where: Competition, server: Server) -> None:
    server.board = board(300, None)
    server.event = Contest(category="Featured", over=True, board="private")
    server.listed = [elsewhere(private=0.9955, late=True)]
    shown = run_kit("leaderboard", "-C", where.root)
    assert "private score" in shown.out
    assert (
        "\n1 late submission: scored, on no board, and no medal; the best would have been rank 5.\n"
    ) in shown.out
    assert "The private board decides" not in shown.out
    assert "away" not in shown.out


def test_public_board_of_a_competition_that_is_over_is_said_to_be_public(
    run_kit: Any, where: Competition, server: Server
) -> None:
    server.board = board(300, 3)
    server.event = Contest(category="Getting Started", over=True, board="public")
    shown = run_kit("leaderboard", "-C", where.root)
    assert "public score" in shown.out
    assert (
        "\nThe private board decides, and Kaggle does not give it: this is the public one.\n"
    ) in shown.out


def test_board_lists_fewer_teams_than_there_are(
    run_kit: Any, where: Competition, server: Server
) -> None:
    server.board, server.event = board(20, None), Contest(category="Featured", teams=2000)
    shown = run_kit("leaderboard", "-C", where.root)
    assert "We are not among the lines of this board (2,000 teams)." in shown.out
    assert "bronze rank 200 not listed" in row(shown.out, "bronze")


def test_no_board_is_a_clear_sentence(run_kit: Any, where: Competition, server: Server) -> None:
    shown = run_kit("leaderboard", "-C", where.root)
    assert (shown.code, shown.err) == (0, "")
    assert shown.out.startswith("There is no leaderboard: the provider 'kaggle' lists no scored")


def test_board_that_cannot_be_had_is_an_error_of_the_provider(
    run_kit: Any, where: Competition, server: Server
) -> None:
    server.down = AuthError("not logged in")
    shown = run_kit("leaderboard", "-C", where.root)
    assert (shown.code, shown.out) == (3, "")
    assert shown.err == "kit: not logged in\n"


def test_board_as_a_document(run_kit: Any, where: Competition, server: Server) -> None:
    server.board, server.event = board(200, 50), Contest(category="Featured")
    document = json.loads(run_kit("leaderboard", "--json", "-C", where.root).out)
    assert (document["rank"], document["teams"], document["percentile"]) == (50, 200, 25.0)
    assert [medal["rank"] for medal in document["medals"]] == [10, 40, 80]
    assert len(document["standings"]) == 200


def test_all_shows_every_line(run_kit: Any, where: Competition, server: Server) -> None:
    server.board = board(40, 40)
    shown = run_kit("leaderboard", "--all", "-C", where.root)
    assert "…" not in shown.out
    assert len(re.findall(r"^ *\d+ +team ", shown.out, re.MULTILINE)) == 40
