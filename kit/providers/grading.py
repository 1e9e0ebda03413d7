"""Grade a submission against the hidden answers: align by id, translate labels, call the metric.

Owns: the shape of a solution file (Kaggle's: id, target column(s) or one 0/1 column per class, and
optionally `Usage` with Public, Private or Ignored). Used by every provider that grades here.

Raises `SubmissionError` where the submission is to blame and `ProviderError` where the solution is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kit.errors import ConfigError, DataError, ProviderError, SubmissionError, counted
from kit.settings import SubmissionSpec, TaskSpec
from kit.spelling import TRUTHS
from kit.tables import file_form, read_header, read_table

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

USAGE = "Usage"
_PUBLIC, _PRIVATE = "public", "private"
_FLAGS = {word: str(flag) for pair in TRUTHS for flag, word in enumerate(pair)}


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What the server knows of the competition.

    `local` resolves a metric given as ``module:attribute`` in the competition's folder.
    """

    task: TaskSpec
    submission: SubmissionSpec
    target: tuple[str, ...]
    local: Callable[[str], Any] | None = None


@dataclass(frozen=True, kw_only=True)
class Grade:
    """Scores in leaderboard units; `private` is None where all rows count as public."""

    public: float | None
    private: float | None = None


def read_cells(path: Path) -> pd.DataFrame:
    """A CSV file with every cell as text, blanks cut off, names too, decimals with points."""
    import pandas as pd

    names = [name.strip() for name in read_header(path)]
    frame = read_table(path, as_text=names)
    cells = {n: frame[n].fillna("").astype("str").str.strip() for n in frame.columns}
    if file_form(path).decimal == ",":
        cells = {n: c.str.replace(r"^([+-]?\d+),(\d+)$", r"\1.\2", regex=True)
                 for n, c in cells.items()}  # fmt: skip
    return pd.DataFrame(cells)


def grade(submission: pd.DataFrame, solution: pd.DataFrame, rules: Rules) -> Grade:
    """Score a submission on the public and on the private rows.

    Args:
        submission: the cells of the file as text (see `read_cells`).
        solution: id, answers and perhaps `Usage`, as text.
        rules: task, metric and columns.

    Raises:
        SubmissionError: ids or columns are missing, or a cell cannot be read.
        ProviderError: the solution does not fit the competition.
    """
    from kit.metrics.base import UndefinedMetric, load_metric

    submission, solution = (with_ids(cells, rules.submission) for cells in (submission, solution))
    key = _id_column(solution, rules)
    submission = _aligned(submission, solution[key], rules)
    y, prediction = _answers(solution, rules), _predictions(submission, rules)
    metric = load_metric(rules.task.metric, rules.task.type, rules.local)
    scores: dict[str, float] = {}
    for part, rows in _parts(solution):
        pred = _as_needed(prediction[rows], metric.needs, rules.task)
        try:
            scores[part] = metric.score(y[rows], pred)
        except UndefinedMetric as error:
            raise ProviderError(f"the {part} rows of the solution: {error}") from error
        except DataError as error:
            raise SubmissionError(str(error)) from error
    return Grade(public=scores.get(_PUBLIC), private=scores.get(_PRIVATE))


def check_solution(solution: pd.DataFrame, sample: pd.Series | None, rules: Rules) -> list[str]:
    """Whether a solution can grade submissions, before one is handed in.

    Args:
        solution: its cells as text.
        sample: the ids of the sample submission as text, where there is one.
        rules: task, metric and columns.

    Returns:
        A remark where rows of the sample submission are not graded.

    Raises:
        ProviderError: columns, ids or cells of the solution do not fit.
    """
    solution = with_ids(solution, rules.submission)
    key = _id_column(solution, rules)
    _answers(solution, rules)
    if sample is None:
        return []
    known = sample.isin(set(solution[key]))
    if not known.any():
        raise ProviderError(
            f"no id of the sample submission (first: {sample.iloc[0]!r}) is in the solution's "
            f"{key!r} (first: {solution[key].iloc[0]!r})"
        )
    left = int((~known).sum())
    return [f"the solution has {known.sum()} of {len(sample)} rows; {left} are not graded"] * bool(
        left
    )


def _parts(solution: pd.DataFrame) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    if USAGE not in solution:
        import numpy as np

        yield _PUBLIC, np.ones(len(solution), dtype=bool)
        return
    usage = solution[USAGE].str.lower()
    for part in (_PUBLIC, _PRIVATE):
        rows = usage.eq(part).to_numpy(dtype=bool)
        if rows.any():
            yield part, rows


