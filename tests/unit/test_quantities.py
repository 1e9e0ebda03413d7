"""Numbers as people write them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from kit.checks.material import Material
from kit.checks.schema import lost_values, other_types
from kit.competition import Competition
from kit.dataset import Dataset
from kit.quantities import as_numbers, stands_for_missing, written
from kit.scaffold.kinds import Guess, guess_kind

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("text", "number", "unit"),
    [
        ("$1,234.50", 1234.5, "$"),
        ("(3.00)", -3.0, ""),
        ("-$5", -5.0, "$"),
        ("45 %", 45.0, " %"),
        ("12.5 kg", 12.5, " kg"),
        ("65 km/h", 65.0, " km/h"),
        ("€1.2M", 1.2e6, "€M"),
        ("10,000+", 10_000.0, "+"),
        ("1,00,000", 100_000.0, ""),
        ("14:30", 14.5, ":"),
        ("12:30 AM", 0.5, ":"),
        ("1:05:30 pm", 13 + 5.5 / 60, "::"),
        ("1e5", 1e5, ""),
    ],
)
def test_numbers_are_read_as_they_are_written(text: str, number: float, unit: str) -> None:
    found = written(pd.Series([text])).iloc[0]
    assert found["number"] == pytest.approx(number)
    assert found["unit"] == unit


@pytest.mark.parametrize(
    "text", ["0,5", "1,2345", "007 kg", "(5", "5)", "3 x 4", "1.2.3", "10-15", "C85", "99:99", ""]
)
def test_what_may_mean_something_else_is_no_number(text: str) -> None:
    assert as_numbers(pd.Series([text])).isna().all()


def test_a_value_is_read_alone_as_among_others() -> None:
    values = pd.Series(["1", None, "2 kg", "x", "1,000"], index=[5, 6, 7, 8, 9], name="w")
    whole = as_numbers(values)
    assert whole.tolist()[::2] == [1.0, 2.0, 1000.0]
    pd.testing.assert_series_equal(
        whole, pd.concat([as_numbers(values[k : k + 1]) for k in range(5)])
    )


def test_marks_for_missing_values_are_known() -> None:
    assert stands_for_missing(pd.Series(["?", " Unknown", "n/a", "-"])).all()
    assert not stands_for_missing(pd.Series(["0", "no", "-1", "other"])).any()


def guess(values: list[str]) -> Guess:
    return guess_kind(pd.Series(values), "column")


@pytest.mark.parametrize(
    "values",
    [
        [f"${x:,.2f}" for x in RNG.lognormal(7, 1.5, 400)],
        [f"{x}%" for x in RNG.integers(0, 101, 400)],
        [f"{x:.1f} kmpl" for x in RNG.uniform(10, 30, 400)],
        [f"{x} year" if x == 1 else f"{x} years" for x in RNG.integers(1, 30, 400)],
        [f"{x:.1f}{'kM'[k % 2]}" for k, x in enumerate(RNG.uniform(1, 99, 400))],
        [f"{k // 60 % 24:02}:{k % 60:02}" for k in RNG.integers(0, 1440, 400)],
        [*(f"{x:.3f}" for x in RNG.normal(size=360)), *["Unknown"] * 40],
    ],
)
def test_columns_of_such_numbers_are_numeric(values: list[str]) -> None:
    assert guess(values).kind == "numeric"


@pytest.mark.parametrize(
    "values",
    [
        [f"{x}{'ABCDEF'[x % 6]}" for x in RNG.integers(1, 30, 400)],  # seats
        [f"{x} {'week' if x % 2 else 'year'}s" for x in RNG.integers(2, 9, 400)],
        [f"{x}X" for x in RNG.permutation(90_000)[:400] + 10_000],  # another one in each row
        ["36 months", "60 months"] * 200,
        ["1", "2", "3", "unknown"] * 100,
        [f"store_{x}" for x in RNG.integers(1, 30, 400)],
        [f"{x},{y:02}" for x, y in RNG.integers(0, 90, (400, 2))],  # decimals, or a pair
    ],
)
def test_columns_of_names_with_numbers_are_not(values: list[str]) -> None:
    assert guess(values).kind != "numeric"


def test_models_get_the_numbers(make_competition: Callable[..., Competition]) -> None:
    train = pd.DataFrame(
        {
            "id": range(20),
            "price": [f"${1000 + k:,}" for k in range(20)],
            "age": ["?", "30"] * 10,
            "y": [0, 1] * 10,
        }
    )
    test = pd.DataFrame({"id": range(20, 40), "price": range(20), "age": ["n/a"] * 20})
    kinds = {"price": "numeric", "age": "numeric"}
    competition = make_competition(train, test, columns={"kinds": kinds})
    data = Dataset.read(competition)
    assert data.X["price"].tolist() == list(range(1000, 1020))
    assert data.X["age"].isna().sum() == 10  # half of them, and no error
    material = Material(competition)
    assert not [item for item in other_types(material) if item.column == "price"]
    assert not [item for item in lost_values(material) if item.column == "price"]
