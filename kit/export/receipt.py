"""The receipt of a submitted kernel version, written before it is sent, as for any submission."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kit.atomic import sha256
from kit.competition import Competition
from kit.errors import ProviderError
from kit.providers.base import Submitted
from kit.runs import find_run
from kit.submission.receipts import Receipt, free_path, read_receipts, write_receipt


def claim(competition: Competition, run_id: str, output: Path, message: str) -> Receipt:
    """Write the receipt with status "sent"; that of an earlier try, if there is one.

    Args:
        competition: whose `submissions` folder takes it.
        run_id: the run behind the bundle.
        output: the file the kernel wrote for the public test rows.
        message: the description; it marks this version of the kernel.
    """
    for known in read_receipts(competition.submissions)[0]:
        if known.message == message and known.status == "sent":
            return known
    run = find_run(competition.runs, run_id)
    score = run.record["score"]
    competition.submissions.mkdir(parents=True, exist_ok=True)
    inside = output.is_relative_to(competition.root)
    file = output.relative_to(competition.root) if inside else output
    receipt = Receipt(
        file=file.as_posix(),
        sha256=sha256(output),
        message=message,
        created=f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        provider="kaggle",
        run=run.id,
        run_hash=run.hash,
        cv={
            **{name: _finite(score.get(name)) for name in ("value", "oof", "mean", "std")},
            "folds": [_finite(value) for value in score.get("folds") or ()],
        },
        metric=str(run.record["metric"]["name"]),
        greater_is_better=bool(run.record["metric"]["greater_is_better"]),
        notes=("handed in as a version of a kernel; the hidden rows are predicted on Kaggle",),
        path=free_path(competition.submissions, run.id),
    )
    return write_receipt(receipt)


def answered(receipt: Receipt, answer: Submitted) -> Receipt:
    """Store what the server said."""
    return write_receipt(
        replace(
            receipt,
            ref=answer.ref,
            status=answer.status,
            public=answer.public,
            private=answer.private,
            error=answer.error,
        )
    )


def may_repeat(entry: Mapping[str, Any], account: str, again: bool) -> None:
    """Refuse to submit once more unasked, or as somebody else, what was sent without an answer.

    Args:
        entry: what the journal says of the submission; the list does not show it.
        account: the one in use.
        again: whether the user asked for it.

    Raises:
        ProviderError: it is not to be sent.
    """
    what = "this version was submitted, no answer came, and it is not in the list"
    before = str(entry.get("account") or "")
    if before and account and before != account:
        raise ProviderError(
            f"{what} that {account!r} sees; it was submitted as {before!r}.\n"
            f"  Use the credentials of {before!r} again. Nothing was sent again."
        )
    if not again:
        raise ProviderError(
            f"{what}.\n  Lists can be late: look at the competition's page first. The same command "
            "with --again looks once more, and submits it where it is still not listed."
        )


def _finite(value: Any) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None
