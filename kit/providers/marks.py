"""Marks in the descriptions of submissions: how kit finds its own again. Standard library only.

One is ``[kit 3f9a2c41b07e-5d1c]``: the first digits of what is handed in (`Receipt.content`: of a
file its SHA-256), and some of the attempt. An earlier kit marked kernels ``[kit 3f9a2c41b0 v2]``.
"""

from __future__ import annotations

import re
import secrets

_DIGITS = 12
_MARK = re.compile(r"\s*\[kit ([0-9a-f]{12}-[0-9a-f]{4}|[0-9a-f]{10} v[0-9]+)\]$")


def content_mark(digest: str) -> str:
    """What every submission of this content carries, up to the attempt."""
    return f"[kit {digest[:_DIGITS]}-"


def attempt_mark(digest: str) -> str:
    """A new mark for one attempt to hand in this content."""
    return f"{content_mark(digest)}{secrets.token_hex(2)}]"


def mark_in(message: str) -> str:
    """What stands in the mark at the end of a description, "" without one.

    >>> mark_in("first try [kit 3f9a2c41b07e-5d1c]")
    '3f9a2c41b07e-5d1c'
    """
    found = _MARK.search(message)
    return found.group(1) if found else ""


def unmarked(message: str) -> str:
    """A description without the mark.

    >>> unmarked("first try [kit 3f9a2c41b07e-5d1c]")
    'first try'
    """
    return _MARK.sub("", message)
