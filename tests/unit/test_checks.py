"""Every finding of `kit check` has a planted case that trips it; clean data trip none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from kit.checks import Finding, Report, check
from kit.checks.catalogue import CATALOGUE
from kit.competition import Competition
from kit.errors import ConfigError, DataError
from kit.execution.context import load_context
from kit.providers.base import load_provider
from kit.providers.sample import _SETS
from kit.scaffold.write import create
from kit.settings import ProviderSpec

Make = Callable[..., Competition]
N, N_TEST = 240, 120
# the others: test_checks_deep.py, and tests/leaks/test_null_labels.py
QUICK = [entry.code for entry in CATALOGUE if not entry.deep and entry.needs != ("null",)]


@dataclass
class Files:
    """A small competition before it is written; the planted cases change it."""

    train: pd.DataFrame
    test: pd.DataFrame
    code: dict[str, str] = field(default_factory=dict)
    tables: dict[str, dict[str, Any]] = field(default_factory=dict)
    sample: pd.DataFrame | None = None
    after: Callable[[Path], object] = lambda root: None

    def table(self, name: str, **values: Any) -> None:
        self.tables.setdefault(name, {}).update(values)

    def both(self, **columns: Any) -> None:
        """Add columns, given for all rows of train and then of test."""
        for name, values in columns.items():
            self.train[name] = np.asarray(values)[: len(self.train)]
            self.test[name] = np.asarray(values)[len(self.train) :]


def clean() -> Files:
    """Ordinary data: two numbers, a category, a target that depends on one of them."""
    rng = np.random.default_rng(5)
    n = N + N_TEST
    frame = pd.DataFrame(
        {
            "id": np.arange(n) + 1000,
            "a": rng.normal(size=n),
            "b": rng.normal(size=n),
            "city": np.array(["Oslo", "Rom", "Wien"])[rng.integers(0, 3, n)],
        }
    )
    y = (frame["a"] + rng.normal(size=n) > 0).astype(int)
    return Files(frame[:N].assign(y=y[:N]), frame[N:].reset_index(drop=True))


def report(make: Make, files: Files) -> Report:
    competition = make(
        files.train, files.test, sample=files.sample, code=files.code, **files.tables
    )
    files.after(competition.root)
    return check(competition)


def found(make: Make, files: Files, code: str) -> list[Finding]:
    return [finding for finding in report(make, files).findings if finding.code == code]


def test_a_clean_competition_has_no_findings(make_competition: Make) -> None:
    result = report(make_competition, clean())
    assert result.findings == ()
    assert [code for code, _ in result.checked] == QUICK
    assert result.skipped == ()
    assert result.sampled == ""
    assert result.worst is None


def test_ids_that_are_empty_are_counted(make_competition: Make) -> None:
    files = clean()
    files.train["id"] = files.train["id"].astype("Int64").mask(files.train.index < 3)
    (finding,) = found(make_competition, files, "KIT011")
    assert "'id' is empty in 3 of 240 rows" in finding.evidence


def test_a_sample_of_other_length_is_told_where_test_has_no_ids(make_competition: Make) -> None:
    files = clean()
    files.sample = pd.DataFrame({"id": np.arange(len(files.test) + 2), "y": 0})
    files.test = files.test.drop(columns="id")
    files.tables = {"columns": {"test_id": ""}}
    (finding,) = found(make_competition, files, "KIT013")
    assert "test.csv has no id column and 120 rows, however" in finding.evidence
    assert "has 122" in finding.evidence


def test_codes_are_unique_and_sorted() -> None:
    codes = [entry.code for entry in CATALOGUE]
    assert codes == sorted(set(codes))


# --- one planted case per code -----------------------------------------------------------------


def no_test_file(files: Files) -> None:
    files.after = lambda root: (root / "data/raw/test.csv").unlink()


def unknown_target(files: Files) -> None:
    files.table("columns", target="yy")


def extra_in_train(files: Files) -> None:
    files.train["later"] = files.train["a"] * 2 + 1


def extra_in_test(files: Files) -> None:
    files.test["later"] = files.test["a"] * 2 + 1


def text_in_test(files: Files) -> None:
    files.test["b"] = files.test["b"].round(3).astype("str")
    files.test.loc[3, "b"] = "unknown"


def words_as_numbers(files: Files) -> None:
    files.table("columns", kinds={"city": "numeric"})


def kind_of_nothing(files: Files) -> None:
    files.table("columns", kinds={"city": "category", "town": "category"})


def dates_that_are_none(files: Files) -> None:
    days = pd.date_range("2024-01-01", periods=N + N_TEST, freq="37h").strftime("%Y-%m-%d %H:%M")
    files.both(day=days)
    files.train.loc[[3, 4], "day"] = "soon"
    files.table("columns", kinds={"city": "category", "day": "datetime"})


def latin(files: Files) -> None:
    def rewrite(root: Path) -> None:
        path = root / "data" / "raw" / "train.csv"
        path.write_bytes(path.read_bytes().replace(b"north", "nörth".encode("latin-1"), 1))

    for frame in (files.train, files.test):
        frame["side"] = pd.Series(["north", "south"] * (len(frame) // 2), dtype="str")
    files.after = rewrite


def add_texts(files: Files) -> None:
    for frame in (files.train, files.test):
        rng = np.random.default_rng(len(frame))
        words = np.array(["sun", "rain", "wind", "snow", "hail", "fog"])
        said = [" ".join(words[rng.integers(0, 6, 5)]) for _ in range(len(frame))]
        frame["said"] = pd.Series(said, dtype="str")
    files.table("columns", kinds={"said": "text"})


def blank_texts(files: Files) -> None:
    add_texts(files)
    files.train.loc[:40, "said"] = "  "


def long_text(files: Files) -> None:
    add_texts(files)
    files.test.loc[0, "said"] = "rain " * 40_000


def garbled_texts(files: Files) -> None:
    add_texts(files)
    files.train.loc[:1, "said"] = "a cafÃ© in the rain"


def ids_twice(files: Files) -> None:
    files.train.loc[7, "id"] = files.train.loc[8, "id"]


def ids_in_both(files: Files) -> None:
    files.test["id"] = files.test["id"] - 100
    files.sample = pd.DataFrame({"id": files.test["id"], "y": 0})


def other_sample(files: Files) -> None:
    more = pd.concat([files.test["id"], files.test["id"].tail(5) + 5])
    files.sample = pd.DataFrame({"id": more, "y": 0})


def short_sample(files: Files) -> None:
    files.sample = pd.DataFrame({"id": files.test["id"][20:], "y": 0})


def target_missing(files: Files) -> None:
    files.train["y"] = files.train["y"].astype("str")
    files.train.loc[[1, 2, 3], "y"] = None


def target_constant(files: Files) -> None:
    files.train["y"] = 1


def third_label(files: Files) -> None:
    files.train.loc[[1, 2], "y"] = 7


def target_of_words(files: Files) -> None:
    files.train["y"] = "high"
    files.train.loc[5, "y"] = "low"
    files.table("task", type="regression", metric="rmse", classes=[])


def rare_class(files: Files) -> None:
    files.train["y"] = 0
    files.train.loc[[10, 20], "y"] = 1


def rows_twice(files: Files) -> None:
    copies = files.train.head(20).assign(id=range(20))
    files.train = pd.concat([files.train, copies], ignore_index=True)


def rows_contradict(files: Files) -> None:
    rows_twice(files)
    files.train.loc[N:, "y"] = 1 - files.train.loc[N:, "y"]


def rows_of_train_in_test(files: Files) -> None:
    files.test.loc[:9, ["a", "b", "city"]] = files.train.loc[:9, ["a", "b", "city"]].to_numpy()


def one_value(files: Files) -> None:
    files.both(k=np.ones(N + N_TEST))


def one_value_in_train(files: Files) -> None:
    files.both(k=np.repeat([1, 2], [N, N_TEST]))


def serial_number(files: Files) -> None:
    files.both(serial=np.random.default_rng(0).permutation(N + N_TEST))


def nearly_empty(files: Files) -> None:
    files.both(k=np.where(np.arange(N + N_TEST) == 5, 1.5, np.nan))


def same_twice(files: Files) -> None:
    for frame in (files.train, files.test):
        frame["a_again"] = frame["a"]


def new_levels(files: Files) -> None:
    number = np.random.default_rng(0).integers(0, 20, N + N_TEST)
    files.both(shop=[f"s{n + 20 * (row >= N)}" for row, n in enumerate(number)])


def giveaway(files: Files) -> None:
    rng = np.random.default_rng(1)
    files.both(hint=np.r_[files.train["y"] * 3 + rng.random(N), rng.random(N_TEST)])


def giveaway_by_missing(files: Files) -> None:
    rng = np.random.default_rng(1)
    paid = np.where(files.train["y"] == 1, rng.random(N), np.nan)
    files.both(paid=np.r_[paid, rng.random(N_TEST)])


def other_rows(files: Files) -> None:
    files.code["features.py"] = (
        "def features(df):\n    df['m'] = df['a'] - df['a'].mean()\n    return df\n"
    )


def broken_code(files: Files) -> None:
    files.code["features.py"] = "def features(df):\n    df['m'] = df['nope']\n    return df\n"


def dice(files: Files) -> None:
    files.code["features.py"] = (
        "import random\n\n\ndef features(df):\n"
        "    df['m'] = [random.random() for _ in range(len(df))]\n    return df\n"
    )


def too_many_folds(files: Files) -> None:
    files.both(house=np.arange(N + N_TEST) % 2)
    files.table("columns", group="house")
    files.table("cv", splitter="group_kfold", n_splits=3)


def groups_ignored(files: Files) -> None:
    files.both(house=np.arange(N + N_TEST) // 4)
    files.table("columns", group="house")


def time_ignored(files: Files) -> None:
    files.both(when=pd.date_range("2024-01-01", periods=N + N_TEST).strftime("%Y-%m-%d"))
    files.table("columns", time="when", kinds={"city": "category", "when": "datetime"})


def stale_folds(files: Files) -> None:
    def after(root: Path) -> None:
        load_context(Competition.load(root, ["cv.seed=7"])).folds.save(root / "folds.parquet")

    files.after = after


def gaps(files: Files) -> None:
    """Train and test take turns: 20 days, then 10, a row a day; folds at random."""
    days = np.arange(N + N_TEST)
    train, test = days[days % 30 < 20], days[days % 30 >= 20]
    when = pd.Timestamp("2024-01-01") + pd.to_timedelta(np.concatenate([train, test]), "D")
    files.both(when=when.strftime("%Y-%m-%d"))
    files.table("columns", kinds={"city": "category", "when": "datetime"})
    files.table("cv", splitter="kfold")


def stops_on_the_fold(files: Files) -> None:
    files.table("cv", early_stopping="fold")


def days(files: Files) -> None:
    """240 training rows of 8 shops and 30 days; the test rows are the 15 days that follow."""
    row = np.arange(N + N_TEST)
    files.both(
        shop=[f"shop {k % 8}" for k in row],
        day=(pd.Timestamp("2024-01-01") + pd.to_timedelta(row // 8, "D")).strftime("%Y-%m-%d"),
    )
    files.table("columns", kinds={"city": "category", "shop": "category", "day": "datetime"})


def panel(files: Files, **series: Any) -> None:
    days(files)
    files.table("columns", time="day")
    files.table("cv", splitter="time_windows", horizon="5D")
    files.table("series", **{"id": ["shop"], "horizon": 15, "lags": [15, 21], **series})


def wrong_step(files: Files) -> None:
    panel(files, step="soon")


def day_twice(files: Files) -> None:
    panel(files)
    files.train.loc[[40, 41], "day"] = files.train.loc[[32, 33], "day"].to_numpy()


def too_short_a_horizon(files: Files) -> None:
    panel(files, horizon=10)


def new_shop(files: Files) -> None:
    panel(files)
    files.test.loc[3, "shop"] = "shop 9"


def lag_before_the_first_day(files: Files) -> None:
    panel(files, lags=[15, 45])


def corrupt_image(files: Files) -> None:
    def after(root: Path) -> None:
        for k in range(N + N_TEST):
            Image.new("L", (2, 2), k % 256).save(root / "data" / "raw" / f"{k}.png")
        (root / "data" / "raw" / "7.png").write_bytes(b"no image")

    files.both(picture=[f"{k}.png" for k in range(N + N_TEST)])
    files.table("columns", kinds={"city": "category", "picture": "image"})
    files.table("images", picture={"size": 2, "channels": 1})
    files.after = after


PLANTED: dict[str, tuple[Callable[[Files], None], str, str]] = {
    "KIT001": (no_test_file, "error", "test.csv does not exist"),
    "KIT002": (unknown_target, "error", "'yy'"),
    "KIT003": (extra_in_train, "error", "'later'"),
    "KIT004": (extra_in_test, "info", "'later'"),
    "KIT005": (text_in_test, "warning", "'unknown'"),
    "KIT006": (words_as_numbers, "error", "'Oslo'"),
    "KIT007": (kind_of_nothing, "error", "'town'"),
    "KIT008": (dates_that_are_none, "warning", "2 of 240"),
    "KIT009": (latin, "warning", "train.csv is not UTF-8"),
    "KIT011": (ids_twice, "error", "1 of 240 rows repeat an id in 'id', first: '1008'"),
    "KIT012": (ids_in_both, "warning", "100 of 240 ids"),
    "KIT013": (other_sample, "error", "5 ids of sample_submission.csv are not in test.csv"),
    "KIT014": (short_sample, "warning", "20 ids of test.csv are not in sample_submission.csv"),
    "KIT021": (target_missing, "warning", "3 of 240 rows, first ids: '1001', '1002', '1003'"),
    "KIT022": (target_constant, "error", "'1' in all 240 rows"),
    "KIT023": (third_label, "error", "'7' in 2 rows"),
    "KIT024": (target_of_words, "error", "'high', 'low'"),
    "KIT025": (rare_class, "error", "'1': 2"),
    "KIT031": (corrupt_image, "warning", "not an image: 1, first '7.png'"),
    "KIT101": (rows_twice, "warning", "40 of 260 rows"),
    "KIT102": (rows_contradict, "warning", "40 of 260 rows"),
    "KIT103": (rows_of_train_in_test, "warning", "10 of 120 rows"),
    "KIT111": (one_value, "info", "'k' is '1.0' in every row"),
    "KIT112": (one_value_in_train, "warning", "120 of 120 rows of test say '2'"),
    "KIT113": (serial_number, "warning", "'serial': whole numbers, 240 different"),
    "KIT114": (nearly_empty, "info", "'k' is known in 1 of 240 rows"),
    "KIT115": (same_twice, "info", "'a_again' equals 'a'"),
    "KIT116": (new_levels, "warning", "'shop': 100%"),
    "KIT121": (blank_texts, "info", "'said': 0 missing and 41 blank of 360 texts"),
    "KIT122": (long_text, "info", "'said': 1 text is longer than 100,000 characters"),
    "KIT123": (garbled_texts, "warning", "'said': 2 of 360 texts"),
    "KIT201": (giveaway, "warning", "'hint' alone: ROC AUC 1.000"),
    "KIT202": (giveaway_by_missing, "warning", "whether 'paid' is known"),
    "KIT211": (other_rows, "error", "'m' differs in 120 of 120 rows"),
    "KIT212": (broken_code, "error", "KeyError"),
    "KIT213": (dice, "error", "'m' differs in 240 of 240 rows"),
    "KIT301": (too_many_folds, "error", "needs 3 groups"),
    "KIT302": (groups_ignored, "error", "of 60 groups of 'house'"),
    "KIT303": (time_ignored, "warning", "'when'"),
    "KIT304": (stale_folds, "warning", "other folds"),
    "KIT305": (days, "warning", "later than the training rows by 'day'"),
    "KIT306": (gaps, "warning", "'when': test fills 12 gaps of about 10D in train"),
    "KIT311": (stops_on_the_fold, "info", "early_stopping"),
    "KIT321": (wrong_step, "error", "series.step"),
    "KIT322": (day_twice, "warning", "2 training rows repeat"),
    "KIT323": (too_short_a_horizon, "error", "40 test rows are more than series.horizon = 10"),
    "KIT324": (new_shop, "warning", "1 test row belongs to 1 series that train does not have"),
    "KIT325": (lag_before_the_first_day, "warning", "8 of 8 series begin less than 45 steps"),
}


@pytest.mark.parametrize(
    "cv", [{"splitter": "time_blocks", "block": "10D"}, {"splitter": "time_series"}]
)
def test_folds_that_fill_gaps_like_those_of_test_are_no_finding(
    make_competition: Make, cv: dict[str, str]
) -> None:
    files = clean()
    gaps(files)
    files.table("columns", time="when")
    files.table("cv", **cv)
    assert not found(make_competition, files, "KIT306")


def test_folds_that_fill_shorter_gaps_are_told_the_splitter_that_does_not(
    make_competition: Make,
) -> None:
    files = clean()
    gaps(files)
    (finding,) = found(make_competition, files, "KIT306")
    assert 'time = "when"' in finding.remedy
    assert 'block = "10D"' in finding.remedy


def test_a_competition_without_a_sample_submission_lacks_no_file(
    make_competition: Make,
) -> None:
    files = clean()
    files.table("files", sample_submission="")
    assert report(make_competition, files).findings == ()


def test_series_that_fit_have_no_findings(make_competition: Make) -> None:
    files = clean()
    panel(files)
    assert report(make_competition, files).findings == ()


def test_test_days_without_history_are_counted(make_competition: Make) -> None:
    """The rows that the only lag would look up are missing in train."""
    files = clean()
    panel(files, lags=[15])
    gone = files.train["day"].between("2024-01-20", "2024-01-22")
    files.train = files.train[~gone].reset_index(drop=True)
    (finding,) = found(make_competition, files, "KIT325")
    assert finding.evidence.startswith("24 test rows have no known value")
    assert "2024-02-04" in finding.evidence


def test_a_month_of_test_that_train_never_has_is_counted(make_competition: Make) -> None:
    """Lags reach over it; what that month is like nobody knows."""
    files = clean()
    month = pd.Timestamp("2015-01-01").to_period("M") + np.arange(N + N_TEST) // 8
    files.both(shop=[f"shop {k % 8}" for k in range(N + N_TEST)], day=month.astype(str) + "-01")
    files.table("columns", time="day", kinds={"city": "category", "shop": "category"})
    files.tables["columns"]["kinds"]["day"] = "datetime"
    files.table("cv", splitter="time_windows", horizon="2")
    files.table("series", id=["shop"], step="month", horizon=15, lags=[16, 20], seasons=[12])
    assert not found(make_competition, files, "KIT325")
    may = pd.to_datetime(files.train["day"]).dt.month == 5
    files.train = files.train[~may].reset_index(drop=True)
    (finding,) = found(make_competition, files, "KIT325")
    assert finding.evidence.startswith("8 test rows lie at a place in the season of 12 steps")
    assert finding.evidence.endswith("times 2018-05-01 00:00:00 to 2018-05-01 00:00:00")


def test_a_single_blank_text_is_named(make_competition: Make) -> None:
    files = clean()
    add_texts(files)
    assert not found(make_competition, files, "KIT121")
    files.test.loc[5, "said"] = " "
    (finding,) = found(make_competition, files, "KIT121")
    assert finding.evidence == "'said': 0 missing and 1 blank of 360 texts"


def test_random_folds_are_told_once_where_test_is_later(make_competition: Make) -> None:
    files = clean()
    panel(files)
    files.table("cv", splitter="stratified_kfold")
    codes = [finding.code for finding in report(make_competition, files).findings]
    assert codes == ["KIT303"]


def test_every_code_has_a_planted_case() -> None:
    assert list(PLANTED) == QUICK


@pytest.mark.parametrize("code", PLANTED)
def test_a_planted_mistake_is_found(make_competition: Make, code: str) -> None:
    plant, severity, words = PLANTED[code]
    files = clean()
    plant(files)
    findings = found(make_competition, files, code)
    assert len(findings) == 1
    assert findings[0].severity == severity
    assert words in findings[0].evidence
    assert findings[0].remedy
    assert "{" not in findings[0].remedy


ALONE = sorted(set(PLANTED) - {"KIT001", "KIT002", "KIT202"})


@pytest.mark.parametrize("code", ALONE)
def test_a_planted_mistake_is_reported_once(make_competition: Make, code: str) -> None:
    files = clean()
    PLANTED[code][0](files)
    assert {finding.code for finding in report(make_competition, files).findings} == {code}


@pytest.mark.parametrize(("rows", "remedy"), [([10, 20], "[cv] n_splits = 2"), ([10], "take it")])
def test_the_remedy_for_a_rare_class_is_not_what_is_set_already(
    make_competition: Make, rows: list[int], remedy: str
) -> None:
    files = clean()
    files.train["y"] = 0
    files.train.loc[rows, "y"] = 1
    files.table("cv", n_splits=2 if len(rows) == 1 else 3)
    (finding,) = found(make_competition, files, "KIT025")
    assert remedy in finding.remedy
    assert ("n_splits" in finding.remedy) == (len(rows) > 1)


def test_a_rare_class_among_others_stops_nothing(make_competition: Make) -> None:
    files = clean()
    files.train["y"] = np.arange(len(files.train)) % 2
    files.train.loc[10, "y"] = 2
    files.table("task", type="multiclass", metric="accuracy", classes=["0", "1", "2"])
    (finding,) = found(make_competition, files, "KIT025")
    assert (finding.severity, "never scored" in finding.remedy) == ("info", True)
    assert not found(make_competition, files, "KIT301")


@pytest.mark.parametrize(
    ("splitter", "rows", "remedy"),
    [
        ("kfold", [[10], []], 'splitter = "stratified_kfold": it spreads'),
        ("kfold", [[10, 20], []], 'splitter = "stratified_kfold": it spreads'),
        ("kfold", [[10], range(20, 23)], '"stratified_kfold" and n_splits = 3: it spreads'),
        ("stratified_kfold", [[10], range(20, 23)], "[cv] n_splits = 3, and a class of one"),
        ("group_kfold", [[10, 20], []], '"stratified_group_kfold" and n_splits = 2'),
        ("stratified_group_kfold", [[10, 20], []], 'n_splits = 2 or splitter = "group_kfold"'),
        ("time_series", [[10, 20], []], "[cv] n_splits = 2 or fewer"),
    ],
)
def test_the_remedy_for_a_rare_class_fits_the_splitter(
    make_competition: Make, splitter: str, rows: list[Any], remedy: str
) -> None:
    """ "0" is common; "2" is what `rows` lists first, "1" what it lists then or every other row."""
    files = clean()
    files.train["y"] = 0 if len(rows[1]) else np.arange(len(files.train)) % 2
    files.train.loc[[*rows[1]], "y"] = 1
    files.train.loc[rows[0], "y"] = 2
    files.both(house=np.arange(N + N_TEST) // 4)
    files.table("columns", group="house", time="house")
    files.table("task", type="multiclass", metric="accuracy", classes=["0", "1", "2"])
    files.table("cv", n_splits=5, splitter=splitter)
    (finding,) = found(make_competition, files, "KIT025")
    assert remedy in finding.remedy
    assert ("kfold" in remedy) == ("kfold" in finding.remedy)


def test_a_file_that_is_two_files_is_missed_once(make_competition: Make) -> None:
    files = clean()
    files.table("files", train="absent.csv", test="absent.csv")
    (finding,) = found(make_competition, files, "KIT001")
    assert finding.evidence.count("absent.csv") == 1


def test_code_that_fails_on_parts_is_told_once_with_one_hint(make_competition: Make) -> None:
    files = clean()
    files.code["features.py"] = (
        "def features(df):\n"
        "    assert (df['id'].astype(int).diff().dropna() == 1).all(), 'odd'\n"
        "    return df\n"
    )
    (finding,) = found(make_competition, files, "KIT211")
    assert "fails on a random half of the rows and on the rows in another" in finding.evidence
    assert "AssertionError: odd" in finding.evidence
    assert "KIT_DEBUG" not in finding.evidence
    files.code["features.py"] = "def features(df):\n    return df['nope']\n"
    (finding,) = found(make_competition, files, "KIT212")
    assert "KIT_DEBUG" not in finding.evidence
    assert finding.remedy.count("KIT_DEBUG") == 1


# --- particular cases --------------------------------------------------------------------------


def test_several_mistakes_are_reported_at_once(make_competition: Make) -> None:
    files = clean()
    for plant in (ids_twice, extra_in_train, third_label, one_value, broken_code):
        plant(files)
    result = report(make_competition, files)
    assert {f.code for f in result.findings} == {"KIT003", "KIT011", "KIT023", "KIT212"}
    assert result.worst == "error"
    assert "KIT111" in {code for code, _ in result.skipped}  # features.py has to work first


def test_errors_come_before_warnings_and_notes(make_competition: Make) -> None:
    files = clean()
    for plant in (one_value, serial_number, groups_ignored):
        plant(files)
    severities = [finding.severity for finding in report(make_competition, files).findings]
    assert severities == sorted(severities, key=["error", "warning", "info"].index)
    assert set(severities) == {"error", "warning", "info"}


def test_columns_with_the_same_mistake_share_a_finding(make_competition: Make) -> None:
    files = clean()
    files.both(k=np.ones(N + N_TEST), k2=np.zeros(N + N_TEST))
    (finding,) = found(make_competition, files, "KIT111")
    assert finding.columns == ("k", "k2")
    assert '[columns] drop = ["k", "k2"]' in finding.remedy


def test_a_muted_code_is_reported_as_muted(make_competition: Make) -> None:
    files = clean()
    one_value(files)
    files.table("check", mute=["KIT111"])
    result = report(make_competition, files)
    assert result.findings == ()
    assert [finding.code for finding in result.muted] == ["KIT111"]


def test_muting_one_column_leaves_the_others(make_competition: Make) -> None:
    files = clean()
    files.both(k=np.ones(N + N_TEST), k2=np.zeros(N + N_TEST))
    files.table("check", mute=["KIT111:k"])
    result = report(make_competition, files)
    assert [finding.columns for finding in result.findings] == [("k2",)]
    assert [finding.columns for finding in result.muted] == [("k",)]


def test_a_finding_about_columns_together_is_muted_by_all_of_them(make_competition: Make) -> None:
    files = clean()
    ids_in_both(files)
    files.table("check", mute=["KIT012:id"])
    result = report(make_competition, files)
    assert [finding.code for finding in result.muted] == ["KIT012"]
    assert "KIT012" not in [finding.code for finding in result.findings]


def test_muting_an_unknown_code_is_refused_with_the_nearest(make_competition: Make) -> None:
    files = clean()
    files.table("check", mute=["KIT1O1"])
    with pytest.raises(ConfigError, match=r"'KIT1O1'\. Did you mean 'KIT...'\?"):
        report(make_competition, files)


@pytest.mark.parametrize(
    ("table", "values"),
    [
        ("task", {"metric": "roc_auk"}),
        ("cv", {"splitter": "kfolds"}),
        ("cv", {"models": ["lightgbn"]}),
    ],
)
def test_a_name_nobody_knows_stays_a_configuration_error(
    make_competition: Make, table: str, values: dict[str, Any]
) -> None:
    files = clean()
    files.table(table, **values)
    with pytest.raises(ConfigError, match="Did you mean"):
        report(make_competition, files)


def test_a_truncated_file_is_a_finding_and_the_rest_is_skipped(make_competition: Make) -> None:
    files = clean()
    files.after = lambda root: (root / "data/raw/train.csv").write_text("")
    result = report(make_competition, files)
    assert [finding.code for finding in result.findings] == ["KIT001"]
    assert "is empty" in result.findings[0].evidence
    assert len(result.skipped) > 25


def test_rows_that_are_equal_by_chance_are_no_finding(make_competition: Make) -> None:
    files = clean()
    rng = np.random.default_rng(0)
    files.train, files.test = files.train.drop(columns=["a", "b"]), files.test[["id", "city"]]
    files.both(colour=rng.integers(0, 3, N + N_TEST), size=rng.integers(0, 3, N + N_TEST))
    assert report(make_competition, files).findings == ()


def test_an_int_in_train_equals_the_same_float_in_test(make_competition: Make) -> None:
    files = clean()
    files.both(big=np.random.default_rng(0).integers(0, 10**6, N + N_TEST))
    rows_of_train_in_test(files)
    files.test.loc[:9, "big"] = files.train.loc[:9, "big"]
    files.test["big"] = files.test["big"].astype(float)
    files.test.loc[50, "big"] = np.nan
    (finding,) = found(make_competition, files, "KIT103")
    assert finding.evidence.startswith("10 of 120 rows")


def test_files_that_number_their_rows_from_the_same_start_are_only_noted(
    make_competition: Make,
) -> None:
    files = clean()
    files.train["id"], files.test["id"] = np.arange(N), np.arange(N_TEST)
    (finding,) = report(make_competition, files).findings
    assert (finding.code, finding.severity) == ("KIT012", "info")


def test_many_levels_that_a_random_split_explains_are_no_finding(make_competition: Make) -> None:
    files = clean()
    levels = np.random.default_rng(0).integers(0, 300, N + N_TEST)
    files.both(street=[f"street {n}" for n in levels])
    unseen = ~files.test["street"].isin(files.train["street"])
    assert unseen.mean() > 0.2
    assert report(make_competition, files).findings == ()


def test_a_measurement_with_different_values_is_not_taken_for_an_id(
    make_competition: Make,
) -> None:
    files = clean()
    cents = np.random.default_rng(0).choice(10**6, N + N_TEST, replace=False)
    files.both(price=cents)
    assert report(make_competition, files).findings == ()


def test_a_category_that_gives_numbers_away_is_found(make_competition: Make) -> None:
    files = clean()
    rng = np.random.default_rng(0)
    level = rng.integers(0, 12, N + N_TEST)
    files.both(zone=[f"z{n:02}" for n in level])
    files.train["y"] = np.argsort(rng.permutation(12))[level[:N]] * 100 + rng.random(N)
    files.table("task", type="regression", metric="rmse", classes=[])
    files.table("submission", wants="value")
    files.table("cv", splitter="kfold")
    (finding,) = found(make_competition, files, "KIT201")
    assert finding.columns == ("zone",)


def test_a_name_is_no_leak_where_groups_are_validated_apart(make_competition: Make) -> None:
    files = clean()
    house = np.arange(N + N_TEST) // 6
    files.both(house=house, street=[f"street {n}" for n in house])
    files.train["y"] = (house[:N] * 7 % 2).astype(int)  # one answer per house
    assert found(make_competition, files, "KIT201")
    files.table("columns", group="house")
    files.table("cv", splitter="group_kfold")
    assert report(make_competition, files).findings == ()


@pytest.mark.parametrize("name", _SETS)
def test_the_sample_competitions_have_no_warning(tmp_path: Path, name: str) -> None:
    spec = ProviderSpec(name="sample", source=name)
    provider = load_provider(name, spec, tmp_path / name)
    create(tmp_path / name, provider, spec, flags={}, template="tabular", progress=lambda *_: None)
    result = check(Competition.load(tmp_path / name))
    assert result.worst in (None, "info")
    assert len(result.findings) <= 1


def test_a_folds_file_of_other_data_is_an_error(make_competition: Make) -> None:
    files = clean()

    def after(root: Path) -> None:
        folds = load_context(Competition.load(root, ["cv.splitter=kfold"])).folds
        type(folds)(folds.ids + "x", folds.fold).save(root / "folds.parquet")

    files.after = after
    files.table("cv", splitter="file")
    (finding,) = report(make_competition, files).findings
    assert finding.code == "KIT301"
    assert "must have the same ids" in finding.evidence


def test_large_data_are_sampled_and_said_so(make_competition: Make) -> None:
    rng = np.random.default_rng(0)
    n = 21_000
    frame = pd.DataFrame({"id": np.arange(n), "a": rng.normal(size=n), "y": rng.integers(0, 2, n)})
    files = Files(frame, frame.drop(columns="y").tail(50).assign(id=range(n, n + 50)))
    files.test["a"] += 0.001
    result = report(make_competition, files)
    assert result.findings == ()
    assert result.sampled == "single columns against the target: 20000 of 21000 rows"


def test_a_target_that_the_metric_cannot_score_is_found(
    make_competition: Callable[..., Competition],
) -> None:
    frame = pd.DataFrame({"id": range(40), "a": np.arange(40) % 7, "y": np.arange(40) - 1.5})
    task = {"type": "regression", "metric": "rmsle", "classes": []}
    competition = make_competition(
        frame, frame.drop(columns="y"), task=task, submission={"wants": "value", "columns": ["y"]},
        cv={"splitter": "kfold", "n_splits": 3, "models": ["linear"]},
    )  # fmt: skip
    found = [each for each in check(competition).findings if each.code == "KIT024"]
    assert "2 rows are negative" in found[0].evidence
    with pytest.raises(DataError, match="2 rows are negative"):
        load_context(competition)


def test_numbers_in_one_file_and_words_in_the_other_whatever_the_kind(
    make_competition: Callable[..., Competition],
) -> None:
    frame = pd.DataFrame({"id": range(40), "a": range(40), "kg": np.arange(40) / 4})
    test = frame.assign(id=frame["id"] + 40, kg=frame["kg"].map("{} kg".format))
    competition = make_competition(
        frame.assign(y=[0, 1] * 20), test, columns={"kinds": {"kg": "category"}}
    )
    assert [f.columns for f in check(competition).findings if f.code == "KIT005"] == [("kg",)]


def test_words_among_numbers_of_test_that_train_seldom_has(
    make_competition: Callable[..., Competition],
) -> None:
    frame = pd.DataFrame({"id": range(40), "kg": np.arange(40) / 4, "deck": np.arange(40) % 3})
    kg = [*map(str, 9 + np.arange(30) / 4), *["broken"] * 10]
    test = frame.assign(id=frame["id"] + 40, kg=kg, deck=[*map(str, frame["deck"][:39]), "A"])
    competition = make_competition(
        frame.assign(y=[0, 1] * 20),
        test,
        columns={"kinds": {"kg": "category", "deck": "category"}},
    )
    assert [f.columns for f in check(competition).findings if f.code == "KIT005"] == [("kg",)]
