"""Receipts and the server's list become one list: each submission once. Standard library only.

A receipt and a submission of the server belong together, in this order,

1. by the server's name for it (`ref`),
2. by a mark both messages carry, or one that begins the hash of the file (kit's own mark, or eight
   hex digits or more; the file's content is what such a mark stands for),
3. by file name, message and time: listed at most five minutes before the receipt was written
   (clocks differ) and two hours after it (uploads take time). Only for a receipt without a `ref`:
   the answer never came.

Where several would fit, the nearest in time does; nothing is used twice.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from kit.providers.base import Submitted
from kit.providers.marks import mark_in, unmarked
from kit.submission.receipts import Receipt

_BEFORE, _AFTER = timedelta(minutes=5), timedelta(hours=2)
_MARK = re.compile(r"(?<![0-9A-Za-z])[0-9a-f]{8,64}(?![0-9A-Za-z])")
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One submission: what is known here, what the server knows, or both.

    `sure` tells whether the two were joined by a name or a mark, not by file name and time.
    """

    receipt: Receipt | None = None
    listed: Submitted | None = None
    sure: bool = False

    @property
    def when(self) -> datetime:
        """When it was handed in; the server's word counts."""
        known = self.listed or self.receipt
        return _LONG_AGO if known is None else moment(known.created)


def merge(
    receipts: Sequence[Receipt], listed: Sequence[Submitted], provider: str = ""
) -> list[Entry]:
    """Join receipts with the server's list, newest first.

    Args:
        receipts: all local ones.
        listed: what the provider lists.
        provider: its name; receipts of another one are never joined. Empty: of any.

    Returns:
        Every receipt in exactly one entry, every listed submission in exactly one entry.
    """
    ours = [r for r in receipts if not provider or r.provider == provider]
    free = list(range(len(listed)))
    found: dict[int, tuple[int, bool]] = {}  # position of the receipt -> of the submission, sure
    for rule, sure in ((_same_ref, True), (_same_mark, True), (_same_file_and_time, False)):
        pairs = [
            (abs(moment(receipt.created) - moment(listed[k].created)), i, k)
            for i, receipt in enumerate(ours)
            if i not in found
            for k in free
            if rule(receipt, listed[k])
        ]
        for _, i, k in sorted(pairs):
            if i not in found and k in free:
                found[i] = k, sure
                free.remove(k)
    entries = [Entry(listed=listed[k]) for k in free]
    for i, receipt in enumerate(ours):
        if i in found:
            k, sure = found[i]
            entries.append(Entry(receipt=receipt, listed=listed[k], sure=sure))
        else:
            entries.append(Entry(receipt=receipt))
    entries += [Entry(receipt=r) for r in receipts if provider and r.provider != provider]
    return sorted(entries, key=lambda entry: entry.when, reverse=True)


def answered(entries: Iterable[Entry]) -> list[Receipt]:
    """The receipts that the server's answer changes: a late score, a private one, a lost ref.

    Only of entries whose two sides belong together for sure.
    """
    changed = []
    for entry in entries:
        receipt, listed = entry.receipt, entry.listed
        if receipt is None or listed is None or not entry.sure:
            continue
        if receipt.status == "complete" and listed.status == "pending":
            continue  # an older answer than the one we have
        new = replace(
            receipt,
            ref=listed.ref,
            status=listed.status,
            public=receipt.public if listed.public is None else listed.public,
            private=receipt.private if listed.private is None else listed.private,
            error=listed.error,
        )
        if new != receipt:
            changed.append(new)
    return changed


def moment(text: str) -> datetime:
    """An ISO 8601 time as the server or a receipt spells it; without a zone it is UTC.

    What cannot be read counts as very long ago: one odd date must not hide the list.
    """
    try:
        found = datetime.fromisoformat(text)
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, TypeError, OverflowError):
        return _LONG_AGO


def marks(message: str) -> set[str]:
    """What looks like a nonce or the beginning of a hash in a message; a date does not.

    Of kit's own mark a kernel's counts as a whole, version and all, and a file's in both parts
    (``3f9a2c41b07e`` begins the hash, and may be all digits).
    """
    found = {mark for mark in _MARK.findall(unmarked(message)) if not mark.isdigit()}
    ours = mark_in(message)
    return found | ({ours, ours.partition("-")[0]} if ours else set())


def _same_ref(receipt: Receipt, listed: Submitted) -> bool:
    return bool(receipt.ref) and receipt.ref == listed.ref


def _same_mark(receipt: Receipt, listed: Submitted) -> bool:
    if receipt.ref:
        return False
    if _other_attempt(receipt, listed):
        return False
    theirs = marks(listed.message)
    return bool(theirs & (marks(receipt.message) | marks(receipt.mark))) or any(
        receipt.sha256.startswith(mark) for mark in theirs
    )


def _other_attempt(receipt: Receipt, listed: Submitted) -> bool:
    """Whether both carry kit's mark, and of two attempts: the same file may be sent twice."""
    ours, theirs = mark_in(receipt.mark), mark_in(listed.message)
    return bool(ours and theirs) and ours != theirs


def _same_file_and_time(receipt: Receipt, listed: Submitted) -> bool:
    if receipt.ref or Path(receipt.file).name != listed.file_name:
        return False
    if _other_attempt(receipt, listed):
        return False
    if not listed.message.startswith(receipt.message):  # a provider may add to it
        return False
    later = moment(listed.created) - moment(receipt.created)
    return -_BEFORE <= later <= _AFTER
