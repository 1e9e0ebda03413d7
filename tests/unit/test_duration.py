"""Durations as people write them."""

from __future__ import annotations

import pytest

from kit.duration import parse_duration
from kit.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("10m", 600),
        ("1h", 3600),
        ("1h30m", 5400),
        ("2d", 172800),
        ("1.5h", 5400),
        ("1H 30M", 5400),
        (" 5m ", 300),
        ("0h1s", 1),
    ],
)
def test_a_duration_is_read(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "10", "m", "-5m", "5 minutes", "1h30", "h1", "1w"])
def test_what_is_no_duration_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ConfigError, match=r"looks like 90s, 10m, 1h or 1h30m. Received"):
        parse_duration(text)


def test_no_time_at_all_is_refused() -> None:
    with pytest.raises(ConfigError, match="longer than nothing"):
        parse_duration("0s")
