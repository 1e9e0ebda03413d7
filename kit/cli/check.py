"""`kit check`."""

from __future__ import annotations

from typing import Annotated

import typer

from kit.cli.options import Directory, Json, Quiet, Set, Verbose


def check(
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with 1 on warnings, too (for CI).")
    ] = False,
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
    from textwrap import indent

    from kit.checks import check as run_checks
    from kit.cli.output import Output
    from kit.competition import Competition

    out = Output(json=json, quiet=quiet)
    report = run_checks(Competition.find(directory, set_ or []))
    out.document(asdict(report))
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
    told = ", ".join(f"{n} {severity}{'s' * (n != 1)}" for severity, n in counts.items())
    muted = f", {len(report.muted)} muted" if report.muted else ""
    out.say(f"{len(report.checked)} checks in {report.seconds:.1f} s: {told}{muted}.")
    if report.skipped:
        out.say(f"{len(report.skipped)} checks could not run until the errors are mended.")
    if report.sampled:
        out.say(str(report.sampled))
    if verbose:
        out.table(["code", "check"], [[code, title] for code, title in report.checked])
    if counts["error"] or (strict and counts["warning"]):
        raise typer.Exit(1)
    out.next("kit cv")
