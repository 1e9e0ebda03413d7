"""Features of a row's own past: lags, rolling and expanding statistics, seasons.

Fitted in the fold: the only target values that are looked up are those of the fold's training rows.
A row `a` steps ahead uses what is at least `a` steps old, where `a` is the horizon, or (ahead =
"step") the row's own distance from the end of the training rows. Training rows get their features
in the same way, from the same history, so a model learns from what it will see.

Source:
    Direct multi-step forecasting with one model for all series and steps: the common ground of the
    M5 winners (Makridakis, Spiliotis, Assimakopoulos, "M5 accuracy competition", 2022).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline

from kit.errors import ConfigError
from kit.preprocessing.history import Floats, History, Sums, at
from kit.preprocessing.pooled import adjusted, profiles
from kit.preprocessing.shape import Shape
from kit.series import SeriesSpec
from kit.settings import Kind

PREFIX = "series_"
WINDOW = "window_"
"""Names of the columns that hold a row's past step by step, newest first."""

NUMERIC: Kind = "numeric"

_SEASONS = 4  # so many of the last seasons are averaged
Ints = NDArray[np.int64]


def feature_names(spec: SeriesSpec, *, window: bool = False) -> list[str]:
    """The columns that `SeriesFeatures` adds."""
    names = [f"{PREFIX}lag_{lag}" for lag in spec.lags]
    for length in spec.windows:
        names += [f"{PREFIX}mean_{length}", f"{PREFIX}std_{length}"]
    names += [f"{PREFIX}season_{season}" for season in spec.seasons]
    names += [pool_name(pool, season) for season in spec.seasons for pool in spec.pools]
    if spec.expanding:
        names += [f"{PREFIX}mean", f"{PREFIX}std", f"{PREFIX}count"]
    for name in spec.covariates:
        names += [f"{PREFIX}{name}_mean_{length}" for length in spec.windows]
        names.append(f"{PREFIX}{name}_change")
    if spec.ahead == "step":
        names.append(f"{PREFIX}ahead")
    if window:
        names += [f"{WINDOW}{k:04d}" for k in range(spec.shown)]
    return names


def pool_name(pool: str, season: int) -> str:
    """The column of a season that the series of a group share."""
    return f"{PREFIX}pool_{pool}_{season}" if pool else f"{PREFIX}pool_{season}"


def level_names(spec: SeriesSpec) -> list[str]:
    """Those of them that are on the scale of the target."""
    names = [f"{PREFIX}lag_{lag}" for lag in spec.lags]
    names += [f"{PREFIX}mean_{length}" for length in spec.windows]
    names += [f"{PREFIX}season_{season}" for season in spec.seasons]
    names += [pool_name(pool, season) for season in spec.seasons for pool in spec.pools]
    return [*names, f"{PREFIX}mean"] if spec.expanding else names


def sequence_recipe(shape: Shape, spec: SeriesSpec, rest: Callable[[Shape], Any]) -> Pipeline:
    """The past step by step, and everything else as a network wants it.

    Args:
        shape: of the columns.
        spec: the `[series]` table.
        rest: the recipe of the other columns.
    """
    levels = level_names(spec)
    others = [name for name in feature_names(spec) if name not in levels]
    kinds: dict[str, Kind] = {**shape.kinds, **dict.fromkeys(others, NUMERIC)}
    past = [*levels, *(f"{WINDOW}{k:04d}" for k in range(spec.shown))]
    columns = ColumnTransformer(
        [
            ("row", rest(replace(shape, kinds=kinds)), list(kinds)),
            ("past", "passthrough", past),
        ]
    ).set_output(transform="pandas")
    return Pipeline([("past", SeriesFeatures(spec, shape.time, window=True)), ("columns", columns)])


