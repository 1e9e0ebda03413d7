"""The ledger: every submission, what cross-validation promised and what the leaderboard said.

With three scored submissions or more, a least-squares line ``public = a + b * cv`` says how far the
two agree; a large residual marks a run whose validation does not carry over. It is fitted to
submissions that were validated on the same folds: CV scores of others say nothing of these.

Standard library only: `kit ledger` must not wait for numpy.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from kit.competition import Competition
from kit.ledger.line import Line, fit_line
from kit.ledger.merging import Entry, merge, moment
from kit.providers.base import Contest, Submitted
from kit.providers.marks import unmarked
from kit.runs import list_runs
from kit.submission.receipts import Receipt, read_receipts


@dataclass(frozen=True, kw_only=True)
class Row:
    """One submission; all scores in leaderboard units.

    Attributes:
        when: UTC, ISO 8601.
        name: the run's id, or the file's name where there is no run.
        cv: the score runs are ranked by; `mean` and `std` over the folds.
        folds: digest of the folds; "" where it is not known.
        message: the description, without kit's mark.
        gap: public minus cv.
        residual: public minus what the line expects; None without a line, or where it is not on it.
        source: "kit" for one that was handed in here; "elsewhere" for one that only the server
            knows; "receipt" for one that only the receipt tells of.
        by: the team mate who handed it in; "" where it was this account, or nobody knows.
        late: handed in after the deadline: scored, and ranked nowhere.
        ref: the server's name for it.
        file: the file's name or path.
        sha256: of its content, where there is a receipt.
    """

    when: str
    name: str
    run: str | None
    status: str
    message: str
    metric: str
    cv: float | None
    mean: float | None
    std: float | None
    public: float | None
    private: float | None
    gap: float | None
    folds: str = ""
    residual: float | None = None
    source: str = "kit"
    by: str = ""
    late: bool = False
    ref: str = ""
    file: str = ""
    sha256: str = ""


@dataclass(frozen=True, kw_only=True)
class Ledger:
    """All rows, newest first.

    Attributes:
        folds: digest of the folds that count; "" where none is known.
        line: fitted to scored submissions of these folds; None where they are too few, and `why`
            says what is missing.
        problems: receipts that cannot be used, a sentence each.
    """

    rows: tuple[Row, ...]
    metric: str
    folds: str
    line: Line | None
    why: str
    problems: tuple[str, ...]

    def counts(self, folds: str) -> bool:
        """Whether a CV score of these folds can be compared; "" has the benefit of the doubt."""
        return folds in ("", self.folds)

    def sent_again(self, row: Row) -> bool:
        """Whether what got no answer was handed in once more, and arrived."""
        return row.status == "sent" and any(
            other.ref and other.sha256 == row.sha256 and other.when >= row.when
            for other in self.rows
        )

    @property
    def scored(self) -> tuple[Row, ...]:
        """The rows with a CV and a public score by the competition's metric."""
        pairs = [row for row in self.rows if row.cv is not None and row.public is not None]
        return tuple(row for row in pairs if row.metric == self.metric)

    def best_public(self, greater_is_better: bool) -> Row | None:
        """The row with the best public score, whoever handed it in; None where none is scored."""
        sign = 1 if greater_is_better else -1
        rows = [(sign * row.public, row) for row in self.rows if row.public is not None]
        rows = [(score, row) for score, row in rows if row.metric in (self.metric, "")]
        return max(rows, key=lambda pair: pair[0])[1] if rows else None


def ledger(
    competition: Competition,
    listed: Sequence[Submitted] = (),
    contest: Contest | None = None,
    folds: str = "",
) -> Ledger:
    """Join the receipts of a competition with what the server lists; nothing is asked of it here.

    Args:
        competition: whose receipts are read.
        listed: what `Provider.submissions` told; empty: the receipts alone.
        contest: what is known of account and deadline.
        folds: digest of the folds that count; where no scored submission is of those, the folds of
            the newest one do.
    """
    receipts, problems = read_receipts(competition.submissions)
    entries = merge(receipts, listed, competition.settings.provider.name)
    contest = contest or Contest()
    account = contest.account or _account(entries)
    known = _folds_of_runs(competition, receipts)
    rows = [_row(entry, account, contest.deadline, known) for entry in entries]
    book = Ledger(
        rows=tuple(rows),
        metric=competition.settings.task.metric,
        folds="",
        line=None,
        why="",
        problems=tuple(problems),
    )
    return _with_line(book, entries, folds)


