"""Generated features: the same columns for every row, whatever the values."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from sklearn.base import clone

from kit.preprocessing import generate
from kit.preprocessing.candidates import PIECES
from kit.preprocessing.columns import recipe
from kit.preprocessing.generate import GeneratedFeatures, generated_linear, generated_tree
from kit.preprocessing.keys import Columns, Levels
from kit.preprocessing.made import Across, Arithmetic, Group, Target, TargetMean
from kit.preprocessing.selection import above_noise, without_doubles
from kit.preprocessing.shape import Shape
from kit.settings import Kind

Array = NDArray[Any]
N, N_NEW = 400, 40
KINDS: dict[str, Kind] = {
    "a": "numeric",
    "b": "numeric",
    "few": "numeric",
    "constant": "numeric",
    "empty": "numeric",
    "p": "category",
    "q": "category",
    "unique": "category",
    "when": "datetime",
    "code": "code",
    "text": "text",
}
TASKS = ["binary", "multiclass", "regression", "multilabel", "multitarget"]
BUILDERS = {"tree": generated_tree, "linear": generated_linear}


def frame() -> pd.DataFrame:
    """A product of numbers and a pair of categories matter; rows from `N` on hold new levels."""
    rng = np.random.default_rng(0)
    size = N + N_NEW
    new = np.arange(size) >= N
    days = pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 900, size), unit="D")
    made = pd.DataFrame(
        {
            "a": np.where(rng.random(size) < 0.1, np.nan, rng.normal(size=size)),
            "b": rng.normal(size=size),
            "few": rng.integers(0, 4, size) + 10 * new,
            "constant": 7.0,
            "empty": np.nan,
            "p": pd.Categorical(np.where(new, "z", rng.choice(list("stu"), size))),
            "q": pd.Categorical(rng.choice(list("vw"), size)),
            "unique": pd.Categorical([f"u{k}" for k in range(size)]),
            "when": pd.Series(days),
            "code": pd.Series([f"{'ABC'[k % 3]}{k % 50}" for k in range(size)], dtype="str"),
            "text": pd.Series(rng.choice(["red fox", "blue whale", ""], size), dtype="str"),
        }
    )
    made.loc[[3, N + 1], ["p", "q", "unique", "when", "code", "text"]] = None
    return made


def target(task: str, data: pd.DataFrame | None = None) -> Array:
    """Told by a*b and by the pair of p and q."""
    data = frame()[:N] if data is None else data
    pair = (data["p"] == "s").to_numpy() == (data["q"] == "v").to_numpy()
    signal = 2 * (data["a"] * data["b"]).fillna(0).to_numpy() + 2 * pair
    signal = signal + np.random.default_rng(1).normal(size=len(data)) / 4
    if task == "binary":
        return (signal > np.median(signal)).astype(int)
    if task == "multiclass":
        return np.digitize(signal, np.quantile(signal, [0.3, 0.6]))
    if task == "regression":
        return np.asarray(signal)
    both = np.column_stack([signal, -signal])
    return both if task == "multitarget" else (both > 0).astype(float)


def shape(task: Any = "binary", kinds: dict[str, Kind] = KINDS) -> Shape:
    found = frame()
    levels = {n: len(found[n].cat.categories) for n, k in kinds.items() if k == "category"}
    return Shape(kinds=kinds, levels=levels, n_rows=N, task=task, seed=0)


def steps_for(family: str, given: Shape) -> Any:
    return BUILDERS[family](recipe(family, given), given)


def values(X: Any) -> Array:
    """A recipe's output as numbers; categories as their codes."""
    if isinstance(X, pd.DataFrame):
        codes = {n: X[n].cat.codes if X[n].dtype == "category" else X[n] for n in X}
        return pd.DataFrame(codes).to_numpy(dtype=np.float64)
    return np.asarray(X.toarray() if hasattr(X, "toarray") else X, dtype=np.float64)


def made_names(X: pd.DataFrame) -> list[str]:
    return [name for name in X.columns if name.startswith("made__")]


