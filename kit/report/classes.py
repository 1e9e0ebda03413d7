"""Out-of-fold predictions of classes: distributions, ROC, calibration, confusion."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix, roc_auc_score, roc_curve

from kit.report.html import Content, Html, card, facts, muted, table, tag
from kit.report.material import Truth
from kit.report.svg import Plot, legend, number, short

Array = NDArray[Any]

_BINS = 30
_POINTS = 200
_LABELLED = 16  # classes: the matrix of more has no numbers in its cells
_DRAWN = 120  # classes: of more only the most confused pairs are listed
_PAIRS = 12
_PANELS = 6


def class_cards(truth: Truth) -> Iterator[Html]:
    """What can be shown of a task with classes."""
    if truth.task == "binary":
        yield _distribution(truth)
        yield _roc(truth)
        yield calibration_card(truth.y == 1, truth.pred[:, 0], f"P({truth.classes[1]})")
        yield from _confusion(truth)
    elif truth.task == "multiclass":
        top = truth.pred.argmax(axis=1)
        sure = truth.pred.max(axis=1)
        yield from _confusion(truth)
        yield _sureness(truth, top, sure)
        yield calibration_card(top == truth.y, sure, "probability of the most probable class")
        yield _per_class(truth)
    else:
        yield _per_target(truth)
        yield calibration_card(truth.y.reshape(-1) == 1, truth.pred.reshape(-1), "probability")
        yield _panels(truth)


def _distribution(truth: Truth) -> Html:
    """How far apart the predictions of both classes are."""
    edges = np.linspace(0, 1, _BINS + 1)
    p = np.clip(truth.pred[:, 0], 0, 1)
    shares = [np.histogram(p[truth.y == c], edges)[0] for c in (0, 1)]
    shares = [counts / max(counts.sum(), 1) * 100 for counts in shares]
    plot = Plot(
        x=(0, 1), y=(0, float(max(s.max() for s in shares)) * 1.05 or 1),
        label="distribution of the out-of-fold predictions by class",
        x_label=f"predicted P({short(truth.classes[1], 24)})", y_label="% of the class",
    )  # fmt: skip
    for c, counts in enumerate(shares):
        plot.histogram(counts, edges, f"box c{c}", truth.classes[c])
    if truth.decision.kind == "threshold":
        plot.rule(x=truth.decision.values[0])
    counts_ = [int((truth.y == c).sum()) for c in (0, 1)]
    keys = [(f"c{c}", f"{truth.classes[c]} ({counts_[c]:,} rows)") for c in (0, 1)]
    return card("Out-of-fold predictions", plot.draw(), legend(*keys))


def _roc(truth: Truth) -> Html:
    positive, p = truth.y == 1, truth.pred[:, 0]
    weight = np.ones(len(p)) if truth.weight is None else truth.weight
    if len(np.unique(truth.y[weight > 0])) < 2:
        return Html("")
    plot = Plot(
        x=(0, 1), y=(0, 1), label="ROC curve",
        x_label="share of false alarms", y_label="share of hits",
    )  # fmt: skip
    plot.line((0, 1), (0, 1), "quiet thin dash")
    for k in np.unique(truth.fold):
        of = (truth.fold == k) & (weight > 0)
        if len(np.unique(truth.y[of])) == 2:
            curve = roc_curve(positive[of], p[of], sample_weight=weight[of])
            plot.line(*_thinned(*curve[:2]), "c0 thin")
    plot.line(*_thinned(*roc_curve(positive, p, sample_weight=weight)[:2]), "c0")
    area = roc_auc_score(positive, p, sample_weight=weight)
    return card(
        "ROC", plot.draw(), note=f"Area under the curve, all rows pooled: {area:.4f}. "
        "Thin: the folds."
    )  # fmt: skip


def _thinned(x: Array, y: Array) -> tuple[Array, Array]:
    if len(x) <= _POINTS:
        return x, y
    at = np.unique(np.searchsorted(x + y, np.linspace(0, 2, _POINTS)).clip(0, len(x) - 1))
    return x[at], y[at]


def calibration_card(hit: Array, p: Array, what: str) -> Html:
    """Whether 70 % sure means right seven times out of ten."""
    order = np.argsort(p, kind="stable")
    groups = [g for g in np.array_split(order, min(10, max(2, len(p) // 20))) if len(g)]
    means = np.array([p[g].mean() for g in groups])
    rates = np.array([hit[g].mean() for g in groups])
    sizes = np.array([len(g) for g in groups])
    error = float(np.abs(means - rates) @ sizes / sizes.sum())
    plot = Plot(
        x=(0, 1), y=(0, 1), label="calibration", x_label=f"predicted {short(what, 44)}",
        y_label="share that came true",
    )  # fmt: skip
    plot.line((0, 1), (0, 1), "quiet thin dash")
    for mean, rate, size in zip(means, rates, sizes, strict=True):
        half = 1.96 * float(np.sqrt(max(rate * (1 - rate), 0.25 / size) / size))
        plot.line((mean, mean), (max(0.0, rate - half), min(1.0, rate + half)), "c2 thin")
    plot.line(means, rates, "c2")
    for mean, rate, size in zip(means, rates, sizes, strict=True):
        plot.dot(float(mean), float(rate), "c2", f"{mean:.3f} predicted, {rate:.3f} true, {size:,}")
    worst = int(np.argmax(np.abs(means - rates)))
    side = "over" if means[worst] > rates[worst] else "under"
    note = (
        f"Mean distance from the diagonal {error:.3f} (expected calibration error). Farthest: "
        f"{means[worst]:.2f} predicted, {rates[worst]:.2f} true, {side}confident there."
    )
    return card("Calibration", plot.draw(), note=note)


def _confusion(truth: Truth) -> Iterator[Html]:
    if truth.labels is None:
        return
    size = len(truth.classes)
    counts = confusion_matrix(truth.y, truth.labels, labels=np.arange(size))
    right = float(np.trace(counts) / max(counts.sum(), 1))
    rule = "" if truth.decision.kind == "none" else f", decided by {truth.decision.kind}"
    note = f"{right:.2%} of the rows on the diagonal{rule}. Colours: share of the true class."
    if size <= _LABELLED:
        told = facts(_rates(counts)) if size == 2 else None
        yield card("Confusion", _matrix(counts, truth.classes), told, note=note, wide=size > 8)
    elif size <= _DRAWN:
        yield card("Confusion", _picture(counts, truth.classes), note=note)
    if size > 8:
        yield _pairs(counts, truth.classes)


def _rates(counts: Array) -> Iterator[tuple[str, str]]:
    """What two classes' counts say of the second one."""
    (true_negative, false_positive), (false_negative, hits) = counts.astype(float)
    precision = hits / max(hits + false_positive, 1)
    recall = hits / max(hits + false_negative, 1)
    quiet = true_negative / max(true_negative + false_positive, 1)
    yield "precision", f"{precision:.4f} of the rows called positive are"
    yield "recall", f"{recall:.4f} of the positive rows are found"
    yield "F1", f"{2 * hits / max(2 * hits + false_positive + false_negative, 1):.4f}"
    yield "balanced accuracy", f"{(recall + quiet) / 2:.4f}"