def with_ids(cells: pd.DataFrame, submission: SubmissionSpec) -> pd.DataFrame:
    """Cells whose rows have ids: numbers in a column "" where a submission has no id column."""
    return cells if submission.id else cells.assign(**{"": [*map(str, range(len(cells)))]})


def _id_column(solution: pd.DataFrame, rules: Rules) -> str:
    """The solution's id: named as in the submission, else its first column."""
    name = rules.submission.id if rules.submission.id in solution else str(solution.columns[0])
    twice = solution[name][solution[name].duplicated()]
    if len(twice):
        raise ProviderError(f"the solution repeats ids in {name!r}, first: {twice.iloc[0]!r}")
    return name


def _aligned(submission: pd.DataFrame, ids: pd.Series, rules: Rules) -> pd.DataFrame:
    """The submission's rows in the order of the solution."""
    import pandas as pd

    key = rules.submission.id
    absent = [name for name in (key, *_columns(rules)) if name not in submission]
    if absent:
        raise SubmissionError(
            f"the submission lacks the columns {absent}. Received: {list(submission.columns)}"
        )
    indexed = submission.set_index(key)
    if indexed.index.has_duplicates:
        twice = indexed.index[indexed.index.duplicated()]
        raise SubmissionError(
            f"the submission repeats {counted(len(twice), 'id', 'ids')}, first: {twice[0]!r}"
        )
    rows = indexed.index.get_indexer(pd.Index(ids))
    missing = ids[rows < 0]
    if len(missing):
        raise SubmissionError(
            f"the submission lacks {len(missing)} of {len(ids)} ids, first: {missing.iloc[0]!r}"
        )
    return indexed.iloc[rows]


def _columns(rules: Rules) -> tuple[str, ...]:
    return rules.submission.columns or rules.target


def _answers(solution: pd.DataFrame, rules: Rules) -> NDArray[Any]:
    """Codes (n,) for classes, floats (n,) or (n, t) otherwise."""
    as_train = set(rules.target) <= set(solution.columns)
    columns = list(rules.target if as_train else _columns(rules))
    absent = [name for name in columns if name not in solution]
    if absent:
        ways = dict.fromkeys(str(list(names)) for names in (rules.target, _columns(rules)))
        raise ProviderError(
            f"the solution must have the columns {' or '.join(ways)}. "
            f"Received: {list(solution.columns)}"
        )
    if rules.task.type in ("binary", "multiclass"):
        if len(columns) == 1:
            return codes(solution[columns[0]], rules, ProviderError)
        one_hot = numbers(solution, columns, ProviderError)
        if as_train:  # a column per class, in their order
            return as_labels(one_hot)
        return as_labels(one_hot[:, column_order(rules.task.classes, rules.submission, "class")])
    if rules.task.separator and len(columns) == 1:
        return _flags(solution[columns[0]], rules, ProviderError)
    values = numbers(solution, columns, ProviderError)
    if len(columns) == 1:
        return values[:, 0]
    names = rules.task.names(rules.target)
    return values if as_train else values[:, column_order(names, rules.submission, "target")]


def _predictions(submission: pd.DataFrame, rules: Rules) -> NDArray[Any]:
    """Rich predictions (n, k), or label codes (n,) where single labels were submitted."""
    columns, task = list(_columns(rules)), rules.task
    if rules.submission.top > 1:
        return _ranked(submission[columns[0]], rules)
    if task.type in ("binary", "multiclass") and rules.submission.wants == "label":
        return codes(submission[columns[0]], rules, SubmissionError)
    if task.separator and len(columns) == 1:
        return _flags(submission[columns[0]], rules, SubmissionError)
    values = numbers(submission, columns, SubmissionError)
    if task.type not in ("binary", "multiclass"):
        names = task.names(rules.target)
        order = column_order(names, rules.submission, "target") if len(columns) > 1 else [0]
        return values[:, order]
    if len(columns) > 1:
        values = values[:, column_order(task.classes, rules.submission, "class")]  # (n, n_classes)
        return (
            values / values.sum(axis=1, keepdims=True)
            if task.type == "multiclass"
            else values[:, 1:]
        )
    return 1.0 - values if is_negative(rules.submission, task) else values


