"""The ledger: rows from receipts, the gap, and the CV-LB line once there are three."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from kit.competition import Competition
from kit.ledger import fit_line, ledger
from kit.runs import Run
from kit.submission.receipts import Receipt, read_receipts, write_receipt


@pytest.fixture
def where(without_data: Callable[..., Competition]) -> Competition:
    return without_data("rmse")


def handed_in(
    where: Competition, number: int, cv: float | None, public: float | None, folds: str = ""
) -> None:
    facts: dict[str, Any] = {"status": "pending" if public is None else "complete", "folds": folds}
    if cv is not None:
        facts["run"] = f"run-{number}"
        facts["cv"] = {"value": cv, "oof": cv, "mean": cv + 0.01, "std": 0.02, "folds": [cv]}
    write_receipt(
        Receipt(
            file=f"submissions/{number}.csv",
            sha256=f"{number:064d}",
            message="",
            created=f"2026-11-23T10:00:{number:02d}Z",
            provider="local",
            metric="rmse",
            greater_is_better=False,
            public=public,
            path=where.submissions / f"{number}.json",
            **facts,
        )
    )


def test_no_submissions_is_an_empty_ledger(where: Competition) -> None:
    found = ledger(where)
    assert (found.rows, found.line, found.problems) == ((), None, ())
    assert "there are 0" in found.why


def test_rows_are_newest_first_with_the_gap_in_leaderboard_units(where: Competition) -> None:
    handed_in(where, 1, 0.5, 0.625)
    handed_in(where, 2, None, 0.75)
    handed_in(where, 3, 0.5, None)
    rows = ledger(where).rows
    assert [row.name for row in rows] == ["run-3", "submissions/2.csv", "run-1"]
    assert [row.gap for row in rows] == [None, None, 0.125]
    assert (rows[2].cv, rows[2].mean, rows[2].std) == (0.5, 0.51, 0.02)
    assert [row.status for row in rows] == ["pending", "complete", "complete"]


def test_line_is_the_least_squares_line_with_residuals(where: Competition) -> None:
    cv, public = [0.50, 0.52, 0.55, 0.60], [0.61, 0.60, 0.66, 0.69]
    for number, (x, y) in enumerate(zip(cv, public, strict=True)):
        handed_in(where, number, x, y)
    handed_in(where, 9, None, 0.1)  # no CV: not a point
    found = ledger(where)
    slope, intercept = np.polyfit(cv, public, 1)
    residuals = np.array(public) - (intercept + slope * np.array(cv))
    assert found.line is not None
    assert (found.line.slope, found.line.intercept) == pytest.approx((slope, intercept))
    assert found.line.r == pytest.approx(np.corrcoef(cv, public)[0, 1])
    assert found.line.residual_std == pytest.approx((residuals**2).sum() ** 0.5 / 2**0.5)
    assert found.line.n == 4
    assert found.rows[0].residual is None
    assert [row.residual for row in found.rows[1:]] == pytest.approx(residuals[::-1].tolist())
    assert found.why == ""


def test_line_is_through_the_scores_of_the_same_folds(where: Competition) -> None:
    for number in range(4):  # the folds leaked: .2 to .5 was promised
        handed_in(where, number, 0.2 + 0.1 * number, 0.9 - 0.1 * number, "random")
    for number in range(4, 8):
        handed_in(where, number, 0.1 * number, 0.1 * number + 0.05, "groups")
    handed_in(where, 8, 0.9, 0.95)  # a file with a CV score, of an earlier kit
    found = ledger(where)
    assert found.folds == "groups", "those of the newest submission"
    assert found.line is not None
    assert found.line.n == 5
    assert (found.line.slope, found.line.intercept) == pytest.approx((1.0, 0.05))
    assert [row.residual is None for row in found.rows] == [False] * 5 + [True] * 4
    asked = ledger(where, folds="random")
    assert asked.line is not None
    assert asked.line.n == 5, "the folds that were asked for, and the one that does not say"


def test_a_receipt_of_an_earlier_kit_has_the_folds_of_its_run(
    where: Competition, make_run: Callable[..., Run]
) -> None:
    run = make_run(where.runs, "old", [0.5, 0.6], metric="rmse", up=False, digest="usual")
    handed_in(where, 1, 0.55, 0.6)
    receipt = read_receipts(where.submissions)[0][0]
    write_receipt(replace(receipt, run=run.id))
    assert [row.folds for row in ledger(where).rows] == ["usual"]


@pytest.mark.parametrize(
    ("cv", "public"),
    [
        ([0.5, 0.6], [0.5, 0.6]),
        ([0.5, 0.5, 0.5], [0.5, 0.6, 0.7]),
        ([0.5, 0.5, 0.6], [0.5, 0.6, 0.7]),
    ],
)
def test_fewer_than_three_different_cv_scores_give_no_line_and_say_so(
    cv: list[float], public: list[float]
) -> None:
    line, why = fit_line(cv, public)
    assert line is None
    assert f"there are {len(set(cv))}" in why


def test_scores_too_close_for_a_line_are_no_crash() -> None:
    line, why = fit_line([1e-200, 2e-200, 3e-200], [1.0, 2.0, 3.0])
    assert line is None
    assert "too close" in why


def test_equal_public_scores_have_a_line_and_no_correlation() -> None:
    line, _ = fit_line([0.1, 0.2, 0.3], [0.5, 0.5, 0.5])
    assert line is not None
    assert line.r is None
    assert (line.slope, line.at(9.0), line.residual_std) == pytest.approx((0.0, 0.5, 0.0))


def test_submissions_of_another_metric_are_listed_but_not_fitted(where: Competition) -> None:
    for number in range(3):
        handed_in(where, number, 0.1 * number, 0.1 * number)
    path = where.submissions / "2.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "metric": "mae"}))
    found = ledger(where)
    assert len(found.rows) == 3
    assert found.line is None


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"schema": 1}', '{"schema": 2, "file": "x"}', '{"schema": "x"}']
)
def test_damaged_receipt_is_named_and_the_others_are_shown(
    content: str, where: Competition
) -> None:
    handed_in(where, 1, 0.5, 0.6)
    (where.submissions / "broken.json").write_text(content)
    found = ledger(where)
    assert [row.name for row in found.rows] == ["run-1"]
    assert len(found.problems) == 1
    assert "broken.json" in found.problems[0]


def test_receipt_with_keys_of_a_later_kit_is_read(where: Competition) -> None:
    handed_in(where, 1, 0.5, 0.6)
    path = where.submissions / "1.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "new": 1}))
    assert ledger(where).problems == ()
