"""The whole way of a code competition: cv, export, push, submit, ledger; and where it ends."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from loopback_answers import Refusal
from loopback_server import Server
from loopback_types import Naps, Patient
from loopback_workshop import Files, Session

from kit.competition import Competition
from kit.cv import cross_validate
from kit.export import publishing, ready
from kit.export.proof import Proof
from kit.export.publishing import Push
from kit.export.wheels import canonical
from kit.runs import Run, find_run
from kit.session import open_session

RunKit = Any
Make = Callable[..., Competition]
DATASET, KERNEL = "ann/toy-models", "ann/toy-models-inference"


def frames() -> tuple[pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({"id": np.arange(90) + 1, "a": rng.normal(size=90)})
    frame["c"] = pd.Series(rng.choice(["u", "v"], 90)).astype("str")
    frame["y"] = (frame["a"] + rng.normal(size=90) > 0).astype(int)
    return frame[:60], frame[60:].drop(columns="y")


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """What `pip freeze` prints where everything of this environment is installed."""
    lines = {f"{canonical(d.metadata['Name'])}=={d.version}" for d in distributions()}
    path = tmp_path / "freeze.txt"
    path.write_text("\n".join(sorted(lines)))
    return path


@pytest.fixture(autouse=True)
def no_waits(monkeypatch: pytest.MonkeyPatch, naps: Naps) -> None:
    assert Push.__init__.__kwdefaults__ is not None
    monkeypatch.setitem(Push.__init__.__kwdefaults__, "sleep", naps)


@pytest.fixture
def kaggle(server: Server, tmp_path: Path) -> Server:
    """The competition "toy", which takes notebooks only; a kernel writes what the proof wrote."""
    train, test = frames()
    tables = {"train": train, "test": test, "sample_submission": sample(test)}
    files = {f"{name}.csv": t.to_csv(index=False).encode() for name, t in tables.items()}
    server.add(
        "toy", files=files, notebooks_only=True, scorer=lambda content: (0.71234, 0.70001), polls=0
    )

    def as_proven(session: Session) -> Files:
        (proof,) = tmp_path.glob("toy/exports/*/proof/submission.csv")
        return {"submission.csv": proof.read_bytes(), "__results__.html": b"<html>"}

    server.runs = as_proven
    return server


def sample(test: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({"id": test["id"], "y": 0.5})


@pytest.fixture
def run(
    kaggle: Server, make_competition: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Run:  # fmt: skip
    """A run of "toy" whose models were kept, computed once; the proof is taken on trust."""
    computed = tmp_path_factory.getbasetemp() / "toy-with-a-run"
    if not computed.exists():
        train, test = frames()
        competition = make_competition(
            train, test, name="toy", sample=sample(test), provider={"name": "kaggle"}
        )
        with open_session(competition, keep_models=True) as session:
            assert cross_validate(session, "linear") is not None
        shutil.copytree(competition.root, computed)
    else:
        shutil.copytree(computed, tmp_path / "toy")
    found = find_run(tmp_path / "toy" / "runs", "last")

    def prove(competition: Competition, run: Run, bundle: Any, *, timeout: float) -> Proof:
        test = run.test()
        (bundle.folder / "proof").mkdir()
        table = pd.DataFrame({"id": test["id"], "y": test["pred"]})
        table.to_csv(bundle.folder / "proof" / bundle.names.file, index=False)
        return Proof(
            rows=len(test), difference=0.0, allowed=1e-5, labels=0, network="off", seconds=3.0,
            load_seconds=1.0, predict_seconds=1.0, row_seconds=1e-4, notes=(),
            packages={"numpy": np.__version__},
        )  # fmt: skip

    monkeypatch.setattr(ready, "prove", prove)
    monkeypatch.chdir(tmp_path)
    return found


@pytest.fixture
def publish(run: Run, run_kit: RunKit, image: Path) -> Callable[..., Any]:
    """``publish()``: kit export RUN --push --submit, as a new process would do it."""

    def go(*more: str) -> Any:
        return run_kit(
            "export", run.id, "--to", "kaggle", "--id", DATASET, "--image", image, "--push",
            "--submit", "-C", "toy", *more,
        )  # fmt: skip

    return go


def receipts() -> list[dict[str, Any]]:
    return [json.loads(p.read_text()) for p in Path("toy/submissions").glob("*.json")]


# -- all of it


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_from_an_empty_folder_to_the_ledger(
    kaggle: Server, run_kit: RunKit, image: Path, tmp_path: Path, with_patience: Patient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Nothing is taken on trust: the proof runs here, and the kernel on the server."""
    monkeypatch.chdir(tmp_path)
    with_patience(answer=120.0)  # the server runs the kernel while it is asked for its state
    kaggle.runs = lambda session: machine(kaggle, session, tmp_path / "machine")
    done = run_kit("new", "toy")
    assert done.code == 0, done.err
    assert "code competition" in Path("toy/README.md").read_text()
    done = run_kit("cv", "linear", "--keep-models", "--folds", "2", "-C", "toy")
    assert done.code == 0, done.err
    refused = run_kit("submit", "-C", "toy")
    assert (refused.code, kaggle.submissions) == (3, [])
    assert "`kit export RUN --to kaggle`" in refused.err
    command = ["export", "linear", "--to", "kaggle", "--id", DATASET, "--image", image, "-C", "toy"]
    done = run_kit(*command, "--push", "--submit", "-m", "first try")
    assert done.code == 0, done.err
    assert "version 1: its output is the proof's" in done.out
    (proof,) = Path("toy/exports").glob("*/proof/submission.csv")
    (handed,) = kaggle.submissions
    assert np.allclose(
        pd.read_csv(proof)["y"], pd.read_csv(Path("toy/exports") / proof.parts[2] / "output" /
        "submission.csv")["y"], rtol=0, atol=1e-6,
    )  # fmt: skip
    assert handed.description.startswith("first try [kit ")
    (receipt,) = receipts()
    assert (receipt["ref"], receipt["provider"]) == (str(handed.ref), "kaggle")
    assert handed.description.endswith(receipt["mark"])
    assert receipt["kernel"] == f"{KERNEL}, version 1"
    done = run_kit("ledger", "-C", "toy")
    assert (done.code, "0.71234" in done.out, "first try" in done.out) == (0, True, True)
    assert "[kit" not in done.out
    assert "elsewhere" not in done.out
    (receipt,) = receipts()
    assert (receipt["status"], receipt["public"]) == ("complete", 0.71234)
    assert receipt["cv"]["folds"]
    again = run_kit(*command, "--push", "--submit", "-m", "first try")
    assert again.code == 0, again.err
    assert len(kaggle.submissions) == len(kaggle.calls("CreateDataset")) == 1
    assert not kaggle.calls("CreateDatasetVersion")


