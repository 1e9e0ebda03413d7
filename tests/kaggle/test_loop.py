"""The whole loop against the loopback server: new, data, cv, submit, ledger."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from loopback_server import Server

import kit.cli.submit

RunKit = Any
EVALUATION = (
    "<p>Submissions are evaluated on <b>area under the ROC curve</b>.</p><script>alert(1)</script>"
    "<pre>id,y\n1,0.5</pre><p>~~~~ $target [bad](javascript:x) \x1b[31mred</p>"
)


def tables() -> dict[str, bytes]:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(400, 3))
    frame = pd.DataFrame(x, columns=list("abc"))
    frame.insert(0, "id", np.arange(400) + 1)
    frame["y"] = (x[:, 0] + rng.normal(size=400) > 0).astype(int)
    test = frame[300:].drop(columns="y")
    sample = pd.DataFrame({"id": test["id"], "y": 0.5})
    found = {"train.csv": frame[:300], "test.csv": test, "sample_submission.csv": sample}
    return {name: table.to_csv(index=False).encode() for name, table in found.items()}


def score(content: bytes) -> tuple[float, float]:
    lines = content.decode().splitlines()
    if lines[0] != "id,y" or len(lines) != 101:
        raise ValueError("Evaluation Exception: Submission must have 100 rows")
    return 0.71234, 0.70001


@pytest.fixture
def toy(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    """The competition "toy"; the working directory is empty, waits are short."""
    server.add(
        "toy",
        files=tables(),
        pages={"Evaluation": EVALUATION, "rules": "<p>Be nice.</p>"},
        board=[("Alpha", 0.9), ("Us", 0.8), ("Beta", 0.7)],
        members={"Us": "ann"},
        scorer=score,
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(kit.cli.submit, "_POLLS", (0.01, 0.02))
    return server


def made(run_kit: RunKit) -> None:
    done = run_kit("new", "toy")
    assert done.code == 0, done.err


def trained(run_kit: RunKit) -> None:
    made(run_kit)
    done = run_kit("cv", "linear", "-C", "toy", "--folds", "3")
    assert done.code == 0, done.err


def test_new_data_cv_submit_ledger(toy: Server, run_kit: RunKit, tmp_path: Path) -> None:
    trained(run_kit)
    assert not [path for path in tmp_path.iterdir() if path.name != "toy"]
    asked = len(toy.requests)
    done = run_kit("data", "-C", "toy")
    assert (done.code, len(toy.requests)) == (0, asked), "a second run asks nothing"
    assert "as they were fetched" in done.out
    done = run_kit("submit", "-C", "toy", "-m", "first try", "--wait")
    assert done.code == 0, done.err
    assert "5 submissions are left today, this one included; new ones at 00:00 UTC" in done.err
    assert "0.71234" in done.out
    assert "Us <-" in done.out
    (handed,) = toy.submissions
    assert handed.content == next(Path("toy/submissions").glob("*.csv")).read_bytes()
    assert handed.description.startswith("first try [kit ")
    (receipt,) = map(json.loads, (p.read_text() for p in Path("toy/submissions").glob("*.json")))
    assert (receipt["ref"], receipt["status"]) == (str(handed.ref), "complete")
    assert (receipt["public"], receipt["private"]) == (0.71234, None)
    done = run_kit("ledger", "-C", "toy")
    assert "0.71234" in done.out


def test_new_fills_in_what_kaggle_says(toy: Server, run_kit: RunKit) -> None:
    made(run_kit)
    config = Path("toy/kit.toml").read_text()
    assert 'metric = "roc_auc"' in config
    assert "the provider says so" in config
    readme = Path("toy/README.md").read_text()
    assert "- Metric: Area Under Receiver Operating Characteristic Curve" in readme
    assert "- Submissions a day: 5" in readme
    assert "- Rules: accepted" in readme
    assert "- Deadline: 20" in Path("toy/NOTES.md").read_text()
    pages = Path("toy/COMPETITION.md").read_text()
    assert "area under the ROC curve" in pages
    assert "alert(1)" not in pages
    assert "\x1b" not in pages
    assert "\n~~~~~text\n" in pages, "the fence is longer than any in the text"
    assert "$target" in pages, "no text of the host is filled in"


def test_new_takes_the_address_from_the_browser(toy: Server, run_kit: RunKit) -> None:
    assert run_kit("new", "https://www.kaggle.com/competitions/toy/overview").code == 0
    assert Path("toy/kit.toml").is_file()


@pytest.mark.parametrize(
    ("metric", "tags", "told"),
    [
        ("eefs_concordance_index", ("custom metric",), "a metric of its own"),
        ("Levenshtein Mean", (), "does not have by this name"),
    ],
)
def test_a_metric_that_kit_does_not_have_is_asked_for(
    toy: Server, run_kit: RunKit, metric: str, tags: tuple[str, ...], told: str
) -> None:
    toy.competitions["toy"].metric, toy.competitions["toy"].tags = metric, tags
    done = run_kit("new", "toy")
    assert done.code == 0, done.err
    assert told in done.out
    assert f"{metric!r}" in done.out


def test_a_metric_that_does_not_fit_the_files_is_a_question(toy: Server, run_kit: RunKit) -> None:
    toy.competitions["toy"].metric = "Quadratic Weighted Kappa"
    done = run_kit("new", "toy")
    assert done.code == 0, done.err


def test_a_code_competition_is_said_to_be_one_and_takes_no_file(
    toy: Server, run_kit: RunKit
) -> None:
    toy.competitions["toy"].notebooks_only = True
    trained(run_kit)
    assert "code competition" in Path("toy/README.md").read_text()
    done = run_kit("submit", "-C", "toy")
    assert done.code == 3
    assert "kit export RUN --to kaggle" in done.err
    assert not toy.calls("StartSubmissionUpload"), "nothing is uploaded to be refused"


def test_a_simulation_is_refused_before_any_download(toy: Server, run_kit: RunKit) -> None:
    toy.competitions["toy"].tags = ("simulations",)
    done = run_kit("new", "toy")
    assert (done.code, "is a simulation" in done.err) == (3, True)
    assert not toy.calls("DownloadDataFiles")
    assert not Path("toy").exists()


def test_files_that_do_not_fit_cost_no_second_download(toy: Server, run_kit: RunKit) -> None:
    """`kit new` may need another flag; what was downloaded for the first try is used."""
    done = run_kit("new", "toy", "--target", "nonsense")
    assert done.code == 1
    assert not Path("toy").exists()
    served = len(toy.calls("GET"))
    done = run_kit("new", "toy", "--target", "y")
    assert done.code == 0, done.err
    sent = [r for r in toy.calls("GET")[served:] if "Range" not in r.headers]
    assert sent == [], "only a question whether it is still the same"
    assert not Path(".toy.download").exists()


def test_the_same_content_is_not_sent_twice_even_from_elsewhere(
    toy: Server, run_kit: RunKit
) -> None:
    trained(run_kit)
    assert run_kit("submit", "-C", "toy").code == 0
    done = run_kit("submit", "-C", "toy")
    assert (done.code, "handed in before" in done.err) == (1, True)
    for path in Path("toy/submissions").glob("*.json"):
        path.unlink()  # as on a colleague's machine
    done = run_kit("submit", "-C", "toy")
    assert (done.code, "elsewhere" in done.err) == (1, True)
    assert len(toy.submissions) == 1
    assert run_kit("submit", "-C", "toy", "--again").code == 0
    assert len(toy.submissions) == 2


def test_no_submission_left_is_said_before_the_upload(toy: Server, run_kit: RunKit) -> None:
    trained(run_kit)
    toy.competitions["toy"].daily = 1
    toy.hand_in("toy", "other.csv", b"1")
    done = run_kit("submit", "-C", "toy")
    assert done.code == 3
    assert "no submission is left today" in done.err
    assert "at 00:00 UTC, in " in done.err
    assert not toy.calls("StartSubmissionUpload")
    assert not list(Path("toy/submissions").glob("*.json"))


def test_a_late_submission_is_called_late_and_has_both_scores(toy: Server, run_kit: RunKit) -> None:
    toy.competitions["toy"].deadline = datetime.now(UTC) - timedelta(days=3)
    trained(run_kit)
    done = run_kit("submit", "-C", "toy")
    assert done.code == 0
    assert "late submission" in done.err
    assert "0.70001" in done.out


def test_a_rejected_file_shows_the_reason_and_the_exit_code(toy: Server, run_kit: RunKit) -> None:
    def reject(content: bytes) -> tuple[float, float]:
        raise ValueError("Evaluation Exception:\x1b[2J wrong")

    toy.competitions["toy"].scorer = reject
    trained(run_kit)
    done = run_kit("submit", "-C", "toy")
    assert (done.code, "Evaluation Exception: wrong" in done.out) == (3, True)


def test_complete_without_a_public_score_ends_the_wait(toy: Server, run_kit: RunKit) -> None:
    toy.competitions["toy"].scorer = lambda content: (None, None)
    trained(run_kit)
    done = run_kit("submit", "-C", "toy")
    assert done.code == 0
    assert "note: no score came back\n" in done.out, "our description is no reason"


def test_a_lost_answer_is_found_in_the_list(toy: Server, run_kit: RunKit) -> None:
    trained(run_kit)
    toy.fault("CreateSubmission", "lost")
    done = run_kit("submit", "-C", "toy")
    assert done.code == 0, done.err
    assert len(toy.submissions) == 1
    assert len(toy.calls("CreateSubmission")) == 1


def test_an_answer_that_stays_lost_is_found_by_the_next_call(toy: Server, run_kit: RunKit) -> None:
    trained(run_kit)

    def break_list() -> None:
        toy.fault("ListSubmissions", "status", status=503, times=100)

    toy.fault("CreateSubmission", "lost", action=break_list)
    done = run_kit("submit", "-C", "toy", "--no-wait")
    assert done.code == 3
    assert "Whether the submission arrived is not known" in done.err
    assert len(toy.submissions) == 1
    toy.faults.clear()
    done = run_kit("submit", "-C", "toy")
    assert (done.code, "It did arrive" in done.err) == (1, True)
    assert len(toy.submissions) == 1
    (receipt,) = map(json.loads, (p.read_text() for p in Path("toy/submissions").glob("*.json")))
    assert receipt["ref"] == str(toy.submissions[0].ref)


def test_nothing_is_sent_where_duplicates_cannot_be_looked_for(
    toy: Server, run_kit: RunKit
) -> None:
    trained(run_kit)
    toy.fault("ListSubmissions", "status", status=503, times=100)
    done = run_kit("submit", "-C", "toy")
    assert (done.code, len(toy.submissions)) == (3, 0)
    assert not toy.calls("StartSubmissionUpload")
    assert not list(Path("toy/submissions").glob("*.json"))


def test_single_files_and_folders(toy: Server, run_kit: RunKit) -> None:
    toy.competitions["toy"].files |= {"img/a.txt": b"a", "img/deep/b.txt": b"b"}
    toy.competitions["toy"].packed = ("test.csv",)
    made(run_kit)
    raw = Path("toy/data/raw")
    for path in (raw / "img/a.txt", raw / "img/deep/b.txt", raw / "test.csv"):
        path.unlink()
    done = run_kit("data", "img", "test.csv", "-C", "toy")
    assert done.code == 0, done.err
    assert (raw / "img/deep/b.txt").read_bytes() == b"b"
    assert (raw / "test.csv").read_bytes() == tables()["test.csv"]
    count = len(toy.calls("DownloadDataFile"))
    assert run_kit("data", "img", "-C", "toy").code == 0
    assert len(toy.calls("DownloadDataFile")) == count
    done = run_kit("data", "tset.csv", "-C", "toy")
    assert (done.code, "Did you mean 'test.csv'?" in done.err) == (3, True)


def test_force_keeps_the_old_files_until_the_new_are_there(toy: Server, run_kit: RunKit) -> None:
    made(run_kit)
    before = sorted(os.listdir("toy/data/raw"))
    toy.fault("DownloadDataFiles", "status", status=429, headers={"Retry-After": "3600"}, times=9)
    done = run_kit("data", "--force", "-C", "toy")
    assert (done.code, "in 60 min" in done.err) == (3, True)
    assert sorted(os.listdir("toy/data/raw")) == before
    toy.faults.clear()
    assert run_kit("data", "--force", "-C", "toy").code == 0
    assert sorted(os.listdir("toy/data/raw")) == before
    assert sorted(os.listdir("toy/data")) == ["kaggle.json", "manifest.json", "raw"]


# -- waiting for the score


class Clock:
    """Sleeps without sleeping."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(kit.cli.submit, "time", clock)
    monkeypatch.setattr(kit.cli.submit, "_POLLS", (5.0, 60.0))
    return clock


