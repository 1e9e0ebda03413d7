"""`kit auto` and `kit portfolio`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from kit.cli.options import Directory, Json, On, Quiet, Set, Verbose, competition_or_none, with_on

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from kit.auto.loop import Outcome, Told
    from kit.checks.finding import Finding
    from kit.cli.output import Cell, Output
    from kit.portfolio import Entry
    from kit.runs import Run
    from kit.session import Session


_EARLY = 0.85  # of the budget: what ended before has tried everything


def auto(
    models: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="MODEL",
            help="What to try, in this order. Default: your own models of kit.toml, then the "
            "portfolio (kit portfolio shows it).",
        ),
    ] = None,
    budget: Annotated[
        str, typer.Option(metavar="TIME", help="How long it may take in all: 90s, 10m, 1h.")
    ] = "10m",
    on: On = None,
    directory: Directory = None,
    set_: Set = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Check, try a portfolio of models, blend, and leave a validated submission, in time.

    A submission is there from the first model on. Interrupted, the same command goes on from what
    is finished. Nothing is handed in: kit submit does that.
    """
    from kit.auto.loop import auto as run_auto
    from kit.cli.output import Output
    from kit.competition import Competition
    from kit.duration import parse_duration

    out = Output(json=json, quiet=quiet)
    seconds = parse_duration(budget)
    competition = Competition.find(directory, with_on(set_, on))
    outcome = run_auto(competition, seconds, _told(out, seconds, bool(models)), models or [])
    out.document(_document(outcome))
    _report(out, outcome)


def _told(out: Output, seconds: float, named: bool) -> Told:
    """One line per model, with the time since the start."""
    from kit.auto.budget import Budget
    from kit.auto.loop import Told
    from kit.cli.output import score_format

    clock = Budget(seconds)

    def line(text: str) -> None:
        out.remark(f"{clock.spent:6.0f} s  {text}")

    def event(event: object) -> None:
        from kit.session import Event

        if not isinstance(event, Event) or event.run is None:
            return
        if event.kind == "known":
            line(f"{event.run.model:<20}{score_format(event.run.score):>10}  already there")
        elif event.kind == "done":
            took = sum(event.run.record["seconds"].values())
            cut = "  stopped by the clock" if event.run.record.get("cut") else ""
            line(f"{event.run.model:<20}{score_format(event.run.score):>10}  ({took:.1f} s){cut}")

    def planned(
        session: Session, chosen: Sequence[Entry], left: Sequence[tuple[Entry, str]]
    ) -> None:
        from kit.cli.cv import header, planned_memory

        names = [entry.name for entry in chosen]
        out.remark(header(session) + planned_memory(session, names))
        out.remark(f"to try: {', '.join(names)}")
        more = "other seeds of the best" if named else "random configurations, other seeds"
        out.remark(f"then, while there is time: {more}")
        for line_ in _by_reason("not tried", [(entry.name, reason) for entry, reason in left]):
            out.remark(line_)

    def findings(found: Sequence[Finding] | None) -> None:
        if found is None:
            out.remark("not checked: there is too little time for it; kit check does it")
        for each in found or ():
            out.remark(f"{each.severity}: {each.code} {each.title}: {each.evidence}")

    def submission(run: Run, path: Path) -> None:
        line(f"submission ready: {path.name}")

    return Told(event=event, planned=planned, submission=submission, findings=findings, remark=line)


def _by_reason(what: str, left: Sequence[tuple[str, str]]) -> list[str]:
    """A line per reason, with all that it holds for."""
    reasons: dict[str, list[str]] = {}
    for name, reason in left:
        reasons.setdefault(reason, []).append(name)
    return [f"{what}: {', '.join(names)}: {reason}" for reason, names in reasons.items()]


def _document(outcome: Outcome) -> dict[str, object]:
    from dataclasses import asdict

    return {
        "run": dict(outcome.chosen.record),
        "why": outcome.why,
        "submission": str(outcome.submission),
        "runs": [dict(run.record) for run in outcome.runs],
        "left_out": [
            {"model": name, "reason": reason}
            for name, reason in (*outcome.skipped, *outcome.left_out)
        ],
        "findings": [asdict(finding) for finding in outcome.findings],
        "seconds": round(outcome.seconds, 1),
        "budget": outcome.budget,
    }


def _report(out: Output, outcome: Outcome) -> None:
    from kit.cli.output import score_format, spread_format

    record = outcome.chosen.record
    weights = record.get("weights") or {}
    up = bool(record["metric"]["greater_is_better"])
    rows: list[list[Cell]] = []
    for run in sorted(outcome.runs, key=lambda run: -run.score if up else run.score):
        score, took = run.record["score"], sum(run.record["seconds"].values())
        weight = weights.get(run.id)
        rows.append(
            [
                run.model + (" (cut)" if run.record.get("cut") else ""),
                score_format(run.score),
                spread_format(score["mean"], score["std"]),
                f"{took:.1f} s",
                f"{weight:.3f}" if weight else "",
            ]
        )
    out.say()
    out.table(["model", str(record["metric"]["name"]), "folds", "time", "weight"], rows)
    out.say()
    for line in _by_reason("left out", outcome.left_out):
        out.say(line)
    if outcome.left_out:
        out.say()
    score = record["score"]
    nested = ", nested" if outcome.chosen.kind == "blend" else ""
    spread = spread_format(score["mean"], score["std"])
    folds = f" (folds {spread})" if spread else ""
    out.say(f"{outcome.chosen.id}: CV {score_format(outcome.chosen.score)}{nested}{folds}")
    out.say(f"{outcome.why}")
    out.say(f"submission: {outcome.submission}")
    early = ", nothing was left to try" if outcome.seconds < _EARLY * outcome.budget else ""
    out.say(f"{outcome.seconds:.0f} s of {outcome.budget:.0f} s used{early}")
    out.next(f"kit submit {outcome.chosen.short} -m 'kit auto'")


def portfolio(
    directory: Directory = None,
    set_: Set = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Show the configurations that kit auto tries, in order.

    In a competition's folder its own models come first.
    """
    from kit.cli.output import Output
    from kit.portfolio import PORTFOLIO, entries_of, find_model, missing_package, short_list

    out = Output(json=json, quiet=quiet)
    entries, specs = list(PORTFOLIO), {entry.name: entry.spec for entry in PORTFOLIO}
    competition = competition_or_none(directory, set_, out.problem)
    short = short_list(())
    if competition is not None:
        short = short_list(competition.settings.columns.kinds.values())
        entries = entries_of(competition)
        specs = {entry.name: find_model(competition, entry.name) for entry in entries}
    out.document(
        [
            {
                "name": entry.name,
                "use": specs[entry.name].use,
                "recipe": specs[entry.name].recipe,
                "params": specs[entry.name].params,
                "why": entry.why,
                "installed": not missing_package(entry),
                "short_list": entry.name in short,
            }
            for entry in entries
        ]
    )
    rows: list[list[Cell]] = []
    for entry in entries:
        spec = specs[entry.name]
        on = f" on {spec.recipe}" if spec.recipe else ""
        needs = f" (needs {entry.package})" if missing_package(entry) else ""
        params = ", ".join(f"{key}={value}" for key, value in spec.params.items())
        rows.append([entry.name, spec.use + on, entry.why + needs, *([params] if verbose else [])])
    out.table(["name", "model", "why", *(["parameters"] if verbose else [])], rows)
    out.next("kit cv NAME, or kit auto --budget 10m for all of it")
