"""Recipes: the same columns for every row, whatever the values; nothing learnt but in training."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy import sparse
from sklearn.base import clone
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline

from kit.errors import ConfigError
from kit.preprocessing.categories import Counts, CrossFittedTarget, KnownLevels
from kit.preprocessing.codes import CodeParts
from kit.preprocessing.columns import Shape, recipe
from kit.preprocessing.dates import DateParts
from kit.preprocessing.numeric import ScaledNumbers, SmoothClip, ToldApart
from kit.preprocessing.places import Places, places
from kit.preprocessing.text import TextNumbers, TextSparse
from kit.settings import Kind

KINDS: dict[str, Kind] = {
    "number": "numeric",
    "constant": "numeric",
    "empty": "numeric",
    "few": "category",
    "many": "category",
    "nothing": "category",
    "when": "datetime",
    "never": "datetime",
    "code": "code",
    "text": "text",
    "lat": "numeric",
    "lon": "numeric",
}
N, N_NEW = 120, 40
FAMILIES = ["tree", "linear", "neural", "raw"]
TASKS = ["binary", "multiclass", "regression", "multilabel", "multitarget"]


def frame() -> pd.DataFrame:
    """One column per kind and trap; rows from `N` on hold levels that training rows lack."""
    rng = np.random.default_rng(0)
    size = N + N_NEW
    new = np.arange(size) >= N
    many = np.where(new, "unseen", np.char.add("L", rng.integers(0, 30, size).astype(str)))
    days = pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 900, size), unit="D")
    words = ["red fox", "blue whale", "red whale", "green ant and fox", ""]
    codes = [f"{'ABC'[k % 3]}{k % 50}" for k in range(size)]
    made = pd.DataFrame(
        {
            "number": np.where(rng.random(size) < 0.1, np.nan, rng.normal(size=size)),
            "constant": 7.0,
            "empty": np.nan,
            "few": pd.Categorical(np.where(new, "z", rng.choice(list("pq"), size))),
            "many": pd.Categorical(many),
            "nothing": pd.Categorical([None] * size, categories=["x"]),
            "when": pd.Series(days),
            "never": pd.Series(pd.NaT, index=range(size)).astype("datetime64[ns]"),
            "code": pd.Series(codes, dtype="str"),
            "text": pd.Series(rng.choice(words, size), dtype="str"),
            "lat": rng.uniform(-95, 95, size),
            "lon": np.where(rng.random(size) < 0.1, np.nan, rng.uniform(-180, 180, size)),
        }
    )
    made.loc[[3, N + 1], ["few", "many", "when", "code", "text"]] = None
    return made


def target(task: str) -> NDArray[Any]:
    rng = np.random.default_rng(1)
    if task == "binary":
        return rng.integers(0, 2, N)
    if task == "multiclass":
        return rng.integers(0, 3, N)
    if task == "regression":
        return rng.normal(size=N)
    return rng.integers(0, 2, (N, 2)).astype(float)


def shape(task: Any = "binary", kinds: dict[str, Kind] = KINDS) -> Shape:
    found = frame()
    levels = {n: len(found[n].cat.categories) for n, k in kinds.items() if k == "category"}
    return Shape(kinds=kinds, levels=levels, n_rows=N, task=task, seed=0)


def values(X: Any) -> NDArray[np.float64]:
    """A recipe's output as numbers; categories as their codes."""
    if sparse.issparse(X):
        return np.asarray(X.toarray(), dtype=np.float64)
    if isinstance(X, pd.DataFrame):
        codes = {n: X[n].cat.codes if X[n].dtype == "category" else X[n] for n in X}
        return pd.DataFrame(codes).to_numpy(dtype=np.float64)
    return np.asarray(X, dtype=np.float64)


@pytest.mark.parametrize("family", FAMILIES[:3])
@pytest.mark.parametrize("task", TASKS)
def test_every_recipe_takes_every_kind_for_every_task(family: str, task: str) -> None:
    data = frame()
    steps = recipe(family, shape(task))
    train = steps.fit_transform(data[:N], target(task))
    new = steps.transform(data[N:])
    assert train.shape[1] == new.shape[1] > 0
    assert (train.shape[0], new.shape[0]) == (N, N_NEW)
    if isinstance(train, pd.DataFrame):
        assert list(train.columns) == list(new.columns)
        assert len(set(train.columns)) == train.shape[1]
        assert {str(t) for t in train.dtypes} <= {"float32", "float64", "int64", "category"}
        assert list(train.dtypes) == list(new.dtypes)
    if family != "tree":
        numbers = values(new)
        assert np.isfinite(numbers).all()


