"""A column of 0 and 1 for each class, one 1 in every row: one target, from files to a score."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import log_loss

from kit.checks import check
from kit.competition import Competition
from kit.cv import cross_validate
from kit.errors import ConfigError, DataError
from kit.providers.grading import Rules, grade
from kit.scaffold.infer import infer
from kit.session import open_session
from kit.submission import build
from kit.submission.checking import validate
from kit.target import encode_target

Make = Callable[..., Competition]

CLASSES = ("wins_a", "wins_b", "tie")
ORDER = ["tie", "wins_a", "wins_b"]  # of the sample submission


def tables(n: int = 150) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A number per class tells which it is."""
    values = np.random.default_rng(0).normal(size=(n + 50, 3))
    flags = np.eye(3, dtype=np.int64)[values.argmax(axis=1)]
    table = pd.DataFrame(values, columns=["x0", "x1", "x2"])
    table.insert(0, "id", [f"r{k}" for k in range(len(table))])
    table[list(CLASSES)] = flags
    return table[:n], table[n:]


@pytest.fixture
def matches(make_competition: Make) -> Competition:
    train, test = tables()
    return make_competition(
        train,
        test.drop(columns=[*CLASSES]),
        task={"type": "multiclass", "metric": "log_loss", "classes": list(CLASSES)},
        columns={"id": "id", "target": list(CLASSES), "kinds": {}},
        submission={"wants": "probability", "id": "id", "columns": ORDER, "classes": ORDER},
        sample=test[["id"]].assign(**dict.fromkeys(ORDER, 1 / 3)),
    )


def test_they_are_learned_written_and_graded_as_one_target(matches: Competition) -> None:
    with open_session(matches) as session:
        assert session.context.dataset.y.shape == (150,)
        run = cross_validate(session, "linear")
    assert run is not None
    assert run.score < 0.6
    assert list(run.oof().columns) == ["id", "fold", *(f"pred_{name}" for name in CLASSES)]
    path = build(run, matches)
    assert validate(path, matches) == []
    written = pd.read_csv(path)
    assert list(written.columns) == ["id", *ORDER]
    assert written[ORDER].sum(axis=1).to_numpy() == pytest.approx(1.0)
    answers = tables()[1][["id", *CLASSES]]
    settings = matches.settings
    rules = Rules(task=settings.task, submission=settings.submission, target=CLASSES)
    score = grade(written.astype("str"), answers.astype("str"), rules).public
    codes = answers[[*CLASSES]].to_numpy().argmax(axis=1)
    wanted = log_loss(codes, written[[*CLASSES]].to_numpy())
    assert score == pytest.approx(wanted)
    assert wanted < 0.6


def test_checks_take_them_for_one_target(matches: Competition) -> None:
    report = check(matches, deep=True)
    assert not {each.code for each in report.findings} & {"KIT021", "KIT022", "KIT023", "KIT024"}
    table = pd.read_csv(matches.raw / "train.csv")
    table.loc[4, list(CLASSES)] = [1, 1, 0]
    table.to_csv(matches.raw / "train.csv", index=False)
    found = {each.code: str(each) for each in check(matches).findings}
    assert "exactly one must be 1" in found["KIT024"]


def test_rows_of_several_classes_or_of_none_are_refused() -> None:
    train, ids = tables()[0], np.array([f"r{k}" for k in range(150)])
    for flags in ([1, 1, 0], [0, 0, 0]):
        train.loc[7, list(CLASSES)] = flags
        with pytest.raises(DataError, match=r"exactly one must be 1, however in 1 row .*'r7'"):
            encode_target(train, CLASSES, "multiclass", CLASSES, ids)
    train.loc[7, list(CLASSES)] = [2, 0, -1]
    with pytest.raises(DataError, match="hold other values"):
        encode_target(train, CLASSES, "multiclass", CLASSES, ids)


def test_classes_of_other_names_than_the_columns_are_refused(matches: Competition) -> None:
    with pytest.raises(ConfigError, match="a column per class"):
        Competition.load(matches.root, ['task.classes=["a", "b", "c"]'])


@pytest.mark.parametrize(
    ("flags", "task", "metric"),
    [
        ({}, "multiclass", "log_loss"),
        ({"metric": "roc_auc"}, "multiclass", "roc_auc"),
        ({"metric": "f1_samples"}, "multilabel", "f1_samples"),  # of several labels per row
        ({"task": "multilabel"}, "multilabel", "roc_auc"),
    ],
)
def test_kit_new_reads_them_as_classes(
    tmp_path: Path, flags: dict[str, str], task: str, metric: str
) -> None:
    train, test = tables()
    train.to_csv(tmp_path / "train.csv", index=False)
    test.drop(columns=[*CLASSES]).to_csv(tmp_path / "test.csv", index=False)
    sample = test[["id"]].assign(**dict.fromkeys([name.upper() for name in ORDER], 1 / 3))
    sample.to_csv(tmp_path / "sample_submission.csv", index=False)
    found = infer(tmp_path, hints={}, flags=flags)
    assert found.get("task.type") == task
    assert found.get("task.metric") == metric
    assert found.get("columns.target") == ORDER
    if task == "multiclass":
        assert found.get("task.classes") == found.get("submission.classes") == ORDER
        assert found.get("submission.columns") == [name.upper() for name in ORDER]
        assert found.get("submission.wants") == "probability"
        assert found.get("cv.splitter") == "stratified_kfold"
        assert any("--task multilabel" in question for question in found.questions)


def test_two_columns_are_classes_where_it_is_said(tmp_path: Path) -> None:
    train, test = tables()
    train = train.drop(columns="tie").assign(wins_b=1 - train["wins_a"])
    train.to_csv(tmp_path / "train.csv", index=False)
    test.drop(columns=[*CLASSES]).to_csv(tmp_path / "test.csv", index=False)
    test[["id"]].assign(wins_a=0.5, wins_b=0.5).to_csv(tmp_path / "sample.csv", index=False)
    found = infer(tmp_path, hints={}, flags={"sample": "sample.csv"})
    assert found.get("task.type") == "multilabel"
    assert any("--task binary" in question for question in found.questions)
    found = infer(tmp_path, hints={}, flags={"sample": "sample.csv", "task": "binary"})
    assert found.get("task.classes") == ["wins_a", "wins_b"]
