"""Compute a run again from what it kept, and compare bit by bit.

A workshop beside the runs holds the code as the run kept it and, by links, everything else of the
competition's folder. There the run is computed as if it had never been. Threads, executor and
processes are those of now: they must not change predictions. What is computed on a GPU may differ
in the last bits from one call to the next; that is then said, not hidden.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

import kit
from kit.atomic import token
from kit.blend import blend
from kit.competition import CONFIG_NAME, Competition
from kit.cv import cross_validate
from kit.errors import ConfigError, KitError, RunError
from kit.execution.context import FOLDS_NAME
from kit.runs import Run, find_run, ignore
from kit.session import Listener, code_files, open_session

_OWN = frozenset({CONFIG_NAME, "runs", "reports", "submissions", "exports", ".cache", FOLDS_NAME})


@dataclass(frozen=True, kw_only=True)
class Rerun:
    """What came of it.

    Attributes:
        run: the run, by id.
        equal: whether every out-of-fold, test and holdout prediction has the same bits, its fold
            and the score that the run has on record, too.
        oof, test, holdout: largest difference; None where the rows, folds or columns are others.
            Without sealed rows there is no difference in them.
        rows: predictions compared, of all parts.
        seconds: recorded and now, of fit and predict together.
        differs: what is not as it was, a sentence each: where to look when `equal` is false.
        notes: what else to know.
    """

    run: str
    equal: bool
    oof: float | None
    test: float | None
    holdout: float | None
    rows: int
    seconds: tuple[float, float]
    differs: tuple[str, ...]
    notes: tuple[str, ...]


def rerun(competition: Competition, run: Run, listen: Listener = lambda event: None) -> Rerun:
    """Compute a run again.

    Args:
        competition: whose run it is; its data are used, the code is the run's.
        run: a run of kind "cv" or "blend".
        listen: called with every `Event`.

    Raises:
        RunError: it cannot be computed again: an import, a fit on all rows, a blend whose members
            are gone, or one that the clock cut short.
        KitError: what fails now, in the run's own code for instance.
    """
    _refuse(run)
    with _workshop(competition, run) as root:
        table = deepcopy(run.config)
        table["execution"] = {**table.get("execution", {}), "executor": "here"}
        try:
            again = Competition.of_table(root, table)
        except ConfigError as error:
            raise RunError(f"{run.path / 'config.json'}: {error}") from error
        made = _cv(again, run, listen) if run.kind == "cv" else _blend(again, run, competition)
        parts = ("oof", "test", *(("holdout",) if run.record.get("holdout") else ()))
        unchecked = Run(run.path, {**run.record, "files": {}})  # what was edited is compared, too
        kept = {part: getattr(unchecked, part)() for part in parts}
        off = {part: _distance(frame, getattr(made, part)()) for part, frame in kept.items()}
        return Rerun(
            run=run.id,
            equal=all(distance == 0.0 for distance in off.values()) and not _forged(run, made),
            oof=off["oof"],
            test=off["test"],
            holdout=off.get("holdout", 0.0),
            rows=sum(map(len, kept.values())),
            seconds=(_seconds(run), _seconds(made)),
            differs=tuple(_differences(run, made)),
            notes=tuple(_notes(competition, run)),
        )


def _refuse(run: Run) -> None:
    parents = " ".join(run.record["parents"])
    reasons = {
        "import": "it was imported: there is nothing here to compute it from",
        "fit": f"it was fitted on all rows; `kit fit {parents}` does it anew",
    }
    reason = reasons.get(run.kind, "")
    if run.kind not in ("cv", "blend", *reasons):
        reason = f"this kit does not know the kind {run.kind!r}"
    if run.record.get("cut"):
        reason = "a time limit cut it short, and no two clocks are alike: `kit cv` it in full"
    if run.kind == "blend" and not run.record.get("blend", {}).get("complete", True):
        reason = "a time limit cut the choice of weights short: `kit blend` makes it in full"
    if reason:
        raise RunError(f"{run.id} cannot be computed again: {reason}")


@contextmanager
def _workshop(competition: Competition, run: Run) -> Iterator[Path]:
    """A folder like the competition's, with the code of the run; removed afterwards."""
    ignore(competition.cache)
    root = competition.cache / f"rerun-{token()}"
    root.mkdir()
    try:
        for path in competition.root.iterdir():
            if path.name not in _OWN and path.suffix != ".py" and not path.name.startswith("."):
                (root / path.name).symlink_to(path)
        for hidden in (".sample", ".local"):
            if (competition.root / hidden).exists():
                (root / hidden).symlink_to(competition.root / hidden)
        kept = run.path / "code"
        if not (kept / CONFIG_NAME).is_file():
            raise RunError(f"{kept} is damaged: it holds no {CONFIG_NAME}")
        for path in kept.iterdir():
            if path.is_file():
                shutil.copy(path, root / path.name)
        if run.config.get("cv", {}).get("splitter") == "file":
            shutil.copy(competition.root / FOLDS_NAME, root / FOLDS_NAME)
        (root / "runs").mkdir()
        yield root
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _cv(again: Competition, run: Run, listen: Listener) -> Run:
    base, dot, number = run.model.rpartition(".")
    repeated = bool(dot) and number.isdigit() and run.model not in again.settings.models
    with open_session(again, listen=listen) as session:
        stopping = str(run.record["early_stopping"])
        session.early_stopping = "inner" if stopping == "none" else stopping
        name, repeat = (base, int(number) - 1) if repeated else (run.model, 0)
        made = cross_validate(session, name, repeat=repeat)
    if made is None:
        raise RunError(f"{run.id} was not finished")
    return made