def plain() -> pd.DataFrame:
    """Numbers and categories alone, without a recipe before them."""
    return frame()[["a", "b", "few", "p", "q", "unique", "constant", "empty"]]


def columns_of(data: pd.DataFrame, levels_of: pd.DataFrame | None = None) -> Columns:
    return Columns(data, Levels(data if levels_of is None else levels_of, few=30))


# --- the recipes ---------------------------------------------------------------------------------


@pytest.mark.parametrize("family", BUILDERS)
@pytest.mark.parametrize("task", TASKS)
def test_a_recipe_takes_every_kind_for_every_task(family: str, task: str) -> None:
    data = frame()
    before = data.copy(deep=True)
    steps = steps_for(family, shape(task))
    train = steps.fit_transform(data[:N], target(task))
    new = steps.transform(data[N:])
    plainly = recipe(family, shape(task)).fit_transform(data[:N], target(task))
    assert train.shape[1] == new.shape[1] > plainly.shape[1]
    if family == "tree":
        assert list(train.columns) == list(new.columns)
        assert len(set(train.columns)) == train.shape[1]
        assert list(train.dtypes) == list(new.dtypes)
        assert {str(t) for t in train.dtypes} <= {"float32", "float64", "int64", "category"}
        numbers = train.select_dtypes("number").to_numpy()
        assert not np.isinf(numbers).any()
    else:
        assert np.isfinite(values(train)).all()
        assert np.isfinite(values(new)).all()
    pd.testing.assert_frame_equal(data, before)


@pytest.mark.parametrize("task", ["multilabel", "multitarget"])
def test_several_targets_have_no_means(task: str) -> None:
    X = steps_for("tree", shape(task)).fit_transform(frame()[:N], target(task))
    assert made_names(X)
    assert not [
        name for name in made_names(X) if name.startswith("made__mean_") and "by" not in name
    ]


