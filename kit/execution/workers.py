"""Worker processes that can be given a task, waited for, and killed one by one.

A pool of the standard library breaks as a whole when one of its processes dies; here a fit that
runs out of memory, or past its time, takes nobody with it.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from kit.errors import KitError, ModelError
from kit.execution.context import FoldContext
from kit.execution.results import FoldResult
from kit.execution.task import FoldTask, run_folds


@dataclass(frozen=True)
class Finished:
    """How a task ended: with results, with an error, or with the death of its worker."""

    task: FoldTask
    results: Sequence[FoldResult] = ()
    error: KitError | None = None
    died: bool = False


class Workers:
    """Up to `size` processes; each reads the data once for itself.

    Args:
        size: how many processes.
        make_context: a picklable function that reads the context inside a worker.
    """

    def __init__(self, size: int, make_context: Callable[[], FoldContext]) -> None:
        self.size = size
        self._make_context = make_context
        self._workers: list[_Worker] = []

    @property
    def running(self) -> list[FoldTask]:
        """The tasks in work."""
        return [worker.task for worker in self._workers if worker.task is not None]

    @property
    def free(self) -> int:
        """How many further tasks can be started."""
        return self.size - len(self.running)

    def warm_up(self) -> None:
        """Start all processes, so that they import and read while the caller does something."""
        with _held_interrupts():
            while len(self._workers) < self.size:
                self._workers.append(_Worker(self._make_context))

    def start(self, task: FoldTask) -> None:
        """Give a task to a worker that has none; `free` must not be 0."""
        idle = [worker for worker in self._workers if worker.task is None]
        if not idle:
            with _held_interrupts():
                idle = [_Worker(self._make_context)]
            self._workers += idle
        idle[0].give(task)

    def wait(self, timeout: float | None = None) -> list[Finished]:
        """What has ended; empty when nothing did within `timeout` seconds."""
        busy = {worker.pipe: worker for worker in self._workers if worker.task is not None}
        ready = wait(list(busy), timeout)
        finished = [busy[pipe].take() for pipe in ready if isinstance(pipe, Connection)]
        self._workers = [worker for worker in self._workers if not worker.lost]
        return finished

    def kill(self, task: FoldTask) -> None:
        """End the worker that has this task, now."""
        for worker in [each for each in self._workers if each.task == task]:
            worker.end()
            self._workers.remove(worker)

    def close(self) -> None:
        """End all workers."""
        for worker in self._workers:
            worker.end()
        self._workers = []


class _Worker:
    """One process and the pipe to it."""

    def __init__(self, make_context: Callable[[], FoldContext]) -> None:
        # spawn, not fork: OpenMP and TensorFlow do not survive a fork
        method = multiprocessing.get_context("spawn")
        self.pipe, theirs = method.Pipe()
        self.process: BaseProcess = method.Process(
            target=_serve, args=(theirs, make_context), daemon=True
        )
        self.process.start()
        theirs.close()
        self.task: FoldTask | None = None
        self.lost = False

    def give(self, task: FoldTask) -> None:
        self.task = task
        with suppress(OSError):  # it died while idle: `take` will find the pipe closed
            self.pipe.send(task)

    def take(self) -> Finished:
        """The answer that is waiting in the pipe."""
        task, self.task = self.task, None
        if task is None:
            raise AssertionError("unreachable: only workers with a task are waited for")
        try:
            answer: Any = self.pipe.recv()
        except (EOFError, OSError):
            self.end()
            self.lost = True
            return Finished(task, died=True)
        if isinstance(answer, KitError):
            return Finished(task, error=answer)
        return Finished(task, results=answer)

    def end(self) -> None:
        self.process.kill()
        self.process.join()
        self.pipe.close()


def _serve(pipe: Connection, make_context: Callable[[], FoldContext]) -> None:
    """The life of a worker: read the data at once, then answer tasks until the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    context: FoldContext | KitError
    try:
        context = make_context()
    except KitError as error:
        context = error
    while True:
        try:
            task = pipe.recv()
        except (EOFError, OSError):
            return
        pipe.send(context if isinstance(context, KitError) else _answer(task, context))


def _answer(task: FoldTask, context: FoldContext) -> list[FoldResult] | KitError:
    try:
        return run_folds(task, context)
    except KitError as error:
        return error
    except BaseException as error:  # whatever user code does, the worker goes on
        return ModelError(f"model {task.model!r} failed: {type(error).__name__}: {error}")


def _end_with_parent() -> None:
    """A worker whose parent was killed would wait for tasks for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@contextmanager
def _held_interrupts() -> Iterator[None]:
    """Hold Ctrl-C back for a moment; processes started meanwhile never see it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
