"""Start the real `kit` in processes of its own, quickly, so that they can be killed and watched.

One server process imports what `kit cv` needs and forks a child per call; the child is the leader
of its process group and runs `kit.cli.main` as the `kit` script does.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest

from kit.competition import Competition

_SERVER = """
import json, os, sys, traceback
import kit.cli, kit.cli.app, kit.cli.cv, kit.cli.output, kit.cv, kit.session, kit.blend
import kit.models.lightgbm, kit.models.linear, kit.submission

def child(call):
    os.setsid()
    os.chdir(call["cwd"])
    for number, name in ((0, os.devnull), (1, call["out"]), (2, call["err"])):
        os.dup2(os.open(name, os.O_RDWR | os.O_CREAT, 0o644), number)
    sys.argv = ["kit", *call["args"]]
    code = 0
    try:
        exec(call["before"], {})
        kit.cli.main()
    except SystemExit as error:
        code = error.code or 0
    except BaseException:
        traceback.print_exc()
        code = 99
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)

print(os.getpid(), flush=True)  # everything is imported
for line in sys.stdin:
    call = json.loads(line)
    if "wait" in call:
        print(os.waitstatus_to_exitcode(os.waitpid(call["wait"], 0)[1]), flush=True)
        continue
    pid = os.fork()
    if pid == 0:
        child(call)
    print(pid, flush=True)
"""


class Server:
    """The process that forks a `kit` per call."""

    def __init__(self) -> None:
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("KAGGLE", "KIT_"))}
        self.process = subprocess.Popen(
            [sys.executable, "-c", _SERVER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**environment, "KIT_PLUGINS": "0", "OMP_NUM_THREADS": "1"},
        )
        assert self._answer() == self.process.pid

    def ask(self, **call: object) -> int:
        """Send one request and read its one number."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(call) + "\n")
        self.process.stdin.flush()
        return self._answer()

    def _answer(self) -> int:
        assert self.process.stdout is not None
        return int(self.process.stdout.readline())


@dataclass
class Started:
    """A running `kit`."""

    server: Server
    pid: int
    out_path: Path
    err_path: Path

    def wait(self) -> int:
        """The exit code; negative: the signal that killed it."""
        return self.server.ask(wait=self.pid)

    @property
    def out(self) -> str:
        return self.out_path.read_text()

    @property
    def err(self) -> str:
        return self.err_path.read_text()

    def running(self) -> list[psutil.Process]:
        """Processes of its group that have not ended."""
        found = []
        for process in psutil.process_iter():
            try:
                same = os.getpgid(process.pid) == self.pid
                if same and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except (ProcessLookupError, psutil.NoSuchProcess):
                continue
        return found


Launch = Callable[..., Started]


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    started = Server()
    yield started
    started.process.stdin.close()
    started.process.stdout.close()
    started.process.wait()


@pytest.fixture
def launch(server: Server, tmp_path: Path) -> Launch:
    """``launch(competition, *args, before="")``: start `kit *args`; `before` is run first."""
    count = 0

    def start(competition: Competition, *args: str, before: str = "") -> Started:
        nonlocal count
        count += 1
        out, err = tmp_path / f"out-{count}", tmp_path / f"err-{count}"
        call = {"cwd": str(competition.root), "args": args, "out": str(out), "err": str(err)}
        return Started(server, server.ask(**call, before=before), out, err)

    return start


@pytest.fixture
def toy(make_competition: Callable[..., Competition]) -> Callable[..., Competition]:
    """``toy(name, n=3000, **tables)``: a binary competition; the same data every time."""

    def make(name: str = "toy", n: int = 3000, **tables: object) -> Competition:
        rng = np.random.default_rng(7)
        size = n + n // 3
        x = rng.normal(size=(size, 4))
        frame = pd.DataFrame(x, columns=list("abcd"))
        frame["e"] = pd.Series(rng.choice(list("pqrst"), size), dtype="str")
        frame.insert(0, "id", [f"r{number}" for number in range(size)])
        frame["y"] = (x[:, 0] * x[:, 1] + x[:, 2] + rng.normal(size=size) > 0).astype(int)
        test = frame[n:].drop(columns="y")
        return make_competition(frame[:n], test, name=name, **tables)

    return make


def wait_until(true: Callable[[], object], seconds: float = 60.0) -> None:
    """Poll until `true()`; fail the test when it never is."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "what the test waits for did not happen"
        time.sleep(0.01)


@pytest.fixture(name="wait_until")
def _wait_until() -> Callable[..., None]:
    return wait_until
