"""`kill -9` of a worker, the client and the scheduler in mid-run: nothing but time is lost."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

from kit.competition import Competition

from .conftest import SLOW, Cluster
from .test_cluster import SLOW_MODEL, expect_same, only_run

pytestmark = pytest.mark.slow
TABLES = {"code": {"model.py": SLOW}, "models": SLOW_MODEL, "cv": {"n_splits": 8}}


def started(competition: Competition, cluster: Cluster) -> subprocess.Popen[str]:
    """`kit cv` on a cluster, in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "kit", "cv", "slow", "--on", cluster.address],
        cwd=competition.root,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_folds(competition: Competition, count: int, process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 200
    while len(list(competition.runs.glob(".partial/*/fold-*.parquet"))) < count:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_killed_worker_changes_nothing(
    toy: Callable[..., Competition], own_cluster: Callable[[str], Cluster], run_kit: Any
) -> None:
    here, there = toy("here", **TABLES), toy("there", **TABLES)
    assert run_kit("cv", "slow", "-C", here.root).code == 0
    cluster = own_cluster("one")
    client = started(there, cluster)
    wait_for_folds(there, 2, client)
    cluster.workers[0].kill()
    _, err = client.communicate(timeout=200)
    assert client.returncode == 0, err
    expect_same(here, there)


def test_a_killed_client_and_a_killed_scheduler_cost_the_folds_in_work(
    toy: Callable[..., Competition], own_cluster: Callable[[str], Cluster], run_kit: Any
) -> None:
    here, there = toy("here", **TABLES), toy("there", **TABLES)
    assert run_kit("cv", "slow", "-C", here.root).code == 0
    cluster = own_cluster("first")
    client = started(there, cluster)
    wait_for_folds(there, 2, client)
    client.kill()
    client.communicate()
    client = started(there, cluster)
    wait_for_folds(there, 5, client)
    cluster.scheduler.kill()
    _, err = client.communicate(timeout=200)
    assert client.returncode == 1
    assert f"the scheduler at {cluster.address} is gone" in err
    assert "Traceback" not in err
    finished = len(list(there.runs.glob(".partial/*/fold-*.parquet")))
    assert finished >= 5
    assert run_kit("cv", "slow", "-C", there.root, "--on", own_cluster("second").address).code == 0
    expect_same(here, there)
    assert len(only_run(there)[0]["resumed"]) == finished
