"""What all folds of a competition share: data, folds, metric, code. Read once per process."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial, wraps
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kit.competition import Competition
from kit.dataset import Dataset
from kit.errors import ConfigError, DataError, UserCodeError
from kit.execution.prepared import PreparedFolds
from kit.folds import Folds
from kit.metrics.base import Metric, balanced_weights, load_metric
from kit.metrics.weighted import weighted
from kit.settings import ModelSpec
from kit.splitters import make_folds
from kit.usercode import UserCode, reported

FOLDS_NAME = "folds.parquet"


@dataclass(frozen=True, kw_only=True)
class FoldContext:
    """Data, folds, metric and code of a competition, checked against each other.

    `prepared` is what recipes made of the folds so far; `weighted` says whether models are fitted
    with the weights of rows, where the data have some.
    """

    dataset: Dataset
    folds: Folds
    metric: Metric
    code: UserCode
    prepared: PreparedFolds = field(default_factory=PreparedFolds)
    weighted: bool = True

    def weight_for(
        self, spec: ModelSpec, learned: NDArray[Any] | slice = slice(None)
    ) -> NDArray[np.float64] | None:
        """How much rows count while this model learns; None: all the same. See `weight`."""
        return self.weight(learned) if self.weighted and spec.weighted else None

    def weight(self, learned: NDArray[Any] | slice = slice(None)) -> NDArray[np.float64] | None:
        """The weights of the data, times those that make classes equal where the metric does.

        Args:
            learned: the rows a model is fitted on: only their classes are counted.

        Shape:
            ``(n_train,)``
        """
        weight = self.dataset.weight
        if not self.metric.balanced:
            return weight
        return balanced_weights(self.dataset.y, weight, learned)

    @property
    def graded(self) -> bool:
        """Whether classes are grades of a scale: the metric counts how far off one is.

        Of a series the past is looked up by class: these stay classes.
        """
        data = self.dataset
        return self.metric.ordinal and data.task == "multiclass" and data.series is None

    @property
    def n_learned(self) -> int:
        """How many outputs a model of kit learns: grades are one number."""
        return 1 if self.graded else len(self.dataset.outputs)

    @property
    def leaves_out(self) -> bool:
        """Whether rows of train count nothing in the metric."""
        rows = np.arange(len(self.dataset.y))
        return len(self.counted(rows)) < len(rows)

    def counted(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Those of some training rows that count in the metric at all: only these are learned from.

        Of a series the others are steps whose value is not known.
        """
        if self.metric.counts is None or self.dataset.y.ndim != 1:
            return rows
        return rows[self.metric.counts(self.dataset.y[rows])]


def load_context(competition: Competition) -> FoldContext:
    """Read everything a fold needs.

    Raises:
        KitError: whatever is wrong with configuration, data, folds or metric.
    """
    code = UserCode(competition.root)
    settings = competition.settings
    metric = load_metric(settings.task.metric, settings.task.type, code.resolve)
    if ":" in settings.task.metric:
        metric = _guarded(metric, code, settings.task.metric)
    dataset = Dataset.read(competition)
    metric.refuse(dataset.y, dataset.weight)
    if (weighing := settings.columns.weighing) is not None:
        metric = weighted(metric, weighing, settings.task.type)
    return FoldContext(
        dataset=dataset,
        folds=load_folds(competition, dataset),
        metric=metric,
        code=code,
        weighted=settings.cv.weighted,
    )


def _guarded(metric: Metric, code: UserCode, reference: str) -> Metric:
    """The competition's own metric; what goes wrong in it is reported as its author's.

    It is called as `kit.toml` calls it: a `Metric` may have any name of its own, by which it would
    not be found again.
    """
    module = reference.partition(":")[0]

    inner: Callable[..., Any] = metric.function

    @wraps(inner)  # its parameters say whether it takes weights
    def function(*arrays: Any) -> float:
        with reported(code.root / f"{module}.py"):
            value = inner(*arrays)
        if np.ndim(value) != 0 or np.asarray(value).dtype.kind not in "biuf":
            found = f"{type(value).__name__} of shape {np.shape(value)}"
            raise UserCodeError(f"metric {metric.name!r} must return one number. Received: {found}")
        return float(value)

    return replace(metric, name=reference, function=function, code=code.digest(module))


def load_folds(competition: Competition, dataset: Dataset) -> Folds:
    """The folds that `[cv]` asks for, in the row order of the data.

    Raises:
        DataError: `cv.splitter` is "file" and the file is missing or does not fit the data.
    """
    spec = competition.settings.cv
    path = competition.root / FOLDS_NAME
    if spec.splitter == "file":
        if not path.is_file():
            raise DataError(
                f'cv.splitter is "file", however {path} does not exist.\n'
                "  Put a teammate's folds there, or choose a splitter in kit.toml."
            )
        return Folds.load(path).reindex(dataset.ids)
    return make_folds(
        ids=dataset.ids,
        y=dataset.y,
        task=dataset.task,
        spec=spec,
        groups=dataset.groups,
        time=dataset.time,
        local=partial(_own_splitter, UserCode(competition.root)),
    )


def _own_splitter(code: UserCode, reference: str) -> Any:
    """The competition's own splitter; what goes wrong in it is reported as its author's.

    Raises:
        ConfigError: it is no function.
    """
    splitter = code.resolve(reference)
    if not callable(splitter):
        raise ConfigError(
            f"splitter {reference!r} must be a function f(y, groups, time, spec) -> fold numbers. "
            f"Received: {type(splitter).__name__}"
        )

    @wraps(splitter)
    def guarded(*arguments: Any) -> Any:
        with reported(code.root / f"{reference.partition(':')[0]}.py"):
            return splitter(*arguments)

    return guarded


def shared_digest(competition: Competition) -> str:
    """Digest of the folds in `folds.parquet`; "" where there are none yet.

    Raises:
        DataError: the file is damaged.
    """
    shared = competition.root / FOLDS_NAME
    return Folds.load(shared).digest if shared.is_file() else ""


def share_folds(competition: Competition, folds: Folds) -> None:
    """Keep `folds.parquet`, the file a team shares, in step with `kit.toml`.

    Folds that only a flag asked for are not written. Other folds under that name are moved to
    `folds-<digest>.parquet`, never overwritten.
    """
    path = competition.root / FOLDS_NAME
    asked_by_flag = any(key.startswith("cv.") for key in competition.overrides)
    if competition.settings.cv.splitter == "file" or asked_by_flag:
        return
    if path.is_file():
        try:
            found = Folds.load(path).digest
        except DataError as error:
            raise DataError(
                f"{error}\n  Or move it away: then kit makes the folds that kit.toml asks for."
            ) from error
        if found == folds.digest:
            return
        with suppress(FileNotFoundError):  # a second kit moved it just now
            os.replace(path, path.with_name(f"folds-{found}.parquet"))
    folds.save(path)


def context_factory(root: Path, overrides: tuple[str, ...]) -> partial[FoldContext]:
    """A picklable function that reads the same context in another process."""
    return partial(_load_at, root, overrides)


def _load_at(root: Path, overrides: tuple[str, ...]) -> FoldContext:
    return load_context(Competition.load(root, overrides))
