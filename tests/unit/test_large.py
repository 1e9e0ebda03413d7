"""Tables on the disk: the same values, the same predictions, nothing that leaks, nothing left."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import kit.execution.memory as memory
import kit.large as large
import kit.models.lightgbm as boosting
from kit.competition import Competition
from kit.cv import cross_validate
from kit.dataset import Dataset
from kit.errors import DataError, DiskFull, ModelError
from kit.execution.fold import data_shape
from kit.execution.prepared import Prepared
from kit.mapped import frame_on_disk, is_on_disk, on_disk, rows_on_disk
from kit.models.base import FoldRows, Problem
from kit.models.batches import from_batches
from kit.models.lightgbm import LightGBM
from kit.packed import narrowed
from kit.plan import make_plan
from kit.preprocessing.columns import recipe
from kit.session import open_session

Make = Callable[..., Competition]
FEW = {"lightgbm": {"params": {"n_estimators": 4, "num_leaves": 7}}}


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several pieces even of the tables here."""
    monkeypatch.setattr(large, "PIECE", 97)
    monkeypatch.setattr("kit.mapped.BLOCK", 61)


def table(n: int = 400) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Every kind of column, with gaps; some levels in train or in test only."""
    rng = np.random.default_rng(0)
    size = n + 80
    frame = pd.DataFrame({"id": [f"r{k}" for k in range(size)]})
    frame["real"] = rng.normal(size=size)
    frame["short"] = rng.integers(0, 99, size) / 8
    frame["count"] = rng.integers(0, 100, size)
    frame["gaps"] = pd.Series(rng.integers(0, 1000, size)).where(rng.random(size) > 0.2)
    frame["endless"] = np.where(rng.random(size) < 0.02, np.inf, rng.normal(size=size))
    frame["flag"] = rng.random(size) < 0.5
    frame["few"] = pd.Series(rng.choice(["u", "v", " w"], size)).where(rng.random(size) > 0.1)
    frame["many"] = [f"m{k}" for k in rng.integers(0, 90, size)]
    frame["day"] = pd.date_range("2020-01-01", periods=size).strftime("%d/%m/%Y").astype("str")
    frame["words"] = [f"some words {k}" for k in rng.integers(0, 50, size)]
    frame["code"] = [f"{'AB'[k % 2]}/{k}/S" for k in rng.integers(0, 50, size)]
    noisy = frame["real"] + (frame["few"] == "u") + rng.normal(size=size)
    frame["y"] = (noisy > 0.3).astype(int)
    frame.loc[n:, "many"] = frame.loc[n:, "many"].where(rng.random(80) > 0.2, "new")
    return frame[:n], frame[n:].drop(columns="y").reset_index(drop=True)


KINDS = {
    "few": "category", "many": "category", "day": "datetime", "words": "text", "code": "code",
}  # fmt: skip


@pytest.fixture
def competition(make_competition: Make) -> Make:
    def make(on_disk: str = "always", **tables: Any) -> Competition:
        train, test = table()
        # a linear model on texts takes seconds: only the test of values has them
        dropped = {"drop": ["words", "code"], "kinds": KINDS}
        folds = {"n_splits": 2, **tables.pop("cv", {})}
        defaults: dict[str, Any] = {"columns": dropped, "models": FEW, "cv": folds}
        made = make_competition(train, test, name="big", **{**defaults, **tables})
        return Competition.load(made.root, [f"execution.on_disk={on_disk}"])

    return make


def as_parquet(made: Competition, **options: Any) -> Competition:
    for stem in ("train", "test"):
        frame = pd.read_csv(made.raw / f"{stem}.csv")
        frame.to_parquet(made.raw / f"{stem}.parquet", **options)
    flags = ("files.train=train.parquet", "files.test=test.parquet", *made.flags)
    return Competition.load(made.root, flags)


def in_memory(made: Competition) -> Competition:
    flags = [flag for flag in made.flags if not flag.startswith("execution.on_disk")]
    return Competition.load(made.root, [*flags, "execution.on_disk=never"])


def predictions(made: Competition, model: str = "lightgbm") -> list[pd.DataFrame]:
    with open_session(made) as session:
        run = cross_validate(session, model)
    assert run is not None
    frames = [run.oof(), run.test()]
    shutil.rmtree(run.path)  # the next is computed, not found
    return frames


@pytest.mark.parametrize("parquet", [False, True])
def test_the_values_are_those_of_a_table_in_memory(competition: Make, parquet: bool) -> None:
    made = competition(columns={"kinds": KINDS})
    made = as_parquet(made, row_group_size=150) if parquet else made
    ours, plain = Dataset.read(made), Dataset.read(in_memory(made))
    assert ours.on_disk
    assert not plain.on_disk
    assert dict(ours.kinds) == dict(plain.kinds)
    assert ours.digests == plain.digests
    for name in ("ids", "test_ids", "y"):
        np.testing.assert_array_equal(getattr(ours, name), getattr(plain, name))
    for mine, other in ((ours.X, plain.X), (ours.X_test, plain.X_test)):
        pd.testing.assert_frame_equal(mine, other, check_dtype=False, check_exact=True)
    assert ours.X["many"].cat.categories.equals(plain.X["many"].cat.categories)
    assert {str(ours.X[name].dtype) for name in ("short", "gaps")} == {"float32"}
    assert (ours.X["count"].dtype, ours.X["real"].dtype) == (np.int8, np.float64)


@pytest.mark.parametrize("parquet", [False, True])
def test_hash_and_predictions_are_the_same_to_the_last_bit(
    competition: Make, parquet: bool
) -> None:
    made = as_parquet(competition()) if parquet else competition()
    plain = in_memory(made)
    hashes = set()
    for each in (made, plain):
        with open_session(each) as session:
            hashes.add(make_plan(session, "lightgbm").hash)
    assert len(hashes) == 1
    for mine, other in zip(predictions(made), predictions(plain), strict=True):
        pd.testing.assert_frame_equal(mine, other, check_exact=True)


def test_what_is_spelled_with_gaps_is_spelled_alike(competition: Make) -> None:
    """Whole numbers with gaps are decimals for pandas: "5.0", which is "5" in every piece."""
    made = competition(columns={"kinds": {**KINDS, "gaps": "category"}})
    for each in (made, as_parquet(made)):
        ours, plain = Dataset.read(each), Dataset.read(in_memory(each))
        assert ours.X["gaps"].astype("str").equals(plain.X["gaps"].astype("str"))
        assert not ours.X["gaps"].cat.categories.str.endswith(".0").any()


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([1, -128, 127], "int8"),
        ([1, 128], "int16"),
        ([2**31, 0], "int64"),
        ([0.5, None, 2.0], "float32"),
        ([0.1, 2.0], "float64"),
        ([16_777_217.0], "float64"),  # the first whole number that float32 has not
        ([1e300], "float64"),
        ([True, False], "bool"),
    ],
)
def test_narrower_only_where_no_value_is_lost(values: list[Any], dtype: str) -> None:
    column = pd.Series(values)
    found = narrowed(column)
    assert str(found.dtype) == dtype
    np.testing.assert_array_equal(found.astype(float), column.to_numpy(dtype=float))


def test_bins_from_batches_are_those_of_the_table(tmp_path: Path) -> None:
    """Also where LightGBM looks at some rows only to find them."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"a": rng.normal(size=3000), "b": rng.integers(0, 9, 3000)})
    levels = pd.Series(rng.choice(list("xyz"), 3000)).where(rng.random(3000) < 0.9)
    X["c"] = levels.astype("category")
    y = (X["a"] + rng.normal(size=3000) > 0).to_numpy()
    problem = Problem(task="binary", n_outputs=1, seed=5)
    params = {**LightGBM()._native(problem, 3000), "bin_construct_sample_cnt": 200}
    import lightgbm as lgb

    texts = []
    stored = frame_on_disk(X, tmp_path).set_axis(["f0", "f1", "f2"], axis=1)
    for data in (lgb.Dataset(X.set_axis(stored.columns, axis=1), params=dict(params)),
                 from_batches(stored, None, dict(params))[0]):  # fmt: skip
        data.construct().set_label(y)
        booster = lgb.Booster(params, data)
        for _ in range(5):
            booster.update()
        texts.append(booster.model_to_string())
    assert texts[0] == texts[1]


