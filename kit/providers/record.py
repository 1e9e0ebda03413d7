"""The submissions that an offline provider took, in one JSON file below the competition.

Owns: ``<root>/.<provider>/submissions.json``. Standard library and filelock.
"""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kit.atomic import disk_errors, parse_json, write_json
from kit.errors import ProviderError
from kit.providers.base import Submitted

SCHEMA = 1


class Record:
    """Submissions in the order they came.

    Args:
        folder: where the provider keeps its state; made when something is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "submissions.json"

    def read(self) -> list[Submitted]:
        """All submissions, newest first.

        Raises:
            ProviderError: the file is damaged.
        """
        if not self.path.exists():
            return []
        try:
            document = parse_json(self.path.read_text(encoding="utf-8"))
            if int(document.get("schema", 1)) > SCHEMA:
                raise ProviderError(f"{self.path}: written by a newer kit; update kit")
            return [Submitted(**entry) for entry in reversed(document["submissions"])]
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ProviderError(
                f"{self.path} is damaged ({error}).\n"
                "  It holds the scores of earlier submissions; move it away to start afresh."
            ) from error

    def add(self, **facts: Any) -> Submitted:
        """Note a submission (see `Submitted`); `ref` and `created` are given here."""
        from filelock import FileLock

        prepare(self.folder)
        with FileLock(self.folder / ".lock"):
            known = self.read()
            created = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
            submitted = Submitted(ref=str(len(known) + 1), created=created, **facts)
            entries = [dataclasses.asdict(entry) for entry in (*reversed(known), submitted)]
            write_json(self.path, {"schema": SCHEMA, "submissions": entries})
        return submitted


def prepare(folder: Path) -> None:
    """Make the state folder and keep it out of version control."""
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        marker = folder / ".gitignore"
        if not marker.exists():
            marker.write_text("*\n", encoding="utf-8")
