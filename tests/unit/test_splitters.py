"""Folds: file, digest, alignment; what every splitter promises and refuses."""

from __future__ import annotations

import warnings
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kit.errors import ConfigError, DataError, UnknownName
from kit.settings import MAX_FOLDS, CVSpec
from kit.splitters import Folds, make_folds

N = 120


def split(splitter: str, y: Any = None, task: str = "binary", **options: Any) -> Folds:
    """Folds of `y` (default: 120 rows of two classes)."""
    y = np.arange(N) % 2 if y is None else np.asarray(y)
    spec = {k: options.pop(k) for k in ("n_splits", "seed", "block") if k in options}
    ids = pd.Series([f"r{i}" for i in range(len(y))])
    cv = CVSpec(splitter=splitter, **spec)
    return make_folds(ids=ids, y=y, task=task, spec=cv, **options)  # type: ignore[arg-type]


FOLDS = Folds(pd.Series(["b", "a", "c", "d"]), np.array([0, 1, -1, 1]))


# --- Folds


def test_training_rows_are_all_that_are_not_validated() -> None:
    assert FOLDS.valid(1).tolist() == [1, 3]
    assert FOLDS.train(1).tolist() == [0, 2]
    assert FOLDS.n_splits == 2


def test_forward_folds_train_on_lower_folds_only() -> None:
    forward = Folds(FOLDS.ids, FOLDS.fold, forward=True)
    assert forward.train(0).tolist() == [2]
    assert forward.train(1).tolist() == [0, 2]


def test_digest_does_not_depend_on_the_order_of_rows() -> None:
    other = Folds(pd.Series(["d", "c", "a", "b"]), np.array([1, -1, 1, 0]))
    assert other.digest == FOLDS.digest
    assert len(FOLDS.digest) == 16


@pytest.mark.parametrize(
    "other",
    [
        Folds(pd.Series(["b", "a", "c", "e"]), np.array([0, 1, -1, 1])),
        Folds(pd.Series(["b", "a", "c", "d"]), np.array([1, 0, -1, 1])),
        Folds(pd.Series(["b", "a", "c", "d"]), np.array([0, 1, -1, 1]), forward=True),
    ],
    ids=["id", "fold", "forward"],
)
def test_digest_changes_with(other: Folds) -> None:
    assert other.digest != FOLDS.digest


def test_digest_is_the_same_on_every_machine() -> None:
    assert FOLDS.digest == "6643c965cd74350c"


def test_folds_cannot_be_changed_under_their_digest() -> None:
    with pytest.raises(ValueError, match="read-only"):
        FOLDS.fold[0] = 1


def test_repeated_ids_are_refused() -> None:
    with pytest.raises(DataError, match=r"1 repeat, first: \['a'\]"):
        Folds(pd.Series(["a", "b", "a"]), np.array([0, 1, 0]))


def test_missing_ids_are_refused() -> None:
    with pytest.raises(DataError, match="ids must not be missing; 1 are"):
        Folds(pd.Series(["a", None]), np.array([0, 1]))


def test_folds_of_another_length_are_refused() -> None:
    with pytest.raises(DataError, match="one whole number per id"):
        Folds(pd.Series(["a", "b"]), np.array([0]))


def test_saved_folds_come_back_the_same(tmp_path: Path) -> None:
    path = tmp_path / "folds.parquet"
    for forward in (False, True):
        Folds(FOLDS.ids, FOLDS.fold, forward).save(path)
        loaded = Folds.load(path)
        assert loaded.ids.tolist() == FOLDS.ids.tolist()
        assert loaded.fold.tolist() == FOLDS.fold.tolist()
        assert loaded.fold.dtype == np.int8
        assert loaded.forward is forward
    assert [p.name for p in tmp_path.iterdir()] == ["folds.parquet"]


def test_saved_file_is_a_plain_parquet_table(tmp_path: Path) -> None:
    FOLDS.save(tmp_path / "folds.parquet")
    frame = pd.read_parquet(tmp_path / "folds.parquet")
    assert list(frame.columns) == ["id", "fold"]
    column = pq.ParquetFile(tmp_path / "folds.parquet").metadata.row_group(0).column(0)
    assert column.compression == "ZSTD"