@pytest.mark.parametrize("family", FAMILIES[:3])
def test_a_row_is_transformed_alone_as_among_others(family: str) -> None:
    data = frame()
    steps = recipe(family, shape()).fit(data[:N], target("binary"))
    together = values(steps.transform(data[N:]))
    for row in (0, 1, 7):
        alone = values(steps.transform(data[N + row : N + row + 1]))
        np.testing.assert_allclose(alone[0], together[row], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("family", FAMILIES[:3])
def test_a_recipe_gives_the_same_twice(family: str) -> None:
    data, y = frame(), target("binary")
    steps = recipe(family, shape())
    first, second = (values(clone(steps).fit_transform(data[:N], y)) for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_recipe_leaves_its_input_alone(family: str) -> None:
    data, before = frame(), frame()
    recipe(family, shape()).fit(data[:N], target("binary")).transform(data[N:])
    pd.testing.assert_frame_equal(data, before)


@pytest.mark.parametrize("family", FAMILIES[:3])
@pytest.mark.parametrize("kind", ["numeric", "category", "datetime", "code", "text"])
def test_a_recipe_works_with_columns_of_one_kind_alone(family: str, kind: str) -> None:
    data, y = frame(), target("binary")
    kinds = {name: k for name, k in KINDS.items() if k == kind}
    names = list(kinds)
    steps = recipe(family, shape(kinds=kinds))
    train = steps.fit_transform(data[names][:N], y)
    assert steps.transform(data[names][N:]).shape == (N_NEW, train.shape[1])


def test_raw_changes_nothing() -> None:
    data = frame()
    steps = recipe("raw", shape())
    pd.testing.assert_frame_equal(steps.fit_transform(data[:N], target("binary")), data[:N])


def test_an_unknown_family_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"unknown recipe 'shrub'. Known: history"):
        recipe("shrub", shape())


def levels(values: list[Any], known: list[str]) -> pd.DataFrame:
    return pd.DataFrame({"c": pd.Categorical(values, categories=known)})


def test_levels_not_seen_in_training_become_missing() -> None:
    known = ["a", "b", "c"]
    fitted = KnownLevels().fit(levels(["a", "b", None], known))
    found = fitted.transform(levels(["c", "a", None], known))["c"]
    assert list(found.cat.categories) == ["a", "b"]
    assert found.isna().tolist() == [True, False, True]


def test_rare_levels_become_missing() -> None:
    fitted = KnownLevels(min_count=2).fit(levels(["a", "a", "b"], ["a", "b"]))
    assert fitted.transform(levels(["a", "b"], ["a", "b"]))["c"].isna().tolist() == [False, True]


def test_shares_count_training_rows_only() -> None:
    known = ["a", "b", "c"]
    fitted = Counts().fit(levels(["a", "a", "b", None], known))
    found = fitted.transform(levels(["a", "b", "c", None, "c"], known))
    assert found["c_share"].tolist() == [0.5, 0.25, 0.0, 0.0, 0.0]


def test_means_of_the_target_do_not_contain_a_rows_own_label() -> None:
    rng = np.random.default_rng(0)
    ids = [f"L{k}" for k in range(200)]  # every row its own level: only its own label could leak
    X, y = levels(ids, ids), rng.integers(0, 2, 200)
    encoder = CrossFittedTarget(classification=True)
    trained = encoder.fit_transform(X, y)["c_mean"].to_numpy()
    assert abs(np.corrcoef(trained, y)[0, 1]) < 0.25
    assert len(np.unique(trained)) <= 5  # nothing but the means of the other parts


def test_means_for_new_rows_come_from_all_training_rows() -> None:
    X, y = levels(["a"] * 50 + ["b"] * 50, ["a", "b", "c"]), np.repeat([0.0, 10.0], 50)
    encoder = CrossFittedTarget().fit(X, y)
    found = encoder.transform(levels(["a", "b", "c", None], ["a", "b", "c"]))["c_mean"]
    assert found[0] == pytest.approx(0, abs=0.3)
    assert found[1] == pytest.approx(10, abs=0.3)
    assert found[2] == found[3] == pytest.approx(5)


def test_means_of_several_classes_have_a_column_each() -> None:
    X, y = levels(list("ab") * 30, ["a", "b"]), np.arange(60) % 3
    assert list(CrossFittedTarget(classification=True).fit_transform(X, y)) == [
        "c_mean_0", "c_mean_1", "c_mean_2",
    ]  # fmt: skip


def test_means_exist_when_a_class_has_few_rows() -> None:
    X, y = levels(list("ab") * 20, ["a", "b"]), np.r_[1, np.zeros(39, dtype=int)]
    assert CrossFittedTarget(classification=True).fit_transform(X, y).shape == (40, 1)


def test_dates_become_the_parts_that_vary() -> None:
    when = pd.to_datetime(["2024-03-05 10:00", "2024-04-05 11:00", None, "2023-04-05 11:00"])
    parts = DateParts()
    found = parts.fit_transform(pd.DataFrame({"t": when}))
    assert "t_day" not in found  # always the fifth
    assert "t_minute" not in found
    assert found["t_month"].tolist()[:2] == [3, 4]
    assert found["t_hour"].tolist()[:2] == [10, 11]
    assert found.loc[2].isna().all()
    assert list(found) == list(parts.get_feature_names_out())


def test_days_are_counted_from_1970() -> None:
    frame = pd.DataFrame({"t": pd.to_datetime(["1970-01-01 00:00", "1970-01-11 12:00"])})
    assert DateParts().fit_transform(frame)["t_days"].tolist() == [0, 10.5]


def test_gaps_between_moments_are_counted_in_days() -> None:
    frame = pd.DataFrame(
        {
            "start": pd.to_datetime(["2024-03-05 10:00", "2024-03-05 10:00", None]),
            "end": pd.to_datetime(["2024-03-05 22:00", "2024-03-01 10:00", "2024-03-01 10:00"]),
        }
    )
    parts = DateParts()
    found = parts.fit_transform(frame)
    assert found["start_to_end_days"].tolist()[:2] == [0.5, -4]
    assert np.isnan(found["start_to_end_days"][2])
    assert list(found) == list(parts.get_feature_names_out())


@pytest.mark.parametrize(
    ("columns", "found"),
    [
        (["pickup_longitude", "pickup_latitude", "dropoff_longitude", "dropoff_latitude"],
         [("pickup_latitude", "pickup_longitude"), ("dropoff_latitude", "dropoff_longitude")]),
        (["startLat", "startLng", "lat2", "lon2"], [("startLat", "startLng"), ("lat2", "lon2")]),
        (["LATITUDE", "LONGITUDE"], [("LATITUDE", "LONGITUDE")]),
        (["long", "platform", "latency", "flat", "lat_a", "lon_b"], []),
    ],
)  # fmt: skip
def test_places_are_told_by_the_names_of_their_columns(columns, found) -> None:
    assert places(columns) == found


def test_distances_are_those_of_the_globe() -> None:
    berlin, paris = (52.52, 13.405), (48.8566, 2.3522)
    rows = [(*berlin, *paris), (*berlin, *berlin), (*berlin, 300.0, 2.0), (0, 179.5, 0, -179.5)]
    frame = pd.DataFrame(rows, columns=["lat1", "lon1", "lat2", "lon2"])
    step = Places(tuple(places(frame)))
    found = step.fit_transform(frame)
    assert list(found) == list(step.get_feature_names_out())
    far = found["lat1_to_lat2_km"]
    assert far[0] == pytest.approx(877.5, abs=1)
    assert far[1] == 0
    assert np.isnan(far[2])  # no latitude is 300
    assert far[3] == pytest.approx(111.2, abs=0.1)  # over the line of the date
    assert found["lat1_to_lat2_direction"][0] == pytest.approx(-117, abs=2)  # west and south
    assert found["lat1_to_lat2_east"][3] == pytest.approx(111.2, abs=0.1)


def test_a_row_of_its_own_gives_the_same_place() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(50, 1, (20, 4)), columns=["lat1", "lon1", "lat2", "lon2"])
    step = Places(tuple(places(frame))).fit(frame)
    pd.testing.assert_frame_equal(step.transform(frame).tail(1), step.transform(frame.tail(1)))


