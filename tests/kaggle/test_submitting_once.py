"""On the command line: nothing is sent twice, as somebody else, or forgotten."""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kagglesdk.kaggle_env as environment
import loopback_server
import pandas as pd
import pytest
from filelock import FileLock
from loopback_answers import Refusal
from loopback_server import Server
from test_loop import handed_in, made, tables, toy

from kit import atomic
from kit.atomic import sha256
from kit.competition import Competition
from kit.providers.base import load_provider
from kit.providers.kaggle import KaggleProvider, client
from kit.providers.kaggle.refusals import Failure, explained
from kit.submission import refresh

RunKit = Any
__all__ = ["toy"]


def receipts() -> list[dict[str, Any]]:
    paths = sorted(Path("toy/submissions").glob("*.json"))
    return [json.loads(path.read_text()) for path in paths]


def again(run_kit: RunKit, *more: str) -> Any:
    return run_kit("submit", "-C", "toy", "--file", "answer.csv", *more)


def hides(server: Server) -> Callable[[], None]:
    """The list lags behind."""

    def hide() -> None:
        server.hidden |= {50_000_000 + n for n in range(1000)}

    return hide


# -- an answer that was lost


def test_again_looks_first_for_what_the_list_did_not_show_yet(toy: Server, run_kit: RunKit) -> None:
    made(run_kit)
    toy.fault("CreateSubmission", "lost", action=hides(toy))
    done = handed_in(run_kit)
    assert done.code == 3
    assert "the list can be late" in done.err
    (receipt,) = receipts()
    assert receipt["status"] == "sent"
    assert toy.submissions[0].description.endswith(receipt["mark"])
    toy.hidden.clear()
    done = again(run_kit, "--again")
    assert (done.code, "It did arrive" in done.err) == (1, True), done.err
    assert len(toy.submissions) == 1
    assert receipts()[0]["ref"] == str(toy.submissions[0].ref)
    assert again(run_kit, "--again").code == 0, "now it is meant"
    assert len(toy.submissions) == 2


def test_again_sends_what_is_still_not_listed(toy: Server, run_kit: RunKit) -> None:
    made(run_kit)
    toy.fault("CreateSubmission", "drop")
    assert handed_in(run_kit).code == 3
    done = again(run_kit)
    assert (done.code, "lists no such submission" in done.err) == (1, True), done.err
    assert "Lists can be late" in done.err
    assert toy.submissions == []
    assert again(run_kit, "--again").code == 0
    assert len(toy.submissions) == 1


def test_again_sends_nothing_while_the_list_cannot_be_read(toy: Server, run_kit: RunKit) -> None:
    made(run_kit)
    toy.fault("CreateSubmission", "drop")
    assert handed_in(run_kit).code == 3
    toy.fault("ListSubmissions", "status", status=503, times=99)
    done = again(run_kit, "--again")
    assert (done.code, "cannot be asked" in done.err) == (1, True), done.err
    assert len(toy.calls("CreateSubmission")) == 1


@pytest.mark.parametrize("more", [(), ("--again",)])
def test_what_another_process_is_sending_is_not_called_lost(
    toy: Server, run_kit: RunKit, more: tuple[str, ...]
) -> None:
    made(run_kit)
    file = Path("answer.csv")
    file.write_bytes(tables()["sample_submission.csv"])
    folder = Path("toy/submissions")
    folder.mkdir(exist_ok=True)
    with FileLock(folder / f".{sha256(file)[:12]}.lock"):
        done = again(run_kit, *more)
    assert (done.code, "is sending the same content right now" in done.err) == (1, True)
    assert toy.submissions == []
    assert again(run_kit, *more).code == 0
    assert [p.name for p in folder.glob(".*.lock")] in ([], [".lock"])


