"""A Dask scheduler and workers in processes of their own, on loopback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from kit.competition import Competition

pytest.importorskip("distributed")

# fitted one second at a time, so that there is a middle to kill something in
SLOW = """
import time
from sklearn.linear_model import LogisticRegression

class Slow(LogisticRegression):
    def fit(self, X, y):
        time.sleep(1.0)
        return super().fit(X, y)

def build():
    return Slow()
"""


class Cluster:
    """Processes that a test may kill."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.workers: list[subprocess.Popen[bytes]] = []
        self.file = folder / "scheduler.json"
        self.scheduler = self._start("dask_scheduler", "--host", "127.0.0.1", "--port", "0")
        end = time.monotonic() + 120
        while not self.file.is_file() or not self.file.read_text().strip().endswith("}"):
            assert time.monotonic() < end
            assert self.scheduler.poll() is None
            time.sleep(0.05)
        self.address: str = json.loads(self.file.read_text())["address"]

    def add(self, path: Path | None = None) -> subprocess.Popen[bytes]:
        """One more worker; `path` comes first where it looks for packages."""
        arguments = ("--host", "127.0.0.1", "--nthreads", "1", "--no-nanny", "--memory-limit", "0")
        arguments += ("--local-directory", str(self.folder))
        self.workers.append(self._start("dask_worker", *arguments, path=path))
        return self.workers[-1]

    def _start(self, name: str, *args: str, path: Path | None = None) -> subprocess.Popen[bytes]:
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("KAGGLE", "KIT_"))}
        environment |= {"KIT_PLUGINS": "0", "OMP_NUM_THREADS": "1"}
        if path is not None:
            paths = [str(path), environment.get("PYTHONPATH", "")]
            environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    f"distributed.cli.{name}",
                    *args,
                    "--no-dashboard",
                    "--scheduler-file",
                    str(self.file),
                ],
                env=environment,
                stdout=log,
                stderr=log,
            )

    def end(self) -> None:
        for process in (*self.workers, self.scheduler):
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A scheduler and two workers, shared by the tests that kill neither."""
    started = Cluster(tmp_path_factory.mktemp("cluster"))
    started.add(), started.add()
    yield started
    started.end()


@pytest.fixture
def own_cluster(tmp_path: Path) -> Iterator[Callable[[str], Cluster]]:
    """``own_cluster(name)``: a scheduler and two workers to be killed."""
    all_of_them = []

    def make(name: str) -> Cluster:
        (tmp_path / name).mkdir()
        all_of_them.append(Cluster(tmp_path / name))
        all_of_them[-1].add(), all_of_them[-1].add()
        return all_of_them[-1]

    yield make
    for each in all_of_them:
        each.end()


@pytest.fixture
def toy(make_competition: Callable[..., Competition]) -> Callable[..., Competition]:
    """``toy(name, **tables)``: a binary competition; the same data every time."""

    def make(name: str, **tables: object) -> Competition:
        rng = np.random.default_rng(7)
        x = rng.normal(size=(400, 4))
        frame = pd.DataFrame(x, columns=list("abcd"))
        frame["e"] = pd.Series(rng.choice(list("pqrst"), len(x)), dtype="str")
        frame.insert(0, "id", [f"r{number}" for number in range(len(x))])
        frame["y"] = (x[:, 0] * x[:, 1] + x[:, 2] + rng.normal(size=len(x)) > 0).astype(int)
        return make_competition(frame[:300], frame[300:].drop(columns="y"), name=name, **tables)

    return make
