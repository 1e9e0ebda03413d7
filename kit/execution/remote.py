"""What runs on the workers of a cluster.

Dask's worker only takes files and hands answers back. A fit is in a process of its own, as in
`kit auto` on one machine: one that dies takes no worker with it, and one that nobody waits for any
more can be ended. Files are kept under their SHA-256 in the worker's temporary folder, so they
arrive once; a competition is a folder of links to them. The code in it (`features.py`, `model.py`)
is run here.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import platform
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path, PureWindowsPath
from tempfile import TemporaryDirectory
from typing import Any

import kit
from kit.atomic import sha256
from kit.errors import DataError, KitError, ModelError
from kit.execution.context import context_factory
from kit.execution.task import FoldTask
from kit.execution.workers import Finished, Workers
from kit.gpus import gpus

PACKAGES = (
    "numpy", "pandas", "pyarrow", "scipy", "scikit-learn", "lightgbm", "catboost", "xgboost",
    "keras", "tensorflow",
)  # fmt: skip
"""Predictions depend on their versions."""

_LOOK = 0.3  # seconds between two looks whether anybody still waits for the answer


@dataclass(frozen=True, kw_only=True)
class Place:
    """A competition on a worker.

    Attributes:
        tree: digest of its files, and the name of their folder.
        flags: what `--set` changed.
    """

    tree: str
    flags: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """How a task ended.

    Attributes:
        results: the fold files by name.
        models: files of fitted models by path.
        error: what the user can mend.
        died: the process died.
    """

    results: Mapping[str, bytes] = field(default_factory=dict)
    models: Mapping[str, bytes] = field(default_factory=dict)
    error: KitError | None = None
    died: bool = False


def code_digest(package: Path) -> str:
    """Eight hex digits over the modules of a kit; its installed templates are not code."""
    content = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        relative = path.relative_to(package)
        if relative.parts[0] != "_templates":
            content.update(relative.as_posix().encode() + path.read_bytes())
    return content.hexdigest()[:8]


def versions() -> dict[str, str]:
    """Versions of all that decides predictions; of kit also a digest of its code."""
    found = {"python": ".".join(platform.python_version_tuple()[:2])}
    found["kit"] = f"{kit.__version__} (code {code_digest(Path(kit.__file__).parent)})"
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def devices() -> list[str]:
    """Names of the GPUs that tasks of this worker may use."""
    try:
        return [gpu.name for gpu in gpus()]
    except OSError as error:
        return [str(error)]


def safe(name: str) -> str:
    """A path below a folder, or an error: nothing is written elsewhere.

    Raises:
        DataError: it is absolute, or leads upwards.
    """
    path = PureWindowsPath(name)  # knows both separators
    if path.anchor or ".." in path.parts or not path.parts:
        raise DataError(f"{name!r} is no path below the competition's folder")
    return name


def kept(dask_worker: Any) -> int:
    """Bytes of competitions' files that this worker keeps."""
    return sum(path.stat().st_size for path in _files(dask_worker).iterdir())


def missing(digests: Sequence[str], dask_worker: Any) -> list[str]:
    """Those of the files that are not here yet."""
    folder = _files(dask_worker)
    return [digest for digest in digests if not (folder / digest).is_file()]


def store(
    digest: str, sender: str, chunk: bytes, *, first: bool, last: bool, dask_worker: Any
) -> None:
    """Take a piece of a file; with the last one it is checked and kept.

    Raises:
        DataError: it is not what its digest says.
    """
    path = _files(dask_worker) / digest
    part = path.with_name(f".{digest}.{safe(sender)}.part")
    with part.open("wb" if first else "ab") as file:
        file.write(chunk)
    if last:
        if sha256(part) != digest:
            part.unlink()
            raise DataError("a file was damaged on its way")
        os.replace(part, path)


