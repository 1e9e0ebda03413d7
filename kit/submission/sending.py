"""Hand a file in, once: check, look whether it was sent before, leave a trace, send, remember.

This is the only module that calls `Provider.submit`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from kit.atomic import sha256
from kit.competition import Competition
from kit.errors import (
    KitError,
    NothingSent,
    ProviderError,
    QuotaError,
    RefusedError,
    SubmissionError,
)
from kit.providers.base import Attributes, Limits, Provider, Recognises, Submitted
from kit.providers.marks import mark_in
from kit.runs import Run
from kit.submission.building import build, left_out
from kit.submission.checking import validate
from kit.submission.receipts import Receipt, free_path, read_receipts, write_receipt

_CLOCKS = timedelta(minutes=5)  # how far the server's clock may be behind ours


def submit(
    competition: Competition,
    run_or_file: Run | Path,
    provider: Provider,
    *,
    message: str = "",
    again: bool = False,
    dry_run: bool = False,
    tell: Callable[[str], None] = lambda text: None,
) -> Receipt:
    """Build (from a run), validate, hand in, and write the receipt.

    Args:
        competition: whose `submissions` folder holds files and receipts.
        run_or_file: a published run, or a file made elsewhere.
        provider: who takes it.
        message: the description; empty: the run's id or the file's name.
        again: send although the same content was sent before; one whose answer was lost is
            looked for first all the same.
        dry_run: stop before the provider is asked anything; no receipt is written.
        tell: told what is left today, before anything is sent.

    Returns:
        The receipt. Its status is "error" where the server took the file and rejected it.

    Raises:
        SubmissionError: the file would be rejected, or was handed in before, here or elsewhere.
        RefusedError: the server said no, or no submission is left; nothing was handed in.
        ProviderError: it is not known whether it arrived; the receipt stays, with status "sent",
            and the same content is not sent again unasked.
    """
    run = run_or_file if isinstance(run_or_file, Run) else None
    path = build(run_or_file, competition) if isinstance(run_or_file, Run) else run_or_file
    notes = [*validate(path, competition), *(left_out(run, competition) if run else ())]
    receipt = _draft(competition, path, run, message or (run.id if run else path.name), notes)
    if dry_run:
        return _dry(competition, receipt)
    _tell_left(_checked_limits(provider), tell)
    with _claimed(competition, receipt, provider, again) as receipt:
        return _send(path, receipt, provider)


def refresh(competition: Competition, provider: Provider) -> list[Receipt]:
    """Ask for the answers that are still out and put them into the receipts.

    Returns:
        The receipts that changed.
    """
    receipts, _ = read_receipts(competition.submissions)
    waiting = [receipt for receipt in receipts if receipt.status in ("sent", "pending")]
    if not waiting:
        return []
    listed = provider.submissions()
    changed = []
    for receipt in waiting:
        found = _find(receipt, listed, receipts, provider)
        answered = _answered(receipt, found) if found else receipt
        if answered != receipt:
            changed.append(write_receipt(answered))
            # no other receipt may have the same answer
            receipts = [changed[-1] if each.path == answered.path else each for each in receipts]
    return changed


def _draft(
    competition: Competition, path: Path, run: Run | None, message: str, notes: Sequence[str]
) -> Receipt:
    facts = _of_run(run) if run else _of_competition(competition)
    inside = path.resolve().is_relative_to(competition.root)
    file = path.resolve().relative_to(competition.root) if inside else path.resolve()
    return Receipt(
        file=file.as_posix(),
        sha256=sha256(path),
        message=message,
        created=f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        provider=competition.settings.provider.name,
        notes=tuple(notes),
        **facts,
    )


def _of_run(run: Run) -> dict[str, Any]:
    score = run.record["score"]
    return {
        "run": run.id,
        "run_hash": run.hash,
        "cv": {
            **{name: _finite(score.get(name)) for name in ("value", "oof", "mean", "std")},
            "folds": [_finite(value) for value in score.get("folds") or ()],
        },
        "metric": str(run.record["metric"]["name"]),
        "greater_is_better": bool(run.record["metric"]["greater_is_better"]),
    }


def _finite(value: Any) -> float | None:
    """A number that JSON can hold; a fold without a score has none."""
    return float(value) if value is not None and math.isfinite(value) else None


def _of_competition(competition: Competition) -> dict[str, Any]:
    from kit.metrics.base import load_metric
    from kit.usercode import UserCode

    task = competition.settings.task
    metric = load_metric(task.metric, task.type, UserCode(competition.root).resolve)
    return {"metric": task.metric, "greater_is_better": metric.greater_is_better}


def _dry(competition: Competition, receipt: Receipt) -> Receipt:
    earlier = _earlier(competition, receipt)
    notes = [f"the same content was handed in before: {_told(e)}" for e in earlier[:1]]
    return replace(receipt, status="dry-run", notes=(*receipt.notes, *notes))


def _checked_limits(provider: Provider) -> Limits:
    limits = provider.limits()
    if limits.left_today is not None and limits.left_today <= 0:
        when = f" The next is possible {limits.resets}." if limits.resets else ""
        why = f" ({limits.note})" if limits.note else ""
        raise QuotaError(f"no submission is left today{why}.{when} The file is valid and stays.")
    return limits


def _tell_left(limits: Limits, tell: Callable[[str], None]) -> None:
    if limits.note:
        tell(limits.note)
    if limits.left_today is not None:
        plural = "s are" if limits.left_today != 1 else " is"
        when = f"; new ones {limits.resets}" if limits.resets else ""
        tell(f"{limits.left_today} submission{plural} left today, this one included{when}")


@contextmanager
def _claimed(
    competition: Competition, receipt: Receipt, provider: Provider, again: bool
) -> Iterator[Receipt]:
    """The trace of an attempt; while it lasts, nobody else here can send the same content.

    The lock ends with the process: a trace without an answer and without the lock is of a process
    that was stopped.
    """
    from filelock import FileLock, Timeout

    folder = competition.submissions
    folder.mkdir(parents=True, exist_ok=True)
    sending = FileLock(folder / f".{receipt.sha256[:12]}.lock")
    with FileLock(folder / ".lock"):  # two `kit submit` at once: the second sees the first's trace
        try:
            sending.acquire(timeout=0)
        except Timeout as error:
            raise SubmissionError(
                "another `kit submit` is sending the same content right now.\n"
                "  Wait until it is done; `kit ledger` shows what became of it."
            ) from error
        try:
            claimed = _claim(competition, receipt, provider, again)
        except BaseException:
            _free(sending)
            raise
    try:
        yield claimed
    finally:
        _free(sending)


def _free(lock: Any) -> None:
    Path(lock.lock_file).unlink(missing_ok=True)
    lock.release()


def _claim(competition: Competition, receipt: Receipt, provider: Provider, again: bool) -> Receipt:
    """Leave the trace of an attempt, unless the same content was sent before."""
    folder = competition.submissions
    receipts, damaged = read_receipts(folder)
    earlier = _earlier(competition, receipt)
    if earlier and not again:
        raise SubmissionError(_refusal(earlier[0], receipts, provider))
    for lost in earlier:
        if lost.status == "sent":
            known, words = _judged(lost, receipts, provider)
            if known:
                raise SubmissionError(words)
    if not again:
        _refuse_known(receipt, provider)
    if isinstance(provider, Attributes):
        attempt = provider.attempt(receipt.sha256)
        receipt = replace(receipt, account=attempt.account, mark=attempt.mark)
    stem = Path(receipt.file).stem
    notes = (*receipt.notes, *(f"{problem}; not compared with this file" for problem in damaged))
    return write_receipt(replace(receipt, notes=notes, path=free_path(folder, stem)))


def _earlier(competition: Competition, receipt: Receipt) -> list[Receipt]:
    """Submissions of the same content that the server has, or may have."""
    receipts, _ = read_receipts(competition.submissions)
    return [r for r in receipts if r.sha256 == receipt.sha256 and r.status != "error"]


def _refuse_known(receipt: Receipt, provider: Provider) -> None:
    """Refuse what the server has of the same content, sent from another machine or by the team."""
    if not isinstance(provider, Recognises):
        return
    known = [entry for entry in provider.same(receipt.sha256) if entry.status != "error"]
    if known:
        first = known[0]
        score = "" if first.public is None else f", public {first.public:.6g}"
        raise SubmissionError(
            f"the same content was handed in before, elsewhere: {first.file_name} by "
            f"{first.submitted_by or 'the team'} at {first.created} (ref {first.ref!r}{score}).\n"
            "  `kit submit --again` sends it once more."
        )


def _refusal(earlier: Receipt, receipts: Sequence[Receipt], provider: Provider) -> str:
    if earlier.status != "sent":
        return (
            f"the same content was handed in before: {_told(earlier)}.\n"
            "  `kit submit --again` sends it once more."
        )
    known, words = _judged(earlier, receipts, provider)
    if known:
        return words
    return (
        f"{words}\n  Lists can be late: look at the server first. `kit submit --again` looks once "
        "more, and sends it where it is still not listed."
    )


def _judged(lost: Receipt, receipts: Sequence[Receipt], provider: Provider) -> tuple[bool, str]:
    """Whether anything speaks against sending once more what got no answer, and what is known."""
    reason = f" ({lost.error})" if lost.error else ""
    what = f"{lost.file} was sent at {lost.created} and no answer came{reason}."
    try:
        found = _find(lost, provider.submissions(), receipts, provider)
        account = provider.account() if isinstance(provider, Attributes) else ""
    except ProviderError as error:
        return True, (
            f"{what}\n  The server cannot be asked whether it arrived: {error}\n"
            "  Run the same command again later: it looks first and sends nothing twice."
        )
    if found is not None:
        write_receipt(_answered(lost, found))
        return True, f"{what}\n  It did arrive, as {found.ref!r}; the receipt now says so."
    if lost.account and account and lost.account != account:
        return True, (
            f"{what}\n  It was sent as {lost.account!r}, and the server is asked as {account!r}, "
            f"who may not see it.\n  Use the credentials of {lost.account!r} again, or delete "
            f"{lost.path} once you know that it did not arrive."
        )
    return False, f"{what}\n  The server lists no such submission."


def _told(receipt: Receipt) -> str:
    score = "" if receipt.public is None else f", public {receipt.public:.6g}"
    name = receipt.run or receipt.file
    return f"{name} at {receipt.created} (ref {receipt.ref!r}, {receipt.status}{score})"


def _send(path: Path, receipt: Receipt, provider: Provider) -> Receipt:
    try:
        submitted = provider.submit(path, f"{receipt.message} {receipt.mark}".strip())
    except (RefusedError, NothingSent):
        if receipt.path is not None:
            receipt.path.unlink(missing_ok=True)  # refused at the door: nothing was handed in
        raise
    except KitError as error:
        # whether it arrived is not known; the trace stays so that nothing is sent twice unasked
        write_receipt(replace(receipt, error=str(error).splitlines()[0]))
        raise
    return write_receipt(_answered(receipt, submitted))


def _answered(receipt: Receipt, submitted: Submitted) -> Receipt:
    notes = receipt.notes
    if submitted.status == "complete" and submitted.public is None:
        notes = (*notes, f"no score came back: {submitted.message}")
    return replace(
        receipt,
        ref=submitted.ref,
        status=submitted.status,
        public=submitted.public,
        private=submitted.private,
        error=submitted.error,
        notes=notes,
    )


def _find(
    receipt: Receipt, listed: Sequence[Submitted], receipts: Sequence[Receipt], provider: Provider
) -> Submitted | None:
    """The server's entry for a receipt: by its ref, or by its mark.

    Else by its content and time where the server can tell, or by file name, message and time.
    """
    if receipt.ref:
        return next((entry for entry in listed if entry.ref == receipt.ref), None)
    mark = _mark(receipt)
    if mark:
        return next((entry for entry in listed if mark_in(entry.message) == mark), None)
    claimed = {other.ref for other in receipts}
    since = _moment(receipt.created) - _CLOCKS
    if isinstance(provider, Recognises):  # a receipt of a kit that did not note the mark
        others = {_mark(other) for other in receipts}
        same = [
            entry
            for entry in provider.same(receipt.sha256)
            if entry.ref not in claimed
            and mark_in(entry.message) not in others
            and _moment(entry.created) >= since
        ]
        return min(same, key=lambda entry: _moment(entry.created), default=None)
    for entry in sorted(listed, key=lambda entry: _moment(entry.created)):
        same_file = entry.file_name == Path(receipt.file).name
        same_file = same_file and entry.message.startswith(receipt.message)  # it may add to it
        if same_file and entry.ref not in claimed and _moment(entry.created) >= since:
            return entry
    return None


def _mark(receipt: Receipt) -> str:
    """What stands in the mark of this attempt; that of a kernel is part of the message."""
    return mark_in(receipt.mark) or mark_in(receipt.message)


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
