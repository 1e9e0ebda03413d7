"""What a submission file has to look like: header, ids and their order, as the sample spells them.

Where a competition has no sample submission, `kit.toml` gives the header and the test file the ids.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from kit.competition import Competition
from kit.errors import ConfigError, DataError
from kit.separators import Form
from kit.spelling import TRUTHS
from kit.tables import file_form, read_header, read_table

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True, eq=False)
class Shape:
    """The form of a valid file.

    Attributes:
        header: all column names exactly as spelled, in order.
        key: position of the id column in `header`; -1: it has none.
        columns: names of the columns to be predicted, blanks cut off, in order.
        ids: ids exactly as spelled, in order; numbers of rows where the file has none; None where
            no file tells.
        copied: cells that repeat those of test, by position in `header`.
        form: what stands between cells and in front of decimals.
        flags: how no and yes are spelled in a multilabel submission.
        source: the file that prescribes all this, None for `kit.toml`.
    """

    header: tuple[str, ...]
    key: int
    columns: tuple[str, ...]
    ids: pd.Series | None
    flags: tuple[str, str] = ("0", "1")
    source: Path | None = None
    copied: Mapping[int, pd.Series] = field(default_factory=dict)
    form: Form = field(default_factory=Form)

    @property
    def id(self) -> str:
        """Name of the id column as spelled; empty where there is none."""
        return self.header[self.key] if self.key >= 0 else ""

    def write(self, table: pd.DataFrame, path: Path) -> None:
        """Write a table of this form."""
        sep, decimal = self.form.separator, self.form.decimal
        table.to_csv(path, sep=sep, decimal=decimal, index=False, lineterminator="\n")

    def ids_of(self, table: pd.DataFrame) -> pd.Series:
        """The ids of a file of this form as spelled; rows without ids are numbered."""
        return table[self.id] if self.id else numbers_of(table)


def expected(competition: Competition) -> Shape:
    """Read the sample submission; without one, `kit.toml` and the test file.

    Raises:
        ConfigError: `kit.toml` and the sample submission name different columns.
        DataError: a file cannot be read, or the sample repeats ids.
    """
    settings = competition.settings
    sample = competition.raw / settings.files.sample_submission
    if settings.files.sample_submission and not sample.is_file():
        raise DataError(
            f"{sample} does not exist, so that nothing can be checked against it.\n"
            "  `kit data` brings it; where the competition has none, set "
            'files.sample_submission = "" in kit.toml.'
        )
    if not settings.files.sample_submission:
        columns = settings.submission.columns or settings.columns.target
        header = (*filter(None, [settings.submission.id]), *columns)
        key = 0 if settings.submission.id else -1
        return Shape(header=header, key=key, columns=columns, ids=test_ids(competition))
    header = tuple(read_header(sample))
    names = tuple(name.strip() for name in header)
    _check_names(competition, sample, names)
    key = names.index(settings.submission.id) if settings.submission.id else -1
    table = read_table(sample, as_text=names)
    ids = table[names[key]].fillna("") if key >= 0 else numbers_of(table)
    if ids.str.strip().duplicated().any():
        twice = ids[ids.str.strip().duplicated()].iloc[0]
        raise DataError(
            f"{sample} repeats ids in {names[key]!r}, first: {twice!r}; they must differ.\n"
            "  Name the column that is unique as submission.id in kit.toml."
        )
    copied = [k for k, name in enumerate(names) if name in settings.submission.copied]
    columns = tuple(name for k, name in enumerate(names) if k not in (key, *copied))
    return Shape(
        header=header,
        key=key,
        columns=columns,
        ids=ids,
        flags=_flags(table[list(columns)]),
        source=sample,
        copied={k: table[names[k]].fillna("") for k in copied},
        form=file_form(sample),
    )


def numbers_of(table: pd.DataFrame) -> pd.Series:
    """The ids of rows that have none: "0", "1", "2", ... as test's are numbered then."""
    import pandas as pd

    return pd.Series(range(len(table)), dtype="str")


def _check_names(competition: Competition, sample: Path, names: tuple[str, ...]) -> None:
    submission = competition.settings.submission
    wanted = {*filter(None, [submission.id]), *submission.copied}
    wanted |= {*(submission.columns or competition.settings.columns.target)}
    if wanted != set(names):
        raise ConfigError(
            f"{competition.root / 'kit.toml'}: [submission] id, copied and columns must be "
            f"those of {sample.name}.\n  kit.toml: {sorted(wanted)[:10]}\n  {sample.name}: "
            f"{sorted(names)[:10]}"
        )


def _flags(cells: pd.DataFrame) -> tuple[str, str]:
    """The pair that spells every cell, e.g. ("False", "True"); ("0", "1") where none does."""
    found = {str(value).strip() for name in cells for value in cells[name].unique()[:3]}
    return next((pair for pair in TRUTHS if found <= set(pair)), TRUTHS[0])


def test_ids(competition: Competition) -> pd.Series | None:
    """The ids of the test file as spelled; None where it has none."""
    columns, files = competition.settings.columns, competition.settings.files
    name = columns.id if columns.test_id is None else columns.test_id
    test = competition.raw / files.test
    if not name or not test.is_file():
        return None
    table = read_table(test, as_text=[name])
    return table[name].fillna("") if name in table else None
