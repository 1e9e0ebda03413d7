"""Tables that no file is called: the sample submission by its columns, and how to make others."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from kit.errors import DataError
from kit.sampled import read_columns
from kit.scaffold.long_ids import words_for_each
from kit.spelling import find_name, plain
from kit.tables import read_header, read_table


def unnamed_samples(tables: Sequence[Path], train: Path, test: Path) -> list[Path]:
    """Tables like a sample submission that are not called so: "benchmark.csv".

    They are the id and what test lacks of the columns of train, with the ids of test.
    """
    in_test = read_header(test)
    lacking = [name for name in read_header(train) if not find_name(name, in_test)]
    found = []
    for path in (path for path in tables if path not in (train, test)):
        with suppress(DataError):  # no table of kit's: nothing depends on it
            key, *answers = map(str.strip, read_header(path))
            own = find_name(key, in_test)
            if not own or not answers or not all(find_name(name, lacking) for name in answers):
                continue
            ids = [plain(read_columns(p, [n])[n]) for p, n in ((path, key), (test, own))]
            found += [path] if sorted(ids[0]) == sorted(ids[1]) else []
    return found


def way_to_rows(role: str, tables: Sequence[Path], samples: Sequence[Path]) -> str:
    """What to say where there is no table of train or test: its rows may have to be made.

    Args:
        role: "train" or "test".
        tables: all tables.
        samples: those that are called like a sample submission.
    """
    both = ""
    if role == "test":
        both = (
            " Where one file holds both, write the rows without a target into a file of their own "
            "and both into a folder for --from."
        )
    if len(samples) != 1 or len(read_header(samples[0])) < 2:
        return both
    sample = samples[0].name
    key, answer, *_ = map(str.strip, read_header(samples[0]))
    ids = read_table(samples[0], as_text=[key])[key]
    first = ids.iloc[0]
    words = words_for_each(ids, sample)
    if words:
        return f"\n  {words}"
    if any(find_name(answer, read_header(path)) for path in tables if path != samples[0]):
        made = f" Where no file does, make one of the ids of {sample}, such as {first!r}, and of "
        return f"{both}{made}what is known of each beforehand." if role == "test" else ""
    return (
        f"\n  {sample} asks for {answer!r} of each id such as {first!r}, and no other table has "
        "that column: such rows have to be made first. Write a train table with a row per id "
        "whose answer is known (the id, what was known beforehand, the answer), a test table of "
        f"the ids of {sample} without the answer, and a copy of {sample} into a folder for --from."
    )
