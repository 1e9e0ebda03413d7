"""On a terminal: bars, colours, Ctrl-C. In a pipe the same call is plain text."""

from __future__ import annotations

import os
import re
import select
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from kit.competition import Competition

# the child makes the pseudo-terminal its own, so that the key Ctrl-C reaches it as a signal
_KIT = """
import fcntl, os, sys, termios
if os.isatty(0):
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
from kit.cli import main
main()
"""
_SLOW = """
import time
from sklearn.linear_model import LogisticRegression

FITTED = []


class Slow(LogisticRegression):
    def fit(self, X, y):
        time.sleep(1.2 if len(FITTED) < 2 else 60)
        FITTED.append(1)
        return super().fit(X, y)


def slow():
    return Slow()
"""
_CTRL_C = b"\x03"
_LEFT = r"\d:\d\d:\d\d"
_STYLE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
ROWS, COLUMNS = 40, 120


class Terminal:
    """`kit` on a pseudo-terminal of its own."""

    def __init__(self, root: Path, *arguments: str, columns: int = COLUMNS) -> None:
        self.master, slave = os.openpty()
        termios.tcsetwinsize(slave, (ROWS, columns))
        self.process = subprocess.Popen(
            [sys.executable, "-c", _KIT, *arguments],
            cwd=root,
            env=environment(),
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        os.close(slave)
        self.raw = ""

    @property
    def text(self) -> str:
        """What was printed, without colours and movements; every state of a bar is a line."""
        return _STYLE.sub("", self.raw).replace("\r\n", "\n").replace("\r", "\n")

    def read_until(self, true: Callable[[], object], seconds: float = 60.0) -> None:
        """Read until `true()` or the end of the process; fail the test if neither comes."""
        end = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < end, f"not seen on the terminal:\n{self.text}"
            if not select.select([self.master], [], [], 0.1)[0]:
                continue
            try:
                more = os.read(self.master, 65536)
            except OSError:  # Linux: the other end is closed
                return
            if not more:
                return
            self.raw += more.decode()

    def press(self, key: bytes) -> None:
        os.write(self.master, key)

    def wait(self) -> int:
        self.read_until(lambda: False)
        return self.process.wait(timeout=60)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.master)


def environment() -> dict[str, str]:
    """As on a user's terminal that can show colours."""
    decides = ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "COLUMNS", "LINES")
    kept = {name: value for name, value in os.environ.items() if name not in decides}
    return {**kept, "TERM": "xterm-256color"}


@pytest.fixture
def competition(make_competition: Callable[..., Competition]) -> Competition:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"id": range(120), "a": rng.normal(size=120), "b": rng.normal(size=120)})
    frame["y"] = (frame["a"] + rng.normal(size=120) > 0).astype(int)
    train, test = frame[:90], frame[90:].drop(columns="y")
    return make_competition(train, test, code={"model.py": _SLOW})


@pytest.fixture
def start(competition: Competition) -> Iterator[Callable[..., Terminal]]:
    """``start(*arguments)``: `kit` in the competition, ended with the test."""
    terminals: list[Terminal] = []

    def on_terminal(*arguments: str, columns: int = COLUMNS) -> Terminal:
        terminals.append(Terminal(competition.root, *arguments, columns=columns))
        return terminals[-1]

    yield on_terminal
    for terminal in terminals:
        terminal.close()


def test_bar_shows_model_folds_score_and_time_left_in_colours(
    start: Callable[..., Terminal],
) -> None:
    terminal = start("cv", "linear")
    assert terminal.wait() == 0, terminal.text
    bar = rf"^ +linear +━+ +3/3 +0\.\d{{5}} +{_LEFT} +{_LEFT} +left"
    assert re.search(bar, terminal.text, re.MULTILINE)
    assert "  fold 1 of 3" not in terminal.text
    assert re.search(r"\x1b\[[\d;]+m━", terminal.raw)


def test_table_on_a_terminal_is_ruled(start: Callable[..., Terminal]) -> None:
    terminal = start("cv", "linear", "-q")
    assert terminal.wait() == 0, terminal.text
    header, rule, row = [line.strip() for line in terminal.text.splitlines() if line.strip()]
    assert re.fullmatch(r"model +roc_auc +mean ± sd +folds +fit s +age +run", header)
    assert set(rule) == {"─"}
    assert re.match(r"linear +0\.\d{5} +0\.\d{5} ± 0\.\d{5} .*-linear-\w+$", row)
    assert "\x1b[1m" in terminal.raw


@pytest.mark.parametrize("columns", [60, pytest.param(40, marks=pytest.mark.slow), 30])
def test_a_narrow_terminal_loses_columns_and_no_digit(
    start: Callable[..., Terminal], columns: int
) -> None:
    terminal = start("cv", "linear", "-q", columns=columns)
    assert terminal.wait() == 0, terminal.text
    header, _, row = [line.strip() for line in terminal.text.splitlines() if line.strip()]
    assert re.match(r"model +roc_auc ", header)
    assert ("mean ± sd" in header) == (columns == 60)
    spread = r" +0\.\d{5} ± 0\.\d{5}" if columns == 60 else ""
    assert re.fullmatch(rf"linear +0\.\d{{5}}{spread} .*\b[0-9a-f]{{6}}", row)
    assert len(row) <= columns


def test_a_transfer_of_unknown_speed_has_no_question_mark(start: Callable[..., Terminal]) -> None:
    terminal = start("new", "iris", "--from", "sample")
    assert terminal.wait() == 0, terminal.text
    assert re.search(r"train\.csv +━+ +\S+ (bytes|kB|MB)", terminal.text)
    assert not re.search(r"(bytes|kB|MB) +\?", terminal.text)


def test_pipe_holds_a_plain_line_per_fold_and_no_escape(competition: Competition) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _KIT, "cv", "linear"],
        cwd=competition.root,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout + done.stderr
    assert "\r" not in done.stdout + done.stderr
    told = re.findall(
        r"^  linear  fold (\d) of 3  0\.\d{5}  \(\d+\.\d s\)$", done.stderr, re.MULTILINE
    )
    assert told == ["1", "2", "3"]
    assert re.search(r"^linear +0\.\d{5} +0\.\d{5} ± 0\.\d{5} ", done.stdout, re.MULTILINE)


def test_ctrl_c_ends_with_130_and_one_line_while_the_bar_says_what_is_left(
    start: Callable[..., Terminal], competition: Competition
) -> None:
    terminal = start("cv", "model:slow")
    seen = rf"model:slow +\S+ +2/3 +0\.\d{{5}} +{_LEFT} +0:00:0[1-9] +left"
    terminal.read_until(lambda: re.search(seen, terminal.text))
    terminal.press(_CTRL_C)
    assert terminal.wait() == 130
    (line,) = [line for line in terminal.text.splitlines() if "interrupted" in line]
    assert line.startswith("kit: interrupted")
    assert "Traceback" not in terminal.text
    assert "KeyboardInterrupt" not in terminal.text
    assert len(list(competition.runs.glob(".partial/*/fold-*.parquet"))) == 2
