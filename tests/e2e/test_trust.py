"""Kills, damaged input, many processes, full memory, wrong clocks: doses of the benchmarks."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from kit.runs import list_runs

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


def benchmark(name: str, *args: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, sys.path))}
    return subprocess.run(
        [sys.executable, str(BENCHMARKS / name), *args],
        capture_output=True, text=True, env=environment,
    )  # fmt: skip


@pytest.mark.slow
def test_damaged_input_gets_a_clear_answer() -> None:
    """Eight of each kind, in one process: importing kit takes longer than the inputs."""
    done = benchmark("fuzz.py", "--kinds", "toml,csv,zip,run", "--count", "32")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "32 inputs, 0 findings" in done.stdout


PLANTED = """
import os, pathlib, sys

sys.path.insert(0, {bench!r})
import forked, fuzz, kit.cli.runs, kit.runs

FAULTS = {faults!r}

def good(root):
    root.mkdir()
    (root / "kit.toml").write_text({toml!r})

fuzz.KINDS["run"] = (lambda rng, box, root: "", (("runs",),))
fuzz.good = good
forked.load()
for fault in FAULTS:
    scope = dict(pathlib=pathlib)
    exec("def bad(*a, **k): " + fault, scope)
    kit.runs.list_runs = scope["bad"]
    print([bool(found) for found in fuzz.findings([("run", 0)])], flush=True)
"""


def test_the_fuzzer_finds_what_is_planted() -> None:
    toml = (
        'schema = 1\n[competition]\nslug = "toy"\n[columns]\nid = "id"\ntarget = ["y"]\n'
        '[task]\ntype = "regression"\nmetric = "rmse"\n[submission]\nwants = "value"\n'
    )
    faults = (
        "raise KeyError('x')",
        "(pathlib.Path('..') / 'escaped').write_text('x'); return [], []",
        "return [], []",
    )
    code = PLANTED.format(bench=str(BENCHMARKS), faults=faults, toml=toml)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split() == ["[True]", "[True]", "[False]"], done.stdout + done.stderr


@pytest.mark.slow
def test_random_kills_lose_nothing() -> None:
    done = benchmark(
        "kills.py", "--kills", "6", "--commands", "new,data,cv,blend,submit", "--seed", "3"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "6 kills that hit a running command, 0 lost something" in done.stdout


@pytest.mark.slow
def test_eight_processes_on_one_competition(toy: Any, launch: Any) -> None:
    few = {"params": {"n_estimators": 30, "patience": 30}}
    models = {f"m{k}": {"use": "lightgbm", **few} for k in range(5)}
    for k, (name, spec) in enumerate(models.items()):
        models[name] = {**spec, "params": {**spec["params"], "num_leaves": 7 + k}}
    competition = toy(n=600, models=models)
    # three of the eight want the same run; each process looks around while the others write
    wanted = [("m0", "linear"), ("m1", "m0"), ("m2", "m0"), ("m3",), ("m4",), ("linear",)]
    running = [launch(competition, "cv", *names) for names in wanted]
    running += [launch(competition, "runs"), launch(competition, "gc", "--older-than", "0s")]
    codes = [each.wait() for each in running]
    assert codes == [0] * 8, [each.err for each in running]
    runs, problems = list_runs(competition.runs)
    assert problems == []
    assert sorted(run.model for run in runs) == ["linear", "m0", "m1", "m2", "m3", "m4"]
    for run in runs:
        assert (len(run.oof()), len(run.test())) == (600, 200)
        assert run.oof()["pred"].notna().all()
        assert run.config
    assert len({run.folds for run in runs}) == 1
    # the same run, computed alone, has the same bits
    alone = toy(name="alone", n=600, models=models)
    assert launch(alone, "cv", "m3").wait() == 0
    one, other = (
        next(r for r in list_runs(c.runs)[0] if r.model == "m3") for c in (alone, competition)
    )
    assert one.oof().equals(other.oof())
    assert not [p for p in (competition.runs / ".partial").iterdir() if p.is_dir()]


HUNGRY = """
from sklearn.linear_model import LogisticRegression

class Hungry(LogisticRegression):
    calls = 0

    def fit(self, X, y):
        Hungry.calls += 1
        if Hungry.calls == 3:
            {fault}
        return super().fit(X, y)
"""


@pytest.mark.parametrize(
    ("fault", "says"),
    [("raise MemoryError", "memory"), ("import numpy; numpy.ones(2**50)", "memory")],
)
def test_out_of_memory_in_a_fold_keeps_the_others(
    make_competition: Callable[..., Any], mixed: Any, run_kit: Any, fault: str, says: str
) -> None:
    code = {"model.py": HUNGRY.format(fault=fault)}
    models = {"hungry": {"use": "model:Hungry", "recipe": "linear"}}
    competition = make_competition(*mixed, code=code, models=models, cv={"n_splits": 4})
    failed = run_kit("cv", "hungry", "-C", competition.root)
    assert failed.code == 1
    assert says in failed.err.lower()
    assert "bug in kit" not in failed.err
    assert len(list(competition.runs.glob(".partial/*/fold-*.parquet"))) == 2
    again = run_kit("cv", "hungry", "-C", competition.root)
    assert again.code == 0, again.err
    assert again.err.count("is there from an earlier call") == 2


def test_a_clock_that_jumps_damages_nothing(
    make_run: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Clock(datetime):
        now_is = datetime(2026, 1, 1, tzinfo=UTC)

        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return cls.now_is

    monkeypatch.setattr("kit.runs.datetime", Clock)
    for year in (2026, 1971, 1971, 2099):
        Clock.now_is = datetime(year, 1, 1, tzinfo=UTC)
        make_run(tmp_path, "linear", [0.1, float(year)])
    runs, problems = list_runs(tmp_path)
    assert problems == []
    assert len({run.id for run in runs}) == 4
    assert [run.test() is not None for run in runs] == [True] * 4


LEAPS = """
import itertools, time
real, leaps = time.time, itertools.cycle((0.0, 4e8, -4e8))
time.time = lambda: real() + next(leaps)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "command", ["auto linear --budget 60s", "tune linear --trials 2 --budget 60s"]
)
def test_a_clock_that_is_set_while_kit_works_takes_no_time_away(
    toy: Any, launch: Any, command: str
) -> None:
    """A leap of twelve years there and back with each look at the clock."""
    competition = toy(n=200)
    done = launch(competition, *command.split(), before=LEAPS)
    assert done.wait() == 0, done.err
    runs, problems = list_runs(competition.runs)
    assert problems == []
    assert runs
    assert not any(run.record.get("cut") for run in runs)


