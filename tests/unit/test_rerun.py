"""Runs computed again: the same bits, or what differs."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from kit.blend import blend
from kit.competition import Competition
from kit.cv import cross_validate
from kit.errors import RunError
from kit.exchange import export_run, import_file
from kit.keras import accelerator
from kit.rerun import rerun
from kit.runs import Run
from kit.session import open_session

FEATURES = "def features(df):\n    df['ab'] = df['a'] * df['b']\n    return df\n"


@pytest.fixture
def competition(make_competition: Callable[..., Competition]) -> Competition:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"id": range(120), "a": rng.normal(size=120), "b": rng.normal(size=120)})
    frame["y"] = (frame["a"] + rng.normal(size=120) > 0).astype(int)
    models = {"lightgbm": {"params": {"n_estimators": 20}}}
    test = frame[90:].drop(columns="y")
    return make_competition(frame[:90], test, code={"features.py": FEATURES}, models=models)


def validated(competition: Competition, model: str, **options: Any) -> Run:
    with open_session(competition) as session:
        session.early_stopping = options.get("early_stopping", session.early_stopping)
        run = cross_validate(session, model, repeat=options.get("repeat", 0))
    assert run is not None
    return run


def folder(root: Path) -> dict[str, bytes]:
    """Everything below a folder but the caches."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and ".cache" not in path.parts and "__pycache__" not in path.parts
    }


@pytest.mark.parametrize(
    ("model", "options"),
    [("linear", {}), ("lightgbm", {}), ("lightgbm", {"repeat": 1}),
     ("lightgbm", {"early_stopping": "cross"}), ("lightgbm", {"early_stopping": "fold"})],
)  # fmt: skip
def test_a_run_is_the_same_to_the_last_bit_and_leaves_nothing(
    model: str, options: dict[str, Any], competition: Competition
) -> None:
    run = validated(competition, model, **options)
    before = folder(competition.root)
    found = rerun(competition, run)
    assert found.equal
    assert (found.oof, found.test, found.rows) == (0.0, 0.0, 120)
    assert (found.differs, found.notes) == ((), ())
    assert folder(competition.root) == before
    assert not list(competition.cache.glob("rerun-*"))


def test_overrides_of_the_run_are_used_again(competition: Competition) -> None:
    flags = ["models.lightgbm.params.n_estimators=7", "cv.n_splits=4", "cv.seed=3"]
    run = validated(Competition.load(competition.root, flags), "lightgbm")
    assert rerun(competition, run).equal


def test_a_blend_is_made_again_of_its_members(competition: Competition) -> None:
    for model in ("linear", "lightgbm"):
        validated(competition, model)
    found = rerun(competition, blend(competition, []))
    assert found.equal
    assert found.differs == ()


def test_the_code_of_the_run_is_used_not_that_of_now(competition: Competition) -> None:
    run = validated(competition, "linear")
    (competition.root / "features.py").write_text(FEATURES.replace("*", "+"))
    found = rerun(competition, run)
    assert found.equal
    assert "other code now than the run: features.py" in found.notes[0]


def test_own_models_and_metrics_run_as_they_were_kept(competition: Competition) -> None:
    model = "from sklearn.tree import DecisionTreeClassifier as T\n\n\ndef tree(depth=2):\n"
    (competition.root / "model.py").write_text(model + "    return T(max_depth=depth)\n")
    metric = "def gain(y, p):\n    return float(((p > 0.5) == y).mean())\n\n\n"
    (competition.root / "metric.py").write_text(metric + "gain.greater_is_better = True\n")
    flags = ["task.metric='metric:gain'", "models.mine={use='model:tree'}"]
    run = validated(Competition.load(competition.root, flags), "mine")
    (competition.root / "model.py").write_text("raise ValueError('the model of now')\n")
    (competition.root / "metric.py").unlink()
    found = rerun(competition, run)
    assert found.equal
    assert "metric.py, model.py" in found.notes[0]


def test_changed_data_are_named(competition: Competition) -> None:
    run = validated(competition, "linear")
    path = competition.raw / "train.csv"
    frame = pd.read_csv(path)
    frame.loc[0, "a"] += 1
    frame.to_csv(path, index=False)
    found = rerun(competition, run)
    assert not found.equal
    assert found.oof is not None
    assert found.oof > 0
    assert any(sentence.startswith("data: ") for sentence in found.differs)


def test_other_rows_are_other_predictions(competition: Competition) -> None:
    run = validated(competition, "linear")
    path = competition.raw / "test.csv"
    pd.read_csv(path)[:20].to_csv(path, index=False)
    sample = competition.raw / "sample_submission.csv"
    pd.read_csv(sample)[:20].to_csv(sample, index=False)
    found = rerun(competition, run)
    assert (found.equal, found.test) == (False, None)


def test_a_prediction_changed_by_hand_is_found(competition: Competition) -> None:
    run = validated(competition, "linear")
    frame = run.test()
    frame.loc[3, "pred"] = np.nextafter(frame.loc[3, "pred"], 1)
    frame.to_parquet(run.path / "test.parquet", index=False)
    found = rerun(competition, run)
    assert (found.equal, found.oof) == (False, 0.0)
    assert [each.partition(" ")[0] for each in found.differs] == ["test.parquet"]
    assert found.test is not None
    assert 0 < found.test < 1e-15


