"""Kaggle's JSON -> kit's facts. Missing keys, other types and unknown values are no errors.

Standard library only.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from kit.errors import RefusedError
from kit.providers.base import Contest, Description, Kind, Limits, Page, Submitted
from kit.providers.kaggle.metrics import metric_of
from kit.providers.kaggle.pages import plain
from kit.providers.kaggle.refusals import SITE, reset
from kit.providers.kaggle.text import line

_FIRST_PAGES = ("description", "evaluation", "data-description", "timeline", "code-requirements")


def moment(value: Any) -> str:
    """Kaggle's naive UTC as ISO 8601 with Z, to the second; "" where it is none."""
    try:
        time = datetime.fromisoformat(str(value).replace("Z", "+00:00"))
    except ValueError:
        return ""
    time = time if time.tzinfo else time.replace(tzinfo=UTC)
    return f"{time.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def number(value: Any) -> float | None:
    """A score, which Kaggle sends as a string; None for "" and what is no finite number."""
    try:
        found = float(value)
    except (TypeError, ValueError):
        return None
    return found if math.isfinite(found) else None


def count(value: Any) -> int | None:
    """A positive count; 0 means: not known."""
    found = number(value)
    return int(found) if found and found > 0 else None


def items(document: Any, key: str) -> list[dict[str, Any]]:
    """The objects of a list in an answer."""
    found = document.get(key) if isinstance(document, dict) else None
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def submitted(entry: dict[str, Any]) -> Submitted:
    """One `ApiSubmission`.

    A status that kit does not know counts as scored where there is a score, as failed where there
    is a reason, and as pending otherwise.
    """
    public, private = number(entry.get("publicScore")), number(entry.get("privateScore"))
    error = line(entry.get("errorDescription"))
    status = str(entry.get("status") or "PENDING").upper()
    known = {"COMPLETE": "complete", "ERROR": "error", "PENDING": "pending"}
    guess = "complete" if public is not None else "error" if error else "pending"
    told = known.get(re.split(r"[._]", status)[-1], guess)  # "SUBMISSION_STATUS_COMPLETE", too
    return Submitted(
        ref=line(entry.get("ref")),
        status=told,
        created=moment(entry.get("date")),
        file_name=line(entry.get("fileName")),
        message=line(entry.get("description"), 1000),
        public=public,
        private=private,
        error=error or ("Kaggle gives no reason" if told == "error" else ""),
        submitted_by=line(entry.get("submittedBy")),
    )


def dated(entry: Submitted, deadline: str) -> Submitted:
    """The submission, marked as late where it was made after the deadline ("": there is none)."""
    until = moment(deadline)
    late = bool(until and entry.created) and entry.created > until
    return replace(entry, late=True) if late else entry


def passed(deadline: str) -> bool:
    """Whether a deadline is over."""
    until = moment(deadline)
    return bool(until) and datetime.fromisoformat(until) < datetime.now(UTC)


def limits(document: dict[str, Any], daily: int | None = None) -> Limits:
    """`ApiSubmissionLimits`; the allowance is new at midnight UTC unless it is one for good.

    Args:
        document: the answer.
        daily: the competition's daily limit; whoever never submitted is on no team yet, and Kaggle
            counts zeros for no team, which must not read as "none left".
    """
    today, total, left = (
        int(number(document.get(key)) or 0) for key in ("numToday", "numTotal", "numAllowedNow")
    )
    if document.get("limitedByTotal"):
        note = "the competition allows no more submissions in all" if not left else ""
        return Limits(left_today=left, note=note)
    if not (today or total or left) and daily:
        left = daily
    return Limits(left_today=left, resets=reset())


