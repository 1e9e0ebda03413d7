"""The guards of the suite: each catches what it is for."""

from __future__ import annotations

import ast
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import kagglesdk.kaggle_env as environment
import offline
import pytest
from loopback_server import Server
from loopback_types import check_endpoints

import kit

PACKAGE = Path(kit.__file__).parent


def test_an_endpoint_that_leads_away_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setitem(
            environment._env_to_endpoint, environment.KaggleEnv.PROD, "https://api.kaggle.com"
        )
        with pytest.raises(pytest.fail.Exception, match=r"PROD https://api\.kaggle\.com"):
            check_endpoints()


@pytest.mark.parametrize("address", [("93.184.216.34", 443), ("2606:2800::1", 443, 0, 0)])
def test_a_socket_that_leaves_the_machine_is_caught(address: tuple[str, int]) -> None:
    family = socket.AF_INET if len(address) == 2 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_STREAM) as tcp:
        for connect in (tcp.connect, tcp.connect_ex):
            with pytest.raises(pytest.fail.Exception, match="tried to reach"):
                connect(address)
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        pytest.raises(pytest.fail.Exception, match="tried to reach"),
    ):
        udp.sendto(b"x", ("8.8.8.8", 53))


def test_a_message_that_leaves_the_machine_is_caught() -> None:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        pytest.raises(pytest.fail.Exception, match="tried to reach"),
    ):
        udp.sendmsg([b"x"], [], 0, ("8.8.8.8", 53))


@pytest.mark.parametrize("lookup", ["gethostbyname", "gethostbyname_ex", "gethostbyaddr"])
def test_an_older_way_to_look_up_a_name_is_caught(lookup: str) -> None:
    with pytest.raises(pytest.fail.Exception, match=r"tried to reach api\.kaggle\.com"):
        getattr(socket, lookup)("api.kaggle.com")


SLIP = """
import requests, sys
try:
    requests.get(sys.argv[1], timeout=5)
except requests.exceptions.ProxyError:
    print("stopped")
"""


@pytest.mark.parametrize("of_server", [False, True])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_child_process_that_leaves_the_machine_is_stopped(
    server: Server, tmp_path: Path, scheme: str, of_server: bool
) -> None:
    more = server.environment(tmp_path) if of_server else {}
    done = subprocess.run(
        [sys.executable, "-c", SLIP, f"{scheme}://api.kaggle.com/api/v1/x"],
        env={**os.environ, **more}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    if (of_server, scheme) == (True, "http"):  # the server is the proxy and answers itself
        assert [request.path for request in server.requests] == ["http://api.kaggle.com/api/v1/x"]
    else:
        assert done.stdout.split() == ["stopped"], done.stderr


RAW = """
import _socket, errno
raw = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
try:
    raw.connect(("93.184.216.34", 443))
except OSError as error:
    print(errno.errorcode[error.errno])
"""
WAYS = {
    "subprocess": "import subprocess; subprocess.run([sys.executable, '-c', code])",
    "exec": "os.execv(sys.executable, [sys.executable, '-c', code])",
    "posix_spawn": "os.waitpid(os.posix_spawn(sys.executable, [sys.executable, '-c', code], "
                   "os.environ), 0)",
    "fork": "os.fork() or exec(code)",
    "a child's child": "import subprocess; subprocess.run([sys.executable, '-c', 'import os, sys; "
                       "os.execv(sys.executable, [sys.executable, \"-c\", sys.argv[1]])', code])",
}  # fmt: skip


@pytest.mark.parametrize("way", list(WAYS))
def test_a_raw_socket_of_a_child_is_refused_and_written_down(way: str, offline_log: Path) -> None:
    """However it was started, and though it swallows the refusal."""
    starts = f"import os, sys\ncode = {RAW!r}\n{WAYS[way]}"
    done = subprocess.run([sys.executable, "-c", starts], capture_output=True, text=True)
    assert done.stdout.split() == ["ENETUNREACH"], done.stderr
    assert offline_log.read_text() == "socket.connect 93.184.216.34\n"
    offline_log.unlink()


def test_a_test_whose_child_tried_fails(offline_log: Path) -> None:
    offline.check(offline_log)
    subprocess.run([sys.executable, "-c", RAW], capture_output=True, check=True)
    with pytest.raises(pytest.fail.Exception, match=r"tried: socket\.connect 93\.184\.216\.34"):
        offline.check(offline_log)
    offline_log.unlink()


C_CODE = """
import ctypes, struct, socket, os
libc = ctypes.CDLL(None, use_errno=True)
handle = libc.socket(socket.AF_INET, socket.SOCK_DGRAM, 0)
address = struct.pack("=H", socket.AF_INET) + struct.pack(">H4B8x", 443, 93, 184, 216, 34)
libc.connect(handle, address, len(address))
print(os.strerror(ctypes.get_errno()))
"""


@pytest.mark.parametrize("code", [RAW, C_CODE], ids=["socket", "ctypes"])
def test_what_no_hook_sees_has_no_network(code: str) -> None:
    """A Python that ignores the environment, and C code."""
    if not os.environ.get(offline.LEFT):
        pytest.skip("this system gives users no network namespaces (`unshare -rn`)")
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() in ("ENETUNREACH", "Network is unreachable"), done.stderr


def test_a_name_that_would_be_looked_up_is_caught() -> None:
    with pytest.raises(pytest.fail.Exception, match=r"tried to reach api\.kaggle\.com"):
        socket.create_connection(("api.kaggle.com", 443))


def test_sockets_of_the_file_system_and_loopback_are_allowed(tmp_path: Path) -> None:
    with (
        socket.socket(socket.AF_UNIX) as server,
        socket.socket(socket.AF_UNIX) as client,
        socket.socket() as tcp,
    ):
        server.bind(str(tmp_path / "s"))
        server.listen()
        client.connect(str(tmp_path / "s"))
        assert tcp.connect_ex(("127.0.0.1", 9)) != 0


def test_a_suite_that_must_be_offline_and_is_not_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OFFLINE_REQUIRED", "1")
    for wanted, can in ((True, False), (False, True)):
        monkeypatch.delenv(offline.LEFT)
        monkeypatch.setattr(offline, "leave", lambda can=can: can)
        with pytest.raises(pytest.exit.Exception, match="can reach the network"):
            offline.go(wanted=wanted)
    monkeypatch.setenv(offline.LEFT, "1")
    offline.go()


# Every module of the suite that starts processes or loads C code, and why that stays offline. What
# inherits the environment, as Python, has the audit hook; what does not has the namespace alone.
STARTS = {
    "tests/cli/test_json.py": "kit with a full disk behind it; inherits",
    "tests/cli/test_startup.py": "kit; inherits",
    "tests/cli/test_terminal.py": "kit in a terminal; inherits",
    "tests/cluster/conftest.py": "kit cluster; inherits",
    "tests/cluster/test_cluster.py": "kit cluster; inherits",
    "tests/cluster/hosts.py": "kit in network namespaces that are joined to nothing else; inherits",
    "tests/cluster/test_hosts.py": "that script, unshare and ip; inherits",
    "tests/cluster/test_kills.py": "kit; inherits",
    "tests/cluster/test_tune_on.py": "kit; inherits",
    "tests/docs/test_ci.py": "bash with a copy of .ci/run and stand-ins for its commands",
    "tests/docs/test_readme.py": "kit, and a file of an example; inherits",
    "tests/e2e/conftest.py": "kit in a terminal; inherits",
    "tests/e2e/test_concurrency.py": "kit, unshare and mount; inherits",
    "tests/e2e/test_images.py": "kit; inherits",
    "tests/e2e/test_trust.py": "kit, unshare and mount; inherits",
    "tests/e2e/test_wheel.py": "pip without an index, and the installed kit",
    "tests/export/test_clean.py": "python -I of a kernel's script",
    "tests/export/test_publishing.py": "python that ends at once; inherits",
    "tests/export/test_rehearsal.py": "python -I that prints versions",
    "tests/kaggle/test_cli_of_kaggle.py": "kaggle, to the loopback server; has PYTHONPATH",
    "tests/kaggle/test_code_competition.py": "python -I of a kernel's script",
    "tests/kaggle/test_guard.py": "what must be refused",
    "tests/offline/offline.py": "leaves the network",
    "tests/test_architecture.py": "python that imports kit; inherits",
    "tests/unit/test_housekeeping.py": "python that ends at once; inherits",
    "tests/unit/test_large_memory.py": "kit; inherits",
    "tests/unit/test_registry.py": "python that imports kit; inherits",
}
_OF_OS = re.compile(r"os\.(system|popen|startfile|fork\w*|(exec|posix_spawn|spawn)\w*)$")
_STARTING = {
    "subprocess",
    "multiprocessing",
    "pty",
    "ctypes",
    "cffi",
    "_socket",
    "_posixsubprocess",
}


def starts_processes(source: str) -> bool:
    """Whether a module imports or calls what starts processes or goes around the audit hook."""
    for node in ast.walk(ast.parse(source)):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Attribute):
            names = [ast.unparse(node)]
            if node.attr.startswith("create_subprocess_"):
                return True
        if any(_OF_OS.match(name) or name.partition(".")[0] in _STARTING for name in names):
            return True
    return False


