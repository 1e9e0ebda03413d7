"""`kit tune --on`: the folds of trials are computed by workers, the study lies here."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import optuna
import pytest
from optuna.storages.journal import JournalFileBackend, JournalStorage
from optuna.trial import TrialState

from kit.competition import Competition
from kit.runs import list_runs

from .conftest import SLOW, Cluster

pytestmark = pytest.mark.slow
MODEL = SLOW.partition("def build")[0] + "def build(C=1.0):\n    return Slow(C=C)\n"
TABLES = {
    "models": {"slow": {"use": "model:build", "recipe": "linear"}},
    "tune": {"slow": {"C": {"low": 0.01, "high": 10.0, "log": True}}},
}
ASKED = ("tune", "slow", "--method", "random", "--study", "s")


def trials(competition: Competition) -> dict[int, tuple[Any, ...]]:
    """Of every trial: state, what it validated, score; as Optuna itself reads them."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = JournalStorage(JournalFileBackend(str(competition.root / "tune" / "s.journal")))
    study = optuna.load_study(storage=storage, study_name="s")
    return {t.number: (t.state, t.user_attrs.get("spec"), t.value) for t in study.trials}


def expect_whole(competition: Competition, like: Competition, count: int) -> None:
    """The same trials as on one machine; each is a run, each run a trial."""
    found = trials(competition)
    assert found == trials(like)
    assert [state for state, *_ in found.values()] == [TrialState.COMPLETE] * count
    runs, plain = (
        {run.hash: run.score for run in list_runs(each.runs)[0]} for each in (competition, like)
    )
    assert len(runs) == count
    assert runs == plain


def test_a_search_on_a_cluster_is_that_of_one_machine(
    toy: Callable[..., Competition], cluster: Cluster, run_kit: Any
) -> None:
    tables = {"code": {"model.py": MODEL.replace("sleep(1.0)", "sleep(0.0)")}, **TABLES}
    here, there = (toy(name, cv={"n_splits": 2}, **tables) for name in ("here", "there"))
    asked = (*ASKED, "--trials", "3", "--json")
    local = run_kit(*asked, "-C", here.root)
    assert local.code == 0, local.err
    remote = run_kit(*asked, "-C", there.root, "--on", cluster.address)
    assert remote.code == 0, remote.err
    expect_whole(there, here, 3)
    # scored again on other folds, too, with the same verdict
    both = [json.loads(each.out) for each in (local, remote)]
    for each in both:
        assert each["candidates"][0]["other_folds"] is not None
    keys = ("winner", "candidates")
    plain = [{k: _without_ids(each[k]) for k in keys} for each in both]
    assert plain[0] == plain[1]


def _without_ids(value: Any) -> Any:
    """A document without the ids of runs, which hold the time."""
    if isinstance(value, dict):
        return {k: _without_ids(v) for k, v in value.items() if k not in ("run", "id")}
    return [_without_ids(each) for each in value] if isinstance(value, list) else value


def test_a_worker_lost_in_a_trial_costs_time_alone(
    toy: Callable[..., Competition], own_cluster: Callable[[str], Cluster], run_kit: Any
) -> None:
    tables = {"code": {"model.py": MODEL}, "cv": {"n_splits": 8}, **TABLES}
    here, there = toy("here", **tables), toy("there", **tables)
    asked = (*ASKED, "--trials", "1")  # of one trial nothing is scored again
    assert run_kit(*asked, "-C", here.root).code == 0
    cluster = own_cluster("one")
    command = [sys.executable, "-m", "kit", *asked, "--on", cluster.address]
    client = subprocess.Popen(
        command, cwd=there.root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    end = time.monotonic() + 200
    while not list(there.runs.glob(".partial/*/fold-*.parquet")):
        assert client.poll() is None, client.communicate()
        assert time.monotonic() < end
        time.sleep(0.02)
    cluster.workers[0].kill()
    _, err = client.communicate(timeout=250)
    assert client.returncode == 0, err
    expect_whole(there, here, 1)