def _with_line(book: Ledger, entries: Sequence[Entry], folds: str) -> Ledger:
    """The ledger with the line through the submissions of the folds that count."""
    found = [row.folds for row in book.scored]
    counting = folds if folds and folds in found else next(filter(None, found), folds)
    book = replace(book, folds=counting)
    points = [row for row in book.scored if book.counts(row.folds)]
    pairs = zip(entries, book.rows, strict=True)
    line, why = fit_line(
        [float(row.cv or 0.0) for row in points],
        [float(row.public or 0.0) for row in points],
        noise=_noise([entry for entry, row in pairs if book.counts(row.folds)]),
    )
    if line is None:
        return replace(book, why=why)
    rows = [
        replace(row, residual=float(row.public or 0.0) - line.at(float(row.cv or 0.0)))
        if row in points
        else row
        for row in book.rows
    ]
    return replace(book, rows=tuple(rows), line=line, why=why)


def _folds_of_runs(competition: Competition, receipts: Sequence[Receipt]) -> dict[str, str]:
    """Digest of the folds by run, where receipts of an earlier kit do not have it."""
    if all(receipt.folds or receipt.run is None for receipt in receipts):
        return {}
    return {run.id: run.folds for run in list_runs(competition.runs)[0]}


def _account(entries: Sequence[Entry]) -> str:
    """Who hands in here, where the provider does not say: whoever our own receipts name most."""
    names = Counter(
        entry.listed.submitted_by
        for entry in entries
        if entry.receipt is not None and entry.listed is not None and entry.listed.submitted_by
    )
    return names.most_common(1)[0][0] if names else ""


def _noise(entries: Sequence[Entry]) -> float | None:
    """How far the CV scores of two equally good runs lie apart by chance: a standard error.

    Hard folds are hard for every run, so that part is taken out: what is left of the fold scores
    after the mean of the run and the mean of the fold (a two-way table without repetition), its
    standard deviation over the root of the number of folds.
    """
    tables = [
        [float(value) for value in folds]
        for entry in entries
        if entry.receipt is not None
        and (folds := (entry.receipt.cv or {}).get("folds"))
        and all(isinstance(value, int | float) for value in folds)
    ]
    if not tables:
        return None
    k = Counter(len(folds) for folds in tables).most_common(1)[0][0]
    rows = [folds for folds in tables if len(folds) == k]
    if k < 2 or len(rows) < 2:
        return None
    of_runs = [statistics.fmean(folds) for folds in rows]
    of_folds = [statistics.fmean(column) for column in zip(*rows, strict=True)]
    mean = statistics.fmean(of_runs)
    rest = math.fsum(
        (value - of_runs[i] - of_folds[j] + mean) ** 2
        for i, folds in enumerate(rows)
        for j, value in enumerate(folds)
    )
    return math.sqrt(rest / ((len(rows) - 1) * (k - 1)) / k)


def _row(entry: Entry, account: str, deadline: str, folds: Mapping[str, str]) -> Row:
    receipt, listed = entry.receipt, entry.listed
    if receipt is None:
        row = _elsewhere(listed) if listed is not None else None
        if row is None:
            raise AssertionError("unreachable: an entry has a receipt or is listed")
    else:
        row = _of_receipt(receipt, listed)
        row = replace(row, folds=receipt.folds or folds.get(receipt.run or "", ""))
    by = listed.submitted_by if listed is not None else ""
    handed_in = entry.when
    late = bool(deadline) and handed_in > moment(deadline)
    return replace(
        row,
        when=f"{handed_in:%Y-%m-%dT%H:%M:%SZ}",
        by=by if by and account and by != account else "",
        late=late or (listed is not None and listed.late),
    )


def _elsewhere(listed: Submitted) -> Row:
    return Row(
        when=listed.created,
        name=listed.file_name or listed.ref,
        run=None,
        status=listed.status,
        message=unmarked(listed.message),
        metric="",
        cv=None,
        mean=None,
        std=None,
        public=_number(listed.public),
        private=_number(listed.private),
        gap=None,
        source="elsewhere",
        ref=listed.ref,
        file=listed.file_name,
    )


def _of_receipt(receipt: Receipt, listed: Submitted | None) -> Row:
    """The receipt, with what the server says now where it says something."""
    cv = receipt.cv or {}
    value = _number(cv.get("value"))
    public, private = _number(receipt.public), _number(receipt.private)
    if listed is not None:
        public = public if listed.public is None else _number(listed.public)
        private = private if listed.private is None else _number(listed.private)
    return Row(
        when=receipt.created,
        name=receipt.run or receipt.file,
        run=receipt.run,
        status=receipt.status if listed is None else listed.status,
        message=unmarked(receipt.message),
        metric=receipt.metric,
        cv=value,
        mean=_number(cv.get("mean")),
        std=_number(cv.get("std")),
        public=public,
        private=private,
        gap=None if value is None or public is None else public - value,
        source="receipt" if listed is None else "kit",
        ref=receipt.ref if listed is None else listed.ref,
        file=receipt.file,
        sha256=receipt.sha256,
    )


def _number(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)