def test_every_module_that_starts_processes_was_looked_at() -> None:
    root = Path(__file__).parents[1]
    found = {
        path.relative_to(root.parent).as_posix()
        for path in root.rglob("*.py")
        if path.parts[len(root.parts)] != "benchmarks"  # not collected
        and starts_processes(path.read_text(encoding="utf-8"))
    }
    assert found == set(STARTS)


@pytest.mark.parametrize(
    "source",
    [
        "import subprocess", "from subprocess import run", "import os\nos.execv('x', [])",
        "import pty", "from os import posix_spawnp", "import os\nos.fork()", "import ctypes.util",
        "import _socket", "import asyncio\nasyncio.create_subprocess_exec('x')",
        "import multiprocessing.pool",
    ],
)  # fmt: skip
def test_a_module_that_starts_processes_is_seen(source: str) -> None:
    assert starts_processes(source)
    assert not starts_processes("import os, socket\nos.getpid()")


def clients_imported(source: str) -> set[str]:
    """The packages of Kaggle that a module imports."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add((node.module or "").partition(".")[0])
    return found & {"kaggle", "kagglesdk", "kagglehub"}


def test_only_the_provider_imports_the_client_of_kaggle() -> None:
    assert clients_imported("def f():\n    from kagglesdk.x import y") == {"kagglesdk"}
    inside = PACKAGE / "providers" / "kaggle"
    others = [
        path.name
        for path in PACKAGE.rglob("*.py")
        if not path.is_relative_to(inside) and clients_imported(path.read_text(encoding="utf-8"))
    ]
    assert others == []
    assert any(clients_imported(path.read_text(encoding="utf-8")) for path in inside.glob("*.py"))


def test_the_provider_costs_nothing_until_it_is_asked(tmp_path: Path) -> None:
    code = (
        "import sys, kit.providers.kaggle, kit.providers.kaggle.doctor\n"
        "print(*[m for m in ('kaggle', 'kagglesdk', 'requests', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []
    assert list(tmp_path.iterdir()) == []
