"""Text that is meant to do harm: what cannot be written, parsed in time, or shown as it reads."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from typing import Any

import pytest
from loopback_answers import Zip
from loopback_server import Server
from loopback_world import zipped

from kit.errors import ProviderError
from kit.providers.kaggle import KaggleProvider
from kit.providers.kaggle.pages import _Text, closed_tags, plain
from kit.providers.kaggle.text import line, lines, redacted

RunKit = Any
FILES = {
    "train.csv": b"id,x,y\n" + b"".join(b"%d,%d,%d\n" % (n, n % 7, n % 2) for n in range(200)),
    "test.csv": b"id,x\n" + b"".join(b"%d,%d\n" % (n, n % 7) for n in range(200, 300)),
    "sample_submission.csv": b"id,y\n" + b"".join(b"%d,0.5\n" % n for n in range(200, 300)),
}
HEADER = "Rank,TeamId,TeamName,LastSubmissionDate,Score,SubmissionCount,TeamMemberUserNames\n"


@pytest.fixture
def toy(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    """The competition "toy"; the working directory is empty."""
    server.add("toy", files=dict(FILES), board=[("Alpha", 0.9), ("Us", 0.8)])
    monkeypatch.chdir(tmp_path)
    return server


def test_half_a_character_in_title_and_page_costs_nothing(toy: Server, run_kit: RunKit) -> None:
    """JSON can carry half of a surrogate pair, which no file in UTF-8 can."""
    toy.competitions["toy"].facts = {"title": "To\ud800y", "reward": "\udfff$1"}
    toy.competitions["toy"].pages = {"Evaluation": "<p>good \ud83d text</p>"}
    done = run_kit("new", "toy")
    assert done.code == 0, done.err
    assert "# Toy" in Path("toy/COMPETITION.md").read_text(encoding="utf-8")
    assert "good text" in " ".join(Path("toy/COMPETITION.md").read_text(encoding="utf-8").split())


def test_text_can_always_be_written() -> None:
    for clean in (line, lines, redacted, plain):
        assert clean("a\ud800b\udfffc").encode() == b"abc"


def encrypted() -> bytes:
    """A zip that says of its member that it is encrypted."""
    content = bytearray(zipped({"board.csv": HEADER.encode() + b"1,1,Alpha,,0.9,3,x\n"}))
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    return bytes(content)


@pytest.mark.parametrize(
    "content",
    [
        encrypted(),
        zipped({"board.csv": f"{HEADER}1,1,{'A' * 200_000},,0.9,3,x\n".encode()}),
        b"PK no zip",
        zipped({"board.txt": b"1"}),
    ],
)
def test_a_table_that_cannot_be_read_is_no_bug(
    toy: Server, run_kit: RunKit, content: bytes
) -> None:
    assert run_kit("new", "toy").code == 0
    toy.DownloadLeaderboard = lambda body, user: Zip("x", content)  # type: ignore[method-assign]
    done = run_kit("leaderboard", "-C", "toy")
    assert done.code == 0, done.err
    assert "Alpha" in done.out, "the pages of the board are read instead"
    assert toy.calls("GetLeaderboard")


def test_the_encrypted_table_is_one(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    path.write_bytes(encrypted())
    with zipfile.ZipFile(path) as archive, pytest.raises(RuntimeError, match="encrypted"):
        archive.read("board.csv")


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<a " * 60_000, ""),
        ("<!-- " * 40_000, ""),
        ("<" * 200_000, ""),
        ('<p>a</p><img alt="x<y">b', ""),
        ("1 < 2 and 3 > 2", "1 < 2 and 3 > 2"),
        ("<p>a<!-- <b>no</b> --><b>b</b></p>", "ab"),
        ("<!DOCTYPE html><p>a<?php no ?></p>", "a"),
        ("<script>if (a<b) {x='<p>no'}</script>yes", "yes"),
    ],
)
def test_a_parser_never_looks_twice(html: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every tag that Python's parser gets to see has its end before the next one begins."""
    if text:
        assert plain(html) == text
    fed: list[str] = []
    monkeypatch.setattr(_Text, "feed", lambda self, given: fed.append(given))
    plain(html)
    (closed,) = fed
    assert closed == closed_tags(html)
    assert len(re.findall(r"<[^<>]*>", closed)) == closed.count("<")
    assert len(closed) <= 4 * len(html)


@pytest.mark.parametrize(
    "name", ["a\x85.csv", "a\x7f.csv", "gpj\u202e.exe", "a\u2066.csv", "\ufeffa.csv", "a\u200f.csv"]
)
def test_a_file_whose_name_does_not_read_as_it_is_is_refused(
    toy: Server, provider: KaggleProvider, name: str, tmp_path: Path
) -> None:
    toy.competitions["toy"].files = {name: b"1"}
    raw = provider.root / "data" / "raw"
    with pytest.raises(ProviderError, match="control characters in its name"):
        provider.fetch(raw, lambda *_: None)
    with pytest.raises(ProviderError, match="control characters in its name"):
        provider.fetch_some([name], raw, lambda *_: None)
    assert not raw.exists()


def test_half_a_character_is_no_name(toy: Server, provider: KaggleProvider) -> None:
    toy.competitions["toy"].files = {"a\ud800.csv": b"1"}
    with pytest.raises(ProviderError, match="control characters in its name"):
        provider.fetch_some(["x"], provider.root / "raw", lambda *_: None)


def test_names_in_other_scripts_are_names(
    toy: Server, provider: KaggleProvider, tmp_path: Path
) -> None:
    files = {"données/été.csv": b"1", "数据.csv": b"2", "नमूना.csv": b"3"}
    toy.competitions["toy"].files = files
    raw = provider.root / "data" / "raw"
    paths = provider.fetch(raw, lambda *_: None)
    assert {path.relative_to(raw).as_posix() for path in paths} == set(files)
