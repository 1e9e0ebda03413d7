"""Run the catalogue on one competition: gather once, check, mute, report."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Sequence

from kit.checks.catalogue import CATALOGUE, Check
from kit.checks.finding import SEVERITIES, Evidence, Finding, Report, Severity
from kit.checks.material import Material
from kit.checks.nulls import NullScore
from kit.competition import CONFIG_NAME, Competition
from kit.errors import ConfigError, nearest
from kit.portfolio import find_model
from kit.registry import METRICS, MODELS, SPLITTERS

_SHOWN = 8  # pieces of evidence of one finding that are spelled out


def check(
    competition: Competition,
    *,
    deep: bool = False,
    seconds: float | None = None,
    null: Sequence[NullScore] = (),
) -> Report:
    """Look for mistakes and leaks in the data, `kit.toml` and `features.py`.

    What is wrong with the files becomes findings, several at once; checks that cannot run because
    of them are listed as skipped.

    Args:
        competition: the competition.
        deep: run the checks that need small models or compare many rows, too.
        seconds: after which no further deep check is started; None: no limit.
        null: what `kit.permutation.prove` found.

    Raises:
        ConfigError: `kit.toml` itself is broken: a name that no registry knows, or `check.mute`
            with an unknown code.
    """
    started = time.perf_counter()
    mute = _muted(competition)
    _check_names(competition)
    material = Material(competition, null)
    findings: list[Finding] = []
    muted: list[Finding] = []
    checked: list[tuple[str, str]] = []
    skipped: list[tuple[str, str]] = []
    late: list[tuple[str, str]] = []
    for entry in (entry for entry in CATALOGUE if deep or not entry.deep):
        if entry.needs == ("null",) and not null:
            continue
        if entry.deep and seconds is not None and time.perf_counter() - started > seconds:
            late.append((entry.code, entry.title))
            continue
        if not material.has(entry.needs):
            skipped.append((entry.code, entry.title))
            continue
        checked.append((entry.code, entry.title))
        loud, quiet = _split(entry, entry.function(material), mute)
        findings += _findings(entry, loud)
        muted += _findings(entry, quiet)
    findings.sort(key=lambda finding: SEVERITIES.index(finding.severity))  # stable: then by code
    return Report(
        findings=tuple(findings),
        muted=tuple(muted),
        checked=tuple(checked),
        skipped=tuple(skipped),
        late=tuple(late),
        null=tuple(null),
        sampled="; ".join(material.sampled),
        seconds=round(time.perf_counter() - started, 2),
    )


def _muted(competition: Competition) -> dict[str, set[str]]:
    """Columns by muted code; the empty name stands for the whole code."""
    known = [entry.code for entry in CATALOGUE]
    mute: dict[str, set[str]] = {}
    for item in competition.settings.check.mute:
        code, _, column = item.partition(":")
        if code.strip() not in known:
            raise ConfigError(
                f"{competition.root / CONFIG_NAME}: check.mute: no finding has the code "
                f"{code.strip()!r}. {nearest(code.strip(), known)}\n"
                '  Write "CODE" or "CODE:column".'
            )
        mute.setdefault(code.strip(), set()).add(column.strip())
    return mute


def _check_names(competition: Competition) -> None:
    settings = competition.settings
    METRICS.check(settings.task.metric)
    if settings.cv.splitter != "file":
        SPLITTERS.check(settings.cv.splitter)
    for name in settings.cv.models:
        MODELS.check(find_model(competition, name).use)


def _split(
    entry: Check, evidence: Iterable[Evidence], mute: dict[str, set[str]]
) -> tuple[list[Evidence], list[Evidence]]:
    """Evidence to show, and what is accepted: the code, or every column that it names."""
    accepted = mute.get(entry.code, set())
    loud: list[Evidence] = []
    quiet: list[Evidence] = []
    for item in evidence:
        columns = {c for c in (item.column, *item.columns) if c}
        silent = "" in accepted or (columns and columns <= accepted)
        (quiet if silent else loud).append(item)
    return loud, quiet


def _findings(entry: Check, evidence: list[Evidence]) -> Iterator[Finding]:
    """One finding per remedy and severity; columns that need the same are named together."""
    groups: dict[tuple[str, Severity], list[Evidence]] = {}
    for item in evidence:
        key = (item.remedy, item.severity or entry.severity)
        groups.setdefault(key, []).append(item)
    for (remedy, severity), items in groups.items():
        texts = [item.text for item in items[:_SHOWN]]
        more = len(items) - len(texts)
        columns = dict.fromkeys(c for item in items for c in (item.column, *item.columns) if c)
        yield Finding(
            code=entry.code,
            severity=severity,
            title=entry.title,
            evidence="; ".join(texts) + (f"; and {more} more" if more else ""),
            remedy=remedy.replace("{columns}", ", ".join(map(_quoted, columns))),
            columns=tuple(columns),
        )


def _quoted(name: str) -> str:
    """A name as TOML wants it."""
    return json.dumps(name, ensure_ascii=False)
