"""`kit report`, `kit show` with its curves, `kit oof`, `kit rerun` on the command line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from kit.competition import Competition


@pytest.fixture
def competition(make_competition: Callable[..., Competition]) -> Competition:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"id": range(120), "a": rng.normal(size=120), "b": rng.normal(size=120)})
    frame["y"] = (frame["a"] + rng.normal(size=120) > 0).astype(int)
    models = {"lightgbm": {"params": {"n_estimators": 40, "learning_rate": 0.3}}}
    return make_competition(frame[:90], frame[90:].drop(columns="y"), models=models)


@pytest.fixture(scope="module")
def computed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the runs are kept once they are computed."""
    return tmp_path_factory.mktemp("computed") / "runs"


@pytest.fixture
def root(competition: Competition, run_kit: Any, computed: Path) -> Path:
    """A competition with a booster and a linear model; a copy of its runs for every test."""
    if not computed.is_dir():
        outcome = run_kit("cv", "lightgbm", "linear", "-q", "-C", competition.root)
        assert outcome.code == 0, outcome.err
        shutil.copytree(competition.runs, computed)
    shutil.copytree(computed, competition.runs, dirs_exist_ok=True)
    return competition.root


def test_show_draws_the_curves_and_says_what_they_mean(run_kit: Any, root: Path) -> None:
    shown = run_kit("show", "lightgbm", "-C", root)
    assert shown.code == 0, shown.err
    lines = [line for line in shown.out.splitlines() if line.startswith("fold ")]
    assert len(lines) == 3
    assert all(set(line) & set("▁▂▃▄▅▆▇█") for line in lines)
    assert "of 3 folds)." in shown.out
    told = json.loads(run_kit("show", "lightgbm", "--json", "-C", root).out)["learning"]
    assert f"{told['kind']}: {told['text']}" in shown.out
    assert told["best"] >= 1


def test_show_of_a_model_without_curves_says_nothing_of_learning(run_kit: Any, root: Path) -> None:
    shown = run_kit("show", "linear", "-C", root)
    assert "best at" not in shown.out
    assert json.loads(run_kit("show", "linear", "--json", "-C", root).out)["learning"] is None
    refused = run_kit("show", "linear", "--png", root / "a.png", "-C", root)
    assert refused.code == 1
    assert "has no learning curves" in refused.err
    assert not (root / "a.png").exists()


def test_show_with_damaged_curves_is_one_error(run_kit: Any, root: Path) -> None:
    (run,) = (root / "runs").glob("2*-lightgbm-*")
    (run / "curves.json").write_text('{"0": {"valid": ["x"]}}')
    refused = run_kit("show", "lightgbm", "-C", root)
    assert refused.code == 1
    assert "curves.json is damaged" in refused.err
    assert run_kit("report", "lightgbm", "-C", root).code == 0


def test_curves_become_a_png(run_kit: Any, root: Path) -> None:
    path = root / "curves.png"
    assert run_kit("show", "lightgbm", "--png", path, "-C", root).code == 0
    assert path.read_bytes().startswith(b"\x89PNG")
    refused = run_kit("show", "lightgbm", "--png", root / "curves.txt", "-C", root)
    assert (refused.code, "name of a .png file" in refused.err) == (1, True)


@pytest.mark.neural
def test_curves_become_logs_of_tensorboard_that_hold_every_loss(run_kit: Any, root: Path) -> None:
    import tensorflow as tf

    logs = root / "logs"
    assert run_kit("show", "lightgbm", "--tensorboard", logs, "-C", root).code == 0
    (run,) = (root / "runs").glob("2*-lightgbm-*")
    curves = json.loads((run / "curves.json").read_text())
    for fold, curve in curves.items():
        (path,) = (logs / run.name / f"fold-{fold}" / "valid").glob("events*")
        events = tf.compat.v1.io.tf_record_iterator(str(path))
        found = [tf.compat.v1.Event.FromString(event).summary.value for event in events]
        losses = [tf.make_ndarray(v.tensor).item() for values in found for v in values]
        assert losses == pytest.approx(curve["valid"], rel=1e-6)
    again = run_kit("show", "lightgbm", "--tensorboard", logs, "-C", root)
    assert (again.code, "exists" in again.err) == (1, True)


def test_report_writes_where_it_says(run_kit: Any, root: Path) -> None:
    told = json.loads(run_kit("report", "linear", "--json", "-C", root).out)
    path = Path(told["report"])
    assert path.parent == root / "reports"
    assert told["bytes"] == path.stat().st_size
    assert run_kit("report", "-C", root).code == 0
    assert path.name in (root / "reports" / "index.html").read_text()


def test_report_refuses_what_it_cannot_show(run_kit: Any, root: Path) -> None:
    assert "name it" in run_kit("report", "--importance", "-C", root).err
    assert "no run matches" in run_kit("report", "nothing", "-C", root).err
    shutil.rmtree(root / "runs")
    assert "nothing to report" in run_kit("report", "-C", root).err
    assert not (root / "reports").exists()


def test_a_run_goes_out_and_comes_back(run_kit: Any, root: Path, tmp_path: Path) -> None:
    path = tmp_path / "linear.parquet"
    assert run_kit("oof", "export", "linear", path, "-C", root).code == 0
    again = run_kit("oof", "export", "linear", path, "-C", root)
    assert (again.code, "--force" in again.err) == (1, True)
    assert run_kit("oof", "export", "linear", path, "--force", "-C", root).code == 0
    told = json.loads(run_kit("oof", "import", path, "--name", "mate", "--json", "-C", root).out)
    assert (told["kind"], told["model"]) == ("import", "mate")
    assert "mate" in run_kit("runs", "-C", root).out
    assert run_kit("show", "mate", "-C", root).code == 0
    assert run_kit("report", "mate", "-C", root).code == 0
    blended = json.loads(run_kit("blend", "--json", "-C", root).out)
    assert told["id"] in blended["parents"]
    assert run_kit("submit", "mate", "--dry-run", "-C", root).code == 0
    refused = run_kit("fit", "mate", "-C", root)
    assert (refused.code, "was imported" in refused.err) == (1, True)


def test_a_file_that_does_not_fit_is_one_error(run_kit: Any, root: Path, tmp_path: Path) -> None:
    path = tmp_path / "oof.csv"
    path.write_text("id,pred\n1,0.5\n")
    refused = run_kit("oof", "import", path, "-C", root)
    assert refused.code == 1
    assert "does not say on which folds" in refused.err
    assert "Traceback" not in refused.err
    missing = run_kit("oof", "import", tmp_path / "nowhere.csv", "-C", root)
    assert (missing.code, "does not exist" in missing.err) == (1, True)


def test_rerun_ends_with_1_where_a_prediction_differs(run_kit: Any, root: Path) -> None:
    same = run_kit("rerun", "linear", "-C", root)
    assert same.code == 0, same.err
    assert "the same to the last bit, 120 rows" in same.out
    (run,) = (root / "runs").glob("2*-linear-*")
    frame = pd.read_parquet(run / "oof.parquet")
    frame.assign(pred=frame["pred"] / 2).to_parquet(run / "oof.parquet", index=False)
    other = run_kit("rerun", "linear", "-C", root)
    assert other.code == 1
    assert "NOT the same" in other.out
    assert "out-of-fold predictions: largest difference" in other.out
