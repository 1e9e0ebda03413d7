"""Predictions that change hands: a round trip is exact, and what does not fit is told exactly."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kit.blend import blend
from kit.competition import Competition
from kit.cv import cross_validate
from kit.errors import ConfigError, DataError, FoldMismatch, RunError
from kit.exchange import export_run, import_file
from kit.execution.context import load_context
from kit.refit.members import resolve
from kit.runs import Run
from kit.session import open_session

Make = Callable[..., Competition]


def three_classes(make: Make, name: str = "mine", **tables: Any) -> Competition:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"id": [f"r{k}" for k in range(120)], "a": rng.normal(size=120)})
    frame["b"] = rng.normal(size=120)
    frame["y"] = np.where(frame["a"] > 0.5, "red", np.where(frame["a"] < -0.5, "blue", "green"))
    defaults: dict[str, Any] = {
        "competition": {"slug": "colours"},
        "task": {"type": "multiclass", "metric": "log_loss", "classes": ["blue", "green", "red"]},
        "submission": {"wants": "probability", "columns": ["blue", "green", "red"],
                       "classes": ["blue", "green", "red"]},
    }  # fmt: skip
    test = frame[90:].drop(columns="y")
    sample = pd.DataFrame({"id": test["id"], "blue": 0.3, "green": 0.3, "red": 0.4})
    return make(frame[:90], test, name=name, sample=sample, **{**defaults, **tables})


@pytest.fixture
def mine(make_competition: Make) -> Competition:
    return three_classes(make_competition)


@pytest.fixture
def run(mine: Competition) -> Run:
    with open_session(mine) as session:
        made = cross_validate(session, "linear")
    assert made is not None
    return made


def file_of(run: Run, path: Path) -> Path:
    export_run(run, path)
    return path


def changed(path: Path, change: Callable[[pd.DataFrame], pd.DataFrame], **facts: Any) -> Path:
    """The same parquet file with other rows or other facts."""
    table = pq.read_table(path)
    old = json.loads(table.schema.metadata[b"kit.oof"])
    frame = change(table.to_pandas())
    new = pa.Table.from_pandas(frame, preserve_index=False)
    target = path.with_name("changed.parquet")
    pq.write_table(new.replace_schema_metadata({b"kit.oof": json.dumps({**old, **facts})}), target)
    return target


def same(frame: pd.DataFrame) -> pd.DataFrame:
    return frame


def test_an_id_that_is_spelled_like_a_missing_one_is_an_id(
    make_competition: Make, tmp_path: Path
) -> None:
    """NA is Namibia."""
    frame = pd.DataFrame({"id": ["NA", *(f"r{k}" for k in range(119))]})
    frame["a"] = np.random.default_rng(0).normal(size=120)
    frame["y"] = np.where(frame["a"] > 0, "yes", "no")
    task = {"type": "binary", "metric": "roc_auc", "classes": ["no", "yes"]}
    mine = make_competition(frame[:90], frame[90:].drop(columns="y"), name="na", task=task)
    with open_session(mine) as session:
        run = cross_validate(session, "linear")
    assert run is not None
    got, _ = import_file(mine, file_of(run, tmp_path / "linear.csv"))
    pd.testing.assert_frame_equal(got.oof(), run.oof(), check_exact=True)


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_a_round_trip_keeps_every_bit_and_blends(
    suffix: str, make_competition: Make, run: Run, tmp_path: Path
) -> None:
    path = file_of(run, tmp_path / f"linear.{suffix}")
    other = three_classes(make_competition, "other")
    got, remarks = import_file(other, path, name="mate")
    assert remarks == []
    assert (got.kind, got.model) == ("import", "mate")
    pd.testing.assert_frame_equal(got.oof(), run.oof(), check_exact=True)
    pd.testing.assert_frame_equal(got.test(), run.test(), check_exact=True)
    assert got.score == run.score
    again, remarks = import_file(other, path, name="mate")
    assert again.id == got.id
    assert "imported before" in remarks[0]
    with open_session(other) as session:
        assert cross_validate(session, "extra_trees") is not None
    blended = blend(other, [])
    assert got.id in blended.record["parents"]


def test_an_import_blends_even_after_features_have_changed(mine: Competition, run: Run) -> None:
    path = file_of(run, mine.root / "linear.csv")
    got, _ = import_file(mine, path, name="mate")
    code = "def features(df):\n    df['c'] = df['a'] * 2\n    return df\n"
    (mine.root / "features.py").write_text(code)
    with open_session(mine) as session:
        fresh = cross_validate(session, "linear")
    assert fresh is not None
    assert set(blend(mine, []).record["parents"]) == {got.id, fresh.id}


def test_rows_in_another_order_are_joined_by_id(mine: Competition, run: Run) -> None:
    path = file_of(run, mine.root / "a.parquet")
    shuffled = changed(path, lambda f: f.sample(frac=1, random_state=0))
    got, _ = import_file(mine, shuffled)
    pd.testing.assert_frame_equal(got.oof(), run.oof(), check_exact=True)


FAULTS: dict[str, tuple[Callable[[pd.DataFrame], pd.DataFrame], str]] = {
    "missing": (lambda f: f[f["id"] != "r5"], "1 id of the data is missing, first: 'r5'"),
    "extra": (
        lambda f: pd.concat([f, f[f["id"] == "r5"].assign(id="zz")]),
        "1 id is not in the data, first: 'zz'",
    ),
    "twice": (lambda f: pd.concat([f, f[f["id"] == "r5"]]), "1 id is there twice, first: 'r5'"),
    "no test": (lambda f: f[f["part"] == "oof"], "the 30 rows of the test file are expected"),
    "short test": (lambda f: f[f["id"] != "r100"], "test predictions: 29 rows"),
    "nan": (
        lambda f: f.assign(pred_red=f["pred_red"].where(f["id"] != "r7")),
        "1 row is not finite numbers, first ids: 'r7'",
    ),
    "logits": (lambda f: f.assign(pred_red=f["pred_red"] * 9), "probabilities lie between 0 and 1"),
    "sum": (lambda f: f.assign(pred_red=f["pred_red"] / 2), "must sum to 1"),
    "column": (lambda f: f.drop(columns="pred_red"), "lacks predictions for ['red']"),
    "part": (lambda f: f.assign(part="train"), "part must be oof or test"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_rows_that_do_not_fit_are_refused_with_the_reason(
    fault: str, mine: Competition, run: Run
) -> None:
    change, message = FAULTS[fault]
    path = changed(file_of(run, mine.root / "a.parquet"), change)
    before = sorted(mine.runs.glob("2*"))
    with pytest.raises(DataError) as caught:
        import_file(mine, path)
    assert message in str(caught.value)
    assert sorted(mine.runs.glob("2*")) == before


@pytest.mark.parametrize(
    ("facts", "error", "message"),
    [
        ({"folds": "0" * 16}, FoldMismatch, "was validated on the folds 0000"),
        ({"metric": {"name": "accuracy"}}, DataError, "made for task.metric 'accuracy'"),
        ({"metric": {"name": "log_loss", "code": "ab"}}, DataError, "with another log_loss.py"),
        ({"classes": ["red", "green", "blue"]}, DataError, "the same classes in another order"),
        ({"classes": ["red", "blue"]}, DataError, "has other classes"),
        ({"competition": "titanic"}, DataError, "made for competition 'titanic'"),
        ({"task": "binary"}, DataError, "made for task.type 'binary'"),
        ({"format": "kit.oof/9"}, DataError, "Update kit"),
        ({"metric": "log_loss"}, DataError, "is damaged"),
    ],
)
def test_facts_that_do_not_fit_are_refused(
    facts: dict[str, Any], error: type[Exception], message: str, mine: Competition, run: Run
) -> None:
    path = changed(file_of(run, mine.root / "a.parquet"), same, **facts)
    with pytest.raises(error) as caught:
        import_file(mine, path)
    assert message in str(caught.value)


def test_rows_of_other_folds_are_refused_whatever_the_facts_say(
    mine: Competition, run: Run
) -> None:
    def swapped(frame: pd.DataFrame) -> pd.DataFrame:
        rows = frame["id"] == frame.loc[frame["fold"] == 0, "id"].iloc[0]
        return frame.assign(fold=frame["fold"].where(~rows, 1))

    path = changed(file_of(run, mine.root / "a.parquet"), swapped)
    with pytest.raises(FoldMismatch, match="1 row lies in another fold"):
        import_file(mine, path)


def notebook(run: Run, folder: Path, *, fold: bool = False) -> tuple[Path, Path]:
    """What a notebook saves: ids and a column per class, in an order of its own."""
    oof = run.oof().rename(columns=lambda c: c.removeprefix("pred_"))
    test = run.test().rename(columns=lambda c: c.removeprefix("pred_"))
    columns = ["id", "red", "blue", "green", *(["fold"] if fold else [])]
    oof[columns].to_csv(folder / "oof.csv", index=False)
    test[["id", "green", "red", "blue"]].to_csv(folder / "test.csv", index=False)
    return folder / "oof.csv", folder / "test.csv"


def test_a_notebook_that_does_not_name_its_folds_is_refused(
    mine: Competition, run: Run, tmp_path: Path
) -> None:
    oof, test = notebook(run, tmp_path)
    with pytest.raises(DataError, match="does not say on which folds"):
        import_file(mine, oof, test=test)
    with pytest.raises(DataError, match="holds no test predictions"):
        import_file(mine, oof, folds=mine.root / "folds.parquet")


def test_a_notebook_on_the_folds_of_the_team_is_taken_columns_by_name(
    mine: Competition, run: Run, tmp_path: Path
) -> None:
    oof, test = notebook(run, tmp_path)
    got, _ = import_file(mine, oof, test=test, folds=mine.root / "folds.parquet")
    assert got.model == "oof"
    np.testing.assert_allclose(got.oof()["pred_red"], run.oof()["pred_red"], rtol=1e-12)
    assert got.score == pytest.approx(run.score)


def two_classes(make: Make, **tables: Any) -> Competition:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"id": [f"r{k}" for k in range(120)], "a": rng.normal(size=120)})
    frame["y"] = np.where(frame["a"] + rng.normal(size=120) > 0, "yes", "no")
    tables["task"] = {"type": "binary", "metric": "roc_auc", "classes": ["no", "yes"]}
    return make(frame[:90], frame[90:].drop(columns="y"), name="two", **tables)


def test_of_two_classes_the_probability_of_the_second_one_is_taken_by_name(
    make_competition: Make, tmp_path: Path
) -> None:
    competition = two_classes(make_competition)
    with open_session(competition) as session:
        run = cross_validate(session, "linear")
    assert run is not None
    pred, test = run.oof()["pred"], run.test()
    test.to_csv(tmp_path / "test.csv", index=False)
    oof = run.oof().drop(columns="pred")
    wrong = {"pred_no": 1 - pred}, {"no": 1 - pred}
    right = {"pred_no": 1 - pred, "pred_yes": pred}, {"no": 1 - pred, "yes": pred}, {"yes": pred}
    for columns in wrong:
        oof.assign(**columns).to_csv(tmp_path / "oof.csv", index=False)
        with pytest.raises(DataError, match="the probability of 'no', however that of 'yes'"):
            import_file(competition, tmp_path / "oof.csv", test=tmp_path / "test.csv")
    for columns in right:
        oof.assign(**columns).to_csv(tmp_path / "oof.csv", index=False)
        got, _ = import_file(competition, tmp_path / "oof.csv", test=tmp_path / "test.csv")
        assert got.score == pytest.approx(run.score)


def test_a_column_of_truth_is_not_taken_for_predictions(
    make_competition: Make, mine: Competition, tmp_path: Path
) -> None:
    """A notebook's table has the target beside what was predicted, under a name of its own."""
    competition = two_classes(make_competition)
    data, folds = load_context(competition).dataset, load_context(competition).folds
    oof, test = tmp_path / "oof.csv", tmp_path / "test.csv"
    pd.DataFrame({"id": data.test_ids, "y": 0.5}).to_csv(test, index=False)
    table = pd.DataFrame({"id": data.ids, "fold": folds.fold, "y": data.y, "lgb": 0.5})
    table.to_csv(oof, index=False)
    with pytest.raises(DataError, match=r"'y' is the truth itself in all 90 rows.*\n.*pred"):
        import_file(competition, oof, test=test)
    table.assign(pred=table["lgb"]).to_csv(oof, index=False)
    assert import_file(competition, oof, test=test)[0].score == 0.5
    data, folds = load_context(mine).dataset, load_context(mine).folds
    table = pd.DataFrame({"id": data.ids, "fold": folds.fold})
    table[list(data.classes)] = np.eye(3)[data.y]
    table.to_csv(oof, index=False)
    with pytest.raises(DataError, match="'blue', 'green', 'red' is the truth itself"):
        import_file(mine, oof, test=test)


