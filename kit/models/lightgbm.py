"""LightGBM with defaults that were tuned over many data sets, not the library's own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import lightgbm as lgb
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit, softmax
from sklearn.base import clone

from kit.atomic import parse_json
from kit.config import Within
from kit.mapped import is_on_disk
from kit.models.base import (
    Count,
    CountOrZero,
    FoldRows,
    Model,
    Penalty,
    Positive,
    Problem,
    Rows,
    RowWeights,
    Share,
    describe,
)
from kit.models.batches import from_batches, numbers
from kit.models.boosters import Clock, device, share, target_columns, useful_threads
from kit.models.stopping import CrossStopping, OwnStopping
from kit.models.units import Labels, Units

_OBJECTIVES = {
    "binary": ("binary", "binary_logloss"),
    "multilabel": ("binary", "binary_logloss"),
    "multiclass": ("multiclass", "multi_logloss"),
    "squared": ("regression", "rmse"),
    "absolute": ("regression_l1", "l1"),
}

_OUTPUTS: dict[str, Callable[[Any], Any]] = {
    "binary": expit,
    "multilabel": expit,
    "multiclass": partial(softmax, axis=1),
    "squared": np.asarray,
    "absolute": np.asarray,
}
"""From sums of leaves to predictions, by what is minimised."""

_PREDICTED = 200_000  # rows at a time
_LEAVES = 4096  # asked for at a time: so many stay in the cache from row to row

_Data = tuple[dict[str, Any], lgb.Dataset, lgb.Dataset | None]
"""LightGBM's parameters, binned training rows, binned validation rows."""


