"""`kit check --deep` on planted leaks and drifts, and on clean data that look suspicious.

Each case is a small competition, generated or made of a data set that scikit-learn ships. A planted
one names the codes of which one has to appear; a clean one must have no error and no warning of
any code. Run it as

    python tests/benchmarks/planted.py [NAME …] [--seed N]

"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.datasets import (
    load_breast_cancer,
    load_diabetes,
    load_digits,
    load_iris,
    load_wine,
    make_classification,
    make_regression,
)

os.environ.setdefault("OMP_NUM_THREADS", "1")


@dataclass
class Case:
    """A competition before it is written."""

    train: pd.DataFrame
    test: pd.DataFrame
    task: str = "binary"
    tables: dict[str, dict[str, Any]] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)

    def table(self, name: str, **values: Any) -> None:
        self.tables.setdefault(name, {}).update(values)

    def both(self, name: str, values: Any) -> None:
        self.train[name] = np.asarray(values)[: len(self.train)]
        self.test[name] = np.asarray(values)[len(self.train) :]

    @property
    def size(self) -> int:
        return len(self.train) + len(self.test)


Maker = Callable[[np.random.Generator], Case]
PLANTED: dict[str, tuple[Maker, tuple[str, ...]]] = {}
CLEAN: dict[str, Maker] = {}


def planted(*codes: str) -> Callable[[Maker], Maker]:
    def keep(make: Maker) -> Maker:
        PLANTED[make.__name__] = (make, codes)
        return make

    return keep


def clean(make: Maker) -> Maker:
    CLEAN[make.__name__] = make
    return make


# --- where the rows come from --------------------------------------------------------------------


def split(frame: pd.DataFrame, y: Any, rng: np.random.Generator, task: str = "binary") -> Case:
    """Seven tenths of the rows, drawn at random, are train; ids are random numbers."""
    order = rng.permutation(len(frame))
    frame = frame.iloc[order].reset_index(drop=True)
    y = np.asarray(y)[order]
    frame.insert(0, "id", rng.choice(10 * len(frame), len(frame), replace=False) + 1000)
    cut = int(0.7 * len(frame))
    train = frame[:cut].assign(y=y[:cut])
    return Case(train, frame[cut:].reset_index(drop=True), task)


def cancer(rng: np.random.Generator) -> Case:
    data = load_breast_cancer()
    names = [name.replace(" ", "_") for name in data.feature_names]
    return split(pd.DataFrame(data.data, columns=names), data.target, rng)


def sugar(rng: np.random.Generator) -> Case:
    data = load_diabetes()
    return split(
        pd.DataFrame(data.data, columns=data.feature_names), data.target, rng, "regression"
    )


def grapes(rng: np.random.Generator) -> Case:
    data = load_wine()
    names = [name.replace("/", "_") for name in data.feature_names]
    return split(pd.DataFrame(data.data, columns=names), data.target, rng, "multiclass")


def clients(rng: np.random.Generator, n: int = 1500) -> Case:
    """Customers: skewed amounts, categories, gaps; a target that is half noise."""
    frame = pd.DataFrame(
        {
            "age": rng.integers(18, 80, n),
            "income": rng.lognormal(8, 0.6, n).round(2),
            "balance": rng.standard_t(3, n) * 500,
            "visits": rng.poisson(3, n),
            "city": rng.choice(["Oslo", "Rom", "Wien", "Paris", "Bern"], n),
            "plan": rng.choice(["free", "plus", "pro"], n, p=[0.6, 0.3, 0.1]),
        }
    )
    logit = (np.log(frame["income"]) - 8) * 1.5 + (frame["plan"] == "pro") + frame["visits"] / 4 - 1
    frame.loc[rng.random(n) < 0.1, "balance"] = np.nan
    return split(frame, (logit + rng.logistic(size=n) > 0).astype(int), rng)


def curves(rng: np.random.Generator, n: int = 1200) -> Case:
    X, y = make_classification(
        n, 12, n_informative=6, class_sep=0.7, flip_y=0.02, random_state=int(rng.integers(1 << 30))
    )
    return split(pd.DataFrame(X, columns=[f"x{k}" for k in range(12)]), y, rng)


# --- planted -------------------------------------------------------------------------------------


@planted("KIT201", "KIT203")
def golden_copy_with_noise(rng: np.random.Generator) -> Case:
    case = clients(rng)
    case.both("score", rng.normal(size=case.size))
    case.train["score"] += 4 * case.train["y"]
    return case


@planted("KIT201", "KIT203")
def golden_number_of_a_regression(rng: np.random.Generator) -> Case:
    case = sugar(rng)
    y = case.train["y"]
    case.both("follow_up", rng.normal(y.mean(), y.std(), case.size))
    case.train["follow_up"] = y + rng.normal(scale=0.2 * y.std(), size=len(y))
    return case


@planted("KIT201", "KIT203")
def golden_category(rng: np.random.Generator) -> Case:
    case = clients(rng)
    case.both("status", rng.choice(["open", "closed", "new"], case.size))
    told = np.where(case.train["y"] == 1, "closed", "open")
    case.train["status"] = np.where(rng.random(len(told)) < 0.04, "new", told)
    return case


@planted("KIT202", "KIT204")
def gaps_of_one_column(rng: np.random.Generator) -> Case:
    case = clients(rng)
    case.both("last_payment", rng.normal(size=case.size))
    p = np.where(case.train["y"] == 1, 0.95, 0.05)
    case.train.loc[rng.random(len(p)) < p, "last_payment"] = np.nan
    return case


@planted("KIT204")
def gaps_of_several_columns(rng: np.random.Generator) -> Case:
    case = curves(rng)
    for k in range(5):
        gone = rng.random(len(case.train)) < np.where(case.train["y"] == 1, 0.45, 0.05)
        case.train.loc[gone, f"x{k}"] = np.nan
        case.test.loc[rng.random(len(case.test)) < 0.25, f"x{k}"] = np.nan
    return case


@planted("KIT204", "KIT132")
def gaps_that_test_has_not(rng: np.random.Generator) -> Case:
    case = clients(rng)
    case.both("survey", rng.normal(size=case.size))
    p = np.where(case.train["y"] == 1, 0.6, 0.25)
    case.train.loc[rng.random(len(p)) < p, "survey"] = np.nan
    return case


@planted("KIT205")
def rows_sorted_by_target(rng: np.random.Generator) -> Case:
    case = grapes(rng)
    case.train = case.train.sort_values("y", kind="stable").reset_index(drop=True)
    return case


@planted("KIT205")
def rows_in_sessions(rng: np.random.Generator) -> Case:
    case = clients(rng)
    sessions = np.repeat(rng.permutation(11), 100)[: len(case.train)] % 2
    wish = np.where(rng.random(len(case.train)) < 0.85, sessions, 1 - sessions)
    rows = {label: list(np.flatnonzero(case.train["y"] == label)) for label in (0, 1)}
    order = [(rows[k] or rows[1 - k]).pop() for k in wish]
    case.train = case.train.iloc[order].reset_index(drop=True)
    return case


@planted("KIT208")
def two_sources_of_decimals(rng: np.random.Generator) -> Case:
    """Rows of one outcome come from a source that rounds."""
    case = clients(rng)
    weight = rng.gamma(9.0, 8.0, case.size)
    short = np.r_[case.train["y"] == 1, rng.random(len(case.test)) < 0.5]
    case.both("weight", np.where(short, weight.round(2), weight.round(4)))
    return case


@planted("KIT208")
def seconds_were_lost(rng: np.random.Generator) -> Case:
    """Rows of one outcome were entered by hand, to the minute."""
    case = clients(rng)
    when = pd.Series(
        pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 9e6, case.size), "s")
    )
    short = np.r_[case.train["y"] == 1, rng.random(len(case.test)) < 0.5]
    case.both("seen", when.where(~short, when.dt.floor("min")).dt.strftime("%Y-%m-%d %H:%M:%S"))
    case.table("columns", kinds={"seen": "datetime"})
    return case


@planted("KIT206")
def ids_by_outcome(rng: np.random.Generator) -> Case:
    case = cancer(rng)
    case.train["id"] = rng.permutation(len(case.train)) * 7 + 30_000 + 2_000 * case.train["y"]
    case.train["id"] += case.train["y"]  # no number twice
    return case


@planted("KIT206")
def odd_ids_are_positive(rng: np.random.Generator) -> Case:
    case = clients(rng)
    numbers = rng.permutation(50_000)[: len(case.train)] * 2
    flips = (rng.random(len(case.train)) < 0.1).astype(int)
    case.train["id"] = numbers + (case.train["y"] ^ flips)
    case.test["id"] = rng.permutation(50_000)[: len(case.test)] + 200_000
    return case


@planted("KIT206")
def ids_begin_with_the_source(rng: np.random.Generator) -> Case:
    case = clients(rng)
    source = np.where(rng.random(len(case.train)) < 0.8, case.train["y"], 1 - case.train["y"])
    case.train["id"] = [
        f"{'AB'[k]}{n:06}"
        for k, n in zip(source, rng.permutation(10**6)[: len(source)], strict=True)
    ]
    case.test["id"] = [f"{'AB'[n % 2]}{n:06}" for n in rng.permutation(10**6)[: len(case.test)]]
    return case


@planted("KIT207")
def larger_files_are_positive(rng: np.random.Generator) -> Case:
    case = curves(rng)
    case.both("image", [f"scan_{n}.bin" for n in rng.permutation(10**5)[: case.size]])
    labels = [*case.train["y"], *rng.integers(0, 2, len(case.test))]
    for name, label in zip([*case.train["image"], *case.test["image"]], labels, strict=True):
        size = int(rng.integers(100, 200)) + 60 * int(label)
        case.files[f"images/{name}"] = bytes(size)
    case.table("columns", kinds={"image": "id"})
    return case


@planted("KIT104")
def copies_with_noise(rng: np.random.Generator) -> Case:
    case = cancer(rng)
    names = [name for name in case.train if name not in ("id", "y")]
    more = case.train.sample(40, random_state=1)
    more[names] += rng.normal(size=more[names].shape) * 0.005 * case.train[names].std().to_numpy()
    more["id"] = more["id"] + 100_000
    case.train = pd.concat([case.train, more]).sample(frac=1, random_state=2, ignore_index=True)
    return case


@planted("KIT105")
def copies_with_another_label(rng: np.random.Generator) -> Case:
    case = curves(rng)
    names = [name for name in case.train if name not in ("id", "y")]
    more = case.train.sample(80, random_state=1)
    more[names] += rng.normal(size=more[names].shape) * 0.005
    more["y"], more["id"] = 1 - more["y"], more["id"] + 100_000
    case.train = pd.concat([case.train, more]).sample(frac=1, random_state=2, ignore_index=True)
    return case


@planted("KIT106")
def copies_across_the_files(rng: np.random.Generator) -> Case:
    case = sugar(rng)
    names = [name for name in case.test if name != "id"]
    rows = rng.permutation(len(case.train))[:25]
    spread = case.train[names].std().to_numpy()
    noise = rng.normal(size=(25, len(names))) * 0.005 * spread
    case.test.loc[:24, names] = case.train.loc[rows, names].to_numpy() + noise
    return case


@planted("KIT103")
def rows_of_train_in_test(rng: np.random.Generator) -> Case:
    case = clients(rng)
    names = [name for name in case.test if name != "id"]
    rows = rng.permutation(len(case.train))[:60]
    case.test.loc[:59, names] = case.train.loc[rows, names].to_numpy()
    for name in names:
        case.test[name] = case.test[name].astype(case.train[name].dtype)
    return case


@planted("KIT132")
def a_shifted_number(rng: np.random.Generator) -> Case:
    case = clients(rng)
    case.test["balance"] += 400
    return case


@planted("KIT132")
def another_spread(rng: np.random.Generator) -> Case:
    case = curves(rng)
    case.test["x3"] = (case.test["x3"] - case.test["x3"].mean()) * 2.5 + case.test["x3"].mean()
    return case


@planted("KIT132")
def other_shares_of_levels(rng: np.random.Generator) -> Case:
    case = clients(rng)
    case.test["city"] = rng.choice(
        ["Oslo", "Rom", "Wien", "Paris", "Bern"], len(case.test), p=[0.4, 0.3, 0.1, 0.1, 0.1]
    )
    return case


@planted("KIT116", "KIT132")
def new_levels_in_test(rng: np.random.Generator) -> Case:
    case = clients(rng)
    rows = rng.random(len(case.test)) < 0.35
    case.test.loc[rows, "city"] = rng.choice(["Rio", "Lima"], int(rows.sum()))
    return case


@planted("KIT132")
def more_gaps_in_test(rng: np.random.Generator) -> Case:
    case = curves(rng)
    case.test.loc[rng.random(len(case.test)) < 0.3, "x5"] = np.nan
    case.train.loc[rng.random(len(case.train)) < 0.02, "x5"] = np.nan
    return case


@planted("KIT131")
def only_the_combination_differs(rng: np.random.Generator) -> Case:
    case = curves(rng)
    for frame, sign in ((case.train, 1), (case.test, -1)):
        common = rng.normal(size=len(frame))
        frame["u"] = common + 0.4 * rng.normal(size=len(frame))
        frame["v"] = sign * common + 0.4 * rng.normal(size=len(frame))
    return case


def houses(rng: np.random.Generator, n_groups: int = 150) -> tuple[Case, np.ndarray]:
    """Ten rows per house, which share a level; whole houses are test."""
    house = np.repeat(np.arange(n_groups), 10)
    level = rng.normal(size=n_groups)
    X = rng.normal(size=(len(house), 6)) + level[house, None] * 0.5
    y = (X[:, 0] + level[house] * 2 + rng.normal(size=len(house)) > 0).astype(int)
    frame = pd.DataFrame(X, columns=[f"x{k}" for k in range(6)])
    number = rng.permutation(10 * n_groups)[:n_groups][house]
    frame.insert(0, "id", rng.permutation(10**5)[: len(frame)])
    is_test = np.isin(house, rng.permutation(n_groups)[: n_groups // 3])
    train, test = frame[~is_test].assign(y=y[~is_test]), frame[is_test]
    order = rng.permutation(len(train))
    case = Case(train.iloc[order].reset_index(drop=True), test.reset_index(drop=True))
    both = np.concatenate([number[~is_test][order], number[is_test]])
    return case, both


@planted("KIT331", "KIT116")
def test_of_other_houses(rng: np.random.Generator) -> Case:
    case, house = houses(rng)
    case.both("house_number", house)
    case.table("columns", drop=["house_number"])
    return case


@planted("KIT331", "KIT116")
def houses_in_the_ids(rng: np.random.Generator) -> Case:
    case, house = houses(rng)
    ids = [f"h{h}_{n}" for h, n in zip(house, rng.permutation(10**4), strict=False)]
    case.both("id", np.array(ids, dtype=object))
    return case


@planted("KIT302")
def houses_in_two_folds(rng: np.random.Generator) -> Case:
    case, house = houses(rng)
    case.both("house", house)
    case.table("columns", group="house")
    return case


def days(rng: np.random.Generator, n: int = 1200) -> pd.DataFrame:
    frame = pd.DataFrame(rng.normal(size=(n, 5)), columns=[f"x{k}" for k in range(5)])
    frame.insert(0, "id", rng.permutation(10**5)[:n])
    stamps = pd.Timestamp("2023-01-01") + pd.to_timedelta(np.arange(n) * 7, "h")
    frame["day"] = stamps.strftime("%Y-%m-%d %H:%M").astype("str")
    frame["y"] = (frame["x0"] + rng.normal(size=n) > 0).astype(int)
    return frame


def later_rows(rng: np.random.Generator) -> Case:
    frame = days(rng)
    train = frame[:840].sample(frac=1, random_state=1, ignore_index=True)
    return Case(train, frame[840:].drop(columns="y").reset_index(drop=True))


@planted("KIT332", "KIT305")
def test_lies_later(rng: np.random.Generator) -> Case:
    case = later_rows(rng)
    case.table("columns", kinds={"day": "datetime"})
    return case


@planted("KIT303", "KIT305")
def time_is_named_and_ignored(rng: np.random.Generator) -> Case:
    case = later_rows(rng)
    case.table("columns", time="day", kinds={"day": "datetime"})
    return case


@planted("KIT107")
def labels_flipped(rng: np.random.Generator) -> Case:
    case = cancer(rng)
    rows = rng.random(len(case.train)) < 0.1
    case.train.loc[rows, "y"] = 1 - case.train.loc[rows, "y"]
    return case


@planted("KIT107")
def digits_mixed_up(rng: np.random.Generator) -> Case:
    data = load_digits()
    frame = pd.DataFrame(data.data, columns=[f"p{k}" for k in range(64)]).astype(int)
    case = split(frame, data.target, rng, "multiclass")
    rows = rng.random(len(case.train)) < 0.08
    case.train.loc[rows, "y"] = (case.train.loc[rows, "y"] + 3) % 10
    return case


@planted("KIT211")
def features_look_around(rng: np.random.Generator) -> Case:
    case = clients(rng)
    case.files["../../features.py"] = (
        b"def features(df):\n    df['rank'] = df['income'].rank(pct=True)\n    return df\n"
    )
    return case


# --- clean, and suspicious to look at ------------------------------------------------------------


@clean
def plain_cancer(rng: np.random.Generator) -> Case:
    return cancer(rng)


@clean
def plain_diabetes(rng: np.random.Generator) -> Case:
    return sugar(rng)


@clean
def plain_wine(rng: np.random.Generator) -> Case:
    return grapes(rng)


@clean
def plain_iris(rng: np.random.Generator) -> Case:
    data = load_iris(as_frame=True)
    names = ["sepal_length", "sepal_width", "petal_length", "petal_width"]
    # equal rows are in the data, rounded to a millimetre; they are real
    frame = data.data.set_axis(names, axis=1)
    return split(frame + rng.normal(scale=0.02, size=frame.shape), data.target, rng, "multiclass")


@clean
def plain_digits(rng: np.random.Generator) -> Case:
    data = load_digits()
    frame = pd.DataFrame(data.data, columns=[f"p{k}" for k in range(64)]).astype(int)
    keep = [name for name in frame if frame[name].nunique() > 5]
    return split(frame[keep], data.target, rng, "multiclass")


@clean
def plain_clients(rng: np.random.Generator) -> Case:
    return clients(rng)


@clean
def rare_class(rng: np.random.Generator) -> Case:
    X, y = make_classification(
        3000, 10, n_informative=5, weights=[0.97], random_state=int(rng.integers(1 << 30))
    )
    return split(pd.DataFrame(X, columns=[f"x{k}" for k in range(10)]), y, rng)


@clean
def very_rare_class_and_noise(rng: np.random.Generator) -> Case:
    case = clients(rng, 4000)
    case.train["y"] = (rng.random(len(case.train)) < 0.01).astype(int)
    return case


@clean
def many_gaps_at_random(rng: np.random.Generator) -> Case:
    case = curves(rng)
    for k in range(10):
        for frame in (case.train, case.test):
            frame.loc[rng.random(len(frame)) < 0.1 + 0.07 * k, f"x{k}"] = np.nan
    return case


@clean
def honest_gaps(rng: np.random.Generator) -> Case:
    """No cabin, no money: gaps say something, and in test they do as well."""
    case = clients(rng)
    poor = np.r_[case.train["income"], case.test["income"]] < 3000
    cabin = np.where(rng.random(case.size) < np.where(poor, 0.8, 0.3), np.nan, 1.0)
    case.both("cabin", cabin * rng.integers(1, 90, case.size))
    return case


@clean
def heavy_tails(rng: np.random.Generator) -> Case:
    n = 1500
    frame = pd.DataFrame(rng.standard_cauchy(size=(n, 8)), columns=[f"x{k}" for k in range(8)])
    frame["x8"] = rng.pareto(0.8, n)
    y = np.sign(frame["x0"]) * np.log1p(frame["x0"].abs()) + rng.standard_t(2, n)
    return split(frame, y, rng, "regression")


@clean
def many_levels(rng: np.random.Generator) -> Case:
    case = clients(rng)
    case.both("street", [f"street {k}" for k in rng.integers(0, 400, case.size)])
    case.both("zip", rng.integers(10_000, 10_300, case.size))
    return case


@clean
def few_rows(rng: np.random.Generator) -> Case:
    return clients(rng, 160)


@clean
def few_rows_many_columns(rng: np.random.Generator) -> Case:
    X, y = make_regression(
        200, 300, n_informative=10, noise=10.0, random_state=int(rng.integers(1 << 30))
    )
    return split(pd.DataFrame(X, columns=[f"g{k}" for k in range(300)]), y, rng, "regression")


@clean
def strong_columns_that_agree(rng: np.random.Generator) -> Case:
    n = 1200
    base = rng.normal(size=n)
    frame = pd.DataFrame({f"m{k}": base + 0.15 * rng.normal(size=n) for k in range(8)})
    return split(frame, (base + 0.2 * rng.normal(size=n) > 0).astype(int), rng)


@clean
def one_honest_strong_column(rng: np.random.Generator) -> Case:
    case = clients(rng)
    case.train["y"] = (
        np.log(case.train["income"]) + 0.5 * rng.normal(size=len(case.train)) > 8
    ).astype(int)
    return case


@clean
def year_of_building(rng: np.random.Generator) -> Case:
    case = clients(rng)
    year = 1900 + (120 * rng.beta(3, 1, case.size)).astype(int)
    case.both("year_built", year)
    case.train["y"] = (
        (case.train["year_built"] - 1985) / 20 + rng.normal(size=len(case.train)) > 0
    ).astype(int)
    return case


@clean
def later_test_with_forward_folds(rng: np.random.Generator) -> Case:
    case = later_rows(rng)
    case.table("columns", time="day", kinds={"day": "datetime"})
    case.table("cv", splitter="time_series", n_splits=4)
    return case


@clean
def rows_in_time_order_with_a_trend(rng: np.random.Generator) -> Case:
    frame = days(rng)
    trend = np.linspace(-2, 2, len(frame))
    frame["y"] = (frame["x0"] + trend + rng.normal(size=len(frame)) > 0).astype(int)
    case = Case(frame[:840].copy(), frame[840:].drop(columns="y").reset_index(drop=True))
    case.train["id"], case.test["id"] = np.arange(840), np.arange(840, 1200)
    case.table("columns", time="day", kinds={"day": "datetime"})
    case.table("cv", splitter="time_series", n_splits=4)
    return case


@clean
def other_houses_with_group_folds(rng: np.random.Generator) -> Case:
    case, house = houses(rng)
    case.both("house", house)
    case.table("columns", group="house")
    case.table("cv", splitter="group_kfold")
    return case


@clean
def ids_in_file_order(rng: np.random.Generator) -> Case:
    case = clients(rng)
    case.train["id"] = np.arange(len(case.train))
    case.test["id"] = np.arange(len(case.train), case.size)
    return case


@clean
def long_ids_in_random_order(rng: np.random.Generator) -> Case:
    case = clients(rng)
    case.both("id", np.array([f"{n:016x}" for n in rng.integers(0, 2**62, case.size)], object))
    return case


@clean
def sums_that_are_often_zero(rng: np.random.Generator) -> Case:
    """A zero is written short and says much; so does a price that ends in .99."""
    case = clients(rng)
    y = np.r_[case.train["y"], rng.integers(0, 2, len(case.test))]
    paid = np.where(rng.random(case.size) < 0.3 + 0.4 * y, 0.0, rng.gamma(2.0, 30.0, case.size))
    case.both("paid", paid.round(2))
    case.both("price", np.floor(rng.gamma(3.0, 10.0, case.size) + 5 * y) + 0.99)
    return case


@clean
def coarse_counts(rng: np.random.Generator) -> Case:
    n = 1500
    frame = pd.DataFrame(rng.poisson(1.5, size=(n, 12)), columns=[f"c{k}" for k in range(12)])
    y = (frame.sum(axis=1) + rng.normal(scale=3, size=n) > 18).astype(int)
    return split(frame, y, rng)


@clean
def pure_noise(rng: np.random.Generator) -> Case:
    case = curves(rng)
    case.train["y"] = rng.permutation(case.train["y"])
    return case


# --- one competition after the other -------------------------------------------------------------


def write(case: Case, root: Path) -> None:
    """The folder of a competition."""
    raw = root / "data" / "raw"
    raw.mkdir(parents=True)
    sample = pd.DataFrame({"id": case.test["id"], "y": 0})
    frames = {"train": case.train, "test": case.test, "sample_submission": sample}
    for name, frame in frames.items():
        frame.to_csv(raw / f"{name}.csv", index=False)
    for name, content in case.files.items():
        path = raw / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    numbers = case.task == "regression"
    classes = [] if numbers else [str(k) for k in sorted(case.train["y"].unique())]
    metric = {"regression": "rmse", "binary": "roc_auc", "multiclass": "accuracy"}[case.task]
    wants = {"regression": "value", "binary": "probability", "multiclass": "label"}[case.task]
    text = [c for c in case.train if c not in ("id", "y") and case.train[c].dtype.kind in "OT"]
    text += [c for c in case.train if str(case.train[c].dtype) == "str" and c not in ("id", "y")]
    kinds = {**dict.fromkeys(text, "category"), **case.tables.get("columns", {}).pop("kinds", {})}
    tables: dict[str, dict[str, Any]] = {
        "competition": {"slug": root.name},
        "columns": {"id": "id", "target": "y", "kinds": kinds},
        "task": {"type": case.task, "metric": metric, "classes": classes},
        "submission": {"wants": wants, "columns": ["y"]},
        "cv": {"splitter": "kfold" if numbers else "stratified_kfold", "models": ["linear"]},
        "execution": {"threads": 1},
    }
    for name, table in case.tables.items():
        tables[name].update(table)
    lines = [f"{name} = {toml(table)}" for name, table in tables.items()]
    (root / "kit.toml").write_text("\n".join(["schema = 1", *lines]), encoding="utf-8")


def toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)} = {toml(v)}" for k, v in value.items()) + "}"
    return json.dumps(value)


def findings(case: Case) -> dict[str, str]:
    """Codes of errors and warnings, with what was seen; notes are shown as such."""
    from kit.checks import check
    from kit.competition import Competition

    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "case"
        write(case, root)
        report = check(Competition.load(root), deep=True)
    return {
        f.code + ("" if f.severity != "info" else " (info)"): f.evidence for f in report.findings
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*")
    parser.add_argument("--seed", type=int, default=0)
    wanted = parser.parse_args()
    n_found = alarms = 0
    started = time.perf_counter()
    for name, (make, codes) in PLANTED.items():
        if wanted.names and name not in wanted.names:
            continue
        seen = findings(make(np.random.default_rng(wanted.seed)))
        found = any(code.split()[0] in codes for code in seen)
        n_found += found
        print(
            f"planted  {name:<34}{'found' if found else 'MISSED':<8}{', '.join(seen)}", flush=True
        )
        if wanted.names:
            print(json.dumps(seen, indent=1))
    for name, clean_make in CLEAN.items():
        if wanted.names and name not in wanted.names:
            continue
        seen = findings(clean_make(np.random.default_rng(wanted.seed)))
        loud = [code for code in seen if not code.endswith("(info)")]
        alarms += bool(loud)
        print(f"clean    {name:<34}{'ALARM' if loud else 'quiet':<8}{', '.join(seen)}", flush=True)
        if loud or wanted.names:
            print(json.dumps(seen, indent=1))
    print(f"{n_found} of {len(PLANTED)} found, {alarms} of {len(CLEAN)} false alarms", end="")
    print(f" ({time.perf_counter() - started:.0f} s, seed {wanted.seed})")


if __name__ == "__main__":
    main()
