"""Two runs beside each other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kit.comparison import compare
from kit.runs import Run


def run(folder: Path, scores: list[float | None], config: Any = None, **facts: Any) -> Run:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config or {}))
    record = {
        "model": "lightgbm",
        "seed": 1,
        "params": {},
        "metric": {"name": "rmse", "greater_is_better": False},
        "digests": {"data": "d", "features": "f", "folds": "0a", "code": "c"},
        "score": {"value": 1.0, "folds": scores},
        **facts,
    }
    return Run(folder, record)


def test_only_settings_that_differ_are_listed(tmp_path: Path) -> None:
    a = run(tmp_path / "a", [1.0, 2.0], {"cv": {"n_splits": 5, "seed": 1}}, params={"x": 1, "y": 2})
    b = run(tmp_path / "b", [1.0, 2.0], {"cv": {"n_splits": 3, "seed": 1}}, params={"x": 1, "z": 2})
    assert compare(a, b).settings == {
        "params.y": (2, None),
        "params.z": (None, 2),
        "cv.n_splits": (5, 3),
    }


def test_an_override_of_a_parameter_is_listed_once(tmp_path: Path) -> None:
    runs = []
    for k in (5, 9):
        models = {"knn": {"recipe": "raw", "params": {"k": k}}, "other": {"params": {"z": k}}}
        facts = {"model": "knn", "params": {"k": k}, "overrides": {"models.knn.params.k": k}}
        runs.append(run(tmp_path / str(k), [1.0, 2.0], {"models": models}, **facts))
    assert compare(*runs).settings == {"params.k": (5, 9)}


def test_equal_runs_do_not_differ(tmp_path: Path) -> None:
    found = compare(run(tmp_path / "a", [1.0, 2.0]), run(tmp_path / "b", [1.0, 2.0]))
    assert found.settings == {}
    assert found.summary == {"mean_difference": 0.0, "standard_error": 0.0}
    assert found.verdict.startswith("no difference")


def test_the_difference_is_paired_fold_by_fold(tmp_path: Path) -> None:
    a, b = run(tmp_path / "a", [1.0, 5.0, 9.0]), run(tmp_path / "b", [0.9, 4.9, 8.9])
    found = compare(a, b)
    assert found.summary["mean_difference"] == pytest.approx(-0.1)
    assert found.summary["standard_error"] == pytest.approx(0.0, abs=1e-9)
    assert found.verdict.startswith("B is better")
    assert "B ahead in 3 of 3; clearly" in found.verdict


def test_the_direction_of_the_metric_counts(tmp_path: Path) -> None:
    metric = {"name": "accuracy", "greater_is_better": True}
    a = run(tmp_path / "a", [0.9, 0.91], metric=metric)
    b = run(tmp_path / "b", [0.8, 0.82], metric=metric)
    assert compare(a, b).verdict.startswith("A is better")


def test_a_difference_within_two_standard_errors_is_noise(tmp_path: Path) -> None:
    a, b = run(tmp_path / "a", [1.0, 1.0, 1.0]), run(tmp_path / "b", [1.5, 0.4, 1.05])
    assert "within the noise" in compare(a, b).verdict


def test_folds_without_a_score_are_left_out(tmp_path: Path) -> None:
    a, b = run(tmp_path / "a", [1.0, None, 1.0]), run(tmp_path / "b", [2.0, 2.0, 3.0])
    assert compare(a, b).summary["mean_difference"] == 1.5


def test_one_common_fold_gives_no_verdict(tmp_path: Path) -> None:
    a, b = run(tmp_path / "a", [1.0, None]), run(tmp_path / "b", [2.0, 2.0])
    found = compare(a, b)
    assert (found.summary, found.verdict[:13]) == ({}, "Too few folds")


def test_scores_of_other_folds_are_not_compared(tmp_path: Path) -> None:
    digests = {"folds": "0b"}
    found = compare(run(tmp_path / "a", [1.0]), run(tmp_path / "b", [1.0], digests=digests))
    assert "validated on the folds 0a, B on 0b" in found.reason
    assert (found.folds, found.summary, found.verdict) == ([], {}, "")
    assert found.settings["digest of folds"] == ("0a", "0b")


def test_scores_of_other_metrics_are_not_compared(tmp_path: Path) -> None:
    other = {"name": "mae", "greater_is_better": False}
    found = compare(run(tmp_path / "a", [1.0]), run(tmp_path / "b", [1.0], metric=other))
    assert "A has rmse, B has mae" in found.reason
