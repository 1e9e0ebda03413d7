"""The CV-LB line ``public = a + b * cv``: least squares, its residuals, and when not to trust it.

Standard library only, but for the interval of a prediction.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from kit.decimals import score_text

MINIMUM = 3  # two points always lie on a line
_FEW = 6  # below it the 95 % interval of a prediction is more than 2.8 residual sd to either side
_SIGNIFICANT = 2.0  # standard errors


@dataclass(frozen=True, kw_only=True)
class Line:
    """``public = intercept + slope * cv``.

    Attributes:
        n: submissions it was fitted to.
        residual_std: standard deviation of the residuals, n - 2 degrees of freedom.
        r: Pearson correlation; None where all public scores are equal.
        cv_mean, cv_squares: mean of the CV scores, sum of their squared distances from it.
        doubts: why it cannot be trusted yet, a sentence each; empty where it can.
    """

    intercept: float
    slope: float
    n: int
    residual_std: float
    r: float | None
    cv_mean: float = 0.0
    cv_squares: float = 0.0
    doubts: tuple[str, ...] = ()

    def at(self, cv: float) -> float:
        """The public score to be expected."""
        return self.intercept + self.slope * cv

    def spread_at(self, cv: float) -> float:
        """Standard error of a new public score around `at`, in leaderboard units.

        ``s * sqrt(1 + 1/n + (cv - mean)^2 / sum of squares)``: the prediction of one new
        observation in simple linear regression, Draper and Smith, Applied Regression Analysis,
        third edition, 1998, section 3.2.
        """
        far = (cv - self.cv_mean) ** 2 / self.cv_squares if self.cv_squares else 0.0
        return self.residual_std * math.sqrt(1.0 + 1.0 / self.n + far)


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """A score that is not known yet: Student's t with `freedom` degrees around `value`.

    Attributes:
        spread: its standard error; 0 where everything observed lies on the line.
    """

    value: float
    spread: float
    freedom: int

    def interval(self, level: float = 0.8) -> tuple[float, float]:
        """The middle `level` of the distribution."""
        from scipy.special import stdtrit

        reach = float(stdtrit(self.freedom, 0.5 + level / 2)) * self.spread
        return self.value - reach, self.value + reach

    def beats(self, score: float, greater_is_better: bool) -> float:
        """The probability of being better than `score`."""
        from scipy.special import stdtr

        lead = (self.value - score) * (1 if greater_is_better else -1)
        if self.spread == 0.0:
            return 0.5 if lead == 0.0 else float(lead > 0.0)
        return float(stdtr(self.freedom, lead / self.spread))


def predict(line: Line, cv: float) -> Prediction:
    """The public score of a run whose cross-validation gave `cv`; see `Line.spread_at`."""
    return Prediction(value=line.at(cv), spread=line.spread_at(cv), freedom=line.n - 2)


def fit_line(
    cv: Sequence[float], public: Sequence[float], noise: float | None = None
) -> tuple[Line | None, str]:
    """Least squares, or the reason why there is no line yet.

    Args:
        cv: cross-validation scores.
        public: leaderboard scores, in parallel.
        noise: how far the CV scores of two equally good runs lie apart by chance.
    """
    distinct = len(set(cv))
    if distinct < MINIMUM:
        return None, (
            f"a CV-LB line needs {MINIMUM} scored submissions with different CV scores; "
            f"there are {distinct}"
        )
    try:
        slope, intercept = statistics.linear_regression(cv, public)
    except statistics.StatisticsError:  # scores so close that their squares vanish
        return None, "the CV scores are too close to one another for a line"
    residuals = [lb - (intercept + slope * score) for score, lb in zip(cv, public, strict=True)]
    line = Line(
        intercept=intercept,
        slope=slope,
        n=len(cv),
        residual_std=math.sqrt(math.fsum(e * e for e in residuals) / (len(cv) - 2)),
        r=_correlation(cv, public),
        cv_mean=statistics.fmean(cv),
        cv_squares=math.fsum((x - statistics.fmean(cv)) ** 2 for x in cv),
    )
    doubts = tuple(_doubts(line, cv, noise))
    return Line(**{**vars(line), "doubts": doubts}), ""


def _doubts(line: Line, cv: Sequence[float], noise: float | None) -> list[str]:
    """What speaks against the line: few points, little spread, a slope that may be none."""
    doubts = []
    digits = partial(score_text, like=line.cv_mean)
    if line.n < _FEW:
        doubts.append(f"only {line.n} points")
    spread = statistics.stdev(cv)
    if noise is not None and spread < noise:
        doubts.append(
            f"the CV scores lie closer together (sd {digits(spread)}) than chance alone puts "
            f"them ({digits(noise)})"
        )
    error = line.residual_std / math.sqrt(line.cv_squares) if line.cv_squares else math.inf
    if line.slope <= 0:
        doubts.append("a better CV went with no better public score")
    elif line.slope < _SIGNIFICANT * error:
        doubts.append(f"its slope may be none at all ({line.slope:.2f} ± {error:.2f})")
    return doubts


def _correlation(cv: Sequence[float], public: Sequence[float]) -> float | None:
    try:
        return statistics.correlation(cv, public)
    except statistics.StatisticsError:  # all public scores are equal
        return None
