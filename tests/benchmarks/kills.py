"""Kill `kit` at random moments and look whether anything is lost.

Each round takes a fresh competition (a sample that comes with kit), starts one command, sends
SIGKILL, SIGTERM or Ctrl-C after a random part of the time it needs, and then demands:

* no traceback, and the exit code of an interrupted command where the signal can be caught;
* every fold that was finished is there, or the run that holds it;
* every published run can be read;
* the same command, given again, does its work, reads the finished folds, and its predictions have
  the bits of a call that was never disturbed;
* nothing was handed in twice;
* no process is left, and `kit gc` leaves no half-written file behind.

Run it as

    python tests/benchmarks/kills.py [--kills 200] [--seed 0] [--commands cv,auto]

"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ["KIT_PLUGINS"] = "0"

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
COMMANDS: dict[str, tuple[str, ...]] = {
    "new": ("new", "iris", "--from", "sample"),
    "data": ("data", "--force"),
    "cv": ("cv", "lightgbm"),
    "auto": ("auto", "linear", "lightgbm", "--budget", "30s"),
    "blend": ("blend",),
    "submit": ("submit", "-m", "once"),
}
CONFIG = (
    "\n[models.lightgbm.params]\nn_estimators = 150\npatience = 150\n\n[execution]\nthreads = 1\n"
)
PATIENCE = 400.0
"""Seconds after which a command counts as hanging."""


class Lost(Exception):
    """What must not happen."""


class Round:
    """One competition, one command, one signal.

    Args:
        base: a folder of its own.
        command: a key of `COMMANDS`.
        ready: the competition that the command is started in; None: it makes one.
    """

    def __init__(self, base: Path, command: str, ready: Path | None) -> None:
        self.base, self.command = base, command
        self.root = base / "iris"
        if ready is not None:
            shutil.copytree(ready, self.root, symlinks=True)
        self.calls = 0

    def start(self, *args: str) -> forked.Child:  # noqa: F821  (imported in `main`)
        import forked

        self.calls += 1
        where = self.base if args[0] == "new" else self.root
        return forked.start(args, where, self.base / f"log-{self.calls}")

    def call(self, *args: str, codes: tuple[int, ...] = (0,)) -> str:
        """Run a command to its end.

        Raises:
            Lost: it hangs, or ends with another exit code.
        """
        child = self.start(*args)
        if not child.wait(PATIENCE):
            raise Lost(f"kit {' '.join(args)} hangs: {child.err[-300:]}")
        if child.code not in codes or "Traceback" in child.err:
            raise Lost(f"kit {' '.join(args)} ended with {child.code}: {child.err[-1500:]}")
        return child.err

    def work(self, command: str) -> str:
        """Do a command of `COMMANDS`; `auto` gets more time where the machine is busy.

        Raises:
            Lost: as for `call`; an exit code of 1 is left to the caller.
        """
        said = self.call(*COMMANDS[command], codes=(0, 1))
        for budget in ("90s", "5m"):
            if command == "auto" and "no model ended within" in said:
                said = self.call(*COMMANDS[command][:-1], budget, codes=(0, 1))
        return said

    def folds(self) -> dict[str, set[str]]:
        """Finished folds of runs that are not, by hash."""
        found: dict[str, set[str]] = {}
        with suppress(FileNotFoundError):  # the folder goes while it is read: its run is published
            for path in (self.root / "runs" / ".partial").glob("*/fold-*.parquet"):
                found.setdefault(path.parent.name, set()).add(path.name)
        return found

    def runs(self) -> dict[str, Path]:
        """Published runs, by hash."""
        paths = (self.root / "runs").glob("2*/run.json")
        return {json.loads(path.read_text())["hash"]: path.parent for path in paths}

    def disturb(self, rng: random.Random, number: signal.Signals, usual: float) -> bool:
        """Start the command and send the signal; whether it came before the end."""
        child = self.start(*COMMANDS[self.command])
        end = time.monotonic() + rng.uniform(0.0, usual)
        before: dict[str, set[str]] = {}
        while time.monotonic() < end and not child.poll():
            before = self.folds()  # what is seen now must be there for ever
            time.sleep(0.002)
        hit = not child.poll()
        if hit:
            with suppress(ProcessLookupError):
                # a terminal sends Ctrl-C to the whole group, `kill` a signal to one process
                send = os.killpg if number == signal.SIGINT else os.kill
                send(child.pid, number)
        if not child.wait(PATIENCE):
            raise Lost(f"does not end after {number.name}: {child.err[-500:]}")
        self._ending(child.code, child.err, number, hit=hit)
        after, runs = self.folds(), self.runs()
        for run, names in before.items():
            if run not in runs and not names <= after.get(run, set()):
                raise Lost(f"finished folds are gone: {run[:6]} {names - after.get(run, set())}")
        end = time.monotonic() + 20
        while child.group():
            if time.monotonic() > end:
                raise Lost("a process is left behind")
            time.sleep(0.02)
        return hit

    def _ending(self, code: int | None, said: str, number: signal.Signals, *, hit: bool) -> None:
        # before kit has set its handler SIGTERM ends Python as it ends anything
        early = -signal.SIGTERM if number == signal.SIGTERM and not said else 0
        allowed = (0, -number) if number == signal.SIGKILL else (0, 130, early)
        if "Traceback" in said and not (number == signal.SIGINT and not self.begun(said)):
            raise Lost(f"traceback after {number.name}: {said[-1500:]}")
        if code not in (allowed if hit else (0,)):
            raise Lost(f"exit code {code} after {number.name}: {said[-500:]}")

    def begun(self, said: str) -> bool:
        """Whether kit's own code ran when the signal came."""
        return "kit/cli/__init__.py" in said

    def again(self, reference: dict[str, bytes]) -> None:
        """The same command does its work now; the results are those of an undisturbed call."""
        if self.command == "new":
            self.call(*COMMANDS["new"], "--exist-ok")
            self.call("data", "-q")
        elif self.command == "submit":
            said = self.call(*COMMANDS["submit"], codes=(0, 1))
            if "no answer came" in said:  # it may have arrived, so kit wants to be told
                said = self.call(*COMMANDS["submit"], "--again")
            if "once" not in self.taken() or self.taken().count("once") != 1:
                raise Lost(f"handed in {self.taken()}: {said[-500:]}")
        else:
            kept = self.folds()
            said = self.work(self.command)
            if not said or "kit: " in said.splitlines()[-1]:
                raise Lost(f"does not work again: {said[-1500:]}")
            if self.command == "auto" and not list((self.root / "submissions").glob("*.csv")):
                raise Lost(f"no submission file: {said[-800:]}")
            if self.command == "cv":
                expected = sum(map(len, kept.values())) if not self.published_before else 0
                if said.count("is there from an earlier call") != expected:
                    raise Lost(f"{expected} folds were finished, however: {said[-800:]}")
        self.call("gc", "--older-than", "0s")
        self.whole(reference)

    published_before = False

    def taken(self) -> list[str]:
        """Messages of what the server has."""
        path = self.root / ".sample" / "submissions.json"
        if not path.exists():
            return []
        return [each["message"].split()[0] for each in json.loads(path.read_text())["submissions"]]

    def whole(self, reference: dict[str, bytes]) -> None:
        """Everything that is published can be read, and nothing is half there."""
        from kit.runs import list_runs

        runs, problems = list_runs(self.root / "runs")
        if problems:
            raise Lost("; ".join(problems))
        for run in runs:
            if predictions(run) != reference.get(run.hash, predictions(run)):
                raise Lost(f"{run.id} has other predictions than without the kill")
        left = [p for p in self.base.rglob("*") if p.name.endswith(".part") or ".new-" in p.name]
        left += [*(self.root / "runs").glob(".tmp/*"), *self.root.glob(".cache/rerun-*")]
        if left:
            raise Lost(f"left after kit gc: {', '.join(str(p) for p in left[:5])}")
        self.call("runs")


