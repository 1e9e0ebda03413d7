"""The data of a competition: read, checked, typed, hashed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from kit.competition import Competition
from kit.dataset import Dataset
from kit.errors import ConfigError, DataError, UserCodeError

Make = Callable[..., Competition]


def train(**columns: Any) -> pd.DataFrame:
    base = {"id": ["a", "b", "c", "d"], "x": [1.0, 2.0, 3.0, 4.0], "y": [0, 1, 0, 1]}
    return pd.DataFrame({**base, **columns})


def hidden(**columns: Any) -> pd.DataFrame:
    return pd.DataFrame({"id": ["p", "q"], "x": [5.0, None], **columns})


@pytest.fixture
def read(make_competition: Make) -> Callable[..., Dataset]:
    def make(frame: pd.DataFrame, other: pd.DataFrame, **tables: Any) -> Dataset:
        return Dataset.read(make_competition(frame, other, **tables))

    return make


Read = Callable[..., Dataset]


def test_features_target_and_ids_are_apart(read: Read) -> None:
    data = read(train(), hidden())
    assert list(data.X.columns) == list(data.X_test.columns) == ["x"]
    assert data.y.tolist() == [0, 1, 0, 1]
    assert data.y.dtype == np.int64
    assert data.ids.tolist() == ["a", "b", "c", "d"]
    assert data.test_ids.tolist() == ["p", "q"]
    assert (data.outputs, data.classes) == (("",), ("0", "1"))


def test_class_codes_follow_the_order_of_kit_toml(read: Read) -> None:
    tables = {"task": {"type": "binary", "metric": "roc_auc", "classes": ["yes", "no"]}}
    data = read(train(y=["no", " yes ", "no", "yes"]), hidden(), **tables)
    assert data.y.tolist() == [1, 0, 1, 0]


def test_labels_that_look_missing_are_labels(read: Read) -> None:
    tables = {"task": {"classes": ["NA", "None"]}}
    assert read(train(y=["NA", "None", "NA", "NA"]), hidden(), **tables).y.tolist() == [0, 1, 0, 0]


def test_a_regression_target_is_a_float_vector(read: Read) -> None:
    tables = {"task": {"type": "regression", "metric": "rmse", "classes": []}}
    data = read(train(y=[1, 2, 3, 4]), hidden(), **tables)
    assert (data.y.dtype, data.y.shape, data.outputs) == (np.float64, (4,), ("",))


def test_several_targets_are_a_matrix_and_its_names_the_outputs(read: Read) -> None:
    tables = {
        "columns": {"target": ["y", "z"]},
        "task": {"type": "multilabel", "metric": "roc_auc", "classes": []},
        "submission": {"columns": ["y", "z"]},
    }
    data = read(train(z=["True", "false", "TRUE", "False"]), hidden(), **tables)
    assert data.y.tolist() == [[0, 1], [1, 0], [0, 1], [1, 0]]
    assert data.outputs == ("y", "z")


@pytest.mark.parametrize(
    ("frame", "task", "message"),
    [
        (train(y=[None] * 4), {}, r"no training row has a target: 'y' is missing in all"),
        (train(y=["0", "1", "2", "1"]), {}, r"does not list: '2'"),
        (train(y=[1, 1, 1, 1]), {}, r"one class only \('1'\)"),
        (
            train(y=[0, 1, 2, 1]),
            {"type": "multiclass", "metric": "log_loss", "classes": ["0", "1", "2", "3"]},
            r"lists \['3'\], which the target 'y' never takes",
        ),
        (
            train(y=["low", "1", "2", "3"]),
            {"type": "regression", "metric": "rmse", "classes": []},
            r"'y' is not a number everywhere: 'low'",
        ),
        (
            train(y=[1.0, np.inf, 2.0, 3.0]),
            {"type": "regression", "metric": "rmse", "classes": []},
            r"infinite",
        ),
        (
            train(y=[5, 5, 5, 5]),
            {"type": "regression", "metric": "rmse", "classes": []},
            r"one value only: 5",
        ),
    ],
)
def test_a_target_that_cannot_be_learnt_is_refused(
    read: Read, frame: pd.DataFrame, task: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        read(frame, hidden(), task=task)


def test_ids_lose_blanks_and_stay_strings(read: Read) -> None:
    data = read(train(id=[" 007", "08 ", "9", "1e3"]), hidden())
    assert data.ids.tolist() == ["007", "08", "9", "1e3"]


def test_rows_are_numbered_where_there_is_no_id(read: Read) -> None:
    columns = {"id": "", "test_id": "id"}
    data = read(train().drop(columns="id"), hidden(), columns=columns)
    assert data.ids.tolist() == ["0", "1", "2", "3"]
    assert data.test_ids.tolist() == ["p", "q"]


def test_test_rows_without_ids_are_those_of_the_sample_submission(read: Read) -> None:
    sample = pd.DataFrame({"id": ["s1", "s2"], "y": 0})
    data = read(train(), hidden().drop(columns="id"), sample=sample, columns={"test_id": ""})
    assert data.test_ids.tolist() == ["s1", "s2"]


def test_a_sample_of_another_length_is_refused(read: Read) -> None:
    sample = pd.DataFrame({"id": ["s1"], "y": 0})
    with pytest.raises(DataError, match="its 2 rows must be those of"):
        read(train(), hidden().drop(columns="id"), sample=sample, columns={"test_id": ""})


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"target": ["z"]}, "columns.target 'z' is not in train.csv"),
        ({"id": "key"}, "columns.id 'key' is not in train.csv"),
        ({"group": "g"}, "columns.group 'g'"),
        ({"time": "t"}, "columns.time 't'"),
        ({"drop": ["xx"]}, r"columns.drop: no 'xx'. Did you mean 'x'\? Known: id, x, y\."),
        ({"kinds": {"xx": "text"}}, r"columns.kinds: no 'xx'. Did you mean 'x'\?"),
        ({"test_id": "key"}, "'key' is not in test.csv; set columns.test_id"),
    ],
)
def test_a_column_that_is_nowhere_is_refused(
    read: Read, columns: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        read(train(), hidden(), columns=columns)


def test_a_column_that_test_lacks_must_be_dropped(read: Read) -> None:
    frame = train(extra=[1, 2, 3, 4])
    with pytest.raises(DataError, match=r"test.csv lacks.*\['extra'\](.|\n)*columns.drop"):
        read(frame, hidden())
    assert list(read(frame, hidden(), columns={"drop": ["extra"]}).X.columns) == ["x"]


def test_a_column_that_only_test_has_is_ignored(read: Read) -> None:
    assert list(read(train(), hidden(extra=[1, 2])).X_test.columns) == ["x"]


def test_roles_and_ids_are_no_features_unless_they_have_a_kind(read: Read) -> None:
    frame = train(g=["u", "u", "v", "v"], when=["2024-01-01", "2024-01-02"] * 2, k=["1"] * 4)
    other = hidden(g=["u", "w"], when=["2024-02-01", "2024-02-02"], k=["1", "2"])
    roles = {"group": "g", "time": "when", "kinds": {"k": "id"}}
    data = read(frame, other, columns=roles)
    assert list(data.X.columns) == ["x"]
    assert data.groups is not None
    assert data.groups.tolist() == ["u", "u", "v", "v"]
    assert data.time is not None
    assert data.time.dtype.kind == "M"
    roles["kinds"] = {"k": "id", "when": "datetime"}
    assert list(read(frame, other, columns=roles).X.columns) == ["x", "when"]


def test_categories_share_their_spelling_between_train_and_test(read: Read) -> None:
    data = read(train(c=["u", "v", None, "u"]), hidden(c=["w", "u"]))
    assert data.kinds == {"x": "numeric", "c": "category"}
    assert list(data.X["c"].cat.categories) == ["u", "v", "w"]
    assert data.X["c"].dtype == data.X_test["c"].dtype
    assert data.X["c"].isna().tolist() == [False, False, True, False]


def test_features_see_neither_target_nor_dropped_columns(make_competition: Make) -> None:
    source = "def features(df):\n    df['n'] = len(df.columns)\n    return df\n"
    frame = train(extra=[1, 2, 3, 4])
    competition = make_competition(
        frame, hidden(), code={"features.py": source}, columns={"drop": ["extra"]}
    )
    data = Dataset.read(competition)
    assert list(data.X.columns) == ["x", "n"]
    assert set(data.X["n"]) == {2}  # id and x
    assert set(data.X_test["n"]) == {2}


def test_a_column_that_features_make_may_have_a_kind(make_competition: Make) -> None:
    source = "def features(df):\n    df['made'] = 'a'\n    return df\n"
    kinds = {"kinds": {"made": "text"}}
    competition = make_competition(train(), hidden(), code={"features.py": source}, columns=kinds)
    assert Dataset.read(competition).kinds["made"] == "text"


def test_features_cannot_change_what_kit_has_read(make_competition: Make) -> None:
    source = "def features(df):\n    df['x'] = 0.0\n    df['id'] = 'same'\n    return df\n"
    data = Dataset.read(make_competition(train(), hidden(), code={"features.py": source}))
    assert data.ids.tolist() == ["a", "b", "c", "d"]
    assert data.X["x"].tolist() == [0.0] * 4


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ("return df['nope']", UserCodeError),
        ("return df[::-1]", DataError),
        ("return None", DataError),
        ("return df.assign(z=1) if 'a' in set(df['id']) else df", DataError),
    ],
)
def test_features_that_break_the_contract_are_refused(
    make_competition: Make, body: str, error: type[Exception]
) -> None:
    code = {"features.py": f"def features(df):\n    {body}\n"}
    with pytest.raises(error):
        Dataset.read(make_competition(train(), hidden(), code=code))


def test_no_feature_at_all_is_refused(read: Read) -> None:
    with pytest.raises(DataError, match="no feature column is left"):
        read(train(), hidden(), columns={"drop": ["x"]})


def test_digests_change_with_what_they_are_of(make_competition: Make) -> None:
    def digests(frame: pd.DataFrame, source: str = "", **tables: Any) -> tuple[str, str]:
        code = {"features.py": source} if source else {}
        found = Dataset.read(make_competition(frame, hidden(), code=code, **tables)).digests
        return found["data"], found["features"]

    base = digests(train())
    assert digests(train()) == base
    assert digests(train(), cv={"n_splits": 2}) == base
    other = digests(train(x=[1.0, 2.0, 3.0, 4.5]))
    kinds = digests(train(), columns={"kinds": {"x": "category"}})
    classes = digests(train(), task={"classes": ["1", "0"]})
    assert len({base[0], other[0], kinds[0], classes[0]}) == 4
    assert {other[1], kinds[1], classes[1]} == {base[1]}
    coded = digests(train(), "def features(df):\n    return df\n")
    assert coded[0] == base[0]
    assert coded[1] != base[1]


@pytest.mark.parametrize("name", ["id", "customer"])
def test_ids_of_test_lose_blanks_as_those_of_train(read: Read, name: str) -> None:
    spelled = [" 007", "1e3  "]
    other = hidden(id=spelled).rename(columns={"id": name})
    sample = pd.DataFrame({"id": spelled, "y": 0})
    data = read(train(id=[*spelled, "c", "d"]), other, sample=sample, columns={"test_id": name})
    assert data.test_ids.tolist() == data.ids[:2].tolist() == ["007", "1e3"]


def test_ids_of_the_sample_submission_lose_blanks_where_test_has_none(read: Read) -> None:
    sample = pd.DataFrame({"id": [" 007", "1e3  "], "y": 0})
    data = read(train(), hidden().drop(columns="id"), sample=sample, columns={"test_id": ""})
    assert data.test_ids.tolist() == ["007", "1e3"]


@pytest.mark.parametrize("spelled", [["p", " p "], ["007", "007  "]])
def test_ids_of_test_that_differ_by_blanks_only_are_refused(read: Read, spelled: list[str]) -> None:
    with pytest.raises(DataError, match=r"test\.csv: ids must be unique"):
        read(train(), hidden(id=spelled))