def machine(server: Server, session: Session, folder: Path) -> Files:
    """Run a kernel as Kaggle does: the script, what is mounted, and nothing of this project."""
    mounts = {
        f"datasets/{DATASET}": server.datasets[DATASET].versions[-1].files,
        "competitions/toy": server.competitions["toy"].files,
    }
    for place, files in mounts.items():
        for name, content in files.items():
            path = folder / "input" / place / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    working = folder / "working"
    working.mkdir()
    (folder / "script.py").write_text(session.saved["text"], encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-I", str(folder / "script.py")],
        cwd=working,
        env={
            "PATH": os.environ["PATH"], "HOME": str(working), "OMP_NUM_THREADS": "1",
            "KIT_EXPORT_INPUT": str(folder / "input"), "KIT_EXPORT_WORKING": str(working),
        },
        capture_output=True,
        text=True,
        timeout=300,
    )  # fmt: skip
    if done.returncode:
        session.log = done.stderr
        raise ValueError("Notebook Threw Exception")
    return {path.name: path.read_bytes() for path in working.iterdir() if path.is_file()}


# -- and where it ends


def test_pushed_and_submitted_then_scored(
    publish: Callable[..., Any], kaggle: Server, run: Run, run_kit: RunKit
) -> None:
    done = publish("--json")
    assert done.code == 0, done.err
    document = json.loads(done.out)
    (handed,) = kaggle.submissions
    assert document["submission"]["ref"] == str(handed.ref)
    assert (document["dataset_version"], document["kernel_version"]) == (1, 1)
    assert run_kit("ledger", "-C", "toy").code == 0
    (receipt,) = receipts()
    assert (receipt["run"], receipt["public"]) == (run.id, 0.71234)


