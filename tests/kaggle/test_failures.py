"""Every known failure of Kaggle, and what a command makes of it: one row each.

A row says what breaks, what kit says, its exit code, which files are there afterwards that were
not there before, and how many submissions there are. Then all is well again and the same command
is run once more: the data must be whole, and there must never be a second submission.
"""

from __future__ import annotations

import errno
import io
import json
import os
import shutil
import socket
import ssl
import threading
import zipfile
from collections import namedtuple
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import kagglesdk.kaggle_env as environment
import pandas as pd
import pytest
from loopback_server import NOWHERE, Kind, Server
from loopback_types import Naps, Patient

import kit.cli.submit
from kit.providers.kaggle import download

RunKit = Any
FILES = {
    "train.csv": b"id,x,y\n" + b"".join(b"%d,%d,%d\n" % (n, n % 7, n % 2) for n in range(500)),
    "test.csv": b"id,x\n" + b"".join(b"%d,%d\n" % (n, n % 7) for n in range(500, 600)),
    "sample_submission.csv": b"id,y\n" + b"".join(b"%d,0.5\n" % n for n in range(500, 600)),
    "images/train/a.txt": b"a",
    "images/test/a.txt": b"another a",
}
ANSWER = FILES["sample_submission.csv"]
ARCHIVE = "competitions/toy/bundle/archive.zip"
KEY = "5" * 32
PART = (".toy.download/archive.zip.part", ".toy.download/archive.zip.part.json")
LOCK = (".toy.download/.lock", ".toy.download/.gitignore")
RECEIPT = ("toy/submissions/answer*.json", "toy/submissions/.lock")


@dataclass
class World:
    """What a row may break."""

    server: Server
    patch: pytest.MonkeyPatch
    no_tls: str

    def heal(self) -> None:
        """All is well: the competition, the account, the way there."""
        server = self.server
        server.faults.clear()
        server.accounts["ann"] = KEY
        server.unknown_status = 404
        server.checksums = ("crc32c", "md5")
        server.competitions.clear()
        server.storage.clear()
        vars(server).pop("CreateSubmission", None)
        server.add("toy", files=dict(FILES), scorer=lambda content: (0.7, 0.6), polls=0)
        self.lead_to(server.url)
        self.patch.setattr(download, "_pieces", PIECES)
        self.patch.setattr(shutil, "disk_usage", DISK_USAGE)

    def lead_to(self, url: str) -> None:
        for each in environment.KaggleEnv:
            self.patch.setitem(environment._env_to_endpoint, each, url)


PIECES, DISK_USAGE = download._pieces, shutil.disk_usage
Break = Callable[[World], Any]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One failure: see the top. `once_more`: exit code of the same command when it is over."""

    breaks: Break
    told: str
    code: int = 3
    left: tuple[str, ...] = ()
    made: int = 0
    once_more: int = 0
    in_all: int = 1
    names: tuple[str, ...] = ("train.csv",)


def fails(call: str, kind: Kind, **how: Any) -> Break:
    return lambda world: world.server.fault(call, kind, **{"times": 99, **how})


def refuses(
    call: str, status: int, message: str = "", *, times: int = 99, after: str = ""
) -> Break:
    headers = {"Retry-After": after} if after else {}
    return fails(call, "status", status=status, message=message, times=times, headers=headers)


def both(*breaks: Break) -> Break:
    return lambda world: [each(world) for each in breaks]


def has(**facts: Any) -> Break:
    """The competition is so."""
    return lambda world: vars(world.server.competitions["toy"]).update(facts)


def another_key(world: World) -> None:
    world.server.accounts["ann"] = "7" * 32


def unknown(status: int) -> Break:
    def gone(world: World) -> None:
        world.server.competitions.clear()
        world.server.unknown_status = status

    return gone


def changes(world: World) -> None:
    """The archive is another one when the rest of it is asked for."""
    new = {**FILES, "train.csv": FILES["train.csv"] + b"9999,1,1\n"}
    competition = world.server.competitions["toy"]

    def change() -> None:
        competition.files.update(new)
        world.server.DownloadDataFiles({"competitionName": "toy"}, "ann")

    world.server.fault("GET", "cut", after=1_000)
    world.server.fault("GET", "do", action=change)


def fills_up(world: World) -> None:
    def full(response: Any) -> Any:
        for piece in PIECES(response):
            yield piece[:500]
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    world.patch.setattr(download, "_pieces", full)


def member(name: str, content: bytes = b"x", *, mode: int = 0o100644) -> Break:
    """The archive holds this besides the files."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for known, its in FILES.items():
            archive.writestr(known, its)
        info = zipfile.ZipInfo(name)
        info.external_attr, info.compress_type = mode << 16, zipfile.ZIP_DEFLATED
        archive.writestr(info, content)
    return has(archive=out.getvalue())


