"""Tables from disk, whatever they are wrapped in."""

from __future__ import annotations

import gzip
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from kit.errors import DataError
from kit.tables import file_encoding, read_chunks, read_header, read_table, table_format

CSV = "id,n,name\n1,0.5,Anna\n2,,Ölaf\n"


def as_csv(path: Path) -> None:
    path.write_text(CSV, encoding="utf-8")


def as_tsv(path: Path) -> None:
    path.write_text(CSV.replace(",", "\t"), encoding="utf-8")


def as_gz(path: Path) -> None:
    path.write_bytes(gzip.compress(CSV.encode()))


def as_zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("folder/data.csv", CSV)
        archive.writestr("__MACOSX/._data.csv", "rubbish")
        archive.writestr("readme.txt", "rubbish")


def as_json(path: Path) -> None:
    rows = [{"id": 1, "n": 0.5, "name": "Anna"}, {"id": 2, "n": None, "name": "Ölaf"}]
    path.write_text(json.dumps(rows), encoding="utf-8")


def as_jsonl(path: Path) -> None:
    path.write_text('{"id": 1, "n": 0.5, "name": "Anna"}\n\n{"id": 2, "name": "Ölaf"}\n')


def as_parquet(path: Path) -> None:
    pd.DataFrame({"id": [1, 2], "n": [0.5, None], "name": ["Anna", "Ölaf"]}).to_parquet(path)


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("a.csv", as_csv),
        ("a.CSV", as_csv),
        ("a.tsv", as_tsv),
        ("a.csv.gz", as_gz),
        ("a.csv.zip", as_zip),
        ("a.zip", as_zip),
        ("a.json", as_json),
        ("a.jsonl", as_jsonl),
        ("b.json", as_jsonl),
        ("a.parquet", as_parquet),
    ],
)
def test_every_format_gives_the_same_table(tmp_path: Path, name: str, write: object) -> None:
    assert callable(write)
    write(tmp_path / name)
    frame = read_table(tmp_path / name)
    assert frame["id"].tolist() == [1, 2]
    assert frame["n"].isna().tolist() == [False, True]
    assert frame["name"].tolist() == ["Anna", "Ölaf"]
    assert read_header(tmp_path / name) == ["id", "n", "name"]


