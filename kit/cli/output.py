"""The only printer. Tables and progress on a terminal, plain text in a pipe, JSON when asked.

Results go to stdout; progress and remarks go to stderr, so that a pipe carries results only.
Rich is imported for a terminal only.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from kit.cli.transfers import TransferLines, transfer_bars
from kit.decimals import score_text

if TYPE_CHECKING:
    from kit.session import Event

Cell = str | float | int | None

# what a terminal obeys instead of showing it: escape sequences, other control characters, marks
# that turn the direction of text
_OBEYED = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b."
    r"|[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)
_WHOLE = 20  # characters: up to so wide, a column of a table is not broken into lines


class Output:
    """Where one command prints.

    Args:
        json: print `document` and nothing else on stdout.
        quiet: no progress and no remarks.
    """

    def __init__(self, *, json: bool = False, quiet: bool = False) -> None:
        self.json = json
        self.quiet = quiet

    @property
    def fancy(self) -> bool:
        """Whether results go to a terminal."""
        return sys.stdout.isatty() and not self.json and os.environ.get("TERM") != "dumb"

    @property
    def narrow(self) -> bool:
        """Whether wide tables must be cut: a terminal of fewer than 110 columns."""
        return self.fancy and shutil.get_terminal_size().columns < 110

    def say(self, text: str = "") -> None:
        """A line of the result."""
        if not self.json:
            print(printable(text))

    def remark(self, text: str) -> None:
        """A line beside the result: progress, a hint, a warning."""
        if not self.quiet:
            _error_line(printable(text))

    def problem(self, text: str) -> None:
        """What went wrong and did not end the command."""
        _error_line(f"kit: {printable(text)}")

    @contextmanager
    def notes(self, provider: object) -> Iterator[None]:
        """Tell at the end, whether it comes to a good one, what the provider passed over."""
        from kit.providers.base import notes_of

        try:
            yield
        finally:
            for note in notes_of(provider):
                self.remark(f"kit: {note}")

    def next(self, text: str) -> None:
        """What the user may want to do next."""
        if not self.json and not self.quiet:
            print(f"\nNext: {text}")

    def document(self, document: Any) -> None:
        """The one JSON document."""
        if self.json:
            print(json.dumps(document, indent=1, ensure_ascii=False, default=str))

    def table(
        self,
        headers: Sequence[str],
        rows: Sequence[Sequence[Cell]],
        *,
        title: str = "",
        spare: Sequence[str] = (),
    ) -> None:
        """A table; numbers are right-aligned.

        Args:
            headers: of the columns.
            rows: cells; None is empty.
            title: a line above it.
            spare: columns that are left out, in this order, while a terminal is too narrow.
        """
        if self.json:
            return
        cells = [[_cell(value) for value in row] for row in rows]
        right = [
            bool(rows) and all(isinstance(row[k], int | float | None) for row in rows)
            for k in range(len(headers))
        ]
        if self.fancy:
            _rich_table(headers, cells, right, title, spare)
        else:
            _plain_table(headers, cells, right, title)

    @contextmanager
    def transfer(self, verb: str) -> Iterator[Callable[[str, int, int], None]]:
        """Yield a callback ``(file, bytes done, bytes in all)`` that shows file transfers."""
        if self.quiet or not sys.stderr.isatty():
            lines = TransferLines(self.remark, verb, size)
            try:
                yield lines
            finally:
                lines.end()
            return
        with transfer_bars() as bars:
            yield bars

    @contextmanager
    def folds(self, models: Sequence[str], score: Callable[[float], str]) -> Iterator[Any]:
        """Yield a listener of `kit.session.Event` that shows models and folds as they go."""
        if self.quiet:
            yield lambda event: None
        elif sys.stderr.isatty():
            yield from _fold_bars(models, score)
        else:
            yield _FoldLines(self.remark, score)


class _FoldLines:
    """Fold progress for a pipe: one line per fold."""

    def __init__(self, write: Callable[[str], None], score: Callable[[float], str]) -> None:
        self.write, self.score = write, score

    def __call__(self, event: Event) -> None:
        name = event.model
        if event.kind == "fold":
            shown = f"  {self.score(event.score)}" if event.score is not None else ""
            took = f"  ({event.seconds:.1f} s)"
            self.write(f"  {name}  fold {event.fold + 1} of {event.n_folds}{shown}{took}")
        else:
            text = _told(event)
            if text:
                self.write(f"  {name}  {text}")


def _fold_bars(models: Sequence[str], score: Callable[[float], str]) -> Iterator[Any]:
    """Fold progress for a terminal: one bar per model, its mean so far, time left."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("  {task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[score]}", style="bold"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("left"),
        TextColumn("{task.fields[note]}", style="dim"),
    )
    with Progress(*columns, console=Console(stderr=True)) as bars:
        tasks = {
            name: bars.add_task(name, total=None, start=False, score="", note="") for name in models
        }
        seen: dict[str, list[float]] = {name: [] for name in models}

        def listen(event: Event) -> None:
            task = tasks[event.model]
            if event.kind == "started":
                bars.start_task(task)
                bars.update(task, total=event.n_folds, completed=event.done)
            elif event.kind in ("resumed", "fold"):
                if event.score is not None:
                    seen[event.model].append(event.score)
                    mean = sum(seen[event.model]) / len(seen[event.model])
                    bars.update(task, score=score(mean))
                note = "some folds from an earlier call" if event.kind == "resumed" else ""
                bars.update(task, completed=event.done, note=note)
            elif event.kind == "known":
                bars.start_task(task)
                bars.update(task, total=1, completed=1, note="already there")
                if event.run is not None:
                    bars.update(task, score=score(event.run.score))
            elif event.kind == "done" and event.run is not None:
                bars.update(task, score=score(event.run.score), note="")
            elif event.kind == "killed":
                bars.console.print(f"{event.model}: {_told(event)}", markup=False, highlight=False)
            else:
                bars.update(task, note=_told(event))

        yield listen