@pytest.mark.parametrize("family", BUILDERS)
def test_a_row_is_transformed_alone_as_among_others(family: str) -> None:
    data = frame()
    steps = steps_for(family, shape()).fit(data[:N], target("binary"))
    together = values(steps.transform(data))
    for row in (0, 3, N, N + 1, N + 7):
        alone = values(steps.transform(data[row : row + 1]))
        np.testing.assert_allclose(alone[0], together[row], rtol=1e-5, atol=1e-6)
    backwards = values(steps.transform(data[::-1]))[::-1]
    np.testing.assert_allclose(backwards, together, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("family", BUILDERS)
def test_the_same_twice_and_after_pickle_and_joblib(family: str, tmp_path: Path) -> None:
    data, y = frame(), target("binary")
    steps = steps_for(family, shape())
    first, second = (clone(steps) for _ in range(2))
    np.testing.assert_array_equal(
        values(first.fit_transform(data[:N], y)), values(second.fit_transform(data[:N], y))
    )
    new = values(first.transform(data[N:]))
    joblib.dump(first, tmp_path / "steps.joblib")
    for again in (
        second,
        pickle.loads(pickle.dumps(first)),
        joblib.load(tmp_path / "steps.joblib"),
    ):
        np.testing.assert_array_equal(values(again.transform(data[N:])), new)


@pytest.mark.parametrize("kind", ["numeric", "category", "datetime", "code", "text"])
def test_columns_of_one_kind_alone(kind: str) -> None:
    kinds = {name: k for name, k in KINDS.items() if k == kind}
    data, names = frame(), list(kinds)
    for family in BUILDERS:
        steps = steps_for(family, shape(kinds=kinds))
        train = steps.fit_transform(data[names][:N], target("binary"))
        assert steps.transform(data[names][N:]).shape == (N_NEW, train.shape[1])


# --- the transformer -----------------------------------------------------------------------------


def test_what_matters_together_is_found() -> None:
    data = plain()
    X = GeneratedFeatures("regression").fit_transform(data[:N], target("regression"))
    names = made_names(X)
    assert "made__a*b" in names
    assert [name for name in names if "p*q" in name or "q*p" in name]


def test_noise_brings_no_columns() -> None:
    data, rng = plain()[:N], np.random.default_rng(5)
    added = [
        len(
            made_names(
                GeneratedFeatures("regression", seed=s).fit_transform(data, rng.normal(size=N))
            )
        )
        for s in range(3)
    ]
    told = GeneratedFeatures("regression").fit_transform(data, target("regression"))
    assert np.mean(added) < len(made_names(told))
    assert np.mean(added) <= 12


@pytest.mark.parametrize("piece", PIECES)
def test_every_piece_alone(piece: str) -> None:
    data = plain()
    made = GeneratedFeatures("regression", pieces=(piece,), most=7)
    train = made.fit_transform(data[:N], target("regression"))
    assert len(made_names(train)) <= 7
    assert list(made.get_feature_names_out(list(data))) == list(train.columns)
    assert list(made.transform(data[N:]).columns) == list(train.columns)


def test_no_piece_leaves_the_frame_as_it_is() -> None:
    data = plain()[:N]
    made = GeneratedFeatures("regression", pieces=()).fit(data, target("regression"))
    pd.testing.assert_frame_equal(made.transform(data), data)


def test_names_that_are_taken_are_not_taken_again() -> None:
    data = plain()[:N].rename(columns={"constant": "made__a*b"})
    X = GeneratedFeatures("regression").fit_transform(data, target("regression"))
    assert len(set(X.columns)) == X.shape[1]
    assert {"made__a*b", "made__a*b_"} <= set(X.columns)
    assert (X["made__a*b"] == 7).all()


def test_few_rows_and_no_columns() -> None:
    data, y = plain()[:6], np.array([0, 1, 0, 1, 0, 1])
    made = GeneratedFeatures("binary")
    assert made.fit_transform(data, y).shape[0] == 6
    nothing = GeneratedFeatures("binary").fit_transform(data[[]], y)
    assert nothing.shape == (6, 0)


def test_rows_that_choose_are_a_sample_and_tables_come_from_all_rows() -> None:
    data, y = plain()[:N], target("regression")
    made = GeneratedFeatures("regression", pieces=("means",), sample_rows=200)
    made.fit(data[["p", "q"]], y)
    assert made.names_
    for feature in made.features_:
        assert isinstance(feature, TargetMean)
        codes = Columns(data, made.levels_).codes(feature.key)
        level = codes == codes[0]
        smoothed = (y[level].sum() + feature.alpha * y.mean()) / (level.sum() + feature.alpha)
        assert feature.values(Columns(data, made.levels_))[0] == pytest.approx(smoothed, rel=1e-5)


def test_a_number_may_have_more_values_than_among_the_rows_that_choose() -> None:
    rng = np.random.default_rng(0)
    n = 3000
    common = rng.integers(0, 12, n)
    X = pd.DataFrame({"x": np.where(rng.random(n) < 0.03, rng.integers(12, 90, n), common)})
    X["p"] = pd.Categorical(rng.choice(list("st"), n))
    y = np.sin(5.0 * common) + (X["p"] == "s") * (common % 2) + rng.normal(size=n) / 4
    made = GeneratedFeatures("regression", pieces=("means",), sample_rows=300).fit(X, y)
    assert any("x" in key for feature in made.features_ for key in feature.keys)
    assert made.transform(X).shape[0] == n


def test_a_class_may_be_absent_from_the_rows_that_choose() -> None:
    data, y = plain()[:N], target("multiclass")
    y[y == 2] = 1
    y[:2] = 2
    made = GeneratedFeatures("multiclass", sample_rows=60)
    train = made.fit_transform(data, y)
    assert list(made.transform(data).columns) == list(train.columns)


def test_a_wide_table_is_judged_by_fewer_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int]] = []

    def counted(X: Array, *_: Any, **__: Any) -> Array:
        asked.append(X.shape)
        return np.ones(X.shape[1])

    monkeypatch.setattr(generate, "gains", counted)
    X = pd.DataFrame(np.random.default_rng(0).normal(size=(4000, 2400)).astype(np.float32))
    X.columns = [f"x{k}" for k in range(X.shape[1])]
    GeneratedFeatures("regression", pieces=()).fit(X, X["x0"].to_numpy())
    assert asked == [(1666, 2400)]


