"""Runs beside each other: the members of a blend, how alike predictions are, scores of all runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kit.errors import KitError, RunError
from kit.report.html import Content, Html, card, table, tag
from kit.report.scores import TONES, badge, digits, learned
from kit.report.svg import Plot, bars, legend, number, short, spread
from kit.runs import Run, find_run

_ALIKE = 16  # runs in a table of correlations
_ROWS = 50_000  # rows a correlation is computed on
_LISTED = 60


def comparable(run: Run, runs: Sequence[Run]) -> list[Run]:
    """Runs of the same data, folds and metric, best first; runs that were fitted are left out."""
    keys = ("data", "folds")
    up = bool(run.record["metric"]["greater_is_better"])
    same = [
        other
        for other in runs
        if other.kind != "fit"
        and other.metric == run.metric
        and all(other.record["digests"].get(k) == run.record["digests"].get(k) for k in keys)
    ]
    return sorted(same, key=lambda other: -other.score if up else other.score)


def weights_card(run: Run, reports: Path) -> Html:
    """What the blend takes of each member; `reports` is where theirs may lie."""
    weights = {name: float(w) for name, w in (run.record.get("weights") or {}).items()}
    if not weights:
        return Html("")
    ordered = sorted(weights.items(), key=lambda pair: -abs(pair[1]))
    rows: list[tuple[Content, float, Content]] = [
        (_linked(name, reports), weight, f"{weight:.3f}") for name, weight in ordered if weight
    ]
    unused = sum(not weight for weight in weights.values())
    blend: dict[str, Any] = run.record.get("blend", {})
    told = [f"Method: {blend['chosen']}."] if blend.get("chosen") else []
    told += [f"Weight 0: {unused} more."] if unused else []
    return card("Weights of the blend", bars(rows), note=" ".join(told))


def _linked(run_id: str, reports: Path) -> Html:
    there = (reports / f"{run_id}.html").is_file()
    name = _model(run_id)
    inner = tag("a", name, href=f"{run_id}.html") if there else name
    return tag("span", inner, title=run_id)


def _model(run_id: str) -> str:
    """The model in a run's id."""
    middle = run_id.partition("-")[2].rpartition("-")[0]
    return middle or run_id


def alike_card(run: Run, runs: Sequence[Run]) -> Html:
    """Correlations of out-of-fold predictions: of a blend's members, or of comparable runs."""
    if run.record.get("parents") and run.kind == "blend":
        weights = run.record.get("weights") or {}
        chosen = [_found(run, name) for name in run.record["parents"] if weights.get(name)]
        others = [each for each in chosen if each is not None]
    else:
        others = [run, *(other for other in comparable(run, runs) if other.id != run.id)]
    return correlation_card(others[:_ALIKE])


def _found(run: Run, name: str) -> Run | None:
    try:
        return find_run(run.path.parent, name)
    except RunError:
        return None


def correlation_card(runs: Sequence[Run]) -> Html:
    """A table of correlations; nothing where there are not two readable runs."""
    kept, columns = _columns(runs)
    if len(kept) < 2:
        return Html("")
    with np.errstate(invalid="ignore", divide="ignore"):
        matrix = np.atleast_2d(np.corrcoef(np.stack(columns)))
    off = matrix[~np.eye(len(kept), dtype=bool)]
    low = float(np.nanmin(off)) if np.isfinite(off).any() else 0.0

    def cell(value: float) -> Html:
        if not np.isfinite(value):
            return tag("td", "–", class_="heat")
        strength = (value - low) / (1 - low) if low < 1 else 1.0
        colour = f"color-mix(in srgb, var(--c0) {max(0.0, strength) * 60:.0f}%, transparent)"
        return tag("td", f"{value:.3f}", class_="heat", style=f"background:{colour}")

    head = tag("tr", tag("th", ""), [tag("th", str(k + 1)) for k in range(len(kept))])
    body = [
        tag("tr", tag("th", f"{i + 1}  {short(run.model, 22)}", title=run.id),
            [cell(float(value)) for value in matrix[i]])
        for i, run in enumerate(kept)
    ]  # fmt: skip
    shown = tag("div", tag("table", head, body), class_="scroll", tabindex="0")
    note = "Pearson, all outputs together. Members that differ help each other most."
    return card("Correlation of the out-of-fold predictions", shown, note=note, wide=len(kept) > 6)


