"""The bundle in a clean environment: the same predictions, and planted faults that are caught."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest

from kit.blend import blend
from kit.competition import Competition
from kit.errors import RunError
from kit.export import bundle as bundles
from kit.export.proof import Proof
from kit.export.ready import Exported
from kit.refit.final import refit
from kit.runs import Run

Make = Callable[..., Competition]
Kept = Callable[..., list[Run]]
Export = Callable[..., Exported]
Prove = Callable[..., Proof]

HIDDEN_NETWORK = """
import importlib

def features(df):
    try:
        importlib.import_module("so" + "cket").create_connection(("192.0.2.1", 80), 1)
    except OSError:
        pass
    return df
"""
HIDDEN_FILE = """
import pandas

def features(df):
    try:
        getattr(pandas, "read" + "_csv")({path!r})
    except OSError:
        pass
    return df
"""
OTHER_ELSEWHERE = """
import os

def features(df):
    return df.assign(a=df["a"] * (1 if "PYTEST_CURRENT_TEST" in os.environ else -1))
"""


def run_script(made: Exported, inputs: Path, working: Path) -> subprocess.CompletedProcess[str]:
    """The kernel's script alone, as Kaggle starts it."""
    working.mkdir()
    places = {"KIT_EXPORT_INPUT": str(inputs), "KIT_EXPORT_WORKING": str(working)}
    return subprocess.run(
        [sys.executable, "-I", "-B", str(made.bundle.script)],
        env={"PATH": os.defpath, "HOME": str(working), "OMP_NUM_THREADS": "1", **places},
        cwd=working,
        capture_output=True,
        text=True,
    )


def with_features(competition: Competition, source: str) -> Competition:
    (competition.root / "features.py").write_text(source)
    return competition


def test_a_bundle_predicts_what_its_run_predicted(toy: Make, kept: Kept, exported: Export) -> None:
    competition = toy()
    (run,) = kept(competition, "lightgbm")
    made = exported(competition, run, hidden_rows=3000)
    assert made.ready, made.missing
    proof = made.proof
    assert proof is not None
    assert proof.identical
    assert proof.rows == 30
    assert {"numpy", "pandas", "lightgbm", "scikit-learn"} <= set(proof.packages)
    assert not {"typer", "pytest", "kit-competitions"} & set(proof.packages)
    assert made.hours == pytest.approx((proof.seconds + 2970 * proof.row_seconds) / 3600, rel=1e-9)
    assert 0 < proof.row_seconds < proof.predict_seconds
    assert "audit hook" in proof.network
    stored = json.loads((made.bundle.folder / "proof.json").read_text())
    assert stored["ready"] is True
    assert stored["folder"] == str(competition.root / "exports" / run.id)
    written = pd.read_csv(made.bundle.folder / "proof" / "submission.csv")
    np.testing.assert_allclose(written["y"], run.test()["pred"], rtol=1e-12)
    assert not list(made.bundle.folder.glob(".proof-*"))


@pytest.mark.slow
def test_hidden_rows_are_found_at_the_old_mount_points_and_predicted(
    toy: Make, kept: Kept, exported: Export, tmp_path: Path
) -> None:
    competition = toy()
    (run,) = kept(competition, "lightgbm")
    made = exported(competition, run)
    inputs = tmp_path / "input"
    deep = inputs / "toy-models"  # archives unpacked one level deeper than they were made
    deep.mkdir(parents=True)
    shutil.copy(made.bundle.dataset / "bundle.json", deep)
    for part in ("source", "competition", "models"):
        shutil.copytree(made.bundle.dataset / part, deep / part / part)
    public = pd.read_csv(competition.raw / "test.csv", dtype=str)
    hidden = pd.concat([public.assign(id=public["id"] + f"-{n}") for n in range(3)])
    hidden.iloc[0, hidden.columns.get_loc("c")] = "never seen"
    data = inputs / "Toy-Competition" / "tables"  # no train file, another depth, another case
    data.mkdir(parents=True)
    hidden.to_csv(data / "test.csv", index=False)
    sample = pd.DataFrame({"id": hidden["id"].iloc[::-1], "y": 0})
    sample.to_csv(data / "sample_submission.csv", index=False)
    done = run_script(made, inputs, tmp_path / "working")
    assert done.returncode == 0, done.stderr
    assert "1 values that neither train nor test has" in done.stderr
    assert [path.name for path in (tmp_path / "working").iterdir()] == ["submission.csv"]
    found = pd.read_csv(tmp_path / "working" / "submission.csv")
    assert list(found["id"]) == list(sample["id"])
    wanted = run.test().set_index("id")["pred"]
    own = found.set_index("id")["y"]
    for row in public["id"][1:]:
        assert own[f"{row}-0"] == own[f"{row}-2"] == pytest.approx(wanted[row], rel=1e-12)


