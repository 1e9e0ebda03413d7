"""LightGBM with defaults that were tuned over many data sets, not the library's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Self

import lightgbm as lgb
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kit.competition import TaskType
from kit.models.base import Model, Problem, Rows, describe

_OBJECTIVES = {
    "binary": ("binary", "binary_logloss"),
    "multilabel": ("binary", "binary_logloss"),
    "multiclass": ("multiclass", "multi_logloss"),
    "regression": ("regression", "rmse"),
    "multitarget": ("regression", "rmse"),
}


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

    Source:
        Defaults: Holzmüller, Grinsztajn, Steinwart, "Better by default" (2024), the `TD` defaults
        meta-tuned on 118 data sets; slower learning rate and column sampling after AutoGluon's
        learned portfolios (2023-2026).
    """

    family = "tree"
    stops_early = True
    refit_parameter = "n_estimators"

    def __init__(
        self,
        n_estimators: int = 2000,
        patience: int = 100,
        learning_rate: float = 0.03,
        num_leaves: int | None = None,
        min_data_in_leaf: int | None = None,
        bagging_fraction: float = 0.75,
        feature_fraction: float = 0.7,
        lambda_l1: float = 0.0,
        lambda_l2: float = 1.0,
        extra_trees: bool = False,
        cat_smooth: float = 10.0,
        cat_l2: float = 10.0,
        max_cat_to_onehot: int = 8,
        min_data_per_group: int = 20,
        max_bin: int = 255,
        min_sum_hessian_in_leaf: float = 1e-3,
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

    def fit(
        self, X: pd.DataFrame, y: NDArray[Any], *, problem: Problem, valid: Rows | None = None
    ) -> Self:
        """Boost; several targets get one booster each."""
        self.problem_ = problem
        self.curve_ = {}
        X = _plain_names(X)
        held = None if valid is None else (_plain_names(valid[0]), valid[1])
        many = problem.task in ("multilabel", "multitarget")
        targets = range(problem.n_outputs) if many else [None]
        self.boosters_ = [self._boost(X, y, held, problem, column) for column in targets]
        rounds = [booster.best_iteration for booster in self.boosters_ if held is not None]
        self.best_iteration_ = int(np.mean(rounds)) if rounds else None
        return self

    def predict(self, X: pd.DataFrame) -> NDArray[np.float64]:
        """Predict with the best round of each booster."""
        X = _plain_names(X)
        threads = self.problem_.threads
        columns = [
            np.asarray(booster.predict(X, num_threads=threads)).reshape(len(X), -1)
            for booster in self.boosters_
        ]
        return np.hstack(columns).astype(np.float64)

    def save(self, folder: Path) -> None:
        """Write LightGBM's text format, one file per booster."""
        for number, booster in enumerate(self.boosters_):
            booster.save_model(str(folder / f"booster-{number}.txt"))
        record = {"params": self.get_params(), "problem": describe(self.problem_)}
        (folder / "model.json").write_text(json.dumps(record), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        record = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        model = cls(**record["params"])
        model.problem_ = Problem(**record["problem"])
        files = sorted(folder.glob("booster-*.txt"), key=lambda p: int(p.stem.split("-")[1]))
        model.boosters_ = [lgb.Booster(model_file=str(path)) for path in files]
        return model

    def _boost(
        self,
        X: pd.DataFrame,
        y: NDArray[Any],
        held: Rows | None,
        problem: Problem,
        column: int | None,
    ) -> lgb.Booster:
        target = y if column is None else y[:, column]
        train = lgb.Dataset(X, target, params={"max_bin": self.max_bin}, free_raw_data=True)
        watched, callbacks = [], []
        record: dict[str, Any] = {}
        if held is not None:
            held_target = held[1] if column is None else held[1][:, column]
            watched = [train.create_valid(held[0], held_target)]
            callbacks = [
                lgb.early_stopping(self.patience, verbose=False),
                lgb.record_evaluation(record),
            ]
        booster = lgb.train(
            self._native(problem, len(X)),
            train,
            self.n_estimators,
            valid_sets=watched,
            valid_names=["valid"] * len(watched),
            callbacks=callbacks,
        )
        if record and column in (None, 0):
            self.curve_ = {"valid": next(iter(record["valid"].values()))}
        return booster

    def _native(self, problem: Problem, n_rows: int) -> dict[str, Any]:
        """LightGBM's parameter table."""
        params = self.get_params()
        for kit_only in ("n_estimators", "patience"):
            del params[kit_only]
        task: TaskType = problem.task
        params["objective"], params["metric"] = _OBJECTIVES[task]
        if task == "multiclass":
            params["num_class"] = problem.n_outputs
        if self.num_leaves is None:
            params["num_leaves"] = 31 if problem.classification else 63
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


def _plain_names(X: pd.DataFrame) -> pd.DataFrame:
    """Column names LightGBM accepts (it refuses JSON's special characters); no copy."""
    renamed = X.copy(deep=False)
    renamed.columns = [f"f{number}" for number in range(X.shape[1])]
    return renamed
