"""Large tables are looked at in part by `kit new` and `kit check`, which say so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import kit.sampled as sampled
from kit.checks import check
from kit.competition import Competition
from kit.dataset import Dataset
from kit.folds import Folds
from kit.sampled import of_the_same_rows, read_columns, read_sample
from kit.scaffold.infer import infer
from kit.tables import count_cells, read_chunks, read_header, read_table

Make = Callable[..., Competition]
N, N_TEST = 6_000, 3_000


@pytest.fixture(autouse=True)
def small_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampled, "LARGE_CELLS", 8_000)
    monkeypatch.setattr(sampled, "ROWS", 600)
    monkeypatch.setattr(sampled, "_PIECE", 700)
    # the default of an argument is bound when the module is read
    monkeypatch.setattr(read_sample, "__kwdefaults__", {**_defaults(), "rows": 600})


def _defaults() -> dict[str, Any]:
    return dict(read_sample.__kwdefaults__ or {})


def frames() -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """A counter for an id, names of thirty rows each, a class of three rows in 6,000."""
    rng = np.random.default_rng(0)
    size = N + N_TEST
    frame = pd.DataFrame({"id": np.arange(size), "a": rng.normal(size=size)})
    frame["counter"] = np.arange(size) * 3
    frame["name"] = [f"n{k:05d}" for k in rng.integers(0, size // 30, size)]
    label = pd.Series(np.where(frame["a"] > 0, "up", "down"))
    label[[10, 1_500, 4_000]] = "rare"
    frame["y"] = label
    test = frame[N:].drop(columns="y").reset_index(drop=True)
    sample = pd.DataFrame({"id": test["id"], "y": "up"}).sample(frac=1, random_state=1)
    return frame[:N], test, sample


@pytest.fixture(params=["csv", "parquet"])
def raw(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    folder = tmp_path / "raw"
    folder.mkdir()
    train, test, sample = frames()
    for stem, frame in (("train", train), ("test", test)):
        if request.param == "csv":
            frame.to_csv(folder / f"{stem}.csv", index=False)
        else:
            frame.to_parquet(folder / f"{stem}.parquet", row_group_size=1_000)
    sample.to_csv(folder / "sample_submission.csv", index=False)
    return folder


def path_of(raw: Path, stem: str) -> Path:
    return next(raw.glob(f"{stem}.*"))


def test_some_rows_and_counts_of_all(raw: Path) -> None:
    path = path_of(raw, "train")
    found, whole = read_sample(path, as_text=["name"], count=True), read_table(path)
    assert found.positions is not None
    assert found.rows == N
    assert 400 < len(found.frame) < 800
    assert found.frame.index.equals(pd.RangeIndex(len(found.frame)))
    rows = whole.iloc[found.positions].reset_index(drop=True)
    pd.testing.assert_frame_equal(found.frame, rows)
    counts = found.counts["name"]
    assert (counts.rows, counts.known, counts.distinct) == (N, N, whole["name"].nunique())
    again = read_sample(path)
    pd.testing.assert_index_equal(again.positions, found.positions)


def test_a_small_table_is_read_as_a_whole(raw: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampled, "LARGE_CELLS", 10**9)
    found = read_sample(path_of(raw, "train"))
    assert found.positions is None
    pd.testing.assert_frame_equal(found.frame, read_table(path_of(raw, "train")))


def test_pieces_and_columns_are_those_of_the_whole(raw: Path) -> None:
    path = path_of(raw, "train")
    whole = read_table(path, as_text=["id"])
    pieces = list(read_chunks(path, 700, as_text=["id"]))
    assert {len(piece) for piece in pieces[:-1]} == {700}
    pd.testing.assert_frame_equal(pd.concat(pieces), whole)
    pd.testing.assert_frame_equal(read_columns(path, ["y", "id"]), whole[["id", "y"]])
    assert read_header(path) == list(whole.columns)


def test_cells_are_known_without_reading(tmp_path: Path) -> None:
    train, _, _ = frames()
    train.to_parquet(tmp_path / "a.parquet")
    train.to_csv(tmp_path / "a.csv", index=False)
    train.to_csv(tmp_path / "a.csv.gz", index=False)
    assert count_cells(tmp_path / "a.parquet") == train.size
    assert 0.5 * train.size < count_cells(tmp_path / "a.csv") < 2 * train.size
    assert count_cells(tmp_path / "a.csv.gz") == count_cells(tmp_path / "no.csv") == 0


def test_an_index_that_was_stored_along_is_no_column(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": [1, 2, 3]}, index=pd.Index([7, 8, 9], name="row"))
    frame.to_parquet(tmp_path / "a.parquet")
    assert read_header(tmp_path / "a.parquet") == ["a"]
    pieces = pd.concat(list(read_chunks(tmp_path / "a.parquet", 2)))
    pd.testing.assert_frame_equal(pieces, read_table(tmp_path / "a.parquet"))


def test_kit_new_tells_the_same_of_some_rows_as_of_all(
    raw: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counters, names and rare classes would look otherwise in a tenth of the rows."""
    some = infer(raw, hints={}, flags={})
    monkeypatch.setattr(sampled, "LARGE_CELLS", 10**9)
    every = infer(raw, hints={}, flags={})
    assert {v.key: v.value for v in some.values} == {v.key: v.value for v in every.values}
    assert some.questions == every.questions
    assert some.get("columns.kinds.counter") == "id"
    assert some.get("columns.kinds.name") == "category"
    assert "rare" in some.get("task.classes")
    assert len(some.sampled) == 2
    assert f"of the {N} rows of train." in some.sampled[0]
    assert every.sampled == []


