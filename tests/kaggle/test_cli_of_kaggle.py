"""The unmodified `kaggle` command works with the loopback server."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from loopback_server import Server


def run(server: Server, home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    home.mkdir(exist_ok=True)
    path = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    return subprocess.run(
        [sys.executable, "-m", "kaggle", *arguments],
        env={**path, **server.environment(home)},
        cwd=home,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture
def toy(server: Server) -> Server:
    server.add(
        "toy",
        files={"train.csv": b"id,y\n1,0\n", "sample_submission.csv": b"id,y\n2,0\n"},
        pages={"evaluation": "<p>AUC</p>"},
        board=[("Alpha", 0.9), ("ann", 0.8)],
        scorer=lambda content: (0.75, 0.7),
        polls=0,
    )
    return server


def test_the_command_lists_downloads_submits_and_shows_the_board(
    toy: Server, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    found = run(toy, home, "competitions", "list", "-s", "toy")
    assert (found.returncode, "toy" in found.stdout) == (0, True), found.stderr
    found = run(toy, home, "competitions", "files", "toy")
    assert "sample_submission.csv" in found.stdout
    run(toy, home, "competitions", "download", "toy", "-p", str(home))
    shutil.unpack_archive(home / "toy.zip", home / "data")
    assert (home / "data" / "train.csv").read_bytes() == b"id,y\n1,0\n"
    run(toy, home, "competitions", "download", "toy", "-f", "train.csv", "-p", str(home))
    assert (home / "train.csv").read_bytes() == b"id,y\n1,0\n"
    file = home / "submission.csv"
    file.write_bytes(b"id,y\n2,1\n")
    found = run(toy, home, "competitions", "submit", "toy", "-f", str(file), "-m", "by hand")
    assert "Successfully submitted" in found.stdout, found.stdout + found.stderr
    assert [handed.content for handed in toy.submissions] == [b"id,y\n2,1\n"]
    found = run(toy, home, "competitions", "submissions", "toy")
    assert "by hand" in found.stdout
    assert "0.75" in found.stdout
    found = run(toy, home, "competitions", "leaderboard", "toy", "-s")
    assert "Alpha" in found.stdout
    run(toy, home, "competitions", "leaderboard", "toy", "-d", "-p", str(home))
    assert (home / "toy.zip").is_file()
