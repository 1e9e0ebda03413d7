"""`kit fit` and `kit predict`: all rows are used, the score stays the parent's, files are read."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from kit.blend import blend
from kit.cli.runs import run_rows
from kit.competition import Competition
from kit.cv import cross_validate
from kit.errors import ConfigError, DataError, KitError, RunError
from kit.execution.all_rows import Stopped, fit_all, stopping_point
from kit.inner import InnerSplit
from kit.models.base import FoldRows, Problem
from kit.models.lightgbm import LightGBM
from kit.refit.final import refit
from kit.refit.members import resolve, spec_of
from kit.refit.mixing import Mixing, ranks
from kit.refit.predict import predict_file
from kit.refit.rows import NewRows
from kit.runs import Run, list_runs, publish
from kit.selection import best_run
from kit.session import open_session

Make = Callable[..., Competition]
Mixed = tuple[pd.DataFrame, pd.DataFrame]

MODELS: dict[str, Any] = {
    "lightgbm": {"params": {"n_estimators": 40, "patience": 5}},
    "extra_trees": {"params": {"n_estimators": 8}},
    "linear": {"params": {"strengths": [1.0]}},
    "prior": {"use": "model:build"},
}
MODEL = """
from sklearn.dummy import DummyClassifier

def build():
    return DummyClassifier(strategy="prior")
"""
FEATURES = """
def features(df):
    return df.assign(double=2 * df["a"])
