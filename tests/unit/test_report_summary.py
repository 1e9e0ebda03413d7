"""What a report says first: every verdict where it belongs, and nowhere else."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest

from kit.checks.finding import Finding, Report
from kit.competition import Competition
from kit.folds import Folds
from kit.ledger.book import Ledger, Row
from kit.report import report_competition, summary
from kit.report.classes import _rates
from kit.report.material import Material, Truth
from kit.report.members import comparable
from kit.report.noise import Band
from kit.report.rows import _measured
from kit.report.summary import summary_card
from kit.runs import Run

BAND = Band(low=0.80, high=0.90, rows=100, share=0.5, guessed=False, grouped=False)
CLEAN = Report(
    findings=(), muted=(), checked=(("KIT101", "x"),), skipped=(), late=(), null=(), sampled="",
    seconds=1.0,
)  # fmt: skip


def finding(code: str, severity: Any) -> Finding:
    return Finding(code=code, severity=severity, title=f"title {code}", evidence="", remedy="")


def handed(run: Run, public: float | None) -> Ledger:
    row = Row(
        when="2026-01-01T00:00:00Z", name=run.id, run=run.id, status="complete", message="",
        metric="roc_auc", cv=run.score, mean=run.score, std=0.1, public=public, private=None,
        gap=None,
    )  # fmt: skip
    return Ledger(rows=(row,), metric="roc_auc", folds="", line=None, why="", problems=())


@pytest.fixture
def told(tmp_path: Path) -> Callable[..., str]:
    """The text of the card."""

    def tell(
        run: Run, runs: Sequence[Run], *, band: Band | None = None, report: Report | None = CLEAN,
        book: Ledger | None = None,
    ) -> str:  # fmt: skip
        home = cast(Competition, SimpleNamespace(reports=tmp_path))
        material = Material(competition=home, run=run, dataset=None, truth=None, missing="")
        same = comparable(run, runs)
        card = summary_card(material, same, len(runs) - len(same), band, report, book)
        return re.sub(r"<[^>]+>", "|", card)

    return tell


def test_the_best_run_is_to_be_handed_in_once(
    tmp_path: Path, make_run: Callable[..., Run], told: Callable[..., str]
) -> None:
    runs = [make_run(tmp_path, name, folds) for name, folds in
            (("linear", [0.80, 0.81, 0.82]), ("lightgbm", [0.90, 0.91, 0.92]))]  # fmt: skip
    assert "hand this in" in told(runs[1], runs)
    assert "kit blend" in told(runs[1], runs)
    runs.append(make_run(tmp_path, "blend", [0.93, 0.94, 0.95]))
    runs[2].record["kind"] = "blend"
    assert f"kit submit {runs[2].id}" in told(runs[2], runs)
    assert "kit submit" not in told(runs[2], runs, book=handed(runs[2], None))
    assert "kit submit" not in told(runs[1], runs)


@pytest.mark.parametrize(
    ("folds", "word", "sure"),
    [
        ([0.80, 0.81, 0.82], "behind", "ahead by 0.10000 ± 0.00000 a fold, clearly"),
        ([0.85, 0.96, 0.90], "close", "no more than the noise of the folds"),
    ],
)
def test_another_run_is_told_how_far_it_is_behind(
    tmp_path: Path,
    make_run: Callable[..., Run],
    told: Callable[..., str],
    folds: list[float],
    word: str,
    sure: str,
) -> None:
    run = make_run(tmp_path, "linear", folds)
    runs = [run, make_run(tmp_path, "lightgbm", [0.90, 0.91, 0.92])]
    said = told(run, runs)
    assert f"|{word}|" in said
    assert "Number 2 of 2" in said
    assert sure in said
    assert "hand this in" not in said


def test_runs_of_other_folds_are_counted_and_not_compared(
    tmp_path: Path, make_run: Callable[..., Run], told: Callable[..., str]
) -> None:
    run = make_run(tmp_path, "linear", [0.8, 0.9])
    said = told(run, [run, make_run(tmp_path, "knn", [0.9, 0.9], digest="others")])
    assert "single run" in said
    assert "1 more" in said


@pytest.mark.parametrize(
    ("public", "up", "word"),
    [
        (0.85, True, "CV holds"),
        (0.79, True, "worse than the noise band"),
        (0.91, True, "better than the noise band"),
        (0.91, False, "worse than the noise band"),
    ],
)
def test_the_public_score_is_held_against_the_band(
    tmp_path: Path,
    make_run: Callable[..., Run],
    told: Callable[..., str],
    public: float,
    up: bool,
    word: str,
) -> None:
    run = make_run(tmp_path, "linear", [0.84, 0.86], up=up)
    said = told(run, [run], band=BAND, book=handed(run, public))
    assert word in said
    assert ("disagree" in said) == (word != "CV holds")
    assert "CV holds" not in told(run, [run], band=BAND)


def test_runs_inside_the_noise_are_counted(
    tmp_path: Path, make_run: Callable[..., Run], told: Callable[..., str]
) -> None:
    runs = [make_run(tmp_path, f"m{k}", [score] * 2) for k, score in enumerate((0.85, 0.86, 0.7))]
    assert "2 of 3 runs lie inside" in told(runs[0], runs, band=BAND)
    assert "All 2 runs lie inside" in told(runs[0], runs[:2], band=BAND)
    assert "lie inside" not in told(runs[0], runs[1:], band=replace(BAND, low=0.95, high=0.99))


def test_findings_come_with_their_number_and_the_first_titles(
    tmp_path: Path, make_run: Callable[..., Run], told: Callable[..., str]
) -> None:
    run = make_run(tmp_path, "linear", [0.8, 0.9])
    hints = replace(CLEAN, findings=(finding("KIT900", "info"),))
    assert "no finding" in told(run, [run], report=hints)
    found = [finding("KIT101", "error"), *(finding(f"KIT20{k}", "warning") for k in range(3))]
    said = told(run, [run], report=replace(CLEAN, findings=tuple(found)))
    assert "4 findings" in said
    assert "KIT101 title KIT101" in said
    assert "KIT202" not in said
    assert "data not checked" in told(run, [run], report=None)


def test_stopping_on_the_scored_rows_is_said(
    tmp_path: Path, make_run: Callable[..., Run], told: Callable[..., str]
) -> None:
    run = make_run(tmp_path, "linear", [0.8, 0.9])
    assert "optimistic" not in told(run, [run])
    run.record["early_stopping"] = "fold"
    assert "optimistic" in told(run, [run])


def test_the_competitions_page_takes_the_folds_in_use_like_kit_submit(
    make_competition: Callable[..., Competition], make_run: Callable[..., Run]
) -> None:
    frame = pd.DataFrame({"id": range(8), "a": range(8), "y": [0, 1] * 4})
    competition = make_competition(frame, frame.drop(columns="y"))
    folds = Folds(pd.Series(["1", "2"]), np.array([0, 1], dtype=np.int8))
    folds.save(competition.root / "folds.parquet")
    usual = make_run(competition.runs, "linear", [0.8, 0.9], digest=folds.digest)
    newest = make_run(competition.runs, "knn", [0.9, 0.9], digest="others")
    text = report_competition(competition).read_text()
    assert f"To hand in: {usual.id}" in text
    (competition.root / "folds.parquet").write_bytes(b"PAR1")
    assert f"To hand in: {newest.id}" in report_competition(competition).read_text()


def test_a_value_has_the_decimals_that_its_error_leaves_it() -> None:
    assert _measured(0.21534, 0.01294) == "0.215 ± 0.013"
    assert _measured(-1.1e-5, 0.001239) == "0.0000 ± 0.0012"
    assert _measured(12_345.6, 321.0) == "12,346 ± 321"
    assert _measured(0.21534, float("nan")) == "0.2153"
    assert _measured(0.21534, 0.0) == "0.2153"


def test_rates_of_two_classes_are_those_of_the_second_one() -> None:
    rates = dict(_rates(np.array([[50, 10], [20, 20]])))
    assert rates["precision"].startswith("0.6667")
    assert rates["recall"].startswith("0.5000")
    assert rates["F1"] == "0.5714"
    assert rates["balanced accuracy"] == "0.6667"
    assert dict(_rates(np.array([[50, 0], [0, 0]])))["F1"] == "0.0000"


@pytest.mark.parametrize(
    ("score", "words"), [(0.75, "as promised"), (0.6, "the folds are optimistic"), (None, "")]
)
def test_the_sealed_rows_have_their_verdict(
    tmp_path: Path,
    make_run: Callable[..., Run],
    monkeypatch: pytest.MonkeyPatch,
    score: float | None,
    words: str,
) -> None:
    monkeypatch.setattr(summary, "chance", lambda truth, center, rows: (0.7, 0.8))
    run = make_run(tmp_path, "linear", [0.8, 0.9])
    run.record["holdout"] = {"rows": 20, "score": score}
    home = cast(Competition, SimpleNamespace(reports=tmp_path))
    truth = cast(Truth, SimpleNamespace())
    material = Material(competition=home, run=run, dataset=None, truth=truth, missing="")
    card = summary_card(material, [run], 0, None, CLEAN, None)
    assert ("sealed holdout" in card) == bool(words)
    assert words in card


def test_what_the_curves_say_comes_with_what_to_try(
    tmp_path: Path, make_run: Callable[..., Run], told: Callable[..., str]
) -> None:
    run = make_run(tmp_path, "lightgbm", [0.8, 0.9])
    assert "converged" not in told(run, [run])
    falling = [1.0, 0.8, 0.6, 0.5, 0.45, 0.4, 0.35, 0.3]
    (run.path / "curves.json").write_text(json.dumps({"0": {"train": falling, "valid": falling}}))
    said = told(Run(run.path, run.record), [run])
    assert "|not converged|" in said
    assert "To try: " in said
    (run.path / "curves.json").write_text("[1")
    assert "converged" not in told(Run(run.path, run.record), [run])
