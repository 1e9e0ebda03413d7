"""The NVIDIA GPUs of this machine, asked of the driver; nothing heavy is imported."""

from __future__ import annotations

import math
import os
import shutil
import subprocess
from dataclasses import dataclass

VISIBLE = "CUDA_VISIBLE_DEVICES"
"""The environment variable that names the GPUs a process may use; CUDA reads it."""
SHARE = "KIT_GPU_SHARE"
"""The environment variable that says which share of a GPU's memory a process may reserve."""

_PATIENCE = 20.0  # seconds for the driver to answer


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """One GPU.

    Attributes:
        number: as the driver counts.
        uuid: its name for `VISIBLE`, whatever other GPUs there are.
        name: what is written on it.
        memory: bytes.
    """

    number: str
    uuid: str
    name: str
    memory: float


def gpus() -> list[Gpu]:
    """The GPUs this process may use, in the order in which CUDA counts them.

    Raises:
        OSError: there is a driver, and it does not answer.
    """
    command = shutil.which("nvidia-smi")
    if command is None:
        return []
    asked = "--query-gpu=index,uuid,name,memory.total"
    try:
        done = subprocess.run(
            [command, asked, "--format=csv,noheader,nounits"],
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise OSError(f"nvidia-smi: {error}") from error
    found = []
    for line in done.stdout.splitlines():
        number, uuid, name, mebibytes = (part.strip() for part in line.split(","))
        memory = float(mebibytes) * 2**20 if mebibytes.isdigit() else 0.0
        found.append(Gpu(number=number, uuid=uuid, name=name, memory=memory))
    return _visible(found, os.environ.get(VISIBLE))


def _visible(found: list[Gpu], asked: str | None) -> list[Gpu]:
    """Those that `VISIBLE` leaves, in its order; like CUDA, none behind the first wrong name."""
    if asked is None:
        return found
    kept: list[Gpu] = []
    for word in filter(None, (part.strip() for part in asked.split(","))):
        fitting = [gpu for gpu in found if word == gpu.number or gpu.uuid.startswith(word)]
        if not fitting:
            break
        kept.append(fitting[0])
    return kept


def shared(number: int, of: int = 1) -> dict[str, str]:
    """What a process needs in its environment to have one GPU of several to itself.

    Args:
        number: of the process, from 0; with more processes than GPUs they take turns.
        of: how many processes there are.

    Returns:
        The GPU where there are several, and a share of its memory where processes share one.
    """
    try:
        found = gpus()
    except OSError:  # it is said where somebody wants to compute there
        return {}
    wanted = {VISIBLE: found[number % len(found)].uuid} if len(found) > 1 else {}
    if found and of > len(found):
        wanted[SHARE] = f"{1 / math.ceil(of / len(found)):.3f}"
    return wanted


def memory_share() -> float:
    """Which share of its GPU's memory this process may reserve."""
    return float(os.environ.get(SHARE) or 1.0)
