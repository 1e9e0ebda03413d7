"""`kit ledger`: what was handed in; is a run worth a submission; which two to choose."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from kit.cli.options import Directory, Json, Quiet, Set, Verbose

if TYPE_CHECKING:
    from kit.cli.output import Cell, Output
    from kit.competition import Competition
    from kit.ledger import Ledger, Row
    from kit.ledger.final import Final
    from kit.ledger.forecast import Forecast
    from kit.ledger.line import Line
    from kit.providers.base import Contest, Limits, Provider, Submitted
    from kit.runs import Run


def ledger(
    run: Annotated[
        str | None,
        typer.Option("--run", metavar="RUN", help="Say whether this run is worth a submission."),
    ] = None,
    final: Annotated[
        bool, typer.Option("--final", help="Suggest the two final submissions.")
    ] = False,
    public_share: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            help="With --final: the share of the test rows behind the public score, e.g. 0.2; "
            "the leaderboard page tells.",
        ),
    ] = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Do not ask the server; use what is known here.")
    ] = False,
    directory: Directory = None,
    set_: Set = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Show every submission of the account: CV score, leaderboard score, gap."""
    from dataclasses import asdict

    from kit.cli.output import Output
    from kit.competition import Competition
    from kit.errors import ConfigError
    from kit.ledger import ledger as read_ledger
    from kit.ledger.forecast import forecast
    from kit.providers.base import load_provider
    from kit.runs import find_run

    out = Output(json=json, quiet=quiet)
    if public_share is not None and not 0.0 < public_share <= 1.0:
        raise ConfigError(f"--public-share is above 0 and at most 1. Received: {public_share}")
    competition = Competition.find(directory, set_ or [])
    candidate = find_run(competition.runs, run) if run else None
    provider = load_provider(competition.slug, competition.settings.provider, competition.root)
    with out.notes(provider):
        listed, contest, server = _listed(competition, provider, out, offline=offline)
        folds = candidate.folds if candidate is not None else _shared(competition) if final else ""
        book = read_ledger(competition, listed, contest, folds)
        document: dict[str, Any] = {**asdict(book), "server": server}
        for problem in book.problems:
            out.remark(f"kit: {problem}")
        if candidate is not None:
            limits = _limits(provider, out) if server["asked"] else None
            told = forecast(candidate, competition, book, limits)
            document["forecast"] = asdict(told)
            _show_forecast(told, out)
        if final:
            suggestion = _final(competition, book, public_share or contest.public_share)
            document["final"] = asdict(suggestion)
            _show_final(suggestion, book, out)
        out.document(document)
        if candidate is None and not final:
            _show_book(book, out, verbose=verbose, asked=bool(server["asked"]))


def before_submit(competition: Competition, run: Run, out: Output) -> None:
    """Say what handing in `run` would bring; from what is known here, nothing is asked."""
    from kit.errors import KitError
    from kit.ledger import ledger as read_ledger
    from kit.ledger.forecast import forecast
    from kit.ledger.listed import recall

    try:
        listed, contest, _ = recall(competition)
        told = forecast(run, competition, read_ledger(competition, listed, contest, run.folds))
    except KitError as error:  # a forecast keeps nobody from handing in
        out.remark(f"no forecast: {str(error).splitlines()[0]}")
        return
    facts = [text for name, text in _forecast_facts(told) if name in ("public", "most alike")]
    out.remark(". ".join([*(["; ".join(facts)] if facts else []), told.advice]))
    _doubt(told.doubts, out.remark)


def _listed(
    competition: Competition, provider: Provider, out: Output, *, offline: bool
) -> tuple[list[Submitted], Contest, dict[str, Any]]:
    """The server's list, or the one that was seen last, and how it was come by."""
    from kit.cli.output import age
    from kit.errors import KitError, ProviderError
    from kit.ledger.listed import recall, remember, settle

    problem = ""
    if not offline:
        try:
            listed = provider.submissions()
        except ProviderError as error:
            problem = str(error).splitlines()[0]
        else:
            contest = _contest(provider, out)
            try:
                settle(competition, listed)
                if contest.category != "local":  # what plays the server here can always be asked
                    remember(competition, listed, contest)
            except (KitError, OSError) as error:
                out.remark(f"kit: what the server says could not be kept: {error}")
            return listed, contest, {"asked": True, "seen": "", "problem": ""}
    listed, contest, seen = recall(competition)
    what = f"its list as seen {age(seen)} ago and the receipts" if seen else "the receipts alone"
    asked = f"could not be asked ({problem})" if problem else "was not asked (--offline)"
    out.remark(f"The server {asked}; what follows is from {what}.")
    return listed, contest, {"asked": False, "seen": seen, "problem": problem}


def _contest(provider: Provider, out: Output) -> Contest:
    from kit.errors import ProviderError
    from kit.providers.base import Contest, contest

    try:
        return contest(provider)
    except ProviderError as error:
        out.remark(f"kit: account and deadline are not known: {str(error).splitlines()[0]}")
        return Contest()


def _limits(provider: Provider, out: Output) -> Limits | None:
    from kit.errors import ProviderError
    from kit.providers.publishing import Publishes

    try:  # what is left is the same for files and for kernels, of which either may be refused
        return (provider.publisher() if isinstance(provider, Publishes) else provider).limits()
    except ProviderError as error:
        out.remark(f"kit: submissions left are not known: {str(error).splitlines()[0]}")
        return None


