"""Every known failure on the way of a kernel: what `kit export --push --submit` says, and sends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from loopback_server import Server
from test_code_competition import image, kaggle, no_waits, publish, run

__all__ = ["image", "kaggle", "no_waits", "publish", "run"]
Break = Callable[[Server], Any]
NOT = "Submission not allowed:  "


@dataclass(frozen=True, kw_only=True)
class Row:
    """A failure; then all is well and the same command runs again.

    `left`: receipts, `once_more`: exit code then, `in_all`: submissions then.
    """

    breaks: Break
    told: str
    code: int = 3
    left: int = 0
    made: int = 0
    once_more: int = 0
    in_all: int = 1


def refuses(call: str, status: int, message: str = "", times: int = 99) -> Break:
    return lambda server: server.fault(call, "status", status=status, message=message, times=times)


def denies(message: str) -> Break:
    return refuses("CreateCodeSubmission", 400, NOT + message)


def fails(call: str, kind: Any, **how: Any) -> Break:
    return lambda server: server.fault(call, kind, **how)


def has(**facts: Any) -> Break:
    return lambda server: vars(server).update(facts)


def writes_nothing_of_use(server: Server) -> None:
    server.runs = lambda session: {"../../../pwn.txt": b"x", "/tmp/pwn.txt": b"x"}


def stops(session: Any) -> Any:
    raise ValueError("Notebook Timeout Exceeded")


def list_away(server: Server) -> None:
    server.fault(
        "CreateCodeSubmission", "lost", action=lambda: refuses("ListSubmissions", 503)(server)
    )


ROWS = {
    "output not there yet": Row(
        breaks=denies("Notebook is still running. Did not find provided Notebook Output File."),
        told="Run the same command again in some minutes",
    ),
    "internet": Row(
        breaks=denies("Your Notebook cannot use internet access in this competition."),
        told="takes no kernel with internet",
    ),
    "not its data": Row(
        breaks=denies("Your Notebook must include this competition as a data source"),
        told="does not read the data of toy",
    ),
    "too slow": Row(
        breaks=denies("Your Notebook's runtime of 233 minutes exceeds this competition's GPU max "
                      "of 120 minutes."),
        told="fewer or quicker models",
    ),
    "wrong machine": Row(
        breaks=denies("Your Notebook cannot use P100 GPUs in this competition."),
        told="Export without --gpu",
    ),
    "no version": Row(
        breaks=refuses("CreateCodeSubmission", 403, "Permission 'kernelSessions.get' was denied"),
        told="may not do that with this dataset or kernel",
    ),
    "none left, found out late": Row(
        breaks=denies("Your team has used its daily Submission allowance (5) today, please try."),
        told="no submission is left today",
    ),
    "none left": Row(
        breaks=lambda server: vars(server.competitions["toy"]).update(daily=0),
        told="no submission is left today",
    ),
    "429 at the submission": Row(breaks=refuses("CreateCodeSubmission", 429), told="slow down"),
    "answer lost": Row(breaks=fails("CreateCodeSubmission", "lost"), told="", code=0, left=1,
                       made=1),
    "answer lost, list away": Row(breaks=list_away, told="", left=1, made=1),
    "reset at the submission": Row(
        breaks=fails("CreateCodeSubmission", "drop", times=9), told="sends nothing without --again",
        left=1, once_more=1, in_all=0,
    ),
    "two sessions run already": Row(
        breaks=has(refuses="Maximum batch GPU session count of 2 reached."),
        told="Maximum batch GPU session count of 2",
    ),
    "429 at the push": Row(breaks=refuses("SaveKernel", 429), told="slow down"),
    "answer of the push lost": Row(
        breaks=fails("SaveKernel", "lost"), told="", code=0, left=1, made=1
    ),
    "pushed without the dataset": Row(
        breaks=has(without={"invalidDatasetSources": ["ann/toy-models"]}), told="dataset sources",
    ),
    "pushed without the competition": Row(
        breaks=has(without={"invalidCompetitionSources": ["toy"]}), told="competition sources",
    ),
    "one file of the dataset refused": Row(breaks=refuses("PUT", 403), told="No dataset was made"),
    "upload cut, and goes on": Row(
        breaks=fails("PUT", "cut", after=500), told="", code=0, left=1, made=1
    ),
    "dataset cannot be unpacked": Row(
        breaks=has(dataset_end="FAILED"), told="the dataset ann/toy-models failed on Kaggle",
    ),
    "kernel stops": Row(breaks=has(runs=stops), told="Notebook Timeout Exceeded"),
    "output under names that lead away": Row(
        breaks=writes_nothing_of_use, told="wrote no submission.csv", code=1
    ),
}  # fmt: skip


@pytest.mark.parametrize("row", ROWS.values(), ids=list(ROWS))
def test_export(row: Row, kaggle: Server, publish: Callable[..., Any], tmp_path: Path) -> None:
    as_proven = kaggle.runs
    row.breaks(kaggle)
    done = publish()
    assert (done.code, row.told in done.out + done.err) == (row.code, True), done.err
    check_words(done)
    assert len(kaggle.submissions) == row.made
    assert len(list(Path("toy/submissions").glob("*.json"))) == row.left
    kaggle.faults.clear()
    vars(kaggle.competitions["toy"]).update(daily=5)
    has(runs=as_proven, refuses="", without={}, dataset_end="READY")(kaggle)
    done = publish()
    assert done.code == row.once_more, done.err
    check_words(done)
    assert len(kaggle.submissions) == row.in_all
    assert not list(tmp_path.parent.rglob("pwn*"))
    assert not Path("/tmp/pwn.txt").exists()


def check_words(done: Any) -> None:
    for word in ("Traceback", "bug in kit", "X-Goog-Signature", "object at 0x"):
        assert word not in done.out + done.err
