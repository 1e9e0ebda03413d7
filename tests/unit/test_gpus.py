"""GPUs that a fake driver lists: who sees which, what doctor says, what models refuse."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

import kit.models.catboost as boosting
from kit.diagnosis import diagnose
from kit.errors import ModelError
from kit.execution.workers import Workers
from kit.gpus import SHARE, VISIBLE, gpus, shared
from kit.keras import _repeatable
from kit.models.base import Problem
from kit.models.boosters import device
from kit.models.catboost import CatBoost
from kit.models.lightgbm import LightGBM
from kit.models.lockstep import without_callbacks
from kit.models.neural.mlp import MLP
from kit.models.xgboost import XGBoost

TWO = "0, GPU-aaaa, NVIDIA Small, 16384\n1, GPU-bbbb, NVIDIA Large, 81920\n"


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """``driver(output, code=0)``: an `nvidia-smi` that prints this, first on the PATH."""
    monkeypatch.delenv(VISIBLE, raising=False)

    def install(output: str = TWO, code: int = 0) -> None:
        path = tmp_path / "driver" / "nvidia-smi"
        path.parent.mkdir(exist_ok=True)
        lines = (f"#!{sys.executable}", f"print({output!r}, end='')", f"raise SystemExit({code})")
        path.write_text("\n".join(lines))
        path.chmod(0o755)
        monkeypatch.setenv("PATH", str(path.parent), prepend=os.pathsep)

    return install


@pytest.fixture
def no_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kit.gpus.shutil.which", lambda name: None)


@pytest.mark.parametrize(
    ("visible", "names"),
    [
        (None, ["NVIDIA Small", "NVIDIA Large"]),
        ("1,0", ["NVIDIA Large", "NVIDIA Small"]),
        ("GPU-bb", ["NVIDIA Large"]),
        ("0,7,1", ["NVIDIA Small"]),  # CUDA, too, stops at the first one that is none
        ("", []),
    ],
)
def test_a_process_knows_the_gpus_it_may_use(
    visible: str | None, names: list[str], driver: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver()
    if visible is not None:
        monkeypatch.setenv(VISIBLE, visible)
    assert [gpu.name for gpu in gpus()] == names


def test_several_processes_share_several_gpus(driver: Any, no_driver: None) -> None:
    assert shared(0) == {}


def test_each_process_gets_a_gpu_in_turn(driver: Any) -> None:
    driver()
    assert [shared(k)[VISIBLE] for k in range(3)] == ["GPU-aaaa", "GPU-bbbb", "GPU-aaaa"]
    driver(TWO.splitlines()[0] + "\n")
    assert shared(1) == {}  # one is everybody's
    driver("", code=9)
    assert shared(0) == {}


def test_processes_that_share_a_gpu_share_its_memory(
    driver: Any, no_driver: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert shared(0, 8) == {}
    monkeypatch.undo()
    driver()
    assert [shared(k, 2).get(SHARE) for k in range(2)] == [None, None]
    assert [float(shared(k, 3)[SHARE]) for k in range(3)] == [0.5] * 3
    problem = Problem(task="regression", n_outputs=1, threads=1)
    assert "gpu_ram_part" not in CatBoost()._native(problem, 5000, 1)
    assert CatBoost(task_type="GPU")._native(problem, 5000, 1)["gpu_ram_part"] == 0.95
    monkeypatch.setenv(SHARE, shared(2, 3)[SHARE])
    assert CatBoost(task_type="GPU")._native(problem, 5000, 1)["gpu_ram_part"] == 0.475


NOTE = """import os
def note(folder):
    (folder / str(os.getpid())).write_text(os.environ.get("CUDA_VISIBLE_DEVICES", ""))
"""


def test_workers_of_a_machine_have_a_gpu_each(
    driver: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker writes down, instead of reading data, which GPU it sees."""
    driver()
    (tmp_path / "sees_gpus.py").write_text(NOTE)  # a module that a new process can import
    monkeypatch.syspath_prepend(tmp_path)
    note = importlib.import_module("sees_gpus").note
    folder = tmp_path / "seen"
    folder.mkdir()
    workers = Workers(2, partial(note, folder))
    try:
        while workers.free < 2:
            workers.wait(1.0)
        first = {path.name: path.read_text() for path in folder.iterdir()}
        assert sorted(first.values()) == ["GPU-aaaa", "GPU-bbbb"]
        lost = workers._workers.pop(0)  # the one that takes its place has its GPU
        lost.end()
        while workers.free < 2:
            workers.wait(1.0)
        (new,) = [path for path in folder.iterdir() if path.name not in first]
        assert new.read_text() == first[str(lost.process.pid)]
    finally:
        workers.close()
    assert VISIBLE not in os.environ


