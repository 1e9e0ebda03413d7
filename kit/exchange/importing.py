"""Take over predictions that were made elsewhere, if they fit exactly.

The order of the questions: is it the same competition, task, metric, class order? The same folds?
The same ids, each once? Numbers that can be predictions? Only then is anything scored or written.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kit.atomic import sha256
from kit.competition import Competition
from kit.decision import fit_decision
from kit.errors import DataError, FoldMismatch, counted
from kit.exchange.files import Exchanged, read_exchanged
from kit.execution.context import FoldContext, load_context
from kit.folds import Folds
from kit.kinds import some
from kit.runs import Run, list_runs, prediction_columns, publish
from kit.scoring import score_record
from kit.session import code_files, run_facts

Array = NDArray[np.float64]

_SUM = 1e-3  # a row of class probabilities may miss 1 by this much: written with few digits
_TOLERANCE = 1e-5
_UNSCORED = "of rows that no fold validates here (sealed, near those, or trained on only)"
_NAME = 60  # characters of a model's name: it becomes part of a folder's


def import_file(
    competition: Competition,
    path: Path,
    *,
    test: Path | None = None,
    folds: Path | None = None,
    name: str = "",
) -> tuple[Run, list[str]]:
    """Publish the predictions of a file as a run of kind "import".

    Args:
        competition: the competition.
        path: what `export_run` wrote, or a table with ids and predictions.
        test: the test predictions, where they are a file of their own.
        folds: the team's `folds.parquet` that the predictions were made on, for files that do not
            say so themselves.
        name: of the model; "": as the file says, or its name.

    Returns:
        The run, or the earlier one of the same content; and remarks.

    Raises:
        DataError: the file does not fit; the message says why.
        FoldMismatch: it was made on other folds.
    """
    exchanged = read_exchanged(path, test)
    context = load_context(competition)
    remarks = _check_facts(exchanged, competition, context)
    remarks += _check_folds(exchanged, context, folds)
    used = context.folds.fold >= 0
    oof = _values(exchanged.oof, context.dataset.ids[used], competition, context, path, "oof")
    if exchanged.test is None:
        raise DataError(
            f"{path} holds no test predictions; without them a blend cannot be handed in.\n"
            "  Give their file with --test FILE."
        )
    where = test or path
    tested = _values(exchanged.test, context.dataset.test_ids, competition, context, where, "test")
    digest = _hash(oof, tested, context)
    data = context.dataset.digests["data"]
    runs = [run for run in list_runs(competition.runs)[0] if run.hash == digest]
    known = [run for run in runs if run.record["digests"].get("data") == data]  # the same truth
    if known:
        return known[-1], [*remarks, "the same predictions were imported before"]
    run = _publish(competition, context, exchanged, oof, tested, digest, name)
    return run, remarks


def _check_facts(exchanged: Exchanged, competition: Competition, context: FoldContext) -> list[str]:
    """Refuse what was made for something else; files of others say nothing."""
    facts, data, metric = exchanged.facts, context.dataset, context.metric
    if not facts:
        return []
    asked = facts["metric"]
    pairs: list[tuple[str, Any, Any]] = [
        ("competition", facts.get("competition"), competition.slug),
        ("task.type", facts.get("task"), data.task),
        ("task.metric", asked.get("name"), metric.name),
    ]
    for key, found, expected in pairs:
        if found != expected:
            raise DataError(
                f"{exchanged.path} was made for {key} {found!r}, however kit.toml has {expected!r}"
            )
    if asked.get("code", "") != metric.code:
        raise DataError(
            f"{exchanged.path} was made with another {metric.name.partition(':')[0]}.py: "
            "compare the two files"
        )
    classes = [str(label) for label in facts["classes"]]
    if classes != list(data.classes):
        sorted_alike = sorted(classes) == sorted(data.classes)
        what = "the same classes in another order" if sorted_alike else "other classes"
        raise DataError(
            f"{exchanged.path} has {what}: {classes[:10]}, however kit.toml has "
            f"{list(data.classes)[:10]}.\n"
            "  task.classes must be the same in both, in the same order."
        )
    if facts.get("data") != data.digests["data"]:
        return ["made with other data files or [columns] than here; ids and folds are the same"]
    return []


def _check_folds(exchanged: Exchanged, context: FoldContext, path: Path | None) -> list[str]:
    """Refuse predictions of other folds: they may have seen what they are scored on here."""
    own = context.folds
    if exchanged.facts:
        found = exchanged.facts.get("folds")
        if found != own.digest:
            raise FoldMismatch(
                f"{exchanged.path} was validated on the folds {found}, however kit.toml makes "
                f'{own.digest}.\n  Share folds.parquet and set cv.splitter = "file" on both '
                "sides, or use the same [cv] section."
            )
    if path is not None:
        given = Folds.load(path)
        if given.digest != own.digest:
            raise FoldMismatch(
                f"{path} has the folds {given.digest}, however kit.toml makes {own.digest}.\n"
                f'  Copy it to folds.parquet beside kit.toml and set cv.splitter = "file".'
            )
    if "fold" in exchanged.oof.columns:
        return _compare_folds(exchanged, context)
    if not exchanged.facts and path is None:
        raise DataError(
            f"{exchanged.path} does not say on which folds it was made: there is neither a column "
            "fold nor anything that kit wrote.\n"
            "  If it was made on the team's folds, say so: --folds folds.parquet."
        )
    return []


def _compare_folds(exchanged: Exchanged, context: FoldContext) -> list[str]:
    """Every row was predicted by the fold it is validated in here; other numbers are fine."""
    own, frame = context.folds, exchanged.oof
    names = _id_column(frame, "", exchanged.path)
    ids = frame[names].astype("str").str.strip()
    at = pd.Index(context.dataset.ids).get_indexer(pd.Index(ids))
    number = pd.to_numeric(frame["fold"], errors="coerce").to_numpy(dtype=float)
    inside = at >= 0  # unknown ids are told of later
    here = own.fold[at[inside]].astype(float)
    if np.array_equal(number[inside], here):
        return []
    table = pd.crosstab(here, number[inside])
    one_to_one = bool(((table > 0).sum(axis=0) == 1).all() and ((table > 0).sum(axis=1) == 1).all())
    if one_to_one and not np.isnan(number).any():
        return ["its folds have other numbers than ours and hold the same rows"]
    other = frame.loc[inside, names][number[inside] != here]
    raise FoldMismatch(
        f"{exchanged.path}: {counted(len(other), 'row lies', 'rows lie')} in another fold than "
        f"here, first ids: {some(other)}.\n"
        "  Predictions of other folds have seen rows that they would be scored on. Use the team's "
        "folds.parquet on both sides."
    )


def _values(
    frame: pd.DataFrame,
    ids: NDArray[np.str_],
    competition: Competition,
    context: FoldContext,
    path: Path,
    part: str,
) -> Array:
    """Predictions in the order of `ids` and of the outputs; everything else is refused."""
    column = _id_column(frame, competition.settings.columns.id, path)
    found = frame[column].astype("str").str.strip()
    rows = _rows(found, ids, path, part, known=context.dataset.ids if part == "oof" else ids)
    names = _prediction_columns(frame, column, competition, context, path)
    named = names == prediction_columns(context.dataset.outputs)
    table = frame[names].apply(pd.to_numeric, errors="coerce")
    values = np.asarray(table.to_numpy(dtype=np.float64)[rows])
    bad = ~np.isfinite(values).all(axis=1)
    where = f"{path}, {part} predictions"
    if bad.any():
        raise DataError(
            f"{where}: {counted(int(bad.sum()), 'row is', 'rows are')} not finite numbers, first "
            f"ids: {some(ids[bad])}"
        )
    if part == "oof" and not named:
        _refuse_truth(values, names, context, where)
    if context.dataset.task in ("binary", "multiclass", "multilabel"):
        _check_probabilities(values, ids, where, context.dataset.task)
        values = np.clip(values, 0.0, 1.0)  # what rounding left beyond would be rejected
    return values


def _id_column(frame: pd.DataFrame, name: str, path: Path) -> str:
    known = [each for each in ("id", name) if each and each in frame.columns]
    if known:
        return known[0]
    first = str(frame.columns[0]) if len(frame.columns) else ""
    if not first or first == "fold" or first.startswith("pred"):
        raise DataError(f"{path} has no column of ids: {list(frame.columns)[:10]}.\n  Name it id.")
    return first


def _rows(
    found: pd.Series, ids: NDArray[np.str_], path: Path, part: str, known: NDArray[np.str_]
) -> NDArray[np.int64]:
    """For each of our rows the row of the file; every id once, and none too many.

    `known` are rows of the data that are never validated, too: sealed, near those, or before the
    first window.
    """
    twice = found[found.duplicated()].unique()
    index = pd.Index(found)
    missing = ids[~np.isin(ids, found.to_numpy(dtype=object).astype("str"))]
    extra = found[~found.isin(known)]
    unscored = found[found.isin(known) & ~found.isin(ids)]
    problems = [
        f"{counted(len(values), *words)}, first: {some(values)}"
        for values, words in (
            (twice, ("id is there twice", "ids are there twice")),
            (missing, ("id of the data is missing", "ids of the data are missing")),
            (extra, ("id is not in the data", "ids are not in the data")),
            (unscored, (f"id is {_UNSCORED}", f"ids are {_UNSCORED}")),
        )
        if len(values)
    ]
    if problems:
        what = "training rows that are validated" if part == "oof" else "rows of the test file"
        raise DataError(
            f"{path}, {part} predictions: {len(found)} rows, however the {len(ids)} {what} are "
            f"expected, each once:\n    " + "\n    ".join(problems)
        )
    return np.asarray(index.get_indexer(pd.Index(ids)), dtype=np.int64)


def _prediction_columns(
    frame: pd.DataFrame,
    id_column: str,
    competition: Competition,
    context: FoldContext,
    path: Path,
) -> list[str]:
    """The file's columns in the order of the outputs, by name; a single one may have any name."""
    outputs = context.dataset.outputs
    present = [str(c) for c in frame.columns if c not in (id_column, "fold", "part")]
    wanted = prediction_columns(outputs)
    if set(wanted) <= set(present):
        return wanted
    if len(outputs) == 1:
        target = competition.settings.columns.target[0]
        classes = context.dataset.classes  # of two classes the second one is predicted
        names = ("pred", "prediction", target, *_both(classes[1:]))
        named = [name for name in names if name in present]
        other = {*_both(classes[:1])} & {*present}
        if other and not named:
            raise DataError(
                f"{path} has the column {present[0]!r}: the probability of {classes[0]!r}, however "
                f"that of {classes[1]!r} is asked for, the second of task.classes"
            )
        if named or len(present) == 1:
            return (named or present)[:1]
        raise DataError(
            f"{path} has the columns {present[:10]}: which one is the prediction? Name it pred"
        )
    if set(outputs) <= set(present):
        return list(outputs)
    pairs = zip(outputs, wanted, strict=True)
    absent = [name for name, column in pairs if not {name, column} & set(present)]
    raise DataError(
        f"{path} lacks predictions for {absent[:5]}; it has {present[:10]}.\n"
        f"  Columns are found by name: {', '.join(wanted[:4])}{', …' if len(wanted) > 4 else ''}."
    )


