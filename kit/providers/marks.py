"""Marks in the descriptions of submissions: how kit finds its own again. Standard library only.

A file's is ``[kit 3f9a2c41b07e-5d1c]``: the first digits of its SHA-256, and some of the attempt. A
kernel's is ``[kit 3f9a2c41b0 v2]``: the first digits of the bundle's digest, and the version.
"""

from __future__ import annotations

import re
import secrets

_FILE, _BUNDLE = 12, 10  # digits
_MARK = re.compile(r"\s*\[kit ([0-9a-f]{12}-[0-9a-f]{4}|[0-9a-f]{10} v[0-9]+)\]$")


def file_mark(digest: str) -> str:
    """What every submission of a file with this SHA-256 carries, up to the attempt."""
    return f"[kit {digest[:_FILE]}-"


def attempt_mark(digest: str) -> str:
    """A new mark for one attempt to hand in a file with this SHA-256."""
    return f"{file_mark(digest)}{secrets.token_hex(2)}]"


def kernel_mark(digest: str, version: int) -> str:
    """The mark of a version of a kernel, made of the bundle with this digest."""
    return f"[kit {digest[:_BUNDLE]} v{version}]"


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