def predictions(run: object) -> bytes:
    """The bits of all predictions of a run."""
    frames = (run.oof(), run.test())  # type: ignore[attr-defined]
    return b"".join(
        frame.drop(columns="id").to_numpy(dtype="float64").tobytes() for frame in frames
    )


def prepare(
    base: Path, wanted: list[str]
) -> tuple[dict[str, Path | None], dict[str, float], dict[str, bytes]]:
    """Competitions to start in, how long each command takes, undisturbed predictions by hash."""
    from kit.runs import list_runs

    base.mkdir()
    usual, ready = {}, {}
    reference: dict[str, bytes] = {}
    first = Round(base, "new", None)
    for command in COMMANDS:
        if command != "new":
            ready[command] = base / f"before-{command}"
            shutil.copytree(first.root, ready[command], symlinks=True)
        else:
            ready[command] = None
        if command == "blend":
            first.call("cv", "linear")
            shutil.rmtree(ready[command])
            shutil.copytree(first.root, ready[command], symlinks=True)
        began = time.monotonic()
        if command != "auto" or "auto" in wanted:
            first.work(command)
        usual[command] = time.monotonic() - began
        if command != "new":
            runs, _ = list_runs(first.root / "runs")
            if command == "auto" and "auto" in wanted and not runs:
                raise Lost("the machine is too busy for kit auto")
            reference |= {run.hash: predictions(run) for run in runs}
        if command == "new":
            with (first.root / "kit.toml").open("a") as file:
                file.write(CONFIG)
        if command == "auto":  # `blend` is to start from what is known to be there
            shutil.rmtree(first.root)
            shutil.copytree(ready["auto"], first.root, symlinks=True)
        if command in wanted:
            print(f"{command:7s} undisturbed {usual[command]:.1f} s", flush=True)
    shutil.rmtree(ready["auto"] / "runs")  # auto computes it all
    return ready, usual, reference


def run_rounds(kills: int, seed: int, commands: list[str], tell: Callable[[str], None]) -> int:
    """Do the rounds; how many lost something."""
    rng = random.Random(seed)
    bad, hits, rounds = 0, Counter[str](), 0
    with tempfile.TemporaryDirectory(prefix="kills-") as scratch:
        base = Path(scratch)
        ready, usual, reference = prepare(base / "ready", commands)
        while sum(hits.values()) < kills and rounds < 3 * kills:
            command, number = commands[rounds % len(commands)], rng.choice(SIGNALS)
            folder = base / f"round-{rounds}"
            folder.mkdir()
            each = Round(folder, command, ready[command])
            try:
                hit = each.disturb(rng, number, usual[command])
                each.published_before = not hit or bool(each.runs())
                hits[f"{command} {number.name}"] += hit
                each.again(reference)
            except Lost as error:
                bad += 1
                tell(f"LOST round {rounds}: {command}, {number.name}: {error}")
            rounds += 1
            shutil.rmtree(folder, ignore_errors=True)
            if rounds % 20 == 0:
                tell(f"{rounds} rounds, {sum(hits.values())} hits, {bad} bad")
    for name, count in sorted(hits.items()):
        tell(f"{name:16s} {count}")
    tell(f"{sum(hits.values())} kills that hit a running command, {bad} lost something")
    return bad


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--commands", default=",".join(COMMANDS))
    chosen = parser.parse_args()
    import forked

    forked.load()
    bad = run_rounds(
        chosen.kills, chosen.seed, chosen.commands.split(","), lambda t: print(t, flush=True)
    )
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()