@pytest.mark.parametrize("call", ["CreateSubmission", "PUT", "StartSubmissionUpload"])
def test_a_server_that_hangs_ends_the_command(
    toy: Server, run_kit: RunKit, with_patience: Any, call: str
) -> None:
    made(run_kit)
    with_patience(answer=0.2, transfer=0.2, attempts=2, first=0.01)
    toy.fault(call, "hang", seconds=0.5, times=9)
    done = handed_in(run_kit)
    sent = call == "CreateSubmission"
    assert done.code == 3
    assert ("not in Kaggle's list" if sent else "Nothing was handed in") in done.err
    assert "Traceback" not in done.err
    assert [each["status"] for each in receipts()] == ["sent"] * sent
    assert toy.submissions == []


@pytest.mark.parametrize("status", [403, 404])
def test_a_wrong_name_is_said(toy: Server, run_kit: RunKit, status: int) -> None:
    made(run_kit)
    toy.unknown_status = status
    toy.competitions["other"] = toy.competitions.pop("toy")
    done = handed_in(run_kit)
    assert done.code == 3
    assert "knows no competition 'toy'" in done.err
    assert "Is the name right?" in done.err
    assert receipts() == []
    done = run_kit("new", "tyo")
    assert (done.code, "knows no competition 'tyo'" in done.err) == (3, True)
    assert not Path("tyo").exists()


# -- two receipts


def opened() -> tuple[Competition, Any]:
    competition = Competition.load(Path("toy"))
    spec = competition.settings.provider
    return competition, load_provider(competition.slug, spec, competition.root)


@pytest.mark.parametrize("marked", [True, False])
def test_one_submission_is_the_answer_to_one_receipt(
    toy: Server, run_kit: RunKit, marked: bool
) -> None:
    made(run_kit)
    toy.fault("CreateSubmission", "drop")
    assert handed_in(run_kit).code == 3
    toy.fault("CreateSubmission", "lost", action=hides(toy))
    assert again(run_kit, "--again").code == 3
    toy.hidden.clear()
    assert len(toy.submissions) == 1
    if not marked:  # as an earlier kit wrote them
        for path in Path("toy/submissions").glob("*.json"):
            path.write_text(json.dumps({**json.loads(path.read_text()), "mark": ""}))
    assert len(refresh(*opened())) == 1
    assert [each["status"] for each in receipts()].count("sent") == 1
    if marked:
        (found,) = [each for each in receipts() if each["ref"]]
        assert toy.submissions[0].description.endswith(found["mark"])


def test_a_teammate_s_submission_is_not_the_answer_to_ours(toy: Server, run_kit: RunKit) -> None:
    made(run_kit)
    toy.accounts["bob"] = "1" * 32
    toy.teams = {"ann": "us", "bob": "us"}
    toy.fault("CreateSubmission", "drop")
    assert handed_in(run_kit).code == 3
    digest = receipts()[0]["sha256"]
    content = Path("answer.csv").read_bytes()
    toy.hand_in("toy", "answer.csv", content, f"answer.csv [kit {digest[:12]}-beef]", "bob")
    done = again(run_kit)
    assert (done.code, "lists no such submission" in done.err) == (1, True), done.err
    done = run_kit("ledger", "-C", "toy")
    assert (done.code, "not on the server's list" in done.out) == (0, True), done
    assert [each["status"] for each in receipts()] == ["sent"]


# -- Ctrl-C