def unpack(tree: str, files: Mapping[str, str], dask_worker: Any) -> None:
    """Make the folder of a competition whose files are all here.

    Args:
        tree: see `Place`.
        files: digest by path.
        dask_worker: Dask's.

    Raises:
        DataError: a path leads out of the folder.
    """
    root = _root(dask_worker, tree)
    if root.is_dir():
        return
    root.parent.mkdir(exist_ok=True)
    with TemporaryDirectory(dir=root.parent) as temporary:
        whole = Path(temporary) / "whole"
        for name, digest in files.items():
            target = whole / safe(name)
            target.parent.mkdir(parents=True, exist_ok=True)
            source = _files(dask_worker) / digest
            try:
                os.link(source, target)
            except OSError:  # a file system without links
                shutil.copyfile(source, target)
        os.replace(whole, root)


def carry_out(place: Place, task: FoldTask, seconds: float | None) -> Answer:
    """Fit and predict in this worker's process for the competition.

    Args:
        place: where the competition lies.
        task: its paths are the client's and are replaced.
        seconds: how long it may take; clocks of two machines do not agree on a deadline.
    """
    from distributed import get_worker

    worker = get_worker()
    key = worker.get_current_task()

    def unwanted() -> bool:
        state = worker.state.tasks.get(key)
        return state is None or state.state == "cancelled"

    root = _root(worker, place.tree)
    if not root.is_dir():  # the worker was started again under its old address
        return Answer(died=True)
    with (
        _process(root, place, task.threads) as workers,
        TemporaryDirectory(dir=_files(worker).parent) as name,
    ):
        folder = Path(name)
        mine = replace(
            task,
            results=folder / "results",
            models=None if task.models is None else folder / "models",
            deadline=None if seconds is None else time.monotonic() + seconds,
        )
        done = _done(workers, mine, unwanted)
        if done.error is not None or done.died:
            return Answer(error=done.error, died=done.died)
        return Answer(results=_bytes(folder / "results"), models=_bytes(folder / "models"))


def release(place: Place) -> None:
    """End the process for a competition; its files stay."""
    with _guard:
        slot = _slots.pop(place, None)
    if slot is not None:
        slot.workers.close()


@dataclass
class _Slot:
    workers: Workers
    held: threading.Lock = field(default_factory=threading.Lock)


_slots: dict[Place, _Slot] = {}
_guard = threading.Lock()


@contextmanager
def _process(root: Path, place: Place, threads: int) -> Iterator[Workers]:
    """The process that has read a competition, for one task at a time; idle ones of others end."""
    # Dask's nanny makes its workers daemons, which may have no children; these end with it
    multiprocessing.current_process()._config["daemon"] = False  # type: ignore[attr-defined]
    with _guard:
        for other in [key for key, slot in _slots.items() if key != place]:
            if not _slots[other].held.locked():
                _slots.pop(other).workers.close()
        if place not in _slots:
            _slots[place] = _Slot(Workers(1, context_factory(root, place.flags), threads))
        slot = _slots[place]
    with slot.held:
        yield slot.workers


def _done(workers: Workers, task: FoldTask, unwanted: Callable[[], bool]) -> Finished:
    """Give the task to the process and wait; end both when nobody wants the answer any more."""
    given = False
    while not unwanted():
        if workers.free and not given:
            workers.start(task)
            given = True
        try:
            ended = workers.wait(_LOOK)
        except ModelError:  # it died while it read the data
            workers.close()
            return Finished(task, died=True)
        except KitError as error:
            workers.close()
            return Finished(task, error=error)
        if ended:
            return ended[0]
    workers.kill(task)
    return Finished(task, error=ModelError("it was called off"))


def _bytes(folder: Path) -> dict[str, bytes]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def _files(dask_worker: Any) -> Path:
    folder = Path(dask_worker.local_directory) / "kit" / "files"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _root(dask_worker: Any, tree: str) -> Path:
    return Path(dask_worker.local_directory) / "kit" / "competitions" / safe(tree)
