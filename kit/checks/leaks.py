"""Single columns that know the target too well.

Every feature on its own is cross-validated: numbers and dates through a shallow tree, categories
and texts through the mean target of their level, both fitted on the other folds only. A column
whose score is near-perfect in *each* of three folds is named. Strong honest columns of small, easy
data (iris, breast cancer: 0.95 to 0.98) stay below that.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import r2_score, roc_auc_score
from sklearn.model_selection import GroupKFold, KFold, StratifiedKFold
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from kit.checks.finding import Evidence
from kit.checks.material import Material

THRESHOLD = 0.98
N_FOLDS = 3
_MOST_CELLS = 1_000_000  # rows x columns
_MOST_ROWS, _FEWEST_ROWS = 20_000, 2_000
_TOO_FEW = 60  # rows; in fewer a perfect score means nothing
_MOST_TARGETS = 10
_SMOOTHING = 1.0

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Question:
    """One target on the sampled rows.

    Attributes:
        y: codes 0..K-1, or ranks scaled to 0..1. ``(n,)``
        n_classes: 0 for numbers.
        fold: ``(n,)``
        score: name of the score, for messages.
    """

    target: str
    y: NDArray[np.float64]
    n_classes: int
    fold: NDArray[np.int64]

    @property
    def score(self) -> str:
        """What the threshold is about."""
        if self.n_classes == 0:
            return "R2 of the ranks"
        return "ROC AUC" if self.n_classes == 2 else "accuracy above the commonest class"


def by_values(m: Material) -> Iterator[Evidence]:
    """Features whose values alone predict the target."""
    rows = _rows(m)
    hidden = {item.column for item in by_missingness(m)}
    for question in _questions(m, rows):
        for name, kind in m.kinds.items():
            column = m.X[name].iloc[m.known[rows]]
            if name in hidden or kind == "text":
                continue
            if kind in ("category", "code"):
                score = _score_levels(pd.factorize(column)[0], question)
            else:
                score = _score_numbers(_numbers(column), question)
            if score is not None:
                yield _evidence(name, f"{name!r} alone", score, question)


def by_missingness(m: Material) -> Iterator[Evidence]:
    """Features of which it is enough to know whether they are there."""
    rows = _rows(m)
    for question in _questions(m, rows):
        for name in m.X.columns:
            known = m.X[name].iloc[m.known[rows]].notna().to_numpy()
            if known.any() and not known.all():
                score = _score_levels(known.astype(np.int64), question)
                if score is not None:
                    text = f"whether {name!r} is known, alone"
                    yield _evidence(name, text, score, question)


def _evidence(name: str, what: str, score: float, question: _Question) -> Evidence:
    return Evidence(
        text=f"{what}: {question.score} {score:.3f} or more for {question.target!r} in each of "
        f"{N_FOLDS} folds of {len(question.y)} rows (named from {THRESHOLD} on)",
        remedy="is it known when the prediction is made, and in test as it is in train? If not: "
        "[columns] drop = [{columns}]. If it is honest, mute it: [check] mute",
        column=name,
    )


def _rows(m: Material) -> NDArray[np.int64]:
    """Positions within the known rows; the same for both checks."""
    limit = min(_MOST_ROWS, max(_FEWEST_ROWS, _MOST_CELLS // max(1, m.X.shape[1])))
    n = len(m.known)
    note = "single columns against the target"
    if n > limit and not any(text.startswith(note) for text in m.sampled):
        m.sampled.append(f"{note}: {limit} of {n} rows")
    return np.sort(np.random.default_rng(0).choice(n, min(n, limit), replace=False))


def _questions(m: Material, rows: NDArray[np.int64]) -> Iterator[_Question]:
    if len(rows) < _TOO_FEW:
        return
    targets = m.y.reshape(len(m.y), -1)[rows]
    classified = m.settings.task.type in ("binary", "multiclass", "multilabel")
    names = m.settings.task.names(m.columns.target)
    for name, column in list(zip(names, targets.T, strict=True))[:_MOST_TARGETS]:
        y, n_classes = column.astype(np.float64), 0
        if classified:
            codes = np.unique(y, return_inverse=True)[1]
            y, n_classes = codes.astype(np.float64), int(codes.max()) + 1
        else:
            y = pd.Series(y).rank().to_numpy() / len(y)
        if len(np.unique(y)) > 1:
            fold = folds_for(m, rows, y, n_classes)
            yield _Question(target=name, y=y, n_classes=n_classes, fold=fold)


def folds_for(m: Material, rows: NDArray[np.int64], y: Array, n_classes: int) -> NDArray[np.int64]:
    """Three folds; with a group column its groups stay together, as a name is no leak then."""
    name = m.columns.group
    groups = None
    if name is not None and name in m.train.columns:
        groups = pd.factorize(m.train[name].iloc[m.known[rows]], use_na_sentinel=False)[0]
    cut: GroupKFold | StratifiedKFold | KFold
    if groups is not None and groups.max() + 1 >= N_FOLDS:
        cut = GroupKFold(N_FOLDS)
    elif n_classes and np.bincount(y.astype(np.int64)).min() >= N_FOLDS:
        cut = StratifiedKFold(N_FOLDS, shuffle=True, random_state=0)
    else:
        cut = KFold(N_FOLDS, shuffle=True, random_state=0)
    fold = np.zeros(len(y), dtype=np.int64)
    asked = groups if isinstance(cut, GroupKFold) else None  # the others warn of them
    for k, (_, valid) in enumerate(cut.split(y, y.astype(np.int64), asked)):
        fold[valid] = k
    return fold


def _numbers(column: pd.Series) -> Array:
    """Values a tree can tell apart, which it reads as float32: as they are, else their ranks."""
    if not pd.api.types.is_numeric_dtype(column):
        return np.asarray(column.rank(method="dense"), dtype=np.float64)
    values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    with np.errstate(over="ignore"):
        short = values.astype(np.float32)
    if np.isinf(short).any() or len(np.unique(short)) < len(np.unique(values)):
        return np.asarray(column.rank(method="dense"), dtype=np.float64)
    return values


def _score_numbers(values: Array, question: _Question) -> float | None:
    """The worst fold's score of a shallow tree, None below the threshold."""
    if len(np.unique(values)) < 2:
        return None
    n, k = len(values), question.n_classes
    depth = max(6, int(np.ceil(np.log2(max(1, k)))) + 2)
    leaf = max(3, n // 1000)
    tree: DecisionTreeClassifier | DecisionTreeRegressor
    worst = np.inf
    for fold in range(N_FOLDS):
        train, valid = question.fold != fold, question.fold == fold
        X, y = values[:, None], question.y
        if k:
            tree = DecisionTreeClassifier(max_depth=depth, min_samples_leaf=leaf, random_state=0)
            tree.fit(X[train], y[train])
            predicted = np.zeros((valid.sum(), k))
            predicted[:, tree.classes_.astype(int)] = tree.predict_proba(X[valid])
        else:
            tree = DecisionTreeRegressor(max_depth=depth + 1, min_samples_leaf=leaf, random_state=0)
            predicted = tree.fit(X[train], y[train]).predict(X[valid])[:, None]
        worst = min(worst, _score(y[valid], predicted, question))
        if not worst >= THRESHOLD:  # also for nan: one fold is enough to acquit
            return None
    return worst


def _score_levels(codes: NDArray[np.int64], question: _Question) -> float | None:
    """The worst fold's score of the mean target per level, None below the threshold."""
    codes = codes + 1  # 0: missing
    size, y, k = int(codes.max()) + 1, question.y, question.n_classes
    wanted = np.eye(k)[y.astype(np.int64)] if k else y[:, None]  # (n, K) or (n, 1)
    worst = np.inf
    for fold in range(N_FOLDS):
        train, valid = question.fold != fold, question.fold == fold
        counts = np.bincount(codes[train], minlength=size)[:, None]
        sums = np.column_stack(
            [np.bincount(codes[train], column, minlength=size) for column in wanted[train].T]
        )
        means = (sums + _SMOOTHING * wanted[train].mean(axis=0)) / (counts + _SMOOTHING)
        worst = min(worst, _score(y[valid], means[codes[valid]], question))
        if not worst >= THRESHOLD:
            return None
    return worst


def _score(y: Array, predicted: Array, question: _Question) -> float:
    """1 is perfect, 0 (for AUC 0.5) is what knowing nothing gives; nan where undefined."""
    if len(np.unique(y)) < 2:
        return float("nan")
    if question.n_classes == 0:
        return float(r2_score(y, predicted[:, 0]))
    if question.n_classes == 2:
        return float(roc_auc_score(y, predicted[:, 1]))
    right = float((predicted.argmax(axis=1) == y).mean())
    commonest = float(np.bincount(y.astype(np.int64)).max() / len(y))
    return (right - commonest) / (1 - commonest)
