"""Does every row have a name of its own, and do the three files agree on the names?"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from kit.checks.finding import Evidence
from kit.checks.material import Material
from kit.kinds import some
from kit.mapped import BLOCK
from kit.sampled import among


def unusable(m: Material) -> Iterator[Evidence]:
    """Ids that are missing or repeat."""
    files = m.settings.files
    for frame, name, file in (
        (m.roles, m.columns.id, files.train),
        (m.test_ids, m.test_id, files.test),
    ):
        if name in frame.columns:
            yield from _unusable(frame[name], file)


def _unusable(column: pd.Series, file: str) -> Iterator[Evidence]:
    remedy = 'name another column: [columns] id = "…"; id = "" numbers the rows of train'
    missing = int(column.isna().sum())
    if missing:
        yield Evidence(
            text=f"{file}: {column.name!r} is empty in {missing} of {len(column)} rows",
            remedy=remedy,
            columns=(str(column.name),),
        )
    ids = column.dropna().astype("str").str.strip()
    twice = ids[ids.duplicated()]
    if len(twice):
        yield Evidence(
            text=f"{file}: {len(twice)} of {len(column)} rows repeat an id in {column.name!r}, "
            f"first: {some(twice.unique())}",
            remedy=remedy,
            columns=(str(column.name),),
        )


def shared(m: Material) -> Iterator[Evidence]:
    """Ids of train that also occur in test."""
    if m.columns.id not in m.train.columns or m.test_id not in m.test.columns:
        return
    both = m.all_ids[among(m.all_ids, m.all_test_ids)]
    if both.empty:
        return
    first = _first(pd.concat([m.all_ids, m.unlabelled]))
    numbering = first is not None and first == _first(m.all_test_ids)
    yield Evidence(
        text=f"{len(both)} of {len(m.all_ids)} ids of train are in test too, first: {some(both)}"
        + (" (both files just number their rows)" if numbering else ""),
        remedy="nothing to do if they are only numbers of rows"
        if numbering
        else "if an id names a thing that has rows in both files (a customer, a patient), its rows "
        'belong together: make it a column of its own and set [columns] group = "…"',
        columns=(m.columns.id,),
        severity="info" if numbering else None,
    )


def _first(ids: pd.Series) -> float | None:
    """Where ids that are running numbers without a gap start; None for other ids."""
    low, high = np.inf, -np.inf
    for start in range(0, len(ids), BLOCK):  # of many not all are Python objects at a time
        numbers = pd.to_numeric(ids.iloc[start : start + BLOCK], errors="coerce")
        if numbers.isna().any():
            return None
        low, high = min(low, float(numbers.min())), max(high, float(numbers.max()))
    return low if high - low + 1 == len(ids) else None


def sample_differs(m: Material) -> Iterator[Evidence]:
    """Ids of the sample submission that are not those of test."""
    name, files = m.settings.submission.id, m.settings.files
    if name not in m.sample.columns:
        return
    sample = m.sample[name].astype("str").str.strip()
    remedy = "is it the sample submission of these files? [files] and submission.id name them"
    if not m.test_id:
        if len(sample) != len(m.test):
            yield Evidence(
                text=f"{files.test} has no id column and {len(m.test)} rows, however "
                f"{files.sample_submission} has {len(sample)}",
                remedy=remedy,
            )
        return
    if m.test_id not in m.test.columns:
        return
    extra = sample[~among(sample, m.test_row_ids)]
    for found, what in (
        (extra, f"ids of {files.sample_submission} are not in {files.test}"),
        (sample[sample.duplicated()], f"rows of {files.sample_submission} repeat an id"),
    ):
        if len(found):
            text = f"{len(found)} {what}, first: {some(found.unique())}"
            yield Evidence(text=text, remedy=remedy, columns=(name,))


def sample_short(m: Material) -> Iterator[Evidence]:
    """Ids of test that the sample submission does not ask for."""
    name, files = m.settings.submission.id, m.settings.files
    if not m.test_id or m.test_id not in m.test.columns or name not in m.sample.columns:
        return
    asked = m.sample[name].astype("str").str.strip()
    absent = m.test_row_ids[~among(m.test_row_ids, asked)]
    if len(absent):
        yield Evidence(
            text=f"{len(absent)} ids of {files.test} are not in {files.sample_submission}, "
            f"first: {some(absent.unique())}; the file handed in leaves them out, too",
            remedy="look at the competition's page: if it scores all rows of test, put all ids "
            f"into data/raw/{files.sample_submission}",
            columns=(name,),
        )
