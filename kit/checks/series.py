"""Do the folds look ahead as the test rows do, and has every test row a past?"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kit.checks.finding import Evidence
from kit.checks.material import Material
from kit.checks.validation import shuffled_time
from kit.errors import KitError, counted
from kit.kinds import some
from kit.preprocessing.history import History, at
from kit.series import SeriesSpec

_LATER = 0.1  # share of the training rows of a fold that may be later than what it scores


def later_test(m: Material) -> Iterator[Evidence]:
    """Folds that train on later rows, although every test row comes after the training rows."""
    named = {m.columns.time} if any(shuffled_time(m)) else set()
    for name, kind in m.kinds.items():
        if kind != "datetime" and name != m.columns.time:
            continue
        train, test = m.X[name], m.X_test[name].dropna()
        if train.isna().any() or test.empty or train.nunique() < 2 or name in named:
            continue
        if test.min() < train.max():
            continue
        share = _trained_on_later(m, train.to_numpy())
        if share > _LATER:
            yield Evidence(
                text=f"every test row is later than the training rows by {name!r} (from "
                f"{test.min()} on), however {share:.0%} of what a fold trains on is later than "
                f"what it scores; cv.splitter = {m.settings.cv.splitter!r}",
                remedy="the score tells how well gaps are filled, not what comes next: [columns] "
                f'time = "{name}" with [cv] splitter = "time_windows" and horizon as long as the '
                'test period (or "group_time" for groups that are new, too)',
                columns=(name,),
            )


def _trained_on_later(m: Material, times: NDArray[np.generic]) -> float:
    """Share of the training rows later than the middle of the scored ones, mean of the folds."""
    order = pd.factorize(times, sort=True)[0]
    shares = []
    for k in range(m.folds.n_splits):
        valid = order[m.folds.valid(k)]
        train = order[m.folds.train(k)]
        if len(train) and len(valid):
            shares.append(float((train > np.median(valid)).mean()))
    return float(np.mean(shares)) if shares else 0.0


def unusable(m: Material) -> Iterator[Evidence]:
    """`[series]` names columns or a step that do not fit the data."""
    try:
        _history(m)
    except KitError as error:
        yield Evidence(text=str(error), remedy="change [series] in kit.toml")


def repeated(m: Material) -> Iterator[Evidence]:
    """Rows that repeat a series and time."""
    spec, history = _known(m)
    if spec is None or history is None or not history.repeated:
        return
    yield Evidence(
        text=f"{counted(history.repeated, 'training row repeats', 'training rows repeat')} a "
        f"series and step of {history.step!r}",
        remedy="their targets are averaged where the past is looked up; if they are different "
        "series, name a further column in series.id, or a finer series.step",
        columns=spec.id,
    )


def short_horizon(m: Material) -> Iterator[Evidence]:
    """Test rows further ahead than `series.horizon`."""
    spec, history = _known(m)
    if spec is None or history is None:
        return
    _, step = history.place(m.X_test)
    ahead = step - (history.n_steps - 1)
    beyond = int((ahead > spec.horizon).sum())
    if beyond:
        yield Evidence(
            text=f"{counted(beyond, 'test row is', 'test rows are')} more than series.horizon = "
            f"{spec.horizon} steps after the last training row, up to {int(ahead.max())}",
            remedy=f"their lags are not known: [series] horizon = {int(ahead.max())}",
        )


def unseen_series(m: Material) -> Iterator[Evidence]:
    """Series of test that train does not have."""
    spec, history = _known(m)
    if spec is None or history is None:
        return
    series, _ = history.place(m.X_test)
    new = series < 0
    if new.any():
        names = m.X_test.loc[new, list(spec.id)].astype("str").agg(" / ".join, axis=1).unique()
        yield Evidence(
            text=f"{counted(int(new.sum()), 'test row belongs', 'test rows belong')} to "
            f"{counted(len(names), 'series', 'series')} that train does not have: {some(names)}",
            remedy="they have no past: models predict them by their other columns, the baselines "
            "by the mean of all. If most are new, validate so: [cv] splitter = "
            '"group_time"',
            columns=spec.id,
        )


def without_past(m: Material) -> Iterator[Evidence]:
    """What `[series]` would look up and the training rows do not have."""
    yield from _short_series(m)
    yield from _unknown_seasons(m)


def _short_series(m: Material) -> Iterator[Evidence]:
    """Series shorter than the longest lag, and test rows of which no lag is known."""
    spec, history = _known(m)
    if spec is None or history is None or not spec.lags:
        return
    grid = history.grid(np.zeros(len(m.X)))
    present = ~np.isnan(grid)
    length = present.shape[1] - present.argmax(axis=1)  # from the first value to the last step
    longest = max(spec.lags)
    short = int((length < longest).sum())
    if short:
        yield Evidence(
            text=f"{short} of {len(grid)} series begin less than {longest} steps before the end of "
            f"the training rows, the longest of series.lags; the shortest has {int(length.min())}",
            remedy="that lag is missing in all of their rows, which models take; leave it out of "
            "series.lags if most series are so short",
            severity="info" if 2 * short < len(grid) else None,
        )
    series, step = history.place(m.X_test)
    without = np.all([np.isnan(at(grid, series, step - lag)) for lag in spec.lags], axis=0)
    without &= series >= 0  # unseen series are another finding
    if without.any():
        times = m.X_test[m.columns.time or ""][without]
        yield Evidence(
            text=f"{counted(int(without.sum()), 'test row has', 'test rows have')} no known value "
            f"at any of series.lags = {list(spec.lags)}, times {times.min()} to {times.max()}",
            remedy="there are holes in the training rows there; other lags or seasons may reach "
            "over them",
        )


def _unknown_seasons(m: Material) -> Iterator[Evidence]:
    """Test rows at a place in a season, a month of the year, that no training row has."""
    spec, history = _known(m)
    if spec is None or history is None:
        return
    _, known = history.place(m.X)
    _, step = history.place(m.X_test)
    for season in spec.seasons:
        without = ~np.isin(step % season, known % season)
        if without.any():
            times = m.X_test[m.columns.time or ""][without]
            yield Evidence(
                text=f"{counted(int(without.sum()), 'test row lies', 'test rows lie')} at a place "
                f"in the season of {season} steps that no training row has, times {times.min()} "
                f"to {times.max()}",
                remedy="what is usual there is not known to any model, and the seasonal baselines "
                "say the mean of the series; believe CV less for these rows",
            )


def _history(m: Material) -> History | None:
    spec, time = m.settings.series, m.columns.time
    if spec is None or time is None or not {time, *spec.id} <= set(m.X.columns):
        return None
    return History(m.X, spec.id, time, spec.step)


def _known(m: Material) -> tuple[SeriesSpec | None, History | None]:
    try:
        return m.settings.series, _history(m)
    except KitError:
        return None, None  # `unusable` says why
