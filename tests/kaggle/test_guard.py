"""The guards of the suite: each catches what it is for."""

from __future__ import annotations

import socket
from pathlib import Path

import kagglesdk.kaggle_env as environment
import pytest
from loopback_types import check_endpoints


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