def test_predicting_in_parts_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = pd.DataFrame({"a": np.arange(300.0)}), np.arange(300) % 3
    problem = Problem(task="multiclass", n_outputs=3)
    model = LightGBM(n_estimators=3).fit(X, y, problem=problem)
    whole = model.predict(X)
    monkeypatch.setattr(boosting, "_PREDICTED", 70)
    np.testing.assert_array_equal(model.predict(X), whole)


def test_saved_models_of_batches_predict_the_same(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"a": rng.normal(size=200), "c": pd.Categorical(rng.choice(list("xy"), 200))})
    y = (X["a"] > 0).astype(int).to_numpy()
    model = LightGBM(n_estimators=3).fit(
        frame_on_disk(X, tmp_path), y, problem=Problem(task="binary", n_outputs=1)
    )
    model.save(tmp_path)
    np.testing.assert_array_equal(LightGBM.load(tmp_path).predict(X), model.predict(X))


def changed_by_own_labels(made: Competition) -> bool:
    """Whether a fold's predictions change when the labels it is scored on do."""
    oof, _ = predictions(made)
    own = oof["fold"].to_numpy() == 1
    path = made.raw / "train.csv"
    train = pd.read_csv(path)
    train.loc[own, "y"] = 1 - train.loc[own, "y"]
    train.to_csv(path, index=False)
    other, _ = predictions(made)
    assert (other["pred"][~own] != oof["pred"][~own]).any()
    return bool((other["pred"][own] != oof["pred"][own]).any())


