"""Score per fold, mean and noise band; learning curves; what the run cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kit.curves import Verdict, step_of, verdict
from kit.decimals import score_text
from kit.errors import RunError
from kit.ledger.book import Ledger
from kit.report.html import Content, Html, card, facts, muted, tag
from kit.report.material import Material
from kit.report.noise import Band, chance
from kit.report.svg import Plot, bars, legend, number, short, spread
from kit.runs import Run

_NAMED = 12  # folds: more are drawn without a name each
_POINTS = 200  # of one curve: more than that nobody sees
TONES = {
    "converged": "good", "overfitting": "warn", "underfitting": "warn", "not converged": "warn",
    "diverged": "bad",
}  # fmt: skip


def digits(score: float | None, like: float | None = None, *, signed: bool = False) -> str:
    """A score with as many digits as are worth reading."""
    return "–" if score is None else score_text(score, like, signed=signed)


def badge(text: str, tone: str) -> Html:
    """A word in a frame; tones are good, warn, bad and info."""
    return tag("span", text, class_=f"badge {tone}")


def fold_card(material: Material, band: Band | None, book: Ledger | None) -> Html:
    """Every fold, the mean, the band, and the public scores there are."""
    score = material.run.record["score"]
    folds = [(k, float(v)) for k, v in enumerate(score["folds"]) if v is not None]
    if not folds:
        return card("Score per fold", muted("The metric has no value on any fold alone."))
    public = public_scores(material.run, book)
    ends = [v for _, v in folds] + public + ([band.low, band.high] if band else [])
    n = len(score["folds"])
    named = n <= _NAMED
    height = 70.0 + (n * 17 if named else 120)
    plot = Plot(
        x=spread(ends, 0.08), y=(n - 0.4, -0.6), height=height, left=52,
        label=f"{material.metric} per fold", x_label=_better(material),
        y_names=[f"fold {k + 1}" for k in range(n)] if named else [],
    )  # fmt: skip
    if band:
        plot.box((band.low, band.high), (n - 0.4, -0.6), "band")
    if score.get("mean") is not None:
        plot.rule(x=float(score["mean"]), class_="rule mean")
    for value in public:
        plot.rule(x=value)
    for k, value in folds:
        plot.dot(value, k, "c0", f"fold {k + 1}: {digits(value)}", 4.5 if named else 3)
    keys: list[tuple[str, Content]] = [("c0", "a fold"), ("quiet", "line: mean of the folds")]
    keys += [("band", "noise band of the leaderboard")] if band else []
    keys += [("quiet", "dashed: public score")] if public else []
    return card("Score per fold", plot.draw(), legend(*keys), note=_band_note(band))


def _better(material: Material) -> str:
    return f"{material.metric} ({'more' if material.up else 'less'} is better)"


def public_scores(run: Run, book: Ledger | None) -> list[float]:
    """What the leaderboard said to a run, every time that it was handed in."""
    rows = book.rows if book else ()
    return [row.public for row in rows if row.run == run.id and row.public is not None]


def _band_note(band: Band | None) -> str:
    if band is None:
        return "No noise band: the truth, the metric, or its value on so few rows is missing."
    guess = ", a guess" if band.guessed else ""
    return (
        f"Of a file as good as this one, 95 of 100 public scores would lie between "
        f"{digits(band.low)} and {digits(band.high)}: {band.rows:,} public rows "
        f"({band.share:.0%} of the test rows{guess}), drawn from the out-of-fold rows. "
        "A lead inside the band says nothing."
        f"{' Rows of a group lie off together: the true band is wider.' if band.grouped else ''}"
    )


def score_card(material: Material) -> Html:
    """The scores as numbers."""
    record = material.run.record
    score = record["score"]
    spread_ = "–" if score.get("std") is None else digits(score["std"], like=score["mean"])
    rows: list[tuple[Content, Content]] = [
        (material.metric, digits(material.run.score)),
    ]
    if digits(score["oof"]) != digits(material.run.score):
        rows.append(("all rows pooled", digits(score["oof"])))
    rows += [
        ("mean ± sd of the folds", f"{digits(score['mean'])} ± {spread_}"),
    ]
    if score.get("plain") is not None:
        plain = digits(score["plain"])
        rows.append(
            ("not nested", f"{plain}, too good: the weights were chosen on these very rows")
        )
    if material.truth is not None and material.truth.weight is not None:
        column = material.competition.settings.columns.weighing
        rows.append(("rows count by", f"{column}; confusion and calibration count each row once"))
    decision = record.get("decision", {})
    if decision.get("kind", "none") != "none":
        values = ", ".join(f"{value:.4g}" for value in decision["values"][:8])
        more = ", …" if len(decision["values"]) > 8 else ""
        rows.append(("decision", f"{decision['kind']} {values}{more}"))
        if score["default"] != score["oof"]:
            rows.append(("without it", digits(score["default"])))
    if record.get("early_stopping") == "fold":
        rows.append(("beware", badge("stopped early on the scored fold: optimistic", "warn")))
    if record.get("kind") == "fit":
        rows.append(("scores of", ", ".join(record.get("parents", ()))))
    return card("Score", facts(rows))


def holdout_card(material: Material) -> Html:
    """The score on the sealed rows beside what cross-validation lets expect there.

    The only place of a report that shows it: nothing is ranked by it.
    """
    held = material.run.record.get("holdout")
    if not held:
        return Html("")
    run, rows, score = material.run, int(held["rows"]), held["score"]
    told: list[tuple[Content, Content]] = [
        (f"{material.metric}, sealed", digits(score, like=run.score)),
        ("cross-validated", digits(run.score)),
        ("sealed rows", f"{rows:,}"),
    ]
    if held.get("near"):
        told.append(("in no fold", f"{int(held['near']):,} too near the sealed rows"))
    ends = None if material.truth is None else chance(material.truth, run.score, rows)
    if ends is not None:
        told.append(("by chance", f"{digits(ends[0])} to {digits(ends[1])}, 95 of 100 times"))
        if score is not None:
            tone, text = kept(score, ends, up=material.up)
            told.append(("verdict", badge(text, tone)))
    return card(
        "Sealed holdout",
        facts(told),
        note="Nothing was trained, stopped, blended or chosen by these rows. That ends when you "
        "choose among runs by this number.",
    )


def kept(score: float, ends: tuple[float, float], *, up: bool) -> tuple[str, str]:
    """Whether the sealed rows keep what the folds promise: tone and words."""
    worse = score < ends[0] if up else score > ends[1]
    if worse:
        return "warn", "worse than chance explains: the folds are optimistic"
    inside = ends[0] <= score <= ends[1]
    return ("good", "as promised") if inside else ("info", "better than promised")


def learned(run: Run) -> Verdict | None:
    """The verdict on a run's curves; None where there is none."""
    try:
        return verdict(run.curves, step_of(run.record))
    except RunError:
        return None