def facts(name: str = "gpu") -> list[tuple[str, str]]:
    return [(f.value, f.problem) for f in diagnose(Path.cwd()) if f.name == name]


def test_doctor_says_which_gpus_there_are(driver: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    driver()
    assert facts() == [("NVIDIA Small, 16 GiB", ""), ("NVIDIA Large, 80 GiB", "")]
    monkeypatch.setenv(VISIBLE, "")
    assert facts() == [(f"none; models use the CPU; {VISIBLE} hides all", "")]
    driver("", code=9)
    ((value, problem),) = facts()
    assert value == "-"
    assert "does not answer" in problem


def test_doctor_knows_a_machine_without(no_driver: None) -> None:
    assert facts() == [("none; models use the CPU", "")]


X = pd.DataFrame({"a": np.arange(60.0), "b": np.tile([0.0, 1.0, 2.0], 20)})
Y = (np.arange(60) % 7 > 3).astype(int)
PROBLEM = Problem(task="binary", n_outputs=1)


@pytest.mark.parametrize(
    "model",
    [
        XGBoost(n_estimators=2, device="cuda"),
        CatBoost(n_estimators=2, task_type="GPU"),
        LightGBM(n_estimators=2, device_type="cuda"),
    ],
)
def test_a_gpu_that_is_not_there_is_no_silent_processor(model: Any, no_driver: None) -> None:
    pytest.importorskip(type(model).__name__.lower())
    assert model.on_gpu
    with pytest.raises(ModelError, match=r"there is no NVIDIA GPU.*\n.*kit doctor"):
        model.fit(X, Y, problem=PROBLEM)


def test_what_a_library_says_of_a_device_is_told_with_the_setting(driver: Any) -> None:
    driver()
    with (
        pytest.raises(ModelError, match='task_type = "GPU" did not work: no kernel'),
        device("task_type", "GPU"),
    ):
        raise RuntimeError("a long story\nno kernel")
    with pytest.raises(RuntimeError, match="mine"), device("device", "cpu"):
        raise RuntimeError("mine")  # on the processor it is not the device


@pytest.mark.parametrize("seconds", [None, 1000.0])
def test_catboost_stops_by_itself_where_nobody_is_called_back(
    seconds: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The way of the GPU, on the processor: the same trees as with callbacks."""
    import time

    deadline = None if seconds is None else time.monotonic() + seconds
    problem = Problem(task="binary", n_outputs=1, deadline=deadline)
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(300, 3)), columns=list("abc"))
    y = (X["a"] + rng.normal(size=300) > 0).astype(int).to_numpy()
    halves = {"valid": (X[200:], y[200:])}
    plain = CatBoost(n_estimators=200, patience=10)
    plain.fit(X[:200], y[:200], problem=Problem(task="binary", n_outputs=1), **halves)
    called = []

    def alone(params: list[Any], pools: list[Any], stop: Any, until: Any, slots: int) -> Any:
        called.append(until)
        return without_callbacks(params[0], pools[0], stop, until)

    monkeypatch.setattr(boosting, "boost", alone)
    other = CatBoost(n_estimators=200, patience=10)
    other.fit(X[:200], y[:200], problem=problem, **halves)
    assert len(called) == 1
    assert other.best_iteration_ == plain.best_iteration_
    np.testing.assert_array_equal(other.predict(X), plain.predict(X))
    assert not other.cut_
    assert CatBoost(task_type="GPU").crosses is False
    assert CatBoost().crosses is True


def test_processes_share_the_memory_of_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    experimental = SimpleNamespace(
        enable_op_determinism=lambda: None,
        set_memory_growth=lambda gpu, on: asked.append((gpu, on)),
    )
    config = SimpleNamespace(list_physical_devices=lambda kind: [kind], experimental=experimental)
    logger = SimpleNamespace(setLevel=lambda level: None)
    fake = SimpleNamespace(config=config, get_logger=lambda: logger)
    monkeypatch.setitem(sys.modules, "tensorflow", fake)
    _repeatable("tensorflow")
    assert asked == [("GPU", True)]


@pytest.mark.neural
@pytest.mark.filterwarnings("ignore")  # tensorflow's and keras' own
def test_half_precision_is_a_parameter_of_networks_on_tables(tmp_path: Path) -> None:
    rows = X.astype(np.float32) / 60
    model = MLP(layers=(8,), epochs=2, precision="mixed").fit(rows, Y, problem=PROBLEM)
    dtypes = {layer.compute_dtype for layer in model.networks_[0].layers}
    assert {"float16", "float32"} <= dtypes  # the head computes in single precision
    assert model.networks_[0].layers[-1].compute_dtype == "float32"
    found = model.predict(rows)
    model.save(tmp_path)
    np.testing.assert_allclose(MLP.load(tmp_path).predict(rows), found, atol=1e-3)
    import keras

    assert keras.config.dtype_policy().name == "float32"
