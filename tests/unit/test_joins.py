"""Tables beside train and test: what `kit new` joins, and what the engine makes of `[joins]`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from kit.competition import Competition
from kit.dataset import Dataset
from kit.errors import ConfigError, DataError
from kit.joins import looked_up, summarised
from kit.providers.base import load_provider
from kit.refit.rows import NewRows
from kit.scaffold.facts import Inference
from kit.scaffold.infer import infer
from kit.scaffold.write import create
from kit.settings import ProviderSpec

DAYS = pd.date_range("2024-01-01", periods=60).strftime("%Y-%m-%d")
FRAME = pd.DataFrame([(s, d) for d in DAYS for s in range(1, 6)], columns=["store", "day"]).assign(
    id=np.arange(300), open=True, sales=np.random.default_rng(0).gamma(2, 9, 300).round(2)
)
TEST = FRAME["day"] >= DAYS[50]
STORES = pd.DataFrame({"store": range(1, 6), "size": [9, 8, 7, 6, 5], "town": list("aabbc")})


def write(folder: Path, **sides: Any) -> Path:
    folder.mkdir(exist_ok=True)
    FRAME[~TEST].to_csv(folder / "train.csv", index=False)
    FRAME[TEST].drop(columns="sales").to_csv(folder / "test.csv", index=False)
    sample = FRAME.loc[TEST, ["id"]].assign(sales=0.5)
    sample.to_csv(folder / "sample_submission.csv", index=False)
    for name, frame in sides.items():
        frame.to_csv(folder / f"{name}.csv", index=False)
    return folder


def inferred(folder: Path, **sides: Any) -> Inference:
    return infer(write(folder, **sides), hints={}, flags={"metric": "mae"})


def said(folder: Path, **sides: Any) -> list[str]:
    """Questions that name one of the tables and their join."""
    found = inferred(folder, **sides).questions
    return [text for text in found if text.split()[0].removesuffix(".csv") in sides]


def competition(folder: Path, **sides: Any) -> Competition:
    spec = ProviderSpec(name="local", source=str(write(folder / "files", **sides)))
    root = folder / "shop"
    provider = load_provider("shop", spec, root)
    create(root, provider, spec, flags={"metric": "mae"}, template=None, progress=lambda *_: None)
    return Competition.load(root)


def test_one_row_per_key_is_joined(tmp_path: Path) -> None:
    found = inferred(tmp_path, stores=STORES)
    assert found.get("joins.stores.file") == "stores.csv"
    assert found.get("joins.stores.on") == ["store"]
    assert found.get("joins.stores.columns") == ["size", "town"]
    assert found.get("columns.kinds.town") == "category"
    assert any(
        "Take out of [joins.stores] what is not known yet" in text for text in found.questions
    )


def test_what_is_joined_names_no_series_and_may_be_what_they_share(tmp_path: Path) -> None:
    many = pd.concat([FRAME.assign(store=FRAME["store"] + 5 * k) for k in range(4)])
    stores = pd.DataFrame({"store": range(1, 21), "size": range(20), "town": list("abcd") * 5})
    folder = write(tmp_path, stores=stores)
    many = many.assign(id=range(len(many)))
    many[many["day"] < DAYS[50]].to_csv(folder / "train.csv", index=False)
    test = many[many["day"] >= DAYS[50]].drop(columns="sales")
    test.to_csv(folder / "test.csv", index=False)
    test[["id"]].assign(sales=1.5).to_csv(folder / "sample_submission.csv", index=False)
    found = infer(folder, hints={}, flags={"metric": "mae"})
    assert found.get("series.id") == ["store"]
    assert found.get("series.pooled") == ["town"]


def test_the_key_may_be_of_several_columns(tmp_path: Path) -> None:
    weather = FRAME[["store", "day", "open"]].assign(rain=1.5).sample(frac=1, random_state=0)
    found = inferred(tmp_path, weather=weather)
    assert found.get("joins.weather.on") == ["store", "day"]
    assert found.get("joins.weather.columns") == ["rain"]


def test_what_ends_before_the_test_rows_is_not_joined(tmp_path: Path) -> None:
    weather = FRAME.loc[FRAME["day"] < DAYS[55], ["store", "day"]].assign(rain=1.5)
    (text,) = said(tmp_path, weather=weather)
    assert "one row per 'store', 'day'; 100% of the rows of train and 50% of those of test" in text
    assert inferred(tmp_path, weather=weather).get("joins.weather.on") is None


def test_holidays_are_of_few_rows_and_are_joined_as_well(tmp_path: Path) -> None:
    holidays = pd.DataFrame({"day": [DAYS[3], DAYS[55]], "name": ["new", "old"]})
    assert inferred(tmp_path, holidays=holidays).get("joins.holidays.on") == ["day"]


def test_rows_that_repeat_the_keys_of_many_rows_are_not_joined(tmp_path: Path) -> None:
    visits = FRAME[["store", "day"]].assign(visits=3)
    (text,) = said(tmp_path, visits=pd.concat([visits, visits.iloc[:7]]))
    assert "7 rows repeat them: joined as it is, rows of train would multiply" in text


def test_several_rows_of_one_row_are_summed_up(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    loans = pd.DataFrame({"id": rng.integers(0, 300, 900), "loan": np.arange(900)})
    loans = loans.assign(owed=rng.gamma(2, 3, 900), state=rng.choice(["open", "closed"], 900))
    one = competition(tmp_path, loans=loans)
    assert one.settings.joins["loans"].summarised
    assert one.settings.joins["loans"].columns == (
        "owed",
        "state",
    )  # the number of a loan says nothing
    X = Dataset.read(one).X
    mine = loans[loans["id"] == int(FRAME["id"][0])]
    assert X["loans_rows"][0] == len(mine)
    assert X["loans_owed_max"][0] == pytest.approx(mine["owed"].max())
    assert X["loans_state_open"][0] == pytest.approx((mine["state"] == "open").mean())
    again = Dataset.read(one).X  # as kept in the cache
    pd.testing.assert_frame_equal(again, X)


def test_what_earlier_rows_call_as_train_does_is_summed_up_as_well(tmp_path: Path) -> None:
    """As of earlier loans, with an amount each; not what only train has, nor what just repeats."""
    rng = np.random.default_rng(0)
    loans = FRAME.sample(900, replace=True, random_state=0)[["id", "store", "sales"]]
    loans = loans.assign(owed=rng.gamma(2, 3, 900), open=rng.random(900) < 0.5)
    one = competition(tmp_path, loans=loans)
    assert one.settings.joins["loans"].columns == ("owed", "open")
    X = Dataset.read(one).X
    mine = loans[loans["id"] == int(FRAME["id"][0])]
    assert X["loans_open_True"][0] == pytest.approx(mine["open"].mean())
    assert X["open"].nunique() == 1


def test_a_table_may_be_found_by_what_another_one_brings(tmp_path: Path) -> None:
    """Readings of buildings, the sites of buildings, the weather at sites: train has no sites."""
    areas = pd.DataFrame([(d, t) for d in DAYS for t in "abc"], columns=["day", "town"])
    areas["rain"] = np.arange(180.0)
    one = competition(tmp_path, areas=areas, stores=STORES)
    assert list(one.settings.joins) == ["stores", "areas"]
    assert one.settings.joins["areas"].on == ("day", "town")
    data = Dataset.read(one)
    rain = areas.set_index(["day", "town"])["rain"]
    towns = STORES.set_index("store")["town"]
    for X, rows in ((data.X, FRAME[~TEST]), (data.X_test, FRAME[TEST])):
        wanted = [
            rain[day, towns[store]] for day, store in zip(rows["day"], rows["store"], strict=True)
        ]
        np.testing.assert_array_equal(X["rain"], wanted)
    assert "town" not in NewRows(one).needed
    ((_, X),) = NewRows(one).read(one.raw / "test.csv", 1000)
    pd.testing.assert_frame_equal(X, data.X_test)


def test_a_key_that_some_rows_lack_is_brought_all_the_same(tmp_path: Path) -> None:
    """The type of a category of an item, where some items are of no category."""
    kinds = pd.DataFrame({"kind": [7, 8], "word": ["new", "old"]})
    stores = STORES.head(4).assign(kind=[7, 8, 8, 7])
    one = competition(tmp_path, kinds=kinds, stores=stores)
    X = Dataset.read(one).X
    assert X["word"].astype("str")[:4].tolist() == ["new", "old", "old", "new"]
    assert X["word"][4:5].isna().all()


def test_labels_in_a_table_of_their_own_get_what_the_others_say(tmp_path: Path) -> None:
    """Many rows of each id in files called train and test, and the target in a third one."""
    ids, half = np.arange(60), 30
    many = pd.DataFrame({"customer": np.repeat(ids, 3), "spent": np.arange(180.0)})
    sample = pd.DataFrame({"customer": ids[half:], "prediction": 0.5})
    tables = {
        "train_data": many[many["customer"] < half],
        "test_data": many[many["customer"] >= half],
        "train_labels": pd.DataFrame({"customer": ids[:half], "target": ids[:half] % 2}),
        "sample_submission": sample,
    }
    for name, frame in tables.items():
        frame.to_csv(tmp_path / f"{name}.csv", index=False)
    for flags in ({}, {"train": "train_labels.csv", "test": "sample_submission.csv"}):
        found = infer(tmp_path, hints={}, flags=flags)
        assert found.get("columns.target") == "target"
        assert found.get("joins.data.file") == ["test_data.csv", "train_data.csv"]
        assert found.get("joins.data.summarised")


def test_labels_beside_features_of_train_and_test(tmp_path: Path) -> None:
    """Train is ids and labels: what test says of its rows another table says of those of train."""
    wide = pd.DataFrame(np.add.outer(FRAME["sales"].to_numpy(), np.arange(210)))
    features = pd.concat([FRAME[["id", "store"]], wide.add_prefix("x")], axis=1)
    features.insert(2, "when", pd.date_range("2020-01-01", periods=300).strftime("%Y-%m-%d"))
    labels = FRAME.loc[~TEST, ["id", "sales"]].sample(frac=1, random_state=0)
    sample = FRAME.loc[TEST, ["id"]].assign(sales=0.5)
    tables = {"train_features": features[~TEST], "test_features": features[TEST]}
    tables |= {"train_labels": labels, "sample_submission": sample}
    folder = tmp_path / "files"
    folder.mkdir()
    for name, frame in tables.items():
        frame.to_csv(folder / f"{name}.csv", index=False)
    spec, root = ProviderSpec(name="local", source=str(folder)), tmp_path / "lab"
    provider, flags = load_provider("lab", spec, root), {"metric": "mae"}
    found = create(root, provider, spec, flags=flags, template=None, progress=lambda *_: None)
    assert found.get("files.train") == "train_labels.csv"
    assert found.get("files.test") == "sample_submission.csv"
    assert found.get("columns.time") == "when", "time is told as if the table were one"
    data = Dataset.read(Competition.load(root))
    assert data.X.shape[1] == 212
    np.testing.assert_array_equal(data.X["x3"], FRAME["sales"][data.ids.astype(int)] + 3)
    np.testing.assert_array_equal(data.X_test["x3"], FRAME["sales"][TEST] + 3)


def test_tables_that_are_split_as_train_and_test_are_joined_together(tmp_path: Path) -> None:
    ids = pd.DataFrame({"id": FRAME["id"], "device": FRAME["id"] % 3})
    parts = {"train_identity": ids[~TEST].iloc[::2], "test_identity": ids[TEST].iloc[::2]}
    one = competition(tmp_path, **parts)
    assert one.settings.joins["identity"].file == ("test_identity.csv", "train_identity.csv")
    data = Dataset.read(one)
    np.testing.assert_array_equal(data.X["device"][::2], ids[~TEST]["device"][::2])
    assert data.X["device"][1::2].isna().all()
    np.testing.assert_array_equal(data.X_test["device"][::2], ids[TEST]["device"][::2])


def test_a_header_may_be_spelled_otherwise_in_one_of_both(tmp_path: Path) -> None:
    """As of identities: "id_01" beside train, "id-01" beside test."""
    ids = pd.DataFrame({"id": FRAME["id"], "id_01": FRAME["id"] % 3, "id_02": list("ab") * 150})
    parts = {"train_identity": ids[~TEST], "test_identity": ids[TEST]}
    parts["test_identity"] = parts["test_identity"].rename(columns=lambda n: n.replace("_", "-"))
    one = competition(tmp_path, **parts)
    assert one.settings.joins["identity"].on == ("id",)
    columns = one.settings.joins["identity"].columns
    assert columns in (("id_01", "id_02"), ("id-01", "id-02"))
    data = Dataset.read(one)
    for X, rows in ((data.X, ids[~TEST]), (data.X_test, ids[TEST])):
        np.testing.assert_array_equal(X[columns[0]], rows["id_01"])
        assert X[columns[1]].astype("str").tolist() == rows["id_02"].tolist()


def test_a_key_may_be_spelled_otherwise(tmp_path: Path) -> None:
    one = competition(tmp_path, stores=STORES.rename(columns={"store": "Store"}))
    assert one.settings.joins["stores"].on == ("store",)
    sizes = STORES.set_index("store")["size"]
    np.testing.assert_array_equal(Dataset.read(one).X["size"], sizes[FRAME[~TEST]["store"]])


def test_tables_without_a_key_of_both_or_without_news_are_not_spoken_of(tmp_path: Path) -> None:
    other = pd.DataFrame({"town": ["a"], "size": [1]})
    strange = pd.DataFrame({"store": range(100, 105), "size": 1})
    copied = FRAME[["store", "day"]]
    assert said(tmp_path, towns=other, strange=strange, keys=copied) == []


def test_a_table_that_cannot_be_read_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "broken.csv").write_bytes(b"")
    (tmp_path / "stores.csv").write_text("store,size\n1,2,3\n")
    assert said(tmp_path) == []


def test_rows_keep_their_order_and_get_what_their_keys_bring(tmp_path: Path) -> None:
    one = competition(tmp_path, stores=STORES.sample(frac=1, random_state=1))
    data = Dataset.read(one)
    sizes = STORES.set_index("store")["size"]
    train = FRAME[~TEST]
    np.testing.assert_array_equal(data.X["size"], sizes[train["store"]])
    np.testing.assert_array_equal(data.ids.astype(int), train["id"])
    assert data.kinds["town"] == "category"


def test_a_table_on_the_disk_sees_the_same(tmp_path: Path) -> None:
    one = competition(tmp_path, stores=STORES)
    stored = Competition.load(one.root, ["execution.on_disk=always"])
    here, there = Dataset.read(one), Dataset.read(stored)
    assert list(here.X) == list(there.X)
    np.testing.assert_array_equal(here.X["size"], there.X["size"])
    assert here.X["town"].astype("str").tolist() == there.X["town"].astype("str").tolist()


def test_the_digest_of_the_data_follows_the_joined_file(tmp_path: Path) -> None:
    one = competition(tmp_path, stores=STORES)
    before = Dataset.read(one).digests["data"]
    STORES.assign(size=1).to_csv(one.raw / "stores.csv", index=False)
    assert Dataset.read(one).digests["data"] != before


def test_new_rows_find_theirs_too(tmp_path: Path) -> None:
    one = competition(tmp_path, stores=STORES)
    reader = NewRows(one)
    assert "store" in reader.needed
    assert "size" not in reader.needed
    ((_, X),) = reader.read(one.raw / "test.csv", 1000)
    pd.testing.assert_frame_equal(X, Dataset.read(one).X_test)
    saved = tmp_path / "saved"
    saved.mkdir()
    reader.joins.save(saved)
    (one.raw / "stores.csv").unlink()
    joins = type(reader.joins)(one, prepared=saved)
    ((_, again),) = NewRows(one, reader.format, joins=joins).read(one.raw / "test.csv", 1000)
    pd.testing.assert_frame_equal(again, X)


def test_what_cannot_be_joined_is_refused(tmp_path: Path) -> None:
    one = competition(tmp_path, stores=STORES)
    for flag, error, message in (
        ('joins.stores.on=["shop"]', ConfigError, "need the key 'shop'"),
        ('joins.stores.columns=["sizes"]', ConfigError, "Did you mean 'size'"),
        ('joins.stores.columns=["store"]', ConfigError, "is a key"),
        ("joins.stores.columns=[]", ConfigError, "columns is empty"),
        ('joins.stores.file="../stores.csv"', ConfigError, "a name below data/raw"),
        ('joins.stores.file="shops.csv"', DataError, "shops.csv does not exist"),
    ):
        with pytest.raises(error, match=message):
            Dataset.read(Competition.load(one.root, [flag]))


def test_a_name_that_is_there_already_needs_a_prefix(tmp_path: Path) -> None:
    one = competition(tmp_path, stores=STORES[["store", "size"]])
    STORES.assign(open=1).to_csv(one.raw / "stores.csv", index=False)
    with pytest.raises(ConfigError, match=r"brings 'open', which is there already.*\n.*prefix"):
        Dataset.read(Competition.load(one.root, ['joins.stores.columns=["open"]']))
    prefixed = ['joins.stores.columns=["open"]', 'joins.stores.prefix="of_"']
    assert "of_open" in Dataset.read(Competition.load(one.root, prefixed)).X
    pd.concat([STORES, STORES.head(1)]).to_csv(one.raw / "stores.csv", index=False)
    with pytest.raises(DataError, match=r"one row per store, however 1 row repeats"):
        Dataset.read(one)


def test_keys_that_differ_by_blanks_are_the_same_key(tmp_path: Path) -> None:
    one = competition(tmp_path, stores=STORES)
    with (one.raw / "stores.csv").open("a") as file:
        file.write(" 1,3,b\n")
    with pytest.raises(DataError, match=r"one row per store, however 1 row repeats"):
        Dataset.read(Competition.load(one.root, ['columns.kinds.store="category"']))


def test_keys_are_found_however_they_are_spelled() -> None:
    table = pd.DataFrame({"k": ["1", "2"], "v": [10, 20]})
    frame = pd.DataFrame({"k": [2.0, np.nan, 1.0, 7.0]}, index=[5, 6, 7, 8])
    found = looked_up(table, frame, ["k"])
    assert found["v"].tolist()[0::2] == [20, 10]
    assert found["v"].isna().tolist() == [False, True, False, True]
    assert list(found.index) == [5, 6, 7, 8]


@pytest.mark.parametrize("as_words", [True, False])
def test_of_dates_the_first_and_the_last_are_known(as_words: bool) -> None:
    when = pd.Series(pd.to_datetime(["1970-01-03", "1970-01-11", "1970-01-02", None]))
    when = when.dt.strftime("%d.%m.%Y") if as_words else when
    table = pd.DataFrame({"k": [1, 1, 2, 2], "when": when})
    made = summarised(table, ["k"], ["when"], "").set_index("k")
    assert made["when_min"].tolist() == [2, 1]
    assert made["when_max"].tolist() == [10, 1]
    assert made["when_mean"].tolist() == [6, 1]


def test_summaries() -> None:
    table = pd.DataFrame({"k": [1, 1, 1, 2], "v": [1.0, 3.0, np.nan, 5.0],
                          "w": ["x", "y", "x", None]})  # fmt: skip
    made = summarised(table, ["k"], ["v", "w"], "").set_index("k")
    assert made["rows"].tolist() == [3, 1]
    assert made["v_mean"].tolist() == [2, 5]
    assert made["w_values"].tolist() == [2, 0]
    assert made["w_x"].tolist() == pytest.approx([2 / 3, 0])
    assert made["w_most"][1] == "x"
    assert pd.isna(made["w_most"][2])


def test_summaries_have_shares_of_the_frequent_ones_of_many_levels() -> None:
    levels = [f"d{n:03d}" for n in range(108) for _ in range(108 - n)]
    table = pd.DataFrame({"k": np.arange(len(levels)) % 9, "w": levels})
    table.loc[table["k"] == 8, "w"] = None
    made = summarised(table, ["k"], ["w"], "").set_index("k")
    shown = [name for name in made.columns if name.startswith("w_d")]
    assert shown == [f"w_d{n:03d}" for n in range(60)]  # the most frequent 60
    found = table.assign(hit=table["w"] == "d003").groupby("k")["hit"].mean()
    assert made["w_d003"].tolist() == pytest.approx(found.tolist())
    assert made.loc[8, shown].sum() == 0
    assert "w_most" not in made  # of more than 100 names none is what a key is about


def test_many_columns_leave_no_room_for_shares_of_many_levels() -> None:
    table = pd.DataFrame({"k": np.arange(400) % 40, "w": [f"d{n % 20}" for n in range(400)]})
    numbers = pd.DataFrame(1.0, index=table.index, columns=[f"x{n}" for n in range(36)])
    table = pd.concat([table, numbers], axis=1)
    made = summarised(table, ["k"], [name for name in table if name != "k"], "")
    assert not [name for name in made.columns if name.startswith("w_d")]