@contextmanager
def no_common_cipher() -> Iterator[str]:
    """A server with which no TLS handshake succeeds: it has no certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                client = listener.accept()[0]
            except OSError:
                return
            try:
                context.wrap_socket(client, server_side=True).close()
            except OSError:
                client.close()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"https://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.close()


def unheard_of(world: World) -> None:
    """A status that no SDK knows."""
    handed = world.server.hand_in("toy", "x.csv", b"x", "by hand")
    handed.status = "SCORING_V2"


FULL = namedtuple("usage", "total used free")(99, 89, 10)
NOT = "Submission not allowed:  "
ALLOWANCE = f"{NOT}Your team has used its daily Submission allowance (5) today, please try again."
UNSURE = "not in Kaggle's list"
NONE_SENT = "Nothing was handed in"
LATE = datetime.now(UTC) - timedelta(days=1)


def at(call: str) -> dict[str, Row]:
    """What may happen to any command; `call` is the first one it makes."""
    return {
        "TLS handshake fails": Row(
            breaks=lambda world: world.lead_to(world.no_tls),
            told="the connection to Kaggle cannot be set up: ",
        ),
        "401": Row(breaks=another_key, told="refuses the credentials of KAGGLE_USERNAME"),
        "403 and no such competition": Row(breaks=unknown(403), told="knows no competition 'toy'"),
        "404": Row(breaks=unknown(404), told="knows no competition 'toy'"),
        "429": Row(breaks=refuses(call, 429), told="slow down (too many requests)"),
        "429 with Retry-After of an hour": Row(
            breaks=refuses(call, 429, "Quota exceeded", after="3600"), told="in 60 min"
        ),
        "500": Row(breaks=refuses(call, 500), told=f"failed to answer {call} (HTTP 500"),
        "503": Row(breaks=refuses(call, 503), told=f"failed to answer {call} (HTTP 503"),
        "web page with 502": Row(breaks=fails(call, "html", status=502), told="(HTTP 502"),
        "web page with 200": Row(
            breaks=fails(call, "html", status=200), told=f"the answer to {call} is not Kaggle's"
        ),
        "reset": Row(breaks=fails(call, "drop"), told=f"Kaggle did not answer {call}"),
        "nobody there": Row(breaks=lambda world: world.lead_to(NOWHERE), told="cannot be reached"),
        "silence": Row(breaks=fails(call, "hang", seconds=1.0), told="timed out"),
    }


DATA = {
    **at("DownloadDataFiles"),
    "web page with 200": Row(
        breaks=fails("DownloadDataFiles", "html", status=200), told="names no address"
    ),
    "403 rules": Row(breaks=has(rules_accepted=False), told="/competitions/toy/rules"),
    "429 for a while, without Retry-After": Row(
        breaks=refuses("DownloadDataFiles", 429, times=2), told="", code=0
    ),
    "429 for a while, with Retry-After": Row(
        breaks=refuses("DownloadDataFiles", 429, times=2, after="7"), told="", code=0
    ),
    "cut, and goes on": Row(breaks=fails("GET", "cut", after=500, times=1), told="", code=0),
    "cut for ever": Row(
        breaks=both(fails("GET", "cut", after=500, times=1), fails("GET", "cut")),
        told="500 bytes are kept; the same command goes on from there", left=(*PART, *LOCK),
    ),
    "403 while resuming": Row(
        breaks=both(fails("GET", "cut", after=500, times=1), refuses("GET", 403)),
        told="500 bytes are kept", left=(*PART, *LOCK),
    ),
    "503 while resuming": Row(
        breaks=both(fails("GET", "cut", after=500, times=1), refuses("GET", 503)),
        told="500 bytes are kept", left=(*PART, *LOCK),
    ),
    "silence in the middle": Row(
        breaks=both(fails("GET", "cut", after=500, times=1), fails("GET", "hang", seconds=1.0)),
        told="timed out", left=(*PART, *LOCK),
    ),
    "changed between two parts": Row(breaks=changes, told="", code=0),
    "wrong bytes, right length": Row(
        breaks=fails("GET", "corrupt"), told="arrived damaged 2 times: the MD5 is"
    ),
    "web page instead of the archive": Row(
        breaks=fails("GET", "html", status=200), told="a web page came instead of toy.zip"
    ),
    "not a zip": Row(breaks=has(archive=b"no zip"), told="toy.zip is no zip"),
    "zip-slip": Row(breaks=member("../pwn.csv"), told="nothing was unpacked"),
    "absolute path": Row(breaks=member("/tmp/pwn.csv"), told="nothing was unpacked"),
    "link": Row(breaks=member("l", b"/etc/passwd", mode=0o120777), told="is a link or a device"),
    "bomb": Row(breaks=member("b.csv", bytes(17 << 20)), told="claims to unpack to 17,825,792"),
    "one name on some disks": Row(breaks=member("TRAIN.csv"), told="would become one file"),
    "disk without room": Row(
        breaks=lambda world: world.patch.setattr(shutil, "disk_usage", lambda path: FULL),
        told="only 10 are free", code=1,
    ),
    "disk that fills up": Row(
        breaks=fills_up, told="the disk is full", code=1, left=(*PART, *LOCK)
    ),
}  # fmt: skip

ONE_FILE = {
    "429 on the list": Row(breaks=refuses("ListDataTreeFiles", 429), told="slow down"),
    "no such file": Row(breaks=has(files={"x.csv": b"x"}), told="no file or folder 'train.csv'"),
    "packed by the server": Row(breaks=has(packed=("train.csv",)), told="", code=0),
    "packed, and wrong bytes": Row(
        breaks=both(has(packed=("train.csv",)), fails("GET", "corrupt")), told="damaged 2 times"
    ),
    "same name in two folders": Row(breaks=has(), told="", code=0, names=("images",)),
}

SUBMIT = {
    **at("GetSubmissionLimits"),
    "no part in it": Row(breaks=has(entered=False), told="Join"),
    "429 at the upload": Row(breaks=refuses("StartSubmissionUpload", 429), told="slow down"),
    "429 at the submission": Row(breaks=refuses("CreateSubmission", 429), told="slow down"),
    "PUT 403": Row(breaks=refuses("PUT", 403), told=NONE_SENT),
    "PUT 404": Row(breaks=refuses("PUT", 404), told=NONE_SENT),
    "PUT 503": Row(breaks=refuses("PUT", 503), told=NONE_SENT),
    "PUT cut, and goes on": Row(
        breaks=fails("PUT", "cut", after=500, times=1), told="", code=0, made=1, once_more=1
    ),
    "PUT cut for ever": Row(breaks=fails("PUT", "cut"), told=NONE_SENT),
    "PUT, silence": Row(breaks=fails("PUT", "hang", seconds=1.0), told=NONE_SENT),
    "PUT, answer lost": Row(
        breaks=fails("PUT", "lost", times=1), told="", code=0, made=1, once_more=1
    ),
    "none left today": Row(breaks=has(daily=0), told="no submission is left today"),
    "none left, found out late": Row(
        breaks=refuses("CreateSubmission", 400, ALLOWANCE), told="possible at 00:00 UTC, in "
    ),
    "notebooks only": Row(breaks=has(notebooks_only=True), told="`kit export RUN --to kaggle`"),
    "notebooks only, found out late": Row(
        breaks=refuses("CreateSubmission", 400, f"{NOT}This competition only accepts Submissions "
                       "from Notebooks."), told="`kit export RUN --to kaggle`",
    ),
    "wrong file name": Row(breaks=has(file_name="x.csv"), told='Set provider.file = "x.csv"'),
    "disabled": Row(breaks=has(disabled=True), told="takes no submissions"),
    "deadline over": Row(
        breaks=refuses("CreateSubmission", 400, f"{NOT}The deadline has passed."),
        told="the deadline of toy is over",
    ),
    "reason nobody knows": Row(
        breaks=refuses("CreateSubmission", 400, f"{NOT}Moon in the wrong house."),
        told="Moon in the wrong house",
    ),
    "answer lost": Row(
        breaks=fails("CreateSubmission", "lost"), told="", code=0, made=1, once_more=1
    ),
    "answer lost, list away": Row(
        breaks=lambda world: world.server.fault(
            "CreateSubmission", "lost", action=lambda: refuses("ListSubmissions", 503)(world)),
        told="is not known", left=RECEIPT, made=1, once_more=1,
    ),
    "reset at the submission": Row(
        breaks=fails("CreateSubmission", "drop"), told=UNSURE, left=RECEIPT, once_more=1, in_all=0
    ),
    "silence at the submission": Row(
        breaks=fails("CreateSubmission", "hang", seconds=1.0), told=UNSURE, left=RECEIPT,
        once_more=1, in_all=0,
    ),
    "web page at the submission": Row(
        breaks=fails("CreateSubmission", "html", status=200), told=UNSURE, left=RECEIPT,
        once_more=1, in_all=0,
    ),
    "503 at the submission": Row(
        breaks=refuses("CreateSubmission", 503), told=UNSURE, left=RECEIPT, once_more=1, in_all=0
    ),
    "no reference in the answer": Row(
        breaks=lambda world: vars(world.server).update(CreateSubmission=lambda *_: {"ref": 0}),
        told=UNSURE, left=RECEIPT, once_more=1, in_all=0,
    ),
    "scored with an error": Row(
        breaks=has(scorer=lambda content: float("Evaluation Exception")),
        told="Evaluation Exception", left=RECEIPT, made=1, in_all=2,  # it does not count: may go
    ),
    "late": Row(breaks=has(deadline=LATE), told="late", code=0, made=1, once_more=1),
    "status nobody knows": Row(breaks=unheard_of, told="", code=0, made=2, once_more=1, in_all=2),
}  # fmt: skip


LEADERBOARD = {
    **at("DownloadLeaderboard"),
    "web page with 200": Row(  # the pages of the board are read instead
        breaks=fails("DownloadLeaderboard", "html", status=200), told="", code=0
    ),
}
NEW = {
    **at("GetCompetition"),
    "403 rules": DATA["403 rules"],
    "cut for ever": DATA["cut for ever"],
    "wrong bytes, right length": DATA["wrong bytes, right length"],
    "not a zip": DATA["not a zip"],
    "zip-slip": DATA["zip-slip"],
    "disk that fills up": DATA["disk that fills up"],
}


@pytest.fixture
def world(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, with_patience: Patient
) -> Iterator[World]:
    """All is well; the working directory is empty, nobody is waited for for long."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(kit.cli.submit, "_POLLS", (0.01, 0.02))
    monkeypatch.setenv("KAGGLE_KEY", KEY)
    with_patience(answer=0.3, transfer=0.3, attempts=3)
    with no_common_cipher() as address:
        world = World(server, monkeypatch, address)
        world.heal()
        yield world


