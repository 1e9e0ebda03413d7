"""Hand a file in, once: check, look whether it was sent before, leave a trace, send, remember.

Every submission, of a file (`submit`) or of a kernel's version (`kit.export.publishing`), goes
through `hand_in`; nothing else calls `Provider.submit` or `Publisher.submit_kernel`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kit.atomic import sha256
from kit.competition import Competition
from kit.errors import (
    AuthError,
    DiskFull,
    Interrupted,
    KitError,
    NothingSent,
    ProviderError,
    QuotaError,
    RefusedError,
    RunError,
    Unreached,
)
from kit.providers.base import Limits, Provider, Submitted
from kit.runs import Run, find_run
from kit.submission.building import build, left_out
from kit.submission.checking import validate
from kit.submission.claiming import (
    Desk,
    answered,
    claimed,
    complete,
    earlier,
    find,
    refuse_known,
    told,
)
from kit.submission.receipts import Receipt, read_receipts, write_receipt


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
    receipt = draft(competition, path, run, message or (run.id if run else path.name), notes)
    if dry_run:
        return _dry(competition, receipt)
    try:
        limits = _checked_limits(provider)
    except RefusedError:
        # what was handed in before, or has no answer yet, is told first: it explains the refusal
        refuse_known(competition, receipt, provider, again=again)
        raise
    _tell_left(limits, tell)
    return hand_in(
        competition, receipt, provider, lambda text: provider.submit(path, text), again=again
    )


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
        found = find(receipt, listed, receipts, provider)
        if found and answered(receipt, found) != receipt:
            changed.append(complete(receipt, found))
            # no other receipt may have the same answer
            receipts = [changed[-1] if each.path == receipt.path else each for each in receipts]
    return changed


def draft(
    competition: Competition,
    path: Path,
    run: Run | None,
    message: str,
    notes: Sequence[str] = (),
    *,
    provider: str = "",
    kernel: str = "",
) -> Receipt:
    """The receipt of an attempt, as far as it is known before.

    Args:
        competition: whose `submissions` folder will take it.
        path: the file; of a kernel what it wrote for the public test rows.
        run: what it was made of; None: a file made elsewhere, or a copy of a run's.
        message: the description, without a mark.
        notes: what is unusual about it.
        provider: who takes it; "": that of `kit.toml`.
        kernel: what is handed in instead of the file, "user/slug, version 3".
    """
    run = run or _run_of(competition, path)
    facts = _of_run(run) if run else _of_competition(competition)
    inside = path.resolve().is_relative_to(competition.root)
    file = path.resolve().relative_to(competition.root) if inside else path.resolve()
    return Receipt(
        file=file.as_posix(),
        sha256=sha256(path),
        message=message,
        created=f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        provider=provider or competition.settings.provider.name,
        kernel=kernel,
        notes=tuple(notes),
        **facts,
    )


def _run_of(competition: Competition, path: Path) -> Run | None:
    """The run whose submission file this is, or is a copy of."""
    size = path.stat().st_size
    for built in sorted(competition.submissions.glob("*.csv")):
        same = built.stat().st_size == size and (competition.runs / built.stem).is_dir()
        if same and sha256(built) == sha256(path):
            with suppress(RunError):
                return find_run(competition.runs, built.stem)
    return None


def _of_run(run: Run) -> dict[str, Any]:
    score = run.record["score"]
    return {
        "run": run.id,
        "run_hash": run.hash,
        "cv": {
            **{name: _finite(score.get(name)) for name in ("value", "oof", "mean", "std")},
            "folds": [_finite(value) for value in score.get("folds") or ()],
        },
        "folds": run.folds,
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
    known = earlier(read_receipts(competition.submissions)[0], receipt)
    notes = [f"the same content was handed in before: {told(each)}" for each in known[:1]]
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


def hand_in(
    competition: Competition,
    receipt: Receipt,
    desk: Desk,
    send: Callable[[str], Submitted],
    *,
    again: bool = False,
) -> Receipt:
    """Claim, send once, and write the receipt: the one way to a submission, file or kernel.

    Args:
        competition: whose `submissions` folder takes the receipt.
        receipt: the attempt, see `draft`.
        desk: where it is handed in; asked for what is there already.
        send: hands it in with this description, once.
        again: send although the same content was sent before.

    Raises:
        SubmissionError: it was handed in before, or may have been; nothing was sent.
        RefusedError: the server said no, and does not list it.
        ProviderError: it is not known whether it arrived; the receipt stays, with status "sent".
        DiskFull: it was handed in, and the receipt could not be completed.
        Interrupted: Ctrl-C while it was sent; the receipt stays.
    """
    with claimed(competition, receipt, desk, again) as claim:
        try:
            submitted = send(f"{claim.message} {claim.mark}".strip())
        except (AuthError, NothingSent, Unreached):
            _drop(claim)  # refused at the door: nothing was handed in
            raise
        except RefusedError as refused:
            found = _after_all(claim, desk, refused)
            if found is None:
                _drop(claim)
                raise
            submitted = found
        except KitError as error:
            # whether it arrived is not known; the trace stays so that nothing is sent twice unasked
            _note(claim, error)
            raise
        except KeyboardInterrupt as stop:
            raise Interrupted(
                "interrupted while handing in, so that it may have arrived; `kit ledger` shows it. "
                "The same command looks first, and sends nothing twice"
            ) from stop
        return complete(claim, submitted)


def _after_all(claim: Receipt, desk: Desk, refused: RefusedError) -> Submitted | None:
    """What the server has of an attempt that was refused: not every refusal is the server's own.

    Raises:
        ProviderError: the server cannot be asked; the receipt stays.
    """
    if not claim.mark:
        return None  # nothing to find it by
    try:
        return find(claim, desk.submissions(), (), desk)
    except ProviderError as error:
        _note(claim, refused)
        raise ProviderError(
            f"{refused}\n  Whether a submission was made of it all the same cannot be asked now "
            f"({str(error).splitlines()[0]}); the same command looks first, and sends nothing "
            "twice."
        ) from error


def _drop(claim: Receipt) -> None:
    if claim.path is not None:
        claim.path.unlink(missing_ok=True)


def _note(claim: Receipt, error: KitError) -> None:
    """Write down why no answer came; a disk that is full must not hide the reason."""
    with suppress(DiskFull, OSError):
        write_receipt(replace(claim, error=str(error).splitlines()[0]))
