"""Upload the dataset, push the kernel, check what came out of it, submit that version. Once each.

What talks to Kaggle is a provider's `Publisher`; the order of things, and what counts as a failure,
is here. What was uploaded is in a `Journal`, what was submitted in a receipt, as for a file. An
answer that was lost is looked for; nothing is sent a second time without having looked.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from kit.atomic import token
from kit.competition import Competition
from kit.errors import (
    AuthError,
    ProviderError,
    QuotaError,
    RefusedError,
    RefusedVersion,
    RunError,
    SubmissionError,
)
from kit.export.checking import check_output, plain
from kit.export.journal import Journal, Published
from kit.export.ready import OUTPUT, Exported
from kit.providers.base import Submitted
from kit.providers.marks import mark_in
from kit.providers.publishing import LostAnswer, Publisher, State
from kit.runs import find_run
from kit.submission.claiming import HandedInBefore, as_submitted, refuse_known
from kit.submission.receipts import Receipt
from kit.submission.sending import draft, hand_in

Tell = Callable[[str], None]
T = TypeVar("T")

_FIRST, _LAST = 5.0, 60.0  # seconds between two looks, growing
_DATASET_HOURS, _KERNEL_MARGIN_HOURS = 3.0, 3.0  # the queue may be long
_SHOWN_HOURS = 0.25  # until a pushed kernel is in the list
_LOOKS = 3  # for a version whose answer was lost: lists lag behind
_FAILURES = 5  # of the server in a row, while waiting
_LONGEST = 400  # characters of a description; a server that cuts it must not cut off the mark
_SITE = "https://www.kaggle.com"


class Push:
    """One bundle on its way to Kaggle.

    Args:
        competition: the competition.
        exported: the bundle; it must be ready.
        publisher: who talks to Kaggle.
        hours: how long the kernel may run.
        tell: told what happens.
        sleep: waits so many seconds.

    Raises:
        RunError: the bundle is not ready, or its names are not complete.
    """

    def __init__(
        self,
        competition: Competition,
        exported: Exported,
        publisher: Publisher,
        *,
        hours: float,
        tell: Tell = lambda text: None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if not exported.ready:
            raise RunError("the bundle is not ready to be pushed:\n  " + exported.missing[0])
        if not exported.bundle.names.complete:
            raise RunError("nothing is pushed without --id USER/SLUG, your name on Kaggle in it")
        self.competition, self.exported, self.publisher = competition, exported, publisher
        self.hours, self.tell, self.sleep = hours, tell, sleep
        self.bundle, self.names = exported.bundle, exported.bundle.names
        self.journal = Journal(competition, self.bundle)

    def run(self, *, submit: bool, message: str = "", again: bool = False) -> Published:
        """Go as far as asked; what an earlier call has done is not done again.

        Args:
            submit: whether to submit the version once its output is checked.
            message: the description; a mark is added, to find it again.
            again: submit although the run was submitted before; what got no answer is looked for
                first all the same.

        Raises:
            ProviderError: refused, failed, or not finished in time.
            SubmissionError: the kernel's output is not what the proof wrote, or the run was
                submitted before, or may have been.
            RunError: another process is pushing this kernel.
        """
        with self.journal.opened():
            known = self._known(again) if submit else None
            return known or self._pushed(submit, message, again)

    def _known(self, again: bool) -> Published | None:
        """What an earlier call submitted of this bundle; refuses before anything is pushed."""
        proof = self.bundle.folder / "proof" / self.names.file
        try:
            refuse_known(self.competition, self._draft(proof, 0, ""), self.publisher, again=again)
        except HandedInBefore as before:
            versions = [self.journal[step].get("version") for step in ("dataset", "kernel")]
            ours = before.receipt is not None and before.receipt.kernel.startswith(
                f"{self.names.kernel}, "
            )
            if None in versions or not ours or (again and not before.arrived):
                raise  # of another bundle or kernel, from another machine, or not to be told
            self.tell(f"  this run was submitted before, as {before.submitted.ref}")
            output = self.bundle.folder / OUTPUT / self.names.file
            return Published(
                dataset_version=int(versions[0] or 0),
                kernel_version=int(versions[1] or 0),
                output=output if output.is_file() else None,
                submitted=before.submitted,
            )
        return None

    def _pushed(self, submit: bool, message: str, again: bool) -> Published:
        names = self.names
        dataset = self._once("dataset", self._dataset_version, self._put_dataset, _DATASET_HOURS)
        self._wait(
            "dataset",
            lambda: self.publisher.dataset_state(names.dataset),
            f"the dataset {names.dataset}",
            _DATASET_HOURS,
        )
        kernel = self._once("kernel", self._kernel_version, self._push_kernel, _SHOWN_HOURS)
        self._wait(
            "kernel",
            lambda: self.publisher.kernel_state(names.kernel, kernel),
            f"the kernel {names.kernel}, version {kernel}",
            self.hours + _KERNEL_MARGIN_HOURS,
        )
        newest = self.publisher.kernel_version(names.kernel)
        if newest != kernel:
            self.journal["kernel"] = {}
            raise ProviderError(
                f"{names.kernel} has version {newest} by now, {kernel} was pushed from here: "
                "somebody else pushed one. Nothing was submitted."
                + self._way("kernel", "pushes this bundle once more, as a newer version")
            )
        output = self._output(kernel)
        submitted = self._submit(kernel, output, message, again) if submit else None
        return Published(
            dataset_version=dataset, kernel_version=kernel, output=output, submitted=submitted
        )

    def _dataset_version(self) -> int:
        return self.publisher.dataset_version(self.names.dataset) or 0

    def _kernel_version(self) -> int:
        return self.publisher.kernel_version(self.names.kernel) or 0

    def _put_dataset(self) -> int | None:
        self.tell(f"  uploading {self.names.dataset} ({self.exported.bytes / 1e6:.1f} MB)")
        run = self.bundle.facts()["record"]["run"]
        return self.publisher.put_dataset(self.bundle.dataset, self.names.dataset, run)

    def _push_kernel(self) -> int | None:
        self.tell(f"  pushing {self.names.kernel}")
        pushed = self.publisher.push_kernel(self.bundle.kernel)
        if pushed.error:
            why = plain(pushed.error)
            raise RefusedError(f"Kaggle refused the kernel {self.names.kernel}: {why}")
        left_out = [
            plain(f"{kind} {', '.join(refs)}") for kind, refs in pushed.invalid.items() if refs
        ]
        if left_out:
            raise ProviderError(
                f"Kaggle took the kernel {self.names.kernel} without what it needs: "
                f"{'; '.join(left_out)}.\n  Are the competition's rules accepted, and does "
                f"--competition name it ({self.names.competition})? Then export and push again."
            )
        return pushed.version

    def _once(
        self, step: str, look: Callable[[], int], send: Callable[[], int | None], hours: float
    ) -> int:
        """Send unless it was sent; the version that came of it, which may take hours to be seen."""
        entry = self.journal[step]
        if "version" in entry:
            return int(entry["version"])
        if "before" in entry:  # sent by a call that never learned what became of it
            before = int(entry["before"])
            if entry.get("taken"):
                return self._done(step, self._shown(step, look, before, hours))
            found = self._found(step, look, before, hours)
            if found is not None:
                return self._done(step, found)
        before = look()
        self.journal[step] = {"before": before}
        try:
            version = send()
        except LostAnswer as error:
            self.tell(f"  the answer was lost ({error}); looking what became of it")
            version = self._found(step, look, before, hours)
            if version is None:
                raise ProviderError(
                    f"the answer to the {step} was lost and no new version is there: {error}\n"
                    "  The same command again looks once more, and only then sends again."
                ) from error
        except ProviderError as error:
            self.journal[step] = {}  # refused: nothing is on its way
            if "\n" in str(error):  # it says itself what to do
                raise
            raise type(error)(f"{error}{self._way(step, 'sends it once more')}") from error
        if version is None:
            self.journal[step] = {"before": before, "taken": True}
            version = self._shown(step, look, before, hours)
        return self._done(step, version)

    def _shown(self, step: str, look: Callable[[], int], before: int, hours: float) -> int:
        """The number of a version that was taken; Kaggle may show it only when it is unpacked."""
        waited, pause = 0.0, _FIRST
        while (found := self._asked(look)) <= before:
            if waited > hours * 3600:
                self.journal[step] = {}
                raise ProviderError(
                    f"Kaggle took the {step} and shows no new version of it after {hours:g} h.\n"
                    "  Look at it on Kaggle; the same command again sends it once more."
                )
            if not waited:
                self.tell(f"  waiting until Kaggle shows the {step}; Ctrl-C stops waiting")
            self._failed_meanwhile(step)
            self.sleep(pause)
            waited, pause = waited + pause, min(pause * 1.5, _LAST)
        return found

    def _failed_meanwhile(self, step: str) -> None:
        if step != "dataset":
            return
        state = self._asked(lambda: self.publisher.dataset_state(self.names.dataset))
        if state.status == "failed":
            self.journal[step] = {}
            raise self._failed(step, f"the dataset {self.names.dataset}", state)

    def _found(self, step: str, look: Callable[[], int], before: int, hours: float) -> int | None:
        """The version of what may have arrived; a dataset that is being unpacked has none yet."""
        found = self._newer(look, before)
        if found is None and step == "dataset" and before:
            state = self.publisher.dataset_state(self.names.dataset)
            if state.status == "waiting":
                self.journal[step] = {"before": before, "taken": True}
                return self._shown(step, look, before, hours)
        return found

    def _newer(self, look: Callable[[], int], before: int) -> int | None:
        for attempt in range(_LOOKS):
            if attempt:
                self.sleep(_FIRST)
            found = look()
            if found > before:
                return found
        return None

    def _wait(self, step: str, state: Callable[[], State], what: str, hours: float) -> None:
        """Poll until done; pauses grow."""
        waited, pause = 0.0, _FIRST
        while (found := self._asked(state)).status == "waiting":
            if waited > hours * 3600:
                raise ProviderError(
                    f"{what} is not done after {hours:g} h. It goes on there; the same command "
                    "again goes on from here."
                )
            if not waited:
                self.tell(f"  waiting for {what}; Ctrl-C stops waiting, it goes on there")
            self.sleep(pause)
            waited, pause = waited + pause, min(pause * 1.5, _LAST)
        if found.status == "failed":
            self.journal[step] = {}  # the next push must be a new version
            raise self._failed(step, what, found)

    def _failed(self, step: str, what: str, state: State) -> ProviderError:
        why = f"{what} failed on Kaggle: {plain(state.reason) or 'no reason given'}"
        return ProviderError(why + self._way(step, "sends it once more, as a new version"))

    def _way(self, step: str, does: str) -> str:
        """The next step, where one went wrong on Kaggle."""
        place = (
            f"datasets/{self.names.dataset}" if step == "dataset" else f"code/{self.names.kernel}"
        )
        return f"\n  Look at {_SITE}/{place}; the same command again {does}."

    def _asked(self, question: Callable[[], T]) -> T:
        """An answer while waiting: one that fails to come is asked for again, hours may pass.

        What was just made may be refused for some seconds as if it were not there.
        """
        for _ in range(_FAILURES):
            try:
                return question()
            except AuthError:
                raise
            except RefusedError:
                self.sleep(_FIRST)
            except ProviderError:
                self.sleep(_LAST)
        return question()

    def _output(self, version: int) -> Path:
        """Fetch the kernel's submission file and compare it with the proof's."""
        aside = self.bundle.folder / f".output-{token()}"
        aside.mkdir()
        try:
            written = self.publisher.kernel_output(
                self.names.kernel, version, self.names.file, aside
            )
            if written.path is None:
                names = plain(", ".join(sorted(written.names)[:5])) or "nothing"
                raise SubmissionError(
                    f"{self.names.kernel} wrote no {self.names.file}; it wrote {names}.\n"
                    "  Is --file the name that the competition demands?"
                )
            proof = self.bundle.folder / "proof" / self.names.file
            check_output(written.path, proof, self.competition)
            final = self.bundle.folder / OUTPUT / self.names.file
            final.parent.mkdir(exist_ok=True)
            shutil.move(written.path, final)
        except SubmissionError as error:  # that version will never write anything else
            self.journal["kernel"] = {}
            way = self._way("kernel", "pushes a new version, and asks that")
            raise SubmissionError(f"{error}{way}") from error
        finally:
            shutil.rmtree(aside, ignore_errors=True)
        return final

    def _submit(self, version: int, output: Path, message: str, again: bool) -> Submitted:
        """Submit once, by the same claim as a file (`kit.submission.sending.hand_in`)."""
        limits = self.publisher.limits()
        if limits.note:
            self.tell(f"  {plain(limits.note)}")
        if limits.left_today == 0:
            when = f" The next one: {limits.resets}." if limits.resets else ""
            raise QuotaError(
                f"no submission is left today, so nothing was submitted.{when}\n  The kernel "
                "stays; the same command then submits it."
            )
        kernel, file = self.names.kernel, self.names.file
        answers: list[Submitted] = []

        def send(text: str) -> Submitted:
            try:
                answer = self.publisher.submit_kernel(kernel, version, file, text)
            except LostAnswer as error:
                answer = self._marked(mark_in(text), error)
            answers.append(answer)
            return answer

        receipt = self._draft(output, version, message)
        try:
            done = hand_in(self.competition, receipt, self.publisher, send, again=again)
        except HandedInBefore as before:  # meanwhile, or from another machine
            self.tell(f"  {before}")
            return before.submitted
        except RefusedVersion:
            self.journal["kernel"] = {}  # the next command pushes another one
            raise
        return answers[0] if answers else as_submitted(done)

    def _marked(self, mark: str, lost: LostAnswer) -> Submitted:
        """The submission whose answer was lost; raises where the list does not show it."""
        for attempt in range(_LOOKS):
            if attempt:
                self.sleep(_FIRST)
            for one in self.publisher.submissions():
                if mark_in(one.message) == mark:
                    return one
        raise ProviderError(
            f"the answer to the submission was lost: {lost}\n  It is not in the list yet. "
            "The same command again looks once more, and sends nothing without --again."
        ) from lost

    def _draft(self, output: Path, version: int, message: str) -> Receipt:
        run = find_run(self.competition.runs, str(self.bundle.facts()["record"]["run"]))
        return draft(
            self.competition,
            output,
            run,
            plain(message or run.id)[:_LONGEST],
            ("handed in as a version of a kernel; the hidden rows are predicted on Kaggle",),
            provider="kaggle",
            kernel=f"{self.names.kernel}, version {version}",
        )

    def _done(self, step: str, version: int) -> int:
        self.journal[step] = {"version": version}
        return version