@pytest.fixture
def folder(world: World, make_competition: Any) -> Path:
    """The competition's folder, and a file to hand in."""
    read = {name: pd.read_csv(io.BytesIO(FILES[f"{name}.csv"])) for name in ("train", "test")}
    sample = pd.read_csv(io.BytesIO(ANSWER))
    made = make_competition(
        read["train"], read["test"], name="toy", sample=sample, provider={"name": "kaggle"}
    )
    Path("answer.csv").write_bytes(ANSWER)
    return Path(made.root)


def there() -> dict[str, bytes]:
    files = (path for path in Path().rglob("*") if path.is_file())
    return {path.as_posix(): path.read_bytes() for path in files}


def play(row: Row, world: World, run_kit: RunKit, *command: str) -> None:
    """Break it, run the command, look; then heal it and run the command once more."""
    before = there()
    row.breaks(world)
    done = run_kit(*command)
    assert (done.code, row.told in done.out + done.err) == (row.code, True), done.err
    check_words(done)
    after = there()
    if row.code:
        assert done.out == "" or row.made, "what failed has no result"
        new = {name for name in after if name not in before} - {"toy/submissions/.lock"}
        assert all(any(fnmatch(name, one) for one in row.left) for name in new), new
        assert all(any(fnmatch(name, one) for name in after) for one in row.left), row.left
        assert {name: after.get(name) for name in before} == before
    assert len(world.server.submissions) == row.made
    world.heal()
    done = run_kit(*command)
    assert done.code == row.once_more, done.err
    check_words(done)


