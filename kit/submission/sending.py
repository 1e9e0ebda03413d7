"""Hand a file in, once: check, look whether it was sent before, leave a trace, send, remember.

This is the only module that calls `Provider.submit`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from kit.atomic import sha256
from kit.competition import Competition
from kit.errors import KitError, ProviderError, QuotaError, RefusedError, SubmissionError
from kit.providers.base import Limits, Provider, Recognises, Submitted
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
        again: send although the same content was sent before.
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
    receipt = _claim(competition, receipt, provider, again)
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


def _claim(competition: Competition, receipt: Receipt, provider: Provider, again: bool) -> Receipt:
    """Leave the trace of an attempt, unless the same content was sent before."""
    from filelock import FileLock

    folder = competition.submissions
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".lock"):  # two `kit submit` at once: the second sees the first's trace
        receipts, damaged = read_receipts(folder)
        earlier = _earlier(competition, receipt)
        if earlier and not again:
            raise SubmissionError(_refusal(earlier[0], receipts, provider))
        if not again:
            _refuse_known(receipt, provider)
        stem = Path(receipt.file).stem
        notes = (
            *receipt.notes,
            *(f"{problem}; not compared with this file" for problem in damaged),
        )
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
    reason = f" ({earlier.error})" if earlier.error else ""
    what = f"{earlier.file} was sent at {earlier.created} and no answer came{reason}."
    try:
        found = _find(earlier, provider.submissions(), receipts, provider)
    except ProviderError as error:
        way = f"The server cannot be asked whether it arrived: {error}"
    else:
        if found is not None:
            write_receipt(_answered(earlier, found))
            return f"{what}\n  It did arrive, as {found.ref!r}; the receipt now says so."
        way = "The server lists no such submission."
    return f"{what}\n  {way}\n  `kit submit --again` sends it once more; look at the server first."


def _told(receipt: Receipt) -> str:
    score = "" if receipt.public is None else f", public {receipt.public:.6g}"
    name = receipt.run or receipt.file
    return f"{name} at {receipt.created} (ref {receipt.ref!r}, {receipt.status}{score})"


def _send(path: Path, receipt: Receipt, provider: Provider) -> Receipt:
    try:
        submitted = provider.submit(path, receipt.message)
    except RefusedError:
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
    """The server's entry for a receipt: by its ref; by its content, where the server can tell.

    Else by file name, message, time and being unclaimed.
    """
    if receipt.ref:
        return next((entry for entry in listed if entry.ref == receipt.ref), None)
    claimed = {other.ref for other in receipts}
    if isinstance(provider, Recognises):
        same = [entry for entry in provider.same(receipt.sha256) if entry.ref not in claimed]
        return same[0] if same else None
    since = _moment(receipt.created) - _CLOCKS
    for entry in sorted(listed, key=lambda entry: _moment(entry.created)):
        same_file = entry.file_name == Path(receipt.file).name
        same_file = same_file and entry.message.startswith(receipt.message)  # it may add to it
        if same_file and entry.ref not in claimed and _moment(entry.created) >= since:
            return entry
    return None


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
