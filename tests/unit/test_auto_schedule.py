"""Who works on what, and what follows: `Schedule` and `loop` with workers that do nothing."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from kit.auto.budget import Budget
from kit.auto.job import Job, Turn
from kit.auto.loop import Outcome, _blended, _checked, _choice, _parents
from kit.auto.schedule import Schedule
from kit.cli.auto import _report, _told
from kit.cli.output import Output
from kit.dataset import Dataset
from kit.errors import RunError
from kit.plan import Plan
from kit.portfolio import Entry
from kit.settings import ModelSpec

ENTRY = Entry(name="m", use="linear", why="x", min_seconds=1)
PLAN = Plan(
    model="m",
    spec=ModelSpec(use="linear"),
    params={},
    hash="h",
    seed=1,
    early_stopping="none",
    partial=Path("nowhere"),
    n_folds=3,
    memory=5e9,
)


class Idle:
    """Workers that have nothing in work unless a test says so."""

    def __init__(self) -> None:
        self.size, self.free = 2, 0
        self.running: list[Any] = []
        self.waited: list[float] = []

    def wait(self, timeout: float) -> list[Any]:
        self.waited.append(timeout)
        return []


def session(on: str = "") -> Any:
    frame = pd.DataFrame({"x": range(40)})
    data = SimpleNamespace(
        X=frame, X_test=frame, on_disk=False, kinds={"x": "numeric"}, outputs=["x"]
    )
    execution = SimpleNamespace(on=on)
    return SimpleNamespace(
        context=SimpleNamespace(
            dataset=data, folds=SimpleNamespace(forward=False), graded=False, n_learned=1
        ),
        competition=SimpleNamespace(settings=SimpleNamespace(execution=execution)),
    )


def schedule(on: str = "", seconds: float = 1000, more: Sequence[Entry] = ()) -> Schedule:
    budget, workers = Budget(seconds + Budget(0).spent), Idle()
    return Schedule(session(on), workers, budget, [], more, lambda run: None)  # type: ignore[arg-type]


def job(made: Schedule, need: float = 5e9, running: int = 0) -> Job:
    opened = Job(
        turn=Turn(ENTRY),
        plan=PLAN,
        waiting=PLAN.tasks(range(3)),
        results={},
        held=ExitStack(),
        seconds=90,
        need=need,
        abreast=2,
    )
    opened.running = [opened.waiting.pop() for _ in range(running)]
    made._jobs.append(opened)
    return opened


def test_of_a_library_that_always_fails_nothing_is_drawn() -> None:
    drawn = [Entry(name=f"{use}-r1", use=use, why="x") for use in ("linear", "knn", "tabm")]
    made = schedule(more=drawn)
    made._drop(job(made), "its time was over")
    died = job(made)
    died.turn = Turn(drawn[2])
    made._drop(died, "its process died")
    made.runs = [SimpleNamespace(record={"use": "tabm"})]  # type: ignore[list-item]
    assert [next(made._coming).name for _ in range(2)] == ["knn-r1", "tabm-r1"]


def test_while_workers_start_the_command_sleeps() -> None:
    """It has no job yet, so there is no limit to wake up for."""
    made = schedule()
    made._collect()
    workers: Any = made.workers
    assert workers.waited == [pytest.approx(5, abs=1)]
    late = schedule(seconds=0)
    late._collect()
    assert late.workers.waited == [0]  # type: ignore[attr-defined]


def test_memory_that_tasks_in_work_have_not_taken_yet_is_not_given_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("kit.auto.schedule.available", lambda: 10e9)
    made = schedule()
    assert made._room(5e9)
    job(made, running=1)
    assert not made._room(5e9)
    assert made._room(2e9)
    elsewhere = schedule(on="tcp://there:8786")
    job(elsewhere, running=2)
    assert elsewhere._room(1e12), "it is the memory of other machines"


def test_a_further_fold_waits_for_memory_unless_nothing_is_in_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("kit.auto.schedule.available", lambda: 10e9)
    made = schedule()
    opened = job(made, running=1)
    opened.results[2] = SimpleNamespace(seconds={"fit": 1.0})  # type: ignore[assignment]
    made.workers.running = opened.running  # type: ignore[misc]
    assert made._next_task() is None
    opened.need = 1e9
    assert made._next_task() is not None
    alone = schedule()
    last = job(alone, need=20e9)
    assert alone._next_task() in last.running


@pytest.mark.parametrize(
    ("cut", "took", "opened"), [([0], 20.0, True), ([0], 600.0, False), ([], 20.0, False)]
)
def test_what_an_earlier_call_cut_short_is_taken_and_fitted_again_with_more_time(
    cut: list[int], took: float, opened: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    run: Any = SimpleNamespace(record={"cut": cut, "seconds": {"fit": took, "predict": 0.0}})
    monkeypatch.setattr("kit.auto.schedule.locked", lambda *_, **__: nullcontext())
    monkeypatch.setattr("kit.auto.schedule.start", lambda *_: (run, {}))
    monkeypatch.setattr("kit.auto.schedule.available", lambda: 100e9)
    made = schedule()
    again = made._open(Turn(ENTRY), PLAN)
    assert made.runs == [run]
    assert (again is not None) == opened
    if again is not None:
        assert [task.folds for task in again.waiting] == [(0,), (1,), (2,)]


def test_the_time_of_publishing_is_kept_back_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    made = schedule()
    opened = job(made)

    def finish(*_: Any) -> str:
        time.sleep(0.2)
        return "run"

    monkeypatch.setattr("kit.auto.schedule.finish", finish)
    before = made.budget.work_end
    made._finish(opened)
    assert before - made.budget.work_end >= 1.5 * 0.2


def test_nothing_to_try_is_said_with_the_reasons(mixed: Any, make_competition: Any) -> None:
    data = Dataset.read(make_competition(*mixed))
    opened: Any = SimpleNamespace(context=SimpleNamespace(dataset=data, graded=False, n_learned=1))
    entry = Entry(name="sequence", use="sequence", why="x", series=True, asked=True)
    with pytest.raises(RunError, match=r"sequence: there is no \[series\] table"):
        _choice(opened, [entry], named=True, seconds=60)


def test_why_there_is_no_blend_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    def blend(*_: Any, **given: Any) -> Any:
        asked.update(given)
        raise RunError("a run is damaged")

    monkeypatch.setattr("kit.auto.loop.blend", blend)
    monkeypatch.setattr("kit.auto.loop.best_run", lambda runs: (runs[0], "the best"))
    runs: Any = [SimpleNamespace(id="a"), SimpleNamespace(id="b")]
    run, why = _blended(session(), runs, Budget(1000 + Budget(0).spent))
    assert (run, why) == (runs[0], "the best; there is no blend: a run is damaged")
    assert asked["seconds"] > 400, "nobody else needs the time"


@pytest.mark.parametrize(
    ("classes", "up", "blended"),
    [(10, True, "dbca"), (1000, True, "bc"), (1000, False, "da"), (4000, True, "")],
)
def test_of_many_predictions_the_best_runs_are_blended(
    classes: int, up: bool, blended: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five runs of 70,000 rows and 1,000 classes took 25 s more than there were."""
    opened = session()
    opened.context.metric = SimpleNamespace(greater_is_better=up)
    opened.context.dataset.X = opened.context.dataset.X_test = range(35_000)
    opened.context.dataset.outputs = [str(k) for k in range(classes)]
    scores = {"d": 0.2, "b": 0.7, "c": 0.6, "a": 0.5}
    runs: Any = [SimpleNamespace(id=k) for k in scores]
    monkeypatch.setattr("kit.auto.loop.standing", lambda run: scores[run.id])
    assert "".join(run.id for run in _parents(opened, runs, 24.0)) == blended