def _both(classes: Sequence[str]) -> list[str]:
    """What a column for a class may be called."""
    return [name for label in classes for name in (f"pred_{label}", label)]


def _refuse_truth(values: Array, names: Sequence[str], context: FoldContext, where: str) -> None:
    """A notebook's table may hold the target, called so, beside what was predicted."""
    data, used = context.dataset, context.folds.fold >= 0
    truth = data.y[used].reshape(len(values), -1)
    if data.task == "multiclass":
        truth = np.eye(len(data.outputs))[truth[:, 0]]
    if np.array_equal(values, truth):
        wanted = ", ".join(prediction_columns(data.outputs)[:4])
        raise DataError(
            f"{where}: {', '.join(map(repr, names[:4]))} is the truth itself in all "
            f"{len(values)} rows, not what was predicted.\n"
            f"  Name the predictions {wanted}, or take the truth out of the file."
        )


def _check_probabilities(values: Array, ids: NDArray[np.str_], where: str, task: str) -> None:
    outside = ((values < -_TOLERANCE) | (values > 1 + _TOLERANCE)).any(axis=1)
    if outside.any():
        raise DataError(
            f"{where}: probabilities lie between 0 and 1, however "
            f"{counted(int(outside.sum()), 'row does', 'rows do')} not, first ids: "
            f"{some(ids[outside])}; smallest {values.min():.6g}, largest {values.max():.6g}.\n"
            "  Are these margins, logits or labels?"
        )
    if task != "multiclass":
        return
    sums = values.sum(axis=1)
    off = np.abs(sums - 1) > _SUM
    if off.any():
        raise DataError(
            f"{where}: the probabilities of the classes must sum to 1, however in "
            f"{counted(int(off.sum()), 'row', 'rows')} they do not, first ids: {some(ids[off])}, "
            f"sum {sums[off][0]:.6g}"
        )