@pytest.mark.parametrize("command", ["check", "cv linear", "runs", "submit --dry-run", "gc"])
def test_a_newer_kit_toml_is_named(toy: Any, run_kit: Any, command: str) -> None:
    competition = toy(n=60)
    path = competition.root / "kit.toml"
    path.write_text(path.read_text().replace("schema = 1", "schema = 2"))
    done = run_kit(*command.split(), "-C", competition.root)
    assert done.code == 1
    assert "A newer kit may have written it" in done.err


@pytest.mark.parametrize(
    ("number", "hint"),
    [(errno.ENOLCK, "kit doctor"), (errno.EOPNOTSUPP, "kit doctor"), (errno.EROFS, "copy it to")],
)
def test_a_disk_without_locks_or_to_be_read_only_is_named(
    toy: Any, run_kit: Any, monkeypatch: pytest.MonkeyPatch, number: int, hint: str
) -> None:
    competition = toy(n=60)

    def flock(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", flock)
    done = run_kit("cv", "linear", "-C", competition.root)
    assert done.code == 1
    assert hint in done.err
    assert "bug in kit" not in done.err


# root may mount in a namespace of its own; others need one in which they are root
UNSHARE = ("unshare", "-m" if os.geteuid() == 0 else "-rm", "sh", "-c")


def _read_only_mounts() -> bool:
    if sys.platform != "linux" or shutil.which("unshare") is None:
        return False
    mount = "mount --bind /mnt /mnt && mount -o remount,ro,bind /mnt"
    return subprocess.run([*UNSHARE, mount], capture_output=True).returncode == 0


@pytest.mark.slow
@pytest.mark.skipif(not _read_only_mounts(), reason="no user namespaces with mounts here")
def test_a_read_only_folder_gets_one_sentence(toy: Any, run_kit: Any, tmp_path: Path) -> None:
    competition = toy(n=60)
    assert run_kit("cv", "linear", "-C", competition.root).code == 0
    commands = (
        "runs",
        "show linear",
        "cv lightgbm",
        "blend",
        "submit --dry-run",
        "doctor --fix",
        "gc",
    )
    said = {}
    for command in commands:
        script = (
            f"mount --bind {competition.root} {competition.root} && "
            f"mount -o remount,ro,bind {competition.root} && "
            f"{sys.executable} -m kit {command} -C {competition.root}"
        )
        done = subprocess.run([*UNSHARE, script], capture_output=True, text=True)
        said[command] = (done.returncode, done.stdout + done.stderr)
    assert [said[c][0] for c in ("runs", "show linear", "gc")] == [0, 0, 0], said
    for command in ("cv lightgbm", "submit --dry-run"):
        assert said[command][0] == 1, said[command]
        assert "Read-only" in said[command][1]
        assert "copy it to where that" in said[command][1]
    assert "not writable" in said["doctor --fix"][1]
    assert not [c for c, (_, text) in said.items() if "Traceback" in text or "bug in kit" in text]


DAMAGED = ("run.json", "config.json", "oof.parquet", "test.parquet")
QUICK = {  # every file and every kind of damage
    ("run.json", "missing"), ("run.json", "truncated"), ("config.json", "folder"),
    ("oof.parquet", "truncated"), ("test.parquet", "foreign"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "how"),
    [
        pytest.param(name, how, marks=[] if (name, how) in QUICK else pytest.mark.slow)
        for name in DAMAGED
        for how in ("missing", "truncated", "foreign", "folder")
    ],
)
def test_a_run_damaged_by_hand_is_named_and_computed_again(
    make_competition: Callable[..., Any], mixed: Any, run_kit: Any, name: str, how: str
) -> None:
    competition = make_competition(*mixed, cv={"n_splits": 2})
    place = ("-C", competition.root)
    assert run_kit("cv", "linear", *place).code == 0
    path = next(competition.runs.glob(f"2*/{name}"))
    content = path.read_bytes()
    path.unlink()
    if how == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif how == "foreign":
        path.write_bytes(json.dumps({"a": 1}).encode() if name != "run.json" else b"PAR1" * 9)
    elif how == "folder":
        path.mkdir()
    for command in (
        "runs",
        "show linear",
        "submit --dry-run",
        "report",
        "doctor --fix",
        "blend",
        "gc",
    ):
        done = run_kit(*command.split(), *place)
        assert done.code in (0, 1), command
        assert "bug in kit" not in done.err, command
    if name != "config.json" or how != "foreign":  # JSON that is an object, too
        assert path.parent.name in run_kit("doctor", *place).out
    again = run_kit("cv", "linear", *place)
    assert again.code == 0, again.err
    assert run_kit("submit", "--dry-run", *place).code == 0
