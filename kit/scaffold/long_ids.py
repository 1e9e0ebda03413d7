"""Submissions in a long form: rows for a row of test or an image and for what is asked about it.

Owns: knowing them by their ids ("ID_12_-3", "scan7_fracture") and by names of columns of train in
test and in the sample submission, and the way out: kit hands in one row per row of test.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

import pandas as pd

from kit.errors import ConfigError
from kit.spelling import plain

_MARKS = ("_", "|", " ", ":", "-")
_MOST = 0.95  # of the ids begin with a value of test
_WORDS = 60  # different ends at most are what is asked of each
_LETTER = re.compile(r"[^\W\d_]")


def rows_of_test(ids: pd.Series, test: pd.DataFrame, sample: str) -> str:
    """What to say where several ids begin with what a column of test holds; "": none do.

    Args:
        ids: those of the sample submission, as they are spelled.
        test: the table.
        sample: the name of the sample submission's file.
    """
    for mark, heads, ends in _cut(ids):
        for name in map(str, test.columns):
            values = {*plain(test[name].dropna())}
            if len(values) > 1 and heads.isin(values).mean() >= _MOST:
                return (
                    f"  Ids such as {ids.iloc[0]!r} are made of test's {name!r} and, behind the "
                    f"last {mark!r}, one of {ends.nunique()} others such as {ends.iloc[0]!r}: such "
                    f"rows have to be made first. Write a test table with a row per id of {sample} "
                    f"(the id, the columns that belong to its {name!r}, what stands behind), a "
                    f"train table of such rows with their answers, and a copy of {sample} into a "
                    f"folder for --from; with --group {name} rows of one {name!r} stay in one fold."
                )
    return ""


def words_for_each(ids: pd.Series, sample: str) -> str:
    """What to say where every first part comes with the same few second ones; "": they do not."""
    for mark, heads, ends in _cut(ids):
        words = sorted({*ends})
        if not 2 <= len(words) <= _WORDS or not all(map(_LETTER.search, words)):
            continue
        if len(ids) == heads.nunique() * len(words) and heads.nunique() > 1:
            return (
                f"Ids such as {ids.iloc[0]!r} are made of a name and one of {len(words)} words "
                f"({', '.join(words[:6])}{', …' if len(words) > 6 else ''}). kit hands in a row "
                "per name: make a train table and a sample submission with a row per name and a "
                f"column per word, and bring the file that `kit submit --dry-run` writes into the "
                f"form of {sample}, a row per name and word (the word behind {mark!r})."
            )
    return ""


def refuse_names_of_columns(
    sample: pd.DataFrame, test: pd.DataFrame, column: str, only: Collection[str]
) -> None:
    """Refuse what asks for columns of train by their names: row by row in test, or in a cell.

    Args:
        sample: the sample submission.
        test: the table.
        column: the one that is to be filled in.
        only: columns that train has and test has not.

    Raises:
        ConfigError: with the way out.
    """
    for name in map(str, test.columns):
        asked = sorted({*test[name].dropna().astype("str")})
        if len(asked) > 1 and {*asked} <= {*only}:
            raise ConfigError(
                f"{name!r} of test says which column of train is asked for ({', '.join(asked[:6])})"
                ": a row of the submission is a single value. kit hands in one row per thing: make "
                "a test table and a sample submission with a row each and a column per target, and "
                "bring the file that `kit submit --dry-run` writes into the long form."
            )
    named = {word for cell in sample[column].dropna() for word in str(cell).split()}
    if named and named <= {*only}:
        raise ConfigError(
            f"{column!r} of the sample submission holds names of columns of train, such as "
            f"{min(named)!r}: which of them apply to a row of test. Where they are 0 and 1 in the "
            "rows to learn from, write them into one column of lists, such as "
            f"{' '.join(sorted(only)[:2])!r}, called {column!r}, in a copy of train in a folder "
            "for --from (what is new since the row before, if that is asked)."
        )


def _cut(ids: pd.Series) -> Iterator[tuple[str, pd.Series, pd.Series]]:
    """Marks that all ids have, with what stands before and behind the last; heads come again."""
    for mark in _MARKS:
        parts = plain(ids).str.rsplit(mark, n=1, expand=True)
        if parts.shape[1] == 2 and not parts.isna().any(axis=None) and parts[0].duplicated().any():
            yield mark, parts[0], parts[1]
