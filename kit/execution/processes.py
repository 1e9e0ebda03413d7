"""Folds side by side in processes of this machine; each reads the data once for itself."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.process import BaseProcess

from kit.errors import ModelError
from kit.execution.context import FoldContext
from kit.execution.results import FoldResult
from kit.execution.task import FoldTask, run_folds

_context: FoldContext | None = None  # of a worker process, set once by its initializer


class Processes:
    """The executor for several folds at a time.

    Args:
        workers: how many processes.
        make_context: a picklable function that reads the context inside a worker.
    """

    def __init__(self, workers: int, make_context: Callable[[], FoldContext]) -> None:
        self._size = workers
        self._make_context = make_context
        self._pool: ProcessPoolExecutor | None = None
        self._workers: set[BaseProcess] = set()

    def run(self, tasks: Sequence[FoldTask]) -> Iterator[FoldResult]:
        """Yield results in the order they are finished.

        Raises:
            ModelError: a worker died (killed, or out of memory); finished folds are kept.
        """
        try:
            for future in as_completed(self._submit(tasks)):
                yield from future.result()
        except BrokenProcessPool as error:
            self._stop()
            fewer = "workers=1" if self._size > 1 else "executor=here"
            raise ModelError(
                "a worker process died, most likely for lack of memory. Finished folds are kept.\n"
                f"  Run again with fewer processes: --set execution.{fewer}"
            ) from error
        except BaseException:
            self._stop()
            raise

    def close(self) -> None:
        """Let the workers go."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def _submit(self, tasks: Sequence[FoldTask]) -> list[Future[list[FoldResult]]]:
        """Hand the tasks over; the first ones start the workers."""
        others = set(multiprocessing.active_children())
        with _held_interrupts():
            if self._pool is None:
                # spawn, not fork: OpenMP and TensorFlow do not survive a fork
                self._pool = ProcessPoolExecutor(
                    self._size,
                    multiprocessing.get_context("spawn"),
                    _initialize,
                    (self._make_context,),
                )
            futures = [self._pool.submit(_run, task) for task in tasks]
            self._workers |= set(multiprocessing.active_children()) - others
        return futures

    def _stop(self) -> None:
        """End the workers now; the next call of `run` starts new ones."""
        for worker in self._workers:
            worker.terminate()
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
        self._pool, self._workers = None, set()


@contextmanager
def _held_interrupts() -> Iterator[None]:
    """Hold Ctrl-C back for a moment; processes started meanwhile never see it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _initialize(make_context: Callable[[], FoldContext]) -> None:
    global _context
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _context = make_context()


def _end_with_parent() -> None:
    """A worker whose parent was killed would wait for tasks for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _run(task: FoldTask) -> list[FoldResult]:
    if _context is None:
        raise AssertionError("unreachable: the initializer has run")
    return run_folds(task, _context)
