"""The rows a run is most wrong about, and what its columns are worth."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from kit.dataset import Dataset
from kit.report.html import Content, Html, card, table, tag
from kit.report.importance import Importance
from kit.report.material import Truth
from kit.report.svg import bars, number, short

SHOWN = 20
_COLUMNS = 5


def worst_card(truth: Truth, dataset: Dataset, columns: Sequence[str] = ()) -> Html:
    """Ids, truth and prediction of the rows with the largest losses.

    Args:
        truth: out-of-fold predictions and truth.
        dataset: for the values of the columns.
        columns: shown beside, the first five.
    """
    losses = truth.row_losses()
    order = np.argsort(-losses, kind="stable")[:SHOWN]
    shown = [name for name in columns if name in dataset.X.columns][:_COLUMNS]
    values = dataset.X.iloc[truth.rows[order]]
    rows: list[Sequence[Content]] = []
    for place, at in enumerate(order):
        cells = [_cell(values[name].iloc[place]) for name in shown]
        fold = str(int(truth.fold[at]) + 1)
        told = (_true(truth, at), _predicted(truth, at), number(float(losses[at])))
        rows.append([short(str(truth.ids[at]), 32), fold, *told, *cells])
    named = [tag("span", short(name, 24), title=name) for name in shown]
    headers = ["id", "fold", "true", "predicted", "loss", *named]
    kind = "absolute error" if truth.task in ("regression", "multitarget") else "log loss"
    if truth.metric is not None and truth.metric.transform != "none" and kind != "log loss":
        kind += f" on the scale of {truth.metric.name}"
    share = float(losses[order].sum() / losses.sum()) if losses.sum() > 0 else 0.0
    note = f"Loss: {kind}. These {len(rows)} rows make {share:.1%} of the loss of all rows."
    return card("Worst rows", table(headers, rows, right=(4,)), note=note, wide=True)


def _cell(value: object) -> str:
    if isinstance(value, float):
        return "–" if np.isnan(value) else f"{value:.6g}"
    return short(str(value), 24)


def _true(truth: Truth, at: int) -> str:
    y = truth.y[at]
    if truth.task in ("binary", "multiclass"):
        return short(truth.classes[int(y)], 24)
    if truth.task == "multilabel":
        return short(", ".join(truth.names[k] for k in np.flatnonzero(y)) or "none", 40)
    return ", ".join(number(float(v)) for v in np.atleast_1d(y)[:4])


def _predicted(truth: Truth, at: int) -> str:
    pred = truth.pred[at]
    if truth.task == "binary":
        return f"P({short(truth.classes[1], 16)}) = {pred[0]:.3g}"
    if truth.task == "multiclass":
        top = int(pred.argmax())
        return f"{short(truth.classes[top], 20)} ({pred[top]:.2f}); true {pred[truth.y[at]]:.2g}"
    if truth.task == "multilabel":
        off = int(np.abs(pred - truth.y[at]).argmax())
        return f"{short(truth.names[off], 20)}: {pred[off]:.2f}"
    return ", ".join(number(float(v)) for v in pred[:4])


def _measured(value: float, error: float) -> str:
    """A value with the decimals that its error leaves it.

    >>> _measured(0.21534, 0.01294)
    '0.215 ± 0.013'
    """
    if not error > 0:  # nan as well: it was measured once
        return number(value)
    places = min(max(1 - math.floor(math.log10(error)), 0), 8)
    shown = round(value, places) + 0.0  # no minus before a zero
    return f"{shown:,.{places}f} ± {error:,.{places}f}"


def importance_card(found: Importance | None, why: Content, metric: str) -> Html:
    """Permutation importance, or how to come by it."""
    if found is None:
        return card("Feature importance", why, wide=True) if why else Html("")
    rows: list[tuple[Content, float, Content]] = []
    for name, loss, error in zip(found.names, found.losses, found.errors, strict=True):
        shown = _measured(float(loss), float(error))
        rows.append((tag("span", name, title=name), float(loss), shown))
    folds = f"{found.folds[0]} of {found.folds[1]} folds"
    again = ", the first fold fitted again" if found.refitted else ""
    note = (
        f"How much {metric} gets worse when the column is shuffled in rows its model has not seen: "
        f"{found.rows:,} rows of {folds}{again}. Columns that say the same share their worth."
    )
    more = len(rows) - 24
    note += f" {more} more are worth less." if more > 0 else ""
    note += f" {found.left_out} columns were not looked at." if found.left_out else ""
    return card("Feature importance", bars(rows[:24], "c3"), note=note, wide=True)
