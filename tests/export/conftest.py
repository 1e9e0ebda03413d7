"""A small competition with validated models that were kept, exported once per test module."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from kit.competition import Competition
from kit.cv import cross_validate
from kit.export.names import names_of
from kit.export.proof import Proof, prove
from kit.export.ready import Exported, Wishes, export
from kit.export.wheels import canonical
from kit.runs import Run
from kit.session import open_session

Make = Callable[..., Competition]

MODELS: dict[str, Any] = {
    "lightgbm": {"params": {"n_estimators": 10, "patience": 5}},
    "linear": {"params": {"strengths": [1.0]}},
}


def frames(n: int = 90, n_test: int = 30) -> tuple[pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(0)
    size = n + n_test
    frame = pd.DataFrame({"id": [f"r{k}" for k in range(size)], "a": rng.normal(size=size)})
    frame["c"] = pd.Series(rng.choice(["u", "v", "w"], size)).astype("str")
    frame["d"] = pd.date_range("2020-01-01", periods=size).strftime("%d/%m/%Y").astype("str")
    frame.loc[::9, "a"] = np.nan
    noisy = frame["a"].fillna(0) + (frame["c"] == "u") + rng.normal(scale=0.5, size=size)
    frame["y"] = (noisy > 0.3).astype(int)
    return frame[:n], frame[n:].drop(columns="y")


@pytest.fixture
def toy(make_competition: Make) -> Make:
    """``toy(**tables)``: numbers, categories and dates; binary."""

    def make(**tables: Any) -> Competition:
        train, test = frames()
        columns = {"kinds": {"c": "category", "d": "datetime"}}
        return make_competition(train, test, **{"models": MODELS, "columns": columns, **tables})

    return make


@pytest.fixture
def kept() -> Callable[..., list[Run]]:
    """``kept(competition, *models)``: validated runs with their models."""

    def validate(competition: Competition, *models: str, keep: bool = True) -> list[Run]:
        with open_session(competition, keep_models=keep) as session:
            runs = [cross_validate(session, model) for model in models]
        assert all(run is not None for run in runs)
        return [run for run in runs if run is not None]

    return validate


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """What `pip freeze` prints where everything of this environment is installed."""
    from importlib.metadata import distributions

    path = tmp_path / "freeze.txt"
    lines = {f"{canonical(d.metadata['Name'])}=={d.version}" for d in distributions()}
    path.write_text("\n".join(sorted(lines)))
    return path


@pytest.fixture
def exported(image: Path) -> Callable[..., Exported]:
    """``exported(competition, run, **wishes)``: with an image that lacks nothing."""

    def make(competition: Competition, run: Run, **wishes: Any) -> Exported:
        file = wishes.pop("file", "submission.csv")
        names = names_of(competition.slug, "ann/toy-models", "toy-competition", file)
        return export(competition, run, Wishes(names=names, image=image, **wishes))

    return make


@pytest.fixture
def proven() -> Callable[..., Proof]:
    """``proven(competition, run, exported)``: the bundle tried once more."""

    def again(competition: Competition, run: Run, made: Exported, **how: Any) -> Proof:
        return prove(competition, run, made.bundle, timeout=120, **how)

    return again