def test_a_score_changed_by_hand_is_found(competition: Competition) -> None:
    run = validated(competition, "linear")
    score = {**run.record["score"], "value": 0.99}
    found = rerun(competition, replace(run, record={**run.record, "score": score}))
    assert (found.equal, found.oof, found.test) == (False, 0.0, 0.0)
    assert found.differs[0].startswith("score: run.json has 0.99, these predictions ")


def test_folds_changed_by_hand_are_found(competition: Competition, rewrite: Any) -> None:
    run = validated(competition, "linear")
    found = rerun(competition, rewrite(run, "oof", run.oof().assign(fold=0)))
    assert (found.equal, found.oof, found.test) == (False, None, 0.0)


def test_other_packages_and_versions_are_named(competition: Competition) -> None:
    run = validated(competition, "linear")
    packages = {**run.record["packages"], "numpy": "1.0", "nowhere": "2"}
    found = rerun(
        competition, replace(run, record={**run.record, "packages": packages, "kit": "9"})
    )
    assert found.equal
    told = " ".join(found.differs)
    assert "package numpy: 1.0, now" in told
    assert "package nowhere: 2, now not installed" in told
    assert "kit: 9, now" in told


def test_a_package_that_is_not_there_is_not_recorded(
    competition: Competition, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With another backend of Keras TensorFlow may not be installed."""

    def without(name: str) -> str:
        if name == "tensorflow":
            raise PackageNotFoundError(name)
        return "1.0"

    monkeypatch.setattr("kit.session.version", without)
    packages = validated(competition, "linear").record["packages"]
    assert "tensorflow" not in packages
    assert {"lightgbm", "catboost", "keras"} <= set(packages)


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"cut": [1]}, "a time limit cut it short"),
        ({"kind": "blend", "blend": {"complete": False}}, "cut the choice of weights short"),
        ({"kind": "fit", "parents": ["a"]}, "kit fit a"),
        ({"kind": "magic"}, "does not know the kind"),
    ],
)
def test_what_cannot_be_computed_again_is_refused(
    facts: dict[str, Any], reason: str, competition: Competition, make_run: Callable[..., Run]
) -> None:
    run = make_run(competition.runs, "linear", [0.5, 0.6])
    with pytest.raises(RunError, match=reason):
        rerun(competition, replace(run, record={**run.record, **facts}))


def test_an_import_cannot_be_computed_again(competition: Competition) -> None:
    export_run(validated(competition, "linear"), competition.root / "a.csv")
    got, _ = import_file(competition, competition.root / "a.csv", name="mate")
    with pytest.raises(RunError, match="it was imported"):
        rerun(competition, got)


def test_a_run_without_its_code_is_damaged_and_the_workshop_is_cleared(
    competition: Competition,
) -> None:
    run = validated(competition, "linear")
    (run.path / "code" / "kit.toml").unlink()
    with pytest.raises(RunError, match="damaged"):
        rerun(competition, run)
    assert not list(competition.cache.glob("rerun-*"))


def test_the_record_of_the_run_is_left_as_it_was(competition: Competition) -> None:
    run = validated(competition, "linear")
    before = json.loads((run.path / "run.json").read_text())
    rerun(competition, run)
    assert json.loads((run.path / "run.json").read_text()) == before


def test_a_run_of_a_gpu_says_so_and_what_the_proof_is_worth(
    competition: Competition, monkeypatch: pytest.MonkeyPatch, run_kit: Any
) -> None:
    monkeypatch.setattr("kit.execution.fold.accelerator", lambda: "Test GPU")
    assert validated(competition, "linear").record["device"] == ""  # it computes on the processor
    run = validated(competition, "knn")
    assert run.record["device"] == "Test GPU"
    assert "Test GPU" in run_kit("show", "knn", "-C", competition.root).out
    there = rerun(competition, run)
    assert there.differs == ()
    assert "this model of GPU" in " ".join(there.notes)
    monkeypatch.setattr("kit.execution.fold.accelerator", lambda: "")
    assert "device: Test GPU, now a processor" in " ".join(rerun(competition, run).differs)


def test_the_gpu_is_asked_of_the_backend_and_only_where_keras_is_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fake(backend: str, **modules: Any) -> str:
        for name, module in modules.items():
            monkeypatch.setitem(sys.modules, name, module)
        keras = SimpleNamespace(backend=SimpleNamespace(backend=lambda: backend))
        monkeypatch.setitem(sys.modules, "keras", keras)
        return accelerator()

    details = SimpleNamespace(get_device_details=lambda gpu: {"device_name": f"tf {gpu}"})
    for found, name in ((["a"], "tf a"), ([], "")):
        config = SimpleNamespace(list_physical_devices=lambda kind, f=found: f,
                                 experimental=details)  # fmt: skip
        assert fake("tensorflow", tensorflow=SimpleNamespace(config=config)) == name
    for platform, name in (("gpu", "jax b"), ("cpu", "")):
        device = SimpleNamespace(platform=platform, device_kind="jax b")
        assert fake("jax", jax=SimpleNamespace(devices=lambda d=device: [d])) == name
    for there, name in ((True, "torch c"), (False, "")):
        cuda = SimpleNamespace(is_available=lambda t=there: t,
                               get_device_name=lambda k: "torch c")  # fmt: skip
        assert fake("torch", torch=SimpleNamespace(cuda=cuda)) == name
    monkeypatch.delitem(sys.modules, "keras")
    assert accelerator() == ""
