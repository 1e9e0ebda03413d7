"""Would the file be rejected? All the reasons at once, each with the first offending rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kit.competition import Competition
from kit.errors import SubmissionError, counted
from kit.submission.shape import Shape, expected

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

_SHOWN = 5  # reasons in one message
_NOT_A_NUMBER = ("", "nan", "na", "n/a", "null", "none", "<na>")
_WAY_OUT = "Build it again with `kit submit --dry-run`, or mend the rows named above."


def validate(path: Path, competition: Competition) -> list[str]:
    """Compare a file with the sample submission and with what the task allows.

    Returns:
        Notes: what is unusual and yet accepted.

    Raises:
        SubmissionError: the file would be rejected; says all reasons (at most five).
    """
    shape = expected(competition)
    names, table = _read(path, shape.form.separator)
    problems = _header_problems(names, shape)
    if problems:
        _reject(path, problems)
    spelled = shape.ids_of(table)
    ids = spelled.str.strip()
    notes: list[str] = []
    problems = _id_problems(spelled, shape, notes)
    problems += _cell_problems(table, ids, shape, competition, notes)
    if problems:
        _reject(path, problems)
    return notes


def _reject(path: Path, problems: Sequence[str]) -> None:
    lines = [f"{path} would be rejected:", *(f"  {problem}" for problem in problems[:_SHOWN])]
    if len(problems) > _SHOWN:
        lines[-1] += f" (and {len(problems) - _SHOWN} more reasons)"
    raise SubmissionError("\n".join([*lines, f"  {_WAY_OUT}"]))


def _read(path: Path, separator: str) -> tuple[list[str], pd.DataFrame]:
    """The header as spelled, and every cell as text."""
    import pandas as pd

    if not path.is_file():
        raise SubmissionError(f"there is no file {path}. `kit submit --dry-run` builds one.")
    try:
        cells = pd.read_csv(
            path,
            header=None,
            dtype="str",
            keep_default_na=False,
            encoding="utf-8-sig",
            sep=separator,
        ).fillna("")
    except pd.errors.EmptyDataError:
        cells = pd.DataFrame()
    except (ValueError, OSError) as error:
        raise SubmissionError(f"{path} cannot be read as CSV: {error}") from error
    if len(cells) < 2:
        what = "empty" if cells.empty else "a header without rows"
        raise SubmissionError(f"{path} would be rejected: the file is {what}.\n  {_WAY_OUT}")
    names = [str(name) for name in cells.iloc[0]]
    table = cells.iloc[1:].reset_index(drop=True)
    table.columns = names
    return names, table


def _header_problems(names: list[str], shape: Shape) -> list[str]:
    wanted = list(shape.header)
    problems = []
    twice = sorted({name for name in names if names.count(name) > 1})
    missing = [name for name in wanted if name not in names]
    extra = [name for name in names if name not in wanted]
    if twice:
        problems.append(f"columns appear twice: {twice[:5]}.")
    if missing:
        problems.append(f"columns are missing: {missing[:5]}. Received: {names[:10]}.")
    if extra:
        problems.append(f"columns do not belong there: {extra[:5]}. Expected: {wanted[:10]}.")
    if not problems and names != wanted:
        problems.append(f"columns must be in the order {wanted[:10]}. Received: {names[:10]}.")
    return problems


def _id_problems(spelled: pd.Series, shape: Shape, notes: list[str]) -> list[str]:
    if shape.ids is not None and spelled.equals(shape.ids.reset_index(drop=True)):
        return []  # nearly always so, and the rest is slow on millions of rows
    ids = spelled.str.strip()
    problems = []
    repeated = ids[ids.duplicated()]
    if len(repeated):
        problems.append(
            f"{counted(len(repeated), 'id is', 'ids are')} repeated, first: {_some(repeated)}."
        )
    if shape.ids is None:
        notes.append("there is no sample submission and no test id: ids are not checked")
        return problems
    wanted = shape.ids.str.strip()
    if len(ids) != len(wanted):
        problems.insert(
            0, f"{counted(len(wanted), 'row is', 'rows are')} expected. Received: {len(ids)}."
        )
    missing, unknown = wanted[~wanted.isin(ids)], ids[~ids.isin(wanted)]
    if len(missing):
        problems.append(
            f"{len(missing)} of {len(wanted)} ids are missing, first: {_some(missing)}."
        )
    if len(unknown):
        where = shape.source.name if shape.source else "the test file"
        n_ids = counted(len(unknown), "id is", "ids are")
        problems.append(f"{n_ids} not in {where}, first: {_some(unknown)}.")
    if problems:
        return problems
    if (ids.to_numpy() != wanted.to_numpy()).any():
        notes.append("the rows are in another order than the sample's; Kaggle matches them by id")
    elif (spelled.to_numpy() != shape.ids.to_numpy()).any():
        notes.append("some ids differ from the sample's by blanks around them")
    return problems


def _cell_problems(
    table: pd.DataFrame, ids: pd.Series, shape: Shape, competition: Competition, notes: list[str]
) -> list[str]:
    task, submission = competition.settings.task, competition.settings.submission
    given = (shape.key, *shape.copied)
    columns = [name for position, name in enumerate(shape.header) if position not in given]
    if submission.wants == "label" and task.type not in ("regression", "multitarget"):
        labels = submission.labels or task.classes or shape.flags
        if task.separator:
            return _several_problems(table[columns], ids, labels, task.separator)
        if submission.top > 1:
            return _list_problems(table[columns], ids, labels, submission.top)
        return _label_problems(table[columns], ids, labels)
    values, problems = _numbers(table[columns], ids, shape.form.decimal)
    if submission.wants == "probability":
        outside = (values < -1e-9) | (values > 1 + 1e-9)
        if outside.any():
            problems.append(
                f"probabilities must be between 0 and 1; {outside.sum()} cells are not, "
                f"first: {_where(outside, table[columns], ids)}."
            )
        elif task.type in ("binary", "multiclass") and len(columns) > 1 and not problems:
            off = abs(values.sum(axis=1) - 1.0) > 1e-3
            if off.any():
                notes.append(
                    f"the probabilities of {counted(int(off.sum()), 'row', 'rows')} do not sum to 1"
                )
    elif task.metric == "rmsle" and (values < 0).any():
        problems.append(
            f"rmsle allows no negative values; {(values < 0).sum()} cells are, "
            f"first: {_where(values < 0, table[columns], ids)}."
        )
    return problems


def _label_problems(cells: pd.DataFrame, ids: pd.Series, labels: Sequence[str]) -> list[str]:
    unknown = (~cells.isin(list(labels))).to_numpy()
    if not unknown.any():
        return []
    return [
        f"labels must be one of {list(labels)[:10]}; {unknown.sum()} cells are not, "
        f"first: {_where(unknown, cells, ids)}."
    ]


def _several_problems(
    cells: pd.DataFrame, ids: pd.Series, labels: Sequence[str], separator: str
) -> list[str]:
    """Cells that hold something else than known, different labels."""
    from kit.labels import parts

    known = set(labels)

    def wrong(cell: str) -> bool:
        found = parts(cell, separator)
        return len(set(found)) < len(found) or not known >= {*found}

    bad = cells.map(wrong).to_numpy()
    if not bad.any():
        return []
    return [
        f"cells must be different labels of {list(labels)[:10]} with {separator!r} between them; "
        f"{bad.sum()} are not, first: {_where(bad, cells, ids)}."
    ]


def _list_problems(
    cells: pd.DataFrame, ids: pd.Series, labels: Sequence[str], top: int
) -> list[str]:
    """Cells that are no list of at most `top` different labels."""
    known = set(labels)

    def wrong(cell: str) -> bool:
        found = cell.split()
        return not 1 <= len(found) <= top or len(set(found)) < len(found) or not known >= {*found}

    bad = cells.map(wrong).to_numpy()
    if not bad.any():
        return []
    return [
        f"cells must be up to {top} different labels of {list(labels)[:10]} with blanks between "
        f"them; {bad.sum()} are not, first: {_where(bad, cells, ids)}."
    ]


def _numbers(
    cells: pd.DataFrame, ids: pd.Series, decimal: str
) -> tuple[NDArray[np.float64], list[str]]:
    """The cells as numbers (n, k), nan where they are none, and what is wrong with them."""
    import numpy as np
    import pandas as pd

    values = np.empty(cells.shape)
    empty = np.zeros(cells.shape, dtype=bool)
    for position in range(cells.shape[1]):
        column = cells.iloc[:, position].str.strip()
        plain = column.str.replace(decimal, ".", regex=False)
        values[:, position] = pd.to_numeric(plain, errors="coerce")
        empty[:, position] = column.str.lower().isin(_NOT_A_NUMBER)
    values[empty] = np.nan
    text = np.isnan(values) & ~empty
    rules = (
        ("cells must not be empty or NaN", empty),
        ("cells must be numbers", text),
        ("cells must be finite", np.isinf(values)),
    )
    problems = [
        f"{rule}; {wrong.sum()} are not so, first: {_where(wrong, cells, ids)}."
        for rule, wrong in rules
        if wrong.any()
    ]
    values[np.isinf(values)] = np.nan
    return values, problems


def _where(wrong: NDArray[np.bool_], cells: pd.DataFrame, ids: pd.Series) -> str:
    """The first three cells: line in the file, id, what is written there."""
    places: list[Any] = list(zip(*wrong.nonzero(), strict=True))[:3]
    many = cells.shape[1] > 1
    return "; ".join(
        f"line {row + 2} (id {ids.iloc[row]!r}"
        f"{', ' + repr(str(cells.columns[column])) if many else ''}): {cells.iloc[row, column]!r}"
        for row, column in places
    )


def _some(values: pd.Series) -> str:
    return ", ".join(repr(str(value)) for value in values.iloc[:3])