def _show_book(book: Ledger, out: Output, *, verbose: bool, asked: bool) -> None:
    from kit.errors import counted

    if not book.rows:
        out.say("Nothing was submitted yet.")
        out.next("kit submit -m 'what is new'")
        return
    headers = ["when", "run", "CV", "mean ± sd", "public", "private", "gap", "residual"]
    headers += ["message", "note", *(["ref", "file"] if verbose else [])]
    rows = [_cells(row, book, verbose=verbose, asked=asked) for row in book.rows]
    if not any(row[9] for row in rows):
        headers, rows = _without(headers, 9), [_without(row, 9) for row in rows]
    out.table(headers, rows, title=book.metric)
    out.say(f"\n{book.why if book.line is None else _equation(book.line)}")
    if book.line is not None:
        _doubt(book.line.doubts, out.say)
    if other := sum(not book.counts(row.folds) for row in book.scored):
        out.say(
            f"{counted(other, 'submission', 'submissions')} validated on other folds "
            f"{'is' if other == 1 else 'are'} not on the line: such CV scores cannot be compared."
        )


def _cells(row: Row, book: Ledger, *, verbose: bool, asked: bool) -> list[Cell]:
    from kit.cli.output import age, score_format, spread_format

    notes = [
        "elsewhere" if row.source == "elsewhere" else "",
        f"by {row.by}" if row.by else "",
        "late" if row.late else "",
        "not on the server's list" if asked and row.source == "receipt" else "",
        "sent again since" if book.sent_again(row) else "",
    ]
    return [
        age(row.when),
        row.name,
        score_format(row.cv),
        spread_format(row.mean, row.std),
        score_format(row.public) or row.status,
        score_format(row.private),
        score_format(row.gap, like=row.cv, signed=True),
        score_format(row.residual, like=row.cv, signed=True),
        row.message if row.message != row.name else "",
        ", ".join(note for note in notes if note),
        *([row.ref, row.file] if verbose else []),
    ]


def _without(items: list[Any], position: int) -> list[Any]:
    return [*items[:position], *items[position + 1 :]]


def _equation(line: Line) -> str:
    from kit.cli.output import score_format

    r = "" if line.r is None else f", r = {line.r:.2f}"
    return (
        f"public = {score_format(line.intercept, like=line.cv_mean)} + {line.slope:.3f} x CV   "
        f"({line.n} submissions{r}, residual sd "
        f"{score_format(line.residual_std, like=line.cv_mean)})"
    )


def _doubt(doubts: tuple[str, ...], write: Any) -> None:
    if doubts:
        write(f"The CV-LB line cannot be trusted yet: {'; '.join(doubts)}.")


def _forecast_facts(told: Forecast) -> list[tuple[str, str]]:
    """What is known, by name; the texts can stand alone."""
    from kit.cli.output import score_format
    from kit.ledger.forecast import percent

    facts = []
    if told.public is not None:
        span = ""
        if told.low is not None and told.high is not None:
            span = f" (80 %: {score_format(told.low)} to {score_format(told.high)})"
        facts.append(("public", f"predicted public score {score_format(told.public)}{span}"))
    if told.best is not None:
        facts.append(("best", f"best public score {score_format(told.best)} ({told.best_name})"))
    if told.beats is not None:
        facts.append(("beats", f"better than that: {percent(told.beats)}"))
    if told.like is not None:
        facts.append(("most alike", f"most like {told.like_name} ({told.like:.4f})"))
    if told.left is not None:
        facts.append(("left", f"{told.left} left today"))
    return facts


def _show_forecast(told: Forecast, out: Output) -> None:
    from kit.cli.output import score_format

    basis = {
        "line": "from the CV-LB line",
        "folds": "from the CV difference to the best, paired by fold where folds are shared",
        "none": "nothing to predict from",
    }
    out.say(f"{told.run}   CV {score_format(told.cv)}   ({basis[told.basis]})")
    for _, text in _forecast_facts(told):
        out.say(f"  {text}")
    _doubt(told.doubts, out.say)
    out.say(f"\n{told.advice}")


def _final(competition: Competition, book: Ledger, share: float | None) -> Final:
    from kit.ledger.final import final_two
    from kit.metrics.base import load_metric
    from kit.usercode import UserCode

    task = competition.settings.task
    metric = load_metric(task.metric, task.type, UserCode(competition.root).resolve)
    return final_two(competition, book, metric.greater_is_better, share)


def _shared(competition: Competition) -> str:
    from kit.execution.context import shared_digest

    return shared_digest(competition)


def _show_final(suggestion: Final, book: Ledger, out: Output) -> None:
    from kit.cli.output import score_format

    if not suggestion.choices:
        out.say("No submission has both a CV and a public score: nothing to choose from.")
    else:
        rows: list[list[Cell]] = [
            [n, c.name, c.ref, c.cv, c.public, score_format(c.estimate), c.why]
            for n, c in enumerate(suggestion.choices, start=1)
        ]
        headers = ["", "run", "ref", "CV", "public", "estimate", "why"]
        out.table(headers, rows, title=book.metric)
        told = f"\nestimate: public score shrunk towards the CV, weight {suggestion.weight:.2f}"
        if suggestion.public_rows and suggestion.cv_rows:
            told += f" ({suggestion.public_rows:,} public rows, {suggestion.cv_rows:,} CV rows)"
        out.say(told)
        if suggestion.guessed:
            out.say("How many test rows are public is a guess: half. --public-share tells better.")
    if suggestion.like is not None:
        out.say(f"Rank correlation of the two: {suggestion.like:.4f}.")
    for note in suggestion.notes:
        out.say(f"note: {note}")
