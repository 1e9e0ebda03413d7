"""The suite leaves the network: a network namespace with loopback alone, for it and its children.

No root is needed where Linux lets users make namespaces (what `unshare -rn` does). Every process
the tests start is in it, whatever language and however started. Elsewhere it is not; then the
guards of `tests/conftest.py` and `sitecustomize.py` are all there is, and
`tests/kaggle/test_guard.py` skips what only a namespace can stop, and says so.
"""

from __future__ import annotations

import ctypes
import os
import socket
import struct
from pathlib import Path

import pytest

LEFT = "OFFLINE_NAMESPACE"
"""In the environment: "1" once the suite has left; workers inherit both."""
_NEW_USER, _NEW_NET = 0x10000000, 0x40000000
_SET_FLAGS, _UP = 0x8914, 0x1 | 0x40  # SIOCSIFFLAGS; IFF_UP | IFF_RUNNING


def go(*, wanted: bool = True) -> None:
    """Leave if wanted, once; end the run where the network stays and OFFLINE_REQUIRED is set.

    To be called before anything starts a thread: threads cannot be taken along.
    """
    if LEFT not in os.environ:  # a worker is where its parent is
        os.environ[LEFT] = "1" if wanted and leave() else ""
    if os.environ.get("OFFLINE_REQUIRED") and not os.environ[LEFT]:
        pytest.exit("the tests can reach the network, and OFFLINE_REQUIRED is set", 1)


def leave() -> bool:
    """Leave, if that works here; tried in a child first, since there is no way back."""
    if not hasattr(os, "fork") or not Path("/proc/self/uid_map").exists():
        return False
    child = os.fork()
    if child == 0:
        try:
            _leave()
            with socket.create_server(("127.0.0.1", 0)) as server:
                socket.create_connection(server.getsockname(), timeout=5).close()
        except BaseException:
            os._exit(1)
        os._exit(0)
    if os.waitpid(child, 0)[1] != 0:
        return False
    try:
        _leave()
    except OSError:  # a thread is running already
        return False
    return True


def _leave() -> None:
    import fcntl

    libc = ctypes.CDLL(None, use_errno=True)
    user, group = os.getuid(), os.getgid()
    if libc.unshare(_NEW_USER | _NEW_NET):
        raise OSError(ctypes.get_errno(), "unshare")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
    Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SET_FLAGS, struct.pack("16sh14x", b"lo", _UP))
    if user:  # rights over one's own files that a user does not have would hide faults
        head, none = struct.pack("Ii", 0x20080522, 0), bytes(24)
        if libc.capset(head, none):
            raise OSError(ctypes.get_errno(), "capset")


def check(log: Path) -> None:
    """Fail the test where `sitecustomize.py` wrote something down."""
    if log.is_file():
        pytest.fail(f"a process that the test started tried: {log.read_text().strip()}")
