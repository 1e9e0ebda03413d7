"""Searches: what is tried, in which order; runs, pruning, resume, other folds, budgets."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from optuna.trial import TrialState

from kit.blend import blend
from kit.competition import Competition
from kit.cv import cross_validate, locked
from kit.errors import KitError
from kit.execution.task import run_folds
from kit.plan import make_plan
from kit.refit.members import spec_of
from kit.runs import list_runs
from kit.session import open_session
from kit.tune.loop import Asked, Outcome, Told, folder_of, tune
from kit.tune.report import verdict, write_report
from kit.tune.study import STARTUP, Study

Small = Callable[..., Competition]
SearchFor = Callable[..., Outcome]

NARROW = {"lightgbm": {"num_leaves": {"choices": [3, 7]}, "extra_trees": {"choices": [True]}}}


def names(outcome: Outcome) -> list[str]:
    return [str(trial.user_attrs.get("name")) for trial in outcome.trials]


def test_first_come_known_good_configurations_then_others_and_all_are_runs(
    small: Small, search: SearchFor
) -> None:
    competition = small()
    outcome = search(competition, "lightgbm", trials=6)
    assert names(outcome)[:2] == ["lightgbm", "lightgbm-shallow"]
    assert names(outcome)[-1] == "lightgbm-t5"
    runs = {run.id: run for run in list_runs(competition.runs)[0]}
    assert {trial.user_attrs["run"] for trial in outcome.trials} == set(runs)
    for trial in outcome.trials:
        assert trial.value == runs[trial.user_attrs["run"]].score
    assert len(blend(competition, []).record["parents"]) == 6


def test_a_trial_is_what_kit_cv_makes_of_the_same_configuration(
    small: Small, search: SearchFor
) -> None:
    competition = small()
    with open_session(competition) as session:
        run = cross_validate(session, "lightgbm")
    assert run is not None
    outcome = search(competition, "lightgbm", method="manual", points=["num_leaves=5"])
    search(competition, "lightgbm", trials=3)
    same = [each for each in list_runs(competition.runs)[0] if each.hash == run.hash]
    assert len(same) == 1  # the search took the run that was there
    table = {
        "models": {"mine": {"use": "lightgbm", "params": {"n_estimators": 8, "num_leaves": 5}}}
    }
    again = small(**table)
    with open_session(again) as session:
        mine = cross_validate(session, "mine")
    assert mine is not None
    assert mine.id == outcome.winner.run


def test_folds_that_are_trained_together_are_one_step(small: Small, search: SearchFor) -> None:
    competition = small(cv={"early_stopping": "cross"})
    outcome = search(competition, "lightgbm", "knn", trials=4)
    assert [trial.state for trial in outcome.trials] == [TrialState.COMPLETE] * 4
    stopping = {
        run.record["use"]: run.record["early_stopping"] for run in list_runs(competition.runs)[0]
    }
    assert stopping == {"lightgbm": "cross", "knn": "none"}


def test_the_number_of_trials_is_that_of_the_study(small: Small, search: SearchFor) -> None:
    competition = small()
    first = search(competition, "lightgbm", trials=3)
    second = search(competition, "lightgbm", trials=5)
    assert first.study.name == second.study.name
    assert [trial.number for trial in second.trials] == [0, 1, 2, 3, 4]
    assert second.trials[:3] == first.trials
    configurations = [json.dumps(trial.user_attrs["spec"]) for trial in second.trials]
    assert len(set(configurations)) == 5
    again = search(competition, "lightgbm", trials=5)
    assert again.trials == second.trials


def test_random_draws_of_a_second_call_are_new_ones(small: Small, search: SearchFor) -> None:
    competition = small(cv={"n_splits": 2})
    for trials in (9, 11, 13):
        outcome = search(competition, "lightgbm", method="random", trials=trials)
    drawn = [
        json.dumps(trial.params) for trial in outcome.trials if "-t" in names(outcome)[trial.number]
    ]
    assert len(drawn) == len(set(drawn)) > 5


def test_several_models_share_a_study(small: Small, search: SearchFor) -> None:
    competition = small(cv={"n_splits": 2})
    outcome = search(competition, "lightgbm", "knn", trials=12)
    assert {trial.params["model"] for trial in outcome.trials} == {"lightgbm", "knn"}
    assert names(outcome)[:2] == ["lightgbm", "knn"]
    for trial in outcome.trials:
        own = {key.split(".")[0] for key in trial.params if key != "model"}
        assert own == {trial.params["model"]}
        assert trial.user_attrs["model"] == trial.params["model"]
    assert outcome.winner.model == outcome.model.name


def test_a_grid_is_tried_whole_and_once(small: Small, search: SearchFor) -> None:
    competition = small()
    asked = {"method": "grid", "points": ["num_leaves=[3,5,7],extra_trees=[true,false]"]}
    outcome = search(competition, "lightgbm", **asked)
    tried = {
        (
            trial.user_attrs["spec"]["params"]["num_leaves"],
            trial.user_attrs["spec"]["params"]["extra_trees"],
        )
        for trial in outcome.trials
    }
    assert len(tried) == len(outcome.trials) == 6
    assert len(search(competition, "lightgbm", **asked).trials) == 6


def test_a_grid_of_the_choices_in_kit_toml(small: Small, search: SearchFor) -> None:
    table = {"knn": {"k": {"choices": [3, 5]}}}
    outcome = search(small(tune=table), "knn", method="grid")
    assert [trial.params["k"] for trial in outcome.trials] == [3, 5]


def test_points_are_tried_exactly_also_outside_the_space(small: Small, search: SearchFor) -> None:
    competition = small()
    points = ["num_leaves=3,max_bin=63", "learning_rate=0.7"]
    outcome = search(competition, "lightgbm", method="manual", points=points)
    params = [trial.user_attrs["spec"]["params"] for trial in outcome.trials]
    assert params[0] == {"n_estimators": 8, "num_leaves": 3, "max_bin": 63}
    assert params[1]["learning_rate"] == 0.7
    assert outcome.trials[1].params["learning_rate"] == 0.1  # what Optuna sees: the edge


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"method": "manual"}, "manual search tries the points that you name"),
        ({"method": "manual", "points": ["num_leafs=3"]}, "no parameter 'num_leafs'. Did you mean"),
        ({"method": "manual", "points": ["num_leaves"]}, "--try wants"),
        ({"method": "manual", "points": ["num_leaves=3,num_leaves=4"]}, "there twice"),
        ({"method": "manual", "points": ["num_leaves=many"]}, "must be a whole number"),
        ({"method": "manual", "points": ["model=knn,k=3"]}, "'knn' is not searched"),
        ({"method": "grid"}, "a grid needs lists"),
        ({"method": "grid", "points": ["num_leaves=[]"]}, "has 0 points"),
        ({"trials": 1, "study": "../up"}, "--study takes letters"),
    ],
)
def test_what_cannot_be_tried_is_refused_before_anything_is_computed(
    asked: Any, message: str, small: Small, search: SearchFor
) -> None:
    competition = small()
    with pytest.raises(KitError) as caught:
        search(competition, "lightgbm", **asked)
    assert message in str(caught.value)
    assert not list(competition.runs.glob("2*"))


def test_a_model_must_be_named_where_there_are_several(small: Small, search: SearchFor) -> None:
    with pytest.raises(KitError, match="must say which model"):
        search(small(), "lightgbm", "knn", method="manual", points=["k=3"])


NOISE = """
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.impute import SimpleImputer
from sklearn.dummy import DummyClassifier
def maybe(use: float = 1.0):
    if use < 0.5:
        return DummyClassifier(strategy="uniform", random_state=0)
    model = make_pipeline(SimpleImputer(), LogisticRegression(C=use))
    return model
