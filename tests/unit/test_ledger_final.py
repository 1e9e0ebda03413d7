"""The two final submissions: by CV, by CV and leaderboard, and not twice the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from kit.competition import Competition
from kit.ledger import Ledger, ledger
from kit.ledger.final import Final, estimate, final_two
from kit.providers.base import Contest, Submitted
from kit.runs import Run
from kit.submission.receipts import Receipt, write_receipt

RNG = np.random.default_rng(3)
NOISE = [RNG.normal(size=60) for _ in range(9)]


@pytest.fixture
def where(without_data: Callable[..., Competition]) -> Competition:
    return without_data("rmse")


@pytest.fixture
def hand_in(where: Competition, make_run: Callable[..., Run]) -> Callable[..., str]:
    """A submission of a run with these scores and test predictions; its id."""

    def one(
        number: int, cv: float, public: float, test: Any = None, hour: int = 10, **more: str
    ) -> str:
        values = NOISE[number] if test is None else test
        facts = {"metric": "rmse", "up": False, **more}
        run = make_run(where.runs, f"m{number}", [cv - 0.01, cv + 0.01], test=values, **facts)
        write_receipt(
            Receipt(
                file=f"submissions/{run.id}.csv",
                sha256=f"{number:064d}",
                message="",
                created=f"2026-11-23T{hour}:00:{number:02d}Z",
                provider="local",
                run=run.id,
                cv={**run.record["score"]},
                metric="rmse",
                greater_is_better=False,
                ref=str(number),
                status="complete",
                public=public,
                path=where.submissions / f"{run.id}.json",
            )
        )
        return run.id

    return one


def suggested(
    where: Competition, share: float | None = None, folds: str = "", **more: Any
) -> Final:
    return final_two(where, ledger(where, folds=folds, **more), False, share)


@pytest.mark.parametrize("folds", ["", "groups"])
def test_a_cv_score_of_other_folds_is_not_the_best(
    where: Competition, hand_in: Callable[..., str], folds: str
) -> None:
    """Random folds promised much; then groups were kept together."""
    leaky = [hand_in(n, 0.20 + 0.01 * n, 0.70 + n, digest="random") for n in range(3)]
    honest = hand_in(4, 0.60, 0.62, digest="groups")
    second = hand_in(5, 0.61, 0.64, digest="groups")
    found = suggested(where, folds=folds)
    assert [choice.name for choice in found.choices] == [honest, second]
    assert found.choices[0].estimate == pytest.approx(0.623, abs=0.003), "no line of both folds"
    (note,) = [each for each in found.notes if "other folds" in each]
    assert note.startswith("3 validated on other folds, not weighed")
    assert leaky[0] in note


def test_the_folds_of_kit_toml_count_before_the_newest(
    where: Competition, hand_in: Callable[..., str]
) -> None:
    usual = hand_in(0, 0.60, 0.62, digest="usual")
    tried = hand_in(1, 0.20, 0.70, digest="tried")
    assert [c.name for c in suggested(where, folds="usual").choices] == [usual]
    assert [c.name for c in suggested(where, folds="gone").choices] == [tried]


def test_best_by_cv_and_best_by_both_are_two_where_they_differ(
    where: Competition, hand_in: Callable[..., str]
) -> None:
    by_cv, by_board = hand_in(0, 0.50, 0.60), hand_in(1, 0.51, 0.54)
    hand_in(2, 0.60, 0.65)
    found = suggested(where, 1.0)  # 60 public rows against 40 of CV
    assert [choice.name for choice in found.choices] == [by_cv, by_board]
    assert [choice.why for choice in found.choices] == ["best by CV", "best by CV and LB"]
    assert found.weight == pytest.approx(0.6)
    assert (found.public_rows, found.cv_rows, found.guessed) == (60, 40, False)
    assert abs(found.like) < 0.5


def test_few_public_rows_leave_it_to_the_cv(
    where: Competition, hand_in: Callable[..., str]
) -> None:
    best, second = hand_in(0, 0.50, 0.60), hand_in(1, 0.51, 0.595)
    hand_in(2, 0.55, 0.52)  # best on the board, worst by CV
    found = suggested(where, 0.05)
    assert found.weight == pytest.approx(3 / 43)
    assert [choice.name for choice in found.choices] == [best, second]
    assert found.choices[0].why == "best by CV, and by CV and LB"
    assert found.choices[1].why == "best by CV and LB after the first"


def test_estimate_is_the_precision_weighted_mean_of_cv_and_public(
    where: Competition, hand_in: Callable[..., str]
) -> None:
    hand_in(0, 0.5, 0.7)
    hand_in(1, 0.6, 0.7)
    book = ledger(where)
    assert book.line is None  # the mean gap, 0.15, stands in for it
    found = {row.cv: value for row, value in estimate(book.rows, book, 0.25).items()}
    assert found == pytest.approx({0.5: 0.65 + 0.25 * 0.05, 0.6: 0.75 - 0.25 * 0.05})


def test_estimate_follows_the_line_where_it_can_be_trusted(
    where: Competition, hand_in: Callable[..., str]
) -> None:
    for number in range(6):
        hand_in(number, 0.5 + 0.02 * number, 0.1 + 0.5 * (0.5 + 0.02 * number))
    book = ledger(where)
    assert book.line is not None
    assert book.line.doubts == ()
    found = estimate(book.rows, book, 0.3)
    assert [found[row] for row in book.rows] == pytest.approx([row.public for row in book.rows])
    assert estimate(book.rows[:1], book, 0.0)[book.rows[0]] == pytest.approx(0.4)


def test_near_copy_gives_way_to_the_best_that_is_none(
    where: Competition, hand_in: Callable[..., str]
) -> None:
    first = hand_in(0, 0.50, 0.55)
    copy = hand_in(1, 0.51, 0.54, test=NOISE[0] + 1e-6 * NOISE[1])
    other = hand_in(2, 0.52, 0.58)
    hand_in(3, 0.60, 0.70)
    found = suggested(where, 1.0)
    assert [choice.name for choice in found.choices] == [first, other]
    assert copy in found.choices[1].why
    assert "no near-copy" in found.choices[1].why
    assert found.like < 0.9


def test_only_copies_are_said_to_be_such(where: Competition, hand_in: Callable[..., str]) -> None:
    hand_in(0, 0.50, 0.55)
    copy = hand_in(1, 0.51, 0.54, test=NOISE[0] + 1e-6 * NOISE[1])
    found = suggested(where)
    assert found.choices[1].name == copy
    assert "every other submission is nearly a copy" in found.choices[1].why
    assert found.like > 0.99


def test_same_run_twice_late_and_foreign_ones_are_left_out(
    where: Competition, hand_in: Callable[..., str]
) -> None:
    first, second = hand_in(0, 0.50, 0.55), hand_in(1, 0.52, 0.56)
    hand_in(2, 0.40, 0.45, hour=20)
    again = next(where.submissions.glob("*-m0-*.json"))
    again.with_name("again.json").write_text(again.read_text().replace('"ref": "0"', '"ref": "8"'))
    server = [
        Submitted(ref=ref, status="complete", created=at, file_name="x.csv", public=public)
        for ref, at, public in (
            ("90", "2026-11-23T11:00:00Z", 0.3), ("91", "2026-11-23T11:30:00Z", 0.35),
        )
    ]  # fmt: skip
    found = suggested(where, listed=server, contest=Contest(deadline="2026-11-23T15:00:00Z"))
    assert [choice.name for choice in found.choices] == [first, second]
    assert found.notes == (
        "1 late: cannot be chosen",
        "2 without a CV score here, not weighed; the best of them is x.csv (public 0.30000)",
    )


def test_one_submission_is_one_choice(where: Competition, hand_in: Callable[..., str]) -> None:
    only = hand_in(0, 0.5, 0.55)
    found = suggested(where)
    assert [choice.name for choice in found.choices] == [only]
    assert found.notes == ("there is only one submission to choose",)


def test_none_is_no_choice(where: Competition) -> None:
    assert suggested(where).choices == ()


def test_share_that_nobody_told_is_a_guess(where: Competition, hand_in: Callable[..., str]) -> None:
    hand_in(0, 0.5, 0.55)
    found = suggested(where)
    assert found.guessed
    assert found.public_rows == 30


def test_damaged_run_does_not_stop_the_choice(
    where: Competition, hand_in: Callable[..., str]
) -> None:
    first, second = hand_in(0, 0.50, 0.55), hand_in(1, 0.52, 0.56)
    (where.runs / first / "test.parquet").write_bytes(b"PAR1")
    (where.runs / second / "oof.parquet").unlink()
    found = suggested(where)
    assert [choice.name for choice in found.choices] == [first, second]
    assert found.like is None
    assert (found.cv_rows, found.weight) == (0, 0.5)


def test_direction_of_the_metric_turns_the_choice(
    where: Competition, hand_in: Callable[..., str]
) -> None:
    hand_in(0, 0.50, 0.55)
    worst = hand_in(1, 0.52, 0.56)
    book: Ledger = ledger(where)
    assert final_two(where, book, True).choices[0].name == worst