def test_no_validated_label_reaches_its_own_fold(competition: Make) -> None:
    """The store knows nothing of labels; what learns from them is fitted in the fold."""
    assert not changed_by_own_labels(competition(cv={"splitter": "kfold"}))


def test_a_store_of_the_encoded_table_would_be_caught(
    competition: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Planted: the recipe is fitted once, on all rows, and the folds share what it made."""

    def encoded_once(self: Any) -> Prepared:
        data = self.context.dataset
        y = self.link(data.y)
        steps = recipe(self.recipe, data_shape(data, np.arange(len(y)), self.task.seed))
        X = steps.fit_transform(data.X, y)
        rows = FoldRows(
            X=X.iloc[self.train], y=y[self.train], X_valid=X.iloc[self.valid], y_valid=y[self.valid]
        )
        return Prepared(steps, rows, None)

    monkeypatch.setattr("kit.execution.fold.Fold._prepare", encoded_once)
    assert changed_by_own_labels(competition(cv={"splitter": "kfold"}))


def test_means_of_levels_are_not_those_of_the_own_label(make_competition: Make) -> None:
    """A name of two rows says nothing of random labels, however they are read."""
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"id": range(900), "name": [f"n{k // 2}" for k in range(900)]})
    frame["y"] = rng.integers(0, 2, 900)
    made = make_competition(frame[:800], frame[800:].drop(columns="y"), models=FEW)
    oof, _ = predictions(Competition.load(made.root, ["execution.on_disk=always"]))
    from sklearn.metrics import roc_auc_score

    assert 0.4 < roc_auc_score(frame["y"][:800], oof["pred"]) < 0.6


def test_levels_of_validated_rows_are_unknown_in_the_fold(competition: Make) -> None:
    made = competition()
    path = made.raw / "train.csv"
    train = pd.read_csv(path)
    train.loc[7, "few"] = "only here"
    train.to_csv(path, index=False)
    with open_session(made) as session:
        context = session.context
        plan = make_plan(session, "lightgbm")
        own = int(context.folds.fold[7])
        from kit.execution.fold import Fold
        from kit.execution.task import build_model

        task = plan.tasks([own])[0]
        fold = Fold(task, own, context, build_model(plan.spec, "lightgbm", context.code))
        rows = fold.prepare()
    assert is_on_disk(rows.X)
    assert "only here" in context.dataset.X["few"].cat.categories
    name = next(name for name in rows.X.columns if str(name).endswith("few"))
    assert "only here" not in rows.X[name].cat.categories
    assert rows.X_valid[name].isna().sum() > 0


FEATURES = "def features(df):\n    return df.assign(double=2 * df['real'])\n"


def test_features_are_made_in_pieces_and_see_no_target(make_competition: Make) -> None:
    train, test = table()
    made = make_competition(train, test, code={"features.py": FEATURES}, columns={"kinds": KINDS})
    made = Competition.load(made.root, ["execution.on_disk=always"])
    ours, plain = Dataset.read(made), Dataset.read(in_memory(made))
    pd.testing.assert_frame_equal(ours.X, plain.X, check_dtype=False, check_exact=True)
    (made.root / "features.py").write_text("def features(df):\n    return df.assign(z=df['y'])\n")
    with pytest.raises(Exception, match="'y'"):
        Dataset.read(made)


def stores(made: Competition) -> dict[str, float]:
    found = [path for path in made.cache.glob("table-*") if path.is_dir()]
    return {path.name: (path / "facts.json").stat().st_mtime_ns for path in found}


def test_a_store_is_made_once_and_again_when_something_changes(competition: Make) -> None:
    made = competition()
    Dataset.read(made)
    first = stores(made)
    assert len(first) == 1
    Dataset.read(made)
    assert stores(made) == first
    (made.root / "features.py").write_text(FEATURES)
    assert "double" in Dataset.read(made).X
    assert len(stores(made)) == 2
    path = made.raw / "train.csv"
    path.write_text(path.read_text().replace("r399,", "r999,"))
    assert Dataset.read(made).ids[-1] == "r999"
    assert len(stores(made)) == 3


def test_a_damaged_store_is_made_again(competition: Make) -> None:
    made = competition()
    whole = Dataset.read(made).X["real"].to_numpy().copy()
    folder = next(path for path in made.cache.glob("table-*") if path.is_dir())
    for file in folder.glob("*.npy"):
        file.write_bytes(file.read_bytes()[:100])
    np.testing.assert_array_equal(Dataset.read(made).X["real"], whole)


def test_a_failed_store_leaves_nothing(competition: Make) -> None:
    made = competition()
    (made.root / "features.py").write_text("def features(df):\n    return df[:5]\n")
    with pytest.raises(DataError, match="same rows"):
        Dataset.read(made)
    assert not [path for path in made.cache.iterdir() if path.suffix != ".lock"]


def test_a_test_file_without_ids_keeps_its_rows(competition: Make) -> None:
    made = competition(columns={"kinds": KINDS, "test_id": ""})
    path = made.raw / "test.csv"
    pd.read_csv(path).drop(columns="id").to_csv(path, index=False)
    data = Dataset.read(made)
    assert len(data.X_test) == len(data.test_ids) == 80


def test_a_column_of_two_sorts_needs_a_kind(competition: Make) -> None:
    """In one piece numbers, in another words: in memory the whole column would be words."""
    made = competition()
    path = made.raw / "train.csv"
    train = pd.read_csv(path).astype({"count": object})
    train.loc[300:, "count"] = "none"
    train.to_csv(path, index=False)
    with pytest.raises(DataError, match=r"'count' holds numbers in some rows and words"):
        Dataset.read(made)


def test_nameless_files_leave_nothing(tmp_path: Path) -> None:
    values = np.arange(1000.0)
    stored = on_disk(values, tmp_path / "a")
    np.testing.assert_array_equal(stored, values)
    assert isinstance(stored.base, np.memmap)
    frame = pd.DataFrame({"x": values, "c": pd.Categorical(["u", None] * 500)})
    frame["moment"] = pd.date_range("2020-01-01", periods=1000)
    frame["text"] = "t"
    for rows in (np.array([5, 3, 999]), values > 990, np.array([], dtype=np.int64)):
        taken = rows_on_disk(frame, rows, tmp_path / "a")
        pd.testing.assert_frame_equal(taken, frame.loc[rows] if rows.dtype == bool
                                      else frame.iloc[rows])  # fmt: skip
    assert is_on_disk(frame_on_disk(frame, tmp_path / "a"))
    assert not is_on_disk(frame)
    assert list((tmp_path / "a").iterdir()) == []


def test_a_full_disk_is_one_clear_error(competition: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large.shutil, "disk_usage", lambda path: _Usage)
    with pytest.raises(DiskFull, match=r"however only 0\.0 GB are free"):
        Dataset.read(competition())


class _Usage:
    free = 1000


def test_size_alone_decides(competition: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    made = competition("auto")
    assert not large.lies_on_disk(made)
    monkeypatch.setattr(large, "LARGE_CELLS", 100)
    assert large.lies_on_disk(made)
    assert large.lies_on_disk(as_parquet(made))
    assert not large.lies_on_disk(in_memory(made))


def test_what_cannot_fit_is_refused_before_it_starts(
    competition: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = competition()
    monkeypatch.setattr(memory, "available", lambda: 30e6)
    with (
        open_session(made) as session,
        pytest.raises(ModelError, match=r"however 0\.0 GiB are free"),
    ):
        cross_validate(session, "lightgbm")
    with open_session(in_memory(made)) as session:  # a small table is not asked
        assert cross_validate(session, "lightgbm") is not None


def test_as_many_processes_as_memory_carries(
    competition: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = Dataset.read(competition())
    one = memory.of_process(data) + memory.estimate("tree", "lightgbm", data, 5, together=False)
    monkeypatch.setattr(memory, "available", lambda: 2.5 * one)
    assert memory.processes_that_fit(data) == 2
    monkeypatch.setattr(memory, "available", lambda: 0.5 * one)
    assert memory.processes_that_fit(data) == 1
    assert memory.processes_that_fit(Dataset.read(in_memory(competition()))) > 100


def test_kit_cv_states_the_memory_before_it_starts(competition: Make, run_kit: Any) -> None:
    made = competition()
    done = run_kit("cv", "lightgbm", "-C", made.root, "--set", "execution.on_disk=always")
    assert done.code == 0
    assert "memory planned at the peak: lightgbm 0." in done.err
    assert "GiB; free now: " in done.err
