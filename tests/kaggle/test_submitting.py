"""Handing in: nothing is lost, nothing is sent twice, and what is not known is said."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from loopback_server import Server
from loopback_types import Naps, Patient

from kit.atomic import sha256
from kit.errors import ProviderError, QuotaError, RefusedError
from kit.providers.kaggle import KaggleProvider
from kit.providers.kaggle.client import Patience
from kit.providers.marks import content_mark, unmarked
from kit.settings import ProviderSpec

CONTENT = b"".join(b"%d,0.5\n" % n for n in range(50_000))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "submission.csv"
    path.write_bytes(CONTENT)
    return path


def test_a_submission_arrives_once_and_is_read_back(
    server: Server, provider: KaggleProvider, file: Path
) -> None:
    server.add("toy")
    submitted = provider.submit(file, "hello")
    (handed,) = server.submissions
    assert handed.content == CONTENT
    assert (submitted.ref, submitted.status) == (str(handed.ref), "pending")
    assert submitted.submitted_by == "ann"
    assert submitted.created == f"{handed.date:%Y-%m-%dT%H:%M:%SZ}"
    assert submitted.message.startswith("hello [kit ")
    assert unmarked(submitted.message) == "hello"
    put = server.calls("PUT")[0]
    assert "Authorization" not in put.headers
    assert put.headers["Content-Length"] == str(len(CONTENT))


def test_the_same_content_is_known_by_its_mark(
    server: Server, provider: KaggleProvider, file: Path, tmp_path: Path
) -> None:
    server.add("toy")
    provider.submit(file, "")
    other = tmp_path / "other.csv"
    other.write_bytes(CONTENT + b"\n")
    provider.submit(other, "")
    (known,) = provider.same(sha256(file))
    assert known.ref == str(server.submissions[0].ref)
    assert provider.same("0" * 64) == []


def test_a_teammate_s_submission_of_the_same_content_is_known(
    server: Server, provider: KaggleProvider, file: Path
) -> None:
    server.add("toy")
    server.accounts["bob"] = "1" * 32
    server.teams = {"ann": "us", "bob": "us", "eve": "them"}
    server.hand_in("toy", "x.csv", CONTENT, f"bob {content_mark(sha256(file))}0000]", "bob")
    server.hand_in("toy", "x.csv", CONTENT, f"eve {content_mark(sha256(file))}0001]", "eve")
    assert [entry.submitted_by for entry in provider.same(sha256(file))] == ["bob"]


def test_a_long_description_does_not_cost_the_mark(
    server: Server, provider: KaggleProvider, file: Path
) -> None:
    server.add("toy")
    provider.submit(file, "x" * 3_000)
    assert len(server.submissions[0].description) < 450
    assert provider.same(sha256(file))


# -- the answer of CreateSubmission


def test_a_lost_answer_is_looked_for_and_never_sent_again(
    server: Server, provider: KaggleProvider, file: Path
) -> None:
    server.add("toy")
    server.fault("CreateSubmission", "lost")
    submitted = provider.submit(file, "hello")
    assert submitted.ref == str(server.submissions[0].ref)
    assert len(server.submissions) == len(server.calls("CreateSubmission")) == 1


def test_a_lost_answer_with_an_older_submission_of_the_same_content_is_not_confused(
    server: Server, provider: KaggleProvider, file: Path
) -> None:
    server.add("toy")
    provider.submit(file, "first")
    server.fault("CreateSubmission", "drop")
    with pytest.raises(ProviderError, match="did not arrive") as caught:
        provider.submit(file, "again")
    assert not isinstance(caught.value, RefusedError), "the receipt stays"
    assert len(server.submissions) == 1


def test_a_list_that_is_late_is_looked_at_again(
    server: Server, provider: KaggleProvider, file: Path, naps: Naps
) -> None:
    server.add("toy")
    real = server._of
    looks = 0

    def late(slug: str, user: str) -> list[Any]:
        nonlocal looks
        looks += 1
        return real(slug, user) if looks > 2 else []

    server._of = late  # type: ignore[method-assign]
    server.fault("CreateSubmission", "lost")
    assert provider.submit(file, "").ref == str(server.submissions[0].ref)
    assert len(naps.seconds) >= 1


def test_a_made_submission_that_the_list_does_not_show_is_pending(
    server: Server, provider: KaggleProvider, file: Path
) -> None:
    server.add("toy")
    server._of = lambda slug, user: []  # type: ignore[method-assign]
    submitted = provider.submit(file, "hello")
    assert (submitted.ref, submitted.status) == (str(server.submissions[0].ref), "pending")


def test_a_list_that_fails_after_a_made_submission_is_no_failure(
    server: Server, provider: KaggleProvider, file: Path
) -> None:
    server.add("toy")
    server.fault("ListSubmissions", "status", status=503, times=99)
    assert provider.submit(file, "").ref == str(server.submissions[0].ref)


@pytest.mark.parametrize("kind", ["drop", "html", "status", "hang"])
def test_no_answer_and_nothing_in_the_list_says_both(
    server: Server, provider: KaggleProvider, file: Path, kind: Any, with_patience: Patient
) -> None:
    with_patience(answer=0.3)
    server.add("toy")
    server.fault("CreateSubmission", kind, status=200 if kind == "html" else 500, seconds=0.6)
    with pytest.raises(ProviderError, match="not in Kaggle's list") as caught:
        provider.submit(file, "")
    assert "kit submit --again" in str(caught.value)
    assert len(server.calls("CreateSubmission")) == 1
    assert server.submissions == []


def test_no_answer_and_no_list_is_not_known(
    server: Server, provider: KaggleProvider, file: Path
) -> None:
    server.add("toy")
    server.fault("CreateSubmission", "lost")
    server.fault("ListSubmissions", "status", status=503, times=99)
    with pytest.raises(ProviderError, match="not known"):
        provider.submit(file, "")
    assert len(server.submissions) == 1


@pytest.mark.parametrize("shape", ["gateway", "flat"])
def test_a_refusal_is_a_refusal_whatever_its_shape(
    server: Server, provider: KaggleProvider, file: Path, shape: Any
) -> None:
    server.shape = shape
    server.add("toy", daily=0)
    with pytest.raises(QuotaError):
        provider.submit(file, "")
    assert len(server.calls("CreateSubmission")) == 1


@pytest.mark.parametrize("status", [400, 401, 403, 429])
def test_a_refusal_without_a_word_need_not_be_kaggle_s(
    server: Server, provider: KaggleProvider, file: Path, status: int
) -> None:
    """A proxy may say no after the submission was made."""
    server.add("toy")
    server.shape = "bare"
    server.fault("CreateSubmission", "status", status=status)
    with pytest.raises(ProviderError, match="not Kaggle's own") as caught:
        provider.submit(file, "")
    assert not isinstance(caught.value, RefusedError), "the receipt stays"
    assert len(server.calls("CreateSubmission")) == 1


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        ({"notebooks_only": True}, "takes notebooks only"),
        ({"disabled": True}, "takes no submissions"),
        ({"file_name": "answer.csv"}, r'Set provider\.file = "answer\.csv" in kit\.toml'),
        ({"entered": False}, "does not take part"),
    ],
)
def test_known_refusals_after_the_upload(
    server: Server, provider: KaggleProvider, file: Path, facts: dict[str, Any], told: str
) -> None:
    server.add("toy", **facts)
    with pytest.raises(RefusedError, match=told):
        provider.submit(file, "")
    assert server.submissions == []


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        ({"notebooks_only": True}, "code competition"),
        ({"disabled": True}, "takes no submissions"),
        ({"entered": False}, "Join and accept the rules"),
    ],
)
def test_refusals_that_can_be_known_before_the_upload_are(
    server: Server, provider: KaggleProvider, facts: dict[str, Any], told: str
) -> None:
    server.add("toy", **facts)
    with pytest.raises(RefusedError, match=told):
        provider.limits()


def test_limits_say_what_is_left(server: Server, provider: KaggleProvider) -> None:
    server.add("toy", daily=3)
    server.hand_in("toy", "a.csv", b"1")
    server.hand_in("toy", "b.csv", b"1").status = "ERROR"  # errors are not charged
    limits = provider.limits()
    assert limits.left_today == 2
    assert limits.resets.startswith("at 00:00 UTC, in ")


# -- the upload


@pytest.mark.parametrize("status", [403, 400, 404, 503])
def test_an_upload_that_is_refused_hands_nothing_in(
    server: Server, provider: KaggleProvider, file: Path, status: int
) -> None:
    server.add("toy")
    server.fault("PUT", "status", status=status, times=99)
    with pytest.raises(RefusedError, match="Nothing was handed in"):
        provider.submit(file, "")
    assert not server.calls("CreateSubmission")
    assert file.read_bytes() == CONTENT


@pytest.mark.parametrize("after", [0, 1, 200_000])
def test_an_upload_that_is_cut_goes_on_where_it_was(
    server: Server, provider: KaggleProvider, file: Path, after: int
) -> None:
    server.add("toy")
    server.fault("PUT", "cut", after=after)
    provider.submit(file, "")
    assert server.submissions[0].content == CONTENT
    second = server.calls("PUT")[1]
    size = len(CONTENT)
    wanted = f"bytes {after}-{size - 1}/{size}" if after else None
    assert second.headers.get("Content-Range") == wanted
    assert len(server.calls("StartSubmissionUpload")) == 1


def test_an_upload_whose_answer_is_lost_is_not_sent_again(
    server: Server, provider: KaggleProvider, file: Path
) -> None:
    server.add("toy")
    server.fault("PUT", "lost")
    provider.submit(file, "")
    assert len(server.calls("PUT")) == 1
    assert server.submissions[0].content == CONTENT


def test_an_upload_that_the_storage_forgot_starts_again(
    server: Server, provider: KaggleProvider, file: Path
) -> None:
    server.add("toy")
    server.fault("PUT", "do", action=server.uploads.clear)
    provider.submit(file, "")
    assert len(server.calls("StartSubmissionUpload")) == 2
    assert server.submissions[0].content == CONTENT


def test_an_upload_to_a_silent_storage_ends(
    server: Server, provider: KaggleProvider, file: Path, with_patience: Patient
) -> None:
    with_patience(transfer=0.2, attempts=1)
    server.add("toy")
    server.fault("PUT", "hang", seconds=0.5, times=9)
    with pytest.raises(RefusedError, match="Nothing was handed in"):
        provider.submit(file, "")


@pytest.mark.parametrize("kind", ["status", "drop"])
def test_an_upload_that_cannot_start_hands_nothing_in(
    server: Server, provider: KaggleProvider, file: Path, kind: Any
) -> None:
    server.add("toy")
    server.fault("StartSubmissionUpload", kind, status=502, times=99)
    with pytest.raises(RefusedError, match="Nothing was handed in"):
        provider.submit(file, "")


# -- the leaderboard


def test_the_board_knows_our_team_by_its_members(server: Server, provider: KaggleProvider) -> None:
    board = [(f"team {n}", 1 - n / 1000) for n in range(300)]
    server.add("toy", board=board, members={"team 250": "ann"})
    standings = provider.leaderboard()
    assert len(standings) == 300
    assert [(s.rank, s.team) for s in standings if s.mine] == [(251, "team 250")]


def test_without_the_archive_the_pages_of_the_board_are_read(
    server: Server, provider: KaggleProvider
) -> None:
    board = [(f"team {n}", 1 - n / 1000) for n in range(450)]
    server.teams["ann"] = "team 7"
    server.add("toy", board=board)
    server.hand_in("toy", "a.csv", b"1")
    server.fault("DownloadLeaderboard", "html", status=200)
    standings = provider.leaderboard()
    assert len(standings) == 450
    assert [s.rank for s in standings if s.mine] == [8]


OVER = datetime.now(UTC) - timedelta(days=3)
PUBLIC, PRIVATE = [("Alpha", 0.9), ("ann", 0.8)], [("ann", 0.85), ("Alpha", 0.7)]


@pytest.mark.parametrize(
    ("deadline", "final", "board", "first"),
    [
        (OVER, PRIVATE, "private", "ann"),
        (OVER, [], "public", "Alpha"),  # over, and not shown yet
        (OVER + timedelta(days=9), [], "public", "Alpha"),
    ],
)
def test_once_it_is_over_the_board_is_the_private_one_if_kaggle_gives_it(
    server: Server, provider: KaggleProvider, deadline: datetime, final: Any, board: str, first: str
) -> None:
    server.add("toy", board=PUBLIC, final=final, deadline=deadline, members={"ann": "ann"})
    server.hand_in("toy", "a.csv", b"1")
    standings, contest = provider.leaderboard(), provider.contest()
    assert (contest.board, contest.over) == (board, deadline == OVER)
    assert standings[0].team == first
    assert [s.team for s in standings if s.mine] == ["ann"]


def test_submissions_after_the_deadline_are_late(server: Server, provider: KaggleProvider) -> None:
    server.add("toy", deadline=OVER)
    server.hand_in("toy", "late.csv", b"1")
    server.hand_in("toy", "intime.csv", b"1").date = OVER - timedelta(hours=1)
    assert {s.file_name: s.late for s in provider.submissions()} == {
        "late.csv": True, "intime.csv": False,
    }  # fmt: skip
    assert len(server.calls("GetCompetition")) == 1


def test_a_deadline_that_cannot_be_asked_hides_no_submission(
    server: Server, provider: KaggleProvider
) -> None:
    server.add("toy")
    server.hand_in("toy", "a.csv", b"1")
    server.fault("GetCompetition", "status", status=503, times=20)
    assert [s.late for s in provider.submissions()] == [False]


def test_names_of_teams_are_plain_text(server: Server, provider: KaggleProvider) -> None:
    server.add("toy", board=[("[red]\x1b[31mEvil\x07\u202e[/red]", 0.9)])
    assert provider.leaderboard()[0].team == "[red]Evil[/red]"


def test_two_accounts_see_their_own_submissions(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, patience: Patience
) -> None:
    server.add("toy")
    server.accounts["bob"] = "1" * 32
    server.hand_in("toy", "ann.csv", b"1", user="ann")
    server.hand_in("toy", "bob.csv", b"1", user="bob")
    spec = ProviderSpec(name="kaggle")
    seen = []
    for user in ("ann", "bob"):
        monkeypatch.setenv("KAGGLE_USERNAME", user)
        monkeypatch.setenv("KAGGLE_KEY", server.accounts[user])
        seen += [s.file_name for s in KaggleProvider("toy", spec, tmp_path / "toy").submissions()]
    assert seen == ["ann.csv", "bob.csv"]
