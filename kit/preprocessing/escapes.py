r"""Letters spelled as programs spell them ("isn\u2019t", "one\n\nTwo", "\xc2\xa0"), as letters.

Texts that were exported so hold words such as "nTwo" and "xa0you", which no other text has.
"""

from __future__ import annotations

import re

_BYTES = r"(?P<bytes>(?:\\{1,2}x[0-9a-fA-F]{2})+)"
_UNITS = r"(?P<units>(?:\\{1,2}u[0-9a-fA-F]{4})+)"
_BREAK = r"\\{1,2}[nrt]"
# one break before a small letter may be the beginning of a name: C:\new, \nabla
_ESCAPES = re.compile(rf"{_BYTES}|{_UNITS}|(?:{_BREAK}){{2,}}|{_BREAK}(?![a-z])")
_IN_A_LIST = re.compile(rf"{_BYTES}|{_UNITS}|{_BREAK}")
_BREAKS = {"n": "\n", "r": "\r", "t": "\t"}


def unescaped(text: str) -> str:
    r"""A text with letters in the place of escapes.

    Bytes (`\x..`) are UTF-8, or Latin-1 where they cannot be, `\u....` units of UTF-16. A text with
    a line break of its own is left as it is: there "\n" is what it speaks of. In a list (`["a\n"]`)
    breaks become blanks and what its spelling needs stays, so that it can be read as one.
    """
    if "\\" not in text or "\n" in text:
        return text
    if text.lstrip()[:1] == "[":
        return _IN_A_LIST.sub(_harmless, text)
    return _ESCAPES.sub(_letters, text)


def _letters(found: re.Match[str]) -> str:
    if found["bytes"]:
        raw = bytes.fromhex(found["bytes"].replace("\\", "").replace("x", ""))
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError:
            return raw.decode("latin-1")
    if found["units"]:
        raw = bytes.fromhex(found["units"].replace("\\", "").replace("u", ""))
        return raw.decode("utf-16-be", errors="replace")
    return "".join(_BREAKS[letter] for letter in found[0].replace("\\", ""))


def _harmless(found: re.Match[str]) -> str:
    letters = _letters(found)
    return "".join(" " if ord(c) < ord(" ") or c in "\"'\\" else c for c in letters)
