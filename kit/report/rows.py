"""The rows a run is most wrong about, and what its columns are worth."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from kit.dataset import Dataset
from kit.report.html import Content, Html, card, table, tag
from kit.report.importance import Importance
from kit.report.material import Truth
from kit.report.svg import bars, number, short

if TYPE_CHECKING:
    import pandas as pd

SHOWN = 20
_COLUMNS = 5
_LETTERS = 200
_PIXELS = 96


def worst_card(truth: Truth, dataset: Dataset, columns: Sequence[str] = ()) -> Html:
    """Ids, truth and prediction of the rows with the largest losses.

    Args:
        truth: out-of-fold predictions and truth.
        dataset: for the values of the columns.
        columns: shown beside, images and the longest text before the others, five in all.
    """
    losses = truth.row_losses()
    order = np.argsort(-losses, kind="stable")[:SHOWN]
    values = dataset.X.iloc[truth.rows[order]]
    images, rest = _shown(values, [n for n in columns if n in values.columns], dataset.kinds)
    prose = rest[0] if rest and dataset.kinds[rest[0]] == "text" else ""
    rows: list[Sequence[Content]] = []
    for place, at in enumerate(order):
        pictures = [_picture(values[name].array, place) for name in images]
        cells = [_cell(values[name].iloc[place], long=name == prose) for name in rest]
        fold = str(int(truth.fold[at]) + 1)
        told = (_true(truth, at), _predicted(truth, at), number(float(losses[at])))
        rows.append([*pictures, short(str(truth.ids[at]), 32), fold, *told, *cells])
    named = [tag("span", short(name, 24), title=name) for name in (*images, *rest)]
    headers = [*named[: len(images)], "id", "fold", "true", "predicted", "loss"]
    headers += named[len(images) :]
    kind = "absolute error" if truth.task in ("regression", "multitarget") else "log loss"
    if truth.metric is not None and truth.metric.transform != "none" and kind != "log loss":
        kind += f" on the scale of {truth.metric.name}"
    share = float(losses[order].sum() / losses.sum()) if losses.sum() > 0 else 0.0
    note = f"Loss: {kind}. These {len(rows)} rows make {share:.1%} of the loss of all rows."
    return card("Worst rows", table(headers, rows, right=(len(images) + 4,)), note=note, wide=True)


def _shown(
    values: pd.DataFrame, columns: Sequence[str], kinds: Mapping[str, str]
) -> tuple[list[str], list[str]]:
    """Columns of images, and others: the one of the longest texts first."""
    images = [name for name in columns if kinds[name] == "image"][:2]
    rest = [name for name in columns if kinds[name] != "image"]
    texts = [name for name in rest if kinds[name] == "text"]
    if texts:
        longest = max(texts, key=lambda name: values[name].astype("str").str.len().sum())
        rest = [longest, *(name for name in rest if name != longest)]
    return images, rest[: _COLUMNS - len(images)]


def _cell(value: object, *, long: bool) -> Content:
    if value is None or value != value:  # nan, NaT
        return "–"
    if long:
        return tag("div", short(str(value), _LETTERS), class_="prose")
    return f"{value:.6g}" if isinstance(value, float) else short(str(value), 24)


def _picture(images: Any, place: int) -> Content:
    """One image as it is in the store, inside the page."""
    if images.isna()[place]:
        return "–"
    from PIL import Image

    pixels = images.pixels(np.array([place]))[0]
    image = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    image.thumbnail((_PIXELS, _PIXELS))
    file = io.BytesIO()
    image.save(file, "PNG")
    data = base64.b64encode(file.getvalue()).decode()
    return tag("img", src=f"data:image/png;base64,{data}", alt="", width=64, height=64)


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
    over = "over the folds" if found.folds[0] > 1 else "of the shuffling alone"
    note = (
        f"How much {metric} gets worse when the column is shuffled in rows its model has not seen: "
        f"{found.rows:,} rows of {folds}{again}. ±: standard error {over}. Columns that say the "
        "same share their worth."
    )
    more = len(rows) - 24
    note += f" {more} more are worth less." if more > 0 else ""
    note += f" {found.left_out} columns were not looked at." if found.left_out else ""
    return card("Feature importance", bars(rows[:24], "c3"), note=note, wide=True)
