"""Out-of-fold predictions of numbers: distributions, predicted against true, residuals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kit.report.html import Content, Html, card, table, tag
from kit.report.material import Truth
from kit.report.svg import Plot, legend, number, spread

Array = NDArray[Any]

_BINS = 40
_POINTS = 2_000  # more rows are counted in cells
_CELLS = 36
_PANELS = 6


def value_cards(truth: Truth) -> Iterator[Html]:
    """What can be shown of a task with numbers."""
    y = truth.y.reshape(len(truth.y), -1)
    if y.shape[1] == 1:
        yield card(
            "Predicted and true", against(y[:, 0], truth.pred[:, 0], "true", "predicted"),
            note="On the dashed line both are equal.",
        )  # fmt: skip
        yield _distribution(y[:, 0], truth.pred[:, 0])
        yield _residuals(y[:, 0], truth.pred[:, 0])
        yield _over_prediction(y[:, 0], truth.pred[:, 0])
        return
    yield _per_target(truth, y)
    yield _panels(truth, y)


def against(x: Array, y: Array, x_label: str, y_label: str, height: float = 280) -> Html:
    """Two columns of numbers against each other, with the diagonal."""
    both = _range(np.concatenate([x, y]))
    label = f"{y_label} against {x_label}"
    plot = Plot(x=both, y=both, label=label, x_label=x_label, y_label=y_label, height=height)
    _cloud(plot, x, y)
    plot.line(both, both, "quiet thin dash")
    return plot.draw()


def _range(values: Array) -> tuple[float, float]:
    """The range without the farthest thousandth on both sides, where that is far away."""
    low, high = np.quantile(values, (0.001, 0.999))
    inside = values[(values >= low - (high - low) / 2) & (values <= high + (high - low) / 2)]
    return spread(inside if len(inside) > 1 else values, 0.03)


def _cloud(plot: Plot, x: Array, y: Array) -> None:
    """Points, or cells that are darker where there are more of them."""
    inside = (x >= plot.x[0]) & (x <= plot.x[1]) & (y >= plot.y[0]) & (y <= plot.y[1])
    x, y = x[inside], y[inside]
    if len(x) <= _POINTS:
        plot.dots(x, y, "c0")
        return
    counts, xs, ys = np.histogram2d(x, y, _CELLS, [plot.x, plot.y])
    strength = np.log1p(counts) / np.log1p(counts.max())
    for i, j in zip(*np.nonzero(counts), strict=True):
        told = f"{int(counts[i, j]):,} rows"
        where = (xs[i], xs[i + 1]), (ys[j], ys[j + 1])
        plot.box(*where, "fill c0", told, opacity=float(0.12 + 0.88 * strength[i, j]))


def _distribution(y: Array, pred: Array) -> Html:
    edges = np.linspace(*_range(np.concatenate([y, pred])), _BINS + 1)
    counts = [np.histogram(values, edges)[0] for values in (y, pred)]
    plot = Plot(
        x=(float(edges[0]), float(edges[-1])), y=(0, float(max(c.max() for c in counts)) * 1.05),
        label="distribution of truth and predictions", x_label="value", y_label="rows",
    )  # fmt: skip
    for name, colour, count in zip(("true", "predicted"), ("c1", "c0"), counts, strict=True):
        plot.histogram(count, edges, f"box {colour}", name)
    note = (
        f"True: mean {number(float(y.mean()))}, sd {number(float(y.std()))}. Predicted: mean "
        f"{number(float(pred.mean()))}, sd {number(float(pred.std()))}."
    )
    keys = legend(("c1", "true"), ("c0", "out-of-fold prediction"))
    return card("Out-of-fold predictions", plot.draw(), keys, note=note)


def _residuals(y: Array, pred: Array) -> Html:
    off = pred - y
    edges = np.linspace(*_range(off), _BINS + 1)
    counts = np.histogram(off, edges)[0]
    plot = Plot(
        x=(float(edges[0]), float(edges[-1])), y=(0, float(counts.max()) * 1.05),
        label="distribution of the residuals", x_label="predicted - true", y_label="rows",
    )  # fmt: skip
    plot.histogram(counts, edges, "box c0", "residual")
    plot.rule(x=0)
    low, middle, high = np.quantile(off, (0.05, 0.5, 0.95))
    note = (
        f"Median {number(float(middle))}, mean {number(float(off.mean()))}; nine of ten rows lie "
        f"between {number(float(low))} and {number(float(high))}."
    )
    return card("Residuals", plot.draw(), note=note)


def _over_prediction(y: Array, pred: Array) -> Html:
    off = pred - y
    label = "residuals over the prediction"
    plot = Plot(
        x=_range(pred), y=_range(off), label=label, x_label="predicted", y_label="predicted - true"
    )
    _cloud(plot, pred, off)
    plot.rule(y=0)
    order = np.argsort(pred, kind="stable")
    groups = [g for g in np.array_split(order, min(20, max(2, len(pred) // 20))) if len(g)]
    middle = [float(np.median(off[g])) for g in groups]
    plot.line([float(np.mean(pred[g])) for g in groups], middle, "c4")
    note = "Line: median of the residuals. Away from 0, the model is off for a whole range."
    return card("Residuals over the prediction", plot.draw(), note=note)


def _shares(y: Array, pred: Array) -> Array:
    """Share of the variance that is explained, per column; nan where there is none."""
    total = ((y - y.mean(axis=0)) ** 2).sum(axis=0)
    rest = ((y - pred) ** 2).sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(np.ptp(y, axis=0) > 0, 1 - rest / total, np.nan)


def _per_target(truth: Truth, y: Array) -> Html:
    off = truth.pred - y
    r2 = _shares(y, truth.pred)
    order = np.argsort(r2, kind="stable")[:30]
    rows: list[Sequence[Content]] = [
        [truth.names[k], number(float(y[:, k].mean())), number(float(truth.pred[:, k].mean())),
         number(float(np.sqrt((off[:, k] ** 2).mean()))), number(float(np.abs(off[:, k]).mean())),
         number(float(r2[k]))]
        for k in order
    ]  # fmt: skip
    headers = ["target", "mean true", "mean predicted", "RMSE", "MAE", "R²"]
    note = f"The {len(rows)} worst of {len(r2)} targets." if len(rows) < len(r2) else None
    return card("By target", table(headers, rows, right=(1, 2, 3, 4, 5)), wide=True, note=note)


def _panels(truth: Truth, y: Array) -> Html:
    order = np.argsort(_shares(y, truth.pred), kind="stable")[:_PANELS]
    panels = [
        tag("div", tag("h4", truth.names[k]), against(y[:, k], truth.pred[:, k], "true", "", 230))
        for k in order
    ]
    note = "The targets of the lowest R²." if len(truth.names) > _PANELS else None
    body = tag("div", panels, class_="small-multiples")
    return card("Predicted (upwards) and true", body, wide=True, note=note)
