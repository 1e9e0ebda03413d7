"""Folds side by side: in processes of this machine, or on a cluster."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from kit.errors import ModelError
from kit.execution.results import FoldResult
from kit.execution.task import FoldTask
from kit.execution.workers import FoldWorkers


class Processes:
    """The executor for several folds at a time.

    Args:
        workers: who carries them out.
    """

    def __init__(self, workers: FoldWorkers) -> None:
        self._workers = workers

    def run(self, tasks: Iterable[FoldTask]) -> Iterator[FoldResult]:
        """Yield results in the order they are finished.

        Raises:
            ModelError: a worker died (killed, or out of memory); finished folds are kept.
        """
        coming = iter(tasks)
        task = next(coming, None)  # without one no process is started
        try:
            while task is not None or self._workers.running:
                while task is not None and self._workers.free:
                    self._workers.start(task)
                    task = next(coming, None) if self._workers.free else None
                for finished in self._workers.wait():
                    if finished.died:
                        raise ModelError(self._died(finished.task))
                    if finished.error is not None:
                        raise finished.error
                    yield from finished.results
                if task is None and self._workers.free:
                    task = next(coming, None)
        except BaseException:
            self._workers.close()
            raise

    def close(self) -> None:
        """Let the workers go."""
        self._workers.close()

    def _died(self, task: FoldTask) -> str:
        fewer = "workers=1" if self._workers.size > 1 else "executor=here"
        return (
            f"{task.where}: its worker process died, most likely for lack of memory. Finished "
            f"folds are kept.\n  Run again with fewer processes: --set execution.{fewer}"
        )