def _flags(
    cells: pd.Series, rules: Rules, error: type[ProviderError | SubmissionError]
) -> NDArray[np.float64]:
    """Cells of several labels as 0 and 1, (n, n_classes); one without a label is empty."""
    from kit.labels import flags_of

    names = rules.submission.labels or rules.task.classes
    flags, unknown = flags_of(cells, names, rules.task.separator)
    if unknown:
        raise error(
            f"column {cells.name!r} holds labels that are not known: {unknown[:3]}. "
            f"Known: {list(names)[:10]}"
        )
    return flags


def _ranked(cells: pd.Series, rules: Rules) -> NDArray[np.float64]:
    """Lists of labels as numbers that rank the classes, (n, n_classes): 1, 1/2, 1/3, ..., 0."""
    import numpy as np

    lists = cells.reset_index(drop=True).str.split().explode()  # an empty cell: one nan
    place = lists.groupby(level=0).cumcount().to_numpy()
    ranked = np.zeros((len(cells), len(rules.task.classes)))
    at = lists.index.to_numpy(), codes(lists.fillna(""), rules, SubmissionError)
    np.maximum.at(ranked, at, 1.0 / (1 + place))
    return ranked


def _as_needed(prediction: NDArray[Any], needs: str, task: TaskSpec) -> NDArray[Any]:
    """Labels for metrics that want labels; 0/1 columns where only labels were handed in."""
    import numpy as np

    if prediction.ndim == 1:
        if needs == "label":
            return prediction
        one_hot: NDArray[np.float64] = np.eye(len(task.classes))[prediction]  # (n, n_classes)
        return one_hot[:, 1:] if task.type == "binary" else one_hot
    if needs != "label" or task.type in ("regression", "multitarget"):
        return prediction
    if task.type == "multiclass":
        return as_labels(prediction)
    labels = (prediction >= 0.5).astype(np.int64)
    return labels[:, 0] if task.type == "binary" else labels


def as_labels(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """The class with the largest value, (n, n_classes) -> (n,)."""
    labels: NDArray[np.int64] = values.argmax(axis=1)
    return labels


def is_negative(submission: SubmissionSpec, task: TaskSpec) -> bool:
    """Whether the one probability column is that of the negative class."""
    return task.type == "binary" and submission.classes == task.classes[:1]


def column_order(names: Sequence[str], submission: SubmissionSpec, noun: str) -> list[int]:
    """For each class (or target) the position of its column among the submission's columns.

    A column whose class is "" is that of a class no training row has.

    Raises:
        ConfigError: neither `submission.classes` nor the columns' own names say which is which.
    """
    spelled = submission.classes or submission.columns or tuple(names)
    if sorted(names) != sorted(filter(None, spelled)):
        raise ConfigError(
            f"submission.classes must name the {noun} of every submission column.\n"
            f"  Received: {list(spelled)[:10]}, however the {noun} names are {list(names)[:10]}.\n"
            "  Set submission.classes in kit.toml, in the order of submission.columns."
        )
    return [spelled.index(name) for name in names]


def codes(
    cells: pd.Series, rules: Rules, error: type[ProviderError | SubmissionError]
) -> NDArray[np.int64]:
    """Class codes of labels, however the file spells them: as submitted, as in train, or 0/1."""
    import numpy as np

    found = set(cells.unique())
    spellings = [rules.submission.labels, rules.task.classes]
    if rules.task.type == "binary":
        spellings += [("0", "1"), ("False", "True")]
    for spelling in spellings:
        if found <= set(spelling):
            mapping = {label: code for code, label in enumerate(spelling)}
            return np.array(cells.map(mapping), dtype=np.int64)
    known = rules.submission.labels or rules.task.classes
    raise error(
        f"column {cells.name!r} holds labels that are not known: "
        f"{sorted(found - set(known))[:3]}. Known: {list(known)[:10]}"
    )


def numbers(
    frame: pd.DataFrame, columns: Sequence[str], error: type[ProviderError | SubmissionError]
) -> NDArray[np.float64]:
    """Columns of text as finite numbers, (n, len(columns)); yes and True count as 1."""
    import numpy as np
    import pandas as pd

    from kit.quantities import as_numbers

    values = np.empty((len(frame), len(columns)))
    for index, name in enumerate(columns):
        cells = frame[name].replace(_FLAGS)
        # answers may be spelled as in train: "$1,050"
        read = as_numbers if error is ProviderError else partial(pd.to_numeric, errors="coerce")
        values[:, index] = read(cells)
        bad = frame[name][~np.isfinite(values[:, index])]
        if len(bad):
            raise error(f"column {name!r} is no number in {len(bad)} rows, first: {bad.iloc[0]!r}")
    return values