def _matrix(counts: Array, names: Sequence[str]) -> Html:
    """A table with shaded cells."""
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)

    def cell(i: int, j: int) -> Html:
        colour = "var(--c2)" if i == j else "var(--c4)"
        strength = f"{np.sqrt(shares[i, j]) * 70:.0f}%"  # few must be seen, too
        style = f"background:color-mix(in srgb, {colour} {strength}, transparent)"
        told = f"true {names[i]}, predicted {names[j]}: {shares[i, j]:.1%}"
        return tag("td", f"{counts[i, j]:,}", class_="heat", style=style, title=told)

    head = tag("tr", tag("th", "true \\ predicted"), [tag("th", short(n), title=n) for n in names])
    size = range(len(names))
    body = [
        tag("tr", tag("th", short(names[i]), title=names[i]), [cell(i, j) for j in size])
        for i in size
    ]
    return tag("div", tag("table", head, body), class_="scroll", tabindex="0")


def _picture(counts: Array, names: Sequence[str]) -> Html:
    """Many classes as a picture, without numbers."""
    size = len(names)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    plot = Plot(
        x=(-0.5, size - 0.5), y=(size - 0.5, -0.5), height=360, left=40,
        label="confusion matrix", x_label="number of the predicted class", y_label="true class",
    )  # fmt: skip
    for i, j in zip(*np.nonzero(counts), strict=True):
        share = float(shares[i, j])
        told = f"true {names[i]}, predicted {names[j]}: {counts[i, j]:,}"
        colour = "c2" if i == j else "c4"
        where = (j - 0.5, j + 0.5), (i - 0.5, i + 0.5)
        plot.box(*where, f"fill {colour}", told, opacity=min(1.0, 0.12 + 0.88 * share**0.5))
    return plot.draw()


def _pairs(counts: Array, names: Sequence[str]) -> Html:
    """Which classes are taken for which."""
    wrong = counts * (1 - np.eye(len(names), dtype=counts.dtype))
    order = np.argsort(-wrong, axis=None, kind="stable")[:_PAIRS]
    rows: list[Sequence[Content]] = []
    for at in order:
        i, j = np.unravel_index(at, wrong.shape)
        if wrong[i, j]:
            share = f"{wrong[i, j] / counts[i].sum():.1%}"
            rows.append([names[i], names[j], f"{wrong[i, j]:,}", share])
    if not rows:
        return Html("")
    headers = ["true", "predicted", "rows", "of the class"]
    return card("Most confused", table(headers, rows, right=(2, 3)))