@pytest.mark.parametrize(
    ("seconds", "shape", "checked"),
    [
        (30, (100_000, 10), True),
        (10, (100_000, 10), False),
        (600, (400, 1000), True),
        (600, (400, 5000), False),
    ],
)
def test_a_table_is_checked_where_that_takes_little_of_the_time(
    seconds: float, shape: tuple[int, int], checked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = session()
    opened.context.dataset.task = "binary"
    opened.context.dataset.X = SimpleNamespace(size=shape[0] * shape[1], shape=shape)
    report = SimpleNamespace(findings=[SimpleNamespace(severity="error")])
    monkeypatch.setattr("kit.auto.loop.check", lambda competition: report)
    budget: Any = SimpleNamespace(seconds=seconds, spent=0.0)
    found = _checked(opened.competition, opened, budget)
    assert found == (report.findings if checked else None)


@pytest.mark.parametrize(("seconds", "early"), [(384.0, True), (580.0, False)])
def test_an_early_end_is_explained(
    seconds: float, early: bool, make_run: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run(tmp_path, "lightgbm", [0.8, 0.9])
    outcome = Outcome(
        runs=[run],
        chosen=run,
        why="the only run",
        submission=tmp_path,
        skipped=[("cnn", "no column is image")],
        left_out=[("knn", "its time was over")],
        findings=[],
        seconds=seconds,
        budget=600.0,
    )
    _report(Output(json=False, quiet=False), outcome)
    said = capsys.readouterr().out
    assert "left out: knn: its time was over" in said
    assert "cnn" not in said, "that was told at the beginning"
    assert f"{seconds:.0f} s of 600 s used" in said
    assert ("nothing was left to try" in said) == early


def test_a_table_that_is_not_checked_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    told = _told(Output(json=False, quiet=False), 60, False)
    told.findings([])
    assert capsys.readouterr().err == ""
    told.findings(None)
    assert "not checked" in capsys.readouterr().err
