"""Python runs this at its start wherever the folder is on PYTHONPATH: no network but loopback.

The suite puts it there for every Python that a test starts (`tests/conftest.py`). An audit hook
sees raw sockets as well, cannot be taken off again, and is handed on with the environment, whether
by subprocess, os.exec* or os.posix_spawn. What it refuses it writes down, so that the test fails
even where the refusal is swallowed. It is not in a Python that ignores the environment (``-I``,
``-E``), in other programs, or around C code that asks the system itself: `offline.py` is.
"""

from __future__ import annotations

import errno
import os
import sys

LOG = "OFFLINE_LOG"
_HERE = {"127.0.0.1", "::1", "localhost", "0.0.0.0", "::", "", None}  # zeros: this machine
_CONNECTS = ("socket.connect", "socket.sendto", "socket.sendmsg")
_NAME = os.uname().nodename if hasattr(os, "uname") else ""
_LOOKUPS = ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr")


def refused(event: str, arguments: tuple[object, ...]) -> str:
    """Where an audited event would lead away from this machine; "": it does not."""
    if event in _CONNECTS:
        address = arguments[1]
        host = address[0] if isinstance(address, tuple) else ""  # AF_UNIX, or none: as connected
    elif event in _LOOKUPS:
        host = arguments[0]
    else:
        return ""
    host = host.decode(errors="replace") if isinstance(host, bytes) else host
    return "" if host in _HERE else f"{event} {host}"


def asks_for_itself(event: str, arguments: tuple[object, ...]) -> bool:
    """Whether nothing leaves by it: libraries find out their own address that way.

    "Connecting" a socket for datagrams sends none, and its own name is no other machine.
    """
    if event == "socket.connect":
        return getattr(arguments[0], "type", None) == 2  # SOCK_DGRAM
    return event in _LOOKUPS and arguments[0] in (_NAME, _NAME.encode())


def _hook(event: str, arguments: tuple[object, ...]) -> None:
    if not event.startswith("socket.") or not (what := refused(event, arguments)):
        return
    log = os.environ.get(LOG)
    if log and not asks_for_itself(event, arguments):
        file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.write(file, f"{what}\n".encode())
        os.close(file)
    if event in _LOOKUPS:  # what a system without a network raises
        raise sys.modules["_socket"].gaierror(-2, f"a test tried {what}")
    raise OSError(errno.ENETUNREACH, f"a test tried {what}")


if __name__ == "sitecustomize":
    sys.addaudithook(_hook)