def check_words(done: Any) -> None:
    for word in ("Traceback", "bug in kit", KEY, "X-Goog-Signature", "object at 0x"):
        assert word not in done.out + done.err


def rows(table: dict[str, Row]) -> Any:
    return pytest.mark.parametrize("row", table.values(), ids=list(table))


@rows(NEW)
def test_new(row: Row, world: World, run_kit: RunKit) -> None:
    play(row, world, run_kit, "new", "toy")
    raw = Path("toy/data/raw")
    assert {name: (raw / name).read_bytes() for name in FILES} == FILES
    assert sorted(path.name for path in Path().iterdir()) == ["toy"]


@rows(DATA)
def test_data(row: Row, world: World, folder: Path, run_kit: RunKit) -> None:
    shutil.rmtree(folder / "data")
    play(row, world, run_kit, "data", "-C", "toy")
    raw = folder / "data" / "raw"
    assert {name: (raw / name).read_bytes() for name in FILES if name != "train.csv"} == {
        name: content for name, content in FILES.items() if name != "train.csv"
    }
    assert (raw / "train.csv").read_bytes().startswith(FILES["train.csv"])
    assert not Path(".toy.download").exists()


@rows(ONE_FILE)
def test_data_of_one_name(row: Row, world: World, folder: Path, run_kit: RunKit) -> None:
    shutil.rmtree(folder / "data")
    play(row, world, run_kit, "data", *row.names, "-C", "toy")
    names = [name for name in FILES if name.startswith(row.names)]
    raw = folder / "data" / "raw"
    assert {name: (raw / name).read_bytes() for name in names} == {n: FILES[n] for n in names}
    assert not Path(".toy.download").exists()