@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
def test_only_a_line_feed_ends_a_record(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text('{"t": "one\u2028two"}\r\n{"t": "x\x85"}\r\n', encoding="utf-8")
    assert read_table(tmp_path / name)["t"].tolist() == ["one\u2028two", "x\x85"]


@pytest.mark.parametrize(
    ("name", "format_"),
    [
        ("train.csv", ".csv"),
        ("train.CSV.GZ", ".csv"),
        ("train.json.zip", ".json"),
        ("train.v2.parquet", ".parquet"),
        ("train.txt", None),
        ("train.zip", None),
        ("train", None),
    ],
)
def test_the_format_is_read_off_the_name(name: str, format_: str | None) -> None:
    assert table_format(Path(name)) == format_


@pytest.mark.parametrize("name", ["a.csv", "a.json", "a.parquet"])
def test_text_columns_stay_as_they_are_spelled(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    values = ["007", "NA", "None", "nan", "1e3", "True"]
    frame = pd.DataFrame({"code": values})
    if name == "a.csv":
        frame.to_csv(path, index=False)
    elif name == "a.json":
        path.write_text(frame.to_json(orient="records"))
    else:
        frame.to_parquet(path)
    assert read_table(path, as_text=["code"])["code"].tolist() == values


def test_only_an_empty_cell_of_a_text_column_is_missing(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,code\n1,\n2,NA\n")
    found = read_table(tmp_path / "a.csv", as_text=["code"])["code"]
    assert found.isna().tolist() == [True, False]


def test_other_columns_know_the_usual_words_for_missing(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("n,code\nNA,x\n,y\nnull,z\n1.5,NA\n")
    assert read_table(tmp_path / "a.csv", as_text=["code"])["n"].isna().sum() == 3


def test_blanks_around_column_names_are_cut_off_and_kept_in_the_header(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(" id , name\n1,007\n")
    frame = read_table(tmp_path / "a.csv", as_text=["name"])
    assert list(frame.columns) == ["id", "name"]
    assert frame["name"].tolist() == ["007"]
    assert read_header(tmp_path / "a.csv") == [" id ", " name"]


@pytest.mark.parametrize("read", [read_table, read_header, lambda path: [*read_chunks(path, 5)]])
@pytest.mark.parametrize("header", ["id,id ", "id,id"])
def test_names_that_repeat_are_refused_not_renamed(
    tmp_path: Path, header: str, read: Callable[[Path], object]
) -> None:
    (tmp_path / "a.csv").write_text(f"{header}\n1,2\n")
    with pytest.raises(DataError, match=r"column names must differ.*\['id'\]"):
        read(tmp_path / "a.csv")


def test_columns_without_a_name_do_not_repeat(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(",Unnamed: 0,,a\n1,2,3,4\n")
    assert list(read_table(tmp_path / "a.csv").iloc[0]) == [1, 2, 3, 4]


@pytest.mark.parametrize("read", [read_table, read_header, lambda path: [*read_chunks(path, 5)]])
@pytest.mark.parametrize(
    ("name", "text", "mark"),
    [
        ("a.csv", "id;n;target\n1;0,5;1\n2;0,5\n", "';'"),
        ("a.csv", "id\tn\n1\t0,5\n2\n", r"'\\t'"),
        ("a.tsv", "id,n\n1,2\n3\n", "','"),
    ],
)
def test_another_separator_that_fits_some_rows_is_named(
    tmp_path: Path, name: str, text: str, mark: str, read: Callable[[Path], object]
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=f"looks separated by {mark}"):
        read(tmp_path / name)


def test_one_column_is_a_table(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id\na;b\n")
    assert read_table(tmp_path / "a.csv")["id"].tolist() == ["a;b"]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.csv.zip"])
def test_a_byte_order_mark_tells_the_encoding(tmp_path: Path, name: str, encoding: str) -> None:
    content = CSV.encode(encoding)
    if name == "a.csv.zip":
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr("a.csv", content)
    else:
        (tmp_path / name).write_bytes(gzip.compress(content) if name[-1] == "z" else content)
    assert read_header(tmp_path / name) == ["id", "n", "name"]
    assert read_table(tmp_path / name)["name"].tolist() == ["Anna", "Ölaf"]
    (piece,) = read_chunks(tmp_path / name, 5)
    assert piece["name"].tolist() == ["Anna", "Ölaf"]


@pytest.mark.parametrize("content", [CSV.encode("utf-16-le"), b"id,n\n1,\0\n", b"id\n\xc4\n\0\n"])
def test_zero_bytes_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(DataError, match=r"holds zero bytes(.|\n)*Save it as UTF-8"):
        read_table(tmp_path / "a.csv")


def test_the_byte_order_mark_is_no_part_of_a_name(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"\xef\xbb\xbfid\n1\n")
    assert list(read_table(tmp_path / "a.csv").columns) == ["id"]
    assert read_header(tmp_path / "a.csv") == ["id"]


def test_latin_1_is_read_where_utf_8_fails(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes("name\nÄrger\n".encode("latin-1"))
    assert read_table(tmp_path / "a.csv")["name"].tolist() == ["Ärger"]


def test_a_few_lost_letters_do_not_make_utf_8_another_encoding(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"name\n" + "Ärger\n".encode() * 30 + b"Sto\xdfseufzer\n")
    names = read_table(path)["name"].tolist()
    assert (names[0], names[-1]) == ("Ärger", "Sto\ufffdseufzer")
    assert pd.concat(read_chunks(path, 7))["name"].tolist() == names
    path.write_text("name\n\ufffd\n", encoding="utf-8")  # that is a letter of its own
    assert file_encoding(path) == "utf-8-sig"


def test_lists_in_json_become_one_string(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('[{"t": ["a", "b"], "d": {"y": 1, "x": 2}}, {"t": []}]')
    frame = read_table(tmp_path / "a.json")
    assert frame["t"].tolist() == ["a | b", ""]
    assert frame["d"][0] == '{"x": 2, "y": 1}'


def test_at_most_nrows_are_read(tmp_path: Path) -> None:
    as_csv(tmp_path / "a.csv")
    as_json(tmp_path / "a.json")
    assert len(read_table(tmp_path / "a.csv", nrows=1)) == 1
    assert len(read_table(tmp_path / "a.json", nrows=1)) == 1


def test_a_missing_file_names_the_command_that_brings_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"does not exist. `kit data`"):
        read_table(tmp_path / "a.csv")


@pytest.mark.parametrize("read", [read_table, read_header])
def test_an_empty_file_is_refused(tmp_path: Path, read: object) -> None:
    assert callable(read)
    (tmp_path / "a.csv").write_text("")
    with pytest.raises(DataError, match="is empty: no header, no rows"):
        read(tmp_path / "a.csv")


@pytest.mark.parametrize("read", [read_table, read_header])
@pytest.mark.parametrize("name", ["a.zip", "a.csv.zip", "a.csv.gz", "a.parquet", "a.json"])
def test_bytes_that_are_not_what_the_name_says_are_refused(
    tmp_path: Path, read: object, name: str
) -> None:
    assert callable(read)
    (tmp_path / name).write_bytes(b"\x00\x01 not that")
    with pytest.raises(DataError, match=r"cannot be read as(.|\n)*kit data --force"):
        read(tmp_path / name)


def test_a_torn_gzip_is_refused(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(b"id\n" + b"".join(b"%d\n" % k for k in range(5000))))
    packed[2000:2050] = b"\xff" * 50
    (tmp_path / "a.csv.gz").write_bytes(bytes(packed))
    with pytest.raises(DataError, match="cannot be read as csv"):
        read_table(tmp_path / "a.csv.gz")


def test_rows_wider_than_the_header_are_refused_not_shifted(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b\n1,2,9\n3,4,8\n")
    with pytest.raises(DataError, match="more cells than the header"):
        read_table(tmp_path / "a.csv")


def test_a_comma_at_the_end_of_every_row_is_no_column(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b\n1,2,\n3,4,\n")
    assert read_table(tmp_path / "a.csv").to_dict("list") == {"a": [1, 3], "b": [2, 4]}


def test_a_zip_of_two_tables_is_refused_with_their_names(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.csv.zip", "w") as archive:
        archive.writestr("one.csv", CSV)
        archive.writestr("two.csv", CSV)
    with pytest.raises(DataError, match=r"one table is expected.*one\.csv.*two\.csv"):
        read_table(tmp_path / "a.csv.zip")


@pytest.mark.parametrize("text", ["3", '"x"', '{"a": 1}'])
def test_json_that_holds_no_records_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(DataError, match="holds no records"):
        read_table(tmp_path / "a.json")


def test_lists_in_parquet_are_one_string_as_in_json(tmp_path: Path) -> None:
    path, packed, spelled = tmp_path / "a.parquet", tmp_path / "a.parquet.gz", tmp_path / "a.json"
    words = [["salt", "red wine"], None, [], ["x"]]
    records = [{"n": {"b": 1, "a": None}, "words": each, "i": 1} for each in words]
    pd.DataFrame(records).to_parquet(path)
    packed.write_bytes(gzip.compress(path.read_bytes()))
    spelled.write_text(json.dumps(records))
    wanted = read_table(spelled)
    assert wanted["words"].tolist()[0] == "salt | red wine"
    pieces = pd.concat(list(read_chunks(path, 3, as_text=["words"])))
    for found in (read_table(path), read_table(packed), read_table(path, nrows=9), pieces):
        assert found["words"].tolist()[::2] == wanted["words"].tolist()[::2]
        assert found["words"].isna().tolist() == [False, True, False, False]
        assert found["n"].tolist() == wanted["n"].tolist()
    assert found.dtypes.equals(read_table(path).dtypes)
