"""Classes that are grades of a scale are learned as one number, and come out as classes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from kit.auto.loop import _choice
from kit.blend import blend
from kit.competition import Competition
from kit.cv import cross_validate
from kit.models.base import Problem, grades_of
from kit.ordinal import between, positions
from kit.plan import make_plan
from kit.portfolio import PORTFOLIO, find_model
from kit.refit.final import refit
from kit.refit.members import spec_of
from kit.refit.predict import predict_file
from kit.registry import MODELS as MODELS_KNOWN
from kit.runs import Run
from kit.session import open_session

Make = Callable[..., Competition]
KAPPA = {"type": "multiclass", "metric": "quadratic_kappa", "classes": ["A", "B", "C", "D", "E"]}
BOOSTER = {"n_estimators": 300, "patience": 20, "learning_rate": 0.1}
MODELS: dict[str, Any] = {
    "number": {"use": "lightgbm", "params": BOOSTER},
    "classes": {"use": "lightgbm", "params": BOOSTER, "ordinal": False},
    "own": {"use": "model:build"},
}
OWN = """
from sklearn.naive_bayes import GaussianNB

class Classes(GaussianNB):
    def fit(self, X, y):
        assert y.dtype.kind == "i" and set(y) == set(range(5)), y
        return super().fit(X, y)

def build():
    return Classes()
