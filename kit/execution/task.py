"""Folds as a pure description, and the function that carries it out.

A `FoldTask` is small and picklable; the data come from a `FoldContext`, which every process reads
for itself. The result is one file per fold under its final name, or nothing.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_type_hints

from kit.blas import ordered_sums
from kit.config import convert
from kit.errors import KitError, ModelError, UserCodeError
from kit.execution.all_rows import FOLDER, Stopped, fit_all
from kit.execution.context import FoldContext
from kit.execution.fitting import fit_fold, half, part
from kit.execution.fold import Fold, save_fitted
from kit.execution.learned import Learned
from kit.execution.pruning import Rivals, watch_of
from kit.execution.pseudo import check_pseudo_labels
from kit.execution.results import FoldResult, peak_memory_mb, write_result
from kit.inner import InnerSplit, inner_split
from kit.models.base import FoldRows, Model, Problem, make_model, reseeded
from kit.registry import MODELS
from kit.settings import ModelSpec
from kit.usercode import UserCode, reported

_SEEDS = 2_000_000  # a thousand folds of each stay below 2**31, which every library takes

_VALIDATED = 2 / 3  # of its time; the rest is for the fit on all rows, where there is one


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


def _fit_one(task: FoldTask, number: int, context: FoldContext) -> FoldResult:
    unfitted = build_model(task.spec, task.model, context.code)
    fold = Fold(task, number, context, unfitted)
    whole = problem_of(task, context, fold.learned)
    newest = context.folds.forward and number == context.folds.n_splits - 1
    problem = reseeded(part(whole, _VALIDATED) if newest else whole, number)
    with _reported(task.spec.use, context.code):
        model, result = _validated(fold, unfitted, problem)
        return _on_all_rows(fold, unfitted, model, whole, result) if newest else result


def _validated(fold: Fold, unfitted: Model, problem: Problem) -> tuple[Model, FoldResult]:
    """A fold's model, fitted on its training rows, and what it predicts."""
    task, context = fold.task, fold.context
    started = time.perf_counter()
    rows, inner = fold.prepare(), _to_stop_on(fold)
    series = context.dataset.series is not None
    if task.spec.pseudo_labels:
        first = fit_fold(
            unfitted, rows, inner, half(problem), task.early_stopping, task.results, series
        )
        rows = fold.with_pseudo_labels(rows, first)
        inner = inner.longer(len(rows.y))
    model = fit_fold(unfitted, rows, inner, problem, task.early_stopping, task.results, series)
    seconds = time.perf_counter() - started
    return model, fold.predict(model, seconds, test=not context.folds.forward)


def _to_stop_on(fold: Fold) -> InnerSplit:
    data, folds = fold.context.dataset, fold.context.folds
    return inner_split(folds, fold.number, fold.train, data.time, data.groups)


def _on_all_rows(
    last: Fold, unfitted: Model, validated: Model, problem: Problem, result: FoldResult
) -> FoldResult:
    """The last forward fold, with test and sealed rows predicted by a fit on all rows.

    Its own model has not seen the newest rows, which tell most of what comes after them. Where the
    clock cuts the new fit its predictions stand, and the fold counts as cut.
    """
    started, task, context = time.perf_counter(), last.task, last.context
    every = Fold(task, last.number + 1, context, unfitted)
    rows, inner = every.prepare(), _to_stop_on(every)
    problem = replace(reseeded(problem, every.number), watch=None)
    found = () if validated.cut_ or not validated.best_iteration_ else (validated.best_iteration_,)
    stopped = Stopped(found, len(every.train) / len(last.train))
    if task.spec.pseudo_labels:
        first = fit_all(unfitted, rows, half(problem), stopped, inner, task.results)
        rows = every.with_pseudo_labels(rows, first)
    model = fit_all(unfitted, rows, problem, stopped, inner, task.results)
    fit = result.seconds["fit"] + time.perf_counter() - started
    seconds = {**result.seconds, "fit": round(fit, 3)}
    if model.cut_:
        test, sealed = last.test(validated), last.sealed(validated)
        return replace(result, test=test, sealed=sealed, cut=True, seconds=seconds)
    test, sealed = every.test(model), every.sealed(model)
    if task.models is not None:
        save_fitted(task.models / FOLDER, every.steps, model)
    return replace(
        result,
        test=test,
        sealed=sealed,
        all_rows=True,
        seconds=seconds,
        peak_memory_mb=peak_memory_mb(),
    )


def _fit_together(task: FoldTask, context: FoldContext) -> list[FoldResult]:
    """All folds side by side; each stops where the others' validation losses say so."""
    unfitted = build_model(task.spec, task.model, context.code)
    folds = [Fold(task, number, context, unfitted) for number in task.folds]
    problem = reseeded(problem_of(task, context, folds[0].learned), 0)
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


def problem_of(task: FoldTask, context: FoldContext, learned: Learned) -> Problem:
    """What a model is told about the work."""
    return Problem(
        task=learned.task,
        n_outputs=learned.n_outputs,
        grades=learned.grades,
        seed=task.seed % _SEEDS,
        threads=task.threads,
        needs=context.metric.needs,
        deviation=context.metric.deviation,
        encoder=context.dataset.encoder,
        deadline=task.deadline,
        # with pseudo-labels there are two fits, and the losses of the second are others
        watch=None if task.spec.pseudo_labels else watch_of(task.rivals, task.where),
    )


def _reported(task_use: str, code: UserCode) -> AbstractContextManager[None]:
    """Failures of the competition's own model are reported with file and line."""
    module, colon, _ = task_use.partition(":")
    return reported(code.root / f"{module}.py") if colon else nullcontext()
