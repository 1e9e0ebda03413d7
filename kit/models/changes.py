"""Boosted trees that learn the change from a row's own level, for series of many sizes and trends.

A tree predicts what it has seen, so a series that keeps rising outgrows it. Here each row is put on
the scale of its own past: the target is its distance from the last known mean, divided by the usual
size of the series; so are lags and means. Rows count by that size again, or small series would
outvote what the metric measures.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kit.models.base import Problem, Rows, RowWeights
from kit.models.lightgbm import LightGBM, _Data
from kit.preprocessing.series import needs_series

_LEVEL = re.compile(r"(^|__)series_(lag_\d+|mean_\d+|season_\d+|mean)$")
_RECENT = re.compile(r"(^|__)series_mean_(\d+)$")
_FLOOR = 0.01  # of the usual size of the target: a series of zeros still has a scale


class SeriesLightGBM(LightGBM):
    """LightGBM on the change from the last known level; the parameters are those of `LightGBM`.

    Shape:
        Frame ``(n, d)`` of the recipe "series" in; ``(n, 1)`` out. Probabilities of a binary task
        are learned as they are.
    """

    family = "series"
    crosses = False  # levels are those of one fold's rows

    def fit(
        self,
        X: pd.DataFrame,
        y: NDArray[Any],
        *,
        problem: Problem,
        valid: Rows | None = None,
        weight: RowWeights | None = None,
    ) -> Self:
        """Boost the changes."""
        self.problem_ = problem
        self.mean_ = float(np.mean(y))
        self.size_ = float(np.sqrt(np.mean(np.square(y)))) or 1.0
        if valid is not None:
            valid = (valid[0], self._changes(valid[0], valid[1]))
        return super().fit(X, self._changes(X, y), problem=problem, valid=valid, weight=weight)

    def predict(self, X: pd.DataFrame) -> NDArray[np.float64]:
        """The level and the predicted change."""
        level, size = self._scale(X)
        return super().predict(self._relative(X)) * size[:, None] + level[:, None]

    def save(self, folder: Path) -> None:
        """Write what `LightGBM.save` writes, and the scale of the target."""
        super().save(folder)
        record = {"mean": self.mean_, "size": self.size_}
        (folder / "scale.json").write_text(json.dumps(record), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        model = super().load(folder)
        record = json.loads((folder / "scale.json").read_text(encoding="utf-8"))
        model.mean_, model.size_ = record["mean"], record["size"]
        return model

    def _datasets(
        self, X: pd.DataFrame, X_valid: Any, problem: Problem, weight: RowWeights | None
    ) -> _Data:
        """Binned rows on their own scale, weighted by it."""
        relative = None if X_valid is None else self._relative(X_valid)
        params, train, valid = super()._datasets(self._relative(X), relative, problem, weight)
        if not problem.classification:
            power = 1 if problem.deviation == "absolute" else 2
            for part, rows in ((train, X), (valid, X_valid)):
                if part is not None:
                    own = (self._scale(rows)[1] / self.size_) ** power
                    given = part.get_weight()
                    part.set_weight(own if given is None else own * given)
        return params, train, valid

    def _changes(self, X: pd.DataFrame, y: NDArray[Any]) -> NDArray[Any]:
        level, size = self._scale(X)
        return np.asarray((y - level) / size) if not self.problem_.classification else y

    def _relative(self, X: pd.DataFrame) -> pd.DataFrame:
        """Lags and means as distances from the last known mean, in sizes of the series."""
        level, size = self._scale(X)
        columns = [name for name in X.columns if _LEVEL.search(name)]
        values = (X[columns].to_numpy(dtype=np.float64) - level[:, None]) / size[:, None]
        return X.assign(**dict(zip(columns, values.T, strict=True)))

    def _scale(self, X: pd.DataFrame) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Last known mean and usual size of each row's series; those of all rows without a past."""
        if self.problem_.classification:
            return np.zeros(len(X)), np.ones(len(X))
        found = {int(m[2]): name for name in X.columns if (m := _RECENT.search(name))}
        recent = [found[length] for length in sorted(found)]
        recent += [name for name in X.columns if re.search(r"(^|__)series_mean$", name)]
        if not recent:
            raise needs_series("a model of changes needs series.windows or series.expanding; it")
        level = X[recent].bfill(axis=1).iloc[:, 0].to_numpy(dtype=np.float64)
        usual = np.abs(X[recent[-1]].to_numpy(dtype=np.float64))
        size = np.maximum(np.where(np.isnan(usual), self.size_, usual), _FLOOR * self.size_)
        return np.where(np.isnan(level), self.mean_, level), size
