"""Datasets, kernels and their submission: what is sent to the loopback server, what is lost."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from loopback_server import Server
from loopback_types import Naps
from loopback_workshop import Files, Session

from kit.errors import DiskFull, ProviderError, QuotaError, RefusedError
from kit.export.names import dataset_metadata, kernel_metadata, names_of
from kit.providers.kaggle import KaggleProvider, archives
from kit.providers.kaggle.publishing import KagglePublisher
from kit.providers.publishing import LostAnswer, Publisher, Publishes, State

NAMES = names_of("toy", "ann/toy-models", "toy", "submission.csv")
DATASET, KERNEL = NAMES.dataset, NAMES.kernel
OUTPUT = b"id,y\n1,0.5\n"


@pytest.fixture
def publisher(server: Server, provider: KaggleProvider) -> Publisher:
    server.add("toy", notebooks_only=True)
    server.runs = lambda session: {"submission.csv": OUTPUT}
    assert isinstance(provider, Publishes)
    return provider.publisher()


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """A folder as `kit export` writes it: files, a folder in a folder, an empty one, a link."""
    folder = tmp_path / "bundle" / "dataset"
    (folder / "models" / "deep").mkdir(parents=True)
    (folder / "wheels").mkdir()
    (folder / "models" / "plan.json").write_text("{}")
    (folder / "models" / "deep" / "fold-0.txt").write_bytes(b"tree\n" * 1000)
    (folder / "models" / "secret").symlink_to("/etc/hostname")
    (folder / "bundle.json").write_text('{"a": 1}')
    (folder / "empty.txt").write_bytes(b"")
    (folder / "dataset-metadata.json").write_text(json.dumps(dataset_metadata(NAMES)))
    return folder


@pytest.fixture
def kernel(tmp_path: Path) -> Path:
    folder = tmp_path / "bundle" / "kernel"
    folder.mkdir(parents=True)
    (folder / "inference.py").write_text("print('ä')\n", encoding="utf-8")
    metadata = kernel_metadata(NAMES, "inference.py")
    (folder / "kernel-metadata.json").write_text(json.dumps(metadata))
    return folder


def waited(state: Callable[[], State]) -> State:
    for _ in range(10):
        if (found := state()).status != "waiting":
            return found
    pytest.fail("never ready")


@pytest.fixture
def ran(publisher: Publisher, dataset: Path, kernel: Path) -> Publisher:
    """Version 1 of dataset and kernel are there, and the kernel has run."""
    publisher.put_dataset(dataset, DATASET, "first")
    assert publisher.push_kernel(kernel).version == 1
    assert waited(lambda: publisher.kernel_state(KERNEL, 1)).status == "done"
    return publisher


# -- datasets


def test_a_dataset_is_made_then_becomes_a_new_version(
    publisher: Publisher, server: Server, dataset: Path
) -> None:
    assert publisher.dataset_version(DATASET) is None
    assert publisher.put_dataset(dataset, DATASET, "first") is None
    (made,) = server.calls("CreateDataset")
    facts = {k: v for k, v in made.body.items() if k != "files"}
    assert facts == {
        "ownerSlug": "ann", "slug": "toy-models", "title": "toy models", "licenseName": "other",
        "isPrivate": True,
    }  # fmt: skip
    (version,) = server.datasets[DATASET].versions
    assert version.files == {
        "bundle.json": b'{"a": 1}',
        "empty.txt": b"",
        "models/plan.json": b"{}",
        "models/deep/fold-0.txt": b"tree\n" * 1000,
    }
    assert publisher.dataset_version(DATASET) == 1
    assert waited(lambda: publisher.dataset_state(DATASET)) == State(status="done")
    (dataset / "bundle.json").write_text('{"a": 2}')
    publisher.put_dataset(dataset, DATASET, "second")
    assert publisher.dataset_version(DATASET) == 1, "Kaggle counts it when it is unpacked"
    waited(lambda: publisher.dataset_state(DATASET))
    assert publisher.dataset_version(DATASET) == 2
    assert server.datasets[DATASET].versions[1].note == "second"
    assert len(server.calls("CreateDataset")) == 1
    assert sorted(p.name for p in dataset.parent.iterdir()) == ["dataset"], "archives are gone"


def test_a_dataset_that_kaggle_cannot_unpack_has_failed(
    publisher: Publisher, server: Server, dataset: Path
) -> None:
    server.dataset_end = "FAILED"
    publisher.put_dataset(dataset, DATASET, "first")
    state = waited(lambda: publisher.dataset_state(DATASET))
    assert state == State(status="failed", reason="Kaggle says FAILED")


@pytest.mark.parametrize("status", ["REPROCESSING", "NOT_YET_PERSISTED", "SOMETHING_NEW"])
def test_other_states_of_a_dataset_mean_waiting(
    publisher: Publisher, server: Server, dataset: Path, status: str
) -> None:
    publisher.put_dataset(dataset, DATASET, "first")
    server.datasets[DATASET].versions[0].status = status
    assert publisher.dataset_state(DATASET).status == "waiting"


def test_a_refused_file_makes_no_dataset(
    publisher: Publisher, server: Server, dataset: Path
) -> None:
    server.fault("PUT", "status", status=403, times=10)
    with pytest.raises(RefusedError, match=r"No dataset was made") as caught:
        publisher.put_dataset(dataset, DATASET, "first")
    assert not isinstance(caught.value, LostAnswer)
    assert server.datasets == {}
    assert not server.calls("CreateDataset")
    assert sorted(p.name for p in dataset.parent.iterdir()) == ["dataset"]


@pytest.mark.parametrize("kind", ["cut", "lost", "drop"])
def test_a_broken_upload_goes_on_and_arrives_whole(
    publisher: Publisher, server: Server, dataset: Path, kind: Any
) -> None:
    content = bytes(range(256)) * 4000
    (dataset / "models" / "big.bin").write_bytes(content)
    (dataset / "empty.txt").unlink()
    server.fault("PUT", kind, after=4, times=2)
    publisher.put_dataset(dataset, DATASET, "first")
    assert server.datasets[DATASET].versions[0].files["models/big.bin"] == content


def test_an_error_in_the_answer_is_a_refusal(
    publisher: Publisher, server: Server, dataset: Path
) -> None:
    metadata = {**dataset_metadata(NAMES), "title": ""}
    (dataset / "dataset-metadata.json").write_text(json.dumps(metadata))
    with pytest.raises(RefusedError, match="refused the dataset ann/toy-models: title is required"):
        publisher.put_dataset(dataset, DATASET, "first")


def test_a_dataset_of_somebody_else_is_refused_with_the_next_step(
    publisher: Publisher, dataset: Path
) -> None:
    assert publisher.dataset_version("bob/toy-models") is None
    with pytest.raises(RefusedError, match="begin with the name of the account"):
        publisher.put_dataset(dataset, "bob/toy-models", "first")


def test_no_room_for_the_archives(
    publisher: Publisher, server: Server, dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(needed: int, destination: Path) -> None:
        raise DiskFull("full")

    monkeypatch.setattr(archives, "check_space", full)
    with pytest.raises(DiskFull):
        publisher.put_dataset(dataset, DATASET, "first")
    assert not server.calls("StartBlobUpload")


# -- lost answers


CALLS: dict[str, Callable[[Publisher, Path, Path], Any]] = {
    "CreateDataset": lambda p, data, kernel: p.put_dataset(data, DATASET, "first"),
    "SaveKernel": lambda p, data, kernel: p.push_kernel(kernel),
    "CreateCodeSubmission": lambda p, data, kernel: p.submit_kernel(
        KERNEL, 1, NAMES.file, "x [kit 0123456789 v1]"
    ),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "lost"},
        {"kind": "drop"},
        {"kind": "hang", "seconds": 2.0},
        {"kind": "status", "status": 502},
        {"kind": "html", "status": 200},
    ],
    ids=lambda fault: f"{fault['kind']}{fault.get('status', '')}",
)
def test_what_may_have_arrived_is_sent_once_and_called_lost(
    publisher: Publisher, server: Server, dataset: Path, kernel: Path, call: str,
    fault: dict[str, Any],
) -> None:  # fmt: skip
    if call == "CreateCodeSubmission":
        publisher.push_kernel(kernel)
        waited(lambda: publisher.kernel_state(KERNEL, 1))
    before = len(server.calls(call))
    server.fault(call, **fault)
    with pytest.raises(LostAnswer):
        CALLS[call](publisher, dataset, kernel)
    assert len(server.calls(call)) == before + 1


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("status", [400, 403, 429])
def test_a_refusal_is_none(
    publisher: Publisher, server: Server, dataset: Path, kernel: Path, call: str, status: int
) -> None:
    server.fault(call, "status", status=status, message="No, \x1b[31mred\x1b[0m")
    # of a submission no refusal in words that kit does not know is believed
    unsure = call == "CreateCodeSubmission" and status != 429
    with pytest.raises(ProviderError, match="No, red") as caught:
        CALLS[call](publisher, dataset, kernel)
    assert isinstance(caught.value, LostAnswer if unsure else RefusedError)
    assert len(server.calls(call)) == 1


def test_a_server_that_cannot_be_reached_was_sent_nothing(
    publisher: Publisher, server: Server, kernel: Path, naps: Naps
) -> None:
    server.__exit__()
    with pytest.raises(ProviderError, match="cannot be reached") as caught:
        publisher.push_kernel(kernel)
    assert not isinstance(caught.value, LostAnswer)


@pytest.mark.parametrize("call", ["GetDataset", "GetKernel"])
def test_no_answer_is_not_no_such_thing(publisher: Publisher, server: Server, call: str) -> None:
    """Else a new dataset would be made where a version was wanted."""
    server.fault(call, "status", status=503, times=20)
    with pytest.raises(ProviderError, match="503"):
        publisher.dataset_version(DATASET) if call == "GetDataset" else publisher.kernel_version(
            KERNEL
        )


# -- kernels


def test_a_kernel_is_pushed_with_every_setting(
    publisher: Publisher, server: Server, dataset: Path, kernel: Path
) -> None:
    publisher.put_dataset(dataset, DATASET, "first")
    assert publisher.kernel_version(KERNEL) is None
    pushed = publisher.push_kernel(kernel)
    assert (pushed.version, pushed.error, dict(pushed.invalid)) == (1, "", {})
    (sent,) = server.calls("SaveKernel")
    assert sent.body == {
        "slug": KERNEL, "newTitle": "toy models inference", "text": "print('ä')\n",
        "language": "python", "kernelType": "script", "isPrivate": True, "enableGpu": False,
        "enableTpu": False, "enableInternet": False, "datasetDataSources": [DATASET],
        "competitionDataSources": ["toy"],
    }  # fmt: skip
    assert publisher.push_kernel(kernel).version == 2
    assert publisher.kernel_version(KERNEL) == 2


def test_a_kernel_on_a_gpu_names_the_machine(
    publisher: Publisher, server: Server, kernel: Path
) -> None:
    metadata = kernel_metadata(NAMES, "inference.py", gpu=True)
    (kernel / "kernel-metadata.json").write_text(json.dumps(metadata))
    publisher.push_kernel(kernel)
    (sent,) = server.calls("SaveKernel")
    assert (sent.body["enableGpu"], sent.body["machineShape"]) == (True, "NvidiaTeslaT4")


def test_a_push_that_was_refused_in_its_answer(
    publisher: Publisher, server: Server, kernel: Path
) -> None:
    server.refuses = "Maximum batch GPU session count of 2 reached.\x1b[2J"
    pushed = publisher.push_kernel(kernel)
    assert (pushed.version, pushed.error) == (None, "Maximum batch GPU session count of 2 reached.")


def test_sources_that_were_left_out_are_told(
    publisher: Publisher, server: Server, kernel: Path
) -> None:
    server.without = {"invalidCompetitionSources": ["toy"], "invalidTags": ["x"]}
    pushed = publisher.push_kernel(kernel)  # there is no dataset
    assert dict(pushed.invalid) == {"dataset sources": (DATASET,), "competition sources": ("toy",)}


def test_the_state_is_that_of_the_version_that_was_asked_for(
    ran: Publisher, server: Server, kernel: Path
) -> None:
    ran.push_kernel(kernel)
    assert ran.kernel_state(KERNEL, 2).status == "waiting", "the run of version 1 is no answer"
    assert ran.kernel_state(KERNEL, 1).status == "done"
    assert {call.body["versionLabel"] for call in server.calls("GetKernelSessionStatus")} == {
        "v1", "v2",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("status", "told"),
    [
        ("QUEUED", "waiting"), ("RUNNING", "waiting"), ("NEW_SCRIPT", "waiting"),
        ("CANCEL_REQUESTED", "waiting"), ("SCORING_V2", "waiting"), ("", "waiting"),
        ("COMPLETE", "done"), ("ERROR", "failed"), ("CANCEL_ACKNOWLEDGED", "failed"),
        ("KERNEL_WORKER_STATUS_ERROR", "failed"),
    ],
)  # fmt: skip
def test_states_of_a_run(ran: Publisher, server: Server, status: str, told: str) -> None:
    server.GetKernelSessionStatus = lambda body, user: {"status": status}  # type: ignore[method-assign]
    assert ran.kernel_state(KERNEL, 1).status == told


def test_a_failed_run_tells_its_message_and_its_last_words(
    publisher: Publisher, server: Server, kernel: Path
) -> None:
    def fails(session: Session) -> Files:
        session.log = "starting\nkit export: no bundle.json\x1b[31m below /kaggle/input\ntrailer\n"
        raise ValueError("Notebook Threw Exception")

    server.runs = fails
    publisher.push_kernel(kernel)
    state = waited(lambda: publisher.kernel_state(KERNEL, 1))
    assert state == State(
        status="failed",
        reason="Notebook Threw Exception; kit export: no bundle.json below /kaggle/input",
    )
    server.fault("ListKernelSessionOutput", "status", status=500, times=9)
    assert publisher.kernel_state(KERNEL, 1).reason == "Notebook Threw Exception"


# -- output


def test_the_output_is_fetched_and_nothing_else(
    ran: Publisher, server: Server, tmp_path: Path
) -> None:
    folder = tmp_path / "output"
    folder.mkdir()
    evil = {"../../pwn.txt": b"x", "/etc/passwd": b"x", "a/submission.csv": b"x", "log.txt": b"x"}
    others = {f"plot-{n}.png": b"p" for n in range(450)}
    server.kernels[KERNEL][0].output = {**evil, **others, "submission.csv": OUTPUT}
    written = ran.kernel_output(KERNEL, 1, "submission.csv", folder)
    assert written.path == folder / "submission.csv"
    assert written.path.read_bytes() == OUTPUT
    assert len(written.names) == 455
    assert [path.name for path in folder.iterdir()] == ["submission.csv"]
    assert [path.name for path in tmp_path.rglob("pwn*")] == []
    (fetched,) = server.calls("GET")
    assert "Authorization" not in fetched.headers, "the storage is another host"


def test_a_file_that_was_not_written(ran: Publisher, server: Server, tmp_path: Path) -> None:
    server.kernels[KERNEL][0].output = {"a/submission.csv": b"x", "log\x1b[2J.txt": b"x"}
    written = ran.kernel_output(KERNEL, 1, "submission.csv", tmp_path)
    assert (written.path, written.names) == (None, ("a/submission.csv", "log.txt"))
    assert not server.calls("GET")


@pytest.mark.parametrize("kind", ["cut", "corrupt", "drop"])
def test_an_output_that_arrives_damaged_is_fetched_anew(
    ran: Publisher, server: Server, tmp_path: Path, kind: Any
) -> None:
    server.fault("GET", kind, after=4)
    written = ran.kernel_output(KERNEL, 1, "submission.csv", tmp_path)
    assert written.path is not None
    assert written.path.read_bytes() == OUTPUT


def test_an_output_that_never_arrives_is_an_error(
    ran: Publisher, server: Server, tmp_path: Path
) -> None:
    server.fault("GET", "drop", times=50)
    with pytest.raises(ProviderError, match=r"the download of submission\.csv"):
        ran.kernel_output(KERNEL, 1, "submission.csv", tmp_path)
    assert not (tmp_path / "submission.csv").exists()


# -- submission


def test_a_version_is_submitted_and_read_back(ran: Publisher, server: Server) -> None:
    assert ran.limits().left_today == 5
    sent = ran.submit_kernel(KERNEL, 1, "submission.csv", "hello [kit 0123456789 v1]")
    (handed,) = server.submissions
    assert (sent.ref, sent.status, sent.file_name) == (str(handed.ref), "pending", "submission.csv")
    assert handed.content == OUTPUT
    assert [entry.ref for entry in ran.submissions()] == [sent.ref]
    (call,) = server.calls("CreateCodeSubmission")
    assert call.body == {
        "competitionName": "toy", "kernelOwner": "ann", "kernelSlug": "toy-models-inference",
        "kernelVersion": 1, "fileName": "submission.csv",
        "submissionDescription": "hello [kit 0123456789 v1]",
    }  # fmt: skip


def test_a_late_one_is_said_to_be_late(ran: Publisher, server: Server) -> None:
    server.competitions["toy"].deadline = datetime.now(UTC) - timedelta(days=1)
    assert "late submission" in ran.limits().note
    ran.submit_kernel(KERNEL, 1, "submission.csv", "x")
    assert [entry.late for entry in ran.submissions()] == [True]


def internet(server: Server) -> None:
    server.kernels[KERNEL][0].saved["enableInternet"] = True


def other_data(server: Server) -> None:
    server.kernels[KERNEL][0].saved["competitionDataSources"] = []


def running(server: Server) -> None:
    server.kernels[KERNEL][0].status = "RUNNING"


def used_up(server: Server) -> None:
    for _ in range(5):
        server.hand_in("toy", "x.csv", b"")


def slow(server: Server) -> None:
    words = "Your Notebook's runtime of 233 minutes exceeds this competition's GPU max of 120."
    server.fault("CreateCodeSubmission", "status", status=400, message=words)


def gpu(server: Server) -> None:
    words = "Your Notebook cannot use P100 GPUs in this competition."
    server.fault("CreateCodeSubmission", "status", status=400, message=words)


@pytest.mark.parametrize(
    ("spoil", "told", "way"),
    [
        (internet, "toy takes no kernel with internet", "Export and push once more"),
        (other_data, "does not read the data of toy", "--competition toy"),
        (running, "does not find the kernel's output", "again in some minutes"),
        (slow, "took longer than toy allows", "fewer or quicker models"),
        (gpu, "no kernel on that machine", "without --gpu"),
        (used_up, "no submission is left today", "at 00:00 UTC"),
    ],
)
def test_refusals_are_a_sentence_and_the_next_step(
    ran: Publisher, server: Server, spoil: Callable[[Server], None], told: str, way: str
) -> None:
    spoil(server)
    before = len(server.submissions)
    with pytest.raises(RefusedError, match=told) as caught:
        ran.submit_kernel(KERNEL, 1, "submission.csv", "x")
    assert way in str(caught.value).splitlines()[1]
    assert isinstance(caught.value, QuotaError) == (spoil is used_up)
    assert len(server.submissions) == before


def test_a_version_that_is_not_there_is_refused(ran: Publisher) -> None:
    with pytest.raises(RefusedError, match="may not do that"):
        ran.submit_kernel(KERNEL, 7, "submission.csv", "x")


def test_an_answer_without_a_reference_is_not_taken_for_success(
    ran: Publisher, server: Server
) -> None:
    server.CreateCodeSubmission = lambda body, user: {"message": "Hm", "ref": 0}  # type: ignore[method-assign]
    with pytest.raises(LostAnswer, match="Hm"):
        ran.submit_kernel(KERNEL, 1, "submission.csv", "x")


def test_the_publisher_is_one_of_the_contract(publisher: Publisher) -> None:
    assert isinstance(publisher, KagglePublisher)
    wanted = {name for name in vars(Publisher) if not name.startswith("_")}
    assert wanted <= set(dir(publisher))
