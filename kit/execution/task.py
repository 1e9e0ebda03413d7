"""Folds as a pure description, and the function that carries it out.

A `FoldTask` is small and picklable; the data come from a `FoldContext`, which every process reads
for itself. The result is one file per fold under its final name, or nothing.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
from numpy.typing import NDArray

from kit.atomic import disk_errors
from kit.blas import ordered_sums
from kit.config import convert
from kit.dataset import Dataset
from kit.errors import DataError, KitError, ModelError, UserCodeError
from kit.execution.blocks import apply_recipe, fit_recipe, predicted, rows_of
from kit.execution.context import FoldContext
from kit.execution.fitting import chosen, fit_fold, half, row_weights
from kit.execution.prepared import Prepared
from kit.execution.pruning import Rivals, watch_of
from kit.execution.pseudo import check_pseudo_labels, with_pseudo_labels
from kit.execution.results import FoldResult, peak_memory_mb, write_result
from kit.folds import inner_rows
from kit.gpus import gpus
from kit.keras import accelerator
from kit.metrics.transforms import transform_pair
from kit.models.base import FoldRows, Model, Problem, make_model, reseeded
from kit.preprocessing.columns import recipe
from kit.preprocessing.series import with_history
from kit.preprocessing.shape import Shape
from kit.registry import MODELS
from kit.settings import ModelSpec, TaskType
from kit.usercode import UserCode, reported

_SEEDS = 2_000_000  # a thousand folds of each stay below 2**31, which every library takes
_TOLERANCE = 1e-5  # a sum of float32 probabilities may leave 0..1 by this much

_TEST_CELLS = 5_000_000  # larger test tables are prepared when they are predicted, fold by fold


@dataclass(frozen=True, kw_only=True)
class FoldTask:
    """What to fit, on which rows, and where the results go.

    Attributes:
        model: name in `kit.toml`, for messages.
        spec: reference and hyper-parameters.
        folds: numbers of the folds; several only where they are trained together ("cross").
        seed: of the run; the fold's own seed follows from it.
        threads: how many the model may use.
        early_stopping: "inner", "cross" or "fold", see `CVSpec`.
        results: the folder that takes `fold-<k>.parquet`.
        models: where to save recipe and model; None: not at all.
        deadline: `time.monotonic()` by which the fits should have ended; None: no limit.
        rivals: learning curves of earlier trials on these folds, see `kit.execution.pruning`; a fit
            that is behind them ends.
    """

    model: str
    spec: ModelSpec
    folds: tuple[int, ...]
    seed: int
    threads: int
    early_stopping: str
    results: Path
    models: Path | None = None
    deadline: float | None = None
    rivals: Rivals = ()

    @property
    def where(self) -> str:
        """Model and folds, for messages."""
        return f"model {self.model!r}, fold {', '.join(str(fold + 1) for fold in self.folds)}"


def result_path(folder: Path, fold: int) -> Path:
    """Where the result of a fold lies."""
    return folder / f"fold-{fold}.parquet"


def run_folds(task: FoldTask, context: FoldContext) -> list[FoldResult]:
    """Fit recipe and model on each fold's training rows, predict, write the results.

    Nothing fitted here has seen a label of the rows it is scored on, unless early stopping is
    "fold", which is recorded.

    Raises:
        ModelError, UserCodeError: the model failed; the message names model and fold.
        Pruned: it was behind the rivals; nothing was written.
        DiskFull: a result could not be written.
    """
    where = task.where
    try:
        with ordered_sums():
            if task.early_stopping == "cross" and len(task.folds) > 1:
                results = _fit_together(task, context)
            else:
                results = [_fit_one(task, fold, context) for fold in task.folds]
    except UserCodeError as error:
        raise UserCodeError(f"{where}: {error}") from error
    except KitError:
        raise
    except MemoryError as error:
        raise ModelError(f"{where}: out of memory. Fewer rows, columns or threads help.") from error
    except Exception as error:
        reason = str(error).strip()
        raise ModelError(f"{where} failed: {type(error).__name__}: {reason}") from error
    for result in results:
        write_result(result_path(task.results, result.fold), result)
    return results


class _Fold:
    """One fold's rows and recipe; what its own recipe made of them."""

    def __init__(self, task: FoldTask, number: int, context: FoldContext, unfitted: Model) -> None:
        self.task, self.number, self.context = task, number, context
        self.train, self.valid = context.folds.train(number), context.folds.valid(number)
        self.read, self.weight = self.train, context.weight_for(task.spec, self.train)
        if self.weight is not None:  # a row that counts nothing is not learned from
            self.train = self.train[self.weight[self.train] > 0]
            if not len(self.train):
                raise DataError(f"all training rows of fold {number + 1} have the weight 0")
            if context.dataset.series is None:  # yet it is a past of other rows
                self.read = self.train
        self.link, self.unlink = transform_pair(context.metric.transform, context.dataset.task)
        self.recipe = task.spec.recipe or family_of(unfitted)

    def prepare(self) -> FoldRows:
        """Fit the recipe on the training rows and apply it to all parts."""
        key = (self.recipe, self.task.seed, self.number, self.weight is None)
        made = self.context.prepared.get(key) or self._prepare()
        self.context.prepared.keep(key, made)
        # not the training rows: of large data the folds' would fill the memory together
        self.steps, self.X_valid, self.X_test = made.steps, made.rows.X_valid, made.X_test
        return made.rows

    def _prepare(self) -> Prepared:
        data = self.context.dataset
        y = self.link(data.y)
        steps = recipe(self.recipe, data_shape(data, self.read, self.task.seed))
        folder = self.task.results
        X_train = fit_recipe(steps, self._rows(self.read), y[self.read], data, folder)
        weight = None
        if self.weight is not None:
            X_train = chosen(X_train, self.weight[self.read] > 0, folder)
            weight = row_weights(self.weight[self.train], self.weight[self.valid])
        X_valid = apply_recipe(steps, self._rows(self.valid), data, folder)
        rows = FoldRows(
            X=X_train, y=y[self.train], X_valid=X_valid, y_valid=y[self.valid], weight=weight
        )
        if data.series is not None:  # for the test rows, which come after all training rows
            steps = with_history(steps, data.X, y)
        small = data.X_test.size <= _TEST_CELLS
        return Prepared(steps, rows, steps.transform(data.X_test) if small else None)

    def _rows(self, rows: NDArray[np.int64]) -> Any:
        return rows_of(self.context.dataset, rows, self.task.results)

    def test_rows(self) -> Any:
        """The test rows as the fold's recipe prepares them."""
        known = self.X_test
        return self.steps.transform(self.context.dataset.X_test) if known is None else known

    def with_pseudo_labels(self, rows: FoldRows, model: Model) -> FoldRows:
        """Training rows and the test rows that `model`, fitted on them, is sure of."""
        spec, task = self.task.spec, self.context.dataset.task
        return with_pseudo_labels(rows, self.test_rows(), model, task, spec.pseudo_labels)

    def predict(self, model: Model, fit_seconds: float) -> FoldResult:
        """Predict the validated and the test rows; refuse what breaks the contract."""
        started, data = time.perf_counter(), self.context.dataset
        oof = self._values(model, self.X_valid, len(self.valid))
        if self.X_test is None:
            test = self._unseen(model, data.X_test)
        else:
            test = self._values(model, self.X_test, len(data.X_test))
        rows = self.context.folds.sealed
        sealed = self._unseen(model, self._rows(rows)) if len(rows) else oof[:0]
        if self.task.models is not None:
            save_fitted(self.task.models / f"fold-{self.number}", self.steps, model)
        predicted = time.perf_counter() - started
        return FoldResult(
            fold=self.number,
            rows=self.valid,
            oof=oof,
            test=test,
            sealed=sealed,
            seconds={"fit": round(fit_seconds, 3), "predict": round(predicted, 3)},
            peak_memory_mb=peak_memory_mb(),
            best_iteration=model.best_iteration_,
            curve=model.curve_,
            device=_device(model),
            cut=model.cut_,
        )

    def _unseen(self, model: Model, X: Any) -> NDArray[np.float64]:
        """Predictions for rows that the recipe has not prepared."""
        return predicted(X, lambda part: self._values(model, self.steps.transform(part), len(part)))

    def _values(self, model: Model, X: Any, n: int) -> NDArray[np.float64]:
        """Predictions in the units of the target; refused where they break the contract."""
        values = self.unlink(np.asarray(model.predict(X), dtype=np.float64))
        _expect(values, (n, len(self.context.dataset.outputs)), self.context.dataset.task)
        return values


