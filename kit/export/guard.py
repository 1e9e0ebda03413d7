"""Run a script as Kaggle would: no network, a read-only input folder, nothing of the author's.

Started as ``python -I guard.py SETTINGS SCRIPT``; standard library only. An audit hook refuses
and writes down every attempt, so that code which swallows the refusal is found out as well. It does
not follow other programs, nor C code that asks the system itself: programs are written down, and
for both there is the network namespace around it all, where the system allows one.
"""

from __future__ import annotations

import errno
import json
import os
import runpy
import sys
from typing import Any

LOOPBACK = {"localhost", "127.0.0.1", "::1", "", None}
_PROGRAMS = ("subprocess.Popen", "os.exec", "os.posix_spawn", "os.spawn", "os.system", "pty.spawn")
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT


class Guard:
    """The hook.

    Args:
        settings: "log": file that takes one line per refusal, and per program that is started;
            "denied" and "allowed": folders whose files must not or may be opened, the longest that
            fits decides; "read_only": a folder nothing is written to.
    """

    def __init__(self, settings: dict[str, Any]) -> None:
        self.log = os.open(settings["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.rules = [(folder, False) for folder in settings["denied"]]
        self.rules += [(folder, True) for folder in settings["allowed"]]
        self.read_only = settings["read_only"]

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Called by the interpreter for every audited event."""
        if event == "open":
            self._open(arguments[0], arguments[2])
        elif event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
            address = arguments[1]
            if isinstance(address, tuple) and address[0] not in LOOPBACK:
                self._refuse("network", f"{event} {address[0]}:{address[1]}", errno.ENETUNREACH)
        elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
            host = arguments[0]
            host = host.decode(errors="replace") if isinstance(host, bytes) else host
            if host not in LOOPBACK:
                self._refuse("network", f"{event} {host}", errno.ENETUNREACH)
        elif event in _PROGRAMS:  # libraries ask for the number of cores that way
            program = arguments[0] or "?"  # pty.spawn names it by all of its arguments
            self._note(
                "program",
                os.fsdecode(
                    program if isinstance(program, str | bytes | os.PathLike) else program[0]
                ),
            )

    def _open(self, path: Any, flags: Any) -> None:
        if isinstance(path, int) or path is None:
            return
        full = os.path.abspath(os.fsdecode(path))
        if inside(full, self.read_only):
            if isinstance(flags, int) and flags & _WRITES:
                raise OSError(errno.EROFS, os.strerror(errno.EROFS), full)
            return
        fitting = [(len(folder), ok) for folder, ok in self.rules if inside(full, folder)]
        if fitting and not max(fitting)[1]:
            self._refuse("file", full, errno.ENOENT)

    def _refuse(self, kind: str, what: str, code: int) -> None:
        self._note(kind, what)
        raise OSError(code, f"{os.strerror(code)} (refused by the proof of kit export)", what)

    def _note(self, kind: str, what: str) -> None:
        os.write(self.log, f"{kind} {what!r}\n".encode())


def inside(path: str, folder: str) -> bool:
    """Whether a path is a folder or lies below it."""
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def main() -> None:
    """Install the hook, then run the script."""
    settings, script = json.loads(sys.argv[1]), sys.argv[2]
    sys.argv = [script]
    sys.addaudithook(Guard(settings))
    runpy.run_path(script, run_name="__main__")


if __name__ == "__main__":
    main()
