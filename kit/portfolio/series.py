"""Configurations for series over time: the baselines, and networks that read the past."""

from __future__ import annotations

from kit.portfolio.entry import Entry

BASELINES: tuple[Entry, ...] = (
    Entry(
        name="naive",
        use="naive",
        why="the last value: what every model has to beat",
        series=True,
        seeded=False,
        weight=0.1,
    ),
    Entry(
        name="seasonal_naive",
        use="seasonal_naive",
        why="the value a season ago",
        series=True,
        seeded=False,
        weight=0.1,
    ),
    Entry(
        name="seasonal_mean",
        use="seasonal_naive",
        why="the mean of the last four seasons",
        params={"seasons": 4},
        series=True,
        seeded=False,
        weight=0.1,
    ),
)

CHANGES: tuple[Entry, ...] = (
    Entry(
        name="lightgbm-change",
        use="lightgbm_change",
        why="changes from a series' own level: trends, and series of many sizes",
        tasks=("regression",),
        series=True,
        weight=2,
    ),
    Entry(
        name="catboost-change",
        use="catboost_change",
        why="the same by symmetric trees",
        tasks=("regression",),
        series=True,
        min_seconds=5,
        weight=2,
    ),
)

SEQUENCES: tuple[Entry, ...] = (
    Entry(
        name="sequence",
        use="sequence",
        why="convolutions over the past err elsewhere than trees on lags",
        series=True,
        max_rows=1_000_000,
        min_seconds=20,
        weight=2.5,
    ),
    Entry(
        name="sequence-gru",
        use="sequence",
        why="the same with a recurrent unit",
        params={"cell": "gru", "blocks": 1},
        series=True,
        max_rows=200_000,
        min_seconds=40,
        weight=3,
    ),
)

SHORT_SERIES = (*(entry.name for entry in BASELINES), CHANGES[0].name)
"""What `kit new` puts before the short list where there are series."""

BASELINE_NAMES = tuple(entry.name for entry in BASELINES)
