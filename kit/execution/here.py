"""Folds one after the other in this process; the model uses all threads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from kit.atomic import disk_errors
from kit.execution.context import FoldContext
from kit.execution.results import FoldResult
from kit.execution.task import FoldTask, run_folds

_MARK = "in-work"


class Here:
    """The executor for one fold at a time."""

    def __init__(self, context: FoldContext) -> None:
        self.context = context

    def run(self, tasks: Iterable[FoldTask]) -> Iterator[FoldResult]:
        """Yield each result as soon as its file is written."""
        for task in tasks:
            with _marked(task):
                results = run_folds(task, self.context)
            yield from results

    def close(self) -> None:
        """Nothing to put away."""


@contextmanager
def _marked(task: FoldTask) -> Iterator[None]:
    """A file as long as folds are in work: a process that is killed cannot say in which."""
    path = task.results / _MARK
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(" ".join(map(str, task.folds)), encoding="utf-8")
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def killed_in(results: Path) -> list[int]:
    """Folds that were in work here when a process was killed; told once."""
    with suppress(OSError, ValueError):
        folds = [int(fold) for fold in (results / _MARK).read_text(encoding="utf-8").split()]
        (results / _MARK).unlink()
        return folds
    return []
