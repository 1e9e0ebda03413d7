"""Runs: immutable folders, published by one rename, listed by reading small files."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from kit import runs
from kit.errors import DiskFull, RunError
from kit.runs import SCHEMA, Run, find_run, list_runs, prediction_columns, publish

HASH = "abcdef0123456789"


def record(**facts: Any) -> dict[str, Any]:
    return {
        "hash": HASH,
        "kind": "cv",
        "model": "lightgbm",
        "metric": {"name": "rmse", "greater_is_better": False},
        "digests": {"folds": "f0"},
        "score": {"value": 1.5, "folds": [1.0, 2.0]},
        **facts,
    }


def published(folder: Path, **facts: Any) -> Run:
    oof = pd.DataFrame({"id": ["a", "b"], "fold": [0, 1], "pred": [0.25, 0.5]})
    return publish(
        folder,
        record(**facts),
        config={"schema": 1, "cv": {"seed": 3}},
        frames={"oof": oof, "test": oof[["id", "pred"]]},
        code={"kit.toml": b"schema = 1", "features.py": b"# mine"},
        curves={"0": {"valid": [1.0]}},
    )


def test_a_published_run_holds_what_it_was_given(tmp_path: Path) -> None:
    run = published(tmp_path / "runs")
    assert run.id.endswith("-lightgbm-abcdef")
    stored = json.loads((run.path / "run.json").read_text())
    assert stored == run.record
    assert (stored["schema"], stored["id"], stored["hash"]) == (SCHEMA, run.id, HASH)
    assert run.config == {"schema": 1, "cv": {"seed": 3}}
    assert run.oof()["pred"].tolist() == [0.25, 0.5]
    assert list(run.test().columns) == ["id", "pred"]
    assert (run.path / "code" / "features.py").read_bytes() == b"# mine"
    assert json.loads((run.path / "curves.json").read_text()) == {"0": {"valid": [1.0]}}
    assert (run.score, run.folds, run.kind, run.model) == (1.5, "f0", "cv", "lightgbm")


def test_a_listed_run_equals_the_published_one(tmp_path: Path) -> None:
    run = published(tmp_path)
    assert list_runs(tmp_path) == ([run], [])


def test_runs_of_one_second_and_hash_get_names_of_their_own(tmp_path: Path) -> None:
    runs = [published(tmp_path) for _ in range(3)]
    assert len({run.id for run in runs}) == 3
    assert [run.record["id"] for run in runs] == [run.id for run in runs]
    assert len(list_runs(tmp_path)[0]) == 3


def test_many_threads_lose_no_run(tmp_path: Path) -> None:
    threads = [threading.Thread(target=published, args=(tmp_path,)) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(list_runs(tmp_path)[0]) == 16


def test_a_model_name_never_leaves_the_folder(tmp_path: Path) -> None:
    run = published(tmp_path / "runs", model="../../model:build x")
    assert run.path.parent == tmp_path / "runs"
    assert "..-..-model-build-x" in run.id


def test_runs_are_kept_out_of_version_control(tmp_path: Path) -> None:
    published(tmp_path)
    assert (tmp_path / ".gitignore").read_text() == "*\n"


def test_saved_models_are_moved_into_the_run(tmp_path: Path) -> None:
    models = tmp_path / "partial"
    (models / "fold-0").mkdir(parents=True)
    (models / "fold-0" / "booster.txt").write_text("tree")
    frames: dict[str, pd.DataFrame] = {}
    run = publish(tmp_path / "runs", record(), config={}, frames=frames, code={}, models=models)
    assert (run.path / "models" / "fold-0" / "booster.txt").read_text() == "tree"
    assert not models.exists()


def test_a_full_disk_publishes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object, **options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_parquet", full)
    with pytest.raises(DiskFull, match="No space left"):
        published(tmp_path)
    assert list_runs(tmp_path) == ([], [])
    assert list((tmp_path / ".tmp").iterdir()) == []


def test_a_run_is_on_the_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: set[int] = set()
    fsync = os.fsync

    def noted(file: int) -> None:
        flushed.add(os.fstat(file).st_ino)
        fsync(file)

    def renamed(aside: Path, final: Path) -> Path:
        files = [path for path in aside.rglob("*") if path.is_file()]
        assert len(files) == 8
        assert {path.name for path in files if path.stat().st_ino not in flushed} == set()
        return rename(aside, final)

    rename = runs._rename
    models = tmp_path / "models"
    (models / "fold-0").mkdir(parents=True)
    (models / "fold-0" / "model.txt").write_text("tree")
    monkeypatch.setattr(os, "fsync", noted)
    monkeypatch.setattr(runs, "_rename", renamed)
    oof = pd.DataFrame({"id": ["a"], "fold": [0], "pred": [0.5]})
    run = publish(
        tmp_path / "runs",
        record(),
        config={"schema": 1},
        frames={"oof": oof, "test": oof[["id", "pred"]]},
        code={"kit.toml": b"schema = 1", "features.py": b"# mine"},
        models=models,
        curves={"0": {"valid": [1.0]}},
    )
    assert (run.path / "models" / "fold-0" / "model.txt").is_file()


def test_a_rename_that_fails_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(old: object, new: object) -> None:
        raise PermissionError("no")

    monkeypatch.setattr(os, "rename", refused)
    with pytest.raises(PermissionError):
        published(tmp_path)
    assert list_runs(tmp_path) == ([], [])
    assert list((tmp_path / ".tmp").iterdir()) == []


def test_a_folder_without_runs_is_empty(tmp_path: Path) -> None:
    assert list_runs(tmp_path / "nowhere") == ([], [])


def test_runs_are_listed_oldest_first(tmp_path: Path) -> None:
    run = published(tmp_path)
    older = tmp_path / f"20000101T000000-{run.id.split('-', 1)[1]}"
    run.path.rename(older)
    newer = published(tmp_path)
    assert [each.id for each in list_runs(tmp_path)[0]] == [older.name, newer.id]


def test_hidden_folders_and_files_are_no_runs(tmp_path: Path) -> None:
    (tmp_path / ".partial" / "x").mkdir(parents=True)
    (tmp_path / "notes.txt").write_text("mine")
    assert list_runs(tmp_path) == ([], [])


def test_a_folder_without_run_json_is_a_problem_not_an_error(tmp_path: Path) -> None:
    run = published(tmp_path)
    (tmp_path / "mine").mkdir()
    runs, problems = list_runs(tmp_path)
    assert runs == [run]
    assert problems == ["mine: has no run.json: not a run, left out"]


def test_a_score_that_is_no_number_is_a_problem(tmp_path: Path) -> None:
    run = published(tmp_path)
    path = run.path / "run.json"
    path.write_text(json.dumps({**run.record, "score": {"value": "high", "folds": []}}))
    assert [len(each) for each in list_runs(tmp_path)] == [0, 1]


def test_a_run_is_found_by_id_part_or_last(tmp_path: Path) -> None:
    first, second = published(tmp_path), published(tmp_path, model="linear", hash="999999")
    assert find_run(tmp_path, first.id) == first
    assert find_run(tmp_path, "linear") == second
    assert find_run(tmp_path, "999999") == second
    assert find_run(tmp_path, "last") in (first, second)


def test_an_exact_name_wins_over_names_that_contain_it(tmp_path: Path) -> None:
    first, second = published(tmp_path), published(tmp_path)
    assert second.id.startswith(first.id)
    assert find_run(tmp_path, first.id) == first


def test_an_ambiguous_name_is_refused_with_the_candidates(tmp_path: Path) -> None:
    first, second = published(tmp_path), published(tmp_path)
    with pytest.raises(RunError, match=f"fits 2 runs: {first.id}, {second.id}"):
        find_run(tmp_path, "light")


def test_an_unknown_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="There are none yet: `kit cv` makes one"):
        find_run(tmp_path, "x")
    run = published(tmp_path)
    with pytest.raises(RunError, match=f"Known: {run.id}"):
        find_run(tmp_path, "x")


@pytest.mark.parametrize("content", [b"", b"PAR1", None])
def test_damaged_predictions_say_what_to_do(tmp_path: Path, content: bytes | None) -> None:
    run = published(tmp_path)
    path = run.path / "oof.parquet"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RunError, match=r"oof.parquet is damaged(.|\n)*kit cv lightgbm"):
        run.oof()


@pytest.mark.parametrize("twice", [True, False])
def test_ids_that_are_there_twice_or_are_no_ids_are_damage(
    tmp_path: Path, rewrite: Any, twice: bool
) -> None:
    run = published(tmp_path)
    frame = run.oof()
    ids = frame["id"].tolist()
    frame["id"] = [ids[1], *ids[1:]] if twice else [[each] for each in ids]
    with pytest.raises(RunError, match=r"oof.parquet is damaged(.|\n)*kit cv lightgbm"):
        rewrite(run, "oof", frame).oof()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_predictions_that_are_no_numbers_are_damage(
    tmp_path: Path, rewrite: Any, value: float
) -> None:
    run = published(tmp_path)
    frame = run.oof()
    frame.loc[1, "pred"] = value
    with pytest.raises(RunError, match="not all predictions are finite"):
        rewrite(run, "oof", frame).oof()


@pytest.mark.parametrize("stem", ["oof", "test"])
def test_predictions_that_were_edited_are_damage(tmp_path: Path, stem: str) -> None:
    run = published(tmp_path)
    path = run.path / f"{stem}.parquet"
    frame = pd.read_parquet(path)
    frame["pred"] = frame["pred"].to_numpy()[::-1].copy()
    assert run.altered() == []
    frame.to_parquet(path, index=False, compression="zstd")
    (found,) = list_runs(tmp_path)[0]
    assert found.altered() == [path.name]
    with pytest.raises(RunError, match="not what was published"):
        getattr(found, stem)()


def test_runs_of_older_versions_have_no_digests_and_are_read(tmp_path: Path) -> None:
    run = published(tmp_path)
    record = json.loads((run.path / "run.json").read_text())
    del record["files"]
    (run.path / "run.json").write_text(json.dumps(record))
    (found,) = list_runs(tmp_path)[0]
    assert found.altered() == []
    pd.testing.assert_frame_equal(found.oof(), run.oof())


def test_damaged_predictions_of_a_blend_name_kit_blend(tmp_path: Path) -> None:
    run = published(tmp_path, kind="blend", model="blend")
    (run.path / "test.parquet").unlink()
    with pytest.raises(RunError, match="run `kit blend` again"):
        run.test()


@pytest.mark.parametrize("content", ["", "{", "3", '{"cv": 3}'])
def test_a_damaged_configuration_says_what_to_do(tmp_path: Path, content: str) -> None:
    run = published(tmp_path)
    (run.path / "config.json").write_text(content)
    with pytest.raises(RunError, match=r"config.json is damaged"):
        _ = run.config


def test_predictions_have_one_column_per_output() -> None:
    assert prediction_columns([""]) == ["pred"]
    assert prediction_columns(["a", "b"]) == ["pred_a", "pred_b"]


def test_a_models_name_means_its_newest_run(tmp_path: Path) -> None:
    older, newer = (published(tmp_path, model="ridge", hash=digit * 32) for digit in "ba")

    assert older.id != newer.id
    assert find_run(tmp_path, "ridge").id == newer.id
