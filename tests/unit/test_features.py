"""The cache of slow features: used, renewed, and never trusted when damaged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

import kit.features
from kit.competition import Competition
from kit.dataset import Dataset

FEATURES = """
from pathlib import Path

CALLS = Path(__file__).with_name("calls.txt")


def features(df):
    with CALLS.open("a") as file:
        file.write("x")
    return df.assign(double=df["a"] * 2)
"""


@pytest.fixture
def competition(
    make_competition: Callable[..., Competition], monkeypatch: pytest.MonkeyPatch
) -> Competition:
    frame = pd.DataFrame({"id": range(40), "a": [k * 0.5 for k in range(40)]})
    made = make_competition(
        frame.assign(y=[k % 2 for k in range(40)]), frame.assign(id=frame.id + 99)
    )
    (made.root / "features.py").write_text(FEATURES)
    monkeypatch.setattr(kit.features, "SLOW_SECONDS", -1.0)
    return made


def calls(competition: Competition) -> int:
    return len((competition.root / "calls.txt").read_text())


def caches(competition: Competition) -> list[Path]:
    return sorted(competition.cache.glob("features-*.parquet"))


def test_slow_features_run_once_per_file(competition: Competition) -> None:
    first, second = Dataset.read(competition), Dataset.read(competition)

    assert calls(competition) == 2
    pd.testing.assert_frame_equal(first.X, second.X)
    pd.testing.assert_frame_equal(first.X_test, second.X_test)


def test_other_code_makes_other_features(competition: Competition) -> None:
    Dataset.read(competition)
    code = FEATURES.replace('df["a"] * 2', 'df["a"] * 3')
    (competition.root / "features.py").write_text(code)

    assert Dataset.read(competition).X["double"].iloc[2] == 3.0


def test_a_damaged_cache_is_made_again(competition: Competition) -> None:
    Dataset.read(competition)
    caches(competition)[0].write_bytes(b"PAR1 torn")

    assert Dataset.read(competition).X["double"].iloc[2] == 2.0
    assert calls(competition) == 4


def test_quick_features_are_not_cached(
    competition: Competition, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kit.features, "SLOW_SECONDS", 60.0)
    Dataset.read(competition)

    assert caches(competition) == []
