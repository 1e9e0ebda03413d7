"""`kit new` on the command line: from files as they come to a file that can be handed in."""

from __future__ import annotations

import json
import tomllib
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from kit.cli.output import size
from kit.cli.transfers import transfer_bars
from kit.scaffold.facts import FLAGS

N, M = 60, 20
RNG = np.random.default_rng(0)
SIGN = RNG.choice([-1, 1], N + M)
X = SIGN * RNG.uniform(1, 2, N + M)
Y = (SIGN > 0).astype(int)
IDS = [f"r{n:03d}" for n in range(N + M)]
ORDER = RNG.permutation(M)
THIRD = RNG.integers(3, size=N + M)
NOISE = RNG.normal(size=N + M)


@dataclass(frozen=True)
class Files:
    """Train, test, and the submission without a fault, in the order and spelling of the sample."""

    train: pd.DataFrame
    test: pd.DataFrame
    perfect: pd.DataFrame
    filler: Any = 0

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        sample = self.perfect.copy()
        sample[sample.columns[1:]] = self.filler
        return {"train": self.train, "test": self.test, "sample_submission": sample}


def files(target: Any = Y, **columns: Any) -> Files:
    """An ordinary competition: id, x, y, and more columns for train and test."""
    frame = pd.DataFrame({"id": IDS, "x": X, **columns, "y": target})
    train, test = frame[:N], frame[N:].reset_index(drop=True)
    return Files(train, test.drop(columns="y"), test[["id", "y"]].iloc[ORDER])


def write_csv(folder: Path, tables: dict[str, pd.DataFrame]) -> None:
    for name, table in tables.items():
        table.to_csv(folder / f"{name}.csv", index=False)


def write_json(folder: Path, tables: dict[str, pd.DataFrame]) -> None:
    write_csv(folder, {"sample_submission": tables["sample_submission"]})
    for name in ("train", "test"):
        tables[name].to_json(folder / f"{name}.json", orient="records")


def write_zip(folder: Path, tables: dict[str, pd.DataFrame]) -> None:
    for name, table in tables.items():
        with zipfile.ZipFile(folder / f"{name}.csv.zip", "w") as archive:
            archive.writestr(f"{name}.csv", table.to_csv(index=False))


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder for files, in the folder the commands run in."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "files"
    folder.mkdir()
    return folder


def succeed(run_kit: Any, *arguments: str | Path) -> Any:
    outcome = run_kit(*arguments)
    assert outcome.code == 0, outcome.err
    return outcome


