"""`kit check`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from kit.cli.options import Directory, Json, Quiet, Set, Verbose

if TYPE_CHECKING:
    from kit.checks import Report
    from kit.cli.output import Cell, Output
    from kit.competition import Competition
    from kit.permutation import Proof


Models = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="MODEL",
        help="With --null-labels: which models. Default: as kit cv.",
    ),
]
Deep = Annotated[
    bool,
    typer.Option(
        "--deep", help="Also what takes longer: drift, near-duplicates, hidden leaks, noise."
    ),
]
NullLabels = Annotated[
    bool,
    typer.Option("--null-labels", help="Also train on permuted labels: the score must be chance."),
]
CheckBudget = Annotated[
    str,
    typer.Option(metavar="TIME", help="For --deep and for --null-labels each: 90s, 10m."),
]
Strict = Annotated[bool, typer.Option("--strict", help="Exit with 1 on warnings, too (for CI).")]


def check(
    models: Models = None,
    deep: Deep = False,
    null_labels: NullLabels = False,
    budget: CheckBudget = "2m",
    strict: Strict = False,
    directory: Directory = None,
    set_: Set = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Look for broken files, duplicates, leaks, bad folds.

    Exit code 1 when there is an error. A finding you know and accept is muted in kit.toml:
    [check] mute = ["KIT114"].
    """
    from dataclasses import asdict

    from kit.checks import check as run_checks
    from kit.cli.output import Output
    from kit.competition import Competition
    from kit.duration import parse_duration
    from kit.errors import ConfigError

    out = Output(json=json, quiet=quiet)
    seconds = parse_duration(budget)
    if models and not null_labels:
        raise ConfigError("kit check MODEL: models are for --null-labels only")
    competition = Competition.find(directory, set_ or [])
    proof, failed = _proof(out, competition, models or [], seconds) if null_labels else (None, {})
    scores = proof.scores if proof else ()
    report = run_checks(competition, deep=deep, seconds=seconds, null=scores)
    late = [*(code for code, _ in report.late), *(proof.late if proof else ())]
    sampled = "; ".join(text for text in (proof.sampled if proof else "", report.sampled) if text)
    out.document({**asdict(report), "sampled": sampled, "late": late, "failed": failed})
    _show(out, report, sampled, late)
    for name, reason in failed.items():
        out.say(f"Not proven on permuted labels: {name}: {reason}")
    if verbose:
        out.table(["code", "check"], [[code, title] for code, title in report.checked])
    found = {finding.severity for finding in report.findings}
    if "error" in found or failed or (strict and "warning" in found):
        raise typer.Exit(1)
    out.next("kit cv" if deep or null_labels else "kit cv, or kit check --deep")


def _proof(
    out: Output, competition: Competition, models: list[str], seconds: float
) -> tuple[Proof | None, dict[str, str]]:
    """Train on permuted labels, with a line per model; and what failed, by model.

    What is wrong with the data is told by the checks, which run whatever fails here.
    """
    from kit.cli.output import score_format
    from kit.cv import check_models
    from kit.errors import KitError
    from kit.permutation import prove
    from kit.portfolio import short_list
    from kit.session import Event

    kinds = competition.settings.columns.kinds.values()
    names = list(models or competition.settings.cv.models or short_list(kinds))
    check_models(names)

    def listen(event: Event) -> None:
        if event.kind == "done" and event.run is not None:
            out.remark(f"{event.model}: {score_format(event.run.score)} on permuted labels")

    try:
        proof = prove(competition, names, seconds=seconds, listen=listen)
    except KitError as error:
        return None, {", ".join(names): str(error)}
    return proof, dict(proof.failed)


def _show(out: Output, report: Report, sampled: str, late: list[str]) -> None:
    from textwrap import indent

    for finding in report.findings:
        out.say(f"{finding.severity:<8}{finding.code}  {finding.title}")
        for line in (finding.evidence, finding.remedy):
            out.say(indent(line, " " * 17))
    counts = {
        severity: sum(finding.severity == severity for finding in report.findings)
        for severity in ("error", "warning", "info")
    }
    if report.findings:
        out.say()
    if report.null:
        rows: list[list[Cell]] = [
            [score.model, f"{score.scores[-1]:.4f}", f"{low:.4f} to {high:.4f}", verdict]
            for score in report.null
            for low, high in score.bands[-1:]
            for verdict in ["LEAK" if score.beyond else "ok"]
        ]
        headers = ["permuted labels", report.null[0].metric, "chance (99 %)", ""]
        out.table(headers, rows)
        out.say()
    told = ", ".join(f"{n} {severity}{'s' * (n != 1)}" for severity, n in counts.items())
    muted = f", {len(report.muted)} muted" if report.muted else ""
    out.say(f"{len(report.checked)} checks in {report.seconds:.1f} s: {told}{muted}.")
    if report.skipped:
        out.say(f"{len(report.skipped)} checks could not run until the errors are mended.")
    if late:
        out.say(f"Not done, the budget is used up: {', '.join(late)}. Give more: --budget")
    if sampled:
        out.say(f"Sampled: {sampled}")