@pytest.mark.parametrize("name", ["tree", "neural", "realmlp", "tabm"])
def test_recipes_see_distances(name: str) -> None:
    rng = np.random.default_rng(0)
    four = ["lat1", "lon1", "lat2", "lon2"]
    frame = pd.DataFrame(rng.normal(50, 1, (40, 4)), columns=four)
    steps = recipe(name, shape("regression", dict.fromkeys(four, "numeric")))
    steps.fit(frame, rng.normal(size=40))
    assert any("lat1_to_lat2_km" in made for made in steps.get_feature_names_out())


def test_codes_of_one_signature_are_split_by_position() -> None:
    codes = pd.DataFrame({"c": pd.Series([f"{'AB'[k % 2]}/{k}/P" for k in range(20)], dtype="str")})
    parts = CodeParts().fit(codes)
    found = parts.transform(pd.DataFrame({"c": pd.Series(["A/7/P", "Z/9/P", None], dtype="str")}))
    assert found["c_1"].isna().tolist() == [False, True, True]  # Z was never seen
    assert found["c_2"].tolist()[:2] == [7, 9]
    assert list(found) == list(parts.get_feature_names_out())


def test_codes_without_a_signature_give_first_letters_and_last_number() -> None:
    spelled = ["A 12", "B", "77", "C 3 D 4", "A 9", "A 1"] * 5
    found = CodeParts().fit_transform(pd.DataFrame({"c": pd.Series(spelled, dtype="str")}))
    assert found["c_letters"].astype("str").tolist()[:2] == ["A", "B"]
    assert found["c_number"].tolist()[3] == 4
    assert np.isnan(found["c_number"][1])


