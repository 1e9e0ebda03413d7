"""Calls: what goes wrong becomes one sentence; what may be repeated is, and nothing else."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path
from typing import Any

import kagglesdk.kaggle_env as environment
import loopback_server
import pytest
import requests
from loopback_server import Server
from loopback_types import Naps, Patient

from kit import __version__
from kit.errors import AuthError, KitError, ProviderError, QuotaError, RefusedError
from kit.providers.kaggle import KaggleProvider
from kit.providers.kaggle.client import Client, Patience, failure_of
from kit.providers.kaggle.refusals import Failure, explained, of_body, reset

SHAPES = ("gateway", "flat", "bare")
REFUSALS = [
    # status, call, the server's words, error, what kit says and the way out
    (403, "DownloadDataFiles", "You must accept this competition's rules before you'll be able to "
     "download files.", RefusedError, ("rules of toy are not accepted", "competitions/toy/rules")),
    (403, "GetCompetition", "Permission 'competitions.get' was denied", RefusedError,
     ("no competition 'toy'", "Is the name right?")),
    (404, "GetCompetition", "Not found", RefusedError, ("no competition 'toy'", "last part")),
    (403, "StartSubmissionUpload", "Permission 'competitions.participate' was denied",
     RefusedError, ("does not take part in toy", "competitions/toy/rules")),
    (400, "CreateSubmission", "Submission not allowed:  Your team has used its daily Submission "
     "allowance (5) today, please try again tomorrow UTC (12 hours from now).", QuotaError,
     ("no submission is left today", "at 00:00 UTC, in ")),
    (400, "CreateSubmission", "Submission not allowed:  This competition only accepts Submissions "
     "from Notebooks.", RefusedError, ("takes notebooks only", "kit export RUN --to kaggle")),
    (400, "CreateSubmission", 'Submission not allowed:  Submission files must be named '
     '"submission.csv" for this Competition.', RefusedError,
     ("wrong name", 'Set provider.file = "submission.csv" in kit.toml')),
    (400, "CreateSubmission", "Submission not allowed:  Submissions have been disabled for this "
     "competition.", RefusedError, ("takes no submissions", "competitions/toy")),
    (400, "CreateSubmission", "Submission not allowed:  The deadline has passed.", RefusedError,
     ("deadline of toy is over", "no late submissions")),
    (400, "CreateSubmission", "Something new", RefusedError, ("Something new", "HTTP 400")),
    (429, "GetCompetition", "Quota exceeded", RefusedError, ("slow down (Quota", "in some min")),
    (400, "CreateSubmission", "The file breaks the rules of CSV", RefusedError,
     ("breaks the rules of CSV",)),
    (408, "CreateSubmission", "Request timeout", ProviderError, ("HTTP 408",)),
    (503, "GetCompetition", "Unavailable", ProviderError, ("HTTP 503: Unavailable", "later")),
]  # fmt: skip


@pytest.mark.parametrize("shape", ["gateway", "flat"])
@pytest.mark.parametrize(("status", "call", "words", "error", "told"), REFUSALS)
def test_every_known_refusal_is_one_sentence_and_a_next_step(
    status: int, call: str, words: str, error: type[KitError], told: tuple[str, ...], shape: str
) -> None:
    inner = {"code": status, "message": words}
    body = {"error": inner} if shape == "gateway" else inner
    found = explained(of_body(status, body, None), call, "toy")
    assert type(found) is error
    assert found.exit_code == 3
    for text in told:
        assert text in str(found)


def test_several_reasons_in_one_message_give_all_next_steps() -> None:
    words = (
        "Submission not allowed:  Your team has used its daily Submission allowance (5) today. "
        'Submission files must be named "s.csv" for this Competition.'
    )
    found = explained(Failure(how="answer", status=400, message=words), "CreateSubmission", "toy")
    assert isinstance(found, QuotaError)
    assert 'Set provider.file = "s.csv" in kit.toml' in str(found)


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_of_an_error_body_is_read(
    server: Server, provider: KaggleProvider, shape: Any
) -> None:
    server.shape = shape
    server.add("toy", rules_accepted=False)
    with pytest.raises(RefusedError) as caught:
        provider.fetch(Path("unused"), lambda *_: None)
    told = "rules of toy are not accepted" if shape != "bare" else "refused DownloadDataFiles"
    assert told in str(caught.value)


def test_a_call_says_who_asks_and_follows_no_redirect(
    server: Server, provider: KaggleProvider
) -> None:
    server.add("toy", files={"a.csv": b"1"})
    provider.fetch(provider.root / "raw", lambda *_: None)
    asked, got = server.calls("DownloadDataFiles")[0], server.calls("GET")[0]
    assert asked.headers["User-Agent"] == got.headers["User-Agent"] == f"kit/{__version__}"
    key = base64.b64encode(b"ann:" + b"0" * 32).decode()
    assert asked.headers["Authorization"] == f"Basic {key}"
    assert "Authorization" not in got.headers


def test_a_call_is_repeated_after_failures_that_pass(
    server: Server, provider: KaggleProvider, naps: Naps
) -> None:
    server.add("toy")
    server.fault("GetCompetition", "status", status=503)
    server.fault("GetCompetition", "drop")
    server.fault("GetCompetition", "status", status=429, headers={"Retry-After": "7"})
    assert provider.describe().title == "Toy"
    first, second, third = naps.seconds
    assert 0.75 <= first <= 1.25
    assert 1.5 <= second <= 2.5
    assert third == 7


def test_repetitions_end(server: Server, provider: KaggleProvider, naps: Naps) -> None:
    server.add("toy")
    server.fault("GetCompetition", "status", status=503, times=99)
    with pytest.raises(ProviderError, match="HTTP 503"):
        provider.describe()
    assert len(server.calls("GetCompetition")) == 4
    assert len(naps.seconds) == 3


def test_a_long_wait_is_told_instead_of_waited_for(
    server: Server, provider: KaggleProvider, naps: Naps
) -> None:
    server.add("toy")
    server.fault("GetCompetition", "status", status=429, headers={"Retry-After": "1800"})
    with pytest.raises(RefusedError, match="in 30 min"):
        provider.describe()
    assert naps.seconds == []


def test_retry_after_may_be_a_date(server: Server, provider: KaggleProvider, naps: Naps) -> None:
    server.add("toy")
    date = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 30))
    server.fault("GetCompetition", "status", status=503, headers={"Retry-After": date})
    provider.describe()
    assert 20 < naps.seconds[0] <= 30


@pytest.mark.parametrize("kind", ["hang", "drop"])
def test_a_silent_server_ends_the_call(
    server: Server, provider: KaggleProvider, with_patience: Patient, kind: Any
) -> None:
    with_patience(answer=0.2, attempts=1)
    server.add("toy")
    server.fault("GetCompetition", kind, seconds=3)
    with pytest.raises(ProviderError, match="did not answer GetCompetition"):
        provider.describe()


def test_nobody_there_is_said(
    provider: KaggleProvider, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    import kagglesdk.kaggle_env as environment

    for each in environment.KaggleEnv:
        monkeypatch.setitem(environment._env_to_endpoint, each, "http://127.0.0.1:9")
    with pytest.raises(ProviderError, match="Kaggle cannot be reached") as caught:
        provider.describe()
    assert "0x" not in str(caught.value)


@pytest.mark.parametrize("status", [200, 502])
def test_a_web_page_is_no_answer(server: Server, provider: KaggleProvider, status: int) -> None:
    server.add("toy")
    server.fault("GetCompetition", "html", status=status, times=9)
    with pytest.raises(ProviderError) as caught:
        provider.describe()
    assert ("login page" if status == 200 else "HTTP 502") in str(caught.value)
    assert "<html>" not in str(caught.value)


def test_a_proxy_that_is_not_there_is_named(
    server: Server, provider: KaggleProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.add("toy")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY")
    with pytest.raises(ProviderError, match="HTTPS_PROXY"):
        provider.describe()


def test_a_proxy_is_used(
    server: Server, provider: KaggleProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.add("toy")
    for each in environment.KaggleEnv:
        monkeypatch.setitem(environment._env_to_endpoint, each, "http://localhost:1")
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, server.url)
    monkeypatch.delenv("NO_PROXY")
    assert provider.describe().title == "Toy"


def test_an_unknown_environment_is_one_sentence(
    server: Server, provider: KaggleProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAGGLE_API_ENVIRONMENT", "MARS")
    with pytest.raises(ProviderError, match="MARS"):
        provider.describe()


def test_an_unknown_status_does_not_take_the_list_with_it(
    server: Server, provider: KaggleProvider
) -> None:
    server.add("toy", polls=99)
    for status, public, error in (("SCORING_V2", "", ""), ("DONE", "0.5", ""), ("BAD", "", "why")):
        handed = server.hand_in("toy", "a.csv", b"1")
        handed.status, handed.public, handed.error = status, public, error
    told = [(s.status, s.public, s.error) for s in provider.submissions()]
    assert told == [("error", None, "why"), ("complete", 0.5, ""), ("pending", None, "")]


def test_all_pages_of_a_list_are_read(server: Server, provider: KaggleProvider) -> None:
    server.add("toy", polls=99)
    for number in range(450):
        server.hand_in("toy", f"{number}.csv", b"1")
    assert [s.file_name for s in provider.submissions()] == [f"{n}.csv" for n in range(449, -1, -1)]


def test_signed_addresses_and_secrets_are_not_told() -> None:
    address = "https://storage.googleapis.com/b/o.zip?X-Goog-Signature=5ec2e7&X-Goog-Date=1"
    failure = failure_of(requests.ReadTimeout(f"no answer from {address}"))
    other = failure_of(requests.exceptions.InvalidURL(f"bad: {address}"))
    for message in (str(explained(f, "x", "toy")) for f in (failure, other)):
        assert "5ec2e7" not in message


def test_control_characters_of_the_server_are_removed() -> None:
    body = {"error": {"message": "no\x1b[31m red\x07\r\nline\u202e"}}
    assert of_body(400, body, None).message == "no red line"


@pytest.mark.parametrize("document", [[], "x", {"error": 3}, {"error": {"details": 1}}, {}])
def test_a_strange_error_body_is_no_crash(document: Any) -> None:
    assert explained(of_body(400, document, None), "X", "toy")


@pytest.mark.parametrize(
    ("error", "how"),
    [
        (requests.exceptions.SSLError("self-signed certificate"), "setup"),
        (requests.exceptions.ProxyError("no proxy"), "setup"),
        (requests.exceptions.ConnectTimeout("slow"), "unreached"),
        (requests.exceptions.ReadTimeout("slow"), "lost"),
        (requests.exceptions.ConnectionError("reset"), "lost"),
        (requests.exceptions.ChunkedEncodingError("cut"), "lost"),
        (ValueError("no JSON"), "foreign"),
        (KeyError("SCORING_V2"), "foreign"),
    ],
)
def test_what_exceptions_of_the_network_mean(error: Exception, how: str) -> None:
    failure = failure_of(error)
    assert failure.how == how
    assert not isinstance(explained(failure, "CreateSubmission", "toy"), RefusedError), (
        "it is not known what the server did"
    )
    if how == "setup":
        assert "REQUESTS_CA_BUNDLE" in str(explained(failure, "X", "toy"))


def test_reset_is_midnight_utc() -> None:
    from datetime import UTC, datetime

    assert reset(datetime(2026, 1, 1, 19, 0, tzinfo=UTC)) == "at 00:00 UTC, in 5 h"
    assert reset(datetime(2026, 1, 1, 23, 30, tzinfo=UTC)) == "at 00:00 UTC, in 30 min"


# -- credentials that are refused


def test_a_stale_token_is_passed_over_and_told(server: Server, provider: KaggleProvider) -> None:
    folder = Path.home() / ".kaggle"
    folder.mkdir()
    (folder / "access_token").write_text("KGAT_stale\n")
    server.add("toy")
    assert provider.describe().title == "Toy"
    (note,) = provider.notes
    assert "~/.kaggle/access_token" in note
    assert "KAGGLE_USERNAME and KAGGLE_KEY" in note
    assert "KGAT_stale" not in note
    assert (folder / "access_token").read_text() == "KGAT_stale\n"


def test_when_all_are_refused_all_are_named(
    server: Server, provider: KaggleProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAGGLE_API_TOKEN", "KGAT_stale")
    monkeypatch.setenv("KAGGLE_KEY", "wrong")
    with pytest.raises(AuthError) as caught:
        provider.describe()
    assert "KAGGLE_API_TOKEN, KAGGLE_USERNAME and KAGGLE_KEY" in str(caught.value)
    assert "kaggle.com/settings" in str(caught.value)
    assert "wrong" not in str(caught.value)


def test_a_login_is_renewed_and_the_file_left_alone(
    server: Server, provider: KaggleProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KAGGLE_USERNAME")
    monkeypatch.delenv("KAGGLE_KEY")
    path = Path.home() / ".kaggle" / "credentials.json"
    path.parent.mkdir()
    login = {
        "refresh_token": "refresh_good",
        "access_token": "KGAT_old",
        "access_token_expiration": "2026-01-01T00:00:00+00:00",
        "username": "ann",
    }
    path.write_text(json.dumps(login))
    server.add("toy")
    assert provider.describe().title == "Toy"
    assert provider.client.account() == "ann"
    assert json.loads(path.read_text()) == login
    path.write_text(json.dumps({**login, "refresh_token": "refresh_bad"}))
    with pytest.raises(AuthError, match=r"credentials\.json"):
        Client("toy").call("competitions/GetCompetition", competition_name="toy")
    assert path.exists(), "a refused login is not deleted"


def test_no_credentials_ask_no_network(
    server: Server, provider: KaggleProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KAGGLE_KEY")
    with pytest.raises(AuthError, match="KAGGLE_USERNAME is set, KAGGLE_KEY is not"):
        provider.describe()
    assert server.requests == []


def test_the_account_of_a_token_is_asked_for(
    server: Server, monkeypatch: pytest.MonkeyPatch, patience: Patience
) -> None:
    monkeypatch.setenv("KAGGLE_API_TOKEN", "KGAT_good")
    assert Client("toy").account() == "ann"


# -- an answer of another shape


SHAPELESS = [
    # status, body, how it counts
    (200, b"null", "is not Kaggle's"),
    (200, b"[]", "is not Kaggle's"),
    (200, b'"text"', "is not Kaggle's"),
    (200, b"7", "is not Kaggle's"),
    (200, b'{"code": "UNAVAILABLE"}', "is not Kaggle's"),
    (503, b'{"code": "UNAVAILABLE"}', "HTTP 503"),
    (503, b'{"code": 503}', "HTTP 503"),
    (503, b"null", "HTTP 503"),
    (500, b"{", "HTTP 500"),
    (403, b'{"code": "DENIED", "message": "Not you"}', "Not you"),
]


def answers(server: Server, call: str, status: int, body: bytes, monkeypatch: Any) -> None:
    """Let one call be answered like that, always."""
    real = loopback_server._Answers._instead

    def instead(self: Any, fault: Any) -> bool:
        if fault.message != "shapeless":
            return bool(real(self, fault))
        self._send(status, body, "application/json")
        return True

    monkeypatch.setattr(loopback_server._Answers, "_instead", instead)
    server.fault(call, "do", message="shapeless", times=99)


@pytest.mark.parametrize(("status", "body", "told"), SHAPELESS)
def test_an_answer_of_another_shape_is_a_failure_not_a_bug(
    server: Server, provider: KaggleProvider, monkeypatch: pytest.MonkeyPatch,
    status: int, body: bytes, told: str,
) -> None:  # fmt: skip
    server.add("toy")
    answers(server, "GetCompetition", status, body, monkeypatch)
    with pytest.raises(ProviderError, match=told):
        provider.describe()


@pytest.mark.parametrize(("status", "body", "told"), SHAPELESS[:-1])
def test_a_submission_whose_answer_has_another_shape_is_looked_for(
    server: Server, provider: KaggleProvider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    status: int, body: bytes, told: str,
) -> None:  # fmt: skip
    server.add("toy")
    answers(server, "CreateSubmission", status, body, monkeypatch)
    file = tmp_path / "a.csv"
    file.write_bytes(b"id,y\n")
    with pytest.raises(ProviderError, match="not in Kaggle's list") as caught:
        provider.submit(file, "")
    assert not isinstance(caught.value, RefusedError)
    assert len(server.calls("CreateSubmission")) == 1


@pytest.mark.parametrize("place", ["call", "upload"])
def test_certificates_that_are_not_there_are_named(
    server: Server, provider: KaggleProvider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    place: str,
) -> None:  # fmt: skip
    server.add("toy")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "none.pem"))
    secure = server.url.replace("http:", "https:")
    if place == "call":
        for each in environment.KaggleEnv:
            monkeypatch.setitem(environment._env_to_endpoint, each, secure)
    else:
        server.upload_address = f"{secure}/upload/o"
    file = tmp_path / "a.csv"
    file.write_bytes(b"id,y\n")
    with pytest.raises(ProviderError, match=r"cannot be set up.*CA certificate") as caught:
        provider.submit(file, "")
    assert "REQUESTS_CA_BUNDLE" in str(caught.value)
    assert caught.value.exit_code == 3
    assert server.submissions == []


def test_a_certificate_that_is_not_trusted_is_named(
    server: Server, provider: KaggleProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    for each in environment.KaggleEnv:  # http where TLS is expected
        monkeypatch.setitem(
            environment._env_to_endpoint, each, server.url.replace("http:", "https:")
        )
    with pytest.raises(ProviderError, match=r"cannot be set up.*\n.*REQUESTS_CA_BUNDLE"):
        provider.describe()
