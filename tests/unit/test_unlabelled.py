"""Rows of train without a target: nothing is trained on them, and nothing else changes for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import kit.large as large
import kit.sampled as sampled
from kit.checks.ids import shared
from kit.checks.material import Material
from kit.checks.target import missing
from kit.competition import Competition
from kit.cv import cross_validate
from kit.dataset import Dataset
from kit.errors import DataError
from kit.execution.context import FOLDS_NAME, load_context
from kit.features import read_features
from kit.joins import Joins
from kit.permutation.copies import Source
from kit.preprocessing.series import SeriesFeatures
from kit.refit.rows import RowFormat
from kit.scaffold.infer import infer
from kit.scaffold.look import look_at_target
from kit.separators import MISSING
from kit.series import SeriesSpec
from kit.session import open_session
from kit.tables import read_table
from kit.target import missing_cells

Make = Callable[..., Competition]
N, N_TEST = 90, 20
GONE = [0, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 89]  # a whole piece among them
FEW = {"lightgbm": {"params": {"n_estimators": 4, "num_leaves": 7, "min_data_in_leaf": 5}}}
KINDS = {"columns": {"kinds": {"shop": "category"}}}
REGRESSION = {
    "task": {"type": "regression", "metric": "rmse", "classes": []},
    "submission": {"wants": "value"},
    "cv": {"splitter": "kfold"},
}
NUMBERED = {"columns": {"id": "", "test_id": "id", "kinds": {"shop": "category"}}}
both = pytest.mark.parametrize("on_disk", ["never", "always"])


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large, "PIECE", 10)


def frames(values: Any = None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Two classes, or `values`; the rows `GONE` have no target, and a shop of their own."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"id": [f"r{k}" for k in range(N + N_TEST)]})
    frame["a"] = rng.normal(size=len(frame))
    frame["shop"] = rng.choice(["u", "v", "w"], len(frame))
    train, test = frame[:N].copy(), frame[N:].reset_index(drop=True)
    y = pd.Series(np.arange(N) % 2 if values is None else values)
    train["y"] = y.astype("str")
    train.loc[GONE, "y"] = None
    train.loc[GONE, "shop"] = "b"  # between the others: codes would move
    return train, test


def made(make: Make, on_disk: str, pair: Any = None, **tables: Any) -> Competition:
    columns = {**KINDS["columns"], **tables.pop("columns", {})}
    found = make(*(pair or frames()), columns=columns, models=FEW, **tables)
    return Competition.load(found.root, [f"execution.on_disk={on_disk}"])


def predictions(competition: Competition) -> list[pd.DataFrame]:
    with open_session(competition) as session:
        run = cross_validate(session, "lightgbm")
    assert run is not None
    return [run.oof(), run.test()]


@both
def test_they_are_left_out_and_told_of(make_competition: Make, on_disk: str) -> None:
    data = Dataset.read(made(make_competition, on_disk))
    kept = [k for k in range(N) if k not in GONE]
    assert data.ids.tolist() == [f"r{k}" for k in kept]
    assert data.y.tolist() == [k % 2 for k in kept]
    np.testing.assert_array_equal(data.X["a"], frames()[0]["a"][kept])
    assert list(data.X["shop"].cat.categories) == ["u", "v", "w"]
    assert data.notes == ("12 of 90 training rows have no target ('y') and are left out",)
    assert data.rows is not None
    assert data.rows.tolist() == kept


@both
def test_all_is_as_if_the_file_did_not_have_them(make_competition: Make, on_disk: str) -> None:
    train, test = frames()
    without = train.drop(index=GONE)
    runs = [
        predictions(made(make_competition, on_disk, (train, test), name="with")),
        predictions(made(make_competition, on_disk, (without, test), name="without")),
    ]
    for one, other in zip(*runs, strict=True):
        pd.testing.assert_frame_equal(one, other)


def test_numbers_of_rows_are_those_of_the_file(make_competition: Make) -> None:
    """Folds and their digest are the same in memory and from the disk."""
    contexts = [
        load_context(made(make_competition, on_disk, **NUMBERED)) for on_disk in ("never", "always")
    ]
    for context in contexts:
        assert context.dataset.ids.tolist() == [str(k) for k in range(N) if k not in GONE]
    assert contexts[0].folds.digest == contexts[1].folds.digest
    assert contexts[0].dataset.digests == contexts[1].dataset.digests
    m = Material(made(make_competition, "never", **NUMBERED))
    assert m.folds_digest == contexts[0].folds.digest


@pytest.mark.parametrize("tables", [{}, NUMBERED])
def test_a_shared_fold_file_fits_what_is_left(make_competition: Make, tables: Any) -> None:
    competition = made(make_competition, "never", **tables)
    folds = load_context(competition).folds
    folds.save(competition.root / FOLDS_NAME)
    for on_disk in ("never", "always"):
        flags = ["cv.splitter=file", f"execution.on_disk={on_disk}"]
        again = load_context(Competition.load(competition.root, flags))
        assert again.folds.digest == folds.digest


@both
@pytest.mark.parametrize("word", ["NA", "nan", " ", "NULL"])
def test_words_for_missing_among_numbers(make_competition: Make, on_disk: str, word: str) -> None:
    """Beside classes that are words, "NA" is one of them (see test_dataset)."""
    train, test = frames()
    train.loc[GONE, "y"] = word
    for tables in ({}, REGRESSION):
        data = Dataset.read(made(make_competition, on_disk, (train, test), **tables))
        assert len(data.y) == N - len(GONE)


@pytest.mark.parametrize("word", MISSING)
def test_kit_new_takes_the_same_words_for_missing_as_training(word: str) -> None:
    column = pd.Series(["1.5", word, "2.5", "3"], dtype="str")
    look = look_at_target(pd.DataFrame({"y": column}), "y", ".")
    np.testing.assert_array_equal(look.known, ~missing_cells(column))
    assert look.missing == 1
    assert look.numbers is not None


@both
def test_of_several_targets_a_row_has_all_or_none(make_competition: Make, on_disk: str) -> None:
    train, test = frames(np.arange(N) / 7)
    train["z"] = train["y"]
    several = {
        "task": {"type": "multitarget", "metric": "rmse", "classes": []},
        "columns": {"target": ["y", "z"]},
        "submission": {"wants": "value", "columns": ["y", "z"]},
        "cv": {"splitter": "kfold"},
    }
    sample = pd.DataFrame({"id": test["id"], "y": 0.0, "z": 0.0})
    tables = {**several, "sample": sample}
    data = Dataset.read(made(make_competition, on_disk, (train, test), **tables))
    assert data.y.shape == (N - len(GONE), 2)
    train.loc[[5, 6], "z"] = None
    competition = made(make_competition, on_disk, (train, test), **tables)
    with pytest.raises(DataError, match="all targets or none, however 'z' is missing in 2 rows"):
        Dataset.read(competition)
    told = {(each.severity, each.column): each.text for each in missing(Material(competition))}
    assert "'y', 'z' is missing in 12 of 90 rows" in told["warning", ""]
    assert "'z' is missing in 2 of 78 rows, first ids: 'r5', 'r6'" in told[None, "z"]


@both
def test_no_target_at_all_is_refused(make_competition: Make, on_disk: str) -> None:
    train, test = frames()
    competition = made(make_competition, on_disk, (train.assign(y=None), test))
    with pytest.raises(DataError, match="no training row has a target: 'y' is missing in all"):
        Dataset.read(competition)
    (told,) = missing(Material(competition))
    assert told.severity != "warning"
    assert "in 90 of 90 rows" in told.text


@both
def test_features_see_the_other_rows_only(make_competition: Make, on_disk: str) -> None:
    code = {"features.py": "def features(df):\n    assert not (df['shop'] == 'b').any()\n"
            "    return df.assign(c=2 * df['a'])\n"}  # fmt: skip
    data = Dataset.read(made(make_competition, on_disk, code=code))
    np.testing.assert_allclose(data.X["c"], 2 * data.X["a"])


def test_kept_features_are_of_as_many_rows(
    make_competition: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an earlier kit kept of slow features is of all rows of the file."""
    monkeypatch.setattr("kit.features.SLOW_SECONDS", -1.0)
    code = {"features.py": "def features(df):\n    return df\n"}
    train, test = frames()
    competition = made(make_competition, "never", (train, test), code=code)
    read_features(competition, train, test, "digest")
    X, _ = read_features(competition, train[:5], test, "digest")
    assert len(X) == 5


