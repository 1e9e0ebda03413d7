"""Folds on a cluster: the same run, files sent once, faults named."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from kit.competition import Competition
from kit.errors import ConfigError, DataError, ModelError
from kit.execution import remote
from kit.execution.cluster import ClusterWorkers
from kit.execution.link import connect, files_of
from kit.execution.processes import Processes
from kit.plan import make_plan
from kit.session import open_session

from .conftest import SLOW, Cluster

pytestmark = pytest.mark.filterwarnings("default::ResourceWarning")
SLOW_MODEL = {"slow": {"use": "model:build", "recipe": "linear"}}


# the client builds the model for its parameters: only the process that fits dies
DEADLY = """
import multiprocessing, os, signal
from sklearn.linear_model import LogisticRegression

def build():
    if multiprocessing.parent_process():
        os.kill(os.getpid(), signal.SIGKILL)
    return LogisticRegression()
"""


def only_run(competition: Competition) -> tuple[dict[str, Any], pd.DataFrame, pd.DataFrame]:
    (path,) = competition.runs.glob("2*")
    frames = (pd.read_parquet(path / f"{name}.parquet") for name in ("oof", "test"))
    return json.loads((path / "run.json").read_text()), *frames


def expect_same(a: Competition, b: Competition) -> None:
    """Bit-identical predictions and the same hash."""
    (first, *left), (second, *right) = only_run(a), only_run(b)
    assert first["hash"] == second["hash"]
    assert first["score"] == second["score"]
    for one, other in zip(left, right, strict=True):
        pd.testing.assert_frame_equal(one, other, check_exact=True)


def test_same_run_as_here_and_files_are_sent_once(
    toy: Callable[..., Competition], cluster: Cluster, run_kit: Any
) -> None:
    here, there = toy("here"), toy("there")
    assert run_kit("cv", "lightgbm", "--keep-models", "-C", here.root).code == 0
    done = run_kit("cv", "lightgbm", "--keep-models", "-C", there.root, "--on", cluster.address)
    assert done.code == 0, done.err
    expect_same(here, there)
    saved = [sorted(p.relative_to(c.runs).parts[1:] for p in c.runs.glob("2*/models/**/*"))
             for c in (here, there)]  # fmt: skip
    assert saved[0] == saved[1] != []
    keep = sum(path.stat().st_size for _, path in files_of(there)[0].values())
    shown = json.loads(run_kit("cluster", "status", cluster.address, "--json").out)
    assert {each["kept"] for each in shown} <= {0, keep}  # a worker may have come too late
    assert keep in {each["kept"] for each in shown}

    note = there.root / "NOTES.md"
    note.write_text("one more file\n")
    again = Competition.load(there.root, [f'execution.on="{cluster.address}"'])
    workers = ClusterWorkers(again)
    for _ in range(2):
        while workers.free < 2:
            workers.wait(1.0)
    workers.close()
    # to those that had the rest only the note was sent
    assert set(workers.sent.values()) <= {note.stat().st_size, keep + note.stat().st_size}
    assert note.stat().st_size in workers.sent.values()


@pytest.mark.slow
def test_a_task_that_kills_every_worker_is_given_up_and_named(
    toy: Callable[..., Competition], cluster: Cluster, run_kit: Any
) -> None:
    competition = toy("deadly", code={"model.py": DEADLY}, models={"m": {"use": "model:build"}})
    failed = run_kit("cv", "m", "-C", competition.root, "--on", cluster.address)
    assert failed.code == 1
    assert "fold 1: 3 workers died in it" in failed.err or "fold 2: 3 workers" in failed.err
    assert "Traceback" not in failed.err


def test_workers_with_other_versions_are_named_before_work_starts(
    toy: Callable[..., Competition], cluster: Cluster, run_kit: Any, tmp_path: Path
) -> None:
    other = tmp_path / "site" / "lightgbm-0.1.dist-info"
    other.mkdir(parents=True)
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: lightgbm\nVersion: 0.1\n")
    competition = toy("versions")
    client = connect(cluster.address)
    while (known := len(client.nthreads())) < 2:  # those of the fixture may still be starting
        time.sleep(0.1)
    process = cluster.add(path=tmp_path / "site")
    while len(client.nthreads()) == known:
        time.sleep(0.1)
    refused = run_kit("cv", "lightgbm", "-C", competition.root, "--on", cluster.address)
    shown = run_kit("cluster", "status", cluster.address)
    process.kill()
    process.wait()
    while len(client.nthreads()) > known:
        time.sleep(0.1)
    client.close()
    assert refused.code == 1
    assert "lightgbm 0.1, here" in refused.err
    assert not list(competition.runs.glob(".partial/*/fold-*"))
    assert "lightgbm 0.1, here" in shown.out
    assert "2 of 3 workers can be used" in shown.out


def test_an_interrupt_calls_off_what_is_in_work(
    toy: Callable[..., Competition], cluster: Cluster
) -> None:
    competition = toy(
        "interrupted",
        code={"model.py": SLOW.replace("sleep(1.0)", "sleep(600)")},
        models=SLOW_MODEL,
        execution={"threads": 1, "on": cluster.address},
    )
    with open_session(competition) as session:
        assert isinstance(session.executor, Processes)
        workers = ClusterWorkers(competition)
        while not workers.free:
            workers.wait(1.0)
        workers.start(make_plan(session, "slow").tasks([0])[0])
        time.sleep(2.0)
        workers.close()
    client = connect(cluster.address)
    end = time.monotonic() + 60
    while any(client.processing().values()) or any(client.run(_busy).values()):
        assert time.monotonic() < end, "the task goes on though nobody waits for it"
        time.sleep(0.2)
    client.close()


def _busy() -> int:
    return sum(slot.held.locked() for slot in remote._slots.values())


def test_results_reports_and_hidden_files_stay_here(toy: Callable[..., Competition]) -> None:
    competition = toy("files", code={"features.py": "def features(f):\n    return f\n"})
    for name in ("runs/a", ".cache/b", "reports/c", "data/raw/.hidden", "__pycache__/d"):
        path = competition.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("no")
    found, digest = files_of(competition)
    names = {"train.csv", "test.csv", "sample_submission.csv"}
    assert {*found} == {"kit.toml", "features.py", *(f"data/raw/{name}" for name in names)}
    (competition.root / "features.py").write_text("def features(f):\n    return f[['a']]\n")
    assert files_of(competition)[1] != digest


@pytest.mark.parametrize("name", ["../x", "/x", "a/../../x", "C:\\x", "..\\x", ""])
def test_nothing_is_written_outside_the_folder(name: str, tmp_path: Path) -> None:
    worker = SimpleNamespace(local_directory=str(tmp_path))
    content = b"x"
    digest = hashlib.sha256(content).hexdigest()
    remote.store(digest, "me", content, first=True, last=True, dask_worker=worker)
    with pytest.raises(DataError, match="no path below"):
        remote.unpack("tree", {name: digest}, worker)
    assert not (tmp_path / "kit" / "competitions" / "tree").exists()


def test_a_file_that_is_damaged_on_its_way_is_refused(tmp_path: Path) -> None:
    worker = SimpleNamespace(local_directory=str(tmp_path))
    digest = hashlib.sha256(b"whole").hexdigest()
    with pytest.raises(DataError, match="damaged"):
        remote.store(digest, "me", b"torn", first=True, last=True, dask_worker=worker)
    assert remote.missing([digest], worker) == [digest]
    remote.store(digest, "me", b"wh", first=True, last=False, dask_worker=worker)
    assert remote.missing([digest], worker) == [digest]
    remote.store(digest, "me", b"ole", first=False, last=True, dask_worker=worker)
    assert remote.missing([digest], worker) == []


@pytest.mark.parametrize("address", ["nowhere", "127.0.0.1:9", "127.0.0.1:99999", "a b:1"])
def test_a_wrong_address_is_one_sentence(address: str) -> None:
    with pytest.raises(ConfigError, match="scheduler"):
        connect(address)


@pytest.mark.parametrize("greeting", [b"", b"SSH-2.0-OpenSSH\r\n"])
def test_another_server_is_no_scheduler(greeting: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a web server, as that of Dask's dashboard, its client would never come back."""
    monkeypatch.setattr("kit.execution.link._CONNECTING", 0.3)

    def wait_for_ever(*_: Any, **__: Any) -> None:
        raise AssertionError("Dask was asked")

    monkeypatch.setattr("distributed.Client", wait_for_ever)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def greet() -> None:
            line, _ = server.accept()
            with line, suppress(OSError):  # it may be reset
                line.sendall(greeting)
                line.recv(1)  # until the other side goes

        threading.Thread(target=greet, daemon=True).start()
        with pytest.raises(ConfigError, match=r"no Dask scheduler answers .*what listens there"):
            connect(f"127.0.0.1:{server.getsockname()[1]}")