def test_network_is_caught_even_where_the_refusal_is_swallowed(
    toy: Make, kept: Kept, exported: Export, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("socket.create_connection", lambda *a, **k: None)  # here it "works"
    competition = with_features(toy(), HIDDEN_NETWORK)
    (run,) = kept(competition, "linear")
    with pytest.raises(RunError, match=r"reaches for the network.*\n.*192\.0\.2\.1") as caught:
        exported(competition, run)
    assert "Take it out of features.py" in str(caught.value)
    assert not (competition.root / "exports" / run.id).exists()
    failed = competition.root / "exports" / f"{run.id}.failed"
    assert (failed / "kernel" / "inference.py").is_file()


@pytest.mark.slow
def test_network_is_refused_by_the_hook_alone(
    toy: Make, kept: Kept, exported: Export, proven: Prove
) -> None:
    competition = toy()
    (run,) = kept(competition, "linear")
    made = exported(competition, run)
    script, check = made.bundle.script, "    check_python(bundle)"
    source = script.read_text()
    starts = 'import subprocess; subprocess.run(["true"])'
    script.write_text(source.replace(check, f"    {starts}\n{check}", 1))
    proof = proven(competition, run, made, namespace=False)
    assert proof.network == "sockets refused by an audit hook"
    assert "it started other programs ('true'), and whether" in proof.notes[-1]
    call = 'import urllib.request; urllib.request.urlopen("http://example.invalid")'
    script.write_text(source.replace(check, f"    {call}", 1))
    with pytest.raises(RunError, match=r"socket\.getaddrinfo example\.invalid"):
        proven(competition, run, made, namespace=False)


def test_a_file_of_the_author_is_not_there(toy: Make, kept: Kept, exported: Export) -> None:
    competition = toy()
    path = competition.root / "data" / "extra.csv"
    path.write_text("a\n1\n")
    with_features(competition, HIDDEN_FILE.format(path=str(path)))
    (run,) = kept(competition, "linear")
    with pytest.raises(RunError, match=r"reaches for files of yours.*\n.*extra\.csv"):
        exported(competition, run)


def test_features_that_differ_elsewhere_are_caught(toy: Make, kept: Kept, exported: Export) -> None:
    competition = with_features(toy(), OTHER_ELSEWHERE)
    (run,) = kept(competition, "linear")
    with pytest.raises(RunError, match=r"largest difference is 0\.\d+.* of 30 rows\s+differ"):
        exported(competition, run)
    assert not (competition.root / "exports" / run.id).exists()


def test_a_model_that_was_changed_gives_a_difference(
    toy: Make, kept: Kept, exported: Export
) -> None:
    competition = toy()
    (run,) = kept(competition, "linear")
    path = run.path / "models" / "fold-1" / "model.joblib"
    model = joblib.load(path)
    model.fitted_[0].intercept_ = model.fitted_[0].intercept_ + 0.01
    joblib.dump(model, path)
    with pytest.raises(RunError, match="predicts something else than") as caught:
        exported(competition, run)
    assert "(1e-05 of the largest prediction); 30 of 30 rows" in str(caught.value)


def test_what_was_changed_or_lost_after_the_export_is_named(
    toy: Make, kept: Kept, exported: Export, proven: Prove
) -> None:
    competition = toy()
    (run,) = kept(competition, "lightgbm")
    made = exported(competition, run)
    (booster,) = (made.bundle.dataset / "models" / run.id / "fold-0").glob("booster-*.txt")
    content = booster.read_bytes()
    booster.unlink()  # a second name for the run's own file: never written in place
    booster.write_bytes(content.replace(b"tree", b"trei", 1))
    with pytest.raises(RunError, match=r"booster-0\.txt \(part 'models'\) is not the file that"):
        proven(competition, run, made)
    booster.unlink()
    with pytest.raises(RunError, match=r"the bundle lacks .*fold-0/booster-0\.txt"):
        proven(competition, run, made)
    assert (run.path / "models" / "fold-0" / "booster-0.txt").read_bytes() == content


def test_a_module_left_out_of_the_bundle_is_caught(
    toy: Make, kept: Kept, exported: Export, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = bundles._write_source

    def forgetful(folder: Path) -> None:
        write(folder)
        (folder / "kit" / "decision.py").unlink()

    monkeypatch.setattr(bundles, "_write_source", forgetful)
    competition = toy(submission={"wants": "label"})
    (run,) = kept(competition, "linear")
    with pytest.raises(RunError, match=r"No module named 'kit\.decision'"):
        exported(competition, run)


@pytest.mark.slow
def test_a_failed_export_leaves_the_earlier_one(toy: Make, kept: Kept, exported: Export) -> None:
    competition = toy()
    (run,) = kept(competition, "lightgbm")
    made = exported(competition, run)
    before = (made.bundle.folder / "proof.json").read_text()
    (made.bundle.folder / "output").mkdir()
    (made.bundle.folder / "output" / "submission.csv").write_text("fetched from Kaggle")
    with pytest.raises(RunError, match=r"hidden rows would take .* h on this machine, 9 h are"):
        exported(competition, run, hidden_rows=10**12)
    assert (made.bundle.folder / "proof.json").read_text() == before
    again = exported(competition, run)
    assert again.bundle.digest == made.bundle.digest
    kept_output = again.bundle.folder / "output" / "submission.csv"
    assert kept_output.read_text() == "fetched from Kaggle"
    assert [p.name for p in (competition.root / "exports").iterdir() if p.is_dir()] == [run.id]


@pytest.mark.parametrize("method", ["rank", "greedy"])
def test_blends_predict_the_same(toy: Make, kept: Kept, exported: Export, method: str) -> None:
    competition = toy()
    runs = kept(competition, "lightgbm", "linear")
    mixed = blend(competition, [run.id for run in runs], method=method)
    made = exported(competition, mixed)
    assert made.ready
    assert made.proof is not None
    assert made.proof.difference <= made.proof.allowed


@pytest.mark.slow
def test_labels_without_ids_as_parquet(
    make_competition: Make, kept: Kept, exported: Export
) -> None:
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"a": rng.normal(size=120), "b": rng.normal(size=120)})
    frame["y"] = np.where(frame["a"] + frame["b"] > 0, "yes", "no")
    sample = pd.DataFrame({"row": range(1, 31), "y": "no"})
    test = frame[90:].drop(columns="y").assign(id=0)
    competition = make_competition(
        frame[:90],
        test,
        sample=sample,
        columns={"id": "", "drop": ["id"], "kinds": {}},
        task={"type": "binary", "metric": "accuracy", "classes": ["no", "yes"]},
        submission={"wants": "label", "id": "row", "columns": ["y"]},
        models={"linear": {"params": {"strengths": [1.0]}}},
    )
    (run,) = kept(competition, "linear")
    made = exported(competition, run, file="submission.parquet")
    assert made.proof is not None
    assert made.proof.labels == 0
    table = pd.read_parquet(made.bundle.folder / "proof" / "submission.parquet")
    assert list(table.columns) == ["row", "y"]
    assert set(table["y"]) == {"no", "yes"}


