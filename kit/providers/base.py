"""The contract of a provider: describe, fetch, submit, submissions, limits.

A provider is made from three facts, ``Provider(slug, spec, root)``, and does nothing until asked.
Everything it refuses is a `ProviderError` with the next step in it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

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
    `created` is UTC, ISO 8601. `submitted_by` is the account that handed it in, where the server
    tells; `late` marks a submission after the deadline, which is scored and ranked nowhere.
    """

    ref: str
    status: str
    created: str
    file_name: str = ""
    message: str = ""
    public: float | None = None
    private: float | None = None
    error: str = ""
    submitted_by: str = ""
    late: bool = False


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


@dataclass(frozen=True, kw_only=True)
class Contest:
    """What a provider knows of the competition as an event; "" and None: it does not know.

    Attributes:
        account: the name under which submissions are handed in from here.
        category: as Kaggle calls it: "Featured", "Research", "Playground", "Getting Started", ...;
            "local" where the board is played on this machine.
        teams: how many there are, also where the board lists fewer.
        deadline: UTC, ISO 8601.
        over: whether the deadline has passed.
        board: which scores `Provider.leaderboard` shows.
        public_share: the share of the test rows behind the public score, above 0 and at most 1.
    """

    account: str = ""
    category: str = ""
    teams: int | None = None
    deadline: str = ""
    over: bool = False
    board: Literal["public", "private"] = "public"
    public_share: float | None = None


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


@runtime_checkable
class KnowsContest(Protocol):
    """What a provider offers beyond the contract, where it can."""

    def contest(self) -> Contest:
        """The competition as an event: account, deadline, teams."""


def contest(provider: Provider) -> Contest:
    """What `provider` knows of the competition as an event; all unknown where it cannot tell.

    Raises:
        ProviderError: the server refused or did not answer.
    """
    return provider.contest() if isinstance(provider, KnowsContest) else Contest()


def load_provider(slug: str, spec: ProviderSpec, root: Path) -> Provider:
    """The provider that the `[provider]` table names.

    Raises:
        UnknownName: no registry or installed package knows `spec.name`.
    """
    provider: Provider = PROVIDERS.load(spec.name)(slug, spec, root)
    return provider
