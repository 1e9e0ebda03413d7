"""The portfolio: which configurations `kit auto` tries, in which order, and on which data.

Plain data. The order is by what a next model adds to a blend of those before it in little time:
boosters for little and for much data, a linear model, a network, something quick and different, and
only then variations. Names work everywhere a model's name does: `kit cv lightgbm-deep`.

Sources of the LightGBM configurations: the zero-shot portfolios that AutoGluon learned over some
hundred data sets (AutoGluon 1.5 and 1.6, 2025-2026: r177, r163, r72, prep r13); their numbers stand
beside the entries, which take larger steps since time is short. Networks: see `kit.models.neural`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from itertools import cycle, islice
from typing import Any

from kit.competition import Competition, ModelSpec
from kit.errors import UnknownName, nearest
from kit.registry import MODELS
from kit.spaces import SPACES, draw


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One configuration.

    Attributes:
        name: as in `kit cv NAME`.
        use: registered name of the model.
        why: what it is there for, in a few words.
        params: hyper-parameters.
        recipe: how columns are prepared; empty: as the model's family asks for.
        min_rows, max_rows: on fewer or more training rows it is left out.
        max_cells: the same for rows x features.
        min_seconds: with less time for it, it is not started; of tables up to a million cells.
        tasks: types of task it is for; empty: all.
        levels: only for data with categories whose levels other models do not see.
        package: the optional package it needs.
        seeded: whether another seed gives another model.
        weight: how many fair shares of the time it may have.
    """

    name: str
    use: str
    why: str
    params: Mapping[str, Any] = field(default_factory=dict)
    recipe: str = ""
    min_rows: int = 0
    max_rows: float = float("inf")
    max_cells: float = float("inf")
    min_seconds: float = 2.0
    tasks: tuple[str, ...] = ()
    levels: bool = False
    package: str = ""
    seeded: bool = True
    weight: float = 1.0

    @property
    def spec(self) -> ModelSpec:
        """The same as `[models.<name>]` of `kit.toml` says it."""
        return ModelSpec(use=self.use, params=dict(self.params), recipe=self.recipe)