def _told(event: Event) -> str:
    """The sentence for everything that is not a finished fold."""
    if event.kind == "resumed":
        return f"fold {event.fold + 1} of {event.n_folds} is there from an earlier call"
    if event.kind == "waiting":
        return "another kit computes this run; waiting for it (Ctrl-C stops waiting)"
    if event.kind == "known" and event.run is not None:
        return f"already there: {event.run.id}"
    if event.kind == "killed":
        return (
            f"fold {event.fold + 1} of {event.n_folds} was in work when an earlier kit was killed; "
            "if for lack of memory, fewer rows, columns or threads help"
        )
    if event.kind == "stopped":
        return "the budget is used up; finished folds are kept"
    return ""


def score_format(score: float | None, like: float | None = None, *, signed: bool = False) -> str:
    """A score with as many digits as are worth reading; those of `like` where it is given."""
    return "" if score is None else score_text(score, like, signed=signed)


def spread_format(mean: float | None, std: float | None) -> str:
    """Mean and standard deviation with the same digits."""
    return "" if std is None else f"{score_format(mean)} ± {score_format(std, like=mean)}"


def size(count: float) -> str:
    """Bytes for people."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def age(created: str) -> str:
    """How long ago a UTC moment was, in one word."""
    from datetime import UTC, datetime

    try:
        moment = datetime.fromisoformat(created.replace("Z", "+00:00"))
    except ValueError:
        return created
    seconds = time.time() - moment.astimezone(UTC).timestamp()
    for limit, unit in ((60, "s"), (3600, "min"), (86400, "h")):
        if seconds < limit:
            return f"{max(0, seconds) / {'s': 1, 'min': 60, 'h': 3600}[unit]:.0f} {unit}"
    return f"{seconds / 86400:.0f} d"


def _error_line(text: str) -> None:
    """One write for text and line end: an interrupt between two would leave half a line."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def _cell(value: Cell) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return score_format(value)
    return " ".join(printable(str(value)).splitlines()).replace("\t", " ")


def printable(text: str) -> str:
    """Text with everything taken out that a terminal would obey: names and messages are foreign."""
    return _OBEYED.sub("", text)


def _plain_table(
    headers: Sequence[str], rows: list[list[str]], right: Sequence[bool], title: str
) -> None:
    if title:
        print(title)
    widths = [max(len(text) for text in column) for column in zip(headers, *rows, strict=True)]
    for row in ([*headers], *rows) if any(headers) else rows:
        cells = [
            text.rjust(width) if align else text.ljust(width)
            for text, width, align in zip(row, widths, right, strict=True)
        ]
        print("  ".join(cells).rstrip())


def _rich_table(
    headers: Sequence[str],
    rows: list[list[str]],
    right: Sequence[bool],
    title: str,
    spare: Sequence[str],
) -> None:
    from rich import box
    from rich.console import Console
    from rich.measure import Measurement
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=title or None,
        title_justify="left",
        box=box.SIMPLE_HEAD,
        show_header=any(headers),
        show_edge=False,
        pad_edge=False,
    )
    widths = [max(map(len, column)) for column in zip(headers, *rows, strict=True)]
    for header, align, width in zip(headers, right, widths, strict=True):
        table.add_column(
            header,
            justify="right" if align else "left",
            no_wrap=header == "run",
            min_width=width if width <= _WHOLE else None,
        )
    for row in rows:
        table.add_row(*(Text(text) for text in row))  # never markup: names come from files
    console = Console()
    unbound = console.options.update(max_width=10_000)
    wanted = Measurement.get(console, unbound, table).maximum
    first = next((headers.index(name) for name in spare if name in headers), None)
    if wanted > console.width and first is not None:
        kept = [k for k in range(len(headers)) if k != first]
        rows = [[row[k] for k in kept] for row in rows]
        _rich_table([headers[k] for k in kept], rows, [right[k] for k in kept], title, spare)
        return
    console.print(table)
