"""Every test: a clean environment, one thread, no plugins, and no network but loopback."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import offline
import pytest

from kit.atomic import sha256
from kit.cli import main
from kit.competition import Competition
from kit.runs import Run, publish

if TYPE_CHECKING:
    import pandas as pd

offline.go(wanted="slow" not in sys.argv)  # `-m slow` installs kit with pip
OFFLINE = Path(offline.__file__).parent

# Before numpy, scikit-learn or LightGBM load an OpenMP runtime: two busy test processes with two
# threads each spin against one another for minutes.
os.environ["OMP_NUM_THREADS"] = "1"
# as on a user's machine: stale bytecode must not go unnoticed
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["TF_NUM_INTRAOP_THREADS"] = "1"
os.environ["TF_NUM_INTEROP_THREADS"] = "1"

# A shell that starts the suite in the background has it ignore Ctrl-C, and with it every `kit` that
# a test starts and interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

_LOOPBACK = {"127.0.0.1", "::1", "localhost"}
NO_PROXY_THERE = "http://127.0.0.1:9"  # the port "discard": nobody listens


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str


RunKit = Callable[..., Outcome]


@pytest.fixture(autouse=True)
def clean_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """No settings of the developer's leak in; HOME is empty.

    Child processes are out of reach of `no_network`. They are in the suite's network namespace
    where there are such, have an audit hook if they are Python (`tests/offline`), and know a proxy
    that nobody runs.
    """
    for name in list(os.environ):
        if name.startswith(("KAGGLE", "KIT_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, NO_PROXY_THERE)
    monkeypatch.setenv("NO_PROXY", ",".join(sorted(_LOOPBACK)))
    monkeypatch.setenv("PYTHONPATH", str(OFFLINE), prepend=os.pathsep)
    monkeypatch.setenv("KIT_PLUGINS", "0")
    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("home")))


@pytest.fixture(autouse=True)
def offline_log(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """Fail the test where a Python that it started tried to reach something else than loopback."""
    log = tmp_path_factory.getbasetemp() / f"offline-{os.getpid()}"
    log.unlink(missing_ok=True)
    monkeypatch.setenv("OFFLINE_LOG", str(log))
    yield log
    offline.check(log)


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connecting, sending or asking for a name anywhere but on loopback fails the test.

    Sockets of the file system (AF_UNIX) are allowed: they cannot leave the machine.
    """
    for name, position in (("connect", 0), ("connect_ex", 0), ("sendto", -1)):
        monkeypatch.setattr(socket.socket, name, _guarded(getattr(socket.socket, name), position))
    if hasattr(socket.socket, "sendmsg"):
        sendmsg = socket.socket.sendmsg

        def sent(self: socket.socket, buffers: Any, *args: Any) -> Any:
            if len(args) > 2 and self.family != getattr(socket, "AF_UNIX", None):
                _refuse_foreign(args[2])  # without an address it goes where `connect` led
            return sendmsg(self, buffers, *args)

        monkeypatch.setattr(socket.socket, "sendmsg", sent)
    for name in ("getaddrinfo", "gethostbyname", "gethostbyname_ex", "gethostbyaddr"):
        monkeypatch.setattr(socket, name, _guarded_lookup(getattr(socket, name)))


def _guarded_lookup(original: Callable[..., Any]) -> Callable[..., Any]:
    def looked_up(host: object, *args: Any, **kwargs: Any) -> Any:
        _refuse_foreign(host)
        return original(host, *args, **kwargs)

    return looked_up


def _guarded(original: Callable[..., Any], position: int) -> Callable[..., Any]:
    def guarded(self: socket.socket, *args: Any) -> Any:
        if self.family != getattr(socket, "AF_UNIX", None):
            _refuse_foreign(args[position])
        return original(self, *args)

    return guarded


def _refuse_foreign(address: object) -> None:
    host = address[0] if isinstance(address, tuple) else address
    host = host.decode() if isinstance(host, bytes) else host
    if host not in _LOOPBACK and host not in ("", None):  # "" and None: this machine
        pytest.fail(f"a test tried to reach {address}")


@pytest.fixture
def run_kit(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> RunKit:
    """A command in this process, as the installed entry point would run it."""

    def run(*arguments: str | Path) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["kit", *map(str, arguments)])
        capsys.readouterr()
        code = 0
        try:
            main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return run


@pytest.fixture(scope="session")
def kit_here() -> RunKit:
    """`run_kit` for fixtures that outlive a test: ``kit_here("runs", "-C", root, cwd=folder)``."""

    def run(*arguments: str | Path, cwd: Path | None = None) -> Outcome:
        out, err, before = io.StringIO(), io.StringIO(), sys.argv
        sys.argv, code = ["kit", *map(str, arguments)], 0
        inside = contextlib.chdir(cwd) if cwd else contextlib.nullcontext()
        try:
            with inside, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        finally:
            sys.argv = before
        return Outcome(code, out.getvalue(), err.getvalue())

    return run