def _blend(again: Competition, run: Run, competition: Competition) -> Run:
    parents = [find_run(competition.runs, name) for name in run.record["parents"]]
    for parent in parents:
        (again.runs / parent.id).symlink_to(parent.path)
    way = str(run.record["params"]["method"])
    method, negative = way.removesuffix(" --negative"), way.endswith(" --negative")
    return blend(again, [parent.id for parent in parents], method, negative=negative)


def _distance(before: Any, now: Any) -> float | None:
    """The largest difference; 0.0 where the bits are the same, None where the shape is not."""
    if list(before.columns) != list(now.columns) or not before["id"].equals(now["id"]):
        return None
    if "fold" in before.columns and not (before["fold"] == now["fold"]).all():
        return None
    names = [name for name in before.columns if name not in ("id", "fold")]
    a, b = (frame[names].to_numpy(dtype=np.float64) for frame in (before, now))
    if a.tobytes() == b.tobytes():
        return 0.0
    return float(np.abs(a - b).max(initial=0.0)) or float(np.finfo(np.float64).tiny)


def _forged(run: Run, made: Run) -> bool:
    """Whether the metric is the same and the score on record another."""
    return run.metric == made.metric and run.score != made.score


def _seconds(run: Run) -> float:
    return float(sum((run.record.get("seconds") or {}).values()))


def _differences(run: Run, made: Run) -> Iterator[str]:
    """What the run depends on and is not as it was."""
    before, now = run.record, made.record
    told = {
        "data": "the train or test file, or their columns in kit.toml",
        "features": "features.py",
        "folds": "the folds",
    }
    for key, what in told.items():
        old, new = before["digests"].get(key), now["digests"].get(key)
        if old != new:
            yield f"{key}: {what} changed since ({old}, now {new})"
    if before.get("kit") != kit.__version__:
        yield f"kit: {before.get('kit')}, now {kit.__version__}"
    packages: Mapping[str, str] = before.get("packages") or {}
    for name, old in packages.items():
        new = _version(name)
        if old != new:
            yield f"package {name}: {old}, now {new}"
    if before.get("device", "") != now.get("device", ""):
        old, new = before.get("device") or "a processor", now.get("device") or "a processor"
        yield f"device: {old}, now {new}; they round differently"
    for name in run.altered():
        yield f"{name} is not what was published: its SHA-256 is another"
    if _forged(run, made):
        yield f"score: run.json has {run.score:.10g}, these predictions {made.score:.10g}"
    if run.metric != made.metric:
        yield f"metric: {run.metric[0]}, now {made.metric[0]}, or its code"
    if run.hash != made.hash and before.get("kit") == kit.__version__:
        yield f"run hash: {run.hash[:12]}, now {made.hash[:12]}"


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _notes(competition: Competition, run: Run) -> Iterator[str]:
    """What limits the proof, and what the present folder has that the run does not use."""
    if device := run.record.get("device"):
        yield (
            f"its networks were fitted on {device}: the same bits are promised on this model of "
            "GPU, its driver and libraries alone"
        )
    try:
        now = code_files(competition)
    except (KitError, OSError):
        return
    files = (path for path in (run.path / "code").iterdir() if path.is_file())
    kept = {path.name: path.read_bytes() for path in files}
    changed = sorted(name for name in {*now, *kept} if now.get(name) != kept.get(name))
    if changed:
        yield f"the folder has other code now than the run: {', '.join(changed)}"
