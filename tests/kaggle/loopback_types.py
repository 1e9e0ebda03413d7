"""Types of the fixtures, and the check of the SDK's addresses."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

import kagglesdk.kaggle_env as environment
import pytest

from kit.providers.kaggle.client import Patience


class Naps:
    """Waits without waiting, and remembers for how long."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


Patient = Callable[..., Patience]
LOOPBACK = {"127.0.0.1", "localhost", "::1"}


def check_endpoints() -> None:
    open_ = [
        f"{each.name} {address}"
        for each in environment.KaggleEnv
        if urlsplit(address := environment.get_endpoint(each)).hostname not in LOOPBACK
    ]
    if open_:
        pytest.fail(f"the suite could reach {', '.join(open_)}")