def test_ctrl_c_in_the_upload_leaves_no_trace(
    toy: Server, run_kit: RunKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    import kit.providers.kaggle.submitting as submitting

    made(run_kit)

    def stopped(*_: Any) -> str:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(submitting, "upload", stopped)
        done = handed_in(run_kit)
    assert done.code == 130
    assert (receipts(), toy.submissions) == ([], [])
    assert again(run_kit).code == 0
    assert len(toy.submissions) == 1


def test_ctrl_c_after_the_upload_leaves_one(
    toy: Server, run_kit: RunKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(run_kit)
    real = client.Client.call

    def stopped(self: Any, name: str, /, **fields: Any) -> Any:
        answer = real(self, name, **fields)
        if name == "competitions/CreateSubmission":
            raise KeyboardInterrupt
        return answer

    with monkeypatch.context() as patch:
        patch.setattr(client.Client, "call", stopped)
        assert handed_in(run_kit).code == 130
    assert [each["status"] for each in receipts()] == ["sent"]
    done = again(run_kit)
    assert (done.code, "It did arrive" in done.err) == (1, True)
    assert len(toy.submissions) == 1


# -- whose account


@pytest.fixture
def stale(toy: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    """A token that was good, and the key of somebody else behind it."""
    toy.accounts["bob"] = "1" * 32
    toy.tokens["KGAT_ann"] = "ann"
    monkeypatch.setenv("KAGGLE_API_TOKEN", "KGAT_ann")
    monkeypatch.setenv("KAGGLE_USERNAME", "bob")
    monkeypatch.setenv("KAGGLE_KEY", toy.accounts["bob"])
    return toy


@pytest.mark.parametrize("when", ["GetCompetition", "StartSubmissionUpload", "CreateSubmission"])
def test_a_refused_token_does_not_hand_in_as_somebody_else(
    stale: Server, run_kit: RunKit, when: str
) -> None:
    made(run_kit)
    stale.fault(when, "do", action=stale.tokens.clear)
    done = handed_in(run_kit)
    assert done.code == 3
    assert "Kaggle refuses the credentials of KAGGLE_API_TOKEN" in done.err
    assert "nothing is sent with them" in done.err
    assert (stale.submissions, receipts()) == ([], [])
    assert "KGAT_ann" not in done.err


def test_another_credential_of_the_same_account_goes_on(
    toy: Server, run_kit: RunKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(run_kit)
    folder = Path.home() / ".kaggle"
    folder.mkdir()
    key = toy.accounts["ann"]
    (folder / "kaggle.json").write_text(json.dumps({"username": "ann", "key": key}))
    monkeypatch.setenv("KAGGLE_KEY", "old")
    done = handed_in(run_kit)
    assert done.code == 0, done.err
    assert receipts()[0]["account"] == "ann"


def test_the_list_of_another_account_does_not_say_that_nothing_arrived(
    stale: Server, run_kit: RunKit
) -> None:
    made(run_kit)
    stale.fault("CreateSubmission", "lost", action=lambda: stale.fault(
        "ListSubmissions", "status", status=401))  # fmt: skip
    done = handed_in(run_kit)
    assert done.code == 3
    assert "Whether the submission arrived is not known" in done.err
    assert (len(stale.submissions), receipts()[0]["account"]) == (1, "ann")


@pytest.mark.parametrize("more", [(), ("--again",)])
def test_another_account_cannot_judge_a_lost_answer(
    stale: Server, run_kit: RunKit, monkeypatch: pytest.MonkeyPatch, more: tuple[str, ...]
) -> None:
    made(run_kit)
    stale.fault("CreateSubmission", "lost", action=hides(stale))
    assert handed_in(run_kit).code == 3
    stale.hidden.clear()
    monkeypatch.delenv("KAGGLE_API_TOKEN")
    done = again(run_kit, *more)
    assert done.code == 1
    assert "was sent as 'ann', and the server is asked as 'bob'" in done.err
    assert len(stale.submissions) == 1


def test_the_account_is_asked_for_once(
    toy: Server, provider: KaggleProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAGGLE_API_TOKEN", "KGAT_good")
    assert [provider.account(), provider.account()] == ["ann", "ann"]
    assert len(toy.calls("IntrospectToken")) == 1


# -- the connection


@pytest.mark.parametrize("bundle", ["none.pem", "broken.pem"])
def test_certificates_of_no_use_are_one_sentence(
    toy: Server, run_kit: RunKit, monkeypatch: pytest.MonkeyPatch, bundle: str
) -> None:
    made(run_kit)
    Path("broken.pem").write_text("no certificate")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(Path(bundle).resolve()))
    for each in environment.KaggleEnv:
        monkeypatch.setitem(
            environment._env_to_endpoint, each, toy.url.replace("http://", "https://")
        )
    done = handed_in(run_kit)
    assert done.code == 3
    assert "the connection to Kaggle cannot be set up" in done.err
    assert "Look at HTTPS_PROXY, NO_PROXY and REQUESTS_CA_BUNDLE" in done.err
    assert (receipts(), toy.submissions) == ([], [])
    done = run_kit("leaderboard", "-C", "toy")
    assert (done.code, "cannot be set up" in done.err) == (3, True)


@pytest.mark.parametrize("body", [b"null", b'{"code": "UNAVAILABLE"}', b"[1]", b"7"])
def test_an_answer_of_another_shape_keeps_the_receipt(
    toy: Server, run_kit: RunKit, monkeypatch: pytest.MonkeyPatch, body: bytes
) -> None:
    """The submission was made, and Kaggle's answer cannot be read."""
    made(run_kit)
    real = loopback_server._Answers._json

    def odd(self: Any, status: int, document: Any, headers: Any = None) -> None:
        if {"ref", "message"} == set(document):
            self._send(status, body, "application/json", headers)
        else:
            real(self, status, document, headers)

    monkeypatch.setattr(loopback_server._Answers, "_json", odd)
    hide = hides(toy)
    toy.fault("CreateSubmission", "do", action=hide)
    done = handed_in(run_kit)
    assert (done.code, "bug in kit" in done.err) == (3, False), done.err
    assert ([each["status"] for each in receipts()], len(toy.submissions)) == (["sent"], 1)
    toy.hidden.clear()
    done = again(run_kit)
    assert (done.code, "It did arrive" in done.err) == (1, True)
    assert len(toy.submissions) == 1


def test_nothing_is_sent_for_a_file_that_is_not_there(toy: Server, run_kit: RunKit) -> None:
    made(run_kit)
    asked = len(toy.requests)
    done = run_kit("submit", "-C", "toy", "--file", "none.csv")
    assert (done.code, "there is no file none.csv" in done.err) == (1, True), done.err
    assert len(toy.requests) == asked
    assert receipts() == []


# -- a refusal that is not the server's own, a full disk, a name that is asked for


@pytest.mark.parametrize("shape", ["gateway", "bare"])
@pytest.mark.parametrize("listed", [True, False])
def test_a_refusal_of_what_was_made_all_the_same_is_found_out(
    toy: Server, run_kit: RunKit, shape: Any, listed: bool
) -> None:
    made(run_kit)
    toy.shape = shape
    real = toy.CreateSubmission

    def made_and_refused(body: Any, user: str) -> Any:
        real(body, user)
        if not listed:
            toy.fault("ListSubmissions", "status", status=503, times=99)
        raise Refusal(403, "Blocked by the gateway")

    toy.CreateSubmission = made_and_refused  # type: ignore[method-assign]
    done = handed_in(run_kit)
    assert done.code == (0 if listed else 3), done.err
    (receipt,) = receipts()
    assert receipt["status"] == ("complete" if listed else "sent")
    toy.faults.clear()
    done = again(run_kit)
    assert (done.code, len(toy.submissions)) == (1, 1), done.err
    assert ("handed in before" if listed else "It did arrive") in done.err


def test_a_disk_that_is_full_after_the_submission_does_not_hide_it(
    toy: Server, run_kit: RunKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(run_kit)
    real = atomic.os.replace

    def full(source: Any, target: Any) -> None:
        if toy.submissions and str(target).endswith("answer.json"):
            raise OSError(errno.ENOSPC, "No space left on device")
        real(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(atomic.os, "replace", full)
        done = handed_in(run_kit)
    ref = str(toy.submissions[0].ref)
    assert done.code == 1
    assert f"the submission is made (ref '{ref}')" in done.err
    assert "Nothing needs to be handed in again" in done.err
    assert [each["status"] for each in receipts()] == ["sent"]
    done = again(run_kit)
    assert (done.code, len(toy.submissions)) == (1, 1)
    assert receipts()[0]["ref"] == ref


def test_ctrl_c_while_waiting_names_the_way_to_the_score(
    toy: Server, run_kit: RunKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(run_kit)
    toy.competitions["toy"].polls = 10**6

    def stopped(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("kit.cli.submit.time.sleep", stopped)
    done = handed_in(run_kit)
    assert done.code == 130
    assert f"the submission {toy.submissions[0].ref} stays, and `kit ledger` shows" in done.err
    assert "the same command goes on" not in done.err
    done = again(run_kit)
    assert (done.code, "`kit ledger` shows its score" in done.err) == (1, True), done.err


def test_a_name_that_is_demanded_is_a_setting_and_keeps_run_and_cv(
    toy: Server, run_kit: RunKit, make_run: Any
) -> None:
    made(run_kit)
    toy.competitions["toy"].file_name = "submission.csv"
    run = made_run(make_run)
    done = run_kit("submit", "-C", "toy")
    assert done.code == 3
    assert 'Set provider.file = "submission.csv" in kit.toml' in done.err
    done = run_kit("submit", "-C", "toy", "--set", "provider.file=submission.csv")
    assert done.code == 0, done.err
    assert [each.name for each in toy.submissions] == ["submission.csv"]
    assert (receipts()[0]["run"], receipts()[0]["cv"]["value"]) == (run, pytest.approx(0.85))
    done = run_kit("submit", "-C", "toy", "--set", "provider.file=a/b.csv", "--again")
    assert (done.code, "provider.file must be a plain file name" in done.err) == (1, True)


def test_a_copy_of_a_run_s_file_is_the_run_s(toy: Server, run_kit: RunKit, make_run: Any) -> None:
    made(run_kit)
    run = made_run(make_run)
    assert run_kit("submit", "-C", "toy", "--dry-run").code == 0
    copy = Path(shutil.copy(f"toy/submissions/{run}.csv", "submission.csv"))
    assert run_kit("submit", "-C", "toy", "--file", copy).code == 0
    assert (receipts()[0]["run"], receipts()[0]["cv"]["value"]) == (run, pytest.approx(0.85))


def made_run(make_run: Any) -> str:
    ids = pd.read_csv("toy/data/raw/test.csv", index_col="id").index
    run = make_run(Path("toy/runs"), "linear", [0.8, 0.9], test=pd.Series(0.25, index=ids))
    return str(run.id)


@pytest.mark.parametrize(
    ("proxy", "free"),  # without a proxy for Kaggle itself, its storage is asked through it
    [
        (":3128", ""),
        ("http://user:word@", ""),
        ("http://user:word@", "127.0.0.1"),
        ("http://.", ""),
    ],
)
def test_a_proxy_without_a_host_is_named(
    toy: Server, run_kit: RunKit, monkeypatch: pytest.MonkeyPatch, proxy: str, free: str
) -> None:
    made(run_kit)
    for name in ("HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, proxy)
    monkeypatch.setenv("NO_PROXY", free)
    for done in (handed_in(run_kit), run_kit("data", "--force", "-C", "toy")):
        assert done.code == 3
        assert "the connection to Kaggle cannot be set up" in done.err
        assert "HTTPS_PROXY" in done.err
        assert "word" not in done.err
    assert (receipts(), toy.submissions) == ([], [])


@pytest.mark.parametrize("call", ["PUT", "StartSubmissionUpload"])
def test_an_upload_that_fails_with_the_connection_leaves_no_receipt(
    toy: Server, run_kit: RunKit, call: str
) -> None:
    """The network goes away while the file is sent, and stays away."""
    made(run_kit)

    def gone() -> None:
        toy.fault("ListSubmissions", "status", status=503, times=99)

    toy.fault(call, "status", status=503, times=99, action=gone)
    done = handed_in(run_kit)
    assert (done.code, "Nothing was handed in" in done.err) == (3, True), done.err
    assert "cannot be asked" not in done.err
    assert (receipts(), toy.submissions) == ([], [])
    toy.faults.clear()
    assert again(run_kit).code == 0, "the same command is enough"
    assert len(toy.submissions) == 1


# -- what the limits, other providers and damaged receipts must not hide


def test_a_lost_answer_is_found_though_no_submission_is_left(toy: Server, run_kit: RunKit) -> None:
    made(run_kit)
    toy.competitions["toy"].daily = 1
    toy.fault("CreateSubmission", "lost", action=hides(toy))
    assert handed_in(run_kit).code == 3
    toy.hidden.clear()
    done = again(run_kit)
    assert (done.code, "It did arrive" in done.err) == (1, True), done.err
    assert receipts()[0]["ref"] == str(toy.submissions[0].ref)
    done = again(run_kit)
    assert (done.code, "handed in before" in done.err) == (1, True), done.err
    assert len(toy.submissions) == 1


def test_a_refusal_in_words_unknown_to_kit_is_not_believed(toy: Server, run_kit: RunKit) -> None:
    """A gateway may say no in Kaggle's shape after the work was done, and the list may be late."""
    made(run_kit)
    real = toy.CreateSubmission

    def refuse(body: Any, user: Any) -> Any:
        real(body, user)
        hides(toy)()
        raise Refusal(403, "Forbidden")

    toy.CreateSubmission = refuse  # type: ignore[method-assign]
    assert handed_in(run_kit).code == 3
    toy.CreateSubmission = real  # type: ignore[method-assign]
    done = again(run_kit)
    assert (done.code, "lists no such submission" in done.err) == (1, True), done.err
    assert len(toy.submissions) == 1


def test_what_another_provider_took_is_no_submission_to_kaggle(
    toy: Server, run_kit: RunKit
) -> None:
    made(run_kit)
    Path("answer.csv").write_bytes(tables()["sample_submission.csv"])
    assert again(run_kit, "--set", "provider.name=local").code == 0
    assert again(run_kit).code == 0
    assert len(toy.submissions) == 1


def test_notes_of_one_s_own_among_the_receipts_are_left_alone(toy: Server, run_kit: RunKit) -> None:
    made(run_kit)
    Path("toy/submissions").mkdir(exist_ok=True)
    Path("toy/submissions/notes.json").write_text('{"idea": 1}')
    assert handed_in(run_kit).code == 0
    assert Path("toy/submissions/notes.json").is_file()


@pytest.mark.parametrize(
    "change",
    [{"created": None}, {"created": "yesterday"}, {"sha256": None}, {"file": None}, {"mark": 5}],
)
def test_a_receipt_with_wrong_types_is_damaged(
    toy: Server, run_kit: RunKit, change: dict[str, Any]
) -> None:
    made(run_kit)
    assert handed_in(run_kit).code == 0
    (path,) = Path("toy/submissions").glob("*.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    done, ledger = again(run_kit), run_kit("ledger", "-C", "toy")
    assert done.code == 1
    assert "bug in kit" not in done.err + ledger.err
    assert len(toy.submissions) == 1


def test_what_never_left_is_no_submission_without_an_answer(
    toy: Server, run_kit: RunKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(run_kit)
    real = client.Client.call

    def unreached(self: Any, name: str, /, **fields: Any) -> Any:
        if name.endswith("CreateSubmission"):
            failure = Failure(how="unreached", message="connection refused")
            raise explained(failure, "CreateSubmission", "toy") from failure
        return real(self, name, **fields)

    monkeypatch.setattr(client.Client, "call", unreached)
    done = handed_in(run_kit)
    assert (done.code, "Nothing was handed in" in done.err) == (3, True), done.err
    assert receipts() == []
    monkeypatch.setattr(client.Client, "call", real)
    assert again(run_kit).code == 0
