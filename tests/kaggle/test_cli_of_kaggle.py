"""The unmodified `kaggle` command works with the loopback server, and so does kit as a process."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

import kagglesdk
import pytest
from loopback_server import Server

from kit.competition import ProviderSpec
from kit.export.names import dataset_metadata, kernel_metadata, names_of
from kit.providers.kaggle import KaggleProvider


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


def test_the_client_is_the_one_that_was_asked_for(toy: Server, tmp_path: Path) -> None:
    """CI runs this folder once with each version of the client, and names it."""
    installed = distribution("kaggle").version
    asked = os.environ.get("CLIENT_UNDER_TEST", installed)
    said = run(toy, tmp_path / "home", "--version").stdout.split()[-1]
    assert {said, installed} == {asked}
    sdk = distribution("kagglesdk")
    assert Path(kagglesdk.__file__).parent == Path(str(sdk.locate_file("kagglesdk")))
    known = {"2.2.4": "0.1.37", "2.2.5": "0.1.38"}
    assert sdk.version == known.get(asked, sdk.version)


def test_the_command_makes_datasets_and_kernels_and_submits_them(
    toy: Server, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    names = names_of("toy", "ann/toy-models", "toy", "submission.csv")
    data, kernel = home / "dataset", home / "kernel"
    (data / "models").mkdir(parents=True)
    kernel.mkdir()
    (data / "bundle.json").write_text("{}")
    (data / "models" / "plan.json").write_text("{}")
    (data / "dataset-metadata.json").write_text(json.dumps(dataset_metadata(names)))
    (kernel / "inference.py").write_text("print(1)\n")
    metadata = kernel_metadata(names, "inference.py")
    (kernel / "kernel-metadata.json").write_text(json.dumps(metadata))
    toy.runs = lambda session: {"submission.csv": b"id,y\n2,1\n"}
    toy.kernel_looks = 1

    done = run(toy, home, "datasets", "create", "-p", str(data), "-r", "zip")
    assert "toy-models" in done.stdout, done.stdout + done.stderr
    assert sorted(toy.datasets["ann/toy-models"].versions[0].files) == [
        "bundle.json", "models/plan.json",
    ]  # fmt: skip
    for word in ("blobs_received", "ready"):
        assert word in run(toy, home, "datasets", "status", "ann/toy-models").stdout.lower()
    done = run(toy, home, "kernels", "push", "-p", str(kernel))
    assert "version 1" in done.stdout, done.stdout + done.stderr
    (session,) = toy.kernels[names.kernel]
    assert (session.saved["enableInternet"], session.saved["kernelType"]) == (False, "script")
    for word in ("running", "complete"):
        assert word in run(toy, home, "kernels", "status", names.kernel).stdout.lower()
    done = run(toy, home, "kernels", "output", names.kernel, "-p", str(home / "output"))
    assert (home / "output" / "submission.csv").read_bytes() == b"id,y\n2,1\n", done.stderr
    done = run(
        toy, home, "competitions", "submit", "toy", "-f", "submission.csv", "-k", names.kernel,
        "-v", "1", "-m", "by hand",
    )  # fmt: skip
    assert "Successfully submitted" in done.stdout, done.stdout + done.stderr
    assert [handed.description for handed in toy.submissions] == ["by hand"]

    publisher = KaggleProvider("toy", ProviderSpec(name="kaggle"), home / "toy").publisher()
    publisher.put_dataset(data, "ann/toy-models", "as the command does it")
    publisher.push_kernel(kernel)
    theirs, ours = toy.datasets["ann/toy-models"].versions
    assert ours.files == theirs.files
    theirs_saved, ours_saved = (session.saved for session in toy.kernels[names.kernel])
    assert ours_saved == theirs_saved


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
