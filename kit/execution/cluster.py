"""Fold tasks on a Dask cluster.

kit decides which worker gets which task, one at a time per worker, so that a model can use all of
the worker's threads; Dask carries functions and bytes, and knows who is alive. What is sent once
per worker is the files of the competition, by digest. What comes back is the fold files, which are
written here as every other: whole or not at all. So nothing but time is lost with a worker, the
scheduler, or this process.
"""

from __future__ import annotations

import asyncio
import queue
import time
from collections import Counter
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kit.atomic import atomic_path, disk_errors
from kit.competition import Competition
from kit.errors import ModelError, RunError
from kit.execution import remote
from kit.execution.link import ask, compare_versions, connect, files_of, send
from kit.execution.results import FoldResult, read_result
from kit.execution.task import FoldTask, result_path
from kit.execution.workers import Finished

STRIKES = 3
"""So many workers may be lost in a task before it is given up."""

_PATIENCE = 60.0  # seconds without any worker
_LOOK = 1.0  # seconds between two looks at who is there
_PREPARED = 8  # workers that are sent files at a time


@dataclass(frozen=True)
class _Ready:
    """A worker has the files, or cannot be used."""

    address: str
    error: Exception | None = None


@dataclass(frozen=True)
class _Done:
    """A task is through, one way or another."""

    address: str
    future: Any