maybe.family = "linear"
"""


def test_unpromising_trials_end_after_a_fold_and_are_no_runs(
    small: Small, search: SearchFor
) -> None:
    good, bad = (
        "use=[{}]".format(",".join(str(1 + k / 10) for k in range(STARTUP))),
        "use=[0.1,0.2]",
    )
    competition = small(
        code={"model.py": NOISE},
        models={"maybe": {"use": "model:maybe", "recipe": "linear"}},
        tune={"maybe": {"use": {"low": 0.05, "high": 3.0}}},
    )
    outcome = search(competition, "maybe", method="grid", points=[good, bad])
    states = [trial.state for trial in outcome.trials]
    assert states == [TrialState.COMPLETE] * STARTUP + [TrialState.PRUNED] * 2
    assert outcome.trials[-1].user_attrs["folds"] == 1
    assert len(list_runs(competition.runs)[0]) == STARTUP
    assert not list(competition.runs.glob(".partial/*/*.parquet"))


def test_an_unfinished_trial_goes_on_with_its_number_values_and_folds(
    small: Small, search: SearchFor
) -> None:
    competition = small(cv={"n_splits": 3})
    calls = 0

    def once(task: Any, context: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 5:  # the second trial's second fold
            raise KeyboardInterrupt
        return run_folds(task, context)

    with pytest.raises(KeyboardInterrupt):
        search(competition, "lightgbm", trials=4, fit=once)
    assert len(list(competition.runs.glob(".partial/*/fold-*.parquet"))) == 1
    outcome = search(competition, "lightgbm", trials=4)
    assert [trial.number for trial in outcome.trials] == [0, 1, 2, 3]
    assert all(trial.state == TrialState.COMPLETE for trial in outcome.trials)
    run = next(
        r for r in list_runs(competition.runs)[0] if r.id == outcome.trials[1].user_attrs["run"]
    )
    assert run.record["resumed"] == [0]


def test_a_trial_whose_folds_are_all_there_becomes_a_run(
    small: Small, search: SearchFor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kill came between the last fold and the run."""
    competition = small()

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("kit.tune.search.finish", killed)
        with pytest.raises(KeyboardInterrupt):
            search(competition, "lightgbm", trials=1)
    assert len(list(competition.runs.glob(".partial/*/fold-*.parquet"))) == 2
    outcome = search(competition, "lightgbm", trials=1)
    assert [trial.state for trial in outcome.trials] == [TrialState.COMPLETE]
    (run,) = list_runs(competition.runs)[0]
    assert run.record["resumed"] == [0, 1]