def test_imports_are_scored_and_blended_anew_where_the_truth_has_changed(
    make_competition: Make, tmp_path: Path
) -> None:
    """Labels were corrected: folds, and so the imports, are the same."""
    competition = two_classes(make_competition, cv={"splitter": "kfold", "n_splits": 3})
    context, rng = load_context(competition), np.random.default_rng(1)
    test, files = tmp_path / "test.csv", [tmp_path / "a.csv", tmp_path / "b.csv"]
    pd.DataFrame({"id": context.dataset.test_ids, "pred": 0.5}).to_csv(test, index=False)
    table = pd.DataFrame({"id": context.dataset.ids, "fold": context.folds.fold})
    for file in files:
        table.assign(pred=rng.random(len(table))).to_csv(file, index=False)
    old = [import_file(competition, file, test=test)[0] for file in files]
    before = blend(competition, [], "mean")
    train = pd.read_csv(competition.raw / "train.csv")
    train["y"] = train["y"].map({"yes": "no", "no": "yes"})
    train.to_csv(competition.raw / "train.csv", index=False)
    after = blend(competition, [], "mean")
    assert after.score == pytest.approx(1 - before.score)
    for run, file in zip(old, files, strict=True):
        again, remarks = import_file(competition, file, test=test)
        assert (again.score, remarks) == (pytest.approx(1 - run.score), [])