# --- the features --------------------------------------------------------------------------------


def test_target_mean_is_smoothed_and_knows_no_row_itself() -> None:
    data = pd.DataFrame({"k": pd.Categorical(list("ssssttuu"))})
    y = np.array([1.0, 2, 3, 4, 5, 6, 7, 8])
    part = np.array([0, 1, 0, 1, 0, 1, 0, 1])
    columns = columns_of(data)
    mean = TargetMean(key=("k",), output=0, alpha=2.0)
    told = mean.learn(columns, Target(values=y[:, None], part=part, n_parts=2))
    prior = y.mean()
    # row 0 (level s, part 0): the rows of s in part 1 are 2 and 4
    assert told[0] == pytest.approx((2 + 4 + 2 * prior) / 4)
    assert mean.values(columns)[0] == pytest.approx((1 + 2 + 3 + 4 + 2 * prior) / 6)
    unseen = pd.DataFrame({"k": pd.Categorical([None, "x"])})
    np.testing.assert_allclose(mean.values(Columns(unseen, columns.levels)), prior)


def test_pairs_have_a_code_each_and_one_for_all_that_is_unseen() -> None:
    data = pd.DataFrame({"p": pd.Categorical(list("sstt")), "n": [1.0, 1.0, 1.0, np.nan]})
    columns, key = columns_of(data), ("p", "n")
    columns.levels.learn(key, columns)
    assert columns.levels.size(key) == 4
    np.testing.assert_array_equal(columns.codes(key), [0, 0, 1, 2])
    new = pd.DataFrame({"p": pd.Categorical(["s", "s", "t", "z"]), "n": [1.0, np.nan, np.nan, 1.0]})
    np.testing.assert_array_equal(Columns(new, columns.levels).codes(key), [0, 3, 2, 3])


@pytest.mark.parametrize(
    ("statistic", "expected"),
    [
        ("mean", [3.0, np.nan, np.nan]),
        ("std", [2.0, np.nan, np.nan]),
        ("deviation", [1.0, np.nan, np.nan]),
        ("ratio", [5 / 3, np.nan, np.nan]),
        ("rank", [1.0, 1.0, np.nan]),
    ],
)
def test_group_compares_with_training_rows_of_the_level(
    statistic: str, expected: list[float]
) -> None:
    data = pd.DataFrame({"p": pd.Categorical(list("ssst")), "x": [1.0, 3.0, 5.0, 9.0]})
    columns = columns_of(data)
    group = Group(key=("p",), number="x", statistic=statistic)
    group.learn(columns, None)
    new = pd.DataFrame({"p": pd.Categorical(["s", "t", "z"]), "x": [5.0, 9.0, 1.0]})
    np.testing.assert_allclose(group.values(Columns(new, columns.levels)), expected, rtol=1e-6)


def test_rank_is_the_share_of_rows_that_are_not_larger() -> None:
    data = pd.DataFrame({"p": pd.Categorical(list("sssst")), "x": [1.0, 2.0, 2.0, 4.0, 3.0]})
    columns = columns_of(data)
    group = Group(key=("p",), number="x", statistic="rank")
    np.testing.assert_allclose(group.learn(columns, None), [0.25, 0.75, 0.75, 1.0, 1.0])
    new = pd.DataFrame({"p": pd.Categorical(list("sss")), "x": [0.0, 3.0, np.nan]})
    np.testing.assert_allclose(group.values(Columns(new, columns.levels)), [0, 0.75, np.nan])