class SeriesFeatures(TransformerMixin, BaseEstimator):
    """Add features of a row's own past to its other columns.

    Args:
        spec: the `[series]` table.
        time: the column of times.
        window: whether the past itself is added, step by step (`spec.shown` of them).

    Shape:
        Frame ``(n, d)`` in; the same and `feature_names` out, float32, missing where there is no
        past.
    """

    def __init__(self, spec: SeriesSpec, time: str, window: bool = False) -> None:
        self.spec = spec
        self.time = time
        self.window = window

    def fit(self, X: pd.DataFrame, y: NDArray[Any]) -> SeriesFeatures:
        """Keep the training rows' targets and covariates by series and step."""
        self.history_ = History(X, self.spec.id, self.time, self.spec.step)
        self.target_ = self.history_.grid(np.asarray(y, dtype=np.float64))
        self.covariates_ = {
            name: self.history_.grid(X[name].to_numpy(dtype=np.float64))
            for name in self.spec.covariates
        }
        self.pools_ = self._pools(X)
        self.profiles_ = {
            season: profiles(self.target_, self.pools_, season) for season in self.spec.seasons
        }
        self.history_.forget_rows()
        return self

    def transform(self, X: pd.DataFrame) -> pd.DataFrame:
        """Look the past of each row up."""
        series, step = self.history_.place(X)
        made = dict(self._made(X, series, step))
        columns = {name: made[name].astype(np.float32) for name in self._names}
        return pd.concat([X, pd.DataFrame(columns, index=X.index)], axis=1)

    def get_feature_names_out(self, input_features: Any = None) -> list[str]:
        """The columns that came in, then those made."""
        return [*(input_features if input_features is not None else []), *self._names]

    @property
    def _names(self) -> list[str]:
        return feature_names(self.spec, window=self.window)

    def _made(self, X: pd.DataFrame, series: Ints, step: Ints) -> Iterator[tuple[str, Floats]]:
        spec, grid = self.spec, self.target_
        ahead = self._ahead(step)
        end = step - ahead  # the last step that may be used
        for lag in spec.lags:
            values = at(grid, series, step - lag)
            yield f"{PREFIX}lag_{lag}", np.where(lag >= ahead, values, np.nan)
        sums = Sums(grid)
        for length in spec.windows:
            _, mean, deviation = sums.stretch(series, end, length)
            yield f"{PREFIX}mean_{length}", mean
            yield f"{PREFIX}std_{length}", deviation
        for season in spec.seasons:
            own = self._seasonal(self.target_, series, step, ahead, season)
            yield f"{PREFIX}season_{season}", own
            if self.pools_:
                yield from self._pooled(sums, series, step, ahead, season)
        count, mean, deviation = sums.stretch(series, end, None)
        yield from (
            (f"{PREFIX}mean", mean),
            (f"{PREFIX}std", deviation),
            (f"{PREFIX}count", count),
            (f"{PREFIX}ahead", ahead.astype(np.float64)),
        )
        for name, values in self.covariates_.items():
            past = Sums(values)
            for length in spec.windows:
                yield f"{PREFIX}{name}_mean_{length}", past.stretch(series, end, length)[1]
            usual = past.stretch(series, end, None)[1]
            yield f"{PREFIX}{name}_change", X[name].to_numpy(dtype=np.float64) - usual
        for k in range(spec.shown if self.window else 0):
            yield f"{WINDOW}{k:04d}", at(grid, series, end - k)

    def _ahead(self, step: Ints) -> Ints:
        """How many steps ahead each row is predicted; what is younger it may not see."""
        horizon = self.spec.horizon
        if self.spec.ahead == "horizon":
            return np.full(len(step), horizon, dtype=np.int64)
        beyond = step - (self.history_.n_steps - 1)  # 1: the first step after the training rows
        return np.where(beyond > 0, beyond, (beyond - 1) % horizon + 1)

    def _pools(self, X: pd.DataFrame) -> dict[str, Ints]:
        """Per pool the group of each series, as its last training row has it."""
        series, _ = self.history_.place(X)
        found: dict[str, Ints] = {}
        for pool in self.spec.pools:
            group = np.zeros(self.target_.shape[0], dtype=np.int64)
            if pool:
                group[series] = pd.factorize(X[pool].astype("object"), use_na_sentinel=False)[0]
            found[pool] = group
        return found

    def _pooled(
        self, sums: Sums, series: Ints, step: Ints, ahead: Ints, season: int
    ) -> Iterator[tuple[str, Floats]]:
        """A series' level, moved by what its groups did at the same place in the season."""
        grid = self.target_
        level = sums.stretch(series, step - ahead, season)[1]
        signed = bool(np.nanmin(grid, initial=0.0) < 0)
        sizes = Sums(np.abs(grid)).stretch(series, step - ahead, season)[1] if signed else level
        for pool, group in self.pools_.items():
            of, profile = np.where(series < 0, -1, group[series]), self.profiles_[season][pool]
            above = self._seasonal(profile, of, step, ahead, season)
            recent = Sums(adjusted(grid, profile[group], season))
            near = recent.stretch(series, step - ahead, max(4, season // 6))[1]
            near = np.where(np.isnan(near), level, near)
            yield pool_name(pool, season), near + sizes * above

    @staticmethod
    def _seasonal(grid: Floats, series: Ints, step: Ints, ahead: Ints, season: int) -> Floats:
        """Mean of the last values at the same place in the season."""
        first = -(-ahead // season)  # whole seasons back to what may be used
        values = [at(grid, series, step - (first + k) * season) for k in range(_SEASONS)]
        known = ~np.isnan(values)
        total = np.where(known, values, 0.0).sum(axis=0)
        count = known.sum(axis=0)
        return np.divide(total, count, out=np.full(len(step), np.nan), where=count > 0)


class LastValues(TransformerMixin, BaseEstimator):
    """What the baselines predict: the last value, those of the last seasons, the mean.

    Of the training rows before a row, however near: a row of the test period, or of a forward
    fold, has none within its own period.

    Args:
        spec: the `[series]` table.
        time: the column of times.

    Shape:
        Frame ``(n, d)`` in; columns `last`, `mean`, and per season s `season_<s>_<k>` for the last,
        the last but one, ... known value of the season out.
    """

    def __init__(self, spec: SeriesSpec, time: str) -> None:
        self.spec = spec
        self.time = time

    def fit(self, X: pd.DataFrame, y: NDArray[Any]) -> LastValues:
        """Keep the training rows' targets by series and step."""
        self.history_ = History(X, self.spec.id, self.time, self.spec.step)
        self.target_ = self.history_.grid(np.asarray(y, dtype=np.float64))
        self.history_.forget_rows()
        return self

    def transform(self, X: pd.DataFrame) -> pd.DataFrame:
        """Look the values up."""
        series, step = self.history_.place(X)
        n_steps = self.target_.shape[1]
        known = np.where(~np.isnan(self.target_), np.arange(n_steps), -1)
        newest = np.maximum.accumulate(known, axis=1).astype(np.float64)
        place = at(newest, series, np.minimum(step - 1, n_steps - 1))
        last = at(self.target_, series, np.nan_to_num(place, nan=-1).astype(np.int64))
        mean = Sums(self.target_).stretch(series, step - 1, None)[1]
        made = {"last": last, "mean": mean}
        for season in self.spec.seasons or (1,):
            made |= self._seasons(series, step, season)
        return pd.DataFrame(made, index=X.index)

    def get_feature_names_out(self, input_features: Any = None) -> list[str]:
        """The columns made."""
        seasons = self.spec.seasons or (1,)
        names = [f"season_{s}_{k}" for s in seasons for k in range(1, _SEASONS + 1)]
        return ["last", "mean", *names]

    def _seasons(self, series: Ints, step: Ints, season: int) -> dict[str, Floats]:
        """The last `_SEASONS` known values at the same place in the season."""
        found = np.full((_SEASONS, len(step)), np.nan)
        have = np.zeros(len(step), dtype=np.int64)
        furthest = int(step.max(initial=0)) // season
        for back in range(1, furthest + 1):
            values = at(self.target_, series, step - back * season)
            new = np.flatnonzero(~np.isnan(values) & (have < _SEASONS))
            found[have[new], new] = values[new]
            have[new] += 1
            if (have == _SEASONS).all():
                break
        return {f"season_{season}_{k + 1}": found[k] for k in range(_SEASONS)}


def with_history(steps: Any, X: pd.DataFrame, y: NDArray[Any]) -> Any:
    """A fitted recipe that looks up the past of these rows instead of those it was fitted on.

    For rows after all of them: a forward fold's own history ends where its window begins, long
    before the test period. Everything else that was fitted stays as it is.

    Args:
        steps: a recipe of `kit.preprocessing.columns`.
        X: all training rows.
        y: their target, on the scale the recipe was fitted with.
    """
    if isinstance(steps, LastValues):
        return clone(steps).fit(X, y)
    if isinstance(steps, Pipeline) and isinstance(steps.steps[0][1], SeriesFeatures):
        (name, past), *rest = steps.steps
        return Pipeline([(name, clone(past).fit(X, y)), *rest])
    return steps


def looked_up(steps: Any) -> SeriesFeatures | LastValues | None:
    """What looks at the past in a fitted recipe; None where nothing does."""
    first = steps.steps[0][1] if isinstance(steps, Pipeline) else steps
    return first if isinstance(first, SeriesFeatures | LastValues) else None


def needs_series(what: str) -> ConfigError:
    """The error of a model that looks at the past where there is no `[series]` table."""
    return ConfigError(
        f"{what} looks at the past of a series, however kit.toml has no [series] table.\n"
        '  Write one, e.g. [series] id = ["store"], horizon = 28; or leave the model out.'
    )
