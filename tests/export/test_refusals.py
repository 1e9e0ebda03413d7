"""Runs that cannot be exported: one sentence and the next step, and nothing is written."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kit.blend import blend
from kit.competition import Competition
from kit.errors import ConfigError, KitError, MissingDependency, RunError
from kit.export import exportable as module
from kit.export.exportable import exportable
from kit.export.names import names_of
from kit.export.ready import Exported, Wishes, export
from kit.refit.saved import PLAN
from kit.runs import Run, find_run

Make = Callable[..., Competition]
Kept = Callable[..., list[Run]]
Export = Callable[..., Exported]


def changed(run: Run, **record: object) -> Run:
    return dataclasses.replace(run, record={**run.record, **record})


def test_a_run_without_models_and_a_blend_of_such(toy: Make, kept: Kept) -> None:
    competition = toy()
    (lonely,) = kept(competition, "linear", keep=False)
    (with_models,) = kept(competition, "lightgbm")
    with pytest.raises(RunError, match=f"kept no models.*\n  `kit fit {lonely.short}`"):
        exportable(competition, lonely)
    mixed = blend(competition, [lonely.id, with_models.id], method="mean")
    with pytest.raises(RunError, match=f"made of runs that kept no models: {lonely.id}") as caught:
        exportable(competition, mixed)
    assert f"`kit fit {mixed.short}` fits them all" in str(caught.value)
    assert with_models.id not in str(caught.value)


def test_members_without_weight_need_no_models(toy: Make, kept: Kept, rewrite: Any) -> None:
    competition = toy()
    (lonely,) = kept(competition, "linear", keep=False)
    (with_models,) = kept(competition, "lightgbm")
    mixed = blend(competition, [lonely.id, with_models.id], method="mean")
    weights = {with_models.id: 1.0, lonely.id: 0.0}
    mixed = rewrite(mixed, "test", with_models.test())
    for path in (mixed.path / "models").glob("*"):
        path.unlink()
    source = exportable(competition, changed(mixed, weights=weights))
    assert set(source.folders) == {with_models.id}


def test_runs_that_have_seen_the_test_rows(toy: Make, kept: Kept) -> None:
    competition = toy()
    (run,) = kept(competition, "linear")
    with pytest.raises(RunError, match="learned from the public test rows") as caught:
        exportable(competition, changed(run, transductive=True))
    assert "pseudo_labels = 0" in str(caught.value)
    config = json.loads((run.path / "config.json").read_text())
    config["models"]["linear"]["pseudo_labels"] = 0.9
    (run.path / "config.json").write_text(json.dumps(config))
    again = find_run(competition.runs, run.id)
    with pytest.raises(RunError, match="learned from the public test rows"):
        exportable(competition, again)


def test_code_that_reads_files_or_has_changed(toy: Make, kept: Kept) -> None:
    competition = toy()
    (competition.root / "features.py").write_text(
        "def features(df):\n    len(open(__file__).read())\n    return df\n"
    )
    (run,) = kept(competition, "linear")
    with pytest.raises(RunError, match=r"features\.py:2 reads a file: open\(__file__\)"):
        exportable(competition, run)
    (competition.root / "features.py").write_text("def features(df):\n    return df\n")
    with pytest.raises(RunError, match=r"features\.py changed since"):
        exportable(competition, run)


def test_models_whose_library_or_plugin_would_be_missing(
    toy: Make, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    competition = toy()
    (run,) = kept(competition, "linear")
    path = run.path / "config.json"
    config = json.loads(path.read_text())
    config["models"]["linear"] = {"use": "realmlp"}
    path.write_text(json.dumps(config))
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(MissingDependency, match="'realmlp', and keras is not installed here"):
        exportable(competition, find_run(competition.runs, run.id))
    config["models"]["linear"] = {"use": "magic"}
    path.write_text(json.dumps(config))
    with pytest.raises(RunError, match="'magic' of an installed plugin"):
        exportable(competition, find_run(competition.runs, run.id))


def test_a_fitted_run_that_lost_its_models(toy: Make, kept: Kept) -> None:
    competition = toy()
    (run,) = kept(competition, "linear")
    fitted = changed(run, kind="fit")
    with pytest.raises(RunError, match=r"predictor\.json is damaged or missing"):
        exportable(competition, fitted)
    plan = {"run": "gone", "name": "linear", "use": "linear", "recipe": "", "params": {}}
    (run.path / "models" / PLAN).write_text(json.dumps(plan))
    with pytest.raises(RunError, match="kept no models: gone"):
        exportable(competition, fitted)


@pytest.mark.parametrize(
    ("wishes", "reason"),
    [
        ({"hidden_rows": 0}, "--hidden-rows must be 1 or more"),
        ({"hours": 0.0}, "--hours must be more than 0"),
        ({"python": "3.10"}, "3.11 or newer"),
        ({"python": "three"}, "3.11 or newer"),
        ({"image": Path("nothing.txt")}, "--image: nothing.txt cannot be read"),
    ],
)
def test_wishes_that_make_no_sense(
    toy: Make, kept: Kept, wishes: dict[str, object], reason: str
) -> None:
    competition = toy()
    (run,) = kept(competition, "linear")
    names = names_of("toy", None, None, "submission.csv")
    with pytest.raises(ConfigError, match=reason):
        export(competition, run, Wishes(names=names, **wishes))  # type: ignore[arg-type]
    assert not (competition.root / "exports").exists()


def test_models_that_are_too_large_are_refused_before_they_are_copied(
    toy: Make, kept: Kept, monkeypatch: pytest.MonkeyPatch, exported: Export
) -> None:
    competition = toy()
    (run,) = kept(competition, "linear")
    monkeypatch.setattr("kit.export.bundle.DATASET_BYTES", 10)
    with pytest.raises(ConfigError, match="private datasets may have"):
        exported(competition, run)
    monkeypatch.undo()
    monkeypatch.setattr("kit.export.bundle.SOURCE_BYTES", 10)
    with pytest.raises(ConfigError, match=r"the script has \d+ bytes, Kaggle takes 10"):
        exported(competition, run)
    assert [path.name for path in (competition.root / "exports").iterdir()] == [".gitignore"]


def test_a_folder_that_is_no_export_is_not_replaced(
    toy: Make, kept: Kept, exported: Export, tmp_path: Path
) -> None:
    competition = toy()
    (run,) = kept(competition, "linear")
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years of work")
    with pytest.raises(KitError, match="is there and no export of kit"):
        exported(competition, run, out=mine)
    assert (mine / "thesis.txt").read_text() == "years of work"


def test_without_a_proof_nothing_is_called_ready(toy: Make, kept: Kept, exported: Export) -> None:
    competition = toy()
    (run,) = kept(competition, "linear")
    made = exported(competition, run, proof=False)
    assert not made.ready
    assert "was not tried" in made.missing[0]
    assert (made.bundle.dataset / "bundle.json").is_file()
    assert json.loads((made.bundle.folder / "proof.json").read_text())["ready"] is False