def _sureness(truth: Truth, top: Array, sure: Array) -> Html:
    """How sure the model is where it is right and where it is wrong."""
    low = 1 / max(len(truth.classes), 2)
    edges = np.linspace(min(low, float(sure.min())), 1, _BINS + 1)
    counts = [np.histogram(sure[(top == truth.y) == ok], edges)[0] for ok in (True, False)]
    shares = [c / max(c.sum(), 1) * 100 for c in counts]
    plot = Plot(
        x=(float(edges[0]), 1), y=(0, float(max(s.max() for s in shares)) * 1.05 or 1),
        label="probability of the most probable class, right and wrong rows",
        x_label="probability of the most probable class", y_label="% of the rows",
    )  # fmt: skip
    for name, colour, share in zip(("right", "wrong"), ("c2", "c4"), shares, strict=True):
        plot.histogram(share, edges, f"box {colour}", name)
    keys = [("c2", f"right ({counts[0].sum():,})"), ("c4", f"wrong ({counts[1].sum():,})")]
    return card("Out-of-fold predictions", plot.draw(), legend(*keys))


def _per_class(truth: Truth) -> Html:
    """Recall, precision and log loss of each class, the worst first."""
    if truth.labels is None:
        return Html("")
    losses = truth.row_losses()
    rows: list[tuple[float, Sequence[Content]]] = []
    for c, name in enumerate(truth.classes):
        own, said = truth.y == c, truth.labels == c
        both = int((own & said).sum())
        recall = both / max(int(own.sum()), 1)
        precision = both / max(int(said.sum()), 1)
        loss = float(losses[own].mean()) if own.any() else float("nan")
        shares = (f"{recall:.3f}", f"{precision:.3f}", number(loss))
        shown = tag("span", short(name, 28), title=name)
        rows.append((recall, [shown, f"{int(own.sum()):,}", *shares]))
    rows.sort(key=lambda row: row[0])
    worst = [cells for _, cells in rows[:20]]
    more = f"The {len(worst)} classes of the lowest recall, of {len(rows)}."
    headers = ["class", "rows", "recall", "precision", "log loss"]
    note = more if len(rows) > len(worst) else None
    return card("By class", table(headers, worst, right=(1, 2, 3, 4)), note=note)


def _areas(truth: Truth) -> list[float]:
    return [
        float(roc_auc_score(truth.y[:, k], truth.pred[:, k]))
        if 0 < truth.y[:, k].mean() < 1
        else float("nan")
        for k in range(truth.y.shape[1])
    ]


def _per_target(truth: Truth) -> Html:
    p = np.clip(truth.pred, 1e-15, 1 - 1e-15)
    losses = -(truth.y * np.log(p) + (1 - truth.y) * np.log1p(-p)).mean(axis=0)
    areas = _areas(truth)
    order = np.argsort(np.nan_to_num(areas, nan=-1.0), kind="stable")[:30]
    rows: list[Sequence[Content]] = [
        [truth.names[k], f"{truth.y[:, k].mean():.2%}", f"{truth.pred[:, k].mean():.2%}",
         number(areas[k]), number(float(losses[k]))]
        for k in order
    ]  # fmt: skip
    headers = ["target", "true", "predicted", "ROC AUC", "log loss"]
    note = f"The {len(rows)} worst of {len(areas)} targets." if len(rows) < len(areas) else None
    return card("By target", table(headers, rows, right=(1, 2, 3, 4)), note=note)


def _panels(truth: Truth) -> Html:
    """Distributions of the targets that are hardest to tell."""
    order = np.argsort(np.nan_to_num(_areas(truth), nan=2.0), kind="stable")[:_PANELS]
    panels = []
    for k in order:
        edges = np.linspace(0, 1, _BINS + 1)
        p, y = np.clip(truth.pred[:, k], 0, 1), truth.y[:, k]
        shares = [np.histogram(p[y == c], edges)[0] for c in (0, 1)]
        shares = [s / max(s.sum(), 1) * 100 for s in shares]
        top = float(max(s.max() for s in shares)) * 1.05 or 1
        plot = Plot(x=(0, 1), y=(0, top), label=truth.names[k], height=180, y_label="% of rows")
        for c, share in enumerate(shares):
            plot.histogram(share, edges, f"box c{c}", str(c))
        panels.append(tag("div", tag("h4", truth.names[k]), plot.draw()))
    if not panels:
        return card("Out-of-fold predictions", muted("No target."))
    keys = legend(("c0", "0"), ("c1", "1"))
    body = tag("div", panels, class_="small-multiples")
    note = "The targets of the lowest ROC AUC." if len(truth.names) > _PANELS else None
    return card("Out-of-fold predictions", body, keys, wide=True, note=note)