def test_the_best_are_scored_again_on_other_folds(small: Small, search: SearchFor) -> None:
    competition = small()
    heard = []
    told = Told(rescored=lambda name, seed, score: heard.append((name, seed)))
    outcome = search(competition, "lightgbm", trials=4, told=told, seeds=2)
    assert outcome.seeds == [43, 44]
    assert len(heard) == 2 * len(outcome.candidates)
    assert outcome.baseline is not None
    assert outcome.baseline.run in outcome.honest
    best = max(outcome.candidates, key=lambda each: outcome.honest[each.run])
    assert outcome.winner is best
    assert {run.folds for run in list_runs(competition.runs)[0]} == {
        list_runs(competition.runs)[0][0].folds
    }
    assert not list(competition.runs.glob(".partial/*/*.parquet"))
    search(competition, "lightgbm", trials=4, told=told, seeds=2)
    assert len(heard) == 2 * len(outcome.candidates)  # kept in the study


def test_another_fold_is_really_another(small: Small, search: SearchFor) -> None:
    """The score on the folds of seed 43 is that of `kit cv --seed 43`."""
    competition = small()
    outcome = search(competition, "lightgbm", trials=2, seeds=1)
    reseeded = Competition.load(competition.root, ["cv.seed=43"])
    with open_session(reseeded) as session:
        run = cross_validate(session, "lightgbm")
    assert run is not None
    value = outcome.study.noted(f"rescored {outcome.baseline.run} seed 43")  # type: ignore[union-attr]
    assert value == pytest.approx(run.score)
    assert not np.isclose(value, outcome.baseline.score)  # type: ignore[union-attr]


def test_folds_that_know_no_seed_cannot_be_changed(small: Small, search: SearchFor) -> None:
    cv = {"splitter": "time_series", "n_splits": 2}
    columns = {"time": "d", "kinds": {"c": "category", "d": "datetime"}}
    outcome = search(small(cv=cv, columns=columns), "lightgbm", trials=3, seeds=1)
    assert "the folds of time_series are the same for every seed" in outcome.doubt
    assert outcome.honest == {}
    assert outcome.sealed == {}


