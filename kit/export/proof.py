"""Run a bundle as Kaggle would, before anything leaves the machine, and compare what it predicts.

The script is started by `guard` with ``python -I`` in an emptied environment: HOME and everything
it writes to are temporary, only the bundle and installed packages can be imported. The network is
off twice: in a network namespace of its own where the system allows one, and by an audit hook. The
competition's folder, the working directory and the user's home cannot be read.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kit.atomic import token
from kit.competition import Competition
from kit.errors import RunError
from kit.export.bundle import Bundle
from kit.export.inference import PREDICTIONS, REPORT
from kit.providers.manifest import files_below
from kit.runs import Run, prediction_columns
from kit.submission.building import written
from kit.submission.shape import expected
from kit.tables import read_header, read_table

TOLERANCE = 1e-5
"""Largest difference allowed, as a share of the largest prediction: single precision, with room.

Several targets have scales of their own, so that each is measured by its own largest prediction.
"""

_KEPT = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "LD_LIBRARY_PATH")
_TINY = np.finfo(np.float64).tiny
_SHOWN = 15  # lines of a failed script


@dataclass(frozen=True, kw_only=True)
class Proof:
    """What the clean run showed.

    Attributes:
        rows: test rows predicted.
        difference: largest absolute difference from the run's own test predictions; of several
            targets that of the one that is off most for its scale.
        allowed: the largest one allowed there.
        labels: cells of the submission file that differ.
        network: how the network was off.
        seconds: of the whole script, for the public test rows.
        load_seconds, predict_seconds: of its parts.
        row_seconds: for one row more, measured on more rows than the test file has.
        packages: versions of what was imported.
        notes: what the script remarked.
    """

    rows: int
    difference: float
    allowed: float
    labels: int
    network: str
    seconds: float
    load_seconds: float
    predict_seconds: float
    row_seconds: float
    packages: dict[str, str]
    notes: tuple[str, ...]

    @property
    def identical(self) -> bool:
        """Whether the predictions are the same to the last bit."""
        return self.difference == 0.0

    def seconds_for(self, rows: int) -> float:
        """Seconds the script would take on this machine for so many rows."""
        return max(self.seconds + self.row_seconds * (rows - self.rows), 0.0)

    def to_json(self) -> dict[str, Any]:
        """Plain types."""
        return {**vars(self), "notes": list(self.notes), "identical": self.identical}


def prove(
    competition: Competition,
    run: Run,
    bundle: Bundle,
    *,
    timeout: float,
    namespace: bool | None = None,
    python: Path | None = None,
) -> Proof:
    """Run the bundle on the public test rows and compare.

    Args:
        competition: gives the data.
        run: whose test predictions must come out.
        bundle: what is tried; its submission file is kept as ``<folder>/proof/<file>``.
        timeout: seconds after which it is ended.
        namespace: whether to use a network namespace; None: where the system allows it.
        python: runs the script, which installs the bundle's wheels; None: the Python that runs
            this, and whatever is installed there.

    Raises:
        RunError: the script failed, took too long, tried to use the network or to read the
            author's files, or predicted something else.
    """
    workspace = Path(tempfile.mkdtemp(prefix=f".proof-{token()}-", dir=bundle.folder))
    try:
        layout = _lay_out(competition, bundle, workspace, wheels=python is not None)
        prefix, network = _without_network() if namespace is not False else ([], "")
        started = time.perf_counter()
        programs = _run_script(
            [*prefix, str(python or sys.executable)], bundle, competition, workspace, timeout
        )
        seconds = time.perf_counter() - started
        report = json.loads((workspace / "report" / REPORT).read_text(encoding="utf-8"))
        values = np.load(workspace / "report" / PREDICTIONS, allow_pickle=False)
        difference, allowed = _compared(run, report["ids"], values)
        labels = _labels_that_differ(competition, run, layout / bundle.names.file)
        _keep(layout / bundle.names.file, bundle.folder / "proof")
    finally:
        shutil.rmtree(workspace, ignore_errors=True)
    return Proof(
        rows=len(values),
        difference=difference,
        allowed=allowed,
        labels=labels,
        network=network or "sockets refused by an audit hook",
        seconds=seconds - report["seconds"]["pace"],
        load_seconds=report["seconds"]["load"],
        predict_seconds=report["seconds"]["predict"],
        row_seconds=report["seconds"]["per_row"],
        packages=report["packages"],
        notes=(*report["notes"], *([] if network else _unseen(programs))),
    )


def _unseen(programs: list[str]) -> list[str]:
    if not programs:
        return []
    return [
        f"it started other programs ({', '.join(programs[:3])}), and whether these use the network "
        "was not seen: this machine has no network namespaces"
    ]


def _lay_out(competition: Competition, bundle: Bundle, workspace: Path, *, wheels: bool) -> Path:
    """Folders as Kaggle mounts them; returns the working folder."""
    inputs = workspace / "input"
    user, slug = bundle.names.dataset.split("/")
    shutil.copytree(
        bundle.dataset,
        inputs / "datasets" / user / slug,
        copy_function=_linked,
        ignore=shutil.ignore_patterns("dataset-metadata.json", *([] if wheels else ["*.whl"])),
    )
    data = inputs / "competitions" / bundle.names.competition
    for path in files_below(competition.raw):
        target = data / path.relative_to(competition.raw)
        target.parent.mkdir(parents=True, exist_ok=True)
        _linked(str(path.resolve()), str(target))
    for name in ("home", "tmp", "working"):
        (workspace / name).mkdir()
    return workspace / "working"


def _linked(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _without_network() -> tuple[list[str], str]:
    """What starts a command in a network namespace of its own, if the system allows it."""
    unshare, shell = shutil.which("unshare"), shutil.which("sh")
    if unshare is None or shell is None:
        return [], ""
    prefix = [unshare, "--user", "--map-root-user", "--net", shell, "-c"]
    prefix += ['ip link set lo up 2>/dev/null; exec "$@"', "sh"]
    try:
        tried = subprocess.run([*prefix, "true"], capture_output=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return [], ""
    if tried.returncode:
        return [], ""
    return prefix, "a network namespace without any interface but loopback, and an audit hook"


def _run_script(
    python: list[str], bundle: Bundle, competition: Competition, workspace: Path, timeout: float
) -> list[str]:
    """Run it; returns the other programs that it started."""
    log = workspace / "refused"
    guard = Path(__file__).with_name("guard.py")
    settings = json.dumps(_rules(competition, workspace, log, Path(python[-1]).parents[1]))
    command = [*python, "-I", "-B", str(guard), settings, str(bundle.script)]
    with (workspace / "output").open("w+", encoding="utf-8", errors="replace") as output:
        try:
            code: int | None = subprocess.run(
                command,
                cwd=workspace / "working",
                env=_environment(workspace),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=timeout,
                check=False,
            ).returncode
        except subprocess.TimeoutExpired:
            code = None
        output.seek(0)
        last = output.read().strip().splitlines()[-_SHOWN:]
    told = "".join(f"\n    {line}" for line in last)
    lines = sorted(set(log.read_text(encoding="utf-8").splitlines() if log.is_file() else ()))
    if refused := [line for line in lines if not line.startswith("program")]:
        raise RunError(_reached(refused))
    if code is None:
        raise RunError(f"the bundle was ended after {timeout:.0f} s in a clean environment:{told}")
    if code:
        raise RunError(f"the bundle does not run in a clean environment (exit code {code}):{told}")
    return [line.partition(" ")[2] for line in lines]


def _reached(refused: list[str]) -> str:
    network = any(line.startswith("network") for line in refused)
    what = "the network, which is off" if network else "files of yours, which are not there"
    places = "".join(f"\n    {line}" for line in refused[:5])
    return (
        f"the bundle reaches for {what} where the competition is scored:{places}\n"
        "  Take it out of features.py or model.py, and run `kit cv` again."
    )


def _rules(competition: Competition, workspace: Path, log: Path, home: Path) -> dict[str, Any]:
    """What `guard` lets pass; packages (`home` is Python's) may lie below a folder denied."""
    denied = [competition.root, Path.cwd(), Path("~").expanduser()]
    prefixes = [str(home), sys.prefix, sys.base_prefix, sys.exec_prefix]
    installed = [path for path in sys.path if path.endswith(("-packages", "lib-dynload"))]
    allowed = [workspace, Path(__file__).parent, *map(Path, [*prefixes, *installed])]
    script = workspace.parent / "kernel"
    return {
        "log": str(log),
        "denied": _spellings(denied),
        "allowed": _spellings([*allowed, script]),
        "read_only": str((workspace / "input").resolve()),
    }


def _spellings(folders: list[Path]) -> list[str]:
    """Folders as they are named and as they really are; never the root of the file system."""
    both = {path for folder in folders for path in (str(folder.absolute()), str(folder.resolve()))}
    return sorted(both - {os.sep})


def _environment(workspace: Path) -> dict[str, str]:
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return {
        "PATH": os.defpath,
        "LANG": "C.UTF-8",
        "HOME": str(workspace / "home"),
        "TMPDIR": str((workspace / "tmp").resolve()),
        "KIT_EXPORT_INPUT": str((workspace / "input").resolve()),
        "KIT_EXPORT_WORKING": str((workspace / "working").resolve()),
        "KIT_EXPORT_REPORT": str((workspace / "report").resolve()),
        **kept,
    }


def _compared(run: Run, ids: list[str], values: NDArray[np.float64]) -> tuple[float, float]:
    """Largest difference from the run's test predictions, and the largest one allowed.

    Raises:
        RunError: other rows were predicted, or the difference is too large.
    """
    own = run.test()
    wanted = own[prediction_columns(run.record["outputs"])].to_numpy(dtype=np.float64)
    rows = pd.Index(own["id"].astype("str").str.strip()).get_indexer(pd.Index(ids))
    if values.shape != wanted.shape or (rows < 0).any():
        raise RunError(
            f"the bundle predicts {values.shape[0]} rows, {run.id} {wanted.shape[0]}: they are not "
            "the same rows. Run `kit cv` again."
        )
    each = np.abs(values - wanted[rows])  # (n, k)
    limits = TOLERANCE * _scales(wanted, run.record["task"])  # (k,)
    with np.errstate(over="ignore"):
        column = int((each.max(axis=0) / np.maximum(limits, _TINY)).argmax())
    difference, allowed = float(each[:, column].max()), float(limits[column])
    if not difference <= allowed:
        worst = int(each[:, column].argmax())
        where = f" of {run.record['outputs'][column]!r}" if len(limits) > 1 else ""
        raise RunError(
            f"the bundle predicts something else than {run.id}: the largest difference{where} is "
            f"{difference:.3g}, {allowed:.3g} is allowed ({TOLERANCE:g} of the largest "
            f"prediction); {int((~(each <= limits)).any(axis=1).sum())} of {len(each)} rows "
            f"differ, most of all id {ids[worst]!r}.\n  Does features.py or model.py depend on the "
            "machine, the time or the environment? Were models changed? `kit fit` again."
        )
    return difference, allowed


def _scales(wanted: NDArray[np.float64], task: str) -> NDArray[np.float64]:
    """The largest prediction ``(k,)``: of each target by itself, of probabilities of all."""
    largest = np.abs(wanted).max(axis=0)
    return largest if task == "multitarget" else np.full_like(largest, largest.max())


def _labels_that_differ(competition: Competition, run: Run, file: Path) -> int:
    """Cells of the submission file that are other labels than the run's own would be.

    Labels may flip where a prediction lies on the edge within the tolerance.
    """
    if competition.settings.submission.wants != "label":
        return 0
    shape, own = expected(competition), run.test()
    values = own[prediction_columns(run.record["outputs"])].to_numpy(dtype=np.float64)
    table = written(values, own["id"].to_numpy(), competition, run, shape).astype("str")
    names = list(shape.columns)
    read = pd.read_parquet if file.suffix == ".parquet" else _text
    found = read(file).astype("str").rename(columns=str.strip)
    table = table.rename(columns=str.strip)
    if key := shape.id.strip():
        found, table = (each.set_index(key) for each in (found, table))
        found = found.loc[list(table.index)]
    return int((found[names].to_numpy() != table[names].to_numpy()).sum())


def _text(file: Path) -> pd.DataFrame:
    return read_table(file, as_text=[name.strip() for name in read_header(file)]).fillna("")


def _keep(file: Path, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    shutil.move(file, folder / file.name)
