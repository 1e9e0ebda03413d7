"""`run_kit`: a command in this process, as the installed entry point would run it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from kit.cli import main


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str


RunKit = Callable[..., Outcome]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden",
        action="store_true",
        help="write tests/data/help anew instead of comparing (with the path tests/cli)",
    )


@pytest.fixture
def run_kit(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> RunKit:
    def run(*arguments: str | Path) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["kit", *map(str, arguments)])
        capsys.readouterr()
        code = 0
        try:
            main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return run
