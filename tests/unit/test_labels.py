"""Several labels in a cell: read, learned, decided, written, checked and graded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import fbeta_score

from kit.checks import check
from kit.competition import Competition
from kit.cv import cross_validate
from kit.decision import Decision, fit_decision
from kit.errors import ConfigError, DataError, ProviderError, SubmissionError
from kit.labels import as_cells, flags_of
from kit.metrics.base import load_metric
from kit.providers.grading import Rules, grade
from kit.session import open_session
from kit.settings import SubmissionSpec, TaskSpec
from kit.submission import build
from kit.submission.checking import validate
from kit.target import encode_target

Make = Callable[..., Competition]

LABELS = ("clear", "haze", "road", "water")
TASK = {"type": "multilabel", "metric": "f1_samples", "classes": list(LABELS), "separator": " "}


def tables(n: int = 120) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A number per label tells whether it is there; rows without any get "clear"."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(n + 40, len(LABELS)))
    flags = values > 0.3
    flags[~flags.any(axis=1), 0] = True
    table = pd.DataFrame(values, columns=[f"x{k}" for k in range(len(LABELS))])
    table.insert(0, "id", [f"r{k}" for k in range(len(table))])
    table["tags"] = as_cells(flags.astype(np.int64), LABELS, " ")
    return table[:n], table[n:]


@pytest.fixture
def tagged(make_competition: Make) -> Competition:
    train, test = tables()
    return make_competition(
        train,
        test.drop(columns="tags"),
        task=TASK,
        columns={"id": "id", "target": ["tags"], "kinds": {}},
        submission={"wants": "label", "id": "id", "columns": ["tags"]},
        sample=test[["id"]].assign(tags="clear road"),
        cv={"splitter": "kfold", "n_splits": 3, "seed": 1},
    )


def test_cells_become_columns_and_cells_again() -> None:
    cells = pd.Series(["water clear", "", None, " haze  road "])
    flags, unknown = flags_of(cells, LABELS, " ")
    assert flags.tolist() == [[1, 0, 0, 1], [0, 0, 0, 0], [0, 0, 0, 0], [0, 1, 1, 0]]
    assert unknown == []
    assert list(as_cells(flags.astype(np.int64), LABELS, ", ")) == [
        "clear, water", "", "", "haze, road",
    ]  # fmt: skip
    flags, unknown = flags_of(pd.Series(["a b|c", "c|d"]), ("a b", "c"), "|")
    assert flags.tolist() == [[1, 1], [0, 1]]
    assert unknown == ["d"]


def test_labels_that_nobody_listed_and_labels_of_all_rows_are_refused() -> None:
    ids = np.array(["1", "2"])
    for cells, message in ((["clear", "fog"], "does not list"), (["clear", "clear"], "one value")):
        train = pd.DataFrame({"tags": cells})
        with pytest.raises(DataError, match=message):
            encode_target(train, ["tags"], "multilabel", LABELS, ids, " ")


@pytest.mark.parametrize("beta", [1, 2])
def test_f_of_a_row_is_that_of_scikit_learn(beta: int) -> None:
    rng = np.random.default_rng(0)
    truth, labels = rng.integers(0, 2, (2, 50, 4))
    truth[:3], labels[:2] = 0, 0  # nothing there: all is right if nothing is said
    found = load_metric(f"f{beta}_samples", "multilabel").score(truth, labels)
    wanted = fbeta_score(truth, labels, beta=beta, average="samples", zero_division=1.0)
    assert found == pytest.approx(wanted)


def test_where_every_row_has_a_label_every_row_gets_one() -> None:
    pred = np.array([[0.1, 0.4], [0.9, 0.2], [0.3, 0.1]])
    rule = Decision("thresholds", (0.5, 0.5), some=True)
    assert rule.apply(pred).tolist() == [[0, 1], [1, 0], [1, 0]]
    assert Decision.from_json(rule.to_json()) == rule
    metric = load_metric("f1_samples", "multilabel")
    y, fold = np.array([[0, 1], [1, 0], [1, 1]] * 20), np.arange(60) % 3
    pred = np.tile(pred, (20, 1))
    assert fit_decision(metric, "multilabel", y, pred, fold).decision.some
    y[0] = 0
    assert not fit_decision(metric, "multilabel", y, pred, fold).decision.some


def test_labels_are_learned_written_and_graded(tagged: Competition) -> None:
    with open_session(tagged) as session:
        run = cross_validate(session, "lightgbm")
    assert run is not None
    assert run.score > 0.8
    assert list(run.oof().columns) == ["id", "fold", *(f"pred_{label}" for label in LABELS)]
    path = build(run, tagged)
    written = pd.read_csv(path, dtype="str", keep_default_na=False)
    assert list(written.columns) == ["id", "tags"]
    assert set(" ".join(written["tags"]).split()) == set(LABELS)
    assert (written["tags"] != "").all()
    assert validate(path, tagged) == []
    settings = tagged.settings
    rules = Rules(task=settings.task, submission=settings.submission, target=("tags",))
    answers = tables()[1][["id", "tags"]]
    score = grade(written, answers, rules).public
    truth, labels = (flags_of(each["tags"], LABELS, " ")[0] for each in (answers, written))
    assert score == pytest.approx(load_metric("f1_samples", "multilabel").score(truth, labels))
    assert score > 0.8
    assert grade(answers, answers, rules).public == 1.0


def test_what_is_no_list_of_labels_is_refused(tagged: Competition, tmp_path: Path) -> None:
    answers = tables()[1][["id", "tags"]]
    rules = Rules(
        task=TaskSpec(type="multilabel", metric="f1_samples", classes=LABELS, separator=" "),
        submission=SubmissionSpec(wants="label", id="id", columns=("tags",)),
        target=("tags",),
    )
    wrong = answers.copy()
    wrong.iloc[3, 1] = "clear fog"
    with pytest.raises(SubmissionError, match="fog"):
        grade(wrong, answers, rules)
    with pytest.raises(ProviderError, match="fog"):
        grade(answers, wrong, rules)
    wrong.iloc[5, 1] = "clear clear"
    path = tmp_path / "wrong.csv"
    wrong.to_csv(path, index=False)
    with pytest.raises(SubmissionError, match=r"2 are not, first: line 5 .*clear fog"):
        validate(path, tagged)


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ({**TASK, "type": "multiclass"}, "task.separator stands between"),
        ({**TASK, "classes": ["clear", "light haze"]}, "light haze"),
        ({**TASK, "classes": ["clear"]}, "two or more"),
        ({**TASK, "separator": ""}, "several columns are expected"),
    ],
)
def test_contradictions_in_kit_toml_are_named(
    tagged: Competition, task: dict[str, Any], message: str
) -> None:
    flags = [f"task.{key}={value!r}".replace("'", '"') for key, value in task.items()]
    with pytest.raises(ConfigError, match=message):
        Competition.load(tagged.root, flags)


def test_checks_read_cells_label_by_label(make_competition: Make) -> None:
    """A column that knows one label is found; an empty cell is no missing target."""
    train, test = tables()
    flags, _ = flags_of(train["tags"], LABELS, " ")
    train = train.assign(spy=flags[:, 2])
    train.loc[5, "tags"] = None
    competition = make_competition(
        train,
        test.drop(columns="tags").assign(spy=0.0),
        task=TASK,
        columns={"id": "id", "target": ["tags"], "kinds": {}},
        submission={"wants": "label", "id": "id", "columns": ["tags"]},
        sample=test[["id"]].assign(tags="clear road"),
    )
    found = {each.code: each for each in check(competition).findings}
    assert "KIT201" in found
    assert "'road'" in str(found["KIT201"])
    assert not {"KIT021", "KIT023", "KIT024"} & set(found)
