"""What went wrong on the way to Kaggle, in one sentence and the next step.

Owns: reading the three shapes of an error body, and the table from (status, call, the server's
words) to an error of kit. The words are those seen in 2026; what is not in the table is shown as
the server said it. Standard library only.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Literal

from kit.errors import ProviderError, QuotaError, RefusedError, RefusedVersion
from kit.providers.kaggle.text import redacted

SITE = "https://www.kaggle.com"
_TRANSIENT = {408, 425, 429, 500, 502, 503, 504}
_MAKES = {"CreateSubmission", "CreateCodeSubmission"}  # what must not be made twice
_NOT_MADE = "Submission not allowed:"  # how Kaggle begins when it made none
_OURS = ("Dataset", "Kernel", "Blob")  # calls that no competition's page says anything about
_UNSURE = {408, 425, 499}  # of a gateway that waited: what is behind it may have done the work


@dataclass(kw_only=True, eq=False)
class Failure(Exception):
    """One call that did not succeed.

    Attributes:
        how: "answer" (the server said no), "unreached" (nothing was sent), "lost" (sent, and no
            answer came), "foreign" (an answer that is not Kaggle's), "setup" (proxy, certificate).
        status: of HTTP, 0 without an answer.
        message: the server's words, or those of the network library.
        reason: the code beside the words ("RulesAcceptanceRequired").
        retry_after: seconds the server asks for.
        own: whether an error answer has the shape of Kaggle's.
    """

    how: Literal["answer", "unreached", "lost", "foreign", "setup"]
    status: int = 0
    message: str = ""
    reason: str = ""
    retry_after: float | None = None
    own: bool = True

    @property
    def passing(self) -> bool:
        """Whether the same call may succeed a little later."""
        return self.how in ("unreached", "lost") or self.status in _TRANSIENT


def of_body(status: int, document: Any, retry_after: float | None) -> Failure:
    """Read an error body: ``{"error": {"message"}}``, ``{"message"}``, or no JSON (None)."""
    if not isinstance(document, dict):
        how: Literal["answer", "foreign"] = "answer" if document is None else "foreign"
        return Failure(how=how, status=status, retry_after=retry_after, own=False)
    inner = document.get("error")
    inner = inner if isinstance(inner, dict) else document
    details = inner.get("details")
    reasons = [
        str(item["reason"])
        for item in (details if isinstance(details, list) else [])
        if isinstance(item, dict) and item.get("reason")
    ]
    reason = str(inner.get("reason") or (reasons[0] if reasons else ""))
    message = redacted(inner.get("message"))
    return Failure(
        how="answer",
        status=status,
        message=message,
        reason=reason,
        retry_after=retry_after,
        own=not {"code", "message", "status"}.isdisjoint(inner),
    )


def asked_wait(header: str) -> float | None:
    """Seconds that a header Retry-After asks for, None where there is none."""
    text = header.strip()
    if not text:
        return None
    try:
        return max(0.0, float(text))
    except ValueError:
        pass
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


def explained(failure: Failure, call: str, slug: str) -> ProviderError:
    """The error of kit for a failure.

    Args:
        failure: what happened; 401 is handled where the credentials are.
        call: the name of the call, such as "CreateSubmission".
        slug: the competition, "" where there is none.

    Returns:
        `RefusedError` (or a kind of it) where the server said no; another `ProviderError` where it
        failed, or where it is not known what it did.
    """
    if failure.how != "answer":
        return _network(failure, call)
    if unowned(failure, call):
        return ProviderError(
            f"the answer to {call} is not Kaggle's own (HTTP {failure.status}), so "
            "that it may have been carried out.\n  A proxy on the way? Try from another network."
        )
    if failure.status == 429:
        return RefusedError(
            f"Kaggle asks to slow down ({_said(failure, 'too many requests')}).\n"
            f"  Try the same command again {_later(failure.retry_after)}; nothing is lost."
        )
    if failure.status >= 500 or failure.status < 400 or failure.status in _UNSURE:
        return ProviderError(
            f"Kaggle failed to answer {call} (HTTP {failure.status}{_words(failure)}).\n"
            "  Its state is shown at https://www.kaggle-status.com; try again later."
        )
    return _refusal(failure, call, slug)


def never_sent(error: ProviderError) -> bool:
    """Whether the connection was never made, so that nothing arrived."""
    cause = error.__cause__
    return isinstance(cause, Failure) and cause.how in ("unreached", "setup")


def unowned(failure: Failure, call: str) -> bool:
    """Whether a submission was refused by an answer that need not be Kaggle's.

    What stands in between (a proxy, a gateway) may say no after the work was done behind it.
    """
    foreign = failure.how == "answer" and not failure.own
    return call in _MAKES and foreign and 400 <= failure.status < 500


def _network(failure: Failure, call: str) -> ProviderError:
    if failure.how == "setup":
        return ProviderError(
            f"the connection to Kaggle cannot be set up: {failure.message}.\n"
            "  Look at HTTPS_PROXY, NO_PROXY and REQUESTS_CA_BUNDLE (own certificates)."
        )
    if failure.how == "foreign":
        return ProviderError(
            f"the answer to {call} is not Kaggle's (HTTP {failure.status}, not JSON).\n"
            "  A login page of the network, a proxy? Open https://www.kaggle.com in a browser."
        )
    what = "cannot be reached" if failure.how == "unreached" else f"did not answer {call}"
    return ProviderError(
        f"Kaggle {what}: {failure.message or 'no answer'}.\n"
        "  Look at the connection (HTTPS_PROXY where there is a proxy) and try again."
    )


def _refusal(failure: Failure, call: str, slug: str) -> ProviderError:
    """A 4xx: every rule that fits gives its next step."""
    words = failure.message
    found = [rule for rule in _RULES if rule.fits(failure, call)]
    if not found:
        asked = slug and not any(part in call for part in _OURS)
        way = f"\n  {SITE}/competitions/{slug} may say why." if asked else ""
        refused = RefusedError(
            f"Kaggle refused {call} (HTTP {failure.status}): {words or 'no reason given'}.{way}"
        )
        refused.sure = call not in _MAKES or words.startswith(_NOT_MADE)
        return refused
    what = found[0].what.format(slug=slug, call=call)
    said = f' Kaggle says: "{words}"' if words and found[0].quote else ""
    ways = [rule.way(words, slug) for rule in found]
    return found[0].error("\n  ".join([what + said, *dict.fromkeys(ways)]))


def _said(failure: Failure, default: str) -> str:
    return failure.message or default


def _words(failure: Failure) -> str:
    return f": {failure.message}" if failure.message else ""


def _later(seconds: float | None) -> str:
    if seconds is None:
        return "in some minutes"
    return f"in {seconds:.0f} s" if seconds < 120 else f"in {seconds / 60:.0f} min"


def reset(now: datetime | None = None) -> str:
    """When the daily allowance is new: "at 00:00 UTC, in 5 h"."""
    now = now or datetime.now(UTC)
    midnight = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    minutes = max(1, round((midnight - now).total_seconds() / 60))
    wait = f"{minutes} min" if minutes < 90 else f"{minutes / 60:.0f} h"
    return f"at 00:00 UTC, in {wait}"


@dataclass(frozen=True, kw_only=True)
class _Rule:
    """A refusal: how it is recognised, what it means, what to do."""

    pattern: str
    what: str
    way: Callable[[str, str], str]
    status: tuple[int, ...] = (400, 403)
    calls: tuple[str, ...] = ()
    error: type[RefusedError] = RefusedError
    quote: bool = True

    def fits(self, failure: Failure, call: str) -> bool:
        if failure.status not in self.status or (self.calls and call not in self.calls):
            return False
        return re.search(self.pattern, f"{failure.reason} {failure.message}", re.I) is not None


def _named(words: str, slug: str) -> str:
    found = re.search(r'named ["“]?([\w.\-]+)', words)
    name = found.group(1) if found else "NAME.csv"
    return (
        f'Set provider.file = "{name}" in kit.toml, then the same command: it is sent by that name.'
    )


def _unknown(**how: Any) -> _Rule:
    """There is no such competition, for this account at least."""
    return _Rule(
        **how,
        what="Kaggle knows no competition {slug!r}, or this account must not see it.",
        way=lambda words, slug: (
            f"Is the name right? It is the last part of the address: {SITE}/competitions/NAME."
        ),
        quote=False,
    )


_RULES = (
    _Rule(
        pattern=r"accept\b.{0,40}\brules|RulesAcceptanceRequired",
        what="the rules of {slug} are not accepted yet by this account.",
        way=lambda words, slug: (
            f"Accept them at {SITE}/competitions/{slug}/rules (only a browser can), then try again."
        ),
        quote=False,
    ),
    _Rule(
        pattern="daily submission allowance|submission limit",
        what="no submission is left today.",
        way=lambda words, slug: f"The next is possible {reset()}. The file is valid and stays.",
        error=QuotaError,
    ),
    _Rule(
        pattern="from notebooks",
        what="{slug} takes notebooks only, no files.",
        way=lambda words, slug: "Make one with `kit export RUN --to kaggle`.",
    ),
    _Rule(
        pattern="must be named",
        what="the file has the wrong name for {slug}.",
        way=_named,
    ),
    _Rule(
        pattern="submissions (have been|are) disabled",
        what="{slug} takes no submissions.",
        way=lambda words, slug: f"{SITE}/competitions/{slug} may say why.",
    ),
    _Rule(
        pattern="still running|notebook output file",
        calls=("CreateCodeSubmission",),
        what="Kaggle does not find the kernel's output.",
        way=lambda words, slug: "Run the same command again in some minutes; nothing is redone.",
    ),
    _Rule(
        pattern="internet access",
        calls=("CreateCodeSubmission",),
        what="{slug} takes no kernel with internet.",
        way=lambda words, slug: (
            "kit pushes it without. Was that changed in the editor? Export and push once more."
        ),
        error=RefusedVersion,
    ),
    _Rule(
        pattern="as a data source",
        calls=("CreateCodeSubmission",),
        what="the kernel does not read the data of {slug}.",
        way=lambda words, slug: f"`kit export RUN --competition {slug}`, then push once more.",
        error=RefusedVersion,
    ),
    _Rule(
        pattern="runtime of",
        calls=("CreateCodeSubmission",),
        what="the kernel took longer than {slug} allows.",
        way=lambda words, slug: "Export a blend of fewer or quicker models.",
        error=RefusedVersion,
    ),
    _Rule(
        pattern=r"cannot use .{0,20}GPU",
        calls=("CreateCodeSubmission",),
        what="{slug} takes no kernel on that machine.",
        way=lambda words, slug: "Export without --gpu, then push once more.",
        error=RefusedVersion,
    ),
    _Rule(
        pattern=r"(datasets|kernels|kernelSessions)\.\w+",
        calls=("CreateDataset", "CreateDatasetVersion", "SaveKernel", "CreateCodeSubmission",
               "GetDatasetStatus", "GetKernelSessionStatus", "ListKernelSessionOutput"),
        what="this account may not do that with this dataset or kernel.",
        way=lambda words, slug: (
            "Does --id begin with the name of the account (`kit doctor`)? A dataset that Kaggle is "
            "still unpacking takes no new version: then try again in some minutes."
        ),
    ),
    _Rule(
        pattern=r"deadline|has (ended|closed)|is (over|closed)",
        what="the deadline of {slug} is over, and it takes no late submissions.",
        way=lambda words, slug: "`kit cv` and `kit blend` still work on its data.",
    ),
    _Rule(
        pattern="competitions.participate",
        what="this account does not take part in {slug}.",
        way=lambda words, slug: (
            f"Join at {SITE}/competitions/{slug}/rules (only a browser can), then try again."
        ),
        quote=False,
    ),
    _unknown(
        pattern="competitions.get|^ *not found",
        status=(403, 404),
        calls=("GetCompetition", "ListCompetitionPages", "DownloadDataFiles", "ListSubmissions",
               "GetSubmissionLimits", "ListDataTreeFiles", "StartSubmissionUpload",
               "DownloadLeaderboard", "GetLeaderboard"),
    ),
    _unknown(pattern="", status=(404,), calls=("GetCompetition",)),
    _Rule(
        pattern="",
        status=(404,),
        calls=("DownloadDataFile",),
        what="{slug} has no such file.",
        way=lambda words, slug: f"{SITE}/competitions/{slug}/data lists the files.",
        quote=False,
    ),
)  # fmt: skip
