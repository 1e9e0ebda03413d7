"""`kit ledger`."""

from __future__ import annotations

from kit.cli.options import Directory, Json, Quiet, Set, Verbose


def ledger(
    directory: Directory = None,
    set_: Set = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Show every submission: CV score, leaderboard score, gap."""
    from dataclasses import asdict

    from kit.cli.output import Cell, Output, age, score_format, spread_format
    from kit.competition import Competition
    from kit.ledger import ledger as read_ledger

    out = Output(json=json, quiet=quiet)
    book = read_ledger(Competition.find(directory, set_ or []))
    out.document(asdict(book))
    for problem in book.problems:
        out.remark(f"kit: {problem}")
    if not book.rows:
        out.say("Nothing was submitted yet.")
        out.next("kit submit -m 'what is new'")
        return
    rows: list[list[Cell]] = [
        [
            age(row.when),
            row.name,
            score_format(row.cv),
            spread_format(row.mean, row.std),
            score_format(row.public) or row.status,
            score_format(row.private),
            "" if row.gap is None else f"{row.gap:+.5f}",
            "" if row.residual is None else f"{row.residual:+.5f}",
            row.message if row.message != row.name else "",
        ]
        for row in book.rows
    ]
    headers = ["when", "run", "CV", "mean ± sd", "public", "private", "gap", "residual", "message"]
    out.table(headers, rows, title=book.metric)
    if book.line is None:
        out.say(f"\n{book.why}")
        return
    line = book.line
    r = "" if line.r is None else f", r = {line.r:.2f}"
    out.say(
        f"\npublic = {line.intercept:.5f} + {line.slope:.3f} x CV   "
        f"({line.n} submissions{r}, residual sd {line.residual_std:.5f})"
    )
