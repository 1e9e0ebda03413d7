"""A cluster of several hosts on one machine: `python hosts.py FOLDER COMMAND...`

Every host is a network namespace with an address of its own (10.77.0.N); a bridge in the namespace
of this script joins them, and none has a way out. The scheduler is host 1, the workers are 2 and 3,
and COMMAND runs on host 4 with ``--on ADDRESS`` behind it. The last line of the output is JSON.

To be started by `START`: in user, network and process namespaces of its own. Nothing here has a
name, so all of it goes with the script, however that ends.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

START = ("unshare", "--user", "--map-root-user", "--net", "--pid", "--fork", "--kill-child")
START += ("--mount-proc",)
NET, PORT = "10.77.0", 8786
DASK = "distributed.cli.dask_"
PATIENCE = 200.0


class Host:
    """A network namespace, held by a process that sleeps."""

    def __init__(self, number: int) -> None:
        self.number, self.address = number, f"{NET}.{number}"
        self._holder = subprocess.Popen(["unshare", "--net", "sleep", "infinity"])
        own, end = os.readlink("/proc/self/ns/net"), time.monotonic() + 10
        while os.readlink(f"/proc/{self._holder.pid}/ns/net") == own:
            assert time.monotonic() < end
            time.sleep(0.01)
        here, there = f"port{number}", "eth0"
        ip("link", "add", here, "type", "veth", "peer", "name", there, "netns", self._holder.pid)
        ip("link", "set", here, "master", "switch", "up")
        for words in (("addr", "add", f"{self.address}/24", "dev", there),
                      ("link", "set", there, "up"), ("link", "set", "lo", "up")):  # fmt: skip
            subprocess.run(self.here("ip", *words), check=True)

    def here(self, *command: str) -> list[str]:
        """The command that runs a command on this host."""
        return ["nsenter", f"--net=/proc/{self._holder.pid}/ns/net", *command]

    @property
    def received(self) -> int:
        """Bytes that came to it."""
        lines = Path(f"/proc/{self._holder.pid}/net/dev").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.split()[0] == "eth0:")


def ip(*words: object) -> None:
    subprocess.run(["ip", *map(str, words)], check=True)


def main(folder: Path, command: list[str]) -> None:
    """Start the cluster, run the command, say what came of it."""
    ip("link", "set", "lo", "up")
    ip("link", "add", "switch", "type", "bridge")
    ip("link", "set", "switch", "up")
    scheduler, *workers, client = (Host(number) for number in range(1, 5))
    address = f"tcp://{scheduler.address}:{PORT}"
    python = [sys.executable, "-m"]
    with (folder / "log").open("ab") as log:
        listening = ["--host", scheduler.address, "--port", str(PORT), "--no-dashboard"]
        subprocess.Popen(
            scheduler.here(*python, f"{DASK}scheduler", *listening), stdout=log, stderr=log
        )
        for worker in workers:
            own = folder / f"worker-{worker.number}"
            own.mkdir()
            options = ["--host", worker.address, "--nthreads", "1", "--no-nanny", "--no-dashboard"]
            options += ["--memory-limit", "0", "--local-directory", str(own)]
            subprocess.Popen(
                worker.here(*python, f"{DASK}worker", address, *options), stdout=log, stderr=log
            )
        status = client.here(*python, "kit", "cluster", "status", address, "--json")
        end, seen = time.monotonic() + PATIENCE, []
        while len(seen) < len(workers):
            assert time.monotonic() < end, (folder / "log").read_text()
            found = subprocess.run(status, capture_output=True, text=True, check=False)
            seen = json.loads(found.stdout) if found.stdout.startswith("[") else []
        done = subprocess.run(
            client.here(*command, "--on", address), capture_output=True, text=True, check=False
        )
    print(
        json.dumps(
            {
                "code": done.returncode,
                "err": done.stderr,
                "workers": [each["address"] for each in seen],
                "received": {worker.address: worker.received for worker in workers},
            }
        )
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
