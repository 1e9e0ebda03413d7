"""Keys that a table beside train and test calls otherwise: `file_on` of `[joins]`."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from kit.atomic import sha256
from kit.competition import Competition
from kit.dataset import Dataset
from kit.errors import ConfigError
from kit.joins import Joins
from kit.providers.base import load_provider
from kit.refit.rows import NewRows
from kit.scaffold.facts import Inference
from kit.scaffold.infer import infer
from kit.scaffold.write import create
from kit.settings import ProviderSpec

N, KNOWN = 240, 160  # rows of train and test, of train
RNG = np.random.default_rng(0)
CODES = pd.Series([f"{k * 7919 % 99991:05d}x" for k in range(N)])
NUMBERS = pd.Series(range(1, N + 1))
EVENTS = RNG.integers(0, N, 900)  # the row that each event is of


def write(folder: Path, ids: pd.Series, train: str = "train", **sides: pd.DataFrame) -> Path:
    folder.mkdir(exist_ok=True)
    frame = pd.DataFrame({"id": ids, "age": RNG.gamma(9, 4, N), "spent": RNG.gamma(2, 9, N)})
    frame["shop_id"] = np.arange(N) % 6 + 1
    frame[:KNOWN].to_csv(folder / f"{train}.csv", index=False)
    frame[KNOWN:].drop(columns="spent").to_csv(
        folder / f"{train.replace('train', 'test')}.csv", index=False
    )
    frame.loc[KNOWN:, ["id"]].assign(spent=0.5).to_csv(
        folder / "sample_submission.csv", index=False
    )
    for name, side in sides.items():
        side.to_csv(folder / f"{name}.csv", index=False)
    return folder


def inferred(folder: Path) -> Inference:
    return infer(folder, hints={}, flags={"metric": "mae"})


def sessions(ids: pd.Series, name: str = "user_id") -> pd.DataFrame:
    return pd.DataFrame({name: ids.to_numpy()[EVENTS], "secs": np.arange(900) % 77 + 0.5})


def competition(folder: Path, files: Path) -> Competition:
    spec = ProviderSpec(name="local", source=str(files))
    provider = load_provider("users", spec, folder / "users")
    create(
        folder / "users", provider, spec, flags={"metric": "mae"}, template=None,
        progress=lambda *_: None,
    )  # fmt: skip
    return Competition.load(folder / "users")


def test_rows_of_a_user_are_summed_up_though_the_file_calls_them_otherwise(tmp_path: Path) -> None:
    events = sessions(CODES).assign(id=range(900), spent=7.0)  # its own number, and the target
    events.loc[[3, 5], "user_id"] = None
    one = competition(tmp_path, write(tmp_path / "files", CODES, sessions=events))
    spec = one.settings.joins["sessions"]
    assert (spec.on, spec.file_on, spec.columns) == (("id",), ("user_id",), ("secs",))
    assert spec.summarised
    data = Dataset.read(one)
    for X, ids in ((data.X, CODES[:KNOWN]), (data.X_test, CODES[KNOWN:])):
        means = events.groupby("user_id")["secs"].mean().reindex(ids)
        np.testing.assert_allclose(X["sessions_secs_mean"], means, rtol=1e-6)
    assert not [name for name in data.X if "spent" in name]
    reader = NewRows(one)  # of `kit predict`, whose bundle has the table as it is joined
    reader.joins.save(tmp_path)
    (one.raw / "sessions.csv").unlink()
    joins = Joins(one, prepared=tmp_path)
    ((_, X),) = NewRows(one, reader.format, joins=joins).read(one.raw / "test.csv", 1000)
    pd.testing.assert_frame_equal(X, data.X_test)


def test_numbers_that_happen_to_be_ids_are_no_key(tmp_path: Path) -> None:
    found = inferred(write(tmp_path, NUMBERS, sessions=sessions(NUMBERS, "product_id")))
    assert found.get("joins.sessions.on") is None
    assert any("Not used: sessions.csv" in text for text in found.questions)


def test_numbers_are_a_key_where_the_names_match(tmp_path: Path) -> None:
    found = inferred(write(tmp_path, NUMBERS, "train_users_2", sessions=sessions(NUMBERS)))
    assert found.get("joins.sessions.on") == ["id"]
    assert found.get("joins.sessions.file_on") == ["user_id"]
    other = sessions(NUMBERS, "product_id")
    found = inferred(write(tmp_path, NUMBERS, "train_users_2", sessions=other))
    assert found.get("joins.sessions.on") is None


def test_the_id_of_a_table_of_shops_is_the_shop_of_a_row(tmp_path: Path) -> None:
    sizes = pd.DataFrame({"id": range(1, 7), "size": [9.5, 8, 7, 6, 5, 4]})
    files = write(tmp_path / "files", CODES, shops=sizes, towns=sizes.assign(mayor=1.5))
    one = competition(tmp_path, files)
    assert list(one.settings.joins) == ["shops"]  # towns' numbers are in 1 to 6 by chance
    assert one.settings.joins["shops"].file_on == ("id",)
    data = Dataset.read(one)
    np.testing.assert_array_equal(data.X["size"], [sizes["size"][k % 6] for k in range(KNOWN)])


@pytest.mark.parametrize("rows", [slice(0, KNOWN), slice(0, 0)])
def test_rows_of_train_alone_are_not_joined(tmp_path: Path, rows: slice) -> None:
    side = sessions(CODES)
    kept = side[side["user_id"].isin(CODES[rows])]
    assert inferred(write(tmp_path, CODES, sessions=kept)).get("joins.sessions.on") is None


@pytest.mark.parametrize("known", [240, 100])
def test_a_calendar_may_call_the_date_otherwise(tmp_path: Path, known: int) -> None:
    """Holidays by the date of a visit; one that ends before test is none."""
    days = pd.Series(pd.date_range("2016-01-01", periods=N).strftime("%Y-%m-%d"))
    calendar = pd.DataFrame(
        {"calendar_date": days[:known], "holiday": (np.arange(N) % 7 == 0)[:known]}
    )
    files = write(tmp_path / "files", NUMBERS, date_info=calendar)
    for name, rows in (("train", slice(KNOWN)), ("test", slice(KNOWN, None))):
        frame = pd.read_csv(files / f"{name}.csv").assign(visit_date=days[rows].to_numpy())
        frame.to_csv(files / f"{name}.csv", index=False)
    if known < N:
        assert inferred(files).get("joins.date_info.on") is None
        return
    one = competition(tmp_path, files)
    spec = one.settings.joins["date_info"]
    assert (spec.on, spec.file_on, spec.columns) == (
        ("visit_date",),
        ("calendar_date",),
        ("holiday",),
    )
    data = Dataset.read(one)
    found = pd.concat([data.X["holiday"], data.X_test["holiday"]]).astype("str")
    assert found.tolist() == calendar["holiday"].astype("str").tolist()


def test_what_train_and_test_do_not_know_is_no_key(tmp_path: Path) -> None:
    side = sessions(CODES)
    side.loc[::8, "user_id"] = "nobody"
    assert inferred(write(tmp_path, CODES, sessions=side)).get("joins.sessions.on") is None


def test_two_columns_that_may_be_the_key_are_left_alone(tmp_path: Path) -> None:
    side = sessions(CODES).assign(friend_id=CODES.to_numpy()[EVENTS[::-1]])
    assert inferred(write(tmp_path, CODES, sessions=side)).get("joins.sessions.on") is None


def test_contradictions_are_refused(tmp_path: Path) -> None:
    one = competition(tmp_path, write(tmp_path / "files", CODES, sessions=sessions(CODES)))
    for flag, message in (
        ('file_on=["user_id", "secs"]', "one column of the file for each of joins.sessions.on"),
        ('file_on=["secs"]', "'secs' is a key; take it out of columns"),
        ('file_on=["users_id"]', "joins.sessions.file_on: sessions.csv has no 'users_id'"),
    ):
        with pytest.raises(ConfigError, match=message):
            Dataset.read(Competition.load(one.root, [f"joins.sessions.{flag}"]))


def test_digests_without_it_are_what_they_were(tmp_path: Path) -> None:
    sides = {"sessions": sessions(CODES, "id")}
    one = competition(tmp_path, write(tmp_path / "files", CODES, **sides))
    told = {
        "columns": ["secs"], "file": ["sessions.csv"], "on": ["id"], "prefix": "sessions_",
        "summarised": True,
    }  # fmt: skip
    text = "\n".join(
        [json.dumps({"sessions": told}, sort_keys=True), sha256(one.raw / "sessions.csv")]
    )
    assert Joins(one).digest() == hashlib.sha256(text.encode()).hexdigest()
    again = Competition.load(one.root, ['joins.sessions.file_on=["id"]'])
    assert Joins(again).digest() != Joins(one).digest()