def test_sealed_rows_are_the_second_number_where_there_are_no_other_folds(
    small: Small, search: SearchFor
) -> None:
    cv = {"splitter": "time_series", "n_splits": 2, "holdout": 0.2}
    columns = {"time": "d", "kinds": {"c": "category", "d": "datetime"}}
    competition = small(cv=cv, columns=columns)
    outcome = search(competition, "lightgbm", trials=3, seeds=1)
    runs = {run.id: run.record["holdout"]["score"] for run in list_runs(competition.runs)[0]}
    assert outcome.sealed == {each.run: runs[each.run] for each in outcome.candidates}
    assert outcome.winner is outcome.candidates[0]  # by the folds of the search alone
    page = write_report(outcome, competition.root / "reports", competition.cache).read_text()
    assert "<th>sealed rows</th>" in page
    worse = replace(outcome, winner=next(e for e in outcome.candidates if e != outcome.baseline))
    assert "on the sealed rows, which chose nothing" in verdict(worse)
    seeded = search(small(name="seeded", cv={"holdout": 0.2}), "lightgbm", trials=2, seeds=1)
    assert seeded.honest
    assert seeded.sealed == {}


def test_where_nothing_was_searched_that_is_said(small: Small, search: SearchFor) -> None:
    with pytest.raises(KitError, match="has no trial: with these models"):
        search(small(), "lightgbm", search=False)


def test_studies_of_other_data_folds_or_spaces_are_others(small: Small, search: SearchFor) -> None:
    first = search(small(), "lightgbm", trials=1, study="mine")
    assert first.study.path.name == "mine.journal"
    with pytest.raises(KitError, match="made with other folds, seed"):
        search(small(cv={"seed": 7}), "lightgbm", trials=1, study="mine")
    with pytest.raises(KitError, match="made with other spaces"):
        search(small(tune=NARROW), "lightgbm", trials=1, study="mine")
    automatic = {search(small(**tables), "lightgbm", trials=1).study.name
                 for tables in ({}, {"cv": {"seed": 7}}, {"tune": NARROW})}  # fmt: skip
    assert len(automatic) == 3


def test_a_damaged_study_is_named_and_left(small: Small, search: SearchFor) -> None:
    competition = small()
    path = search(competition, "lightgbm", trials=2).study.path
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"op_code": 4, "wor')  # the power failed
    assert len(search(competition, "lightgbm", trials=3).trials) == 3
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([lines[0], b"rubbish\n", *lines[1:]]))
    with pytest.raises(KitError, match=r"is damaged: .*\n  Move the file away"):
        search(competition, "lightgbm", trials=4)
    path.write_bytes(b'{"op_code": 99}\n' + whole)
    with pytest.raises(KitError, match="is damaged"):
        search(competition, "lightgbm", trials=4)


BROKEN = "def broken(k: int = 3):\n    raise ValueError(f'no {k}')\n"
FRAGILE = (
    NOISE
    + """
def fragile(use: float = 1.0):
    return make_pipeline(SimpleImputer(), LogisticRegression(C=use))
"""
)


def test_what_never_works_ends_the_search(small: Small, search: SearchFor) -> None:
    competition = small(
        code={"model.py": BROKEN},
        models={"broken": {"use": "model:broken"}},
        tune={"broken": {"k": {"low": 1, "high": 9}}},
    )
    with pytest.raises(KitError, match="no 3"):
        search(competition, "broken", trials=9)


def test_a_trial_that_fails_is_noted_and_the_others_go_on(small: Small, search: SearchFor) -> None:
    competition = small(
        code={"model.py": FRAGILE},
        models={"fragile": {"use": "model:fragile", "recipe": "linear"}},
        tune={"fragile": {"use": {"low": 0.5, "high": 1.9}}},
    )
    points = {"method": "manual", "points": ["use=-1.0", "use=1.5"]}
    outcome = search(competition, "fragile", **points)
    assert [trial.state for trial in outcome.trials] == [TrialState.FAIL, TrialState.COMPLETE]
    assert "model 'fragile-t0', fold 1" in outcome.trials[0].user_attrs["error"]
    run = next(
        r for r in list_runs(competition.runs)[0] if r.id == outcome.trials[1].user_attrs["run"]
    )
    assert spec_of(run).params == {"use": 1.5}  # what kit fit takes