def _fit_one(task: FoldTask, number: int, context: FoldContext) -> FoldResult:
    unfitted = build_model(task.spec, task.model, context.code)
    fold, problem = _Fold(task, number, context, unfitted), problem_of(task, context)
    problem = reseeded(problem, number)
    started = time.perf_counter()
    rows, time_ = fold.prepare(), context.dataset.time
    times = None if time_ is None else time_[fold.train]
    inner = inner_rows(context.folds.fold[fold.train], number, times)
    series = context.dataset.series is not None
    with _reported(task.spec.use, context.code):
        if task.spec.pseudo_labels:
            first = fit_fold(
                unfitted, rows, inner, half(problem), task.early_stopping, task.results, series
            )
            rows = fold.with_pseudo_labels(rows, first)
            # they are never among the rows that tell where to stop
            inner = np.append(inner, np.zeros(len(rows.y) - len(inner), dtype=bool))
        model = fit_fold(unfitted, rows, inner, problem, task.early_stopping, task.results, series)
        return fold.predict(model, time.perf_counter() - started)


def _fit_together(task: FoldTask, context: FoldContext) -> list[FoldResult]:
    """All folds side by side; each stops where the others' validation losses say so."""
    unfitted = build_model(task.spec, task.model, context.code)
    folds = [_Fold(task, number, context, unfitted) for number in task.folds]
    problem = reseeded(problem_of(task, context), 0)
    started = time.perf_counter()

    def prepared() -> Iterator[FoldRows]:
        for fold in folds:
            yield fold.prepare()

    with _reported(task.spec.use, context.code):
        if task.spec.pseudo_labels:
            rows = list(prepared())
            first = unfitted.fit_folds(rows, problem=half(problem))
            pairs = zip(folds, rows, first, strict=True)
            more = (fold.with_pseudo_labels(row, model) for fold, row, model in pairs)
            models = unfitted.fit_folds(more, problem=problem)
        else:
            models = unfitted.fit_folds(prepared(), problem=problem)
        seconds = (time.perf_counter() - started) / len(folds)
        return [fold.predict(model, seconds) for fold, model in zip(folds, models, strict=True)]


