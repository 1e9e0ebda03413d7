"""What `kit new` says about tables beside train and test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kit.scaffold.infer import infer

DAYS = pd.date_range("2024-01-01", periods=60).strftime("%Y-%m-%d")
FRAME = pd.DataFrame([(s, d) for d in DAYS for s in range(1, 6)], columns=["store", "day"]).assign(
    id=np.arange(300), open=True, sales=np.random.default_rng(0).gamma(2, 9, 300).round(2)
)
TEST = FRAME["day"] >= DAYS[50]


def said(folder: Path, **sides: Any) -> list[str]:
    """Questions that name one of the tables and their join."""
    FRAME[~TEST].to_csv(folder / "train.csv", index=False)
    FRAME[TEST].drop(columns="sales").to_csv(folder / "test.csv", index=False)
    sample = FRAME.loc[TEST, ["id"]].assign(sales=0.5)
    sample.to_csv(folder / "sample_submission.csv", index=False)
    for name, frame in sides.items():
        frame.to_csv(folder / f"{name}.csv", index=False)
    found = infer(folder, hints={}, flags={"metric": "mae"}).questions
    return [text for text in found if text.split()[0].removesuffix(".csv") in sides]


def test_one_row_per_key_can_be_joined(tmp_path: Path) -> None:
    stores = pd.DataFrame({"store": range(1, 6), "size": [9, 8, 7, 6, 5]})
    (text,) = said(tmp_path, stores=stores)
    assert "one row per 'store'; 100% of the rows of train and 100% of those of test" in text
    assert "df.merge(table, on=['store'], how=\"left\")" in text
    assert "of 'size' leave out" in text


def test_the_key_may_be_of_several_columns_and_the_test_period_may_be_missing(
    tmp_path: Path,
) -> None:
    weather = FRAME.loc[FRAME["day"] < DAYS[55], ["store", "day", "open"]].assign(rain=1.5)
    (text,) = said(tmp_path, weather=weather)
    assert "one row per 'store', 'day'; 100% of the rows of train and 50% of those of test" in text
    assert "table.drop(columns=['open'])" in text


def test_what_is_told_joins_without_a_row_more(tmp_path: Path) -> None:
    weather = FRAME[["store", "day"]].assign(rain=np.arange(300)).sample(frac=1, random_state=0)
    (text,) = said(tmp_path, weather=weather)
    code = text[text.index("df.merge(") :].split(", and of")[0]
    joined = eval(code, {"df": FRAME, "table": weather})
    pd.testing.assert_frame_equal(joined[FRAME.columns], FRAME)
    np.testing.assert_array_equal(joined["rain"], np.arange(300))


def test_holidays_are_of_few_rows_and_can_be_joined_as_well(tmp_path: Path) -> None:
    holidays = pd.DataFrame({"day": [DAYS[3], DAYS[55]], "name": ["new", "old"]})
    (text,) = said(tmp_path, holidays=holidays)
    assert "one row per 'day'; 2% of the rows of train and 10% of those of test" in text
    assert "df.merge(table, on=['day'], how=\"left\")" in text


def test_rows_that_repeat_their_keys_are_not_to_be_joined(tmp_path: Path) -> None:
    visits = FRAME[["store", "day"]].assign(visits=3)
    (text,) = said(tmp_path, visits=pd.concat([visits, visits.iloc[:7]]))
    assert "7 rows repeat them: joined as it is, rows of train would multiply" in text
    assert "df.merge" not in text


def test_tables_without_a_key_of_both_or_without_news_are_not_spoken_of(tmp_path: Path) -> None:
    other = pd.DataFrame({"town": ["a"], "size": [1]})
    strange = pd.DataFrame({"store": range(100, 105), "size": 1})
    copied = FRAME[["store", "day"]]
    assert said(tmp_path, towns=other, strange=strange, keys=copied) == []


def test_a_table_that_cannot_be_read_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "broken.csv").write_bytes(b"")
    assert said(tmp_path, other=pd.DataFrame({"x": [1]})) == []
