"""The unmodified `kaggle` command works with the loopback server, and so does kit as a process."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from loopback_server import Server


def run(
    server: Server, home: Path, *arguments: str, module: str = "kaggle"
) -> subprocess.CompletedProcess[str]:
    home.mkdir(exist_ok=True)
    path = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        env={**path, **server.environment(home), "KIT_PLUGINS": "0"},
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


def test_kit_as_a_process_needs_no_change_of_the_sdk(toy: Server, tmp_path: Path) -> None:
    """As its HTTP proxy, the server sees every address that kit asks for."""
    rows = b"".join(b"%d,%d,%d\n" % (n, n * 7 % 13, n % 2) for n in range(40))
    toy.competitions["toy"].files = {
        "train.csv": b"id,x,y\n" + rows,
        "test.csv": b"id,x\n50,1\n51,2\n",
        "sample_submission.csv": b"id,y\n50,0.5\n51,0.5\n",
    }
    home = tmp_path / "home"
    done = run(toy, home, "new", "toy", module="kit")
    assert done.returncode == 0, done.stderr
    assert (home / "toy" / "data" / "raw" / "train.csv").is_file()
    file = home / "answer.csv"
    file.write_bytes(b"id,y\n50,0.25\n51,0.75\n")
    done = run(toy, home, "submit", "-C", "toy", "--file", str(file), "--no-wait", module="kit")
    assert done.returncode == 0, done.stderr
    assert [handed.content for handed in toy.submissions] == [file.read_bytes()]
    assert {request.path.split("/")[2] for request in toy.requests} <= {
        "localhost",
        toy.storage_url.split("/")[2],
    }