@pytest.mark.parametrize(("fails", "code"), [(False, 0), (True, 3)])
def test_wait_ends_with_the_score(
    publish: Callable[..., Any], kaggle: Server, monkeypatch: pytest.MonkeyPatch,
    fails: bool, code: int,
) -> None:  # fmt: skip
    monkeypatch.setattr("kit.cli.submit._POLLS", (0.01, 0.02))
    vars(kaggle.competitions["toy"]).update(polls=4)
    if fails:
        vars(kaggle.competitions["toy"]).update(scorer=lambda content: float("Submission Error"))
    done = publish("--wait")
    assert done.code == code, done.err
    assert "waiting for the score" in done.err
    assert ("Submission Error" if fails else "public score: 0.71234") in done.out
    assert receipts()[0]["status"] == ("error" if fails else "complete")
    asked = len(kaggle.calls("ListSubmissions"))
    assert asked > 4
    assert len(kaggle.submissions) == 1


def test_a_refused_kernel_ends_it(publish: Callable[..., Any], kaggle: Server) -> None:
    kaggle.refuses = "Maximum batch GPU session count of 2 reached."
    done = publish()
    assert done.code == 3
    assert "refused the kernel ann/toy-models-inference: Maximum batch GPU session" in done.err
    kaggle.refuses = ""
    done = publish()
    assert (done.code, len(kaggle.submissions)) == (0, 1), done.err
    assert len(kaggle.calls("CreateDataset")) == 1, "what had arrived is not sent again"


@pytest.mark.parametrize("key", ["invalidDatasetSources", "invalidCompetitionSources"])
def test_a_kernel_without_its_sources_is_not_submitted(
    publish: Callable[..., Any], kaggle: Server, key: str
) -> None:
    kaggle.without = {key: ["the/source"]}
    done = publish()
    assert (done.code, kaggle.submissions, receipts()) == (3, [], [])
    assert "without what it needs" in done.err
    assert "the/source" in done.err


def test_a_dataset_that_is_never_ready_ends_the_wait(
    publish: Callable[..., Any], kaggle: Server, naps: Naps, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publishing, "_DATASET_HOURS", 0.5)
    kaggle.dataset_looks = 10_000
    done = publish()
    assert done.code == 3
    assert "the dataset ann/toy-models is not done after 0.5 h" in done.err
    assert sum(naps.seconds) > 1800
    assert not kaggle.calls("SaveKernel")
    kaggle.dataset_looks = 0
    assert publish().code == 0
    assert len(kaggle.calls("CreateDataset")) == 1


def test_a_dataset_that_fails_ends_it(publish: Callable[..., Any], kaggle: Server) -> None:
    kaggle.dataset_end = "FAILED"
    done = publish()
    assert (done.code, kaggle.kernels) == (3, {})
    assert "the dataset ann/toy-models failed on Kaggle" in done.err


