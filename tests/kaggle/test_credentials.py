"""Credentials: the official order, nothing shown, nothing written; what `kit doctor` says."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from loopback_server import Server

from kit.errors import AuthError
from kit.providers.kaggle.credentials import search
from kit.providers.kaggle.doctor import credential_facts

RunKit = Any


def write(name: str, content: str | dict[str, str], mode: int = 0o600) -> Path:
    path = Path.home() / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    path.chmod(mode)
    return path


def login(hours: float, **more: str) -> dict[str, str]:
    until = datetime.now(UTC) + timedelta(hours=hours)
    return {
        "refresh_token": "refresh_good",
        "access_token": "KGAT_login",
        "access_token_expiration": until.isoformat(),
        "username": "ann",
        **more,
    }


def everything(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KAGGLE_KERNEL_RUN_TYPE", "Batch")
    monkeypatch.setenv("KAGGLE_DATA_PROXY_URL", "http://localhost")
    notebook = tmp_path / "token"
    notebook.write_text("notebook-secret")
    monkeypatch.setenv("KAGGLE_API_V1_TOKEN", str(notebook))
    monkeypatch.setenv("KAGGLE_API_TOKEN", "variable-secret")
    write(".kaggle/access_token", "file-secret\n")
    write(".kaggle/access_token.txt", "text-secret")
    monkeypatch.setenv("KAGGLE_USERNAME", "ann")
    monkeypatch.setenv("KAGGLE_KEY", "key-secret")
    write(".kaggle/kaggle.json", {"username": "ann", "key": "json-secret"})
    write(".kaggle/credentials.json", login(1))


def test_the_order_is_the_official_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    everything(monkeypatch, tmp_path)
    assert [credential.source for credential in search().found] == [
        "KAGGLE_API_V1_TOKEN",
        "KAGGLE_API_TOKEN",
        "~/.kaggle/access_token",
        "~/.kaggle/access_token.txt",
        "KAGGLE_USERNAME and KAGGLE_KEY",
        "~/.kaggle/kaggle.json",
        "~/.kaggle/credentials.json",
        "~/.kaggle/credentials.json",
    ]


def test_nothing_shows_a_secret(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    everything(monkeypatch, tmp_path)
    found = search()
    secrets = {credential.secret or credential.refresh for credential in found.found}
    assert secrets >= {"file-secret", "json-secret", "refresh_good"}
    assert [secret for secret in secrets if secret in repr(found)] == []


def test_the_official_client_takes_the_same_token_first(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from kagglesdk.kaggle_env import get_access_token_from_env

    everything(monkeypatch, tmp_path)
    for name in ("KAGGLE_API_V1_TOKEN", "KAGGLE_API_TOKEN", ".kaggle/access_token", ".txt"):
        official, _ = get_access_token_from_env()
        assert search().found[0].secret == official
        if name.startswith("KAGGLE"):
            monkeypatch.delenv(name)
        else:
            (Path.home() / ".kaggle/access_token").unlink(missing_ok=True)


def test_the_variable_may_name_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret")
    monkeypatch.setenv("KAGGLE_API_TOKEN", str(tmp_path / "token"))
    (credential,) = search().found
    assert (credential.kind, credential.secret) == ("token", "secret")


def test_the_config_folder_moves_the_key_only(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write(".kaggle/kaggle.json", {"username": "home", "key": "x"})
    write(".kaggle/access_token", "token")
    (tmp_path / "kaggle.json").write_text('{"username": "moved", "key": "x"}')
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(tmp_path))
    assert [(c.kind, c.user) for c in search().found] == [("token", ""), ("key", "moved")]


def test_an_access_token_that_has_expired_is_renewed_not_used() -> None:
    write(".kaggle/credentials.json", login(-0.1))
    assert [c.kind for c in search().found] == ["login"]
    write(".kaggle/credentials.json", login(1))
    assert [c.kind for c in search().found] == ["token", "login"]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        (".kaggle/kaggle.json", "{", "is not JSON"),
        (".kaggle/kaggle.json", "[1]", "is not a JSON object"),
        (".kaggle/kaggle.json", '{"username": "a"}', 'lacks "username" or "key"'),
        (".kaggle/access_token", "", "is empty"),
        (".kaggle/access_token", "two words", "does not hold one token"),
        (".kaggle/credentials.json", "{}", "holds no token"),
    ],
)
def test_a_file_that_is_of_no_use_is_told(name: str, content: str, told: str) -> None:
    write(name, content)
    found = search()
    assert found.found == ()
    assert found.problems == (f"~/{name} {found.problems[0].split(' ', 1)[1]}",)
    with pytest.raises(AuthError) as caught:
        found.first()
    assert told in str(caught.value)
    assert "--from PATH" in str(caught.value)


# -- kit doctor


def told() -> dict[str, str]:
    return {fact.value: fact.problem for fact in credential_facts()}


def test_doctor_asks_nobody_without_credentials(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KAGGLE_USERNAME")
    monkeypatch.delenv("KAGGLE_KEY")
    (fact,) = credential_facts()
    assert fact.value.startswith("none")
    assert server.requests == []


def test_doctor_points_out_a_stale_token_that_shadows_a_good_key(server: Server) -> None:
    write(".kaggle/access_token", "KGAT_stale")
    found = told()
    assert "comes before KAGGLE_USERNAME and KAGGLE_KEY" in found["~/.kaggle/access_token"]
    assert found["KAGGLE_USERNAME and KAGGLE_KEY, used"] == ""
    assert "KGAT_stale" not in str(found)


def test_doctor_names_what_is_used(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAGGLE_API_TOKEN", "KGAT_good")
    assert list(told()) == ["KAGGLE_API_TOKEN, used", "KAGGLE_USERNAME and KAGGLE_KEY"]


def test_doctor_renews_a_login_without_writing(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KAGGLE_USERNAME")
    monkeypatch.delenv("KAGGLE_KEY")
    path = write(".kaggle/credentials.json", login(-1))
    before = path.read_bytes()
    assert told() == {"~/.kaggle/credentials.json, used": ""}
    assert path.read_bytes() == before


def test_doctor_finds_files_that_others_can_read(server: Server) -> None:
    write(".kaggle/kaggle.json", {"username": "ann", "key": "0" * 32}, mode=0o644)
    assert "others can read the file: chmod 600" in told()["~/.kaggle/kaggle.json"]


def test_doctor_says_what_only_the_kaggle_command_uses(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAGGLE_TOKEN", "x")
    assert "KAGGLE_TOKEN is set" in str(told())


def test_doctor_does_not_wait_for_a_kaggle_that_is_away(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.fault("ListCompetitions", "status", status=503, times=9)
    assert "not tried: Kaggle failed" in told()["KAGGLE_USERNAME and KAGGLE_KEY"]
    assert len(server.calls("ListCompetitions")) == 1


def test_doctor_on_the_command_line(server: Server, run_kit: RunKit) -> None:
    write(".kaggle/access_token", "KGAT_stale")
    done = run_kit("doctor", "--json")
    facts = [f for f in json.loads(done.out) if f["name"] == "kaggle credentials"]
    assert [f["value"] for f in facts] == [
        "~/.kaggle/access_token",
        "KAGGLE_USERNAME and KAGGLE_KEY, used",
    ]
    assert "KGAT_stale" not in done.out + done.err


# -- tokens that cannot be sent

UNSENDABLE = ["KGAT_one\nKGAT_two", "KGAT_ü", "KGAT one", "KGAT_\x07"]


@pytest.mark.parametrize("token", UNSENDABLE)
@pytest.mark.parametrize("place", ["variable", "file", "login"])
def test_a_token_that_cannot_be_sent_is_passed_over(
    server: Server, monkeypatch: pytest.MonkeyPatch, token: str, place: str
) -> None:
    if place == "variable":
        monkeypatch.setenv("KAGGLE_API_TOKEN", token)
    elif place == "file":
        write(".kaggle/access_token", token)
    else:
        write(".kaggle/credentials.json", login(5, access_token=token, refresh_token=""))
    found = search()
    assert [credential.kind for credential in found.found] == ["key"]
    assert "does not hold one token" in " ".join(found.problems)
    assert token not in " ".join(found.problems)


@pytest.mark.parametrize("token", UNSENDABLE)
def test_the_good_key_behind_it_is_used_and_that_is_said(
    server: Server, run_kit: RunKit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    monkeypatch.setenv("KAGGLE_API_TOKEN", token)
    monkeypatch.chdir(tmp_path)
    competition(tmp_path / "toy")
    server.add("toy", board=[("Alpha", 0.9)])
    done = run_kit("leaderboard", "-C", "toy")
    assert done.code == 0, done.err
    assert "Alpha" in done.out
    assert "KAGGLE_API_TOKEN does not hold one token" in done.err
    assert "passed over" in done.err
    assert "KGAT" not in done.out + done.err


# -- a credential that is passed over is told by every command, also by one that fails


def competition(root: Path) -> None:
    """A folder that asks Kaggle and needs no files."""
    (root / "data" / "raw").mkdir(parents=True)
    (root / "kit.toml").write_text(
        'schema = 1\ncompetition = {slug = "toy"}\nprovider = {name = "kaggle"}\n'
        'columns = {id = "id", target = "y"}\n'
        'task = {type = "binary", metric = "roc_auc", classes = ["0", "1"]}\n'
        'submission = {wants = "probability", columns = ["y"]}\n'
        'cv = {splitter = "stratified_kfold", n_splits = 3, models = ["linear"]}\n'
    )
    (root / "data" / "raw" / "sample_submission.csv").write_text("id,y\n1,0.5\n")
    (root / "answer.csv").write_text("id,y\n1,0.5\n")


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("command", ["leaderboard", "ledger", "submit"])
def test_a_stale_token_is_told_by_every_command(
    server: Server, run_kit: RunKit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    command: str, fails: bool,
) -> None:  # fmt: skip
    write(".kaggle/access_token", "KGAT_stale")
    monkeypatch.chdir(tmp_path)
    competition(tmp_path / "toy")
    server.add("toy", board=[("Alpha", 0.9)])
    if fails:
        for call in ("GetLeaderboard", "DownloadLeaderboard", "GetSubmissionLimits"):
            server.fault(call, "status", status=403, message="no", times=9)
    more = ["--file", "toy/answer.csv"] if command == "submit" else []
    done = run_kit(command, "-C", "toy", *more)
    told = "Kaggle refuses the credentials of ~/.kaggle/access_token"
    assert told in done.err, done
    assert done.code == (3 if command == "submit" or (fails and command != "ledger") else 0)
    assert server.submissions == []


def test_the_board_is_shown_to_who_does_not_take_part(
    server: Server, run_kit: RunKit, tmp_path: Path
) -> None:
    competition(tmp_path / "toy")
    server.add("toy", board=[("Alpha", 0.9), ("Beta", 0.8)], entered=False)
    done = run_kit("leaderboard", "-C", tmp_path / "toy")
    assert (done.code, "Alpha" in done.out) == (0, True), done.err
    assert "We are not among the lines" in done.out


def test_a_board_without_credentials_is_not_taken_for_one_without_us(
    server: Server, run_kit: RunKit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    competition(tmp_path / "toy")
    server.add("toy", board=[("Alpha", 0.9)])
    monkeypatch.setenv("KAGGLE_KEY", "wrong")
    done = run_kit("leaderboard", "-C", tmp_path / "toy")
    assert (done.code, "Kaggle refuses the credentials" in done.err) == (3, True)
