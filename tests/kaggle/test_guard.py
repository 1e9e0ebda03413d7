"""The guards of the suite: each catches what it is for."""

from __future__ import annotations

import ast
import os
import socket
import subprocess
import sys
from pathlib import Path

import kagglesdk.kaggle_env as environment
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