@both
def test_new_rows_are_spelled_as_the_models_know_them(make_competition: Make, on_disk: str) -> None:
    competition = made(make_competition, on_disk)
    data = Dataset.read(competition)
    known = RowFormat.of(competition, data.digests["data"], Joins(competition))
    assert known.levels["shop"] == tuple(data.X["shop"].cat.categories)


def test_numbers_as_ids_have_no_gaps_for_it(make_competition: Make) -> None:
    """Files that just number their rows share ids without meaning anything by it."""
    train, test = (part.assign(id=np.arange(len(part))) for part in frames())
    (told,) = shared(Material(made(make_competition, "never", (train, test))))
    assert told.severity == "info"


def test_permuted_copies_have_none(make_competition: Make) -> None:
    """Every label of a copy is one of the others', and rows keep their features."""
    source = Source(made(make_competition, "never"))
    with source.permuted(0) as copy:
        found = read_table(copy.raw / "train.csv", as_text=["y"])
        assert len(Dataset.read(copy).y) == len(found) == N - len(GONE)
    assert found["id"].tolist() == [f"r{k}" for k in range(N) if k not in GONE]
    assert (found["y"] == "1").sum() == sum(k % 2 for k in range(N) if k not in GONE)
    assert found["y"].notna().all()


def test_some_rows_of_a_large_table(
    make_competition: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows, ids and folds that are checked belong together."""
    train, test = frames()
    competition = made(make_competition, "always", (train, test), **NUMBERED)
    monkeypatch.setattr(sampled, "LARGE_CELLS", 10)
    monkeypatch.setattr(sampled, "ROWS", 40)
    monkeypatch.setattr(sampled.read_sample, "__kwdefaults__", {**(
        sampled.read_sample.__kwdefaults__ or {}), "rows": 40})  # fmt: skip
    monkeypatch.setattr(sampled, "_PIECE", 10)
    m = Material(competition)
    assert m.positions is not None
    assert 0 < len(m.train) < N - len(GONE)
    np.testing.assert_array_equal(m.train["a"], train["a"][m.row_ids.astype(int)])
    assert m.y.tolist() == [int(k) % 2 for k in m.row_ids]
    assert m.folds_digest == load_context(competition).folds.digest
    assert len(m.unlabelled) == len(GONE)


def written(tmp_path: Path, train: pd.DataFrame, test: pd.DataFrame, sample: Any = 0.5) -> Path:
    sample = pd.DataFrame({"id": test["id"], "y": sample})
    for name, frame in (("train", train), ("test", test), ("sample_submission", sample)):
        frame.to_csv(tmp_path / f"{name}.csv", index=False)
    return tmp_path


def test_kit_new_tells_of_them(tmp_path: Path) -> None:
    train, test = frames(np.arange(N) / 7)
    found = infer(written(tmp_path, train, test), hints={}, flags={})
    assert found.get("task.type") == "regression"
    (told,) = [text for text in found.questions if "is missing in" in text]
    assert "'y' is missing in 12 rows of train (of 90): nothing is trained on them" in told


def test_kit_new_makes_folds_of_the_others(tmp_path: Path) -> None:
    """Where the last days of train have no target, test begins that much later than the past."""
    days = pd.date_range("2022-01-01", periods=120).strftime("%Y-%m-%d")
    frame = pd.DataFrame({"day": np.repeat(days, 3), "shop": np.tile(["a", "b", "c"], 120)})
    frame["id"] = np.arange(360)
    frame["y"] = np.random.default_rng(0).normal(size=360).round(3)
    train, test = frame[:300].copy(), frame[300:].drop(columns="y")
    horizons = []
    for left_out in (0, 30):
        if left_out:
            train.loc[300 - left_out :, "y"] = None
        found = infer(written(tmp_path, train, test), hints={}, flags={})
        horizons.append(found.get("series.horizon"))
    assert horizons == [20, 30]


def test_the_past_of_other_rows_stays_where_it_is() -> None:
    """Lags are looked up by time: a row that is left out is a step without a value."""
    rows = pd.DataFrame({"day": pd.date_range("2022-01-01", periods=12), "shop": "a"})
    y = np.arange(12.0)
    spec = SeriesSpec(id=("shop",), step="1D", horizon=2, lags=(2, 3), windows=(3,))
    kept = np.array([k != 6 for k in range(12)])
    past = SeriesFeatures(spec, "day").fit(rows[kept], y[kept]).transform(rows)
    np.testing.assert_array_equal(past["series_lag_2"][2:], [0, 1, 2, 3, 4, 5, np.nan, 7, 8, 9])
    assert past["series_mean_3"][9] == 6.0  # of days 5 to 7, of which day 6 is not known: 5 and 7


def test_kit_cv_says_so(make_competition: Make, run_kit: Any) -> None:
    competition = made(make_competition, "never")
    outcome = run_kit("cv", "lightgbm", "-C", competition.root)
    assert outcome.code == 0, outcome.err
    assert "note: 12 of 90 training rows have no target ('y') and are left out" in outcome.err