@rows(SUBMIT)
def test_submit(row: Row, world: World, folder: Path, run_kit: RunKit) -> None:
    play(row, world, run_kit, "submit", "--file", "answer.csv", "-C", "toy")
    assert len(world.server.submissions) == row.in_all
    assert Path("answer.csv").read_bytes() == ANSWER


@rows(LEADERBOARD)
def test_leaderboard(row: Row, world: World, folder: Path, run_kit: RunKit) -> None:
    play(row, world, run_kit, "leaderboard", "-C", "toy")


def test_a_file_that_is_not_there_asks_nobody(world: World, folder: Path, run_kit: RunKit) -> None:
    done = run_kit("submit", "--file", "nothing.csv", "-C", "toy")
    assert (done.code, "nothing.csv" in done.err) == (1, True), done.err
    check_words(done)
    assert world.server.requests == []


def test_a_server_that_says_how_long_to_wait_is_waited_for(
    world: World, folder: Path, run_kit: RunKit, naps: Naps
) -> None:
    refuses("GetSubmissionLimits", 429, times=2, after="7")(world)
    assert run_kit("submit", "--file", "answer.csv", "-C", "toy").code == 0
    assert naps.seconds[:2] == [7.0, 7.0]


@pytest.mark.parametrize("command", ["data", "ledger", "leaderboard", "submit"])
def test_nothing_of_the_client_s_chatter_is_on_stdout(
    world: World, folder: Path, run_kit: RunKit, command: str
) -> None:
    """A newer client, a key that others can read, a default competition: all print there."""
    world.server.newest_client = "9.9.9"
    world.patch.setenv("KAGGLE_COMPETITION", "other")
    world.patch.delenv("KAGGLE_USERNAME")
    world.patch.delenv("KAGGLE_KEY")
    key = Path.home() / ".kaggle" / "kaggle.json"
    key.parent.mkdir()
    key.write_text(json.dumps({"username": "ann", "key": KEY}))
    key.chmod(0o644)
    more = ["--file", "answer.csv"] if command == "submit" else []
    done = run_kit(command, *more, "--json", "-C", "toy")
    assert done.code == 0, done.err
    json.loads(done.out)
