"""`kit export` as it is typed: what it says, its exit code, and the whole way from cv to bundle."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from kit.cli import main
from kit.competition import Competition
from kit.export import ready
from kit.export.proof import Proof
from kit.providers.base import Limits, Submitted
from kit.providers.kaggle import KaggleProvider
from kit.providers.publishing import Pushed, State, Written
from kit.runs import Run

Make = Callable[..., Competition]
Kept = Callable[..., list[Run]]


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str


Kit = Callable[..., Outcome]


@pytest.fixture
def kit(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Kit:
    """``kit(competition, *arguments)``: the command in this process."""

    def run(competition: Competition, *arguments: str | Path) -> Outcome:
        command = ["kit", *map(str, arguments), "-C", str(competition.root)]
        monkeypatch.setattr(sys, "argv", command)
        with pytest.raises(SystemExit) as ended:
            main()
        seen = capsys.readouterr()
        return Outcome(int(ended.value.code or 0), seen.out, seen.err)

    return run


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proof that went well, without running anything."""

    def prove(competition: Competition, run: Run, bundle: Any, *, timeout: float) -> Proof:
        test = run.test()
        table = pd.DataFrame({"id": test["id"], "y": test["pred"]})
        (bundle.folder / "proof").mkdir()
        table.to_csv(bundle.folder / "proof" / bundle.names.file, index=False)
        return Proof(
            rows=len(test), difference=1e-9, allowed=1e-5, labels=0, network="off", seconds=3.0,
            load_seconds=1.0, predict_seconds=1.0, row_seconds=1e-4, notes=(),
            packages={"numpy": np.__version__},
        )  # fmt: skip

    monkeypatch.setattr(ready, "prove", prove)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_from_cross_validation_to_a_bundle(toy: Make, kit: Kit, image: Path) -> None:
    competition = toy()
    assert kit(competition, "cv", "linear", "lightgbm", "-q").code == 0
    assert kit(competition, "blend", "-q").code == 0
    refused = kit(competition, "export", "blend")
    assert refused.code == 1
    assert "kept no models" in refused.err
    assert "`kit fit" in refused.err
    assert kit(competition, "fit", "blend", "--seeds", "2", "-q").code == 0
    done = kit(
        competition, "export", "last", "--to", "kaggle", "--id", "ann/toy-models", "--image", image,
        "--hidden-rows", "100000",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert "Ready to be pushed." in done.out
    assert "ann/toy-models-inference" in done.out
    assert "the run's own" in done.out
    assert "h on this machine" in done.out
    (folder,) = (path for path in (competition.root / "exports").iterdir() if path.is_dir())
    found = pd.read_csv(folder / "proof" / "submission.csv").set_index("id")["y"]
    run = max(competition.runs.glob("*-fit-*"))
    wanted = pd.read_parquet(run / "test.parquet").set_index("id")["pred"]
    assert np.abs(found - wanted[found.index]).max() <= 1e-5
    metadata = json.loads((folder / "kernel" / "kernel-metadata.json").read_text())
    assert metadata["competition_sources"] == [competition.slug]


def test_what_is_shown_and_what_is_next(
    toy: Make, kept: Kept, kit: Kit, quick: None, image: Path
) -> None:
    competition = toy()
    (run,) = kept(competition, "linear")
    done = kit(competition, "export", "linear", "--image", image)
    assert done.code == 0
    assert "within 1e-09" in done.out
    assert "note: no --id: the metadata name 'your-kaggle-name'" in done.out
    assert "Next: kit export linear --id USER/kit-competition --push" in done.out
    document = json.loads(kit(competition, "export", "linear", "--image", image, "--json").out)
    assert document["ready"] is True
    assert document["proof"]["identical"] is False
    assert document["folder"] == str(competition.root / "exports" / run.id)


def test_wheels_that_are_missing_make_it_unready(
    toy: Make, kept: Kept, kit: Kit, quick: None, tmp_path: Path
) -> None:
    competition = toy()
    kept(competition, "linear")
    (tmp_path / "wheels").mkdir()
    done = kit(competition, "export", "linear", "--wheels", tmp_path / "wheels")
    assert done.code == 1
    assert "not ready: 1 package could not be fetched" in done.err
    assert f"numpy=={np.__version__}" in done.err
    assert "Ready" not in done.out
    assert "every package that predicts goes along" in done.out
    pushed = kit(
        competition, "export", "linear", "--wheels", tmp_path / "wheels", "--id", "ann/toy-models",
    )  # fmt: skip
    assert pushed.code == 1


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (["--to", "moon"], 1, "--to must be kaggle. Received: 'moon'"),
        (["--submit"], 1, "--submit needs --push"),
        (["--wait"], 1, "--wait needs --submit"),
        (["--push"], 1, "--push needs --id USER/SLUG"),
        (["--id", "ann"], 1, "--id must be USER/SLUG"),
        (["--file", "x.txt"], 1, "--file must be the plain name"),
        (["--no-proof"], 1, "not ready: it was not tried (--no-proof)"),
    ],
)
def test_flags_that_do_not_fit(
    toy: Make, kept: Kept, kit: Kit, arguments: list[str], code: int, reason: str
) -> None:
    competition = toy()
    kept(competition, "linear")
    done = kit(competition, "export", "linear", *arguments)
    assert done.code == code
    assert reason in done.err
    assert "Traceback" not in done.err