def _columns(runs: Sequence[Run]) -> tuple[list[Run], list[NDArray[np.float64]]]:
    """Runs that share their ids, and their predictions in one order."""
    import pandas as pd

    kept: list[Run] = []
    columns: list[NDArray[np.float64]] = []
    index = chosen = names = None
    for run in runs:
        try:
            oof = run.oof()
        except KitError:
            continue
        if index is None:
            index, names = pd.Index(oof["id"]), list(oof.columns[2:])
            rng = np.random.default_rng(0)
            chosen = np.arange(len(index))
            if len(index) > _ROWS:
                chosen = rng.choice(chosen, _ROWS, replace=False)
        at = pd.Index(oof["id"]).get_indexer(index)
        if len(oof) != len(index) or (at < 0).any() or list(oof.columns[2:]) != names:
            continue
        kept.append(run)
        columns.append(oof.iloc[:, 2:].to_numpy(dtype=np.float64)[at[chosen]].reshape(-1))
    return kept, columns


def runs_card(runs: Sequence[Run], reports: Sequence[str] = ()) -> Html:
    """All comparable runs: scores with the spread of their folds, and what the curves say.

    Args:
        runs: best first.
        reports: ids of the runs whose own report lies beside this one.
    """
    rows: list[Sequence[Content]] = []
    for run in runs[:_LISTED]:
        score, seconds = run.record["score"], run.record.get("seconds") or {}
        told = learned(run)
        name: Content = run.id
        if run.id in reports:
            name = tag("a", run.id, href=f"{run.id}.html")
        sd = "" if score.get("std") is None else f"± {digits(score['std'], like=score['mean'])}"
        fit = seconds.get("fit")
        rows.append(
            [
                run.model,
                digits(run.score),
                sd,
                "" if fit is None else f"{fit:,.1f}",
                "" if told is None else badge(told.kind, TONES[told.kind]),
                name,
            ]
        )
    headers = ["model", runs[0].metric[0], "sd of folds", "fit s", "curves", "run"]
    note = f"The best {_LISTED} of {len(runs)}." if len(runs) > _LISTED else None
    return card("Runs", table(headers, rows, right=(1, 2, 3)), note=note, wide=True)


def strip_card(runs: Sequence[Run]) -> Html:
    """Score and folds of the best runs as a picture; runs far off it are named below instead."""
    best = list(runs[:20])
    shown = _within_sight(best)
    folds = [_folds(run) for run in shown]
    values = [v for each in folds for v in each] + [run.score for run in shown]
    plot = Plot(
        x=spread(values), y=(len(shown) - 0.4, -0.6), height=60.0 + 19 * len(shown), left=112,
        label="scores of the runs", x_label=shown[0].metric[0], x_ticks=4,
        y_names=[short(run.model, 18) for run in shown],
    )  # fmt: skip
    for k, run in enumerate(shown):
        if folds[k]:
            plot.line((min(folds[k]), max(folds[k])), (k, k), "quiet thin")
        for value in folds[k]:
            plot.dot(value, k, "quiet", number(value), 2.2)
        plot.dot(run.score, k, "c0", f"{run.id}: {digits(run.score)}", 5)
    keys = legend(("c0", "score the run is ranked by"), ("quiet", "its folds"))
    off = [f"{run.model} ({digits(run.score)})" for run in best if run not in shown]
    note = f"Too far off to be shown: {', '.join(off)}." if off else None
    return card("Scores and folds", plot.draw(), keys, note=note)


def _folds(run: Run) -> list[float]:
    return [v for v in run.record["score"]["folds"] if v is not None]


def _within_sight(runs: list[Run]) -> list[Run]:
    """Runs that leave the better half at least a fifth of the axis."""
    half = runs[: max(2, (len(runs) + 1) // 2)]
    values = [v for run in half for v in (*_folds(run), run.score)]
    low, high = min(values), max(values)
    far = 4 * (high - low)
    return [
        run for run in runs
        if not far or all(high - far <= v <= low + far for v in (*_folds(run), run.score))
    ]  # fmt: skip


def history_card(runs: Sequence[Run]) -> Html:
    """The best score so far, run by run."""
    if len(runs) < 2:
        return Html("")
    up = bool(runs[0].record["metric"]["greater_is_better"])
    ordered = sorted(runs, key=lambda run: str(run.record["created"]))
    scores = np.array([run.score for run in ordered])
    best = (np.maximum if up else np.minimum).accumulate(scores)
    # a failed attempt must not press all others flat
    worst = float(np.quantile(scores, 0.1 if up else 0.9))
    inside = scores[scores >= worst] if up else scores[scores <= worst]
    plot = Plot(
        x=(0.5, len(scores) + 0.5), y=spread(np.concatenate([inside, best[-1:]])),
        label="scores in the order of the runs", x_label="run", y_label=ordered[0].metric[0],
        x_whole=True,
    )  # fmt: skip
    low, high = plot.y
    at = np.arange(1, len(scores) + 1)
    plot.line(at, np.clip(best, low, high), "c2")
    for k, run in enumerate(ordered):
        plot.dot(k + 1, float(np.clip(run.score, low, high)), "c0", run.id, 3)
    return card("Progress", plot.draw(), legend(("c0", "a run"), ("c2", "the best so far")))
