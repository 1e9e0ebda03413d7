"""Downloads over loopback: `kit data` against `curl`, its memory, and what is left after kill -9.

python tests/benchmarks/download.py [--megabytes 2048] [--repeats 3]

One archive of bytes that no one can pack tighter lies in the loopback server's storage. "fetch" is
kit's download alone (resumable, MD5 added up on the way, fsync), "kit data" the whole command: it
also tests every member's CRC, unpacks and writes the manifest with the SHA-256 of every file.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "kaggle"))

from loopback_server import Server

TOML = """schema = 1
[competition]
slug = "toy"
[provider]
name = "kaggle"
[columns]
id = "id"
target = ["y"]
[task]
type = "regression"
metric = "rmse"
[submission]
wants = "value"
columns = ["y"]
"""
FETCH = """
import sys
from pathlib import Path
from kit.providers.kaggle.client import PATIENCE
from kit.providers.kaggle.download import Order, download
nothing = lambda *_: None
download(Order(address=lambda: sys.argv[1], part=Path(sys.argv[2]), name="toy.zip",
               progress=nothing, room=nothing, patience=PATIENCE), "toy")
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=2048)
    parser.add_argument("--repeats", type=int, default=3)
    wishes = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kit-download-") as folder, Server() as server:
        place = Path(folder)
        (place / "home").mkdir()
        (place / "toy").mkdir()
        (place / "toy" / "kit.toml").write_text(TOML)
        for megabytes in (64, wishes.megabytes):
            archive = made(place / "archive.zip", megabytes)
            server.add("toy", files={}, archive=archive)
            address = f"{server.storage_url}/{server.DownloadDataFiles(OURS, 'ann').name}"
            subprocess.run(["curl", "-sf", "-o", os.devnull, address], check=True)  # sums, cache
            repeats = 1 if megabytes == 64 else wishes.repeats
            compare(server, place, address, megabytes, repeats)
        resumed(server, place, wishes.megabytes)


OURS = {"competitionName": "toy"}


def made(path: Path, megabytes: int) -> Path:
    """An archive that is as large as what is in it."""
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive,
        archive.open(zipfile.ZipInfo("train.bin"), "w", force_zip64=True) as member,
    ):
        block = os.urandom(1 << 20)
        for number in range(megabytes):
            member.write(number.to_bytes(4, "big") + block[4:])
    return path


def timed(server: Server, place: Path, *command: str) -> tuple[float, float, float]:
    """Seconds, those of its own on a processor, and MB of memory, of a command that ends well."""
    started = time.perf_counter()
    child = subprocess.Popen(
        command, cwd=place, env={**os.environ, **server.environment(place / "home")},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    _, status, usage = os.wait4(child.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} failed")
    worked = usage.ru_utime + usage.ru_stime
    return time.perf_counter() - started, worked, usage.ru_maxrss / 1024


def forget(place: Path) -> None:
    shutil.rmtree(place / "toy" / "data", ignore_errors=True)
    shutil.rmtree(place / ".toy.download", ignore_errors=True)
    for name in ("of-curl", "of-kit", "of-kit.json"):
        (place / name).unlink(missing_ok=True)


def compare(server: Server, place: Path, address: str, megabytes: int, repeats: int) -> None:
    python = [sys.executable]
    commands = {
        "curl": ["curl", "-sf", "-o", "of-curl", address],
        "start of Python": [*python, "-c", "import kit.providers.kaggle.download"],
        "fetch": [*python, "-c", FETCH, address, "of-kit"],
        "kit data": [*python, "-m", "kit", "data", "-q", "-C", "toy"],
        "kit data, once more": [*python, "-m", "kit", "data", "-q", "-C", "toy"],
    }
    found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in commands}
    for _ in range(repeats):
        forget(place)
        for name, command in commands.items():
            found[name].append(timed(server, place, *command))
    forget(place)
    middle = {
        name: [statistics.median(column) for column in zip(*values, strict=True)]
        for name, values in found.items()
    }
    print(f"{megabytes} MB, median of {repeats}; CPU is that of the command, not of the server")
    print(f"  {'':22}seconds    MB/s   times curl's   CPU s   MB of memory")
    for name, (seconds, worked, memory) in middle.items():
        times = seconds / middle["curl"][0]
        print(
            f"  {name:22}{seconds:7.2f}{megabytes / seconds:8.0f}{times:15.2f}{worked:8.2f}"
            f"{memory:15.0f}"
        )


def resumed(server: Server, place: Path, megabytes: int) -> None:
    """Kill it when half is there; the same command fetches the other half only."""
    command = [sys.executable, "-m", "kit", "data", "-q", "-C", "toy"]
    part = place / ".toy.download" / "archive.zip.part"
    child = subprocess.Popen(
        command, cwd=place, env={**os.environ, **server.environment(place / "home")}
    )
    while not part.exists() or part.stat().st_size < megabytes << 19:
        if child.poll() is not None:
            raise SystemExit("kit data ended before it could be killed")
        time.sleep(0.01)
    child.kill()
    child.wait()
    kept = part.stat().st_size
    seconds, _, memory = timed(server, place, *command)
    asked = server.calls("GET")[-1].headers["Range"]
    with zipfile.ZipFile(place / "archive.zip") as archive:
        size = archive.getinfo("train.bin").file_size
    whole = (place / "toy" / "data" / "raw" / "train.bin").stat().st_size == size
    print(
        f"killed at {kept >> 20} MB; then {asked}, {seconds:.2f} s, {memory:.0f} MB of memory; "
        f"{'whole' if whole else 'NOT WHOLE'}"
    )


if __name__ == "__main__":
    main()
