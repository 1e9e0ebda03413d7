"""The portfolio: which configurations `kit auto` tries, in which order, and on which data.

Plain data, a module per kind of data. The order is by what a next model adds to a blend of those
before it in little time: boosters for little and for much data, a linear model, a network,
something quick and different, and only then variations. Names work everywhere a model's name does:
`kit cv lightgbm-deep`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from importlib.util import find_spec
from itertools import cycle, islice

from kit.competition import Competition
from kit.errors import UnknownName, nearest
from kit.portfolio.entry import Entry as Entry
from kit.portfolio.images import IMAGES
from kit.portfolio.series import BASELINE_NAMES as BASELINE_NAMES
from kit.portfolio.series import BASELINES, CHANGES, SEQUENCES
from kit.portfolio.series import SHORT_SERIES as SHORT_SERIES
from kit.portfolio.tables import TABLES
from kit.portfolio.text import ENCODER as ENCODER
from kit.portfolio.text import NETWORKS, TEXTS
from kit.registry import MODELS
from kit.settings import Kind, ModelSpec
from kit.spaces import SPACES, draw

_FIRST = 1 + [entry.name for entry in TABLES].index("catboost")
PORTFOLIO: tuple[Entry, ...] = (
    *BASELINES,
    *CHANGES,
    *TEXTS,
    *IMAGES,
    *TABLES[:_FIRST],
    *NETWORKS,
    *TABLES[_FIRST:],
    *SEQUENCES,
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

SHORT_TEXT = ("words", "words-ratios", "sentences", "sentences-network", "text", "lightgbm")
"""The same where there is a text column; without the encoder's package those that need it go."""

_BY_NAME = {entry.name: entry for entry in PORTFOLIO}

DRAWS = 24
"""Random configurations that follow the portfolio where time is left.

On six packaged tables, two splits each, twelve of them took 0.26 % off the error of a blend of ten
models (better on 11 of 12); twelve further seeds of the best models 0.05 % (better on 6)."""

MANY_OUTPUTS = 10
"""From so many classes or targets on networks are the quicker ones."""

_USUAL_SECONDS = 600.0  # for which an entry's `max_cells` hold
_LEAST_ROWS = 40  # draws for fewer rows are those for so many
_TREES = ("lightgbm", "catboost", "lightgbm", "xgboost")
_CHANGES = ("lightgbm_change", "catboost_change")
_CYCLE = (*_CHANGES, *_TREES, "realmlp", *_CHANGES, *_TREES, "tabm")
_DRAWN = re.compile(rf"({'|'.join(SPACES)})-r([1-9]\d*)")

_COUNTS = ((500, 8), (2500, 15))  # rows -> models; above the last: all
"""How many configurations are worth trying: of few rows the blend learns noise.

Source: the count curve of AutoGluon's `best_quality_v150` preset (2025), but that has four models
below 100 rows: here those would be boosters, and of few rows linear models and neighbours learn
more (ARCHITECTURE has numbers)."""


def short_list(kinds: Collection[str]) -> tuple[str, ...]:
    """What is validated where `kit.toml` names no model, by the kinds of its columns."""
    if "text" not in kinds:
        return SHORT
    return tuple(name for name in SHORT_TEXT if not missing_package(_BY_NAME[name]))


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
        params = draw(drawn[1], int(drawn[2]))
        return ModelSpec(use=drawn[1], recipe=params.pop("recipe", ""), params=params)
    registered = [entry.name for entry in MODELS.entries()]
    if ":" not in name and name not in registered:
        known = {*competition.settings.models, *_BY_NAME, *registered}
        raise UnknownName(f"unknown model {name!r}. {nearest(name, known)}")
    return competition.model(name)


def draws(tried: Sequence[Entry], n_rows: float = float("inf")) -> Iterator[Entry]:
    """Random configurations of the libraries and networks among `tried`, `DRAWS` of them.

    The blend gains more from other configurations than from other seeds of the same ones. Those
    whose leaves need a quarter of the `n_rows` training rows or more are passed over: such trees
    hardly split, and some of them predict the mean.
    """
    like = {entry.use: entry for entry in reversed(tried)}
    drawn: Counter[str] = Counter()
    for use in islice(cycle([use for use in _CYCLE if use in like]), DRAWS):
        drawn[use] += 1
        while draw(use, drawn[use]).get("min_data_in_leaf", 0) * 4 > max(n_rows, _LEAST_ROWS):
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
        known = (_BY_NAME.get(name, Entry(name=name, use=name, why="named")) for name in models)
        return [replace(entry, asked=True) for entry in known]
    named = [name for name in competition.settings.cv.models if ":" in name]
    own = [name for name in (*competition.settings.models, *named) if name not in _BY_NAME]
    return [
        *(Entry(name=name, use=name, why="from kit.toml", asked=True) for name in own),
        *PORTFOLIO,
    ]