def test_ids_that_test_lacks_are_seen_in_some_rows(raw: Path) -> None:
    """Planted: half of the sample submission's ids are strangers."""
    path = raw / "sample_submission.csv"
    sample = pd.read_csv(path)
    sample.loc[::2, "id"] += 1_000_000
    sample.to_csv(path, index=False)
    test = read_sample(path_of(raw, "test"), as_text=["id"])
    ids = read_columns(path_of(raw, "test"), ["id"])["id"]
    kept = of_the_same_rows(sample.astype({"id": "str"}), "id", test, ids)
    assert 0.3 < (~kept["id"].isin(ids)).mean() < 0.7


@pytest.fixture
def competition(make_competition: Make) -> Make:
    def make(**tables: Any) -> Competition:
        train, test, sample = frames()
        facts: dict[str, Any] = {
            "columns": {"kinds": {"name": "category", "counter": "id"}},
            "task": {"type": "multiclass", "metric": "accuracy",
                     "classes": ["down", "rare", "up"]},
            "submission": {"wants": "label"},
        }  # fmt: skip
        return make_competition(train, test, sample=sample, **{**facts, **tables})

    return make


def codes(made: Competition) -> set[str]:
    return {finding.code for finding in check(made).findings}


def test_kit_check_looks_at_some_rows_and_says_so(competition: Make) -> None:
    """No finding that comes of the sampling alone: absent classes, strange ids, other folds."""
    made = competition()
    report = check(made)
    assert "train.csv: " in report.sampled
    assert f"of {N} rows" in report.sampled
    assert {finding.code for finding in report.findings if finding.severity == "error"} == set()
    assert report.skipped == ()
    data = Dataset.read(made)
    Folds(data.ids, np.arange(N) % 3).save(made.root / "folds.parquet")
    assert "KIT304" in codes(made)


@pytest.mark.parametrize("fault", ["repeated id", "label", "missing target", "short sample"])
def test_faults_of_a_single_row_are_found_among_all(competition: Make, fault: str) -> None:
    """Ids, target and folds are those of all rows."""
    made = competition()
    known = codes(made)
    path = made.raw / ("sample_submission.csv" if fault == "short sample" else "train.csv")
    frame = pd.read_csv(path)
    if fault == "repeated id":
        frame.loc[3_001, "id"] = frame.loc[17, "id"]
    elif fault == "label":
        frame.loc[3_001, "y"] = "other"
    elif fault == "missing target":
        frame.loc[3_001, "y"] = None
    else:
        frame = frame[: N_TEST // 2]
    frame.to_csv(path, index=False)
    assert codes(made) - known


def test_the_folds_that_are_checked_are_those_of_all_rows(competition: Make) -> None:
    from kit.checks.material import Material
    from kit.execution.context import load_context

    made = competition()
    m, context = Material(made), load_context(made)
    assert m.positions is not None
    assert m.folds_digest == context.folds.digest
    np.testing.assert_array_equal(m.folds.fold, context.folds.fold[m.positions])
    np.testing.assert_array_equal(m.y, context.dataset.y[m.positions])


def test_features_of_some_rows_are_never_those_of_a_run(
    competition: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What `kit check` keeps of slow features has another key than what `kit cv` keeps."""
    monkeypatch.setattr("kit.features.SLOW_SECONDS", -1.0)
    made = competition(code={"features.py": "def features(df):\n    return df.assign(b=df['a'])\n"})
    check(made)
    data = Dataset.read(Competition.load(made.root, ["execution.on_disk=never"]))
    assert len(data.X) == N
