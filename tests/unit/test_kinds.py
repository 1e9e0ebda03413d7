"""What kind a column is, judged by its values."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from kit.checks.material import Material
from kit.checks.schema import lost_values, other_types
from kit.competition import Competition
from kit.dataset import Dataset
from kit.errors import DataError
from kit.kinds import as_moments, as_number, assign_kinds, typed, untold
from kit.moments import datetime_format
from kit.scaffold.infer import infer
from kit.scaffold.kinds import guess_kind, phrases_like
from kit.settings import Kind
from kit.tables import read_table

RNG = np.random.default_rng(0)


def kind(values: object, name: str = "column") -> str:
    return guess_kind(pd.Series(values), name).kind


def test_numbers_are_numeric_even_when_every_row_has_another_one() -> None:
    assert kind(RNG.normal(size=100)) == "numeric"
    assert kind(RNG.permutation(1000)[:100]) == "numeric"
    assert kind([1.0, 2.0, np.nan, 3.0]) == "numeric"


def test_a_constant_column_keeps_its_type() -> None:
    assert kind([7] * 50) == "numeric"
    assert kind(["same"] * 50) == "category"


def test_a_column_without_values_is_numeric() -> None:
    assert kind([np.nan] * 20) == "numeric"
    assert kind(["", " "] * 20) == "numeric"


@pytest.mark.parametrize(
    ("cells", "guessed"),
    [(["", " "], "numeric"), (["1.5", " "], "numeric"), (["2020-01-01", "  "], "datetime")],
)
def test_blank_cells_are_missing_for_the_guess_and_for_what_uses_it(
    make_competition: Callable[..., Competition], cells: list[str], guessed: Kind
) -> None:
    assert kind(cells * 10, "when") == guessed
    train = pd.DataFrame({"id": range(20), "n": range(20), "when": cells * 10, "y": [0, 1] * 10})
    test = train[["id", "n"]].assign(id=range(20, 40), when=cells[:1] * 20)
    competition = make_competition(train, test, columns={"kinds": {"when": guessed}})
    assert Dataset.read(competition).X["when"].isna().sum() == (20 if cells[0] == "" else 10)
    material = Material(competition)
    assert material.unfit == {}
    assert not [*lost_values(material), *other_types(material)]


def test_true_and_false_are_a_category_with_and_without_gaps() -> None:
    assert kind([True, False] * 10) == "category"
    assert kind([True, False, None] * 10) == "category"


def test_few_different_strings_are_a_category() -> None:
    assert kind(["male", "female"] * 50) == "category"
    assert kind(["55 Cancri e", "TRAPPIST-1e", "PSO J318.5-22"] * 50) == "category"


def test_free_text_has_several_words_and_hardly_repeats() -> None:
    names = [f"Braund, Mr. Owen {chr(65 + i % 26)}arris the {i}th" for i in range(100)]
    assert kind(names) == "text"
    assert kind(["a phrase that is always the same"] * 100) == "category"


def test_names_of_two_words_are_text() -> None:
    first, last = ["Ann", "Bob", "Cleo", "Dora"], [f"Sm{c}th" for c in "abcdefghijklmnopqrstuvwxyz"]
    names = [f"{f} {second}{t}" for f in first for second in last for t in ("", "er")]
    assert kind(names) == "text"


def test_strings_built_of_parts_are_codes() -> None:
    cabins = [f"{'ABCDEFG'[i % 7]}/{i % 150}/{'PS'[i % 2]}" for i in range(2000)]
    assert kind(cabins) == "code"
    tickets = ["A/5 21171", "PC 17599", "113803", "STON/O2. 3101282"]
    assert kind([f"{t}{i}" for i in range(60) for t in tickets]) == "code"
    assert kind([f"{i // 3:04d}_{i % 3:02d}" for i in range(300)]) == "code"


def test_words_with_few_digits_are_a_category_however_many() -> None:
    words = ["".join(RNG.choice(list("abcdefghij"), 5)) for _ in range(200)] * 3
    assert kind(words) == "category"


def test_letters_by_place_are_codes_and_words_or_hashes_are_not() -> None:
    def drawn(letters: str, length: int) -> list[str]:
        return ["".join(RNG.choice(list(letters), length)) for _ in range(300)]

    assert kind(drawn("ABCDEFGHIJKLMNOPQRST", 10)) == "code"
    assert kind(drawn("acgt", 40)) == "code"
    assert kind(drawn("abcdefghijklmnopqrstuvwxyz", 10)) == "id"
    assert kind([w[: 6 + i % 3] for i, w in enumerate(drawn("ABCDE", 9))]) != "code"


def test_whole_numbers_that_count_up_are_an_id() -> None:
    assert kind(np.arange(500, 600)) == "id"
    assert kind(np.sort(RNG.permutation(1000)[:300])) == "id"
    assert kind(RNG.permutation(100), "Unnamed: 0") == "id"
    assert kind(RNG.permutation(100), "store_id") == "id"


def test_strings_without_structure_that_never_repeat_are_an_id() -> None:
    hashes = ["".join(RNG.choice(list("0123456789abcdef"), 32)) for _ in range(100)]
    assert kind(hashes) == "id"
    longer = [f"{one[:20]}{other}" for one, other in zip(hashes, hashes[::-1], strict=True)]
    assert kind(longer) == "id", "their letters are no words"
    assert kind([*longer[1:], None]) == "category"
    assert kind([f"row_{i}" for i in range(100)]) == "id"


@pytest.mark.parametrize(
    ("text", "format_"),
    [
        ("%Y-%m-%d", "ISO8601"),
        ("%Y-%m-%dT%H:%M:%S", "ISO8601"),
        ("%Y-%m-%d %H:%M:%S", "ISO8601"),
        ("%Y-%m-%d %H:%M:%S UTC", "ISO8601"),
        ("%m/%d/%Y", "%m/%d/%Y"),
        ("%d/%m/%Y %H:%M", "%d/%m/%Y %H:%M"),
        ("%d.%m.%Y", "%d.%m.%Y"),
        ("%d-%b-%y", "%d-%b-%y"),
        ("%m/%d/%y %I:%M %p", "%m/%d/%y %I:%M %p"),
        ("%Y%m%d", "%Y%m%d"),
        ("%Y%m%d%H%M%SZ", "%Y%m%d%H%M%SZ"),
    ],
)
def test_dates_are_read_by_an_explicit_format(text: str, format_: str) -> None:
    days = pd.date_range("2013-01-01 13:30", periods=100, freq="D").strftime(text)
    assert datetime_format(pd.Series(days)) == format_
    assert kind(days, "a_date") == "datetime"


@pytest.mark.parametrize("format_", ["%b-%Y", "%B %Y", "%m/%Y", "%Y-%m"])
def test_months_without_a_day_are_dates(format_: str) -> None:
    months = pd.Series(pd.date_range("1999-01-01", periods=100, freq="MS").strftime(format_))
    assert datetime_format(months) == format_
    assert kind(months) == "datetime"


def test_seasons_of_two_years_are_no_months() -> None:
    assert kind([f"{1990 + k}-{(91 + k) % 100:02}" for k in range(30)]) != "datetime"


@pytest.mark.parametrize(
    ("format_", "missing"),
    [
        ("%Y-%m-%d", "NULL"),  # pandas reads it as missing, as spelled it is a word
        ("%Y-%m-%d %H:%M:%S", "NaT"),
        ("%d.%m.%Y", "0000-00-00"),
        ("%Y%m%d.0", ""),  # what pandas writes where whole numbers are missing
    ],
)
def test_dates_with_marks_for_missing_ones_are_read_as_kit_new_takes_them(
    tmp_path: Path, format_: str, missing: str
) -> None:
    days = pd.Series(pd.date_range("2013-01-01", periods=120).strftime(format_))
    days = days.where(pd.Series(range(120)) % 3 > 0, missing)
    frame = pd.DataFrame({"id": range(120), "first_date": days.sample(frac=1, random_state=0)})
    train, test = frame[:80].assign(y=[0, 1] * 40), frame[80:]
    tables = {"train": train, "test": test, "sample_submission": test[["id"]].assign(y=0)}
    for name, table in tables.items():
        table.to_csv(tmp_path / f"{name}.csv", index=False)
    found = infer(tmp_path, hints={}, flags={}).values
    assert [v.value for v in found if v.key == "columns.kinds.first_date"] == ["datetime"]
    text = read_table(tmp_path / "train.csv", as_text=["first_date"])["first_date"]
    made = as_moments(text)
    assert made.notna().sum() == (~untold(text)).sum() < 70
    assert (made.dropna().dt.year == 2013).all()


def test_a_stray_value_among_dates_is_forgiven_up_to_five_percent() -> None:
    days = list(pd.date_range("2013-01-01", periods=100).strftime("%Y-%m-%d"))
    assert kind([*days[:60], *["soon"] * 40]) != "datetime"
    assert kind([*days[:99], "soon"]) == "datetime"
    assert kind([*days[:99], "01.13.2013"]) == "datetime"


def test_dates_that_fit_two_formats_are_not_sure() -> None:
    days = pd.Series(["01/02/2013", "03/04/2013", "05/06/2013"] * 10)
    guess = guess_kind(days, "day")
    assert guess.kind == "datetime"
    assert not guess.sure


def test_eight_digits_are_a_date_only_where_the_name_says_so() -> None:
    days = pd.date_range("2013-01-01", periods=100).strftime("%Y%m%d").astype(int)
    shuffled = RNG.permutation(days)
    assert kind(shuffled, "first_day") == "datetime"
    assert kind(shuffled, "price") == "numeric"
    assert kind(RNG.integers(30000000, 99999999, 100), "date") == "numeric"


@pytest.mark.parametrize("large", [np.inf, -np.inf, np.finfo(np.float64).max, -1e39])
@pytest.mark.parametrize("dtype", ["float64", "Float64"])
def test_numbers_that_no_float32_holds_are_missing(large: float, dtype: str) -> None:
    made = as_number(pd.Series([1.0, large, np.nan, 3e38], dtype=dtype))
    assert made.isna().tolist() == [False, True, True, False]


def test_numbers_too_small_to_be_divided_by_are_zero() -> None:
    made = as_number(pd.Series([1.0, 1e-310, np.nan, -5e-324, 1e-300]))
    assert made.fillna(9).tolist() == [1.0, 0.0, 9, 0.0, 1e-300]


@pytest.mark.parametrize("column", [["1.0", None, "2.0", "x.0"], [1.0, None, 2.0, 3.0]])
def test_whole_numbers_that_are_names_are_the_same_with_and_without_gaps(column: Any) -> None:
    train = pd.DataFrame({"c": ["1", "2", "-3", "2.5"]})
    X, X_test = typed(train, pd.DataFrame({"c": column}), {"c": "category"})
    assert X["c"].tolist() == ["1", "2", "-3", "2.5"]
    assert X_test["c"].tolist()[::2] == ["1", "2"]
    assert X_test["c"].isna().tolist() == [False, True, False, False]


def test_dates_of_test_in_another_format_than_those_of_train_are_refused() -> None:
    days = pd.Series(pd.date_range("2020-01-01", periods=40))
    train = pd.DataFrame({"d": days.dt.strftime("%Y-%m-%d")})
    test = pd.DataFrame({"d": days.dt.strftime("%d/%m/%Y")})
    with pytest.raises(DataError, match=r"ISO8601 \(the format of train\)(?s:.*)features.py"):
        typed(train, test, {"d": "datetime"})


def test_columns_of_features_py_are_what_they_hold() -> None:
    days = pd.Series(pd.date_range("2020-01-01", periods=6))
    X = pd.DataFrame(
        {
            "gap": days - days[0],
            "some": np.where(np.arange(6) % 2, None, np.arange(6) * 1.5),
            "exact": [Decimal(k) / 4 for k in range(6)],
            "date": days.dt.date,
            "flag": pd.Series([True, None] * 3, dtype=object),
            "mixed": pd.Series([1, "a"] * 3, dtype=object),
        }
    )
    kinds = assign_kinds(X, {})
    assert [*kinds.values()] == [*["numeric"] * 3, "datetime", *["category"] * 2]
    made, _ = typed(X, X, kinds)
    assert made["gap"].tolist() == [0, 1, 2, 3, 4, 5]  # days
    assert made["some"].fillna(-1).tolist() == [0, -1, 3, -1, 6, -1]
    assert made["exact"].tolist() == [k / 4 for k in range(6)]
    assert made["date"].tolist() == days.tolist()


def test_true_and_false_with_gaps_are_numbers_with_gaps() -> None:
    made = as_number(pd.Series([True, None, False], dtype="boolean"))
    assert made.to_numpy().tolist()[::2] == [1.0, 0.0]
    assert np.isnan(made.to_numpy()[1])


def test_numbers_stored_as_strings_are_numeric_up_to_five_percent_of_words() -> None:
    few = guess_kind(pd.Series([*map(str, range(99)), "?"]), "n")
    assert (few.kind, few.sure) == ("numeric", False)
    assert "'?'" in few.because
    assert kind(["1", "2", "3", "?"] * 25) == "category"


def test_digits_and_letters_that_are_names_are_a_category_however_rare_the_letters() -> None:
    assert kind(["0"] * 97 + ["a", "b", "c"]) == "category"
    assert kind(["0"] * 60 + ["1"] * 37 + ["?"] * 3) == "numeric"


def test_large_columns_are_judged_by_rows_from_all_over() -> None:
    values = pd.Series(np.r_[["12"] * 200_000, ["word"] * 200_000])
    assert guess_kind(values).kind == "category"


def test_a_name_with_a_number_that_comes_again_and_again_says_who_it_is() -> None:
    """As parts, "d1128" would be the number 1128, and the lecturer forgotten."""
    rng = np.random.default_rng(0)
    who = [f"d{number}" for number in rng.integers(0, 300, 6000)]
    assert guess_kind(pd.Series(who)).kind == "category"
    cabins = [f"{'ABC'[n % 3]}/{n // 2}/P" for n in rng.permutation(6000)]
    assert guess_kind(pd.Series(cabins)).kind == "code"
    digits = [list("0123456789abcdef")[k] for k in rng.integers(0, 16, 300 * 32)]
    hashes = ["".join(digits[32 * k : 32 * k + 32]) for k in range(300)]
    for size in (8, 32):
        customers = [hashes[k][:size] for k in rng.integers(0, 300, 900)]
        assert guess_kind(pd.Series(customers)).kind == "category"
    seldom = [f"PC {number}" for number in rng.integers(0, 600, 900)]
    assert guess_kind(pd.Series(seldom)).kind == "code"


def test_kinds_of_a_whole_table_are_listed_but_for_plain_numbers(tmp_path: Path) -> None:
    n = np.arange(200)
    shuffled = RNG.permutation(n)
    days = pd.date_range("2013-01-01", periods=200).strftime("%Y-%m-%d")
    frame = pd.DataFrame(
        {
            "id": n,
            "price": RNG.normal(size=200),
            "rooms": shuffled % 7,
            "colour": np.array(["red", "green", "blue"])[shuffled % 3],
            "sold": days[shuffled],
            "remark": [f"a quiet house near the park of number {k}" for k in shuffled],
            "cabin": [f"{'ABCDEFG'[k % 7]}/{k}/{'PS'[k % 2]}" for k in shuffled],
            "token": [f"user{k}" for k in shuffled],
            "y": n % 2,
        }
    )
    train, test = frame[:150], frame[150:].drop(columns="y")
    tables = {"train": train, "test": test, "sample_submission": test[["id"]].assign(y=0)}
    for name, table in tables.items():
        table.to_csv(tmp_path / f"{name}.csv", index=False)
    found = infer(tmp_path, hints={}, flags={}).values
    prefix = "columns.kinds."
    kinds = {v.key.removeprefix(prefix): v.value for v in found if v.key.startswith(prefix)}
    assert kinds == {
        "colour": "category",
        "sold": "datetime",
        "remark": "text",
        "cabin": "code",
        "token": "id",
    }


def test_phrases_of_the_words_of_a_text_are_texts_to_be_compared() -> None:
    words = np.array([a + b for a in ("film", "gas", "air", "pump") for b in ("ing", "er", "al")])
    titles = [" ".join(RNG.choice(words, 6)) for _ in range(600)]
    terms = [f"{a} {b}" for a in words for b in words[:6]]
    places = [f"port {name}" for name in ("oslo", "faro", "bari", "nice")]
    frame = pd.DataFrame({"title": titles, "term": terms * 8 + terms[:24], "place": places * 150})
    frame["path"] = frame["term"].str.replace(" ", "/")
    guesses = {name: guess_kind(frame[name], name) for name in frame}
    assert [guess.kind for guess in guesses.values()] == ["text", *["category"] * 3]
    found = phrases_like(frame, guesses)
    assert {name: guess.kind for name, guess in found.items()} == {"term": "text"}
    assert phrases_like(frame.drop(columns="title"), {"term": guesses["term"]}) == {}