def test_a_failing_kernel_is_told_with_its_message_and_pushed_anew(
    publish: Callable[..., Any], kaggle: Server
) -> None:
    works = kaggle.runs

    def fails(session: Session) -> Files:
        session.log = "kit export: this image lacks numpy, and so does the bundle\n"
        raise ValueError("Notebook Threw Exception\x1b[31m")

    kaggle.runs = fails
    done = publish()
    assert done.code == 3
    assert (
        "version 1 failed on Kaggle: Notebook Threw Exception; kit export: this image" in done.err
    )
    assert "\x1b" not in done.err
    assert kaggle.submissions == []
    kaggle.runs = works
    done = publish()
    assert done.code == 0, done.err
    assert receipts()[0]["kernel"].endswith("version 2")


def test_another_output_than_the_proof_s_is_not_submitted(
    publish: Callable[..., Any], kaggle: Server
) -> None:
    works = kaggle.runs

    def other(session: Session) -> Files:
        table = pd.read_csv(io.BytesIO(works(session)["submission.csv"]))
        table.loc[3, "y"] = 1 - table.loc[3, "y"]
        return {"submission.csv": table.to_csv(index=False).encode()}

    kaggle.runs = other
    done = publish()
    assert done.code == 1
    assert "predicts something else than the proof: 1 of 60 cells" in done.err
    assert (kaggle.submissions, receipts()) == ([], [])
    assert not list(Path("toy/exports").glob("*/output/*"))


def test_a_kernel_that_wrote_nothing_of_use(publish: Callable[..., Any], kaggle: Server) -> None:
    kaggle.runs = lambda session: {"../submission.csv": b"x", "log.txt": b"x"}
    done = publish()
    assert done.code == 1
    assert "wrote no submission.csv; it wrote ../submission.csv, log.txt" in done.err
    assert not list(Path().rglob("log.txt"))


def test_a_lost_answer_is_found_by_its_mark_and_nothing_is_sent_again(
    publish: Callable[..., Any], kaggle: Server
) -> None:
    kaggle.hand_in("toy", "submission.csv", b"", "somebody else's [kit 0000000000 v1]")
    kaggle.fault("CreateCodeSubmission", "lost")
    done = publish()
    assert done.code == 0, done.err
    assert len(kaggle.calls("CreateCodeSubmission")) == 1
    assert len(kaggle.submissions) == 2
    (receipt,) = receipts()
    assert receipt["ref"] == str(kaggle.submissions[1].ref)


def test_an_answer_that_stays_lost_is_found_by_the_next_call(
    publish: Callable[..., Any], kaggle: Server
) -> None:
    def hide() -> None:
        kaggle.hidden |= {50_000_000 + n for n in range(1000)}  # the list lags behind

    kaggle.fault("CreateCodeSubmission", "lost", action=hide)
    done = publish()
    assert done.code == 3
    assert "the answer to the submission was lost" in done.err
    (receipt,) = receipts()
    assert receipt["status"] == "sent"
    done = publish()
    assert (done.code, "with --again looks once more" in done.err) == (1, True)
    kaggle.hidden.clear()
    done = publish("--again")
    assert done.code == 0, done.err
    assert "submitted before" in done.err
    assert len(kaggle.submissions) == len(kaggle.calls("CreateCodeSubmission")) == 1


def test_after_a_lost_answer_nothing_that_happens_here_sends_it_again(
    publish: Callable[..., Any], kaggle: Server, run_kit: RunKit
) -> None:
    """Another bundle, no exports, no receipts: each time the same run is about to be submitted."""
    kaggle.fault("CreateCodeSubmission", "lost", action=lambda: kaggle.hidden.update(
        50_000_000 + n for n in range(1000)))  # fmt: skip
    assert publish().code == 3
    config = Path("toy/kit.toml")
    config.write_text(config.read_text() + "# changed\n")
    shutil.rmtree("toy/exports")
    assert run_kit("gc", "--older-than", "0s", "-C", "toy").code == 0
    done = publish()
    assert (done.code, "with --again looks once more" in done.err) == (1, True), done.err
    kaggle.hidden.clear()
    shutil.rmtree("toy/submissions")
    done = publish()
    assert (done.code, "handed in before, elsewhere" in done.err) == (1, True), done.err
    for call in ("CreateCodeSubmission", "CreateDataset", "SaveKernel"):
        assert len(kaggle.calls(call)) == 1
    assert len(kaggle.submissions) == 1


