"""A Kaggle on loopback for every test here; no address of the SDK leads anywhere else."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import kagglesdk.kaggle_env as environment
import pytest
from loopback_server import NOWHERE, Server
from loopback_types import Naps, Patient, check_endpoints

from kit.providers.kaggle import KaggleProvider, client
from kit.providers.kaggle.client import Patience
from kit.settings import ProviderSpec

for each in environment.KaggleEnv:  # for the rest of the process, not for one test
    environment._env_to_endpoint[each] = NOWHERE


@pytest.fixture(autouse=True)
def closed_endpoints() -> Iterator[None]:
    """Fail where an address of the SDK leads away from this machine."""
    check_endpoints()
    yield
    check_endpoints()


@pytest.fixture
def naps() -> Naps:
    return Naps()


@pytest.fixture
def patience(naps: Naps, monkeypatch: pytest.MonkeyPatch) -> Patience:
    """Short timeouts, no real waits."""
    short = Patience(connect=2.0, answer=2.0, transfer=2.0, attempts=4, sleep=naps)
    monkeypatch.setattr(client, "PATIENCE", short)
    return short


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, patience: Patience) -> Iterator[Server]:
    """A running server; kit finds the key of its account in the environment."""
    with Server() as running:
        for each in environment.KaggleEnv:
            monkeypatch.setitem(environment._env_to_endpoint, each, running.url)
        monkeypatch.setenv("KAGGLE_USERNAME", "ann")
        monkeypatch.setenv("KAGGLE_KEY", running.accounts["ann"])
        yield running


@pytest.fixture
def provider(server: Server, tmp_path: Path) -> KaggleProvider:
    """The provider of the competition "toy", which a test may add."""
    return KaggleProvider("toy", ProviderSpec(name="kaggle"), tmp_path / "toy")


@pytest.fixture
def with_patience(patience: Patience, monkeypatch: pytest.MonkeyPatch) -> Patient:
    """Change single settings of the patience."""

    def change(**settings: float) -> Patience:
        changed = dataclasses.replace(patience, **settings)
        monkeypatch.setattr(client, "PATIENCE", changed)
        return changed

    return change
