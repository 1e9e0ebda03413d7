"""One fold's rows: prepared by a recipe that its training rows fitted, and predicted."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kit.atomic import disk_errors
from kit.dataset import Dataset
from kit.errors import DataError
from kit.execution.blocks import apply_recipe, fit_recipe, predicted, rows_of
from kit.execution.context import FoldContext
from kit.execution.fitting import chosen, row_weights
from kit.execution.learned import learned
from kit.execution.prepared import Prepared
from kit.execution.pseudo import with_pseudo_labels
from kit.execution.results import FoldResult, peak_memory_mb
from kit.gpus import gpus
from kit.keras import accelerator
from kit.models.base import FoldRows, Model
from kit.preprocessing.columns import recipe
from kit.preprocessing.series import with_history
from kit.preprocessing.shape import Shape
from kit.settings import TaskType

if TYPE_CHECKING:
    from kit.execution.task import FoldTask

_TOLERANCE = 1e-5  # a sum of float32 probabilities may leave 0..1 by this much
_TEST_CELLS = 5_000_000  # larger test tables are prepared when they are predicted, fold by fold


class Fold:
    """One fold's rows and recipe; what its own recipe made of them."""

    def __init__(self, task: FoldTask, number: int, context: FoldContext, unfitted: Model) -> None:
        self.task, self.number, self.context = task, number, context
        self.train = context.counted(context.folds.train(number))
        if not len(self.train):
            raise DataError(f"no training row of fold {number + 1} counts in {context.metric.name}")
        self.valid = context.folds.valid(number)
        self.read, self.weight = self.train, context.weight_for(task.spec, self.train)
        if self.weight is not None:  # a row that counts nothing is not learned from
            self.train = self.train[self.weight[self.train] > 0]
            if not len(self.train):
                raise DataError(f"all training rows of fold {number + 1} have the weight 0")
            if context.dataset.series is None:  # yet it is a past of other rows
                self.read = self.train
        self.learned = learned(context, task.spec, unfitted)
        self.link, self.unlink = self.learned.link, self.learned.unlink
        self.recipe = task.spec.recipe or family_of(unfitted)

    def prepare(self) -> FoldRows:
        """Fit the recipe on the training rows and apply it to all parts."""
        counts, target = self.weight is None, self.learned.task
        key = (self.recipe, self.task.seed, self.number, counts, target)
        made = self.context.prepared.get(key) or self._prepare()
        self.context.prepared.keep(key, made)
        # not the training rows: of large data the folds' would fill the memory together
        self.steps, self.X_valid, self.X_test = made.steps, made.rows.X_valid, made.X_test
        return self._counting(made.rows)

    def _prepare(self) -> Prepared:
        data = self.context.dataset
        y = self.link(data.y)
        shape = data_shape(data, self.read, self.task.seed, self.learned.task)
        steps = recipe(self.recipe, shape)
        folder = self.task.results
        X_train = fit_recipe(steps, self._rows(self.read), y[self.read], data, folder)
        weight = None
        if self.weight is not None:
            X_train = chosen(X_train, self.weight[self.read] > 0, folder)
            weight = row_weights(self.weight[self.train], self.weight[self.valid])
        X_valid = X_train[:0]
        if len(self.valid):
            X_valid = apply_recipe(steps, self._rows(self.valid), data, folder)
        rows = FoldRows(
            X=X_train, y=y[self.train], X_valid=X_valid, y_valid=y[self.valid], weight=weight
        )
        if data.series is not None:  # for the test rows, which come after all training rows
            steps = self._with_past(steps, self.context.counted(np.arange(len(y))))
        folds = self.context.folds
        asked = not folds.forward or self.number == folds.n_splits
        small = asked and data.X_test.size <= _TEST_CELLS
        return Prepared(steps, rows, steps.transform(data.X_test) if small else None)

    def _counting(self, rows: FoldRows) -> FoldRows:
        """The same, stopped on validated rows that count in the metric, if there are some."""
        valid = self.context.counted(self.valid)
        if not 0 < len(valid) < len(self.valid):
            return rows
        counts, weight = np.isin(self.valid, valid), rows.weight
        if weight is not None and weight.valid is not None:
            weight = weight._replace(valid=weight.valid[counts])
        X_valid = chosen(rows.X_valid, counts, self.task.results)
        return replace(rows, X_valid=X_valid, y_valid=rows.y_valid[counts], weight=weight)

    def _with_past(self, steps: Any, rows: NDArray[np.int64]) -> Any:
        """The recipe, for rows that come after these."""
        data = self.context.dataset
        X = data.X if len(rows) == len(data.X) else self._rows(rows)
        return with_history(steps, X, self.link(data.y)[rows])

    def _rows(self, rows: NDArray[np.int64]) -> Any:
        return rows_of(self.context.dataset, rows, self.task.results)

    def test_rows(self) -> Any:
        """The test rows as the fold's recipe prepares them."""
        known = self.X_test
        return self.steps.transform(self.context.dataset.X_test) if known is None else known

    def with_pseudo_labels(self, rows: FoldRows, model: Model) -> FoldRows:
        """Training rows and the test rows that `model`, fitted on them, is sure of.

        Of a series they have the past that this fold knows: that of the test rows holds the labels
        of validated and sealed rows, and the model would learn from it.
        """
        spec, data = self.task.spec, self.context.dataset
        if data.series is None:
            X_test = self.test_rows()
        else:
            X_test = self._with_past(self.steps, self.read).transform(data.X_test)
        return with_pseudo_labels(rows, X_test, model, data.task, spec.pseudo_labels)

    def predict(self, model: Model, fit_seconds: float, *, test: bool = True) -> FoldResult:
        """Predict the validated rows, if asked the others, too; refuse what breaks the contract."""
        started = time.perf_counter()
        oof = self._values(model, self.X_valid, len(self.valid))
        unseen, sealed = oof[:0], oof[:0]
        if test:
            unseen, sealed = self.test(model), self.sealed(model)
        if self.task.models is not None:
            save_fitted(self.task.models / f"fold-{self.number}", self.steps, model)
        predicted = time.perf_counter() - started
        return FoldResult(
            fold=self.number,
            rows=self.valid,
            oof=oof,
            test=unseen,
            sealed=sealed,
            seconds={"fit": round(fit_seconds, 3), "predict": round(predicted, 3)},
            peak_memory_mb=peak_memory_mb(),
            best_iteration=model.best_iteration_,
            curve=model.curve_,
            device=_device(model),
            cut=model.cut_,
        )

    def test(self, model: Model) -> NDArray[np.float64]:
        """Predictions for the test rows."""
        X_test = self.context.dataset.X_test
        if self.X_test is None:
            return self._unseen(model, X_test)
        return self._values(model, self.X_test, len(X_test))

    def sealed(self, model: Model) -> NDArray[np.float64]:
        """Predictions for the sealed rows; of a series their past ends before them."""
        data, folds, steps = self.context.dataset, self.context.folds, self.steps
        if not len(folds.sealed):
            return np.empty((0, len(data.outputs)))
        if data.series is not None:  # the past of the test rows holds the labels of the sealed ones
            steps = self._with_past(steps, self.context.counted(folds.train(folds.n_splits)))
        return self._unseen(model, self._rows(folds.sealed), steps)

    def _unseen(self, model: Model, X: Any, steps: Any = None) -> NDArray[np.float64]:
        """Predictions for rows that the recipe has not prepared."""
        steps = self.steps if steps is None else steps
        return predicted(X, lambda part: self._values(model, steps.transform(part), len(part)))

    def _values(self, model: Model, X: Any, n: int) -> NDArray[np.float64]:
        """Predictions in the units of the target; refused where they break the contract."""
        values = self.unlink(np.asarray(model.predict(X), dtype=np.float64))
        _expect(values, (n, len(self.context.dataset.outputs)), self.context.dataset.task)
        return values


def family_of(model: Model) -> str:
    """The family of a model; a wrapped estimator may name its own."""
    return str(getattr(getattr(model, "estimator", None), "family", model.family))


def data_shape(
    data: Dataset, train: NDArray[np.int64], seed: int, task: TaskType | None = None
) -> Shape:
    """What recipes are told beforehand; counted on the fold's training rows only.

    Args:
        data: the competition's.
        train: positions of these rows.
        seed: for everything random in recipes.
        task: what is learned; None: the competition's.
    """
    levels = {
        name: int(np.count_nonzero(np.bincount(data.X[name].array.codes[train] + np.int64(1))))
        for name, kind in data.kinds.items()
        if kind == "category"
    }
    return Shape(
        kinds=data.kinds,
        levels=levels,
        n_rows=len(train),
        task=task or data.task,
        seed=seed,
        series=data.series,
        time=data.time_column,
        encoder=data.encoder,
        cache=data.cache,
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
