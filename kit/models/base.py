"""The contract every model keeps, and `check_model`, which tells whether it does.

A model is a scikit-learn estimator whose constructor parameters are its hyper-parameters. What it
is told about the work comes as one `Problem`; validation rows for early stopping come as `valid`.
Predictions are always ``(n, n_outputs)`` float64: probabilities for classes, values for numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from inspect import signature
from pathlib import Path
from typing import Annotated, Any, ClassVar, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, clone

from kit.config import Within
from kit.errors import ConfigError, nearest
from kit.settings import TaskType

Rows = tuple[Any, NDArray[Any]]
"""Features and target of some rows."""

Watch = Callable[[int, float], None]
"""Told of every step, from 1, and of the validation loss after it; it may raise to end the fit."""


class RowWeights(NamedTuple):
    """How much each row counts: positive, with a mean of 1.

    Attributes:
        train: of the rows to learn from. ``(n,)``
        valid: of the rows to stop on, where there are some.
    """

    train: NDArray[np.float64]
    valid: NDArray[np.float64] | None = None


# What a hyper-parameter may be; in the annotation of a constructor it is checked before any fit.
Count = Annotated[int, Within(1)]
CountOrZero = Annotated[int, Within(0)]
Positive = Annotated[float, Within(0, ends="(]")]
Penalty = Annotated[float, Within(0)]
Share = Annotated[float, Within(0, 1, "(]")]
Dropped = Annotated[float, Within(0, 1, "[)")]


@dataclass(frozen=True, kw_only=True)
class Problem:
    """What is learned and with what.

    Attributes:
        task: the task's type.
        n_outputs: columns of the prediction: 1 for binary and regression, else classes or targets.
        seed: of everything random in the model.
        threads: how many it may use.
        needs: what the metric reads (see `kit.metrics`): "label" allows what spoils probabilities.
        deviation: of numbers: "squared" errors are made small, or "absolute" ones.
        encoder: folder of the pretrained encoder of texts; empty: the installed package's.
        grades: of a scale, where the numbers that are learned are their places on it; 0: they are
            not.
        deadline: `time.monotonic()` by which `fit` should have ended; a model that can stop earlier
            does so and sets `cut_`. None: no limit.
        watch: hears of the validation losses of a fit with `valid`, of the first target and the
            first member where there are several; side by side, of their mean. None: nobody does.
    """

    task: TaskType
    n_outputs: int
    seed: int = 0
    threads: int = 1
    needs: str = "proba"
    deviation: str = "squared"
    encoder: str = ""
    grades: int = 0
    deadline: float | None = None
    watch: Watch | None = None

    @property
    def classification(self) -> bool:
        """Whether probabilities are predicted."""
        return self.task in ("binary", "multiclass", "multilabel")

    @property
    def minimised(self) -> str:
        """What is made small: the log loss of "binary", "multiclass", "multilabel", or errors."""
        return self.task if self.classification else self.deviation


@dataclass(frozen=True, kw_only=True)
class FoldRows:
    """One fold as its own recipe prepared it: rows to learn from, rows it will be scored on.

    `weight` says how much the rows count; None: all the same.
    """

    X: Any
    y: NDArray[Any]
    X_valid: Any
    y_valid: NDArray[Any]
    weight: RowWeights | None = None


class Model(BaseEstimator):
    """Base of the built-in models.

    Parameters are checked against the annotations of the constructor, see `Count` and the like.

    Attributes:
        family: chooses the recipe: "tree", "linear", "neural" or "raw".
        stops_early: whether `valid` is used; parameters may decide it.
        crosses: whether `fit_folds` trains all folds side by side with "cross" early stopping;
            parameters may decide it.
        on_gpu: whether a parameter sends it to a GPU; networks go there by themselves.
        streams: whether rows on the disk are read batch by batch while it learns, and so in another
            order than those in memory.
        refit_parameter: the parameter that sets where to stop, for a second fit on all rows.
        best_iteration_: where it stopped (boosting rounds, epochs), or None.
        curve_: loss per iteration, ``{"train": [...], "valid": [...]}``; empty where there is none.
        cut_: whether the deadline ended the fit before the model would have.
    """

    family: ClassVar[str] = "tree"
    stops_early: bool = False
    crosses: bool = False
    on_gpu: bool = False
    streams: ClassVar[bool] = False
    refit_parameter: ClassVar[str | None] = None
    best_iteration_: int | None = None
    curve_: Mapping[str, list[float]] = {}
    cut_: bool = False

    @property
    def takes_weights(self) -> bool:
        """Whether rows may count differently: whether `fit` has a parameter `weight`."""
        return "weight" in signature(self.fit).parameters

    def fit(
        self,
        X: Any,
        y: NDArray[Any],
        *,
        problem: Problem,
        valid: Rows | None = None,
        weight: RowWeights | None = None,
    ) -> Self:
        """Learn from rows that a recipe has prepared.

        Args:
            X: ``(n, d)`` frame or matrix, as the family's recipe makes it.
            y: class codes ``(n,)``, numbers ``(n,)`` or ``(n, n_outputs)``.
            problem: what is learned.
            valid: other rows to stop on; None: train to the end.
            weight: how much rows count, in what is learned and in where to stop; None: all the
                same. It is given only where `kit.toml` names a column of weights or a metric
                that balances classes.
        """
        raise NotImplementedError

    def fit_folds(self, folds: Iterable[FoldRows], *, problem: Problem) -> list[Self]:
        """Learn all folds side by side, each stopping where the others are best together.

        `y_valid` of a fold must not decide anything about that fold's own model; see
        `kit.models.stopping.CrossStopping`. Only models that set `crosses` have it.

        Args:
            folds: two or more, read once and in order, so that they may be prepared one by one.
            problem: what is learned; the folds' seeds follow from its seed.

        Returns:
            One fitted model per fold, in order; `self` stays unfitted.
        """
        raise NotImplementedError

    def predict(self, X: Any) -> NDArray[np.float64]:
        """Predict ``(n, n_outputs)``."""
        raise NotImplementedError

    def save(self, folder: Path) -> None:
        """Write the fitted model into an existing folder, in its native format."""
        raise NotImplementedError

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        raise NotImplementedError


def make_model(factory: Any, params: Mapping[str, Any], name: str) -> Any:
    """An unfitted model with `params`.

    Args:
        factory: a `Model` class, or a function of a competition's `model.py` that returns a `Model`
            or any scikit-learn estimator.
        params: hyper-parameters.
        name: for messages.

    Raises:
        ConfigError: a parameter the model does not have.
    """
    if isinstance(factory, type) and issubclass(factory, Model):
        known = set(factory._get_param_names())
        for key in params:
            if key not in known:
                raise ConfigError(f"model {name!r} has no parameter {key!r}. {nearest(key, known)}")
        return factory(**params)
    from kit.models.adapter import SklearnModel

    made = factory(**params)
    return made if isinstance(made, Model) else SklearnModel(made)


def check_model(model: Model, *, task: TaskType, folder: Path) -> None:
    """Raise `AssertionError` naming the first promise of the contract that `model` breaks.

    Small generated data with missing values and unseen categories are used; `folder` takes the
    saved model. Meant for the tests of kit and of those who write models for it.
    """
    from kit.models import checking

    X, y, X_new, n_outputs = checking.prepared(model.family, task)
    problem = Problem(task=task, n_outputs=n_outputs, seed=3, encoder=checking.ENCODER)
    valid = (X[:40], y[:40]) if model.stops_early else None
    before = {key: repr(value) for key, value in clone(model).get_params().items()}
    first = clone(model).fit(X, y, problem=problem, valid=valid)
    predicted = first.predict(X_new)
    _promise(predicted.shape == (X_new.shape[0], n_outputs), f"shape {predicted.shape}")
    _promise(predicted.dtype == np.float64, f"dtype {predicted.dtype}")
    _promise(bool(np.isfinite(predicted).all()), "predictions are not finite")
    if problem.classification:
        _promise(bool(((predicted >= 0) & (predicted <= 1)).all()), "probabilities leave [0, 1]")
    if task == "multiclass":
        _promise(bool(np.allclose(predicted.sum(axis=1), 1, atol=1e-5)), "rows do not sum to 1")
    _promise(bool(np.ptp(first.predict(X)[:, 0]) > 0), "predictions are constant")
    again = clone(model).fit(X, y, problem=problem, valid=valid).predict(X_new)
    _promise(bool(np.array_equal(predicted, again)), "the same seed gives other predictions")
    refitted = first.fit(X, y, problem=problem, valid=valid).predict(X_new)
    _promise(bool(np.array_equal(predicted, refitted)), "a second fit remembers the first")
    one = first.predict(X_new[:1])
    _promise(bool(np.allclose(one, predicted[:1], atol=1e-5)), "one row is predicted differently")
    after = {key: repr(value) for key, value in first.get_params().items()}
    _promise(before == after, "fit changed a hyper-parameter")
    first.save(folder)
    loaded = type(model).load(folder).predict(X_new)
    _promise(bool(np.allclose(loaded, predicted, atol=1e-6)), "save and load change predictions")


def describe(problem: Problem) -> dict[str, Any]:
    """A problem as plain data, to be stored beside a saved model."""
    names = (each.name for each in fields(problem) if each.name != "watch")
    return {name: getattr(problem, name) for name in names}


def grades_of(model: Model) -> int:
    """How many grades there are on the scale of a fitted model's predictions; 0: it has none."""
    return int(getattr(getattr(model, "problem_", None), "grades", 0))


def reseeded(problem: Problem, fold: int) -> Problem:
    """The same problem with a seed that depends on the fold alone, not on what ran before it."""
    return replace(problem, seed=problem.seed * 1000 + fold)


def all_classes(proba: NDArray[Any], classes: NDArray[Any], n_classes: int) -> NDArray[np.float64]:
    """Probabilities by class code; a class that the training rows lacked has none.

    Args:
        proba: of the classes that were seen, ``(n, k)``.
        classes: their codes, ``(k,)``.
        n_classes: all there are.

    Returns:
        ``(n, n_classes)``
    """
    full = np.zeros((len(proba), n_classes))
    full[:, np.asarray(classes, dtype=np.int64)] = proba
    return full


def _promise(kept: bool, broken: str) -> None:
    if not kept:
        raise AssertionError(f"model contract: {broken}")
