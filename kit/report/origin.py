"""Where a run comes from and what is known around it: findings, ledger, how to make it again."""

from __future__ import annotations

import json
import platform
import shlex
from collections.abc import Sequence
from typing import Any

import numpy as np

from kit.checks import check
from kit.checks.finding import Report
from kit.competition import Competition
from kit.errors import KitError
from kit.ledger import ledger
from kit.ledger.book import Ledger
from kit.ledger.listed import recall
from kit.report.html import Content, Html, card, facts, muted, table, tag
from kit.report.scores import badge, digits
from kit.report.svg import Plot, legend, spread
from kit.runs import Run

_TONES = {"error": "bad", "warning": "warn", "info": "info"}
_ROWS = 30


def read_ledger(competition: Competition, folds: str) -> Ledger | None:
    """What was handed in, from what is known here; nothing is asked of a server.

    Args:
        competition: whose submissions they are.
        folds: digest of the folds that count, see `kit.ledger.ledger`.
    """
    try:
        listed, contest, _ = recall(competition)
        return ledger(competition, listed, contest, folds)
    except KitError:
        return None


def findings(competition: Competition) -> tuple[Report | None, str]:
    """What `kit check` finds now, or why it cannot look."""
    try:
        return check(competition), ""
    except KitError as error:
        return None, str(error).splitlines()[0]


def findings_card(report: Report | None, why: str) -> Html:
    """The findings, errors first."""
    if report is None:
        return card("Findings of kit check", muted(why), wide=True)
    entries = [
        tag(
            "div",
            badge(found.severity, _TONES[found.severity]), f" {found.code}  {found.title}",
            tag("p", found.evidence),
            tag("p", f"{found.remedy[:1].upper()}{found.remedy[1:]}", class_="muted"),
            class_="finding",
        )
        for found in report.findings
    ]  # fmt: skip
    quiet = f", {len(report.muted)} muted in kit.toml" if report.muted else ""
    note = f"{len(report.checked)} checks on the data as they are now{quiet}. {report.sampled}"
    none = muted(badge("clean", "good"), " Nothing found.")
    return card("Findings of kit check", entries or none, note=note, wide=True)


def ledger_card(book: Ledger | None, run: Run | None = None) -> Html:
    """Submissions: CV beside the public score, and the line between them."""
    rows = [row for row in book.rows if run is None or row.run == run.id] if book else []
    if book is None or not rows:
        return Html("")
    cells: list[Sequence[Content]] = [
        [
            row.when[:10], digits(row.cv) if row.cv is not None else "",
            digits(row.public) if row.public is not None else row.status,
            digits(row.private) if row.private is not None else "",
            "" if row.gap is None else digits(row.gap, row.cv, signed=True), row.name, row.message,
        ]
        for row in rows[:_ROWS]
    ]  # fmt: skip
    headers = ["when", "CV", "public", "private", "gap", "run", "message"]
    note = f"The newest {_ROWS} of {len(rows)}." if len(rows) > _ROWS else None
    shown = table(headers, cells, right=(1, 2, 3, 4))
    return Html(card("Submissions", shown, note=note, wide=True) + _line_card(book, run))


def _line_card(book: Ledger, run: Run | None) -> Html:
    counted = [row for row in book.scored if book.counts(row.folds)]
    points = [(float(r.cv or 0.0), float(r.public or 0.0), r.name, r.run) for r in counted]
    if len(points) < 2:
        return Html("")
    xs, ys = [p[0] for p in points], [p[1] for p in points]
    plot = Plot(
        x=spread(xs), y=spread(ys), label="public score over CV score", x_label="CV",
        y_label="public",
    )  # fmt: skip
    if book.line is not None:
        ends = np.array(plot.x)
        plot.line(ends, [book.line.at(float(x)) for x in ends], "c1")
    for cv, public, name, of in points:
        own = run is not None and of == run.id
        told = f"{name}: {digits(cv)} → {digits(public)}"
        plot.dot(cv, public, "c4" if own else "c0", told, 6 if own else 4)
    if book.line is None:
        note = book.why
    else:
        doubts = "; ".join(book.line.doubts)
        trust = f" Not to be trusted yet: {doubts}." if doubts else ""
        start = digits(book.line.intercept, book.line.cv_mean)
        note = f"public = {start} + {book.line.slope:.3f} × CV.{trust}"
    keys = [("c0", "a submission"), *([("c4", "this run")] if run else [])]
    return card("CV and leaderboard", plot.draw(), legend(*keys), note=note)


def reproduce_card(run: Run) -> Html:
    """Command, hash, digests, packages."""
    record = run.record
    digests: dict[str, Any] = record["digests"]
    packages = ", ".join(f"{k} {v}" for k, v in (record.get("packages") or {}).items())
    rows: list[tuple[Content, Content]] = [
        ("run hash", tag("code", run.hash)),
        *((f"imported: {key}", value) for key, value in (record.get("imported") or {}).items()),
        ("made", str(record["created"])[:19].replace("T", " ") + " UTC"),
        ("seed", record.get("seed")),
        *((f"digest: {key}", tag("code", value)) for key, value in digests.items()),
        ("kit", record.get("kit")),
        ("packages", packages or "–"),
        ("report made with", f"Python {platform.python_version()} on {platform.system()}"),
    ]
    steps = [tag("pre", "\n".join(commands(run)))] if commands(run) else []
    note = None
    if run.kind in ("cv", "blend"):
        note = "kit rerun computes it again from the code kept with it and compares bit by bit."
    return card("How to make it again", steps, facts(rows), wide=True, note=note)


def commands(run: Run) -> list[str]:
    """What to type."""
    record = run.record
    overrides = record.get("overrides") or {}
    flags = "".join(f" --set {shlex.quote(f'{k}={_toml(v)}')}" for k, v in overrides.items())
    if run.kind == "cv":
        return [f"kit cv {shlex.quote(_base(run))}{flags}", f"kit rerun {run.id}"]
    if run.kind == "blend":
        parents = " ".join(name for name, w in (record.get("weights") or {}).items() if w)
        way = shlex.quote(str((record.get("params") or {}).get("method", "auto")))
        return [f"kit blend {parents} --method {way}{flags}", f"kit rerun {run.id}"]
    if run.kind == "fit":
        return [f"kit fit {parent}" for parent in record.get("parents", ())]
    return []


def _base(run: Run) -> str:
    name, dot, number = run.model.rpartition(".")
    return name if dot and number.isdigit() else run.model


def _toml(value: Any) -> str:
    """A value as `--set` reads it: TOML, whose tables are not spelled as those of JSON."""
    if isinstance(value, dict):
        inside = (f"{json.dumps(k, ensure_ascii=False)} = {_toml(v)}" for k, v in value.items())
        return f"{{{', '.join(inside)}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(value, ensure_ascii=False)
