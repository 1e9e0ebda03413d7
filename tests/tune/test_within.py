"""Pruning within a fit: who is judged, by what, and what becomes of it."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from optuna.trial import TrialState

from kit.competition import Competition
from kit.errors import Pruned
from kit.execution.context import load_context
from kit.execution.pruning import CHECKPOINTS, thinned, watch_of
from kit.execution.task import FoldTask, run_folds
from kit.models.base import FoldRows, Problem, describe
from kit.registry import MODELS
from kit.runs import list_runs
from kit.settings import ModelSpec
from kit.tune.loop import Outcome
from kit.tune.study import STARTUP

Small = Callable[..., Competition]
SearchFor = Callable[..., Outcome]

POINTS = [",".join(f"{k}" for k in range(3, 3 + STARTUP))]
SLOW = "learning_rate=[0.0001,0.0002]"
MANY = {"lightgbm": {"params": {"n_estimators": 40, "patience": 40}}}


def steps_of(watch: Any, losses: list[float]) -> int | None:
    """At which step a curve is ended."""
    try:
        for step, loss in enumerate(losses, 1):
            watch(step, loss)
    except Pruned as error:
        return error.step
    return None


def test_curves_are_sent_as_their_best_at_a_few_steps() -> None:
    losses = [float(x) for x in range(1000, 0, -1)]
    losses[500] = float("nan")
    thin = thinned(losses)
    assert len(thin) < 60
    assert thin[:10] == tuple(losses[:10])
    assert thin[-1] == losses[[s for s in CHECKPOINTS if s <= 1000][-1] - 1]
    assert thinned([3.0, 1.0, 2.0]) == (3.0, 1.0, 1.0)
    assert thinned([]) == ()


def test_what_is_worse_than_the_median_at_a_step_ends_there() -> None:
    steps = range(1, 41)
    rivals = tuple(thinned([level + 1 / s for s in steps]) for level in (0.0, 0.1, 0.2))
    behind, level, ahead = ([base + 1 / s for s in steps] for base in (0.15, 0.1, 0.05))
    ended = steps_of(watch_of(rivals, "here"), behind)
    assert ended in CHECKPOINTS
    assert 19 <= ended <= 21  # not before half of what the others took
    assert steps_of(watch_of(rivals, "here"), level) is None
    assert steps_of(watch_of(rivals, "here"), ahead) is None
    early = [0.5] * 18 + [0.0] * 22  # behind where nobody is judged yet
    assert steps_of(watch_of(rivals, "here"), early) is None
    assert steps_of(watch_of(rivals, "here"), [float("nan")] * 40) is not None
    assert watch_of((), "here") is None


def test_a_rival_that_has_ended_stays_at_its_best() -> None:
    rivals = (thinned([0.5] * 10), thinned([0.5] * 10), thinned([1.0] * 39 + [0.1]))
    assert steps_of(watch_of(rivals, "here"), [0.6] * 40) is not None
    assert steps_of(watch_of(rivals, "here"), [0.4] * 40) is None


def test_the_message_survives_the_way_from_a_worker() -> None:
    watch = watch_of(((0.1, 0.1, 0.1, 0.1),), "model 'm', fold 1")
    assert watch is not None
    with pytest.raises(Pruned) as caught:
        [watch(step, 1.0) for step in (1, 2, 3, 4)]
    again = pickle.loads(pickle.dumps(caught.value))
    assert again.step == caught.value.step
    assert "model 'm', fold 1: pruned at step" in str(again)


def expect_pruned_within(outcome: Outcome, competition: Competition) -> None:
    states = [trial.state for trial in outcome.trials]
    assert states == [TrialState.COMPLETE] * STARTUP + [TrialState.PRUNED] * 2
    for trial in outcome.trials[STARTUP:]:
        assert trial.user_attrs["folds"] == 0
        assert trial.user_attrs["where"].startswith("at round ")
    assert len(list_runs(competition.runs)[0]) == STARTUP  # none of the pruned is a run
    assert not list(competition.runs.glob(".partial/*/*.parquet"))


@pytest.mark.parametrize("stopping", ["inner", "cross"])
def test_a_trial_far_behind_ends_within_its_first_fold(
    stopping: str, small: Small, search: SearchFor
) -> None:
    competition = small(models=MANY, cv={"early_stopping": stopping})
    points = [f"num_leaves=[{POINTS[0]}]", SLOW]
    tasks: list[FoldTask] = []

    def counted(task: FoldTask, context: Any) -> Any:
        tasks.append(task)
        return run_folds(task, context)

    outcome = search(competition, "lightgbm", method="grid", points=points, fit=counted)
    expect_pruned_within(outcome, competition)
    judged = [task for task in tasks if task.rivals]
    assert [len(task.rivals) for task in judged] == [STARTUP] * 2
    assert all(task.folds[0] == 0 for task in judged)
    assert [len(task.rivals) for task in tasks[: -len(judged)]] == [0] * (len(tasks) - 2)
    states = [trial.state for trial in outcome.trials]
    again = search(competition, "lightgbm", method="grid", points=points)
    assert [trial.state for trial in again.trials] == states  # the second call tries nothing again


def test_a_kill_between_the_fit_and_the_study_changes_nothing(
    small: Small, search: SearchFor, monkeypatch: pytest.MonkeyPatch
) -> None:
    points = [f"num_leaves=[{POINTS[0]}]", SLOW]
    asked = {"method": "grid", "points": points}
    straight = small("straight", models=MANY)
    wanted = search(straight, "lightgbm", **asked)
    competition = small("killed", models=MANY)

    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    for where in ("lose", "end"):
        with monkeypatch.context() as patched:
            if where == "lose":
                patched.setattr("kit.tune.study.Study.lose", killed)
            else:
                patched.setattr("kit.tune.search.Search._prune", killed)
            with pytest.raises(KeyboardInterrupt):
                search(competition, "lightgbm", **asked)
    outcome = search(competition, "lightgbm", **asked)
    expect_pruned_within(outcome, competition)
    for mine, theirs in zip(outcome.trials, wanted.trials, strict=True):
        assert (mine.number, mine.state, mine.value) == (theirs.number, theirs.state, theirs.value)
        assert mine.user_attrs.get("where") == theirs.user_attrs.get("where")


def test_a_removed_run_is_no_rival(small: Small, search: SearchFor) -> None:
    competition = small(models=MANY)
    asked = {"method": "grid", "points": [f"num_leaves=[{POINTS[0]}]"]}
    first = search(competition, "lightgbm", **asked)
    (competition.runs / first.trials[0].user_attrs["run"] / "curves.json").write_text("{")
    outcome = search(competition, "lightgbm", method="manual", points=["learning_rate=0.0001"])
    where = str(outcome.trials[-1].user_attrs.get("where"))
    assert not where.startswith("at round")  # seven curves are too few to judge by


def losses_of(model: Any, watch: Any, *, together: bool) -> None:
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"a": rng.normal(size=120).astype(np.float32)})
    y = (X["a"] + rng.normal(size=120) > 0).astype(int).to_numpy()
    problem = Problem(task="binary", n_outputs=1, watch=watch)
    if together:
        rows = [FoldRows(X=X[:80], y=y[:80], X_valid=X[80:], y_valid=y[80:])] * 2
        fitted = model.fit_folds(rows, problem=problem)
        assert "watch" not in describe(fitted[0].problem_)
    else:
        model.fit(X[:80], y[:80], problem=problem, valid=(X[80:], y[80:]))


QUICK: dict[str, dict[str, Any]] = {
    "lightgbm": {"n_estimators": 6},
    "catboost": {"n_estimators": 6},
    "xgboost": {"n_estimators": 6},
    "mlp": {"epochs": 6, "layers": (4,), "members": 2},
    "realmlp": {"epochs": 6, "layers": (4,)},
    "tabm": {"epochs": 6, "width": 4, "heads": 2, "blocks": 1},
}


@pytest.mark.filterwarnings("ignore")  # tensorflow's and keras' own
@pytest.mark.parametrize(
    ("name", "together"),
    [
        ("lightgbm", False),
        ("lightgbm", True),
        ("catboost", False),
        ("catboost", True),
        ("xgboost", False),
        ("xgboost", True),
        pytest.param("mlp", False, marks=[pytest.mark.neural, pytest.mark.slow]),
        pytest.param("realmlp", False, marks=pytest.mark.neural),
        pytest.param("realmlp", True, marks=[pytest.mark.neural, pytest.mark.slow]),
        pytest.param("tabm", False, marks=[pytest.mark.neural, pytest.mark.slow]),
    ],
)
def test_every_model_that_has_a_callback_tells_its_losses_and_ends(
    name: str, together: bool
) -> None:
    if name == "xgboost":
        pytest.importorskip("xgboost")
    model, heard = MODELS.load(name)(**QUICK[name]), []
    losses_of(model, lambda step, loss: heard.append((step, loss)), together=together)
    assert [step for step, _ in heard] == list(range(1, 7))
    assert heard[0][1] != heard[-1][1]
    told = []

    def third(step: int, loss: float) -> None:
        told.append(step)
        if step == 3:
            raise Pruned("enough")

    with pytest.raises(Pruned, match="enough"):
        losses_of(model, third, together=together)
    assert told == [1, 2, 3]


def test_a_pruned_fold_leaves_no_file(small: Small, tmp_path: Path) -> None:
    competition = small(models=MANY)
    task = FoldTask(
        model="m",
        spec=ModelSpec(use="lightgbm", params={"n_estimators": 40, "learning_rate": 1e-4}),
        folds=(0,),
        seed=1,
        threads=1,
        early_stopping="inner",
        results=tmp_path / "results",
        rivals=((0.1,) * 30,) * STARTUP,
    )
    context = load_context(competition)
    with pytest.raises(Pruned, match="model 'm', fold 1"):
        run_folds(task, context)
    assert not list(tmp_path.rglob("*.parquet"))
    both = replace(task, spec=replace(task.spec, pseudo_labels=0.9))
    assert len(run_folds(both, context)) == 1  # two fits: nobody watches
