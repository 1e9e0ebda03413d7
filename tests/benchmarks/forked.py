"""The real `kit`, forked from a process that has imported it: a call costs what the command costs.

A child leads its own process group, so that it can be killed with all it started. For the
benchmarks `kills.py` and `fuzz.py`; nothing here is collected by pytest.
"""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

MODULES = (
    "cli", "cli.app", "cli.output", "cli.cv", "cli.auto", "cv", "session", "blend", "submission",
    "models.lightgbm", "models.linear", "providers.sample", "providers.local", "scaffold.write",
    "checks", "report", "exchange",
)  # fmt: skip


def load() -> None:
    """Import what the commands need, in the parent: once."""
    for name in MODULES:
        import_module(f"kit.{name}")


@dataclass
class Child:
    """A running or ended `kit`."""

    pid: int
    err_path: Path
    code: int | None = None

    @property
    def err(self) -> str:
        """What it wrote to stdout and stderr so far."""
        if not self.err_path.exists():  # killed before it had opened it
            return ""
        return self.err_path.read_text(encoding="utf-8", errors="replace")

    def poll(self) -> bool:
        """Whether it has ended; `code` is then its exit code, or minus the signal."""
        if self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.code = os.waitstatus_to_exitcode(status)
        return self.code is not None

    def wait(self, seconds: float) -> bool:
        """Wait for its end; False (and killed, with its group) where it does not come."""
        end = time.monotonic() + seconds
        while not self.poll():
            if time.monotonic() > end:
                with suppress(ProcessLookupError):
                    os.killpg(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
                self.code = -signal.SIGKILL
                return False
            time.sleep(0.002)
        return True

    def group(self) -> bool:
        """Whether a process of its group is still there."""
        try:
            os.killpg(self.pid, 0)
        except ProcessLookupError:
            return False
        return True


def start(
    args: Iterable[str | Path],
    cwd: Path,
    log: Path,
    *,
    environment: Mapping[str, str] | None = None,
    memory: int = 0,
) -> Child:
    """Fork a `kit`.

    Args:
        args: its arguments.
        cwd: where it runs.
        log: takes what it prints.
        environment: what is set on top of the present one.
        memory: limit of its address space in bytes; 0: none.
    """
    pid = os.fork()
    if pid == 0:
        _child([str(each) for each in args], cwd, log, dict(environment or {}), memory)
    return Child(pid, log)


def _child(args: list[str], cwd: Path, log: Path, environment: dict[str, str], memory: int) -> None:
    code = 99
    try:
        os.setsid()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.chdir(cwd)
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        for number, opened in ((0, os.open(os.devnull, os.O_RDONLY)), (1, out), (2, out)):
            os.dup2(opened, number)
        os.environ.update(environment)
        sys.argv = ["kit", *args]
        if memory:
            import resource

            resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        import kit.cli

        kit.cli.main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    with suppress(Exception):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)