class ClusterWorkers:
    """The workers of a Dask cluster, as `kit.execution.workers.Workers` are those of this machine.

    Args:
        competition: the competition; `execution.on` is the scheduler's address.

    Attributes:
        sent: bytes of files sent, by worker.
    """

    def __init__(self, competition: Competition) -> None:
        self.address = competition.settings.execution.on
        self.sent: Counter[str] = Counter()
        self._competition = competition
        self._client: Any = None
        self._files: dict[str, tuple[str, Path]] = {}  # digest and path by name
        self._place = remote.Place(tree="", flags=competition.flags)
        self._threads: dict[str, int] = {}  # of all workers that are there
        self._ready: set[str] = set()
        self._compared: set[str] = set()
        self._pending: set[str] = set()  # files are on their way
        self._unusable: dict[str, Exception] = {}
        self._work: dict[str, tuple[FoldTask, Any]] = {}
        self._waiting: list[FoldTask] = []  # their worker was lost
        self._strikes: Counter[tuple[str, tuple[int, ...]]] = Counter()
        self._news: queue.SimpleQueue[_Ready | _Done] = queue.SimpleQueue()
        self._preparing = ThreadPoolExecutor(_PREPARED, thread_name_prefix="kit-cluster")
        self._looked = self._seen = 0.0

    @property
    def size(self) -> int:
        """How many workers there are; at least one."""
        return max(1, len(self._threads) - len(self._unusable))

    @property
    def running(self) -> list[FoldTask]:
        """The tasks in work, and those whose worker was lost."""
        return [*(task for task, _ in self._work.values()), *self._waiting]

    @property
    def free(self) -> int:
        """How many workers have the files and no task."""
        return max(0, len(self._idle()) - len(self._waiting))

    def warm_up(self) -> None:
        """Connect, compare versions, and begin to send files.

        Raises:
            ConfigError: nobody answers at the address, or versions differ.
            MissingDependency: the extra is not installed.
            RunError: the scheduler is gone.
        """
        if self._client is None:
            self._client = connect(self.address)
            self._seen = time.monotonic()
            self._compared = {*self._client.nthreads()}
            compare_versions(self._client, sorted(self._compared))
            self._files, tree = files_of(self._competition)
            self._place = replace(self._place, tree=tree)
        self._look()

    def start(self, task: FoldTask) -> None:
        """Send a task to a worker that has none."""
        address = self._idle()[0]
        asked = self._competition.settings.execution.threads or self._threads[address]
        left = None if task.deadline is None else task.deadline - time.monotonic()
        sent = replace(task, threads=min(asked, self._threads[address]), deadline=None)
        future = self._client.submit(
            remote.carry_out,
            self._place,
            sent,
            left,
            workers=[address],
            allow_other_workers=False,
            pure=False,
            retries=0,
        )
        self._work[address] = (task, future)
        future.add_done_callback(lambda done: self._news.put(_Done(address, done)))

    def wait(self, timeout: float | None = None) -> list[Finished]:
        """What has ended; empty after `timeout` seconds, or when a worker got ready.

        Tasks of workers that are gone run again elsewhere.

        Raises:
            RunError: the scheduler is gone, or no worker is left.
        """
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            self.warm_up()
            ended = self._lost()
            ready = len(self._ready)
            left = _LOOK if end is None else max(0.0, min(_LOOK, end - time.monotonic()))
            with suppress(queue.Empty):
                ended += self._heard(self._news.get(timeout=0 if ended else left))
                while True:
                    ended += self._heard(self._news.get_nowait())
            while self._waiting and self._idle():
                self.start(self._waiting.pop(0))
            over = end is not None and time.monotonic() >= end
            if ended or over or len(self._ready) > ready:
                return ended

    def kill(self, task: FoldTask) -> None:
        """Call a task off; the worker's process for it is ended."""
        self._waiting = [each for each in self._waiting if each != task]
        for address in [key for key, (each, _) in self._work.items() if each == task]:
            _, future = self._work.pop(address)
            future.cancel()

    def close(self) -> None:
        """Call everything off and leave the cluster."""
        self._preparing.shutdown(wait=False, cancel_futures=True)
        client, self._client = self._client, None
        if client is None:
            return
        futures = [future for _, future in self._work.values()]
        self._work, self._waiting = {}, []
        with suppress(Exception):  # it may be gone already
            if client.status == "running":
                client.cancel(futures)
                here = [*self._ready]
                client.run(remote.release, self._place, workers=here, on_error="ignore")
        with suppress(Exception):
            client.close(timeout=2)
        self._ready, self._threads = set(), {}

    def _idle(self) -> list[str]:
        return [address for address in self._ready if address not in self._work]

    def _look(self) -> None:
        """See who came and who went."""
        now = time.monotonic()
        if now < self._looked + _LOOK:
            return
        self._looked = now
        try:
            if self._client.status != "running":
                raise OSError
            self._threads = dict(self._client.nthreads())
        except OSError:
            raise RunError(
                f"the scheduler at {self.address} is gone. Finished folds are kept; when it is "
                "back the same command goes on from there."
            ) from None
        there = {*self._threads}
        self._ready &= there
        self._unusable = {key: why for key, why in self._unusable.items() if key in there}
        for address in there - self._ready - self._pending - {*self._unusable}:
            self._pending.add(address)
            self._preparing.submit(self._prepare, self._client, address)
        if self._ready or self._pending:
            self._seen = now
        elif there or now > self._seen + _PATIENCE:
            raise self._nobody()

    def _nobody(self) -> RunError:
        why = "".join(f"\n  {where}: {error}" for where, error in self._unusable.items())
        return RunError(
            f"the cluster at {self.address} has no worker that can be used. Finished folds are "
            f"kept.{why}"
        )

    def _prepare(self, client: Any, address: str) -> None:
        """Give a worker the files it has not; in a thread of its own."""
        error: Exception | None = None
        try:
            if address not in self._compared:
                compare_versions(client, [address])
            digests = sorted({digest for digest, _ in self._files.values()})
            wanted = {*ask(client, address, remote.missing, digests)}
            for digest, path in self._files.values():
                if digest in wanted:
                    wanted.remove(digest)
                    self.sent[address] += send(client, address, digest, path)
            names = {name: digest for name, (digest, _) in self._files.items()}
            ask(client, address, remote.unpack, self._place.tree, names)
        except Exception as reason:  # whatever it is, the other workers go on
            error = reason
        self._news.put(_Ready(address, error))

    def _heard(self, news: _Ready | _Done) -> list[Finished]:
        address = news.address
        if isinstance(news, _Ready):
            self._pending.discard(address)
            if news.error is None:
                self._ready.add(address)
            else:
                self._unusable[address] = news.error
            return []
        task, future = self._work.get(address, (None, None))
        if task is None or future is not news.future:
            return []  # it was called off
        del self._work[address]
        answer = _answer(future)
        if answer is None or answer.died:
            self._ready.discard(address)  # what it has is looked at again
            return self._again(task, address)
        if answer.error is not None:
            return [Finished(task, error=answer.error)]
        return [Finished(task, results=_written(task, answer))]

    def _lost(self) -> list[Finished]:
        """Tasks whose worker is gone, where that is too often now."""
        finished = []
        for address in [key for key in self._work if key not in self._threads]:
            task, future = self._work.pop(address)
            future.cancel()
            finished += self._again(task, address)
        return finished

    def _again(self, task: FoldTask, address: str) -> list[Finished]:
        """Have another worker do it, unless too many were lost in it."""
        key = (str(task.results), task.folds)
        self._strikes[key] += 1
        if self._strikes[key] < STRIKES:
            self._waiting.append(task)
            return []
        reason = (
            f"{task.where}: {STRIKES} workers died in it, the last at {address}, most likely for "
            "lack of memory. Finished folds are kept."
        )
        return [Finished(task, error=ModelError(reason))]


def _answer(future: Any) -> remote.Answer | None:
    """What came back; None where the worker was lost."""
    from distributed import KilledWorker

    try:
        answer: remote.Answer = future.result(timeout=_PATIENCE)
    except (KilledWorker, CancelledError, asyncio.CancelledError, OSError):
        return None
    except Exception as error:
        reason = f"the cluster could not carry it out: {type(error).__name__}: {error}"
        return remote.Answer(error=ModelError(reason))
    return answer


def _written(task: FoldTask, answer: remote.Answer) -> list[FoldResult]:
    """Put what came back where a fold computed here would have put it."""
    if task.models is not None:
        with disk_errors(task.models):
            for name, content in answer.models.items():
                path = task.models / remote.safe(name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
    results = []
    for fold in task.folds:
        path = result_path(task.results, fold)
        with atomic_path(path) as temporary:
            temporary.write_bytes(answer.results[path.name])
        result = read_result(path)
        if result is None:
            raise ModelError(f"the result of fold {fold + 1} came back damaged")
        results.append(replace(result, resumed=False))
    return results