def learning_card(run: Run) -> Html:
    """Curves of all folds and what they say; nothing where the model has none."""
    try:
        curves = run.curves
    except RunError as error:
        return card("Learning curves", muted(str(error).splitlines()[0]))
    told, step = learned(run), step_of(run.record)
    plot = _curves(curves, step)
    if plot is None:
        return Html("")
    says = None
    if told is not None:
        share = f" ({told.folds[0]} of {told.folds[1]} folds)" if told.folds[1] > 1 else ""
        tone = TONES[told.kind]
        says = tag("p", badge(told.kind, tone), f" {told.text}{share}.")
        remedy = tag("p", f"To try: {told.remedy}.", class_="muted") if told.remedy else None
        says = Html(says + (remedy or ""))
    keys: list[tuple[str, Content]] = [("c1", "validation, a line per fold")]
    if any("train" in curve for curve in curves.values()):
        keys.insert(0, ("c0", "training"))
    return card("Learning curves", says, plot.draw(), legend(*keys))


def _curves(curves: Mapping[str, Mapping[str, Sequence[float]]], step: str) -> Plot | None:
    lines = [
        (name, np.asarray(losses, dtype=float))
        for curve in curves.values()
        for name, losses in curve.items()
        if len(losses) > 1
    ]
    if not lines:
        return None
    values = np.concatenate([losses for _, losses in lines])
    finite = values[np.isfinite(values)]
    if not len(finite):
        return None
    # one wild first step must not press all others flat
    top = float(min(finite.max(), np.quantile(finite, 0.98) * 1.3)) if finite.min() > 0 else None
    low, high = spread(finite if top is None else np.minimum(finite, top))
    longest = max(len(losses) for _, losses in lines)
    plot = Plot(x=(1, longest), y=(low, high), label="loss per step", x_label=step, y_label="loss")
    for name, losses in sorted(lines, key=lambda line: line[0] != "train"):
        at = np.unique(np.linspace(0, len(losses) - 1, _POINTS).round().astype(int))
        colour = "c0" if name == "train" else "c1"
        plot.line(at + 1, np.minimum(losses[at], high), f"thin {colour}")
    best = [np.asarray(c["valid"], dtype=float) for c in curves.values() if len(c.get("valid", ()))]
    for losses in best:
        if np.isfinite(losses).any():
            k = int(np.nanargmin(losses))
            plot.dot(k + 1, float(losses[k]), "c1", f"best: {number(float(losses[k]))}", 3)
    return plot


def cost_card(run: Run) -> Html:
    """Time and memory."""
    record = run.record
    seconds: Mapping[str, Any] = record.get("seconds") or {}
    rows = [(name, float(value), f"{float(value):,.1f} s") for name, value in seconds.items()]
    told: list[tuple[Content, Content]] = []
    if record.get("peak_memory_mb"):
        told.append(("peak memory", f"{record['peak_memory_mb']:,.0f} MB"))
    best = [b for b in record.get("best_iterations") or [] if b is not None]
    if best:
        told.append(("stopped at", f"{min(best)} to {max(best)} (median {int(np.median(best))})"))
    if record.get("early_stopping") and run.kind == "cv":
        told.append(("early stopping", str(record["early_stopping"])))
    if record.get("cut"):
        told.append(("cut by the clock", ", ".join(f"fold {k + 1}" for k in record["cut"])))
    if record.get("resumed"):
        told.append(("resumed", ", ".join(f"fold {k + 1}" for k in record["resumed"])))
    if not rows and not told:
        return Html("")
    return card("Time and memory", bars(rows, "c2") if rows else None, facts(told))


def parameters_card(run: Run, *, wide: bool) -> Html:
    """The hyper-parameters."""
    params = run.record.get("params") or {}
    if not params:
        return Html("")
    rows = [(name, short(str(value), 60)) for name, value in params.items()]
    return card("Parameters", tag("div", facts(rows), class_="columns" if wide else ""), wide=wide)
