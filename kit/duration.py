"""Durations as people write them: 90s, 10m, 1h30m, 2d."""

from __future__ import annotations

import re

from kit.errors import ConfigError

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_PART = re.compile(r"(\d+(?:\.\d+)?)([smhd])")


def parse_duration(text: str) -> float:
    """Seconds of a duration.

    Raises:
        ConfigError: it cannot be read, or is not positive.

    >>> parse_duration("1h30m")
    5400.0
    """
    cleaned = text.strip().lower().replace(" ", "")
    parts = _PART.findall(cleaned)
    if not parts or "".join(number + unit for number, unit in parts) != cleaned:
        raise ConfigError(f"a duration looks like 90s, 10m, 1h or 1h30m. Received: {text!r}")
    seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if seconds <= 0:
        raise ConfigError(f"a duration must be longer than nothing. Received: {text!r}")
    return seconds
