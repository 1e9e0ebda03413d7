"""Upload, push, poll, check, submit: in order, once each, and what a failure leaves behind."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from kit.atomic import machine
from kit.competition import Competition
from kit.errors import (
    AuthError,
    Interrupted,
    KitError,
    ProviderError,
    QuotaError,
    RefusedError,
    RunError,
    SubmissionError,
)
from kit.export import ready
from kit.export.bundle import Bundle
from kit.export.journal import Published
from kit.export.names import Names, names_of
from kit.export.publishing import Push
from kit.export.ready import Exported
from kit.housekeeping import leftovers, remove
from kit.providers.base import Attempt, Limits, Submitted
from kit.providers.marks import attempt_mark, content_mark
from kit.providers.publishing import LostAnswer, Pushed, State, Written
from kit.runs import find_run, publish
from kit.submission.receipts import read_receipts

Make = Callable[..., Competition]
OTHER = names_of("toy", "ann/other-models", "toy", "submission.csv")
WAIT, DONE = State(status="waiting"), State(status="done")


@dataclass
class Fake:
    """Kaggle, as a publisher shows it; `faults` is what the next call of a name raises."""

    file: Path
    calls: list[str] = field(default_factory=list)
    faults: dict[str, list[Exception | None]] = field(default_factory=dict)
    arrives: bool = True  # whether what raises `LostAnswer` had its effect
    datasets: int = 3
    kernels: int = 0
    dataset_states: list[State] = field(default_factory=lambda: [WAIT, DONE])
    kernel_states: list[State] = field(default_factory=lambda: [WAIT, WAIT, DONE])
    error: str = ""
    invalid: dict[str, tuple[str, ...]] = field(default_factory=dict)
    sent: list[Submitted] = field(default_factory=list)
    left: int | None = 5
    status: str = "pending"
    user: str = "ann"
    late: bool = False  # whether the list shows nothing yet
    lists: bool = True
    contents: list[str] = field(default_factory=list)  # it was asked for

    def _call(self, name: str, effect: Callable[[], None] = lambda: None) -> None:
        if name != "kernel_state":  # asked as often as it takes
            self.calls.append(name)
        planned = self.faults.get(name) or [None]
        fault = planned.pop(0)
        if fault is None or (isinstance(fault, LostAnswer) and self.arrives):
            effect()
        if fault is not None:
            raise fault

    def account(self) -> str:
        return self.user

    def dataset_version(self, dataset: str) -> int | None:
        return self.datasets or None

    def put_dataset(self, folder: Path, dataset: str, message: str) -> int | None:
        assert (folder / "bundle.json").is_file()
        self._call("put_dataset", lambda: setattr(self, "datasets", self.datasets + 1))
        return None  # Kaggle does not say

    def dataset_state(self, dataset: str) -> State:
        if self.datasets == 3:  # nothing new is on its way
            return DONE
        return self.dataset_states.pop(0) if len(self.dataset_states) > 1 else DONE

    def kernel_version(self, kernel: str) -> int | None:
        return self.kernels or None

    def push_kernel(self, folder: Path) -> Pushed:
        self._call("push_kernel", lambda: setattr(self, "kernels", self.kernels + 1))
        return Pushed(version=self.kernels, error=self.error, invalid=self.invalid)

    def kernel_state(self, kernel: str, version: int) -> State:
        self._call("kernel_state")
        many = len(self.kernel_states) > 1
        return self.kernel_states.pop(0) if many else self.kernel_states[0]

    def kernel_output(self, kernel: str, version: int, file: str, folder: Path) -> Written:
        self._call("kernel_output")
        if file != self.file.name:
            return Written(path=None, names=(self.file.name,))
        return Written(path=Path(shutil.copy(self.file, folder / file)), names=(file,))

    def limits(self) -> Limits:
        return Limits(left_today=self.left, resets="in 5 h")

    def submissions(self) -> list[Submitted]:
        self.calls.append("submissions")
        return self._listed()

    def same(self, content: str) -> list[Submitted]:
        self.contents.append(content)
        return [one for one in self._listed() if content_mark(content) in one.message]

    def _listed(self) -> list[Submitted]:
        if not self.lists:
            raise ProviderError("HTTP 503")
        return [] if self.late else self.sent

    def attempt(self, content: str) -> Attempt:
        return Attempt(account=self.user, mark=attempt_mark(content))

    def submit_kernel(self, kernel: str, version: int, file: str, message: str) -> Submitted:
        one = Submitted(
            ref=f"{len(self.sent) + 1}", status=self.status, created="", message=message
        )
        self._call("submit_kernel", lambda: self.sent.append(one))
        assert (version <= self.kernels, file) == (True, self.file.name)
        return one

    def times(self, name: str) -> int:
        return self.calls.count(name)


@pytest.fixture
def competition(make_competition: Make) -> Competition:
    frame = pd.DataFrame({"id": ["a", "b", "c", "d"], "x": [1.0, 2, 3, 4], "y": [0, 1, 0, 1]})
    return make_competition(frame, frame[:2].drop(columns="y"))


@pytest.fixture
def made(competition: Competition) -> Exported:
    record = {
        "hash": "abcdef" * 5,
        "kind": "cv",
        "model": "linear",
        "score": {"value": 0.8, "oof": 0.8, "mean": 0.8, "std": 0.1, "folds": [0.7, 0.9]},
        "metric": {"name": "roc_auc", "greater_is_better": True},
        "digests": {"folds": "f"},
    }
    run = publish(competition.runs, record, config={}, frames={}, code={})
    folder = competition.root / "exports" / run.id
    names = names_of("toy", "ann/toy-models", "toy", "submission.csv")
    bundle = Bundle(folder=folder, names=names, digest="d" * 32)
    for path in (bundle.dataset, bundle.kernel, folder / "proof"):
        path.mkdir(parents=True)
    (bundle.dataset / "bundle.json").write_text(json.dumps({"record": {"run": run.id}}))
    bundle.script.write_text("pass\n")
    (bundle.kernel / "kernel-metadata.json").write_text('{"enable_gpu": "false"}')
    (folder / "proof" / "submission.csv").write_text("id,y\na,0.25\nb,0.75\n")
    return Exported(
        bundle=bundle, proof=None, wheels=None, bytes=10, hours=None, missing=(), notes=()
    )


@pytest.fixture
def fake(made: Exported) -> Fake:
    return Fake(file=made.bundle.folder / "proof" / "submission.csv")


@pytest.fixture
def push(competition: Competition, made: Exported, fake: Fake) -> Callable[..., Published]:
    """``push(submit=True)``: as a new process would do it."""

    def go(
        submit: bool = True, again: bool = False, names: Names | None = None, **changes: Any
    ) -> Published:
        if names is not None:
            bundle = Bundle(folder=made.bundle.folder, names=names, digest=made.bundle.digest)
            changes = {**changes, "bundle": bundle}
        exported = Exported(**{**vars(made), **changes})
        going = Push(competition, exported, fake, hours=9.0, sleep=lambda s: None)
        return going.run(submit=submit, again=again)

    return go


def test_everything_in_order_and_once(
    push: Callable[..., Published], fake: Fake, competition: Competition, made: Exported
) -> None:
    done = push()
    assert fake.calls == ["put_dataset", "push_kernel", "kernel_output", "submit_kernel"]
    assert (done.dataset_version, done.kernel_version) == (4, 1)
    assert done.submitted is not None
    assert done.output == made.bundle.folder / "output" / "submission.csv"
    assert done.output.read_text() == fake.file.read_text()
    (receipt,) = read_receipts(competition.submissions)[0]
    assert (receipt.status, receipt.ref, receipt.provider) == ("pending", "1", "kaggle")
    assert receipt.cv is not None
    assert receipt.cv["value"] == 0.8


def test_the_same_command_again_sends_nothing_again(
    push: Callable[..., Published], fake: Fake, competition: Competition
) -> None:
    first = push(submit=False)
    assert first.submitted is None
    assert fake.times("submit_kernel") == 0
    push()
    again = push()
    assert again.submitted is not None
    for name in ("put_dataset", "push_kernel", "submit_kernel"):
        assert fake.times(name) == 1
    assert len(read_receipts(competition.submissions)[0]) == 1


def test_another_bundle_is_sent_anew(
    push: Callable[..., Published], fake: Fake, made: Exported
) -> None:
    push(submit=False)
    made.bundle.script.write_text("pass  # other\n")
    push(submit=False)
    assert fake.times("put_dataset") == fake.times("push_kernel") == 2


@pytest.mark.parametrize("step", ["put_dataset", "push_kernel", "submit_kernel"])
def test_a_lost_answer_is_looked_for_and_nothing_is_sent_twice(
    push: Callable[..., Published], fake: Fake, step: str
) -> None:
    fake.faults[step] = [LostAnswer("connection reset")]
    done = push()
    assert done.submitted is not None
    assert fake.times(step) == 1
    assert len(fake.sent) == 1
    assert (fake.datasets, fake.kernels) == (4, 1)


@pytest.mark.parametrize("step", ["put_dataset", "push_kernel", "submit_kernel"])
def test_what_never_arrived_is_sent_by_the_next_call_after_looking(
    push: Callable[..., Published], fake: Fake, competition: Competition, step: str
) -> None:
    fake.faults[step], fake.arrives = [LostAnswer("connection reset")], False
    with pytest.raises(ProviderError, match="was lost"):
        push()
    assert fake.times(step) == 1
    if step == "submit_kernel":
        with pytest.raises(SubmissionError, match="--again looks once more"):
            push()
        assert fake.times(step) == 1
    push(again=step == "submit_kernel")
    assert fake.times(step) == 2
    assert len(fake.sent) == 1
    if step == "submit_kernel":
        assert fake.calls.index("submissions") < len(fake.calls) - 1
        lost, made = sorted(read_receipts(competition.submissions)[0], key=lambda r: r.status)[::-1]
        assert (lost.status, made.status) == ("sent", "pending")


@pytest.mark.parametrize("step", ["put_dataset", "push_kernel", "submit_kernel"])
def test_what_arrived_after_all_is_found_by_the_next_call(
    push: Callable[..., Published], fake: Fake, competition: Competition, step: str
) -> None:
    """The process dies between sending and the answer: what the server has says what happened."""
    fake.faults[step] = [KeyboardInterrupt()]  # type: ignore[list-item]
    with pytest.raises(KeyboardInterrupt):
        push()
    if step == "put_dataset":
        fake.datasets += 1
    elif step == "push_kernel":
        fake.kernels += 1
    else:
        (receipt,) = read_receipts(competition.submissions)[0]
        fake.sent.append(
            Submitted(ref="1", status="pending", created="", message=f"x {receipt.mark}")
        )
    push()
    assert fake.times(step) == 1
    assert (fake.datasets, fake.kernels, len(fake.sent)) == (4, 1, 1)


@pytest.mark.parametrize("step", ["put_dataset", "push_kernel", "submit_kernel"])
def test_a_refusal_ends_it_and_the_next_call_may_try_again(
    push: Callable[..., Published], fake: Fake, competition: Competition, step: str
) -> None:
    fake.faults[step] = [RefusedError("no")]
    with pytest.raises(RefusedError, match=r"^no\b") as caught:
        push()
    assert caught.value.exit_code == 3
    if step != "submit_kernel":
        place = "datasets/ann/toy-models;" if step == "put_dataset" else "code/ann/toy-models-inf"
        assert f"Look at https://www.kaggle.com/{place}" in str(caught.value)
    assert read_receipts(competition.submissions)[0] == []
    push()
    assert fake.times(step) == 2


def test_a_kernel_with_an_error_in_its_answer_is_refused(
    push: Callable[..., Published], fake: Fake
) -> None:
    fake.error = "Notebook not found"
    with pytest.raises(ProviderError, match=r"refused the kernel .*: Notebook not found"):
        push()
    assert "kernel_output" not in fake.calls


@pytest.mark.parametrize("kind", ["dataset sources", "competition sources"])
def test_a_kernel_without_its_sources_is_a_failure(
    push: Callable[..., Published], fake: Fake, kind: str
) -> None:
    fake.invalid = {kind: ("ann/toy-models",), "tags": ()}
    with pytest.raises(ProviderError, match=f"without what it needs: {kind} ann/toy-models"):
        push()
    assert fake.sent == []


def test_a_failed_kernel_is_told_with_its_reason_and_pushed_anew_next_time(
    push: Callable[..., Published], fake: Fake
) -> None:
    fake.kernel_states = [WAIT, State(status="failed", reason="Out of memory")]
    with pytest.raises(ProviderError, match="version 1 failed on Kaggle: Out of memory") as told:
        push()
    assert "sends it once more, as a new version" in str(told.value)
    fake.kernel_states = [DONE]
    assert push().kernel_version == 2
    assert fake.times("put_dataset") == 1


def test_a_dataset_that_fails_is_never_used(push: Callable[..., Published], fake: Fake) -> None:
    fake.dataset_states = [State(status="failed", reason="corrupt archive"), DONE]
    with pytest.raises(ProviderError, match=r"dataset ann/toy-models failed .* corrupt archive"):
        push()
    assert "push_kernel" not in fake.calls


def test_waiting_has_an_end_and_goes_on_later(push: Callable[..., Published], fake: Fake) -> None:
    fake.kernel_states = [WAIT]
    with pytest.raises(ProviderError, match="is not done after 12 h"):
        push()
    fake.kernel_states = [DONE]
    push()
    assert fake.times("push_kernel") == 1


def test_a_server_that_fails_for_a_while_does_not_end_the_wait(
    push: Callable[..., Published], fake: Fake
) -> None:
    errors = [RefusedError("not there yet"), *(ProviderError("HTTP 503") for _ in range(4))]
    fake.faults["kernel_state"] = [*errors, None, *errors, None]
    assert push().submitted is not None


@pytest.mark.parametrize(
    "errors",
    [
        [ProviderError("HTTP 503")] * 6,
        [RefusedError("no such kernel")] * 6,
        [AuthError("no such token")],
    ],
)
def test_a_server_that_fails_for_long_or_refuses_ends_the_wait(
    push: Callable[..., Published], fake: Fake, errors: list[Exception | None]
) -> None:
    fake.faults["kernel_state"] = errors
    with pytest.raises(ProviderError, match=r"HTTP 503|no such"):
        push()
    assert fake.times("submit_kernel") == 0
    assert push().submitted is not None
    assert fake.times("push_kernel") == 1


def test_a_version_of_somebody_else_is_not_submitted(
    push: Callable[..., Published], fake: Fake
) -> None:
    push(submit=False)
    fake.kernels += 1
    with pytest.raises(ProviderError, match="has version 2 by now, 1 was pushed from here") as told:
        push()
    assert "the same command again pushes this bundle once more" in str(told.value)
    assert fake.sent == []
    assert push().kernel_version == 3
    assert len(fake.sent) == 1


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("id,y\na,0.25\nb,0.5\n", "predicts something else than the proof: 1 of 4 cells"),
        ("id,y\na,0.25\n", "1 of 2 ids are missing"),
        ("id,y\na,0.25\nb,\n", "must not be empty"),
        ("id,z\na,0.25\nb,0.75\n", "columns are missing"),
    ],
)
def test_another_output_than_the_proof_s_is_not_submitted(
    push: Callable[..., Published], fake: Fake, tmp_path: Path, content: str, reason: str
) -> None:
    fake.file = tmp_path / "submission.csv"
    fake.file.write_text(content)
    with pytest.raises(SubmissionError, match=reason) as told:
        push()
    assert "the same command again pushes a new version" in str(told.value)
    assert fake.sent == []
    fake.file.write_text("id,y\na,0.25\nb,0.75\n")
    assert (push().kernel_version, len(fake.sent)) == (2, 1)


def test_output_within_the_tolerance_is_the_same(
    push: Callable[..., Published], fake: Fake, tmp_path: Path
) -> None:
    fake.file = tmp_path / "submission.csv"
    fake.file.write_text("id,y\na,0.2500001\nb,0.75\n")
    assert push().submitted is not None


def test_a_missing_output_file_is_said(
    push: Callable[..., Published], fake: Fake, made: Exported, tmp_path: Path
) -> None:
    fake.file = tmp_path / "log.txt"
    fake.file.write_text("x")
    with pytest.raises(
        SubmissionError, match=r"wrote no submission\.csv; it wrote log\.txt"
    ) as told:
        push()
    for way in ("Is --file the name", "Look at https://www.kaggle.com/code/ann/toy-models-inf"):
        assert way in str(told.value)
    fake.file = made.bundle.folder / "proof" / "submission.csv"
    assert (push().kernel_version, len(fake.sent)) == (2, 1)


def test_no_submission_is_left(push: Callable[..., Published], fake: Fake) -> None:
    fake.left = 0
    with pytest.raises(QuotaError, match=r"no submission is left today.*in 5 h"):
        push()
    assert "submit_kernel" not in fake.calls
    fake.left = 1
    push()
    assert fake.times("push_kernel") == 1


def test_a_bundle_that_is_not_ready_or_has_no_owner_is_not_pushed(
    push: Callable[..., Published], made: Exported
) -> None:
    with pytest.raises(RunError, match="not ready to be pushed:\n  it was not tried"):
        push(missing=("it was not tried",))
    names = names_of("toy", None, None, "submission.csv")
    bundle = Bundle(folder=made.bundle.folder, names=names, digest="d")
    with pytest.raises(RunError, match="nothing is pushed without --id"):
        push(bundle=bundle)


@pytest.mark.parametrize("content", ["{", "", "[]"])
def test_a_damaged_journal_stops_before_anything_is_sent(
    push: Callable[..., Published], fake: Fake, competition: Competition, content: str
) -> None:
    path = competition.submissions / "push" / "ann--toy-models.json"
    path.parent.mkdir(parents=True)
    path.write_text(content)
    with pytest.raises(KitError, match="not known what was uploaded"):
        push()
    assert fake.calls == []


def test_text_of_the_server_is_shown_plainly(push: Callable[..., Published], fake: Fake) -> None:
    fake.error = "\x1b[31mbad\x1b[0m\r\nnews\x07 \x1b]0;title\x07[bold]here[/bold]"
    with pytest.raises(ProviderError) as caught:
        push()
    assert str(caught.value).splitlines()[0].endswith("inference: bad news [bold]here[/bold]")


# -- never twice, whatever becomes of the bundle, its folder and the journal


def lost(push: Callable[..., Published], fake: Fake) -> None:
    """The submission arrives, its answer does not, and the list is late."""
    fake.faults["submit_kernel"] = [LostAnswer("connection reset")]
    fake.late = True
    with pytest.raises(ProviderError, match="was lost"):
        push()
    assert len(fake.sent) == 1


def changed(made: Exported, competition: Competition) -> None:
    made.bundle.script.write_text("pass  # as a comment in kit.toml does it\n")


def without_journal(made: Exported, competition: Competition) -> None:
    shutil.rmtree(competition.submissions / "push")


def elsewhere(made: Exported, competition: Competition) -> None:
    changed(made, competition)
    shutil.rmtree(made.bundle.folder / "output", ignore_errors=True)


def other_bits(made: Exported, competition: Competition) -> None:
    """As a proof on another machine writes it."""
    changed(made, competition)
    proof = made.bundle.folder / "proof" / "submission.csv"
    proof.write_text(proof.read_text().replace("0.25", "0.25000001"))


@pytest.mark.parametrize("happens", [changed, without_journal, elsewhere, other_bits])
def test_after_a_lost_answer_no_other_bundle_of_the_run_is_submitted(
    push: Callable[..., Published], fake: Fake, made: Exported, competition: Competition,
    happens: Callable[..., None],
) -> None:  # fmt: skip
    lost(push, fake)
    happens(made, competition)
    with pytest.raises(SubmissionError, match="with --again looks once more"):
        push()
    fake.late = False
    with pytest.raises(SubmissionError, match="It did arrive, as '1'"):
        push(again=True)
    for _ in range(2):
        with pytest.raises(SubmissionError, match="handed in before"):
            push()
    assert (len(fake.sent), fake.times("submit_kernel")) == (1, 1)
    assert fake.times("put_dataset") == fake.times("push_kernel") == 1, "refused before"
    push(again=True)
    assert len(fake.sent) == 2, "now it is meant"


def test_the_server_s_list_is_asked_where_nothing_is_known_here(
    push: Callable[..., Published], fake: Fake, competition: Competition
) -> None:
    push()
    shutil.rmtree(competition.submissions)
    with pytest.raises(SubmissionError, match="handed in before, elsewhere"):
        push()
    fake.lists = False
    with pytest.raises(ProviderError, match="HTTP 503"):
        push()
    assert (len(fake.sent), fake.times("put_dataset")) == (1, 1)


def test_what_somebody_else_submitted_meanwhile_is_not_submitted_again(
    push: Callable[..., Published], fake: Fake, competition: Competition
) -> None:
    """While the kernel ran, from another machine."""
    push(submit=False)
    fake.faults["kernel_output"] = [None]
    real = fake.kernel_output

    def output(*args: Any) -> Written:
        digest = fake.contents[0]
        fake.sent.append(Submitted(ref="9", status="pending", created="",
                                   message=f"x {attempt_mark(digest)}"))  # fmt: skip
        return real(*args)

    fake.kernel_output = output  # type: ignore[method-assign]
    done = push()
    assert done.submitted is not None
    assert (done.submitted.ref, fake.times("submit_kernel")) == ("9", 0)


@pytest.mark.parametrize("moment", range(3))
def test_a_kill_while_a_new_export_takes_its_place_forgets_nothing(
    push: Callable[..., Published], fake: Fake, made: Exported, competition: Competition,
    monkeypatch: pytest.MonkeyPatch, moment: int,
) -> None:  # fmt: skip
    lost(push, fake)
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    final = made.bundle.folder
    aside = final.with_name(f".{final.name}.{machine()}-{dead.pid:x}-abcdef.part")
    shutil.copytree(final, aside, ignore=shutil.ignore_patterns("output"))
    renamed = iter(range(10))
    real = os.rename

    def killed(*paths: Any) -> None:
        if next(renamed) == moment:
            raise KeyboardInterrupt
        real(*paths)

    with monkeypatch.context() as patch:
        patch.setattr(ready.os, "rename", killed)
        with pytest.raises(KeyboardInterrupt):
            ready._replace(aside, final)
    spare = competition.root / "spare"
    shutil.copytree(aside if aside.exists() else final, spare)
    for each in leftovers(competition, 0.0):
        remove(each)
    shutil.rmtree(final, ignore_errors=True)
    shutil.move(spare, final)
    with pytest.raises(SubmissionError, match="with --again looks once more"):
        push()
    fake.late = False
    assert push(again=True).kernel_version == 1
    assert fake.times("put_dataset") == fake.times("submit_kernel") == len(fake.sent) == 1


def test_two_at_once_push_and_submit_once(push: Callable[..., Published], fake: Fake) -> None:
    real, refused = fake.submit_kernel, []

    def meanwhile(*args: Any) -> Submitted:
        for change in ({}, {"again": True}, {"again": True, "names": OTHER}):
            with pytest.raises((RunError, SubmissionError)) as caught:
                push(**change)
            refused.append(str(caught.value).splitlines()[0])
        return real(*args)

    fake.submit_kernel = meanwhile  # type: ignore[method-assign]
    push()
    busy = "another `kit export` is pushing ann/toy-models-inference right now."
    assert refused == [busy, busy, "another `kit submit` is sending the same content right now."]
    assert fake.times("submit_kernel") == len(fake.sent) == 1


def test_two_exports_into_one_folder_do_not_mix(made: Exported, competition: Competition) -> None:
    run = find_run(competition.runs, made.bundle.folder.name)
    wishes = ready.Wishes(names=made.bundle.names)
    same = ready.Wishes(names=OTHER, out=made.bundle.folder)
    with ready.alone(competition, run, wishes):
        for other in (wishes, same):
            with (
                pytest.raises(RunError, match="another `kit export` is at work on"),
                ready.alone(competition, run, other),
            ):
                raise AssertionError("both are at work")
    with ready.alone(competition, run, same):
        pass


def test_ctrl_c_while_it_is_submitted_is_looked_for(
    push: Callable[..., Published], fake: Fake, competition: Competition
) -> None:
    fake.faults["submit_kernel"] = [KeyboardInterrupt()]  # type: ignore[list-item]
    with pytest.raises(Interrupted, match="`kit ledger` shows it"):
        push()
    with pytest.raises(SubmissionError, match="with --again looks once more"):
        push()
    assert [each.status for each in read_receipts(competition.submissions)[0]] == ["sent"]


def test_a_refusal_of_what_was_made_all_the_same_is_found_out(
    push: Callable[..., Published], fake: Fake, competition: Competition
) -> None:
    real = fake.submit_kernel

    def made_and_refused(*args: Any) -> Submitted:
        real(*args)
        raise RefusedError("blocked by the gateway")

    fake.submit_kernel = made_and_refused  # type: ignore[method-assign]
    done = push()
    assert done.submitted is not None
    assert (done.submitted.ref, len(fake.sent)) == ("1", 1)
    (receipt,) = read_receipts(competition.submissions)[0]
    assert receipt.status == "pending"
    push()
    assert len(fake.sent) == 1
