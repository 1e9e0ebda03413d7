"""Labels that a model contradicts where it should be sure.

Classes that overlap are no label noise: there a model is unsure, and where it is sure it is right.
Noise is different: labels stay wrong at about the same rate however sure the model is. So the
error rate among the surest rows is compared with that of all rows. Where a fifth of all rows or
more is predicted wrongly the two cannot be told apart, and nothing is said. The suspects are those
that another class claims with at least its usual confidence (Northcutt, Jiang and Chuang,
"Confident Learning", 2021).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from kit.checks.deep.learning import as_numbers, out_of_fold, rows_for, strength
from kit.checks.finding import Evidence
from kit.checks.leaks import folds_for
from kit.checks.material import Material

_ROWS = 10_000
_FEWEST = 200
_MOST_CLASSES = 20
_LEARNABLE = 0.18  # share of wrong predictions from which a model is in no position to contradict
_KNOWS = 0.5  # strength (2 AUC - 1) from which it knows anything: rare classes are seldom wrong
_SUREST = 0.3  # of the rows
_FLOOR, _FEW = 0.02, 8  # of the surest rows contradicted
_FLAT = 0.42  # of the error rate of all rows


def suspects(m: Material) -> Iterator[Evidence]:
    """Rows whose label a model contradicts confidently."""
    task = m.settings.task
    if task.type not in ("binary", "multiclass") or len(task.classes) > _MOST_CLASSES:
        return
    picked = m.drawn(len(m.known), rows_for(m, _ROWS), "label noise")
    y = m.y[picked]
    counts = np.bincount(y, minlength=len(task.classes))
    if len(y) < _FEWEST or counts.min() < 10:
        return
    names = [name for name in m.X.columns if name not in m.id_like]
    X = as_numbers(m, names, m.X.iloc[m.known[picked]])
    fold = folds_for(m, picked, y.astype(np.float64), len(counts))
    proba = out_of_fold(X, y, fold, len(counts), threads=m.threads, smooth=True)
    if strength(y, proba, len(counts))[0] < _KNOWS:
        return
    wrong, own = proba.argmax(axis=1) != y, proba[np.arange(len(y)), y]
    surest = np.argsort(-proba.max(axis=1), kind="stable")[: int(_SUREST * len(y))]
    floor, overall = float(wrong[surest].mean()), float(wrong.mean())
    few = wrong[surest].sum() < _FEW
    if few or overall > _LEARNABLE or floor < max(_FLOOR, _FLAT * overall):
        return
    usual = np.array([own[y == k].mean() for k in range(len(counts))])
    claimed = (proba >= usual) & (np.arange(len(counts)) != y[:, None])
    found = np.flatnonzero(claimed.any(axis=1) & wrong)
    found = found[np.argsort(own[found], kind="stable")]
    examples = ", ".join(
        f"{m.row_ids.iloc[m.known[picked[k]]]} ({task.classes[y[k]]!r}, model "
        f"{task.classes[proba[k].argmax()]!r})"
        for k in found[:5]
    )
    yield Evidence(
        text=f"{len(found)} of {len(y)} labels are contradicted by a model that did not see them; "
        f"of the {len(surest)} rows it is surest of, {floor:.1%} ({overall:.1%} of all). "
        f"First ids: {examples}",
        remedy="look at some of these rows. If the labels are wrong in train only, models that "
        "learn less by heart help: fewer leaves, larger leaves, more seeds; thresholds chosen on "
        "such labels mislead",
    )
