"""The contract of a provider: describe, fetch, submit, submissions, limits.

A provider is made from three facts, ``Provider(slug, spec, root)``, and does nothing until asked.
Everything it refuses is a `ProviderError` with the next step in it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from kit.registry import PROVIDERS
from kit.settings import ProviderSpec

if TYPE_CHECKING:
    from kit.competition import Competition

Progress = Callable[[str, int, int], None]
"""Called as ``progress(file name, bytes of it done, all bytes of it)``."""


Kind = Literal["files", "notebooks", "simulation", "hackathon"]
"""How one takes part: hand in files, hand in notebooks, let agents play, or write something up."""


@dataclass(frozen=True, kw_only=True)
class Page:
    """One page that the host wrote, as plain text without control characters."""

    name: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Description:
    """What the provider says of a competition before any file is read.

    Text comes from the host: it is shown, never run, never a path, never markup.

    Attributes:
        slug, title, url, about: what it is called, where it is, what it is about.
        hints: facts the provider is sure of, by the flag names of `kit new`
            (``{"metric": "roc_auc", "id": "row_id"}``); they beat what the files suggest.
        questions: what the provider knows and kit cannot use, a sentence each.
        metric: the provider's own name of the metric, "" where it has none.
        kind: how one takes part.
        deadline, merger_deadline: UTC, ISO 8601, "" where there is none.
        daily_limit, team_size, teams: None where not known.
        rules_accepted: None where not known.
        closed: whether it takes no submissions at all.
        prize: what there is to win.
        pages: what the host wrote.
    """

    slug: str
    title: str
    url: str = ""
    about: str = ""
    hints: dict[str, Any] = field(default_factory=dict)
    questions: tuple[str, ...] = ()
    metric: str = ""
    kind: Kind = "files"
    deadline: str = ""
    merger_deadline: str = ""
    daily_limit: int | None = None
    team_size: int | None = None
    teams: int | None = None
    rules_accepted: bool | None = None
    closed: bool = False
    prize: str = ""
    pages: tuple[Page, ...] = ()


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
    """How many submissions are left; None: no limit.

    `resets` says when there are new ones, as it stands behind "possible": "at 00:00 UTC, in 5 h".
    `note` is what the provider has to say before something is handed in (the deadline is over).
    """

    left_today: int | None = None
    resets: str = ""
    note: str = ""


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


@runtime_checkable
class Recognises(Protocol):
    """What can tell which submissions hold the same content (`Receipt.content`, 64 hex digits)."""

    def same(self, content: str) -> list[Submitted]:
        """Submissions of this content, newest first, whoever of the team sent them."""


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """Who is about to hand something in, and by which mark it will be known.

    Attributes:
        account: the user name, "" where the provider does not tell.
        mark: goes to the end of the description.
    """

    account: str
    mark: str


@runtime_checkable
class Attributes(Protocol):
    """What has a list that tells which attempt a submission came of."""

    def attempt(self, content: str) -> Attempt:
        """A new attempt to hand in this content; nothing is sent by that."""

    def account(self) -> str:
        """Whose submissions `Provider.submissions` lists now."""


@runtime_checkable
class Selects(Protocol):
    """A provider that can fetch a part of the files."""

    def fetch_some(self, names: Sequence[str], destination: Path, progress: Progress) -> list[Path]:
        """Put these files, and what lies in these folders, into `destination`."""


@runtime_checkable
class Tidies(Protocol):
    """A provider that keeps a download until the folder it is for is there."""

    def tidy(self) -> None:
        """Remove what is kept for another try."""


@runtime_checkable
class Verifies(Protocol):
    """A provider that can tell at once whether it will be able to grade."""

    def verify(self, competition: Competition) -> list[str]:
        """Remarks for the user; raises `ProviderError` where nothing could be graded."""


def notes_of(provider: object) -> list[str]:
    """What happened on the way and the user should know (a stale token was passed over)."""
    return list(getattr(provider, "notes", ()))


def load_provider(slug: str, spec: ProviderSpec, root: Path) -> Provider:
    """The provider that the `[provider]` table names.

    Raises:
        UnknownName: no registry or installed package knows `spec.name`.
    """
    provider: Provider = PROVIDERS.load(spec.name)(slug, spec, root)
    return provider