"""


@pytest.fixture
def toy(make_competition: Make, mixed: Mixed) -> Make:
    def make(**tables: Any) -> Competition:
        train, test = mixed
        kinds = {"c": "category", "d": "datetime"}
        columns = {"kinds": kinds}
        code = tables.pop("code", {"model.py": MODEL})
        return make_competition(
            train, test, code=code, **{"models": MODELS, "columns": columns, **tables}
        )

    return make


def validated(competition: Competition, *models: str, keep: bool = False) -> list[Run]:
    with open_session(competition, keep_models=keep) as session:
        runs = [cross_validate(session, model) for model in models]
    assert all(run is not None for run in runs)
    return [run for run in runs if run is not None]


def predicted(run: Run) -> np.ndarray:
    return run.test()["pred"].to_numpy()


def test_a_refitted_run_used_every_training_row(toy: Make, mixed: Mixed) -> None:
    competition = toy()
    (run,) = validated(competition, "prior")
    fitted = refit(competition, run)
    assert predicted(fitted) == pytest.approx(mixed[0]["y"].mean(), abs=1e-12)


def test_a_refitted_run_shows_the_validation_of_its_parent(toy: Make) -> None:
    competition = toy()
    (run,) = validated(competition, "lightgbm")
    fitted = refit(competition, run)
    assert fitted.kind == "fit"
    assert fitted.record["parents"] == [run.id] == [fitted.record["score_of"]]
    assert fitted.record["score"] == run.record["score"]
    assert fitted.record["decision"] == run.record["decision"]
    pd.testing.assert_frame_equal(fitted.oof(), run.oof())
    assert list(fitted.test()["id"]) == list(run.test()["id"])
    assert not np.allclose(predicted(fitted), predicted(run))


def test_boosting_goes_on_to_where_cross_validation_stopped(toy: Make) -> None:
    competition = toy()
    (run,) = validated(competition, "lightgbm")
    fitted = refit(competition, run, seeds=1)
    (fact,) = fitted.record["members"]
    wanted = stopping_point(LightGBM(), Stopped(tuple(run.record["best_iterations"]), 3 / 2))
    assert fact["stopped_at"] == wanted
    (folder,) = (fitted.path / "models" / run.id).iterdir()
    assert LightGBM.load(folder).boosters_[0].num_trees() == wanted


def test_more_rows_need_a_little_more_rounds_and_no_more_epochs() -> None:
    class Network(LightGBM):
        refit_parameter = "epochs"

    stopped = Stopped((100, 200), growth=1.25)
    assert stopping_point(LightGBM(), stopped) == round(150 * 1.25**0.5)
    assert stopping_point(Network(), stopped) == 150


def test_a_model_cut_by_the_clock_is_told_anew_where_to_stop() -> None:
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(300, 3)), columns=list("abc"))
    y = (X["a"] + rng.normal(size=300) > 0).to_numpy().astype(np.int64)
    model = LightGBM(n_estimators=200, patience=10)
    fold = (np.arange(300) % 3).astype(np.int8)
    problem = Problem(task="binary", n_outputs=1)
    rows = FoldRows(X=X, y=y, X_valid=X[:0], y_valid=y[:0])
    fitted = fit_all(model, rows, problem, Stopped((), 1.5), InnerSplit(fold != 2, fold == 2))
    assert fitted.best_iteration_ is not None
    assert 1 <= fitted.best_iteration_ < 150


def test_seeds_are_averaged_and_a_model_without_chance_is_fitted_once(toy: Make) -> None:
    competition = toy()
    linear, trees = validated(competition, "linear", "extra_trees")
    assert refit(competition, linear, seeds=4).record["members"][0]["seeds"] == 1
    many = refit(competition, trees, seeds=4)
    assert many.record["members"][0]["seeds"] == 4
    assert len(list((many.path / "models" / trees.id).iterdir())) == 4
    one = refit(competition, trees, seeds=1)
    assert not np.allclose(predicted(one), predicted(many))
    with pytest.raises(ConfigError, match=r"--seeds must be between 1 and 100\. Received: 0"):
        refit(competition, trees, seeds=0)


def test_the_same_fit_is_not_made_twice(toy: Make) -> None:
    competition = toy()
    (run,) = validated(competition, "linear")
    first, told = refit(competition, run), []
    assert refit(competition, run, tell=told.append).id == first.id
    assert told == [f"already there: {first.id}"]


def test_a_fit_says_that_the_folds_are_others_now(toy: Make) -> None:
    competition = toy()
    (run,) = validated(competition, "prior")
    told: list[str] = []
    refit(competition, run, tell=told.append)
    assert not any("folds" in line for line in told)
    other = Competition.load(competition.root, ["cv.n_splits=4"])
    refit(other, run, seeds=2, tell=told.append)
    (note,) = [line for line in told if "folds" in line]
    assert f"{run.id} was validated on the folds {run.folds}, however kit.toml makes" in note


def test_a_blend_is_refitted_from_its_members(toy: Make) -> None:
    competition = toy()
    runs = validated(competition, "lightgbm", "linear", "prior")
    mixed = blend(competition, [run.id for run in runs[:2]], "mean")
    outer = blend(competition, [mixed.id, runs[2].id], "mean")
    fitted = refit(competition, outer, seeds=1)
    single = {run.id: predicted(refit(competition, run, seeds=1)) for run in runs}
    inner = (single[runs[0].id] + single[runs[1].id]) / 2
    assert predicted(fitted) == pytest.approx((inner + single[runs[2].id]) / 2, abs=1e-5)
    assert {fact["model"] for fact in fitted.record["members"]} == {"lightgbm", "linear", "prior"}


@pytest.mark.parametrize("method", ["mean", "greedy", "rank"])
def test_new_rows_are_predicted_as_the_test_rows_were(
    toy: Make, method: str, tmp_path: Path
) -> None:
    competition = toy(code={"model.py": MODEL, "features.py": FEATURES})
    runs = validated(competition, "extra_trees", "linear")
    fitted = refit(competition, blend(competition, [r.id for r in runs], method), seeds=2)
    file = competition.raw / "test.csv"
    whole = predict_file(competition, fitted, file, tmp_path / "a.csv", proba=True)
    pieces = predict_file(competition, fitted, file, tmp_path / "b.csv", proba=True, rows=7)
    assert whole.notes == ()
    # products of few rows are summed in another order: the last bits may differ, and so by one
    # place the rank of a near tie
    near = 0.02 if method == "rank" else 1e-6
    for found in (pd.read_csv(whole.path), pd.read_csv(pieces.path)):
        assert list(found["id"]) == list(fitted.test()["id"])
        assert found["pred"].to_numpy() == pytest.approx(predicted(fitted), abs=near)


def test_kept_fold_models_predict_as_their_run_did(toy: Make, tmp_path: Path) -> None:
    competition = toy()
    runs = validated(competition, "lightgbm", "linear", keep=True)
    mixed = blend(competition, [run.id for run in runs], "mean")
    for run in (runs[0], mixed):
        found = predict_file(competition, run, competition.raw / "test.csv", tmp_path / "o.csv")
        values = pd.read_csv(found.path)["y"].to_numpy()
        assert values == pytest.approx(predicted(run), abs=1e-9)


def test_a_run_without_models_says_how_to_get_them(toy: Make, tmp_path: Path) -> None:
    competition = toy()
    (run,) = validated(competition, "linear")
    with pytest.raises(RunError, match=r"kept no models.\n  `kit fit .* --keep-models"):
        predict_file(competition, run, competition.raw / "test.csv", tmp_path / "o.csv")
    assert list(tmp_path.glob("*.csv")) == []


def test_labels_are_decided_and_spelled_as_in_the_submission(toy: Make, tmp_path: Path) -> None:
    competition = toy(
        task={"metric": "accuracy"}, submission={"wants": "label", "labels": ["no", "yes"]}
    )
    (run,) = validated(competition, "lightgbm", keep=True)
    found = predict_file(competition, run, competition.raw / "test.csv", tmp_path / "o.csv")
    assert set(pd.read_csv(found.path)["y"]) == {"no", "yes"}
    assert found.columns == ("id", "y")


def test_unusual_rows_are_predicted_and_named(toy: Make, mixed: Mixed, tmp_path: Path) -> None:
    competition = toy()
    (run,) = validated(competition, "lightgbm", keep=True)
    rows = mixed[1].assign(extra=1)
    rows.loc[rows.index[:3], "c"] = "never seen"
    rows.to_csv(tmp_path / "new.csv", index=False)
    found = predict_file(competition, run, tmp_path / "new.csv", rows=10)
    assert found.rows == 30
    assert found.path == competition.root / "predictions" / f"new-{run.short}.csv"
    assert len(found.notes) == 2
    assert "'extra'" in found.notes[0]
    assert "'c': 3 values that neither train nor test has" in found.notes[1]
    rows.drop(columns="id").to_csv(tmp_path / "unnamed.csv", index=False)
    found = predict_file(competition, run, tmp_path / "unnamed.csv", rows=10)
    assert "rows are numbered" in found.notes[1]
    assert list(pd.read_csv(found.path)["id"]) == list(range(30))


def test_blank_texts_of_new_rows_are_counted(
    make_competition: Make, mixed: Mixed, tmp_path: Path
) -> None:
    train, test = (part.assign(said="red fox and " + part["c"]) for part in mixed)
    kinds = {"c": "category", "d": "datetime", "said": "text"}
    competition = make_competition(train, test, columns={"kinds": kinds})
    (run,) = validated(competition, "linear", keep=True)
    test.loc[test.index[:4], "said"] = ["", " ", None, "fox"]
    test.to_csv(tmp_path / "new.csv", index=False)
    found = predict_file(competition, run, tmp_path / "new.csv", tmp_path / "o.csv", rows=2)
    assert found.notes == ("column 'said': 3 texts are missing or blank",)
    assert np.isfinite(pd.read_csv(found.path)["y"]).all()


def test_whole_numbers_that_are_names_are_known_where_a_file_lacks_some(
    toy: Make, mixed: Mixed, tmp_path: Path
) -> None:
    competition = toy()
    for name, frame in zip(("train.csv", "test.csv"), mixed, strict=True):
        frame.assign(c=np.arange(len(frame)) % 3).to_csv(competition.raw / name, index=False)
    test = pd.read_csv(competition.raw / "test.csv")
    (run,) = validated(competition, "lightgbm", keep=True)
    outcome = []
    for c in (test["c"], test["c"].astype(float)):
        test.assign(c=c).to_csv(tmp_path / "new.csv", index=False)
        found = predict_file(competition, run, tmp_path / "new.csv", tmp_path / "o.csv")
        assert found.notes == ()
        outcome.append(found.path.read_text())
    assert outcome[0] == outcome[1]


def test_an_unseen_level_counts_as_missing(toy: Make, mixed: Mixed, tmp_path: Path) -> None:
    competition = toy()
    (run,) = validated(competition, "lightgbm", keep=True)
    outcome = []
    for value in ("never seen", ""):
        mixed[1].assign(c=value).to_csv(tmp_path / "new.csv", index=False)
        found = predict_file(competition, run, tmp_path / "new.csv", tmp_path / "o.csv")
        outcome.append(found.path.read_text())
    assert outcome[0] == outcome[1]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("id,a,c\nx,1,u\n", r"lacks 1 columns that the models were fitted on: 'd'"),
        ("id,a,c,d\nx,1,u,01/01/2020\ny,1,u,01/01/2020,9\n", "line 3"),
        ("id,a,c,d\n,1,u,01/01/2020\n", "id column 'id' is empty, first in row 1"),
        ("id,a,c,d\n", "no rows"),
        ("id,a,c,d\nx,one,u,01/01/2020\n", "'a' should be numeric"),
        ("id,a,c,d\nx,1,u,2020\n", "'d' should hold dates"),
    ],
)
def test_files_that_cannot_be_predicted_are_refused_and_nothing_is_written(
    toy: Make, tmp_path: Path, content: str, message: str
) -> None:
    competition = toy()
    (run,) = validated(competition, "linear", keep=True)
    (tmp_path / "new.csv").write_text(content)
    with pytest.raises(DataError, match=message):
        predict_file(competition, run, tmp_path / "new.csv", tmp_path / "o.csv")
    assert not (tmp_path / "o.csv").exists()


def test_the_rows_file_is_never_overwritten(toy: Make) -> None:
    competition = toy()
    (run,) = validated(competition, "linear", keep=True)
    file = competition.raw / "test.csv"
    with pytest.raises(ConfigError, match="--out names the file itself"):
        predict_file(competition, run, file, file)


@pytest.mark.parametrize("what", ["data", "features", "code"])
def test_models_of_other_data_or_code_are_refused(toy: Make, tmp_path: Path, what: str) -> None:
    competition = toy()
    (run,) = validated(competition, "prior", keep=True)
    fitted = refit(competition, run)
    if what == "data":
        train = pd.read_csv(competition.raw / "train.csv").assign(a=1.0)
        train.to_csv(competition.raw / "train.csv", index=False)
        message = "made with other data"
    elif what == "features":
        (competition.root / "features.py").write_text(FEATURES)
        message = "made with other features"
    else:
        (competition.root / "model.py").write_text(MODEL + "\n# changed")
        message = "made with another model.py"
    file = competition.raw / "test.csv"
    for each in (run, fitted):
        with pytest.raises(RunError, match=message):
            predict_file(competition, each, file, tmp_path / "o.csv")
    with pytest.raises(RunError, match=message):
        refit(competition, run, seeds=2)


def test_recipes_are_loaded_from_the_own_runs_folder_only(toy: Make, tmp_path: Path) -> None:
    competition = toy()
    (run,) = validated(competition, "linear", keep=True)
    foreign = tmp_path / "elsewhere" / run.id
    shutil.copytree(run.path, foreign)
    shutil.rmtree(run.path)
    run.path.symlink_to(foreign)
    with pytest.raises(RunError, match="own runs only"):
        predict_file(competition, run, competition.raw / "test.csv", tmp_path / "o.csv")


def test_other_versions_of_kit_are_remarked(toy: Make, tmp_path: Path) -> None:
    competition = toy()
    (run,) = validated(competition, "linear", keep=True)
    older = Run(run.path, {**run.record, "kit": "0.0.1"})
    found = predict_file(competition, older, competition.raw / "test.csv", tmp_path / "o.csv")
    assert any("made by kit 0.0.1" in note for note in found.notes)


def test_a_damaged_model_is_named(toy: Make, tmp_path: Path) -> None:
    competition = toy()
    (run,) = validated(competition, "linear", keep=True)
    (run.path / "models" / "fold-0" / "recipe.joblib").write_bytes(b"torn")
    with pytest.raises(RunError, match="fold-0 cannot be loaded"):
        predict_file(competition, run, competition.raw / "test.csv", tmp_path / "o.csv")


def test_a_refitted_run_is_never_chosen_unasked(toy: Make) -> None:
    competition = toy()
    runs = validated(competition, "lightgbm", "linear")
    fitted = refit(competition, runs[1], seeds=1)
    everything = list_runs(competition.runs)[0]
    assert everything[-1].id == fitted.id
    assert best_run(everything)[0].kind == "cv"
    with pytest.raises(RunError, match="no runs yet"):
        best_run([fitted])
    mixed = blend(competition, [])
    assert fitted.id not in mixed.record["parents"]
    with pytest.raises(RunError, match="fit what it was made of"):
        refit(competition, fitted)


def test_the_list_of_runs_says_whose_score_it_is(toy: Make) -> None:
    competition = toy()
    (run,) = validated(competition, "linear")
    _, rows = run_rows([run, refit(competition, run)], verbose=False)
    assert rows[1][1] == f"({rows[0][1]})"


def test_a_failed_fit_leaves_nothing_behind(toy: Make) -> None:
    competition = toy()
    (run,) = validated(competition, "prior")
    broken = Run(run.path, {**run.record, "params": {}, "use": "model:absent"})
    spec = run.path / "config.json"
    table = json.loads(spec.read_text())
    table["models"]["prior"]["use"] = "model:absent"
    spec.write_text(json.dumps(table))
    with pytest.raises(KitError):
        refit(competition, broken)
    assert not list((competition.runs / ".partial").glob("fit-*"))
    assert [r.kind for r in list_runs(competition.runs)[0]] == ["cv"]


def test_the_second_seed_of_a_model_means_the_same_specification(toy: Make) -> None:
    (run,) = validated(toy(), "lightgbm")
    second = Run(run.path, {**run.record, "model": "lightgbm.2"})
    assert spec_of(second) == spec_of(run)
    assert spec_of(run).params == {"n_estimators": 40, "patience": 5}


def test_a_portfolio_name_is_taken_from_the_record(toy: Make) -> None:
    (run,) = validated(toy(), "extra_trees")
    named = Run(run.path, {**run.record, "model": "some_entry"})
    assert spec_of(named).use == "extra_trees"
    assert spec_of(named).params["n_estimators"] == 8
    assert None not in spec_of(named).params.values()


def test_an_old_blend_is_recognised_by_its_predictions_or_refused(toy: Make) -> None:
    competition = toy()
    runs = validated(competition, "lightgbm", "linear")
    mixed = blend(competition, [run.id for run in runs], "mean")
    shutil.rmtree(mixed.path / "models", ignore_errors=True)
    found = resolve(mixed, competition, "none")
    assert found.mixing.how == "values"
    test = mixed.test()
    other = publish(
        competition.runs,
        {**mixed.record, "hash": "f" * 32},
        config=mixed.config,
        frames={"oof": mixed.oof(), "test": test.assign(pred=1 - test["pred"])},
        code={},
    )
    with pytest.raises(RunError, match="more than a weighted mean"):
        resolve(other, competition, "none")


def test_ranks_among_the_reference_do_not_depend_on_the_rows_beside() -> None:
    known = np.array([[1.0], [2.0], [2.0], [4.0]])
    assert ranks(known, known)[:, 0] == pytest.approx([0.25, 0.625, 0.625, 1.0])
    assert ranks(np.array([[0.0], [3.0], [9.0]]), known)[:, 0] == pytest.approx([0.25, 1.0, 1.0])
    assert ranks(np.array([[3.0]]), known)[0, 0] == 1.0


def test_mixing_goes_through_json() -> None:
    mixing = Mixing(
        how="values", weights=(0.5, 0.5), positions=(0, 2), size=3, transform="log1p",
        task="regression",
    )  # fmt: skip
    again = Mixing.from_json(json.loads(json.dumps(mixing.to_json())))
    assert again == mixing
    parts = [np.array([[0.0]]), np.array([[np.expm1(2.0)]])]
    assert again.predict(parts)[0, 0] == pytest.approx(np.expm1(1.0))


def test_rows_are_read_with_the_levels_and_dates_of_the_models(toy: Make) -> None:
    competition = toy()
    reader = NewRows(competition)
    ((ids, X),) = reader.read(competition.raw / "test.csv", 1000)
    with open_session(competition) as session:
        expected = session.context.dataset.X_test
    pd.testing.assert_frame_equal(X, expected)
    assert ids[0] == "r90"


@pytest.mark.parametrize("splitter", ["kfold", "time_series"])
def test_kept_models_predict_new_rows_as_they_did_test(
    make_competition: Make, mixed: Mixed, tmp_path: Path, splitter: str
) -> None:
    """By the mean of all folds' models; where folds go forward, by that of the last."""
    competition = make_competition(
        *mixed,
        columns={"kinds": {"c": "category", "d": "datetime"}, "time": "d"},
        cv={"splitter": splitter, "n_splits": 3},
        models=MODELS,
    )
    (run,) = validated(competition, "lightgbm", keep=True)
    file, out = competition.raw / "test.csv", tmp_path / "o.csv"
    predict_file(competition, run, file, out, proba=True)
    assert pd.read_csv(out).iloc[:, 1].to_numpy() == pytest.approx(predicted(run), abs=1e-9)