@pytest.mark.parametrize("shape", ["gateway", "bare"])
def test_a_refusal_of_what_was_made_all_the_same_is_found_out(
    publish: Callable[..., Any], kaggle: Server, shape: Any
) -> None:
    real = kaggle.CreateCodeSubmission

    def made_and_refused(body: Any, user: str) -> Any:
        real(body, user)
        kaggle.shape = shape
        raise Refusal(403, "Blocked by the gateway")

    kaggle.CreateCodeSubmission = made_and_refused  # type: ignore[method-assign]
    done = publish()
    assert done.code == 0, done.err
    assert [each["ref"] for each in receipts()] == [str(kaggle.submissions[0].ref)]


def test_is_it_worth_a_slot_is_told_for_kernels_too(
    publish: Callable[..., Any], kaggle: Server, run: Run, run_kit: RunKit
) -> None:
    done = run_kit("ledger", "--run", run.id, "-C", "toy")
    assert (done.code, "5 left today" in done.out) == (0, True), done
    assert "not known:" not in done.err
    done = publish()
    assert (done.code, "Worth a submission" in done.err) == (0, True), done.err


@pytest.mark.parametrize("call", ["CreateDataset", "SaveKernel"])
def test_a_lost_answer_on_the_way_is_looked_for(
    publish: Callable[..., Any], kaggle: Server, call: str
) -> None:
    kaggle.fault(call, "lost")
    done = publish()
    assert done.code == 0, done.err
    assert "the answer was lost" in done.err
    assert len(kaggle.calls(call)) == len(kaggle.submissions) == 1


def test_a_new_version_is_waited_for_until_kaggle_counts_it(
    publish: Callable[..., Any], kaggle: Server
) -> None:
    assert publish().code == 0
    config = Path("toy/kit.toml")
    config.write_text(config.read_text() + "# changed\n")
    shutil.rmtree(next(Path("toy/exports").glob("*-linear-*")))
    kaggle.dataset_looks = 5
    done = publish("-m", "second", "--again")
    assert done.code == 0, done.err
    assert len(kaggle.datasets[DATASET].versions) == len(kaggle.kernels[KERNEL]) == 2
    assert "waiting until Kaggle shows the dataset" in done.err
    journal = json.loads(Path("toy/submissions/push/ann--toy-models.json").read_text())
    assert journal["dataset"] == {"version": 2}


def test_a_lost_answer_of_a_dataset_that_is_being_unpacked_is_not_sent_again(
    publish: Callable[..., Any], kaggle: Server
) -> None:
    assert publish().code == 0
    config = Path("toy/kit.toml")
    config.write_text(config.read_text() + "# changed\n")
    kaggle.dataset_looks = 5
    kaggle.fault("CreateDatasetVersion", "lost")
    done = publish("-m", "second", "--again")
    assert done.code == 0, done.err
    assert "the answer was lost" in done.err
    assert len(kaggle.calls("CreateDatasetVersion")) == 1
    assert len(kaggle.datasets[DATASET].versions) == len(kaggle.submissions) == 2


