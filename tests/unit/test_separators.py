"""Tables with semicolons or tabs between cells: read, and handed in, as they are written."""

from __future__ import annotations

import gzip
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import kit.large as large
from kit.competition import Competition
from kit.cv import cross_validate
from kit.dataset import Dataset
from kit.errors import DataError, SubmissionError
from kit.permutation.copies import Source
from kit.providers.grading import read_cells
from kit.scaffold.infer import infer
from kit.separators import Form, find_form
from kit.session import open_session
from kit.submission import build, validate
from kit.tables import file_form, read_chunks, read_header, read_table

Make = Callable[..., Competition]
N, N_TEST = 60, 20
FORMS = [Form(";", ","), Form(";", "."), Form("\t", "."), Form("\t", ",")]
both = pytest.mark.parametrize("on_disk", ["never", "always"])


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("id,y\n1,2\n", Form()),
        ("id;y\n1;2\n", Form(";")),
        ("id\ty\n1\t2\n", Form("\t")),
        ('"id";"a, b"\n1;"x;y"\n', Form(";")),  # marks in quotes are none
        ("id;a,b;y\n1;2;3\n4;5;6\n", Form(";")),
        ("id,a;b,y\n1,2,3\n", Form()),
        ("id,a;b,y\n1,2;3,4\n", Form()),  # both fit
        ("id;y\n1;2\n3\n", Form()),  # not every row: not clear
        ("id\na;b\n", Form()),
        ("a;b\n", Form(";")),
        ("", Form()),
        ("id;y\n1;3,5\n", Form(";", ",")),
        ("id;y\n1;1,234\n2;12,345\n", Form(";")),  # may be thousands
        ("id;y\n1;0,234\n2;12,345\n", Form(";", ",")),
        ("id;y\n1;1,234\n2;7,5\n", Form(";", ",")),
        ("id;y;z\n1;3,5;2.5\n", Form(";")),  # one column says so, another one not
        ("id;y;z\n1;3,5;NA\n2;;x 2.5\n", Form(";", ",")),
        ("id;y\n1;3,5\n2;1,2,3\n", Form(";")),  # lists
    ],
)
def test_the_form_of_a_file(text: str, form: Form) -> None:
    assert find_form(text) == form


def test_a_cell_of_any_length_is_no_error() -> None:
    """Cut at the wrong mark, a row may be longer than the module `csv` allows."""
    header = ",".join(f"c{k};" for k in range(40_000))
    assert find_form(f"{header}\n{','.join(['1'] * 40_000)}\n") == Form()


def frame() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    found = pd.DataFrame({"id": [f"r{k}" for k in range(N + N_TEST)]})
    found["a"] = rng.normal(size=len(found))
    found["n"] = rng.integers(0, 9, len(found))
    found["words"] = [f"some, words {k}" for k in range(len(found))]
    found["y"] = (found["a"] * 2 + rng.normal(size=len(found))).round(4)
    return found


def write(table: pd.DataFrame, path: Path, form: Form) -> None:
    text = table.to_csv(index=False, sep=form.separator, decimal=form.decimal).encode()
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text))
    elif path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a.csv", text)
    else:
        path.write_bytes(text)


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.zip", "a.tsv"])
@pytest.mark.parametrize("form", FORMS)
def test_the_values_are_those_of_a_file_with_commas(tmp_path: Path, name: str, form: Form) -> None:
    path, usual = tmp_path / name, tmp_path / "usual.csv"
    write(frame(), path, form)
    write(frame(), usual, Form())
    assert file_form(path) == form
    assert read_header(path) == read_header(usual)
    pd.testing.assert_frame_equal(read_table(path), read_table(usual))
    pieces = pd.concat([*read_chunks(path, 7)])
    pd.testing.assert_frame_equal(pieces, read_table(usual))


