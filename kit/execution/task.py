"""A fold as a pure description, and the function that carries it out.

A `FoldTask` is small and picklable; the data come from a `FoldContext`, which every process reads
for itself. The result is one file under its final name, or nothing.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from sklearn.base import clone

from kit.atomic import atomic_path, disk_errors
from kit.competition import ModelSpec
from kit.config import convert
from kit.dataset import Dataset
from kit.errors import KitError, ModelError, UserCodeError
from kit.execution.context import FoldContext
from kit.models.base import Model, Problem, make_model, reseeded
from kit.preprocessing.columns import Shape, recipe
from kit.registry import MODELS
from kit.usercode import UserCode, reported

_SEEDS = 2_000_000  # a thousand folds of each stay below 2**31, which every library takes
_TOLERANCE = 1e-5  # a sum of float32 probabilities may leave 0..1 by this much

REFIT_ROWS = 50_000
"""Up to so many training rows an early-stopped model is fitted again on all of them."""


@dataclass(frozen=True, kw_only=True)
class FoldTask:
    """What to fit, on which rows, and where the result goes.

    Attributes:
        model: name in `kit.toml`, for messages.
        spec: reference and hyper-parameters.
        fold: number of the fold.
        seed: of the run; the fold's own seed follows from it.
        threads: how many the model may use.
        early_stopping: "inner" or "fold", see `CVSpec`.
        result: the file to write.
        models: where to save recipe and model; None: not at all.
    """

    model: str
    spec: ModelSpec
    fold: int
    seed: int
    threads: int
    early_stopping: str
    result: Path
    models: Path | None = None


@dataclass(frozen=True, kw_only=True)
class FoldResult:
    """What a fold produced.

    Attributes:
        fold: number of the fold.
        rows: positions of the validated training rows.
        oof: their predictions. ``(n_valid, n_outputs)``
        test: predictions for all test rows. ``(n_test, n_outputs)``
        seconds: ``{"fit", "predict"}``.
        peak_memory_mb: of the process so far.
        best_iteration: where the model stopped, None for models that do not.
        curve: loss per iteration.
        resumed: whether it was read from an earlier, interrupted call.
    """

    fold: int
    rows: NDArray[np.int64]
    oof: NDArray[np.float64]
    test: NDArray[np.float64]
    seconds: Mapping[str, float]
    peak_memory_mb: float = 0.0
    best_iteration: int | None = None
    curve: Mapping[str, list[float]] = field(default_factory=dict)
    resumed: bool = False


def run_fold(task: FoldTask, context: FoldContext) -> FoldResult:
    """Fit recipe and model on the fold's training rows, predict, write the result.

    Nothing fitted here has seen a label of the validated rows, unless early stopping is "fold",
    which is recorded.

    Raises:
        ModelError, UserCodeError: the model failed; the message names model and fold.
        DiskFull: the result could not be written.
    """
    where = f"model {task.model!r}, fold {task.fold}"
    try:
        result = _fit_and_predict(task, context)
    except UserCodeError as error:
        raise UserCodeError(f"{where}: {error}") from error
    except KitError:
        raise
    except MemoryError as error:
        raise ModelError(f"{where}: out of memory. Fewer rows, columns or threads help.") from error
    except Exception as error:
        reason = str(error).strip()
        raise ModelError(f"{where} failed: {type(error).__name__}: {reason}") from error
    write_result(task.result, result)
    return result


def _fit_and_predict(task: FoldTask, context: FoldContext) -> FoldResult:
    data, folds = context.dataset, context.folds
    train, valid = folds.train(task.fold), folds.valid(task.fold)
    link, unlink = transform_pair(context.metric.transform, data.task)
    y = link(data.y)
    unfitted = build_model(task.spec, task.model, context.code)
    steps = recipe(family_of(unfitted), data_shape(data, train, task.seed))
    problem = reseeded(problem_of(data, task.seed, task.threads), task.fold)

    started = time.perf_counter()
    X_train = steps.fit_transform(data.X.iloc[train], y[train])
    X_valid = steps.transform(data.X.iloc[valid])
    held = (X_valid, y[valid]) if task.early_stopping == "fold" else None
    with _reported(task.spec.use, context.code):
        model = _fit(unfitted, X_train, y[train], folds.fold[train], problem, task, held)
        fitted = time.perf_counter()
        oof = unlink(np.asarray(model.predict(X_valid), dtype=np.float64))
        test = unlink(np.asarray(model.predict(steps.transform(data.X_test)), dtype=np.float64))
    _expect(oof, (len(valid), problem.n_outputs), problem)
    _expect(test, (len(data.X_test), problem.n_outputs), problem)
    if task.models is not None:
        _save(task.models / f"fold-{task.fold}", steps, model)
    done = time.perf_counter()
    return FoldResult(
        fold=task.fold,
        rows=valid,
        oof=oof,
        test=test,
        seconds={"fit": round(fitted - started, 3), "predict": round(done - fitted, 3)},
        peak_memory_mb=peak_memory_mb(),
        best_iteration=model.best_iteration_,
        curve=model.curve_,
    )


def _fit(
    unfitted: Model,
    X: Any,
    y: NDArray[Any],
    fold: NDArray[np.int8],
    problem: Problem,
    task: FoldTask,
    held: tuple[Any, NDArray[Any]] | None,
) -> Model:
    """Fit, with early stopping where the model knows it.

    "inner" stops on the training rows that belong to the next fold: they keep groups, blocks of
    time and classes together exactly as validation does. A model that can be told where to stop
    is then fitted once more on all training rows.
    """
    if not unfitted.stops_early:
        return clone(unfitted).fit(X, y, problem=problem)
    if held is not None:
        return clone(unfitted).fit(X, y, problem=problem, valid=held)
    inner = _inner_rows(fold, task.fold)
    rest = ~inner
    first = clone(unfitted).fit(
        _rows(X, rest), y[rest], problem=problem, valid=(_rows(X, inner), y[inner])
    )
    budget = unfitted.refit_parameter
    if budget is None or len(y) > REFIT_ROWS or not first.best_iteration_:
        return first
    again = clone(unfitted).set_params(**{budget: first.best_iteration_})
    again.fit(X, y, problem=problem)
    again.best_iteration_, again.curve_ = first.best_iteration_, first.curve_
    return again


def _inner_rows(fold: NDArray[np.int8], current: int) -> NDArray[np.bool_]:
    """Which training rows to stop on: those of the nearest other fold."""
    others = np.unique(fold[fold >= 0])
    if len(others):
        later = others[others > current]
        inner = fold == (later[0] if len(later) else others[-1])
        if not inner.all():
            return inner
    last = np.zeros(len(fold), dtype=bool)  # one block only: its last fifth
    last[-max(1, len(fold) // 5) :] = True
    return last


def build_model(spec: ModelSpec, name: str, code: UserCode) -> Model:
    """The unfitted model of a spec.

    Raises:
        ConfigError: a parameter the model does not have, or of another type than it asks for.
    """
    factory = MODELS.load(spec.use, code.resolve)
    with _reported(spec.use, code):
        model: Model = make_model(factory, _typed(factory, spec.params, name), name)
    return model


def _typed(factory: Any, params: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The parameters as the annotations of a `Model`'s constructor ask for them."""
    hints: dict[str, Any] = {}
    if isinstance(factory, type) and issubclass(factory, Model):
        with suppress(NameError):  # names that only a type checker imports
            hints = get_type_hints(factory.__init__)
    return {
        key: convert(hints[key], value, f"model {name!r}, parameter {key!r}")
        if key in hints
        else value
        for key, value in params.items()
    }