def test_a_run_that_somebody_computes_is_waited_for_by_the_next_call(
    small: Small, search: SearchFor
) -> None:
    competition = small()
    with open_session(competition) as session:
        plan = make_plan(session, "lightgbm")
        with locked(session, plan):
            outcome = search(competition, "lightgbm", trials=2)
    assert [t.state for t in outcome.trials] == [TrialState.RUNNING, TrialState.COMPLETE]
    outcome = search(competition, "lightgbm", trials=2)
    assert [t.state for t in outcome.trials] == [TrialState.COMPLETE] * 2


def test_a_worker_that_dies_takes_its_trial_with_it_and_no_other(
    small: Small, search: SearchFor
) -> None:
    def dies(task: Any, context: Any) -> Any:
        if task.spec.params.get("num_leaves") == 3:
            raise ChildProcessError
        return run_folds(task, context)

    points = {"method": "manual", "points": ["num_leaves=5", "num_leaves=3", "num_leaves=7"]}
    outcome = search(small(), "lightgbm", fit=dies, **points)
    states = [trial.state for trial in outcome.trials]
    assert states == [TrialState.COMPLETE, TrialState.FAIL, TrialState.COMPLETE]
    assert "lack of memory" in outcome.trials[1].user_attrs["error"]


def test_a_search_ends_when_the_space_is_through(small: Small, search: SearchFor) -> None:
    table = {"knn": {"k": {"choices": [3, 5]}}}
    outcome = search(small(cv={"n_splits": 2}, tune=table), "knn", seconds=60.0)
    runs = {trial.user_attrs["run"] for trial in outcome.trials}
    assert len(runs) == 3  # the default and both
    assert len(outcome.trials) < 50


def test_without_time_nothing_is_started_and_the_study_says_so(
    small: Small, search: SearchFor
) -> None:
    with pytest.raises(KitError, match="Unfinished ones are kept"):
        search(small(), "lightgbm", seconds=0.01)


def test_near_the_end_at_most_one_trial_is_begun_that_does_not_fit(
    small: Small, search: SearchFor
) -> None:
    def long(task: Any, context: Any) -> Any:
        return [
            replace(result, seconds={"fit": 1e6, "predict": 0.0})
            for result in run_folds(task, context)
        ]

    competition = small()
    with pytest.raises(KitError, match="Unfinished ones are kept"):
        search(competition, "lightgbm", seconds=60.0, fit=long)
    outcome = search(competition, "lightgbm", trials=2)
    assert [trial.state for trial in outcome.trials] == [TrialState.COMPLETE] * 2


def test_time_is_kept_for_scoring_the_best_and_the_plain_configuration_again(
    small: Small, search: SearchFor
) -> None:
    """At most 30 % of the time, and more where a trial takes that long: here half of it, 30 s."""

    def long(task: Any, context: Any) -> Any:
        return [
            replace(result, seconds={"fit": 25.0, "predict": 0.0})
            for result in run_folds(task, context)
        ]

    outcome = search(small(), "lightgbm", seconds=60.0, fit=long, seeds=1)
    states = [trial.state for trial in outcome.trials]
    assert states[0] == TrialState.COMPLETE
    assert TrialState.COMPLETE not in states[1:]  # 21 s are left for its first fold


def test_all_of_the_time_is_the_first_trials(small: Small, search: SearchFor) -> None:
    """Of 60 s 51 are left for folds, 33 with the time for scoring again; a fold takes 40."""

    def long(task: Any, context: Any) -> Any:
        return [
            replace(result, seconds={"fit": 40.0, "predict": 0.0})
            for result in run_folds(task, context)
        ]

    outcome = search(small(), "lightgbm", seconds=60.0, fit=long, seeds=1)
    assert outcome.trials[0].state == TrialState.COMPLETE
    assert outcome.doubt == ""


def test_folds_cut_by_the_clock_do_not_count(small: Small, search: SearchFor) -> None:
    """A fit that was hurried says nothing of its values: its fold is done again later."""
    begun = []

    def hurried(task: Any, context: Any) -> Any:
        begun.append(task)
        return [replace(result, cut=True) for result in run_folds(task, context)]

    competition = small()
    with pytest.raises(KitError, match="Unfinished ones are kept"):
        search(competition, "lightgbm", trials=2, seconds=60.0, fit=hurried)
    assert len(begun) == 1  # the next trial would be cut as well
    assert not list(competition.runs.glob(".partial/*/fold-*.parquet"))
    assert not list(competition.runs.glob("2*"))
    outcome = search(competition, "lightgbm", trials=2)
    assert [trial.state for trial in outcome.trials] == [TrialState.COMPLETE] * 2


