"""Is a run worth a submission: the interval, the chance, the likeness, the sentence."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from kit.atomic import sha256
from kit.competition import Competition
from kit.ledger import fit_line, ledger
from kit.ledger.forecast import Forecast, forecast, percent
from kit.ledger.likeness import Predictions, likeness
from kit.ledger.line import Prediction, predict
from kit.providers.base import Limits, Submitted
from kit.runs import Run
from kit.submission.receipts import Receipt, write_receipt

NOON = "2026-11-23T12:00:00Z"
RNG = np.random.default_rng(3)
NOISE = [RNG.normal(size=60) for _ in range(9)]


@pytest.fixture
def where(without_data: Callable[..., Competition]) -> Competition:
    return without_data("roc_auc")


@pytest.fixture
def hand_in(where: Competition, make_run: Callable[..., Run]) -> Callable[..., Run]:
    """Publish a run and, with a public score, its receipt."""

    def one(number: int, folds: list[float], public: float | None, **facts: Any) -> Run:
        facts.setdefault("test", NOISE[number])
        run = make_run(where.runs, f"m{number}", folds, **facts)
        if public is not None:
            write_receipt(
                Receipt(
                    file=f"submissions/{run.id}.csv",
                    sha256=f"{number:064d}",
                    message="",
                    created=f"2026-11-23T10:00:{number:02d}Z",
                    provider="local",
                    run=run.id,
                    cv={**run.record["score"]},
                    metric=run.record["metric"]["name"],
                    greater_is_better=run.record["metric"]["greater_is_better"],
                    ref=str(number),
                    status="complete",
                    public=public,
                    path=where.submissions / f"{run.id}.json",
                )
            )
        return run

    return one


# --- the interval --------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [3, 5, 12])
@pytest.mark.parametrize("level", [0.5, 0.8, 0.95])
def test_interval_covers_new_scores_as_often_as_it_says(n: int, level: float) -> None:
    rng, trials = np.random.default_rng(n), 1500
    inside = 0
    for _ in range(trials):
        cv = rng.normal(0.8, 0.02, size=n + 1)
        public = 0.1 + 0.9 * cv + rng.normal(0, 0.005, size=n + 1)
        line, _ = fit_line(cv[:-1].tolist(), public[:-1].tolist())
        assert line is not None
        low, high = predict(line, cv[-1]).interval(level)
        inside += low <= public[-1] <= high
    error = math.sqrt(level * (1 - level) / trials)
    assert abs(inside / trials - level) < 3.5 * error


def test_interval_is_the_closed_form() -> None:
    cv, public = [0.70, 0.72, 0.75, 0.80, 0.81], [0.69, 0.73, 0.74, 0.79, 0.83]
    line, _ = fit_line(cv, public)
    assert line is not None
    x = np.column_stack([np.ones(5), cv])
    beta, rss, *_ = np.linalg.lstsq(x, np.array(public), rcond=None)
    new = np.array([1.0, 0.9])
    spread = math.sqrt(rss[0] / 3 * (1 + new @ np.linalg.inv(x.T @ x) @ new))
    found = predict(line, 0.9)
    assert (found.value, found.spread, found.freedom) == pytest.approx((new @ beta, spread, 3))
    quantile = 2.3533634348018264  # of Student's t, 3 degrees, 95 %: any table has 2.353
    assert found.interval(0.9)[1] - found.value == pytest.approx(quantile * spread)


def test_chance_is_the_share_of_the_distribution_and_turns_with_the_direction() -> None:
    found = Prediction(value=0.8, spread=0.1, freedom=4)
    low, high = found.interval(0.8)
    assert found.beats(low, True) == pytest.approx(0.9)
    assert found.beats(high, True) == pytest.approx(0.1)
    assert found.beats(high, False) == pytest.approx(0.9)
    assert found.beats(0.8, True) == found.beats(0.8, False) == pytest.approx(0.5)


def test_chance_agrees_with_how_often_it_happens() -> None:
    rng, told, came = np.random.default_rng(8), 0.0, 0
    for _ in range(1500):
        cv = rng.normal(0.8, 0.02, size=6)
        public = cv + rng.normal(0, 0.01, size=6)
        line, _ = fit_line(cv[:-1].tolist(), public[:-1].tolist())
        assert line is not None
        told += predict(line, cv[-1]).beats(0.81, True)
        came += public[-1] > 0.81
    assert abs(told - came) < 3.5 * math.sqrt(1500 * 0.25)


def test_without_any_spread_the_chance_is_still_a_number() -> None:
    found = Prediction(value=0.8, spread=0.0, freedom=1)
    assert [found.beats(s, True) for s in (0.7, 0.8, 0.9)] == [1.0, 0.5, 0.0]


# --- can the line be trusted ---------------------------------------------------------------------


def doubts(cv: list[float], public: list[float], noise: float | None = None) -> str:
    line, _ = fit_line(cv, public, noise)
    assert line is not None
    return "; ".join(line.doubts)


GOOD = [0.70, 0.71, 0.72, 0.73, 0.74, 0.75]


def test_good_line_has_no_doubts() -> None:
    assert (
        doubts(GOOD, [x + e for x, e in zip(GOOD, (0.001, 0, 0, 0.001, 0, 0), strict=True)]) == ""
    )


def test_few_points_are_a_doubt() -> None:
    assert doubts(GOOD[:5], GOOD[:5]) == "only 5 points"


def test_small_spread_is_a_doubt() -> None:
    assert "closer together" in doubts(GOOD, GOOD, noise=0.02)
    assert doubts(GOOD, GOOD, noise=0.01) == ""


def test_slope_within_its_error_and_a_slope_downwards_are_doubts() -> None:
    assert "may be none at all" in doubts(GOOD, [0.7, 0.9, 0.5, 0.9, 0.6, 0.8])
    assert "no better public score" in doubts(GOOD, [-x for x in GOOD])
    assert "no better public score" in doubts(GOOD, [0.5] * 6)


def test_noise_of_the_folds_leaves_out_what_all_runs_share(
    where: Competition, hand_in: Callable[..., Run]
) -> None:
    hard = [0.0, 0.1, 0.2]  # folds differ much, runs differ by a constant: nothing is noise
    for number, level in enumerate([0.5, 0.6, 0.7, 0.8, 0.85, 0.9]):
        hand_in(number, [level - part for part in hard], level - 0.1 + 0.001 * (number % 2))
    line = ledger(where).line
    assert line is not None
    assert line.doubts == ()


def test_noise_of_the_folds_is_seen(where: Competition, hand_in: Callable[..., Run]) -> None:
    rng = np.random.default_rng(5)
    for number in range(6):
        level = 0.5 + 0.0001 * number
        folds = level + rng.normal(0, 0.1, size=3)
        folds += level - folds.mean()
        hand_in(number, folds.tolist(), level)
    line = ledger(where).line
    assert line is not None
    assert "closer together" in "; ".join(line.doubts)


# --- likeness ------------------------------------------------------------------------------------


def frame(values: Any, **columns: Any) -> pd.DataFrame:
    table = pd.DataFrame(columns or {"pred": values})
    table.index = table.index.astype("str")
    return table


def test_likeness_is_spearman_joined_by_id() -> None:
    from scipy.stats import spearmanr

    a, b = NOISE[0], NOISE[0] + NOISE[1]
    shuffled = frame(b).sample(frac=1, random_state=1)
    assert likeness(frame(a), shuffled) == pytest.approx(spearmanr(a, b)[0])
    assert likeness(frame(a), frame(np.exp(a))) == pytest.approx(1.0)
    assert likeness(frame(a), frame(-a)) == pytest.approx(-1.0)


def test_likeness_of_several_columns_is_their_mean_by_name() -> None:
    a = frame(None, x=NOISE[0], y=NOISE[1])
    b = frame(None, y=NOISE[1], x=-NOISE[0])
    assert likeness(a, b) == pytest.approx(0.0)


@pytest.mark.parametrize(
    "other",
    [
        None,
        frame([1.0] * 60),
        frame(None, x=NOISE[0], y=NOISE[1]),
        frame(NOISE[0]).set_index(np.arange(100, 160).astype(str)),
    ],
)
def test_what_cannot_be_compared_has_no_likeness(other: pd.DataFrame | None) -> None:
    assert likeness(frame(NOISE[0]), other) is None


def test_file_without_a_run_is_read_unless_it_was_written_anew(where: Competition) -> None:
    path = where.submissions / "mine.csv"
    path.parent.mkdir()
    pd.DataFrame({"id": range(60), "target": NOISE[0]}).to_csv(path, index=False)
    facts = {"file": "submissions/mine.csv", "message": "", "created": NOON, "provider": "local"}
    write_receipt(Receipt(**facts, sha256=sha256(path), path=where.submissions / "mine.json"))
    (row,) = ledger(where).rows
    assert likeness(Predictions(where).of_row(row), frame(NOISE[0])) == pytest.approx(1.0)
    path.write_text("id,target\n1,0.5\n")
    assert Predictions(where).of_row(row) is None


@pytest.mark.parametrize("content", ["", "id,y\n1,yes\n", "key,y\n1,2\n", "id,y\n1,2\n1,3\n"])
def test_file_of_labels_or_nonsense_is_not_compared(content: str, where: Competition) -> None:
    path = where.submissions / "mine.csv"
    path.parent.mkdir()
    path.write_text(content)
    facts = {"file": "submissions/mine.csv", "message": "", "created": NOON, "provider": "local"}
    write_receipt(Receipt(**facts, sha256=sha256(path), path=where.submissions / "mine.json"))
    (row,) = ledger(where).rows
    assert Predictions(where).of_row(row) is None


# --- the forecast --------------------------------------------------------------------------------


def told(where: Competition, run: Run, left: int | None = None, **more: Any) -> Forecast:
    return forecast(run, where, ledger(where, **more), Limits(left_today=left, resets="at noon"))


def test_first_submission_is_worth_it_and_nothing_is_predicted(
    where: Competition, hand_in: Callable[..., Run]
) -> None:
    found = told(where, hand_in(0, [0.7, 0.8], None))
    assert (found.basis, found.public, found.beats, found.like) == ("none", None, None, None)
    assert found.advice == (
        "Worth a submission: it would be the first with a CV and a public score."
    )


def test_with_one_scored_the_difference_is_paired_by_fold(
    where: Competition, hand_in: Callable[..., Run]
) -> None:
    from scipy.stats import t

    hand_in(0, [0.70, 0.80, 0.90], 0.75)
    run = hand_in(1, [0.71, 0.82, 0.91], None)
    found = told(where, run)
    gains = np.array([0.01, 0.02, 0.01])
    error = gains.std(ddof=1) / math.sqrt(3)
    assert found.basis == "folds"
    assert found.public == pytest.approx(0.75 + gains.mean())
    assert found.beats == pytest.approx(t.cdf(gains.mean() / error, 2))
    assert found.advice == f"Worth a submission: {percent(found.beats)} to beat {found.best_name}."


def test_other_folds_are_compared_unpaired_which_is_less_sure(
    where: Competition, hand_in: Callable[..., Run]
) -> None:
    hand_in(0, [0.70, 0.80, 0.90], 0.75)
    paired = told(where, hand_in(1, [0.71, 0.82, 0.91], None))
    unpaired = told(where, hand_in(2, [0.71, 0.82, 0.91], None, digest="others"))
    assert unpaired.public == pytest.approx(paired.public)
    assert 0.5 < unpaired.beats < 0.7 < paired.beats


def test_less_is_better_turns_the_chance(
    hand_in: Callable[..., Run], without_data: Callable[..., Competition]
) -> None:
    less = without_data("log_loss")
    facts = {"metric": "log_loss", "up": False}
    hand_in(0, [0.50, 0.60, 0.70], 0.55, **facts)
    hand_in(1, [0.60, 0.71, 0.80], 0.65, **facts)
    worse = told(less, hand_in(2, [0.52, 0.61, 0.73], None, **facts))
    better = told(less, hand_in(3, [0.48, 0.57, 0.69], None, **facts))
    assert worse.best == better.best == 0.55
    assert worse.beats < 0.2
    assert better.beats > 0.8


@pytest.fixture
def lined(hand_in: Callable[..., Run]) -> None:
    """Six submissions near a line that can be trusted."""
    for number, level in enumerate([0.70, 0.71, 0.72, 0.73, 0.74, 0.75]):
        hand_in(number, [level - 0.1, level, level + 0.1], level + (0.002 if number % 2 else 0.0))


@pytest.mark.usefixtures("lined")
def test_line_is_used_from_three_on_and_the_interval_holds_the_prediction(
    where: Competition, hand_in: Callable[..., Run]
) -> None:
    found = told(where, hand_in(6, [0.66, 0.76, 0.86], None))
    assert (found.basis, found.doubts) == ("line", ())
    assert found.public == pytest.approx(0.762, abs=0.002)
    assert found.low < found.public < found.high
    assert found.best == pytest.approx(0.752)
    assert found.advice.startswith("Worth a submission: over 99 % to beat ")


@pytest.mark.usefixtures("lined")
def test_a_line_of_other_folds_foretells_nothing(
    where: Competition, hand_in: Callable[..., Run]
) -> None:
    """Random folds promised .70 to .75; a run whose groups stay together is none of these."""
    before = ledger(where).line
    hand_in(6, [0.50, 0.60, 0.70], 0.72, digest="groups")
    grouped = hand_in(7, [0.51, 0.61, 0.71], None, digest="groups")
    book = ledger(where, folds=grouped.folds)
    assert book.line is None
    assert "there are 1" in book.why
    found = forecast(grouped, where, book)
    assert found.basis == "folds"
    assert found.public == pytest.approx(0.73), "the submission of the same folds, and the gain"
    of_first = ledger(where, folds="folds")
    assert of_first.line == before, "and the line of the others has no point of it"
    assert forecast(grouped, where, of_first).basis == "folds"


@pytest.mark.usefixtures("lined")
@pytest.mark.parametrize(
    ("cv", "left", "starts"),
    [
        (0.76, None, "Worth a submission: "),
        (0.7497, None, "A fair try, if nothing better is ready: "),
        (0.74, None, "Rather not: "),
        (0.74, 1, "Rather not with the last submission of the day: "),
        (0.76, 0, "No submission is left today. The next is possible at noon."),
    ],
)
def test_advice_is_one_sentence_by_chance_and_what_is_left(
    cv: float, left: int | None, starts: str, where: Competition, hand_in: Callable[..., Run]
) -> None:
    found = told(where, hand_in(6, [cv - 0.1, cv, cv + 0.1], None), left)
    assert found.advice.startswith(starts), found
    assert "\n" not in found.advice


def test_line_that_cannot_be_trusted_asks_for_more_points(
    where: Competition, hand_in: Callable[..., Run]
) -> None:
    for number, (cv, public) in enumerate([(0.70, 0.8), (0.72, 0.7), (0.74, 0.79)]):
        hand_in(number, [cv - 0.1, cv + 0.1], public)
    found = told(where, hand_in(6, [0.5, 0.7], None))
    assert "only 3 points" in found.doubts
    assert found.advice.startswith("Worth a submission only to learn how CV and board go together")


@pytest.mark.usefixtures("lined")
def test_near_copy_of_what_was_handed_in_is_not_worth_it(
    where: Competition, hand_in: Callable[..., Run]
) -> None:
    same = NOISE[4] + 1e-6 * NOISE[5]
    found = told(where, hand_in(6, [0.66, 0.76, 0.86], None, test=same))
    assert found.like > 0.999
    assert "-m4-" in found.like_name
    assert found.advice.startswith("Rather not: it is nearly a copy of ")


@pytest.mark.usefixtures("lined")
def test_run_that_was_handed_in_is_told_so(where: Competition) -> None:
    from kit.runs import find_run

    found = told(where, find_run(where.runs, "m3"))
    assert found.advice == "It was handed in before (public 0.73200)."


def test_run_of_another_metric_has_no_forecast(
    where: Competition, hand_in: Callable[..., Run]
) -> None:
    hand_in(0, [0.7, 0.8], 0.75)
    found = told(where, hand_in(1, [0.7, 0.8], None, metric="accuracy"))
    assert found.public is None
    assert found.advice == (
        "No forecast: the run was validated by accuracy, the board counts roc_auc."
    )


def test_best_so_far_may_have_been_made_elsewhere(
    where: Competition, hand_in: Callable[..., Run]
) -> None:
    hand_in(0, [0.70, 0.80, 0.90], 0.75)
    other = Submitted(
        ref="99", status="complete", created="2026-11-23T11:00:00Z", file_name="x.csv", public=0.95
    )
    alone = told(where, hand_in(1, [0.71, 0.82, 0.91], None))
    found = told(where, hand_in(2, [0.71, 0.82, 0.91], None), listed=[other])
    assert (found.best, found.best_name) == (0.95, "x.csv")
    assert found.public == pytest.approx(alone.public)
    assert found.beats < 0.05 < 0.9 < alone.beats


def test_damaged_predictions_leave_the_forecast_without_a_likeness(
    where: Competition, hand_in: Callable[..., Run]
) -> None:
    hand_in(0, [0.70, 0.80, 0.90], 0.75)
    run = hand_in(1, [0.71, 0.82, 0.91], None)
    (run.path / "test.parquet").write_bytes(b"PAR1")
    found = told(where, run)
    assert found.like is None
    assert found.public is not None


@pytest.mark.parametrize(
    ("chance", "text"), [(0.995, "over 99 %"), (0.5, "50 %"), (0.001, "under 1 %"), (0.99, "99 %")]
)
def test_nothing_is_certain(chance: float, text: str) -> None:
    assert percent(chance) == text


def test_forecast_is_a_document(where: Competition, hand_in: Callable[..., Run]) -> None:
    import json

    found = told(where, hand_in(0, [0.7, 0.8], None))
    assert json.loads(json.dumps(dataclasses.asdict(found)))["run"] == found.run
