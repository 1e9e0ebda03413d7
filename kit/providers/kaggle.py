"""Kaggle, not yet: every step says what to do by hand in the meantime. Standard library only."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

from kit.competition import ProviderSpec
from kit.errors import ProviderError
from kit.providers.base import Description, Limits, Progress, Standing, Submitted

URL = "https://www.kaggle.com/competitions"


class KaggleProvider:
    """Refuses politely; see `kit.providers.base.Provider` for the contract."""

    def __init__(self, slug: str, spec: ProviderSpec, root: Path) -> None:
        self.slug = slug

    def describe(self) -> Description:
        """Not yet."""
        self._not_yet("data")

    def fetch(self, destination: Path, progress: Progress) -> list[Path]:
        """Not yet."""
        self._not_yet("data")

    def submit(self, path: Path, message: str) -> Submitted:
        """Not yet."""
        self._not_yet("submit")

    def submissions(self) -> list[Submitted]:
        """Not yet."""
        self._not_yet("submissions")

    def limits(self) -> Limits:
        """Not yet."""
        self._not_yet("submit")

    def leaderboard(self) -> list[Standing]:
        """Not yet."""
        self._not_yet("leaderboard")

    def _not_yet(self, page: str) -> NoReturn:
        ways = {
            "data": f"Download the files from {URL}/{self.slug}/data and pass the folder or the "
            "zip: `kit new NAME --from PATH`.\n  To try kit without any: "
            "`kit new breast-cancer --from sample`.",
            "submit": "Make the file with `kit submit --dry-run` and upload it by hand at "
            f"{URL}/{self.slug}/submit.",
        }
        way = ways.get(page, f"Look at {URL}/{self.slug}/{page} in a browser.")
        raise ProviderError(f"this version of kit does not talk to Kaggle yet.\n  {way}")
