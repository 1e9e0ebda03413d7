"""Scheduler, workers and client on hosts of their own: network namespaces joined by a bridge."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kit.competition import Competition
from kit.execution.link import files_of

from .hosts import START
from .test_cluster import expect_same

OFFLINE = Path(__file__).parents[1] / "offline"


def impossible() -> str:
    """Why there can be no such hosts here, or ""."""
    missing = [name for name in ("ip", "nsenter", "unshare") if shutil.which(name) is None]
    if missing:
        return f"there is no {missing[0]}"
    bridge, pair = "ip link add sw0 type bridge", "ip link add p0 type veth peer name p1"
    trial = f"{bridge} && {pair} && unshare --net true"
    done = subprocess.run([*START, "sh", "-c", trial], capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else f"no network namespaces: {done.stderr.strip()}"


@pytest.mark.slow
def test_several_hosts_give_the_run_of_one(
    toy: Callable[..., Competition], run_kit: Any, tmp_path: Path
) -> None:
    if why := impossible():
        pytest.skip(why)
    here, there = toy("here"), toy("there")
    assert run_kit("cv", "lightgbm", "-C", here.root).code == 0
    # the guard of the suite knows loopback only; the namespaces have no way out
    paths = os.environ["PYTHONPATH"].split(os.pathsep)
    kept = [path for path in paths if Path(path) != OFFLINE]
    environment = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
    environment |= {"PYTHONPATH": os.pathsep.join(kept)}
    script = [sys.executable, str(Path(__file__).with_name("hosts.py")), str(tmp_path)]
    command = [sys.executable, "-m", "kit", "cv", "lightgbm", "-C", str(there.root)]
    done = subprocess.run(
        [*START, *script, *command],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["code"] == 0, found["err"]
    expect_same(here, there)
    assert {each.rpartition(":")[0] for each in found["workers"]} == {
        "tcp://10.77.0.2", "tcp://10.77.0.3",
    }  # fmt: skip
    size = sum(path.stat().st_size for _, path in files_of(there)[0].values())
    assert min(found["received"].values()) > 0
    assert max(found["received"].values()) > size  # one may be late and get no file
    left = subprocess.run(["ip", "link"], capture_output=True, text=True, check=True)
    assert "switch" not in left.stdout
