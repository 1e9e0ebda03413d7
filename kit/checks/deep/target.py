"""What knows the target and should not: a golden column, gaps, row order, ids, files, spelling."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import spearmanr
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from kit.checks.deep.files import stats
from kit.checks.deep.learning import (
    as_numbers,
    floats,
    moments,
    out_of_fold,
    rows_for,
    strength,
)
from kit.checks.deep.times import time_like, when
from kit.checks.finding import Evidence
from kit.checks.leaks import N_FOLDS, folds_for
from kit.checks.material import Material
from kit.images.files import ImageFolder

_ROWS = 10_000
_FEWEST = 100
_GOLDEN = 0.8  # strength (2 AUC - 1, or rank correlation) of one column alone
_REST = 0.7  # of it, which all other columns together do not reach
_GAPS = 0.7  # strength of the pattern of gaps
_OTHER_GAPS, _TELLING_GAPS = 0.1, 0.2
_TELLING, _ERRORS = 0.2, 5.0  # strength and standard errors of order, ids and files
_ORDERED = 0.9  # rank correlation of time and row order
_MOST_CLASSES = 20
_MOST_TARGETS = 5
_BEYOND = 0.1  # what the spelling of a value says beyond the value

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Target:
    """One target on sampled rows.

    Attributes:
        rows: positions in the train file.
        y: codes or numbers.
        n_classes: 0 for numbers.
        fold: groups stay together.
    """

    name: str
    rows: NDArray[np.int64]
    y: NDArray[Any]
    n_classes: int
    fold: NDArray[np.int64]


def _targets(m: Material) -> list[_Target]:
    """The targets; none where there are too few rows, too many classes or one value."""
    if "target" not in m.memory:
        picked = m.drawn(len(m.known), rows_for(m, _ROWS), "leaks of the target")
        columns = m.y.reshape(len(m.y), -1)[picked].T
        names = m.settings.task.names(m.columns.target)
        pairs = list(zip(names, columns, strict=False))[:_MOST_TARGETS]
        made = [_make_target(m, picked, name, y) for name, y in pairs]
        m.memory["target"] = [each for each in made if each is not None]
    found: list[_Target] = m.memory["target"]
    return found


def _make_target(
    m: Material, picked: NDArray[np.int64], name: str, y: NDArray[Any]
) -> _Target | None:
    n_classes = 0
    if m.settings.task.type in ("binary", "multiclass", "multilabel"):
        y = np.unique(y, return_inverse=True)[1]
        n_classes = int(y.max()) + 1
    if len(y) < _FEWEST or n_classes > _MOST_CLASSES or len(np.unique(y)) < 2:
        return None
    fold = folds_for(m, picked, y.astype(np.float64), n_classes)
    return _Target(name=name, rows=m.known[picked], y=y, n_classes=n_classes, fold=fold)


def golden(m: Material) -> Iterator[Evidence]:
    """A column that alone says more than all the others together."""
    for t in _targets(m) if m.X.shape[1] >= 3 else ():
        yield from _golden(m, t)


def _golden(m: Material, t: _Target) -> Iterator[Evidence]:
    alone: dict[str, float] = {}
    X = as_numbers(m, list(m.X.columns), m.X.iloc[t.rows])
    for name, short in zip(m.X.columns, X.columns, strict=True):
        if m.kinds[name] == "category" and not isinstance(X[short].dtype, pd.CategoricalDtype):
            continue  # many levels: KIT201 knows them
        column = X[short]
        values = column.cat.codes if isinstance(column.dtype, pd.CategoricalDtype) else column
        alone[name] = _alone(floats(pd.Series(values)), t)[0]
    best = max(alone, key=lambda name: alone[name], default="")
    if not best or alone[best] < _GOLDEN:
        return
    # its copies are golden, too
    gold = [name for name in alone if alone[name] > alone[best] - 0.03]
    rest = [short for name, short in zip(m.X.columns, X.columns, strict=True) if name not in gold]
    if not rest:
        return
    others, _ = strength(
        t.y, out_of_fold(X[rest], t.y, t.fold, t.n_classes, threads=m.threads), t.n_classes
    )
    if others > _REST * alone[best]:
        return
    for name in gold:
        yield Evidence(
            text=f"{name!r} alone: {_told(alone[name], t)} for {t.name!r}; all columns but such: "
            f"{_told(others, t)} ({len(t.rows)} rows)",
            remedy="too good to be honest? See whether it is known when the prediction is made and "
            "means the same in test. If not: [columns] drop = [{columns}]. If it is honest, mute "
            "it: [check] mute",
            column=name,
        )


def gaps(m: Material) -> Iterator[Evidence]:
    """Missing values that follow the target: as a pattern, or otherwise than in test."""
    for t in _targets(m):
        yield from _gaps(m, t)


def _gaps(m: Material, t: _Target) -> Iterator[Evidence]:
    absent = m.X.iloc[t.rows].isna()
    names = [name for name in absent.columns if 0.005 < absent[name].mean() < 0.995]
    if not names:
        return
    X = absent[names].astype(np.float64).set_axis([f"c{k}" for k in range(len(names))], axis=1)
    pattern = out_of_fold(X, t.y, t.fold, t.n_classes, threads=m.threads)
    found, errors = strength(t.y, pattern, t.n_classes)
    each = {name: _alone(X[f"c{k}"].to_numpy(), t) for k, name in enumerate(names)}
    if found >= _GAPS and errors >= _ERRORS:
        first = sorted(names, key=lambda name: -each[name][0])[:5]
        yield Evidence(
            text=f"which values are missing, alone: {_told(found, t)} for {t.name!r} "
            f"({len(t.rows)} rows); most in {', '.join(map(repr, first))}",
            remedy="filled in after the outcome was known? If values are missing otherwise in "
            "test: [columns] drop = [{columns}]. If it is honest, mute it: [check] mute",
            columns=tuple(first),
        )
        return
    for name in names:
        share, in_test = float(absent[name].mean()), float(m.X_test[name].isna().mean())
        error = (share * (1 - share) * (1 / len(t.rows) + 1 / len(m.X_test))) ** 0.5
        size, z = each[name]
        other = abs(share - in_test) >= max(_OTHER_GAPS, _ERRORS * error)
        if other and size >= _TELLING_GAPS and z >= _ERRORS:
            yield Evidence(
                text=f"whether {name!r} is known: {_told(size, t)} for {t.name!r}, but it is "
                f"missing in {share:.0%} of train and {in_test:.0%} of test",
                remedy="the gaps of train tell of the outcome and those of test cannot: [columns] "
                "drop = [{columns}], or fill them in features.py",
                column=name,
            )


def row_order(m: Material) -> Iterator[Evidence]:
    """The place of a row in the train file."""
    for t in _targets(m):
        yield from _row_order(m, t)


def _row_order(m: Material, t: _Target) -> Iterator[Evidence]:
    if _in_time_order(m, t.rows):
        return
    size, errors = _alone(t.rows.astype(np.float64), t)
    if size >= _TELLING and errors >= _ERRORS:
        yield Evidence(
            text=f"the place of a row in {m.settings.files.train}, alone: {_told(size, t)} for "
            f"{t.name!r} ({errors:.0f} standard errors; {len(t.rows)} rows)",
            remedy="the file is sorted by the target, or neighbours belong together (a session, a "
            "source). Sorted: nothing may use the order. Neighbours: number them in a column, "
            '[columns] group = "…", or validate on blocks',
        )


def ids(m: Material) -> Iterator[Evidence]:
    """What the id of a row says: its number, digits, letters, length."""
    for t in _targets(m) if m.columns.id in m.train.columns else ():
        yield from _ids(m, t)


def _ids(m: Material, t: _Target) -> Iterator[Evidence]:
    ids = m.row_ids.iloc[t.rows]
    ordered = bool(list(_row_order(m, t))) or _in_time_order(m, t.rows)
    yield from _telling(
        m,
        t,
        _parts_of(ids, ordered, t.rows),
        f"the id {m.columns.id!r}",
        (
            "ids are given after the outcome, or by source: they tell of the target without being "
            "a feature. Keep them out of features.py; where one must be used, test has to be "
            "numbered the same way"
        ),
    )


def _parts_of(ids: pd.Series, ordered: bool, rows: NDArray[np.int64]) -> dict[str, Array]:
    """Numbers that an id holds, by what they are; its number only where it is not the row order."""
    found: dict[str, Array] = {}
    numbers = floats(pd.to_numeric(ids.str.extract(r"(\d+)\D*$", expand=False), errors="coerce"))
    known = ~np.isnan(numbers)
    if known.mean() > 0.9 and np.ptp(numbers[known]) > 0:
        same = abs(spearmanr(numbers[known], rows[known]).statistic) > _ORDERED
        if not (ordered and same):
            found["number"] = numbers
        found["last digit"] = numbers % 10
        found["last two digits"] = numbers % 100
    if ids.str.isdigit().all():
        return found
    found["length"] = floats(ids.str.len())
    for k, name in ((1, "first character"), (3, "first three characters")):
        codes = pd.factorize(ids.str[:k], sort=True)[0].astype(np.float64)
        if 1 < len(np.unique(codes)) <= len(codes) / 5:
            found[name] = codes
    return found


def files(m: Material) -> Iterator[Evidence]:
    """Size, age and shape of the files that a column names."""
    images = ImageFolder(m.competition.raw)
    for t in _targets(m):
        yield from _files(m, t, images)


def _files(m: Material, t: _Target, images: ImageFolder) -> Iterator[Evidence]:
    rows = np.random.default_rng(0).permutation(len(t.rows))[:3_000]
    part = _Target(
        name=t.name, rows=t.rows[rows], y=t.y[rows], n_classes=t.n_classes, fold=t.fold[rows]
    )
    for name in m.train.columns:
        column = m.train[name].iloc[part.rows]
        if name in m.columns.target or pd.api.types.is_float_dtype(column):
            continue
        facts = stats(m.competition.raw, column.astype("str").fillna(""), images)
        if facts is not None:
            yield from _telling(
                m,
                part,
                facts,
                f"the files that {name!r} names",
                (
                    "files of one outcome were made or packed otherwise: nothing may use their "
                    "size, date or shape, and look for the same trace inside them"
                ),
            )


def spelling(m: Material) -> Iterator[Evidence]:
    """How a value is written: decimals of a number, seconds of a moment. It says who wrote it."""
    for t in _targets(m):
        for name in m.X.columns:
            parts = _written(m.X[name].iloc[t.rows])
            if not parts:
                continue
            column = m.X[name].iloc[t.rows]
            own = moments(column) if m.kinds[name] == "datetime" else floats(column)
            itself, _ = _alone(own, t)  # zeros are written short, and may well say a lot
            remedy = (
                "rows of one outcome come from another source, or were filled in later: see "
                "whether test is written alike. If not, round it in features.py, or [columns] "
                "drop = [{columns}]"
            )
            least = max(_TELLING, itself + _BEYOND)
            for found in _telling(m, t, parts, f"{name!r}", remedy, least):
                yield replace(found, column=name)


def _written(column: pd.Series) -> dict[str, Array]:
    """Numbers about the spelling of the values; none where it cannot differ."""
    if column.dtype.kind == "M":
        known = column.dt
        return {
            "seconds": floats(known.second + known.microsecond / 1e6),
            "whole days": floats(known.normalize() == column),
        }
    if column.dtype.kind != "f":
        return {}
    values = column.to_numpy()
    texts = [np.format_float_positional(v, trim="-") for v in values]
    decimals = [len(text.partition(".")[2]) for text in texts]
    return {"decimals": np.where(np.isnan(values), np.nan, decimals)}


def _telling(
    m: Material,
    t: _Target,
    parts: Mapping[str, Array],
    whose: str,
    remedy: str,
    least: float = _TELLING,
) -> Iterator[Evidence]:
    """The part that says most of the target, if it says enough."""
    found = {name: _alone(values, t) for name, values in parts.items()}
    found = {n: f for n, f in found.items() if f[0] >= least and f[1] >= _ERRORS}
    if found:
        name = max(found, key=lambda name: found[name][0])
        size, errors = found[name]
        yield Evidence(
            text=f"{name} of {whose}, alone: {_told(size, t)} for {t.name!r} ({errors:.0f} "
            f"standard errors; {len(t.rows)} rows)",
            remedy=remedy,
        )


def _alone(values: Array, t: _Target) -> tuple[float, float]:
    """Strength and standard errors of one column, through a small tree on the other folds."""
    if len(np.unique(values)) < 2:
        return 0.0, 0.0
    leaf = max(10, len(values) // 100)
    pred = np.zeros((len(values), t.n_classes or 1))
    for k in range(N_FOLDS):
        train, valid = t.fold != k, t.fold == k
        if not valid.any() or len(np.unique(t.y[train])) < 2:
            continue
        tree: Any
        if t.n_classes:
            tree = DecisionTreeClassifier(max_depth=6, min_samples_leaf=leaf, random_state=0)
            tree.fit(values[train, None], t.y[train])
            made = tree.predict_proba(values[valid, None])
            pred[np.ix_(np.flatnonzero(valid), tree.classes_.astype(np.int64))] = made
        else:
            tree = DecisionTreeRegressor(max_depth=6, min_samples_leaf=leaf, random_state=0)
            pred[valid, 0] = tree.fit(values[train, None], t.y[train]).predict(values[valid, None])
    return strength(t.y, pred, t.n_classes)


def _told(size: float, t: _Target) -> str:
    return f"ROC AUC {0.5 + size / 2:.3f}" if t.n_classes else f"rank correlation {size:.3f}"


def _in_time_order(m: Material, rows: NDArray[np.int64]) -> bool:
    """Whether rows stand in the order of a time column: then their place says when, no more."""
    clock = when(m, m.train)
    clocks = [*time_like(m).values(), *([] if clock is None else [clock])]
    for values in clocks:
        known = ~np.isnan(values[rows])
        if known.sum() > 20 and np.ptp(values[rows][known]) > 0:
            r = spearmanr(rows[known], values[rows][known]).statistic
            if abs(r) >= _ORDERED:
                return True
    return False
