"""Nothing is handed in twice: one claim, taken before a file or a kernel's version is sent.

A claim is a receipt with status "sent" (`kit.submission.receipts`), written under a lock, after the
receipts here and the server's list were asked for the same content. Whatever cannot be told (a
receipt that cannot be read, a list that cannot be asked, an answer that was lost) counts as sent.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from kit.competition import Competition
from kit.errors import DiskFull, KitError, ProviderError, SubmissionError
from kit.providers.base import Attributes, Recognises, Submitted
from kit.providers.marks import mark_in, unmarked
from kit.submission.receipts import Receipt, free_path, read_receipts, write_receipt

_CLOCKS = timedelta(minutes=5)  # how far the server's clock may be behind ours
_UNDATED = datetime.max.replace(tzinfo=UTC)


class Desk(Protocol):
    """Where something is handed in: a `Provider` for files, a `Publisher` for kernels.

    One that `Recognises` content and `Attributes` submissions is asked for both.
    """

    def submissions(self) -> list[Submitted]:
        """All submissions so far, newest first."""


class HandedInBefore(SubmissionError):
    """The server has it already; `submitted` is what is known of that submission.

    `receipt` is the one of this folder, where there is one; `arrived`: it had no answer until now.
    """

    def __init__(
        self,
        message: str,
        submitted: Submitted,
        receipt: Receipt | None = None,
        *,
        arrived: bool = False,
    ) -> None:
        super().__init__(message)
        self.submitted, self.receipt, self.arrived = submitted, receipt, arrived


@contextmanager
def exclusive(lock: Path, error: KitError) -> Iterator[None]:
    """Hold a lock that ends with the process; raise `error` where another process has it."""
    with _door(lock.parent):
        held = _acquired(lock, error)
    try:
        yield
    finally:
        with _door(lock.parent):
            _free(held)


def _door(folder: Path) -> Any:
    """The lock under which others are taken and removed: else one may be got that is gone."""
    from filelock import FileLock

    folder.mkdir(parents=True, exist_ok=True)
    return FileLock(folder / ".lock")


def _acquired(lock: Path, error: KitError) -> Any:
    from filelock import FileLock, Timeout

    held = FileLock(lock)
    try:
        held.acquire(timeout=0)
    except Timeout:
        raise error from None
    return held


def _free(lock: Any) -> None:
    Path(lock.lock_file).unlink(missing_ok=True)
    lock.release()


@contextmanager
def claimed(
    competition: Competition, receipt: Receipt, desk: Desk, again: bool
) -> Iterator[Receipt]:
    """The trace of an attempt; while it lasts, nobody else here can send the same content.

    The lock ends with the process: a trace without an answer and without the lock is of a process
    that was stopped.

    Args:
        competition: whose `submissions` folder takes it.
        receipt: the attempt, as `kit.submission.sending.draft` makes it.
        desk: where it will be handed in.
        again: see `refuse_known`.

    Raises:
        SubmissionError: another process is sending it, or see `refuse_known`.
    """
    folder = competition.submissions
    busy = SubmissionError(
        "another `kit submit` is sending the same content right now.\n"
        "  Wait until it is done; `kit ledger` shows what became of it."
    )
    with _door(folder):  # two at once: the second sees the first's trace
        sending = _acquired(folder / f".{receipt.content[:12]}.lock", busy)
        try:
            damaged = refuse_known(competition, receipt, desk, again=again)
            notes = (f"{problem}; not compared with this file" for problem in damaged)
            claim = _written(folder, replace(receipt, notes=(*receipt.notes, *notes)), desk)
        except BaseException:
            _free(sending)
            raise
    try:
        yield claim
    finally:
        with _door(folder):
            _free(sending)


def _written(folder: Path, receipt: Receipt, desk: Desk) -> Receipt:
    if isinstance(desk, Attributes):
        attempt = desk.attempt(receipt.content)
        receipt = replace(receipt, account=attempt.account, mark=attempt.mark)
    stem = receipt.run if receipt.run and receipt.kernel else Path(receipt.file).stem
    return write_receipt(replace(receipt, path=free_path(folder, stem)))


def refuse_known(
    competition: Competition, receipt: Receipt, desk: Desk, *, again: bool = False
) -> list[str]:
    """Raise where the same content was handed in before, or may have been.

    Args:
        competition: whose receipts are read.
        receipt: what is about to be handed in.
        desk: whose list is asked.
        again: it is meant; what got no answer is looked for first all the same.

    Returns:
        A sentence for each receipt that cannot be read; empty, unless `again`.

    Raises:
        HandedInBefore: it is there, and a receipt that had no answer has it now.
        SubmissionError: it may be there.
        ProviderError: the server cannot be asked.
    """
    receipts, damaged = read_receipts(competition.submissions)
    for known in earlier(receipts, receipt):
        if known.status == "sent":
            words = _judged(known, receipts, desk)
            if not again:
                raise SubmissionError(
                    f"{words}\n  Lists can be late: look at the server first. The same command "
                    "with --again looks once more, and sends it where it is still not listed."
                )
        elif not again:
            raise HandedInBefore(_refusal(known), as_submitted(known), known)
    if again and not damaged:
        return []
    same = desk.same(receipt.content) if isinstance(desk, Recognises) else []
    listed = next((entry for entry in same if entry.status != "error"), None)
    if listed is not None:
        raise HandedInBefore(_elsewhere(listed, damaged), listed)
    if damaged and not again:
        place = competition.submissions / damaged[0].partition(" is damaged")[0]
        late = "The server lists no such submission, and lists can be late: "
        asked = late if isinstance(desk, Recognises) else "Where it was handed in, "
        raise SubmissionError(
            f"whether the same content was handed in before cannot be told: {damaged[0]}.\n"
            f"  {asked}look there first. Then "
            f"mend or delete {place}; or the same command with --again looks once more, and sends "
            "it where it is still not listed."
        )
    return damaged


def earlier(receipts: Sequence[Receipt], receipt: Receipt) -> list[Receipt]:
    """Submissions of the same content that the server has, or may have.

    Newest first, those of the same kernel before others.
    """
    kernel = receipt.kernel.partition(",")[0]
    found = [
        known
        for known in receipts
        if known.status != "error"
        and known.provider == receipt.provider
        and (
            known.sha256 == receipt.sha256
            or (bool(receipt.kernel) and known.run_hash == receipt.run_hash)
        )
    ]
    return sorted(found, key=lambda known: known.kernel.partition(",")[0] != kernel)


def _refusal(known: Receipt) -> str:
    wait = " `kit ledger` shows its score." if known.status == "pending" else ""
    return (
        f"the same content was handed in before: {told(known)}.{wait}\n"
        "  The same command with --again sends it once more."
    )


def _elsewhere(listed: Submitted, damaged: Sequence[str]) -> str:
    """What the server has, sent from another machine, by the team, or with a lost receipt."""
    score = "" if listed.public is None else f", public {listed.public:.6g}"
    where = f" ({damaged[0]})" if damaged else ", elsewhere"
    way = "Delete that receipt, then the" if damaged else "The"
    return (
        f"the same content was handed in before{where}: {listed.file_name} by "
        f"{listed.submitted_by or 'the team'} at {listed.created} (ref {listed.ref!r}{score}).\n"
        f"  {way} same command with --again sends it once more."
    )


def _judged(lost: Receipt, receipts: Sequence[Receipt], desk: Desk) -> str:
    """What is known of what got no answer and may be sent once more; raises where it may not."""
    reason = f" ({lost.error})" if lost.error else ""
    what = f"{lost.kernel or lost.file} was sent at {lost.created} and no answer came{reason}."
    try:
        found = find(lost, desk.submissions(), receipts, desk)
        account = desk.account() if isinstance(desk, Attributes) else ""
    except ProviderError as error:
        raise SubmissionError(
            f"{what}\n  The server cannot be asked whether it arrived: {error}\n"
            "  Run the same command again later: it looks first and sends nothing twice."
        ) from error
    if found is not None:
        complete(lost, found)
        raise HandedInBefore(
            f"{what}\n  It did arrive, as {found.ref!r}; the receipt now says so.",
            found,
            lost,
            arrived=True,
        )
    if lost.account and account and lost.account != account:
        raise SubmissionError(
            f"{what}\n  It was sent as {lost.account!r}, and the server is asked as {account!r}, "
            f"who may not see it.\n  Use the credentials of {lost.account!r} again, or delete "
            f"{lost.path} once you know that it did not arrive."
        )
    return f"{what}\n  The server lists no such submission."


def told(receipt: Receipt) -> str:
    """A submission in some words."""
    score = "" if receipt.public is None else f", public {receipt.public:.6g}"
    name = receipt.kernel or receipt.run or receipt.file
    return f"{name} at {receipt.created} (ref {receipt.ref!r}, {receipt.status}{score})"


def as_submitted(receipt: Receipt) -> Submitted:
    """What the receipt knows of the server's entry."""
    return Submitted(
        ref=receipt.ref,
        status=receipt.status,
        created=receipt.created,
        file_name=Path(receipt.file).name,
        message=receipt.message,
        public=receipt.public,
        private=receipt.private,
        error=receipt.error,
    )


