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
from typing import Any, Protocol

from kit.cores import usable_cores
from kit.errors import KitError, ModelError
from kit.execution.context import FoldContext
from kit.execution.results import FoldResult
from kit.execution.task import FoldTask, run_folds
from kit.gpus import shared


@dataclass(frozen=True)
class Finished:
    """How a task ended: with results, with an error, or with the death of its worker."""

    task: FoldTask
    results: Sequence[FoldResult] = ()
    error: KitError | None = None
    died: bool = False


class FoldWorkers(Protocol):
    """What carries fold tasks out, several at a time: processes here, or a cluster."""

    @property
    def size(self) -> int:
        """How many tasks can be in work at a time."""

    @property
    def running(self) -> list[FoldTask]:
        """The tasks in work."""

    @property
    def free(self) -> int:
        """How many more tasks can be started now."""

    def warm_up(self) -> None:
        """Get ready while the caller goes on."""

    def start(self, task: FoldTask) -> None:
        """Begin a task; `free` must not be 0."""

    def wait(self, timeout: float | None = None) -> list[Finished]:
        """What has ended, or nothing where another worker got ready."""

    def kill(self, task: FoldTask) -> None:
        """End a task, now; it is not heard of again."""

    def close(self) -> None:
        """End everything."""


class Workers:
    """Up to `size` processes; each reads the data once for itself.

    Args:
        size: how many processes.
        make_context: a picklable function that reads the context inside a worker.
        threads: of each process's libraries; None: its share of the cores.
    """

    def __init__(
        self, size: int, make_context: Callable[[], FoldContext], threads: int | None = None
    ) -> None:
        self.size = size
        self._threads = threads or max(1, usable_cores() // size)
        self._make_context = make_context
        self._workers: list[_Worker] = []

    @property
    def running(self) -> list[FoldTask]:
        """The tasks in work."""
        return [worker.task for worker in self._workers if worker.task is not None]

    @property
    def free(self) -> int:
        """How many workers have read the data and wait for a task."""
        return sum(worker.ready and worker.task is None for worker in self._workers)

    def warm_up(self) -> None:
        """Start the processes that are missing; they import and read while the caller goes on."""
        with _held_interrupts():
            while len(self._workers) < self.size:
                taken = {worker.number for worker in self._workers}
                number = next(k for k in range(self.size) if k not in taken)
                with _environment(self._threads, number, self.size):
                    self._workers.append(_Worker(self._make_context, number))

    def start(self, task: FoldTask) -> None:
        """Give a task to a worker that has none; `free` must not be 0."""
        next(worker for worker in self._workers if worker.ready and worker.task is None).give(task)

    def wait(self, timeout: float | None = None) -> list[Finished]:
        """What has ended; empty when nothing did within `timeout` seconds, or a worker got ready.

        Workers that have died are replaced.

        Raises:
            KitError: the data cannot be read.
        """
        self.warm_up()
        busy = {
            each.pipe: each for each in self._workers if each.task is not None or not each.ready
        }
        answers = [self._take(busy[pipe]) for pipe in wait(list(busy), timeout) if pipe in busy]
        self._workers = [worker for worker in self._workers if not worker.lost]
        return [answer for answer in answers if answer is not None]

    def _take(self, worker: _Worker) -> Finished | None:
        """A worker's answer; fewer workers where the memory does not carry one more."""
        try:
            return worker.take()
        except ModelError:
            if self.size == 1:
                raise
            self.size -= 1
            return None

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
    """One process and the pipe to it; its number tells which GPU it has."""

    def __init__(self, make_context: Callable[[], FoldContext], number: int) -> None:
        self.number = number
        # spawn, not fork: OpenMP and TensorFlow do not survive a fork
        method = multiprocessing.get_context("spawn")
        self.pipe, theirs = method.Pipe()
        self.process: BaseProcess = method.Process(
            target=_serve, args=(theirs, make_context), daemon=True
        )
        self.process.start()
        theirs.close()
        self.task: FoldTask | None = None
        self.ready = False
        self.lost = False

    def give(self, task: FoldTask) -> None:
        self.task = task
        with suppress(OSError):  # it died while idle: `take` will find the pipe closed
            self.pipe.send(task)

    def take(self) -> Finished | None:
        """The answer that is waiting in the pipe; None where it says that the data are read."""
        task, self.task = self.task, None
        try:
            answer: Any = self.pipe.recv()
        except (EOFError, OSError):
            self.end()
            self.lost = True
            if task is None:
                raise ModelError("a worker process died while it read the data") from None
            return Finished(task, died=True)
        if task is None:
            self.ready = True
            if isinstance(answer, KitError):
                raise answer
            return None
        if isinstance(answer, KitError):
            return Finished(task, error=answer)
        return Finished(task, results=answer)

    def end(self) -> None:
        self.process.kill()
        self.process.join()
        self.pipe.close()


def _serve(pipe: Connection, make_context: Callable[[], FoldContext]) -> None:
    """The life of a worker: read the data, say so, then answer tasks until the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        context = make_context()
    except KitError as error:
        pipe.send(error)
        return
    pipe.send(None)
    while True:
        try:
            task = pipe.recv()
        except (EOFError, OSError):
            return
        pipe.send(_answer(task, context))


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


@contextmanager
def _environment(threads: int, number: int, of: int) -> Iterator[None]:
    """What BLAS, OpenMP and CUDA read when a process that is started now imports them.

    Args:
        threads: of the libraries, unless the environment says so already.
        number: of the process: of several GPUs it has one to itself.
        of: how many processes there are.
    """
    threads_of = os.environ.get("OMP_NUM_THREADS", str(threads))
    wanted = {"OMP_NUM_THREADS": threads_of, **shared(number, of)}
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
