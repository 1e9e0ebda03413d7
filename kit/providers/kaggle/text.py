"""Text of other people, made harmless: no control characters, no escape sequences, no secrets.

All of it can be written as UTF-8. Standard library only.
"""

from __future__ import annotations

import re
import unicodedata

_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\^_])")
# letters that are not seen, or turn the direction of what follows
_INVISIBLE = {*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F, 0x061C, 0xFEFF}
_MOST = 10_000  # characters of a message that are looked at
_SIGNED = re.compile(r"(https?://[^\s?'\"<>]+)\?[^\s'\"<>)]*")


def lines(text: object) -> str:
    """Text that may have several lines: control characters and escape sequences removed."""
    clean = _ESCAPES.sub("", str(text or "")).replace("\r\n", "\n").replace("\r", "\n")
    clean = clean.replace("\t", "    ")
    return "".join(c for c in clean if c == "\n" or not _control(c))


def line(text: object, longest: int = 300) -> str:
    """Text on one line, at most `longest` characters of it."""
    flat = " ".join(lines(text).split())
    return flat if len(flat) <= longest else flat[: longest - 1].rstrip() + "…"


def redacted(text: object) -> str:
    """One line without the signatures of signed addresses."""
    return line(_SIGNED.sub(r"\1", str(text or "")[:_MOST]))


def _control(character: str) -> bool:
    # half of a surrogate pair, which JSON can carry, cannot be written as UTF-8
    return unicodedata.category(character) in ("Cc", "Cs") or ord(character) in _INVISIBLE