@pytest.mark.slow
def test_a_fitted_blend_and_own_code_go_along(
    make_competition: Make, toy: Make, kept: Kept, exported: Export
) -> None:
    competition = toy(models=MODELS)
    with_features(competition, "def features(df):\n    return df.assign(double=2 * df['a'])\n")
    (competition.root / "model.py").write_text(
        "from sklearn.neighbors import KNeighborsClassifier\nfrom .near import NEAR\n\n"
        "def build():\n    from sklearn.pipeline import make_pipeline\n"
        "    from sklearn.impute import SimpleImputer\n"
        "    return make_pipeline(SimpleImputer(), KNeighborsClassifier(n_neighbors=NEAR))\n"
    )
    (competition.root / "near.py").write_text("NEAR = 7\n")
    (competition.root / "train_notes.py").write_text("token = 'not for the bundle'\n")
    runs = kept(competition, "linear", "near", keep=False)
    mixed = blend(competition, [run.id for run in runs], method="mean")
    fitted = refit(competition, mixed, seeds=1)
    made = exported(competition, fitted)
    assert made.proof is not None
    assert made.proof.difference <= made.proof.allowed
    names = {path.name for path in (made.bundle.dataset / "competition").iterdir()}
    assert names == {"kit.toml", "features.py", "model.py", "near.py"}


@pytest.mark.slow
@pytest.mark.neural
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras saves
def test_networks_predict_the_same(toy: Make, kept: Kept, exported: Export) -> None:
    competition = toy(models={"mlp": {"params": {"epochs": 2}}})
    (run,) = kept(competition, "mlp")
    made = exported(competition, run)
    assert made.proof is not None
    assert made.proof.difference <= made.proof.allowed
    assert "keras" in set(made.proof.packages)


MODELS: dict[str, Any] = {
    "linear": {"params": {"strengths": [1.0]}},
    "near": {"use": "model:build"},
}
