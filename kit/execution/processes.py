"""Folds side by side in processes of this machine; each reads the data once for itself."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool

from kit.errors import ModelError
from kit.execution.context import FoldContext
from kit.execution.task import FoldResult, FoldTask, run_fold

_context: FoldContext | None = None  # of a worker process, set once by its initializer


class Processes:
    """The executor for several folds at a time.

    Args:
        workers: how many processes.
        make_context: a picklable function that reads the context inside a worker.
    """

    def __init__(self, workers: int, make_context: Callable[[], FoldContext]) -> None:
        # spawn, not fork: OpenMP and TensorFlow do not survive a fork
        self._pool = ProcessPoolExecutor(
            workers, multiprocessing.get_context("spawn"), _initialize, (make_context,)
        )

    def run(self, tasks: Sequence[FoldTask]) -> Iterator[FoldResult]:
        """Yield results in the order they are finished.

        Raises:
            ModelError: a worker died (killed, or out of memory); finished folds are kept.
        """
        futures = [self._pool.submit(_run, task) for task in tasks]
        try:
            for future in as_completed(futures):
                yield future.result()
        except BrokenProcessPool as error:
            raise ModelError(
                "a worker process died, most likely for lack of memory. Finished folds are kept.\n"
                "  Run again with fewer workers: --set execution.workers=1"
            ) from error
        except BaseException:
            self._stop()
            raise

    def close(self) -> None:
        """Let the workers go."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _stop(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
        for child in multiprocessing.active_children():
            child.terminate()


def _initialize(make_context: Callable[[], FoldContext]) -> None:
    global _context
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    _context = make_context()


def _run(task: FoldTask) -> FoldResult:
    if _context is None:
        raise AssertionError("unreachable: the initializer has run")
    return run_fold(task, _context)
