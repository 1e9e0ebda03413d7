"""Searches in this process: one fold at a time, no processes to wait for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from kit.competition import Competition
from kit.errors import KitError
from kit.execution.context import load_context
from kit.execution.task import FoldTask, run_folds
from kit.execution.workers import Finished
from kit.tune.loop import Asked, Outcome, Told, tune

Fit = Callable[..., Any]


class Inside:
    """What `kit.execution.workers.Workers` is, without processes."""

    size = 1

    def __init__(self, competition: Competition, fit: Fit = run_folds) -> None:
        self.context, self.fit = load_context(competition), fit
        self.running: list[FoldTask] = []

    @property
    def free(self) -> int:
        return 1 - len(self.running)

    def start(self, task: FoldTask) -> None:
        self.running.append(task)

    def wait(self, timeout: float | None = None) -> list[Finished]:
        if not self.running:
            return []
        task = self.running.pop()
        try:
            return [Finished(task, results=self.fit(task, self.context))]
        except KitError as error:
            return [Finished(task, error=error)]

    def kill(self, task: FoldTask) -> None:
        self.running = [each for each in self.running if each != task]

    def close(self) -> None:
        self.running = []


@pytest.fixture
def inside_workers() -> type[Inside]:
    return Inside


QUICK = {"lightgbm": {"params": {"n_estimators": 8}}}


@pytest.fixture
def small(make_competition: Callable[..., Competition], mixed: Any) -> Callable[..., Competition]:
    """``small(**tables)``: 90 rows; LightGBM of eight rounds is called `lightgbm`."""
    train, test = mixed

    def make(name: str = "small", code: Any = None, **tables: Any) -> Competition:
        models = {**QUICK, **tables.pop("models", {})}
        tables["cv"] = {"n_splits": 2, **tables.get("cv", {})}
        return make_competition(train, test, name=name, code=code, models=models, **tables)

    return make


@pytest.fixture
def search(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Outcome]:
    """``search(competition, "lightgbm", trials=5, ...)``; `seeds`: so many other sets of folds."""

    def run(
        competition: Competition,
        *models: str,
        told: Told | None = None,
        fit: Fit = run_folds,
        seeds: int = 0,
        **asked: Any,
    ) -> Outcome:
        monkeypatch.setattr("kit.tune.rescoring.SEEDS", seeds)
        wanted = Asked(models=models, **asked)
        return tune(competition, wanted, told or Told(), lambda other: Inside(other, fit))

    return run


@pytest.fixture
def rows() -> pd.DataFrame:
    """40 rows without categories."""
    return pd.DataFrame({"id": range(40), "x": range(40), "y": [0, 1] * 20})