PORTFOLIO: tuple[Entry, ...] = (
    Entry(
        name="lightgbm-loose",
        use="lightgbm",
        why="no penalty on leaves: clear classes are learnt in a tenth of the rounds",
        params={"learning_rate": 0.05, "lambda_l2": 0.0, "extra_trees": True},
        tasks=("multiclass",),
    ),
    Entry(name="lightgbm", use="lightgbm", why="the strongest single start"),
    Entry(
        name="lightgbm-deep",
        use="lightgbm",
        why="many leaves (r163 with larger steps): for data that fill them",
        params={
            "learning_rate": 0.04,
            "num_leaves": 84,
            "min_data_in_leaf": 3,
            "feature_fraction": 0.53,
            "bagging_fraction": 0.98,
            "lambda_l1": 0.027,
            "lambda_l2": 0.84,
        },
        min_rows=20_000,
    ),
    Entry(
        name="lightgbm-shallow",
        use="lightgbm",
        why="few leaves, random thresholds: the best of all on little or noisy data",
        max_rows=20_000,
        params={
            "n_estimators": 3000,
            "learning_rate": 0.05,
            "num_leaves": 8,
            "min_data_in_leaf": 15,
            "feature_fraction": 0.43,
            "bagging_fraction": 0.72,
            "extra_trees": True,
        },
    ),
    Entry(
        name="catboost",
        use="catboost",
        why="ordered boosting of symmetric trees",
        min_seconds=5,
        weight=1.5,
    ),
    Entry(
        name="lightgbm-extra",
        use="lightgbm",
        why="random thresholds, few columns per tree (r177)",
        max_rows=30_000,
        params={
            "n_estimators": 3000,
            "learning_rate": 0.03,
            "num_leaves": 39,
            "min_data_in_leaf": 3,
            "feature_fraction": 0.46,
            "bagging_fraction": 0.88,
            "extra_trees": True,
            "lambda_l1": 0.24,
            "lambda_l2": 0.36,
            "cat_smooth": 15.4,
        },
    ),
    Entry(
        name="linear-made",
        use="linear",
        why="a linear model on columns made of others, wrong in other places than trees",
        recipe="linear_generated",
        max_cells=20e6,
        weight=1.5,
        min_seconds=8,
    ),
    Entry(
        name="tabm",
        use="tabm",
        why="eight networks that share most weights",
        params={"heads": 8, "width": 128, "number_width": 8, "bins": 16, "batch": 256},
        max_cells=15e6,
        min_seconds=15,
        weight=3,
    ),
    Entry(
        name="extra_trees",
        use="extra_trees",
        why="averages instead of steps",
        max_rows=300_000,
        max_cells=30e6,
    ),
    Entry(name="knn", use="knn", why="neighbours", max_rows=15_000, max_cells=2e6, seeded=False),
    Entry(
        name="linear",
        use="linear",
        why="quick and simple",
        max_cells=20e6,
        seeded=False,
    ),
    Entry(
        name="realmlp",
        use="realmlp",
        why="a network errs elsewhere than trees; a quarter of its epochs cost no score",
        params={"epochs": 64},
        max_cells=30e6,
        min_seconds=15,
        weight=2.5,
    ),
    Entry(
        name="lightgbm-made",
        use="lightgbm",
        why="with columns made of others (prep r13)",
        recipe="tree_generated",
        params={
            "learning_rate": 0.0193,
            "num_leaves": 64,
            "min_data_in_leaf": 28,
            "feature_fraction": 0.553,
            "bagging_fraction": 0.992,
            "extra_trees": True,
            "lambda_l1": 0.914,
            "lambda_l2": 1.904,
        },
        max_cells=50e6,
        weight=1.5,
        min_seconds=12,
    ),
    Entry(
        name="xgboost",
        use="xgboost",
        why="boosting with another search for splits",
        package="xgboost",
        min_seconds=5,
        weight=1,
    ),
    Entry(
        name="catboost-levels",
        use="catboost",
        why="sees every level of large categories, and pairs of them",
        recipe="tree_levels",
        levels=True,
        min_seconds=5,
        weight=1.5,
    ),
    Entry(
        name="random_forest",
        use="random_forest",
        why="bagged trees",
        max_rows=50_000,
        max_cells=10e6,
    ),
    Entry(
        name="lightgbm-wide",
        use="lightgbm",
        why="many leaves with random thresholds (r72)",
        max_rows=10_000,
        params={
            "learning_rate": 0.03,
            "num_leaves": 180,
            "min_data_in_leaf": 12,
            "feature_fraction": 0.40,
            "bagging_fraction": 0.95,
            "extra_trees": True,
        },
        weight=1.5,
    ),
)

SHORT = (
    "lightgbm",
    "lightgbm-shallow",
    "catboost",
    "lightgbm-made",
    "linear-made",
    "extra_trees",
    "tabm",
)
"""What `kit cv` validates where `kit.toml` names no model."""

_BY_NAME = {entry.name: entry for entry in PORTFOLIO}

DRAWS = 24
"""Random configurations that follow the portfolio where time is left.

On six packaged tables, two splits each, twelve of them took 0.26 % off the error of a blend of ten
models (better on 11 of 12); twelve further seeds of the best models 0.05 % (better on 6)."""

_TREES = ("lightgbm", "catboost", "lightgbm", "xgboost")
_CYCLE = (*_TREES, "realmlp", *_TREES, "tabm")
_DRAWN = re.compile(rf"({'|'.join(SPACES)})-r([1-9]\d*)")

_COUNTS = ((100, 4), (500, 8), (2500, 15))  # rows -> models; above the last: all
"""How many configurations are worth trying: of few rows the blend learns noise.

Source: the count curve of AutoGluon's `best_quality_v150` preset (2025)."""