def family_of(model: Model) -> str:
    """The family of a model; a wrapped estimator may name its own."""
    return str(getattr(getattr(model, "estimator", None), "family", model.family))


def data_shape(data: Dataset, train: NDArray[np.int64], seed: int) -> Shape:
    """What recipes are told beforehand; counted on the fold's training rows only."""
    levels = {
        name: len(np.unique(data.X[name].cat.codes.to_numpy()[train]))
        for name, kind in data.kinds.items()
        if kind == "category"
    }
    return Shape(kinds=data.kinds, levels=levels, n_rows=len(train), task=data.task, seed=seed)


def problem_of(data: Dataset, seed: int, threads: int) -> Problem:
    """What a model is told about the work."""
    small = seed % _SEEDS
    return Problem(task=data.task, n_outputs=len(data.outputs), seed=small, threads=threads)


def transform_pair(name: str, task: str) -> tuple[Any, Any]:
    """The scale a metric wants the target on, and the way back."""
    if name == "log1p" and task in ("regression", "multitarget"):
        return np.log1p, lambda values: np.maximum(np.expm1(values), 0.0)
    return _same, _same


def write_result(path: Path, result: FoldResult) -> None:
    """One parquet file: rows of both parts, facts in the schema's metadata."""
    both = np.vstack([result.oof, result.test])
    rows = np.concatenate([result.rows, np.arange(len(result.test))])
    part = np.repeat(np.array([0, 1], dtype=np.int8), [len(result.oof), len(result.test)])
    table = pa.table(
        {"part": part, "row": rows, **{f"p{k}": column for k, column in enumerate(both.T)}}
    )
    facts = asdict(result)
    for array in ("rows", "oof", "test", "resumed"):
        del facts[array]
    with atomic_path(path) as temporary:
        metadata = {b"kit": json.dumps(facts).encode()}
        pq.write_table(table.replace_schema_metadata(metadata), temporary, compression="zstd")


