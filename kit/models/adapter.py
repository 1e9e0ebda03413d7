"""Any scikit-learn estimator of a competition's `model.py` as a kit model."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import joblib
import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.dummy import DummyClassifier
from sklearn.multioutput import MultiOutputRegressor
from sklearn.utils.validation import has_fit_parameter

from kit.models.base import Model, Problem, Rows, RowWeights, all_classes


class SklearnModel(Model):
    """Wraps an estimator with `fit` and `predict_proba` or `predict`.

    Args:
        estimator: unfitted. Its attribute `family` chooses the recipe ("linear" without one: a
            scaled, one-hot matrix, which every estimator can eat; "raw": the columns as they are).
    """

    family = "linear"

    def __init__(self, estimator: Any = None) -> None:
        self.estimator = estimator

    @property
    def takes_weights(self) -> bool:
        """Whether the estimator's `fit` has a parameter `sample_weight`."""
        return bool(has_fit_parameter(self.estimator, "sample_weight"))

    def fit(
        self,
        X: Any,
        y: NDArray[Any],
        *,
        problem: Problem,
        valid: Rows | None = None,
        weight: RowWeights | None = None,
    ) -> Self:
        """Fit a clone; several targets get one clone each unless the estimator takes them."""
        fresh = clone(self.estimator)
        seeds = {k: problem.seed for k in fresh.get_params() if k.endswith("random_state")}
        fresh.set_params(**{k: v % 2**31 for k, v in seeds.items()})
        self.problem_ = problem
        heavy = {} if weight is None else {"sample_weight": weight.train}
        if problem.task == "multitarget":
            self.fitted_ = MultiOutputRegressor(fresh).fit(X, y, **heavy)
        elif problem.task == "multilabel":
            self.fitted_ = [_learned(clone(fresh), X, column, heavy) for column in y.T]
        elif problem.classification:
            self.fitted_ = _learned(fresh, X, y, heavy)
        else:
            self.fitted_ = fresh.fit(X, y, **heavy)
        return self

    def predict(self, X: Any) -> NDArray[np.float64]:
        """Probabilities where the estimator gives them, else values."""
        problem = self.problem_
        if not problem.classification:
            values = np.asarray(self.fitted_.predict(X), dtype=np.float64)
            return values.reshape(len(values), problem.n_outputs)
        if problem.task == "multiclass":
            fitted = self.fitted_
            return all_classes(fitted.predict_proba(X), fitted.classes_, problem.n_outputs)
        labels = self.fitted_ if problem.task == "multilabel" else [self.fitted_]
        found = [all_classes(each.predict_proba(X), each.classes_, 2)[:, 1] for each in labels]
        return np.column_stack(found)

    def save(self, folder: Path) -> None:
        """Write `model.joblib`."""
        joblib.dump(self, folder / "model.joblib")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read `model.joblib`; only for files kit wrote itself."""
        model: Self = joblib.load(folder / "model.joblib")
        return model


def _learned(fresh: Any, X: Any, y: NDArray[Any], heavy: dict[str, Any]) -> Any:
    """A fitted classifier; of rows of one class the constant, which many estimators refuse."""
    estimator = fresh if len(np.unique(y)) > 1 else DummyClassifier(strategy="prior")
    return estimator.fit(X, y, **heavy)
