"""What a check says: evidence, findings, and the report of all of them. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from kit.checks.nulls import NullScore

Severity = Literal["error", "warning", "info"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "info")


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What a check saw, before the catalogue gives it a code.

    Attributes:
        text: numbers and names, one clause.
        remedy: what to do; ``{columns}`` stands for the quoted names of the columns concerned.
        column: the column it is about; pieces of equal remedy and severity become one finding.
        columns: further columns concerned.
        severity: None: as the catalogue says.
    """

    text: str
    remedy: str
    column: str = ""
    columns: tuple[str, ...] = ()
    severity: Severity | None = None


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing to look at.

    Attributes:
        code: stable, e.g. "KIT101"; what `[check] mute` names.
        severity: "error": the score would lie or `kit cv` would refuse; "warning": it may;
            "info": good to know.
        title: what it is about.
        evidence: numbers and column names.
        remedy: what to do, with the line of `kit.toml`.
        columns: the columns concerned.
    """

    code: str
    severity: Severity
    title: str
    evidence: str
    remedy: str
    columns: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Report:
    """All findings, errors first.

    Attributes:
        findings: what was found and is not muted.
        muted: what was found and `[check] mute` accepts.
        checked: code and title of every check that ran.
        skipped: code and title of those that could not run, because of an error among `findings`.
        late: code and title of those that the budget was too short for.
        sampled: where only a part of the rows was looked at; empty: nowhere.
        null: scores on permuted labels, where they were asked for.
        seconds: how long it took.
    """

    findings: tuple[Finding, ...]
    muted: tuple[Finding, ...]
    checked: tuple[tuple[str, str], ...]
    skipped: tuple[tuple[str, str], ...]
    late: tuple[tuple[str, str], ...]
    null: tuple[NullScore, ...]
    sampled: str
    seconds: float

    @property
    def worst(self) -> Severity | None:
        """The highest severity among the findings; None without findings."""
        found = {finding.severity for finding in self.findings}
        return next((severity for severity in SEVERITIES if severity in found), None)
