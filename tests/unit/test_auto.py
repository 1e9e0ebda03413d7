"""The pieces of `kit auto`: time, memory, jobs. The whole is tested in e2e/test_auto.py."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import kit.auto.budget
from kit.auto.budget import Budget
from kit.auto.job import Job, Turn
from kit.auto.schedule import fitting_share, seconds_needed
from kit.execution.memory import available, estimate
from kit.execution.results import FoldResult
from kit.plan import Plan
from kit.portfolio import Entry
from kit.settings import ModelSpec


def test_the_budget_counts_from_the_start_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    class Earlier:
        def create_time(self) -> float:
            return time.time() - 30

    monkeypatch.setattr(kit.auto.budget.psutil, "Process", Earlier)
    budget = Budget(100)
    assert 29.9 < budget.spent < 40  # the two clocks do not agree to the microsecond
    assert 60 < budget.end - time.monotonic() < 70.1


@pytest.mark.parametrize("leap", [4e8, -4e8])
def test_a_clock_that_is_set_takes_nothing_of_the_budget(
    leap: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + leap)
    budget = Budget(100)
    assert budget.spent < 5
    monkeypatch.setattr(time, "time", lambda: real() - leap)
    assert budget.spent < 5


def test_publishing_that_took_long_is_kept_back_for_the_end() -> None:
    budget = Budget(100_000)
    before = budget.work_end
    budget.measured(10)
    budget.measured(4)
    assert before - budget.work_end == pytest.approx(15)
    assert before < budget.end


def test_a_blend_has_what_was_kept_for_it_and_more_where_models_are_through_early() -> None:
    budget = Budget(1000 + Budget(0).spent)
    assert 40 <= budget.blending < 60
    assert budget.for_blend() == pytest.approx(499, abs=9)
    late = Budget(1000)
    late.end = time.monotonic() + 30
    late.measured(10)
    assert late.for_blend() == pytest.approx(30 - 1.5 - 15, abs=0.1)
    late.end = time.monotonic() - 5
    assert late.for_blend() == 0.5


def test_a_spent_budget_has_nothing_left() -> None:
    assert Budget(0.001).left == 0


def plan(n_folds: int = 3, early_stopping: str = "none") -> Plan:
    return Plan(
        model="m",
        spec=ModelSpec(use="linear"),
        params={},
        hash="h",
        seed=1,
        early_stopping=early_stopping,
        partial=Path("nowhere"),
        n_folds=n_folds,
    )


def job(seconds: float = 100.0, abreast: int = 2, **facts: Any) -> Job:
    made = plan(**facts)
    return Job(
        turn=Turn(Entry(name="m", use="linear", why="x")),
        plan=made,
        waiting=made.tasks(range(made.n_folds)),
        results={},
        held=ExitStack(),
        seconds=seconds,
        need=0.0,
        abreast=abreast,
    )


def result(fold: int, seconds: float) -> FoldResult:
    empty = np.zeros((1, 1))
    return FoldResult(
        fold=fold, rows=np.array([fold]), oof=empty, test=empty, seconds={"fit": seconds}
    )


def test_the_first_fold_is_measured_before_the_second_is_started() -> None:
    made = job()
    first = made.next()
    assert first is not None
    assert made.next() is None
    made.ended(first, [result(0, 2.0)])
    assert made.measured == 2.0
    assert made.next() is not None
    assert made.next() is not None
    assert made.next() is None


def test_folds_share_the_time_of_their_model() -> None:
    made = job(seconds=90)
    first = made.next()
    assert first is not None
    assert first.deadline is not None
    assert 0.7 * 30 < first.deadline - time.monotonic() < 30
    together = job(seconds=90, early_stopping="cross").next()
    assert together is not None
    assert together.deadline is not None
    assert 60 < together.deadline - time.monotonic() < 90


def test_no_fold_is_given_time_beyond_the_end_of_all_work() -> None:
    until = time.monotonic() + 10
    task = job(seconds=90, early_stopping="cross").next(until)
    assert task is not None
    assert task.deadline is not None
    assert task.deadline < until


def test_folds_of_others_in_its_way_take_no_time_from_a_model(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr("kit.auto.job.time", SimpleNamespace(monotonic=lambda: clock.now))
    made = job(seconds=90)
    first = made.next()
    assert first is not None
    clock.now += 10
    made.ended(first, [result(0, 10.0)])
    clock.now += 500  # the workers had other folds
    second, third = made.next(), made.next()
    assert second is not None
    assert third is not None
    assert second.deadline == pytest.approx(clock.now + 0.8 * 40)
    assert third.deadline == pytest.approx(clock.now + 0.8 * 80)
    assert made.end == pytest.approx(clock.now + 80)
    clock.now += 20
    made.ended(second, [result(1, 20.0)])
    assert made.end == pytest.approx(clock.now + 60), "it was at work all the time"


def test_a_model_whose_folds_cannot_end_in_time_is_seen_after_the_first() -> None:
    made, alone = job(), job(abreast=1)
    for each in (made, alone):
        first = each.next()
        assert first is not None
        assert not each.too_slow(time.monotonic() + 1)
        each.ended(first, [result(0, 20.0)])
    assert made.too_slow(time.monotonic() + 15)
    assert not made.too_slow(time.monotonic() + 25)
    assert alone.too_slow(time.monotonic() + 25)


def test_a_model_whose_first_fold_does_not_come_is_given_up_before_its_time() -> None:
    made = job(seconds=90)  # three folds: with two more to come the first may take half of it
    assert made.next() is not None
    waiting = made.kill_at - time.monotonic()
    assert waiting == pytest.approx(1.5 * 90 / 2 + 1, abs=0.5)
    together = job(seconds=90, early_stopping="cross")
    assert together.next() is not None
    assert together.kill_at - time.monotonic() == pytest.approx(1.5 * 90 + 1, abs=0.5)


def test_memory_is_estimated_by_rows_and_by_what_is_done_with_them(make_competition: Any) -> None:
    import pandas as pd

    from kit.dataset import Dataset

    def data(n: int) -> Dataset:
        rng = np.random.default_rng(0)
        train = pd.DataFrame(rng.normal(size=(n, 5)), columns=list("abcde"))
        train.insert(0, "id", range(n))
        train["y"] = rng.integers(0, 2, n)
        return Dataset.read(make_competition(train, train.drop(columns="y"), name=f"n{n}"))

    small, large = data(100), data(2000)
    for use in ("lightgbm", "linear", "extra_trees", "realmlp", "knn", "catboost"):
        few = estimate("tree", use, small, 5, together=True)
        assert 0 < few < estimate("tree", use, large, 5, together=True)
    one = estimate("tree", "lightgbm", large, 5, together=False)
    assert one < estimate("tree", "lightgbm", large, 5, together=True)
    assert 0 < available() < 1e15


@pytest.mark.parametrize(
    ("groups", "file"),
    [
        ("0::/jobs/job_7/task_0\n", "jobs/job_7/memory.max"),
        (
            "4:cpu,cpuacct:/\n3:memory:/jobs/job_7\n0::/\n",
            "memory/jobs/job_7/memory.limit_in_bytes",
        ),
        ("", "memory.max"),
    ],
)
def test_the_memory_of_a_job_or_a_container_is_its_limit(
    groups: str, file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A scheduler sets it on a group above that of the process, a container on the root."""
    own, root = tmp_path / "own", tmp_path / "cgroup"
    own.write_text(groups)
    monkeypatch.setattr("kit.execution.memory._OWN_GROUPS", own)
    monkeypatch.setattr("kit.execution.memory._CGROUP", root)
    assert available() > 0
    (root / file).parent.mkdir(parents=True)
    (root / file).write_text("max\n")
    assert available() > 0
    (root / file).write_text("1000000\n")
    assert available() == 0, "this process alone has more"