def test_a_refused_token_does_not_push_as_somebody_else(
    publish: Callable[..., Any], kaggle: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAGGLE_API_TOKEN", "KGAT_stale")
    done = publish()
    assert (done.code, "nothing is sent with them" in done.err) == (3, True), done.err
    for call in ("StartBlobUpload", "CreateDataset", "SaveKernel", "CreateCodeSubmission"):
        assert not kaggle.calls(call)


def test_no_submission_is_left(publish: Callable[..., Any], kaggle: Server) -> None:
    kaggle.competitions["toy"].daily = 1
    kaggle.hand_in("toy", "x.csv", b"1")
    done = publish()
    assert done.code == 3
    assert "no submission is left today" in done.err
    assert not kaggle.calls("CreateCodeSubmission")
    assert receipts() == []


def test_plain_submit_names_the_way(run: Run, kaggle: Server, run_kit: RunKit) -> None:
    done = run_kit("submit", run.id, "-C", "toy")
    assert done.code == 3
    assert "toy is a code competition: it takes notebooks, no files." in done.err
    assert "Make one with `kit export RUN --to kaggle`." in done.err
    assert not kaggle.calls("StartSubmissionUpload")


def test_what_would_be_refused_is_refused_before_anything_is_made(
    publish: Callable[..., Any], kaggle: Server
) -> None:
    kaggle.competitions["toy"].entered = False
    done = publish()
    assert done.code == 3
    assert "this account does not take part in toy" in done.err
    assert not Path("toy/exports").exists()


def test_a_user_who_is_not_the_account_is_pointed_out(
    publish: Callable[..., Any], kaggle: Server
) -> None:
    done = publish("--id", "bob/toy-models")
    assert done.code == 3
    assert "--id names 'bob', and the credentials are those of 'ann'" in done.err
    assert "Kaggle says: \"Permission 'datasets.create' was denied\"" in done.err
    assert (kaggle.datasets, kaggle.submissions) == ({}, [])


def test_a_competition_of_another_name_on_kaggle_is_asked(
    run: Run, kaggle: Server, run_kit: RunKit, image: Path
) -> None:
    """`provider.source` of a local copy is a path, and not what Kaggle is asked for."""
    config = Path("toy/kit.toml")
    source = config.read_text().replace('"kaggle"', '"local", "source" = "data/raw"')
    config.write_text(source)
    kaggle.competitions["toy-2026"] = kaggle.competitions.pop("toy")
    kaggle.competitions["toy-2026"].slug = "toy-2026"
    done = run_kit(
        "export", run.id, "--id", DATASET, "--image", image, "--competition", "toy-2026", "--push",
        "--submit", "-C", "toy",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert kaggle.submissions[0].slug == "toy-2026"


@pytest.mark.parametrize(
    "words",
    [
        "Your Notebook cannot use P100 GPUs in this competition",
        "Your Notebook must include this competition as a data source",
    ],
)
def test_a_version_that_is_refused_for_good_is_followed_by_another(
    publish: Callable[..., Any], kaggle: Server, words: str
) -> None:
    real = kaggle.CreateCodeSubmission

    def refuse(body: Any, user: Any) -> Any:
        raise Refusal(400, f"Submission not allowed:  {words}")

    kaggle.CreateCodeSubmission = refuse  # type: ignore[method-assign]
    assert publish("--gpu").code == 3
    kaggle.CreateCodeSubmission = real  # type: ignore[method-assign]
    assert publish().code == 0
    assert [call.body.get("enableGpu") for call in kaggle.calls("SaveKernel")] == [True, False]
    assert kaggle.calls("CreateCodeSubmission")[-1].body["kernelVersion"] == 2
    assert len(kaggle.submissions) == 1


def test_again_with_a_damaged_receipt_says_what_stands_in_the_way(
    publish: Callable[..., Any], kaggle: Server
) -> None:
    assert publish().code == 0
    (path,) = Path("toy/submissions").glob("*.json")
    path.write_text("{")
    done = publish("--again")
    assert (done.code, "Delete that receipt" in done.err) == (1, True), done.err
    assert len(kaggle.submissions) == 1


def test_another_kernel_of_the_run_is_not_taken_for_this_one(
    publish: Callable[..., Any], kaggle: Server
) -> None:
    assert publish().code == 0
    assert publish("--id", "ann/other-models", "--again").code == 0
    done = publish()
    assert done.code == 0
    assert f"submitted before, as {kaggle.submissions[0].ref}" in done.out + done.err
    assert len(kaggle.submissions) == 2
