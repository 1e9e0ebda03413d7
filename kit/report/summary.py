"""What a report says first: verdicts in words, and what to do next.

Every number here stands again further down, with its picture. These are the answers to what a
competitor asks first: is this the run to hand in, can its score be believed, what would help?
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kit.checks.finding import Report
from kit.comparison import compare
from kit.ledger.book import Ledger
from kit.report.html import Content, Html, card, tag
from kit.report.material import Material
from kit.report.noise import Band, chance
from kit.report.scores import TONES, badge, digits, kept, learned, public_scores
from kit.runs import Run
from kit.selection import best_run

Verdict = tuple[str, str, Content]
"""Tone, two or three words, and a sentence."""

_TITLES = 3


def summary_card(
    material: Material,
    same: Sequence[Run],
    others: int,
    band: Band | None,
    report: Report | None,
    book: Ledger | None,
) -> Html:
    """Verdicts on a run, and the command that comes next.

    Args:
        material: the run and its predictions.
        same: the runs that can be compared with it, itself among them, best first.
        others: how many there are beside these.
        band: noise of the public score.
        report: what `kit check` found; None: it could not look.
        book: what was handed in.
    """
    run = material.run
    lines = [
        *_place(material, same, others),
        *_sealed(material),
        *_board(material, band, book),
        *_optimism(run),
        *_curves(run),
        *_findings(report),
        *_noise(material, same, band),
    ]
    told = [
        tag("div", tag("dt", badge(word, tone)), tag("dd", text), class_="verdict")
        for tone, word, text in lines
    ]
    steps = _next(run, same, book)
    then = tag("p", "Next: ", tag("code", steps[0]), f" {steps[1]}") if steps else None
    return card("In short", tag("dl", told), then, wide=True)


def first(same: Sequence[Run]) -> tuple[Run, str]:
    """Which of comparable runs to hand in, and why."""
    return best_run(sorted(same, key=lambda run: run.id))


def _place(material: Material, same: Sequence[Run], others: int) -> Iterator[Verdict]:
    run = material.run
    ids = [other.id for other in same]
    if run.id not in ids:
        return
    if len(same) == 1:
        rest = f" Differ in these, or are fits on all rows: {others} more." if others else ""
        yield "info", "single run", f"The only run of these data, folds and metric.{rest}"
        return
    best, why = first(same)
    if run.id == best.id:
        yield "good", "hand this in", f"It is {why}."
        return
    place = f"Number {ids.index(run.id) + 1} of {len(same)} by its score"
    found = compare(run, best).summary
    if not found:
        yield "info", "not the best", f"{place}; {best.model} is to be handed in: {why}."
        return
    gain, error = found["mean_difference"], found["standard_error"]
    up = bool(run.record["metric"]["greater_is_better"])
    lead = f"{digits(abs(gain), like=run.score)} ± {digits(error, like=run.score)} a fold"
    clear = abs(gain) > 2 * error
    sure = "clearly" if clear else "no more than the noise of the folds"
    says = f"is ahead by {lead}, {sure}."
    if (gain > 0) != up:
        says = f"is to be handed in, though {lead} behind: who leads inside the noise was lucky."
    word = "behind" if clear and (gain > 0) == up else "close"
    there = (material.competition.reports / f"{best.id}.html").is_file()
    name = tag("a", best.id, href=f"{best.id}.html") if there else best.id
    yield "info", word, [f"{place}. {best.model} (", name, f") {says}"]


def _sealed(material: Material) -> Iterator[Verdict]:
    held = material.run.record.get("holdout")
    if not held or held["score"] is None or material.truth is None:
        return
    ends = chance(material.truth, material.run.score, int(held["rows"]))
    if ends is not None:
        tone, text = kept(float(held["score"]), ends, up=material.up)
        yield tone, "sealed holdout", f"{digits(held['score'], like=material.run.score)}, {text}."


def _board(material: Material, band: Band | None, book: Ledger | None) -> Iterator[Verdict]:
    """Whether the public scores are what cross-validation promised."""
    found = public_scores(material.run, book)
    if band is None or not found:
        return
    best = max(found) if material.up else min(found)
    told = f"Public score {digits(best, like=band.low)}"
    ends = f"the noise band of {digits(band.low)} to {digits(band.high)}"
    if band.low <= best <= band.high:
        yield "good", "CV holds", f"{told}, inside {ends}."
        return
    worse = best < band.low if material.up else best > band.high
    side = "worse than" if worse else "better than"
    yield (
        "warn",
        "CV and leaderboard disagree",
        (
            f"{told}, {side} {ends}: more than chance. Folds that are not like the test rows, or a "
            "leak: kit check --deep looks for both."
        ),
    )


def _optimism(run: Run) -> Iterator[Verdict]:
    if run.record.get("early_stopping") == "fold":
        yield "warn", "optimistic", "Training stopped on the very rows that were scored."


def _curves(run: Run) -> Iterator[Verdict]:
    told = learned(run)
    if told is not None:
        remedy = f" To try: {told.remedy}." if told.remedy else ""
        yield TONES[told.kind], told.kind, f"{told.text[:1].upper()}{told.text[1:]}.{remedy}"


def _findings(report: Report | None) -> Iterator[Verdict]:
    link = tag("a", "Data", href="#data")
    if report is None:
        yield "warn", "data not checked", ["kit check could not look: see ", link, "."]
        return
    serious = [found for found in report.findings if found.severity != "info"]
    if not serious:
        hints = len(report.findings)
        found = f"no more than {hints} hint{'s' * (hints > 1)}: see " if hints else "nothing."
        told = [f"{len(report.checked)} quick checks of the data found {found}"]
        told += [link, "."] if hints else []
        yield "good", "no finding", [*told, " kit check --deep looks for leaks and drift."]
        return
    errors = sum(found.severity == "error" for found in serious)
    titles = "; ".join(f"{found.code} {found.title}" for found in serious[:_TITLES])
    more = "; …" if len(serious) > _TITLES else ""
    word = f"{len(serious)} finding{'s' * (len(serious) > 1)}"
    yield "bad" if errors else "warn", word, [f"{titles}{more}. See ", link, "."]


def _noise(material: Material, same: Sequence[Run], band: Band | None) -> Iterator[Verdict]:
    if band is None or len(same) < 2:
        return
    inside = sum(band.low <= run.score <= band.high for run in same)
    if inside > 1:
        count = f"All {inside}" if inside == len(same) else f"{inside} of {len(same)}"
        half = digits((band.high - band.low) / 2, like=material.run.score)
        yield (
            "info",
            "choose by CV",
            (
                f"{count} runs lie inside the noise of the public score "
                f"(± {half}): the leaderboard cannot tell them apart."
            ),
        )


def _next(run: Run, same: Sequence[Run], book: Ledger | None) -> tuple[str, str] | None:
    """A command, and what it does."""
    if not any(run.id == other.id for other in same):
        return None
    best = first(same)[0]
    if len(same) == 1:
        return "kit cv", "tries the other models of kit.toml."
    if all(other.kind != "blend" for other in same):
        return "kit blend", f"puts the {len(same)} runs together; nearly always better than one."
    handed = {row.run for row in book.rows} if book else set()
    if run.id == best.id and run.id not in handed:
        return f"kit submit {run.id}", "hands it in."
    return None