def test_file_edited_by_hand_is_named(tmp_path: Path) -> None:
    path = tmp_path / "folds.parquet"
    FOLDS.save(path)
    table = pq.read_table(path)
    edited = table.set_column(1, "fold", pa.array([1, 1, -1, 1], pa.int8()))
    pq.write_table(edited, path)  # keeps the digest in the metadata
    with pytest.raises(DataError, match=r"folds\.parquet was changed after kit wrote it"):
        Folds.load(path)


def test_file_saved_again_by_pandas_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "folds.parquet"
    FOLDS.save(path)
    pd.read_parquet(path).to_parquet(path)
    with pytest.raises(DataError, match="was not written by kit"):
        Folds.load(path)


def test_file_that_is_no_parquet_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "folds.parquet"
    path.write_text("id,fold\na,0\n")
    with pytest.raises(DataError, match="not a readable parquet file"):
        Folds.load(path)
    with pytest.raises(DataError, match="does not exist"):
        Folds.load(tmp_path / "none.parquet")


def test_reindex_aligns_by_id() -> None:
    aligned = FOLDS.reindex(["a", "b", "c", "d"])
    assert aligned.fold.tolist() == [1, 0, -1, 1]
    assert aligned.ids.tolist() == ["a", "b", "c", "d"]
    assert aligned.digest == FOLDS.digest


def test_reindex_names_the_first_ids_that_differ() -> None:
    with pytest.raises(DataError, match="1 ids of the data are not in the folds") as error:
        FOLDS.reindex(["a", "b", "c", "x"])
    assert "['x']" in str(error.value)
    assert "1 ids of the folds are not in the data, first: ['d']" in str(error.value)


# --- splitters


def test_unknown_splitter_suggests_the_nearest() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'stratified_kfold'"):
        split("stratifed_kfold")


def test_stratified_folds_have_equal_shares_of_classes() -> None:
    y = (np.arange(N) % 4 == 0).astype(int)
    folds = split("stratified_kfold", y)
    assert [int(y[folds.valid(k)].sum()) for k in range(5)] == [6] * 5


def test_stratified_regression_spreads_large_values() -> None:
    y = np.exp(np.random.default_rng(0).normal(size=200))
    folds = split("stratified_kfold", y, "regression")
    top = np.argsort(y)[-20:]
    assert np.bincount(folds.fold[top]).tolist() == [4] * 5


def test_stratified_regression_takes_a_target_of_mostly_zeros() -> None:
    y = np.append(np.zeros(190), np.arange(1.0, 11.0))
    folds = split("stratified_kfold", y, "regression")
    assert np.bincount(folds.fold).tolist() == [40] * 5


def test_stratified_multilabel_spreads_combinations_and_pools_rare_ones() -> None:
    y = np.zeros((100, 3), dtype=int)
    y[:50, 0] = 1
    y[:10, 1] = 1
    y[0, 2] = y[60, 2] = 1  # two combinations with one row each
    folds = split("stratified_kfold", y, "multilabel")
    assert np.bincount(folds.fold).tolist() == [20] * 5
    assert all(9 <= y[folds.valid(k), 0].sum() <= 11 for k in range(5))


def test_rare_classes_beside_common_ones_are_spread_and_lone_rows_never_scored() -> None:
    y = np.repeat([0, 1, 2, 3, 4], [20, 20, 2, 1, 3])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        folds = split("stratified_kfold", y, "multiclass")
    assert folds.n_splits == 5
    assert folds.fold[y == 3].tolist() == [-1]
    for code, n in ((2, 2), (4, 3)):
        assert len(set(folds.fold[y == code])) == n
    for k in range(5):
        assert set(y[folds.train(k)]) == {0, 1, 2, 3, 4}


def test_several_numeric_targets_cannot_be_stratified() -> None:
    with pytest.raises(ConfigError, match="several targets of numbers"):
        split("stratified_kfold", np.zeros((10, 2)), "multitarget")
    assert split("kfold", np.zeros((10, 2)), "multitarget").n_splits == 5


@pytest.mark.parametrize("members", [1, 3, 4])
def test_class_with_too_few_members_is_named(members: int) -> None:
    y = np.zeros(50, dtype=int)
    y[:members] = 1
    with pytest.raises(DataError, match=rf"no\. 2 in task\.classes: {members}") as error:
        split("stratified_kfold", y)
    way = f"At most {members} folds" if members > 1 else "No number of folds does"
    assert way in str(error.value)
    assert "'kfold'" in str(error.value)