def read_result(path: Path) -> FoldResult | None:
    """Read a result file; None where it is missing or not whole."""
    try:
        table = pq.read_table(path)
        facts = json.loads((table.schema.metadata or {})[b"kit"])
        part, rows = table["part"].to_numpy(), table["row"].to_numpy()
        values = np.column_stack([table[f"p{k}"].to_numpy() for k in range(len(table.schema) - 2)])
        return FoldResult(
            rows=rows[part == 0],
            oof=values[part == 0],
            test=values[part == 1],
            resumed=True,
            **facts,
        )
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException):
        return None


def peak_memory_mb() -> float:
    """Largest resident size of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1)


def _save(folder: Path, steps: Any, model: Model) -> None:
    import joblib

    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        joblib.dump(steps, folder / "recipe.joblib", compress=3)
        model.save(folder)


def _rows(X: Any, mask: NDArray[np.bool_]) -> Any:
    return X.loc[mask] if hasattr(X, "loc") else X[mask]


def _expect(values: NDArray[np.float64], shape: tuple[int, int], problem: Problem) -> None:
    """Refuse predictions that break the contract of a model."""
    if values.shape != shape:
        raise ValueError(f"predictions must have the shape {shape}. Received: {values.shape}")
    bad = ~np.isfinite(values)
    if bad.any():
        raise ValueError(f"{bad.sum()} of {values.size} predictions are not finite")
    if problem.classification and not -_TOLERANCE <= values.min() <= values.max() <= 1 + _TOLERANCE:
        raise ValueError(
            f"predictions of a {problem.task} task must be probabilities, between 0 and 1. "
            f"Received: {values.min():.6g} to {values.max():.6g}"
        )


def _same(values: NDArray[Any]) -> NDArray[Any]:
    return values


def _reported(task_use: str, code: UserCode) -> AbstractContextManager[None]:
    """Failures of the competition's own model are reported with file and line."""
    module, colon, _ = task_use.partition(":")
    return reported(code.root / f"{module}.py") if colon else nullcontext()