def test_many_test_rows_leave_less_time_for_fitting() -> None:
    assert 0.3 <= fitting_share("tabm", 100, 100_000, 5) < fitting_share("tabm", 1000, 1000, 5)
    assert fitting_share("tabm", 1000, 1000, 5) < fitting_share("tabm", 100_000, 100, 5) <= 0.9
    assert fitting_share("lightgbm", 1000, 1000, 5) < fitting_share("catboost", 1000, 1000, 5)


def test_large_tables_need_more_time_before_a_model_is_started() -> None:
    entry = Entry(name="net", use="tabm", why="", min_seconds=15)
    assert seconds_needed(entry, 20_000, 50) == 15
    assert seconds_needed(entry, 100, 5) == 15
    assert seconds_needed(entry, 300_000, 40) == 180


def test_boosters_need_more_time_for_many_classes_or_targets() -> None:
    booster = Entry(name="trees", use="lightgbm", why="", min_seconds=2)
    assert seconds_needed(booster, 20_000, 50, outputs=7) == 2
    assert seconds_needed(booster, 20_000, 50, outputs=200) == 80
    net = replace(booster, use="realmlp")  # its last layer is wider, that is all
    assert seconds_needed(net, 20_000, 50, outputs=200) == 2


@pytest.mark.parametrize(
    ("classes", "text", "first"),
    [(9, False, "lightgbm-loose"), (10, False, "realmlp"), (10, True, "lightgbm-loose")],
)
def test_of_many_classes_the_network_is_tried_first(
    make_competition: Any, classes: int, text: bool, first: str
) -> None:
    """Unless texts lead: it does not read."""
    import pandas as pd

    from kit.auto.loop import _choice
    from kit.portfolio import PORTFOLIO
    from kit.session import open_session

    labels = [f"c{k}" for k in range(classes)]
    train = pd.DataFrame({"id": range(60), "x": np.arange(60.0), "y": (labels * 7)[:60]})
    if text:
        train["words"] = [f"a tale number {k} of many words that someone wrote" for k in range(60)]
    made = make_competition(
        train,
        train.drop(columns="y"),
        columns={"kinds": {"words": "text"} if text else {}},
        sample=pd.DataFrame({"id": range(60), **dict.fromkeys(labels, 1 / classes)}),
        task={"type": "multiclass", "metric": "log_loss", "classes": labels},
        submission={"wants": "probability", "columns": labels},
    )
    with open_session(made) as session:
        chosen = [entry.name for entry in _choice(session, PORTFOLIO, named=False, seconds=60)[0]]
        tables = [name for name in chosen if name in (first, "lightgbm", "realmlp")]
        assert tables[0] == first
        assert _choice(session, PORTFOLIO[::-1], named=True, seconds=60)[0][0].name != "realmlp"