def test_predictions_of_sealed_rows_are_told_as_such(
    make_competition: Make, tmp_path: Path
) -> None:
    competition = two_classes(make_competition, cv={"holdout": 0.2})
    with open_session(competition) as session:
        run = cross_validate(session, "linear")
    assert run is not None
    everything = pd.concat([run.oof().drop(columns="fold"), run.holdout()])
    everything.to_csv(tmp_path / "oof.csv", index=False)
    run.test().to_csv(tmp_path / "test.csv", index=False)
    folds = competition.root / "folds.parquet"
    with pytest.raises(DataError, match="no fold validates here") as refused:
        import_file(competition, tmp_path / "oof.csv", test=tmp_path / "test.csv", folds=folds)
    assert "not in the data" not in str(refused.value)


def test_folds_counted_from_one_are_taken_and_told(
    mine: Competition, run: Run, tmp_path: Path
) -> None:
    oof, test = notebook(run, tmp_path, fold=True)
    frame = pd.read_csv(oof)
    frame.assign(fold=frame["fold"] + 1).to_csv(oof, index=False)
    got, remarks = import_file(mine, oof, test=test)
    assert "other numbers than ours" in remarks[0]
    assert got.oof()["fold"].tolist() == run.oof()["fold"].tolist()


def test_folds_of_another_team_are_refused(mine: Competition, run: Run, tmp_path: Path) -> None:
    oof, test = notebook(run, tmp_path)
    folds = load_context(mine).folds
    other = type(folds)(folds.ids, np.roll(folds.fold, 1), folds.forward)
    other.save(tmp_path / "theirs.parquet")
    with pytest.raises(FoldMismatch, match="has the folds"):
        import_file(mine, oof, test=test, folds=tmp_path / "theirs.parquet")


