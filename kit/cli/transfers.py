"""Files that come or go, while they do: a line or a bar each, a folder of many as one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

_EACH = 10
"""Files of one folder up to which each has a line of its own."""


@dataclass
class TransferLines:
    """Files as lines of text: one when a file is done, one for a folder of many at the end.

    Args:
        write: takes a line.
        verb: what happened to the files.
        size: bytes in words.
    """

    write: Callable[[str], None]
    verb: str
    size: Callable[[float], str]
    seen: set[str] = field(default_factory=set)
    folders: dict[str, list[tuple[str, int]]] = field(default_factory=dict)

    def __call__(self, name: str, done: int, total: int) -> None:
        """Take note of `done` of the `total` bytes of a file."""
        if done < total or name in self.seen:
            return
        self.seen.add(name)
        folder, slash, _ = name.partition("/")
        if slash:
            self.folders.setdefault(folder, []).append((name, total))
        else:
            self.write(f"  {self.verb} {name} ({self.size(total)})")

    def end(self) -> None:
        """The lines of the folders."""
        for folder, files in self.folders.items():
            if len(files) > _EACH:
                size = self.size(sum(total for _, total in files))
                self.write(f"  {self.verb} {folder}/ ({len(files)} files, {size})")
                continue
            for name, total in files:
                self.write(f"  {self.verb} {name} ({self.size(total)})")
        self.folders.clear()


@contextmanager
def transfer_bars() -> Iterator[Callable[[str, int, int], None]]:
    """Files as bars of a terminal: those in folders share the bar of the uppermost one."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        Task,
        TextColumn,
        TransferSpeedColumn,
    )
    from rich.text import Text

    class Speed(TransferSpeedColumn):
        """Nothing, where Rich shows a red question mark: a file that came at once."""

        def render(self, task: Task) -> Text:
            return super().render(task) if task.finished_speed or task.speed else Text("")

    columns = (TextColumn("  {task.description}"), BarColumn(), DownloadColumn(), Speed())
    with Progress(*columns, console=Console(stderr=True)) as bars:
        tasks: dict[str, Any] = {}
        known: dict[str, dict[str, tuple[int, int]]] = {}

        def shown(name: str, done: int, total: int) -> None:
            folder, slash, _ = name.partition("/")
            bar = folder + slash
            if bar not in tasks:
                tasks[bar], known[bar] = bars.add_task(bar, total=0), {}
            before = known[bar].get(name, (0, 0))
            known[bar][name] = (done, total)
            task = bars.tasks[tasks[bar]]
            bars.update(
                tasks[bar],
                total=(task.total or 0) + total - before[1],
                completed=task.completed + done - before[0],
            )

        yield shown
