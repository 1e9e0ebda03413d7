"""Folds one after the other in this process; the model uses all threads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kit.execution.context import FoldContext
from kit.execution.results import FoldResult
from kit.execution.task import FoldTask, run_folds


class Here:
    """The executor for one fold at a time."""

    def __init__(self, context: FoldContext) -> None:
        self.context = context

    def run(self, tasks: Sequence[FoldTask]) -> Iterator[FoldResult]:
        """Yield each result as soon as its file is written."""
        for task in tasks:
            yield from run_folds(task, self.context)

    def close(self) -> None:
        """Nothing to put away."""