def _hash(oof: Array, test: Array, context: FoldContext) -> str:
    facts = ["import", context.folds.digest, *context.metric.identity]
    state = hashlib.sha256(json.dumps(facts).encode())
    state.update(oof.tobytes() + test.tobytes())
    return state.hexdigest()[:32]


def _publish(
    competition: Competition,
    context: FoldContext,
    exchanged: Exchanged,
    oof: Array,
    test: Array,
    digest: str,
    name: str,
) -> Run:
    data, used = context.dataset, context.folds.fold >= 0
    fold, facts = context.folds.fold[used], exchanged.facts
    fitted = fit_decision(context.metric, data.task, data.truth[used], oof, fold)
    record = {
        "hash": digest,
        "kind": "import",
        "model": (name or str(facts.get("model") or exchanged.path.stem))[:_NAME],
        **run_facts(competition, context),
        "score": score_record(fitted, context.metric),
        "decision": fitted.decision.to_json(),
        "params": {},
        "overrides": {},
        "early_stopping": str(facts.get("early_stopping") or "unknown"),
        "transductive": bool(facts.get("transductive")),
        "parents": [],
        "weights": None,
        "seconds": {},
        "imported": {
            "file": exchanged.path.name,
            "sha256": sha256(exchanged.path),
            **{key: facts[key] for key in ("run", "hash", "kit", "score") if key in facts},
        },
    }
    names = prediction_columns(data.outputs)
    frames = {
        "oof": _frame(data.ids[used], oof, names, {"fold": fold}),
        "test": _frame(data.test_ids, test, names, {}),
    }
    code = code_files(competition)
    return publish(competition.runs, record, config=competition.table, frames=frames, code=code)


def _frame(
    ids: NDArray[np.str_], values: Array, names: Sequence[str], more: Mapping[str, Any]
) -> pd.DataFrame:
    frame = pd.DataFrame({"id": pd.Series(ids, dtype="str"), **more})
    return pd.concat([frame, pd.DataFrame(values, columns=list(names))], axis=1)
