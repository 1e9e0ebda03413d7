"""The link to a cluster: finding it, comparing versions, sending files."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import socket
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kit.atomic import sha256
from kit.competition import Competition
from kit.errors import ConfigError, MissingDependency
from kit.execution import remote
from kit.gpus import shared

_OURS = {"runs", "submissions", "reports", "exports", "tune"}
_CHUNK = 16 * 2**20  # bytes of a file per message
_ADDRESS = re.compile(r"(?:[a-z]+://)?(\[[^\]]+\]|[^:/\[\]\s]+):([0-9]+)")
_GREETING = 2**20  # bytes of a scheduler's first message; it has some hundred
_CONNECTING = 10.0  # seconds for a scheduler to answer


def connect(address: str) -> Any:
    """A client of the scheduler at an address.

    Raises:
        MissingDependency: the extra is not installed.
        ConfigError: nobody answers there.
    """
    distributed = _dask()
    found = _ADDRESS.fullmatch(address)
    if not found:
        raise ConfigError(
            "the address of a cluster is that of its scheduler, host:port or tcp://host:port. "
            f"Received: {address!r}"
        )
    try:
        with socket.create_connection((found[1].strip("[]"), int(found[2])), _CONNECTING) as line:
            _listen(line, address)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # versions are compared below
            return distributed.Client(
                address, timeout=_CONNECTING, set_as_default=False, name="kit"
            )
    except (OSError, OverflowError) as error:
        reason = str(error).strip().splitlines()
        raise ConfigError(
            f"no Dask scheduler answers at {address} ({reason[0] if reason else error!r}).\n"
            "  `kit cluster up` starts one here and prints its address."
        ) from None


def _listen(line: socket.socket, address: str) -> None:
    """Hear whether a scheduler is at the other end; with anything else Dask waits for ever.

    A scheduler speaks first: the length of its greeting in eight bytes. Under TLS it cannot.
    """
    if "://" in address and not address.startswith("tcp://"):
        return
    start = b""
    while len(start) < 8:
        try:
            part = line.recv(8 - len(start))
        except TimeoutError:
            part = b""
        if not part:
            raise OSError("what listens there does not greet as a scheduler does")
        start += part
    if int.from_bytes(start, "little") > _GREETING:
        raise OSError("what listens there is something else")


def _dask() -> Any:
    try:
        import distributed
    except ImportError:
        raise MissingDependency(
            "a cluster needs Dask, which is not installed: pip install 'kit-competitions[cluster]'"
        ) from None
    for name in ("distributed", "distributed.client"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what goes wrong is said by kit
    return distributed


@contextmanager
def started(workers: int, threads: int, host: str, port: int) -> Iterator[str]:
    """A scheduler and workers on this machine, each a process; the scheduler's address.

    Of several GPUs each worker has one to itself, so that a task has.

    Args:
        workers: how many.
        threads: of each.
        host: the address to listen at.
        port: of the scheduler; 0: any.

    Raises:
        MissingDependency: the extra is not installed.
        ConfigError: one cannot listen there.
    """
    distributed = _dask()
    try:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        raise ConfigError(
            f"a scheduler cannot listen at {host}:{port} ({error.strerror or error}).\n"
            "  Another one may be there: --port takes another number, 0 any that is free."
        ) from None

    local: Any = distributed.LocalCluster

    class Cluster(local):
        def new_worker_spec(self) -> dict[Any, Any]:
            return {
                number: {**spec, "options": {**spec["options"], "env": shared(number, workers)}}
                for number, spec in super().new_worker_spec().items()
            }

    with Cluster(
        n_workers=0,
        threads_per_worker=threads,
        host=host,
        scheduler_port=port,
        dashboard_address=f"{host}:0",
        memory_limit=0,  # fits are in processes of their own, which Dask does not see
        silence_logs=logging.CRITICAL,
    ) as cluster:
        cluster.scale(workers)
        cluster.wait_for_workers(workers)
        yield cluster.scheduler_address


def differences(client: Any, workers: list[str] | None = None) -> dict[str, list[str]]:
    """By worker what would compute something else than this machine; who agrees is left out.

    Args:
        client: of `connect`.
        workers: addresses; None: all.
    """
    mine, found = remote.versions(), {}
    pythons = client.get_versions()["workers"]
    same = []
    for address in pythons if workers is None else workers:
        if address not in pythons:
            raise OSError(f"the worker {address} is gone")
        python = ".".join(str(pythons[address]["packages"]["python"]).split(".")[:2])
        if python == mine["python"]:  # else no function can be sent there
            same.append(address)
        else:
            found[address] = [f"python {python}, here {mine['python']}"]
    answers = client.run(remote.versions, workers=same, on_error="return") if same else {}
    for address, theirs in answers.items():
        if isinstance(theirs, ImportError | AttributeError):
            found[address] = [f"no kit, or an older one, here {mine['kit']}"]
        elif isinstance(theirs, Exception):
            raise theirs
        elif differing := [name for name in mine if theirs.get(name) != mine[name]]:
            found[address] = [
                f"{name} {theirs.get(name, 'not installed')}, here {mine[name]}"
                for name in differing
            ]
    return found


def workers_of(client: Any) -> list[dict[str, Any]]:
    """Of every worker: address, threads, memory, tasks, bytes of files, GPUs, problems."""
    differing, found = differences(client), []
    for address, facts in sorted(client.scheduler_info(n_workers=-1)["workers"].items()):
        problems = differing.get(address, [])
        found.append(
            {
                "address": address,
                "threads": facts["nthreads"],
                "memory": facts.get("memory_limit", 0),
                "tasks": facts.get("metrics", {}).get("executing", 0),
                "kept": 0 if problems else ask(client, address, remote.kept),
                "gpus": [] if problems else ask(client, address, remote.devices),
                "problems": problems,
            }
        )
    return found


def compare_versions(client: Any, workers: list[str] | None = None) -> None:
    """Refuse workers that would compute something else.

    Raises:
        ConfigError: names the workers, what differs, and both versions.
    """
    lines = [
        f"  {address}: {line}"
        for address, found in sorted(differences(client, workers).items())
        for line in found
    ]
    if lines:
        raise ConfigError(
            "versions differ between this machine and workers, so predictions could differ, too:\n"
            + "\n".join(lines)
        )


def ask(client: Any, address: str, function: Any, *arguments: Any, **named: Any) -> Any:
    """Run a function on one worker, beside its tasks."""
    return client.run(function, *arguments, workers=[address], **named)[address]


def send(client: Any, address: str, digest: str, path: Path) -> int:
    """Send a file in pieces; the number of its bytes."""
    size, sent = path.stat().st_size, 0
    with path.open("rb") as file:
        while True:
            chunk = file.read(_CHUNK)
            first, sent = sent == 0, sent + len(chunk)
            last = sent >= size or not chunk
            ask(client, address, remote.store, digest, client.id, chunk, first=first, last=last)
            if last:
                return sent


def files_of(competition: Competition) -> tuple[dict[str, tuple[str, Path]], str]:
    """What a fold may need: digest and path by name; and the digest of it all.

    Results, reports and everything hidden stay here; so does a file of answers.
    """
    root = competition.root
    answers = competition.settings.provider.solution
    hidden = (root / answers).resolve() if answers else None
    found = {}
    for path in sorted(_below(root, set())):
        if path.resolve() != hidden:
            found[path.relative_to(root).as_posix()] = (sha256(path), path)
    content = hashlib.sha256()
    for name, (digest, _) in found.items():
        content.update(f"{name}\0{digest}\0".encode())
    return found, content.hexdigest()[:32]


def _below(folder: Path, seen: set[Path], *, top: bool = True) -> Iterator[Path]:
    """All files; links are followed, once."""
    real = folder.resolve()
    if real in seen:
        return
    seen.add(real)
    for entry in os.scandir(folder):
        if (
            entry.name.startswith(".")
            or entry.name == "__pycache__"
            or (top and entry.name in _OURS)
        ):
            continue
        if entry.is_dir():
            yield from _below(Path(entry.path), seen, top=False)
        elif entry.is_file():
            yield Path(entry.path)
