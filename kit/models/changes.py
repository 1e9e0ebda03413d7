"""Boosted trees that learn the change from a row's own past, for series of many sizes and trends.

A tree predicts what it has seen, so a series that keeps rising outgrows it. Here each row is put on
the scale of its own past: lags and means are distances from the last known mean, its level, divided
by the usual size of the series. Rows count by that size again, or small series would outvote what
the metric measures.

The target is the distance from a base: the level, moved towards the values of the last seasons as
far as the training rows say that it pays. Far ahead the season is most of what is known, and trees
would have to learn it anew; where there is none, the base stays the level.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kit.atomic import parse_json
from kit.models.base import Model, Problem, Rows, RowWeights
from kit.models.catboost import CatBoost
from kit.models.lightgbm import LightGBM
from kit.preprocessing.series import needs_series

_LEVEL = re.compile(r"(^|__)series_(lag_\d+|mean_\d+|season_\d+|pool_.*|mean)$")
_SEASON = re.compile(r"(^|__)series_season_(\d+)$")
_POOL = re.compile(r"(^|__)series_pool_(.+_)?(\d+)$")
_LAG = re.compile(r"(^|__)series_lag_(\d+)$")
_RECENT = re.compile(r"(^|__)series_mean_(\d+)$")
_FLOOR = 0.01  # of the usual size of the target: a series of zeros still has a scale
_SHARES = tuple(k / 10 for k in range(11))  # of the way from the level to a season's values
_UNSURE = 0.5  # where no training row knows the shortest season: neither is far off
_NO_PAST, _NO_SEASON = 0.02, 0.1
"""How much rows of the first steps count: many have no past, or none of a season, which rows to
come have. They say little of changes and take most of the splits; new series are like them."""


class Changes(Model):
    """What learns the change from level and season; comes before a booster among the bases.

    Attributes:
        shares_: per column of a season, how far the base moves to its values, in this order.

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
        self.learned_ = bool(_has_past(X).any())
        self.shares_ = self._find_shares(X, y, weight)
        counts = self._weights(X, None if valid is None else valid[0], weight)
        if valid is not None:
            valid = (self._relative(valid[0]), self._changes(valid[0], valid[1]))
        rows, changes = self._relative(X), self._changes(X, y)
        return super().fit(rows, changes, problem=problem, valid=valid, weight=counts)

    def predict(self, X: pd.DataFrame) -> NDArray[np.float64]:
        """The base and the predicted change; the base alone where changes were never seen."""
        base, size = self._base(X)
        change = super().predict(self._relative(X)) * size[:, None]
        if not self.learned_ and not self.problem_.classification:
            change[_has_past(X)] = 0.0
        return change + base[:, None]

    def save(self, folder: Path) -> None:
        """Write what the booster writes, and the scale of the target."""
        super().save(folder)
        names = ("mean_", "size_", "learned_", "shares_")
        record = {name: getattr(self, name) for name in names}
        (folder / "scale.json").write_text(json.dumps(record), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        model = super().load(folder)
        record = parse_json((folder / "scale.json").read_text(encoding="utf-8"))
        for name, value in record.items():
            setattr(model, name, value)
        return model

    def _weights(
        self, X: pd.DataFrame, X_valid: pd.DataFrame | None, weight: RowWeights | None
    ) -> RowWeights | None:
        """Rows count by their size, beside what they count anyway."""
        if self.problem_.classification:
            return weight
        given = weight or RowWeights(np.ones(len(X)))
        train = self._counts(X) * given.train
        if X_valid is None:
            return RowWeights(train / train.mean())
        valid = self._counts(X_valid) * (1.0 if given.valid is None else given.valid)
        return RowWeights(train / train.mean(), valid / valid.mean())

    def _changes(self, X: pd.DataFrame, y: NDArray[Any]) -> NDArray[Any]:
        base, size = self._base(X)
        return np.asarray((y - base) / size) if not self.problem_.classification else y

    def _base(self, X: pd.DataFrame) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Level and seasons in the shares that were found, and the usual size."""
        base, size = self._scale(X)
        for name, share in self.shares_.items():
            base = base + share * _distance(X, name, base)
        return base, size

    def _find_shares(
        self, X: pd.DataFrame, y: NDArray[Any], weight: RowWeights | None
    ) -> dict[str, float]:
        """Per column of `_towards` the share with which the base errs least."""
        found: dict[str, float] = {}
        if self.problem_.classification:
            return found
        base, size = self._scale(X)
        counts = self._counts(X) if weight is None else self._counts(X) * weight.train
        for number, name in enumerate(_towards(X)):
            distance = _distance(X, name, base)
            known = X[name].notna().to_numpy()
            if not (known & (counts > 0)).any():  # nothing says whether the season is one
                found[name] = 0.0 if number else _UNSURE
                continue
            error, way = ((y - base) / size)[known], (distance / size)[known]
            losses = [
                np.average(np.abs(error - share * way) ** self._power, weights=counts[known])
                for share in _SHARES
            ]
            found[name] = share = _SHARES[int(np.argmin(losses))]
            base = base + share * distance
        return found

    @property
    def _power(self) -> int:
        return 1 if self.problem_.deviation == "absolute" else 2

    def _counts(self, X: pd.DataFrame) -> NDArray[np.float64]:
        """How much rows count: by the size of their series, and by what is known of it."""
        own = (self._scale(X)[1] / self.size_) ** self._power
        counts = np.where(_has_past(X), own, _NO_PAST)
        for name in _seasons(X)[:1]:
            counts = np.where(X[name].isna(), _NO_SEASON * counts, counts)
        return counts

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


def _seasons(X: pd.DataFrame) -> list[str]:
    """The columns of seasons, the shortest first."""
    found = {int(m[2]): name for name in X.columns if (m := _SEASON.search(name))}
    return [found[length] for length in sorted(found)]


def _towards(X: pd.DataFrame) -> list[str]:
    """Columns that the base moves to: per season its newest value, the mean of the last, the pools.

    The newest is as old in all rows; the mean grows older the longer the past, and trends with it.
    """
    lags = {int(m[2]): name for name in X.columns if (m := _LAG.search(name))}
    found: list[str] = []
    for name in _seasons(X):
        length = int(name.rpartition("_")[2])
        whole = [lag for lag in sorted(lags) if lag % length == 0]
        pools = [each for each in X.columns if (m := _POOL.search(each)) and int(m[3]) == length]
        found += [*(lags[lag] for lag in whole[:1]), name, *pools]
    return found


def _has_past(X: pd.DataFrame) -> NDArray[np.bool_]:
    """Whether something is known of a row's series."""
    past = [name for name in X.columns if _LEVEL.search(name)]
    return X[past].notna().any(axis=1).to_numpy()


def _distance(X: pd.DataFrame, name: str, base: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far the values of a season lie from the base; 0 where there are none."""
    return np.nan_to_num(X[name].to_numpy(dtype=np.float64) - base)


class SeriesLightGBM(Changes, LightGBM):
    """LightGBM on changes; the parameters are those of `LightGBM`."""


class SeriesCatBoost(Changes, CatBoost):
    """CatBoost on changes; the parameters are those of `CatBoost`."""