def test_a_provider_that_cannot_push_says_how_to_do_it_by_hand(
    toy: Make, kept: Kept, kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    competition = toy()
    kept(competition, "linear")
    monkeypatch.setattr("kit.providers.base.load_provider", lambda *_: object())
    done = kit(competition, "export", "linear", "--push", "--id", "ann/toy-models")
    assert done.code == 3
    assert "kaggle datasets create -p FOLDER/dataset -r zip" in done.err
    assert not (competition.root / "exports").exists()


class Kaggle:
    """A publisher to which everything happens at once."""

    status = "complete"

    def __init__(self) -> None:
        self.versions = {"dataset": 0, "kernel": 0}
        self.folder = Path()

    def account(self) -> str:
        return "ann"

    def dataset_version(self, dataset: str) -> int | None:
        return self.versions["dataset"] or None

    def put_dataset(self, folder: Path, dataset: str, message: str) -> int | None:
        self.folder = folder.parent
        self.versions["dataset"] += 1
        return self.versions["dataset"]

    def dataset_state(self, dataset: str) -> State:
        return State(status="done")

    def kernel_version(self, kernel: str) -> int | None:
        return self.versions["kernel"] or None

    def push_kernel(self, folder: Path) -> Pushed:
        self.versions["kernel"] += 1
        return Pushed(version=self.versions["kernel"])

    def kernel_state(self, kernel: str, version: int) -> State:
        return State(status="done")

    def kernel_output(self, kernel: str, version: int, file: str, folder: Path) -> Written:
        path = folder / file
        path.write_bytes((self.folder / "proof" / file).read_bytes())
        return Written(path=path, names=(file,))

    def limits(self) -> Limits:
        return Limits()

    def submissions(self) -> list[Submitted]:
        return []

    def submit_kernel(self, kernel: str, version: int, file: str, message: str) -> Submitted:
        return Submitted(ref="77", status=self.status, created="", message=message, public=0.5)


@pytest.mark.parametrize(("status", "code"), [("complete", 0), ("error", 3)])
def test_pushed_and_submitted(
    toy: Make, kept: Kept, kit: Kit, quick: None, image: Path, monkeypatch: pytest.MonkeyPatch,
    status: str, code: int,
) -> None:  # fmt: skip
    there = Kaggle()
    monkeypatch.setattr(Kaggle, "status", status)
    monkeypatch.setattr(KaggleProvider, "publisher", lambda self: there, raising=False)
    competition = toy()
    (run,) = kept(competition, "linear")
    arguments = ["export", "linear", "--id", "ann/toy-models", "--image", str(image), "--push"]
    done = kit(competition, *arguments)
    assert done.code == 0, done.err
    assert "ann/toy-models-inference, version 1: its output is the proof's." in done.out
    assert "--push --submit" in done.out
    done = kit(competition, *arguments, "--submit", "--json")
    assert done.code == code
    document = json.loads(done.out)
    assert document["submission"] == {
        "ref": "77", "status": status, "public": 0.5, "private": None,
    }  # fmt: skip
    assert there.versions == {"dataset": 1, "kernel": 1}  # the export was made anew, not pushed
    receipt = json.loads((competition.submissions / f"{run.id}.json").read_text())
    assert (receipt["ref"], receipt["status"], receipt["public"]) == ("77", status, 0.5)
