"""What a text is cut into: words, and the items of a list.

A cell may hold a list: JSON (`["red wine", "salt"]`), Python's spelling of one, or what
`kit.tables` makes of a JSON record's list (`red wine | salt`). Its items count as words, too.
"""

from __future__ import annotations

import ast
import json
import re
import unicodedata
import warnings
from collections.abc import Mapping

import pandas as pd

from kit.moments import spread
from kit.preprocessing.escapes import unescaped

LONGEST = 100_000
"""Characters of a text that are read; `kit check` counts longer ones."""

_SENTENCE, _LOOKED = 8.0, 2000  # words of what is written to be read; texts that are looked at
MARKS = "".join(map(chr, filter(lambda c: unicodedata.category(chr(c))[0] == "M", range(0x1B00))))
"""Vowels and accents that are written onto a letter (Hindi, Tamil, Thai); `\\w` leaves them out."""
ALONE = (
    "\u3041-\u309f\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u0e01-\u0eff\u1000-\u109f\u1780-\u17ff"
)
"""Ranges of letters that are words by themselves where nothing is left blank between words:
hiragana, Chinese characters, Thai, Lao, Burmese, Khmer."""

_WORD = re.compile(r"\w+")
_OTHER = re.compile(f"[{MARKS}{ALONE}]")
_OTHER_WORD = re.compile(rf"[{ALONE}][{MARKS}]*|(?:[^\W{ALONE}]|[{MARKS}])+")
_ITEM_WORDS = 5  # longer items are sentences: their words say enough


def documents(column: pd.Series) -> list[str]:
    """The texts of a column, escapes as letters; missing ones are empty, very long ones are cut."""
    return [unescaped(str(text)[:LONGEST]) for text in column.fillna("")]


def texts_lead(table: pd.DataFrame, kinds: Mapping[str, str]) -> bool:
    """Whether it is the texts that matter: one holds sentences, or most columns are texts.

    Names and titles are shorter, and stand beside what says more.

    Args:
        table: rows with the columns.
        kinds: kind per feature column.
    """
    texts = [name for name, kind in kinds.items() if kind == "text"]
    mostly = len(texts) > sum(kind != "id" for kind in kinds.values()) / 2
    return bool(texts) and (mostly or any(_length(table[name]) >= _SENTENCE for name in texts))


def _length(column: pd.Series) -> float:
    """Words per text, in the mean of some."""
    known = column.dropna().astype("str")
    word = rf"[{ALONE}]|[^\s{ALONE}]+"
    return float(spread(known, _LOOKED).str.count(word).mean()) if len(known) else 0.0


def words(text: str) -> list[str]:
    """Words in order; items of several words follow, joined by underscores.

    Of scripts without blanks between words each letter is one, see `ALONE`.
    """
    # one pattern for all scripts would be slower where it makes no difference
    word = _OTHER_WORD if _OTHER.search(text) else _WORD
    found = word.findall(text)
    parts = [word.findall(item) for item in items(text)]
    return found + ["_".join(part) for part in parts if 1 < len(part) <= _ITEM_WORDS]


def items(text: str) -> list[str]:
    """The items of a list; none where the text is no list."""
    bare = text.strip()
    if bare[:1] == "[" and bare[-1:] == "]":
        for read in (json.loads, _python):
            try:
                found = read(bare)
            except (ValueError, SyntaxError, RecursionError, MemoryError):
                continue
            return [str(item) for item in found] if isinstance(found, list) else []
    return text.split(" | ") if " | " in text else []


def _python(text: str) -> object:
    """What Python's spelling of a value says, without its remarks on what is no such spelling."""
    with warnings.catch_warnings(action="ignore"):  # of "[12yo] need help [NY]"
        return ast.literal_eval(text)