def build_model(spec: ModelSpec, name: str, code: UserCode) -> Model:
    """The unfitted model of a spec.

    Raises:
        ConfigError: a parameter the model does not have, or another value than it asks for.
    """
    check_pseudo_labels(spec.pseudo_labels, f"models.{name}.pseudo_labels")
    factory = MODELS.load(spec.use, code.resolve)
    with _reported(spec.use, code):
        model: Model = make_model(factory, _typed(factory, spec.params, name), name)
    return model


def _typed(factory: Any, params: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The parameters as the annotations of a `Model`'s constructor ask for them."""
    hints: dict[str, Any] = {}
    if isinstance(factory, type) and issubclass(factory, Model):
        with suppress(NameError):  # names that only a type checker imports
            hints = get_type_hints(factory.__init__, include_extras=True)
    return {
        key: convert(hints[key], value, f"models.{name}.params.{key}") if key in hints else value
        for key, value in params.items()
    }


def family_of(model: Model) -> str:
    """The family of a model; a wrapped estimator may name its own."""
    return str(getattr(getattr(model, "estimator", None), "family", model.family))


def data_shape(data: Dataset, train: NDArray[np.int64], seed: int) -> Shape:
    """What recipes are told beforehand; counted on the fold's training rows only."""
    levels = {
        name: int(np.count_nonzero(np.bincount(data.X[name].array.codes[train] + np.int64(1))))
        for name, kind in data.kinds.items()
        if kind == "category"
    }
    return Shape(
        kinds=data.kinds,
        levels=levels,
        n_rows=len(train),
        task=data.task,
        seed=seed,
        series=data.series,
        time=data.time_column,
        encoder=data.encoder,
        cache=data.cache,
    )


def problem_of(task: FoldTask, context: FoldContext) -> Problem:
    """What a model is told about the work."""
    return Problem(
        task=context.dataset.task,
        n_outputs=len(context.dataset.outputs),
        seed=task.seed % _SEEDS,
        threads=task.threads,
        needs=context.metric.needs,
        deviation=context.metric.deviation,
        encoder=context.dataset.encoder,
        deadline=task.deadline,
        # with pseudo-labels there are two fits, and the losses of the second are others
        watch=None if task.spec.pseudo_labels else watch_of(task.rivals, task.where),
    )


def save_fitted(folder: Path, steps: Any, model: Model) -> None:
    """Write a fitted recipe and model into a new folder."""
    import joblib

    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        joblib.dump(steps, folder / "recipe.joblib", compress=3)
        model.save(folder)


def _device(model: Model) -> str:
    """The GPU that a model was fitted on; "": the processor."""
    if model.on_gpu:
        return next((gpu.name for gpu in gpus()), "GPU")
    return "" if family_of(model) in ("tree", "linear") else accelerator()


def _expect(values: NDArray[np.float64], shape: tuple[int, int], task: TaskType) -> None:
    """Refuse predictions that break the contract of a model."""
    if values.shape != shape:
        raise ValueError(f"predictions must have the shape {shape}. Received: {values.shape}")
    bad = ~np.isfinite(values)
    if bad.any():
        raise ValueError(f"{bad.sum()} of {values.size} predictions are not finite")
    classes = task in ("binary", "multiclass", "multilabel")
    if classes and not -_TOLERANCE <= values.min() <= values.max() <= 1 + _TOLERANCE:
        raise ValueError(
            f"predictions of a {task} task must be probabilities, between 0 and 1. "
            f"Received: {values.min():.6g} to {values.max():.6g}"
        )


def _reported(task_use: str, code: UserCode) -> AbstractContextManager[None]:
    """Failures of the competition's own model are reported with file and line."""
    module, colon, _ = task_use.partition(":")
    return reported(code.root / f"{module}.py") if colon else nullcontext()
