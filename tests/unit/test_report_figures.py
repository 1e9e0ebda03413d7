"""Numbers, columns and texts that a report must stand: constant, close together, oddly named."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest

from kit.atomic import write_text
from kit.cli.output import score_format
from kit.competition import Competition
from kit.config import apply_overrides
from kit.decision import default_decision
from kit.report import html, importance
from kit.report.html import page, tag
from kit.report.material import Truth
from kit.report.origin import commands
from kit.report.rows import importance_card
from kit.report.scores import digits
from kit.report.svg import Plot, tick, ticks
from kit.report.values import value_cards
from kit.runs import Run


def test_scores_of_any_size_can_be_told_apart() -> None:
    found = [(0.7654321, 0.01), (12.345678, 1), (1234.5678, 9), (1.234567e-6, 2e-8), (0.0, 0.0)]
    assert [(score_format(m), digits(m), digits(sd, like=m)) for m, sd in found] == [
        ("0.76543", "0.76543", "0.01000"), ("12.3457", "12.3457", "1.0000"),
        ("1234.57", "1234.57", "9.00"), ("0.000001235", "0.000001235", "0.000000020"),
        ("0.00000", "0.00000", "0.00000"),
    ]  # fmt: skip
    assert (score_format(None), digits(None)) == ("", "–")


@pytest.mark.parametrize(
    "ends",
    [
        (0.88512, 0.88538), (1234.1, 1236.3), (23_456, 23_590), (0.99991, 0.99998),
        (1_234_567, 1_234_999), (1.1e-7, 2.3e-7), (-1.0002, -1.0001), (0, 1), (-3, 97),
    ],
)  # fmt: skip
def test_numbers_on_an_axis_are_those_of_their_places(ends: tuple[float, float]) -> None:
    places = ticks(*ends)
    step = places[1] - places[0]
    units = {"k": "e3", "M": "e6"}
    for place in places:
        shown = tick(place, step)
        read = float(re.sub("[kM]", lambda unit: units[unit[0]], shown))
        assert read == pytest.approx(place, abs=step / 50), (shown, place)
    drawn = re.findall(r'"end">([^<]*)<', Plot(x=(0, 1), y=ends, label="scores").draw())
    assert len({*drawn}) == len(drawn)


def test_rounds_on_an_axis_are_whole_numbers() -> None:
    assert [tick(value, 500.0) for value in ticks(0, 2000)] == ["0", "500", "1000", "1500", "2000"]
    assert [tick(value, 10_000.0) for value in (0.0, 10_000.0, 2e4)] == ["0", "10k", "20k"]


def test_a_target_without_variance_has_no_explained_share() -> None:
    y = np.random.default_rng(0).normal(size=(60, 3))
    y[:, 1] = 7.0
    truth = Truth(
        task="multitarget", ids=np.arange(60).astype(str), fold=np.zeros(60, dtype=np.int8), y=y,
        weight=None, pred=y * 0.5 + 0.1, names=("a", "same", "c"), classes=(), metric=None,
        labels=None, decision=default_decision("multitarget", 3), rows=np.arange(60),
    )  # fmt: skip
    targets, _ = value_cards(truth)
    rows = re.findall(r"<tr>(.*?)</tr>", targets)
    assert not re.search(r"\d{20}", targets)
    assert rows[-1].startswith("<td>same</td>")  # not the worst: it cannot be told
    assert rows[-1].endswith('<td class="number">–</td>')


def test_a_column_may_be_called_self() -> None:
    X = pd.DataFrame({"self": range(50), "a": range(50)})
    shuffled = importance._shuffled(X, "self", np.random.default_rng(0))
    assert list(X["self"]) == list(range(50))
    assert list(shuffled["self"]) != list(range(50))
    assert sorted(shuffled["self"]) == list(range(50))
    assert list(shuffled["a"]) == list(range(50))


@pytest.mark.parametrize(
    ("folds", "error", "told"),
    [
        ([[1.0] * 3, [3.0] * 3], 1.0, "standard error over the folds"),  # not 6 values: 2 folds
        ([[1.0, 2.0, 3.0]], 3**-0.5, "standard error of the shuffling alone"),
    ],
)
def test_the_error_of_an_importance_counts_folds(
    folds: list[list[float]], error: float, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = iter([[np.array([value]) for value in each] for each in folds])
    monkeypatch.setattr(importance, "load_fitted", lambda *_: None)
    monkeypatch.setattr(importance, "_of_fold", lambda *_: next(losses))
    n = len(folds)
    found = importance._of_folders(
        [Path(f"fold-{k}") for k in range(n)],
        cast(Run, SimpleNamespace(record={"score": {"folds": [0.5] * n}})),
        cast(Competition, None),
        cast(Any, SimpleNamespace(X=pd.DataFrame({"a": range(9)}))),
        cast(Truth, SimpleNamespace(fold=np.arange(9) % n, rows=np.arange(9))),
        refitted=False,
    )
    assert found.losses[0] == 2.0
    assert found.errors[0] == pytest.approx(error)
    assert told in importance_card(found, None, "rmse")


def test_half_a_character_and_marks_of_direction_do_not_break_a_page(tmp_path: Path) -> None:
    text = page("t", tag("p", "a\ud83d b\u2066c\x9bd"))
    write_text(tmp_path / "page.html", text)
    assert "<p>a\ufffd bcd</p>" in (tmp_path / "page.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "flag",
    ["cv.n_splits=3", "models.m.params={ a = [1, 2], 'b c' = { d = true } }", 'x.y=it\'s "so"'],
)
def test_overrides_can_be_typed_again(flag: str) -> None:
    overrides = apply_overrides({}, [flag])
    run = SimpleNamespace(kind="cv", model="linear", id="r", record={"overrides": overrides})
    typed = shlex.split(commands(cast(Run, run))[0])
    assert typed[:4] == ["kit", "cv", "linear", "--set"]
    assert apply_overrides({}, typed[4:]) == overrides


def test_rows_of_tables_have_lines_between_them() -> None:
    style = Path(html.__file__).with_name("style.css").read_text(encoding="utf-8")
    rules = re.findall(r"^(td|tr:last-child td) \{ border-bottom: ([^;]*);", style, re.MULTILINE)
    assert rules == [("td", "1px solid var(--grid)"), ("tr:last-child td", "0")]