@pytest.mark.parametrize("model", ["linear", "seasonal_naive"])
def test_rows_beyond_the_horizon_are_counted(
    make_competition: Make, tmp_path: Path, model: str
) -> None:
    days = pd.date_range("2024-01-01", periods=50)
    table = pd.DataFrame({"day": days.astype(str), "y": np.arange(50.0) % 7})
    table.insert(0, "id", range(50))
    competition = make_competition(
        table[:40], table[40:44].drop(columns="y"),
        columns={"kinds": {"day": "datetime"}, "time": "day"},
        cv={"splitter": "time_series", "n_splits": 2},
        series={"horizon": 4, "step": "1D", "lags": [4, 7], "seasons": [7]},
        models={"linear": {"params": {"strengths": [1.0]}}},
        task={"type": "regression", "metric": "rmse"},
        submission={"wants": "value"},
    )  # fmt: skip
    (run,) = validated(competition, model, keep=True)
    near = predict_file(competition, run, competition.raw / "test.csv", tmp_path / "near.csv")
    assert not any("horizon" in note for note in near.notes)
    table[42:].drop(columns="y").to_csv(tmp_path / "far.csv", index=False)
    far = predict_file(competition, run, tmp_path / "far.csv", tmp_path / "o.csv", rows=5)
    (note,) = [note for note in far.notes if "horizon" in note]
    assert note.startswith(
        "6 rows are more than series.horizon = 4 steps after the last training row, up to 10:"
    )


def test_a_blend_and_a_fit_of_many_targets_are_told_in_plain(make_competition: Make) -> None:
    """pandas warned of every column beyond the hundredth."""
    rng, names = np.random.default_rng(0), [f"y{k}" for k in range(110)]
    X = pd.DataFrame({"id": range(150), "a": rng.normal(size=150), "b": rng.normal(size=150)})
    y = np.outer(X["a"], np.arange(1, 111)) + rng.normal(size=(150, 110))
    train = X.join(pd.DataFrame(y, columns=names))[:100]
    ridge = {"use": "linear", "params": {"strengths": [1.0]}}
    stiff = {"use": "linear", "params": {"strengths": [0.01]}}
    competition = make_competition(
        train,
        X[100:],
        sample=X[100:][["id"]].join(pd.DataFrame(0.0, index=X.index[100:], columns=names)),
        columns={"target": names},
        task={"type": "multitarget", "metric": "rmse"},
        submission={"columns": names},
        cv={"splitter": "kfold"},
        models={"ridge": ridge, "stiff": stiff},
    )
    validated(competition, "ridge", "stiff")
    mixed = blend(competition, ())
    assert mixed.test().shape == (50, 111)
    assert refit(competition, mixed).test().shape == (50, 111)
