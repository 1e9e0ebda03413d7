"""Texts that say nothing, are too long to be read whole, or were decoded wrongly."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from kit.checks.finding import Evidence
from kit.checks.material import Material
from kit.errors import counted
from kit.preprocessing.tokens import LONGEST
from kit.tables import file_encoding, table_format

_WRONG = r"\ufffd|[\x80-\x9f]|Ã[\x80-\xbf]|â€"  # lost letters; UTF-8 read as something else


def encodings(m: Material) -> Iterator[Evidence]:
    """Files that are not UTF-8 and carry no mark of what they are."""
    names = m.settings.files
    for name in (names.train, names.test):
        path = m.competition.raw / name
        if table_format(path) in (".csv", ".tsv", None) and file_encoding(path) == "latin-1":
            yield Evidence(
                text=f"{name} is not UTF-8 and was read as Latin-1, where any byte is a letter",
                remedy="look at letters beyond ASCII; if they are wrong, save the file as UTF-8",
            )


def blank(m: Material) -> Iterator[Evidence]:
    """Text columns with missing or blank texts, however few."""
    for name in _columns(m):
        missing, empty = 0, 0
        for column in (m.X[name], m.X_test[name]):
            missing += int(column.isna().sum())
            empty += int((column.dropna().str.strip() == "").sum())
        rows = len(m.X) + len(m.X_test)
        if missing + empty:
            yield Evidence(
                text=f"{name!r}: {missing} missing and {empty} blank of {rows} texts",
                remedy="models see a text without words there; is it meant to be so?",
                column=name,
            )


def cut(m: Material) -> Iterator[Evidence]:
    """Texts that are longer than what is read of them."""
    for name in _columns(m):
        lengths = pd.concat([m.X[name], m.X_test[name]]).str.len()
        long = int((lengths > LONGEST).sum())
        if long:
            yield Evidence(
                text=f"{name!r}: {counted(long, 'text is', 'texts are')} longer than {LONGEST:,} "
                f"characters (the longest {int(lengths.max()):,})",
                remedy="the rest is not read; if it matters, make columns of it in features.py",
                column=name,
            )


def undecodable(m: Material) -> Iterator[Evidence]:
    """Texts with letters that decoding lost or got wrong."""
    for name in _columns(m):
        known = pd.concat([m.X[name], m.X_test[name]]).dropna()
        wrong = known[known.str.contains(_WRONG)]
        if len(wrong):
            yield Evidence(
                text=f"{name!r}: {len(wrong)} of {len(known)} texts hold letters that were decoded "
                f"wrongly, e.g. {_around(wrong.iloc[0])!r}",
                remedy="save the file in the encoding it was written in; models survive it",
                column=name,
            )


def _columns(m: Material) -> list[str]:
    return [name for name, kind in m.kinds.items() if kind == "text" and name in m.X]


def _around(text: str) -> str:
    place = pd.Series([text]).str.extract(f"(.{{0,10}}(?:{_WRONG}).{{0,10}})", expand=False)[0]
    return str(place)
