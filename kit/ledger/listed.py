"""What the server's list changes here: receipts are completed, and the list is kept.

The list as it was last seen serves when the server cannot be asked.

Owns: ``.cache/submissions.json``. It can be made again at any time: whatever is wrong with it, it
counts as not there. Standard library only.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from kit.atomic import parse_json, write_json
from kit.competition import Competition
from kit.ledger.merging import answered, merge
from kit.providers.base import Contest, Submitted
from kit.submission.receipts import Receipt, read_receipts, write_receipt

SCHEMA = 1


def settle(competition: Competition, listed: Sequence[Submitted]) -> list[Receipt]:
    """Write what the server says by now into the receipts: a late score, a private one, a ref.

    Returns:
        The receipts that changed.
    """
    receipts, _ = read_receipts(competition.submissions)
    entries = merge(receipts, listed, competition.settings.provider.name)
    return [write_receipt(receipt) for receipt in answered(entries)]


def remember(competition: Competition, listed: Sequence[Submitted], contest: Contest) -> None:
    """Keep the list, of this provider, with the time."""
    path = _path(competition)
    path.parent.mkdir(parents=True, exist_ok=True)
    marker = path.parent / ".gitignore"
    if not marker.exists():
        marker.write_text("*\n", encoding="utf-8")
    document = {
        "schema": SCHEMA,
        "provider": competition.settings.provider.name,
        "seen": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "submissions": [dataclasses.asdict(entry) for entry in listed],
        "contest": dataclasses.asdict(contest),
    }
    write_json(path, document)


def recall(competition: Competition) -> tuple[list[Submitted], Contest, str]:
    """The list, what was known of the event, and when (UTC, ISO 8601; "" where nothing is kept)."""
    try:
        document = parse_json(_path(competition).read_text(encoding="utf-8"))
        if document["provider"] != competition.settings.provider.name:
            return [], Contest(), ""
        listed = [Submitted(**entry) for entry in document["submissions"]]
        sum(entry.public or 0.0 for entry in listed), sum(entry.private or 0.0 for entry in listed)
        return listed, Contest(**document["contest"]), str(document["seen"])
    except (OSError, ValueError, KeyError, TypeError):  # TypeError: scores that are no numbers
        return [], Contest(), ""


def _path(competition: Competition) -> Path:
    return competition.cache / "submissions.json"
