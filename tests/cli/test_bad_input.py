"""Wrong configuration and wrong data: one clear message, the right exit code, nothing written."""

from __future__ import annotations

import gzip
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from kit.competition import Competition

FAST = {"lightgbm": {"params": {"n_estimators": 5}}}
PARAMS = "models.lightgbm.params"


def frames(n: int = 60) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Train and test of a binary task with a number and a category."""
    rng = np.random.default_rng(0)
    size = n + 20
    number = rng.normal(size=size)
    frame = pd.DataFrame(
        {
            "id": [f"r{k}" for k in range(size)],
            "number": number,
            "letter": pd.Series(rng.choice(list("pqr"), size), dtype="str"),
            "y": (number + rng.normal(scale=0.5, size=size) > 0).astype(int).astype(str),
        }
    )
    return frame[:n].reset_index(drop=True), frame[n:].drop(columns="y").reset_index(drop=True)


@pytest.fixture
def competition(make_competition: Callable[..., Competition]) -> Competition:
    return make_competition(*frames(), models=FAST)


def refused(outcome: Any, code: int, *phrases: str) -> None:
    """One message with all the phrases; no traceback, and not called a bug."""
    assert outcome.code == code, outcome.err
    assert outcome.err.count("kit: ") == 1, outcome.err
    for phrase in phrases:
        assert phrase in outcome.err
    assert "Traceback" not in outcome.err
    assert "bug in kit" not in outcome.err


def nothing_written(competition: Competition) -> None:
    assert not list(competition.runs.glob("2*"))
    assert not list(competition.root.rglob("*.part"))


@pytest.mark.parametrize(
    ("override", "phrases"),
    [
        ("colums.id=x", ["--set colums.id=x: unknown key 'colums'", "Did you mean 'columns'?"]),
        ("cv.splits=3", ["cv: unknown key 'splits'", "Did you mean 'n_splits'?"]),
        ("cv.n_splits=many", ["cv.n_splits: must be a whole number", "'many'"]),
        ("cv.n_splits=1", ["kit: --set cv.n_splits=1: cv.n_splits must be between 2 and 127"]),
        ("cv.n_splits=200", ["cv.n_splits must be between 2 and 127", "200"]),
        ("cv.seed=-1", ["cv.seed must be between 0 and 4294967295", "-1"]),
        ("cv=3", ["cv: must be a table", "3"]),
        ('cv.models=["linear","linear"]', ["more than once", "linear"]),
        ("cv.early_stopping=never", ["'never' is not known", "inner"]),
        ("cv.splitter=kfolds", ["unknown splitter 'kfolds'", "Did you mean 'kfold'?"]),
        ("cv.splitter=group_kfold", ["needs a group column", "columns.group"]),
        ("cv.splitter=time_series", ["needs a time column", "columns.time"]),
        ("cv.splitter=file", ["folds.parquet", "does not exist"]),
        ("task.metric=rocauc", ["unknown metric 'rocauc'", "Did you mean 'roc_auc'?"]),
        ("task.metric=rmse", ["'rmse' is not defined for task.type 'binary'", "log_loss"]),
        ('task.classes=["0"]', ["task.classes must list two labels", "['0']"]),
        ('task.classes=["0","2"]', ["labels that task.classes does not list", "'1'"]),
        (
            "columns.target=z",
            ["kit: --set columns.target=z: columns.target 'z' is not in train.csv", "number"],
        ),
        ("columns.id=ident", ["columns.id 'ident' is not in train.csv"]),
        ("columns.group=g", ["columns.group 'g' is not in train.csv"]),
        ('columns.drop=["y"]', ["columns.drop lists 'y', which columns.target names"]),
        ('columns.drop=["id"]', ["columns.drop lists 'id', which columns.id names"]),
        ('columns.drop=["lettre"]', ["columns.drop: no 'lettre'", "Did you mean 'letter'?"]),
        (
            "columns.kinds.lettre=text",
            [
                "kit: --set columns.kinds.lettre=text: columns.kinds: no 'lettre'",
                "Did you mean 'letter'?",
            ],
        ),
        ("columns.kinds.letter=numeric", ["'letter' should be numeric", "columns.kinds"]),
        ("columns.kinds.letter=datetime", ["'letter' should hold dates"]),
        ("columns.kinds.letter=colour", ["'colour' is not known", "category"]),
        (f"{PARAMS}.leaves=3", ["model 'lightgbm' has no parameter 'leaves'", "num_leaves"]),
        (f"{PARAMS}.num_leaves=many", ["params.num_leaves", "whole number", "'many' (str)"]),
        (f"{PARAMS}.learning_rate=[1]", ["params.learning_rate", "must be a number", "[1] (list)"]),
        (
            f"{PARAMS}.num_leaves=1",
            ["models.lightgbm.params.num_leaves must be between 2 and 131072", "1"],
        ),
        (f"{PARAMS}.n_estimators=0", ["params.n_estimators must be 1 or more. Received: 0"]),
        (f"{PARAMS}.learning_rate=-1", ["params.learning_rate must be more than 0", "-1.0"]),
        (f"{PARAMS}.learning_rate=nan", ["params.learning_rate must be more than 0", "nan"]),
        (f"{PARAMS}.feature_fraction=1.5", ["must be more than 0 and at most 1", "1.5"]),
        ("models.lightgbm.use=lihgtgbm", ["unknown model 'lihgtgbm'", "Did you mean 'lightgbm'?"]),
        ("models.lightgbm.use=model:build", ["'model:build' is neither in", "no .py file"]),
        ("models.lightgbm.use=:build", ["':build' is neither in"]),
        ("execution.executor=cloud", ["'cloud' is not known", "processes"]),
        ("files.train=trian.csv", ["trian.csv does not exist", "kit data"]),
        ("provider.name=locl", ["provider.name: unknown provider 'locl'", "mean 'local'?"]),
        ("files.train=../../x.csv", ["files.train must be a name below data/raw", "'../../x.csv'"]),
        ("files.test=/x.csv", ["files.test must be a name below data/raw"]),
        ("files.test=C:\\\\x.csv", ["files.test must be a name below data/raw"]),
        ("schema=2", ["--set schema=2: schema must be 1", "2"]),
        ("cv.n_splits", ["--set wants key=value", "'cv.n_splits'"]),
        ("=3", ["--set wants key=value", "'=3'"]),
    ],
)
def test_a_wrong_setting_is_refused_by_name(
    run_kit: Any, competition: Competition, override: str, phrases: list[str]
) -> None:
    refused(run_kit("cv", "-q", "-C", competition.root, "--set", override), 1, *phrases)
    nothing_written(competition)


@pytest.mark.parametrize(
    ("model", "value", "phrases"),
    [
        ("knn", "k=-5", ["models.knn.params.k must be 1 or more. Received: -5"]),
        ("knn", "k=0", ["models.knn.params.k must be 1 or more. Received: 0"]),
        ("knn", "k=100000", ["model 'knn', fold 1 failed", "k must be at most 40", "100000"]),
        ("linear", "strengths=[0]", ["models.linear.params.strengths must be more than 0", "0.0"]),
        ("linear", "strengths=[]", ["strengths must be 1 or more values. Received: []"]),
        ("mlp", "dropout=1", ["params.dropout must be 0 or more and less than 1", "1.0"]),
        ("tabm", "layers=[0]", ["'layers'"]),
        ("realmlp", "layers=[0]", ["models.realmlp.params.layers must be 1 or more", "0"]),
        ("catboost", "depth=17", ["models.catboost.params.depth must be between 1 and 16", "17"]),
    ],
)
def test_a_parameter_out_of_range_is_refused(
    run_kit: Any, competition: Competition, model: str, value: str, phrases: list[str]
) -> None:
    override = f"models.{model}.params.{value}"
    outcome = run_kit("cv", model, "-q", "-C", competition.root, "--set", override)
    refused(outcome, 1, *phrases)
    nothing_written(competition)


def test_an_unknown_model_is_refused_with_the_nearest_name(
    run_kit: Any, competition: Competition
) -> None:
    outcome = run_kit("cv", "linaer", "-C", competition.root)
    refused(outcome, 1, "unknown model 'linaer'", "Did you mean 'linear'?")
    assert "features" not in outcome.err  # the header
    mine = ["--set", "models.special.use=linear"]
    for typed, meant in (("specal", "special"), ("lightgbm-dep", "lightgbm-deep")):
        outcome = run_kit("cv", typed, *mine, "-C", competition.root)
        refused(outcome, 1, f"Did you mean {meant!r}?", "lightgbm-made", "random_forest", "special")


def test_of_two_flags_the_one_at_fault_is_named(run_kit: Any, competition: Competition) -> None:
    flags = ["--set", "cv.seed=3", "--set", "cv.n_splits=0", "--set", "cv.models=linear"]
    outcome = run_kit("cv", *flags, "-C", competition.root)
    refused(outcome, 1, "kit: --set cv.n_splits=0: cv.n_splits must be", "0")
    text = (competition.root / "kit.toml").read_text()
    (competition.root / "kit.toml").write_text(text.replace('"n_splits" = 3', '"n_splits" = 0'))
    refused(run_kit("cv", *flags[:2], "-C", competition.root), 1, "kit.toml: cv.n_splits must")


def test_a_model_that_fails_does_not_stop_the_others_and_is_told_even_when_quiet(
    run_kit: Any, competition: Competition
) -> None:
    outcome = run_kit("cv", "linaer", "lightgbm", "-q", "-C", competition.root)
    refused(outcome, 1, "linaer failed: unknown model 'linaer'")
    assert "lightgbm" in outcome.out
    assert len(list(competition.runs.glob("2*"))) == 1


def test_any_seed_of_32_bits_works_for_every_kind_of_model(
    run_kit: Any, competition: Competition
) -> None:
    small = ["--set", "models.extra_trees.params.n_estimators=5"]
    models = ["lightgbm", "linear", "extra_trees"]
    outcome = run_kit("cv", *models, *small, "--seed", 2**32 - 1, "-q", "-C", competition.root)
    assert outcome.code == 0, outcome.err


@pytest.mark.parametrize(
    ("text", "phrases"),
    [
        (b"schema = = 1", ["not valid TOML", "line 1"]),
        (b"\xff\xfe\x00", ["not valid TOML"]),
        (b"x = " + b"[" * 5000 + b"]" * 5000, ["not valid TOML", "nested too deeply"]),
        (b"[" + b".".join([b"a"] * 3000) + b"]", ["not valid TOML", "nested too deeply"]),
        (b"", ["schema is missing", "`schema = 1`"]),
        (b"schema = '1'", ["schema must be the number 1", "'1'"]),
        (b"schema = 2", ["schema must be 1", "newer kit"]),
        (b"schema = 1", ["'competition' is missing"]),
    ],
)
def test_a_broken_kit_toml_is_refused(
    run_kit: Any, competition: Competition, text: bytes, phrases: list[str]
) -> None:
    (competition.root / "kit.toml").write_bytes(text)
    refused(run_kit("cv", "-C", competition.root), 1, "kit.toml", *phrases)


def test_a_kit_toml_that_notepad_saved_is_read(run_kit: Any, competition: Competition) -> None:
    path = competition.root / "kit.toml"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert run_kit("runs", "-C", competition.root).code == 0


def test_without_a_kit_toml_the_ways_out_are_named(
    run_kit: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    refused(run_kit("cv"), 1, "no kit.toml", "-C", "kit new")
    refused(run_kit("cv", "-C", "nowhere"), 1, "-C nowhere", "no kit.toml there")


@pytest.mark.parametrize(
    "arguments",
    [["frobnicate"], ["cv", "--frob"], ["cv", "--folds", "many"], ["diff", "one"], ["show"]],
)
def test_wrong_usage_ends_with_two(run_kit: Any, arguments: list[str]) -> None:
    outcome = run_kit(*arguments)
    assert outcome.code == 2
    assert "Usage: kit" in outcome.err
    assert "Traceback" not in outcome.err


def _edit(competition: Competition, name: str, change: Callable[[pd.DataFrame], Any]) -> None:
    path = competition.raw / name
    frame = pd.read_csv(path, dtype="str")
    change(frame).to_csv(path, index=False)


def _set(row: int, column: str, value: Any) -> Callable[[pd.DataFrame], pd.DataFrame]:
    return lambda frame: frame.assign(**{column: frame[column].where(frame.index != row, value)})


TRAIN, TEST = "train.csv", "test.csv"


@pytest.mark.parametrize(
    ("file", "change", "phrases"),
    [
        (TRAIN, lambda f: f.assign(y="1"), ["one class only ('1')"]),
        (TRAIN, lambda f: f.assign(y=["1", "1", *["0"] * (len(f) - 2)]), ["no. 2 in", ": 2"]),
        (TRAIN, lambda f: f.assign(y=None), ["no training row has a target: 'y' is missing"]),
        (TRAIN, _set(5, "y", "maybe"), ["labels that task.classes does not list", "'maybe'"]),
        (TRAIN, _set(5, "id", "r1"), ["train.csv: ids must be unique", "'r1'"]),
        (TRAIN, _set(5, "id", " r1 "), ["train.csv: ids must be unique", "'r1'"]),
        (TRAIN, _set(5, "id", None), ["the id column 'id' is empty in 1 row"]),
        (TEST, _set(5, "id", "r60"), ["test.csv: ids must be unique", "'r60'"]),
        (TEST, lambda f: f.drop(columns="number"), ["test.csv lacks", "['number']", "drop"]),
        (TEST, lambda f: f.drop(columns="id"), ["'id' is not in test.csv", "columns.test_id"]),
        (TRAIN, lambda f: f[:0], ["train.csv has a header but no rows"]),
        (TEST, lambda f: f[:0], ["test.csv has a header but no rows"]),
        (TRAIN, lambda f: f.rename(columns={"letter": " number "}), ["repeat", "number"]),
    ],
)
def test_data_that_contradict_kit_toml_are_refused(
    run_kit: Any, competition: Competition, file: str, change: Any, phrases: list[str]
) -> None:
    _edit(competition, file, change)
    refused(run_kit("cv", "-q", "-C", competition.root), 1, *phrases)
    nothing_written(competition)


def test_a_class_that_one_fold_would_not_learn_is_refused(
    run_kit: Any, competition: Competition
) -> None:
    _edit(competition, TRAIN, lambda f: f.assign(y=["1", *["0"] * (len(f) - 1)]))
    outcome = run_kit("cv", "-q", "-C", competition.root, "--set", "cv.splitter=kfold")
    refused(outcome, 1, "lack class 2 of task.classes", "fewer folds")


@pytest.mark.parametrize(
    ("name", "content", "phrases"),
    [
        ("train.csv", b"", ["train.csv is empty"]),
        ("train.csv", b"id,number,letter,y\n", ["has a header but no rows"]),
        ("train.csv", b"id,number,letter,y\nr1,1,p,0,,\nr2,2,q,1,,\n", ["more cells", "header"]),
        ("train.csv", b"id,y\nr1,1\nr2,1,3,4\n", ["cannot be read as csv", "kit data --force"]),
        ("train.parquet", b"PAR1 not really", ["cannot be read as parquet"]),
        ("train.json", b'[{"id": 1', ["cannot be read as json"]),
        ("train.csv.gz", gzip.compress(b"id,y\n" * 999, mtime=0)[:-20], ["cannot be read as csv"]),
        ("train.csv.gz", b"\x1f\x8b\x08\x00" + b"\xff" * 99, ["cannot be read as csv"]),
        ("train.csv.zip", b"PK\x03\x04 torn", ["cannot be read as csv"]),
        ("train.zip", b"PK\x03\x04 torn", ["cannot be read as zip"]),
    ],
)
def test_a_broken_train_file_is_refused(
    run_kit: Any, competition: Competition, name: str, content: bytes, phrases: list[str]
) -> None:
    (competition.raw / name).write_bytes(content)
    outcome = run_kit("cv", "-q", "-C", competition.root, "--set", f"files.train={name}")
    refused(outcome, 1, name, *phrases)
    nothing_written(competition)


def test_an_encrypted_zip_is_refused(run_kit: Any, competition: Competition) -> None:
    path = competition.raw / "train.csv.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("train.csv", "id,y\n")
    content = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + offset] |= 1  # the flag "encrypted"
    path.write_bytes(content)
    outcome = run_kit("cv", "-C", competition.root, "--set", "files.train=train.csv.zip")
    refused(outcome, 1, "train.csv.zip cannot be read as csv", "encrypted")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_one_message(run_kit: Any, competition: Competition) -> None:
    competition.root.chmod(0o555)
    try:
        refused(run_kit("cv", "-q", "-C", competition.root), 1, "Permission denied")
    finally:
        competition.root.chmod(0o755)