def test_codes_of_equally_many_letters_give_a_column_per_letter() -> None:
    spelled = ["ABCA", "BBCD", "AACA"] * 10
    fitted = CodeParts().fit(pd.DataFrame({"c": pd.Series(spelled, dtype="str")}))
    new = pd.Series(["BBCD", "ZZ", None], dtype="str")
    found = fitted.transform(pd.DataFrame({"c": new}))
    assert list(found) == ["c_1", "c_2", "c_4", "c_different"]  # the third is always C
    assert found["c_4"].tolist() == ["D", np.nan, np.nan]
    assert found["c_different"].tolist()[:2] == [3, 1]


def texts(*values: str | None) -> pd.DataFrame:
    return pd.DataFrame({"t": pd.Series(values, dtype="str")})


@pytest.mark.parametrize("values", [("",) * 30, (None,) * 30, ("!?",) * 30])
@pytest.mark.parametrize("step", [TextNumbers(), TextSparse()])
def test_texts_without_a_word_are_no_error(step: Any, values: tuple[Any, ...]) -> None:
    fitted = clone(step).fit(texts(*values))
    assert fitted.transform(texts("hello", None)).shape[0] == 2


def test_numbers_are_scaled_a_column_at_a_time_as_they_were_together() -> None:
    """To the last bit what scikit-learn's imputer and `SmoothClip` give behind each other."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"real": rng.normal(size=301), "count": rng.integers(0, 9, 301)})
    X["gaps"] = np.where(rng.random(301) < 0.3, np.nan, rng.gamma(2.0, size=301))
    X["short"] = rng.normal(size=301).astype(np.float32)
    X["empty"], X["same"] = np.nan, 5
    new = X[:40].copy()
    new.loc[3, "real"] = np.nan  # never missing before: filled, not marked
    plain = Pipeline(
        [
            (
                "fill",
                SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True),
            ),
            ("clip", SmoothClip()),
        ]
    ).fit(X)
    ours = ScaledNumbers().fit(X)
    for frame in (X, new):
        found, wanted = ours.transform(frame), plain.transform(frame)
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, wanted)
    names = plain[0].get_feature_names_out(X.columns)
    assert list(ours.get_feature_names_out(X.columns)) == list(names)


def test_words_are_those_of_the_training_rows() -> None:
    fitted = TextNumbers(n_components=0).fit(texts(*["red fox", "red ant"] * 10))
    found = fitted.transform(texts("red whale", "RED", None))
    assert list(found) == fitted.get_feature_names_out()
    seen = found[[c for c in found if "_has_" in c]].sum(axis=1)
    assert seen.tolist() == [1, 1, 0]  # "whale" is unknown


def test_outliers_are_squeezed_and_constants_become_zero() -> None:
    X = np.column_stack([np.r_[np.linspace(-1, 1, 99), 1e9], np.full(100, 5.0)])
    found = SmoothClip(limit=3.0).fit_transform(X)
    assert np.abs(found).max() <= 3.0
    assert (found[:, 1] == 0).all()
    assert (np.diff(found[:, 0]) > 0).all()  # the order is kept


def test_numbers_far_from_all_that_were_learned_are_squeezed_like_others() -> None:
    clip = SmoothClip(limit=3.0).fit(np.linspace(0, 1e-200, 50)[:, None])
    found = clip.transform(np.array([[1e30], [-1e30], [1e-200]]))[:, 0]
    assert found == pytest.approx([3.0, -3.0, 0.9], abs=0.1)


def test_numbers_that_float32_takes_for_the_same_are_told_apart() -> None:
    ids = np.arange(300)
    X = pd.DataFrame(
        {"seconds": 1.6e9 + ids / 10, "id": 4_000_000_000 + ids, "plain": ids / 7, "whole": ids}
    )
    told = ToldApart().fit(X)
    made = told.transform(X)
    assert list(told.centers_) == ["seconds", "id"]
    assert made["plain"].equals(X["plain"])
    assert made.astype(np.float32).nunique().tolist() == [300] * 4
    missing = X.assign(id=pd.array([None, *X["id"][1:]], dtype="Int64"))
    found = ToldApart().fit(missing).transform(missing)["id"]
    assert found.isna().sum() == 1
    assert found.astype("Float32").nunique() == 299


# --- categories of very many levels


def large(task: Any, rows: int = 600) -> tuple[pd.DataFrame, NDArray[Any], Shape]:
    """A category of 51 levels, one of 50, and a target of the first one's."""
    k = np.arange(rows)
    X = pd.DataFrame(
        {
            "large": pd.Categorical([f"L{n}" for n in k % 51]),
            "medium": pd.Categorical([f"M{n}" for n in k % 50]),
        }
    )
    kinds: dict[str, Kind] = {"large": "category", "medium": "category"}
    y = (k % 51 < 25).astype(np.int64)
    if task == "multilabel":
        y = np.column_stack([y, 1 - y])
    shape = Shape(kinds=kinds, levels={"large": 51, "medium": 50}, n_rows=rows, task=task, seed=0)
    return X, y, shape


