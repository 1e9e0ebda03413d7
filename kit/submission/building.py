"""Predictions of a run -> the submission file, joined by id, spelled as the sample spells it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from kit.atomic import atomic_path
from kit.competition import Competition
from kit.errors import ConfigError, RunError, SubmissionError
from kit.providers.grading import column_order, is_negative
from kit.runs import Run, prediction_columns
from kit.submission.shape import Shape, expected, test_ids

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray


class Decides(Protocol):
    """What is used of `kit.decision.Decision`."""

    def apply(self, pred: NDArray[np.float64]) -> NDArray[Any]:
        """Label codes (n,), or 0/1 (n, t), from predictions (n, k)."""


def build(run: Run, competition: Competition, decision: Decides | None = None) -> Path:
    """Write ``submissions/<run id>.csv``: header, ids and row order as in the sample submission.

    Args:
        run: a published run with test predictions.
        competition: its competition.
        decision: how probabilities become labels; None: as the run recorded it.

    Raises:
        SubmissionError: the run has no prediction for an id of the sample submission.
        RunError: the predictions are damaged, or were made for other classes or targets.
        ConfigError: `kit.toml` does not say which column is which.
    """
    shape = expected(competition)
    predictions = run.test()
    rows = _rows(predictions["id"], shape, run, competition)
    values = _values(predictions, competition, run)[rows]
    ids = shape.ids if shape.ids is not None else predictions["id"]
    table = written(values, ids, competition, run, shape, decision, rows_of_sample=True)
    path = competition.submissions / f"{run.id}.csv"
    with atomic_path(path) as temporary:
        shape.write(table, temporary)
    return path


def left_out(run: Run, competition: Competition) -> list[str]:
    """A remark on rows that are predicted and not asked for; empty where there are none."""
    shape = expected(competition)
    if shape.ids is None or shape.source is None:
        return []
    predicted, asked = len(run.test()), len(shape.ids)
    if predicted <= asked:
        return []
    return [
        f"{asked} rows, as in {shape.source.name}; test has {predicted}, the others are left out"
    ]


def written(
    values: NDArray[np.float64],
    ids: Any,
    competition: Competition,
    run: Run,
    shape: Shape,
    decision: Decides | None = None,
    *,
    rows_of_sample: bool = False,
) -> pd.DataFrame:
    """Predictions as the submission spells them.

    Args:
        values: predictions ``(n, k)``, columns in the order of the classes or targets.
        ids: of the rows, ``(n,)``.
        competition: whose submission it is.
        run: where the predictions come from.
        shape: header of the file.
        decision: see `build`.
        rows_of_sample: whether the rows are those of the sample submission, in its order; others
            have no columns copied from it.
    """
    import numpy as np
    import pandas as pd

    cells = _cells(values, competition, run, decision, shape)
    table: dict[str, Any] = {}
    for position, name in enumerate(shape.header):
        if position not in shape.copied:
            table[name] = np.asarray(ids) if position == shape.key else cells[name.strip()]
        elif rows_of_sample:
            table[name] = shape.copied[position].to_numpy()
    return pd.DataFrame(table)


def _rows(
    predicted: pd.Series, shape: Shape, run: Run, competition: Competition
) -> NDArray[np.int64]:
    """For each row of the submission the row of the prediction with the same id."""
    import numpy as np
    import pandas as pd

    if shape.ids is None:
        return np.arange(len(predicted))
    index = pd.Index(predicted.astype("str").str.strip())
    if index.has_duplicates:
        twice = index[index.duplicated()][0]
        raise RunError(f"{run.path / 'test.parquet'} repeats ids, first: {twice!r}")
    rows = np.array(index.get_indexer(pd.Index(shape.ids.str.strip())), dtype=np.int64)
    if (rows < 0).any():
        missing = shape.ids[rows < 0]
        _refuse_unknown(missing, len(rows), shape, competition)
        raise SubmissionError(
            f"run {run.id} predicts {len(index)} rows, however not {len(missing)} of the "
            f"{len(rows)} ids of {shape.source or 'the test file'}, "
            f"first: {', '.join(map(repr, missing[:3]))}.\n"
            "  Were the files changed since? `kit data`, then `kit cv` again."
        )
    return rows


def _refuse_unknown(
    missing: pd.Series, n_rows: int, shape: Shape, competition: Competition
) -> None:
    """Raise where the ids that lack a prediction are not those of test rows, either."""
    ids = test_ids(competition)
    if shape.source is None or ids is None:
        return
    unknown = missing[~missing.str.strip().isin(ids.str.strip())]
    if len(unknown):
        verb, test = "is" if len(unknown) == 1 else "are", competition.settings.files.test
        raise SubmissionError(
            f"{len(unknown)} of the {n_rows} ids of {shape.source} {verb} not in {test}, "
            f"first: {', '.join(map(repr, unknown[:3]))}.\n"
            "  No row says what to predict there: mend one of the two files, or bring both again "
            "with `kit data --force`."
        )


def _values(predictions: pd.DataFrame, competition: Competition, run: Run) -> NDArray[np.float64]:
    """Predictions as (n, k), columns in the order of the classes or targets."""
    import numpy as np

    settings = competition.settings
    _refuse_other_classes(run, competition)
    outputs: Sequence[str] = settings.task.names(settings.columns.target)
    if settings.task.type == "multiclass":
        outputs = settings.task.classes
    names = prediction_columns(outputs)
    absent = [name for name in names if name not in predictions]
    if absent:
        raise RunError(
            f"run {run.id} lacks the predictions {absent[:5]}; it has "
            f"{list(predictions.columns[1:])[:5]}.\n"
            "  kit.toml was changed since: run `kit cv` again."
        )
    return np.array(predictions[names], dtype=np.float64)


def _refuse_other_classes(run: Run, competition: Competition) -> None:
    """One column is of the second class, and decisions go by number: names alone do not tell."""
    task, target = competition.settings.task, competition.settings.columns.target
    now: dict[str, Any] = {
        "task": task.type,
        "classes": [*(target if len(target) > 1 else task.classes)],
    }
    for key, present in now.items():
        found = run.record.get(key, present)
        if found != present:
            raise RunError(
                f"run {run.id} was made for the {key} {found}, however kit.toml has {present}"
                f"{' in this order' if key == 'classes' else ''}.\n"
                "  Change it back, or run `kit cv` again."
            )


def _cells(
    values: NDArray[np.float64],
    competition: Competition,
    run: Run,
    decision: Decides | None,
    shape: Shape,
) -> dict[str, NDArray[Any]]:
    """Column name -> cells, for all columns but the id."""
    import numpy as np

    from kit.labels import as_cells

    settings = competition.settings
    task, submission = settings.task, settings.submission
    if task.type in ("regression", "multitarget"):
        # squared logarithms of negative values do not exist; 0 is the nearest legal value
        values = np.maximum(values, 0.0) if task.metric == "rmsle" else values
        return _by_target(values, competition)
    if submission.top > 1:
        return {_only(shape): _most_probable(values, competition)}
    if submission.wants == "label":
        codes = (decision or _recorded(run)).apply(values)
        if task.type == "multilabel":
            if codes.ndim == 1:  # no thresholds were chosen: the metric is not one of labels
                codes = (values >= 0.5).astype(np.int64)
            if task.separator:
                names = submission.labels or task.classes
                return {_only(shape): as_cells(codes, names, task.separator)}
            return _by_target(np.array(shape.flags)[codes], competition)
        labels = np.array(submission.labels or task.classes)
        return {_only(shape): labels[codes]}
    if submission.wants != "probability":
        raise ConfigError(
            f"{competition.root / 'kit.toml'}: submission.wants must be 'label' or 'probability' "
            f"for task.type {task.type!r}. Received: {submission.wants!r}"
        )
    if task.type == "multilabel":
        return _by_target(values, competition)
    if task.type == "binary" and len(shape.columns) == 1:
        return {_only(shape): (1.0 - values if is_negative(submission, task) else values)[:, 0]}
    if task.type == "binary":
        values = np.hstack([1.0 - values, values])  # (n, 2)
    values = values / values.sum(axis=1, keepdims=True)
    order = column_order(task.classes, submission, "class")
    names = submission.columns or task.classes
    cells = {name: np.zeros(len(values)) for name in names}  # of a class that train lacks: 0
    return cells | {names[column]: values[:, code] for code, column in enumerate(order)}


def _most_probable(values: NDArray[np.float64], competition: Competition) -> NDArray[Any]:
    """The `submission.top` most probable labels of each row, in one cell."""
    import numpy as np

    task, submission = competition.settings.task, competition.settings.submission
    names = submission.labels or task.classes
    blank = [name for name in names if not name or " " in name]
    if task.type != "multiclass" or submission.wants != "label" or blank:
        what = f"the label {blank[0]!r}" if blank else f"{task.type}, {submission.wants}"
        raise ConfigError(
            f"{competition.root / 'kit.toml'}: submission.top = {submission.top} writes labels of "
            f"a multiclass task into a cell, with blanks between them. Received: {what}"
        )
    order = np.argsort(-values, axis=1, kind="stable")[:, : submission.top]  # (n, top)
    return np.array([" ".join(row) for row in np.array(names)[order]], dtype=object)


def _by_target(values: NDArray[Any], competition: Competition) -> dict[str, NDArray[Any]]:
    """One column per target, (n, t) -> name -> (n,)."""
    settings = competition.settings
    target, submission = settings.task.names(settings.columns.target), settings.submission
    names = submission.columns or target
    order = column_order(target, submission, "target") if len(names) > 1 else [0]
    return {names[column]: values[:, number] for number, column in enumerate(order)}


def _only(shape: Shape) -> str:
    if len(shape.columns) != 1:
        raise ConfigError(
            f"one submission column is expected for single labels or one probability, however "
            f"there are {list(shape.columns)[:10]}.\n"
            "  Set submission.wants in kit.toml, and submission.classes for one column per class."
        )
    return shape.columns[0]


def _recorded(run: Run) -> Decides:
    from kit.decision import Decision

    try:
        decision: Decides = Decision.from_json(run.record["decision"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RunError(
            f"run {run.id} does not say how its probabilities become labels ({error!r}).\n"
            f"  Run `kit cv {run.model}` again."
        ) from error
    return decision
