"""Is a run worth a submission? What it would score, how sure that is, and whether it is new.

Method, by what is known so far:

* a CV-LB line (three scored submissions or more with different CV scores, of the run's folds): the
  prediction interval of simple linear regression with Student's t, see `line.Line.spread_at`;
* no line yet: the run is compared by cross-validation with the one of the best public score, among
  those of its own folds where there are any. The
  prediction is that score plus the difference of the CV scores; the spread is the standard error of
  that difference, paired by fold where both were validated on the same folds (`kit.comparison`),
  else from both runs' own folds. It knows nothing of the luck of the public rows;
* nothing scored yet: nothing can be said.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from kit.comparison import compare
from kit.competition import Competition
from kit.decimals import score_text
from kit.ledger.book import Ledger, Row
from kit.ledger.likeness import COPY, Predictions, likeness
from kit.ledger.line import Prediction, predict
from kit.providers.base import Limits
from kit.runs import Run

_LEVEL = 0.8  # of the interval that is shown
_LIKELY, _UNLIKELY = 0.5, 0.2


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """What handing in a run would bring.

    Attributes:
        run: its id; `cv` its score.
        public: the predicted public score; None where nothing was scored yet.
        low, high: the middle 80 % of what it may be; None where no spread is known.
        best: the best public score so far; `best_name` which one.
        beats: the probability that the run beats it.
        doubts: why the CV-LB line cannot be trusted.
        like: the rank correlation with the submission that is most alike; `like_name` which one.
        left: submissions left today, None: no limit, or not asked; `resets` says until when.
        basis: "line", "folds" or "none".
        advice: one sentence.
    """

    run: str
    cv: float
    basis: str
    public: float | None = None
    low: float | None = None
    high: float | None = None
    best: float | None = None
    best_name: str = ""
    beats: float | None = None
    doubts: tuple[str, ...] = ()
    like: float | None = None
    like_name: str = ""
    left: int | None = None
    resets: str = ""
    advice: str = ""


def forecast(
    run: Run, competition: Competition, book: Ledger, limits: Limits | None = None
) -> Forecast:
    """What handing in `run` would bring; see the top of this module.

    Args:
        run: a published run.
        competition: its competition.
        book: the ledger so far.
        limits: what is left today, where that was asked.
    """
    up = bool(run.record["metric"]["greater_is_better"])
    known = Predictions(competition)
    best = book.best_public(up)
    basis, prediction = _prediction(run, book, known, up)
    interval = prediction.interval(_LEVEL) if prediction and prediction.freedom > 0 else None
    beats = None
    if prediction is not None and interval is not None and best is not None:
        beats = prediction.beats(float(best.public or 0.0), up)
    like, twin = _most_alike(run, book, known)
    facts = Forecast(
        run=run.id,
        cv=run.score,
        basis=basis,
        public=None if prediction is None else prediction.value,
        low=None if interval is None else interval[0],
        high=None if interval is None else interval[1],
        best=None if best is None else best.public,
        best_name="" if best is None else best.name,
        beats=beats,
        doubts=book.line.doubts if book.line is not None and basis == "line" else (),
        like=like,
        like_name=twin,
        left=None if limits is None else limits.left_today,
        resets="" if limits is None else limits.resets,
    )
    return replace(facts, advice=_told(run, book) or _advice(facts))


def _prediction(
    run: Run, book: Ledger, known: Predictions, up: bool
) -> tuple[str, Prediction | None]:
    if run.record["metric"]["name"] != book.metric:
        return "none", None
    if book.line is not None and book.counts(run.folds):
        return "line", predict(book.line, run.score)
    scored = [row for row in book.scored if row.folds == run.folds] or list(book.scored)
    if not scored:
        return "none", None
    sign = 1 if up else -1
    reference = max(scored, key=lambda row: sign * float(row.public or 0.0))
    error, freedom = _error(run, known.run(reference), reference)
    gain = run.score - float(reference.cv or 0.0)
    value = float(reference.public or 0.0) + gain
    return "folds", Prediction(value=value, spread=error, freedom=freedom)


def _error(run: Run, other: Run | None, row: Row) -> tuple[float, int]:
    """Standard error of the CV difference, and its degrees of freedom; 0 of these: not known."""
    scores = [value for value in run.record["score"]["folds"] if value is not None]
    if other is not None and len(other.record["score"]["folds"]) == len(
        run.record["score"]["folds"]
    ):
        paired = compare(other, run)
        if paired.summary:
            pairs = [pair for pair in paired.folds if None not in pair]
            return paired.summary["standard_error"], len(pairs) - 1
    own = run.record["score"].get("std")
    if own is None or row.std is None or len(scores) < 2:
        return 0.0, 0
    # the other run's folds are not known any more: taken to be as many as this run's
    return math.sqrt((own**2 + row.std**2) / len(scores)), len(scores) - 1


def _most_alike(run: Run, book: Ledger, known: Predictions) -> tuple[float | None, str]:
    """The submission that the run's test predictions are most like."""
    mine = known.of_run(run)
    found = [
        (value, row.name)
        for row in book.rows
        if row.status != "error" and (value := likeness(mine, known.of_row(row))) is not None
    ]
    return max(found, default=(None, ""), key=lambda pair: pair[0] or 0.0)


def _told(run: Run, book: Ledger) -> str:
    """The sentence where there is nothing to advise, or an empty string."""
    before = next((row for row in book.rows if row.run == run.id and row.status != "error"), None)
    if before is not None:
        score = before.status if before.public is None else f"public {score_text(before.public)}"
        return f"It was handed in before ({score})."
    name = run.record["metric"]["name"]
    if name != book.metric:
        return f"No forecast: the run was validated by {name}, the board counts {book.metric}."
    return ""


def percent(chance: float) -> str:
    """A probability for people; nothing is ever certain.

    >>> percent(0.9999), percent(0.624)
    ('over 99 %', '62 %')
    """
    if chance > 0.99:
        return "over 99 %"
    return "under 1 %" if chance < 0.01 else f"{100 * chance:.0f} %"


def _advice(facts: Forecast) -> str:
    """One sentence: hand it in, or not, and why."""
    if facts.left is not None and facts.left <= 0:
        return "No submission is left today." + (
            f" The next is possible {facts.resets}." if facts.resets else ""
        )
    if facts.like is not None and facts.like >= COPY:
        return (
            f"Rather not: it is nearly a copy of {facts.like_name} (rank correlation "
            f"{facts.like:.4f}) and would tell little new."
        )
    if facts.public is None:
        return "Worth a submission: it would be the first with a CV and a public score."
    if facts.beats is None:
        return "Worth a submission: how CV and board go together is not known yet."
    chance = f"{percent(facts.beats)} to beat {facts.best_name}"
    if facts.beats >= _LIKELY:
        return f"Worth a submission: {chance}."
    if facts.beats < _UNLIKELY and facts.left == 1:
        return f"Rather not with the last submission of the day: {chance}."
    if facts.basis != "line" or facts.doubts:
        return f"Worth a submission only to learn how CV and board go together: {chance}."
    if facts.beats >= _UNLIKELY:
        return f"A fair try, if nothing better is ready: {chance}."
    return f"Rather not: {chance}."
