"""The contract of a provider: describe, fetch, submit, submissions, limits.

A provider is made from three facts, ``Provider(slug, spec, root)``, and does nothing until asked.
Everything it refuses is a `ProviderError` with the next step in it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from kit.competition import ProviderSpec
from kit.registry import PROVIDERS

Progress = Callable[[str, int, int], None]
"""Called as ``progress(file name, bytes of it done, all bytes of it)``."""


@dataclass(frozen=True, kw_only=True)
class Description:
    """What the provider says of a competition before any file is read.

    `hints` are facts the provider is sure of, by the flag names of `kit new`
    (``{"metric": "roc_auc", "id": "row_id"}``); they beat what the files suggest.
    """

    slug: str
    title: str
    url: str = ""
    about: str = ""
    hints: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Submitted:
    """What the server knows of one submission.

    `status` is "complete", "pending" or "error"; scores are None until (or unless) they are known.
    `created` is UTC, ISO 8601.
    """

    ref: str
    status: str
    created: str
    file_name: str = ""
    message: str = ""
    public: float | None = None
    private: float | None = None
    error: str = ""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How many submissions are left; None: no limit."""

    left_today: int | None = None
    resets: str = ""


@dataclass(frozen=True, kw_only=True)
class Standing:
    """One line of the leaderboard."""

    rank: int
    team: str
    score: float
    mine: bool = False


class Provider(Protocol):
    """What every provider offers.

    Args:
        slug: the competition's short name.
        spec: the `[provider]` table of `kit.toml`.
        root: the competition's folder; relative paths in `spec` start there.
    """

    def __init__(self, slug: str, spec: ProviderSpec, root: Path) -> None: ...

    def describe(self) -> Description:
        """Say what is known of the competition without reading its files."""

    def fetch(self, destination: Path, progress: Progress) -> list[Path]:
        """Put the data files into `destination`; each appears whole or not at all."""

    def submit(self, path: Path, message: str) -> Submitted:
        """Hand in a validated file, once."""

    def submissions(self) -> list[Submitted]:
        """All submissions so far, newest first."""

    def limits(self) -> Limits:
        """What is left today."""

    def leaderboard(self) -> list[Standing]:
        """The board, best first; empty where there is none."""


def load_provider(slug: str, spec: ProviderSpec, root: Path) -> Provider:
    """The provider that the `[provider]` table names.

    Raises:
        UnknownName: no registry or installed package knows `spec.name`.
    """
    provider: Provider = PROVIDERS.load(spec.name)(slug, spec, root)
    return provider
