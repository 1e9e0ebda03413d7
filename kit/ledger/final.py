"""Which two submissions to choose at the end: the best by CV, and the best by CV and leaderboard.

Two estimates of the same thing, the score on the private rows. The CV-LB line turns a CV score into
leaderboard units; the public score measures the same on the public rows. Each is a mean over rows,
so each counts by its number of rows::

    estimate = expected + w * (public - expected),   w = public rows / (public rows + CV rows)

`expected` is the line at the CV score where the line can be trusted, else the CV score plus the
mean gap. This is the precision-weighted mean of two measurements with equal variance per row, and
shrinks the public score towards the line (as James-Stein estimates do; Efron and Morris, 1977): few
public rows say little, and the best of many public scores is best by luck, too.

Two final choices that predict the same hedge nothing: a second choice that is nearly a copy of the
first (`kit.ledger.likeness.COPY`) gives way to the best one that is not.

CV scores of different folds say nothing of one another: what was validated on other folds than
those that count is left out, and said to be.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace

from kit.competition import Competition
from kit.decimals import score_text
from kit.errors import KitError
from kit.ledger.book import Ledger, Row
from kit.ledger.likeness import COPY, Predictions, likeness

GUESSED_SHARE = 0.5  # of the test rows, where nobody says how many are public


@dataclass(frozen=True, kw_only=True)
class Choice:
    """One of the two.

    Attributes:
        name: the run or file; `ref` the server's name for it.
        estimate: of the private score, see the top of this module.
        why: a sentence.
    """

    name: str
    ref: str
    cv: float
    public: float
    estimate: float
    why: str


@dataclass(frozen=True, kw_only=True)
class Final:
    """The suggestion.

    Attributes:
        choices: the two, or fewer where there are no more.
        like: rank correlation of their test predictions; None where it is not known.
        weight: of the public score; `cv_rows` and `public_rows` are what it comes from.
        guessed: whether the share of public rows is a guess.
        notes: what else to know, a sentence each.
    """

    choices: tuple[Choice, ...]
    like: float | None
    weight: float
    cv_rows: int
    public_rows: int
    guessed: bool
    notes: tuple[str, ...]


def final_two(
    competition: Competition,
    book: Ledger,
    greater_is_better: bool,
    share: float | None = None,
) -> Final:
    """Suggest two final submissions.

    Args:
        competition: whose submissions they are.
        book: the ledger.
        greater_is_better: the direction of the metric.
        share: of the test rows that are public; None: `GUESSED_SHARE`, and said to be a guess.
    """
    known = Predictions(competition)
    sign = 1 if greater_is_better else -1
    candidates, notes = _candidates(book, sign)
    other = [row for row in candidates if not book.counts(row.folds)]
    rows = [row for row in candidates if book.counts(row.folds)]
    if other:
        notes.append(
            f"{len(other)} validated on other folds, not weighed: their CV scores cannot be "
            f"compared; the best of them on the board is {_best_public(other, sign)}"
        )
    cv_rows, test_rows = _counts(rows, known)
    public_rows = round(test_rows * (GUESSED_SHARE if share is None else share))
    weight = public_rows / (public_rows + cv_rows) if cv_rows and public_rows else 0.5
    estimates = estimate(rows, book, weight)
    ranked = sorted(rows, key=lambda row: -sign * estimates[row])
    facts = Final(
        choices=(),
        like=None,
        weight=weight,
        cv_rows=cv_rows,
        public_rows=public_rows,
        guessed=share is None,
        notes=tuple(notes),
    )
    if not rows:
        return facts

    def choice(row: Row, why: str) -> Choice:
        return Choice(
            name=row.name, ref=row.ref, cv=float(row.cv or 0.0), public=float(row.public or 0.0),
            estimate=estimates[row], why=why,
        )  # fmt: skip

    first = max(rows, key=lambda row: sign * float(row.cv or 0.0))
    second, why = _second(first, ranked, known)
    picked = [choice(first, "best by CV" + (", and by CV and LB" if first is ranked[0] else ""))]
    if second is None:
        return replace(facts, choices=tuple(picked), notes=(*notes, why))
    alike = likeness(known.of_row(first), known.of_row(second))
    return replace(facts, choices=(*picked, choice(second, why)), like=alike)


def estimate(rows: Sequence[Row], book: Ledger, weight: float) -> dict[Row, float]:
    """The estimated private score of each row; see the top of this module."""
    trusted = book.line is not None and not book.line.doubts
    gap = statistics.fmean(row.gap or 0.0 for row in rows) if rows else 0.0
    found = {}
    for row in rows:
        cv, public = float(row.cv or 0.0), float(row.public or 0.0)
        expected = book.line.at(cv) if trusted and book.line is not None else cv + gap
        found[row] = expected + weight * (public - expected)
    return found


def _candidates(book: Ledger, sign: int) -> tuple[list[Row], list[str]]:
    """Submissions that can be chosen and weighed, each content once, and what was left out."""
    notes = []
    scored = [row for row in book.rows if row.public is not None and row.status != "error"]
    usable = [row for row in scored if row.cv is not None and row.metric == book.metric]
    late = [row for row in usable if row.late]
    if late:
        notes.append(f"{len(late)} late: cannot be chosen")
    foreign = [row for row in scored if row not in usable]
    if foreign:
        notes.append(
            f"{len(foreign)} without a CV score here, not weighed; the best of them is "
            f"{_best_public(foreign, sign)}"
        )
    rows, seen = [], set()
    for row in usable:
        if not row.late and (row.run or row.sha256) not in seen:
            seen.add(row.run or row.sha256)
            rows.append(row)
    return rows, notes


def _best_public(rows: Sequence[Row], sign: int) -> str:
    best = max(rows, key=lambda row: sign * float(row.public or 0.0))
    return f"{best.name} (public {score_text(float(best.public or 0.0))})"


def _counts(rows: Sequence[Row], known: Predictions) -> tuple[int, int]:
    """Validated rows and test rows, from the first run that is still there."""
    for row in rows:
        run, frame = known.run(row), known.of_row(row)
        if run is not None and frame is not None:
            try:
                return len(run.oof()), len(frame)
            except KitError:  # damaged; another one may not be
                continue
    return 0, 0


def _second(first: Row, ranked: Sequence[Row], known: Predictions) -> tuple[Row | None, str]:
    """The best by CV and LB that is no near-duplicate of the first choice, and why it is that."""
    others = [row for row in ranked if row is not first]
    if not others:
        return None, "there is only one submission to choose"
    mine = known.of_row(first)
    alike = {id(row): likeness(mine, known.of_row(row)) for row in others}
    for row in others:
        value = alike[id(row)]
        if value is None or value < COPY:
            break
    else:
        row = others[0]
        return row, f"best by CV and LB; every other submission is nearly a copy (≥ {COPY})"
    if row is ranked[0]:
        return row, "best by CV and LB"
    if row is others[0]:
        return row, "best by CV and LB after the first"
    passed = others[0].name
    return row, f"best by CV and LB that is no near-copy of the first; {passed} is one"