@pytest.fixture
def make_competition(tmp_path: Path) -> Callable[..., Competition]:
    """Write CSV files and a kit.toml by hand and load them as a competition.

    Called as ``make_competition(train, test, name="c", sample=None, code={}, **tables)``: `code`
    maps file names to source, `tables` are the tables of kit.toml, merged over the defaults (binary
    target `y`, id `id`, text columns are categories, stratified folds, one thread).
    """

    def make(
        train: pd.DataFrame,
        test: pd.DataFrame,
        *,
        name: str = "competition",
        sample: pd.DataFrame | None = None,
        code: Mapping[str, str] | None = None,
        **tables: dict[str, Any],
    ) -> Competition:
        import pandas as pd

        root = tmp_path / name
        raw = root / "data" / "raw"
        raw.mkdir(parents=True, exist_ok=True)
        if sample is None:
            sample = pd.DataFrame({"id": test["id"], "y": 0})
        frames = {"train": train, "test": test, "sample_submission": sample}
        for stem, frame in frames.items():
            frame.to_csv(raw / f"{stem}.csv", index=False)
        for file, source in (code or {}).items():
            (root / file).write_text(source, encoding="utf-8")
        text = [c for c in train.columns if c not in ("id", "y") and train[c].dtype == "str"]
        defaults: dict[str, dict[str, Any]] = {
            "competition": {"slug": name},
            "columns": {"id": "id", "target": "y", "kinds": dict.fromkeys(text, "category")},
            "task": {"type": "binary", "metric": "roc_auc", "classes": ["0", "1"]},
            "submission": {"wants": "probability", "columns": ["y"]},
            "cv": {"splitter": "stratified_kfold", "n_splits": 3, "models": ["lightgbm"]},
            "execution": {"threads": 1},
        }
        merged = {key: {**defaults.get(key, {}), **tables.get(key, {})} for key in defaults}
        lines = [f"{key} = {_toml(value)}" for key, value in {**tables, **merged}.items()]
        (root / "kit.toml").write_text("\n".join(["schema = 1", *lines]), encoding="utf-8")
        return Competition.load(root)

    return make


@pytest.fixture
def mixed() -> tuple[pd.DataFrame, pd.DataFrame]:
    """90 training and 30 test rows: numbers with gaps, a category, a date; a binary target `y`."""
    import numpy as np
    import pandas as pd

    n, size = 90, 120
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"id": [f"r{k}" for k in range(size)], "a": rng.normal(size=size)})
    frame["c"] = pd.Series(rng.choice(["u", "v", "w"], size)).astype("str")
    frame["d"] = pd.date_range("2020-01-01", periods=size).strftime("%d/%m/%Y").astype("str")
    frame.loc[::9, "a"] = np.nan
    noisy = frame["a"].fillna(0) + (frame["c"] == "u") + rng.normal(scale=0.5, size=size)
    frame["y"] = (noisy > 0.3).astype(int)
    return frame[:n], frame[n:].drop(columns="y")


@pytest.fixture
def without_data(tmp_path: Path) -> Callable[..., Competition]:
    """A folder with a kit.toml and nothing else: ``without_data("rmse", provider="kaggle")``."""
    binary = ('"binary"', '\nclasses = ["0", "1"]', '"probability"')
    task = {"rmse": ('"regression"', "", '"value"'), "roc_auc": binary, "log_loss": binary}

    def make(metric: str, *, provider: str = "local") -> Competition:
        kind, classes, wants = task[metric]
        (tmp_path / "kit.toml").write_text(
            f'schema = 1\n[competition]\nslug = "toy"\n[provider]\nname = "{provider}"\n'
            f'[columns]\nid = "id"\ntarget = ["y"]\n'
            f'[task]\ntype = {kind}\nmetric = "{metric}"{classes}\n[submission]\nwants = {wants}\n'
        )
        return Competition.load(tmp_path)

    return make


@pytest.fixture
def make_run() -> Callable[..., Run]:
    """Publish a run that nobody computed.

    Called as ``make_run(folder, "lightgbm", [0.8, 0.9], test=..., metric="roc_auc", up=True)``:
    scores per fold, and predictions for the test rows 0, 1, 2, ...
    """

    def make(
        folder: Path,
        model: str,
        folds: list[float],
        *,
        test: Any = (),
        metric: str = "roc_auc",
        up: bool = True,
        digest: str = "folds",
        rows: int = 40,
    ) -> Run:
        import statistics

        import pandas as pd

        mean = statistics.fmean(folds)
        record = {
            "hash": f"{model:x<6}"[:6] + "0" * 26,
            "kind": "cv",
            "model": model,
            "competition": "toy",
            "task": "binary",
            "metric": {"name": metric, "greater_is_better": up},
            "score": {
                "value": mean,
                "oof": mean,
                "folds": folds,
                "mean": mean,
                "std": statistics.stdev(folds) if len(folds) > 1 else None,
                "default": mean,
            },
            "digests": {"data": "a", "features": "b", "folds": digest, "code": "d"},
            "early_stopping": "inner",
            "parents": [],
            "weights": None,
            "overrides": {},
            "params": {},
            "seconds": {"fit": 1.0, "predict": 1.0},
            "seed": 1,
            "kit": "0",
        }
        values = pd.Series(test, dtype="float64")
        frames = {
            "test": pd.DataFrame({"id": values.index.astype("str"), "pred": values}),
            "oof": pd.DataFrame({"id": [str(i) for i in range(rows)], "fold": 0, "pred": 0.5}),
        }
        return publish(folder, record, config={}, frames=frames, code={})

    return make


@pytest.fixture
def rewrite() -> Callable[[Run, str, pd.DataFrame], Run]:
    """Predictions of a run as if other ones had been published: ``rewrite(run, "oof", frame)``."""

    def written(run: Run, stem: str, frame: pd.DataFrame) -> Run:
        path = run.path / f"{stem}.parquet"
        frame.to_parquet(path, index=False)
        files = {**run.record["files"], path.name: sha256(path)}
        record = {**run.record, "files": files}
        (run.path / "run.json").write_text(json.dumps(record))
        return Run(run.path, record)

    return written


def _toml(value: Any) -> str:
    """A value as TOML; JSON spells everything but tables the same."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)} = {_toml(v)}" for k, v in value.items()) + "}"
    return json.dumps(value, ensure_ascii=False)