class LightGBM(Model):
    """Gradient boosted trees on histograms; categories are split natively.

    Parameters are LightGBM's own names. None: depends on classification or regression.

    Args:
        n_estimators: boosting rounds at most.
        patience: stop when the validation rows have not improved for so many rounds.
        learning_rate: step size.
        num_leaves: leaves per tree.
        min_data_in_leaf: rows per leaf at least.
        bagging_fraction: share of the rows per tree.
        feature_fraction: share of the columns per tree.
        lambda_l1: L1 penalty of the leaf values.
        lambda_l2: L2 penalty of the leaf values.
        extra_trees: split at random thresholds.
        cat_smooth: smoothing of category statistics.
        cat_l2: L2 penalty in splits by category.
        max_cat_to_onehot: up to so many levels are split one against the rest.
        min_data_per_group: rows per group of levels at least.
        max_bin: bins per column.
        min_sum_hessian_in_leaf: second-order weight per leaf at least.
        device_type: "gpu" (OpenCL), "cuda": trees are grown there, if LightGBM is built for it.

    Source:
        Defaults: Holzmüller, Grinsztajn, Steinwart, "Better by default" (2024), the `TD` defaults
        meta-tuned on 118 data sets; slower learning rate and column sampling after AutoGluon's
        learned portfolios (2023-2026).
    """

    family = "tree"
    stops_early = True
    crosses = True
    refit_parameter = "n_estimators"

    def __init__(
        self,
        n_estimators: Count = 2000,
        patience: Count = 100,
        learning_rate: Positive = 0.03,
        num_leaves: Annotated[int, Within(2, 131_072)] | None = None,
        min_data_in_leaf: CountOrZero | None = None,
        bagging_fraction: Share = 0.75,
        feature_fraction: Share = 0.7,
        lambda_l1: Penalty = 0.0,
        lambda_l2: Penalty = 1.0,
        extra_trees: bool = False,
        cat_smooth: Penalty = 10.0,
        cat_l2: Penalty = 10.0,
        max_cat_to_onehot: Count = 8,
        min_data_per_group: Count = 20,
        max_bin: Annotated[int, Within(2)] = 255,
        min_sum_hessian_in_leaf: Penalty = 1e-3,
        device_type: Literal["cpu", "gpu", "cuda"] = "cpu",
    ) -> None:
        self.n_estimators = n_estimators
        self.patience = patience
        self.learning_rate = learning_rate
        self.num_leaves = num_leaves
        self.min_data_in_leaf = min_data_in_leaf
        self.bagging_fraction = bagging_fraction
        self.feature_fraction = feature_fraction
        self.lambda_l1 = lambda_l1
        self.lambda_l2 = lambda_l2
        self.extra_trees = extra_trees
        self.cat_smooth = cat_smooth
        self.cat_l2 = cat_l2
        self.max_cat_to_onehot = max_cat_to_onehot
        self.min_data_per_group = min_data_per_group
        self.max_bin = max_bin
        self.min_sum_hessian_in_leaf = min_sum_hessian_in_leaf
        self.device_type = device_type

    @property
    def on_gpu(self) -> bool:  # type: ignore[override]
        """Whether `device_type` says so."""
        return self.device_type != "cpu"

    def fit(
        self,
        X: pd.DataFrame,
        y: NDArray[Any],
        *,
        problem: Problem,
        valid: Rows | None = None,
        weight: RowWeights | None = None,
    ) -> Self:
        """Boost; several targets get one booster each."""
        data = self._datasets(X, None if valid is None else valid[0], problem, weight)
        labels = (y, None if valid is None else valid[1])
        self._grow([self], [data], [labels], problem, OwnStopping)
        return self

    def fit_folds(self, folds: Iterable[FoldRows], *, problem: Problem) -> list[Self]:
        """Boost all folds in lockstep; each stops where the others are best together."""
        models, data, labels = [], [], []
        for number, fold in enumerate(folds):
            own = replace(problem, seed=problem.seed + number)
            models.append(clone(self))
            data.append(self._datasets(fold.X, fold.X_valid, own, fold.weight))
            labels.append((fold.y, fold.y_valid))
        self._grow(models, data, labels, problem, CrossStopping)
        return models

    def predict(self, X: pd.DataFrame) -> NDArray[np.float64]:
        """Predict with the best round of each booster."""
        if len(X) > _PREDICTED:  # a matrix of all rows would not fit beside a large table
            starts = range(0, len(X), _PREDICTED)
            return np.vstack([self.predict(X.iloc[k : k + _PREDICTED]) for k in starts])
        rows = numbers(_plain_names(X), self.boosters_[0].pandas_categorical)
        columns = [self._raw(booster, rows) for booster in self.boosters_]
        outputs = _OUTPUTS[self.problem_.minimised](np.hstack(columns))
        return self.units_.restored(np.asarray(outputs))

    def _raw(self, booster: lgb.Booster, rows: NDArray[Any]) -> NDArray[np.float64]:
        """Sums of leaves ``(n, trees per round)``, some trees at a time.

        LightGBM takes a row through all trees before the next: thousands of them come from memory
        again for every row. In blocks that took .42 to .65 of the time (1,000 to 3,900 trees).
        """
        width = booster.num_model_per_iteration()
        total = (
            booster.best_iteration if booster.best_iteration > 0 else booster.current_iteration()
        )
        rounds = max(1, _LEAVES // (self._leaves(self.problem_) * width))
        raw = np.zeros((len(rows), width))
        for first in range(0, total, rounds):
            block = booster.predict(
                rows,
                raw_score=True,
                start_iteration=first,
                num_iteration=min(rounds, total - first),
                num_threads=useful_threads(rows.size, self.problem_.threads),
            )
            raw += np.asarray(block).reshape(raw.shape)
        return raw

    def save(self, folder: Path) -> None:
        """Write LightGBM's text format, one file per booster."""
        for number, booster in enumerate(self.boosters_):
            booster.save_model(str(folder / f"booster-{number}.txt"))
        record = {
            "params": self.get_params(),
            "problem": describe(self.problem_),
            "units": self.units_.plain(),
        }
        (folder / "model.json").write_text(json.dumps(record), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        record = parse_json((folder / "model.json").read_text(encoding="utf-8"))
        model = cls(**record["params"])
        model.problem_ = Problem(**record["problem"])
        model.units_ = Units.read(record.get("units"))
        files = sorted(folder.glob("booster-*.txt"), key=lambda p: int(p.stem.split("-")[1]))
        model.boosters_ = [lgb.Booster(model_file=str(path)) for path in files]
        return model

    def _datasets(
        self, X: pd.DataFrame, X_valid: Any, problem: Problem, weight: RowWeights | None
    ) -> _Data:
        """Binned rows, made once for all targets."""
        problem = replace(problem, threads=useful_threads(X.size, problem.threads))
        params = self._native(problem, len(X))
        if is_on_disk(X):
            train, valid = from_batches(X, X_valid, params)
        else:
            train = lgb.Dataset(_plain_names(X), params=params, free_raw_data=True).construct()
            valid = None
            if X_valid is not None:
                valid = train.create_valid(_plain_names(X_valid), params=params).construct()
        if weight is not None:
            train.set_weight(weight.train)
            if valid is not None:
                valid.set_weight(weight.valid)
        return params, train, valid

    def _grow(
        self,
        models: Sequence[LightGBM],
        data: Sequence[_Data],
        labels: Sequence[Labels],
        problem: Problem,
        stopping: type[OwnStopping],
    ) -> None:
        """Fit `models` side by side, one target after the other."""
        for model, (y, _) in zip(models, labels, strict=True):
            model.problem_, model.boosters_ = problem, []
            model.units_ = Units.coarse(y, problem, penalised=True)
            model.best_iteration_, model.curve_, model.cut_ = None, {}, False
        labels = [m.units_.both(ys, problem) for m, ys in zip(models, labels, strict=True)]
        watched = data[0][2] is not None
        columns = target_columns(problem)
        rounds: list[NDArray[Any]] = []
        for done, column in enumerate(columns):
            watch = None if done else problem.watch
            scale = [model.units_.of_target(column) for model in models]
            stop = stopping(len(models), self.patience, watch, scale) if watched else None
            until = share(problem.deadline, len(columns) - done)
            clock = Clock(until, self.learning_rate, self.n_estimators)
            with device("device_type", self.device_type):
                boosters = [_booster(*p, *y, column) for p, y in zip(data, labels, strict=True)]
                grown = boost(boosters, stop, clock)
            steps = np.full(len(models), len(grown)) if stop is None else stop.best_step
            rounds.append(steps)
            for k, (model, booster) in enumerate(zip(models, boosters, strict=True)):
                booster.best_iteration = int(grown[steps[k] - 1, k])  # step 0, none good: all
                model.boosters_.append(_trees(booster, alone=len(columns) == 1))
                model.cut_ |= clock.cut
                if stop is not None and not model.curve_:
                    model.curve_ = {"valid": stop.curve[:, k].tolist()}
        if watched:
            for model, found in zip(models, zip(*rounds, strict=True), strict=True):
                model.best_iteration_ = int(np.mean(found))

    def _leaves(self, problem: Problem) -> int:
        """Leaves per tree."""
        return self.num_leaves or (31 if problem.classification else 63)

    def _native(self, problem: Problem, n_rows: int) -> dict[str, Any]:
        """LightGBM's parameter table."""
        params = self.get_params()
        for kit_only in ("n_estimators", "patience"):
            del params[kit_only]
        params["objective"], params["metric"] = _OBJECTIVES[problem.minimised]
        if problem.task == "multiclass":
            params["num_class"] = problem.n_outputs
        params["num_leaves"] = self._leaves(problem)
        if self.min_data_in_leaf is None:
            usual = 20 if problem.classification else 5
            params["min_data_in_leaf"] = max(1, min(usual, n_rows // 40))
        return {
            **params,
            "bagging_freq": 1,
            "seed": problem.seed,
            "num_threads": problem.threads,
            # the same sums in the same order, whatever was fitted before in this process
            "deterministic": True,
            "force_col_wise": True,
            "verbosity": -1,
        }


def boost(
    boosters: Sequence[lgb.Booster], stop: OwnStopping | None, clock: Clock
) -> NDArray[np.int64]:
    """Add trees to all boosters in turn, until `stop`, `clock` or the last round says so.

    A round that finds no split adds no tree, and is not the end: the next one draws other rows,
    columns and thresholds. Of few rows or columns that happens early.

    Returns:
        Trees (of several classes: sets of them) per booster after every round: ``(rounds, n)``.
    """
    grown = []
    for step in range(1, clock.rounds + 1):
        for booster in boosters:
            booster.update()
        grown.append([booster.current_iteration() for booster in boosters])
        if stop is not None:
            stop.update(np.array([booster.eval_valid()[0][2] for booster in boosters]))
            if stop.done:
                break
        if clock.over(step):
            break
        rate = clock.faster(step)
        if rate is not None:
            for booster in boosters:
                booster.reset_parameter({"learning_rate": rate})
    return np.array(grown)


def _booster(
    params: dict[str, Any],
    train: lgb.Dataset,
    valid: lgb.Dataset | None,
    y: NDArray[Any],
    y_valid: NDArray[Any] | None,
    column: int | None,
) -> lgb.Booster:
    train.set_label(y if column is None else y[:, column])
    booster = lgb.Booster(params, train)
    if valid is not None and y_valid is not None:
        valid.set_label(y_valid if column is None else y_valid[:, column])
        booster.add_valid(valid, "valid")
    return booster


def _trees(booster: lgb.Booster, *, alone: bool) -> lgb.Booster:
    """A booster that grows no more; where it is one of several, its trees and nothing else.

    One that can grow keeps a histogram of every column per leaf: of 900 columns 110 MB, which
    206 targets x 5 folds would hold until the last one is grown.
    """
    return booster.free_dataset() if alone else lgb.Booster(model_str=booster.model_to_string())


def _plain_names(X: pd.DataFrame) -> pd.DataFrame:
    """Column names LightGBM accepts (it refuses JSON's special characters); no copy."""
    renamed = X.copy(deep=False)
    renamed.columns = [f"f{number}" for number in range(X.shape[1])]
    return renamed
