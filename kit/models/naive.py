"""The baselines of every forecast: the last value, and the values of the last seasons.

A model that does not beat them has learned nothing about the series. They need the recipe
"history", which looks the values up (`kit.preprocessing.series.LastValues`).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kit.atomic import parse_json
from kit.config import Within
from kit.errors import ConfigError
from kit.models.base import CountOrZero, Model, Problem, Rows, RowWeights, describe


class Naive(Model):
    """The last known value of the series, for all steps ahead.

    A series without history gets the mean of all training rows.

    Shape:
        Frame of the recipe "history" in, ``(n, 1)`` out.
    """

    family = "history"
    tasks: ClassVar[tuple[str, ...]] = ("regression", "binary")

    def fit(
        self,
        X: pd.DataFrame,
        y: NDArray[Any],
        *,
        problem: Problem,
        valid: Rows | None = None,
        weight: RowWeights | None = None,
    ) -> Self:
        """Learn the mean of the target, for series without history."""
        if problem.task not in self.tasks:
            raise ConfigError(f"a naive forecast is one number per row, not {problem.task}")
        self.problem_ = problem
        self.mean_ = float(np.average(y, weights=None if weight is None else weight.train))
        self._columns(X)
        return self

    def predict(self, X: pd.DataFrame) -> NDArray[np.float64]:
        """The value; else the mean of the series' past; else that of all training rows."""
        values = X[self._columns(X)].to_numpy(dtype=np.float64)
        known = ~np.isnan(values)
        count = known.sum(axis=1)
        total = np.where(known, values, 0.0).sum(axis=1)
        mean = X["mean"].fillna(self.mean_).to_numpy(dtype=np.float64)
        return np.divide(total, count, out=mean.copy(), where=count > 0)[:, None]

    def save(self, folder: Path) -> None:
        """Write one JSON file."""
        record = {
            "params": self.get_params(),
            "problem": describe(self.problem_),
            "mean": self.mean_,
        }
        (folder / "model.json").write_text(json.dumps(record), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        record = parse_json((folder / "model.json").read_text(encoding="utf-8"))
        model = cls(**record["params"])
        model.problem_, model.mean_ = Problem(**record["problem"]), record["mean"]
        return model

    def _columns(self, X: pd.DataFrame) -> list[str]:
        """The columns whose mean is predicted."""
        return ["last"]


class SeasonalNaive(Naive):
    """The value one season ago, or the mean of the last seasons'.

    Args:
        seasons: how many of the last seasons are averaged.
        season: length of a season in steps, one of `series.seasons`; 0: the first of them.
    """

    def __init__(self, seasons: Annotated[int, Within(1, 4)] = 1, season: CountOrZero = 0) -> None:
        self.seasons = seasons
        self.season = season

    def _columns(self, X: pd.DataFrame) -> list[str]:
        names = [name.rpartition("_")[0] for name in X.columns if name.startswith("season_")]
        season = f"season_{self.season}" if self.season else names[0]
        if season not in names:
            known = ", ".join(dict.fromkeys(name.removeprefix("season_") for name in names))
            raise ConfigError(
                f"seasonal_naive: season = {self.season} is not in series.seasons ({known})"
            )
        return [f"{season}_{k + 1}" for k in range(self.seasons)]