def find_model(competition: Competition, name: str) -> ModelSpec:
    """What a name means: a table of `kit.toml`, a portfolio entry, a draw, a registered model.

    Raises:
        UnknownName: none of them, nor `module:attribute`; names the nearest of all.
    """
    if name in competition.settings.models:
        return competition.model(name)
    if name in _BY_NAME:
        return _BY_NAME[name].spec
    drawn = _DRAWN.fullmatch(name)
    if drawn is not None:
        return ModelSpec(use=drawn[1], params=draw(drawn[1], int(drawn[2])))
    registered = [entry.name for entry in MODELS.entries()]
    if ":" not in name and name not in registered:
        known = {*competition.settings.models, *_BY_NAME, *registered}
        raise UnknownName(f"unknown model {name!r}. {nearest(name, known)}")
    return competition.model(name)


def draws(tried: Sequence[Entry]) -> Iterator[Entry]:
    """Random configurations of the libraries and networks among `tried`, `DRAWS` of them.

    The blend gains more from other configurations than from other seeds of the same ones.
    """
    like = {entry.use: entry for entry in reversed(tried)}
    drawn: Counter[str] = Counter()
    for use in islice(cycle([use for use in _CYCLE if use in like]), DRAWS):
        drawn[use] += 1
        yield replace(
            like[use],
            name=f"{use}-r{drawn[use]}",
            why="a random configuration",
            params=draw(use, drawn[use]),
            recipe="",
        )


def entries_of(competition: Competition, models: Sequence[str] = ()) -> list[Entry]:
    """What `models` names; else the competition's own models, then the portfolio.

    Raises:
        UnknownName: there is no model of that name.
    """
    for name in models:
        MODELS.check(find_model(competition, name).use)
    if models:
        return [_BY_NAME.get(name, Entry(name=name, use=name, why="named")) for name in models]
    named = [name for name in competition.settings.cv.models if ":" in name]
    own = [name for name in (*competition.settings.models, *named) if name not in _BY_NAME]
    return [*(Entry(name=name, use=name, why="from kit.toml") for name in own), *PORTFOLIO]


def missing_package(entry: Entry) -> bool:
    """Whether the optional package of an entry is not installed; imports nothing."""
    return bool(entry.package) and find_spec(entry.package) is None


def choose(
    n_rows: int,
    n_features: int,
    task: str,
    entries: Sequence[Entry] = PORTFOLIO,
    *,
    levels: bool = False,
) -> tuple[list[Entry], list[tuple[Entry, str]]]:
    """What to try on data of this size, in order, and what is left out with the reason.

    Args:
        n_rows: training rows.
        n_features: feature columns.
        task: type of the task.
        entries: candidates, in order.
        levels: whether there are categories of which models see shares and means only.
    """
    chosen: list[Entry] = []
    left: list[tuple[Entry, str]] = []
    most = next((count for rows, count in _COUNTS if n_rows <= rows), len(entries))
    for entry in entries:
        reason = _unfit(entry, n_rows, n_features, task)
        if entry.levels and not levels:
            reason = "no category has many levels"
        if not reason and len(chosen) >= most:
            reason = f"{n_rows} rows carry a choice among {most} models"
        if reason:
            left.append((entry, reason))
        else:
            chosen.append(entry)
    return chosen, left


def _unfit(entry: Entry, n_rows: int, n_features: int, task: str) -> str:
    if missing_package(entry):
        return f'needs {entry.package}: pip install "kit-competitions[boost]"'
    if entry.tasks and task not in entry.tasks:
        return f"not for {task}"
    if n_rows < entry.min_rows:
        return f"too large for {n_rows} rows"
    if n_rows > entry.max_rows:
        return f"too slow for {n_rows} rows"
    if n_rows * n_features > entry.max_cells:
        return f"too slow for {n_rows} x {n_features} cells"
    return ""
