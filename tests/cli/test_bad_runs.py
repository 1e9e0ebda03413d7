"""Damaged runs and a full disk: what is whole keeps working, what is not is named."""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from kit.competition import Competition

TABLES: dict[str, Any] = {
    "models": {
        "lightgbm": {"params": {"n_estimators": 5}},
        "extra_trees": {"params": {"n_estimators": 5}},
    }
}


@pytest.fixture
def competition(make_competition: Callable[..., Competition]) -> Competition:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"id": range(80), "a": rng.normal(size=80), "b": rng.normal(size=80)})
    frame["y"] = (frame["a"] + rng.normal(size=80) > 0).astype(int)
    return make_competition(frame[:60], frame[60:].drop(columns="y"), **TABLES)


@pytest.fixture(scope="module")
def computed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the three runs are kept once they are computed."""
    return tmp_path_factory.mktemp("computed") / "runs"


@pytest.fixture
def three(competition: Competition, run_kit: Any, computed: Path) -> dict[str, Path]:
    """Three published runs by model; a copy of its own for every test."""
    names = ["lightgbm", "linear", "extra_trees"]
    if not computed.is_dir():
        outcome = run_kit("cv", *names, "-q", "-C", competition.root)
        assert outcome.code == 0, outcome.err
        shutil.copytree(competition.runs, computed)
        shutil.copy(competition.root / "folds.parquet", computed.parent)
    shutil.copytree(computed, competition.runs, dirs_exist_ok=True)
    shutil.copy(computed.parent / "folds.parquet", competition.root)
    return {name: next(competition.runs.glob(f"2*-{name}-*")) for name in names}


def refused(outcome: Any, *phrases: str) -> None:
    assert outcome.code == 1, outcome.err
    for phrase in phrases:
        assert phrase in outcome.err
    assert "Traceback" not in outcome.err
    assert "bug in kit" not in outcome.err


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("stem", ["oof", "test"])
def test_a_run_with_truncated_predictions_is_named_left_out_and_computed_again(
    run_kit: Any, competition: Competition, three: dict[str, Path], stem: str
) -> None:
    root, bad = competition.root, three["linear"]
    truncate(bad / f"{stem}.parquet")

    assert bad.name in run_kit("runs", "-C", root).out
    assert bad.name in run_kit("show", bad.name, "-C", root).out
    by_name = run_kit("blend", bad.name, three["lightgbm"].name, "-C", root)
    refused(by_name, f"{stem}.parquet is damaged", "kit cv linear")
    blended = run_kit("blend", "--json", "-C", root)
    assert blended.code == 0, blended.err
    parents = json.loads(blended.out)["parents"]
    assert set(parents) == {three["lightgbm"].name, three["extra_trees"].name}
    assert run_kit("cv", "linear", "-q", "-C", root).code == 0
    linear = sorted(competition.runs.glob("2*-linear-*"))
    assert len(linear) == 2
    assert all(run.name.endswith(bad.name[-6:]) or "-2" in run.name for run in linear)


def test_submitting_a_run_with_truncated_predictions_is_refused(
    run_kit: Any, competition: Competition, three: dict[str, Path]
) -> None:
    truncate(three["linear"] / "test.parquet")
    outcome = run_kit("submit", "linear", "--dry-run", "-C", competition.root)
    refused(outcome, "test.parquet is damaged", "Delete the folder")
    assert not list(competition.submissions.glob("*"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '{"schema": "1"}',
        '{"schema": 1}',
        '{"schema": 1, "score": {"value": null}}',
        "[" * 100_000,
    ],
)
def test_a_damaged_run_json_is_named_and_hides_no_other_run(
    run_kit: Any, competition: Competition, three: dict[str, Path], text: str
) -> None:
    bad = three["linear"]
    (bad / "run.json").write_text(text)
    listed = run_kit("runs", "-C", competition.root)
    assert listed.code == 0
    assert three["lightgbm"].name in listed.out
    assert bad.name not in listed.out
    assert f"{bad.name}: run.json is damaged" in listed.err
    refused(run_kit("show", bad.name, "-C", competition.root), "cannot be used", "damaged")


@pytest.mark.parametrize("key", ["hash", "kind", "model", "created", "metric", "score", "digests"])
def test_a_run_json_that_lacks_a_key_never_breaks_the_list(
    run_kit: Any, competition: Competition, three: dict[str, Path], key: str
) -> None:
    path = three["linear"] / "run.json"
    record = json.loads(path.read_text())
    del record[key]
    path.write_text(json.dumps(record))
    listed = run_kit("runs", "-v", "-C", competition.root)
    assert listed.code == 0
    assert f"run.json is damaged (lacks '{key}')" in listed.err


def test_a_run_of_a_newer_kit_is_left_out_and_said_so(
    run_kit: Any, competition: Competition, three: dict[str, Path]
) -> None:
    path = three["linear"] / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema": 2}))
    listed = run_kit("runs", "-C", competition.root)
    assert (listed.code, three["linear"].name in listed.out) == (0, False)
    assert "written by a newer kit" in listed.err
    refused(run_kit("show", three["linear"].name, "-C", competition.root), "newer kit")


def test_a_run_without_its_config_is_shown_and_its_comparison_refused(
    run_kit: Any, competition: Competition, three: dict[str, Path]
) -> None:
    (three["linear"] / "config.json").unlink()
    assert run_kit("show", "linear", "-C", competition.root).code == 0
    refused(run_kit("diff", "linear", "lightgbm", "-C", competition.root), "config.json is damaged")


def test_an_unknown_run_is_refused_with_those_that_exist(
    run_kit: Any, competition: Competition, three: dict[str, Path]
) -> None:
    refused(run_kit("show", "zzz", "-C", competition.root), "no run matches 'zzz'", "linear")
    refused(run_kit("show", "2", "-C", competition.root), "'2' fits 3 runs", "Be more exact")


def test_a_blend_of_one_run_or_of_none_is_refused(
    run_kit: Any, competition: Competition, three: dict[str, Path]
) -> None:
    refused(run_kit("blend", "linear", "-C", competition.root), "needs two runs or more")
    refused(run_kit("blend", "linear", "linear", "-C", competition.root), "named twice")
    refused(run_kit("blend", "--method", "magic", "-C", competition.root), "unknown blend method")
    shutil.rmtree(competition.runs)
    refused(run_kit("blend", "-C", competition.root), "0 found", "kit cv")


def test_a_damaged_folds_file_is_refused(
    run_kit: Any, competition: Competition, three: dict[str, Path]
) -> None:
    truncate(competition.root / "folds.parquet")
    again = run_kit("cv", "linear", "-q", "-C", competition.root)
    refused(again, "folds.parquet is not a readable parquet file", "move it away")
    refused(run_kit("submit", "--dry-run", "-C", competition.root), "not a readable parquet file")
    shared = run_kit("cv", "-C", competition.root, "--set", "cv.splitter=file")
    refused(shared, "folds.parquet is not a readable parquet file")


def _full(*args: object, **options: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_disk_that_fills_up_at_the_second_fold_keeps_the_first(
    run_kit: Any, competition: Competition, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, calls = pq.write_table, []

    def filling(table: Any, where: Path, **options: Any) -> None:
        if "fold-" in Path(where).name:
            calls.append(where)
            if len(calls) == 2:
                write(table, where, **options)
                _full()
        write(table, where, **options)

    monkeypatch.setattr("kit.execution.results.pq.write_table", filling)
    outcome = run_kit("cv", "linear", "-q", "-C", competition.root)
    refused(outcome, "the disk is full", "fold-1.parquet", "run the same command again")
    kept = [p.name for p in competition.runs.glob(".partial/*/*")]
    assert kept == ["fold-0.parquet"]

    monkeypatch.undo()
    again = run_kit("cv", "linear", "-C", competition.root)
    assert again.code == 0, again.err
    assert again.err.count("is there from an earlier call") == 1


def test_a_disk_that_is_full_at_publishing_keeps_every_fold(
    run_kit: Any, competition: Competition, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kit.runs._dump", _full)
    outcome = run_kit("cv", "linear", "--keep-models", "-q", "-C", competition.root)
    refused(outcome, "the disk is full", "No space left on device")
    assert len(list(competition.runs.glob(".partial/*/fold-*.parquet"))) == 3
    assert not list(competition.runs.glob(".tmp/*"))
    assert not list(competition.runs.glob("2*"))

    monkeypatch.undo()
    again = run_kit("cv", "linear", "--keep-models", "-C", competition.root)
    assert again.code == 0, again.err
    assert again.err.count("is there from an earlier call") == 3
    assert len(list(competition.runs.glob("2*/models/fold-*/model.joblib"))) == 3


def test_a_disk_that_is_full_while_a_model_is_saved_is_called_so(
    run_kit: Any, competition: Competition, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("joblib.dump", _full)
    outcome = run_kit("cv", "linear", "--keep-models", "-q", "-C", competition.root)
    refused(outcome, "the disk is full")


def test_a_disk_that_is_full_at_submitting_leaves_no_file_and_hands_nothing_in(
    run_kit: Any,
    competition: Competition,
    three: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pd.DataFrame, "to_csv", _full)
    refused(run_kit("submit", "linear", "-C", competition.root), "the disk is full")
    monkeypatch.undo()
    assert not [p for p in competition.submissions.iterdir() if p.suffix in (".csv", ".part")]
    assert not list(competition.submissions.glob("*.json"))
    assert run_kit("submit", "linear", "--dry-run", "-C", competition.root).code == 0


def test_ctrl_c_in_a_command_is_one_line_and_130(
    run_kit: Any, competition: Competition, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("kit.runs.list_runs", interrupted)
    outcome = run_kit("runs", "-C", competition.root)
    assert outcome.code == 130
    assert outcome.err.strip() == (
        "kit: interrupted; what was finished is kept, and the same command goes on from there"
    )


def test_a_folder_without_a_record_is_no_run(
    run_kit: Any, competition: Competition, three: dict[str, Path]
) -> None:
    (competition.runs / "foo").mkdir()
    listed = run_kit("runs", "-C", competition.root)
    assert listed.code == 0
    assert listed.err == "kit: foo: has no run.json: not a run, left out\n"
    assert all(model in listed.out for model in three)


def test_a_damaged_run_is_left_out_of_a_blend_aloud(
    run_kit: Any, competition: Competition, three: dict[str, Path]
) -> None:
    truncate(three["linear"] / "oof.parquet")
    outcome = run_kit("blend", "-C", competition.root)
    assert outcome.code == 0
    assert f"{three['linear'].name} is left out" in outcome.err
    truncate(three["lightgbm"] / "oof.parquet")
    refused(run_kit("blend", "-C", competition.root), "1 found", "2 with damaged predictions")


def test_without_a_name_the_folds_of_kit_toml_decide(
    run_kit: Any, competition: Competition, three: dict[str, Path]
) -> None:
    other = run_kit("cv", "linear", "-q", "--folds", "2", "-C", competition.root)
    assert other.code == 0
    outcome = run_kit("submit", "--dry-run", "-C", competition.root)
    assert "1 on other folds than kit.toml makes left out" in outcome.err
    assert any(path.name in outcome.err for path in three.values())