def test_pickles_are_not_read(mine: Competition, run: Run, tmp_path: Path) -> None:
    path = tmp_path / "oof.pkl"
    run.oof().to_pickle(path)
    with pytest.raises(DataError, match="pickles and the like are not read"):
        import_file(mine, path)


@pytest.mark.parametrize(
    "content", [b"", b"PAR1", b"\xff\xfe\x00nonsense", b"# kit.oof {\nid,pred\n"]
)
@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_rubbish_is_one_clear_error(
    content: bytes, suffix: str, mine: Competition, tmp_path: Path
) -> None:
    path = tmp_path / f"oof.{suffix}"
    path.write_bytes(content)
    with pytest.raises(DataError):
        import_file(mine, path)


def test_blends_and_final_fits_are_not_given_away(mine: Competition, run: Run) -> None:
    with open_session(mine) as session:
        assert cross_validate(session, "extra_trees") is not None
    blended = blend(mine, [])
    with pytest.raises(RunError, match=f"weighed anew.\\n  Export its members: .*{run.id}"):
        export_run(blended, mine.root / "blend.parquet")
    with pytest.raises(ConfigError, match=r"must end in \.parquet or \.csv"):
        export_run(run, mine.root / "linear.pkl")


def test_an_import_is_not_fitted_again(mine: Competition, run: Run) -> None:
    got, _ = import_file(mine, file_of(run, mine.root / "a.csv"))
    with pytest.raises(RunError, match="was imported"):
        resolve(got, mine, "none")


def test_probabilities_that_rounding_left_beyond_1_are_cut_there(
    make_competition: Make, tmp_path: Path
) -> None:
    """A submission that holds them is refused."""
    mine = two_classes(make_competition)
    context = load_context(mine)
    data, number = context.dataset, np.arange(90)
    oof = pd.DataFrame({"id": data.ids, "fold": context.folds.fold, "pred": number / 89 * 1.000009})
    test = pd.DataFrame({"id": data.test_ids, "pred": 1.000009})
    oof.to_csv(tmp_path / "oof.csv", index=False)
    test.to_csv(tmp_path / "test.csv", index=False)
    got, _ = import_file(mine, tmp_path / "oof.csv", test=tmp_path / "test.csv")
    assert got.oof()["pred"].max() == 1.0
    assert (got.test()["pred"] == 1.0).all()
