"""The ledger: every submission, what cross-validation promised and what the leaderboard said.

With three scored submissions or more, a least-squares line ``public = a + b * cv`` says how far the
two agree; a large residual marks a run whose validation does not carry over.

Standard library only: `kit ledger` must not wait for numpy.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace

from kit.competition import Competition
from kit.submission.receipts import Receipt, read_receipts

_MINIMUM = 3  # two points always lie on a line


@dataclass(frozen=True, kw_only=True)
class Row:
    """One submission; all scores in leaderboard units.

    Attributes:
        when: UTC, ISO 8601.
        name: the run's id, or the file's name where there is no run.
        cv: the score runs are ranked by; `mean` and `std` over the folds.
        gap: public minus cv.
        residual: public minus what the line expects; None without a line.
    """

    when: str
    name: str
    run: str | None
    status: str
    message: str
    metric: str
    cv: float | None
    mean: float | None
    std: float | None
    public: float | None
    private: float | None
    gap: float | None
    residual: float | None = None


@dataclass(frozen=True, kw_only=True)
class Line:
    """``public = intercept + slope * cv``.

    Attributes:
        n: submissions it was fitted to.
        residual_std: standard deviation of the residuals, n - 2 degrees of freedom.
        r: Pearson correlation; None where all public scores are equal.
    """

    intercept: float
    slope: float
    n: int
    residual_std: float
    r: float | None

    def at(self, cv: float) -> float:
        """The public score to be expected."""
        return self.intercept + self.slope * cv


@dataclass(frozen=True, kw_only=True)
class Ledger:
    """All rows, newest first.

    Attributes:
        line: None where there are too few scored submissions; `why` says what is missing.
        problems: receipts that cannot be used, a sentence each.
    """

    rows: tuple[Row, ...]
    metric: str
    line: Line | None
    why: str
    problems: tuple[str, ...]


def ledger(competition: Competition) -> Ledger:
    """Collect the receipts of a competition; nothing is asked of the server."""
    receipts, problems = read_receipts(competition.submissions)
    rows = [_row(receipt) for receipt in receipts]
    metric = competition.settings.task.metric
    points = {
        number: (row.cv, row.public)
        for number, row in enumerate(rows)
        if row.cv is not None and row.public is not None and row.metric == metric
    }
    line, why = fit_line([cv for cv, _ in points.values()], [lb for _, lb in points.values()])
    if line is not None:
        for number, (cv, public) in points.items():
            rows[number] = replace(rows[number], residual=public - line.at(cv))
    return Ledger(rows=tuple(rows), metric=metric, line=line, why=why, problems=tuple(problems))


def fit_line(cv: Sequence[float], public: Sequence[float]) -> tuple[Line | None, str]:
    """Least squares, or the reason why there is no line yet.

    Args:
        cv: cross-validation scores.
        public: leaderboard scores, in parallel.
    """
    distinct = len(set(cv))
    if distinct < _MINIMUM:
        return None, (
            f"a CV-LB line needs {_MINIMUM} scored submissions with different CV scores; "
            f"there are {distinct}"
        )
    try:
        slope, intercept = statistics.linear_regression(cv, public)
    except statistics.StatisticsError:  # scores so close that their squares vanish
        return None, "the CV scores are too close to one another for a line"
    residuals = [lb - (intercept + slope * score) for score, lb in zip(cv, public, strict=True)]
    return Line(
        intercept=intercept,
        slope=slope,
        n=len(cv),
        residual_std=math.sqrt(math.fsum(e * e for e in residuals) / (len(cv) - 2)),
        r=_correlation(cv, public),
    ), ""


def _correlation(cv: Sequence[float], public: Sequence[float]) -> float | None:
    try:
        return statistics.correlation(cv, public)
    except statistics.StatisticsError:  # all public scores are equal
        return None


def _row(receipt: Receipt) -> Row:
    cv = receipt.cv or {}
    value = _number(cv.get("value"))
    public = _number(receipt.public)
    return Row(
        when=receipt.created,
        name=receipt.run or receipt.file,
        run=receipt.run,
        status=receipt.status,
        message=receipt.message,
        metric=receipt.metric,
        cv=value,
        mean=_number(cv.get("mean")),
        std=_number(cv.get("std")),
        public=public,
        private=_number(receipt.private),
        gap=None if value is None or public is None else public - value,
    )


def _number(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)