def test_arithmetic_makes_missing_of_what_is_no_number() -> None:
    data = pd.DataFrame({"x": [1.0, np.nan, 2.0, 1e300], "y": [0.0, 1.0, 4.0, 1e300]})
    columns = columns_of(data)
    told = {sign: Arithmetic(left="x", sign=sign, right="y").values(columns) for sign in "+-*/"}
    np.testing.assert_allclose(told["/"], [np.nan, np.nan, 0.5, 1.0])
    np.testing.assert_allclose(told["*"], [0.0, np.nan, 8.0, np.nan])
    np.testing.assert_allclose(told["-"], [1.0, np.nan, -2.0, 0.0])
    np.testing.assert_allclose(told["+"], [1.0, np.nan, 6.0, np.nan])


def test_a_row_as_a_whole() -> None:
    data = pd.DataFrame([[0.0, 3.0, np.nan], [np.e - 1, 0.0, 1 - np.e**2], [np.nan] * 3])
    data.columns = list("xyz")
    columns, told = columns_of(data), {}
    for statistic in ("missing", "zero", "mean", "std", "min", "max", "size"):
        told[statistic] = Across(numbers=("x", "y", "z"), statistic=statistic).values(columns)
    assert told["missing"].tolist() == [1, 0, 3]
    assert told["zero"].tolist() == [1, 1, 0]
    np.testing.assert_allclose(told["mean"], [1.5, (np.e - np.e**2) / 3, np.nan], rtol=1e-6)
    np.testing.assert_allclose(told["std"][[0, 2]], [1.5, np.nan])
    np.testing.assert_allclose(told["min"], [0, 1 - np.e**2, np.nan], rtol=1e-6)
    np.testing.assert_allclose(told["max"], [3, np.e - 1, np.nan], rtol=1e-6)
    np.testing.assert_allclose(told["size"], [np.log(4), 1.5, np.nan], rtol=1e-6)


def test_rows_as_a_whole_come_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    data = pd.DataFrame(np.random.default_rng(0).normal(size=(100, 4)), columns=list("wxyz"))
    feature = Across(numbers=tuple("wxyz"), statistic="std")
    whole = feature.values(columns_of(data))
    monkeypatch.setattr("kit.preprocessing.made._AT_ONCE", 28)
    np.testing.assert_array_equal(feature.values(columns_of(data)), whole)
    assert feature.values(columns_of(data[:0])).shape == (0,)


def test_how_many_are_missing_in_a_row_is_found() -> None:
    """Each of the columns tells a fortieth of it."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(600, 40)), columns=[f"x{k}" for k in range(40)])
    X = X.mask(rng.random(X.shape) < rng.uniform(0, 0.3, (600, 1)))
    y = X.isna().sum(axis=1).to_numpy() + rng.normal(size=600)
    wide = made_names(GeneratedFeatures("regression").fit_transform(X, y))
    assert "made__missing_of_40" in wide
    narrow = made_names(GeneratedFeatures("regression").fit_transform(X.iloc[:, :19], y))
    assert not [name for name in narrow if "_of_" in name]


# --- the choice ----------------------------------------------------------------------------------


def test_doubles_of_better_and_of_base_columns_are_dropped() -> None:
    rng = np.random.default_rng(0)
    base = rng.normal(size=(300, 1)).astype(np.float32)
    fresh = rng.normal(size=(300, 1)).astype(np.float32)
    made = np.hstack([np.exp(base), fresh, fresh**3, np.ones_like(base)])
    kept = without_doubles(base, made, np.array([2, 0, 1, 3]), most=10)
    assert list(kept) == [2]


def test_noise_is_not_above_noise() -> None:
    rng = np.random.default_rng(0)
    base, made = rng.normal(size=(600, 2)), rng.normal(size=(600, 60))
    y = base[:, 0] + made[:, 7] + rng.normal(size=600) / 2
    kept = above_noise(base.astype(np.float32), made.astype(np.float32), y, 0, [], most=30, seed=0)
    assert kept[0] == 7
    assert len(kept) <= 6  # of 59 that are noise; six shuffled copies of them are the measure