def handed_in(run_kit: RunKit) -> Any:
    Path("answer.csv").write_bytes(tables()["sample_submission.csv"])
    return run_kit("submit", "-C", "toy", "--file", "answer.csv")


def status() -> str:
    (path,) = Path("toy/submissions").glob("*.json")
    return str(json.loads(path.read_text())["status"])


def test_looks_at_the_score_become_rarer(toy: Server, run_kit: RunKit, clock: Clock) -> None:
    toy.competitions["toy"].polls = 12
    made(run_kit)
    done = handed_in(run_kit)
    assert (done.code, status()) == (0, "complete"), done.err
    assert done.err.count("waiting for the score") == 1
    assert clock.slept[0] == 5
    assert clock.slept == sorted(clock.slept)
    assert clock.slept[-1] == 60


def test_an_answer_that_kit_ledger_brought_meanwhile_ends_the_wait(
    toy: Server, run_kit: RunKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other terminal looks at the ledger while this one waits."""
    made(run_kit)
    toy.competitions["toy"].polls = 2
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        assert len(slept) < 9, "waits for what is there"
        while status() != "complete":
            assert run_kit("ledger", "-C", "toy").code == 0

    monkeypatch.setattr(kit.cli.submit.time, "sleep", sleep)
    done = handed_in(run_kit)
    assert (done.code, len(slept)) == (0, 1), done.err
    assert "0.71234" in done.out


def test_a_receipt_that_is_deleted_ends_the_wait(
    toy: Server, run_kit: RunKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(run_kit)
    toy.competitions["toy"].polls = 10**6

    def sleep(seconds: float) -> None:
        Path("toy/submissions/answer.json").unlink()

    monkeypatch.setattr(kit.cli.submit.time, "sleep", sleep)
    done = handed_in(run_kit)
    assert (done.code, "is gone; `kit ledger` shows the score" in done.err) == (0, True), done.err


def test_failures_while_waiting_are_waited_out(toy: Server, run_kit: RunKit, clock: Clock) -> None:
    made(run_kit)
    toy.competitions["toy"].polls = 5

    def fail_later() -> None:
        toy.fault("ListSubmissions", "status", status=503, times=3 * 4)

    toy.fault("CreateSubmission", "do", action=fail_later)
    done = handed_in(run_kit)
    assert (done.code, status(), len(toy.submissions)) == (0, "complete", 1), done.err


def test_a_kaggle_that_stays_away_ends_the_wait_not_the_submission(
    toy: Server, run_kit: RunKit, clock: Clock
) -> None:
    made(run_kit)

    def fail_later() -> None:
        toy.fault("ListSubmissions", "status", status=503, times=999)

    toy.fault("CreateSubmission", "do", action=fail_later)
    done = handed_in(run_kit)
    assert (done.code, "HTTP 503" in done.err) == (3, True)
    assert (status(), len(toy.submissions)) == ("pending", 1)


def test_the_wait_has_an_end(
    toy: Server, run_kit: RunKit, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kit.cli.submit, "_LONGEST", 600.0)
    toy.competitions["toy"].polls = 10**9
    made(run_kit)
    done = handed_in(run_kit)
    assert (done.code, status()) == (0, "pending")
    assert "there is still no score" in done.err
    assert 600 <= sum(clock.slept) < 660


# -- what is out of the ordinary; failures are in test_failures.py


def test_new_that_is_cut_goes_on_where_it_was(toy: Server, run_kit: RunKit, tmp_path: Path) -> None:
    toy.fault("GET", "cut", after=3_000)
    toy.fault("GET", "cut", after=0, times=4)
    done = run_kit("new", "toy")
    assert (done.code, "3,000 bytes are kept" in done.err) == (3, True)
    assert [path.name for path in tmp_path.iterdir()] == [".toy.download"]
    toy.faults.clear()
    assert run_kit("new", "toy").code == 0
    assert toy.calls("GET")[-1].headers["Range"] == "bytes=3000-"
    assert [path.name for path in tmp_path.iterdir()] == ["toy"]


def test_who_has_no_team_yet_may_submit(toy: Server, run_kit: RunKit) -> None:
    """Kaggle counts zeros for somebody who never submitted; that is not "none left"."""
    zeros = {"numToday": 0, "numTotal": 0, "numAllowedNow": 0}
    toy.GetSubmissionLimits = lambda body, user: zeros  # type: ignore[method-assign]
    made(run_kit)
    Path("answer.csv").write_bytes(tables()["sample_submission.csv"])
    done = run_kit("submit", "-C", "toy", "--file", "answer.csv")
    assert (done.code, len(toy.submissions)) == (0, 1), done.err
    assert "5 submissions are left" in done.err


def test_only_the_ends_of_a_long_board_are_shown(toy: Server, run_kit: RunKit) -> None:
    toy.competitions["toy"].board = [(f"team {n}", 1 - n / 1000) for n in range(1, 301)]
    toy.competitions["toy"].members = {"team 100": "ann"}
    made(run_kit)
    Path("answer.csv").write_bytes(tables()["sample_submission.csv"])
    done = run_kit("submit", "-C", "toy", "--file", "answer.csv")
    shown = [line for line in done.out.splitlines() if "team " in line]
    assert [line.split()[0] for line in shown if line.split()[0].isdigit()] == [
        "1", "2", "3", "4", "5", "98", "99", "100", "101", "102",
    ]  # fmt: skip
    assert "300 teams in all" in done.out