def test_two_processes_never_hold_the_same_trial(tmp_path: Any) -> None:
    """Two studies on one file, as two processes have them."""
    first, second = (Study(tmp_path, "s", up=True, facts={}, seed=1) for _ in range(2))
    a = first.next("random", lambda trial: trial.suggest_float("x", 0, 1))
    b = second.next("random", lambda trial: trial.suggest_float("x", 0, 1))
    assert a is not None
    assert b is not None
    assert (a.number, b.number) == (0, 1)
    assert a.values != b.values
    first.let_go(a)  # as when its process dies
    again = second.next("random", lambda trial: trial.suggest_float("x", 0, 1), most=2)
    assert again is not None
    assert (again.number, again.values) == (0, a.values)
    assert second.next("random", lambda trial: 0, most=2) is None
    second.end(again, TrialState.COMPLETE, 0.5)
    second.end(b, TrialState.FAIL)
    assert [trial.state for trial in first.trials] == [TrialState.COMPLETE, TrialState.FAIL]
    assert first.next("random", lambda trial: 0, most=2) is None


def test_the_folder_is_kept_out_of_version_control(small: Small, search: SearchFor) -> None:
    competition = small()
    search(competition, "lightgbm", trials=1)
    assert (folder_of(competition) / ".gitignore").read_text() == "*\n"


@pytest.mark.parametrize("fit_in", [1, 2])
def test_no_more_fits_of_a_large_table_at_a_time_than_memory_carries(
    small: Small, inside_workers: Any, monkeypatch: pytest.MonkeyPatch, fit_in: int
) -> None:
    most = []

    class Many(inside_workers):  # type: ignore[misc]
        @property
        def free(self) -> int:
            return 3 - len(self.running)

        def wait(self, timeout: float | None = None) -> Any:
            most.append(len(self.running))
            return super().wait(timeout)

    monkeypatch.setattr("kit.session.processes_that_fit", lambda data: fit_in)
    monkeypatch.setattr("kit.tune.rescoring.SEEDS", 1)
    asked = Asked(models=["lightgbm"], trials=2)
    outcome = tune(small(), asked, Told(), lambda competition: Many(competition))
    assert outcome.seeds == [43]
    assert max(most) == fit_in


def test_a_trial_that_cannot_fit_is_refused_before_it_starts(
    small: Small, search: SearchFor, monkeypatch: pytest.MonkeyPatch
) -> None:
    competition = small()
    large = Competition.load(competition.root, ["execution.on_disk=always"])
    monkeypatch.setattr("kit.execution.memory.available", lambda: 20e6)
    with pytest.raises(KitError, match=r"however 0\.0 GiB are free"):
        search(large, "lightgbm", trials=9, fit=lambda *_: pytest.fail("it was started"))
    again = search(competition, "lightgbm", trials=1, study="small")  # that is not asked
    assert again.winner.name == "lightgbm"


def _kept(small: Small, search: SearchFor, fold: float, **tables: Any) -> float:
    """Seconds of 60 that are kept for scoring again, where a fold takes so many."""
    deadlines = []

    def noted(task: Any, context: Any) -> Any:
        deadlines.append(task.deadline)
        results = run_folds(task, context)
        return [replace(each, seconds={"fit": fold, "predict": 0.0}) for each in results]

    search(small(**tables), "lightgbm", trials=2, seconds=60.0, fit=noted, seeds=2)
    return float(deadlines[0] - min(deadlines[:4]))


def test_no_more_time_is_kept_than_scoring_again_takes(small: Small, search: SearchFor) -> None:
    """Four configurations on two sets of two folds: 8 s, with room 9.6, and getting ready."""
    assert 9.5 < _kept(small, search, fold=0.5) < 17.9
    assert _kept(small, search, fold=2.0, name="slower") == pytest.approx(18)


def test_no_time_is_kept_where_no_other_folds_can_be_made(small: Small, search: SearchFor) -> None:
    cv = {"splitter": "time_series", "n_splits": 2}
    columns = {"time": "d", "kinds": {"c": "category", "d": "datetime"}}
    assert _kept(small, search, fold=2.0, cv=cv, columns=columns) == 0