def test_what_is_judged_is_the_beginning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A torn last line is not taken for a row."""
    write(frame(), tmp_path / "a.csv", Form(";", ","))
    for size in range(100, 160):
        monkeypatch.setattr("kit.tables.HEAD", size)
        assert file_form(tmp_path / "a.csv") == Form(";", ",")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "latin-1"])
def test_encodings_do_not_matter(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "a.csv").write_text("größe;y\n3,5;ä\n", encoding=encoding)
    assert read_table(tmp_path / "a.csv").to_dict("list") == {"größe": [3.5], "y": ["ä"]}


def rewrite(competition: Competition, form: Form) -> Competition:
    for stem in ("train", "test", "sample_submission"):
        path = competition.raw / f"{stem}.csv"
        write(pd.read_csv(path), path, form)
    return competition


def made(make: Make, form: Form, on_disk: str = "never", **tables: Any) -> Competition:
    table = frame()
    train, test = table[:N], table[N:].drop(columns="y").reset_index(drop=True)
    defaults: dict[str, Any] = {
        "task": {"type": "regression", "metric": "rmse", "classes": []},
        "columns": {"drop": ["words"], "kinds": {}},
        "submission": {"wants": "value"},
        "cv": {"splitter": "kfold"},
        "models": {"lightgbm": {"params": {"n_estimators": 4, "min_data_in_leaf": 5}}},
        "sample": pd.DataFrame({"id": test["id"], "y": 0.5}),
    }
    found = make(train, test, **{**defaults, **tables})
    return Competition.load(rewrite(found, form).root, [f"execution.on_disk={on_disk}"])


@both
@pytest.mark.parametrize("form", FORMS[:3])
def test_data_are_those_of_files_with_commas(
    make_competition: Make, monkeypatch: pytest.MonkeyPatch, on_disk: str, form: Form
) -> None:
    monkeypatch.setattr(large, "PIECE", 7)
    usual = Dataset.read(made(make_competition, Form(), name="usual"))
    data = Dataset.read(made(make_competition, form, on_disk))
    np.testing.assert_array_equal(data.y, usual.y)
    for one, other in ((data.X, usual.X), (data.X_test, usual.X_test)):
        np.testing.assert_array_equal(one.to_numpy(dtype=float), other.to_numpy(dtype=float))


@pytest.mark.parametrize("form", FORMS[:3])
def test_the_submission_is_written_as_the_sample(make_competition: Make, form: Form) -> None:
    competition = made(make_competition, form)
    with open_session(competition) as session:
        run = cross_validate(session, "lightgbm")
    assert run is not None
    path = build(run, competition)
    assert validate(path, competition) == []
    lines = path.read_text().splitlines()
    assert lines[0] == f"id{form.separator}y"
    assert all(line.count(form.separator) == 1 and form.decimal in line for line in lines[1:])
    prediction = run.test()["pred"].to_numpy()
    np.testing.assert_allclose(read_table(path)["y"], prediction)
    np.testing.assert_allclose(read_cells(path)["y"].astype(float), prediction)
    write(read_table(path), path, Form("|"))
    with pytest.raises(SubmissionError, match="columns are missing"):
        validate(path, competition)


def test_permuted_copies_are_separated_alike(make_competition: Make) -> None:
    competition = made(make_competition, Form(";", ","))
    with Source(competition).permuted(0) as copy:
        assert file_form(copy.raw / "train.csv") == Form(";", ",")
        assert sorted(Dataset.read(copy).y) == sorted(frame()["y"][:N])


@pytest.mark.parametrize("form", FORMS[:3])
def test_kit_new_infers_the_same(tmp_path: Path, form: Form) -> None:
    table = frame()
    train, test = table[:N], table[N:].drop(columns="y")
    cases = []
    for folder, each in (("usual", Form()), ("other", form)):
        raw = tmp_path / folder
        raw.mkdir()
        sample = pd.DataFrame({"id": test["id"], "y": 0.5})
        for name, part in (("train", train), ("test", test), ("sample_submission", sample)):
            write(part, raw / f"{name}.csv", each)
        found = infer(raw, hints={}, flags={})
        cases.append([(value.key, value.value) for value in found.values])
    assert cases[0] == cases[1]
    assert ("task.type", "regression") in cases[1]


def test_a_probability_with_a_comma_is_one(tmp_path: Path) -> None:
    table = frame().assign(y=lambda found: (found["y"] > 0).astype(int))
    sample = pd.DataFrame({"id": table["id"][N:], "y": 0.5})
    files = {"train": table[:N], "test": table[N:].drop(columns="y"), "sample_submission": sample}
    for name, part in files.items():
        write(part, tmp_path / f"{name}.csv", Form(";", ","))
    found = infer(tmp_path, hints={}, flags={})
    assert found.get("submission.wants") == "probability"


def test_what_is_not_clear_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id;y\n1;2\n3\n")
    with pytest.raises(DataError, match="looks separated by ';', however not all"):
        read_table(tmp_path / "a.csv")
