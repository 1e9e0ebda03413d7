"""A competition opened for computing: its data, folds, metric, and an executor.

Owns: progress events, the choice of the executor, and what every run records of where it comes
from.
"""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal, Protocol

import kit
from kit.competition import CONFIG_NAME, Competition
from kit.cores import usable_cores
from kit.execution.context import FoldContext, load_context, share_folds
from kit.execution.here import Here
from kit.execution.memory import processes_that_fit
from kit.execution.places import make_workers
from kit.execution.processes import Processes
from kit.execution.results import FoldResult
from kit.execution.task import FoldTask
from kit.keras import backend_package
from kit.runs import Run
from kit.usercode import UserCode

EventKind = Literal["started", "resumed", "fold", "waiting", "done", "known", "stopped", "killed"]


@dataclass(frozen=True, kw_only=True)
class Event:
    """Progress: what just happened to one model.

    `score` is the fold's own score; labels are made by the default decision until all folds are
    there. None where the metric has no value on the fold's rows alone.
    """

    kind: EventKind
    model: str
    fold: int = -1
    n_folds: int = 0
    done: int = 0
    seconds: float = 0.0
    score: float | None = None
    run: Run | None = None


Listener = Callable[[Event], None]


class Executor(Protocol):
    """Runs fold tasks somewhere."""

    def run(self, tasks: Iterable[FoldTask]) -> Iterator[FoldResult]:
        """Yield results as they are finished; a task is asked for when it can be begun."""

    def close(self) -> None:
        """Free what the executor holds."""


@dataclass(kw_only=True)
class Session:
    """A competition opened for computing: context and executor, for any number of models.

    Attributes:
        early_stopping: the way asked for, see `CVSpec`; what a model really does is its plan's.
        at_a_time: so many folds of a table on the disk fit into memory together.
        deadline: `time.monotonic()` after which no further fold is started; None: no limit.
    """

    competition: Competition
    context: FoldContext
    executor: Executor
    threads: int
    listen: Listener
    early_stopping: str = "inner"
    at_a_time: int = sys.maxsize
    deadline: float | None = None
    keep_models: bool = False
    seconds_per_fold: dict[str, float] = field(default_factory=dict)


@contextmanager
def open_session(
    competition: Competition,
    *,
    listen: Listener = lambda event: None,
    budget: float | None = None,
    keep_models: bool = False,
) -> Iterator[Session]:
    """Read the data once and start the executor that `[execution]` names.

    Args:
        competition: the competition.
        listen: called with every `Event`.
        budget: seconds from now after which no further fold is started.
        keep_models: save the fitted models in the run.
    """
    deadline = None if budget is None else time.monotonic() + budget
    context = load_context(competition)
    share_folds(competition, context.folds)
    spec = competition.settings.execution
    cores = usable_cores()
    alone = spec.executor == "here" and not spec.on
    workers = 1 if alone else spec.workers or min(cores, context.folds.n_splits)
    at_a_time = sys.maxsize if spec.on else processes_that_fit(context.dataset)
    workers = workers if spec.on else min(workers, at_a_time)
    executor: Executor
    executor = Here(context) if alone else Processes(make_workers(competition, workers))
    try:
        yield Session(
            competition=competition,
            context=context,
            executor=executor,
            threads=spec.threads or max(1, cores // workers),
            listen=listen,
            early_stopping=competition.settings.cv.early_stopping,
            at_a_time=at_a_time,
            deadline=deadline,
            keep_models=keep_models,
        )
    finally:
        executor.close()


def run_facts(competition: Competition, context: FoldContext) -> dict[str, Any]:
    """What every kind of run records of where it comes from."""
    data, metric, weights = context.dataset, context.metric, context.folds.weights
    digests = {
        **data.digests,
        "folds": context.folds.digest,
        "code": hashlib.sha256(b"\0".join(code_files(competition).values())).hexdigest()[:16],
    }
    return {
        "competition": competition.slug,
        "task": data.task,
        "outputs": list(data.outputs),
        "classes": list(data.classes),
        "metric": {
            "name": metric.name,
            "greater_is_better": metric.greater_is_better,
            "code": metric.code,
        },
        "seed": competition.settings.cv.seed,
        "fold_weights": None if weights is None else weights.round(4).tolist(),
        "digests": digests,
        "kit": kit.__version__,
        "packages": dict(_packages()),
    }


def _packages() -> Iterator[tuple[str, str]]:
    """Versions of what computes, where it is there: with another backend TensorFlow may lack."""
    libraries = "numpy", "pandas", "scikit-learn", "lightgbm", "catboost", "xgboost", "keras"
    for name in (*libraries, backend_package()):
        with suppress(PackageNotFoundError):
            yield name, version(name)


def code_files(competition: Competition) -> dict[str, bytes]:
    """kit.toml and the competition's Python files as they are now."""
    toml = (competition.root / CONFIG_NAME).read_bytes()
    return {CONFIG_NAME: toml, **UserCode(competition.root).sources()}
