"""What `kit new` makes of files as well-known competitions handed them out, in small."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from kit.competition import Competition
from kit.dataset import Dataset
from kit.errors import ConfigError
from kit.moments import datetime_format
from kit.providers.local import LocalProvider
from kit.quantities import written
from kit.scaffold.infer import Inference, infer
from kit.scaffold.kinds import guess_kind
from kit.scaffold.made import make_row_tables
from kit.scaffold.write import create
from kit.settings import ProviderSpec

N, N_TEST = 80, 40
RNG = np.random.default_rng(0)
IDS, TEST_IDS = np.arange(1, N + 1), np.arange(101, 101 + N_TEST)
X, X_TEST = RNG.normal(size=N), RNG.normal(size=N_TEST)
RARE = (np.arange(N) % 10 == 0).astype(int)


def run(raw: Path, flags: dict[str, Any] | None = None, **tables: Any) -> Inference:
    for name, columns in tables.items():
        pd.DataFrame(columns).to_csv(raw / f"{name}.csv", index=False)
    return infer(raw, hints={}, flags=flags or {})


def plain(target: Any, sample: Any, **called: str) -> dict[str, Any]:
    """Ordinary files; `called` are other names of the tables."""
    tables = {
        "train": {"id": IDS, "x": X, "y": target},
        "test": {"id": TEST_IDS, "x": X_TEST},
        "sample_submission": {"id": TEST_IDS, "y": sample},
    }
    return {called.get(name, name): table for name, table in tables.items()}


def asks(inference: Inference, word: str) -> bool:
    return any(word in question for question in inference.questions)


def made(tmp_path: Path, raw: Path) -> tuple[Inference, Competition]:
    spec = ProviderSpec(name="local", source=str(raw))
    root = tmp_path / "made"
    provider = LocalProvider("made", spec, root)
    found = create(root, provider, spec, flags={}, template=None, progress=lambda *_: None)
    return found, Competition.load(root)


# --- what is wanted -------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [0, 1])
def test_a_rare_class_and_one_value_everywhere_mean_probability(tmp_path: Path, value: int) -> None:
    found = run(tmp_path, **plain(RARE, value))
    assert found.get("submission.wants") == "probability"
    assert found.get("task.metric") == "roc_auc"
    assert asks(found, "--submission label")


def test_classes_of_equal_size_and_one_value_everywhere_mean_labels(tmp_path: Path) -> None:
    assert run(tmp_path, **plain(IDS % 2, 0)).get("submission.wants") == "label"


@pytest.mark.parametrize(("name", "wants"), [("Probability", "probability"), ("problem", "label")])
def test_a_column_called_probability_wants_one(tmp_path: Path, name: str, wants: str) -> None:
    tables = plain(IDS % 2, 0)
    tables["sample_submission"] = {"id": TEST_IDS, name: 0}
    assert run(tmp_path, **tables).get("submission.wants") == wants


def test_lists_of_numbers_are_ranked_classes(tmp_path: Path) -> None:
    found = run(tmp_path, **plain(IDS % 25 + 1000, "1003 1001 1024"))
    assert found.get("task.type") == "multiclass"
    assert found.get("submission.top") == 3
    assert found.get("task.metric") == "map_at_3"


@pytest.mark.parametrize(
    ("target", "cell"),
    [
        ([36363, 53586, 18807, 64314] * 20, "36363 7 9 11 60181"),  # numbers that train may lack
        (["w_1", "w_2", "w_3", "w_4"] * 20, "w_1 w_2 w_3 w_gone w_4"),
    ],
)
def test_lists_of_labels_that_train_partly_lacks_are_ranked_classes(
    tmp_path: Path, target: list[Any], cell: str
) -> None:
    found = run(tmp_path, **plain(target, cell))
    assert (found.get("task.type"), found.get("submission.top")) == ("multiclass", 5)
    assert found.get("task.metric") == "map_at_5"


def test_sentences_that_hold_a_class_are_no_lists(tmp_path: Path) -> None:
    found = run(tmp_path, **plain(["good", "bad"] * 40, "good until somebody says more"))
    assert found.get("submission.top") is None


def test_whole_numbers_called_like_an_id_are_classes(tmp_path: Path) -> None:
    tables = plain(0, 0)
    tables["train"]["hotel_id"] = [k % 30 * 977 for k in range(N)]
    del tables["train"]["y"]
    tables["sample_submission"] = {"id": TEST_IDS, "hotel_id": 0}
    found = run(tmp_path, **tables)
    assert found.get("task.type") == "multiclass"
    assert asks(found, "--task regression")


def test_objects_in_images_are_said_to_be_no_matter_of_kit(tmp_path: Path) -> None:
    tables = plain(X, 0)
    tables["sample_submission"] = {"id": TEST_IDS, "PredictionString": "1.0 0 0 50 50"}
    with pytest.raises(ConfigError, match=r"objects in each image .*'1\.0 0 0 50 50'"):
        run(tmp_path, **tables)


def test_a_placeholder_does_not_number_classes_anew(tmp_path: Path) -> None:
    found = run(tmp_path, **plain(IDS % 4 + 1, 0))
    assert found.get("task.type") == "multiclass"
    assert found.get("submission.labels") is None
    tables = plain(IDS % 4 + 1, np.arange(N_TEST) % 4)
    assert run(tmp_path, **tables).get("submission.labels") == ["0", "1", "2", "3"]


@pytest.mark.parametrize(
    ("name", "target", "metric"),
    [
        ("quality", IDS % 5 + 3, "quadratic_kappa"),
        ("Cover_Type", IDS % 5 + 3, "accuracy"),
        ("quality", IDS % 5 * 10, "accuracy"),  # not one after the other
    ],
)
def test_grades_are_scored_by_their_distance(
    tmp_path: Path, name: str, target: Any, metric: str
) -> None:
    tables = plain(target, 0)
    tables["train"][name] = tables["train"].pop("y")
    tables["sample_submission"] = {"id": TEST_IDS, name: int(target[0])}
    assert run(tmp_path, **tables).get("task.metric") == metric


# --- which column, which table --------------------------------------------------------------------


def test_a_target_left_blank_in_test_is_found(tmp_path: Path) -> None:
    tables = plain(RARE, 0.5)
    tables["test"]["y"] = np.nan
    tables["sample_submission"] = {"id": TEST_IDS, "Probability": 0.5}
    found = run(tmp_path, **tables)
    assert found.get("columns.target") == "y"
    assert found.get("columns.drop") == []


def test_a_column_that_is_empty_in_test_is_dropped(tmp_path: Path) -> None:
    tables = plain(RARE, 0.5)
    tables["train"]["booked"] = [f"2014-01-{k % 27 + 1:02d}" if k % 3 else None for k in range(N)]
    tables["train"]["seldom"] = [1.0 if k == 5 else None for k in range(N)]  # none by chance
    tables["test"] |= {"booked": np.nan, "seldom": np.nan}
    found = run(tmp_path, **tables)
    assert found.get("columns.drop") == ["booked"]
    assert found.get("columns.kinds.booked") is None


def test_how_sure_the_target_is_is_no_target(tmp_path: Path) -> None:
    tables = plain(IDS % 4, 1)
    tables["train"] |= {"median_relevance": IDS % 4, "relevance_variance": X}
    del tables["train"]["y"]
    tables["sample_submission"] = {"id": TEST_IDS, "prediction": 1}
    assert run(tmp_path, **tables).get("columns.target") == "median_relevance"


def test_a_class_that_train_lacks_may_have_a_column_with_the_others_prefix(tmp_path: Path) -> None:
    tables = plain(np.where(IDS % 2, 15, 16), 0)
    columns = {f"class_{k}": 0 for k in (15, 16, 199)}
    tables["sample_submission"] = {"id": TEST_IDS, **columns}
    found = run(tmp_path, **tables)
    assert found.get("submission.classes") == ["15", "16", ""]
    assert asks(found, "no row of train is of the class of 'class_199'")


def test_a_predicted_score_is_the_one_score(tmp_path: Path) -> None:
    tables = plain(IDS % 4, 1)
    tables["train"] |= {"rater1_domain1": IDS % 3, "domain1_score": IDS % 4}
    del tables["train"]["y"]
    tables["sample_submission"] = {"id": TEST_IDS, "predicted_score": 1}
    assert run(tmp_path, **tables).get("columns.target") == "domain1_score"


def test_test_is_found_by_its_columns_where_no_table_is_called_so(tmp_path: Path) -> None:
    towns = {"x": [1, 2], "town": ["a", "b"]}  # shares a column with train, and little else
    found = run(tmp_path, **plain(RARE, 0.5, test="unlabelled"), towns=towns)
    assert found.get("files.test") == "unlabelled.csv"


def test_of_several_tables_train_has_what_no_test_table_has(tmp_path: Path) -> None:
    """Readings of many moments beside facts of things; only the facts of train have the class."""
    readings = [{"thing": np.repeat(ids, 3), "v": 1.0} for ids in (IDS, TEST_IDS)]
    found = run(
        tmp_path,
        training_set=readings[0],
        test_set=readings[1],
        training_set_metadata={"thing": IDS, "x": X, "target": RARE},
        test_set_metadata={"thing": TEST_IDS, "x": X_TEST},
        sample_submission={"thing": TEST_IDS, "prediction": 0.5},
    )
    assert found.get("files.train") == "training_set_metadata.csv"
    assert found.get("files.test") == "test_set_metadata.csv"
    assert found.get("columns.target") == "target"
    assert found.get("joins.set.file") == ["test_set.csv", "training_set.csv"]


# --- columns --------------------------------------------------------------------------------------


def test_names_of_images_that_are_not_there_are_names(tmp_path: Path) -> None:
    def addresses(ids: Any) -> list[str]:
        return [f"https://a.example/{k}_{k % 3}.jpg" for k in ids]

    tables = plain(RARE, 0.5)
    tables["train"]["photo"] = addresses(IDS)
    tables["test"]["photo"] = addresses(TEST_IDS)
    found = run(tmp_path, **tables)
    assert found.get("columns.kinds.photo") not in ("image", None)
    assert found.template != "image"
    assert asks(found, "none below data/raw")


def test_images_of_other_things_make_no_images_of_names(tmp_path: Path) -> None:
    """A few examples lie beside addresses, one or a list of them in a cell."""
    for name, ids in (("train", IDS), ("test", TEST_IDS)):
        rows = [
            {
                "id": int(k),
                "photo": f"https://a.example/{k}_{k % 3}.jpg",
                "photos": [f"https://a.example/{k}_{j}.jpg" for j in range(k % 4)],
                "x": int(k) % 7,
                **({"y": int(k) % 10 == 0} if name == "train" else {}),
            }
            for k in ids
        ]
        (tmp_path / f"{name}.json").write_text(json.dumps(rows))
    (tmp_path / "examples").mkdir()
    (tmp_path / "examples" / "7170_0.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    found = run(tmp_path, sample_submission={"id": TEST_IDS, "y": 0.5})
    assert found.get("columns.kinds.photos") == "text"
    assert found.get("columns.kinds.photo") not in ("image", None)
    assert found.template != "image"
    assert asks(found, "'photo' names images, however of these there are none below data/raw")


@pytest.mark.parametrize("mark", ["unknown", "N/A", "-"])
def test_a_column_of_marks_for_missing_ones_is_read(mark: str) -> None:
    assert guess_kind(pd.Series([mark] * 20, dtype="str")).kind == "category"
    assert written(pd.Series([], dtype="str")).shape == (0, 2)


@pytest.mark.parametrize(
    ("dates", "format_"),
    [
        (["04SEP12:00:00:00", "30JAN09:13:05:00", "12FEB10:00:00:00"], "%d%b%y:%H:%M:%S"),
        (["04SEP2012", "30JAN2009", "12FEB2010"], "%d%b%Y"),
        (["04SEQ2012", "30JAM2009", "12FEB2010"], None),
    ],
)
def test_dates_as_sas_writes_them(dates: list[str], format_: str | None) -> None:
    assert datetime_format(pd.Series(dates * 20, dtype="str")) == format_


def test_json_records_with_a_field_that_is_never_known(tmp_path: Path) -> None:
    for name, ids in (("train", IDS), ("test", TEST_IDS)):
        rows = [{"id": f"t{k}", "giver": "N/A", "votes": int(k) % 7} for k in ids]
        if name == "train":
            rows = [{**row, "got": bool(k % 2)} for k, row in enumerate(rows)]
        (tmp_path / f"{name}.json").write_text(json.dumps(rows))
    found = run(tmp_path, sample_submission={"id": [f"t{k}" for k in TEST_IDS], "got": 0})
    assert found.get("columns.target") == "got"


def test_names_of_labels_in_json_are_no_table(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    (raw / "label_num_to_disease_map.json").write_text('{"0": "Blight", "1": "Healthy"}')
    run(raw, **plain(RARE, 0.5))
    inference, _ = made(tmp_path, raw)
    assert inference.get("files.test") == "test.csv"


def test_texts_that_may_be_tables_are_named_where_a_table_is_missing(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    (raw / "essential_data").mkdir(parents=True)
    (raw / "essential_data" / "labels_test_hidden.txt").write_text("rec_id,[labels]\n0,?\n1,3,7\n")
    (raw / "README.txt").write_text("Read me")
    sample = pd.DataFrame({"Id": [0, 1, 100, 101], "Probability": 0})
    sample.to_csv(raw / "sample_submission.csv", index=False)
    with pytest.raises(ConfigError, match=r"used: essential_data/labels_test_hidden\.txt\. What"):
        made(tmp_path, raw)


def test_a_train_table_of_json_without_records_says_what_to_do(tmp_path: Path) -> None:
    tables = plain(RARE, 0.5)
    del tables["train"]
    (tmp_path / "train.json").write_text('{"rows": [{"id": 1}], "names": [1, 2]}')
    with pytest.raises(ConfigError, match=r"Not used: train\.json\. What is a table"):
        run(tmp_path, **tables)


def test_two_times_in_train_are_too_few_to_look_ahead(tmp_path: Path) -> None:
    tables = plain(X, 0.5)
    tables["train"]["day"] = np.where(IDS % 2, "2017-03-27", "2017-03-28")
    tables["test"]["day"] = "2017-04-15"
    found = run(tmp_path, **tables)
    assert (found.get("cv.splitter"), found.get("columns.time")) == ("kfold", None)
    assert asks(found, "too few for folds that look ahead")


# --- rows -----------------------------------------------------------------------------------------


def test_several_rows_for_each_id_are_summed_up(tmp_path: Path) -> None:
    """Items of visits to a shop: a class per visit, a row per item."""
    raw = tmp_path / "raw"
    raw.mkdir()
    visits, test_visits = np.repeat(IDS, 3), np.repeat(TEST_IDS, 3)
    tables = {
        "train": {"Type": visits % 3, "Visit": visits, "x": RNG.normal(size=3 * N)},
        "test": {"Visit": test_visits, "x": RNG.normal(size=3 * N_TEST)},
        "sample_submission": {"Visit": TEST_IDS, **{f"Type_{k}": 0 for k in range(3)}},
    }
    for name, columns in tables.items():
        pd.DataFrame(columns).to_csv(raw / f"{name}.csv", index=False)
    found, competition = made(tmp_path, raw)
    assert asks(found, "kit wrote answers_per_id.csv")
    data = Dataset.read(competition)
    assert (len(data.X), len(data.X_test)) == (N, N_TEST)
    assert len(data.X.columns) == 5  # how many, and mean, deviation, least and most of x
    assert not [name for name in data.X.columns if "Type" in name]


def test_an_answer_that_differs_within_an_id_is_a_row_of_its_own(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    visits, test_visits = np.repeat(IDS, 3), np.repeat(TEST_IDS, 3)
    tables = {
        "train": {"Type": np.arange(3 * N) % 3, "Visit": visits, "x": 1.5},
        "test": {"Visit": test_visits, "x": 1.5},
        "sample_submission": {"Visit": TEST_IDS, **{f"Type_{k}": 0 for k in range(3)}},
    }
    for name, columns in tables.items():
        pd.DataFrame(columns).to_csv(raw / f"{name}.csv", index=False)
    found, _ = made(tmp_path, raw)
    assert found.get("files.train") == "train.csv"


def test_one_file_of_all_rows_is_cut(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    hidden = np.arange(N) % 4 == 1
    shots = pd.DataFrame({"x": X, "made": np.where(hidden, np.nan, IDS % 2), "shot": IDS})
    shots.to_csv(raw / "data.csv", index=False)
    sample = pd.DataFrame({"shot": IDS[hidden], "made": 0.5})
    sample.to_csv(raw / "sample_submission.csv", index=False)
    found, competition = made(tmp_path, raw)
    assert asks(found, "data.csv holds both")
    assert not asks(found, "--train data.csv")
    data = Dataset.read(competition)
    assert (len(data.X), len(data.X_test)) == ((~hidden).sum(), hidden.sum())
    assert found.get("columns.id") == "shot"
    assert found.get("task.type") == "binary"


def test_a_table_too_large_to_be_read_whole_is_not_read_for_its_days(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    visits = pd.DataFrame({"shop": "air", "day": ["2017-01-01", "2017-01-02"], "visitors": [3, 4]})
    visits.to_csv(tmp_path / "visits.csv", index=False)
    sample = pd.DataFrame({"id": ["air_2017-01-03"], "visitors": [0]})
    sample.to_csv(tmp_path / "sample_submission.csv", index=False)
    monkeypatch.setattr("kit.scaffold.made.MOST_CELLS", 1)
    assert make_row_tables(tmp_path) == ""
    assert not (tmp_path / "test.csv").exists()
    monkeypatch.setattr("kit.scaffold.made.MOST_CELLS", 10**6)
    assert "kit wrote test.csv" in make_row_tables(tmp_path)


@pytest.mark.parametrize("made_of", ["{shop}_{day}", "{day}_{shop}", "{area}_{shop}_{day}"])
def test_days_that_only_ids_name_become_test(tmp_path: Path, made_of: str) -> None:
    """Visitors per shop and day; of the days to come there are ids and no table."""
    raw = tmp_path / "raw"
    raw.mkdir()
    days = pd.date_range("2017-01-01", periods=80).strftime("%Y-%m-%d")
    two = "area" in made_of
    shops = [(f"air_{k % (2 if two else 4)}", k // 2) for k in range(4)]
    rows = pd.DataFrame([(*shop, day) for day in days for shop in shops],
                        columns=["air_store_id", "area", "visit_date"])  # fmt: skip
    rows["visitors"] = np.arange(len(rows)) * 7 % 101
    rows[:240].to_csv(raw / "air_visit_data.csv", index=False)
    later = rows[240:]
    ids = [made_of.format(shop=s, area=a, day=d) for s, a, d, _ in later.itertuples(index=False)]
    pd.DataFrame({"id": ids, "visitors": 0}).to_csv(raw / "sample_submission.csv", index=False)
    pd.DataFrame({"calendar_date": days, "holiday": 0}).to_csv(raw / "date_info.csv", index=False)
    found, competition = made(tmp_path, raw)
    assert asks(found, "kit wrote test.csv: the ids of sample_submission.csv are made of")
    assert found.get("columns.test_id") == "id"
    assert {*found.get("series.id")} == ({"air_store_id", "area"} if two else {"air_store_id"})
    data = Dataset.read(competition)
    assert data.test_ids.tolist() == ids
    assert data.X_test["air_store_id"].astype("str").tolist() == later["air_store_id"].tolist()


# --- files beside ---------------------------------------------------------------------------------


def test_files_that_nobody_looks_at_are_said(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    for k in range(12):
        folder = raw / "train" / str(k)
        folder.mkdir(parents=True)
        (folder / "geometry.xyz").write_text("atom 0 0 0")
    pd.DataFrame({"v": [1]}).to_parquet(raw / "train" / "1" / "book.parquet")
    for name, columns in plain(RARE, 0.5).items():
        pd.DataFrame(columns).to_csv(raw / f"{name}.csv", index=False)
    found, _ = made(tmp_path, raw)
    assert asks(found, "12 files (.xyz), 1 tables more than one folder down")


def test_archives_that_kit_cannot_unpack_are_said(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    (raw / "train.csv.7z").write_bytes(b"7z")
    with pytest.raises(ConfigError, match=r"(?s)holds no table.*1 files \(\.7z\)"):
        made(tmp_path, raw)


def test_any_submission_is_an_example_where_none_is_called_so(tmp_path: Path) -> None:
    found = run(tmp_path, **plain(RARE, 0.5, sample_submission="all_zeros_submission"))
    assert found.get("files.sample_submission") == "all_zeros_submission.csv"


@pytest.mark.parametrize("called", ["benchmark", "random_forest"])
def test_a_submission_of_any_name_is_found_by_its_rows(tmp_path: Path, called: str) -> None:
    other = {"id": IDS[:N_TEST], "y": 0.5}  # for rows of a validation set
    found = run(tmp_path, **plain(X, 0.5, sample_submission=called), median_benchmark=other)
    assert found.get("files.sample_submission") == f"{called}.csv"
    assert found.get("columns.id") == "id"
    assert not asks(found, "there is no sample submission")


def test_of_two_submissions_of_any_name_one_is_to_be_named(tmp_path: Path) -> None:
    other = {"id": TEST_IDS, "y": 1.5}
    found = run(tmp_path, **plain(X, 0.5, sample_submission="first"), second=other)
    assert found.get("files.sample_submission") == ""
    assert asks(found, "name it with --sample if there is one; first.csv, second.csv look like")


def test_more_rows_like_those_of_train_are_said(tmp_path: Path) -> None:
    """Of a validation set whose answers are out, and the data that rows were generated from."""
    later = pd.DataFrame({"id": [901, 902], "x": 0.5, "y": 1})
    tables = plain(RARE, 0.5)
    both = pd.concat([pd.DataFrame(tables["train"]), later])
    beside = {"train_and_valid": both, "valid": later, "original": both[["x", "y"]]}
    found = run(tmp_path, {"train": "train.csv"}, **tables, **beside)
    assert asks(found, "train_and_valid.csv has 82 rows, the 80 of train among them")
    assert asks(found, "valid.csv has the columns of train: if these are more rows")
    assert asks(found, "original.csv has the columns of train but 'id': if these are more rows")
    found = run(tmp_path, {"train": "train_and_valid.csv"})
    assert not any(text.startswith(("train.csv", "valid.csv")) for text in found.questions)


def test_another_submission_is_no_more_rows_to_learn_from(tmp_path: Path) -> None:
    tables = plain(RARE, 0.5)
    del tables["train"]["x"], tables["test"]["x"]
    tables["train"]["size"] = tables["test"]["size"] = 1
    tables["benchmark"] = {"id": TEST_IDS, "size": 1, "y": 0.4}
    assert not asks(run(tmp_path, **tables), "benchmark.csv has the columns of train")


@pytest.mark.parametrize("called", ["results", "train"])
def test_rows_that_nobody_has_made_are_asked_for(tmp_path: Path, called: str) -> None:
    """Games of the past, and chances of pairs of teams."""
    games = {"season": 2015, "winner": IDS, "loser": IDS + 1}
    sample = {"ID": [f"2016_{k}_{k + 1}" for k in TEST_IDS], "Pred": 0.5}
    with pytest.raises(ConfigError, match=r"(?s)asks for 'Pred' of each id such as '2016_101_102'"):
        run(tmp_path, **{called: games}, seeds={"team": IDS, "seed": 1}, sample_submission=sample)


def test_where_there_is_no_test_its_ids_are_named(tmp_path: Path) -> None:
    """Visitors of restaurants per day: only the sample submission says of which days."""
    days = [f"2016-01-{k % 28 + 1:02d}" for k in range(N)]
    visits = {"air_store_id": "air_ba9", "visit_date": days, "visitors": IDS % 30}
    sample = {"id": [f"air_ba9_2017-05-{k:02d}" for k in range(1, 30)], "visitors": 0}
    with pytest.raises(ConfigError, match=r"make one of the ids of .*'air_ba9_2017-05-01'"):
        run(tmp_path, air_visit_data=visits, sample_submission=sample)


def test_a_folder_of_a_table_per_row_is_not_read(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    crowd = raw / "sentiment"
    crowd.mkdir(parents=True)
    for k in range(101):
        (crowd / f"{k}.json").write_text("no table")
    found = run(raw, **plain(RARE, 0.5))
    assert asks(found, "Not used: sentiment (101 tables)")
    (raw / "test.csv").rename(raw / "rows.csv")  # found by its columns
    found, _ = made(tmp_path, raw)
    assert found.get("files.test") == "rows.csv"
    assert asks(found, "Not used: sentiment (101 tables)")


@pytest.mark.parametrize("has_train", [True, False])
def test_a_table_per_row_is_told_with_the_rows_to_make(tmp_path: Path, has_train: bool) -> None:
    for part in ("train", "test"):
        (tmp_path / part).mkdir()
        for k in range(101):
            (tmp_path / part / f"{k}.csv").write_text("sensor_1,sensor_2\n1,2\n")
    tables = {"train": {"segment": range(101), "y": range(101)}} if has_train else {}
    with pytest.raises(ConfigError) as error:
        run(tmp_path, sample_submission={"segment": range(200, 301), "y": 0}, **tables)
    told = str(error.value)
    assert "test (101 tables), train (101 tables): where each table belongs to a row" in told
    assert ".csv, test/" not in told


def test_packed_tables_without_a_suffix_of_tables_are_named(tmp_path: Path) -> None:
    for name in ("train", "test"):
        pd.DataFrame({"id": IDS}).to_csv(tmp_path / f"{name}.gz", compression="gzip")
    with pytest.raises(ConfigError, match=r"table of test\.gz, train\.gz, call \.csv\.gz"):
        run(tmp_path)


@pytest.mark.parametrize("later", [True, False])
def test_larger_numbers_may_be_times_or_names(tmp_path: Path, later: bool) -> None:
    """Hours of days such as 14103023, of which test has the last day."""
    tables = plain(RARE, 0.5)
    tables["train"]["hour"] = 14102100 + IDS // 3
    tables["test"]["hour"] = 14103100 * later + np.arange(N_TEST) % 12
    found = run(tmp_path, **tables)
    assert asks(found, "--time hour") is later
    assert asks(found, "--group hour")
    assert not asks(run(tmp_path, {"time": "hour"}), "--group hour")