@pytest.mark.slow
def test_cluster_up_works_and_ends_with_an_interrupt(
    toy: Callable[..., Competition], run_kit: Any
) -> None:
    import psutil

    up = subprocess.Popen(
        [sys.executable, "-m", "kit", "cluster", "up", "--workers", "1", "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert up.stdout is not None
    address = up.stdout.readline().split()[-1]
    competition = toy("up")
    done = run_kit("cv", "lightgbm", "-C", competition.root, "--on", address)
    children = psutil.Process(up.pid).children(recursive=True)
    up.send_signal(signal.SIGINT)
    up.communicate(timeout=60)
    assert up.returncode == 0
    assert done.code == 0, done.err
    assert children
    _, alive = psutil.wait_procs(children, timeout=20)
    assert alive == []


def test_lost_workers_are_counted_per_fold(toy: Callable[..., Competition]) -> None:
    competition = toy("strikes")
    with open_session(competition) as session:
        first, second = make_plan(session, "lightgbm").tasks([0, 1])
    workers = ClusterWorkers(competition)
    assert [workers._again(first, "a") for _ in range(2)] == [[], []]
    assert workers._again(second, "a") == []
    (given_up,) = workers._again(first, "b")
    assert isinstance(given_up.error, ModelError)
    assert "fold 1: 3 workers died in it, the last at b" in str(given_up.error)


def test_an_installed_kit_and_a_checkout_are_the_same_version(tmp_path: Path) -> None:
    """The wheel carries the templates inside the package, a checkout beside it."""
    installed = tmp_path / "kit"
    shutil.copytree(Path(remote.__file__).parents[1], installed)
    before = remote.code_digest(installed)
    (installed / "_templates" / "tabular").mkdir(parents=True, exist_ok=True)
    (installed / "_templates" / "tabular" / "features.py").write_text("x = 1\n")
    assert remote.code_digest(installed) == before
    (installed / "cv.py").write_text("x = 1\n")
    assert remote.code_digest(installed) != before


@pytest.mark.parametrize(("asked", "used"), [(0, 4), (2, 2), (8, 4)])
def test_threads_of_a_task_are_those_of_its_worker(
    asked: int, used: int, toy: Callable[..., Competition]
) -> None:
    competition = toy("threads", execution={"threads": asked})
    with open_session(competition) as session:
        (task,) = make_plan(session, "lightgbm").tasks([0])
    workers, sent = ClusterWorkers(competition), []

    def submit(_: Any, place: Any, task: Any, left: Any, **options: Any) -> Any:
        sent.append((task.threads, options["workers"]))
        return SimpleNamespace(add_done_callback=lambda callback: None)

    workers._client = SimpleNamespace(submit=submit)
    workers._threads, workers._ready = {"a": 4}, {"a"}
    workers.start(task)
    assert sent == [(used, ["a"])]


@pytest.mark.slow
def test_the_whole_loop_runs_on_a_cluster(
    toy: Callable[..., Competition], cluster: Cluster
) -> None:
    import psutil

    competition = toy("auto", models={"linear": {"params": {"strengths": [1.0]}}})
    command = [sys.executable, "-m", "kit", "auto", "linear", "--budget", "240s"]
    process = subprocess.Popen(
        [*command, "--on", cluster.address],
        cwd=competition.root,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    end = time.monotonic() + 240
    while not list(competition.submissions.glob("*.csv")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.1)
    assert psutil.Process(process.pid).children() == []  # no fold was computed here
    _, err = process.communicate(timeout=240)  # a linear model has no other seeds: it ends
    assert process.returncode == 0, err
    assert list(competition.runs.glob("2*-linear-*"))


@pytest.mark.slow
def test_workers_started_here_have_a_gpu_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kit.execution.link import started
    from kit.gpus import VISIBLE

    driver = tmp_path / "nvidia-smi"
    lines = "0, GPU-aaaa, NVIDIA Small, 16384\\n1, GPU-bbbb, NVIDIA Large, 81920\\n"
    driver.write_text(f"#!/bin/sh\nprintf '{lines}'\n")
    driver.chmod(0o755)
    monkeypatch.delenv(VISIBLE, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with started(2, 1, "127.0.0.1", 0) as address, connect(address) as client:
        seen = client.run(os.getenv, VISIBLE)  # a function that workers can import
    assert sorted(seen.values()) == ["GPU-aaaa", "GPU-bbbb"]
