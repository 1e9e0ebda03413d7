"""Do the files hold what `kit.toml` says, and do train and test agree?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pandas as pd

from kit.checks.finding import Evidence
from kit.checks.material import Material
from kit.dataset import AS_TEXT
from kit.errors import nearest
from kit.kinds import absent, some, untold
from kit.quantities import as_numbers

_KNOWN = 0.5  # of digits beside words: if the other file has so many of them, these are labels


def files(m: Material) -> Iterator[Evidence]:
    """Files that are missing, empty or unreadable."""
    names = m.settings.files
    three = dict.fromkeys((names.train, names.test, names.sample_submission))
    missing = [name for name in three if name and not (m.competition.raw / name).is_file()]
    for name in missing:
        yield Evidence(
            text=f"{m.competition.raw / name} does not exist",
            remedy="`kit data` brings the files; [files] in kit.toml names them",
        )
    for error in (m.problems.get("tables"), m.problems.get("sample")):
        if error is not None and not any(name in str(error) for name in missing):
            yield Evidence(text=str(error), remedy="fetch the file again: `kit data --force`")


def unknown_names(m: Material) -> Iterator[Evidence]:
    """Columns that `kit.toml` names and the files do not have."""
    columns, train, test = m.columns, list(m.train.columns), list(m.test.columns)
    either = [*train, *(name for name in test if name not in train)]
    mentioned: list[tuple[str, Iterable[str | None], list[str], str]] = [
        ("columns.target", columns.target, train, m.settings.files.train),
        ("columns.id", [columns.id], train, m.settings.files.train),
        ("columns.test_id", [m.test_id], test, m.settings.files.test),
        ("columns.group", [columns.group], train, m.settings.files.train),
        ("columns.time", [columns.time], train, m.settings.files.train),
        ("columns.weight", [columns.weight], train, m.settings.files.train),
        ("columns.drop", columns.drop, either, "train or test"),
    ]
    if m.has(["sample"]):
        header, name = [str(c) for c in m.sample.columns], m.settings.files.sample_submission
        mentioned.append(("submission.id", [m.settings.submission.id], header, name))
        mentioned.append(("submission.copied", m.settings.submission.copied, header, name))
        mentioned.append(("submission.columns", m.settings.submission.columns, header, name))
    for key, names, known, file in mentioned:
        for name in filter(None, names):
            if name not in known:
                yield Evidence(
                    text=f"{key}: {name!r} is no column of {file}",
                    remedy=f"correct {key} in kit.toml. {nearest(name, known)}",
                    columns=(name,),
                )


def train_only(m: Material) -> Iterator[Evidence]:
    """Columns a model cannot use because test lacks them."""
    for name in m.train_only:
        yield Evidence(
            text=f"{name!r} is in {m.settings.files.train} only",
            remedy="a model cannot use what test lacks: [columns] drop = [{columns}]",
            column=name,
        )


def test_only(m: Material) -> Iterator[Evidence]:
    """Columns of test that train lacks; kit does not use them."""
    known = {*m.train.columns, *m.columns.drop, m.test_id}
    for name in m.test.columns:
        if name not in known:
            yield Evidence(
                text=f"{name!r} is in {m.settings.files.test} only",
                remedy="not used, as nothing can be learned of it: [columns] drop = [{columns}] "
                "says so. Or is a column of train spelled differently?",
                column=str(name),
            )


def other_types(m: Material) -> Iterator[Evidence]:
    """Columns that are numbers in one file and text in the other."""
    read_as_text = {name for name, kind in m.columns.kinds.items() if kind in AS_TEXT}
    aside = {*m.columns.target, *m.columns.drop, m.columns.id, m.test_id, *m.unfit}
    for name in m.train.columns:
        if name in aside or name not in m.test.columns:
            continue
        as_numeric = m.columns.kinds.get(name) == "numeric"
        without = untold if as_numeric else absent
        pair = [frame[name][~without(frame[name])] for frame in (m.train, m.test)]
        numeric = [_numbers(column, as_numeric) for column in pair]
        if pair[0].empty or pair[1].empty or numeric[0] == numeric[1]:
            continue
        words = pair[numeric.index(False)]
        digits = pd.to_numeric(words, errors="coerce").notna()
        known = words[digits].astype("str").isin(set(pair[numeric.index(True)].astype("str")))
        if name in read_as_text and known.mean() >= _KNOWN:
            continue  # labels, some of which are spelled with digits
        odd = words[~digits].unique()
        if not len(odd) and as_numeric:
            continue  # numbers, but for blank cells
        where = m.settings.files.test if numeric[0] else m.settings.files.train
        yield Evidence(
            text=f"{name!r} is text in {where} only, e.g. {some(odd if len(odd) else words)}",
            remedy="say what it is in [columns.kinds]: category, numeric, code, text, datetime or "
            "id for {columns}",
            column=str(name),
        )


def _numbers(column: pd.Series, measured: bool) -> bool:
    """Whether a column holds numbers only; if `measured` also such as "12 kg"."""
    if pd.api.types.is_numeric_dtype(column):
        return True
    numbers = as_numbers(column) if measured else pd.to_numeric(column, errors="coerce")
    return bool(numbers.notna().all())


def unfit_kinds(m: Material) -> Iterator[Evidence]:
    """Columns whose values contradict their kind."""
    for name, message in m.unfit.items():
        yield Evidence(
            text=message.splitlines()[0].rstrip("."),
            remedy="another kind for {columns} in [columns.kinds]: category, code, text, "
            "datetime or id",
            column=name,
        )


def unknown_kinds(m: Material) -> Iterator[Evidence]:
    """Entries of `columns.kinds` for columns that do not exist (any more)."""
    known = {*m.train.columns, *m.test.columns, *m.raw_X.columns}
    for name, kind in m.columns.kinds.items():
        if name not in known:
            yield Evidence(
                text=f"{name!r} ({kind}) is in neither file nor made by features.py",
                remedy="take {columns} out of [columns.kinds], or correct the name",
                column=name,
            )


def lost_values(m: Material) -> Iterator[Evidence]:
    """Values that become missing because they do not fit the column's kind."""
    known = {item.column for item in other_types(m)}  # says the same
    for name, kind in m.kinds.items():
        if kind not in ("numeric", "datetime") or name in known:
            continue
        for raw, made, file in (
            (m.raw_X[name], m.X[name], m.settings.files.train),
            (m.raw_X_test[name], m.X_test[name], m.settings.files.test),
        ):
            lost = np.flatnonzero(made.isna().to_numpy() & ~untold(raw).to_numpy())
            if len(lost):
                yield Evidence(
                    text=f"{name!r}: {len(lost)} of {len(raw)} values in {file}, "
                    f"e.g. {some(raw.iloc[lost].unique())}",
                    remedy="they count as missing; mend them in features.py if they mean "
                    "something, or give {columns} another kind in [columns.kinds]",
                    column=name,
                )