def texts_last(entries: Sequence[Entry]) -> list[Entry]:
    """The same with those for texts at the end: for tables that have a name or title, too."""
    return sorted(entries, key=lambda entry: entry.kinds == ("text",))


def scales_last(entries: Sequence[Entry]) -> list[Entry]:
    """The same with those at the end that learn a number as it is and are no boosters.

    Series of many sizes are beyond them: of 3,268 the best such network erred three times as much
    as the best model, linear ones ten times.
    """
    raw = ("linear", "knn", "extra_trees", "random_forest", "realmlp", "tabm")
    return sorted(entries, key=lambda entry: entry.use in raw)


def network_first(entries: Sequence[Entry]) -> list[Entry]:
    """The same with RealMLP before the boosters, for many classes or targets.

    Boosters grow a tree for each of them in every round, a network has a wider last layer: of 26
    classes and 12,000 rows it erred less after half a minute than LightGBM after one.
    """
    moved = [entry for entry in entries if entry.name == "realmlp"]
    rest = [entry for entry in entries if entry.name != "realmlp"]
    start = next((i for i, entry in enumerate(rest) if entry in TABLES), len(rest))
    return [*rest[:start], *moved, *rest[start:]]


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
    kinds: Collection[Kind] = (),
    series: bool = False,
    provided: Collection[str] = (),
    seconds: float = 0.0,
) -> tuple[list[Entry], list[tuple[Entry, str]]]:
    """What to try on data of this size, in order, and what is left out with the reason.

    Args:
        n_rows: training rows.
        n_features: feature columns.
        task: type of the task.
        entries: candidates, in order.
        levels: whether there are categories of which models see shares and means only.
        kinds: the kinds of the columns.
        series: whether there is a `[series]` table.
        provided: packages that are not needed, since the competition has what they bring.
        seconds: for all of them. In an hour a table is not too slow that is so in ten minutes.
    """
    chosen: list[Entry] = []
    left: list[tuple[Entry, str]] = []
    most = next((count for rows, count in _COUNTS if n_rows <= rows), len(entries))
    longer = max(1.0, seconds / _USUAL_SECONDS)
    for entry in entries:
        limits = replace(entry, max_cells=entry.max_cells * longer)
        reason = _unfit(limits, n_rows, n_features, task, provided)
        if entry.levels and not levels and not entry.asked:
            reason = "no category has many levels"
        if entry.kinds and not set(entry.kinds) & set(kinds):
            reason = f"no column is {' or '.join(entry.kinds)}"
        if entry.series and not series:
            reason = "there is no [series] table"
        if not reason and _counts(entry) and sum(map(_counts, chosen)) >= most:
            reason = f"{n_rows} rows carry a choice among {most} models"
        if reason:
            left.append((entry, reason))
        else:
            chosen.append(entry)
    return chosen, left


def _counts(entry: Entry) -> bool:
    """Whether it takes one of the few places that there are for few rows.

    Time decides of slow ones, which differ from all others; baselines are for the eye.
    """
    return not (entry.asked or entry.row_seconds or entry.name in BASELINE_NAMES)


def _unfit(entry: Entry, n_rows: int, n_features: int, task: str, provided: Collection[str]) -> str:
    if missing_package(entry) and entry.package not in provided:
        return f'needs {entry.package}: pip install "kit-competitions[{entry.extra}]"'
    if entry.tasks and task not in entry.tasks:
        return f"not for {task}"
    if entry.asked:
        return ""
    if n_rows < entry.min_rows:
        return f"too large for {n_rows} rows"
    if n_rows > entry.max_rows:
        return f"too slow for {n_rows} rows"
    if n_rows * n_features > entry.max_cells:
        return f"too slow for {n_rows} x {n_features} cells"
    return ""
