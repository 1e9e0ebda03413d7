"""A small competition with validated models that were kept, exported once per test module."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

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
Mixed = tuple[pd.DataFrame, pd.DataFrame]

MODELS: dict[str, Any] = {
    "lightgbm": {"params": {"n_estimators": 10, "patience": 5}},
    "linear": {"params": {"strengths": [1.0]}},
}


@pytest.fixture
def toy(make_competition: Make, mixed: Mixed) -> Make:
    """``toy(**tables)``: numbers, categories and dates; binary."""

    def make(**tables: Any) -> Competition:
        train, test = mixed
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
