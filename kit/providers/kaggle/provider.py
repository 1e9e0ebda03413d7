"""The provider `kaggle`; see `kit.providers.base.Provider` for the contract.

Nothing is imported or asked until a method is called.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kit.errors import AuthError, ProviderError, RefusedError
from kit.providers.base import (
    Attempt,
    Contest,
    Description,
    Limits,
    Progress,
    Standing,
    Submitted,
)
from kit.settings import ProviderSpec

if TYPE_CHECKING:
    from kit.providers.kaggle.client import Client
    from kit.providers.publishing import Publisher


class KaggleProvider:
    """Kaggle, as the account whose credentials are found first and accepted.

    Args:
        slug: the competition's short name; `spec.source` beats it.
        spec: `source`: the name on Kaggle, where the folder is called otherwise; `file`: the name
            that submissions get.
        root: the competition's folder.
    """

    def __init__(self, slug: str, spec: ProviderSpec, root: Path) -> None:
        self.slug, self.file = spec.source or slug, spec.file
        self.root = root
        self._deadline: str | None = None  # None: not asked yet
        self._private = False  # whether `leaderboard` gave the private board

    @cached_property
    def client(self) -> Client:
        """The connection; made at the first call."""
        from kit.providers.kaggle.client import Client

        return Client(self.slug)

    @property
    def notes(self) -> list[str]:
        """What happened on the way (a token was refused and passed over)."""
        return self.client.notes if "client" in self.__dict__ else []

    def describe(self) -> Description:
        """Title, deadline, metric, limits and the pages of the host, as plain text.

        Raises:
            AuthError: there are no credentials, or none that Kaggle accepts.
            ProviderError: no such competition, or no connection.
        """
        from kit.providers.kaggle.reading import description, items

        facts = self._facts()
        try:
            answer = self.client.call(
                "competitions/ListCompetitionPages", competition_name=self.slug
            )
        except RefusedError:  # facts without pages are still facts
            answer = {}
        return description(self.slug, facts, items(answer, "pages"))

    def fetch(self, destination: Path, progress: Progress) -> list[Path]:
        """Fetch and unpack all files; nothing is done where nothing changed.

        Raises:
            RefusedError: the rules are not accepted, or there is no such competition.
            ProviderError: cut off, damaged or unsafe; what arrived waits for the next try.
            DiskFull: archive and files do not fit.
        """
        from kit.providers.kaggle.files import fetch_all

        # what `kit new` builds elsewhere may come to nothing; a second download must not follow
        keep = not destination.resolve().is_relative_to(self.root.resolve())
        return fetch_all(self.client, self._workplace, destination, progress, keep=keep)

    def tidy(self) -> None:
        """Remove what is kept of a download for another try."""
        shutil.rmtree(self._workplace, ignore_errors=True)

    def fetch_some(self, names: Sequence[str], destination: Path, progress: Progress) -> list[Path]:
        """Fetch these files, and what lies in these folders; see `fetch`."""
        from kit.providers.kaggle.files import fetch_some

        return fetch_some(self.client, names, self._workplace, destination, progress)

    def account(self) -> str:
        """The user name of the credentials in use."""
        return self.client.account()

    def attempt(self, content: str) -> Attempt:
        """A new attempt to hand in this content.

        Raises:
            AuthError: a credential was refused, and what is left may be of another account.
        """
        from kit.providers.marks import attempt_mark

        account = self.client.account()
        self.client.must_be_sure()
        return Attempt(account=account, mark=attempt_mark(content))

    def submit(self, path: Path, message: str) -> Submitted:
        """Upload a validated file and make one submission of it.

        An answer that is lost is looked for in the list of submissions; nothing is sent twice.

        Raises:
            RefusedError: Kaggle said no; nothing was handed in.
            ProviderError: it is not known whether it arrived.
        """
        from kit.providers.kaggle.reading import dated
        from kit.providers.kaggle.submitting import hand_in

        return dated(hand_in(self.client, path, message, self.file), self._known_deadline())

    def submissions(self) -> list[Submitted]:
        """All submissions of the team, newest first, wherever they were made."""
        from kit.providers.kaggle.reading import dated
        from kit.providers.kaggle.submitting import listed

        found = list(listed(self.client))
        deadline = self._known_deadline() if found else ""
        return [dated(entry, deadline) for entry in found]

    def same(self, content: str) -> list[Submitted]:
        """Submissions of this content, by their marks."""
        from kit.providers.marks import content_mark

        mark = content_mark(content)
        return [entry for entry in self.submissions() if mark in entry.message]

    def limits(self, *, kernel: bool = False) -> Limits:
        """What is left today and when there are new ones; asked before anything is uploaded.

        Args:
            kernel: a version of a kernel is to be submitted, not a file.

        Raises:
            RefusedError: the competition takes no files, or none from this account.
        """
        from kit.providers.kaggle.reading import count, limits, refused_beforehand

        facts = self._facts()
        note = refused_beforehand(self.slug, facts, kernel=kernel)
        answer = self.client.call("competitions/GetSubmissionLimits", competition_name=self.slug)
        found = limits(answer, count(facts.get("maxDailySubmissions")))
        notes = "; ".join(text for text in (note, found.note) if text)
        return Limits(left_today=found.left_today, resets=found.resets, note=notes)

    def contest(self) -> Contest:
        """Account, category, number of teams and deadline."""
        from kit.providers.kaggle.reading import contest

        found = contest(self._facts(), self.client.account())
        return replace(found, board="private" if self._private else "public")

    def publisher(self) -> Publisher:
        """What uploads datasets and kernels and submits a kernel's output."""
        from kit.providers.kaggle.publishing import KagglePublisher

        return KagglePublisher(self.client, self)

    def leaderboard(self) -> list[Standing]:
        """The board; empty where Kaggle shows none.

        It is the private one where the competition is over and Kaggle gives it; `contest` tells.
        """
        from kit.providers.kaggle.board import standings

        try:
            answer = self.client.call(
                "competitions/ListSubmissions", competition_name=self.slug, page_size=20
            )
        except AuthError:
            raise
        except RefusedError:  # who does not take part has none, and the board is public
            answer = {}
        teams = {
            str(entry["teamName"])
            for entry in answer.get("submissions") or []
            if isinstance(entry, dict) and entry.get("teamName")
        }
        board, self._private = standings(self.client, teams, over=self._over())
        return board

    def _facts(self, *, repeat: bool = True) -> dict[str, Any]:
        """`ApiCompetition`, asked for anew; its deadline is kept."""
        facts: dict[str, Any] = self.client.call(
            "competitions/GetCompetition", repeat=repeat, competition_name=self.slug
        )
        self._deadline = str(facts.get("deadline") or "")
        return facts

    def _known_deadline(self) -> str:
        """The deadline as Kaggle spells it; "" where there is none or it could not be asked."""
        if self._deadline is None:
            try:
                self._facts(repeat=False)
            except ProviderError:
                self._deadline = ""  # lists are asked for again and again; this is not
        return self._deadline or ""

    def _over(self) -> bool:
        from kit.providers.kaggle.reading import passed

        return passed(self._known_deadline())

    @property
    def _workplace(self) -> Path:
        """Beside the folder, so that it is still there after a `kit new` that failed."""
        if not self.root.name:
            raise ProviderError(f"a competition needs a folder with a name. Received: {self.root}")
        return self.root.parent / f".{self.root.name}.download"
