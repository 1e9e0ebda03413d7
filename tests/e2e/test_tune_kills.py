"""`kill -9` in the middle of a study: no trial is lost, none counts twice."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import time
from collections import Counter
from functools import partial
from typing import Any

import optuna
import pytest
from filelock import FileLock, Timeout
from optuna.storages.journal import JournalFileBackend, JournalStorage
from optuna.trial import FrozenTrial, TrialState

from kit.competition import Competition
from kit.runs import list_runs

ROUNDS = {"lightgbm": {"params": {"n_estimators": 60, "patience": 60}}}
TRIALS, KILLS = 20, 4
ARGUMENTS = ("tune", "lightgbm", "--trials", str(TRIALS), "--method", "random", "--study", "s")


def trials_of(competition: Competition) -> list[FrozenTrial]:
    """What Optuna itself, and so its dashboard, reads."""
    path = competition.root / "tune" / "s.journal"
    if not path.is_file():
        return []
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = JournalStorage(JournalFileBackend(str(path)))
    if not storage.get_all_studies():
        return []
    return optuna.load_study(storage=storage, study_name="s").trials


def left_trials(competition: Competition) -> list[int]:
    """Trials that were begun, are not through, and that nobody works on."""
    found = []
    for trial in trials_of(competition):
        if trial.state == TrialState.RUNNING:
            lock = FileLock(competition.root / "tune" / ".locks" / f"s-{trial.number}.lock")
            with contextlib.suppress(Timeout), lock.acquire(timeout=0):
                found.append(trial.number)
    return found


def searches(process: Any) -> bool:
    """Whether it has trials in work, or is through."""
    return "s  trial " in process.err or "report:" in process.out


def kill_and_finish(
    competition: Competition, launch: Any, wait_until: Any, kills: int, processes: int
) -> int:
    """Kill one of the processes at random moments and start it again; then let all finish.

    Returns:
        How many kills left a trial in the middle.
    """
    left = 0
    rng = random.Random(5)
    running = [launch(competition, *ARGUMENTS) for _ in range(processes)]
    ended: dict[int, tuple[Any, ...]] = {}
    for number in range(kills):
        which = number % processes
        wait_until(partial(searches, running[which]))
        time.sleep(rng.uniform(0.0, 1.5))
        os.kill(running[which].pid, signal.SIGKILL)
        code = running[which].wait()
        assert code in (0, -signal.SIGKILL), running[which].err
        left += bool(left_trials(competition))
        now = {
            t.number: (t.value, t.state) for t in trials_of(competition) if t.state.is_finished()
        }
        assert ended.items() <= now.items(), "a finished trial changed"
        ended = now
        running[which] = launch(competition, *ARGUMENTS)
    for each in running:
        assert each.wait() == 0, each.err
    if any(not trial.state.is_finished() for trial in trials_of(competition)):
        # the last one alone ended while the other one's trial was in work
        assert launch(competition, *ARGUMENTS).wait() == 0
    return left


def expect_whole(competition: Competition) -> None:
    trials = [t for t in trials_of(competition) if t.state != TrialState.WAITING]
    assert [trial.number for trial in trials] == list(range(TRIALS))
    assert {trial.state for trial in trials} <= {TrialState.COMPLETE, TrialState.PRUNED}
    runs = {run.id: run for run in list_runs(competition.runs)[0]}
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    assert Counter(trial.user_attrs["run"] for trial in complete) == Counter(list(runs))
    for trial in complete:
        assert trial.value == runs[trial.user_attrs["run"]].score
    specs = [json.dumps(trial.user_attrs["spec"], sort_keys=True) for trial in trials]
    assert len(set(specs)) == TRIALS


@pytest.mark.slow
def test_killed_processes_lose_no_trial_and_double_none(
    toy: Any, launch: Any, wait_until: Any
) -> None:
    competition = toy(n=900, models=ROUNDS, cv={"n_splits": 3})
    left = kill_and_finish(competition, launch, wait_until, kills=KILLS, processes=2)
    assert left > 0, "no kill hit a trial"
    expect_whole(competition)
