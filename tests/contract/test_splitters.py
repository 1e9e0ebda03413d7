"""Every registered splitter keeps the contract; a new line in the table is tested by existing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from kit.errors import ConfigError
from kit.registry import SPLITTERS
from kit.settings import CVSpec
from kit.splitters import check_splitter

SPEC = CVSpec(splitter="mine", n_splits=4, block="5D", horizon="10D")
TIMED = ("time_series", "time_windows", "time_blocks", "group_time")
EVERYWHERE = [n for n in SPLITTERS.table if n not in ("time_series", "time_windows", "group_time")]


def fold_of(given: Any) -> np.ndarray:
    return given[0] if isinstance(given, tuple) else given


def test_there_are_splitters_to_check() -> None:
    assert len(SPLITTERS.table) >= 8


@pytest.mark.parametrize("name", SPLITTERS.table)
@pytest.mark.parametrize("n_splits", [2, 4, 7])
def test_splitter_keeps_the_contract(name: str, n_splits: int) -> None:
    check_splitter(
        SPLITTERS.load(name),
        CVSpec(splitter=name, n_splits=n_splits, block="3D", horizon="10D", seed=7),
    )


@pytest.mark.parametrize("name", TIMED)
@pytest.mark.parametrize("gap", ["3D", "4"])
def test_splitter_that_follows_time_keeps_the_contract_with_a_gap(name: str, gap: str) -> None:
    spec = CVSpec(splitter=name, n_splits=3, block="9D", horizon="10D", gap=gap)
    check_splitter(SPLITTERS.load(name), spec)


@pytest.mark.parametrize("name", EVERYWHERE)
def test_splitter_validates_every_row_in_folds_of_about_equal_size(name: str) -> None:
    import pandas as pd

    rng = np.random.default_rng(0)
    y, groups = rng.integers(0, 2, 300), np.repeat(np.arange(100), 3)
    time = pd.Series(np.arange(300))
    spec = CVSpec(splitter=name, n_splits=5, block="10")
    counts = np.bincount(fold_of(SPLITTERS.load(name)(y, groups, time, spec)), minlength=5)
    assert counts.tolist() == [60] * 5


@pytest.mark.parametrize("name", EVERYWHERE)
def test_another_seed_gives_other_folds(name: str) -> None:
    import pandas as pd

    rng = np.random.default_rng(0)
    y, groups = rng.integers(0, 2, 300), rng.integers(0, 60, 300)
    time = pd.Series(np.arange(300))
    spec = CVSpec(splitter=name, n_splits=5, block="10")
    splitter = SPLITTERS.load(name)
    first = fold_of(splitter(y, groups, time, spec))
    assert not np.array_equal(first, fold_of(splitter(y, groups, time, replace(spec, seed=43))))


def test_contract_finds_folds_that_change_with_every_call() -> None:
    rng = np.random.default_rng(0)

    def restless(y: Any, groups: Any, time: Any, spec: CVSpec) -> np.ndarray:
        return rng.permutation(len(y)) % spec.n_splits

    with pytest.raises(ConfigError, match="same seed"):
        check_splitter(restless, SPEC)


def test_contract_finds_a_group_in_two_folds() -> None:
    def careless(y: Any, groups: Any, time: Any, spec: CVSpec) -> np.ndarray:
        if groups is None:
            raise ConfigError("needs groups")
        return np.arange(len(y)) % spec.n_splits

    with pytest.raises(ConfigError, match="groups lie in two folds"):
        check_splitter(careless, SPEC)


def test_contract_finds_a_forward_splitter_that_trains_on_the_future() -> None:
    def backward(y: Any, groups: Any, time: Any, spec: CVSpec) -> np.ndarray:
        return np.arange(len(y)) % spec.n_splits - 1

    backward.forward = True  # type: ignore[attr-defined]
    with pytest.raises(ConfigError, match="fold 0 trains on times that it validates"):
        check_splitter(backward, SPEC)


def test_contract_finds_a_gap_that_is_a_day_too_short() -> None:
    away = []

    def near(y: Any, groups: Any, time: Any, spec: CVSpec) -> Any:
        before = (time.max() - time).dt.days.to_numpy()  # the latest day is validated
        purged = (before > 0) & (before < 3)
        away.append(int(before[before >= 3].min()))
        return np.where(before == 0, 0, -1), purged[:, None]

    check_splitter(near, replace(SPEC, gap="2D"))
    with pytest.raises(ConfigError, match=rf"the nearest is {away[0]} days away"):
        check_splitter(near, replace(SPEC, gap=f"{away[0]}D"))


@pytest.mark.parametrize(
    "given",
    [
        np.zeros(3, dtype=int),
        np.zeros(240),
        np.full(240, -2),
        np.full(240, -1),
        np.arange(240) % 3 * 2,
    ],
    ids=["too short", "floats", "below -1", "nothing validated", "gap"],
)
def test_contract_finds_what_is_not_folds(given: np.ndarray) -> None:
    with pytest.raises(ConfigError, match="splitter = 'mine' must return one whole number"):
        check_splitter(lambda y, groups, time, spec: given, SPEC)