def test_classes_that_are_rarer_than_folds_are_learned_from_in_every_fold() -> None:
    y = np.arange(60) % 2
    y[:4] = [2, 3, 3, 3]
    folds = split("stratified_kfold", y)
    assert folds.n_splits == 5
    assert folds.fold[0] == -1  # alone in its class: in no validation, in every training
    assert len(set(folds.fold[1:4])) == 3
    assert all({2, 3} <= set(y[folds.train(k)]) for k in range(5))


def test_fold_that_trains_without_a_class_is_named() -> None:
    y = np.zeros(50, dtype=int)
    y[7] = 1
    with pytest.raises(DataError, match=r"lack class 2 of task\.classes"):
        split("kfold", y)


def test_forward_fold_that_trains_without_a_class_is_named() -> None:
    y = (np.arange(N) >= 60).astype(int)
    with pytest.raises(DataError, match=r"training rows of fold 1 lack class 2 of"):
        split("time_series", y, time=pd.Series(np.arange(N)))


def test_groups_of_like_values_are_cut_though_a_fold_lacks_a_tenth_of_them() -> None:
    groups = np.arange(60) // 5  # 12 groups: a tenth of the values lies in one or two
    made = split("stratified_group_kfold", np.arange(60.0), task="regression", groups=groups)
    assert all(len(set(made.fold[groups == group])) == 1 for group in range(12))
    assert min(np.bincount(made.fold)) > 5


def test_stratified_group_fold_without_a_class_is_named() -> None:
    y, groups = np.zeros(60, dtype=int), np.arange(60) // 5
    y[:10] = 1  # in two groups only
    with pytest.raises(DataError, match=r"would hold no row of class 2 of"):
        split("stratified_group_kfold", y, groups=groups, n_splits=4)


@pytest.mark.parametrize("splitter", ["group_kfold", "stratified_group_kfold"])
def test_group_splitter_without_groups_says_what_to_set(splitter: str) -> None:
    with pytest.raises(ConfigError, match=r"set columns\.group"):
        split(splitter)


@pytest.mark.parametrize("splitter", ["group_kfold", "stratified_group_kfold"])
def test_too_few_groups_are_counted(splitter: str) -> None:
    with pytest.raises(DataError, match="needs 5 groups or more; 3 found"):
        split(splitter, groups=np.arange(N) % 3)


def test_missing_groups_are_counted() -> None:
    groups = pd.Series(["a", "b", "c", "d", "e", None] * 20)
    with pytest.raises(DataError, match="20 are missing"):
        split("group_kfold", groups=groups)


def test_too_few_rows_are_counted() -> None:
    with pytest.raises(DataError, match="needs 5 training rows or more; 4 found"):
        split("kfold", [0, 1, 0, 1])


@pytest.mark.parametrize("splitter", ["time_series", "time_blocks"])
def test_time_splitter_without_time_says_what_to_set(splitter: str) -> None:
    with pytest.raises(ConfigError, match=r"set columns\.time"):
        split(splitter, block="5D")


@pytest.mark.parametrize("splitter", ["time_series", "time_blocks"])
def test_missing_times_are_counted(splitter: str) -> None:
    time = pd.Series(pd.date_range("2024-01-01", periods=N)).where(np.arange(N) > 2)
    with pytest.raises(DataError, match="3 are missing"):
        split(splitter, time=time, block="5D")


def test_time_series_is_sklearns_when_times_differ() -> None:
    from sklearn.model_selection import TimeSeriesSplit

    order = np.random.default_rng(0).permutation(N)
    folds = split("time_series", y=np.arange(N) % 2, time=pd.Series(order))
    assert folds.forward
    by_time = np.argsort(order)
    for k, (train, valid) in enumerate(TimeSeriesSplit(5).split(np.arange(N))):
        assert set(folds.train(k)) == set(by_time[train])
        assert set(folds.valid(k)) == set(by_time[valid])


def test_time_series_never_cuts_through_equal_times() -> None:
    time = pd.Series(np.random.default_rng(0).integers(0, 30, N))
    folds = split("time_series", time=time)
    assert pd.Series(folds.fold).groupby(time).nunique().max() == 1
    assert (folds.fold[time == time.min()] == -1).all()


def test_time_series_with_too_few_times_is_refused() -> None:
    with pytest.raises(DataError, match="needs 6 distinct times or more; 3 found"):
        split("time_series", time=pd.Series(np.arange(N) % 3))