def hand_in(run_kit: Any, *flags: str) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Validate and submit in the folder `toy`: the file as text, and its receipt."""
    succeed(run_kit, "cv", "linear", "-q", "-C", "toy")
    receipt = json.loads(succeed(run_kit, "submit", *flags, "--json", "-C", "toy").out)
    file = Path("toy") / receipt["file"]
    return pd.read_csv(file, dtype="str", keep_default_na=False), receipt


# --- from files to a submission -----------------------------------------------------------------


def as_folder(source: Path) -> Path:
    return source


def as_zip(source: Path) -> Path:
    path = source.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as archive:
        for file in source.iterdir():
            archive.write(file, f"downloaded/{file.name}")
    return path


@pytest.mark.parametrize("pack", [as_folder, as_zip])
def test_a_folder_and_a_zip_lead_to_a_valid_submission(
    run_kit: Any, source: Path, pack: Callable[[Path], Path]
) -> None:
    given = files()
    write_csv(source, given.tables)
    succeed(run_kit, "new", "toy", "--from", pack(source).relative_to(Path.cwd()), "--folds", "3")
    submission, receipt = hand_in(run_kit, "--dry-run")
    assert receipt["status"] == "dry-run"
    assert submission.astype({"y": int}).to_numpy().tolist() == given.perfect.to_numpy().tolist()


def test_a_solution_gives_public_and_private_scores(run_kit: Any, source: Path) -> None:
    given = files()
    write_csv(source, given.tables)
    usage = np.where(np.arange(M) < 8, "Public", "Private")
    wrong = np.isin(np.arange(M), [0, 1, 8, 9, 10])
    truth = given.perfect["y"].to_numpy()
    solution = given.perfect.assign(y=np.where(wrong, 1 - truth, truth), Usage=usage)
    solution.to_csv("solution.csv", index=False)
    local = ("--from", "files", "--solution", "solution.csv")
    succeed(run_kit, "new", "toy", *local, "--metric", "accuracy", "--folds", "3")
    _, receipt = hand_in(run_kit)
    assert receipt["status"] == "complete"
    assert (receipt["public"], receipt["private"]) == (1 - 2 / 8, 1 - 3 / 12)


# Traps of real files, each by what is out of the ordinary.


def classes_in_the_header() -> Files:
    given = files(np.array(["C", "CL", "D"])[THIRD], x=4 * THIRD + X / 2)
    perfect = given.perfect[["id"]].copy()
    for name in ("D", "C", "CL"):
        perfect[f"Status_{name}"] = (given.perfect["y"] == name).astype(int)
    return Files(given.train, given.test, perfect, filler=1 / 3)


def another_id_in_test() -> Files:
    given = files()
    return Files(given.train, given.test.rename(columns={"id": "customer"}), given.perfect)


def blanks_in_the_ids_of_test() -> Files:
    given = files()
    perfect = given.perfect.assign(id=given.perfect["id"] + " ")
    return Files(given.train, given.test.assign(id="  " + given.test["id"] + "  "), perfect)


def columns_that_test_lacks() -> Files:
    given = files()
    more = given.train.assign(casual=given.train["y"], registered=X[:N])
    return Files(more, given.test.assign(only_here=1), given.perfect)


def true_and_false() -> Files:
    given = files(SIGN > 0)
    return Files(given.train, given.test, given.perfect, filler=False)


def blanks_in_the_header() -> Files:
    given = files(colour=np.where(SIGN > 0, "red", "blue"))
    return Files(
        given.train.rename(columns={"id": "id  ", "x": "x ", "colour": "colour ", "y": "y   "}),
        given.test.rename(columns={"id": "id ", "x": "x  "}),
        given.perfect.rename(columns={"id": "id   ", "y": "y "}),
    )


def lists_in_records() -> Files:
    made_of = {"thai": ["soy sauce", "rice"], "greek": ["feta"], "irish": ["salt", "leek", "lamb"]}
    cuisine = np.array([*made_of])[THIRD]
    given = files(cuisine, x=NOISE, made_of=[made_of[name] for name in cuisine])
    return Files(given.train, given.test, given.perfect, filler="thai")


def two_targets() -> Files:
    given = files(X)
    perfect = given.perfect.assign(z=10 - 3 * given.perfect["y"])
    return Files(given.train.assign(z=10 - 3 * X[:N]), given.test, perfect[["id", "z", "y"]])


def ordinary() -> Files:
    return files()


TRAPS = [
    (classes_in_the_header, write_csv),
    (another_id_in_test, write_csv),
    (blanks_in_the_ids_of_test, write_csv),
    (columns_that_test_lacks, write_csv),
    (true_and_false, write_csv),
    (blanks_in_the_header, write_csv),
    (lists_in_records, write_json),
    (two_targets, write_csv),
    (ordinary, write_zip),
]


@pytest.mark.parametrize(("make", "write"), TRAPS)
def test_a_trap_of_real_files_ends_in_a_submission_like_the_sample(
    run_kit: Any, source: Path, make: Callable[[], Files], write: Callable[..., None]
) -> None:
    given = make()
    write(source, given.tables)
    succeed(run_kit, "new", "toy", "--from", "files", "--folds", "3")
    submission, _ = hand_in(run_kit, "--dry-run")
    key, *columns = given.perfect.columns
    assert list(submission.columns) == [key, *columns]
    assert submission[key].tolist() == given.perfect[key].tolist()
    for name in columns:
        right = given.perfect[name].to_numpy()
        if right.dtype.kind in "if":
            assert np.abs(submission[name].astype(float) - right).max() < 0.5
        else:
            assert submission[name].tolist() == right.astype(str).tolist()


# --- what was asked for -------------------------------------------------------------------------

ASKED = {
    "train": ("files.train", "train_more.csv"),
    "test": ("files.test", "test_more.csv"),
    "sample": ("files.sample_submission", "second.csv"),
    "target": ("columns.target", "z"),
    "id": ("columns.id", "key"),
    "group": ("columns.group", "house"),
    "time": ("columns.time", "week"),
    "metric": ("task.metric", "f1"),
    "task": ("task.type", "regression"),
    "submission": ("submission.wants", "probability"),
    "splitter": ("cv.splitter", "kfold"),
    "folds": ("cv.n_splits", 3),
}


@pytest.fixture
def many(source: Path) -> None:
    """Files in which each of `ASKED` could be meant and none is taken unasked."""
    rows = np.arange(N + M)
    given = files(key=IDS, house=rows // 4, week=rows % 10)
    train = given.train.assign(z=1 - given.train["y"])
    tables = {**given.tables, "train": train, "train_more": train, "test_more": given.test}
    write_csv(source, {**tables, "second": tables["sample_submission"]})


def written(key: str) -> tuple[Any, str]:
    """The value of a dotted key in the kit.toml of `toy`, and the comment beside it."""
    table, _, name = key.rpartition(".")
    text = Path("toy/kit.toml").read_text(encoding="utf-8")
    section = text.partition(f"\n[{table}]")[2].partition("\n[")[0]
    line = next(line for line in section.splitlines() if line.startswith(f"{name} = "))
    return tomllib.loads(line)[name], line.rpartition("  # ")[2]


def test_every_flag_of_inference_is_asked_for_once() -> None:
    assert set(ASKED) == set(FLAGS)


@pytest.mark.parametrize("flag", ASKED)
@pytest.mark.usefixtures("many")
def test_a_flag_lands_in_kit_toml_and_is_named_beside_the_value(run_kit: Any, flag: str) -> None:
    key, value = ASKED[flag]
    succeed(run_kit, "new", "toy", "--from", "files", f"--{flag}", value)
    assert written(key) == (value, f"--{flag}")


@pytest.mark.usefixtures("many")
def test_a_repeated_target_flag_names_several_targets(run_kit: Any, source: Path) -> None:
    both = files().tables["sample_submission"].assign(z=0)
    both.to_csv(source / "sample_submission.csv", index=False)
    succeed(run_kit, "new", "toy", "--from", "files", "--target", "y", "--target", "z")
    assert written("columns.target") == (["y", "z"], "--target")


@pytest.mark.parametrize("flag", ASKED)
@pytest.mark.usefixtures("many")
def test_set_takes_every_key_that_has_a_flag(run_kit: Any, flag: str) -> None:
    key, value = ASKED[flag]
    succeed(run_kit, "new", "toy", "--from", "files", "--set", f"{key}={value}")
    assert written(key)[0] == value


@pytest.mark.usefixtures("many")
def test_set_is_named_beside_the_value_of_a_key_that_has_a_flag(run_kit: Any) -> None:
    succeed(run_kit, "new", "toy", "--from", "files", "--set", "columns.target=z")
    assert written("columns.target") == ("z", "--set")


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("columns.kinds.x", "category", "category"),
        ("columns.drop", '["z", "week"]', ["z", "week"]),
        ("task.classes", '["1", "0"]', ["1", "0"]),
        ("cv.seed", "7", 7),
        ("cv.models", '["linear"]', ["linear"]),
        ("cv.block", "3D", "3D"),
    ],
)
@pytest.mark.usefixtures("many")
def test_set_takes_keys_without_a_flag_and_is_named_beside_the_value(
    run_kit: Any, key: str, text: str, value: Any
) -> None:
    succeed(run_kit, "new", "toy", "--from", "files", "--set", f"{key}={text}")
    assert written(key) == (value, "--set")


def test_classes_in_another_order_keep_their_spelling_in_the_submission(
    run_kit: Any, source: Path
) -> None:
    write_csv(source, Files(files(SIGN > 0).train, files().test, files().perfect).tables)
    succeed(run_kit, "new", "toy", "--from", "files", "--set", 'task.classes=["True", "False"]')
    assert written("submission.labels")[0] == ["1", "0"]


@pytest.mark.parametrize(
    ("override", "phrases"),
    [
        ("models.x=1", ["--set models.x", "files, columns, task, submission, cv"]),
        ("cv.n_split=1", ["unknown key 'n_split'", "Did you mean 'n_splits'?"]),
    ],
)
@pytest.mark.usefixtures("many")
def test_set_refuses_other_keys_and_leaves_nothing_behind(
    run_kit: Any, tmp_path: Path, override: str, phrases: list[str]
) -> None:
    outcome = run_kit("new", "toy", "--from", "files", "--set", override)
    assert outcome.code == 1
    for phrase in phrases:
        assert phrase in outcome.err
    assert [path.name for path in tmp_path.iterdir()] == ["files"]


def test_a_folder_with_a_blank_is_quoted_for_the_shell(run_kit: Any, source: Path) -> None:
    write_csv(source, files().tables)
    assert "cd 'a b', look" in succeed(run_kit, "new", "a b", "--from", source).out


@pytest.mark.parametrize("pack", [as_folder, as_zip])
@pytest.mark.parametrize(
    ("content", "phrase"),
    [(b"id,x\n", "has a header and no rows"), (b"id,x\nr1,1\nr2,1,2,3\n", "again with `kit new`")],
)
def test_a_useless_file_is_named_where_the_user_has_it(
    run_kit: Any, source: Path, pack: Callable[[Path], Path], content: bytes, phrase: str
) -> None:
    write_csv(source, files().tables)
    (source / "test.csv").write_bytes(content)
    outcome = run_kit("new", "toy", "--from", pack(source))
    assert outcome.code == 1
    assert phrase in outcome.err
    assert (f"{source}/test.csv" if pack is as_folder else "kit: test.csv") in outcome.err
    assert "data/raw" not in outcome.err
    assert "kit data" not in outcome.err


# --- what is told -------------------------------------------------------------------------------


def questions(out: str) -> list[str]:
    return [line.removeprefix("? ") for line in out.splitlines() if line.startswith("? ")]


def test_every_question_is_printed(run_kit: Any, source: Path) -> None:
    write_csv(source, files().tables)
    document = json.loads(succeed(run_kit, "new", "other", "--from", "files", "--json").out)
    asked = questions(succeed(run_kit, "new", "toy", "--from", "files").out)
    assert asked == document["questions"]
    for flag in ("--submission probability", "--metric NAME"):
        assert any(flag in question for question in asked)


def test_a_question_that_a_flag_answers_is_not_printed(run_kit: Any, source: Path) -> None:
    write_csv(source, files().tables)
    flags = ("--metric", "accuracy", "--submission", "label")
    assert questions(succeed(run_kit, "new", "toy", "--from", "files", *flags).out) == []


def fetched(run_kit: Any) -> list[str]:
    told = succeed(run_kit, "new", "toy", "--from", "files").err.splitlines()
    return sorted(line.strip() for line in told if line.startswith("  fetched "))


def test_progress_names_every_file_with_its_own_size(run_kit: Any, source: Path) -> None:
    write_csv(source, files().tables)
    (source / "images").mkdir()
    (source / "images" / "a.png").write_bytes(bytes(1500))
    (source / "about.txt").write_bytes(bytes(123))
    tables = [f"{name}.csv" for name in ("sample_submission", "test", "train")]
    assert fetched(run_kit) == [
        "fetched about.txt (123 B)",
        "fetched images/a.png (1.5 kB)",
        *(f"fetched {name} ({size((source / name).stat().st_size)})" for name in tables),
    ]


def test_progress_names_a_folder_of_many_files_once(run_kit: Any, source: Path) -> None:
    write_csv(source, files().tables)
    for part in ("cat", "dog"):
        (source / "images" / part).mkdir(parents=True)
        for k in range(8):
            (source / "images" / part / f"{k}.png").write_bytes(bytes(100))
    told = [line for line in fetched(run_kit) if "images" in line]
    assert told == ["fetched images/ (16 files, 1.6 kB)"]


def test_bars_of_a_folder_are_one(capsys: pytest.CaptureFixture[str]) -> None:
    with transfer_bars() as shown:
        for name in ("a/b/1.png", "a/b/2.png", "a/c.png"):
            shown(name, 0, 1000)
            shown(name, 1000, 1000)
        shown("table.csv", 10, 500)
    told = capsys.readouterr().err
    assert [line.split()[0] for line in told.splitlines() if line.strip()] == ["a/", "table.csv"]
    assert "3.0/3.0" in told


def test_progress_names_an_empty_file(run_kit: Any, source: Path) -> None:
    write_csv(source, files().tables)
    (source / "empty.txt").touch()
    assert "fetched empty.txt (0 B)" in fetched(run_kit)