def answered(receipt: Receipt, submitted: Submitted) -> Receipt:
    """The receipt with what the server said."""
    notes = receipt.notes
    if submitted.status == "complete" and submitted.public is None:
        said = unmarked(submitted.message)  # our description, and what the server has to add
        more = said.removeprefix(receipt.message).strip() if receipt.message in said else ""
        notes = (*notes, f"no score came back{': ' if more else ''}{more}")
    return replace(
        receipt,
        ref=submitted.ref,
        status=submitted.status,
        public=submitted.public,
        private=submitted.private,
        error=submitted.error,
        notes=notes,
    )


def complete(receipt: Receipt, submitted: Submitted) -> Receipt:
    """Store what the server said.

    Raises:
        DiskFull: it could not be written; the submission is made all the same.
    """
    try:
        return write_receipt(answered(receipt, submitted))
    except (DiskFull, OSError) as error:
        raise DiskFull(
            f"the submission is made (ref {submitted.ref!r}), and its receipt {receipt.path} could "
            f"not be completed: {str(error).splitlines()[0]}\n  Nothing needs to be handed in "
            "again: make room, then `kit ledger` completes the receipt."
        ) from error


def find(
    receipt: Receipt, listed: Sequence[Submitted], receipts: Sequence[Receipt], desk: Desk
) -> Submitted | None:
    """The server's entry for a receipt: by its ref, or by its mark.

    Else by its content and time where the server can tell, or by file name, message and time.
    """
    if receipt.ref:
        return next((entry for entry in listed if entry.ref == receipt.ref), None)
    mark = _mark(receipt)
    if mark:
        return next((entry for entry in listed if mark_in(entry.message) == mark), None)
    taken = {other.ref for other in receipts}
    since = _moment(receipt.created) - _CLOCKS
    if isinstance(desk, Recognises):  # a receipt of a kit that did not note the mark
        others = {_mark(other) for other in receipts}
        same = [
            entry
            for entry in desk.same(receipt.content)
            if entry.ref not in taken
            and mark_in(entry.message) not in others
            and _moment(entry.created) >= since
        ]
        return min(same, key=lambda entry: _moment(entry.created), default=None)
    for entry in sorted(listed, key=lambda entry: _moment(entry.created)):
        same_file = entry.file_name == Path(receipt.file).name
        same_file = same_file and entry.message.startswith(receipt.message)  # it may add to it
        if same_file and entry.ref not in taken and _moment(entry.created) >= since:
            return entry
    return None


def _mark(receipt: Receipt) -> str:
    """What stands in the mark of this attempt; an older kit put a kernel's into the message."""
    return mark_in(receipt.mark) or mark_in(receipt.message)


def _moment(text: str) -> datetime:
    """A time as a receipt or the server spells it; one that cannot be read is later than all.

    So an entry without a date may be what was lost: what cannot be told counts as sent.
    """
    try:
        moment = datetime.fromisoformat(text)
    except (ValueError, TypeError):
        return _UNDATED
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