def test_time_series_with_one_crowded_time_is_refused() -> None:
    time = pd.Series(np.where(np.arange(N) < 100, 0, np.arange(N)))
    with pytest.raises(DataError, match="too many rows have the same time"):
        split("time_series", time=time)


def test_time_blocks_are_contiguous_and_neighbours_differ() -> None:
    days = np.random.default_rng(0).permutation(N)
    time = pd.Timestamp("2024-01-01") + pd.to_timedelta(pd.Series(days), unit="D")
    folds = split("time_blocks", time=time, block="11D", n_splits=3)
    by_block = pd.Series(folds.fold).groupby(days // 11).unique()
    assert all(len(found) == 1 for found in by_block)
    numbers = [int(found[0]) for found in by_block]
    assert all(a != b for a, b in pairwise(numbers))
    assert not folds.forward


@pytest.mark.parametrize("n_splits", [2, 3, 5])
@pytest.mark.parametrize("seed", range(5))
def test_neighbouring_time_blocks_differ_for_every_seed(n_splits: int, seed: int) -> None:
    options = {"n_splits": n_splits, "seed": seed, "block": "1"}
    folds = split("time_blocks", np.arange(N), "regression", time=pd.Series(range(N)), **options)
    assert (np.diff(folds.fold.astype(int)) != 0).all()


def test_time_blocks_skip_gaps_in_time() -> None:
    time = pd.Series(np.where(np.arange(N) < 60, np.arange(N), np.arange(N) + 10_000))
    folds = split("time_blocks", time=time, block="10", n_splits=2)
    assert np.bincount(folds.fold).tolist() == [60, 60]
    assert folds.fold[59] != folds.fold[60]


def test_time_zones_and_text_dates_are_read() -> None:
    stamps = pd.date_range("2024-01-01", periods=N, tz="Europe/Berlin")
    plain = split("time_blocks", time=pd.Series(stamps.tz_convert("UTC")), block="7D")
    assert split("time_blocks", time=pd.Series(stamps), block="7D").digest == plain.digest
    text = pd.Series(stamps.strftime("%Y-%m-%dT%H:%M:%S%z"))
    assert split("time_blocks", time=text, block="7D").digest == plain.digest


def test_time_that_is_no_date_is_refused() -> None:
    with pytest.raises(DataError, match=r"columns\.time must hold dates or numbers"):
        split("time_series", time=pd.Series(["soon"] * N))


@pytest.mark.parametrize("block", ["", "eleven days", "0D", "-3D"])
def test_block_that_is_no_duration_is_refused(block: str) -> None:
    time = pd.Series(pd.date_range("2024-01-01", periods=N))
    with pytest.raises(ConfigError, match=r"needs cv\.block"):
        split("time_blocks", time=time, block=block)


def test_too_few_blocks_are_counted() -> None:
    time = pd.Series(pd.date_range("2024-01-01", periods=N))
    with pytest.raises(DataError, match=r"needs 5 blocks of cv\.block = '60D' or more; 2 found"):
        split("time_blocks", time=time, block="60D")


# --- a competition's own splitter


def own(function: Any) -> Any:
    return lambda reference: function


def test_own_splitter_is_used() -> None:
    def by_half(y: np.ndarray, groups: Any, time: Any, spec: CVSpec) -> np.ndarray:
        return (np.arange(len(y)) >= len(y) // 2).astype(int)

    folds = split("splits:by_half", local=own(by_half))
    assert folds.valid(0).tolist() == list(range(60))
    assert not folds.forward


def test_own_splitter_can_be_forward() -> None:
    def later(y: np.ndarray, groups: Any, time: Any, spec: CVSpec) -> np.ndarray:
        return np.where(np.arange(len(y)) < 100, -1, 0)

    later.forward = True  # type: ignore[attr-defined]
    folds = split("splits:later", local=own(later))
    assert folds.train(0).tolist() == list(range(100))


def test_own_splitter_that_returns_something_else_is_named() -> None:
    with pytest.raises(ConfigError, match="'splits:bad' must return one whole number per row"):
        split("splits:bad", local=own(lambda y, groups, time, spec: [0.5] * len(y)))


def test_more_folds_than_there_may_be_are_refused() -> None:
    with pytest.raises(DataError, match="folds must be"):
        Folds(pd.Series(["a", "b"]), np.array([0, MAX_FOLDS]))
    assert Folds(pd.Series(["a", "b"]), np.array([0, MAX_FOLDS - 1])).n_splits == MAX_FOLDS