"""


def frames(n: int = 480) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Grades by a smooth function of numbers and a city, rare at the ends; a third is test."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(n, 6)), columns=list("abcdef"))
    frame["city"] = rng.choice(["u", "v", "w"], n)
    latent = frame["a"] + 0.7 * frame["b"].clip(lower=0) + 0.5 * frame["c"] * frame["d"]
    latent += 0.4 * (frame["city"] == "u") + rng.normal(scale=0.7, size=n)
    grade = np.searchsorted(np.quantile(latent, [0.05, 0.4, 0.8, 0.95]), latent)
    frame["y"] = np.array(list("ABCDE"))[grade]
    frame.insert(0, "id", [f"r{k}" for k in range(n)])
    return frame[: 2 * n // 3], frame[2 * n // 3 :].drop(columns="y")


@pytest.fixture
def graded(make_competition: Make) -> Make:
    def make(**tables: Any) -> Competition:
        train, test = tables.pop("frames", None) or frames()
        tables = {"task": KAPPA, "submission": {"wants": "label", "columns": ["y"]}, **tables}
        return make_competition(train, test, code={"model.py": OWN}, models=MODELS, **tables)

    return make


def run_of(competition: Competition, model: str, *, keep: bool = False) -> Run:
    with open_session(competition, keep_models=keep) as session:
        run = cross_validate(session, model)
    assert run is not None
    return run


def values(frame: pd.DataFrame) -> Any:
    return frame[[name for name in frame.columns if name.startswith("pred")]].to_numpy()


def test_the_two_classes_around_a_position_have_it_as_their_mean() -> None:
    found = between(np.array([0.0, 1.25, 2.0, 3.0, -0.5, 3.5]), 4)
    assert found.tolist() == [
        [1, 0, 0, 0],
        [0, 0.75, 0.25, 0],
        [0, 0, 1, 0],
        [0, 0, 0, 1],
        [1, 0, 0, 0],
        [0, 0, 0, 1],
    ]
    assert positions(found).tolist() == [0.0, 1.25, 2.0, 3.0, 0.0, 3.0]


def test_grades_are_predicted_better_as_one_number_than_as_classes(graded: Make) -> None:
    competition = graded()
    number, classes = run_of(competition, "number"), run_of(competition, "classes")
    assert number.score > classes.score + 0.02
    assert number.hash != classes.hash
    some, many = ((values(run.oof()) > 1e-9).sum(axis=1) for run in (number, classes))
    assert some.max() <= 2 < many.min()
    assert np.allclose(values(number.oof()).sum(axis=1), 1)


@pytest.mark.parametrize("metric", ["accuracy", "log_loss"])
def test_metrics_that_know_no_distance_learn_classes(graded: Make, metric: str) -> None:
    competition = graded(task={**KAPPA, "metric": metric})
    with open_session(competition) as session:
        assert not make_plan(session, "number").graded
        same = make_plan(session, "number", spec=find_model(competition, "classes"))
        assert make_plan(session, "number").hash == same.hash


def test_models_of_model_py_are_given_classes(graded: Make) -> None:
    run = run_of(graded(), "own")
    assert not run.record["graded"]
    assert ((values(run.oof()) > 1e-9).sum(axis=1) > 2).any()


def test_pseudo_labels_are_of_classes(graded: Make) -> None:
    competition = graded()
    with open_session(competition) as session:
        spec = replace(find_model(competition, "number"), pseudo_labels=0.9)
        assert not make_plan(session, "number", spec=spec).graded


@pytest.mark.parametrize("model", ["number", "linear", "lightgbm-made"])
def test_no_validated_grade_reaches_its_own_fold(graded: Make, model: str) -> None:
    train, test = frames(300)
    first = run_of(graded(frames=(train, test), name="one"), model).oof()
    own = (first["fold"] == 1).to_numpy()
    other = train.copy()
    letters = np.array(list("ABCDE"))
    other.loc[own, "y"] = letters[4 - np.searchsorted(letters, train.loc[own, "y"])]
    changed = graded(frames=(other, test), name="two", cv={"splitter": "file"})
    shared = (changed.root.parent / "one" / "folds.parquet").read_bytes()
    (changed.root / "folds.parquet").write_bytes(shared)
    second = run_of(changed, model).oof()
    assert np.array_equal(values(first)[own], values(second)[own])
    assert not np.array_equal(values(first)[~own], values(second)[~own])


def test_random_grades_are_predicted_at_chance(graded: Make) -> None:
    train, test = frames()
    train["y"] = np.random.default_rng(3).permutation(train["y"])
    assert abs(run_of(graded(frames=(train, test)), "number").score) < 0.15


def test_new_rows_and_a_fit_on_all_rows_have_classes(graded: Make, tmp_path: Path) -> None:
    competition = graded()
    kept, linear = (run_of(competition, name, keep=True) for name in ("number", "linear"))
    fitted = refit(competition, kept, seeds=1)
    assert (fitted.test()["id"] == kept.test()["id"]).all()
    for run in (kept, blend(competition, [kept.id, linear.id], "greedy"), fitted):
        out = tmp_path / f"{run.id}.parquet"
        predict_file(competition, run, competition.raw / "test.csv", out, proba=True)
        again = pd.read_parquet(out).drop(columns="id").to_numpy()
        assert np.allclose(again, values(run.test()), atol=1e-6)
    far = positions(values(fitted.test())) - positions(values(kept.test()))
    assert np.abs(far).mean() < 0.4


def test_runs_say_how_grades_were_learned_whatever_kit_toml_says_later(graded: Make) -> None:
    competition = graded()
    run = run_of(competition, "number")
    assert spec_of(run).ordinal
    earlier = Run(run.path, {key: value for key, value in run.record.items() if key != "graded"})
    assert not spec_of(earlier).ordinal


def test_kit_auto_chooses_as_for_numbers(graded: Make) -> None:
    def names(competition: Competition) -> list[str]:
        with open_session(competition) as session:
            chosen, _ = _choice(session, PORTFOLIO, named=False, seconds=600)
        return [entry.name for entry in chosen]

    grades = names(graded())
    classes = names(graded(name="classes", task={**KAPPA, "metric": "accuracy"}))
    assert "lightgbm-loose" in classes
    assert "lightgbm-loose" not in grades


@pytest.mark.parametrize("name", ["lightgbm", "catboost", "linear", "extra_trees", "knn"])
def test_a_loaded_model_knows_of_how_many_grades_its_number_is(name: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(60, 3)), columns=list("abc"))
    problem = Problem(task="regression", n_outputs=1, grades=5)
    fitted = MODELS_KNOWN.load(name)().fit(X, rng.integers(0, 5, 60) * 1.0, problem=problem)
    fitted.save(tmp_path)
    assert grades_of(type(fitted).load(tmp_path)) == 5