@pytest.mark.parametrize("name", ["tree", "tree_generated", "neural", "realmlp", "tabm"])
def test_levels_are_seen_as_they_are_up_to_fifty(name: str) -> None:
    X, y, shape = large("binary")
    made = recipe(name, shape).fit_transform(X, y)
    seen = [column for column in made if isinstance(made[column].dtype, pd.CategoricalDtype)]
    assert [column.rpartition("__")[2] for column in seen] == ["medium"]
    assert any("large_mean" in column for column in made)


def test_the_recipe_tree_levels_keeps_all_levels() -> None:
    X, y, shape = large("binary")
    made = recipe("tree_levels", shape).fit_transform(X, y)
    assert {"levels__large", "levels__medium", "means__large_mean"} <= set(made)


def test_levels_stay_where_there_is_no_mean_of_the_target() -> None:
    X, y, shape = large("multilabel")
    assert shape.plain == ["large", "medium"]
    assert "levels__large" in recipe("tree", shape).fit_transform(X, y)


def test_levels_of_a_thousand_rows_each_stay() -> None:
    _, _, shape = large("binary")
    assert shape.plain == ["medium"]
    many = Shape(kinds=shape.kinds, levels=shape.levels, n_rows=51_000, task="binary", seed=0)
    assert many.plain == ["large", "medium"]