def description(slug: str, facts: dict[str, Any], pages: Sequence[dict[str, Any]]) -> Description:
    """`ApiCompetition` and its pages."""
    metric = line(facts.get("evaluationMetric"))
    tags = {line(tag.get("name") or tag.get("ref")).lower() for tag in items(facts, "tags")}
    kind = _kind(facts, metric, tags)
    custom = "custom metric" in tags
    ours = "" if custom else metric_of(metric)
    entered = facts.get("userHasEntered")
    return Description(
        slug=slug,
        title=line(facts.get("title")) or slug,
        url=f"{SITE}/competitions/{slug}",
        about=line(plain(str(facts.get("description") or "")), 1000),
        hints={"metric": ours} if ours else {},
        questions=_questions(kind, metric, ours, custom),
        metric=metric,
        kind=kind,
        deadline=moment(facts.get("deadline")),
        merger_deadline=moment(facts.get("mergerDeadline")),
        daily_limit=count(facts.get("maxDailySubmissions")),
        team_size=count(facts.get("maxTeamSize")),
        teams=count(facts.get("teamCount")),
        rules_accepted=entered if isinstance(entered, bool) else None,
        closed=bool(facts.get("submissionsDisabled")),
        prize=line(facts.get("reward")),
        pages=_pages(pages),
    )


def contest(facts: Mapping[str, Any], account: str) -> Contest:
    """`ApiCompetition` as an event, for the account that asks."""
    deadline = moment(facts.get("deadline"))
    return Contest(
        account=account,
        category=line(facts.get("category")),
        teams=count(facts.get("teamCount")),
        deadline=deadline,
        over=passed(deadline),
    )


def _kind(facts: dict[str, Any], metric: str, tags: set[str]) -> Kind:
    if any("simulation" in tag for tag in tags):
        return "simulation"
    if facts.get("isKernelsSubmissionsOnly"):
        return "notebooks"
    return "files" if metric else "hackathon"


def _questions(kind: Kind, metric: str, ours: str, custom: bool) -> tuple[str, ...]:
    found = []
    if kind == "notebooks":
        found.append(
            "this is a code competition: it takes notebooks, not files; "
            "`kit export RUN --to kaggle` makes one from a run"
        )
    if kind == "hackathon":
        found.append(
            "Kaggle names no metric: it looks like a hackathon, which people judge. If there is a "
            "file of predictions to hand in, say how it is scored with --metric"
        )
    if not ours and metric:
        own = "a metric of its own" if custom else "a metric that kit does not have by this name"
        found.append(
            f"the competition is scored by {metric!r}, {own}; the evaluation page in "
            "COMPETITION.md explains it. Choose the nearest with --metric, or write it in metric.py"
        )
    return tuple(found)


def _pages(entries: Sequence[dict[str, Any]]) -> tuple[Page, ...]:
    """Pages as text, what matters first; names differ in case from competition to competition."""
    found = []
    for entry in entries:
        name = re.sub(r"[^a-z0-9]+", "-", line(entry.get("name")).lower()).strip("-")
        text = plain(str(entry.get("content") or ""))
        if name and text:
            found.append(Page(name=name[:60], text=text))
    rank = {name: position for position, name in enumerate(_FIRST_PAGES)}
    found.sort(key=lambda page: rank.get(page.name, len(rank)))
    return tuple(found)


def refused_beforehand(slug: str, facts: dict[str, Any], *, kernel: bool = False) -> str:
    """What `GetCompetition` tells before anything is uploaded: a refusal, or a note.

    Args:
        slug: the competition.
        facts: the answer.
        kernel: whether the output of a kernel is to be submitted, not a file.

    Raises:
        RefusedError: it would be refused after the upload.
    """
    if facts.get("isKernelsSubmissionsOnly") and not kernel:
        raise RefusedError(
            f"{slug} is a code competition: it takes notebooks, no files.\n"
            "  Make one with `kit export RUN --to kaggle`."
        )
    if facts.get("submissionsDisabled"):
        raise RefusedError(
            f"{slug} takes no submissions.\n  {SITE}/competitions/{slug} may say why."
        )
    if facts.get("userHasEntered") is False:
        raise RefusedError(
            f"this account does not take part in {slug}.\n"
            f"  Join and accept the rules at {SITE}/competitions/{slug}/rules (only a browser "
            "can), then try again."
        )
    until = moment(facts.get("deadline"))
    if passed(until):
        return f"the deadline was {until[:10]}: this is a late submission, scored but not ranked"
    return ""
