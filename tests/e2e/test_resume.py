"""`kill -9` at any moment: the next call refits only what was missing and changes nothing."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from kit.competition import Competition

# stopping on the scored fold: one fit per fold, of all 300 rounds
ROUNDS = {"lightgbm": {"params": {"n_estimators": 300, "patience": 300}}}
CV = {"n_splits": 4, "early_stopping": "fold"}


def fold_files(competition: Competition) -> dict[str, tuple[int, int]]:
    """Finished folds and what would change if one were written again."""
    found = competition.runs.glob(".partial/*/fold-*.parquet")
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in found}


def only_run(competition: Competition) -> dict[str, Any]:
    records = [json.loads(path.read_text()) for path in competition.runs.glob("2*/run.json")]
    assert len(records) == 1
    return records[0]


def predictions(competition: Competition, run_id: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    folder = competition.runs / run_id
    return pd.read_parquet(folder / "oof.parquet"), pd.read_parquet(folder / "test.parquet")


def expect_same(a: Competition, b: Competition) -> None:
    """Bit-identical predictions and the same hash."""
    first, second = only_run(a), only_run(b)
    assert first["hash"] == second["hash"]
    for left, right in zip(predictions(a, first["id"]), predictions(b, second["id"]), strict=True):
        assert list(left.columns) == list(right.columns)
        for name in left.columns:
            assert np.array_equal(left[name].to_numpy(), right[name].to_numpy()), name


def killed_until_done(
    competition: Competition, launch: Any, *args: str, kills: int, longest: float
) -> int:
    """Kill `kit cv` at `kills` random moments, then let it finish; how often a fold survived.

    The last kill waits for the first fold, so that there is one to keep however fast the machine.
    """
    rng = random.Random(3)
    survived = 0
    kept: dict[str, tuple[int, int]] = {}
    for number in range(kills):
        started = launch(competition, "cv", *args)
        if number < kills - 1:
            time.sleep(rng.uniform(0.02, longest))
        else:
            while not fold_files(competition):
                time.sleep(0.005)
        os.kill(started.pid, signal.SIGKILL)
        code = started.wait()
        now = fold_files(competition)
        if code == 0:  # it was quicker than the kill; begin again
            assert not now
            for path in competition.runs.glob("2*"):
                path.rename(competition.root / path.name)
            kept = {}
            continue
        assert code == -signal.SIGKILL
        published = list(competition.runs.glob("2*/run.json"))
        assert len(published) <= 1
        if not published:
            assert kept.items() <= now.items(), "a finished fold was lost or written again"
        survived += len(now) > 0
        kept = now
    last = launch(competition, "cv", *args)
    assert last.wait() == 0, last.err
    run = only_run(competition)
    assert set(run["resumed"]) >= {int(name[5:-8]) for name in kept}
    assert not fold_files(competition)
    return survived


def test_three_kills_lose_no_finished_fold_and_change_no_prediction(toy: Any, launch: Any) -> None:
    whole, killed = toy("whole", models=ROUNDS, cv=CV), toy("killed", models=ROUNDS, cv=CV)
    began = time.monotonic()
    assert launch(whole, "cv", "lightgbm").wait() == 0
    took = time.monotonic() - began
    survived = killed_until_done(killed, launch, "lightgbm", kills=3, longest=0.8 * took)
    assert survived > 0
    expect_same(whole, killed)


@pytest.mark.slow
def test_ten_kills_lose_no_finished_fold_and_change_no_prediction(toy: Any, launch: Any) -> None:
    models = {"lightgbm": {"params": {"n_estimators": 1500, "patience": 1500}}}
    cv = {"n_splits": 8}
    whole, killed = toy("whole", models=models, cv=cv), toy("killed", models=models, cv=cv)
    began = time.monotonic()
    assert launch(whole, "cv", "lightgbm").wait() == 0
    took = time.monotonic() - began
    survived = killed_until_done(killed, launch, "lightgbm", kills=10, longest=took / 3)
    assert survived > 3
    expect_same(whole, killed)


@pytest.mark.slow
@pytest.mark.neural
def test_a_killed_network_is_finished_bit_identically(toy: Any, launch: Any) -> None:
    tables: dict[str, Any] = {
        "models": {"mlp": {"params": {"epochs": 3, "layers": [16]}}},
        "cv": {"n_splits": 3},
    }
    whole, killed = toy("whole", n=300, **tables), toy("killed", n=300, **tables)
    assert launch(whole, "cv", "mlp").wait() == 0
    started = launch(killed, "cv", "mlp")
    while not fold_files(killed):
        time.sleep(0.02)
    os.kill(started.pid, signal.SIGKILL)
    assert started.wait() == -signal.SIGKILL
    kept = fold_files(killed)
    assert launch(killed, "cv", "mlp").wait() == 0
    assert len(only_run(killed)["resumed"]) == len(kept)
    expect_same(whole, killed)


def test_a_truncated_fold_is_refitted_and_the_others_are_kept(
    toy: Any, launch: Any, wait_until: Callable[..., None]
) -> None:
    whole, torn = toy("whole", n=600), toy("torn", n=600)
    assert launch(whole, "cv", "lightgbm").wait() == 0
    full = "import kit.cv, errno\ndef no(*a, **k): raise OSError(errno.ENOSPC, 'no space')\n"
    assert launch(torn, "cv", "lightgbm", before=full + "kit.cv._publish = no").wait() == 1
    files = sorted(torn.runs.glob(".partial/*/fold-*.parquet"))
    assert len(files) == 3
    files[1].write_bytes(files[1].read_bytes()[:-500])

    again = launch(torn, "cv", "lightgbm")
    assert again.wait() == 0, again.err
    assert only_run(torn)["resumed"] == [0, 2]
    expect_same(whole, torn)


def test_folds_in_processes_and_here_with_more_or_fewer_threads_are_bit_identical(
    toy: Any, launch: Any
) -> None:
    models = ["lightgbm", "linear", "extra_trees"]
    tables: dict[str, Any] = {"models": {"extra_trees": {"params": {"n_estimators": 20}}}}
    here, there = toy("here", n=300, **tables), toy("there", n=300, **tables)
    assert launch(here, "cv", *models, "--set", "execution.threads=1").wait() == 0
    settings = ("executor=processes", "workers=2", "threads=2")
    flags = [part for each in settings for part in ("--set", f"execution.{each}")]
    processes = launch(there, "cv", *models, *flags)
    assert processes.wait() == 0, processes.err
    runs = {c.root.name: sorted(c.runs.glob("2*"), key=_model) for c in (here, there)}
    assert len(runs["there"]) == 3
    for a, b in zip(runs["here"], runs["there"], strict=True):
        assert _model(a) == _model(b)
        for stem in ("oof", "test"):
            left, right = (pd.read_parquet(run / f"{stem}.parquet") for run in (a, b))
            assert np.array_equal(left["pred"].to_numpy(), right["pred"].to_numpy()), a.name


def _model(run: Path) -> str:
    return str(json.loads((run / "run.json").read_text())["model"])
